"""The rows of the three tables: what is in which partition, and under which key."""

import hashlib
import json
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from shared.errors import UnreadableRowError
from shared.ledger.limits import oldest_that_counts
from shared.ledger.rows import (
    UNREADABLE,
    RequestRow,
    alerting,
    from_time_text,
    read_waiting,
    to_row,
    to_time_text,
    waiting_columns,
)
from shared.ledger.tables import REQUESTS, USERS, Found, Row, keys, read_text, write_text
from shared.logs import alert
from shared.model import AcceptedRequest, HeldBack, RequestKey, Waiting
from shared.vocabulary import Caller, Mark, RequestId, UserId

OPEN, CHILDREN, STARTS, THE_CONTROL = "~open", "~children:", "starts", "control"
# Evidence and outcomes go with their requests.
FORGOTTEN_BY_AGE = (
    (USERS, "not (RowKey ge 'run:' and RowKey lt 'run;')"),
    (REQUESTS, f"PartitionKey ge '{CHILDREN}' and PartitionKey lt '{CHILDREN[:-1]};'"),
)
TEXTS = ("request", "evidence", "outcome")
# An empty text stands for nothing: a merge clears no property.
OPTIONAL = ("resolved_id", "waiting_for", "waiting_since", "waiting_budget", "schema")
_NOT_PLAIN = {*TEXTS, *OPTIONAL, "caller", "request_id"}
PLAIN: dict[str, Any] = {each.name: each.type for each in fields(RequestRow) if each.name not in _NOT_PLAIN}


def request_row(accepted: AcceptedRequest) -> Row:
    """Write an accepted request as a row of `Requests`; raise ValueError as `rows.to_row` does."""
    values = asdict(to_row(accepted))
    row = keys_of(accepted.key) | {name: values[name] for name in PLAIN}
    row |= {name: values[name] or "" for name in OPTIONAL}
    for name in TEXTS:
        row |= write_text(name, values[name])
    return row


def keys_of(key: RequestKey) -> Row:
    """Begin the row of a request."""
    return keys(key.request_id, key.caller)


def complete(row: Row) -> Row:
    """Return the row of a request with what a missing property stands for.

    Raises UnreadableRowError where one that nothing can stand for is missing, or one is of another type.
    """
    accepted_at = row.get("accepted_at")
    times = dict.fromkeys(("first_enqueued_at", "due_at", "patient_since"), accepted_at)
    whole = {"run": 1, "attempts": 0, "reported": False, **times, **row}
    texts = {name: str for name in OPTIONAL if name in row and name != "schema"}
    if not all(isinstance(whole.get(name), kind) for name, kind in (PLAIN | texts).items()):
        raise UnreadableRowError
    return whole


def open_key(key: RequestKey, run: int) -> str:
    """Name one run of a request among those that are open: what ends one says nothing of the next."""
    return f"{_digest(str(key), 64)}:{run}"


def open_row(
    key: RequestKey, run: int, due_at: datetime, accepted_at: datetime | str, waiting: Waiting | None = None
) -> Row:
    """Write when an open run of a request is due, and what it waits for."""
    accepted = accepted_at if isinstance(accepted_at, str) else to_time_text(accepted_at)
    names = {"caller": key.caller, "request_id": key.request_id, "run": run, "due_at": to_time_text(due_at)}
    return keys(OPEN, open_key(key, run)) | names | {"accepted_at": accepted} | waiting_row(waiting)


def waiting_row(waiting: Waiting | None) -> Row:
    """Write what a request waits for; empty texts where it does not wait."""
    return {name: text or "" for name, text in waiting_columns(waiting).items()}


def read_held_back(row: Row) -> HeldBack | None:
    """Read a row of those that are open; None where it is not held back. Raises as `read_open` does."""
    key, _ = read_open(row)
    with alerting(requestId=key.request_id, caller=key.caller):
        names = ("waiting_for", "waiting_since", "waiting_budget")
        waiting = read_waiting(*(str(row.get(name) or "") or None for name in names))
        return HeldBack(key, from_time_text(str(row.get("due_at"))), waiting) if waiting else None


def read_open(row: Row) -> tuple[RequestKey, int]:
    """Read which run of which request is open; alert and raise UnreadableRowError where the row does not say."""
    caller, request_id, run = (row.get(name) for name in ("caller", "request_id", "run"))
    with alerting(code="open"):
        if not (isinstance(caller, str) and isinstance(request_id, str) and isinstance(run, int)):
            raise UnreadableRowError
    return RequestKey(Caller(caller), RequestId(request_id)), run


def run_keys(key: RequestKey) -> tuple[str, str]:
    """Name the rows in the user's partition that hold outcome and evidence: together they may be too long for one."""
    digest = _digest(str(key), 32)
    return f"run:{digest}:outcome", f"run:{digest}:evidence"


def run_row(user_id: UserId, accepted: AcceptedRequest, row_key: str) -> Row:
    """Begin a row that holds outcome or evidence of one run; whose it is tells the purge."""
    names = {"caller": accepted.key.caller, "request_id": accepted.key.request_id}
    return keys(user_id, row_key) | names | run_name(accepted)


def run_name(accepted: AcceptedRequest) -> Row:
    """Name a run in its row: a key that was purged, and came again, begins at one again."""
    return {"run": accepted.run, "accepted_at": to_time_text(accepted.accepted_at)}


def is_same_run(one: Row, other: Row) -> bool:
    """Whether two rows are of the same run of a request; raise UnreadableRowError where one does not say."""
    names = ("run", "accepted_at")
    if any(row.get(name) is None for row in (one, other) for name in names):
        raise UnreadableRowError
    return all(one[name] == other[name] for name in names)


def mark_key(mark: Mark) -> str:
    """Name a mark in its user's partition."""
    return f"mark:{_digest(mark, 32)}"


def mark_row(user_id: UserId, mark: Mark, text: str | None) -> Row:
    """Build the row of a mark; one without a text says that there is none."""
    return keys(user_id, mark_key(mark)) | {"mark": mark} | write_text("text", text)


def read_children(row: Row) -> list[str]:
    """Read the ids that a body was split into; alert where that is not possible, and return none."""
    try:
        children = json.loads(read_text("children", row) or "[]")
    except ValueError:
        children = None
    if not isinstance(children, list):
        alert(UNREADABLE, requestId=row["PartitionKey"].removeprefix(CHILDREN), caller=row["RowKey"], code="children")
        return []
    return [str(child) for child in children]


def read_starts(found: Found | None, now: datetime) -> dict[int, int]:
    """Read how many resets started in which minute of those that count; alert where that is not possible: then none."""
    try:
        pairs = json.loads((found and read_text("starts", found.row)) or "[]")
        return {int(minute): int(number) for minute, number in pairs if minute >= oldest_that_counts(now)}
    except (ValueError, TypeError):
        alert(UNREADABLE, code="starts")
        return {}


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
