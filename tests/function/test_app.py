"""The function app as Azure runs it: loaded by the worker library, called over its routes and its queue."""

import asyncio
import base64
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from sandbox.bus import Message
from sandbox.host import HostProcess, HostStartError
from sandbox.stage import AUDIT, OUTCOMES, REJECTED, REQUESTS, ROOT, Stage, set_up
from sandbox.tenant import Fault
from shared.intake import queue_parent_id
from shared.intake.request_ids import derive_request_id
from shared.model import ReferenceKind, UserReference
from tests.secrecy import find_leaks, texts_of_ledger

pytestmark = [pytest.mark.xdist_group("function"), pytest.mark.asyncio(loop_scope="module")]

QUINN = UserReference(ReferenceKind.USER_PRINCIPAL_NAME, "quinn.abbott@fabrikam.example")
DEVON = "10000000-0000-4000-8000-000000000004"
TOPIC = f"{OUTCOMES}/Subscriptions/{AUDIT}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    """Share one sandbox among the tests of this module."""
    async with set_up() as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def client(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """Call with the function key."""
    headers = {"x-functions-key": stage.host.function_key}
    async with httpx.AsyncClient(base_url=stage.host.url, headers=headers, timeout=90) as client:
        yield client


async def send(stage: Stage, *messages: ServiceBusMessage) -> None:
    """Put messages on the request queue with the real client."""
    async with (
        ServiceBusClient.from_connection_string(stage.bus.connection_string) as client,
        client.get_queue_sender(REQUESTS) as sender,
    ):
        for message in messages:
            await sender.send_messages(message)


async def told(stage: Stage, request_id: str, seconds: float = 60) -> dict[str, Any]:
    """Wait for the outcome of a request on the topic."""
    async with asyncio.timeout(seconds):
        while True:
            for message in stage.bus.peek(TOPIC):
                outcome: dict[str, Any] = json.loads(message.body)
                if outcome["requestId"] == request_id:
                    return outcome
            await asyncio.sleep(0.1)


async def test_health_says_only_that_it_is_up(stage: Stage) -> None:
    """Anybody may ask, and learns nothing else."""
    async with httpx.AsyncClient(base_url=stage.host.url, timeout=10) as anonymous:
        answer = await anonymous.get("/api/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "up"})


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/resets"), ("GET", "/api/resets/x"), ("GET", "/api/readiness")]
)
async def test_call_without_a_key_is_401(stage: Stage, method: str, path: str) -> None:
    """The host keeps out whoever has no key."""
    async with httpx.AsyncClient(base_url=stage.host.url, timeout=10) as anonymous:
        assert (await anonymous.request(method, path)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/api/resets", "POST"), ("DELETE", "/api/resets/x", "GET"), ("POST", "/api/readiness", "GET")],
)
async def test_call_with_the_wrong_method_is_405(client: httpx.AsyncClient, method: str, path: str, allow: str) -> None:
    """And the answer says which one is right."""
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "notJson"),
        (b"\xff", 400, "notUtf8"),
        (b'{"user": 1}', 400, "wrongType"),
        (b'{"user": "a@b.example", "x": 1}', 400, "unknownField"),
        (b'{"user": "a@b.example", "user": "a@b.example"}', 400, "duplicateKey"),
        (b'{"user": "' + b"a" * 204_800 + b'"}', 413, "tooLarge"),
        (b'{"user": "nobody@contoso.example"}', 404, "unknownUser"),
        (b'{"user": "nobody@contoso.example", "profile": "none"}', 400, "unknownProfile"),
    ],
)
async def test_call_with_a_bad_body_is_a_problem_document(
    client: httpx.AsyncClient, body: bytes, status: int, code: str
) -> None:
    """Every problem is named; nothing of the body is repeated but what it is about."""
    answer = await client.post("/api/resets", content=body)
    document = answer.json()
    assert (answer.status_code, document["status"]) == (status, status)
    assert code in {problem["code"] for problem in document["problems"]}
    assert document["outcome"]["status"] == "invalid"


@pytest.mark.parametrize(
    "user", ["o'x@contoso.example", "a/b@contoso.example", "a#b@contoso.example", "a\u0000@b.example"]
)
async def test_call_with_a_hostile_name_never_changes_an_address(
    stage: Stage, client: httpx.AsyncClient, user: str
) -> None:
    """Quotes, slashes and the like end as an unknown user or as an invalid name."""
    stage.tenant.calls.clear()
    answer = await client.post("/api/resets", json={"user": user})
    assert answer.status_code in {400, 404}
    for call in stage.tenant.calls:
        assert call.path.startswith((f"/v1.0/users/{user}?", "/v1.0/users/a#b@contoso.example?"))


async def test_call_is_answered_with_the_outcome_and_the_same_again(client: httpx.AsyncClient) -> None:
    """200 with a verified outcome; the same id again gives it again, another request under it 409."""
    body = {"requestId": "HTTP-1", "user": DEVON}
    first = await client.post("/api/resets", json=body)
    assert (first.status_code, first.json()["status"], first.json()["verified"]) == (200, "completed", True)
    assert (await client.post("/api/resets", json=body)).json() == first.json() | {"replayed": True}
    assert (await client.get("/api/resets/HTTP-1")).json() == first.json()
    other = await client.post("/api/resets", json=body | {"dryRun": True})
    assert (other.status_code, other.json()["code"]) == (409, "requestIdReused")


async def test_call_for_the_break_glass_account_is_403_with_every_reason(client: httpx.AsyncClient) -> None:
    """A refusal is a problem that holds the outcome."""
    answer = await client.post("/api/resets", json={"user": "emergency.access.1@contoso.example"})
    assert answer.status_code == 403
    assert {problem["code"] for problem in answer.json()["problems"]} == {"neverUser", "neverGroup", "privilegedRole"}


async def test_look_up_of_what_nobody_asked_is_404(client: httpx.AsyncClient) -> None:
    """Nor does an id that is none reach the ledger."""
    for request_id in ("nothing", "a%20b", "a%27b", "x" * 201):
        assert (await client.get(f"/api/resets/{request_id}")).status_code == 404


async def test_call_that_cannot_end_now_is_202_and_can_be_looked_up(stage: Stage, client: httpx.AsyncClient) -> None:
    """Accepted and durable: a Location, a Retry-After and a resume on the queue."""
    stage.tenant.add_fault(Fault(path="checkMemberGroups", status=429, retry_after=600, times=None))
    try:
        answer = await client.post("/api/resets", json={"requestId": "HTTP-2", "user": "sage.winter@contoso.example"})
    finally:
        stage.tenant.clear_faults()
    assert (answer.status_code, answer.headers["location"]) == (202, f"{stage.host.url}/api/resets/HTTP-2")
    assert int(answer.headers["retry-after"]) > 0
    shown = await client.get(answer.headers["location"])
    assert (shown.status_code, shown.headers["location"]) == (202, answer.headers["location"])
    assert {"waitingFor", "since", "nextTryAt"} <= shown.json().keys() & answer.json().keys()
    assert b'{"resume": "functionKey:HTTP-2"}' in [message.body for message in stage.bus.peek(REQUESTS)]


async def test_call_for_several_users_can_be_looked_up_under_its_id_until_all_have_ended(
    stage: Stage, client: httpx.AsyncClient
) -> None:
    """202 with one address for all of them; each goes on by a resume of its own."""
    users = ["casey.romero@contoso.example", "tatum.wells@contoso.example"]
    answer = await client.post("/api/resets", json={"requestId": "FAMILY-1", "users": users, "dryRun": True})
    assert (answer.status_code, answer.headers["location"]) == (202, f"{stage.host.url}/api/resets/FAMILY-1")
    async with asyncio.timeout(60):
        while (shown := await client.get(answer.headers["location"])).status_code == 202:
            assert int(shown.headers["retry-after"]) > 0
            await asyncio.sleep(0.2)
    assert (shown.status_code, shown.json()["status"]) == (200, "ended")
    assert [line["status"] for line in shown.json()["requests"]] == ["planned", "planned"]
    for line in shown.json()["requests"]:
        assert (await client.get(f"/api/resets/{line['requestId']}")).json()["requestId"] == line["requestId"]


async def run_timer(stage: Stage, name: str) -> None:
    """Let a timer's function run now."""
    async with httpx.AsyncClient(base_url=stage.host.url, timeout=10) as administrator:
        headers = {"x-functions-key": stage.host.master_key}
        answer = await administrator.post(f"/admin/functions/{name}", json={}, headers=headers)
    assert answer.status_code == 202


