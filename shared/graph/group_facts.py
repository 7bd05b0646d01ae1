"""What groups, directory roles and eligibilities say, as Microsoft Graph shows them. As in `facts`, never a default."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from shared.errors import OperatorError
from shared.graph.facts import read_object_id, read_optional
from shared.graph.wire import Answer, Entity, read_entity, unreadable
from shared.model import RoleHolding
from shared.vocabulary import GroupId, RoleId, UserId

GROUP_PROPERTIES = ("id", "displayName", "isAssignableToRole", "visibility", "onPremisesSyncEnabled")
HIDDEN_MEMBERS_ROLE = "Member.Read.Hidden"

_HIDDEN = "hiddenmembership"
_GROUP_TYPE = "#microsoft.graph.group"


@dataclass(frozen=True)
class GroupState:
    """A group: `hidden` where its members show to an app with `Member.Read.Hidden` only, `synced` from on-premises."""

    id: GroupId
    assignable: bool
    hidden: bool = False
    synced: bool = False


@dataclass(frozen=True)
class Principal:
    """Somebody, or a group, that holds or could activate something; None where Graph does not say whether a group."""

    id: str
    is_group: bool | None


@dataclass(frozen=True)
class RoleOf:
    """A directory role that a principal holds or, `eligible`, could activate."""

    principal: Principal
    role: RoleId
    eligible: bool


@dataclass(frozen=True)
class Joinable:
    """A group that a user could make themselves a member of or, `owner`, an owner."""

    group: GroupId
    owner: bool


def parse_group(entity: Entity) -> GroupState:
    """Read a group; null for `isAssignableToRole` beside a name is what Graph shows for ordinary groups.

    Raises OperatorError for one that shows its id only: our identity may not read it.
    https://learn.microsoft.com/graph/permissions-overview#limited-information-returned-for-inaccessible-member-objects
    """
    group_id = GroupId(read_object_id(entity, "id"))
    name = read_optional(entity, "displayName", str)
    assignable = read_optional(entity, "isAssignableToRole", bool)
    if name is None and assignable is None:
        raise OperatorError("groupUnreadable", "GroupMember.Read.All")
    hidden = (read_optional(entity, "visibility", str) or "").casefold() == _HIDDEN
    synced = read_optional(entity, "onPremisesSyncEnabled", bool)
    return GroupState(group_id, assignable or False, hidden, synced or False)


def parse_assignable_group(entity: Entity) -> GroupState:
    """Read a group of those that can hold directory roles: a filter that was ignored is found here."""
    group = parse_group(entity)
    if not group.assignable:
        raise unreadable("isAssignableToRole")
    return group


def parse_one_group(answer: Answer, group_id: GroupId) -> GroupState:
    """Read the one group that was asked for."""
    group = parse_group(read_entity(answer))
    if group.id != group_id:
        raise unreadable("anotherGroup")
    return group


def parse_owner(entity: Entity) -> str:
    """Read who owns a group."""
    return read_object_id(entity, "id")


def parse_role_of(entity: Entity, *, eligible: bool) -> RoleOf:
    """Read an assignment of, or an eligibility for, a directory role, with its principal expanded."""
    return RoleOf(_principal(entity), RoleId(read_object_id(entity, "roleDefinitionId")), eligible)


def parse_role_holding(entity: Entity, user_id: UserId, *, eligible: bool) -> RoleHolding:
    """Read a directory role of one user: a filter that was ignored is found here."""
    _check(entity, "principalId", user_id)
    return RoleHolding(RoleId(read_object_id(entity, "roleDefinitionId")), eligible=eligible)


def parse_joinable(entity: Entity, user_id: UserId) -> Joinable:
    """Read which group `user_id` could make themselves a member of, or an owner, who can add themselves."""
    _check(entity, "principalId", user_id)
    return Joinable(GroupId(read_object_id(entity, "groupId")), read_optional(entity, "accessId", str) == "owner")


def parse_eligible(entity: Entity, group_id: GroupId) -> Principal:
    """Read who could make themselves a member or an owner of `group_id`."""
    _check(entity, "groupId", group_id)
    return _principal(entity)


def parse_member_of(answer: Answer, asked: Collection[GroupId]) -> tuple[GroupId, ...]:
    """Read in which of the groups that were asked about a user is."""
    found = read_entity(answer).get("value")
    if not isinstance(found, list):
        raise unreadable("value")
    return tuple(_one_of(each, asked) for each in found)


def _one_of(value: object, asked: Collection[GroupId]) -> GroupId:
    group_id = GroupId(value.lower()) if isinstance(value, str) else None
    if group_id is None or group_id not in asked:
        raise unreadable("value")
    return group_id


def _principal(entity: Entity) -> Principal:
    """Read a principal; its type shows where it was expanded, unless it is deleted."""
    expanded = entity.get("principal")
    kind = expanded.get("@odata.type") if isinstance(expanded, dict) else None
    is_group = kind.casefold() == _GROUP_TYPE if isinstance(kind, str) else None
    return Principal(read_object_id(entity, "principalId"), is_group)


def _check(entity: Entity, name: str, expected: str) -> None:
    if read_object_id(entity, name) != expected:
        raise unreadable(name)


parse_active_role = partial(parse_role_of, eligible=False)
parse_eligible_role = partial(parse_role_of, eligible=True)
