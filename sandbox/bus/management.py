"""The operations of an entity's ``$management`` node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from proton import Array, Data

from sandbox.bus.codec import MalformedError, build_array, to_timestamp
from sandbox.bus.delivery import encode_delivery
from sandbox.bus.envelope import parse_envelope
from sandbox.bus.inbox import MAX_MESSAGE_SIZE, SIZE_EXCEEDED, describe_excess
from sandbox.bus.outbox import LOCK_LOST, LOCK_LOST_TEXT
from sandbox.bus.queue import LockLostError, MessageNotFoundError, NotAllowedError
from sandbox.bus.settlement import Abandon, Complete, DeadLetter, Defer, Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.bus.broker import Broker
    from sandbox.bus.queue import Entry

SCHEDULE: Final = "com.microsoft:schedule-message"
UPDATE_DISPOSITION: Final = "com.microsoft:update-disposition"
_RECEIVE_AND_DELETE: Final = 0

type Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status as in HTTP, the result, and the AMQP condition of a failure."""

    status: int
    description: str
    body: Body | None = None
    condition: str | None = None


_NOTHING: Final = Answer(204, "No content.")


class ManagementOperations:
    """What can be asked of the entity at a path, which need not allow it."""

    def __init__(self, path: str, broker: Broker) -> None:
        self._path = path
        self._broker = broker
        self._operations: Mapping[str, Callable[[Body], Answer]] = {
            SCHEDULE: self._schedule,
            "com.microsoft:cancel-scheduled-message": self._cancel,
            "com.microsoft:peek-message": self._peek,
            "com.microsoft:receive-by-sequence-number": self._receive_deferred,
            "com.microsoft:renew-lock": self._renew,
            UPDATE_DISPOSITION: self._update_disposition,
        }

    def answer(self, operation: str, body: Body) -> Answer:
        """Carry an operation out, or say with Service Bus's status and condition why not."""
        carry_out = self._operations.get(operation)
        if carry_out is None:
            return Answer(501, f"The sandbox does not know {operation}.", condition="amqp:not-implemented")
        try:
            return carry_out(body)
        except (LockLostError, MessageNotFoundError, NotAllowedError, MalformedError, KeyError) as problem:
            return _tell_why(problem)

    def _schedule(self, body: Body) -> Answer:
        target = self._broker.namespace.find_target(self._path)
        encoded: list[bytes] = [one["message"] for one in body["messages"]]
        largest = max(map(len, encoded), default=0)
        if largest > MAX_MESSAGE_SIZE:
            return Answer(400, describe_excess(largest), condition=SIZE_EXCEEDED)
        envelopes = [parse_envelope(one) for one in encoded]
        numbers = [target.put(envelope, self._broker.now()) for envelope in envelopes]
        return _done({"sequence-numbers": build_array(Data.LONG, numbers)})

    def _cancel(self, body: Body) -> Answer:
        self._broker.namespace.find_target(self._path).cancel(_items(body["sequence-numbers"]))
        return _done({})

    def _peek(self, body: Body) -> Answer:
        queue = self._broker.namespace.find_source(self._path)
        entries = queue.peek(body["from-sequence-number"], body["message-count"])
        return self._tell(entries) if entries else _NOTHING

    def _receive_deferred(self, body: Body) -> Answer:
        queue = self._broker.namespace.find_source(self._path)
        locked = body["receiver-settle-mode"] != _RECEIVE_AND_DELETE
        return self._tell(queue.take_deferred(_items(body["sequence-numbers"]), self._broker.now(), locked=locked))

    def _renew(self, body: Body) -> Answer:
        queue = self._broker.namespace.find_source(self._path)
        ends = [queue.renew(token, self._broker.now()) for token in _items(body["lock-tokens"])]
        told = [to_timestamp(self._broker.on_wall_clock(end)) for end in ends]
        return _done({"expirations": build_array(Data.TIMESTAMP, told)})

    def _update_disposition(self, body: Body) -> Answer:
        queue = self._broker.namespace.find_source(self._path)
        settlement = _read_settlement(body)
        for token in _items(body["lock-tokens"]):
            queue.settle(token, settlement, self._broker.now())
        return _done({})

    def _tell(self, entries: list[Entry]) -> Answer:
        return _done({"messages": [self._tell_one(entry) for entry in entries]})

    def _tell_one(self, entry: Entry) -> Body:
        told: dict[str, Any] = {"message": encode_delivery(entry, self._broker)}
        return told | ({"lock-token": entry.lock.token} if entry.lock else {})


def _tell_why(problem: Exception) -> Answer:
    match problem:
        case LockLostError():
            return Answer(410, LOCK_LOST_TEXT, condition=LOCK_LOST)
        case MessageNotFoundError():
            told = "The message with this sequence number could not be found."
            return Answer(404, told, condition="com.microsoft:message-not-found")
        case NotAllowedError():
            return Answer(400, str(problem), condition="amqp:not-allowed")
        case MalformedError():
            return Answer(400, str(problem), condition="amqp:decode-error")
        case _:
            return Answer(400, f"The request lacks {problem}.", condition="com.microsoft:argument-error")


def _done(body: Body) -> Answer:
    return Answer(200, "OK", body)


def _items(value: Any) -> list[Any]:  # noqa: ANN401 - an AMQP array, or a list from a lax client
    return list(value.elements if isinstance(value, Array) else value)


def _read_settlement(body: Body) -> Settlement:
    changes = body.get("properties-to-modify") or {}
    match body["disposition-status"]:
        case "completed":
            return Complete()
        case "abandoned":
            return Abandon(changes)
        case "defered":
            return Defer(changes)
        case "suspended":
            return DeadLetter(body.get("deadletter-reason"), body.get("deadletter-description"), changes)
        case other:
            raise NotAllowedError(f"no disposition {other!r}")
