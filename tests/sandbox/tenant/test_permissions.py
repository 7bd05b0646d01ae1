import pytest

from sandbox.tenant import APP_ROLES, Tenant
from sandbox.tenant.method_types import METHOD_TYPES, MethodType
from tests.sandbox.tenant.conftest import ADVANCED, ALL_STAFF, AVERY, BLAIR, MOBILE, Caller, error_of
from tests.sandbox.tenant.test_methods import address_of

BROAD = {"UserAuthenticationMethod.Read.All", "UserAuthenticationMethod.ReadWrite.All"}
NARROW = [kind for kind in METHOD_TYPES if kind.role]


@pytest.mark.parametrize(
    ("address", "roles", "code"),
    [
        (f"/v1.0/users/{AVERY}", {"User.Read.All"}, "Authorization_RequestDenied"),
        ("/v1.0/users", {"User.Read.All"}, "Authorization_RequestDenied"),
        (
            f"/v1.0/users/{AVERY}/transitiveMemberOf",
            {"GroupMember.Read.All", "GroupMember.ReadWrite.All"},
            "Authorization_RequestDenied",
        ),
        (
            f"/v1.0/groups/{ALL_STAFF}",
            {"GroupMember.Read.All", "GroupMember.ReadWrite.All"},
            "Authorization_RequestDenied",
        ),
        (
            "/v1.0/roleManagement/directory/roleAssignments",
            {"RoleManagement.Read.Directory"},
            "Authorization_RequestDenied",
        ),
        (f"/v1.0/users/{AVERY}/authentication/methods", BROAD, "accessDenied"),
        (f"/beta/users/{AVERY}/authentication/signInPreferences", BROAD, "accessDenied"),
        (
            f"/beta/users/{AVERY}/authentication/requirements",
            {"Policy.Read.All", "Policy.ReadWrite.AuthenticationMethod"},
            "accessDenied",
        ),
    ],
)
async def test_read_when_role_is_missing_then_denied_in_the_services_words(
    graph: Caller, tenant: Tenant, address: str, roles: set[str], code: str
) -> None:
    """Every other role together does not open an address; any one of its own does."""
    tenant.roles = set(APP_ROLES) - roles
    assert error_of(await graph.get(address)) == (403, code)
    for role in roles:
        tenant.roles = {role}
        assert (await graph.get(address, ADVANCED)).status_code == 200


@pytest.mark.parametrize("kind", NARROW, ids=lambda kind: kind.name)
async def test_type_when_only_its_own_role_is_held_then_it_alone_is_open(
    graph: Caller, tenant: Tenant, kind: MethodType
) -> None:
    """A granular role reads and deletes its type, not the list of all, nor another type."""
    tenant.roles = {kind.role or ""}
    opened = {
        each.name for each in NARROW if (await graph.get(address_of(BLAIR, each.segment, "beta"))).status_code == 200
    }
    everything = await graph.get(address_of(BLAIR, "methods"))
    assert opened == {kind.name}
    assert error_of(everything) == (403, "accessDenied")


@pytest.mark.parametrize("kind", NARROW, ids=lambda kind: kind.name)
async def test_type_when_only_broad_read_is_held_then_delete_is_denied(
    graph: Caller, tenant: Tenant, kind: MethodType
) -> None:
    """Reading everything is not deleting anything."""
    tenant.roles = {"UserAuthenticationMethod.Read.All"}
    address = address_of(BLAIR, kind.segment, "beta")
    assert (await graph.get(address)).status_code == 200
    deleted = await graph.delete(address if kind.name == "qrCodePin" else f"{address}/x")
    assert error_of(deleted) == (403, "accessDenied")


async def test_write_when_role_is_missing_then_denied_before_the_user_is_looked_for(
    graph: Caller, tenant: Tenant
) -> None:
    """Who may not write does not learn who exists."""
    tenant.roles = set(APP_ROLES) - {"User.RevokeSessions.All", "GroupMember.ReadWrite.All"}
    revoked = await graph.post("/v1.0/users/nobody/revokeSignInSessions")
    added = await graph.post("/v1.0/groups/nothing/members/$ref", {})
    assert error_of(revoked) == error_of(added) == (403, "Authorization_RequestDenied")


async def test_token_when_roles_change_then_keeps_those_it_was_issued_with(graph: Caller, tenant: Tenant) -> None:
    """A fresh grant, or a withdrawal, waits for the next token."""
    address = address_of(BLAIR, f"phoneMethods/{MOBILE}")
    old = {"Authorization": f"Bearer {await graph.token()}"}
    tenant.roles.clear()
    assert (await graph.http.get(address, headers=old)).status_code == 200
    assert error_of(await graph.get(address)) == (403, "accessDenied")
