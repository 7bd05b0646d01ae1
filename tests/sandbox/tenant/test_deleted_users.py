from datetime import timedelta

import pytest

from sandbox.tenant import APP_ROLES, GroupEligibility, RoleAssignment, Tenant
from tests.sandbox.tenant.conftest import (
    ADVANCED,
    ALL_STAFF,
    AVERY,
    DARCY,
    TIER_0,
    WORKS_COUNCIL,
    Caller,
    Clock,
    error_of,
)
from tests.sandbox.tenant.test_groups import read_all

CAST = "microsoft.graph.user"
NOT_FOUND = (404, "Request_ResourceNotFound")


def deleted_item(user_id: str, version: str = "v1.0") -> str:
    """Return the address of a deleted object."""
    return f"/{version}/directory/deletedItems/{user_id}"


async def test_deleted_user_when_read_then_selected_properties(graph: Caller) -> None:
    """The cast gives a user; the object id stands before the name."""
    user = (await graph.get(f"{deleted_item(DARCY)}/{CAST}", select="id,userPrincipalName,displayName")).json()
    assert user.pop("@odata.context").endswith("/v1.0/$metadata#users/$entity")
    assert user == {
        "id": DARCY,
        "userPrincipalName": f"{DARCY.replace('-', '')}darcy.lowell@contoso.example",
        "displayName": "Darcy Lowell",
    }


async def test_deleted_user_when_id_is_in_capitals_then_found(graph: Caller, tenant: Tenant) -> None:
    """An id is one in any case."""
    user_id = "abcdef00-0000-4000-8000-00000000beef"
    tenant.directory.add_user({"id": user_id, "userPrincipalName": "beef@contoso.example", "displayName": "Beef"})
    tenant.directory.delete_user(user_id)
    assert (await graph.get(deleted_item(user_id.upper()))).json()["id"] == user_id


async def test_deleted_user_when_read_without_cast_then_says_it_is_a_user(graph: Caller) -> None:
    """The same object, with its type, in either version."""
    for version in ("v1.0", "beta"):
        shown = (await graph.get(deleted_item(DARCY, version), select="id,deletedDateTime")).json()
        assert shown.pop("@odata.context").endswith(f"/{version}/$metadata#directoryObjects/$entity")
        assert shown == {
            "@odata.type": "#microsoft.graph.user",
            "id": DARCY,
            "deletedDateTime": "2026-11-24T01:02:03Z",
        }


@pytest.mark.parametrize("end", ["", f"/{CAST}"])
async def test_deleted_user_when_not_deleted_or_unknown_then_not_found(graph: Caller, end: str) -> None:
    """Whoever is there is not among the deleted, nor is whoever never was."""
    assert error_of(await graph.get(f"{deleted_item(AVERY)}{end}")) == NOT_FOUND
    assert error_of(await graph.get(f"{deleted_item('nobody')}{end}")) == NOT_FOUND


@pytest.mark.parametrize("end", ["", f"/{CAST}"])
async def test_deleted_user_when_role_is_missing_or_option_unknown_then_refused(
    graph: Caller, tenant: Tenant, end: str
) -> None:
    """Reading a deleted user wants the right to read users."""
    option = await graph.get(f"{deleted_item(DARCY)}{end}", filter="id eq 'x'")
    name = await graph.get(f"{deleted_item(DARCY)}{end}", select="shoeSize")
    tenant.roles = set(APP_ROLES) - {"User.Read.All"}
    denied = await graph.get(f"{deleted_item(DARCY)}{end}")
    tenant.roles = {"User.Read.All"}
    assert (await graph.get(f"{deleted_item(DARCY)}{end}")).status_code == 200
    assert error_of(option) == error_of(name) == (400, "BadRequest")
    assert error_of(denied) == (403, "Authorization_RequestDenied")


