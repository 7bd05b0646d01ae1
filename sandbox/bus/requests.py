"""The two nodes that answer requests: ``$cbs`` for tokens, ``<entity>/$management`` for operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from proton import int32, symbol

from sandbox.bus.codec import MalformedError
from sandbox.bus.envelope import build_message, parse_envelope
from sandbox.bus.faults import DelayAnswer, Fault, KeepSilent, LoseAnswer, LoseRequest, Operation, Refuse
from sandbox.bus.inbox import accept, reject
from sandbox.bus.management import SCHEDULE, UPDATE_DISPOSITION, Answer, ManagementOperations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proton import Delivery

    from sandbox.bus.broker import Broker
    from sandbox.bus.inbox import Peer

type Reply = Callable[[bytes], None]
"""Sends an encoded message over the link that belongs to the request's."""

_CORRELATION_ID: Final = 5
_OPERATIONS: Final = {SCHEDULE: Operation.SCHEDULE, UPDATE_DISPOSITION: Operation.SETTLE}


@dataclass(frozen=True, slots=True)
class Request:
    """A message that asks for an answer."""

    message_id: object
    operation: str
    body: Mapping[str, Any]

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read a request; MalformedError when it is none."""
        envelope = parse_envelope(payload)
        operation = envelope.read_application_properties().get("operation")
        body = envelope.read_body()
        return cls(envelope.read_properties()[0], str(operation), body if isinstance(body, dict) else {})

    def encode_answer(self, answered: Mapping[str, object], body: object = None) -> bytes:
        """Give the message that answers this request."""
        properties = [None] * _CORRELATION_ID + [self.message_id] + [None] * 7
        return build_message(properties, answered, body)


class TokenInbox:
    """``$cbs``: every token is good for ever."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def receive(self, delivery: Delivery, payload: bytes, message_format: int) -> None:
        """Accept a token."""
        del message_format
        request = _parse_or_reject(delivery, payload)
        if request is not None:
            answered = {"status-code": int32(202), "status-description": "Accepted"}
            self._reply(request.encode_answer(answered))


class ManagementInbox:
    """``$management`` of one entity, where messages are scheduled, and settled when the link that gave them is gone."""

    def __init__(self, path: str, broker: Broker, peer: Peer, reply: Reply) -> None:
        self._path = path
        self._broker = broker
        self._peer = peer
        self._reply = reply
        self._operations = ManagementOperations(path, broker)

    def receive(self, delivery: Delivery, payload: bytes, message_format: int) -> None:
        """Carry an operation out and answer, unless a fault was ordered."""
        del message_format
        request = _parse_or_reject(delivery, payload)
        if request is None:
            return
        operation = _OPERATIONS.get(request.operation)
        fault = self._broker.faults.next_for(self._path, operation) if operation else None
        if isinstance(fault, LoseRequest):
            self._peer.drop()
            return
        if fault == KeepSilent(done=False):
            return
        answer = encode_answer(request, self._answer(request, fault))
        match fault:
            case LoseAnswer():
                self._peer.drop()
            case DelayAnswer(seconds):
                self._peer.call_later(seconds, lambda: self._reply(answer))
            case KeepSilent():
                pass
            case _:
                self._reply(answer)

    def _answer(self, request: Request, fault: Fault | None) -> Answer:
        if isinstance(fault, Refuse):
            return Answer(503, "Refused to order.", condition=fault.condition)
        return self._operations.answer(request.operation, request.body)


def encode_answer(request: Request, answer: Answer) -> bytes:
    """Give the message with a management node's answer."""
    answered: dict[str, object] = {"statusCode": int32(answer.status), "statusDescription": answer.description}
    if answer.condition is not None:
        answered["errorCondition"] = symbol(answer.condition)
    return request.encode_answer(answered, answer.body)


def _parse_or_reject(delivery: Delivery, payload: bytes) -> Request | None:
    try:
        request = Request.parse(payload)
    except MalformedError as problem:
        reject(delivery, "amqp:decode-error", str(problem))
        return None
    accept(delivery)
    return request
