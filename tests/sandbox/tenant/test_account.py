from datetime import datetime

import pytest

from sandbox.tenant import RoleAssignment, Tenant
from sandbox.tenant.switches import GLOBAL_ADMINISTRATOR, PRIVILEGED_AUTHENTICATION_ADMINISTRATOR
from tests.sandbox.tenant.conftest import (
    AVERY,
    CASEY,
    EMERY,
    FINLEY,
    GRAY,
    HARPER,
    IDENTITY_OPERATIONS,
    INDIGO,
    JULES,
    KAI,
    QUINN,
    WREN,
    XAN,
    YAEL,
    ZION,
    Caller,
    Clock,
    error_of,
)

DISABLE = {"accountEnabled": False}
PASSWORD = {"passwordProfile": {"password": "8  chars", "forceChangePasswordNextSignIn": True}}
DENIED = (403, "Authorization_RequestDenied")


async def test_sessions_when_revoked_then_time_is_now_to_the_second(
    graph: Caller, tenant: Tenant, clock: Clock
) -> None:
    """Each revocation moves the time on; Graph keeps whole seconds."""
    address = f"/v1.0/users/{AVERY}/revokeSignInSessions"
    first = await graph.post(address)
    shown = [(await graph.get(f"/v1.0/users/{AVERY}", select="signInSessionsValidFromDateTime")).json()]
    clock.advance(60)
    tenant.revoke_answers = 204
    second = await graph.post(address)
    shown.append((await graph.get(f"/v1.0/users/{AVERY}", select="signInSessionsValidFromDateTime")).json())
    assert (first.status_code, first.json()["value"], second.status_code, second.content) == (200, True, 204, b"")
    times = [datetime.fromisoformat(each["signInSessionsValidFromDateTime"]) for each in shown]
    assert [time.isoformat() for time in times] == ["2026-11-24T01:02:03+00:00", "2026-11-24T01:03:03+00:00"]


@pytest.mark.parametrize(("user_id", "body"), [(AVERY, DISABLE), (KAI, {"accountEnabled": True}), (EMERY, DISABLE)])
async def test_account_when_disabled_or_enabled_then_shows_it(
    graph: Caller, tenant: Tenant, user_id: str, body: dict[str, bool]
) -> None:
    """Accounts, synced ones too, are disabled and enabled by one patch."""
    assert (await graph.patch(f"/v1.0/users/{user_id}", body)).status_code == 204
    user = (await graph.get(f"/v1.0/users/{user_id}", select="accountEnabled")).json()
    assert user.items() >= body.items()
    assert [call.effect for call in tenant.calls] == [True, False]


@pytest.mark.parametrize("role", ["User.EnableDisableAccount.All", "User.Read.All"])
async def test_account_when_either_role_is_missing_then_denied(graph: Caller, tenant: Tenant, role: str) -> None:
    """Disabling wants the right to read users too."""
    tenant.roles.discard(role)
    assert error_of(await graph.patch(f"/v1.0/users/{AVERY}", DISABLE)) == DENIED
    assert tenant.directory.users[AVERY].properties["accountEnabled"] is True


@pytest.mark.parametrize("user_id", [FINLEY, HARPER])
@pytest.mark.parametrize("body", [DISABLE, PASSWORD])
async def test_administrator_when_caller_has_no_higher_role_then_denied(
    graph: Caller, tenant: Tenant, user_id: str, body: dict[str, object]
) -> None:
    """An administrator, through a nested group too, is out of reach of a User Administrator."""
    refused = await graph.patch(f"/v1.0/users/{user_id}", body)
    tenant.caller_directory_roles.add(PRIVILEGED_AUTHENTICATION_ADMINISTRATOR)
    assert error_of(refused) == DENIED
    assert (await graph.patch(f"/v1.0/users/{user_id}", body)).status_code == 204


async def test_administrator_when_memberships_show_nothing_then_denied_all_the_same(
    graph: Caller, tenant: Tenant
) -> None:
    """A role of a smaller scope is no membership, and a hidden group shows nothing: both make an administrator."""
    scope = "/administrativeUnits/30000000-0000-4000-8000-000000000002"
    tenant.directory.role_assignments.append(RoleAssignment("r", CASEY, GLOBAL_ADMINISTRATOR, scope))
    tenant.directory.groups[IDENTITY_OPERATIONS].unreadable = True
    for user_id in (CASEY, XAN):
        found = (await graph.get(f"/v1.0/users/{user_id}/transitiveMemberOf", select="isAssignableToRole")).json()
        assert not any(item.get("isAssignableToRole") for item in found["value"])
        assert error_of(await graph.patch(f"/v1.0/users/{user_id}", DISABLE)) == DENIED


@pytest.mark.parametrize("user_id", [AVERY, GRAY, WREN, INDIGO, YAEL, ZION])
async def test_account_when_member_of_much_or_only_eligible_then_disabled(graph: Caller, user_id: str) -> None:
    """Units, hidden ordinary groups and whatever has not been activated make no administrator."""
    assert (await graph.patch(f"/v1.0/users/{user_id}", DISABLE)).status_code == 204


