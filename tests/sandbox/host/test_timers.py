"""Timer triggers: by the schedule, at the start, by hand."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from sandbox.host import HostError, HostProcess, HostStartError
from sandbox.host.errors import FunctionFailedError
from tests.sandbox.host.apps import ANSWERING, write_app

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("host-timers")]

APP = """
def tell(name, timer):
    said = {"past_due": timer.past_due, "schedule": timer.schedule, "status": timer.schedule_status}
    logging.warning("%s %s %s", name, "told" if said["status"] else "untold", json.dumps(said))

@app.timer_trigger("timer", "* * * * * *")
async def every_second(timer: func.TimerRequest) -> None:
    tell("every_second", timer)

@app.timer_trigger("timer", "%OFTEN%")
async def monitored(timer: func.TimerRequest) -> None:
    tell("monitored", timer)

@app.timer_trigger("timer", "%NIGHTLY%")
async def nightly(timer: func.TimerRequest) -> None:
    tell("nightly", timer)
    await asyncio.sleep(1.5)
    logging.warning("nightly has run")

@app.timer_trigger("timer", "0 0 3 * * *", run_on_startup=True)
async def starting(timer: func.TimerRequest) -> None:
    tell("starting", timer)

@app.timer_trigger("timer", "0 0 3 * * *", use_monitor=False)
def unmonitored(timer: func.TimerRequest) -> None:
    tell("unmonitored", timer)

@app.timer_trigger("timer", "* * * * * *")
async def switched_off(timer: func.TimerRequest) -> None:
    tell("switched_off", timer)

@app.timer_trigger("timer", "0 0 3 * * *", run_on_startup=True)
async def failing(timer: func.TimerRequest) -> None:
    raise ValueError("said on purpose")

@app.route("closed", auth_level=func.AuthLevel.ANONYMOUS)
async def closed(req: func.HttpRequest) -> str:
    return "open"
"""
NEVER = "0001-01-01T00:00:00"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HostProcess]:
    """One host for the module; that not every day counts makes a schedule one with a status, however short."""
    far = (datetime.now(UTC).isoweekday() + 3) % 7
    settings = {
        "OFTEN": f"*/2 * * * * {','.join(str(day) for day in range(7) if day != far)}",
        "NIGHTLY": "0 0 3 * * *",
        "AzureWebJobs.switched_off.Disabled": "true",
        "AzureWebJobs.closed.Disabled": "1",
    }
    async with HostProcess(write_app(tmp_path_factory.mktemp("app"), APP + ANSWERING), settings) as host:
        yield host


async def post(host: HostProcess, name: str, headers: dict[str, str] | None = None, **body: Any) -> int:  # noqa: ANN401 - httpx's own words
    """Ask for a run with the master key; the status."""
    async with httpx.AsyncClient(base_url=host.url, timeout=10) as client:
        key = {"x-functions-key": host.master_key}
        return (await client.post(f"/admin/functions/{name}", headers=key | (headers or {}), **body)).status_code


async def next_told(host: HostProcess, name: str, after: int) -> tuple[dict[str, Any], int]:
    """Wait for what a function says of its timer, after so many lines, and give the number of lines with it."""
    line = await host.wait_for_output(f"WARNING root {name}", after=after, timeout_seconds=30)
    return told(line), host.output.index(line, after) + 1


def told(line: str) -> dict[str, Any]:
    """Read what a function said of its timer."""
    said: dict[str, Any] = json.loads(line[line.index("{") :])
    return said


async def test_timer_when_every_second_then_it_fires_on_each_and_knows_no_status(host: HostProcess) -> None:
    """So short a schedule has none in Azure either."""
    lines = len(host.output)
    for _ in range(3):
        said, lines = await next_told(host, "every_second", lines)
        assert said == {"past_due": False, "schedule": {"AdjustForDST": True}, "status": {}}
    assert [line for line in host.output if "Executing 'Functions.every_second' (Reason='Timer fired at 20" in line]


async def test_timer_when_due_then_it_knows_of_the_run_before_and_of_this_one(host: HostProcess) -> None:
    """What a run by hand hears is the same, and it moves nothing."""
    first, lines = await next_told(host, "monitored", 0)
    second, lines = await next_told(host, "monitored", lines)
    assert (first["past_due"], first["status"]["Last"], first["status"]["LastUpdated"]) == (False, NEVER, NEVER)
    due, due_next = (datetime.fromisoformat(each["status"]["Next"]) for each in (first, second))
    assert due_next == due + timedelta(seconds=2)
    assert timedelta() <= datetime.fromisoformat(second["status"]["Last"]) - due < timedelta(seconds=2)
    lines = len(host.output)
    await host.run_timer("monitored")
    heard = set()
    for _ in range(4):
        said, lines = await next_told(host, "monitored", lines)
        heard.add(datetime.fromisoformat(said["status"]["Next"]))
    assert {later - earlier for earlier, later in pairwise(sorted(heard))} == {timedelta(seconds=2)}


async def test_timer_when_run_on_startup_then_it_has_run_once(host: HostProcess) -> None:
    """Besides its schedule, which is far; one that fails then is not tried again."""
    line = await host.wait_for_output("WARNING root starting")
    assert told(line)["status"]["Last"] == NEVER
    await host.wait_for_output("Executed 'Functions.failing' (Failed")
    assert len([line for line in host.output if "WARNING root starting" in line]) == 1


async def test_timer_when_run_by_hand_then_its_end_is_waited_for(host: HostProcess) -> None:
    """The name's case does not matter; a failure is raised; nothing but a timer is there."""
    lines = len(host.output)
    await host.run_timer("Nightly")
    assert [line for line in host.output[lines:] if "nightly has run" in line]
    with pytest.raises(FunctionFailedError):
        await host.run_timer("failing")
    with pytest.raises(HostError, match="404"):
        await host.run_timer("ping")
    lines = len(host.output)
    with pytest.raises(TimeoutError):
        await host.run_timer("nightly", timeout_seconds=0.05)
    await host.wait_for_output("nightly has run", after=lines)  # its end is not another test's


