"""Faults to order that strike settlements, and locks that end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusConnectionError, ServiceBusServerBusyError

from sandbox.bus import SETTLING, NotAllowedError
from tests.sandbox.bus.conftest import LATE_SECONDS, receive

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage

    from tests.sandbox.bus.conftest import Line, Opened

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("bus"), pytest.mark.long]


async def deliver(line: Line, body: str = "x") -> ServiceBusReceivedMessage:
    """Send a message and receive it."""
    await line.sender.send_messages(ServiceBusMessage(body))
    return await line.receive_one()


async def test_settlement_when_lost_then_the_client_settles_over_the_next_connection(line: Line) -> None:
    """Nothing is done the first time, and the lock is still good the second."""
    message = await deliver(line)
    line.bus.lose_requests(line.name, to=SETTLING)
    await line.receiver.complete_message(message)
    assert line.bus.peek(line.name) == ()


async def test_settlement_when_its_answer_is_lost_then_done_and_the_client_is_told_otherwise(line: Line) -> None:
    """The client asks again, and hears that the lock is gone: with the message."""
    message = await deliver(line)
    line.bus.lose_answers(line.name, to=SETTLING)
    with pytest.raises(MessageLockLostError):
        await line.receiver.complete_message(message)
    assert line.bus.peek(line.name) == ()


async def test_settlement_when_every_try_is_lost_then_the_message_comes_again(line: Line) -> None:
    """A client that has given up leaves a lock behind, whose end counts."""
    message = await deliver(line)
    line.bus.lose_requests(line.name, times=20, to=SETTLING)
    with pytest.raises(ServiceBusConnectionError):
        await line.receiver.complete_message(message)
    assert line.bus.peek(line.name)[0].locked_until is not None
    line.bus.clear_faults()
    line.clock.advance(31)
    assert (await line.receive_one()).delivery_count == 1


async def test_settlement_when_throttled_then_the_client_tries_again(line: Line) -> None:
    """Over the link, then over the management node; refused for longer than it tries, the message stays locked."""
    message = await deliver(line)
    line.bus.refuse_settlements(line.name, times=2)
    await line.receiver.complete_message(message)
    assert line.bus.peek(line.name) == ()
    message = await deliver(line)
    line.bus.refuse_settlements(line.name, times=20)
    with pytest.raises(ServiceBusServerBusyError):
        await line.receiver.complete_message(message)
    line.bus.clear_faults()
    (left,) = line.bus.peek(line.name)
    assert (left.locked_until is not None, left.delivery_count) == (True, 0)


async def test_settlement_when_its_answer_is_late_then_the_client_waits(line: Line) -> None:
    """The message is gone at once."""
    message = await deliver(line)
    line.bus.delay_answers(line.name, seconds=LATE_SECONDS, to=SETTLING)
    began = time.monotonic()
    settling = asyncio.create_task(line.receiver.complete_message(message))
    await line.until_faults_struck()
    assert (line.bus.peek(line.name), settling.done()) == ((), False)
    await settling
    assert time.monotonic() - began >= LATE_SECONDS


@pytest.mark.parametrize("done", [True, False])
async def test_settlement_when_never_answered_then_done_or_not_and_the_client_waits(
    line: Line, opened: Opened, *, done: bool
) -> None:
    """Done, the message is gone; else its lock holds until its end, and whoever waits is not told of either."""
    (leaving,) = await opened.open(line.client.get_queue_receiver(line.name))
    await line.sender.send_messages(ServiceBusMessage("x"))
    (message,) = await receive(leaving)
    line.bus.keep_silent(line.name, done=done, to=SETTLING)
    settling = asyncio.create_task(leaving.complete_message(message))
    await line.until_faults_struck()
    await asyncio.sleep(0.3)
    assert not settling.done()
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    assert [one.locked_until is not None for one in line.bus.peek(line.name)] == ([] if done else [True])


async def test_settlement_when_the_client_leaves_before_its_late_answer_then_nothing_breaks(
    line: Line, opened: Opened
) -> None:
    """The answer goes nowhere, and the bus goes on."""
    (leaving,) = await opened.open(line.client.get_queue_receiver(line.name))
    await line.sender.send_messages(ServiceBusMessage("x"))
    (message,) = await receive(leaving)
    line.bus.delay_answers(line.name, seconds=0.5, to=SETTLING)
    settling = asyncio.create_task(leaving.complete_message(message))
    await line.until_faults_struck()
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    await leaving.close()
    await asyncio.sleep(0.5)
    assert str(await deliver(line, "after")) == "after"


async def test_abandon_when_its_answer_is_lost_then_visible_to_the_next_receiver(line: Line) -> None:
    """What comes free is not handed to the connection that has just broken."""
    message = await deliver(line)
    line.bus.lose_answers(line.name, to=SETTLING)
    with pytest.raises(MessageLockLostError):
        await line.receiver.abandon_message(message)
    assert (await line.receive_one()).delivery_count == 1


async def test_fault_when_for_settlements_then_sends_are_spared(line: Line, opened: Opened) -> None:
    """The dead-letter queue has faults of its own; a topic has none of this kind."""
    line.bus.refuse_settlements(line.name, times=20)
    message = await deliver(line)
    with pytest.raises(ServiceBusServerBusyError):
        await line.receiver.dead_letter_message(message)
    line.bus.clear_faults()
    line.clock.advance(31)
    await line.receiver.dead_letter_message(await line.receive_one(), reason="Bad")
    line.bus.refuse_settlements(f"{line.name}/$DeadLetterQueue")
    (dead_letters,) = await opened.open(
        line.client.get_queue_receiver(line.name, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    )
    (dead,) = await receive(dead_letters)
    await dead_letters.complete_message(dead)
    assert line.bus.peek(f"{line.name}/$DeadLetterQueue") == ()
    with pytest.raises(NotAllowedError):
        line.bus.refuse_settlements("Outcomes")


async def test_locks_when_ended_then_delivered_again_and_the_late_settlement_refused(line: Line) -> None:
    """The deliveries count; what nobody has locked, or what waits for its time, is not touched."""
    message = await deliver(line)
    await line.sender.schedule_messages(ServiceBusMessage("later"), line.clock())
    later = await line.receive_one()
    await line.receiver.defer_message(later)
    (deferred,) = await line.receiver.receive_deferred_messages([later.sequence_number or 0])
    line.bus.end_locks(line.name)
    assert [(one.delivery_count, one.state.name) for one in line.bus.peek(line.name)] == [
        (1, "ACTIVE"),
        (1, "DEFERRED"),
    ]
    for late in (message, deferred):
        with pytest.raises(MessageLockLostError):
            await line.receiver.complete_message(late)
    again = await line.receive_one()
    assert again.delivery_count == 1
    await line.receiver.complete_message(again)


async def test_locks_when_ended_at_every_delivery_then_at_last_dead(line: Line) -> None:
    """The third ends in the dead-letter queue."""
    await line.sender.send_messages(ServiceBusMessage("x"))
    for _ in range(3):
        await line.receive_one()
        line.bus.end_locks(line.name)
    (dead,) = line.bus.peek(f"{line.name}/$DeadLetterQueue")
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