async def test_timer_finds_a_report_that_got_lost(stage: Stage, client: httpx.AsyncClient) -> None:
    """As if the process had ended before the topic was told, long ago: the next sweep sees to it."""
    body = {"requestId": "LOST-1", "user": "casey.romero@contoso.example", "dryRun": True}
    assert (await client.post("/api/resets", json=body)).status_code == 200
    with closing(sqlite3.connect(stage.environment["LEDGER_URL"].removeprefix("sqlite:///"), timeout=10)) as ledger:
        long_ago = "UPDATE requests SET reported = 0, due_at = '2026-01-01T00:00:00.000000+00:00'"
        assert ledger.execute(f"{long_ago} WHERE request_id = 'LOST-1'").rowcount == 1
        ledger.commit()
    await run_timer(stage, "resume_lost")
    await stage.host.wait_for_output('"event": "resumedLost"')
    async with asyncio.timeout(60):
        while [json.loads(one.body)["requestId"] for one in stage.bus.peek(TOPIC)].count("LOST-1") < 2:  # noqa: ASYNC110 - the topic tells nobody
            await asyncio.sleep(0.1)


async def test_timer_purges_the_ledger(stage: Stage) -> None:
    """Of nothing, in a ledger that is as young as this one."""
    await run_timer(stage, "purge_ledger")
    await stage.host.wait_for_output('"event": "purged"')
    assert not [line for line in stage.host.output if '"event": "purged"' in line and '"0 requests"' not in line]


