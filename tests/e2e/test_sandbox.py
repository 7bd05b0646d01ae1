"""The two faces of the sandbox, as a reader meets them."""

import asyncio
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sandbox.demonstration import REQUESTS_OF_THE_SHOW, Expected, Request, _check, show
from sandbox.stage import REJECTED, ROOT, Stage, set_up
from tests.secrecy import find_leaks, texts_of_bus, texts_of_ledger

pytestmark = pytest.mark.xdist_group("sandbox")


async def test_run_shows_every_request_and_finds_every_outcome_as_it_should_be() -> None:
    """The main job, end to end: real clients, real worker library, real sockets."""
    said: list[str] = []
    async with set_up() as stage:
        assert await show(stage, said.append), "\n".join(said)
        answers = await ask_for_outcomes(stage)
        left = [*texts_of(stage, answers), ("what was shown", "\n".join(said))]
        assert find_leaks(stage.tenant.secret_values(), left) == []
        # The search reaches every place: what is no secret is found in each.
        places = {leak.where for leak in find_leaks({"HTTP-12-emery", "notJson"}, left)}
        assert {"the host's output", "an answer", "the ledger-wal", "what was shown"} <= places
        assert f"the bus, {REJECTED}, properties" in places
    assert len(answers) == len(REQUESTS_OF_THE_SHOW)
    told = "\n".join(said)
    for request in REQUESTS_OF_THE_SHOW:
        assert request.request_id in told
    assert "Every outcome is what it should be." in told


async def ask_for_outcomes(stage: Stage) -> list[str]:
    """Ask over HTTP for the outcome of every request that has one under its own id."""
    async with httpx.AsyncClient(timeout=10, headers={"x-functions-key": stage.host.function_key}) as client:
        asked = [await client.get(f"{stage.host.url}/api/resets/{one.request_id}") for one in REQUESTS_OF_THE_SHOW]
    return [f"{answer.headers} {answer.text}" for answer in asked]


def texts_of(stage: Stage, answers: list[str]) -> Iterator[tuple[str, str]]:
    """Gather everything that left the function app: output, answers, ledger, rejected copies."""
    yield "the host's output", "\n".join(stage.host.output)
    yield from (("an answer", answer) for answer in answers)
    ledger = list(texts_of_ledger(Path(stage.environment["LEDGER_URL"].removeprefix("sqlite:///"))))
    rejected = list(texts_of_bus(stage.bus, REJECTED))
    assert ledger
    assert rejected
    yield from (*ledger, *rejected)


def test_run_finds_an_outcome_that_is_not_what_it_should_be() -> None:
    """The show can fail: a wrong status, a method that is left, a missing outcome are each told."""
    request = Request("A", "about", "{}", Expected("completed", ("phone",)))
    assert _check(request, {}) == ["A: no outcome came within 90 s"]
    line = {"type": "phone", "result": "remaining"}
    outcome = {"requestId": "A", "status": "partial", "verified": False, "methods": [line], "reasons": []}
    assert len(_check(request, {"A": outcome})) == 4


async def test_serve_prints_addresses_that_answer_and_stops_on_ctrl_c() -> None:
    """What it prints can be pasted; Ctrl-C ends it cleanly."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", "serve", "--port", "0"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout
    text = ""
    try:
        async with asyncio.timeout(30):
            while "What the tenant holds of a user" not in text:
                text += (await process.stdout.readline()).decode()
            text += (await process.stdout.readline()).decode()
            health = re.search(r"curl -s (\S+/api/health)", text)
            user = re.search(r"curl -s (\S+/sandbox/users/\S+)", text)
            assert health
            assert user
            async with httpx.AsyncClient(timeout=10) as client:
                assert (await client.get(health[1])).json() == {"status": "up"}
                assert (await client.get(user[1])).status_code == 200
            process.send_signal(signal.SIGINT)
            rest = (await process.stdout.read()).decode()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert rest.strip().endswith("Stopped.")
    assert "Traceback" not in rest
