"""`ports.Bus` and the receiving side, by the real client, on the sandbox's broker and on another (tests/other_bus)."""

import asyncio
import gc
import hashlib
import json
import re
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import MessageLockLostError

from shared.bus import (
    CLOSE_SECONDS,
    MAX_COPY_BYTES,
    MAX_REASON_CHARACTERS,
    MESSAGES_AT_ONCE,
    SEND_SECONDS,
    TIME_TO_LIVE,
    ServiceBus,
)
from shared.documents import outcome_document
from shared.errors import BusUnavailableError
from shared.model import RequestKey
from shared.ports import Bus, RejectedCopy
from shared.vocabulary import QUEUE, RequestId, Status
from tests.builders import an_outcome
from tests.contract.bus_brokers import (
    AUDIT,
    DELIVERIES,
    NAMES,
    OUTCOMES,
    REJECTED,
    REQUESTS,
    Broker,
    SandboxBroker,
    body_of,
    connect,
    open_broker,
    properties_of,
    read,
)

KEY = RequestKey(QUEUE, RequestId("INC-3177"))
LOCK_SECONDS = 2
FIRST_DELIVERY = 0
AUDITED = f"Subscriptions/{AUDIT}"
SEND_SECONDS_HERE = 6.0
# azure-servicebus leaves the socket of a connection that broke to the garbage collector, which warns of it.
breaks_connections = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(params=NAMES)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Start a broker of each make."""
    with open_broker(request.param) as running:
        yield running


@pytest.fixture(params=NAMES)
def brief_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Start one of each make whose locks soon end."""
    with open_broker(request.param, LOCK_SECONDS) as running:
        yield running


@pytest.fixture
async def bus(broker: Broker) -> AsyncIterator[ServiceBus]:
    """Connect the product's bus to it."""
    connected = bus_on(broker)
    yield connected
    await connected.close()
    gc.collect()  # see breaks_connections: what a test left behind is its own, not the next one's


def bus_on(broker: Broker, rejected_queue: str = REJECTED, send_seconds: float = SEND_SECONDS) -> ServiceBus:
    """Make the product's bus on a broker."""
    return ServiceBus(lambda: connect(broker), REQUESTS, rejected_queue, OUTCOMES, send_seconds=send_seconds)


def a_copy(body: bytes = b"{", reason: str = "invalid", text: str = "No JSON.") -> RejectedCopy:
    """Make a rejected copy."""
    return RejectedCopy(body, reason, text, KEY.request_id, QUEUE)


def now() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)


# --- Resumes ----------------------------------------------------------------------------------------------------


async def test_resume_when_its_time_has_not_come_then_not_visible(broker: Broker, bus: Bus) -> None:
    """A resume comes when told and not before, with the key alone in it."""
    at = now() + timedelta(seconds=3)
    await bus.schedule_resume(KEY, at)
    assert await read(broker, REQUESTS, seconds=1) == []
    (message,) = await read(broker, REQUESTS)
    assert now() >= at
    assert json.loads(body_of(message)) == {"resume": str(KEY)}
    assert (message.content_type, message.correlation_id) == ("application/json", str(KEY))
    assert abs((message.scheduled_enqueue_time_utc or at) - at) < timedelta(milliseconds=1)
    assert abs((message.enqueued_time_utc or at) - at) < timedelta(seconds=1)


async def test_resume_when_scheduled_twice_then_sent_twice(broker: Broker, bus: Bus) -> None:
    """A second call sends it again, recognisable by the MessageId; another time is another message."""
    at = now()
    await bus.schedule_resume(KEY, at)
    await bus.schedule_resume(KEY, at)
    await bus.schedule_resume(KEY, at - timedelta(minutes=1))
    first, second, third = [message.message_id for message in await read(broker, REQUESTS, 3)]
    assert first == second != third


async def test_resumes_when_more_than_a_batch_then_all_arrive_once(broker: Broker, bus: Bus) -> None:
    """No resume of many is lost or doubled."""
    keys = [RequestKey(QUEUE, RequestId(f"INC-{number}")) for number in range(MESSAGES_AT_ONCE + 5)]
    await bus.schedule_resumes(keys, now())
    bodies = [json.loads(body_of(message)) for message in await read(broker, REQUESTS, len(keys) + 1, seconds=2)]
    assert sorted(body["resume"] for body in bodies) == sorted(map(str, keys))


# --- Outcomes ---------------------------------------------------------------------------------------------------


