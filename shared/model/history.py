"""What the ledger remembers beyond one request: what a reset did for a user, whom one body asked for, what is held."""

from dataclasses import dataclass
from datetime import datetime

from shared.model.requests import RequestKey, Selection
from shared.vocabulary import MethodId, MethodType, Removal, Status


@dataclass(frozen=True)
class Coverage:
    """What one reset took on, and until when: who asks for no more, seen no later than `until`, needs no other.

    `until` is the start of its last verifying listing, and `stayed` names, by type, id and masked detail, what that
    listing still showed or could not show, for a reason that trying again would not cure. `steps` are written as
    policies write them; those in `undone` were not done, and `tried_at` is when the first of them was tried, None where
    none was. Steps that were taken instead of a reset, which was refused,
    cover likewise: `until` is then the moment before them, and no listing stands behind `stayed`.
    """

    key: RequestKey
    status: Status
    until: datetime
    removals: tuple[tuple[MethodType, Removal], ...]
    unknown_types: bool
    selection: Selection
    steps: tuple[str, ...]
    stayed: tuple[tuple[str, MethodId, str | None], ...] = ()
    undone: tuple[str, ...] = ()
    tried_at: datetime | None = None


@dataclass(frozen=True)
class Control:
    """What an operator changes while the program runs; every time is aware, and what has passed holds no more."""

    paused_until: datetime | None = None
    paused_by: str | None = None
    paused_why: str | None = None
    resets_per_hour: int | None = None
    resets_per_hour_until: datetime | None = None

    def is_paused(self, now: datetime) -> bool:
        """Whether nothing is to be begun or changed."""
        return self.paused_until is not None and now < self.paused_until

    def limit(self, usual: int, now: datetime) -> int:
        """Return how many resets may start in an hour: the operator's number while it holds, else `usual`."""
        if self.resets_per_hour is None or self.resets_per_hour_until is None or now >= self.resets_per_hour_until:
            return usual
        return self.resets_per_hour