async def test_message_is_carried_out_and_told(stage: Stage, client: httpx.AsyncClient) -> None:
    """From the queue to the topic; a function key may look it up."""
    await send(stage, ServiceBusMessage(json.dumps({"user": QUINN.value}), message_id="MSG/1"))
    outcome = await told(stage, derive_request_id(queue_parent_id("MSG/1", 0), QUINN))
    assert (outcome["status"], outcome["caller"]) == ("completed", "queue")
    assert outcome["requestId"].startswith("m-")
    assert (await client.get(f"/api/resets/{outcome['requestId']}")).json() == outcome


def rejected(stage: Stage, request_id: str) -> list[Message]:
    """Return the rejected copies of a request."""
    return [copy for copy in stage.bus.peek(REJECTED) if copy.correlation_id == request_id]


async def test_message_that_is_not_utf8_is_rejected_once(stage: Stage) -> None:
    """What the host hands on is copied with its reason; nothing is redelivered."""
    await send(stage, ServiceBusMessage(b"\xff\xfe\xfd", message_id="BAD-1"))
    outcome = await told(stage, "BAD-1")
    assert outcome["status"] == "invalid"
    async with asyncio.timeout(60):
        while not (copies := rejected(stage, "BAD-1")):  # noqa: ASYNC110 - the copy follows the outcome
            await asyncio.sleep(0.1)
    assert len(copies) == 1
    assert stage.bus.peek(f"{REQUESTS}/$DeadLetterQueue") == ()


async def test_logs_hold_no_name_and_no_number(stage: Stage, client: httpx.AsyncClient) -> None:
    """Of a request, and of all that other tests have sent: ids and codes only."""
    answer = await client.post("/api/resets", json={"user": "tatum.wells@contoso.example", "dryRun": True})
    assert answer.json()["status"] == "planned"
    await stage.host.wait_for_output('"event": "finished"')
    for line in stage.host.output:
        if '"event"' in line:
            assert "@" not in line
            assert not re.search(r"42555501\d\d", line)


