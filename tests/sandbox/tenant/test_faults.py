import asyncio
from typing import Literal

import httpx
import pytest

from sandbox.tenant import Fault, Tenant, method
from tests.sandbox.tenant.conftest import AVERY, BLAIR, Caller, Clock, error_of
from tests.sandbox.tenant.test_methods import address_of

USER = f"/v1.0/users/{AVERY}"
HANGS_AFTER_SECONDS = 30
PHONE = address_of(BLAIR, "phoneMethods/b6332ec1-7057-4abe-9331-3d72feddfe41")


async def statuses(graph: Caller, count: int, address: str = USER) -> list[int]:
    """Return the statuses of a number of reads."""
    return [(await graph.get(address)).status_code for _ in range(count)]


async def test_fault_when_it_skips_and_counts_then_hits_the_nth_calls(graph: Caller, tenant: Tenant) -> None:
    """The first calls pass, the next are hit, the rest pass."""
    tenant.add_fault(Fault(skip=1, times=2, status=503))
    assert await statuses(graph, 5) == [200, 503, 503, 200, 200]


async def test_fault_when_it_has_no_end_then_hits_until_cleared(graph: Caller, tenant: Tenant) -> None:
    """Without a number of times a fault stays."""
    tenant.add_fault(Fault(times=None, status=500))
    assert await statuses(graph, 3) == [500, 500, 500]
    tenant.clear_faults()
    assert await statuses(graph, 1) == [200]


async def test_fault_when_calls_do_not_match_then_they_pass_uncounted(graph: Caller, tenant: Tenant) -> None:
    """Method and path both have to match."""
    tenant.add_fault(Fault(method="delete", path=r"phoneMethods/b63", status=409))
    assert (await graph.delete(address_of(BLAIR, "emailMethods/none"))).status_code == 404
    assert (await graph.get(PHONE)).status_code == 200
    assert error_of(await graph.delete(PHONE)) == (409, "Conflict")
    assert (await graph.delete(PHONE)).status_code == 204


async def test_fault_when_several_match_then_they_take_turns(graph: Caller, tenant: Tenant) -> None:
    """The first added hits first; the second waits until it is through."""
    tenant.add_fault(Fault(status=500))
    tenant.add_fault(Fault(status=502))
    assert await statuses(graph, 3) == [500, 502, 200]


async def test_fault_when_it_has_hit_its_last_call_then_forgotten(graph: Caller, tenant: Tenant) -> None:
    """Only what can still hit is kept; what has hit nothing yet is."""
    for fault in (Fault(times=2, status=500), Fault(method="DELETE", status=502), Fault(times=None, status=503)):
        tenant.add_fault(fault)
    assert await statuses(graph, 3) == [500, 500, 503]
    assert [armed.fault.status for armed in tenant.faults.armed] == [502, 503]


async def test_fault_when_throttling_then_retry_after_and_texts_are_as_given(graph: Caller, tenant: Tenant) -> None:
    """Status, code, text and Retry-After can be chosen; the shape stays Graph's."""
    tenant.add_fault(Fault(status=429, retry_after=7))
    tenant.add_fault(Fault(status=403, code="Odd", message="Because."))
    throttled, odd = await graph.get(USER), await graph.get(USER)
    assert (error_of(throttled), throttled.headers["Retry-After"]) == ((429, "TooManyRequests"), "7")
    assert (error_of(odd), odd.json()["error"]["message"]) == ((403, "Odd"), "Because.")
    assert "Retry-After" not in odd.headers


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BadRequest"),
        (401, "InvalidAuthenticationToken"),
        (403, "accessDenied"),
        (404, "resourceNotFound"),
        (409, "Conflict"),
        (418, "UnknownError"),
        (429, "TooManyRequests"),
        (500, "InternalServerError"),
        (502, "BadGateway"),
        (503, "ServiceUnavailable"),
        (504, "GatewayTimeout"),
    ],
)
async def test_fault_when_only_status_is_given_then_code_is_the_usual_one(
    graph: Caller, tenant: Tenant, status: int, code: str
) -> None:
    """Each status comes with its usual code."""
    tenant.add_fault(Fault(status=status))
    assert error_of(await graph.get(USER)) == (status, code)


