"""What proton does not tell: the message format of each delivery, read from the frames as they come.

A batch differs from a message by the format alone.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any, Final

from sandbox.bus.codec import MalformedError, decode

BATCH_FORMAT: Final = 0x80013700
_HEADER_SIZE: Final = 8
_AMQP_FRAME: Final = 0
_ATTACH: Final = b"\x12"
_TRANSFER: Final = b"\x14"
_FIELDS: Final = 14
_TRANSFER_LIMIT: Final = 1024


class FrameReader:
    """Cuts a stream of bytes into AMQP protocol headers and frames."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, received: bytes) -> list[bytes]:
        """Give the headers and frames that are complete now; the rest waits for more bytes."""
        self._pending += received
        start, units = 0, []
        while (size := self._size_of_next(start)) and start + size <= len(self._pending):
            units.append(self._pending[start : start + size])
            start += size
        self._pending = self._pending[start:]
        return units

    @property
    def rest(self) -> bytes:
        """The bytes that are no whole unit yet."""
        return self._pending

    def _size_of_next(self, start: int) -> int:
        head = self._pending[start : start + _HEADER_SIZE]
        if len(head) < _HEADER_SIZE:
            return 0
        # A frame shorter than its own header is proton's to refuse; here it must only not hold us up.
        return _HEADER_SIZE if head[:4] == b"AMQP" else max(int.from_bytes(head[:4]), _HEADER_SIZE)


class DeliveryFormats:
    """The formats of the deliveries that have begun on each link, by link name, first in, first out."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._links: dict[tuple[int, int], str] = {}
        self._unfinished: set[str] = set()
        self._formats: dict[str, deque[int]] = {}

    def feed(self, received: bytes) -> None:
        """Take in bytes of the connection; must see all of them, before proton does."""
        for unit in self._reader.feed(received):
            offset = unit[4] * 4
            if not unit.startswith(b"AMQP") and unit[5] == _AMQP_FRAME and len(unit) > offset:
                self._read(int.from_bytes(unit[6:8]), unit[offset:])

    def pop(self, link_name: str) -> int:
        """Give the format of the link's oldest delivery not asked for yet; 0 is the ordinary one."""
        return self._formats[link_name].popleft()

    def _read(self, channel: int, body: bytes) -> None:
        # Decode only the two performatives of interest: the descriptor is the one-byte form in all clients.
        kind = body[2:3]
        if kind not in {_ATTACH, _TRANSFER}:
            return
        with suppress(MalformedError):  # proton will tell the client
            # A transfer's payload follows its performative: no need to copy that too.
            fields = list(decode(body[:_TRANSFER_LIMIT] if kind == _TRANSFER else body)[0].value)
            padded = fields + [None] * (_FIELDS - len(fields))
            (self._attach if kind == _ATTACH else self._transfer)(channel, padded)

    def _attach(self, channel: int, fields: list[Any]) -> None:
        name, handle, is_receiver, *_ = fields
        if is_receiver:
            return
        self._links[channel, handle] = name
        self._formats[name] = deque()
        self._unfinished.discard(name)

    def _transfer(self, channel: int, fields: list[Any]) -> None:
        handle, _, _, message_format, _, more, _, _, _, aborted, *_ = fields
        name = self._links.get((channel, handle))
        if name is None:
            return
        if name not in self._unfinished:
            self._formats[name].append(message_format or 0)
        if more and not aborted:
            self._unfinished.add(name)
        else:
            self._unfinished.discard(name)