async def test_app_with_bad_settings_does_not_start_and_names_every_problem(stage: Stage, tmp_path: Path) -> None:
    """An operator sees all of it at once."""
    environment = stage.environment | {"GRAPH_URL": "http://graph.example", "MFA_RESET_POLICY": "{}", "LEDGER_URL": ""}
    with pytest.raises(HostStartError) as raised:
        async with HostProcess(ROOT, environment):
            raise AssertionError(tmp_path)
    for name in ("GRAPH_URL", "MFA_RESET_POLICY", "LEDGER_URL"):
        assert name in str(raised.value)


async def test_app_behind_easy_auth_asks_for_the_role_and_no_key(stage: Stage, tmp_path: Path) -> None:
    """With REQUIRE_ENTRA_CALLER a key is neither enough nor needed: the principal and its role are."""
    caller = "aaaaaaaa-0000-4000-8000-00000000000a"
    policy = json.loads(stage.environment["MFA_RESET_POLICY"])
    policy["callers"][caller] = ["reregister"]
    environment = stage.environment | {
        "REQUIRE_ENTRA_CALLER": "true",
        "LEDGER_URL": f"sqlite:///{tmp_path}/entra.sqlite",
        "MFA_RESET_POLICY": json.dumps(policy),
    }
    body = {"user": "casey.romero@contoso.example", "dryRun": True}
    async with HostProcess(ROOT, environment, easy_auth=True) as host:
        signed_in = dict(host.sign_in([("oid", caller), ("roles", "MfaReset.Request")]))
        async with httpx.AsyncClient(base_url=host.url, timeout=60) as client:
            for key in ({}, {"x-functions-key": host.function_key}):
                forged = {name: value for name, value in signed_in.items() if name == "X-MS-CLIENT-PRINCIPAL"}
                assert (await client.post("/api/resets", json=body, headers=forged | key)).status_code == 401
            without = await client.post("/api/resets", json=body, headers=dict(host.sign_in([("oid", caller)])))
            assert (without.status_code, without.json()["code"]) == (403, "roleMissing")
            answer = await client.post("/api/resets", json=body, headers=signed_in)
            assert (answer.status_code, answer.json()["caller"]) == (200, caller)


async def test_app_without_the_easy_auth_that_it_counts_on_asks_for_a_key(stage: Stage, tmp_path: Path) -> None:
    """Somebody has switched it off, and anybody could name themselves: health is all that is open."""
    environment = stage.environment | {"REQUIRE_ENTRA_CALLER": "true", "LEDGER_URL": f"sqlite:///{tmp_path}/off.sqlite"}
    claims = [{"typ": "oid", "val": "aaaaaaaa-0000-4000-8000-00000000000a"}, {"typ": "roles", "val": "MfaReset.Read"}]
    forged = {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps({"claims": claims}).encode()).decode()}
    async with (
        HostProcess(ROOT, environment) as host,
        httpx.AsyncClient(base_url=host.url, headers=forged, timeout=60) as client,
    ):
        for path in ("/api/readiness", "/api/resets/x"):
            assert (await client.get(path)).status_code == 401
        assert (await client.post("/api/resets", json={"user": "casey.romero@contoso.example"})).status_code == 401
        assert (await client.get("/api/health")).status_code == 200


async def test_readiness_with_a_key_says_what_the_identity_can_do(client: httpx.AsyncClient) -> None:
    """The sandbox grants everything, so that some of it is unused."""
    answer = await client.get("/api/readiness")
    document = answer.json()
    assert (answer.status_code, document["ready"], document["missing"], document["note"]) == (200, True, [], None)
    assert {one["step"]: one["profiles"] for one in document["steps"]} == {
        "disableAccount": ["compromised"],
        "revokeSessions": ["reregister", "compromised", "privileged.instead"],
    }
    assert "IdentityRiskyUser.ReadWrite.All" in document["unused"]


