"""The sandbox's host, whose pump receives, on both brokers."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue

from sandbox.host import HostProcess
from tests.contract.bus_brokers import DELIVERIES, NAMES, REQUESTS, Broker, connect, open_broker
from tests.sandbox.host.apps import write_app
from tests.sandbox.host.scenes import HOST_JSON, TAKING

LOCK_SECONDS = 2
PATIENCE_SECONDS = 20


@pytest.fixture(params=NAMES)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Start a broker of each make, whose locks end while a function still waits."""
    with open_broker(request.param, LOCK_SECONDS) as running:
        yield running


class Deliveries:
    """What the app's function wrote down, a line a delivery."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "seen.jsonl"

    def of(self, body: str) -> list[Mapping[str, Any]]:
        """Return those of one body."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        return [seen for seen in map(json.loads, lines) if seen["body"] == body]


async def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a state, within bounds."""
    for _ in range(int(PATIENCE_SECONDS / 0.05)):
        if holds():
            return
        await asyncio.sleep(0.05)
    pytest.fail("It did not come about.")


async def test_host_when_functions_return_raise_or_take_long_then_completed_given_up_or_renewed(
    broker: Broker, tmp_path: Path
) -> None:
    """What returns is done, what raises comes again until it is a dead letter, what takes long keeps its lock."""
    seen = Deliveries(tmp_path)
    environment = {"ServiceBusConnection": broker.connection_string, "QUEUE": REQUESTS, "SEEN": str(seen.file)}
    long = f"wait {2 * LOCK_SECONDS}"
    async with connect(broker) as client, client.get_queue_sender(REQUESTS) as sender:
        properties: dict[str | bytes, Any] = {"yes": True, "number": 7, "text": "é"}
        short = ServiceBusMessage("short", message_id="M", application_properties=properties)
        async with HostProcess(write_app(tmp_path, TAKING, HOST_JSON), environment):
            await sender.send_messages([short, ServiceBusMessage(long), ServiceBusMessage("raise")])
            await wait_until(lambda: len(seen.of("raise")) == DELIVERIES and bool(seen.of("short")))
            await asyncio.sleep(2.5 * LOCK_SECONDS)  # until the long one is over, and what is left of its lock
        (delivery,) = seen.of("short")
        assert (delivery["message_id"], delivery["application_properties"]) == ("M", properties)
        assert len(seen.of(long)) == 1
        assert [each["delivery_count"] for each in seen.of("raise")] == [1, 2, 3]
        dead_letters = client.get_queue_receiver(REQUESTS, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        async with dead_letters, client.get_queue_receiver(REQUESTS) as receiver:
            assert [str(message) for message in await dead_letters.peek_messages(5)] == ["raise"]
            assert await receiver.peek_messages(5) == []
