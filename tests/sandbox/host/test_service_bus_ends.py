"""What becomes of messages when their host ends, their lock, or the bus."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage

from sandbox.bus import Bus
from sandbox.host import HostProcess
from sandbox.host.running import EXIT_FUNCTION_TIMEOUT
from tests.sandbox.host.apps import ANSWERING, write_app
from tests.sandbox.host.scenes import TAKING, Post, Scene, new_host

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("host-service-bus-ends")]

QUEUES = ("drained", "killed", "kept", "lost", "frozen", "disabled")


@pytest.fixture(scope="module")
def bus() -> Iterator[Bus]:
    """Start a bus with a queue a test."""
    with Bus(queues=QUEUES, lock_seconds=1) as bus:
        yield bus


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def post(bus: Bus) -> AsyncIterator[Post]:
    """Open the post to it."""
    async with Post(bus) as post:
        yield post


async def test_stop_when_a_message_is_in_work_then_it_is_drained(bus: Bus, post: Post, tmp_path: Path) -> None:
    """It is completed, and what waits behind it is not touched."""
    service_bus = {"maxConcurrentCalls": 1}
    async with new_host(bus, tmp_path, "drained", extensions={"serviceBus": service_bus}) as host:
        scene = Scene(bus, host, tmp_path / "seen.jsonl", post, "drained")
        await scene.send(ServiceBusMessage("wait 1"), ServiceBusMessage("behind it"))
        await scene.wait_until(lambda: len(scene.seen) == 1)
        await host.stop()
        assert "WARNING root waited" in host.output
    assert [each.body for each in bus.peek("drained")] == [b"behind it"]
    assert [each.delivery_count for each in bus.peek("drained")] == [0]


async def test_stop_when_the_drain_is_over_then_the_lock_is_left_to_expire(tmp_path: Path) -> None:
    """The message is neither completed nor given back."""
    with Bus(queues=("left",), lock_seconds=60) as bus:
        async with Post(bus) as post, new_host(bus, tmp_path, "left", drain_seconds=0.2) as host:
            scene = Scene(bus, host, tmp_path / "seen.jsonl", post, "left")
            await scene.send(ServiceBusMessage("wait 30"))
            await scene.wait_until(lambda: len(scene.seen) == 1)
            await host.stop()
            assert "WARNING root waited" not in host.output
            assert [each.locked_until is not None for each in bus.peek("left")] == [True]


async def test_kill_when_a_message_is_in_work_then_it_is_delivered_again(bus: Bus, post: Post, tmp_path: Path) -> None:
    """After the lock's time, and counted."""
    async with new_host(bus, tmp_path, "killed") as host:
        scene = Scene(bus, host, tmp_path / "seen.jsonl", post, "killed")
        await scene.send(ServiceBusMessage("wait 30"))
        await scene.wait_until(lambda: len(scene.seen) == 1)
        await host.kill()
    async with new_host(bus, tmp_path, "killed") as host:
        await scene.wait_until(lambda: [each["delivery_count"] for each in scene.seen] == [1, 2])
        await host.kill()


