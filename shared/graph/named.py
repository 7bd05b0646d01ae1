"""Whether the users and groups that the policy names are there, of the right kind, and not hidden from us."""

from collections.abc import Sequence
from functools import partial

from shared.errors import GraphError, NotFoundError, OperatorError
from shared.graph.batches import Batches
from shared.graph.client import Call, GraphClient
from shared.graph.facts import read_object_id
from shared.graph.group_facts import HIDDEN_MEMBERS_ROLE, GroupState
from shared.graph.privilege import call_for_group
from shared.graph.repeats import Patience
from shared.graph.wire import Answer, read_entity, unreadable
from shared.model import Presence
from shared.permissions import FACT_NEEDS, Fact
from shared.ports import Clock, NamedPresence
from shared.vocabulary import GroupId, UserId

type _Said = UserId | GroupState | Presence


class NamedReader:
    """Looks users and groups up by their ids, in batches."""

    def __init__(self, graph: GraphClient, clock: Clock) -> None:
        self._graph = graph
        self._batches = Batches(graph, clock, Patience(clock))

    async def look_up(self, users: Sequence[UserId], groups: Sequence[GroupId]) -> NamedPresence:
        """Keep the port's promise; what is no user is asked for as a group, and the other way round."""
        granted = await self._graph.granted_roles()
        asked = [*map(_user, users), *map(_group, groups)]
        first = await self._ask(asked)
        gone = [number for number, said in enumerate(first) if said is Presence.MISSING]
        others = [_group(GroupId(users[n])) if n < len(users) else _user(UserId(groups[n - len(users)])) for n in gone]
        second = dict(zip(gone, await self._ask(others), strict=True))
        found = tuple(_presence(said, second.get(number), granted) for number, said in enumerate(first))
        return NamedPresence(found[: len(users)], found[len(users) :])

    async def _ask(self, calls: Sequence[Call[_Said]]) -> list[_Said]:
        try:
            return [_read(said) for said in await self._batches.ask_each(calls)]
        except GraphError:
            return [Presence.UNKNOWN for _ in calls]


def _read(said: _Said | GraphError) -> _Said:
    if isinstance(said, NotFoundError):
        return Presence.MISSING
    return Presence.UNKNOWN if isinstance(said, GraphError) else said


def _presence(said: _Said, other: _Said | None, granted: frozenset[str]) -> Presence:
    """Judge what one id was answered with; `other` is what the other kind was, where the right one is missing."""
    if isinstance(said, GroupState) and said.hidden and HIDDEN_MEMBERS_ROLE not in granted:
        return Presence.HIDDEN
    if said is Presence.MISSING:
        return other if isinstance(other, Presence) else Presence.OTHER_KIND
    return said if isinstance(said, Presence) else Presence.FOUND


def _user(user_id: UserId) -> Call[_Said]:
    parse = partial(_parse_user, user_id=user_id)
    return Call("readNamedUser", lambda requests: requests.user_by_id(user_id), parse, FACT_NEEDS[Fact.USER])


def _group(group_id: GroupId) -> Call[_Said]:
    call = call_for_group(group_id)

    def parse(answer: Answer) -> _Said:
        try:
            return call.parse(answer)
        except OperatorError:  # only its id shows
            return Presence.HIDDEN

    return Call("readNamedGroup", call.build, parse, call.needs)


def _parse_user(answer: Answer, user_id: UserId) -> _Said:
    if read_object_id(read_entity(answer), "id") != user_id:
        raise unreadable("anotherUser")
    return user_id