async def test_fault_when_body_is_given_then_it_is_not_graphs(graph: Caller, tenant: Tenant) -> None:
    """A gateway's page is not JSON."""
    tenant.add_fault(Fault(status=502, body="<html>Bad gateway</html>"))
    answer = await graph.get(USER)
    assert (answer.status_code, answer.text) == (502, "<html>Bad gateway</html>")
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        (Fault(status=503), False),
        (Fault(status=503, when="after"), True),
        (Fault(status=503, delay_seconds=3), False),
        (Fault(status=503, delay_seconds=3, when="after"), True),
        (Fault(delay_seconds=3), True),
        (Fault(delay_seconds=3, when="after"), True),
    ],
)
async def test_fault_when_it_answers_then_effect_takes_place_or_not(
    graph: Caller,
    tenant: Tenant,
    clock: Clock,
    fault: Fault,
    effect: bool,
) -> None:
    """An error before the effect changes nothing; one after it hides that the method is gone."""
    tenant.add_fault(fault)
    answer = await graph.delete(PHONE)
    gone = tenant.directory.users[BLAIR].find_method("b6332ec1-7057-4abe-9331-3d72feddfe41") is None
    assert answer.status_code == (fault.status or 204)
    assert gone is tenant.calls[-1].effect is effect
    assert clock.slept == ([3] if fault.delay_seconds else [])


@pytest.mark.parametrize("delay_seconds", [0, 3])
@pytest.mark.parametrize("cut", ["before", "after"])
async def test_fault_when_connection_is_cut_then_no_answer(
    graph: Caller, tenant: Tenant, clock: Clock, cut: Literal["before", "after"], delay_seconds: float
) -> None:
    """The caller sees a broken connection, before or after the effect, and the next call goes through."""
    tenant.add_fault(Fault(method="DELETE", delay_seconds=delay_seconds, cut=cut))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await graph.delete(PHONE)
    assert (tenant.calls[-1].status, tenant.calls[-1].effect) == (0, cut == "after")
    assert clock.slept == ([delay_seconds] if delay_seconds else [])
    assert (await graph.delete(PHONE)).status_code == (404 if cut == "after" else 204)


async def test_fault_when_delay_is_after_the_effect_then_effect_is_there_meanwhile(
    graph: Caller, tenant: Tenant, clock: Clock
) -> None:
    """The delay lies where it is put: the clock of a revocation shows it."""
    address = f"{USER}/revokeSignInSessions"
    tenant.add_fault(Fault(delay_seconds=60))
    tenant.add_fault(Fault(delay_seconds=60, when="after"))
    shown = []
    for _ in range(2):
        await graph.post(address)
        shown.append(tenant.directory.users[AVERY].properties["signInSessionsValidFromDateTime"])
    assert shown == ["2026-11-24T01:03:03Z", "2026-11-24T01:03:03Z"]
    assert clock.slept == [60, 60]


async def test_fault_when_path_is_not_named_then_token_endpoint_is_spared(graph: Caller, tenant: Tenant) -> None:
    """Only a fault that names the token endpoint's path reaches it."""
    tenant.add_fault(Fault(times=None, status=500))
    assert (await graph.ask_token()).status_code == 200
    tenant.clear_faults()
    tenant.add_fault(Fault(path="^/msi/token", status=503, retry_after=1))
    refused = await graph.ask_token()
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert (await graph.ask_token()).status_code == 200


async def test_fault_when_caller_gives_up_then_effect_takes_place_all_the_same(tenant: Tenant) -> None:
    """A call that timed out for the caller may yet be carried out."""
    entered, released = asyncio.Event(), asyncio.Event()

    async def wait(_seconds: float) -> None:
        entered.set()
        await released.wait()

    tenant._sleep = wait
    tenant.add_fault(Fault(method="DELETE", delay_seconds=60))
    async with httpx.AsyncClient(base_url=tenant.url, timeout=5) as http:
        deleting = asyncio.create_task(Caller(tenant, http).delete(address_of(BLAIR, "emailMethods/x")))
        await asyncio.wait_for(entered.wait(), HANGS_AFTER_SECONDS)
        deleting.cancel()
        await asyncio.wait([deleting], timeout=HANGS_AFTER_SECONDS)
        assert tenant.calls[-1].status == 0
        released.set()
        await asyncio.wait_for(_answered(tenant), HANGS_AFTER_SECONDS)
    assert tenant.calls[-1].status == 404


async def _answered(tenant: Tenant) -> None:
    while tenant.calls[-1].status == 0:  # noqa: ASYNC110 - the caller bounds it
        await asyncio.sleep(0.001)


async def test_fault_when_it_is_about_changes_then_reads_pass_uncounted(graph: Caller, tenant: Tenant) -> None:
    """The second call that may change something, whatever is read between."""
    tenant.add_fault(Fault(changing=True, skip=1, status=503))
    assert await statuses(graph, 2) == [200, 200]
    assert (await graph.delete(PHONE)).status_code == 204
    assert (await graph.post("/v1.0/$batch", {"requests": []})).status_code != 503
    assert await statuses(graph, 1) == [200]
    assert (await graph.patch(USER, {"accountEnabled": False})).status_code == 503


