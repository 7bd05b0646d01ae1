"""A message on its way to a receiver, as Service Bus annotates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proton import int32, symbol

from sandbox.bus.codec import to_timestamp

if TYPE_CHECKING:
    from sandbox.bus.broker import Broker
    from sandbox.bus.queue import Entry

_ENQUEUED_TIME: Final = symbol("x-opt-enqueued-time")
_ENQUEUE_SEQUENCE_NUMBER: Final = symbol("x-opt-enqueue-sequence-number")
_LOCKED_UNTIL: Final = symbol("x-opt-locked-until")
_MESSAGE_STATE: Final = symbol("x-opt-message-state")
_SEQUENCE_NUMBER: Final = symbol("x-opt-sequence-number")


def encode_delivery(entry: Entry, broker: Broker) -> bytes:
    """Give the bytes of a message for a receiver."""
    annotations: dict[symbol, object] = {
        _ENQUEUED_TIME: to_timestamp(entry.enqueued_at),
        _ENQUEUE_SEQUENCE_NUMBER: entry.enqueued_sequence_number,
        _MESSAGE_STATE: int32(entry.state),
        _SEQUENCE_NUMBER: entry.sequence_number,
    }
    if entry.lock is not None:
        annotations[_LOCKED_UNTIL] = to_timestamp(broker.on_wall_clock(entry.lock.until))
    return entry.envelope.encode(entry.delivery_count, annotations)
