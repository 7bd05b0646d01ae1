"""NCRONTAB by itself."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.host.errors import StartError
from sandbox.host.schedule import Schedule

NOW = datetime(2026, 11, 24, 13, 7, 9, 500_000, tzinfo=UTC)  # a Tuesday


def occurrences(text: str, count: int, after: datetime = NOW) -> list[str]:
    """Give the next ones."""
    schedule, found = Schedule.parse(text), []
    for _ in range(count):
        after = schedule.next_after(after)
        found.append(after.strftime("%Y-%m-%d %H:%M:%S"))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * * *", ["2026-11-24 13:07:10", "2026-11-24 13:07:11"]),
        ("30 */5 * * * *", ["2026-11-24 13:10:30", "2026-11-24 13:15:30"]),
        ("0 23 3 * * *", ["2026-11-25 03:23:00", "2026-11-26 03:23:00"]),
        ("0 5/20 * * * *", ["2026-11-24 13:25:00", "2026-11-24 13:45:00"]),
        ("0 0-30/15,50 13 * * *", ["2026-11-24 13:15:00", "2026-11-24 13:30:00", "2026-11-24 13:50:00"]),
        ("0 0 9 * * 1-5", ["2026-11-25 09:00:00", "2026-11-26 09:00:00", "2026-11-27 09:00:00", "2026-11-30 09:00:00"]),
        ("0 0 9 * * MON,Sunday", ["2026-11-29 09:00:00", "2026-11-30 09:00:00"]),
        ("0 0 0 1 Jan,jul *", ["2027-01-01 00:00:00", "2027-07-01 00:00:00"]),
        ("0 0 0 31 * *", ["2026-12-31 00:00:00", "2027-01-31 00:00:00", "2027-03-31 00:00:00"]),
        ("0 0 0 13 * Fri", ["2027-08-13 00:00:00", "2028-10-13 00:00:00"]),
        ("0 0 0 29 2 *", ["2028-02-29 00:00:00", "2032-02-29 00:00:00"]),
        ("0 0 0 29 2 Mon", ["2044-02-29 00:00:00", "2072-02-29 00:00:00", "2112-02-29 00:00:00"]),
        ("59 59 23 31 12 *", ["2026-12-31 23:59:59", "2027-12-31 23:59:59"]),
        (" 9  7  13  24  11  * ", ["2027-11-24 13:07:09"]),
    ],
)
def test_schedule_when_asked_then_gives_what_comes_next(text: str, expected: list[str]) -> None:
    """Day and day of the week must both fit."""
    assert occurrences(text, len(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*/5 * * * *",
        "0 0 0 * * * 2026",
        "00:05:00",
        "60 * * * * *",
        "0 0 24 * * *",
        "0 0 0 0 * *",
        "0 0 0 * 13 *",
        "0 0 0 * 0 *",
        "0 0 0 * * 7",
        "0 0 0 * * L",
        "0 0 0 ? * *",
        "0 0 0 * * 1#2",
        "0 30-10 * * * *",
        "0 */0 * * * *",
        "0 5/1 * * * *",
        "0 1, * * * *",
        "0 1-2-3 * * * *",
        "0 -1 * * * *",
        "0 Mon * * * *",
        "0 0 0 * Ja *",
        "0 0 0 * * Mo",
        "0 ٥ * * * *",  # noqa: RUF001 - a digit, but not one of ours
        "@daily",
        "0\t0 0 * * *",
    ],
)
def test_schedule_when_not_understood_then_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(StartError, match="does not know"):
        Schedule.parse(text)


@pytest.mark.parametrize("text", ["0 0 0 30 2 *", "0 0 0 31 4,6,9,11 *"])
def test_schedule_when_no_day_fits_then_refused(text: str) -> None:
    """It would wait for ever."""
    with pytest.raises(StartError, match="never occurs"):
        Schedule.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/10 * * * * *", True),
        ("10,20,45 * * * * *", True),
        ("* * * * * *", True),
        ("0 * * * * *", False),
        ("* 30 * * * *", False),
        ("* * 12 * * Mon", False),
        ("0 */5 * * * *", False),
    ],
)
def test_schedule_when_it_occurs_within_every_minute_then_frequent(text: str, *, expected: bool) -> None:
    """As the WebJobs extension judges it."""
    assert Schedule.parse(text).is_frequent is expected


def test_schedule_when_asked_in_another_zone_then_answers_in_utc() -> None:
    """The offset of the question has no part in it."""
    there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert Schedule.parse("0 0 14 * * *").next_after(there) == datetime(2026, 11, 24, 14, tzinfo=UTC)


def values(least: int, most: int) -> st.SearchStrategy[set[int]]:
    """Give some of what a field takes."""
    return st.sets(st.integers(least, most), min_size=1, max_size=4)


@given(
    times=st.tuples(values(0, 59), values(0, 59), values(0, 23)),
    days_of_week=values(0, 6),
    seconds_later=st.integers(0, 600_000_000),
)
def test_schedule_when_any_then_next_is_the_first_that_fits_and_no_earlier_one(
    times: tuple[set[int], set[int], set[int]], days_of_week: set[int], seconds_later: int
) -> None:
    """What fits is found by looking at every second that could."""
    moment = NOW + timedelta(seconds=seconds_later)
    seconds, minutes, hours = times
    fields = [*(",".join(map(str, sorted(field))) for field in (*times, days_of_week))]
    found = Schedule.parse(f"{fields[0]} {fields[1]} {fields[2]} * * {fields[3]}").next_after(moment)
    midnights = [moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days) for days in range(9)]
    fitting = sorted(
        day + timedelta(hours=hour, minutes=minute, seconds=second)
        for day in midnights
        if day.isoweekday() % 7 in days_of_week
        for hour in hours
        for minute in minutes
        for second in seconds
    )
    assert found == next(one for one in fitting if one > moment)


def test_schedule_when_followed_then_never_the_same_twice() -> None:
    """Each is after the one before."""
    schedule, moments = Schedule.parse("0,30 * * * * *"), [NOW]
    for _ in range(100):
        moments.append(schedule.next_after(moments[-1]))
    assert all(after - before <= timedelta(seconds=30) for before, after in pairwise(moments))
    assert all(before < after for before, after in pairwise(moments))
