"""A message as its sender encoded it.

What AMQP calls the bare message (properties, application properties, body, footer) stays the very bytes that came;
only header and message annotations are written anew for each delivery. So whatever a client can send comes out as it
went in.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from proton import symbol, ubyte, uint

from sandbox.bus.codec import MalformedError, decode, encode_described, from_timestamp, measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEDULED_ENQUEUE_TIME: Final = symbol("x-opt-scheduled-enqueue-time")
_DESCRIPTOR_SIZE: Final = 3
_DEFAULT_PRIORITY: Final = ubyte(4)


class Section(IntEnum):
    """The sections of a message by their descriptors (AMQP 1.0, part 3.2)."""

    HEADER = 0x70
    DELIVERY_ANNOTATIONS = 0x71
    MESSAGE_ANNOTATIONS = 0x72
    PROPERTIES = 0x73
    APPLICATION_PROPERTIES = 0x74
    DATA = 0x75
    SEQUENCE = 0x76
    VALUE = 0x77
    FOOTER = 0x78


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message without what the broker adds to it. ``properties``, ``applied`` and ``body`` are encoded sections."""

    durable: bool = False
    priority: int = _DEFAULT_PRIORITY
    time_to_live: timedelta | None = None
    annotations: Mapping[Any, Any] = field(default_factory=dict)
    properties: bytes = b""
    applied: bytes = b""
    body: bytes = b""

    @property
    def scheduled_at(self) -> datetime | None:
        """When the sender wants it enqueued."""
        milliseconds = self.annotations.get(SCHEDULED_ENQUEUE_TIME)
        return None if milliseconds is None else from_timestamp(milliseconds)

    def read_properties(self) -> list[Any]:
        """Give the properties section's fields in AMQP's order, padded with None to all thirteen."""
        fields = list(decode(self.properties)[0].value) if self.properties else []
        return fields + [None] * (13 - len(fields))

    def read_application_properties(self) -> dict[str, Any]:
        """Give the application properties."""
        return dict(decode(self.applied)[0].value) if self.applied else {}

    def read_body(self) -> Any:  # noqa: ANN401 - bytes, or any AMQP value
        """Give the data sections joined, the sequence sections in one list, or the value."""
        sections = [decode(raw)[0] for kind, raw in split(self.body) if kind is not Section.FOOTER]
        match [section.descriptor for section in sections]:
            case [Section.VALUE]:
                return sections[0].value
            case [Section.SEQUENCE, *_]:
                return [item for section in sections for item in section.value]
            case _:
                return b"".join(section.value for section in sections)

    def with_application_properties(self, more: Mapping[str, Any]) -> Envelope:
        """Give the same message with application properties set."""
        if not more:
            return self
        applied = self.read_application_properties() | dict(more)
        return replace(self, applied=encode_described(Section.APPLICATION_PROPERTIES, applied))

    def encode(self, delivery_count: int, annotations: Mapping[Any, Any]) -> bytes:
        """Give the bytes of one delivery: earlier deliveries counted in the header, our annotations over theirs."""
        lifetime = None if self.time_to_live is None else uint(self.time_to_live // timedelta(milliseconds=1))
        header = [self.durable, ubyte(self.priority), lifetime, delivery_count == 0, uint(delivery_count)]
        head = encode_described(Section.HEADER, header)
        notes = encode_described(Section.MESSAGE_ANNOTATIONS, dict(self.annotations) | dict(annotations))
        return head + notes + self.properties + self.applied + self.body


def parse_envelope(encoded: bytes) -> Envelope:
    """Read an encoded message; MalformedError when it is none. Delivery annotations are for one hop and dropped."""
    parts: dict[Section, bytes] = {}
    for kind, raw in split(encoded):
        part = min(kind, Section.DATA)
        parts[part] = parts.get(part, b"") + raw
    durable, priority, milliseconds = _read_header(parts.get(Section.HEADER, b""))
    annotations = parts.get(Section.MESSAGE_ANNOTATIONS)
    return Envelope(
        durable=bool(durable),
        priority=_DEFAULT_PRIORITY if priority is None else priority,
        time_to_live=None if milliseconds is None else timedelta(milliseconds=milliseconds),
        annotations=decode(annotations)[0].value if annotations else {},
        properties=parts.get(Section.PROPERTIES, b""),
        applied=parts.get(Section.APPLICATION_PROPERTIES, b""),
        body=parts.get(Section.DATA, b""),
    )


def build_message(properties: list[Any], application_properties: Mapping[str, Any], value: object) -> bytes:
    """Give the encoding of a message of the broker's own, its body one value."""
    return (
        encode_described(Section.PROPERTIES, properties)
        + encode_described(Section.APPLICATION_PROPERTIES, dict(application_properties))
        + encode_described(Section.VALUE, value)
    )


def parse_batch(encoded: bytes) -> list[Envelope]:
    """Read the messages in a batch: each data section holds one (message format 0x80013700)."""
    return [parse_envelope(decode(raw)[0].value) for kind, raw in split(encoded) if kind is Section.DATA]


def split(encoded: bytes) -> Iterator[tuple[Section, bytes]]:
    """Give the sections with their bytes, in the order they stand; MalformedError where there is none."""
    while encoded:
        size = measure(encoded)
        yield _read_kind(encoded), encoded[:size]
        encoded = encoded[size:]


def _read_kind(encoded: bytes) -> Section:
    # Every section's descriptor fits AMQP's one-byte ulong, the form that clients use.
    described, short, kind = encoded[:_DESCRIPTOR_SIZE].ljust(_DESCRIPTOR_SIZE, b"\0")
    if (described, short) != (0x00, 0x53) or kind not in Section:
        raise MalformedError("not a section of a message")
    return Section(kind)


def _read_header(encoded: bytes) -> list[Any]:
    fields = list(decode(encoded)[0].value) if encoded else []
    return (fields + [None] * 3)[:3]
