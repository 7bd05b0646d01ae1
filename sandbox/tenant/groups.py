"""Groups, and what a user or a group is a member of."""

import re

from sandbox.tenant import permissions
from sandbox.tenant.directory import AdministrativeUnit, Group, Json, User
from sandbox.tenant.exchange import Answer, Request, bad_request, not_found
from sandbox.tenant.membership import Container, Role, containers_of, groups_of, members_of
from sandbox.tenant.pages import answer_page
from sandbox.tenant.permissions import Service
from sandbox.tenant.query import (
    COLLECTION_OPTIONS,
    ENTITY_OPTIONS,
    PAGE_OPTIONS,
    check_options,
    is_advanced,
    read_filter,
    read_select,
)
from sandbox.tenant.routing import Route
from sandbox.tenant.users import get_user
from sandbox.tenant.world import World

_TYPE = "#microsoft.graph."
_GROUP_DEFAULTS = ("id", "displayName", "description", "mail", "mailEnabled", "securityEnabled", "isAssignableToRole")
_UNIT_DEFAULTS = ("id", "displayName", "description", "visibility")
_ROLE_DEFAULTS = ("id", "displayName", "description", "roleTemplateId")
_USER_DEFAULTS = ("id", "displayName", "mail", "userPrincipalName")
GROUP_PROPERTIES = frozenset(_GROUP_DEFAULTS) | {
    "groupTypes",
    "membershipRule",
    "membershipRuleProcessingState",
    "onPremisesSyncEnabled",
    "visibility",
    "createdDateTime",
}
ANY_PROPERTIES = GROUP_PROPERTIES | frozenset(_UNIT_DEFAULTS) | frozenset(_ROLE_DEFAULTS) | {"userPrincipalName"}
READ_GROUPS = permissions.directory(
    "GroupMember.Read.All", "GroupMember.ReadWrite.All", "Group.Read.All", "Directory.Read.All"
)
_REFERENCE = r"/v1\.0/(?P<kind>directoryObjects|users)/(?P<id>[\w-]+)"
_UNIT_READERS = frozenset({"AdministrativeUnit.Read.All", "Directory.Read.All"})
_ROLE_READERS = frozenset({"RoleManagement.Read.Directory", "Directory.Read.All"})


def _group_properties(group: Group) -> Json:
    return {
        "id": group.id,
        "displayName": group.display_name,
        "description": None,
        "mail": None,
        "mailEnabled": False,
        "securityEnabled": group.security_enabled,
        "isAssignableToRole": group.assignable,
        "groupTypes": ["DynamicMembership"] if group.dynamic else [],
        "membershipRule": group.membership_rule,
        "membershipRuleProcessingState": "On" if group.dynamic else None,
        "onPremisesSyncEnabled": group.synced or None,
        "visibility": _visibility(group),
        "createdDateTime": "2023-03-01T08:00:00Z",
    }


def _visibility(group: Group) -> str | None:
    # Groups that can hold directory roles are always private; other security groups show none.
    return "HiddenMembership" if group.hidden else ("Private" if group.assignable else None)


def render_group(group: Group, names: tuple[str, ...] | None, *, typed: bool) -> Json:
    """Return a group's selected properties; one that may not be read shows its type and id, the rest null."""
    properties = _group_properties(group)
    entity = {name: properties[name] for name in names or _GROUP_DEFAULTS if name in properties}
    if group.unreadable:
        entity = dict.fromkeys(entity, None) | {"id": group.id}
    return ({"@odata.type": f"{_TYPE}group"} if typed or group.unreadable else {}) | entity


def render_container(container: Container, names: tuple[str, ...] | None, roles: frozenset[str]) -> Json:
    """Return a membership; of what the caller's app roles do not let it read only type and id, the rest null."""
    match container:
        case Group():
            return render_group(container, names, typed=True)
        case AdministrativeUnit():
            type_name, defaults, readers = "administrativeUnit", _UNIT_DEFAULTS, _UNIT_READERS
            properties: Json = {"displayName": container.display_name, "description": None, "visibility": None}
        case Role():
            type_name, defaults, readers = "directoryRole", _ROLE_DEFAULTS, _ROLE_READERS
            properties = {"displayName": None, "description": None, "roleTemplateId": container.template_id}
    readable = bool(readers & roles)
    entity = {name: properties.get(name) if readable else None for name in names or defaults if name in defaults}
    return {"@odata.type": f"{_TYPE}{type_name}"} | entity | {"id": container.id}


def read_memberships(world: World, request: Request) -> Answer:
    """`GET /users/{id}/transitiveMemberOf`: groups, administrative units and directory roles."""
    return _answer_memberships(world, request, transitive=True)


def read_direct_memberships(world: World, request: Request) -> Answer:
    """`GET /users/{id}/memberOf`."""
    return _answer_memberships(world, request, transitive=False)


def _answer_memberships(world: World, request: Request, *, transitive: bool) -> Answer:
    check_options(request, PAGE_OPTIONS)
    names = read_select(request, ANY_PROPERTIES, "directoryObject")
    found = containers_of(world.directory, get_user(world, request).id, transitive=transitive)
    containers = [each for each in found if not isinstance(each, Group) or shows_members(each, request.roles)]
    items = [render_container(container, names, request.roles) for container in containers]
    return answer_page(world, request, items, "directoryObjects")


def read_group_memberships(world: World, request: Request) -> Answer:
    """`GET /users/{id}/transitiveMemberOf/microsoft.graph.group`: an advanced query, on every page."""
    return _answer_groups(world, request, get_user(world, request).id)


