"""Faults to order: what goes wrong with the next sends to an entity, or with the next settlements of its messages."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

SERVER_BUSY: Final = "com.microsoft:server-busy"


class Operation(StrEnum):
    """What a fault can strike. One request counts once, however many messages are in it."""

    SEND = "send"
    SCHEDULE = "schedule"
    SETTLE = "settle"


SENDING: Final = frozenset({Operation.SEND, Operation.SCHEDULE})
SETTLING: Final = frozenset({Operation.SETTLE})


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nothing is taken; the answer is this AMQP condition."""

    condition: str


@dataclass(frozen=True, slots=True)
class LoseRequest:
    """Nothing is taken: the connection breaks instead of an answer."""


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """It is done, then the connection breaks before the answer."""


@dataclass(frozen=True, slots=True)
class DelayAnswer:
    """It is done, the answer comes so many seconds later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class KeepSilent:
    """It is done, or nothing is; either way no answer ever comes, over a connection that stays open."""

    done: bool


type Fault = Refuse | LoseRequest | LoseAnswer | DelayAnswer | KeepSilent


@dataclass(frozen=True, slots=True)
class _Order:
    fault: Fault
    operations: frozenset[Operation]


class Faults:
    """Faults that wait for what is to come, in the order they were asked for; each strikes once."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, list[_Order]] = defaultdict(list)

    def add(self, path: str, fault: Fault, times: int, operations: Collection[Operation] = SENDING) -> None:
        """Let a fault strike the next ``times`` such operations on an entity, after those that wait already."""
        self._waiting[path.casefold()].extend([_Order(fault, frozenset(operations))] * times)

    def count(self, path: str) -> int:
        """Count those that wait for an entity."""
        return len(self._waiting[path.casefold()])

    def clear(self) -> None:
        """Forget every fault that still waits."""
        self._waiting.clear()

    def next_for(self, path: str, operation: Operation) -> Fault | None:
        """Take the fault for an operation that has just come, if one waits for it."""
        waiting = self._waiting[path.casefold()]
        for place, order in enumerate(waiting):
            if operation in order.operations:
                return waiting.pop(place).fault
        return None
