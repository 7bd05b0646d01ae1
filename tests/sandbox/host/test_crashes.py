"""Hosts that are killed, frozen, started again, and what they have started."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from sandbox.host import HostError, HostProcess, HostStartError
from tests.sandbox.host.apps import ANSWERING, write_app
from tests.sandbox.host.test_lifecycle import get, is_alive

# An app that starts a process which holds the host's output open.
PARENT = """
import subprocess
started = subprocess.Popen(["sleep", "60"])
logging.warning("child %s", started.pid)

@app.route("count", auth_level=func.AuthLevel.ANONYMOUS)
async def count(req: func.HttpRequest) -> str:
    for number in range(100):
        logging.warning("count %s", number)
        await asyncio.sleep(0.05)
    return "done"
"""


def new_host(tmp_path: Path) -> HostProcess:
    """Make a host of the app above."""
    return HostProcess(write_app(tmp_path, PARENT + ANSWERING), {}, drain_seconds=10)


async def child_of(host: HostProcess, after: int = 0) -> int:
    """Give the id of the process that the app has started."""
    return int((await host.wait_for_output("WARNING root child", after=after)).rpartition(" ")[2])


async def dies(host: HostProcess) -> None:
    """Wait until it is known to have ended, no more."""
    async with asyncio.timeout(30):
        while host.exit_code is None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def ends(pid: int) -> bool:
    """Whether a process ends soon."""
    for _ in range(1_000):
        if not is_alive(pid):
            return True
        await asyncio.sleep(0.02)
    return False


async def test_kill_when_the_app_has_children_then_they_end_with_it(tmp_path: Path) -> None:
    """Nothing is left, and nobody waits for an output that a child holds open."""
    async with new_host(tmp_path) as host:
        child = await child_of(host)
        assert await host.kill() == -signal.SIGKILL
        assert await ends(child)


async def test_stop_when_the_app_has_children_then_they_end_after_it(tmp_path: Path) -> None:
    """The host drains first, and its exit code is its own."""
    async with new_host(tmp_path) as host:
        child = await child_of(host)
        assert await host.stop() == 0
        assert await ends(child)


async def test_host_when_its_parent_is_killed_then_its_children_end_too(tmp_path: Path) -> None:
    """No process outlives the test that started it."""
    write_app(tmp_path, PARENT + ANSWERING)
    parent = """
import asyncio, pathlib, sys
from sandbox.host import HostProcess

async def main():
    async with HostProcess(pathlib.Path(sys.argv[1]), {}) as host:
        print(host.pid, (await host.wait_for_output("WARNING root child")).rpartition(" ")[2], flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    async with asyncio.timeout(90):
        started = [int(pid) for pid in (await process.stdout.readline()).split()]
        assert all(map(is_alive, started))
        process.kill()
        await process.wait()
        assert all([await ends(pid) for pid in started])


async def test_start_when_killed_before_then_on_the_same_port_with_the_same_keys(tmp_path: Path) -> None:
    """Another process; what was logged before stays; while it runs it cannot be started."""
    async with new_host(tmp_path) as host:
        url, pid, logged = host.url, host.pid, list(host.output)
        with pytest.raises(HostError, match="runs already"):
            await host.start()
        await host.kill()
        for _ in range(2):
            with pytest.raises(httpx.HTTPError):
                await get(host, "/api/ping")
            await host.start()
            assert host.url == url
            assert (await get(host, "/api/ping")).text == "pong"
            await host.stop()
        assert host.pid != pid
        assert host.output[: len(logged)] == logged


async def test_start_when_it_ended_by_itself_then_what_it_left_ends_first(tmp_path: Path) -> None:
    """Nobody has to wait for its end before; the exit of a frozen one needs no thaw."""
    async with new_host(tmp_path) as host:
        child, lines = await child_of(host), len(host.output)
        await host.freeze()
        os.kill(host.pid, signal.SIGKILL)
        await dies(host)
        await host.start()
        assert await ends(child)
        assert is_alive(await child_of(host, after=lines))
        await host.freeze()
        os.kill(host.pid, signal.SIGKILL)
        await dies(host)
        assert await host.stop() == -signal.SIGKILL


async def test_start_when_the_app_is_broken_meanwhile_then_only_the_new_words_are_told(tmp_path: Path) -> None:
    """The failed start ends; a later one succeeds."""
    async with new_host(tmp_path) as host:
        await host.kill()
        write_app(tmp_path, "raise RuntimeError('at import')")
        with pytest.raises(HostStartError, match="at import") as raised:
            await host.start()
        assert "Now listening" not in str(raised.value)
        write_app(tmp_path, ANSWERING)
        await host.start()
        assert (await get(host, "/api/ping")).text == "pong"


async def test_freeze_when_a_call_runs_then_it_stands_until_thawed(tmp_path: Path) -> None:
    """Nothing is logged, connections stay open but nothing answers; afterwards it goes on where it stood."""
    async with new_host(tmp_path) as host:
        child = await child_of(host)
        call = asyncio.create_task(get(host, "/api/count"))
        await host.wait_for_output("count 3")
        await host.freeze()
        await host.freeze()
        await asyncio.sleep(0.1)  # what was in the pipe
        logged = len(host.output)
        with pytest.raises(httpx.ReadTimeout):
            async with httpx.AsyncClient(base_url=host.url, timeout=0.5) as client:
                await client.get("/api/ping")
        assert (len(host.output), call.done(), is_alive(child)) == (logged, False, True)
        host.thaw()
        host.thaw()
        assert (await call).text == "done"
        assert [line for line in host.output if "count 99" in line]


async def test_stop_when_frozen_then_thawed_for_it(tmp_path: Path) -> None:
    """The call that stood is drained."""
    async with new_host(tmp_path) as host:
        call = asyncio.create_task(get(host, "/api/count"))
        await host.wait_for_output("count 3")
        await host.freeze()
        assert await host.stop() == 0
        assert (await call).text == "done"


@pytest.mark.parametrize("ending", ["killed", "left"])
async def test_host_when_frozen_and_killed_or_left_then_it_ends_without_a_word(tmp_path: Path, ending: str) -> None:
    """It is not thawed to be ended; the next start is a fresh one."""
    async with new_host(tmp_path) as host:
        child = await child_of(host)
        call = asyncio.create_task(get(host, "/api/count"))
        await host.wait_for_output("count 3")
        await host.freeze()
        logged = len(host.output)
        if ending == "killed":
            await host.kill()
            await host.start()
            assert (await get(host, "/api/ping")).text == "pong"
            await host.stop()
    await asyncio.gather(call, return_exceptions=True)
    assert not [line for line in host.output[logged:] if "count 9" in line]
    assert await ends(child)
    with pytest.raises(HostError, match="has ended"):
        await host.freeze()
    with pytest.raises(HostError, match="has ended"):
        host.thaw()