async def test_password_when_set_then_profile_is_kept(graph: Caller, tenant: Tenant) -> None:
    """The tenant keeps the profile where a test can see it; one app role is all that is wanted."""
    tenant.roles = {"User-PasswordProfile.ReadWrite.All"}
    assert (await graph.patch(f"/v1.0/users/{AVERY}", PASSWORD)).status_code == 204
    assert tenant.directory.users[AVERY].password_profile == PASSWORD["passwordProfile"]


async def test_password_when_caller_has_no_directory_role_then_denied(graph: Caller, tenant: Tenant) -> None:
    """The app role alone does not do; User Administrator or above is wanted."""
    tenant.caller_directory_roles.clear()
    assert error_of(await graph.patch(f"/v1.0/users/{AVERY}", PASSWORD)) == DENIED
    tenant.caller_directory_roles.add(GLOBAL_ADMINISTRATOR)
    tenant.roles.discard("User-PasswordProfile.ReadWrite.All")
    assert error_of(await graph.patch(f"/v1.0/users/{AVERY}", PASSWORD)) == DENIED
    assert tenant.directory.users[AVERY].password_profile is None


@pytest.mark.parametrize("user_id", [EMERY, QUINN])
async def test_password_when_mastered_elsewhere_then_bad_request(graph: Caller, user_id: str) -> None:
    """Synced and federated users have their password somewhere else."""
    assert error_of(await graph.patch(f"/v1.0/users/{user_id}", PASSWORD)) == (400, "Request_BadRequest")


@pytest.mark.parametrize(
    "body",
    [{"passwordProfile": {"password": "7 chars"}}, {"passwordProfile": "text"}, {"accountEnabled": "no"}, {}],
)
async def test_account_when_body_is_wrong_then_bad_request(graph: Caller, body: dict[str, object]) -> None:
    """Values of the wrong kind, and nothing at all, are refused."""
    assert error_of(await graph.patch(f"/v1.0/users/{AVERY}", body)) == (400, "Request_BadRequest")


async def test_account_when_one_half_is_refused_then_nothing_changes(graph: Caller, tenant: Tenant) -> None:
    """A patch of both is carried out whole or not at all."""
    answer = await graph.patch(f"/v1.0/users/{AVERY}", DISABLE | {"passwordProfile": {"password": "short"}})
    assert answer.status_code == 400
    assert tenant.directory.users[AVERY].properties["accountEnabled"] is True


async def test_user_when_other_property_is_patched_then_denied(graph: Caller) -> None:
    """The product's rights reach no other property."""
    assert error_of(await graph.patch(f"/v1.0/users/{AVERY}", {"displayName": "X"})) == DENIED


async def test_restricted_user_when_written_then_denied(graph: Caller) -> None:
    """A member of a restricted unit is neither disabled nor signed out."""
    disabled = await graph.patch(f"/v1.0/users/{JULES}", DISABLE)
    revoked = await graph.post(f"/v1.0/users/{JULES}/revokeSignInSessions")
    assert error_of(disabled) == error_of(revoked) == DENIED
    assert "restricted management administrative unit" in revoked.json()["error"]["message"]


async def test_risk_when_confirmed_twice_in_a_second_then_throttled_without_retry_after(
    graph: Caller, tenant: Tenant, clock: Clock
) -> None:
    """One call a second for the whole tenant, and no word on when to try again."""
    address, body = "/v1.0/identityProtection/riskyUsers/confirmCompromised", {"userIds": [AVERY]}
    first = await graph.post(address, body)
    clock.advance(0.9)
    second = await graph.post(address, body)
    clock.advance(0.1)
    third = await graph.post(address, body)
    assert [first.status_code, second.status_code, third.status_code] == [204, 429, 204]
    assert [call.effect for call in tenant.calls] == [True, False, True]
    assert "Retry-After" not in second.headers
    assert tenant.directory.users[AVERY].confirmed_compromised


async def test_risk_when_it_cannot_be_confirmed_then_says_why(graph: Caller, tenant: Tenant, clock: Clock) -> None:
    """Unknown users, an empty list, no licence and no role are told apart."""
    address = "/v1.0/identityProtection/riskyUsers/confirmCompromised"
    unknown = await graph.post(address, {"userIds": [AVERY, "nobody"]})
    clock.advance(1)
    empty = await graph.post(address, {"userIds": []})
    tenant.premium = False
    unlicensed = await graph.post(address, {"userIds": [AVERY]})
    tenant.roles.clear()
    denied = await graph.post(address, {"userIds": [AVERY]})
    assert error_of(unknown) == (404, "Request_ResourceNotFound")
    assert error_of(empty) == (400, "BadRequest")
    assert error_of(unlicensed) == error_of(denied) == (403, "Forbidden")
    assert unlicensed.json()["error"]["message"] == "Your tenant is not licensed for this feature."
    assert "required scopes are missing in the token" in denied.json()["error"]["message"]
    assert not tenant.directory.users[AVERY].confirmed_compromised
