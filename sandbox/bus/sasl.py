"""The SASL layer of AMQP 1.0 for a server that lets everybody in.

proton's own server knows ANONYMOUS only; other Service Bus clients ask for MSSBCBS, PLAIN or EXTERNAL.
"""

from __future__ import annotations

from typing import Final

from proton import Data, symbol, ubyte

from sandbox.bus.codec import build_array, encode_described
from sandbox.bus.frames import FrameReader

_HEADER: Final = b"AMQP\x03\x01\x00\x00"
_MECHANISMS: Final = ("ANONYMOUS", "MSSBCBS", "PLAIN", "EXTERNAL")
_INIT: Final = 0x41


class SaslLayer:
    """Answers the SASL dialogue and passes on what follows. A client may also begin without SASL."""

    def __init__(self) -> None:
        self._reader: FrameReader | None = FrameReader()
        self._begun = False

    def feed(self, received: bytes) -> tuple[bytes, bytes]:
        """Give what is to be answered and what is AMQP proper."""
        if not self._begun and not b"AMQP".startswith(received[:4]):
            self._reader = None  # no client of ours: proton will tell it so
        self._begun = True
        if self._reader is None:
            return b"", received
        answer, units = b"", self._reader.feed(received)
        for position, unit in enumerate(units):
            if unit == _HEADER:
                answer += _HEADER + _frame(0x40, [build_array(Data.SYMBOL, map(symbol, _MECHANISMS))])
            elif unit[10:11] == bytes([_INIT]) and unit[5] == 1:
                answer += _frame(0x44, [ubyte(0), None])
            else:
                rest = b"".join(units[position:]) + self._reader.rest
                self._reader = None
                return answer, rest
        return answer, b""


def _frame(descriptor: int, fields: list[object]) -> bytes:
    body = encode_described(descriptor, fields)
    return (len(body) + 8).to_bytes(4) + b"\x02\x01\x00\x00" + body
