"""Looking into the queues, and sending again, over azure-servicebus. Every call has an end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.amqp import AmqpMessageBodyType
from azure.servicebus.exceptions import MessageLockLostError

from shared.errors import BusUnavailableError
from shared.redrive.failures import explain
from shared.redrive.judgement import Judgement, Place, Waiting
from shared.settings import BusSettings

MOST_MESSAGES = 2_000  # that one run looks at, and holds locked
PAGE = 50
BATCH = 20
SAID_EVERY = 10  # messages
CALL_SECONDS = 30.0
ARRIVAL_SECONDS = 5.0  # after which nothing more is expected of a queue
GIVE_BACK_SECONDS = 60.0
CLOSE_SECONDS = 5.0

type Say = Callable[[str], None]


@dataclass
class Tally:
    """What has become of the `chosen` messages.

    `sent` are those that the request queue took, `doubled` those among them that could not be removed from their
    place, so that the next run sends them again. `failure` is what ended the run before its time.
    """

    chosen: int
    sent: int = 0
    doubled: int = 0
    failure: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all that was chosen is on the request queue, and there only."""
        return (self.sent, self.doubled, self.failure) == (self.chosen, 0, None)


@dataclass(frozen=True)
class Queues:
    """The places of one namespace. Needs Azure Service Bus Data Receiver on both queues, to send also Data Sender.

    `say` is told of progress. Once `stop` is set, nothing is begun any more. `most` messages are looked at in one run,
    and held locked at most; after `arrival_seconds` without one a place is taken to be at its end.
    """

    client: ServiceBusClient
    settings: BusSettings
    say: Say
    stop: asyncio.Event
    most: int = MOST_MESSAGES
    arrival_seconds: float = ARRIVAL_SECONDS

    async def look(self, place: Place, judge: Callable[[Waiting], Judgement]) -> list[Judgement]:
        """Judge the first messages of a place, oldest first, by peeking: nothing is locked, nothing counted.

        Raises BusUnavailableError.
        """
        found, following = list[Judgement](), 1
        async with AsyncExitStack() as stack:
            receiver = self._receiver(stack, place)
            while len(found) < self.most and not self.stop.is_set():
                async with _call():
                    page = await receiver.peek_messages(
                        min(PAGE, self.most - len(found)), sequence_number=following, timeout=CALL_SECONDS
                    )
                if not page:
                    break
                waiting = [read_message(message) for message in page]
                found += map(judge, waiting)
                following = waiting[-1].sequence_number + 1
                self.say(f"{place}: looked at {len(found)}")
        return found

    async def send_again(self, place: Place, chosen: Mapping[int, str]) -> Tally:
        """Send each chosen message to the request queue under its MessageId, then remove it from its place.

        In this order: an end in between sends it twice, which the ledger makes harmless, and never loses it. What was
        not chosen but comes first is held under its lock and given back at the end: given back at once it would come
        again at once, and each time counts as a delivery. A second call sends what the first did not.
        """
        run = _Run(Tally(len(chosen)), dict(chosen))
        async with AsyncExitStack() as stack:
            receiver = self._receiver(stack, place)
            sender = self.client.get_queue_sender(self.settings.request_queue)
            stack.push_async_callback(_close, sender)
            stack.push_async_callback(_give_back, receiver, run.held)
            try:
                while run.left and run.taken < self.most and not self.stop.is_set():
                    batch = await run.take(receiver, self.arrival_seconds)
                    if not batch:
                        break
                    for number in batch:
                        if number in run.left and not self.stop.is_set():
                            await run.move(number, sender, receiver)
                            if run.tally.sent % SAID_EVERY == 1:
                                self.say(f"{place}: sent {run.tally.sent} of {len(chosen)}")
            except BusUnavailableError as error:
                run.tally.failure = str(error)
        return run.tally

    def _receiver(self, stack: AsyncExitStack, place: Place) -> ServiceBusReceiver:
        queue = self.settings.request_queue if place is Place.DEAD_LETTER else self.settings.rejected_queue
        inner = None if place is Place.REJECTED else ServiceBusSubQueue.DEAD_LETTER
        receiver = self.client.get_queue_receiver(queue, sub_queue=inner)
        stack.push_async_callback(_close, receiver)
        return receiver


@dataclass
class _Run:
    """One run of sending: `left` are MessageIds yet to be sent, `held` what is locked, both by sequence number."""

    tally: Tally
    left: dict[int, str]
    held: dict[int, ServiceBusReceivedMessage] = field(default_factory=dict)
    taken: int = 0

    async def take(self, receiver: ServiceBusReceiver, seconds: float) -> list[int]:
        """Receive the next messages under their locks and return their numbers; none where no more come."""
        async with _call():
            batch = await receiver.receive_messages(BATCH, max_wait_time=seconds)
        numbered = {message.sequence_number or 0: message for message in batch}
        self.held |= numbered
        self.taken += len(numbered)
        return list(numbered)

    async def move(self, number: int, sender: ServiceBusSender, receiver: ServiceBusReceiver) -> None:
        """Send a message again, then remove it: where that fails it is counted as doubled, because it is sent."""
        message = self.held[number]
        again = ServiceBusMessage(
            read_message(message).body or b"", content_type=message.content_type, message_id=self.left[number]
        )
        async with _call():
            await sender.send_messages(again)
        self.tally.sent += 1
        del self.left[number]
        try:
            async with _call():
                await receiver.complete_message(message)
            del self.held[number]
        except BusUnavailableError:
            self.tally.doubled += 1


def read_message(message: ServiceBusReceivedMessage) -> Waiting:
    """Read what was peeked at or received."""
    properties = {_text(name): _text(value) for name, value in (message.application_properties or {}).items()}
    return Waiting(
        sequence_number=message.sequence_number or 0,
        enqueued_at=message.enqueued_time_utc,
        message_id=None if message.message_id is None else str(message.message_id),
        correlation_id=None if message.correlation_id is None else str(message.correlation_id),
        delivery_count=message.delivery_count or 0,
        body=b"".join(message.body) if message.body_type is AmqpMessageBodyType.DATA else None,
        properties={name: value for name, value in properties.items() if isinstance(name, str)},
    )


def _text(value: object) -> object:
    """Return AMQP's strings, which the SDK leaves as bytes, as text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


@asynccontextmanager
async def _call() -> AsyncIterator[None]:
    """Bound one call to the bus; every failure of it is a BusUnavailableError that says what kind it is."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (AzureError, OSError, TimeoutError, ValueError) as error:
        raise BusUnavailableError(f"Service Bus did not do what was asked: {explain(error)}.") from None


async def _give_back(receiver: ServiceBusReceiver, held: Mapping[int, ServiceBusReceivedMessage]) -> None:
    """Let go of what is locked; what cannot be let go of comes free when its lock ends."""
    with suppress(AzureError, OSError, TimeoutError, ValueError):
        async with asyncio.timeout(GIVE_BACK_SECONDS):
            for message in held.values():
                with suppress(MessageLockLostError):
                    await receiver.abandon_message(message)


async def _close(link: ServiceBusReceiver | ServiceBusSender) -> None:
    with suppress(AzureError, OSError, TimeoutError, ValueError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await link.close()
