from typing import Any

import pytest

from sandbox.tenant import Group, Tenant
from tests.sandbox.tenant.conftest import (
    ADVANCED,
    ALL_STAFF,
    AVERY,
    BRANCHES,
    CAMDEN,
    CONTAINED,
    DARCY,
    HARPER,
    HELP_DESK,
    IDENTITY_OPERATIONS,
    MORGAN,
    NEVER_RESET,
    NIGHT_SHIFT,
    PLANT,
    SEATTLE,
    TIER_0,
    WORKS_COUNCIL,
    Caller,
    error_of,
)

CAST = "transitiveMemberOf/microsoft.graph.group"
HELPDESK_ADMINISTRATOR = "729827e3-9c14-49f7-bb1b-9608f156bbb8"


async def read_all(graph: Caller, address: str, **query: str) -> list[dict[str, Any]]:
    """Return every item of a collection, page by page."""
    answer = await graph.get(address, ADVANCED, **query)
    items = list(answer.json()["value"])
    for _ in range(100):
        link = answer.json().get("@odata.nextLink")
        if link is None:
            return items
        answer = await graph.call("GET", link, headers=ADVANCED)
        items += answer.json()["value"]
    raise AssertionError("the pages have no end")


async def test_memberships_when_groups_are_nested_then_all_are_listed(graph: Caller) -> None:
    """A member of a group in a group is a transitive member of both."""
    found = await read_all(graph, f"/v1.0/users/{MORGAN}/transitiveMemberOf", select="id")
    assert {item["id"] for item in found} == {PLANT, NEVER_RESET, ALL_STAFF}


async def test_memberships_when_groups_form_a_circle_then_they_end(graph: Caller, tenant: Tenant) -> None:
    """Two groups in each other are each listed once."""
    tenant.directory.groups[PLANT].members.append(NEVER_RESET)
    found = await read_all(graph, f"/v1.0/users/{MORGAN}/transitiveMemberOf", select="id")
    assert sorted(item["id"] for item in found) == sorted([PLANT, NEVER_RESET, ALL_STAFF])


async def test_memberships_when_role_comes_through_nested_group_then_role_is_listed(graph: Caller) -> None:
    """Groups, units and roles come together, each with its type."""
    found = await read_all(
        graph, f"/v1.0/users/{HARPER}/transitiveMemberOf", select="id,displayName,isAssignableToRole,roleTemplateId"
    )
    roles = [item for item in found if item["@odata.type"] == "#microsoft.graph.directoryRole"]
    groups = {item["id"]: item for item in found if item["@odata.type"] == "#microsoft.graph.group"}
    assert [role["roleTemplateId"] for role in roles] == [HELPDESK_ADMINISTRATOR]
    assert groups[HELP_DESK]["isAssignableToRole"] is True
    assert groups[NIGHT_SHIFT]["isAssignableToRole"] is None
    assert "roleTemplateId" not in groups[HELP_DESK]


async def test_memberships_when_not_readable_then_only_type_and_id(graph: Caller, tenant: Tenant) -> None:
    """A hidden group, and a unit that the app may not read, show their ids and null for the rest."""
    address = f"/v1.0/users/{AVERY}/transitiveMemberOf"
    names = "id,displayName,isAssignableToRole"
    found = {item["id"]: item for item in await read_all(graph, address, select=names)}
    units = [item for item in found.values() if item["@odata.type"].endswith("administrativeUnit")]
    assert found[WORKS_COUNCIL] == {
        "@odata.type": "#microsoft.graph.group",
        "id": WORKS_COUNCIL,
        "displayName": None,
        "isAssignableToRole": None,
    }
    assert [unit["displayName"] for unit in units] == [None]
    tenant.roles.add("AdministrativeUnit.Read.All")
    readable = await read_all(graph, address, select=names)
    assert "Seattle" in [item["displayName"] for item in readable]


async def test_group_memberships_when_cast_then_only_groups_on_every_page(graph: Caller, tenant: Tenant) -> None:
    """The cast leaves units and roles out, and pages keep the query."""
    tenant.page_size = 1
    found = await read_all(graph, f"/v1.0/users/{HARPER}/{CAST}", select="id", count="true")
    assert {item["id"] for item in found} == {NIGHT_SHIFT, HELP_DESK, ALL_STAFF}
    assert all(item.keys() == {"id"} for item in found)


async def test_group_memberships_when_next_page_lacks_the_header_then_refused(graph: Caller, tenant: Tenant) -> None:
    """The cast is an advanced query on its second page too, unless the tenant is told otherwise."""
    tenant.page_size = 1
    address = f"/v1.0/users/{HARPER}/{CAST}"
    first = await graph.get(address, ADVANCED, select="id", count="true")
    second = await graph.call("GET", first.json()["@odata.nextLink"])
    without_count = await graph.get(address, ADVANCED, select="id")
    assert error_of(second) == error_of(without_count) == (400, "Request_UnsupportedQuery")
    tenant.advanced_casts = False
    assert (await graph.get(address, select="id")).status_code == 200


