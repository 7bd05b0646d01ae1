"""Where senders' messages come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from proton import Delivery

from sandbox.bus.codec import MalformedError
from sandbox.bus.condition import build_condition
from sandbox.bus.envelope import Envelope, parse_batch, parse_envelope
from sandbox.bus.faults import DelayAnswer, KeepSilent, LoseAnswer, LoseRequest, Operation, Refuse
from sandbox.bus.frames import BATCH_FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.bus.broker import Broker
    from sandbox.bus.entities import Entity

MAX_MESSAGE_SIZE: Final = 262_144
SIZE_EXCEEDED: Final = "amqp:link:message-size-exceeded"


class Peer(Protocol):
    """The connection a message came by."""

    def drop(self) -> None:
        """Break it without a word."""

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after a while, should the connection still be there."""


class EntityInbox:
    """Takes what a sender sends to a queue or topic."""

    def __init__(self, entity: Entity, broker: Broker, peer: Peer) -> None:
        self._entity = entity
        self._broker = broker
        self._peer = peer

    def receive(self, delivery: Delivery, payload: bytes, message_format: int) -> None:
        """Take a message, or all of a batch, and answer, unless a fault was ordered."""
        fault = self._broker.faults.next_for(self._entity.path, Operation.SEND)
        match fault:
            case Refuse(condition):
                reject(delivery, condition, "refused to order")
            case LoseRequest():
                self._peer.drop()
            case KeepSilent(done=False):
                pass
            case _:
                self._take(delivery, payload, message_format, fault)

    def _take(
        self,
        delivery: Delivery,
        payload: bytes,
        message_format: int,
        fault: LoseAnswer | DelayAnswer | KeepSilent | None,
    ) -> None:
        try:
            envelopes = _open(payload, message_format)
        except MalformedError as problem:
            reject(delivery, "amqp:decode-error", str(problem))
            return
        except _TooLargeError:
            reject(delivery, SIZE_EXCEEDED, describe_excess(len(payload)))
            return
        for envelope in envelopes:
            self._entity.put(envelope, self._broker.now())
        match fault:
            case LoseAnswer():
                self._peer.drop()
            case DelayAnswer(seconds):
                self._peer.call_later(seconds, lambda: accept(delivery))
            case KeepSilent():
                pass
            case None:
                accept(delivery)


def accept(delivery: Delivery) -> None:
    """Answer that all is well."""
    delivery.update(Delivery.ACCEPTED)
    delivery.settle()


def reject(delivery: Delivery, condition: str, description: str) -> None:
    """Answer with an error."""
    delivery.local.condition = build_condition(condition, description)
    delivery.update(Delivery.REJECTED)
    delivery.settle()


def describe_excess(size: int) -> str:
    """Say what is too large."""
    return f"The received message ({size} bytes) exceeds the limit ({MAX_MESSAGE_SIZE} bytes) allowed on the link."


class _TooLargeError(Exception):
    """More bytes than a message may have."""


def _open(payload: bytes, message_format: int) -> list[Envelope]:
    if len(payload) > MAX_MESSAGE_SIZE:
        raise _TooLargeError
    return parse_batch(payload) if message_format == BATCH_FORMAT else [parse_envelope(payload)]
