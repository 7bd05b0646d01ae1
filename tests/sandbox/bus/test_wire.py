"""Bytes: sections, frames, the SASL dialogue."""

from __future__ import annotations

import socket
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proton import Delivery, Described, Message, Timeout, symbol, timestamp, ulong
from proton.utils import BlockingConnection

from sandbox.bus import Bus
from sandbox.bus.codec import MalformedError, encode
from sandbox.bus.entities import Address
from sandbox.bus.envelope import build_message, parse_batch, parse_envelope
from sandbox.bus.frames import FrameReader

_SASL_HEADER = b"AMQP\x03\x01\x00\x00"
_AMQP_HEADER = b"AMQP\x00\x01\x00\x00"

values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(), st.binary(), st.floats(allow_nan=False)
)


def decode_as_stranger(encoded: bytes) -> Message:
    """Read a message with proton's own decoder."""
    message = Message()
    message.decode(encoded)
    return message


def port_of(bus: Bus) -> int:
    """Give the port that a bus serves."""
    return int(bus.connection_string.split("127.0.0.1:")[1].split(";")[0])


@given(properties=st.dictionaries(st.text(), values), body=st.binary())
def test_envelope_when_encoded_again_then_everything_is_as_sent(properties: dict[str, Any], body: bytes) -> None:
    """Only header and annotations are written anew; a stranger's decoder reads the rest as it was."""
    notes = {symbol("x-own"): 1, symbol("x-ours"): 1}
    sent = Message(
        body, inferred=True, properties=properties, id="m", subject="s", ttl=90, durable=True, annotations=notes
    )
    envelope = parse_envelope(bytes(sent.encode()))
    got = decode_as_stranger(envelope.encode(2, {symbol("x-ours"): timestamp(5)}))
    assert (got.delivery_count, got.id, got.subject, got.ttl, got.durable) == (2, "m", "s", 90, True)
    assert got.annotations == {"x-own": 1, "x-ours": 5}
    assert got.properties == sent.properties
    assert got.body == envelope.read_body() == body
    assert envelope.time_to_live == timedelta(seconds=90)


def test_envelope_when_properties_are_added_then_types_of_the_others_stay() -> None:
    """Dead-lettering writes the application properties anew and must not turn an int into a long."""
    sent = Message(properties={"at": timestamp(7), "n": ulong(1)})
    more = parse_envelope(bytes(sent.encode())).with_application_properties({"DeadLetterReason": "r"})
    got = decode_as_stranger(more.encode(0, {}))
    told: Any = got.properties
    assert told == {"at": 7, "n": 1, "DeadLetterReason": "r"}
    assert [type(value) for value in told.values()] == [timestamp, ulong, str]


@pytest.mark.parametrize("noise", [b"x", b"\x00\x53\x99\x40", b"\x00\x53\x75\xa0\x05ab", encode("text")])
def test_envelope_when_bytes_are_no_message_then_malformed(noise: bytes) -> None:
    """What is no section is refused, whole sections before it or not."""
    for head in (b"", build_message(["id"], {}, None)):
        with pytest.raises(MalformedError):
            parse_envelope(head + noise)


def test_batch_when_parsed_then_gives_its_messages() -> None:
    """Each data section of a batch holds one message."""
    parts = [build_message([name], {}, name) for name in ("a", "b")]
    encoded = b"".join(encode(Described(ulong(0x75), part)) for part in parts)
    assert [one.read_body() for one in parse_batch(encoded)] == ["a", "b"]


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 50))
def test_frames_when_cut_anywhere_then_come_whole(bodies: list[bytes], step: int) -> None:
    """However the bytes arrive, the same frames come out."""
    frames = [_AMQP_HEADER] + [(len(body) + 8).to_bytes(4) + b"\x02\x00\x00\x00" + body for body in bodies]
    stream, reader = b"".join(frames), FrameReader()
    assert [unit for at in range(0, len(stream), step) for unit in reader.feed(stream[at : at + step])] == frames


