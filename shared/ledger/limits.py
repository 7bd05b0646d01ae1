"""Counting what starts within an hour, in whole minutes; the same for every store. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from shared.vocabulary import WaitingFor

WINDOW_MINUTES = 60
HOLDING_BACK = (WaitingFor.PAUSED, WaitingFor.HOURLY_LIMIT)  # what ends at once when an operator wants it to
OVERDUE = timedelta(minutes=10)  # a request that is due for so long holds nobody up in its line


def minute_of(at: datetime) -> int:
    """Return the minute that a time is in, counted since 1970."""
    return int(at.timestamp() // 60)


def oldest_that_counts(now: datetime) -> int:
    """Return the first minute of the hour that ends with this one: a whole hour, and what is left of a minute."""
    return minute_of(now) - WINDOW_MINUTES


def count_recent(starts: Mapping[int, int], now: datetime) -> int:
    """Return how many of `starts`, by the minute in which they started, still count."""
    return sum(number for minute, number in starts.items() if minute >= oldest_that_counts(now))


def free_at(starts: Mapping[int, int], limit: int, now: datetime, ahead: int = 0) -> datetime | None:
    """Return when one more may start, by how many started in which minute; None when it may now.

    `limit` is 1 or more. `ahead` others start before it, each as soon as it may: every `limit` of them take an hour.
    """
    hours, ahead = divmod(ahead, limit)
    recent = {minute: number for minute, number in starts.items() if minute >= oldest_that_counts(now)}
    started = sum(recent.values()) + ahead
    at: datetime | None = None
    for minute in sorted(recent):
        if started < limit:
            break
        started -= recent[minute]
        at = datetime.fromtimestamp((minute + WINDOW_MINUTES + 1) * 60, UTC)
    if not hours:
        return at
    first = at or datetime.fromtimestamp(minute_of(now) * 60, UTC)
    return first + hours * timedelta(minutes=WINDOW_MINUTES + 1)
