import pytest

from sandbox.tenant import Call, Tenant
from sandbox.tenant.tokens import SYSTEM_ASSIGNED_CLIENT_ID
from tests.sandbox.tenant.conftest import AVERY, BLAIR, MOBILE, Caller, Clock, error_of
from tests.sandbox.tenant.test_methods import address_of


async def test_answer_when_client_names_its_request_then_id_is_echoed(graph: Caller) -> None:
    """Our id comes back in header and error; Graph's own is the same in both, and new each time."""
    headers = {"client-request-id": "c-1"}
    good = await graph.get(f"/v1.0/users/{AVERY}", headers)
    bad = await graph.get("/v1.0/users/nobody", headers)
    inner = bad.json()["error"]["innerError"]
    assert good.headers["client-request-id"] == bad.headers["client-request-id"] == inner["client-request-id"] == "c-1"
    assert bad.headers["request-id"] == inner["request-id"] != good.headers["request-id"]


async def test_answer_when_given_then_date_is_the_tenants(graph: Caller) -> None:
    """Header and error have the tenant's time, not the machine's."""
    answer = await graph.get("/v1.0/users/nobody")
    assert answer.headers["Date"] == "Tue, 24 Nov 2026 01:02:03 GMT"
    assert answer.json()["error"]["innerError"]["date"] == "2026-11-24T01:02:03"
    assert answer.headers["client-request-id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("address", "segment"),
    [("/v1.0/nonsense", "nonsense"), (f"/v1.0/users/{AVERY}/shoes", "shoes"), ("/v1.0/users/a/b/c/d", "b")],
)
async def test_address_when_unknown_then_names_the_segment(graph: Caller, address: str, segment: str) -> None:
    """The first segment that leads nowhere is named."""
    answer = await graph.get(address)
    assert error_of(answer) == (400, "BadRequest")
    assert answer.json()["error"]["message"] == f"Resource not found for the segment '{segment}'."


@pytest.mark.parametrize("address", ["/v2.0/users", "/", "/v1.0"])
async def test_address_when_version_is_unknown_or_alone_then_bad_request(graph: Caller, address: str) -> None:
    """There is nothing outside of the two versions."""
    assert error_of(await graph.get(address)) == (400, "BadRequest")


async def test_address_when_method_is_wrong_then_not_allowed(graph: Caller) -> None:
    """An address that exists for another method is 405."""
    assert error_of(await graph.delete(f"/v1.0/users/{AVERY}")) == (405, "Request_BadRequest")


@pytest.mark.parametrize("content", [b"{", b"[]", b'"x"'])
async def test_body_when_not_a_json_object_then_bad_request(graph: Caller, content: bytes) -> None:
    """A body that cannot be read changes nothing."""
    answer = await graph.call("PATCH", f"/v1.0/users/{AVERY}", content=content)
    assert error_of(answer) == (400, "BadRequest")


async def test_calls_when_made_then_recorded_in_order(graph: Caller, tenant: Tenant, clock: Clock) -> None:
    """Each call shows method, decoded address, status, id and whether it changed anything."""
    await graph.get("/v1.0/users", {"client-request-id": "c-1"}, filter="id eq 'x y'")
    clock.advance(1)
    await graph.delete(address_of(BLAIR, "phoneMethods/b6332ec1-7057-4abe-9331-3d72feddfe41"))
    await graph.delete(address_of(BLAIR, "phoneMethods/none"))
    first, deleted, missing = tenant.calls
    assert first.path == "/v1.0/users?$filter=id eq 'x y'"
    assert (first.client_request_id, first.effect) == ("c-1", False)
    assert deleted == Call(
        at=clock.now(),
        method="DELETE",
        path=address_of(BLAIR, "phoneMethods/b6332ec1-7057-4abe-9331-3d72feddfe41"),
        status=204,
        client_request_id=None,
        effect=True,
        client_id=SYSTEM_ASSIGNED_CLIENT_ID,
    )
    assert (missing.status, missing.effect) == (404, False)
    assert [call.path.partition("?")[0] for call in tenant.token_calls] == ["/msi/token"] * 3


async def test_methods_when_called_too_often_then_throttled_until_the_window_moves(
    graph: Caller, tenant: Tenant, clock: Clock
) -> None:
    """Retry-After says exactly when the next call goes through; other services are not concerned."""
    tenant.methods_calls_per_10_seconds = 2
    address = address_of(BLAIR, f"phoneMethods/{MOBILE}")
    statuses = [(await graph.get(address)).status_code]
    clock.advance(4)
    statuses.append((await graph.get(address)).status_code)
    refused = await graph.get(address)
    elsewhere = await graph.get(f"/v1.0/users/{AVERY}")
    clock.advance(int(refused.headers["Retry-After"]))
    statuses.append((await graph.get(address)).status_code)
    assert error_of(refused) == (429, "TooManyRequests")
    assert refused.headers["Retry-After"] == "6"
    assert (statuses, elsewhere.status_code) == ([200, 200, 200], 200)
