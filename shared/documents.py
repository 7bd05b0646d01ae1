"""Outcomes and requests as the contract's JSON, built field by field: what is not named here never leaves."""

from datetime import UTC, datetime

from shared.model import CoveredBy, Incident, MethodLine, Outcome, Reason, ResetRequest, StepLine
from shared.strictjson import Json
from shared.vocabulary import UserId

CONTRACT_VERSION = 1


def outcome_document(outcome: Outcome) -> dict[str, Json]:
    """Write an outcome as the contract has it."""
    return {
        "version": CONTRACT_VERSION,
        "requestId": outcome.request_id,
        "caller": outcome.caller,
        "status": outcome.status.value,
        "dryRun": outcome.dry_run,
        "user": user_document(outcome.asked, outcome.user_id, outcome.user_principal_name),
        "profile": outcome.profile,
        "reasons": reason_documents(outcome.reasons),
        "coveredBy": _covered_by_document(outcome.covered_by),
        "replayed": outcome.replayed,
        "methods": [_method_document(line) for line in outcome.methods],
        "steps": [_step_document(line) for line in outcome.steps],
        "verified": outcome.verified,
        "verifiedAt": time_text(outcome.verified_at),
        "followUps": [{"code": one.code, "text": one.text} for one in outcome.follow_ups],
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


def reason_documents(reasons: tuple[Reason, ...]) -> list[Json]:
    """Write reasons; `method` and `step` name the line of the outcome that one is about."""
    return [{"code": one.code, "text": one.text, "method": one.method, "step": one.step} for one in reasons]


def user_document(
    asked: str | None, user_id: UserId | None = None, user_principal_name: str | None = None
) -> dict[str, Json]:
    """Write whom a request named, and whom that is, as far as it is known."""
    return {"asked": asked, "id": user_id, "userPrincipalName": user_principal_name}


def _covered_by_document(by: CoveredBy | None) -> Json:
    if by is None:
        return None
    return {
        "requestId": by.request_id,
        "caller": by.caller,
        "status": by.status.value,
        "verifiedAt": time_text(by.verified_at),
    }


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

    A derived id (parent, `~` and the user's hash) is left out, for no sender may name it: the body makes it again when
    it is sent with the parent as its MessageId.
    """
    selection = request.selection
    return {
        "version": CONTRACT_VERSION,
        "requestId": None if "~" in request.request_id else request.request_id,
        "user": request.asked or request.user.value,
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
