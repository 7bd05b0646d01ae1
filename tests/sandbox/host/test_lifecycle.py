"""How a host ends."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.host import HostError, HostProcess
from sandbox.host.running import EXIT_FUNCTION_TIMEOUT, EXIT_STOPPED
from sandbox.host.worker import EXIT_WORKER_DIED
from tests.sandbox.host.apps import ANSWERING, write_app

APP = """
@app.route("wait", auth_level=func.AuthLevel.ANONYMOUS)
async def wait(req: func.HttpRequest) -> str:
    logging.warning("waiting")
    await asyncio.sleep(float(req.params["seconds"]))
    logging.warning("waited")
    return "done"

@app.route("block", auth_level=func.AuthLevel.ANONYMOUS)
async def block(req: func.HttpRequest) -> str:
    logging.warning("blocking")
    time.sleep(float(req.params["seconds"]))
    return "done"

@app.route("hold", auth_level=func.AuthLevel.ANONYMOUS)
def hold(req: func.HttpRequest) -> str:
    logging.warning("holding")
    time.sleep(float(req.params["seconds"]))
    return "done"

@app.route("exit", auth_level=func.AuthLevel.ANONYMOUS)
async def leave(req: func.HttpRequest) -> str:
    sys.exit(7)
"""


def new_host(tmp_path: Path, host_json: Mapping[str, Any] | None = None, drain_seconds: float = 5) -> HostProcess:
    """Make a host of the app above."""
    return HostProcess(write_app(tmp_path, APP + ANSWERING, host_json), {}, drain_seconds=drain_seconds)


async def get(host: HostProcess, path: str) -> httpx.Response:
    """Call once."""
    async with httpx.AsyncClient(base_url=host.url, timeout=10) as client:
        return await client.get(path)


def is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


async def test_stop_when_nothing_runs_then_exit_code_zero(tmp_path: Path) -> None:
    """SIGTERM ends it cleanly, and a second stop does nothing."""
    async with new_host(tmp_path) as host:
        assert (await get(host, "/api/ping")).text == "pong"
        assert host.exit_code is None
        assert await host.stop() == EXIT_STOPPED
        assert await host.stop() == EXIT_STOPPED
        assert await host.kill() == EXIT_STOPPED


async def test_stop_when_a_call_runs_then_it_is_drained(tmp_path: Path) -> None:
    """The caller still gets the answer."""
    async with new_host(tmp_path) as host:
        call = asyncio.create_task(get(host, "/api/wait?seconds=1.2"))
        await host.wait_for_output("waiting")
        assert await host.stop() == EXIT_STOPPED
        assert (await call).text == "done"


async def test_stop_when_the_drain_is_over_then_the_call_is_cancelled(tmp_path: Path) -> None:
    """The grace has an end."""
    async with new_host(tmp_path, drain_seconds=0.2) as host:
        call = asyncio.create_task(get(host, "/api/wait?seconds=30"))
        await host.wait_for_output("waiting")
        assert await host.stop() == EXIT_STOPPED
        with pytest.raises(httpx.HTTPError):
            await call
        assert "WARNING root waited" not in host.output


@pytest.mark.parametrize(("path", "word"), [("block", "blocking"), ("hold", "holding")])
async def test_stop_when_a_function_blocks_a_thread_then_it_ends_all_the_same(
    tmp_path: Path, path: str, word: str
) -> None:
    """The host hangs neither on the worker's loop nor on its pool."""
    async with new_host(tmp_path, drain_seconds=0.2) as host:
        call = asyncio.create_task(get(host, f"/api/{path}?seconds=30"))
        await host.wait_for_output(word)
        assert await host.stop() == EXIT_STOPPED
        with pytest.raises(httpx.HTTPError):
            await call


async def test_kill_when_a_call_runs_then_nothing_is_finished(tmp_path: Path) -> None:
    """The crash case."""
    async with new_host(tmp_path) as host:
        call = asyncio.create_task(get(host, "/api/wait?seconds=30"))
        await host.wait_for_output("waiting")
        assert await host.kill() == -signal.SIGKILL
        with pytest.raises(httpx.HTTPError):
            await call
        assert "WARNING root waited" not in host.output


@pytest.mark.parametrize("path", ["wait", "block"])
async def test_function_timeout_when_exceeded_then_all_fail_and_the_process_ends(tmp_path: Path, path: str) -> None:
    """Also a function that blocks its loop; what runs beside it fails too."""
    async with new_host(tmp_path, {"functionTimeout": "00:00:03"}) as host:
        first = asyncio.create_task(get(host, f"/api/{path}?seconds=30"))
        await host.wait_for_output(f"{path}ing")
        await asyncio.sleep(0.3)
        second = asyncio.create_task(get(host, "/api/wait?seconds=30"))
        assert await host.wait_for_exit(30) == EXIT_FUNCTION_TIMEOUT
        assert [(await call).status_code for call in (first, second)] == [500, 500]
        line = await host.wait_for_output("Timeout value of 00:00:03 exceeded")
        assert f"by function 'Functions.{path}'" in line
        durations = [
            int(found[1]) for line in host.output if (found := re.search(r"\(Failed, .*Duration=(\d+)ms", line))
        ]
        assert min(durations) < 2900
        assert max(durations) >= 3000


async def test_worker_when_a_function_exits_the_process_then_the_host_ends(tmp_path: Path) -> None:
    """sys.exit() in a function takes the worker with it."""
    async with new_host(tmp_path) as host:
        with pytest.raises(httpx.HTTPError):
            await get(host, "/api/exit")
        assert await host.wait_for_exit(30) == EXIT_WORKER_DIED


async def test_output_when_the_host_has_ended_then_waiting_for_more_fails(tmp_path: Path) -> None:
    """Nothing waits for a line that cannot come."""
    async with new_host(tmp_path) as host:
        waiting = asyncio.create_task(host.wait_for_output("never said"))
        await host.kill()
        with pytest.raises(HostError, match="never said"):
            await waiting


async def test_host_when_its_parent_is_killed_then_it_ends(tmp_path: Path) -> None:
    """No host outlives the test that started it."""
    write_app(tmp_path, ANSWERING)
    parent = """
import asyncio, pathlib, sys
from sandbox.host import HostProcess

async def main():
    async with HostProcess(pathlib.Path(sys.argv[1]), {}) as host:
        print(host.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    async with asyncio.timeout(90):
        pid = int(await process.stdout.readline())
        assert is_alive(pid)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        for _ in range(600):
            if not is_alive(pid):
                return
            await asyncio.sleep(0.05)
    pytest.fail("The host outlived its parent")
