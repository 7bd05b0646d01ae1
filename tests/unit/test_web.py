"""The HTTP side: who calls, which status, and nothing said that should not be."""

import base64
import json
import logging
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BusUnavailableError, LedgerUnavailableError, SettingsError
from shared.logs import FIELDS, NOISY, alert, correlate, correlation_id, log, quiet_libraries
from shared.model import FUNCTION_KEY, AcceptedRequest, Caller, Reason, RequestId, RequestKey, Status
from shared.ports import Call, Finished, Pending, Reply
from shared.web import HttpAnswer, HttpCall, Principal, Web, health
from tests.builders import APPLICATION, an_accepted_request, an_outcome

KEY = RequestKey(FUNCTION_KEY, RequestId("INC:1"))


class Desk:
    """A `ports.Front` that gives a test's replies and remembers what it was asked."""

    def __init__(self, *replies: Reply, row: AcceptedRequest | None = None, error: Exception | None = None) -> None:
        self.replies, self.row, self.error = replies, row, error
        self.calls: list[Call] = []
        self.look_ups: list[tuple[RequestId, Caller, bool]] = []

    async def take_call(self, call: Call) -> tuple[Reply, ...]:
        """Give the replies."""
        self.calls.append(call)
        if self.error:
            raise self.error
        return self.replies

    async def look_up(self, request_id: RequestId, caller: Caller, *, any_caller: bool) -> AcceptedRequest | None:
        """Give the row."""
        self.look_ups.append((request_id, caller, any_caller))
        if self.error:
            raise self.error
        return self.row


