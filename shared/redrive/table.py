"""What was found, as lines for a terminal: codes, ids, numbers and times, nothing of a body."""

from collections.abc import Sequence
from datetime import UTC, datetime

from shared.redrive.judgement import EXPLANATIONS, Fate, Judgement

HEADS = ("enqueued", "reason", "sequence number", "request", "bytes", "deliveries", "send again")


def write_table(judgements: Sequence[Judgement]) -> str:
    """Write a line a message, and below why some cannot be sent again; no line at all where there is no message."""
    if not judgements:
        return ""
    rows = [HEADS, *map(_row, judgements)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    fates = sorted({one.fate for one in judgements} - {Fate.AGAIN})
    return "\n".join([*lines, *(f"  {fate}: {EXPLANATIONS[fate]}" for fate in fates)]) + "\n"


def _row(one: Judgement) -> tuple[str, ...]:
    return (
        _time(one.enqueued_at),
        one.reason,
        str(one.sequence_number),
        one.request,
        str(one.size),
        str(one.delivery_count),
        "yes" if one.fate is Fate.AGAIN else f"no: {one.fate}",
    )


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else "-"
