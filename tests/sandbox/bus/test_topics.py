"""Topics, addresses, and what the bus refuses, with the real client; the synchronous client too."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from azure.servicebus import ServiceBusClient as SyncClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import MessagingEntityNotFoundError, ServiceBusError

from sandbox.bus import Bus, NotAllowedError, UnknownEntityError
from tests.sandbox.bus.conftest import HANGS_AFTER_SECONDS, receive

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender

    from tests.sandbox.bus.conftest import Line, Opened


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.xdist_group("bus")
@pytest.mark.long
async def test_topic_when_published_to_then_each_subscription_has_its_copy(line: Line, opened: Opened) -> None:
    """A copy completed in one subscription stays in the other; a scheduled one comes at its time, to both."""
    (sender,) = await opened.open(line.client.get_topic_sender("OUTCOMES"))
    (receiver,) = await opened.open(line.client.get_subscription_receiver("outcomes", "Audit"))
    await sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
    due = line.clock() + timedelta(minutes=1)
    _, cancelled = await sender.schedule_messages([ServiceBusMessage("x"), ServiceBusMessage("y")], due)
    await sender.cancel_scheduled_messages(cancelled)
    first, _ = await receive(receiver, 2)
    assert (str(first), first.enqueued_sequence_number) == ("a", 1)
    await receiver.complete_message(first)
    assert [m.body for m in line.bus.peek("outcomes/subscriptions/AUDIT")] == [b"b"]
    assert [m.body for m in line.bus.peek("Outcomes/Subscriptions/alerts")] == [b"a", b"b"]
    line.clock.advance(61)
    assert [m.body for m in line.bus.peek("Outcomes/Subscriptions/alerts")] == [b"a", b"b", b"x"]


def test_sync_client_when_it_sends_and_receives_then_served_the_same() -> None:
    """The synchronous client goes the whole way: send, receive, renew, defer, complete, schedule."""
    with Bus(queues=("q",)) as bus, SyncClient.from_connection_string(bus.connection_string) as client:
        with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
            sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
            first, second = (receiver.receive_messages(1, max_wait_time=HANGS_AFTER_SECONDS)[0] for _ in range(2))
            receiver.renew_message_lock(first)
            receiver.defer_message(first)
            receiver.complete_message(second)
            (again,) = receiver.receive_deferred_messages(first.sequence_number or 0)
            receiver.complete_message(again)
        assert bus.peek("q") == ()


async def hear_refusal(handler: ServiceBusSender | ServiceBusReceiver) -> ServiceBusError:
    """Open a link that must not open, and give the reason."""
    with pytest.raises(ServiceBusError) as refused:
        await handler.__aenter__()
    await handler.close()
    return refused.value


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.xdist_group("bus")
@pytest.mark.long
async def test_link_when_the_entity_does_not_serve_it_then_refused(line: Line) -> None:
    """Unknown names are not found; nobody sends to subscriptions or dead letters or receives from topics."""
    client, name = line.client, line.name
    unknown: list[ServiceBusSender | ServiceBusReceiver] = [
        client.get_queue_sender("nowhere"),
        client.get_queue_receiver("nowhere"),
        client.get_subscription_receiver("Outcomes", "nobody"),
    ]
    not_allowed: list[ServiceBusSender | ServiceBusReceiver] = [
        client.get_queue_sender("Outcomes/Subscriptions/audit"),
        client.get_queue_sender(f"{name}/$DeadLetterQueue"),
        client.get_queue_receiver("Outcomes"),
        client.get_queue_receiver(name, session_id="s"),
    ]
    refusals = await asyncio.gather(*map(hear_refusal, [*unknown, *not_allowed]))
    assert all(isinstance(one, MessagingEntityNotFoundError) for one in refusals[: len(unknown)])
    assert all("amqp:not-allowed" in str(one) for one in refusals[len(unknown) :])


def test_peek_when_name_is_wrong_then_error() -> None:
    """A test that looks into the wrong place must not see an empty one."""
    with Bus(queues=("q",), topics={"t": ("s",)}) as bus:
        with pytest.raises(UnknownEntityError):
            bus.peek("nowhere")
        with pytest.raises(NotAllowedError):
            bus.peek("t")
