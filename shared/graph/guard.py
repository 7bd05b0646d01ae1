"""What the guard judges of one user: read afresh, in as many calls whatever groups they are in.

What leads to privilege in the tenant comes from the snapshot. A fact that cannot be read raises; the only exception is
the one error that says that the tenant has no licence for eligibility at all, so that there is none to read.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from itertools import batched

from shared.errors import GraphError, UnlicensedError
from shared.graph.batches import Batches
from shared.graph.client import Call, GraphClient, Reading
from shared.graph.concurrency import first_error
from shared.graph.group_facts import Joinable, parse_joinable, parse_member_of, parse_role_holding
from shared.graph.privilege import GROUP_ELIGIBILITIES, ROLE_ELIGIBILITIES, Privilege, has_no_licence
from shared.graph.repeats import Patience
from shared.graph.snapshot import Snapshot
from shared.model import Group, RoleHolding, Subject, User
from shared.permissions import FACT_NEEDS, Fact
from shared.ports import Clock
from shared.vocabulary import GroupId, UserId

MOST_CHECKED = 20  # groups a call: https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups


class GuardReader:
    """Reads one user's `Subject` within the patience of one call of the port."""

    def __init__(self, graph: GraphClient, clock: Clock, snapshot: Snapshot) -> None:
        self._graph = graph
        self._patience = Patience(clock)
        self._batches = Batches(graph, clock, self._patience)
        self._snapshot = snapshot

    async def read(self, user: User, named: Collection[GroupId]) -> Subject:
        """Read it all; see `shared.ports.Directory.read_subject`."""
        privilege = await self._snapshot.get(named)
        with first_error():
            async with asyncio.TaskGroup() as tasks:
                member_of = tasks.create_task(self.groups_among(user.id, privilege.of_interest))
                active = tasks.create_task(self._graph.read_all(_active_roles(user.id), self._patience))
                eligible = tasks.create_task(self._read_eligibility(_eligible_roles(user.id), privilege))
                joinable = tasks.create_task(self._read_eligibility(_joinable(user.id), privilege))
        ways = _ways_in(user.id, privilege, member_of.result(), joinable.result())
        own = (*active.result(), *eligible.result())
        return Subject(user, _groups(privilege, ways), tuple(dict.fromkeys((*own, *_through(privilege, ways)))))

    async def groups_among(self, user_id: UserId, group_ids: Sequence[GroupId]) -> tuple[GroupId, ...]:
        """Return in which of some groups a user is, directly or through others."""
        said = await self._batches.ask_each(
            [_check(user_id, chunk) for chunk in batched(group_ids, MOST_CHECKED, strict=False)]
        )
        found: list[GroupId] = []
        for each in said:
            if isinstance(each, GraphError):
                raise each
            found += each
        return tuple(found)

    async def _read_eligibility[T](self, reading: Reading[T], privilege: Privilege) -> list[T]:
        """Read what the user could activate: nothing without a licence, unless the snapshot shows that there is one."""
        try:
            return await self._graph.read_all(reading, self._patience)
        except UnlicensedError as error:
            if not has_no_licence(error) or reading.operation in privilege.answered:
                raise
            return []


# --- What that means ------------------------------------------------------------------------------------------------


def _ways_in(
    user_id: UserId, privilege: Privilege, member_of: Iterable[GroupId], joinable: Iterable[Joinable]
) -> tuple[Group, ...]:
    """Name each group of interest that the user is in, owns, or could make themselves a member or an owner of."""
    way = partial(_way, privilege)
    owned = (group_id for group_id, owners in privilege.owners.items() if user_id in owners)
    joins = (one for one in joinable if one.group in privilege.reaches)
    return (
        *(way(group_id) for group_id in dict.fromkeys(member_of)),
        *(way(group_id, owner=True) for group_id in owned),
        *(way(one.group, eligible=True, owner=one.owner) for one in dict.fromkeys(joins)),
    )


def _way(privilege: Privilege, group_id: GroupId, *, eligible: bool = False, owner: bool = False) -> Group:
    assignable = group_id in privilege.assignable
    leads = not assignable and bool(privilege.reaches.get(group_id))
    return Group(group_id, assignable, eligible, owner, leads)


def _reached(privilege: Privilege, ways: Iterable[Group]) -> tuple[GroupId, ...]:
    reached = (group_id for way in ways for group_id in sorted(privilege.reaches.get(way.id, ())))
    return tuple(dict.fromkeys(reached))


def _groups(privilege: Privilege, ways: tuple[Group, ...]) -> tuple[Group, ...]:
    """Add the role-assignable groups that the user could get into by way of others."""
    direct = {way.id for way in ways}
    further = [group_id for group_id in _reached(privilege, ways) if group_id not in direct]
    could = (Group(group_id, role_assignable=True, eligible=True) for group_id in further)
    return (*ways, *(group for group in could if group.id in privilege.assignable))


def _through(privilege: Privilege, ways: tuple[Group, ...]) -> Iterable[RoleHolding]:
    """Name the roles of every group that the user is in, or could get into: these they could activate at most."""
    member_of = {way.id for way in ways if not way.eligible and not way.owner}
    for group_id in _reached(privilege, ways):
        for role in privilege.privileged[group_id]:
            yield RoleHolding(role.role, group_id, role.eligible or group_id not in member_of)


# --- What is asked ----------------------------------------------------------------------------------------------


def _check(user_id: UserId, group_ids: Sequence[GroupId]) -> Call[tuple[GroupId, ...]]:
    return Call(
        "checkGroups",
        lambda requests: requests.check_groups(user_id, group_ids),
        partial(parse_member_of, asked=group_ids),
        (*FACT_NEEDS[Fact.USER], *FACT_NEEDS[Fact.GROUPS]),
    )


def _active_roles(user_id: UserId) -> Reading[RoleHolding]:
    return Reading(
        "listRoleAssignments",
        lambda requests: requests.role_assignments_of(user_id),
        partial(parse_role_holding, user_id=user_id, eligible=False),
        FACT_NEEDS[Fact.DIRECTORY_ROLES],
    )


def _eligible_roles(user_id: UserId) -> Reading[RoleHolding]:
    return Reading(
        ROLE_ELIGIBILITIES,
        lambda requests: requests.role_eligibilities_of(user_id),
        partial(parse_role_holding, user_id=user_id, eligible=True),
        FACT_NEEDS[Fact.DIRECTORY_ROLES],
    )


def _joinable(user_id: UserId) -> Reading[Joinable]:
    return Reading(
        GROUP_ELIGIBILITIES,
        lambda requests: requests.group_eligibilities_of(user_id),
        partial(parse_joinable, user_id=user_id),
        FACT_NEEDS[Fact.ELIGIBLE_MEMBERSHIP],
    )
