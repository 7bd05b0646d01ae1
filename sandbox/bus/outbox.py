"""Where receivers' messages go out, and where their settlements come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from proton import Condition, Delivery, Link

from sandbox.bus.condition import build_condition
from sandbox.bus.delivery import encode_delivery
from sandbox.bus.faults import DelayAnswer, KeepSilent, LoseAnswer, LoseRequest, Operation, Refuse
from sandbox.bus.queue import LockLostError, NotAllowedError
from sandbox.bus.settlement import Abandon, Complete, DeadLetter, Defer, Release, Settlement

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.bus.broker import Broker
    from sandbox.bus.inbox import Peer
    from sandbox.bus.queue import Queue

LOCK_LOST = "com.microsoft:message-lock-lost"
LOCK_LOST_TEXT = "The lock supplied is invalid. Either the lock expired, or the message has already been removed."


class EntityOutbox:
    """Sends a queue's messages to one receiver, in peek-lock or receive-and-delete."""

    def __init__(self, queue: Queue, broker: Broker, peer: Peer, link: Link) -> None:
        self._queue = queue
        self._broker = broker
        self._peer = peer
        self._link = link
        self._deletes = link.remote_snd_settle_mode == Link.SND_SETTLED
        self._tokens: dict[Delivery, UUID] = {}

    def can_take(self) -> bool:
        """Say whether the receiver has credit left."""
        return self._link.credit > 0

    def take(self, now: datetime) -> bool:
        """Send the first visible message; False when there is none."""
        entry = self._queue.take(now, locked=not self._deletes)
        if entry is None:
            return False
        token = entry.lock.token if entry.lock else UUID(int=0)
        # The tag is the lock token as .NET writes a Guid; proton declares text and takes bytes.
        tag: Any = token.bytes_le
        delivery = self._link.delivery(tag)
        self._link.stream(encode_delivery(entry, self._broker))
        self._link.advance()
        if self._deletes:
            delivery.settle()
        else:
            self._tokens[delivery] = token
        return True

    def end_round(self) -> None:
        """Give back the credit of a receiver that drains."""
        if self._link.drain_mode:
            self._link.drained()

    def settle(self, delivery: Delivery) -> None:
        """Apply the receiver's disposition and tell the outcome, unless a fault was ordered."""
        settlement = _read_settlement(delivery)
        if settlement is None:
            return
        token = self._tokens.pop(delivery, None)
        if token is None:
            return
        fault = self._broker.faults.next_for(self._queue.path, Operation.SETTLE)
        match fault:
            case Refuse(condition):
                _answer(delivery, build_condition(condition, "refused to order"))
            case LoseRequest():
                self._peer.drop()
            case LoseAnswer():
                self._apply(token, settlement)
                self._peer.drop()
            case DelayAnswer(seconds):
                problem = self._apply(token, settlement)
                self._peer.call_later(seconds, lambda: _answer(delivery, problem))
            case KeepSilent(done):
                if done:
                    self._apply(token, settlement)
            case None:
                _answer(delivery, self._apply(token, settlement))

    def _apply(self, token: UUID, settlement: Settlement) -> Condition | None:
        """Settle; give the reason when it cannot be."""
        try:
            self._queue.settle(token, settlement, self._broker.now())
        except LockLostError:
            return build_condition(LOCK_LOST, LOCK_LOST_TEXT)
        except NotAllowedError as problem:
            return build_condition("amqp:not-allowed", str(problem))
        return None


def _answer(delivery: Delivery, problem: Condition | None) -> None:
    """Tell the outcome: the same again, or rejected with the reason."""
    if problem is None:
        delivery.update(delivery.remote_state)
    else:
        delivery.local.condition = problem
        delivery.update(Delivery.REJECTED)
    delivery.settle()


def _read_settlement(delivery: Delivery) -> Settlement | None:
    remote = delivery.remote
    match delivery.remote_state:
        case Delivery.ACCEPTED:
            return Complete()
        case Delivery.REJECTED:
            return _read_dead_letter(remote.condition)
        case Delivery.MODIFIED:
            changes = {str(key): value for key, value in (remote.annotations or {}).items()}
            return Defer(changes) if remote.undeliverable else Abandon(changes)
        case Delivery.RELEASED:
            return Release()
        case _:
            # Settled without an outcome, the message is the broker's again.
            return Release() if delivery.settled else None


def _read_dead_letter(condition: Condition | None) -> DeadLetter:
    if condition is None:
        return DeadLetter()
    told: Any = condition.info or {}
    info = {str(key): value for key, value in told.items()}
    reason, description = info.pop("DeadLetterReason", None), info.pop("DeadLetterErrorDescription", None)
    return DeadLetter(reason, description or condition.description, info)
