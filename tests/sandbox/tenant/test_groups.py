from typing import Any

from sandbox.tenant import Group, Tenant
from tests.sandbox.tenant.conftest import (
    ADVANCED,
    ALL_STAFF,
    AVERY,
    CONTAINED,
    HARPER,
    HELP_DESK,
    MORGAN,
    NEVER_RESET,
    NIGHT_SHIFT,
    PLANT,
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
    assert answer.json()["value"] == [{"id": HELP_DESK}, {"id": TIER_0}]


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
    unknown = await graph.post("/v1.0/groups/g/members/$ref", {"@odata.id": "https://graph/directoryObjects/nobody"})
    missing = await graph.post("/v1.0/groups/g/members/$ref", {})
    assert error_of(unknown) == (404, "Request_ResourceNotFound")
    assert error_of(missing) == (400, "Request_BadRequest")