async def post(desk: Desk, *, entra: bool = False, method: str = "POST", **headers: str) -> HttpAnswer:
    """Post a body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await Web(desk, entra).post_reset(HttpCall(method, named, b"{}"))


def principal(*claims: tuple[str, object]) -> str:
    """Encode claims as App Service Authentication does."""
    document = {"claims": [{"typ": kind, "val": value} for kind, value in claims]}
    return base64.b64encode(json.dumps(document).encode()).decode()


def refusal(status: Status, *reasons: str) -> Finished:
    """Make a reply that is no success."""
    return Finished(an_outcome(status, reasons=tuple(Reason(code, f"{code}.") for code in reasons)))


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Finished(an_outcome(Status.COMPLETED)), 200),
        (Finished(an_outcome(Status.PARTIAL)), 200),
        (Finished(an_outcome(Status.COVERED)), 200),
        (Finished(an_outcome(Status.PLANNED)), 200),
        (refusal(Status.REFUSED, "neverUser", "privilegedRole"), 403),
        (refusal(Status.INVALID, "wrongType", "required"), 400),
        (refusal(Status.INVALID, "unknownUser"), 404),
        (refusal(Status.INVALID, "requestIdReused"), 409),
        (refusal(Status.INVALID, "tooLarge"), 413),
        (Pending(KEY), 202),
    ],
)
async def test_post_answers_with_the_status_of_the_contract(reply: Reply, status: int) -> None:
    """Successes are the outcome; the others are problem documents that hold it."""
    answer = await post(Desk(reply))
    assert answer.status == status
    assert answer.content_type == ("application/problem+json" if status >= 400 else "application/json")
    if status >= 400:
        assert isinstance(reply, Finished)
        assert answer.document["problems"] == [
            {"code": reason.code, "text": reason.text} for reason in reply.outcome.reasons
        ]
    assert json.loads(answer.body) == answer.document


async def test_post_that_is_pending_says_where_to_look_and_when() -> None:
    """The id stands in the address as it is: a colon is legal there."""
    answer = await post(Desk(Pending(KEY)))
    assert answer.headers == {"Location": "/api/resets/INC:1", "Retry-After": "30"}
    assert answer.document == {"requestId": "INC:1", "status": "accepted"}


async def test_post_of_several_is_202_with_a_line_each_unless_none_is_valid() -> None:
    """Each reply is named."""
    invalid = refusal(Status.INVALID, "badFormat")
    mixed = await post(Desk(Pending(KEY), invalid))
    assert (mixed.status, len(json.loads(mixed.body)["requests"])) == (202, 2)
    assert (await post(Desk(invalid, invalid))).status == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_post_by_another_method_is_405_before_anything_else(method: str) -> None:
    """Nobody is asked who they are."""
    desk = Desk()
    answer = await post(desk, entra=True, method=method)
    assert (answer.status, answer.headers["Allow"], desk.calls) == (405, "POST", [])


@pytest.mark.parametrize(("header", "key"), [("K-1", "K-1"), ('"K-1"', "K-1"), (" K-1 ", "K-1")])
async def test_post_hands_the_idempotency_key_on(header: str, key: str) -> None:
    """With or without the quotes of its draft."""
    desk = Desk(Pending(KEY))
    await post(desk, idempotency_key=header)
    assert desk.calls == [Call(b"{}", FUNCTION_KEY, RequestId(key))]


@pytest.mark.parametrize("header", ["", '"', "a b", "x" * 101, ".."])
async def test_post_with_a_bad_idempotency_key_is_400(header: str) -> None:
    """A key that could not be found again is none."""
    answer = await post(Desk(), idempotency_key=header)
    assert (answer.status, answer.document["code"]) == (400, "badIdempotencyKey")


@pytest.mark.parametrize(
    ("error", "status"),
    [(LedgerUnavailableError(), 503), (BusUnavailableError("secret"), 503), (ValueError("secret"), 500)],
)
async def test_call_that_goes_wrong_on_our_side_says_only_where_to_look(error: Exception, status: int) -> None:
    """A correlation id, and no text of ours or of an exception's."""
    correlate("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    web = Web(Desk(error=error), require_entra=False)
    for answer in (await post(Desk(error=error)), await web.get_reset(HttpCall("GET", {}), "x")):
        assert answer.status == status
        assert answer.document["correlationId"] == "0af7651916cd43dd8448eb211c80319c"
        assert b"secret" not in answer.body


async def test_get_shows_what_is_known() -> None:
    """Ended: the outcome, whatever it is. Going on: 202. Unknown, or no id at all: 404."""
    ended = an_accepted_request(outcome=an_outcome(Status.REFUSED))
    for row, request_id, status in (
        (ended, "INC-1", 200),
        (an_accepted_request(), "INC-1", 202),
        (None, "INC-1", 404),
        (ended, "a b", 404),
    ):
        answer = await Web(Desk(row=row), require_entra=False).get_reset(HttpCall("GET", {}), request_id)
        assert answer.status == status
    assert (await Web(Desk(), require_entra=False).get_reset(HttpCall("POST", {}), "x")).headers == {"Allow": "GET"}


def test_health_says_only_that_it_is_up() -> None:
    """Nothing about versions or settings."""
    assert (health().status, health().document) == (HTTPStatus.OK, {"status": "up"})


# --- Who calls --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "may_request", "may_read_all"),
    [
        ([("roles", "MfaReset.Request")], True, False),
        ([("roles", "MfaReset.Read")], False, True),
        ([("roles", "MfaReset.Operate"), ("roles", "MfaReset.Request")], True, True),
        ([("http://schemas.microsoft.com/ws/2008/06/identity/claims/role", "MfaReset.Request")], True, False),
        ([("scp", "MfaReset.Request")], False, False),
    ],
)
def test_principal_has_the_rights_of_its_roles(
    claims: list[tuple[str, object]],
    may_request: bool,
    may_read_all: bool,
) -> None:
    """Roles under either name count, nothing else does."""
    for name in ("oid", "http://schemas.microsoft.com/identity/claims/objectidentifier"):
        header = principal((name, APPLICATION.upper()), *claims)
        found = Web(Desk(), require_entra=True).identify({"x-ms-client-principal": header})
        assert found == Principal(APPLICATION, may_request=may_request, may_read_all=may_read_all)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "###",
        "é",
        base64.b64encode(b"\xff").decode(),
        base64.b64encode(b"{").decode(),
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b'{"claims": 1}').decode(),
        base64.b64encode(b'{"claims": [1, {"typ": 1, "val": "x"}, {"typ": "oid", "val": 2}]}').decode(),
        principal(("roles", "MfaReset.Request")),
        principal(("oid", "bob"), ("roles", "MfaReset.Request")),
        principal(("oid", APPLICATION), ("oid", "aaaaaaaa-0000-4000-8000-00000000000a")),
    ],
)
async def test_principal_that_is_not_exactly_one_is_401(header: str) -> None:
    """Whatever is not what App Service Authentication writes is nobody."""
    for answer in (
        await post(Desk(), entra=True, x_ms_client_principal=header),
        await Web(Desk(), require_entra=True).get_reset(HttpCall("GET", {"x-ms-client-principal": header}), "x"),
    ):
        assert (answer.status, answer.document["code"]) == (401, "noPrincipal")


