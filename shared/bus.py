"""Azure Service Bus over azure-servicebus: resumes to the request queue, outcomes to the topic, rejected copies."""

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched
from typing import TYPE_CHECKING

from shared.documents import outcome_document
from shared.errors import BusUnavailableError
from shared.logs import next_trace_parent
from shared.model import Outcome, RequestKey
from shared.ports import RejectedCopy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

SEND_SECONDS = 20.0
CLOSE_SECONDS = 3.0
TIME_TO_LIVE = timedelta(days=14)
MESSAGES_AT_ONCE = 100  # each of well under 1 KB
MAX_COPY_BYTES = 204_800  # a message holds 256 KB at most, properties included
MAX_REASON_CHARACTERS = 4_000
MAX_CORRELATION_CHARACTERS = 128


class ServiceBus:
    """`ports.Bus`. Needs Azure Service Bus Data Sender on the two queues and the topic.

    `connect` makes the client on first use, on the loop that uses it: one a process.
    """

    def __init__(
        self,
        connect: "Callable[[], ServiceBusClient]",
        request_queue: str,
        rejected_queue: str,
        outcome_topic: str,
        *,
        send_seconds: float = SEND_SECONDS,
    ) -> None:
        self._connect = connect
        self._request_queue = request_queue
        self._rejected_queue = rejected_queue
        self._outcome_topic = outcome_topic
        self._send_seconds = send_seconds
        self._client: ServiceBusClient | None = None
        self._links: dict[tuple[str | None, str | None], _Link] = {}

    async def schedule_resume(self, key: RequestKey, at: datetime) -> None:
        """Send `{"resume": "<key>"}` to the request queue, visible from `at`. A second call sends it again."""
        await self.schedule_resumes((key,), at)

    async def schedule_resumes(self, keys: "Sequence[RequestKey]", at: datetime) -> None:
        """Do so for many, in batches. When it raises, some may have been sent; a second call sends all again."""
        for batch in batched(keys, MESSAGES_AT_ONCE, strict=False):
            messages = [_resume(key, at) for key in batch]
            async with self._sender(queue=self._request_queue) as sender:
                await sender.schedule_messages(messages, at)

    async def publish(self, outcome: Outcome) -> None:
        """Send the outcome to the outcome topic. The MessageId comes from key and status: a second is recognisable."""
        from azure.servicebus import ServiceBusMessage  # noqa: PLC0415 - as above

        message = ServiceBusMessage(
            json.dumps(outcome_document(outcome)),
            content_type="application/json",
            subject=outcome.status.value,
            message_id=_message_id("outcome", outcome.caller, outcome.request_id, outcome.status.value),
            correlation_id=_short(outcome.request_id),
            time_to_live=TIME_TO_LIVE,
            application_properties={
                "caller": outcome.caller,
                "status": outcome.status.value,
                "profile": outcome.profile or "",
                "Diagnostic-Id": next_trace_parent(),
            },
        )
        await self._send(message, topic=self._outcome_topic)

    async def reject(self, copy: RejectedCopy) -> None:
        """Send a copy, cut at 200 KB with its SHA-256, to the rejected queue. A second call sends another."""
        from azure.servicebus import ServiceBusMessage  # noqa: PLC0415 - as above

        message = ServiceBusMessage(
            copy.body[:MAX_COPY_BYTES],
            subject=copy.reason,
            correlation_id=_short(copy.correlation_id),
            time_to_live=TIME_TO_LIVE,
            application_properties={
                "reason": copy.reason,
                "reasonText": copy.text[:MAX_REASON_CHARACTERS],
                "caller": copy.caller,
                "sha256": hashlib.sha256(copy.body).hexdigest(),
                "bytes": len(copy.body),
                "cut": len(copy.body) > MAX_COPY_BYTES,
                "Diagnostic-Id": next_trace_parent(),
            },
        )
        await self._send(message, queue=self._rejected_queue)

    async def close(self) -> None:
        """Close the connection; nothing is called afterwards."""
        client, self._client = self._client, None
        if client:
            await client.close()  # and with it every link that it gave
        self._links.clear()

    async def _send(self, message: "ServiceBusMessage", *, queue: str | None = None, topic: str | None = None) -> None:
        async with self._sender(queue=queue, topic=topic) as sender:
            await sender.send_messages(message)

    @asynccontextmanager
    async def _sender(self, *, queue: str | None = None, topic: str | None = None) -> "AsyncIterator[ServiceBusSender]":
        """Lend the link to an entity to one sender at a time; raise BusUnavailableError unless it is known to be taken.

        Two sends at once on one link make the SDK number its deliveries wrongly. A link whose send failed, timed out
        or was cancelled is closed and never lent again: the SDK still waits on it for the answer that nobody awaits.
        """
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - 0.3 s that a cold start need not spend

        link = self._links.setdefault((queue, topic), _Link())
        lent: ServiceBusSender | None = None
        try:
            async with asyncio.timeout(self._send_seconds), link.turn:
                lent, link.sender = link.sender or self._open(queue, topic), None
                yield lent
                link.sender, lent = lent, None
        except (AzureError, OSError, TimeoutError, ValueError) as error:
            raise BusUnavailableError(f"Service Bus did not take the message: {type(error).__name__}") from None
        finally:
            if lent:
                await _give_up(lent)

    def _open(self, queue: str | None, topic: str | None) -> "ServiceBusSender":
        self._client = self._client or self._connect()
        return self._client.get_queue_sender(queue) if queue else self._client.get_topic_sender(topic or "")


async def _give_up(sender: "ServiceBusSender") -> None:
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - as above

    with suppress(AzureError, OSError, TimeoutError):  # it is broken already
        async with asyncio.timeout(CLOSE_SECONDS):
            await sender.close()


def _resume(key: RequestKey, at: datetime) -> "ServiceBusMessage":
    from azure.servicebus import ServiceBusMessage  # noqa: PLC0415 - as above

    return ServiceBusMessage(
        json.dumps({"resume": str(key)}),
        content_type="application/json",
        message_id=_message_id("resume", str(key), at.isoformat()),
        correlation_id=_short(str(key)),
        application_properties={"Diagnostic-Id": next_trace_parent()},
    )


@dataclass
class _Link:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    sender: "ServiceBusSender | None" = None


def _message_id(*parts: str) -> str:
    """Make a MessageId of at most 128 characters that two different messages do not share."""
    return f"{parts[0]}-{hashlib.sha256('|'.join(parts).encode()).hexdigest()}"


def _short(correlation: str) -> str:
    return correlation[:MAX_CORRELATION_CHARACTERS]
