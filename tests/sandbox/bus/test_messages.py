"""A message's way through a queue, as the azure-servicebus client sees it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    ServiceBusError,
)

from sandbox.bus import State
from tests.sandbox.bus.conftest import HANGS_AFTER_SECONDS, receive

if TYPE_CHECKING:
    from tests.sandbox.bus.conftest import Line, Opened

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("bus"), pytest.mark.long]
LOCK = timedelta(seconds=30)
SECOND = timedelta(seconds=1)  # more than the bus loses between two looks at the machine's clock


async def test_message_when_sent_then_arrives_with_its_properties(line: Line) -> None:
    """Every property that a sender can set reaches the receiver."""
    sent = ServiceBusMessage(
        b"body",
        message_id="id-1",
        correlation_id="id-0",
        content_type="application/json",
        subject="outcome",
        to="there",
        reply_to="here",
        partition_key="key",
        time_to_live=timedelta(days=14),
    )
    await line.sender.send_messages(sent)
    got = await line.receive_one()
    assert (got.message_id, got.correlation_id, got.content_type) == ("id-1", "id-0", "application/json")
    assert (got.subject, got.to, got.reply_to, got.partition_key) == ("outcome", "there", "here", "key")
    assert got.time_to_live == timedelta(days=14)
    assert got.enqueued_time_utc is not None
    assert got.expires_at_utc == got.enqueued_time_utc + timedelta(days=14)


async def test_message_when_received_then_carries_what_the_broker_knows(line: Line) -> None:
    """Sequence number, times, lock and count are there, the count 0 at first."""
    before, began = line.clock(), datetime.now(UTC)
    await line.sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
    first, second = await line.receive(2)
    assert (first.sequence_number, second.sequence_number) == (1, 2)
    assert first.delivery_count == 0
    assert first.enqueued_time_utc is not None
    assert before - SECOND < first.enqueued_time_utc <= line.clock()
    assert first.locked_until_utc is not None
    assert began + LOCK - SECOND < first.locked_until_utc <= datetime.now(UTC) + LOCK
    assert first.lock_token != second.lock_token
    assert isinstance(first.lock_token, uuid.UUID)


async def test_application_properties_when_of_any_type_then_round_trip(line: Line) -> None:
    """Text, numbers, booleans, times and ids keep their type."""
    properties: dict[str | bytes, int | float | bytes | bool | str | uuid.UUID] = {
        "text": "žluťoučký",
        "empty": "",
        "number": 7,
        "negative": -1,
        "real": 1.5,
        "yes": True,
        "no": False,
        "id": uuid.uuid4(),
    }
    await line.sender.send_messages(ServiceBusMessage("x", application_properties=dict(properties)))
    got = (await line.receive_one()).application_properties or {}
    told = {key.decode(): value.decode() if isinstance(value, bytes) else value for key, value in got.items()}  # type: ignore[union-attr]
    assert told == properties
    assert dict(line.bus.peek(line.name)[0].application_properties) == properties


async def test_body_when_binary_then_round_trips(line: Line) -> None:
    """Bytes that are no text, bytes that look like AMQP, and none at all arrive as sent."""
    bodies = [bytes(range(256)), b"\x00\x53\x75\xa0\x01x", b""]
    await line.sender.send_messages([ServiceBusMessage(body) for body in bodies])
    assert [b"".join(got.body) for got in await line.receive(3)] == bodies


async def test_body_when_value_or_sequence_then_round_trips(line: Line) -> None:
    """Bodies that are not data keep their kind."""
    value, sequence = {b"a": [1, 2]}, [[1, b"two"], [3]]
    await line.sender.send_messages(AmqpAnnotatedMessage(value_body=value))
    await line.sender.send_messages(AmqpAnnotatedMessage(sequence_body=sequence))
    first, second = await line.receive(2)
    assert (first.body_type, first.body) == (AmqpMessageBodyType.VALUE, value)
    assert (second.body_type, list(second.body)) == (AmqpMessageBodyType.SEQUENCE, sequence)


async def test_batch_when_sent_then_each_message_arrives(line: Line) -> None:
    """A batch is one transfer and so many messages, in order."""
    batch = await line.sender.create_message_batch()
    for number in range(20):
        batch.add_message(ServiceBusMessage(str(number), message_id=f"m{number}"))
    await line.sender.send_messages(batch)
    assert [(str(got), got.message_id) for got in await line.receive(20)] == [(str(n), f"m{n}") for n in range(20)]


async def test_batch_when_size_is_asked_then_the_limit_is_told(line: Line) -> None:
    """The client learns the largest batch from the link."""
    batch = await line.sender.create_message_batch()
    assert batch.max_size_in_bytes == 262_144


async def test_message_when_over_256_kb_then_refused(line: Line) -> None:
    """262,144 bytes on the wire are too many with the envelope; the link goes on with less."""
    with pytest.raises(MessageSizeExceededError):
        await line.sender.send_messages(ServiceBusMessage(b"x" * 262_144))
    with pytest.raises(MessageSizeExceededError):
        await line.sender.schedule_messages(ServiceBusMessage(b"x" * 262_144), line.clock())
    await line.sender.send_messages(ServiceBusMessage(b"x" * 262_000))
    assert len(b"".join((await line.receive_one()).body)) == 262_000


async def test_message_when_completed_then_gone(line: Line) -> None:
    """A completed message leaves the queue."""
    await line.sender.send_messages(ServiceBusMessage("x"))
    await line.receiver.complete_message(await line.receive_one())
    assert line.bus.peek(line.name) == ()


async def test_message_when_abandoned_then_again_at_once_and_at_last_dead(line: Line) -> None:
    """Each abandon adds one to the count; the third ends in the dead-letter queue with Service Bus's reason."""
    await line.sender.send_messages(ServiceBusMessage("x", message_id="poison"))
    counts = []
    for _ in range(3):
        message = await line.receive_one()
        counts.append(message.delivery_count)
        await line.receiver.abandon_message(message)
    assert counts == [0, 1, 2]
    assert line.bus.peek(line.name) == ()
    (dead,) = line.bus.peek(f"{line.name}/$DeadLetterQueue")
    assert (dead.message_id, dead.dead_letter_reason) == ("poison", "MaxDeliveryCountExceeded")
    assert dead.dead_letter_error_description == "Message could not be consumed after 3 delivery attempts."


