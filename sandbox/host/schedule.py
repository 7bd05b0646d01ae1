"""NCRONTAB, the schedules of timer triggers: seconds, minutes, hours, days, months, days of the week.

A field is a list of `*`, a value, a range, or one of these with a step: `*/5`, `0-30/10`, `5/15` (5 and then every 15th
to the end). Months and days of the week may be named, in full or by three letters; Sunday is 0, and 7 is nothing. A day
counts when it fits **both** the day and the day of the week, as in NCrontab and unlike in cron.

Refused though Azure takes it: five fields, a time span, shorter names, ranges that run backwards, a step of 0, and a
step of 1 after a single value, which NCrontab has read in two ways.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sandbox.host.errors import StartError

# The longest that a 29th of February of one weekday takes to come again, over a year that is no leap year: 40 years.
MOST_DAYS = 41 * 366
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d{1,4}))?", re.ASCII)
_NUMBER = re.compile(r"\d{1,2}", re.ASCII)


@dataclass(frozen=True)
class _Field:
    """What may stand in one of the six places."""

    least: int
    most: int
    names: tuple[str, ...] = ()

    @property
    def all(self) -> frozenset[int]:
        return frozenset(range(self.least, self.most + 1))

    def parse(self, text: str) -> frozenset[int]:
        """Read a field; ValueError when it is none."""
        return frozenset().union(*(self._parse_part(part) for part in text.split(",")))

    def _parse_part(self, text: str) -> frozenset[int]:
        found = _PART.fullmatch(text)
        if not found:
            raise ValueError(text)
        first, last, step = found.groups()
        every = 1 if step is None else int(step)
        start = self.least if first is None else self._parse_value(first)
        end = self._find_end(first, last, step)
        if every < 1 or start > end or (every == 1 and step and first and not last):
            raise ValueError(text)
        return frozenset(range(start, end + 1, every))

    def _find_end(self, first: str | None, last: str | None, step: str | None) -> int:
        if last is not None:
            return self._parse_value(last)
        return self._parse_value(first) if first is not None and step is None else self.most

    def _parse_value(self, text: str) -> int:
        for place, name in enumerate(self.names):
            if text.lower() in {name.lower(), name[:3].lower()}:
                return place + self.least
        if not _NUMBER.fullmatch(text) or not self.least <= int(text) <= self.most:
            raise ValueError(text)
        return int(text)


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_FIELDS: Mapping[str, _Field] = {
    "seconds": _Field(0, 59),
    "minutes": _Field(0, 59),
    "hours": _Field(0, 23),
    "days": _Field(1, 31),
    "months": _Field(1, 12, _MONTHS),
    "days_of_week": _Field(0, 6, _DAYS),
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The values that each field takes."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Parse an expression of six fields; StartError when it is none, or when no day ever fits it."""
        words = [word for word in text.split(" ") if word]
        if len(words) != len(_FIELDS):
            raise StartError(f"The sandbox host does not know the schedule '{text}': it knows six fields, no more")
        values = {}
        for (name, field), word in zip(_FIELDS.items(), words, strict=True):
            try:
                values[name] = field.parse(word)
            except ValueError:
                told = f"The sandbox host does not know the {name.replace('_', ' ')} '{word}' of the schedule '{text}'"
                raise StartError(told) from None
        schedule = cls(**values)
        if schedule.find_next(datetime(2000, 1, 1, tzinfo=UTC)) is None:
            raise StartError(f"The schedule '{text}' never occurs")
        return schedule

    @property
    def is_frequent(self) -> bool:
        """Whether it occurs several times in every minute: Azure then keeps no status of it."""
        wild = all(getattr(self, name) == field.all for name, field in _FIELDS.items() if name != "seconds")
        return wild and len(self.seconds) > 1

    def next_after(self, moment: datetime) -> datetime:
        """Give the first occurrence after an aware time, never that time itself; in UTC, whole seconds."""
        found = self.find_next(moment)
        assert found is not None  # noqa: S101 - `parse` has let nothing else through
        return found

    def find_next(self, moment: datetime) -> datetime | None:
        """Give the same, or None when none comes within 41 years."""
        first = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        for days in range(MOST_DAYS):
            day = first.date() + timedelta(days=days)
            if self._holds_on(day) and (at := self._find_time(first.time() if days == 0 else time())) is not None:
                return datetime.combine(day, at, UTC)
        return None

    def _holds_on(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.days_of_week

    def _find_time(self, earliest: time) -> time | None:
        moments = (
            time(hour, minute, second)
            for hour in sorted(self.hours)
            if hour >= earliest.hour
            for minute in sorted(self.minutes)
            for second in sorted(self.seconds)
        )
        return next((moment for moment in moments if moment >= earliest), None)
