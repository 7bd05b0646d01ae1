"""Values as rows: what every store keeps of an accepted request, whatever it keeps it in.

Request, evidence and outcome are JSON texts with the field names of `shared.model`. Rows of an older and of a newer
version are read too, for 400 days and after going back a version: a field that is not known is ignored, one that is
missing has the default that its class gives it. So a field keeps its name for as long as it keeps its meaning, and one
that is added has a default. What has none, or is of another type, or is a word that decides what is done and is not
known, makes that one row unreadable.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from shared.errors import UnreadableRowError
from shared.logs import alert
from shared.model import (
    AcceptedRequest,
    Control,
    Coverage,
    Evidence,
    Outcome,
    RequestKey,
    ResetRequest,
    Waiting,
    parse_budget,
)
from shared.vocabulary import Caller, RequestId, Source, UserId, WaitingFor

# `| None`, which no row holds: pydantic takes a configuration, and hands it down to every field, only where the
# outermost type is no dataclass.
_CONFIG = ConfigDict(extra="ignore", strict=True, defer_build=True)
_REQUESTS: TypeAdapter[ResetRequest | None] = TypeAdapter(ResetRequest | None, config=_CONFIG)
_EVIDENCE: TypeAdapter[Evidence | None] = TypeAdapter(Evidence | None, config=_CONFIG)
_OUTCOMES: TypeAdapter[Outcome | None] = TypeAdapter(Outcome | None, config=_CONFIG)
_COVERAGES: TypeAdapter[tuple[Coverage, ...] | None] = TypeAdapter(tuple[Coverage, ...] | None, config=_CONFIG)
_COVERAGE: TypeAdapter[Coverage | None] = TypeAdapter(Coverage | None, config=_CONFIG)
_CONTROLS: TypeAdapter[Control | None] = TypeAdapter(Control | None, config=_CONFIG)

# Of what is written; whatever it says is read. One more with each column, field or word that is added.
SCHEMA_VERSION = 6
MAX_COVERAGES = 10
UNREADABLE = "unreadableRow"
_FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class RequestRow:
    """An accepted request in columns. Times are UTC texts of one width: their order is the order of time."""

    caller: str
    request_id: str
    fingerprint: str
    source: str
    accepted_at: str
    first_enqueued_at: str
    due_at: str
    patient_since: str
    run: int
    attempts: int
    request: str
    evidence: str | None
    outcome: str | None
    reported: bool
    resolved_id: str | None = None
    waiting_for: str | None = None
    waiting_since: str | None = None
    waiting_budget: str | None = None
    schema: int | None = None


def to_row(accepted: AcceptedRequest) -> RequestRow:
    """Write an accepted request in columns.

    Raises ValueError, which quotes no value, where a time has no offset, a text no UTF-8 form, or a field another type.
    """
    return RequestRow(
        caller=accepted.key.caller,
        request_id=accepted.key.request_id,
        fingerprint=accepted.fingerprint,
        source=accepted.source.value,
        accepted_at=to_time_text(accepted.accepted_at),
        first_enqueued_at=to_time_text(accepted.first_enqueued_at),
        due_at=to_time_text(accepted.due_at),
        patient_since=to_time_text(accepted.patient_since),
        run=accepted.run,
        attempts=accepted.attempts,
        request=request_to_json(accepted.request),
        evidence=None if accepted.evidence is None else evidence_to_json(accepted.evidence),
        outcome=None if accepted.outcome is None else outcome_to_json(accepted.outcome),
        reported=accepted.reported,
        resolved_id=accepted.user_id,
        **waiting_columns(accepted.waiting),
        schema=SCHEMA_VERSION,
    )


def from_row(row: RequestRow) -> AcceptedRequest:
    """Read what `to_row` wrote, equal to what it was given; raise UnreadableRowError where that is not possible."""
    return AcceptedRequest(
        key=RequestKey(Caller(row.caller), RequestId(row.request_id)),
        fingerprint=row.fingerprint,
        request=_from_json(_REQUESTS, row.request),
        source=_read_source(row.source),
        accepted_at=from_time_text(row.accepted_at),
        first_enqueued_at=from_time_text(row.first_enqueued_at),
        due_at=from_time_text(row.due_at),
        patient_since=from_time_text(row.patient_since),
        run=row.run,
        attempts=row.attempts,
        evidence=None if row.evidence is None else _from_json(_EVIDENCE, row.evidence),
        outcome=None if row.outcome is None else outcome_from_json(row.outcome),
        reported=row.reported,
        user_id=UserId(row.resolved_id) if row.resolved_id else None,
        waiting=read_waiting(row.waiting_for, row.waiting_since, row.waiting_budget),
    )


def request_to_json(request: ResetRequest) -> str:
    """Write a request as JSON; raise ValueError as `to_row` does."""
    return _to_json(_REQUESTS, request)


def evidence_to_json(evidence: Evidence) -> str:
    """Write evidence as JSON; raise ValueError as `to_row` does."""
    return _to_json(_EVIDENCE, evidence)


def outcome_to_json(outcome: Outcome) -> str:
    """Write an outcome as JSON; raise ValueError as `to_row` does."""
    return _to_json(_OUTCOMES, outcome)


def outcome_from_json(text: str) -> Outcome:
    """Read what `outcome_to_json` wrote; raise UnreadableRowError where it is something else."""
    return _from_json(_OUTCOMES, text)


def coverages_to_json(coverages: tuple[Coverage, ...]) -> str:
    """Write what a user's resets cover as JSON; raise ValueError as `to_row` does."""
    return _to_json(_COVERAGES, coverages)


