"""Counting what starts within an hour, in whole minutes; the same for every store. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

WINDOW_MINUTES = 60


def minute_of(at: datetime) -> int:
    """Return the minute that a time is in, counted since 1970."""
    return int(at.timestamp() // 60)


def oldest_that_counts(now: datetime) -> int:
    """Return the first minute of the hour that ends with this one: a whole hour, and what is left of a minute."""
    return minute_of(now) - WINDOW_MINUTES


def free_at(starts: Mapping[int, int], limit: int, now: datetime) -> datetime | None:
    """Return when one more may start, by how many started in which minute; None when it may now.

    `limit` is 1 or more.
    """
    recent = {minute: number for minute, number in starts.items() if minute >= oldest_that_counts(now)}
    started = sum(recent.values())
    at: datetime | None = None
    for minute in sorted(recent):
        if started < limit:
            break
        started -= recent[minute]
        at = datetime.fromtimestamp((minute + WINDOW_MINUTES + 1) * 60, UTC)
    return at
