"""Faults to order: what goes wrong with the next calls that bring a token."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Refusal:
    """Nothing takes effect; the answer has this status and, unless there is a `body`, Key Vault's error shape."""

    status: int
    code: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True)
class Cut:
    """The connection is closed instead of an answer."""

    after_effect: bool = False


@dataclass(frozen=True)
class Silence:
    """The connection stays open, and no answer comes."""

    after_effect: bool = False


type Fault = Refusal | Cut | Silence


class FaultLine:
    """Faults that wait for the next calls, in the order they were asked for; each strikes once."""

    def __init__(self) -> None:
        self._waiting: deque[Fault] = deque()

    def add(self, fault: Fault, times: int) -> None:
        """Let a fault strike the next `times` calls, after those that wait already."""
        self._waiting.extend([fault] * times)

    def clear(self) -> None:
        """Forget every fault that still waits."""
        self._waiting.clear()

    def take(self) -> Fault | None:
        """Take the fault for a call that has just come, if one waits."""
        return self._waiting.popleft() if self._waiting else None