def coverages_from_json(text: str | None, user_id: UserId) -> tuple[Coverage, ...]:
    """Read what `coverages_to_json` wrote, nothing of nothing; alert of each that cannot be read, and leave it out.

    What covers nobody any more has a request carried out that it might have covered, which is safe; raising would keep
    every later reset of this user from its end.
    """
    try:
        found = [] if text is None else json.loads(text)
    except ValueError:
        found = None
    coverages: list[Coverage] = []
    for each in found if isinstance(found, list) else [None]:
        try:
            coverages.append(_from_json(_COVERAGE, json.dumps(each)))
        except UnreadableRowError:
            alert(UNREADABLE, userId=user_id, code="coverages")
    return tuple(coverages)


def with_coverage(coverages: tuple[Coverage, ...], coverage: Coverage | None) -> tuple[Coverage, ...]:
    """Put one more first, and leave the oldest out where there are too many."""
    return coverages if coverage is None else (coverage, *coverages)[:MAX_COVERAGES]


def control_to_json(control: Control) -> str:
    """Write what an operator has set as JSON; raise ValueError as `to_row` does."""
    return _to_json(_CONTROLS, control)


def control_from_json(text: str | None) -> Control:
    """Read what `control_to_json` wrote, an empty one of nothing; alert of anything else, and read it as a pause.

    An operator lifts that like any other, which writes the control anew.
    """
    try:
        return Control() if text is None else _from_json(_CONTROLS, text)
    except UnreadableRowError:
        alert(UNREADABLE, code="control")
        return Control(_FOR_EVER, "the ledger", "what an operator has set cannot be read")


@contextmanager
def alerting(**about: str) -> Iterator[None]:
    """Alert where a row cannot be read within, and let the error go on; `about` says which row it is."""
    try:
        yield
    except UnreadableRowError:
        alert(UNREADABLE, **about)
        raise


def to_time_text(at: datetime) -> str:
    """Write an aware time as UTC text, always 32 characters; raise ValueError without an offset."""
    if at.utcoffset() is None:
        raise ValueError("a time without an offset")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def from_time_text(text: str) -> datetime:
    """Read what `to_time_text` wrote; raise UnreadableRowError where it is something else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UnreadableRowError from None
    if at.utcoffset() is None:
        raise UnreadableRowError
    return at


def _read_source(text: str) -> Source:
    try:
        return Source(text)
    except ValueError:
        raise UnreadableRowError from None


def waiting_columns(waiting: Waiting | None) -> dict[str, str | None]:
    """Write why a request waits in columns, None for each where it does not."""
    return {
        "waiting_for": waiting.why.value if waiting else None,
        "waiting_since": to_time_text(waiting.since) if waiting else None,
        "waiting_budget": str(waiting.budget) if waiting and waiting.budget else None,
    }


def read_waiting(why: str | None, since: str | None, budget: str | None) -> Waiting | None:
    """Read what `waiting_columns` wrote; nothing for a reason that this version does not know: it decides nothing."""
    if since is None or why not in set(WaitingFor):
        return None
    return Waiting(WaitingFor(why), from_time_text(since), parse_budget(budget or ""))


def _to_json[Value](adapter: TypeAdapter[Value | None], value: Value) -> str:
    if not _all_times_aware(value):
        raise ValueError(f"a time without an offset in {type(value).__name__}")
    try:
        return adapter.dump_json(value, warnings="error").decode()
    except PydanticSerializationError:
        # Without its cause, which quotes the value.
        raise ValueError(f"a field of {type(value).__name__} is not what its type says, or no UTF-8 text") from None


def _from_json[Value](adapter: TypeAdapter[Value | None], text: str) -> Value:
    try:
        value = adapter.validate_json(text)
    except ValidationError as error:
        places = sorted({".".join(map(str, each["loc"])) + ": " + each["type"] for each in error.errors()})
        raise UnreadableRowError(f"{UnreadableRowError.__doc__} {', '.join(places)}") from None
    if value is None or not _all_times_aware(value):
        raise UnreadableRowError
    return value


def _all_times_aware(value: object) -> bool:
    return all(at.utcoffset() is not None for at in _times_in(value))


def _times_in(value: object) -> Iterator[datetime]:
    match value:
        case datetime():
            yield value
        case tuple():
            for item in value:
                yield from _times_in(item)
        case _ if is_dataclass(value):
            for each in fields(value):
                yield from _times_in(getattr(value, each.name))
        case _:
            return