async def test_groups_of_group_when_cast_then_transitive_and_advanced(graph: Caller, tenant: Tenant) -> None:
    """What a group is in is asked for as what a user is in, on every page."""
    tenant.page_size = 1
    tenant.directory.groups[HELP_DESK].members.append(CONTAINED)
    tenant.directory.groups[CONTAINED].members.append(NIGHT_SHIFT)
    address = f"/v1.0/groups/{NIGHT_SHIFT}/{CAST}"
    found = await read_all(graph, address, select="id,isAssignableToRole", count="true")
    first = await graph.get(address, ADVANCED, select="id", count="true")
    second = await graph.call("GET", first.json()["@odata.nextLink"])
    plain = await graph.get(address, select="id")
    assert found == [{"id": HELP_DESK, "isAssignableToRole": True}, {"id": CONTAINED, "isAssignableToRole": None}]
    assert first.json()["@odata.count"] == 2
    assert error_of(second) == error_of(plain) == (400, "Request_UnsupportedQuery")
    tenant.advanced_casts = False
    assert (await graph.get(address, select="id")).status_code == 200


async def test_groups_of_group_when_unknown_or_not_permitted_then_says_which(graph: Caller, tenant: Tenant) -> None:
    """A user's id is no group's, and members of groups want their own role."""
    unknown = await graph.get(f"/v1.0/groups/{MORGAN}/{CAST}", ADVANCED, count="true")
    tenant.roles = {"GroupMember.Read.All"}
    allowed = await graph.get(f"/v1.0/groups/{PLANT}/{CAST}", ADVANCED, count="true", select="id")
    tenant.roles = {"User.Read.All"}
    denied = await graph.get(f"/v1.0/groups/{PLANT}/{CAST}", ADVANCED, count="true")
    assert allowed.json()["value"] == [{"id": NEVER_RESET}]
    assert error_of(unknown) == (404, "Request_ResourceNotFound")
    assert error_of(denied) == (403, "Authorization_RequestDenied")


async def test_direct_memberships_when_read_then_directory_read_is_needed(graph: Caller, tenant: Tenant) -> None:
    """The direct list wants Directory.Read.All, and has no nesting."""
    address = f"/v1.0/users/{HARPER}/memberOf"
    refused = await graph.get(address)
    tenant.roles.add("Directory.Read.All")
    found = (await graph.get(address, select="id")).json()["value"]
    assert error_of(refused) == (403, "Authorization_RequestDenied")
    assert {item["id"] for item in found} == {NIGHT_SHIFT, ALL_STAFF}


async def test_groups_when_filtered_by_assignable_then_those_only(graph: Caller) -> None:
    """The role-assignable groups can be asked for."""
    answer = await graph.get("/v1.0/groups", filter="isAssignableToRole eq true", select="id")
    assert answer.json()["value"] == [{"id": HELP_DESK}, {"id": TIER_0}, {"id": IDENTITY_OPERATIONS}]


async def test_group_when_read_then_ordinary_one_is_null_for_assignable(graph: Caller) -> None:
    """Null, not false, is what Graph shows for an ordinary group."""
    ordinary = (await graph.get(f"/v1.0/groups/{PLANT}", select="id,isAssignableToRole,securityEnabled")).json()
    assert ordinary["isAssignableToRole"] is None
    assert ordinary["securityEnabled"] is True
    assert error_of(await graph.get("/v1.0/groups/none")) == (404, "Request_ResourceNotFound")


async def test_group_members_when_read_then_nested_ones_too(graph: Caller) -> None:
    """Users and groups in a group come with their types."""
    found = (await graph.get(f"/v1.0/groups/{HELP_DESK}/transitiveMembers", select="id")).json()["value"]
    assert found == [
        {"@odata.type": "#microsoft.graph.group", "id": NIGHT_SHIFT},
        {"@odata.type": "#microsoft.graph.user", "id": HARPER},
    ]


async def test_group_members_when_groups_form_a_circle_then_each_is_listed_once(graph: Caller, tenant: Tenant) -> None:
    """A circle of groups ends, and holds its first group too."""
    tenant.directory.groups[NIGHT_SHIFT].members.append(HELP_DESK)
    found = (await graph.get(f"/v1.0/groups/{HELP_DESK}/transitiveMembers", select="id")).json()["value"]
    assert [item["id"] for item in found] == [NIGHT_SHIFT, HARPER, HELP_DESK]


async def test_group_memberships_when_option_is_not_known_then_bad_request(graph: Caller) -> None:
    """The cast takes no filter here."""
    answer = await graph.get(f"/v1.0/users/{HARPER}/{CAST}", ADVANCED, count="true", filter="id eq 'x'")
    assert error_of(answer) == (400, "BadRequest")


