"""Faults to order: what goes wrong with the next sends to an entity."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nothing is taken; the answer is this AMQP condition."""

    condition: str


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The message is taken, then the connection breaks before the answer."""


@dataclass(frozen=True, slots=True)
class DelayAnswer:
    """The message is taken, the answer comes so many seconds later."""

    seconds: float


type Fault = Refuse | LoseAnswer | DelayAnswer


class Faults:
    """Faults that wait for the next sends, in the order they were asked for; each strikes once."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def add(self, path: str, fault: Fault, times: int) -> None:
        """Let a fault strike the next ``times`` sends to an entity, after those that wait already."""
        self._waiting[path.casefold()].extend([fault] * times)

    def clear(self) -> None:
        """Forget every fault that still waits."""
        self._waiting.clear()

    def next_for(self, path: str) -> Fault | None:
        """Take the fault for a send that has just come, if one waits."""
        waiting = self._waiting[path.casefold()]
        return waiting.popleft() if waiting else None
