"""The routes: who may call them, and what is asked of the reception."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from shared.errors import LedgerUnavailableError, TokenError
from shared.intake import parse_request_id, parse_stored_request_id
from shared.logs import log
from shared.ports import Call, Front
from shared.readiness import Readiness, readiness_document
from shared.vocabulary import RequestId
from shared.web.addresses import origin_of
from shared.web.answers import (
    HttpAnswer,
    Reader,
    answer_family,
    answer_one,
    answer_row,
    answer_several,
    bug,
    method_not_allowed,
    not_all_accepted,
    problem,
    role_missing,
    unavailable,
    unknown_request,
)
from shared.web.principals import KEY_HOLDER, READ_ROLE, REQUEST_ROLE, Principal, read_principal


@dataclass(frozen=True)
class HttpCall:
    """What reached us: `headers` have lower-case names, `url` is the address as the host saw it."""

    method: str
    headers: Mapping[str, str]
    body: bytes = b""
    url: str = ""


@dataclass(frozen=True)
class Web:
    """Answers calls. `require_entra`: only principals that App Service Authentication vouches for.

    `check` says what our identity can do of what the policy asks for, or raises TokenError. `public_url` is where we
    are reached; without it the answers lead to where each call came.
    """

    front: Front
    require_entra: bool
    check: Callable[[], Awaitable[Readiness]]
    public_url: str | None = None

    async def post_reset(self, call: HttpCall) -> HttpAnswer:
        """Answer `/api/resets`: 200 with the outcome, 202 when accepted, else a problem document."""
        if call.method != "POST":
            return method_not_allowed("POST")
        principal = self.identify(call.headers)
        if isinstance(principal, HttpAnswer):
            return principal
        if not principal.may_request:
            return role_missing(REQUEST_ROLE)
        header = call.headers.get("idempotency-key")
        idempotency_key = parse_request_id(_unquote(header)) if header is not None else None
        if header is not None and idempotency_key is None:
            return problem(
                HTTPStatus.BAD_REQUEST, "badIdempotencyKey", "Idempotency-Key: 1 to 100 of A-Z a-z 0-9 . _ : -"
            )
        return await _answer(
            self._post(Call(call.body, principal.caller, idempotency_key), self._reader(call, principal))
        )

    async def get_reset(self, call: HttpCall, request_id: str) -> HttpAnswer:
        """Answer `/api/resets/{requestId}`: 200 with the outcome, 202 while it goes on, 404 for what nobody asked."""
        if call.method != "GET":
            return method_not_allowed("GET")
        principal = self.identify(call.headers)
        if isinstance(principal, HttpAnswer):
            return principal
        if not (principal.may_request or principal.may_read_all):
            return role_missing(READ_ROLE)
        parsed = parse_stored_request_id(request_id)
        return await _answer(self._get(parsed, principal, call)) if parsed else unknown_request()

    async def get_readiness(self, call: HttpCall) -> HttpAnswer:
        """Answer `/api/readiness`: 200 with what our identity can do and lacks, ready or not; 503 without a token."""
        if call.method != "GET":
            return method_not_allowed("GET")
        principal = self.identify(call.headers)
        if isinstance(principal, HttpAnswer):
            return principal
        if not principal.may_read_all:
            return role_missing(READ_ROLE)
        return await _answer(self._readiness())

    async def _post(self, call: Call, reader: Reader) -> HttpAnswer:
        taken = await self.front.take_call(call)
        return answer_one(taken.replies[0], reader) if len(taken.replies) == 1 else answer_several(taken, reader)

    async def _get(self, request_id: RequestId, principal: Principal, call: HttpCall) -> HttpAnswer:
        """Show a request, else the several of that id; what was no request is shown where nothing else is."""
        any_caller, reader = principal.may_read_all, self._reader(call, principal)
        row = await self.front.look_up(request_id, principal.caller, any_caller=any_caller)
        if row and not row.is_malformed:
            return answer_row(row, reader)
        if family := await self.front.look_up_family(request_id, principal.caller, any_caller=any_caller):
            return answer_family(family, reader)
        return answer_row(row, reader) if row else unknown_request()

    def _reader(self, call: HttpCall, principal: Principal) -> Reader:
        return Reader(origin_of(call.url, self.public_url), principal.may_read_all)

    async def _readiness(self) -> HttpAnswer:
        try:
            readiness = await self.check()
        except TokenError as error:
            log("noToken", logging.ERROR, code=error.code)
            text = "The identity has no token for Microsoft Graph whose app roles can be read."
            return unavailable("noToken", text, cause=error.code)
        return HttpAnswer(HTTPStatus.OK, readiness_document(readiness))

    def identify(self, headers: Mapping[str, str]) -> Principal | HttpAnswer:
        """Say who calls; without `require_entra` the host has checked a key and the principal's header is not read."""
        if not self.require_entra:
            return KEY_HOLDER
        text = "Call with a token of an Entra application or user."
        return read_principal(headers) or problem(HTTPStatus.UNAUTHORIZED, "noPrincipal", text)


def _unquote(header: str) -> str:
    """Take off the quotes in which the draft on Idempotency-Key has it; senders leave them out."""
    text = header.strip(" \t")
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else text


async def _answer(work: Awaitable[HttpAnswer]) -> HttpAnswer:
    """Wait for an answer; what went wrong on our side is one of two fates, which say nothing but where to look."""
    try:
        return await work
    except LedgerUnavailableError as error:
        return not_all_accepted(error)
    except Exception as error:  # noqa: BLE001 - a bug is a fate too: 500, with the correlation id only
        return bug(error)
