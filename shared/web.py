"""The HTTP side: who calls, which status code, problem documents (RFC 9457). Knows nothing of azure-functions."""

import base64
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import quote

from shared.documents import outcome_document, time_text
from shared.errors import BusUnavailableError, LedgerUnavailableError, TokenError
from shared.intake import parse_request_id, parse_stored_request_id
from shared.logs import alert, correlation_id, log
from shared.model import AcceptedRequest, Outcome, Reason
from shared.policy import GUID
from shared.ports import Call, Finished, Front, Reply
from shared.readiness import Readiness, readiness_document
from shared.strictjson import Json, parse_json
from shared.vocabulary import FUNCTION_KEY, Caller, RequestId, Status

JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 30
REQUEST_ROLE = "MfaReset.Request"
READ_ROLE = "MfaReset.Read"
READ_ROLES = frozenset({READ_ROLE, "MfaReset.Operate"})

# The names of a claim: as in the token, and as App Service Authentication maps it (functions.md 6).
_ROLE_CLAIMS = {"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"}
_OBJECT_ID_CLAIMS = {"oid", "http://schemas.microsoft.com/identity/claims/objectidentifier"}
_INVALID_STATUS = {
    "unknownUser": HTTPStatus.NOT_FOUND,
    "deletedUser": HTTPStatus.NOT_FOUND,
    "requestIdReused": HTTPStatus.CONFLICT,
    "tooLarge": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


@dataclass(frozen=True)
class HttpCall:
    """What reached us: `headers` have lower-case names."""

    method: str
    headers: Mapping[str, str]
    body: bytes = b""


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
class Principal:
    """Who calls, and what they may do."""

    caller: Caller
    may_request: bool
    may_read_all: bool


@dataclass(frozen=True)
class Web:
    """Answers calls. `require_entra`: only principals that App Service Authentication vouches for.

    `check` says what our identity can do of what the policy asks for, or raises TokenError.
    """

    front: Front
    require_entra: bool
    check: Callable[[], Awaitable[Readiness]]

    async def post_reset(self, call: HttpCall) -> HttpAnswer:
        """Answer `/api/resets`: 200 with the outcome, 202 when accepted, else a problem document."""
        if call.method != "POST":
            return _method_not_allowed("POST")
        principal = self.identify(call.headers)
        if isinstance(principal, HttpAnswer):
            return principal
        if not principal.may_request:
            return _role_missing(REQUEST_ROLE)
        header = call.headers.get("idempotency-key")
        idempotency_key = parse_request_id(_unquote(header)) if header is not None else None
        if header is not None and idempotency_key is None:
            return problem(
                HTTPStatus.BAD_REQUEST, "badIdempotencyKey", "Idempotency-Key: 1 to 100 of A-Z a-z 0-9 . _ : -"
            )
        return await _answer(self._post(Call(call.body, principal.caller, idempotency_key)))

    async def get_reset(self, call: HttpCall, request_id: str) -> HttpAnswer:
        """Answer `/api/resets/{requestId}`: 200 with the outcome, 202 while it goes on, 404 for what nobody asked."""
        if call.method != "GET":
            return _method_not_allowed("GET")
        principal = self.identify(call.headers)
        if isinstance(principal, HttpAnswer):
            return principal
        if not (principal.may_request or principal.may_read_all):
            return _role_missing(READ_ROLE)
        parsed = parse_stored_request_id(request_id)
        return await _answer(self._get(parsed, principal)) if parsed else _unknown_request()

    async def get_readiness(self, call: HttpCall) -> HttpAnswer:
        """Answer `/api/readiness`: 200 with what our identity can do and lacks, ready or not; 503 without a token."""
        if call.method != "GET":
            return _method_not_allowed("GET")
        principal = self.identify(call.headers)
        if isinstance(principal, HttpAnswer):
            return principal
        if not principal.may_read_all:
            return _role_missing(READ_ROLE)
        return await _answer(self._readiness())

    async def _post(self, call: Call) -> HttpAnswer:
        replies = await self.front.take_call(call)
        return _answer_one(replies[0]) if len(replies) == 1 else _answer_several(replies)

    async def _get(self, request_id: RequestId, principal: Principal) -> HttpAnswer:
        row = await self.front.look_up(request_id, principal.caller, any_caller=principal.may_read_all)
        return _answer_row(row) if row else _unknown_request()

    async def _readiness(self) -> HttpAnswer:
        try:
            readiness = await self.check()
        except TokenError as error:
            log("noToken", logging.ERROR, code=error.code)
            text = "The identity has no token for Microsoft Graph whose app roles can be read."
            return _unavailable("noToken", text, cause=error.code)
        return HttpAnswer(HTTPStatus.OK, readiness_document(readiness))

    def identify(self, headers: Mapping[str, str]) -> Principal | HttpAnswer:
        """Say who calls; without `require_entra` the host has checked a key and the principal's header is not read."""
        if not self.require_entra:
            return Principal(FUNCTION_KEY, may_request=True, may_read_all=True)
        claims = _read_claims(headers.get("x-ms-client-principal", ""))
        object_ids = {value.lower() for name, value in claims if name in _OBJECT_ID_CLAIMS and GUID.fullmatch(value)}
        if len(object_ids) != 1:
            return problem(HTTPStatus.UNAUTHORIZED, "noPrincipal", "Call with a token of an Entra application or user.")
        roles = {value for name, value in claims if name in _ROLE_CLAIMS}
        return Principal(
            Caller(object_ids.pop()), may_request=REQUEST_ROLE in roles, may_read_all=bool(READ_ROLES & roles)
        )


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


def _unquote(header: str) -> str:
    """Take off the quotes in which the draft on Idempotency-Key has it; senders leave them out."""
    text = header.strip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else text


def _read_claims(header: str) -> list[tuple[str, str]]:
    """Read what App Service Authentication says of the caller; nothing from anything that is not exactly that."""
    try:
        principal = parse_json(base64.b64decode(header, validate=True).decode())
    except ValueError:  # no ASCII, no base64, no UTF-8, no JSON
        return []
    claims = principal.get("claims") if isinstance(principal, dict) else None
    pairs = (
        [(one.get("typ"), one.get("val")) for one in claims if isinstance(one, dict)]
        if isinstance(claims, list)
        else []
    )
    return [(name, value) for name, value in pairs if isinstance(name, str) and isinstance(value, str)]


# --- Answers ----------------------------------------------------------------------------------------------------


async def _answer(work: Awaitable[HttpAnswer]) -> HttpAnswer:
    """Wait for an answer; what went wrong on our side is one of two fates, which say nothing but where to look."""
    try:
        return await work
    except (LedgerUnavailableError, BusUnavailableError) as error:
        return _nothing_accepted(error)
    except Exception as error:  # noqa: BLE001 - a bug is a fate too: 500, with the correlation id only
        return _bug(error)


def _role_missing(role: str) -> HttpAnswer:
    return problem(HTTPStatus.FORBIDDEN, "roleMissing", f"The caller lacks the role {role}.")


def _unknown_request() -> HttpAnswer:
    return problem(HTTPStatus.NOT_FOUND, "unknownRequest", "There is no such request.")


def _answer_one(reply: Reply) -> HttpAnswer:
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


def _answer_several(replies: tuple[Reply, ...]) -> HttpAnswer:
    """Answer several requests: 202 with a line each, 400 when none of them was one."""
    lines = [_line(reply) for reply in replies]
    invalid = [reply for reply in replies if isinstance(reply, Finished) and reply.outcome.status is Status.INVALID]
    if len(invalid) == len(replies):
        return problem(HTTPStatus.BAD_REQUEST, "noValidRequest", "None of the requests is valid.", requests=lines)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return HttpAnswer(HTTPStatus.ACCEPTED, {"status": "accepted", "requests": lines}, headers=headers)


def _answer_row(row: AcceptedRequest) -> HttpAnswer:
    if row.outcome:
        return HttpAnswer(HTTPStatus.OK, outcome_document(row.outcome))
    return _accepted(row.key.request_id, acceptedAt=time_text(row.accepted_at), attempts=row.attempts)


def _accepted(request_id: str, **more: Json) -> HttpAnswer:
    headers = {"Location": f"/api/resets/{quote(request_id, safe=':')}", "Retry-After": str(RETRY_AFTER_SECONDS)}
    return HttpAnswer(HTTPStatus.ACCEPTED, {"requestId": request_id, "status": "accepted", **more}, headers=headers)


def _method_not_allowed(allowed: str) -> HttpAnswer:
    answer = problem(HTTPStatus.METHOD_NOT_ALLOWED, "methodNotAllowed", f"Only {allowed} is answered here.")
    return HttpAnswer(answer.status, answer.document, PROBLEM_TYPE, {"Allow": allowed})


def _nothing_accepted(error: LedgerUnavailableError | BusUnavailableError) -> HttpAnswer:
    log("nothingAccepted", logging.ERROR, code=type(error).__name__)
    return _unavailable("unavailable", "Nothing was accepted; send it again.")


def _unavailable(code: str, detail: str, **more: Json) -> HttpAnswer:
    more["correlationId"] = correlation_id.get()
    answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, **more)
    return HttpAnswer(answer.status, answer.document, PROBLEM_TYPE, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def _bug(error: Exception) -> HttpAnswer:
    alert("bug", code=type(error).__name__)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "bug", "Something is wrong on our side.", correlationId=correlation_id.get()
    )
