"""The directory of a tenant, over Microsoft Graph's SDK."""

import warnings
from collections.abc import Callable, Collection, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, assert_never

from shared.catalogue import BY_TYPE, MethodKind
from shared.errors import (
    BadRequestError,
    ConflictError,
    GraphAnswer,
    GraphError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
)
from shared.graph.client import Build, Call, CallReport, GraphClient
from shared.graph.facts import PASS_MINUTES, parse_pass, parse_per_user_mfa
from shared.graph.guard import GuardReader
from shared.graph.listing import MethodLister
from shared.graph.named import NamedReader
from shared.graph.pace import Pace
from shared.graph.repeats import MOST_TRIES, Patience
from shared.graph.snapshot import READING_SECONDS, Snapshot
from shared.graph.users import UserReader
from shared.graph.wire import read_entity
from shared.identity import managed_identity
from shared.model import Method, SignIn, Subject, User, UserReference
from shared.permissions import CHANGE_DEFAULT, STEP_NEEDS, Need, removal_needs
from shared.ports import Claim, Clock, Listing, NamedPresence, TemporaryAccessPass
from shared.vocabulary import GroupId, Removal, StepName, UserId

if TYPE_CHECKING:
    from shared.graph.connection import Connection
    from shared.graph.tokens import CredentialFactory

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
        snapshot_seconds: float = READING_SECONDS,
    ) -> None:
        root = graph_url.rstrip("/")

        def connect() -> "Connection":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's modules warn of themselves
                from shared.graph.connection import Connection  # noqa: PLC0415 - 0.5 s, see above
            make = credential_factory or partial(managed_identity, client_id)
            return Connection(root, make, call_seconds)

        self._clock = clock
        self._graph = GraphClient(root, clock, connect, on_call, call_seconds)
        self._users = UserReader(self._graph, clock)
        self._pace = Pace(clock)
        self._snapshot = Snapshot(self._graph, clock, snapshot_seconds)

    def under(self, claim: Claim) -> "GraphDirectory":
        """Keep the port's promise; both have one connection, one pace and one snapshot."""
        directory = copy(self)
        directory._graph = self._graph.under(claim)  # noqa: SLF001 - a copy of this very class
        return directory

    async def close(self) -> None:
        """Close every connection; nothing is called afterwards."""
        await self._snapshot.close()
        await self._graph.close()

    # --- Reading ------------------------------------------------------------------------------------------------

    async def find_user(self, reference: UserReference) -> User | None:
        """Keep the port's promise; what is found has to be who was asked for, else UnreadableAnswerError."""
        return await self._users.find(reference)

    async def was_deleted(self, user_id: UserId) -> bool:
        """Keep the port's promise; where that cannot be told, it was not."""
        return await self._users.was_deleted(user_id)

    async def read_sign_in(self, user: User) -> SignIn:
        """Keep the port's promise; little time is spent on it, for no reset waits for what is told beside it."""
        return await self._users.read_sign_in(user)

    async def read_subject(self, user: User, named: Collection[GroupId]) -> Subject:
        """Keep the port's promise; all that is read at once shares one snapshot of what leads to privilege."""
        return await self._guard().read(user, named)

    async def look_up_named(self, users: Sequence[UserId], groups: Sequence[GroupId]) -> NamedPresence:
        """Keep the port's promise."""
        return await NamedReader(self._graph, self._clock).look_up(users, groups)

    def _guard(self) -> GuardReader:
        return GuardReader(self._graph, self._clock, self._snapshot)

    async def list_methods(self, user_id: UserId) -> Listing:
        """Keep the port's promise."""
        return await MethodLister(self._graph, self._clock, user_id).list()

    async def granted_roles(self) -> frozenset[str]:
        """Keep the port's promise."""
        return await self._graph.granted_roles()

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
                    removal_needs(kind.type),
                    patience,
                )
            case Removal.DELETE if kind.by_reference:
                await self._delete_either_way(user_id, kind, method, patience)
            case Removal.DELETE:
                await self._delete(user_id, kind, method, patience)
            case _:
                assert_never(removal)

    async def _delete(self, user_id: UserId, kind: MethodKind, method: Method, patience: Patience) -> None:
        await self._change(
            f"delete.{kind.type}",
            lambda requests: requests.delete_method(user_id, kind, method.id),
            removal_needs(kind.type),
            patience,
        )

    async def _delete_either_way(self, user_id: UserId, kind: MethodKind, method: Method, patience: Patience) -> None:
        """Try the usual form of the address, then the documented one, whose answer counts (graph.md 2).

        But for a method that the first form did not find: a second form that is wrong does not say that it is there.
        Nor does whatever the second form is answered say that no uncertain try of the first one took effect.
        """
        try:
            await self._delete(user_id, kind, method, patience)
        except (BadRequestError, NotFoundError) as error:
            if error.answer.status not in _WRONG_FORM:
                raise
            first = error
        else:
            return
        try:
            await self._change(
                f"delete.{kind.type}",
                lambda requests: requests.delete_method_by_reference(user_id, kind, method.id),
                removal_needs(kind.type),
                patience,
            )
        except GraphError as error:
            wrong_form = isinstance(error, BadRequestError) and error.answer.status in _WRONG_FORM
            if wrong_form and isinstance(first, NotFoundError):
                raise first from None
            error.after_uncertain |= first.after_uncertain
            raise

    async def change_default_method(self, user_id: UserId, preference: str) -> None:
        """Keep the port's promise; `preference` is a word of `userPreferredMethodForSecondaryAuthentication`."""
        await self._change(
            "changeDefaultMethod", lambda requests: requests.change_default_method(user_id, preference), CHANGE_DEFAULT
        )

    async def revoke_sessions(self, user_id: UserId) -> None:
        """Keep the port's promise."""
        await self._step(StepName.REVOKE_SESSIONS, lambda requests: requests.revoke_sessions(user_id))

    async def disable_account(self, user_id: UserId) -> None:
        """Keep the port's promise."""
        await self._step(StepName.DISABLE_ACCOUNT, lambda requests: requests.enable_account(user_id, enabled=False))

    async def enable_account(self, user_id: UserId) -> None:
        """Keep the port's promise."""
        await self._step(StepName.ENABLE_ACCOUNT, lambda requests: requests.enable_account(user_id, enabled=True))

    async def confirm_compromised(self, user_id: UserId) -> None:
        """Keep the port's promise; identity protection sends no Retry-After, so every try takes a turn of its own."""
        call = Call(
            StepName.CONFIRM_COMPROMISED,
            lambda requests: requests.confirm_compromised(user_id),
            lambda _: None,
            STEP_NEEDS[StepName.CONFIRM_COMPROMISED],
            changes=True,
        )
        last: ThrottledError | UnavailableError = ThrottledError(GraphAnswer(code="manyConfirmations"))
        for _ in range(MOST_TRIES):
            wait = self._pace.reserve()
            if wait is None:
                break
            await self._clock.sleep(wait)
            try:
                return await self._graph.ask(call, Patience(self._clock, 0))
            except (ThrottledError, UnavailableError) as error:
                last = error
        raise last

    async def add_to_group(self, user_id: UserId, group_id: GroupId) -> None:
        """Keep the port's promise; a refusal counts only where the user is no member already."""
        try:
            await self._step(StepName.CONTAINMENT_GROUP, lambda requests: requests.add_to_group(user_id, group_id))
        except (BadRequestError, ConflictError):
            if group_id not in await self._guard().groups_among(user_id, [group_id]):
                raise

    async def set_password(self, user_id: UserId, password: str) -> None:
        """Keep the port's promise."""
        await self._step(StepName.RESET_PASSWORD, lambda requests: requests.set_password(user_id, password))

    async def set_per_user_mfa(self, user_id: UserId, state: str) -> None:
        """Keep the port's promise."""
        await self._step(StepName.PER_USER_MFA, lambda requests: requests.set_per_user_mfa(user_id, state))

    async def read_per_user_mfa(self, user_id: UserId) -> str:
        """Keep the port's promise."""
        call = Call(
            "readPerUserMfa",
            lambda requests: requests.per_user_mfa(user_id),
            lambda answer: parse_per_user_mfa(read_entity(answer)),
            STEP_NEEDS[StepName.PER_USER_MFA],
        )
        return await self._graph.ask(call, Patience(self._clock))

    async def create_pass(self, user_id: UserId) -> TemporaryAccessPass:
        """Keep the port's promise; where the policy refuses an hour, take the lifetime that it has by default."""
        try:
            return await self._create_pass(user_id, PASS_MINUTES)
        except BadRequestError:
            return await self._create_pass(user_id, None)

    async def _create_pass(self, user_id: UserId, minutes: int | None) -> TemporaryAccessPass:
        call = Call(
            "createPass",
            lambda requests: requests.create_pass(user_id, minutes),
            lambda answer: parse_pass(read_entity(answer), self._clock.now()),
            STEP_NEEDS[StepName.TEMPORARY_ACCESS_PASS],
            changes=True,
            once=True,
        )
        return await self._graph.ask(call, Patience(self._clock))

    async def _step(self, step: StepName, build: Build) -> None:
        await self._change(step, build, STEP_NEEDS[step], Patience(self._clock))

    async def _change(
        self, operation: str, build: Build, needs: tuple[Need, ...], patience: Patience | None = None
    ) -> None:
        call = Call(operation, build, lambda _: None, needs, changes=True)
        await self._graph.ask(call, patience or Patience(self._clock))
