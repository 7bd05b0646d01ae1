"""A user's methods: by the common list where our identity may read it, else each type by its own collection."""

import asyncio
from dataclasses import replace
from enum import Enum, auto
from functools import partial

from shared.catalogue import KINDS, MethodKind
from shared.errors import BadRequestError, NotFoundError, NotPermittedError, TokenError
from shared.graph.client import Call, GraphClient, Reading
from shared.graph.concurrency import first_error
from shared.graph.facts import merge_methods, parse_method, parse_method_of
from shared.graph.repeats import Patience
from shared.graph.wire import Answer, read_entity
from shared.model import Method
from shared.permissions import LIST_EVERY_TYPE, listing_needs, missing_roles
from shared.ports import Clock, Listing
from shared.vocabulary import MethodType, UserId

_AT_ONCE = 4
_USER_NOT_FOUND = "Request_ResourceNotFound"  # the directory's word for a user who is not there


class _NotListed(Enum):
    """Why a type has no list; see `shared.ports.Listing`."""

    NOT_PERMITTED = auto()
    ABSENT = auto()
    UNCLEAR = auto()


type _Listed = list[Method | None] | _NotListed


class MethodLister:
    """Lists one user's methods within the patience of one call of the port."""

    def __init__(self, graph: GraphClient, clock: Clock, user_id: UserId) -> None:
        self._graph = graph
        self._patience = Patience(clock)
        self._user_id = user_id
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def list(self) -> Listing:
        """List them all; see `shared.ports.Directory.list_methods`."""
        granted = await self._granted_roles()
        if granted is None or not missing_roles(LIST_EVERY_TYPE, granted):
            try:
                return await self._by_common_list()
            except NotPermittedError:
                pass  # nothing is lost by trying: whether each role is honoured everywhere is not settled (graph.md 9)
        return await self._by_type(granted)

    async def _granted_roles(self) -> frozenset[str] | None:
        """Return what our token says; None for one that says nothing or cannot be read, so that only trying tells."""
        try:
            return await self._graph.granted_roles() or None
        except TokenError:
            return None

    async def _by_common_list(self) -> Listing:
        """Read the list of all types, and beside it those that v1.0 cannot show (graph.md 2)."""
        reading = Reading(
            "listMethods", lambda requests: requests.methods_of(self._user_id), parse_method, LIST_EVERY_TYPE
        )
        with first_error():
            async with asyncio.TaskGroup() as tasks:
                listed = tasks.create_task(self._graph.read_all(reading, self._patience))
                others = {
                    kind.type: tasks.create_task(self._list_type(kind)) for kind in KINDS if not kind.in_common_list
                }
        return _listing_of(listed.result(), {type_: task.result() for type_, task in others.items()})

    async def _by_type(self, granted: frozenset[str] | None) -> Listing:
        async def list_if_granted(kind: MethodKind) -> _Listed:
            if granted is not None and missing_roles(listing_needs(kind.type), granted):
                return _NotListed.NOT_PERMITTED
            async with self._places:
                return await self._list_type(kind)

        with first_error():
            async with asyncio.TaskGroup() as tasks:
                listed = {kind.type: tasks.create_task(list_if_granted(kind)) for kind in KINDS}
        by_type = _listing_of([], {type_: task.result() for type_, task in listed.items()})
        return replace(by_type, every_type=False)

    async def _list_type(self, kind: MethodKind) -> _Listed:
        """Return the methods of one type, or why there is no list of them."""
        try:
            if kind.single:
                return await self._read_single(kind)
            return await self._read_collection(kind)
        except (NotFoundError, BadRequestError) as error:
            return _judge_refusal(kind, error)
        except NotPermittedError:
            return _NotListed.NOT_PERMITTED

    async def _read_collection(self, kind: MethodKind) -> _Listed:
        reading = Reading(
            f"listMethods.{kind.type}",
            lambda requests: requests.methods_of_type(self._user_id, kind),
            partial(parse_method_of, kind=kind),
            listing_needs(kind.type),
        )
        return await self._graph.read_all(reading, self._patience)

    async def _read_single(self, kind: MethodKind) -> _Listed:
        call = Call(
            f"listMethods.{kind.type}",
            lambda requests: requests.methods_of_type(self._user_id, kind),
            partial(_parse_single, kind=kind),
            listing_needs(kind.type),
        )
        return [await self._graph.ask(call, self._patience)]


def _judge_refusal(kind: MethodKind, error: NotFoundError | BadRequestError) -> _Listed:
    """Take for absence only what is documented as absence.

    A cloud without the type answers 400, as for any segment that it does not know. Of a list in v1.0, 404 means that
    the user is gone: it is raised. A user without a QR code has no such object, and for that 404 is documented
    (https://learn.microsoft.com/graph/api/qrcodepinauthenticationmethod-get?view=graph-rest-beta#response), unless its
    code says that there is no user. Whatever else beta answers is unclear.
    """
    if isinstance(error, NotFoundError) and error.answer.status == 400:  # noqa: PLR2004 - HTTP's own number
        return _NotListed.ABSENT
    if not kind.beta:
        raise error
    no_object = kind.single and isinstance(error, NotFoundError) and error.answer.code not in {None, _USER_NOT_FOUND}
    return [] if no_object else _NotListed.UNCLEAR


def _listing_of(listed: list[Method | None], by_type: dict[MethodType, _Listed]) -> Listing:
    """Put the methods together, and beside them the types without a list."""
    methods = listed + [method for result in by_type.values() if isinstance(result, list) for method in result]
    return Listing(
        merge_methods(methods),
        not_permitted=_types(by_type, _NotListed.NOT_PERMITTED),
        absent=_types(by_type, _NotListed.ABSENT),
        unclear=_types(by_type, _NotListed.UNCLEAR),
    )


def _types(by_type: dict[MethodType, _Listed], reason: _NotListed) -> tuple[MethodType, ...]:
    return tuple(type_ for type_, result in by_type.items() if result is reason)


def _parse_single(answer: Answer, kind: MethodKind) -> Method | None:
    return parse_method_of(read_entity(answer), kind)
