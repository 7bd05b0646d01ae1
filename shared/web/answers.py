"""What goes back over HTTP: outcomes, what is accepted, problem documents (RFC 9457)."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import quote

from shared.documents import outcome_document, time_text
from shared.errors import LedgerUnavailableError
from shared.intake import parent_of
from shared.logs import alert, correlation_id, log
from shared.model import AcceptedRequest, Outcome, Reason
from shared.ports import Family, Finished, Pending, Reply
from shared.strictjson import Json
from shared.vocabulary import Status

JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 30

_INVALID_STATUS = {
    "unknownUser": HTTPStatus.NOT_FOUND,
    "deletedUser": HTTPStatus.NOT_FOUND,
    "requestIdReused": HTTPStatus.CONFLICT,
    "tooLarge": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


@dataclass(frozen=True)
class HttpAnswer:
    """What goes back."""

    status: HTTPStatus
    document: dict[str, Json]
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The document as JSON."""
        return json.dumps(self.document).encode()


def health() -> HttpAnswer:
    """Say that the app is up, and nothing else."""
    return HttpAnswer(HTTPStatus.OK, {"status": "up"})


def problem(status: HTTPStatus, code: str, detail: str, **more: Json) -> HttpAnswer:
    """Make a problem document (RFC 9457); `code` is what a program matches."""
    document: dict[str, Json] = {
        "type": f"urn:mfa-reset:problem:{code}",
        "title": status.phrase,
        "status": status.value,
        "code": code,
        "detail": detail,
        **more,
    }
    return HttpAnswer(status, document, PROBLEM_TYPE)


def role_missing(role: str) -> HttpAnswer:
    """Answer 403: whoever it is, they may not ask for this."""
    return problem(HTTPStatus.FORBIDDEN, "roleMissing", f"The caller lacks the role {role}.")


def unknown_request() -> HttpAnswer:
    """Answer 404: also for a request of another caller, of whom nobody is told."""
    return problem(HTTPStatus.NOT_FOUND, "unknownRequest", "There is no such request.")


def answer_one(reply: Reply) -> HttpAnswer:
    """Answer a call for one user: its outcome, as a problem where it is no success, or 202."""
    return _answer_outcome(reply.outcome) if isinstance(reply, Finished) else _accepted(reply.key.request_id)


def _answer_outcome(outcome: Outcome) -> HttpAnswer:
    document = outcome_document(outcome)
    if outcome.status is Status.REFUSED:
        return _outcome_problem(HTTPStatus.FORBIDDEN, outcome.reasons, document)
    if outcome.status is Status.INVALID:
        statuses = [_INVALID_STATUS[reason.code] for reason in outcome.reasons if reason.code in _INVALID_STATUS]
        return _outcome_problem(statuses[0] if statuses else HTTPStatus.BAD_REQUEST, outcome.reasons, document)
    return HttpAnswer(HTTPStatus.OK, document)


def _outcome_problem(status: HTTPStatus, reasons: tuple[Reason, ...], document: dict[str, Json]) -> HttpAnswer:
    return problem(
        status,
        reasons[0].code,
        " ".join(reason.text for reason in reasons)[:2_000],
        requestId=document["requestId"],
        problems=document["reasons"],
        outcome=document,
    )


def _line(reply: Reply) -> Json:
    if isinstance(reply, Finished):
        return outcome_document(reply.outcome)
    return {"requestId": reply.key.request_id, "status": "accepted"}


def answer_several(replies: tuple[Reply, ...]) -> HttpAnswer:
    """Answer several requests: 202 with a line each, 400 when none of them was one."""
    lines = [_line(reply) for reply in replies]
    invalid = [reply for reply in replies if isinstance(reply, Finished) and reply.outcome.status is Status.INVALID]
    if len(invalid) == len(replies):
        return problem(HTTPStatus.BAD_REQUEST, "noValidRequest", "None of the requests is valid.", requests=lines)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    parents = {parent_of(reply.key.request_id) for reply in replies if isinstance(reply, Pending)}
    if len(parents) == 1 and (parent := parents.pop()):
        headers["Location"] = _address(parent)
    return HttpAnswer(HTTPStatus.ACCEPTED, {"status": "accepted", "requests": lines}, headers=headers)


def answer_row(row: AcceptedRequest) -> HttpAnswer:
    """Show one request: 200 with its outcome, whatever that is, else 202."""
    if row.outcome:
        return HttpAnswer(HTTPStatus.OK, outcome_document(row.outcome))
    return _accepted(row.key.request_id, acceptedAt=time_text(row.accepted_at), attempts=row.attempts)


def answer_family(family: Family) -> HttpAnswer:
    """Show each of several users' requests as it is now: 200 once all have ended, 202 until then."""
    lines: list[Json] = [
        {"requestId": row.key.request_id, "status": row.outcome.status.value if row.outcome else "accepted"}
        for row in family.children
    ]
    lines += [{"requestId": request_id, "status": "unreadable"} for request_id in family.unreadable]
    document: dict[str, Json] = {"requestId": family.parent_id, "requests": lines}
    if all(row.outcome for row in family.children):
        return HttpAnswer(HTTPStatus.OK, document | {"status": "ended"})
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return HttpAnswer(HTTPStatus.ACCEPTED, document | {"status": "accepted"}, headers=headers)


def _address(request_id: str) -> str:
    return f"/api/resets/{quote(request_id, safe=':')}"


def _accepted(request_id: str, **more: Json) -> HttpAnswer:
    headers = {"Location": _address(request_id), "Retry-After": str(RETRY_AFTER_SECONDS)}
    return HttpAnswer(HTTPStatus.ACCEPTED, {"requestId": request_id, "status": "accepted", **more}, headers=headers)


def method_not_allowed(allowed: str) -> HttpAnswer:
    """Answer 405 and name the method that is right."""
    answer = problem(HTTPStatus.METHOD_NOT_ALLOWED, "methodNotAllowed", f"Only {allowed} is answered here.")
    return HttpAnswer(answer.status, answer.document, PROBLEM_TYPE, {"Allow": allowed})


def not_all_accepted(error: LedgerUnavailableError) -> HttpAnswer:
    """Answer 503: a second call with the same id goes on with what was accepted, and repeats nothing."""
    log("nothingAccepted", logging.ERROR, code=type(error).__name__)
    text = "Nothing was accepted, or not all of several: send it again, under the same requestId or Idempotency-Key."
    return unavailable("unavailable", text)


def unavailable(code: str, detail: str, **more: Json) -> HttpAnswer:
    """Answer 503 with when to ask again and where to look."""
    more["correlationId"] = correlation_id.get()
    answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, **more)
    return HttpAnswer(answer.status, answer.document, PROBLEM_TYPE, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def bug(error: Exception) -> HttpAnswer:
    """Answer 500 with the correlation id only, and alert."""
    alert("bug", code=type(error).__name__)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "bug", "Something is wrong on our side.", correlationId=correlation_id.get()
    )