async def test_member_when_added_twice_then_second_is_refused(graph: Caller, tenant: Tenant) -> None:
    """The second call says that the reference exists, and changes nothing."""
    address = f"/v1.0/groups/{CONTAINED}/members/$ref"
    body = {"@odata.id": f"{tenant.url}/v1.0/directoryObjects/{AVERY}"}
    first, second = await graph.post(address, body), await graph.post(address, body)
    assert first.status_code == 204
    assert error_of(second) == (400, "Request_BadRequest")
    assert second.json()["error"]["message"].startswith("One or more added object references already exist")
    assert tenant.directory.groups[CONTAINED].members == [AVERY]
    assert [call.effect for call in tenant.calls] == [True, False]


async def test_member_when_group_is_assignable_then_refused(graph: Caller, tenant: Tenant) -> None:
    """A role-assignable group wants a role that the product never has."""
    body = {"@odata.id": f"{tenant.url}/v1.0/directoryObjects/{AVERY}"}
    answer = await graph.post(f"/v1.0/groups/{TIER_0}/members/$ref", body)
    assert error_of(answer) == (403, "Authorization_RequestDenied")


async def test_member_when_unknown_then_not_found(graph: Caller, tenant: Tenant) -> None:
    """Neither an unknown group nor an unknown member is made up."""
    tenant.directory.groups["g"] = Group("g", "New")
    references = [f"{tenant.url}/v1.0/{end}" for end in ("directoryObjects/nobody", f"users/{PLANT}", f"users/{DARCY}")]
    for reference in references:
        answer = await graph.post("/v1.0/groups/g/members/$ref", {"@odata.id": reference})
        assert error_of(answer) == (404, "Request_ResourceNotFound")
    assert tenant.directory.groups["g"].members == []


@pytest.mark.parametrize("kind", ["directoryObjects", "users"])
async def test_member_when_named_by_either_address_then_added(graph: Caller, tenant: Tenant, kind: str) -> None:
    """A user is a directory object, and a user; the id may come in capitals."""
    user_id = "abcdef00-0000-4000-8000-00000000beef"
    tenant.directory.add_user({"id": user_id, "userPrincipalName": "beef@contoso.example", "displayName": "Beef"})
    body = {"@odata.id": f"{tenant.url}/v1.0/{kind}/{user_id.upper()}"}
    assert (await graph.post(f"/v1.0/groups/{CONTAINED}/members/$ref", body)).status_code == 204
    assert tenant.directory.groups[CONTAINED].members == [user_id]


@pytest.mark.parametrize(
    "reference",
    [
        None,
        7,
        "",
        AVERY,
        f"/v1.0/users/{AVERY}",
        f"https://graph.example/v1.0/users/{AVERY}",
        f"TENANT.example/v1.0/users/{AVERY}",
        f"TENANT/v1.0/users/{AVERY}/",
        f"TENANT/v1.0/users/{AVERY}?x=1",
        f"TENANT/v1.0/groups/{PLANT}",
        f"TENANT/v2.0/users/{AVERY}",
        "TENANT/v1.0/users/avery.quinn@contoso.example",
    ],
)
async def test_member_when_reference_is_of_another_host_or_shape_then_bad_request(
    graph: Caller, tenant: Tenant, reference: object
) -> None:
    """Only this tenant's own addresses lead to a member."""
    sent = reference.replace("TENANT", tenant.url) if isinstance(reference, str) else reference
    answer = await graph.post(f"/v1.0/groups/{CONTAINED}/members/$ref", {"@odata.id": sent})
    assert error_of(answer) == (400, "Request_BadRequest")
    assert tenant.directory.groups[CONTAINED].members == []


@pytest.mark.parametrize(("group_id", "member"), [(SEATTLE, CAMDEN), (BRANCHES, AVERY)])
async def test_member_when_group_is_dynamic_or_synced_then_bad_request(
    graph: Caller, tenant: Tenant, group_id: str, member: str
) -> None:
    """A rule or Active Directory says who is in; whether the member is there already does not matter."""
    before = list(tenant.directory.groups[group_id].members)
    body = {"@odata.id": f"{tenant.url}/v1.0/directoryObjects/{member}"}
    answer = await graph.post(f"/v1.0/groups/{group_id}/members/$ref", body)
    assert error_of(answer) == (400, "Request_BadRequest")
    assert "already exist" not in answer.json()["error"]["message"]
    assert tenant.directory.groups[group_id].members == before


async def test_group_when_dynamic_or_synced_then_shows_it(graph: Caller) -> None:
    """The type, the rule and the synchronisation can be selected."""
    names = "groupTypes,membershipRule,onPremisesSyncEnabled"
    shown = [(await graph.get(f"/v1.0/groups/{each}", select=names)).json() for each in (SEATTLE, BRANCHES)]
    assert [each["groupTypes"] for each in shown] == [["DynamicMembership"], []]
    assert [each["membershipRule"] for each in shown] == ['(user.city -eq "Seattle")', None]
    assert [each["onPremisesSyncEnabled"] for each in shown] == [None, True]