async def test_outcome_when_published_then_subscribers_get_it_with_properties_to_filter_on(
    broker: Broker, bus: Bus
) -> None:
    """The whole document, and beside it what a subscription's rule may look at."""
    outcome = an_outcome(Status.PARTIAL, user_principal_name="zoë@contoso.example")
    await bus.publish(outcome)
    (message,) = await read(broker, OUTCOMES)
    assert json.loads(body_of(message)) == outcome_document(outcome)
    assert (message.content_type, message.subject) == ("application/json", "partial")
    assert (message.correlation_id, message.time_to_live) == ("INC-3177", TIME_TO_LIVE)
    properties = properties_of(message)
    assert {name: properties[name] for name in ("caller", "status", "profile")} == {
        "caller": "queue",
        "status": "partial",
        "profile": "",
    }


async def test_outcome_when_published_again_then_recognisable(broker: Broker, bus: Bus) -> None:
    """The MessageId comes from key and status and is short enough for duplicate detection."""
    await bus.publish(an_outcome())
    await bus.publish(an_outcome(verified=True))
    await bus.publish(an_outcome(Status.FAILED))
    first, second, third = [str(message.message_id) for message in await read(broker, OUTCOMES, 3)]
    assert first == second != third
    assert max(map(len, (first, third))) <= 128


async def test_outcomes_when_published_at_once_then_each_arrives_once(broker: Broker, bus: Bus) -> None:
    """Many at once over one link are not mixed up."""
    outcomes = [an_outcome(request_id=RequestId(f"INC-{number}")) for number in range(20)]
    await asyncio.gather(*map(bus.publish, outcomes))
    bodies = [json.loads(body_of(message)) for message in await read(broker, OUTCOMES, 21, seconds=2)]
    assert sorted(body["requestId"] for body in bodies) == sorted(outcome.request_id for outcome in outcomes)


# --- Rejected copies --------------------------------------------------------------------------------------------


async def test_copy_when_rejected_then_whole_or_cut_with_the_hash_of_the_whole(broker: Broker, bus: Bus) -> None:
    """Up to 200 KB, beside the longest reason, the broker takes it; what was cut can still be recognised."""
    bodies = {b"": False, b"\x00\xff{": False, b"a" * MAX_COPY_BYTES: False, b"b" * (MAX_COPY_BYTES + 1): True}
    for body in bodies:
        await bus.reject(a_copy(body, text="é" * (MAX_REASON_CHARACTERS + 1)))
    for message, (body, cut) in zip(await read(broker, REJECTED, len(bodies)), bodies.items(), strict=True):
        assert body_of(message) == body[:MAX_COPY_BYTES]
        assert (message.subject, message.correlation_id, message.time_to_live) == ("invalid", "INC-3177", TIME_TO_LIVE)
        properties = properties_of(message)
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", str(properties.pop("Diagnostic-Id")))
        assert properties == {
            "reason": "invalid",
            "reasonText": "é" * MAX_REASON_CHARACTERS,
            "caller": "queue",
            "sha256": hashlib.sha256(body).hexdigest(),
            "bytes": len(body),
            "cut": cut,
        }
        assert isinstance(properties["cut"], bool)


async def test_copy_when_rejected_again_then_another(broker: Broker, bus: Bus) -> None:
    """A second call sends another."""
    await bus.reject(a_copy())
    await bus.reject(a_copy())
    assert [body_of(message) for message in await read(broker, REJECTED, 2)] == [b"{", b"{"]


# --- Failures ---------------------------------------------------------------------------------------------------


@breaks_connections
async def test_send_when_entity_is_unknown_then_unavailable_and_others_go_on(broker: Broker) -> None:
    """A queue that is not there is no reason to lose the others, and the error names no entity."""
    bus = bus_on(broker, rejected_queue="no-such-queue")
    with pytest.raises(BusUnavailableError) as caught:
        await bus.reject(a_copy())
    await bus.publish(an_outcome())
    await bus.close()
    gc.collect()
    assert "no-such-queue" not in str(caught.value)
    assert len(await read(broker, OUTCOMES)) == 1


@breaks_connections
async def test_send_when_broker_was_away_then_the_next_is_taken(broker: Broker, bus: Bus) -> None:
    """Each way of sending fails while nobody listens, and works again over the same object."""
    await bus.publish(an_outcome())
    await bus.schedule_resume(KEY, now())
    await bus.reject(a_copy())
    broker.stop()
    sends = (bus.publish(an_outcome(Status.FAILED)), bus.schedule_resume(KEY, now()), bus.reject(a_copy(b"[")))
    failures = await asyncio.gather(*sends, return_exceptions=True)
    assert [type(failure) for failure in failures] == [BusUnavailableError] * 3
    broker.start()
    await bus.publish(an_outcome(Status.REFUSED))
    await bus.schedule_resume(KEY, now())
    await bus.reject(a_copy(b"]"))
    before = 1 if broker.keeps_messages else 0
    taken = await asyncio.gather(*(read(broker, each, before + 2, 2) for each in (OUTCOMES, REQUESTS, REJECTED)))
    assert [len(messages) for messages in taken] == [before + 1] * 3