async def test_readiness_names_the_role_that_was_taken_away_to_a_reader_only(stage: Stage, tmp_path: Path) -> None:
    """A new process has a new token; without one there is an answer too."""
    environment = stage.environment | {"REQUIRE_ENTRA_CALLER": "true", "LEDGER_URL": f"sqlite:///{tmp_path}/new.sqlite"}
    caller = ("oid", "aaaaaaaa-0000-4000-8000-00000000000a")
    taken = {"UserAuthenticationMethod.ReadWrite.All", "UserAuthMethod-Phone.ReadWrite.All"}
    async with (
        HostProcess(ROOT, environment, easy_auth=True) as host,
        httpx.AsyncClient(base_url=host.url, timeout=60) as client,
    ):

        async def ask(*roles: str) -> httpx.Response:
            signed_in = dict(host.sign_in([caller, *(("roles", role) for role in roles)]))
            return await client.get("/api/readiness", headers=signed_in)

        assert (await client.get("/api/readiness")).status_code == 401
        refused = await ask("MfaReset.Request")
        assert (refused.status_code, refused.json()["code"]) == (403, "roleMissing")
        stage.tenant.add_fault(Fault(path="/msi/token", status=500, times=None))
        stage.tenant.roles -= taken
        try:
            without = await ask("MfaReset.Read")
            stage.tenant.clear_faults()
            answer = await ask("MfaReset.Operate")
        finally:
            stage.tenant.clear_faults()
            stage.tenant.roles |= taken
    assert (without.status_code, without.json()["code"]) == (503, "noToken")
    assert int(without.headers["retry-after"]) > 0
    document = answer.json()
    assert (answer.status_code, document["ready"]) == (200, False)
    assert document["missing"] == ["UserAuthMethod-Phone.ReadWrite.All"]
    assert [one["type"] for one in document["methodTypes"] if not one["canRemove"]] == ["phone"]
    assert (document["listsEveryType"], document["canChangeDefaultMethod"]) == (True, False)


UNLOCK = {
    "methods": "all",
    "steps": [
        "disableAccount",
        "revokeSessions",
        "confirmCompromised",
        "containmentGroup:20000000-0000-4000-8000-000000000008",
        "resetPassword",
        "perUserMfa:enforced",
        "temporaryAccessPass",
        "enableAccount",
    ],
}


async def test_app_takes_every_step_and_puts_the_pass_into_the_vault(stage: Stage, tmp_path: Path) -> None:
    """As it is put together for Azure: managed identity, Key Vault over TLS, a named Entra caller; no secret leaves."""
    caller = "aaaaaaaa-0000-4000-8000-00000000000a"
    policy = json.loads(stage.environment["MFA_RESET_POLICY"])
    policy["profiles"]["unlock"] = UNLOCK
    policy["callers"][caller] = ["unlock"]
    environment = stage.environment | {
        "REQUIRE_ENTRA_CALLER": "true",
        "LEDGER_URL": f"sqlite:///{tmp_path}/unlock.sqlite",
        "MFA_RESET_POLICY": json.dumps(policy),
    }
    body = {"requestId": "UNLOCK-1", "user": "uma.vale@contoso.example", "profile": "unlock"}
    async with HostProcess(ROOT, environment, easy_auth=True) as host:
        headers = dict(host.sign_in([("oid", caller), ("roles", "MfaReset.Request")]))
        async with httpx.AsyncClient(base_url=host.url, headers=headers, timeout=90) as client:
            answer = await client.post("/api/resets", json=body)
            again = await client.post("/api/resets", json=body)
    outcome = answer.json()
    assert (answer.status_code, outcome["status"], outcome["reasons"]) == (200, "completed", [])
    assert {line["step"]: line["result"] for line in outcome["steps"]} == dict.fromkeys(UNLOCK["steps"], "done")
    assert again.json() == outcome | {"replayed": True}
    ((name, (secret,)),) = stage.vault.secrets.items()
    assert f"Key Vault secret {name}" in [line["detail"] for line in outcome["steps"]]
    assert secret.value in stage.tenant.secret_values()
    left = [("the host's output", "\n".join(host.output)), ("an answer", answer.text)]
    left += texts_of_ledger(tmp_path / "unlock.sqlite")
    assert find_leaks(stage.tenant.secret_values(), left) == []
