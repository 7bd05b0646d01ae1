"""Outcomes and requests as the contract's JSON, built field by field: what is not named here never leaves."""

from datetime import UTC, datetime

from shared.model import Incident, MethodLine, Outcome, Reason, ResetRequest, StepLine
from shared.strictjson import Json

CONTRACT_VERSION = 1
LONGEST_REQUEST_ID = 100  # that a sender may name (product.md 1); a derived one may be longer


def outcome_document(outcome: Outcome) -> dict[str, Json]:
    """Write an outcome as the contract has it."""
    user: dict[str, Json] | None = None
    if outcome.user_id:
        user = {"id": outcome.user_id, "userPrincipalName": outcome.user_principal_name}
    return {
        "version": CONTRACT_VERSION,
        "requestId": outcome.request_id,
        "caller": outcome.caller,
        "status": outcome.status.value,
        "dryRun": outcome.dry_run,
        "user": user,
        "profile": outcome.profile,
        "reasons": _reason_documents(outcome.reasons),
        "methods": [_method_document(line) for line in outcome.methods],
        "steps": [_step_document(line) for line in outcome.steps],
        "verified": outcome.verified,
        "verifiedAt": time_text(outcome.verified_at),
        "followUps": _reason_documents(outcome.follow_ups),
        "requestedBy": outcome.requested_by,
        "source": outcome.source.value,
        "incident": _incident_document(outcome.incident),
        "acceptedAt": time_text(outcome.accepted_at),
        "startedAt": time_text(outcome.started_at),
        "finishedAt": time_text(outcome.finished_at),
    }


def time_text(at: datetime | None) -> str | None:
    """Write a time as RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def _reason_documents(reasons: tuple[Reason, ...]) -> list[Json]:
    return [{"code": reason.code, "text": reason.text} for reason in reasons]


def _method_document(line: MethodLine) -> Json:
    return {
        "type": line.type,
        "id": line.id,
        "detail": line.detail,
        "registeredAt": time_text(line.registered_at),
        "result": line.result.value if line.result else None,
        "error": line.error,
    }


def _step_document(line: StepLine) -> Json:
    return {"step": line.step, "result": line.result.value, "at": time_text(line.at), "detail": line.detail}


def _incident_document(incident: Incident | None) -> Json:
    return {"id": incident.id, "url": incident.url, "title": incident.title} if incident else None


def request_document(request: ResetRequest) -> dict[str, Json]:
    """Write a request in its canonical form (product.md 1), so that it can be sent again: to the same fingerprint.

    An id that no sender may name is left out. It is a derived one, parent, dot and the user's hash: the body makes it
    again when it is sent with the parent as its MessageId.
    """
    selection = request.selection
    return {
        "version": CONTRACT_VERSION,
        "requestId": request.request_id if len(request.request_id) <= LONGEST_REQUEST_ID else None,
        "user": request.user.value,
        "profile": request.profile,
        "reason": request.reason,
        "requestedBy": request.requested_by,
        "observedAt": _exact_time_text(request.observed_at),
        "keep": list(selection.keep),
        "onlyRegisteredAfter": _exact_time_text(selection.only_registered_after),
        "keepUndated": selection.keep_undated,
        "incident": _incident_document(request.incident),
        "dryRun": request.dry_run,
    }


def _exact_time_text(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z") if at else None
