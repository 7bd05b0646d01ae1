"""The brokers that `shared.bus` is held to, and what reads from them."""

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol

from azure.servicebus import ServiceBusReceivedMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient

from sandbox.bus import Bus
from tests.other_bus.node import OtherBroker

REQUESTS = "mfa-reset-requests"
REJECTED = "mfa-reset-rejected"
OUTCOMES = "mfa-reset-outcomes"
AUDIT = "audit"
DELIVERIES = 3


class Broker(Protocol):
    """A namespace that a test starts and stops."""

    @property
    def keeps_messages(self) -> bool:
        """Tell whether messages outlive a stop."""
        ...

    @property
    def connection_string(self) -> str:
        """What clients connect with, the same after a stop."""
        ...

    def start(self) -> None:
        """Serve again."""
        ...

    def stop(self) -> None:
        """Break every connection and refuse new ones."""
        ...


class SandboxBroker(Bus):
    """The sandbox's."""

    keeps_messages = True


NAMES = ("sandbox", "other")


def open_broker(name: str, lock_seconds: float = 30) -> AbstractContextManager[Broker]:
    """Make a broker with the product's entities, for `with`."""
    queues, topics = (REQUESTS, REJECTED), {OUTCOMES: (AUDIT,)}
    if name == "sandbox":
        return SandboxBroker(queues, topics, lock_seconds=lock_seconds, max_delivery_count=DELIVERIES)
    return OtherBroker(queues, topics, lock_seconds=lock_seconds, max_delivery_count=DELIVERIES)


def connect(broker: Broker) -> ServiceBusClient:
    """Make a client as bootstrap does."""
    return ServiceBusClient.from_connection_string(broker.connection_string, retry_total=1, try_timeout=10)


async def read(broker: Broker, entity: str, count: int = 1, seconds: float = 10) -> list[ServiceBusReceivedMessage]:
    """Take so many messages off a queue, or off the topic's subscription; fewer when the seconds are over."""
    taken: list[ServiceBusReceivedMessage] = []
    async with connect(broker) as client:
        mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
        receiver = (
            client.get_subscription_receiver(entity, AUDIT, receive_mode=mode)
            if entity == OUTCOMES
            else client.get_queue_receiver(entity, receive_mode=mode)
        )
        ends_at = asyncio.get_running_loop().time() + seconds
        async with receiver:
            while len(taken) < count and (left := ends_at - asyncio.get_running_loop().time()) > 0:
                taken += await receiver.receive_messages(count - len(taken), max_wait_time=max(left, 0.1))
    return taken


def properties_of(message: ServiceBusReceivedMessage) -> dict[str, object]:
    """Return the application properties with names and texts as text."""
    found = (message.application_properties or {}).items()
    return {_text(name): _text(value) if isinstance(value, bytes | str) else value for name, value in found}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def body_of(message: ServiceBusReceivedMessage) -> bytes:
    """Return the body, whatever number of sections it came in."""
    return b"".join(message.body)
