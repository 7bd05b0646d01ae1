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


async def test_pass_when_created_then_answer_has_what_was_asked_for(graph: Caller) -> None:
    """Start, lifetime and number of uses come back, with the id that the listing shows."""
    address = address_of(AVERY, "temporaryAccessPassMethods")
    body = {"isUsableOnce": True, "lifetimeInMinutes": 480, "startDateTime": "2026-11-24T09:30:00+01:00"}
    created = (await graph.post(address, body)).json()
    (listed,) = (await graph.get(address)).json()["value"]
    assert (created["isUsableOnce"], created["lifetimeInMinutes"]) == (True, 480)
    assert created["startDateTime"] == "2026-11-24T08:30:00Z"
    assert created["methodUsabilityReason"] == "NotYetValid"
    assert created["id"] == listed["id"]
    assert created["id"] in await graph.listed(AVERY)


@pytest.mark.parametrize("named", [True, False])
async def test_pass_when_types_own_address_need_not_name_the_type_then_answer_does_not(
    graph: Caller, tenant: Tenant, *, named: bool
) -> None:
    """What is posted to a type's own address comes back as it would be listed there."""
    tenant.typed_collections_name_the_type = named
    created = (await graph.post(address_of(AVERY, "temporaryAccessPassMethods"), {})).json()
    assert ("@odata.type" in created) is named
    assert created["id"]


@pytest.mark.parametrize(
    "body", [{"isUsableOnce": "yes"}, {"startDateTime": "soon"}, {"startDateTime": 1}, {"startDateTime": "2026-13-01"}]
)
async def test_pass_when_value_is_wrong_then_bad_request(
    graph: Caller, tenant: Tenant, body: dict[str, object]
) -> None:
    """What cannot be read makes no pass."""
    assert error_of(await graph.post(address_of(AVERY, "temporaryAccessPassMethods"), body)) == (400, "badRequest")
    assert not any(each.type == "temporaryAccessPass" for each in tenant.directory.users[AVERY].methods)


async def test_pass_when_policy_allows_none_then_refused_in_its_words(graph: Caller, tenant: Tenant) -> None:
    """A policy that is off refuses any lifetime; the pass that was there stays."""
    tenant.temporary_access_passes_allowed = False
    answer = await graph.post(address_of(BLAIR, "temporaryAccessPassMethods"), {"lifetimeInMinutes": 60})
    assert error_of(answer) == (400, "badRequest")
    wanted = "UserCredentialPolicy does not allow creating or updating this authentication method"
    assert wanted in answer.json()["error"]["message"]
    assert len((await graph.get(address_of(BLAIR, "temporaryAccessPassMethods"))).json()["value"]) == 1


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
