"""What the guard judges, read in full: groups, and directory roles that are held or could be activated.

A fact that cannot be read raises. The only exception is the one error that says that the tenant has no licence for
eligibility at all, so that there is none to read (graph.md 5).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Literal

from shared.errors import NotFoundError, UnlicensedError
from shared.graph.client import Build, Call, GraphClient, Reading
from shared.graph.concurrency import first_error
from shared.graph.facts import parse_group, parse_group_eligibility, parse_role_holding
from shared.graph.repeats import Patience
from shared.graph.wire import Answer, read_entity
from shared.model import Group, RoleHolding, Subject, User
from shared.permissions import FACT_NEEDS, Fact
from shared.ports import Clock
from shared.vocabulary import GroupId, UserId

_AT_ONCE = 4
_NO_LICENCE = (400, "AadPremiumLicenseRequired")


class GuardReader:
    """Reads one user's `Subject` within the patience of one call of the port."""

    def __init__(self, graph: GraphClient, clock: Clock) -> None:
        self._graph = graph
        self._patience = Patience(clock)
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._answered: set[str] = set()
        self._unlicensed: set[str] = set()

    async def read(self, user: User) -> Subject:
        """Read it all; see `shared.ports.Directory.read_subject`."""
        groups = {group.id: group for group in await self.groups_of(user.id, "users")}
        groups |= await self._read_eligible_groups(user.id, groups)
        assignable = [group.id for group in groups.values() if group.role_assignable]
        own = await self._read_roles(user.id, None)
        through = await self._each(assignable, lambda group_id: self._read_roles(group_id, group_id))
        eligible = {group.id for group in groups.values() if group.eligible}
        holdings = [*own, *(_by_way_of(holding, eligible) for holdings in through for holding in holdings)]
        return Subject(user, tuple(groups.values()), tuple(dict.fromkeys(holdings)))

    async def groups_of(self, principal_id: UserId | GroupId, kind: Literal["users", "groups"]) -> list[Group]:
        """Read the groups that a user or a group is in, directly or through others."""
        reading = Reading(
            "listGroups",
            lambda requests: requests.groups_of(principal_id, kind),
            parse_group,
            FACT_NEEDS[Fact.GROUPS],
            advanced=True,
        )
        return await self._graph.read_all(reading, self._patience)

    # --- Groups that the user could join (PIM for Groups) -------------------------------------------------------

    async def _read_eligible_groups(self, user_id: UserId, member_of: dict[GroupId, Group]) -> dict[GroupId, Group]:
        """Follow eligible memberships to their end: of the user, of their groups, and of what those lead to."""
        found: dict[GroupId, Group] = {}
        # The user first, alone: without a licence that is the only call.
        reached = [await self._eligible_group_ids(user_id), *await self._each(member_of, self._eligible_group_ids)]
        while any(reached):
            known = member_of.keys() | found.keys()
            new = {group_id for group_ids in reached for group_id in group_ids} - known
            joined = await self._each(sorted(new), self._read_with_containers)
            fresh = {group.id: group for groups in joined for group in groups if group.id not in known}
            found |= fresh
            reached = await self._each(fresh, self._eligible_group_ids)
        return found

    async def _eligible_group_ids(self, principal_id: UserId | GroupId) -> list[GroupId]:
        return await self._read_eligibility(
            "listGroupEligibilities",
            lambda requests: requests.group_eligibilities_of(principal_id),
            partial(parse_group_eligibility, principal_id=principal_id),
            Fact.ELIGIBLE_MEMBERSHIP,
        )

    async def _read_with_containers(self, group_id: GroupId) -> list[Group]:
        """Read a group and those it is in; nothing for one that is deleted, which nobody can join.

        What a role-assignable group is in does not matter: no group that is could be a role-assignable one's member.
        """
        call = Call("readGroup", lambda requests: requests.group(group_id), _parse_one_group, FACT_NEEDS[Fact.GROUPS])
        try:
            group = await self._graph.ask(call, self._patience)
        except NotFoundError:
            return []
        containers = [] if group.role_assignable else await self.groups_of(group_id, "groups")
        return [Group(one.id, one.role_assignable, eligible=True) for one in (group, *containers)]

    # --- Roles --------------------------------------------------------------------------------------------------

    async def _read_roles(self, principal_id: UserId | GroupId, through: GroupId | None) -> list[RoleHolding]:
        """Read the roles that a principal holds, and those that it could activate."""
        active = Reading(
            "listRoleAssignments",
            lambda requests: requests.role_assignments_of(principal_id),
            partial(parse_role_holding, principal_id=principal_id, through=through, eligible=False),
            FACT_NEEDS[Fact.DIRECTORY_ROLES],
        )
        held = await self._graph.read_all(active, self._patience)
        return held + await self._read_eligibility(
            "listRoleEligibilities",
            lambda requests: requests.role_eligibilities_of(principal_id),
            partial(parse_role_holding, principal_id=principal_id, through=through, eligible=True),
            Fact.DIRECTORY_ROLES,
        )

    async def _read_eligibility[T](self, operation: str, build: Build, parse: Callable[..., T], fact: Fact) -> list[T]:
        """Read what could be activated: nothing where the first answer of this API was that there is no licence for it.

        Each API speaks for itself, and only of the user: the same answer of a group's later is an error like any other.
        """
        if operation in self._unlicensed:
            return []
        try:
            found = await self._graph.read_all(Reading(operation, build, parse, FACT_NEEDS[fact]), self._patience)
        except UnlicensedError as error:
            if (error.answer.status, error.answer.code) != _NO_LICENCE or operation in self._answered:
                raise
            self._unlicensed.add(operation)
            return []
        self._answered.add(operation)
        return found

    async def _each[K, T](self, keys: Iterable[K], read: Callable[[K], Awaitable[T]]) -> list[T]:
        """Read something of each, a few at once."""

        async def read_in_turn(key: K) -> T:
            async with self._places:
                return await read(key)

        with first_error():
            async with asyncio.TaskGroup() as tasks:
                read_all = [tasks.create_task(read_in_turn(key)) for key in keys]
        return [task.result() for task in read_all]


def _by_way_of(holding: RoleHolding, eligible: set[GroupId]) -> RoleHolding:
    """Say of a role of a group that the user could join that they could activate it."""
    return RoleHolding(holding.role, holding.through, holding.eligible or holding.through in eligible)


def _parse_one_group(answer: Answer) -> Group:
    return parse_group(read_entity(answer))
