"""Owners, nested groups, checks of membership and hidden membership, as Microsoft Graph documents them."""

from typing import Any

import pytest

from sandbox.tenant import Directory, Tenant, load_directory
from tests.sandbox.tenant.conftest import (
    ADVANCED,
    ALL_STAFF,
    AVERY,
    BLAIR,
    BRANCHES,
    CONTAINED,
    DARCY,
    EMERGENCY,
    GRAY,
    HARPER,
    HELP_DESK,
    JULES,
    MORGAN,
    NEVER_RESET,
    NIGHT_SHIFT,
    PLANT,
    PLATFORM,
    TIER_0,
    Caller,
    error_of,
)
from tests.sandbox.tenant.test_groups import read_all

NESTED = "transitiveMembers/microsoft.graph.group"
ROLES = "/v1.0/roleManagement/directory"
ELIGIBLE = "/v1.0/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances"
NOBODY = "20000000-0000-4000-8000-0000000000ff"


async def check(graph: Caller, groups: Any, who: str = f"users/{HARPER}") -> list[str]:  # noqa: ANN401 - any JSON
    """Ask in which groups somebody is."""
    answer = await graph.post(f"/v1.0/{who}/checkMemberGroups", {"groupIds": groups})
    assert answer.status_code == 200
    return list(answer.json()["value"])


# --- Owners -----------------------------------------------------------------------------------------------------


async def test_owners_when_read_then_each_page_by_page(graph: Caller, tenant: Tenant) -> None:
    """Users, with their type; nobody owns a group at first."""
    assert await read_all(graph, f"/v1.0/groups/{TIER_0}/owners") == []
    tenant.directory.groups[TIER_0].owners += [AVERY, BLAIR]
    tenant.page_size = 1
    found = await read_all(graph, f"/v1.0/groups/{TIER_0}/owners", select="id")
    assert found == [{"@odata.type": "#microsoft.graph.user", "id": each} for each in (AVERY, BLAIR)]
    assert error_of(await graph.get(f"/v1.0/groups/{NOBODY}/owners")) == (404, "Request_ResourceNotFound")


async def test_owners_when_the_group_comes_from_active_directory_then_none(graph: Caller, tenant: Tenant) -> None:
    """They are not available there."""
    tenant.directory.groups[BRANCHES].owners.append(AVERY)
    assert await read_all(graph, f"/v1.0/groups/{BRANCHES}/owners") == []


async def test_owners_when_the_directory_file_names_them_then_they_are_there(tmp_path: Any) -> None:  # noqa: ANN401 - a path
    """With the visibility of a group; an owner that is nobody is refused, a deleted one owns nothing."""
    from pathlib import Path  # noqa: PLC0415 - for the type only

    file = Path(tmp_path) / "directory.json"
    user = f'{{"id": "{AVERY}", "userPrincipalName": "a@x.example", "displayName": "A"}}'
    group = f'{{"id": "{TIER_0}", "displayName": "T", "owners": ["%s"], "visibility": "HiddenMembership"}}'
    text = f'{{"tenantId": "t", "users": [{user}], "groups": [{group}]}}'
    file.write_text(text % AVERY)
    directory: Directory = load_directory(file)
    assert (directory.groups[TIER_0].owners, directory.groups[TIER_0].hidden) == ([AVERY], True)
    directory.delete_user(AVERY)
    assert directory.groups[TIER_0].owners == []
    file.write_text(text % BLAIR)
    with pytest.raises(ValueError, match=BLAIR):
        load_directory(file)


# --- Nested groups ----------------------------------------------------------------------------------------------


async def test_nested_groups_when_cast_then_only_groups_and_advanced_on_every_page(
    graph: Caller, tenant: Tenant
) -> None:
    """Through others too, a circle of which ends."""
    tenant.directory.groups[PLANT].members += [CONTAINED, NEVER_RESET]
    tenant.page_size = 1
    found = await read_all(graph, f"/v1.0/groups/{NEVER_RESET}/{NESTED}", select="id,visibility", count="true")
    assert sorted(each["id"] for each in found) == sorted([PLANT, CONTAINED, NEVER_RESET])
    assert {each["visibility"] for each in found} == {None}
    plain = await graph.get(f"/v1.0/groups/{NEVER_RESET}/{NESTED}", select="id")
    assert error_of(plain) == (400, "Request_UnsupportedQuery")
    tenant.advanced_casts = False
    assert (await graph.get(f"/v1.0/groups/{NEVER_RESET}/{NESTED}", select="id")).status_code == 200


# --- Checks of membership ---------------------------------------------------------------------------------------


async def test_check_when_in_some_groups_then_these_through_nested_ones_too(graph: Caller) -> None:
    """In the order asked; what is no group's id is left out."""
    asked = [NOBODY, ALL_STAFF, HELP_DESK.upper(), NIGHT_SHIFT, TIER_0]
    assert await check(graph, asked) == [ALL_STAFF, HELP_DESK.upper(), NIGHT_SHIFT]
    assert await check(graph, [HELP_DESK, TIER_0], f"groups/{NIGHT_SHIFT}") == [HELP_DESK]
    for who in (f"users/{DARCY}", f"groups/{NOBODY}"):
        answer = await graph.post(f"/v1.0/{who}/checkMemberGroups", {"groupIds": [ALL_STAFF]})
        assert error_of(answer) == (404, "Request_ResourceNotFound")


