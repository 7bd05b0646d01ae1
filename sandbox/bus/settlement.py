"""What a receiver can do with a message it has locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

type Changes = Mapping[str, object]
"""Application properties that a settlement sets."""


@dataclass(frozen=True, slots=True)
class Complete:
    """Done: the message goes."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Not done: the message is visible again at once, one delivery more on its count."""

    changes: Changes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Defer:
    """Set aside: from now on received by its sequence number only."""

    changes: Changes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Given up: the message moves to the dead-letter queue."""

    reason: str | None = None
    description: str | None = None
    changes: Changes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """Handed back unread: visible again at once, its count as before."""


type Settlement = Complete | Abandon | Defer | DeadLetter | Release