async def test_deleted_user_when_asked_for_as_a_user_then_not_found(graph: Caller) -> None:
    """Neither by id nor by name, nor by a filter, nor in what belongs to a user."""
    answers = [
        await graph.get(f"/v1.0/users/{DARCY}"),
        await graph.get("/v1.0/users/darcy.lowell@contoso.example"),
        await graph.get(f"/v1.0/users/{DARCY}/authentication/methods"),
        await graph.get(f"/v1.0/users/{DARCY}/transitiveMemberOf"),
        await graph.post(f"/v1.0/users/{DARCY}/revokeSignInSessions"),
        await graph.patch(f"/v1.0/users/{DARCY}", {"accountEnabled": False}),
    ]
    found = await graph.get("/v1.0/users", filter=f"id eq '{DARCY}'")
    assert [error_of(each) for each in answers] == [NOT_FOUND] * 6
    assert found.json()["value"] == []


async def test_user_when_deleted_while_serving_then_moves_over(graph: Caller, tenant: Tenant, clock: Clock) -> None:
    """What the user was in and held is gone with the user; the name is free again."""
    directory = tenant.directory
    directory.role_assignments.append(RoleAssignment("a", AVERY, "role"))
    directory.role_eligibilities.append(RoleAssignment("e", AVERY, "role"))
    directory.group_eligibilities.append(GroupEligibility("g", AVERY, TIER_0))
    deleted = directory.delete_user(AVERY, clock.now())
    members = [item["id"] for item in await read_all(graph, f"/v1.0/groups/{ALL_STAFF}/transitiveMembers", select="id")]
    shown = (await graph.get(f"{deleted_item(AVERY)}/{CAST}", select="id,deletedDateTime")).json()
    assert directory.deleted_users[AVERY] is deleted
    assert error_of(await graph.get(f"/v1.0/users/{AVERY}")) == NOT_FOUND
    assert (shown["id"], shown["deletedDateTime"]) == (AVERY, "2026-11-24T01:02:03Z")
    assert AVERY not in members
    assert (await graph.get(f"/v1.0/groups/{WORKS_COUNCIL}/transitiveMembers")).json()["value"] == []
    assert not any(AVERY in unit.members for unit in directory.administrative_units.values())
    roles = directory.role_assignments + directory.role_eligibilities
    assert AVERY not in {each.principal_id for each in roles}
    assert AVERY not in {each.principal_id for each in directory.group_eligibilities}
    assert directory.find_user("avery.quinn@contoso.example") is None


def test_user_when_deleted_twice_then_key_error(tenant: Tenant) -> None:
    """A second call has nobody to delete."""
    tenant.directory.delete_user(AVERY)
    with pytest.raises(KeyError):
        tenant.directory.delete_user(AVERY)


async def test_deleted_user_when_thirty_days_are_over_then_gone(graph: Caller, tenant: Tenant, clock: Clock) -> None:
    """The time is the tenant's; whoever has no date is dated when first asked for."""
    tenant.directory.delete_user(AVERY, clock.now() - timedelta(days=30) + timedelta(seconds=1))
    before = [await graph.get(deleted_item(each)) for each in (AVERY, DARCY)]
    clock.advance(1)
    over = await graph.get(deleted_item(AVERY))
    clock.advance(30 * 86_400 - 2)
    last = await graph.get(deleted_item(DARCY))
    clock.advance(1)
    assert [each.status_code for each in (*before, last)] == [200] * 3
    assert error_of(over) == error_of(await graph.get(deleted_item(DARCY))) == NOT_FOUND


async def test_user_when_there_then_has_no_date_of_deletion(graph: Caller) -> None:
    """The property is there and null."""
    user = (await graph.get(f"/v1.0/users/{AVERY}", ADVANCED, select="deletedDateTime")).json()
    assert user["deletedDateTime"] is None


async def test_user_when_restored_then_as_before_but_in_nothing(graph: Caller, tenant: Tenant, clock: Clock) -> None:
    """With the name and the methods that they had."""
    directory = tenant.directory
    before = dict(directory.users[AVERY].properties), [method.id for method in directory.users[AVERY].methods]
    directory.delete_user(AVERY, clock.now())
    restored = directory.restore_user(AVERY)
    assert (restored.properties, [method.id for method in restored.methods]) == before
    assert (await graph.get(f"/v1.0/users/{AVERY}")).status_code == 200
    assert error_of(await graph.get(f"{deleted_item(AVERY)}/{CAST}", select="id")) == NOT_FOUND
