"""What leads to privilege in a tenant, read from the privileged side.

Its size is up to administrators, and to owners of what is privileged already: nothing that a user can do alone, such as
joining groups, adds to it. docs/contract.md says what follows from that.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from shared.errors import GraphError, NotFoundError, OperatorError, UnlicensedError
from shared.graph.batches import Batches
from shared.graph.client import Call, GraphClient, Reading
from shared.graph.concurrency import first_error
from shared.graph.group_facts import (
    HIDDEN_MEMBERS_ROLE,
    GroupState,
    Principal,
    RoleOf,
    parse_active_role,
    parse_assignable_group,
    parse_eligible,
    parse_eligible_role,
    parse_group,
    parse_one_group,
    parse_owner,
)
from shared.graph.repeats import Patience
from shared.permissions import FACT_NEEDS, Fact
from shared.ports import Clock
from shared.vocabulary import GroupId

# Twice what a tenant can have of role-assignable groups: https://learn.microsoft.com/entra/identity/role-based-access-control/groups-concept
MOST_GROUPS = 1_000
ROLE_ELIGIBILITIES, GROUP_ELIGIBILITIES = "listRoleEligibilities", "listGroupEligibilities"
_NO_LICENCE = (400, "AadPremiumLicenseRequired")


@dataclass(frozen=True)
class Privilege:
    """What leads to privilege, as it was at `taken_at`.

    `privileged` are the groups that can hold roles, with those they have. `reaches` names for them, and for every group
    whose members could get into one, the privileged groups that it leads to. `owners` are of all of them. `named` are
    the other groups that were asked about. `answered`: the operations about eligibility for which there is a licence.
    """

    taken_at: datetime
    privileged: Mapping[GroupId, tuple[RoleOf, ...]]
    assignable: frozenset[GroupId]
    reaches: Mapping[GroupId, frozenset[GroupId]]
    owners: Mapping[GroupId, frozenset[str]]
    named: frozenset[GroupId]
    answered: frozenset[str]

    @property
    def of_interest(self) -> tuple[GroupId, ...]:
        """The groups of which it matters whether a user is a member."""
        return tuple(sorted(self.reaches.keys() | self.named))


def has_no_licence(error: UnlicensedError) -> bool:
    """Tell whether an error says that the tenant has no licence for eligibility, so that there is none: this one only.

    https://learn.microsoft.com/entra/id-governance/licensing-fundamentals
    """
    return (error.answer.status, error.answer.code) == _NO_LICENCE


@dataclass
class _Found:
    """What was found so far; `into` names for each group those whose members its own members could become."""

    groups: dict[GroupId, GroupState] = field(default_factory=dict)
    owners: dict[GroupId, frozenset[str]] = field(default_factory=dict)
    into: defaultdict[GroupId, set[GroupId]] = field(default_factory=lambda: defaultdict(set))
    answered: set[str] = field(default_factory=set)
    unlicensed: set[str] = field(default_factory=set)
    unfolded: set[GroupId] = field(default_factory=set)


class PrivilegeReading:
    """One reading of a tenant, whole or not at all; `named` are groups of the policy, of which one may be missing."""

    def __init__(self, graph: GraphClient, clock: Clock, named: Collection[GroupId]) -> None:
        self._graph = graph
        self._clock = clock
        self._named = named
        self._patience = Patience(clock)
        self._batches = Batches(graph, clock, self._patience)
        self._found = _Found()

    async def take(self) -> Privilege:
        """Read it; raise GraphError where a part cannot be read, OperatorError where our identity may not read one."""
        taken_at = self._clock.now()
        with first_error():
            async with asyncio.TaskGroup() as tasks:
                assignable = tasks.create_task(self._read(_assignable_groups()))
                active = tasks.create_task(self._read(_roles("listRoleAssignments")))
                eligible = tasks.create_task(self._read_eligibilities([_roles(ROLE_ELIGIBILITIES)]))
                named = tasks.create_task(self._states_of(self._named))
        roles = [*active.result(), *(role for found in eligible.result() for role in found)]
        listed = {group.id: group for group in assignable.result()}
        # Only role-assignable groups can hold a role. One that was made just now may be in one list and not in another.
        holders = await self._groups_among((role.principal for role in roles), listed)
        privileged = listed | {group.id: group for group in holders}
        held: defaultdict[str, list[RoleOf]] = defaultdict(list)
        for role in roles:
            held[role.principal.id].append(role)
        await self._follow(privileged)
        await self._check_hidden((*self._found.groups.values(), *named.result()))
        return Privilege(
            taken_at,
            {group_id: tuple(held[group_id]) for group_id in privileged},
            frozenset(group.id for group in privileged.values() if group.assignable),
            {group_id: self._reached_from(group_id, privileged) for group_id in self._found.groups},
            self._found.owners,
            frozenset(group.id for group in named.result()),
            frozenset(self._found.answered),
        )

    async def _follow(self, privileged: Mapping[GroupId, GroupState]) -> None:
        """Follow who could get into a privileged group to its end: the groups among them, and those nested in these.

        A list of nested groups is transitive, so that only of groups that hold or could join something it is asked for.
        """
        fresh, entrances = list(privileged.values()), list(privileged.values())
        while fresh or entrances:
            self._found.groups |= {group.id: group for group in fresh}
            if len(self._found.groups) > MOST_GROUPS:
                raise OperatorError("tooManyPrivilegedGroups")
            with first_error():
                async with asyncio.TaskGroup() as tasks:
                    owners = tasks.create_task(self._read_owners(fresh))
                    eligible = tasks.create_task(self._read_eligible(fresh))
                    nested = tasks.create_task(self._read_nested(entrances))
            self._found.owners |= owners.result()
            entering = [(one, group_id) for group_id, found in eligible.result().items() for one in found]
            joining = await self._groups_among((one for one, _ in entering), self._found.groups)
            for one, group_id in entering:
                self._found.into[GroupId(one.id)].add(group_id)
            seen = {group.id: group for group in joining}
            for group_id, groups in nested.result().items():
                for group in groups:
                    self._found.into[group.id].add(group_id)
                    seen[group.id] = group
            fresh = [group for group_id, group in seen.items() if group_id not in self._found.groups]
            known = self._found.groups | seen
            entrances = [known[id_] for id_ in {GroupId(one.id): None for one, _ in entering} if id_ in known]

    def _reached_from(self, group_id: GroupId, privileged: Collection[GroupId]) -> frozenset[GroupId]:
        reached, waiting = {group_id}, [group_id]
        while waiting:
            following = self._found.into.get(waiting.pop(), set()) - reached
            reached |= following
            waiting += following
        return frozenset(reached & set(privileged))

    async def _check_hidden(self, groups: Iterable[GroupState]) -> None:
        """Raise OperatorError where nobody's membership of a group shows to us: an answer without it says nothing.

        Without the role such a group is left out of the answer, with no error.
        https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups
        """
        if any(group.hidden for group in groups) and HIDDEN_MEMBERS_ROLE not in await self._graph.granted_roles():
            raise OperatorError("membershipHidden", HIDDEN_MEMBERS_ROLE)

    # --- One kind of thing each ---------------------------------------------------------------------------------

    async def _read_owners(self, groups: Sequence[GroupState]) -> dict[GroupId, frozenset[str]]:
        """Read who owns them; the members of a synchronised group are changed on-premises only.

        https://learn.microsoft.com/graph/api/group-list-owners
        """
        ids = [group.id for group in groups if not group.synced]
        owners = await self._batches.read_each([_owners(group_id) for group_id in ids])
        return {group_id: frozenset(found) for group_id, found in zip(ids, owners, strict=True)}

    async def _read_eligible(self, groups: Sequence[GroupState]) -> dict[GroupId, list[Principal]]:
        """Read who could activate being in them; a synchronised group cannot be managed in PIM.

        https://learn.microsoft.com/entra/id-governance/privileged-identity-management/groups-discover-groups
        """
        ids = [group.id for group in groups if not group.synced]
        eligible = await self._read_eligibilities([_eligible(group_id) for group_id in ids])
        return dict(zip(ids, eligible, strict=True))

    async def _read_nested(self, groups: Sequence[GroupState]) -> dict[GroupId, list[GroupState]]:
        """Read the groups in them; no group can be in a role-assignable one.

        https://learn.microsoft.com/entra/identity/role-based-access-control/groups-concept
        """
        ids = [group.id for group in groups if not group.assignable and group.id not in self._found.unfolded]
        self._found.unfolded |= set(ids)
        nested = await self._batches.read_each([_nested(group_id) for group_id in ids])
        return dict(zip(ids, nested, strict=True))

    async def _groups_among(self, principals: Iterable[Principal], known: Collection[GroupId]) -> list[GroupState]:
        """Read the groups among principals, but for those that are known; a deleted one leads nowhere."""
        ids = {GroupId(principal.id) for principal in principals if principal.is_group is not False}
        return await self._states_of(sorted(ids - set(known)))

    async def _states_of(self, group_ids: Collection[GroupId]) -> list[GroupState]:
        found = await self._batches.ask_each([call_for_group(group_id) for group_id in group_ids])
        for said in found:
            if isinstance(said, GraphError) and not isinstance(said, NotFoundError):
                raise said
        return [said for said in found if isinstance(said, GroupState)]

    async def _read[T](self, reading: Reading[T]) -> list[T]:
        return await self._graph.read_all(reading, self._patience)

    async def _read_eligibilities[T](self, readings: Sequence[Reading[T]]) -> list[list[T]]:
        """Read what could be activated: nothing where the first answer of this API was that there is no licence for it.

        Each API speaks for itself. The same answer later is an error like any other.
        """
        operation = readings[0].operation if readings else None
        if operation is None or operation in self._found.unlicensed:
            return [[] for _ in readings]
        if operation in self._found.answered:
            return await self._batches.read_each(readings)
        try:
            first = await self._read(readings[0])
        except UnlicensedError as error:
            if not has_no_licence(error):
                raise
            self._found.unlicensed.add(operation)
            return [[] for _ in readings]
        self._found.answered.add(operation)
        return [first, *await self._batches.read_each(readings[1:])]


def call_for_group(group_id: GroupId) -> Call[GroupState]:
    """Return the call that reads one group."""
    parse = partial(parse_one_group, group_id=group_id)
    return Call("readGroup", lambda requests: requests.group(group_id), parse, FACT_NEEDS[Fact.GROUPS])


def _assignable_groups() -> Reading[GroupState]:
    return Reading(
        "listPrivilegedGroups",
        lambda requests: requests.role_assignable_groups(),
        parse_assignable_group,
        FACT_NEEDS[Fact.GROUPS],
    )


def _roles(operation: str) -> Reading[RoleOf]:
    if operation == ROLE_ELIGIBILITIES:
        return Reading(
            operation,
            lambda requests: requests.role_eligibilities(),
            parse_eligible_role,
            FACT_NEEDS[Fact.DIRECTORY_ROLES],
        )
    return Reading(
        operation, lambda requests: requests.role_assignments(), parse_active_role, FACT_NEEDS[Fact.DIRECTORY_ROLES]
    )


def _owners(group_id: GroupId) -> Reading[str]:
    return Reading("listOwners", lambda requests: requests.owners_of(group_id), parse_owner, FACT_NEEDS[Fact.GROUPS])


def _eligible(group_id: GroupId) -> Reading[Principal]:
    return Reading(
        GROUP_ELIGIBILITIES,
        lambda requests: requests.group_eligibilities_for(group_id),
        partial(parse_eligible, group_id=group_id),
        FACT_NEEDS[Fact.ELIGIBLE_MEMBERSHIP],
    )


def _nested(group_id: GroupId) -> Reading[GroupState]:
    return Reading(
        "listNestedGroups",
        lambda requests: requests.groups_in(group_id),
        parse_group,
        FACT_NEEDS[Fact.GROUPS],
        advanced=True,
    )