@breaks_connections
async def test_send_when_broker_restarted_meanwhile_then_taken(broker: Broker, bus: Bus) -> None:
    """A link that broke while nobody sent costs no message: the first send finds another."""
    await bus.publish(an_outcome())
    broker.stop()
    broker.start()
    await bus.publish(an_outcome(Status.REFUSED))
    messages = await read(broker, OUTCOMES, 2, seconds=2)
    assert [message.subject for message in messages][-1] == "refused"


@pytest.mark.parametrize("done", [True, False])
async def test_send_when_broker_never_answers_then_unavailable_in_time_and_the_next_is_taken(*, done: bool) -> None:
    """Taken or not, each way of sending ends by itself, as not taken; the next call goes over another link."""
    with open_sandbox() as broker:
        bus = bus_on(broker, send_seconds=SEND_SECONDS_HERE)
        for entity in (OUTCOMES, REQUESTS, REJECTED):
            broker.keep_silent(entity, times=9, done=done)
        failures = await within_time(bus.publish(an_outcome()), bus.schedule_resume(KEY, now()), bus.reject(a_copy()))
        assert [type(failure) for failure in failures] == [BusUnavailableError] * 3
        assert (lengths(broker), broker.connections) == ([1 if done else 0] * 3, 0)
        broker.clear_faults()
        after = await within_time(bus.publish(an_outcome()), bus.schedule_resume(KEY, now()), bus.reject(a_copy()))
        assert after == [None] * 3
        assert lengths(broker) == [2 if done else 1] * 3
        await bus.close()


async def within_time(*sends: Coroutine[Any, Any, None]) -> list[BaseException | None]:
    """Send at once; return what each raised. Fail when that takes longer than a send and a close may."""
    async with asyncio.timeout(SEND_SECONDS_HERE + CLOSE_SECONDS + 1):
        return await asyncio.gather(*sends, return_exceptions=True)


async def test_send_when_cancelled_then_its_link_is_closed_and_the_next_goes_over_another() -> None:
    """Whoever is at its deadline leaves no link behind on which the client still waits for an answer."""
    with open_sandbox() as broker:
        bus = bus_on(broker)
        await bus.publish(an_outcome())
        broker.keep_silent(OUTCOMES, done=False)
        sending = asyncio.create_task(bus.publish(an_outcome(request_id=RequestId("cancelled"))))
        await asyncio.wait_for(broker.wait_for_faults(OUTCOMES), SEND_SECONDS)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert broker.connections == 0
        await bus.publish(an_outcome(request_id=RequestId("next")))
        told = [json.loads(message.body)["requestId"] for message in broker.peek(f"{OUTCOMES}/{AUDITED}")]
        assert told == [an_outcome().request_id, "next"]
        await bus.close()


async def test_send_when_it_waited_for_a_link_that_failed_then_taken_over_another() -> None:
    """What one send met is not the fate of the next in turn."""
    with open_sandbox() as broker:
        bus = bus_on(broker)
        await bus.publish(an_outcome())
        broker.refuse_sends(OUTCOMES, "amqp:not-allowed")
        ends = await asyncio.gather(bus.publish(an_outcome()), bus.publish(an_outcome()), return_exceptions=True)
        assert [type(end) for end in ends] == [BusUnavailableError, type(None)]
        assert lengths(broker)[0] == 2
        await bus.close()


def open_sandbox() -> SandboxBroker:
    """Make the broker that faults can be ordered from."""
    return SandboxBroker((REQUESTS, REJECTED), {OUTCOMES: (AUDIT,)})


def lengths(broker: SandboxBroker) -> list[int]:
    """Count the messages of each entity."""
    return [len(broker.peek(entity)) for entity in (f"{OUTCOMES}/{AUDITED}", REQUESTS, REJECTED)]


@breaks_connections
async def test_close_when_bus_was_never_there_then_nothing(broker: Broker) -> None:
    """Closing after a failure, and twice, is quiet."""
    broker.stop()
    bus = bus_on(broker)
    with pytest.raises(BusUnavailableError):
        await bus.publish(an_outcome())
    await bus.close()
    await bus.close()
    gc.collect()


# --- Receiving, as the host does: one message at a time under a lock --------------------------------------------