@pytest.mark.parametrize("when", ["before", "after"])
async def test_fault_when_it_holds_then_effect_is_there_or_not_until_released(
    graph: Caller, tenant: Tenant, clock: Clock, when: Literal["before", "after"]
) -> None:
    """The one call waits, others go on and no time passes; who comes later is held again."""
    tenant.add_fault(Fault(changing=True, hold="here", when=when, times=2))
    for body in ({"accountEnabled": False}, {"accountEnabled": True}):
        patching = asyncio.create_task(graph.patch(USER, body))
        await asyncio.wait_for(tenant.holds.reached("here"), HANGS_AFTER_SECONDS)
        assert tenant.holds.names == ["here"]
        enabled = tenant.directory.users[AVERY].properties["accountEnabled"]
        assert (enabled is body["accountEnabled"]) is (when == "after")
        assert await statuses(graph, 1) == [200]
        assert not patching.done()
        tenant.holds.release("here")
        assert (await patching).status_code == 204
        assert tenant.directory.users[AVERY].properties["accountEnabled"] is body["accountEnabled"]
    assert (tenant.holds.names, clock.slept) == ([], [])


@pytest.mark.parametrize("name", ["never", "reached"])
async def test_release_when_nothing_is_held_then_nothing_happens(tenant: Tenant, name: str) -> None:
    """Released too early, a call is held all the same."""
    tenant.holds.release(name)
    tenant.clear_faults()
    assert tenant.holds.names == []


async def test_clear_faults_when_a_call_is_held_then_it_goes_on(graph: Caller, tenant: Tenant) -> None:
    """Nothing waits for a release that nobody would give."""
    tenant.add_fault(Fault(hold="here", status=503))
    reading = asyncio.create_task(graph.get(USER))
    await asyncio.wait_for(tenant.holds.reached("here"), HANGS_AFTER_SECONDS)
    tenant.clear_faults()
    assert (await reading).status_code == 503


@pytest.mark.parametrize("hold", [None, "here"])
async def test_listing_when_kept_waiting_after_it_was_read_then_shows_what_was_there(
    graph: Caller, tenant: Tenant, hold: str | None
) -> None:
    """A method that is registered while a listing takes its time is not in it, nor what became of another."""
    user = tenant.directory.users[BLAIR]
    before, number = await graph.listed(BLAIR), user.methods[1].properties.get("phoneNumber")

    async def register(_: float) -> None:
        user.methods.append(method("softwareOath", "meanwhile"))
        for each in user.methods:
            each.properties["phoneNumber"] = "+1 2065550100"

    tenant._sleep = register
    tenant.add_fault(Fault(method="GET", path="methods$", hold=hold, delay_seconds=20, when="after"))
    listing = asyncio.create_task(graph.get(address_of(BLAIR, "methods")))
    if hold:
        await asyncio.wait_for(tenant.holds.reached(hold), HANGS_AFTER_SECONDS)
        tenant.holds.release(hold)
    shown = (await listing).json()["value"]
    assert [each["id"] for each in shown] == before
    assert shown[1].get("phoneNumber") == number
    assert "meanwhile" in await graph.listed(BLAIR)


@pytest.mark.parametrize("body", [None, "{}"])
async def test_fault_when_it_says_success_then_nothing_changed(graph: Caller, tenant: Tenant, body: str | None) -> None:
    """A PATCH or DELETE answered 204, without effect: as Graph answers one, with no error in it."""
    tenant.add_fault(Fault(changing=True, times=2, status=204 if body is None else 200, body=body))
    for answer in (await graph.patch(USER, {"accountEnabled": False}), await graph.delete(PHONE)):
        assert (answer.status_code, answer.text) == ((204, "") if body is None else (200, body))
    assert not any(call.effect for call in tenant.calls)
    assert tenant.directory.users[AVERY].properties["accountEnabled"] is True
    assert tenant.directory.users[BLAIR].find_method("b6332ec1-7057-4abe-9331-3d72feddfe41") is not None


async def test_fault_when_it_deletes_and_restores_then_the_user_is_away_between(graph: Caller, tenant: Tenant) -> None:
    """At the call that is named, before its effect or after it; who comes back has their name and methods."""
    before = (await graph.get(USER)).json()
    methods = await graph.listed(AVERY)
    tenant.add_fault(Fault(skip=1, deletes=AVERY))
    tenant.add_fault(Fault(path="deletedItems", restores=AVERY, when="after"))
    assert [*await statuses(graph, 3)] == [200, 404, 404]
    assert (await graph.get(f"/v1.0/directory/deletedItems/{AVERY}")).json()["id"] == AVERY
    assert (await graph.get(USER)).json() == before
    assert await graph.listed(AVERY) == methods


async def test_fault_when_there_is_nobody_to_delete_or_restore_then_it_passes(graph: Caller, tenant: Tenant) -> None:
    """Twice is once."""
    tenant.add_fault(Fault(deletes="nobody", restores="nobody"))
    assert await statuses(graph, 1) == [200]


def test_fault_when_path_is_no_expression_then_refused() -> None:
    """A fault that could never match is a mistake at once."""
    with pytest.raises(ValueError, match="no regular expression"):
        Fault(path="(")
