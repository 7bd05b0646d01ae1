"""A bus with many queues and the real client, whose links open once for all: the client takes half a second for one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest_asyncio
from azure.servicebus.aio import ServiceBusClient

from sandbox.bus import Bus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender

LINES = 60
HANGS_AFTER_SECONDS = 60  # on a busy machine the client takes many times as long as on one that waits for it
LATE_SECONDS = 1.5  # longer than a busy machine keeps a test from its turn


class Clock:
    """The machine's time and what a test adds to it."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """Give the time."""
        return datetime.now(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        """Go ahead."""
        self._ahead += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Line:
    """A queue of a test's own with a sender and a receiver that are open."""

    name: str
    bus: Bus
    clock: Clock
    client: ServiceBusClient
    sender: ServiceBusSender
    receiver: ServiceBusReceiver

    async def receive(self, count: int = 1) -> list[ServiceBusReceivedMessage]:
        """Receive so many messages."""
        return await receive(self.receiver, count)

    async def until_faults_struck(self) -> None:
        """Wait until the bus has done, or not done, what it was asked with a fault."""
        async with asyncio.timeout(HANGS_AFTER_SECONDS):
            await self.bus.wait_for_faults(self.name)

    async def receive_one(self) -> ServiceBusReceivedMessage:
        """Receive the one message that must be there."""
        (message,) = await self.receive()
        return message


async def receive(receiver: ServiceBusReceiver, count: int = 1) -> list[ServiceBusReceivedMessage]:
    """Receive so many messages; fewer fail."""
    messages: list[ServiceBusReceivedMessage] = []
    async with asyncio.timeout(HANGS_AFTER_SECONDS):
        while len(messages) < count:
            messages += await receiver.receive_messages(count - len(messages), max_wait_time=5)
    return messages


def client_for(bus: Bus) -> ServiceBusClient:
    """Give a client that tries again soon, not after seconds."""
    return ServiceBusClient.from_connection_string(
        bus.connection_string, retry_total=4, retry_backoff_factor=0.05, retry_backoff_max=0.2
    )


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def lines() -> AsyncIterator[list[Line]]:
    """Lines that nobody has used, all on one bus: lock 30 s, three deliveries."""
    clock = Clock()
    names = [f"queue-{number}" for number in range(LINES)]
    topics = {"Outcomes": ("audit", "alerts")}
    with Bus(names, topics, lock_seconds=30, max_delivery_count=3, now=clock) as bus:
        async with client_for(bus) as client:
            opened = [
                Line(name, bus, clock, client, client.get_queue_sender(name), client.get_queue_receiver(name))
                for name in names
            ]
            handlers = [handler for line in opened for handler in (line.sender, line.receiver)]
            await asyncio.gather(*(handler.__aenter__() for handler in handlers))
            yield list(opened)
            await asyncio.gather(*(handler.close() for handler in handlers))


@pytest_asyncio.fixture(loop_scope="session")
async def line(lines: list[Line]) -> Line:
    """Give a line of the test's own."""
    return lines.pop()


class Opened:
    """Handlers that close with the test, all at once: the client takes a second to close one."""

    def __init__(self) -> None:
        self._handlers: list[ServiceBusSender | ServiceBusReceiver] = []

    async def open[T: (ServiceBusSender, ServiceBusReceiver)](self, *handlers: T) -> tuple[T, ...]:
        """Open handlers, all at once."""
        self._handlers += handlers
        await asyncio.gather(*(handler.__aenter__() for handler in handlers))
        return handlers

    async def close(self) -> None:
        """Close what was opened."""
        await asyncio.gather(*(handler.close() for handler in self._handlers))


@pytest_asyncio.fixture(loop_scope="session")
async def opened() -> AsyncIterator[Opened]:
    """Somewhere to open what ends with the test."""
    handlers = Opened()
    yield handlers
    await handlers.close()