async def take(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    """Receive the one message that must come."""
    (message,) = await receiver.receive_messages(max_message_count=1, max_wait_time=10)
    return message


async def is_empty(receiver: ServiceBusReceiver, seconds: float = 1) -> bool:
    """Tell whether nothing comes for so long."""
    return not await receiver.receive_messages(max_message_count=1, max_wait_time=seconds)


async def put(client: ServiceBusClient, body: str = "x") -> None:
    """Put a message on the request queue."""
    async with client.get_queue_sender(REQUESTS) as sender:
        await sender.send_messages(ServiceBusMessage(body, message_id="M-1", application_properties={"a": "b"}))


async def test_message_when_completed_then_gone(brief_broker: Broker) -> None:
    """Nobody gets a completed message again, not after the lock's end either."""
    async with connect(brief_broker) as client, client.get_queue_receiver(REQUESTS) as receiver:
        await put(client)
        message = await take(receiver)
        assert (message.message_id, message.delivery_count) == ("M-1", FIRST_DELIVERY)
        assert timedelta() < (message.locked_until_utc or now()) - now() <= timedelta(seconds=LOCK_SECONDS)
        await receiver.complete_message(message)
        assert await is_empty(receiver, LOCK_SECONDS + 0.5)


async def test_message_when_abandoned_too_often_then_dead_letter_with_the_reason(broker: Broker) -> None:
    """An abandoned message comes again at once, counted; after the last delivery it is a dead letter."""
    async with connect(broker) as client, client.get_queue_receiver(REQUESTS) as receiver:
        await put(client, "poison")
        counts = []
        for _ in range(DELIVERIES):
            message = await take(receiver)
            counts.append(message.delivery_count)
            await receiver.abandon_message(message)
        assert counts == list(range(FIRST_DELIVERY, FIRST_DELIVERY + DELIVERIES))
        async with client.get_queue_receiver(REQUESTS, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
            dead = await take(dead_letters)
            assert (str(dead), dead.message_id) == ("poison", "M-1")
            assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
            assert properties_of(dead)["a"] == "b"
            await dead_letters.complete_message(dead)


async def test_message_when_dead_lettered_then_there_with_our_words(broker: Broker) -> None:
    """Reason and description are the receiver's."""
    async with connect(broker) as client, client.get_queue_receiver(REQUESTS) as receiver:
        await put(client)
        await receiver.dead_letter_message(await take(receiver), reason="why", error_description="wherefore")
        async with client.get_queue_receiver(REQUESTS, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
            dead = await take(dead_letters)
            assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("why", "wherefore")
            await dead_letters.complete_message(dead)


async def test_message_when_lock_is_renewed_then_held_beyond_its_first_end(brief_broker: Broker) -> None:
    """Renewal is told by the new end, and the message stays with its receiver."""
    async with (
        connect(brief_broker) as client,
        client.get_queue_receiver(REQUESTS) as receiver,
        client.get_queue_receiver(REQUESTS) as other,
    ):
        await put(client)
        message = await take(receiver)
        first_end = message.locked_until_utc or now()
        for _ in range(2):
            assert await is_empty(other, 0.6 * LOCK_SECONDS)
            assert await receiver.renew_message_lock(message, timeout=5) > now()
        assert now() > first_end
        await receiver.complete_message(message)


async def test_message_when_lock_has_ended_then_another_gets_it_and_the_first_cannot_settle(
    brief_broker: Broker,
) -> None:
    """A worker that died frees its message by the lock's end, as one delivery more."""
    async with connect(brief_broker) as client, client.get_queue_receiver(REQUESTS) as receiver:
        await put(client)
        late = await take(receiver)
        again = await take(receiver)
        assert again.delivery_count == FIRST_DELIVERY + 1
        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(late)
        await receiver.complete_message(again)


async def test_message_when_its_receiver_broke_off_then_it_comes_again(brief_broker: Broker) -> None:
    """A connection that ends settles nothing."""
    async with connect(brief_broker) as client:
        await put(client)
        async with client.get_queue_receiver(REQUESTS) as receiver:
            await take(receiver)
    (message,) = await read(brief_broker, REQUESTS)
    assert str(message) == "x"


async def test_messages_when_peeked_then_left_where_they_are(broker: Broker, bus: Bus) -> None:
    """Scheduled ones are seen too."""
    await bus.schedule_resume(KEY, now() + timedelta(hours=1))
    async with connect(broker) as client, client.get_queue_receiver(REQUESTS) as receiver:
        await put(client)
        assert [str(message) for message in await receiver.peek_messages(5, sequence_number=1)] == [
            f'{{"resume": "{KEY}"}}',
            "x",
        ]
        await receiver.complete_message(await take(receiver))
        assert len(await receiver.peek_messages(5, sequence_number=1)) == 1