async def test_principal_without_the_role_is_403() -> None:
    """Authenticated is not authorised."""
    header = {"x-ms-client-principal": principal(("oid", APPLICATION))}
    assert (await post(Desk(), entra=True, x_ms_client_principal=header["x-ms-client-principal"])).status == 403
    assert (await Web(Desk(), require_entra=True).get_reset(HttpCall("GET", header), "x")).status == 403


async def test_principal_is_not_read_without_app_service_authentication() -> None:
    """Anybody could send the header then: whoever has the key is the function key's caller, and may read all."""
    header = principal(("oid", APPLICATION), ("roles", "MfaReset.Request"))
    desk = Desk(Pending(KEY))
    await post(desk, x_ms_client_principal=header)
    await Web(desk, require_entra=False).get_reset(HttpCall("GET", {"x-ms-client-principal": header}), "x")
    assert desk.calls[0].caller == FUNCTION_KEY
    assert desk.look_ups == [(RequestId("x"), FUNCTION_KEY, True)]


@given(st.text())
def test_principal_of_any_header_is_somebody_or_nobody(header: str) -> None:
    """Reading it is total."""
    found = Web(Desk(), require_entra=True).identify({"x-ms-client-principal": header})
    assert isinstance(found, HttpAnswer | Principal)


# --- Logs and small change --------------------------------------------------------------------------------------


def test_log_is_one_json_object_with_allowed_fields(caplog: pytest.LogCaptureFixture) -> None:
    """A field that is not on the list is a bug that shows at once; what is None is left out."""
    correlate(None)
    with caplog.at_level(logging.INFO, "mfa_reset"):
        log("looked", round=1, code=None)
        alert("bug", code="X")
    first, second = [json.loads(record.getMessage()) for record in caplog.records]
    assert first == {"event": "looked", "correlationId": correlation_id.get(), "round": 1}
    assert (second["alert"], caplog.records[1].levelno) == (True, logging.ERROR)
    with pytest.raises(KeyError, match="userPrincipalName"):
        log("x", userPrincipalName="a@b.example")
    assert "userPrincipalName" not in FIELDS


@pytest.mark.parametrize("trace_parent", [None, "", "x", "a-b", "00-../..-b-c"])
def test_correlation_without_a_trace_is_an_id_of_our_own(trace_parent: str | None) -> None:
    """There is always one to look for."""
    correlate(trace_parent)
    assert len(correlation_id.get()) == 32


def test_libraries_speak_from_warning_on() -> None:
    """They say too much below."""
    quiet_libraries()
    assert {logging.getLogger(name).level for name in NOISY} == {logging.WARNING}


def test_settings_error_names_every_problem() -> None:
    """An operator reads it in the log."""
    assert str(SettingsError(("a", "b"))) == "mfa-reset cannot start:\n- a\n- b"