@pytest.mark.parametrize(
    ("text", "path", "to_management"),
    [
        ("amqps://127.0.0.1:35672/queue", "queue", False),
        ("amqps://127.0.0.1:35672/queue/$management", "queue", True),
        ("sb://host/t/Subscriptions/s/$DeadLetterQueue/$Management", "t/Subscriptions/s/$DeadLetterQueue", True),
        ("queue", "queue", False),
    ],
)
def test_address_when_parsed_then_gives_the_path(text: str, path: str, *, to_management: bool) -> None:
    """Scheme and authority say nothing to the broker."""
    assert Address.parse(text) == Address(path, to_management)


@pytest.mark.parametrize("mechanism", ["ANONYMOUS", "PLAIN", "MSSBCBS", "EXTERNAL"])
def test_client_when_it_asks_for_a_mechanism_then_let_in(mechanism: str) -> None:
    """Each mechanism that Service Bus clients know is offered and leads to AMQP."""
    init = encode(Described(ulong(0x41), [symbol(mechanism), b"\0user\0key", None]))
    frame = (len(init) + 8).to_bytes(4) + b"\x02\x01\x00\x00" + init
    with Bus(queues=("q",)) as bus, socket.create_connection(("127.0.0.1", port_of(bus)), 5) as connection:
        connection.sendall(_SASL_HEADER + frame + _AMQP_HEADER)
        received = b""
        while not received.endswith(_AMQP_HEADER) and len(received) < 1000:
            received += connection.recv(1000) or b"\xff" * 1000
    assert mechanism.encode() in received
    assert b"\x00\x53\x44" in received


def test_stranger_when_it_talks_nonsense_then_only_its_connection_ends() -> None:
    """Bytes that are no AMQP end the connection and nothing else."""
    with Bus(queues=("q",)) as bus:
        for noise in (b"GET / HTTP/1.1\r\n\r\n", _AMQP_HEADER + b"\0\0\0\x04\x02\0\0\0", _AMQP_HEADER + b"\0" * 64):
            with socket.create_connection(("127.0.0.1", port_of(bus)), 5) as connection:
                connection.sendall(noise)
                while connection.recv(1000):
                    pass
        assert bus.peek("q") == ()


def test_client_when_quiet_then_kept_by_heartbeats() -> None:
    """A client that says nothing stays, and hears often enough that the bus is there."""
    with Bus(queues=("q",)) as bus:
        connection = BlockingConnection(f"amqp://127.0.0.1:{port_of(bus)}", heartbeat=0.2, timeout=5)
        with suppress(Timeout):
            connection.wait(lambda: False, timeout=0.7)
        assert not connection.closing
        connection.create_sender("q").send(Message("x", id="after the silence"))
        connection.close()
        assert bus.peek("q")[0].message_id == "after the silence"


@pytest.mark.parametrize("properties", [{}, {"own": 1}])
def test_settlement_when_a_client_modifies_then_properties_are_set(properties: dict[str, Any]) -> None:
    """Other clients abandon with properties to modify: AMQP's modified outcome and its annotations."""
    with Bus(queues=("q",)) as bus:
        connection = BlockingConnection(f"amqp://127.0.0.1:{port_of(bus)}", timeout=5)
        connection.create_sender("q").send(Message("x", properties=properties))
        receiver = connection.create_receiver("q", credit=1)
        receiver.receive(5)
        assert receiver.fetcher is not None
        delivery = receiver.fetcher.unsettled[0]
        delivery.local.failed = True
        delivery.local.annotations = {symbol("why"): "later"}
        delivery.update(Delivery.MODIFIED)
        connection.wait(lambda: delivery.settled, timeout=5)
        connection.close()
        (left,) = bus.peek("q")
    assert dict(left.application_properties) == properties | {"why": "later"}
    assert left.delivery_count == 1
