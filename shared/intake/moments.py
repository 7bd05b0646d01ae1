"""Times as RFC 3339 writes them."""

import re
from datetime import UTC, datetime, timedelta, timezone

_RFC_3339 = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[Tt]"
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d+))?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<offset_hours>[01]\d|2[0-3]):(?P<offset_minutes>[0-5]\d))",
    re.ASCII,
)
_LEAP_SECOND = 60
_LAST_MINUTE_OF_A_DAY = (23, 59)


def parse_moment(text: str) -> datetime | None:
    """Read a time with an offset, in UTC; None where it is not one that RFC 3339 knows or Python can hold.

    A leap second, which comes only at the end of a UTC day, is the second before it. A fraction is cut to microseconds.
    """
    found = _RFC_3339.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    microsecond = int((found["fraction"] or "")[:6].ljust(6, "0"))
    try:
        at = datetime(
            year, month, day, hour, minute, min(second, _LEAP_SECOND - 1), microsecond, _offset(found)
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    leaps = (at.hour, at.minute) == _LAST_MINUTE_OF_A_DAY
    return at if second < _LEAP_SECOND or (second == _LEAP_SECOND and leaps) else None


def _offset(found: re.Match[str]) -> timezone:
    if found["sign"] is None:
        return UTC
    offset = timedelta(hours=int(found["offset_hours"]), minutes=int(found["offset_minutes"]))
    return timezone(-offset if found["sign"] == "-" else offset)