async def test_freeze_when_a_message_is_in_work_then_another_host_gets_it(bus: Bus, post: Post, tmp_path: Path) -> None:
    """Its lock ends, as nobody renews it; the one that wakes up finishes, and its success comes too late."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    single = {"serviceBus": {"maxConcurrentCalls": 1}}
    async with new_host(bus, tmp_path / "first", "frozen", extensions=single) as first:
        scene = Scene(bus, first, tmp_path / "first" / "seen.jsonl", post, "frozen")
        await scene.send(ServiceBusMessage("wait 2"))
        await scene.wait_until(lambda: len(scene.seen) == 1)
        await first.freeze()
        async with new_host(bus, tmp_path / "second", "frozen", extensions=single) as second:
            other = Scene(bus, second, tmp_path / "second" / "seen.jsonl", post, "frozen")
            await other.wait_until(lambda: [each["delivery_count"] for each in other.seen] == [2])
            await other.wait_empty()
            first.thaw()
            await first.wait_for_output("was not settled and comes again: MessageLockLostError")
            assert [len(each.seen) for each in (scene, other)] == [1, 1]
            await second.kill()
        await first.kill()


async def test_queue_function_when_disabled_then_messages_wait(bus: Bus, post: Post, tmp_path: Path) -> None:
    """Nobody takes them."""
    settings = {
        "ServiceBusConnection": bus.connection_string,
        "QUEUE": "disabled",
        "SEEN": "",
        "AzureWebJobs.take.Disabled": "True",
    }
    async with HostProcess(write_app(tmp_path, TAKING + ANSWERING), settings) as host:
        await post.send("disabled", ServiceBusMessage("x"))
        await asyncio.sleep(1.5)
        await host.kill()
    assert [(each.delivery_count, each.locked_until) for each in bus.peek("disabled")] == [(0, None)]


async def test_function_timeout_when_exceeded_then_the_message_is_abandoned(tmp_path: Path) -> None:
    """The process ends, and the message is free with one delivery counted, not two, long before its lock would end."""
    with Bus(queues=("late",), lock_seconds=60) as bus:
        async with Post(bus) as post, new_host(bus, tmp_path, "late", functionTimeout="00:00:01") as host:
            scene = Scene(bus, host, tmp_path / "seen.jsonl", post, "late")
            await scene.send(ServiceBusMessage("wait 30"))
            assert await host.wait_for_exit(30) == EXIT_FUNCTION_TIMEOUT
        (message,) = bus.peek("late")
        assert (message.locked_until, message.delivery_count, len(scene.seen)) == (None, 1, 1)


async def test_auto_complete_when_off_then_the_message_stays_locked(bus: Bus, post: Post, tmp_path: Path) -> None:
    """Nobody settles it: the lock expires."""
    service_bus = {"autoCompleteMessages": False}
    async with new_host(bus, tmp_path, "kept", extensions={"serviceBus": service_bus}) as host:
        scene = Scene(bus, host, tmp_path / "seen.jsonl", post, "kept")
        await scene.send(ServiceBusMessage("kept"))
        await host.wait_for_output("Executed 'Functions.take' (Succeeded")
        await scene.wait_until(lambda: [each["delivery_count"] for each in scene.seen] == [1, 2])
        await host.kill()


async def test_lock_when_renewal_is_over_then_it_is_lost_and_the_host_says_so(
    bus: Bus, post: Post, tmp_path: Path
) -> None:
    """The `maxAutoLockRenewalDuration` is the end of it; the function's success comes too late."""
    service_bus = {"maxConcurrentCalls": 1, "maxAutoLockRenewalDuration": "00:00:00"}
    async with new_host(bus, tmp_path, "lost", extensions={"serviceBus": service_bus}) as host:
        scene = Scene(bus, host, tmp_path / "seen.jsonl", post, "lost")
        await scene.send(ServiceBusMessage("wait 1.4"))
        assert "was not settled and comes again: MessageLockLostError" in await host.wait_for_output("not settled")
        await scene.wait_until(lambda: [each["delivery_count"] for each in scene.seen] == [1, 2])
        await host.kill()


async def test_bus_when_it_goes_away_then_the_host_comes_back_to_it(tmp_path: Path) -> None:
    """The host lives on, says so, and finds the bus again; after a broken connection too."""
    with Bus(queues=("q",)) as bus:
        async with new_host(bus, tmp_path, "q", extensions={"serviceBus": {"maxConcurrentCalls": 1}}) as host:
            bus.stop()
            line = await host.wait_for_output("; trying again in 0.2 s")
            assert line.startswith("WARNING Host.Triggers.ServiceBus q: ServiceBusConnectionError")
            bus.start()
            for body in ("after the outage", "after the drop"):
                async with Post(bus) as post:
                    scene = Scene(bus, host, tmp_path / "seen.jsonl", post, "q")
                    await scene.send(ServiceBusMessage(body))
                await scene.wait_until(lambda: bool(scene.deliveries(body)))  # noqa: B023 - awaited in its round
                bus.drop_connections()
            await host.kill()
