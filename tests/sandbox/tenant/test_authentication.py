import pytest

from sandbox.tenant import Tenant
from tests.sandbox.tenant.conftest import AVERY, BLAIR, JULES, Caller, Clock, error_of
from tests.sandbox.tenant.test_methods import address_of


async def test_pass_when_created_then_code_is_shown_once_and_replaces_the_old(graph: Caller, tenant: Tenant) -> None:
    """The code is in the 201 only; the earlier pass is gone."""
    address = address_of(BLAIR, "temporaryAccessPassMethods")
    (old,) = (await graph.get(address)).json()["value"]
    created = await graph.post(address, {"isUsableOnce": True, "lifetimeInMinutes": 60})
    (listed,) = (await graph.get(address)).json()["value"]
    assert created.status_code == 201
    assert created.json()["temporaryAccessPass"]
    assert listed == created.json() | {"temporaryAccessPass": None}
    assert (listed["isUsable"], listed["isUsableOnce"], listed["lifetimeInMinutes"]) == (True, True, 60)
    assert listed["id"] != old["id"]
    assert sum(each.type == "temporaryAccessPass" for each in tenant.directory.users[BLAIR].methods) == 1


async def test_pass_when_its_time_is_over_then_not_usable(graph: Caller, clock: Clock) -> None:
    """A pass is usable for its lifetime, neither after nor before."""
    address = address_of(AVERY, "temporaryAccessPassMethods")
    assert (await graph.post(address, {"lifetimeInMinutes": 60})).status_code == 201
    clock.advance(3600)
    (listed,) = (await graph.get(address)).json()["value"]
    clock.advance(-3601)
    (early,) = (await graph.get(address)).json()["value"]
    assert (listed["isUsable"], listed["methodUsabilityReason"]) == (False, "Expired")
    assert (early["isUsable"], early["methodUsabilityReason"]) == (False, "NotYetValid")


async def test_pass_when_nothing_is_said_then_an_hour_and_more_than_once(graph: Caller) -> None:
    """An empty body makes a pass of an hour."""
    created = (await graph.post(address_of(AVERY, "temporaryAccessPassMethods"), {})).json()
    assert (created["lifetimeInMinutes"], created["isUsableOnce"]) == (60, False)


@pytest.mark.parametrize("minutes", [59, 481, "60", None])
async def test_pass_when_outside_the_policy_then_refused_in_its_words(graph: Caller, minutes: object) -> None:
    """The tenant's policy sets the shortest and the longest lifetime."""
    answer = await graph.post(address_of(AVERY, "temporaryAccessPassMethods"), {"lifetimeInMinutes": minutes})
    assert error_of(answer) == (400, "badRequest")
    wanted = "UserCredentialPolicy does not allow creating or updating this authentication method"
    assert wanted in answer.json()["error"]["message"]


async def test_pass_when_only_the_narrow_role_is_held_then_created(graph: Caller, tenant: Tenant) -> None:
    """The granular role for passes does."""
    tenant.roles = {"UserAuthMethod-Phone.ReadWrite.All"}
    denied = await graph.post(address_of(AVERY, "temporaryAccessPassMethods"), {})
    tenant.roles = {"UserAuthMethod-TAP.ReadWrite.All"}
    created = await graph.post(address_of(AVERY, "temporaryAccessPassMethods"), {})
    assert error_of(denied) == (403, "accessDenied")
    assert created.status_code == 201


async def test_per_user_mfa_when_changed_then_shows_it(graph: Caller, tenant: Tenant) -> None:
    """The state is beta's, and wants the policy's roles."""
    address = address_of(AVERY, "requirements", "beta")
    before = (await graph.get(address)).json()["perUserMfaState"]
    changed = await graph.patch(address, {"perUserMfaState": "enforced"})
    after = (await graph.get(address)).json()["perUserMfaState"]
    wrong = await graph.patch(address, {"perUserMfaState": "on"})
    tenant.roles.discard("Policy.ReadWrite.AuthenticationMethod")
    denied = await graph.patch(address, {"perUserMfaState": "disabled"})
    assert (before, changed.status_code, after) == ("enabled", 204, "enforced")
    assert error_of(wrong) == (400, "badRequest")
    assert error_of(denied) == (403, "accessDenied")
    assert error_of(await graph.get(address_of(AVERY, "requirements"))) == (400, "BadRequest")


WRITES = [
    ("POST", "temporaryAccessPassMethods", {"lifetimeInMinutes": 60}),
    ("PATCH", "requirements", {"perUserMfaState": "enforced"}),
    ("PATCH", "signInPreferences", {"userPreferredMethodForSecondaryAuthentication": "sms"}),
]


@pytest.mark.parametrize(("method", "segment", "body"), WRITES)
async def test_write_when_carried_out_or_refused_then_effect_says_which(
    graph: Caller, tenant: Tenant, method: str, segment: str, body: dict[str, object]
) -> None:
    """A write has an effect, except on a member of a restricted management administrative unit."""
    done = await graph.call(method, address_of(AVERY, segment, "beta"), json=body)
    refused = await graph.call(method, address_of(JULES, segment, "beta"), json=body)
    assert done.is_success
    assert error_of(refused) == (403, "accessDenied")
    assert [call.effect for call in tenant.calls] == [True, False]
