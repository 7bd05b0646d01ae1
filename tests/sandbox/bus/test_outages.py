"""The bus that goes away and comes back."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusConnectionError, ServiceBusError

from sandbox.bus import Bus, State
from tests.sandbox.bus.conftest import Clock, client_for, receive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender

    type Ends = tuple[Bus, ServiceBusSender, ServiceBusReceiver]


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """Give a bus of the test's own with an open sender and receiver on its one queue."""
    with Bus(queues=("q",)) as bus:
        async with client_for(bus) as client:
            sender, receiver = client.get_queue_sender("q"), client.get_queue_receiver("q")
            await asyncio.gather(sender.__aenter__(), receiver.__aenter__())
            yield bus, sender, receiver
            await asyncio.gather(sender.close(), receiver.close())


async def test_bus_when_restarted_then_keeps_port_messages_and_locks(ends: Ends) -> None:
    """What was visible, locked or deferred before is so after, and the same client goes on."""
    bus, sender, receiver = ends
    await sender.send_messages(
        [ServiceBusMessage("locked"), ServiceBusMessage("deferred"), ServiceBusMessage("visible")]
    )
    _, deferred = await receive(receiver, 2)
    await receiver.defer_message(deferred)
    address = bus.connection_string
    bus.stop()
    assert [m.body for m in bus.peek("q")] == [b"locked", b"deferred", b"visible"]
    bus.start()
    assert bus.connection_string == address
    states = [(m.body, m.state, m.locked_until is not None) for m in bus.peek("q")]
    assert states == [
        (b"locked", State.ACTIVE, True),
        (b"deferred", State.DEFERRED, False),
        (b"visible", State.ACTIVE, False),
    ]
    await sender.send_messages(ServiceBusMessage("after"))
    assert [str(m) for m in await receive(receiver, 2)] == ["visible", "after"]


async def test_message_when_its_connection_broke_then_settled_over_the_next(ends: Ends) -> None:
    """A lock outlives the connection it came by: the client settles by lock token over the management node."""
    bus, sender, receiver = ends
    await sender.send_messages(ServiceBusMessage("x"))
    (message,) = await receive(receiver)
    bus.drop_connections()
    await receiver.complete_message(message)
    assert bus.peek("q") == ()


async def test_send_when_bus_is_stopped_then_connection_error(ends: Ends) -> None:
    """Nobody listens on the port, and nobody else gets it."""
    bus, sender, _ = ends
    bus.stop()
    with pytest.raises(ServiceBusConnectionError):
        await sender.send_messages(ServiceBusMessage("x"))
    bus.start()
    await sender.send_messages(ServiceBusMessage("x"))
    assert len(bus.peek("q")) == 1


async def test_outage_when_over_then_locks_have_run_on_and_faults_wait() -> None:
    """Time does not stand still while the bus is away: the lock ends, what was scheduled is due, lives are over."""
    clock = Clock()
    with Bus(queues=("q",), lock_seconds=30, now=clock) as bus:
        client = client_for(bus)
        async with client, client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
            await sender.send_messages(ServiceBusMessage("locked"))
            (message,) = await receive(receiver)
            await sender.schedule_messages(ServiceBusMessage("due"), clock() + timedelta(seconds=20))
            await sender.send_messages(ServiceBusMessage("short-lived", time_to_live=timedelta(seconds=20)))
            bus.refuse_sends("q", "amqp:not-allowed")
            async with bus.outage():
                with pytest.raises(ServiceBusConnectionError):
                    await receiver.complete_message(message)
                clock.advance(31)
            with pytest.raises(ServiceBusError):
                await sender.send_messages(ServiceBusMessage("refused"))
            got = await receive(receiver, 2)
            assert [(str(one), one.delivery_count) for one in got] == [("locked", 1), ("due", 0)]
            with pytest.raises(MessageLockLostError):
                await receiver.complete_message(message)


async def test_outage_when_its_body_fails_then_the_bus_is_back_all_the_same() -> None:
    """A test that fails does not leave the others without a bus."""
    with Bus(queues=("q",)) as bus:
        with pytest.raises(ZeroDivisionError):
            async with bus.outage():
                raise ZeroDivisionError
        port = int(bus.connection_string.split("127.0.0.1:")[1].split(";")[0])
        socket.create_connection(("127.0.0.1", port), 5).close()


def test_bus_when_stopped_then_port_is_kept_closed() -> None:
    """A stopped bus refuses connections but nobody else gets its port; one that was left frees it."""
    with Bus(queues=("q",)) as bus:
        port = int(bus.connection_string.split("127.0.0.1:")[1].split(";")[0])
        socket.create_connection(("127.0.0.1", port), 5).close()
        bus.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_bus_when_the_clock_fails_then_the_test_hears_of_it() -> None:
    """What goes wrong in the bus's own thread is raised where the bus was held."""
    broken = [False]

    def now() -> datetime:
        if broken[0]:
            raise ZeroDivisionError
        return datetime.now(UTC)

    bus = Bus(queues=("q",), now=now)
    bus.start()
    broken[0] = True
    bus._server._thread.join(5)  # type: ignore[union-attr]
    with pytest.raises(BaseExceptionGroup, match="the bus failed") as failed:
        bus.__exit__(None, None, None)
    assert failed.group_contains(ZeroDivisionError)