async def test_message_when_dead_lettered_then_received_there_with_its_reason(line: Line, opened: Opened) -> None:
    """The dead-letter queue hands out what was put there, beside its own properties, and completes it."""
    await line.sender.send_messages(ServiceBusMessage("x", application_properties={"own": 1}))
    await line.receiver.dead_letter_message(await line.receive_one(), reason="Bad", error_description="Very bad")
    (dead_letters,) = await opened.open(
        line.client.get_queue_receiver(line.name, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    )
    assert [str(peeked) for peeked in await dead_letters.peek_messages()] == ["x"]
    (dead,) = await receive(dead_letters)
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Bad", "Very bad")
    assert (dead.application_properties or {})[b"own"] == 1
    await dead_letters.complete_message(dead)
    assert line.bus.peek(f"{line.name}/$deadletterqueue") == ()


async def test_dead_letter_when_dead_lettered_again_then_refused(line: Line, opened: Opened) -> None:
    """There is nowhere further for a dead letter to go."""
    await line.sender.send_messages(ServiceBusMessage("x"))
    await line.receiver.dead_letter_message(await line.receive_one())
    (dead_letters,) = await opened.open(
        line.client.get_queue_receiver(line.name, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    )
    (dead,) = await receive(dead_letters)
    with pytest.raises(ServiceBusError, match="not-allowed"):
        await dead_letters.dead_letter_message(dead)
    assert len(line.bus.peek(f"{line.name}/$DeadLetterQueue")) == 1


async def test_message_when_deferred_then_received_by_number_only(line: Line) -> None:
    """A deferred message is passed over until somebody asks for its number."""
    await line.sender.send_messages([ServiceBusMessage("first"), ServiceBusMessage("second")])
    first = await line.receive_one()
    await line.receiver.defer_message(first)
    assert str(await line.receive_one()) == "second"
    assert line.bus.peek(line.name)[0].state is State.DEFERRED
    (again,) = await line.receiver.receive_deferred_messages(first.sequence_number or 0)
    assert str(again) == "first"
    await line.receiver.renew_message_lock(again)
    await line.receiver.complete_message(again)
    assert [str(left.body, "ascii") for left in line.bus.peek(line.name)] == ["second"]


@pytest.mark.parametrize("ending", ["abandon", "dead_letter", "defer"])
async def test_deferred_message_when_settled_otherwise_then_goes_where_it_should(line: Line, ending: str) -> None:
    """Settlements over the management node do what those over the link do."""
    await line.sender.send_messages(ServiceBusMessage("x"))
    message = await line.receive_one()
    await line.receiver.defer_message(message)
    (again,) = await line.receiver.receive_deferred_messages(message.sequence_number or 0)
    await getattr(line.receiver, f"{ending}_message")(again)
    left = [(m.state, m.delivery_count) for m in line.bus.peek(line.name)]
    dead = line.bus.peek(f"{line.name}/$DeadLetterQueue")
    expected = {"abandon": [(State.DEFERRED, 1)], "defer": [(State.DEFERRED, 0)], "dead_letter": []}
    assert left == expected[ending]
    assert len(dead) == (ending == "dead_letter")


async def test_deferred_message_when_unknown_then_not_found(line: Line) -> None:
    """A number that is not deferred is a MessageNotFoundError, even beside one that is."""
    await line.sender.send_messages(ServiceBusMessage("x"))
    message = await line.receive_one()
    await line.receiver.defer_message(message)
    with pytest.raises(MessageNotFoundError):
        await line.receiver.receive_deferred_messages([message.sequence_number or 0, 99])
    assert len(await line.receiver.receive_deferred_messages([message.sequence_number or 0])) == 1


async def test_receiver_when_receive_and_delete_then_messages_are_gone_at_once(line: Line, opened: Opened) -> None:
    """Nothing is locked and nothing can be settled."""
    await line.sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
    (taker,) = await opened.open(
        line.client.get_queue_receiver(line.name, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
    )
    assert [str(got) for got in await receive(taker, 2)] == ["a", "b"]
    assert line.bus.peek(line.name) == ()


async def test_peek_when_asked_then_shows_all_states_and_locks_nothing(line: Line) -> None:
    """Peeking goes on from a sequence number and leaves everything as it was."""
    await line.sender.send_messages([ServiceBusMessage("locked"), ServiceBusMessage("visible")])
    await line.receive_one()
    await line.sender.schedule_messages(ServiceBusMessage("scheduled"), line.clock() + timedelta(hours=1))
    peeked = await line.receiver.peek_messages(10, sequence_number=1)
    assert [(str(one), one.state.name) for one in peeked] == [
        ("locked", "ACTIVE"),
        ("visible", "ACTIVE"),
        ("scheduled", "SCHEDULED"),
    ]
    assert [str(one) for one in await line.receiver.peek_messages(1, sequence_number=2)] == ["visible"]
    assert await line.receiver.peek_messages(1, sequence_number=99) == []
    assert str(await line.receive_one()) == "visible"


async def test_scheduled_message_when_not_due_then_not_visible(line: Line) -> None:
    """It waits for its time, then comes with that time as its enqueued time and a new number."""
    due = line.clock() + timedelta(minutes=5)
    (number,) = await line.sender.schedule_messages(ServiceBusMessage("later"), due)
    assert await line.receiver.receive_messages(max_wait_time=0.3) == []
    line.clock.advance(301)
    message = await line.receive_one()
    assert str(message) == "later"
    assert message.sequence_number == number + 1
    assert message.enqueued_time_utc is not None
    assert message.enqueued_time_utc >= due


async def test_message_when_sent_with_a_later_time_then_scheduled(line: Line) -> None:
    """A plain send with a scheduled enqueue time waits as well."""
    message = ServiceBusMessage("later", scheduled_enqueue_time_utc=line.clock() + timedelta(minutes=5))
    await line.sender.send_messages(message)
    assert line.bus.peek(line.name)[0].state is State.SCHEDULED
    line.clock.advance(301)
    assert str(await line.receive_one()) == "later"


async def test_scheduled_message_when_cancelled_then_never_comes(line: Line) -> None:
    """Cancelling takes it back; a second time there is nothing to take."""
    numbers = await line.sender.schedule_messages(ServiceBusMessage("x"), line.clock() + timedelta(minutes=5))
    await line.sender.cancel_scheduled_messages(numbers)
    assert line.bus.peek(line.name) == ()
    with pytest.raises(MessageNotFoundError):
        await line.sender.cancel_scheduled_messages(numbers)


async def test_lock_when_expired_then_message_again_and_late_settlement_refused(line: Line) -> None:
    """The next receiver gets it with one more on the count; the first can neither complete nor renew."""
    await line.sender.send_messages(ServiceBusMessage("x"))
    late = await line.receive_one()
    line.clock.advance(31)
    again = await line.receive_one()
    assert again.delivery_count == 1
    with pytest.raises(MessageLockLostError):
        await line.receiver.renew_message_lock(late)
    with pytest.raises(MessageLockLostError):
        await line.receiver.complete_message(late)
    await line.receiver.complete_message(again)
    assert line.bus.peek(line.name) == ()


async def test_lock_when_renewed_then_holds(line: Line) -> None:
    """A renewal counts from its own time."""
    await line.sender.send_messages(ServiceBusMessage("x"))
    message = await line.receive_one()
    line.clock.advance(20)
    began = datetime.now(UTC)
    renewed = await line.receiver.renew_message_lock(message)
    assert began + LOCK - SECOND < renewed <= datetime.now(UTC) + LOCK
    line.clock.advance(20)
    await line.receiver.complete_message(message)
    assert line.bus.peek(line.name) == ()


async def test_message_when_its_time_to_live_is_over_then_gone(line: Line) -> None:
    """An expired message is dropped, but not one that is locked, which can still be completed."""
    await line.sender.send_messages([ServiceBusMessage("a", time_to_live=timedelta(seconds=5)), ServiceBusMessage("b")])
    line.clock.advance(6)
    assert [one.body for one in line.bus.peek(line.name)] == [b"b"]
    await line.sender.send_messages(ServiceBusMessage("c", time_to_live=timedelta(seconds=5)))
    messages = await line.receive(2)
    line.clock.advance(6)
    for message in messages:
        await line.receiver.complete_message(message)
    assert line.bus.peek(line.name) == ()


async def test_receivers_when_four_share_a_queue_then_each_message_comes_once(line: Line, opened: Opened) -> None:
    """A burst of 400 messages is shared out, none twice, none lost, and everybody gets some."""
    receivers = [line.client.get_queue_receiver(line.name) for _ in range(4)]
    await opened.open(*receivers)
    # One after the other: two sends at once over one async sender break the client's own numbering of deliveries.
    for part in range(4):
        await line.sender.send_messages([ServiceBusMessage(f"{part}-{n}") for n in range(100)])
    taken: list[list[str]] = [[], [], [], []]

    async def work(share: list[str], place: int) -> None:
        while sum(map(len, taken)) < 400:
            for message in await receivers[place].receive_messages(10, max_wait_time=0.5):
                await receivers[place].complete_message(message)
                share.append(str(message))

    async with asyncio.timeout(HANGS_AFTER_SECONDS):
        await asyncio.gather(*(work(share, place) for place, share in enumerate(taken)))
    assert sorted(chain.from_iterable(taken)) == sorted(f"{part}-{n}" for part in range(4) for n in range(100))
    assert all(taken)
    assert line.bus.peek(line.name) == ()
