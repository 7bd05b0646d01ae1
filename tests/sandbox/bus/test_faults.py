"""Faults to order: sends that are refused, answers that are lost or late."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError, ServiceBusServerBusyError

from sandbox.bus import SENDING, Operation, State
from tests.sandbox.bus.conftest import HANGS_AFTER_SECONDS, LATE_SECONDS

if TYPE_CHECKING:
    from tests.sandbox.bus.conftest import Line, Opened

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("bus"), pytest.mark.long]


async def test_send_when_refused_to_order_then_client_hears_the_condition(line: Line) -> None:
    """So many sends are refused, scheduled ones too, and nothing is kept of them; then all is well."""
    line.bus.refuse_sends(line.name, "com.microsoft:server-busy", times=3)
    await line.sender.send_messages(ServiceBusMessage("fourth try"))
    assert len(line.bus.peek(line.name)) == 1
    line.bus.refuse_sends(line.name, times=10)
    with pytest.raises(ServiceBusServerBusyError):
        await line.sender.send_messages(ServiceBusMessage("never"))
    with pytest.raises(ServiceBusServerBusyError):
        await line.sender.schedule_messages(ServiceBusMessage("never"), line.bus.peek(line.name)[0].enqueued_at)
    line.bus.clear_faults()
    await line.sender.send_messages(ServiceBusMessage("last"))
    assert [m.body for m in line.bus.peek(line.name)] == [b"fourth try", b"last"]


async def test_send_when_answer_is_lost_then_client_sends_twice(line: Line) -> None:
    """The sender cannot know that the first one arrived: the queue holds both, under one message id."""
    line.bus.lose_answers(line.name)
    await line.sender.send_messages(ServiceBusMessage("x", message_id="one"))
    assert [m.message_id for m in line.bus.peek(line.name)] == ["one", "one"]


async def test_schedule_when_answer_is_lost_then_the_message_waits_all_the_same(line: Line) -> None:
    """The effect of a lost answer stays, over the management node too: the client's second try is another message."""
    line.bus.lose_answers(line.name)
    await line.sender.schedule_messages(ServiceBusMessage("x"), line.clock())
    assert [one.body for one in line.bus.peek(line.name)] == [b"x", b"x"]


async def test_send_when_answer_is_delayed_then_it_waits(line: Line) -> None:
    """The message is there at once, the answer later."""
    line.bus.delay_answers(line.name, seconds=LATE_SECONDS)
    began = time.monotonic()
    sending = asyncio.create_task(line.sender.send_messages(ServiceBusMessage("x")))
    await line.until_faults_struck()
    assert len(line.bus.peek(line.name)) == 1
    assert not sending.done()
    await sending
    assert time.monotonic() - began >= LATE_SECONDS


@pytest.mark.parametrize("operation", list(SENDING))
async def test_request_when_lost_then_nothing_is_taken_and_the_client_may_repeat_it(
    line: Line, operation: Operation
) -> None:
    """One of either kind waits for its own kind: the other is spared.

    The client tries five times, each over a new connection, and gives up by itself. It is not cut short: what a send
    that is cancelled had written may reach the bus after the faults are cleared, and then it is taken.
    """
    line.bus.lose_requests(line.name, times=9, to={operation})
    other, struck = send, schedule
    if operation is Operation.SEND:
        other, struck = struck, other
    await other(line, "spared")
    with pytest.raises(ServiceBusError):
        await asyncio.wait_for(struck(line, "struck"), HANGS_AFTER_SECONDS)
    line.bus.clear_faults()
    assert [one.body for one in line.bus.peek(line.name)] == [b"spared"]
    await struck(line, "repeated")
    assert [one.body for one in line.bus.peek(line.name)] == [b"spared", b"repeated"]


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("operation", list(SENDING))
async def test_request_when_never_answered_then_done_or_not_and_the_client_waits(
    line: Line, opened: Opened, operation: Operation, *, done: bool
) -> None:
    """The connection stays, and other links are served meanwhile; whoever stops waiting needs another link."""
    line.bus.keep_silent(line.name, done=done, to={operation})
    (leaving,) = await opened.open(line.client.get_queue_sender(line.name))
    act = send if operation is Operation.SEND else schedule
    waiting = asyncio.create_task(act(replace(line, sender=leaving), "struck"))
    await line.until_faults_struck()
    await act(line, "spared")
    connections = line.bus.connections
    await asyncio.sleep(0.3)
    assert (waiting.done(), line.bus.connections) == (False, connections)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    bodies = [one.body for one in line.bus.peek(line.name)]
    assert bodies == ([b"struck", b"spared"] if done else [b"spared"])


async def send(line: Line, body: str) -> None:
    """Send now."""
    await line.sender.send_messages(ServiceBusMessage(body))


async def schedule(line: Line, body: str) -> None:
    """Send for later."""
    await line.sender.schedule_messages(ServiceBusMessage(body), line.clock() + timedelta(hours=1))


async def test_schedule_when_a_list_then_all_are_taken_in_one_request_or_none(line: Line) -> None:
    """A fault strikes the list as a whole; afterwards each has a number of its own and can be cancelled alone."""
    due = line.clock() + timedelta(minutes=5)
    messages = [ServiceBusMessage(str(number)) for number in range(50)]
    line.bus.refuse_sends(line.name, times=20)
    with pytest.raises(ServiceBusServerBusyError):
        await line.sender.schedule_messages(messages, due)
    assert line.bus.peek(line.name) == ()
    line.bus.clear_faults()
    numbers = await line.sender.schedule_messages(messages, due)
    assert len(set(numbers)) == 50
    assert {one.state for one in line.bus.peek(line.name)} == {State.SCHEDULED}
    await line.sender.cancel_scheduled_messages(numbers[:48])
    line.clock.advance(301)
    assert [str(one) for one in await line.receive(2)] == ["48", "49"]
