"""The whole stage: several hosts of the function app on one bus and one ledger."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from sandbox.host import HostProcess
from sandbox.stage import AUDIT, OUTCOMES, Stage, identity_of, read_policy, set_up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("stage")]

CASEY = "casey.romero@contoso.example"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    """Two hosts; a policy that only looks, said once by the policy and never by a host."""
    policy = json.dumps(json.loads(read_policy()) | {"mode": "observe"})
    settings = {"AzureWebJobs.purge_ledger.Disabled": "true"}
    async with set_up(hosts=2, policy=policy, settings=settings, lock_seconds=20) as stage:
        yield stage


async def ask(host: HostProcess, method: str, path: str, **body: str) -> httpx.Response:
    """Call one of the hosts."""
    async with httpx.AsyncClient(base_url=host.url, timeout=30, headers={"x-functions-key": host.function_key}) as http:
        return await http.request(method, f"/api/{path}", json=body or None)


async def test_stage_when_of_two_hosts_then_they_share_ledger_and_bus(stage: Stage) -> None:
    """What one has done the other knows of; the policy is the one that was given; both are told apart."""
    first, second = stage.hosts
    assert (stage.host, first.url == second.url) == (first, False)
    asked = await ask(first, "POST", "resets", requestId="STAGE-1", user=CASEY)
    assert (asked.status_code, asked.json()["status"]) == (200, "planned")
    assert (await ask(second, "GET", "resets/STAGE-1")).json()["status"] == "planned"
    assert (await ask(second, "POST", "resets", requestId="STAGE-2", user=CASEY)).status_code == 200
    assert {call.client_id for call in stage.tenant.calls if call.client_id} == {identity_of(0), identity_of(1)}
    async with asyncio.timeout(60):
        while len(stage.bus.peek(f"{OUTCOMES}/Subscriptions/{AUDIT}")) < 2:  # noqa: ASYNC110 - the topic tells nobody
            await asyncio.sleep(0.05)


async def test_stage_when_a_host_is_killed_then_the_other_goes_on_and_it_comes_back(stage: Stage) -> None:
    """Each has an end and a start of its own; timers can be run on either."""
    first, second = stage.hosts
    await first.kill()
    assert (await ask(second, "GET", "health")).status_code == 200
    await first.start()
    await second.freeze()
    assert (await ask(first, "GET", "health")).status_code == 200
    second.thaw()
    for host in stage.hosts:
        await host.run_timer("resume_lost")
        await host.run_timer("purge_ledger")


async def test_stage_when_without_a_host_then_refused() -> None:
    """There would be nothing to reach."""
    with pytest.raises(ValueError, match="needs a host"):
        async with set_up(hosts=0):
            pass
