"""AMQP 1.0 values ↔ bytes, by proton's codec.

proton gives every AMQP type a Python type of its own (``int32``, ``timestamp`` …), so what was decoded encodes to the
same type again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from proton import UNDESCRIBED, Array, Data, DataException, Described, timestamp, ulong

if TYPE_CHECKING:
    from collections.abc import Iterable

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class MalformedError(Exception):
    """The bytes are no AMQP value."""


def encode(value: Any) -> bytes:  # noqa: ANN401 - any AMQP value
    """Give the AMQP encoding of a value of proton's types."""
    data = Data()
    data.put_object(value)
    return bytes(data.encode())


def encode_described(descriptor: int, value: Any) -> bytes:  # noqa: ANN401 - any AMQP value
    """Give the encoding of a value with its descriptor: a section of a message, a frame's performative."""
    return encode(Described(ulong(descriptor), value))


def build_array(kind: int, items: Iterable[object]) -> Array:
    """Give an AMQP array of one of Data's types."""
    parts: list[Any] = [UNDESCRIBED, kind, *items]
    return Array(*parts)


def decode(encoded: bytes) -> tuple[Any, int]:
    """Give the first value in ``encoded`` and how many bytes it takes; MalformedError when there is none."""
    data = Data()
    size = _measure_into(data, encoded)
    data.rewind()
    data.next()
    return _plain(data.get_object()), size


def measure(encoded: bytes) -> int:
    """Give how many bytes the first value takes, without building it; MalformedError when there is none."""
    return _measure_into(Data(), encoded)


def to_timestamp(at: datetime) -> timestamp:
    """Give the AMQP timestamp: milliseconds since 1970, cut."""
    return timestamp((at - _EPOCH) // timedelta(milliseconds=1))


def from_timestamp(milliseconds: int) -> datetime:
    """Give the time of an AMQP timestamp."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _measure_into(data: Data, encoded: bytes) -> int:
    try:
        return int(data.decode(encoded))
    except DataException as problem:
        raise MalformedError("not an AMQP value") from problem


def _plain(value: Any) -> Any:  # noqa: ANN401 - any AMQP value
    """Copy what proton only lends: a binary is a view of memory that ends with its Data."""
    match value:
        case memoryview():
            return bytes(value)
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {_plain(key): _plain(item) for key, item in value.items()}
        case Described():
            return Described(_plain(value.descriptor), _plain(value.value))
        case Array():
            return Array(value.descriptor, value.type, *map(_plain, value.elements))
        case _:
            return value
