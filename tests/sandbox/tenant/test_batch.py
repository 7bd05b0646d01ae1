"""`$batch`: parts are judged, throttled, recorded and answered each by itself."""

from typing import Any

import httpx
import pytest

from sandbox.tenant import Fault, Tenant
from tests.sandbox.tenant.conftest import ALL_STAFF, AVERY, BLAIR, HARPER, TIER_0, Caller, Clock, error_of

BATCH = "/v1.0/$batch"


def part(number: int, url: str, method: str = "GET", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Write one part."""
    return {"id": str(number), "method": method, "url": url, **more}


async def send(graph: Caller, *parts: Any) -> httpx.Response:  # noqa: ANN401 - any JSON
    """Send a batch."""
    return await graph.post(BATCH, {"requests": list(parts)})


async def answers(graph: Caller, *parts: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - any JSON
    """Send a batch that is answered; return each part's answer under its id."""
    answer = await send(graph, *parts)
    assert answer.status_code == 200
    return {each["id"]: each for each in answer.json()["responses"]}


async def test_batch_when_parts_differ_then_each_has_its_own_answer_in_any_order(graph: Caller) -> None:
    """The batch itself is 200 whatever becomes of them."""
    sent = [
        part(1, f"/users/{AVERY}?$select=id"),
        part(2, "users/nobody"),
        part(
            3,
            f"/users/{HARPER}/checkMemberGroups",
            "POST",
            body={"groupIds": [ALL_STAFF]},
            headers={"content-type": "application/json"},
        ),
        part(
            4,
            f"/groups/{TIER_0}/transitiveMembers/microsoft.graph.group?$count=true",
            headers={"consistencylevel": "eventual"},
        ),
        part(5, "/nothing"),
        part(6, f"/users/{AVERY}", "PUT"),
        part(7, "/$batch", "POST", body={"requests": []}, headers={"Content-Type": "application/json"}),
    ]
    answer = await send(graph, *sent)
    assert [each["id"] for each in answer.json()["responses"]] == ["7", "6", "5", "4", "3", "2", "1"]
    found = {each["id"]: each for each in answer.json()["responses"]}
    assert [found[str(number)]["status"] for number in range(1, 8)] == [200, 404, 200, 200, 400, 405, 400]
    assert found["1"]["body"]["id"] == AVERY
    assert found["2"]["body"]["error"]["code"] == "Request_ResourceNotFound"
    assert found["3"]["body"]["value"] == [ALL_STAFF]
    assert found["1"]["headers"]["Content-Type"] == "application/json"
    assert found["1"]["headers"]["request-id"] != found["3"]["headers"]["request-id"]


async def test_batch_when_a_part_has_pages_then_the_link_is_in_its_body_and_leads_on(
    graph: Caller, tenant: Tenant
) -> None:
    """An absolute one, that is followed by a call of its own."""
    tenant.page_size = 1
    found = await answers(graph, part(1, "/groups?$filter=isAssignableToRole eq true&$select=id"))
    link = found["1"]["body"]["@odata.nextLink"]
    assert link.startswith(f"{tenant.url}/v1.0/groups?")
    assert (await graph.call("GET", link)).json()["value"] != found["1"]["body"]["value"]


async def test_batch_when_a_part_changes_something_then_it_has_no_body_and_is_recorded_as_an_effect(
    graph: Caller, tenant: Tenant
) -> None:
    """The batch's own record has none, so that nothing is counted twice."""
    body = {"accountEnabled": False}
    json = {"Content-Type": "application/json"}
    found = await answers(graph, part(1, f"/users/{AVERY}", "PATCH", body=body, headers=json))
    assert (found["1"]["status"], "body" in found["1"]) == (204, False)
    assert tenant.directory.users[AVERY].properties["accountEnabled"] is False
    records = [(call.method, call.path, call.effect, call.in_batch) for call in tenant.calls]
    assert records == [("POST", BATCH, False, False), ("PATCH", f"/v1.0/users/{AVERY}", True, True)]


async def test_batch_when_one_part_is_throttled_then_the_others_are_not(graph: Caller, tenant: Tenant) -> None:
    """With a Retry-After of its own; the next time it passes."""
    tenant.add_fault(Fault(path=f"users/{BLAIR}", status=429, retry_after=7))
    parts = [part(1, f"/users/{AVERY}?$select=id"), part(2, f"/users/{BLAIR}?$select=id")]
    first, second = await answers(graph, *parts), await answers(graph, *parts)
    assert [(first[each]["status"], second[each]["status"]) for each in ("1", "2")] == [(200, 200), (429, 200)]
    assert (first["2"]["headers"]["Retry-After"], "Retry-After" in first["1"]["headers"]) == ("7", False)
    assert first["2"]["body"]["error"]["code"] == "TooManyRequests"


async def test_batch_when_a_part_is_cut_or_slow_then_the_batch_is_not(
    graph: Caller, tenant: Tenant, clock: Clock
) -> None:
    """Graph itself is there: it tells of a service that is not."""
    tenant.add_fault(Fault(path=f"users/{BLAIR}", cut="before"))
    tenant.add_fault(Fault(path=f"users/{AVERY}", delay_seconds=9))
    found = await answers(graph, part(1, f"/users/{AVERY}"), part(2, f"/users/{BLAIR}"))
    assert (found["1"]["status"], found["2"]["status"], clock.slept) == (200, 502, [9])


async def test_batch_when_it_is_throttled_as_a_whole_then_no_part_is_carried_out(graph: Caller, tenant: Tenant) -> None:
    """As any other call."""
    tenant.add_fault(Fault(path=r"\$batch", status=429, retry_after=3))
    answer = await send(graph, part(1, f"/users/{AVERY}"))
    assert (answer.status_code, answer.headers["Retry-After"], len(tenant.calls)) == (429, "3", 1)


async def test_batch_when_roles_are_missing_then_each_part_says_so_in_its_services_words(
    graph: Caller, tenant: Tenant
) -> None:
    """The batch itself needs none, but a token."""
    tenant.roles = {"User.Read.All"}
    found = await answers(
        graph, part(1, f"/users/{AVERY}"), part(2, "/groups"), part(3, f"/users/{AVERY}/authentication/methods")
    )
    codes = [found[each]["body"].get("error", {}).get("code") for each in ("1", "2", "3")]
    assert codes == [None, "Authorization_RequestDenied", "accessDenied"]
    refused = await graph.http.post(BATCH, json={"requests": [part(1, f"/users/{AVERY}")]})
    assert error_of(refused) == (401, "InvalidAuthenticationToken")


async def test_batch_when_it_has_an_id_of_the_client_then_every_part_repeats_it(graph: Caller, tenant: Tenant) -> None:
    """Unless a part has one of its own."""
    sent = {"requests": [part(1, f"/users/{AVERY}"), part(2, f"/users/{BLAIR}", headers={"client-request-id": "own"})]}
    answer = await graph.call("POST", BATCH, json=sent, headers={"client-request-id": "outer"})
    found = {each["id"]: each["headers"]["client-request-id"] for each in answer.json()["responses"]}
    assert found == {"1": "outer", "2": "own"}
    assert [call.client_request_id for call in tenant.calls] == ["outer", "outer", "own"]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"requests": None},
        {"requests": []},
        {"requests": [None]},
        {"requests": [part(1, "/users")] * 2},
        {"requests": [{"id": "a", "method": "GET", "url": "/x"}, {"id": "A", "method": "GET", "url": "/x"}]},
        {"requests": [part(number, "/users") for number in range(21)]},
        {"requests": [{"id": 1, "method": "GET", "url": "/users"}]},
        {"requests": [part(1, "/users", "LOOK")]},
        {"requests": [{"id": "1", "method": "GET"}]},
        {"requests": [part(1, "/users", headers=[])]},
        {"requests": [part(1, "/users", dependsOn=["2"])]},
        {"requests": [part(1, "http://127.0.0.1/v1.0/users")]},
        {"requests": [part(1, "/users", "POST", body={})]},
    ],
)
async def test_batch_when_it_is_malformed_then_400_and_nothing_is_carried_out(
    graph: Caller,
    tenant: Tenant,
    body: Any,  # noqa: ANN401 - any JSON
) -> None:
    """As a whole."""
    answer = await graph.call("POST", BATCH, content=b"{" if body is None else None, json=body)
    assert error_of(answer) == (400, "BadRequest")
    assert len(tenant.calls) == 1
