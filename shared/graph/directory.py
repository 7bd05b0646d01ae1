"""The directory of a tenant, over Microsoft Graph's SDK."""

import asyncio
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, assert_never

from shared.catalogue import BY_TYPE, MethodKind
from shared.errors import (
    AmbiguousUserError,
    BadRequestError,
    GraphAnswer,
    NotFoundError,
    NotPermittedError,
)
from shared.graph.client import Build, Call, CallReport, GraphClient, Reading
from shared.graph.facts import (
    merge_methods,
    parse_group,
    parse_hardware_oath_method,
    parse_method,
    parse_role_assignment,
    parse_security_identifier,
    parse_user,
)
from shared.graph.repeats import Patience
from shared.graph.wire import Answer, Entity, read_entity, unreadable
from shared.model import Group, Method, ReferenceKind, RoleHolding, Subject, User, UserReference
from shared.ports import Clock, Listing
from shared.vocabulary import GroupId, MethodType, Removal, UserId

if TYPE_CHECKING:
    from shared.graph.connection import Connection
    from shared.graph.tokens import CredentialFactory

_GROUPS_AT_ONCE = 4
_WRONG_FORM = frozenset({400, 404, 405})


def _report_nothing(_: CallReport) -> None:
    pass


class GraphDirectory:
    """`shared.ports.Directory`; nothing is connected, and no SDK imported, before the first call.

    `graph_url` is the root of the cloud's Microsoft Graph, `client_id` a user-assigned identity's (None: the
    system-assigned one), `on_call` hears of every try. `credential_factory` replaces the managed identity. One object
    serves one event loop.
    """

    def __init__(  # noqa: PLR0913 - what differs between a tenant's parts, each handed in
        self,
        graph_url: str,
        client_id: str | None,
        clock: Clock,
        *,
        on_call: Callable[[CallReport], None] = _report_nothing,
        credential_factory: "CredentialFactory | None" = None,
        call_seconds: float = 30.0,
    ) -> None:
        root = graph_url.rstrip("/")

        def connect() -> "Connection":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's modules warn of themselves
                from shared.graph.connection import Connection, managed_identity  # noqa: PLC0415 - 0.5 s, see above
            make = credential_factory or partial(managed_identity, client_id)
            return Connection(root, make, call_seconds)

        self._clock = clock
        self._graph = GraphClient(root, clock, connect, on_call, call_seconds)

    async def close(self) -> None:
        """Close every connection; nothing is called afterwards."""
        await self._graph.close()

    # --- Reading ------------------------------------------------------------------------------------------------

    async def find_user(self, reference: UserReference) -> User | None:
        """Keep the port's promise; what is found has to be who was asked for, else UnreadableAnswerError."""
        if reference.kind is ReferenceKind.SECURITY_IDENTIFIER:
            return await self._find_by_security_identifier(reference.value)
        call = Call("readUser", lambda requests: requests.user(reference.value), partial(_parse_named, reference))
        try:
            return await self._graph.ask(call, Patience(self._clock))
        except NotFoundError:
            return None

    async def _find_by_security_identifier(self, identifier: str) -> User | None:
        def parse(entity: Entity) -> User:
            if not _same(parse_security_identifier(entity) or "", identifier):
                raise unreadable("onPremisesSecurityIdentifier")
            return parse_user(entity)

        reading = Reading(
            "findUsers", lambda requests: requests.users_with_security_identifier(identifier), parse, advanced=True
        )
        found = {user.id: user for user in await self._graph.read_all(reading, Patience(self._clock))}
        if len(found) > 1:
            raise AmbiguousUserError
        return next(iter(found.values()), None)

    async def read_subject(self, user: User) -> Subject:
        """Keep the port's promise; raise OperatorError for a group that our identity may not read."""
        patience = Patience(self._clock)
        reading = Reading("listGroups", lambda requests: requests.groups_of(user.id), parse_group, advanced=True)
        with _first_error():
            async with asyncio.TaskGroup() as tasks:
                groups_read = tasks.create_task(self._graph.read_all(reading, patience))
                direct = tasks.create_task(self._read_roles(user.id, None, patience))
        groups = tuple({group.id: group for group in groups_read.result()}.values())
        through_groups = await self._read_roles_through(groups, patience)
        return Subject(user, groups, tuple(dict.fromkeys([*direct.result(), *through_groups])))

    async def _read_roles_through(self, groups: tuple[Group, ...], patience: Patience) -> list[RoleHolding]:
        places = asyncio.Semaphore(_GROUPS_AT_ONCE)

        async def read(group_id: GroupId) -> list[RoleHolding]:
            async with places:
                return await self._read_roles(group_id, group_id, patience)

        with _first_error():
            async with asyncio.TaskGroup() as tasks:
                read_roles = [tasks.create_task(read(group.id)) for group in groups if group.role_assignable]
        return [holding for task in read_roles for holding in task.result()]

    async def _read_roles(
        self, principal_id: UserId | GroupId, through: GroupId | None, patience: Patience
    ) -> list[RoleHolding]:
        reading = Reading(
            "listRoleAssignments",
            lambda requests: requests.role_assignments_of(principal_id),
            partial(parse_role_assignment, principal_id=principal_id, through=through),
        )
        return await self._graph.read_all(reading, patience)

    async def list_methods(self, user_id: UserId) -> Listing:
        """Keep the port's promise; a cloud without hardware OATH has none of it."""
        patience = Patience(self._clock)
        reading = Reading("listMethods", lambda requests: requests.methods_of(user_id), parse_method)
        with _first_error():
            async with asyncio.TaskGroup() as tasks:
                listed = tasks.create_task(self._graph.read_all(reading, patience))
                tokens = tasks.create_task(self._list_hardware_oath(user_id, patience))
        hardware = tokens.result()
        if hardware is None:
            return Listing(merge_methods(listed.result()), (MethodType.HARDWARE_OATH,))
        return Listing(merge_methods(listed.result() + hardware))

    async def _list_hardware_oath(self, user_id: UserId, patience: Patience) -> list[Method | None] | None:
        """Return the hardware OATH tokens, None when our identity may not list them."""
        reading = Reading(
            "listHardwareOathMethods",
            lambda requests: requests.hardware_oath_methods_of(user_id),
            parse_hardware_oath_method,
        )
        try:
            return await self._graph.read_all(reading, patience)
        except NotFoundError:
            return []
        except NotPermittedError:
            return None

    # --- Changing -----------------------------------------------------------------------------------------------

    async def remove_method(self, user_id: UserId, method: Method, removal: Removal) -> None:
        """Keep the port's promise; a type that cannot be removed in that way is a BadRequestError without a call."""
        kind = BY_TYPE[method.type] if method.type else None
        if kind is None or (removal is Removal.DEACTIVATE and not kind.deactivatable):
            raise BadRequestError(GraphAnswer(code="cannotBeRemoved"))
        patience = Patience(self._clock)
        match removal:
            case Removal.DEACTIVATE:
                await self._change(
                    f"deactivate.{kind.type}",
                    lambda requests: requests.deactivate_method(user_id, kind, method.id),
                    patience,
                )
            case Removal.DELETE if kind.type is MethodType.EXTERNAL:
                await self._delete_external(user_id, kind, method, patience)
            case Removal.DELETE:
                await self._delete(user_id, kind, method, patience)
            case _:
                assert_never(removal)

    async def _delete(self, user_id: UserId, kind: MethodKind, method: Method, patience: Patience) -> None:
        await self._change(
            f"delete.{kind.type}", lambda requests: requests.delete_method(user_id, kind, method.id), patience
        )

    async def _delete_external(self, user_id: UserId, kind: MethodKind, method: Method, patience: Patience) -> None:
        """Try the SDK's form of the address, then the documented one, whose answer counts (graph.md 2)."""
        try:
            await self._delete(user_id, kind, method, patience)
        except (BadRequestError, NotFoundError) as error:
            if error.answer.status not in _WRONG_FORM:
                raise
        else:
            return
        await self._change(
            f"delete.{kind.type}",
            lambda requests: requests.delete_external_method_by_reference(user_id, method.id),
            patience,
        )

    async def change_default_method(self, user_id: UserId, preference: str) -> None:
        """Keep the port's promise; `preference` is a word of `userPreferredMethodForSecondaryAuthentication`."""
        await self._change("changeDefaultMethod", lambda requests: requests.change_default_method(user_id, preference))

    async def revoke_sessions(self, user_id: UserId) -> None:
        """Keep the port's promise."""
        await self._change("revokeSessions", lambda requests: requests.revoke_sessions(user_id))

    async def disable_account(self, user_id: UserId) -> None:
        """Keep the port's promise."""
        await self._change("disableAccount", lambda requests: requests.disable_account(user_id))

    async def _change(self, operation: str, build: Build, patience: Patience | None = None) -> None:
        call = Call(operation, build, lambda _: None, changes=True)
        await self._graph.ask(call, patience or Patience(self._clock))


def _parse_named(reference: UserReference, answer: Answer) -> User:
    user = parse_user(read_entity(answer))
    if _same(user.id, reference.value):
        return user
    if reference.kind is ReferenceKind.USER_PRINCIPAL_NAME and _same(user.user_principal_name, reference.value):
        return user
    raise unreadable("anotherUser")


def _same(one: str, other: str) -> bool:
    # bytes.lower() knows ASCII only: letters that merely look alike when folded are two names.
    return one.encode().lower() == other.encode().lower()


@contextmanager
def _first_error() -> Iterator[None]:
    """Raise the first error of several readings itself: callers decide by its type."""
    try:
        yield
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
