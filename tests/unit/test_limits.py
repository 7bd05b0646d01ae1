"""The hourly limit: counted in whole minutes, never more than so many in any 60 minutes."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.limits import WINDOW_MINUTES, free_at, minute_of, oldest_that_counts
from tests.builders import NOW

FIRST = minute_of(NOW)
MINUTE = timedelta(minutes=1)


def at_minute(minute: int) -> datetime:
    """Return the beginning of a minute."""
    return datetime.fromtimestamp(minute * 60, UTC)


@pytest.mark.parametrize(
    ("starts", "limit", "minutes"),
    [
        ({}, 1, None),
        ({0: 1}, 2, None),
        ({0: 1}, 1, 61),
        ({-60: 1}, 1, 1),
        ({-61: 1}, 1, None),
        ({-61: 9, -60: 1, 0: 1}, 2, 1),
        ({-60: 1, -30: 1, 0: 1}, 3, 1),
        ({-60: 1, -30: 1, 0: 1}, 2, 31),
        ({-60: 1, -30: 1, 0: 1}, 1, 61),
        ({-30: 5}, 3, 31),
        ({0: 1, -30: 1}, 1, 61),
    ],
)
def test_limit_when_so_many_started_then_one_more_may_once_enough_are_an_hour_ago(
    starts: dict[int, int], limit: int, minutes: int | None
) -> None:
    """Minutes are told from now: a start counts for its minute and the sixty after it."""
    counted = {FIRST + minute: number for minute, number in starts.items()}
    expected = None if minutes is None else at_minute(FIRST + minutes)
    assert free_at(counted, limit, NOW + timedelta(seconds=30)) == expected


@pytest.mark.parametrize("seconds", [0, 1, 59])
def test_minute_when_a_time_is_within_it_then_it_is_that_one(seconds: int) -> None:
    """Down to the second, whatever the offset of the time."""
    at = NOW + timedelta(seconds=seconds)
    assert minute_of(at) == FIRST
    assert oldest_that_counts(at) == FIRST - WINDOW_MINUTES


@given(st.lists(st.integers(0, 40 * 60), max_size=80), st.integers(1, 6))
def test_limit_when_resets_want_to_start_at_any_times_then_never_more_than_it_start_in_any_60_minutes(
    gaps: list[int], limit: int
) -> None:
    """Whatever the seconds within the minute; `gaps` are the seconds between one that wants to start and the next."""
    now, starts, started = NOW, Counter[int](), list[datetime]()
    for gap in gaps:
        now += timedelta(seconds=gap)
        if free_at(starts, limit, now) is None:
            starts[minute_of(now)] += 1
            started.append(now)
    for first in started:
        assert sum(first <= at <= first + timedelta(hours=1) for at in started) <= limit


@given(st.dictionaries(st.integers(-90, 0), st.integers(1, 5), max_size=20), st.integers(1, 8))
def test_limit_when_it_is_full_then_one_may_start_at_the_time_that_is_said_and_not_a_minute_before(
    past: dict[int, int], limit: int
) -> None:
    """Whoever waits as long as that, and is the only one who does, waits once."""
    starts = {FIRST + minute: number for minute, number in past.items()}
    at = free_at(starts, limit, NOW)
    if at is not None:
        assert NOW < at <= NOW + timedelta(minutes=WINDOW_MINUTES + 1)
        assert free_at(starts, limit, at) is None
        assert free_at(starts, limit, at - MINUTE) == at