@pytest.mark.parametrize("groups", [None, [], "x", ["x"], [7], [ALL_STAFF] * 21])
async def test_check_when_not_one_to_twenty_ids_then_400(graph: Caller, groups: Any) -> None:  # noqa: ANN401 - any JSON
    """One malformed id refuses all of them."""
    answer = await graph.post(f"/v1.0/users/{HARPER}/checkMemberGroups", {"groupIds": groups})
    assert error_of(answer) == (400, "Request_BadRequest")


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        ({"User.Read.All", "GroupMember.Read.All"}, True),
        ({"User.Read.All", "Group.Read.All"}, True),
        ({"Directory.Read.All"}, True),
        ({"GroupMember.Read.All"}, False),
        ({"User.Read.All"}, False),
        ({"User.Read.All", "GroupMember.ReadWrite.All"}, False),
    ],
)
async def test_check_of_a_user_when_roles_differ_then_both_are_needed(
    graph: Caller, tenant: Tenant, roles: set[str], allowed: bool
) -> None:
    """One for the user and one for the groups."""
    tenant.roles = roles
    answer = await graph.post(f"/v1.0/users/{HARPER}/checkMemberGroups", {"groupIds": [ALL_STAFF]})
    assert (answer.status_code == 200) is allowed
    if not allowed:
        assert error_of(answer) == (403, "Authorization_RequestDenied")


@pytest.mark.parametrize("address", [f"groups/{TIER_0}/owners", f"groups/{TIER_0}/{NESTED}?$count=true"])
async def test_relations_when_no_role_reads_groups_then_denied(graph: Caller, tenant: Tenant, address: str) -> None:
    """As for groups themselves."""
    tenant.roles = {"User.Read.All"}
    answer = await graph.call("GET", f"/v1.0/{address}", headers=ADVANCED)
    assert error_of(answer) == (403, "Authorization_RequestDenied")


# --- Hidden membership ------------------------------------------------------------------------------------------


async def test_hidden_membership_when_without_the_role_then_the_group_is_empty_and_in_no_list(
    graph: Caller, tenant: Tenant
) -> None:
    """No error says so; with Member.Read.Hidden it is as any other group."""
    tenant.directory.groups[NEVER_RESET].hidden = True
    for shown in (False, True):
        members = await read_all(graph, f"/v1.0/groups/{NEVER_RESET}/transitiveMembers", select="id")
        assert bool(members) is bool(await check(graph, [NEVER_RESET], f"users/{MORGAN}")) is shown
        for address in (
            f"users/{MORGAN}/transitiveMemberOf",
            f"users/{EMERGENCY}/memberOf",
            f"users/{MORGAN}/transitiveMemberOf/microsoft.graph.group",
            f"groups/{PLANT}/transitiveMemberOf/microsoft.graph.group",
        ):
            tenant.roles.add("Directory.Read.All")
            found = await read_all(graph, f"/v1.0/{address}", select="id", count="true")
            assert (NEVER_RESET in [each["id"] for each in found]) is shown, address
        assert (await graph.get(f"/v1.0/groups/{NEVER_RESET}", select="visibility")).json()["visibility"] == (
            "HiddenMembership"
        )
        tenant.roles.add("Member.Read.Hidden")


async def test_visibility_when_the_group_can_hold_roles_then_private(graph: Caller) -> None:
    """As Entra keeps them."""
    answer = await graph.get("/v1.0/groups", filter="isAssignableToRole eq true", select="id,visibility")
    assert {each["visibility"] for each in answer.json()["value"]} == {"Private"}


# --- Principals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "user", "group"),
    [
        (f"{ROLES}/roleAssignments", EMERGENCY, HELP_DESK),
        (f"{ROLES}/roleEligibilityScheduleInstances", GRAY, "20000000-0000-4000-8000-000000000009"),
        (f"{ELIGIBLE}?$filter=groupId eq '{TIER_0}'", "10000000-0000-4000-8000-000000000009", PLATFORM),
    ],
)
async def test_principal_when_expanded_then_its_type_shows(
    graph: Caller, tenant: Tenant, address: str, user: str, group: str
) -> None:
    """On every page; null for one that is deleted, and nothing else can be expanded."""
    tenant.page_size = 1
    mark = "&" if "?" in address else "?"
    items, link = [], f"{address}{mark}$expand=principal"
    while link:
        answer = (await graph.call("GET", link)).json()
        items += answer["value"]
        link = answer.get("@odata.nextLink")
    kinds = {each["principalId"]: each["principal"] and each["principal"]["@odata.type"] for each in items}
    assert (kinds[user], kinds[group]) == ("#microsoft.graph.user", "#microsoft.graph.group")
    del tenant.directory.groups[group]
    last = (await graph.call("GET", f"{address}{mark}$expand=principal")).json()
    tenant.page_size = 100
    everybody = (await graph.call("GET", f"{address}{mark}$expand=principal")).json()["value"]
    assert [each["principal"] for each in everybody if each["principalId"] == group] == [None]
    assert "principal" in last["value"][0]
    assert "principal" not in (await graph.call("GET", address)).json()["value"][0]
    assert error_of(await graph.call("GET", f"{address}{mark}$expand=group"))[0] == 400


def test_people_when_looked_at_then_these_are_there() -> None:
    """Whom the tests above name."""
    assert {JULES, MORGAN, HARPER} <= load_directory().users.keys()
