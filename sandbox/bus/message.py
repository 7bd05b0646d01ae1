"""A message as a test sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from sandbox.bus.envelope import Envelope
    from sandbox.bus.queue import Entry


class State(IntEnum):
    """The state of a message in the queue; the numbers go over the wire as ``x-opt-message-state``."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(frozen=True, slots=True)
class Message:
    """A message that waits in a queue or subscription.

    ``body`` holds bytes for data sections, else the list or value that was sent; ``enqueued_at`` of a scheduled message
    is when it was accepted; ``delivery_count`` counts the deliveries that ended without a result.
    """

    sequence_number: int
    state: State
    message_id: str | None
    correlation_id: str | None
    subject: str | None
    content_type: str | None
    to: str | None
    reply_to: str | None
    body: Any
    application_properties: Mapping[str, Any]
    time_to_live: timedelta | None
    enqueued_at: datetime
    scheduled_at: datetime | None
    locked_until: datetime | None
    delivery_count: int

    @property
    def dead_letter_reason(self) -> str | None:
        """Why it is in the dead-letter queue."""
        return self.application_properties.get("DeadLetterReason")

    @property
    def dead_letter_error_description(self) -> str | None:
        """The same at greater length."""
        return self.application_properties.get("DeadLetterErrorDescription")


def view(entry: Entry) -> Message:
    """Give the frozen picture of an entry as it is now."""
    envelope: Envelope = entry.envelope
    message_id, _, to, subject, reply_to, correlation_id, content_type, *_ = envelope.read_properties()
    return Message(
        sequence_number=entry.sequence_number,
        state=entry.state,
        message_id=_text(message_id),
        correlation_id=_text(correlation_id),
        subject=_text(subject),
        content_type=_text(content_type),
        to=_text(to),
        reply_to=_text(reply_to),
        body=envelope.read_body(),
        application_properties=MappingProxyType(envelope.read_application_properties()),
        time_to_live=envelope.time_to_live,
        enqueued_at=entry.enqueued_at,
        scheduled_at=envelope.scheduled_at,
        locked_until=entry.lock.until if entry.lock else None,
        delivery_count=entry.delivery_count,
    )


def _text(value: object) -> str | None:
    """Make plain text of a property: AMQP allows ids that are numbers, UUIDs or binaries."""
    return None if value is None else str(value)