def read_groups_of_group(world: World, request: Request) -> Answer:
    """`GET /groups/{id}/transitiveMemberOf/microsoft.graph.group`: the same for a group in groups."""
    return _answer_groups(world, request, get_group(world, request).id)


def _answer_groups(world: World, request: Request, principal_id: str) -> Answer:
    check_options(request, PAGE_OPTIONS)
    if world.advanced_casts and not is_advanced(request):
        raise bad_request("Unsupported Query. The cast needs ConsistencyLevel and $count.", "Request_UnsupportedQuery")
    names = read_select(request, GROUP_PROPERTIES, "group")
    found = [group for group in groups_of(world.directory, principal_id) if shows_members(group, request.roles)]
    return answer_page(world, request, [render_group(group, names, typed=False) for group in found], "groups")


def get_group(world: World, request: Request) -> Group:
    """Return the group that the address names; raise 404 without one."""
    group_id = request.parameters["group"]
    group = world.directory.groups.get(group_id.casefold())
    if group is None:
        raise not_found(group_id)
    return group


def read_one(world: World, request: Request) -> Answer:
    """`GET /groups/{id}`."""
    check_options(request, ENTITY_OPTIONS)
    names = read_select(request, GROUP_PROPERTIES, "group")
    context = {"@odata.context": f"{world.url}/{request.version}/$metadata#groups/$entity"}
    return Answer(200, context | render_group(get_group(world, request), names, typed=False))


def read_all(world: World, request: Request) -> Answer:
    """`GET /groups`, by a filter or all of them."""
    check_options(request, COLLECTION_OPTIONS)
    names = read_select(request, GROUP_PROPERTIES, "group")
    clauses = read_filter(request, {"isAssignableToRole", "displayName", "id", "securityEnabled"}, "Group")
    groups = world.directory.groups.values()
    found = [group for group in groups if all(clause.holds(_group_properties(group)) for clause in clauses)]
    return answer_page(world, request, [render_group(group, names, typed=False) for group in found], "groups")


def read_members(world: World, request: Request) -> Answer:
    """`GET /groups/{id}/transitiveMembers`."""
    check_options(request, PAGE_OPTIONS)
    names = read_select(request, ANY_PROPERTIES, "directoryObject")
    items = [render_member(member, names) for member in visible_members(world, request)]
    return answer_page(world, request, items, "directoryObjects")


def visible_members(world: World, request: Request) -> list[User | Group]:
    """Return who is in the group that the address names: nobody, where its membership is hidden from the caller."""
    group = get_group(world, request)
    return list(members_of(world.directory, group)) if shows_members(group, request.roles) else []


def shows_members(group: Group, roles: frozenset[str]) -> bool:
    """Say whether an app with these roles sees who is in a group."""
    return not group.hidden or "Member.Read.Hidden" in roles


def render_member(member: User | Group, names: tuple[str, ...] | None) -> Json:
    """Return a member's selected properties with its type."""
    if isinstance(member, Group):
        return render_group(member, names, typed=True)
    entity = {name: member.properties.get(name) for name in names or _USER_DEFAULTS if name in _USER_DEFAULTS}
    return {"@odata.type": f"{_TYPE}user"} | entity


def add_member(world: World, request: Request) -> Answer:
    """`POST /groups/{id}/members/$ref`: refused when the member is there, or a rule or Active Directory decides."""
    group = get_group(world, request)
    if group.assignable and "RoleManagement.ReadWrite.Directory" not in request.roles:
        raise permissions.denial(Service.DIRECTORY)
    _check_members_are_ours(group)
    member_id = _read_reference(world, request)
    if member_id in group.members:
        raise bad_request(
            "One or more added object references already exist for the following modified properties: 'members'."
        )
    group.members.append(member_id)
    return Answer(204, effect=True)


def _check_members_are_ours(group: Group) -> None:
    if group.dynamic:
        raise bad_request("The members of a group with dynamic membership cannot be changed: its rule decides.")
    if group.synced:
        raise bad_request(
            "Unable to update the specified properties for on-premises mastered Directory Sync objects"
            " or objects currently undergoing migration."
        )


def _read_reference(world: World, request: Request) -> str:
    """Return the id of the object that `@odata.id` leads to; raise 400 for an address elsewhere, 404 for nobody's."""
    found = re.fullmatch(re.escape(world.url) + _REFERENCE, str(request.body.get("@odata.id")))
    if found is None:
        raise bad_request("Invalid URL format specified in @odata.id.")
    member_id = found["id"].casefold()
    users, groups = world.directory.users, world.directory.groups
    if member_id not in users and (found["kind"] == "users" or member_id not in groups):
        raise not_found(found["id"])
    return member_id


ROUTES = (
    Route("GET", "users/{user}/transitiveMemberOf", READ_GROUPS, read_memberships),
    Route("GET", "users/{user}/transitiveMemberOf/microsoft.graph.group", READ_GROUPS, read_group_memberships),
    Route("GET", "users/{user}/memberOf", permissions.directory("Directory.Read.All"), read_direct_memberships),
    Route("GET", "groups", READ_GROUPS, read_all),
    Route("GET", "groups/{group}", READ_GROUPS, read_one),
    Route("GET", "groups/{group}/transitiveMemberOf/microsoft.graph.group", READ_GROUPS, read_groups_of_group),
    Route("GET", "groups/{group}/transitiveMembers", READ_GROUPS, read_members),
    Route("POST", "groups/{group}/members/$ref", permissions.directory("GroupMember.ReadWrite.All"), add_member),
)
