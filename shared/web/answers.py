"""What goes back over HTTP: outcomes, what is accepted, problem documents (RFC 9457)."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from shared.documents import outcome_document, reason_documents, time_text, user_document
from shared.errors import LedgerUnavailableError
from shared.logs import alert, correlation_id, log
from shared.model import AcceptedRequest, Outcome, Reason
from shared.ports import Family, Finished, Reply, Taken
from shared.strictjson import Json
from shared.vocabulary import Status
from shared.web.addresses import address_of
from shared.web.refusals import as_seen

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


@dataclass(frozen=True)
class Reader:
    """Who gets an answer: at which scheme and host they reach us, and whether they may read all."""

    origin: str
    may_read_all: bool

    def sees(self, outcome: Outcome) -> Outcome:
        """Return what they may see of an outcome."""
        return as_seen(outcome, may_read_all=self.may_read_all)


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


def answer_one(reply: Reply, reader: Reader) -> HttpAnswer:
    """Answer a call for one user: its outcome, as a problem where it is no success, or 202."""
    if isinstance(reply, Finished):
        return _answer_outcome(reader.sees(reply.outcome))
    return _going_on(reply.key.request_id, _waiting_line(reply.key.request_id, reply.row), reader)


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


def answer_several(taken: Taken, reader: Reader) -> HttpAnswer:
    """Answer several requests: 202 with a line each, 400 when none of them was one."""
    lines: list[Json] = [
        outcome_document(reader.sees(reply.outcome))
        if isinstance(reply, Finished)
        else _waiting_line(reply.key.request_id, reply.row)
        for reply in taken.replies
    ]
    ended = [reply.outcome.status for reply in taken.replies if isinstance(reply, Finished)]
    if ended.count(Status.INVALID) == len(lines):
        text = "None of the requests is valid."
        return problem(HTTPStatus.BAD_REQUEST, "noValidRequest", text, requestId=taken.parent_id, requests=lines)
    return _going_on(taken.parent_id, _family_document(taken.parent_id, "accepted", lines), reader)


def answer_row(row: AcceptedRequest, reader: Reader) -> HttpAnswer:
    """Show one request: 200 with its outcome, whatever that is, else 202."""
    if row.outcome:
        return HttpAnswer(HTTPStatus.OK, outcome_document(reader.sees(row.outcome)))
    return _going_on(row.key.request_id, _waiting_line(row.key.request_id, row), reader)


def answer_family(family: Family, reader: Reader) -> HttpAnswer:
    """Show each of several users' requests as it is now: 200 once all have ended, 202 until then."""
    lines: list[Json] = [
        _ended_line(reader.sees(row.outcome)) if row.outcome else _waiting_line(row.key.request_id, row)
        for row in family.children
    ]
    lines += [{"requestId": request_id, "status": "unreadable"} for request_id in family.unreadable]
    if all(row.outcome for row in family.children):
        return HttpAnswer(HTTPStatus.OK, _family_document(family.parent_id, "ended", lines))
    return _going_on(family.parent_id, _family_document(family.parent_id, "accepted", lines), reader)


def _family_document(parent_id: str, status: str, lines: list[Json]) -> dict[str, Json]:
    return {"requestId": parent_id, "status": status, "requests": lines}


def _ended_line(outcome: Outcome) -> Json:
    """Show in short how one of several ended; what was invalid says all that is wrong, for its sender may mend it."""
    user = user_document(outcome.asked, outcome.user_id, outcome.user_principal_name)
    line: dict[str, Json] = {"requestId": outcome.request_id, "status": outcome.status.value, "user": user}
    return line | ({"reasons": reason_documents(outcome.reasons)} if outcome.status is Status.INVALID else {})


def _waiting_line(request_id: str, row: AcceptedRequest | None) -> dict[str, Json]:
    """Show a request that has not ended: what it waits for, since when, and when it is tried next, if that is known.

    Before anything is scheduled a request is due earlier than it was accepted, so that it is missed soon.
    """
    waiting = row.waiting if row else None
    is_scheduled = row and row.due_at >= row.accepted_at
    return {
        "requestId": request_id,
        "status": "accepted",
        "user": user_document(row.request.asked if row else None),
        "acceptedAt": time_text(row.accepted_at) if row else None,
        "attempts": row.attempts if row else None,
        "waitingFor": waiting.why.value if waiting else None,
        "since": time_text(waiting.since) if waiting else None,
        "nextTryAt": time_text(row.due_at) if row and is_scheduled else None,
    }


def _going_on(request_id: str, document: dict[str, Json], reader: Reader) -> HttpAnswer:
    """Answer 202: where to look, and when."""
    headers = {"Location": address_of(reader.origin, request_id), "Retry-After": str(RETRY_AFTER_SECONDS)}
    return HttpAnswer(HTTPStatus.ACCEPTED, document, headers=headers)


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