async def test_timer_when_run_over_http_then_202_at_once(host: HostProcess) -> None:
    """As the admin API answers: the body must be an object, whatever is in it."""
    lines = len(host.output)
    assert await post(host, "nightly", json={"input": ""}) == 202
    assert not [line for line in host.output[lines:] if "nightly has run" in line]
    await host.wait_for_output("nightly has run", after=lines)
    assert await post(host, "absent", json={}) == 404
    assert await post(host, "nightly", json=[]) == 400
    assert await post(host, "nightly", {"content-type": "application/json"}, content=b"") == 400
    assert await post(host, "nightly", content=b"{}") == 415
    assert await post(host, "nightly", {"x-functions-key": host.function_key}, json={}) == 401


async def test_timer_when_it_is_not_monitored_then_it_knows_no_status(host: HostProcess) -> None:
    """`use_monitor=False`, and a function that is no coroutine."""
    lines = len(host.output)
    await host.run_timer("unmonitored")
    assert told(await host.wait_for_output("WARNING root unmonitored", after=lines))["status"] == {}


async def test_function_when_disabled_by_a_setting_then_only_the_master_key_runs_it(host: HostProcess) -> None:
    """A timer that does not fire can still be run by hand; over HTTP it is as if it were not there."""
    await host.wait_for_output("WARNING root every_second")
    assert not [line for line in host.output if "WARNING root switched_off" in line]
    await host.run_timer("switched_off", timeout_seconds=30)
    async with httpx.AsyncClient(base_url=host.url, timeout=10) as client:
        assert (await client.get("/api/closed")).status_code == 404
        assert (await client.get("/api/closed", headers={"x-functions-key": host.function_key})).status_code == 404
        assert (await client.get("/api/closed", headers={"x-functions-key": host.master_key})).text == "open"


async def test_stop_when_a_timer_runs_then_it_is_drained(tmp_path: Path) -> None:
    """And nothing fires any more."""
    app = """
@app.timer_trigger("timer", "* * * * * *")
async def tick(timer: func.TimerRequest) -> None:
    logging.warning("tick")
    await asyncio.sleep(1.5)
    logging.warning("tock")
"""
    async with HostProcess(write_app(tmp_path, app), {}) as host:
        await host.wait_for_output("WARNING root tick")
        assert await host.stop() == 0
    assert [line for line in host.output if "WARNING root t" in line] == ["WARNING root tick", "WARNING root tock"]


async def test_timer_when_a_run_is_longer_than_the_schedule_then_the_next_follows_at_once(tmp_path: Path) -> None:
    """Never two at once."""
    app = """
@app.timer_trigger("timer", "* * * * * *")
async def tick(timer: func.TimerRequest) -> None:
    logging.warning("tick")
    await asyncio.sleep(1.2)
    logging.warning("tock")
"""
    async with HostProcess(write_app(tmp_path, app), {}) as host:
        for _ in range(3):
            await host.wait_for_output("WARNING root tock", after=len(host.output))
        words = [line for line in host.output if "WARNING root t" in line]
        await host.kill()
    # The last one may have begun when it was looked at.
    assert words == (["WARNING root tick", "WARNING root tock"] * len(words))[: len(words)]


@pytest.mark.parametrize(
    ("schedule", "settings", "words"),
    [
        ("00:05:00", {}, "does not know the schedule '00:05:00'"),
        ("%ABSENT%", {}, "'%ABSENT%' does not resolve to a value"),
        ("0 0 3 * * *", {"WEBSITE_TIME_ZONE": "Central Europe Standard Time"}, "'WEBSITE_TIME_ZONE' says otherwise"),
    ],
)
async def test_start_when_a_schedule_cannot_be_kept_then_it_says_so(
    tmp_path: Path, schedule: str, settings: dict[str, str], words: str
) -> None:
    """Rather than to keep another."""
    app = f"""
@app.timer_trigger("timer", "{schedule}")
async def tick(timer: func.TimerRequest) -> None: ...
"""
    with pytest.raises(HostStartError, match="The 'tick' function is in error") as raised:
        async with HostProcess(write_app(tmp_path, app), settings):
            pass
    assert words in str(raised.value)
