"""A bus, a host on it whose queue function does what a message says, and what it saw."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from sandbox.bus import Bus
from sandbox.host import HostProcess
from tests.sandbox.host.apps import write_app

# The body says what to do.
TAKING = """
def see(message, context=None):
    names = [name for name in dir(func.ServiceBusMessage) if not name.startswith("_") and name != "get_body"]
    values = {name: getattr(message, name) for name in names if name != "force_persistence"}
    seen = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()}
    return seen | {"body": message.get_body().decode(), "trace": context and context.trace_context.trace_parent}

@app.service_bus_queue_trigger("message", connection="ServiceBusConnection", queue_name="%QUEUE%")
async def take(message: func.ServiceBusMessage, context: func.Context) -> None:
    with open(os.environ["SEEN"], "a", encoding="utf-8") as file:
        file.write(json.dumps(see(message, context), default=str) + "\\n")
    order, _, seconds = message.get_body().decode().partition(" ")
    if order == "raise":
        raise ValueError("said on purpose")
    if order == "wait":
        await asyncio.sleep(float(seconds))
        logging.warning("waited")
    if order == "block":
        time.sleep(float(seconds))
"""
HOST_JSON = {"extensions": {"serviceBus": {"maxConcurrentCalls": 3, "maxAutoLockRenewalDuration": "00:00:06"}}}


class Post:
    """Sends to a bus, for `async with`: one connection for each entity, opened at its first use."""

    def __init__(self, bus: Bus) -> None:
        self._client = ServiceBusClient.from_connection_string(bus.connection_string)
        # Held here: the client closes only those senders that somebody still holds.
        self._senders: dict[str, ServiceBusSender] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.close()

    async def send(self, entity: str, *messages: ServiceBusMessage) -> None:
        """Put messages on a queue or topic."""
        if entity not in self._senders:
            self._senders[entity] = self._client.get_queue_sender(entity)
        await self._senders[entity].send_messages(list(messages))


class Scene:
    """A bus, a host on it, and what the queue's function has seen."""

    def __init__(self, bus: Bus, host: HostProcess, file: Path, post: Post, queue: str) -> None:
        self.bus = bus
        self.host = host
        self._file = file
        self.queue = queue
        self._post = post

    @property
    def seen(self) -> list[Mapping[str, Any]]:
        """The deliveries, oldest first."""
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines()]

    def deliveries(self, body: str) -> list[Mapping[str, Any]]:
        """Those of one body."""
        return [each for each in self.seen if each["body"] == body]

    async def send(self, *messages: ServiceBusMessage) -> None:
        """Put messages on the queue."""
        await self._post.send(self.queue, *messages)

    async def wait_until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for a state, within bounds."""
        for _ in range(int(seconds / 0.02)):
            if holds():
                return
            await asyncio.sleep(0.02)
        pytest.fail("It did not come about:\n" + "\n".join(self.host.output))

    async def wait_empty(self) -> None:
        """Wait until the queue holds nothing."""
        await self.wait_until(lambda: not self.bus.peek(self.queue))


def new_host(
    bus: Bus, app: Path, queue: str, drain_seconds: float = 5, source: str = TAKING, **host_json: object
) -> HostProcess:
    """Make a host of an app in that directory, on that queue."""
    environment = {"ServiceBusConnection": bus.connection_string, "QUEUE": queue, "SEEN": str(app / "seen.jsonl")}
    return HostProcess(write_app(app, source, {**HOST_JSON, **host_json}), environment, drain_seconds=drain_seconds)
