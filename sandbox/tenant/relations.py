"""Who owns a group, which groups are in it, and in which of some groups somebody is."""

import uuid

from sandbox.tenant import permissions
from sandbox.tenant.directory import Group, Json
from sandbox.tenant.exchange import Answer, Request, bad_request
from sandbox.tenant.groups import (
    ANY_PROPERTIES,
    GROUP_PROPERTIES,
    READ_GROUPS,
    get_group,
    render_group,
    render_member,
    shows_members,
    visible_members,
)
from sandbox.tenant.membership import groups_of
from sandbox.tenant.pages import answer_page
from sandbox.tenant.permissions import Service
from sandbox.tenant.query import PAGE_OPTIONS, check_options, is_advanced, read_select
from sandbox.tenant.routing import Route
from sandbox.tenant.users import get_user
from sandbox.tenant.world import World

_MOST_CHECKED = 20
_READ_USERS = frozenset({"User.Read.All", "Directory.Read.All"})


def read_owners(world: World, request: Request) -> Answer:
    """`GET /groups/{id}/owners`: nobody for a group from Active Directory, whose owners are not here."""
    check_options(request, PAGE_OPTIONS)
    names = read_select(request, ANY_PROPERTIES, "directoryObject")
    group = get_group(world, request)
    owners = [] if group.synced else [world.directory.users[owner_id] for owner_id in group.owners]
    return answer_page(world, request, [render_member(owner, names) for owner in owners], "directoryObjects")


def read_nested_groups(world: World, request: Request) -> Answer:
    """`GET /groups/{id}/transitiveMembers/microsoft.graph.group`: an advanced query, on every page."""
    check_options(request, PAGE_OPTIONS)
    if world.advanced_casts and not is_advanced(request):
        raise bad_request("Unsupported Query. The cast needs ConsistencyLevel and $count.", "Request_UnsupportedQuery")
    names = read_select(request, GROUP_PROPERTIES, "group")
    groups = [member for member in visible_members(world, request) if isinstance(member, Group)]
    return answer_page(world, request, [render_group(group, names, typed=False) for group in groups], "groups")


def check_user(world: World, request: Request) -> Answer:
    """`POST /users/{id}/checkMemberGroups`: which of up to 20 groups the user is in, through nested ones too."""
    if not _READ_USERS & request.roles:
        raise permissions.denial(Service.DIRECTORY)
    return _check(world, request, get_user(world, request).id)


def check_group(world: World, request: Request) -> Answer:
    """`POST /groups/{id}/checkMemberGroups`: the same for a group in groups."""
    return _check(world, request, get_group(world, request).id)


def _check(world: World, request: Request, principal_id: str) -> Answer:
    """Leave out what is no group, and what the caller may not see the members of: neither is an error."""
    asked = _read_group_ids(request.body)
    member_of = {group.id for group in groups_of(world.directory, principal_id) if shows_members(group, request.roles)}
    context = f"{world.url}/{request.version}/$metadata#Collection(Edm.String)"
    return Answer(200, {"@odata.context": context, "value": [each for each in asked if each.casefold() in member_of]})


def _read_group_ids(body: Json) -> list[str]:
    ids = body.get("groupIds")
    if not isinstance(ids, list) or not ids:
        raise bad_request("The property 'groupIds' is missing or empty.")
    if len(ids) > _MOST_CHECKED:
        raise bad_request(f"The number of group ids exceeds the maximum of {_MOST_CHECKED}.")
    for each in ids:
        try:
            uuid.UUID(each)
        except (AttributeError, TypeError, ValueError):
            raise bad_request("Invalid GUID in 'groupIds'.") from None
    return ids


ROUTES = (
    Route("GET", "groups/{group}/owners", READ_GROUPS, read_owners),
    Route("GET", "groups/{group}/transitiveMembers/microsoft.graph.group", READ_GROUPS, read_nested_groups),
    Route(
        "POST",
        "users/{user}/checkMemberGroups",
        permissions.directory("GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"),
        check_user,
    ),
    Route(
        "POST",
        "groups/{group}/checkMemberGroups",
        permissions.directory("GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"),
        check_group,
    ),
)
