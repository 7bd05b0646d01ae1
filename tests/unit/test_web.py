"""The HTTP side: who calls, which status, and nothing said that should not be."""

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.documents import outcome_document
from shared.errors import GraphAnswer, LedgerUnavailableError, TokenError
from shared.logs import correlate
from shared.model import MALFORMED, AcceptedRequest, Outcome, Reason, RequestKey, StepLine, Waiting
from shared.permissions import APP_ROLES
from shared.ports import Call, Family, Finished, Pending, Reply, Taken
from shared.readiness import Readiness, judge_readiness, readiness_document
from shared.vocabulary import FUNCTION_KEY, Caller, RequestId, Status, StepResult, WaitingFor
from shared.web import HttpAnswer, HttpCall, Principal, Web, health
from tests.builders import ALICE, APPLICATION, NOW, a_line, a_policy, a_request, an_accepted_request, an_outcome
from tests.strategies import outcomes, request_ids

HERE = "http://127.0.0.1:7071"
KEY = RequestKey(FUNCTION_KEY, RequestId("INC:1"))


class Desk:
    """A `ports.Front` that gives a test's replies and remembers what it was asked."""

    def __init__(
        self,
        *replies: Reply,
        row: AcceptedRequest | None = None,
        family: Family | None = None,
        error: Exception | None = None,
    ) -> None:
        self.replies, self.row, self.family, self.error = replies, row, family, error
        self.parent_id = RequestId("INC-1")
        self.calls: list[Call] = []
        self.look_ups: list[tuple[RequestId, Caller, bool]] = []

    async def take_call(self, call: Call) -> Taken:
        """Give the replies."""
        self.calls.append(call)
        if self.error:
            raise self.error
        return Taken(self.parent_id, self.replies)

    async def look_up(self, request_id: RequestId, caller: Caller, *, any_caller: bool) -> AcceptedRequest | None:
        """Give the row."""
        self.look_ups.append((request_id, caller, any_caller))
        if self.error:
            raise self.error
        return self.row

    async def look_up_family(self, parent_id: RequestId, caller: Caller, *, any_caller: bool) -> Family | None:
        """Give the family."""
        self.look_ups.append((parent_id, caller, any_caller))
        return self.family


READINESS = judge_readiness(a_policy(), {role.name for role in APP_ROLES})


def check_that(error: Exception | None = None) -> Callable[[], Awaitable[Readiness]]:
    """Make a check that finds everything granted, or fails."""

    async def check() -> Readiness:
        if error:
            raise error
        return READINESS

    return check


def a_web(desk: Desk, *, require_entra: bool, error: Exception | None = None, public_url: str | None = None) -> Web:
    """Make the HTTP side; `error` is what the check of readiness ends with."""
    return Web(desk, require_entra, check_that(error), public_url)


async def post(desk: Desk, *, entra: bool = False, method: str = "POST", **headers: str) -> HttpAnswer:
    """Post a body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await a_web(desk, require_entra=entra).post_reset(HttpCall(method, named, b"{}", f"{HERE}/api/resets"))


async def get(desk: Desk, request_id: str = "INC-1", *, role: str | None = None) -> HttpAnswer:
    """Look at a request, with the function key or as a principal with a role."""
    headers = {"x-ms-client-principal": principal(("oid", APPLICATION), ("roles", role))} if role else {}
    call = HttpCall("GET", headers, url=f"{HERE}/api/resets/{request_id}?code=the-key")
    return await a_web(desk, require_entra=role is not None).get_reset(call, request_id)


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
            {"code": reason.code, "text": reason.text, "method": None, "step": None} for reason in reply.outcome.reasons
        ]
    assert json.loads(answer.body) == answer.document


async def test_post_that_is_pending_says_where_to_look_and_when() -> None:
    """The id stands in the address as it is: a colon is legal there."""
    answer = await post(Desk(Pending(KEY)))
    assert answer.headers == {"Location": f"{HERE}/api/resets/INC:1", "Retry-After": "30"}
    nothing = ("acceptedAt", "attempts", "waitingFor", "since", "nextTryAt")
    assert answer.document == {
        "requestId": "INC:1",
        "status": "accepted",
        "user": {"asked": None, "id": None, "userPrincipalName": None},
        **dict.fromkeys(nothing),
    }


@pytest.mark.parametrize("role", [None, "MfaReset.Request"])
async def test_answer_of_what_goes_on_says_what_it_waits_for_since_when_and_when_it_is_tried_next(
    role: str | None,
) -> None:
    """The same on the POST and on every GET, with an absolute address each time."""
    row = replace(
        an_accepted_request(replace(a_request(), asked="jsmith@contoso.example"), attempts=2),
        waiting=Waiting(WaitingFor.HOURLY_LIMIT, NOW + timedelta(minutes=1)),
        due_at=NOW + timedelta(minutes=9),
    )
    answer = await get(Desk(row=row), role=role)
    assert (answer.status, answer.document) == (
        202,
        {
            "requestId": "INC-3177",
            "status": "accepted",
            "user": {"asked": "jsmith@contoso.example", "id": None, "userPrincipalName": None},
            "acceptedAt": "2026-11-24T09:00:00.000Z",
            "attempts": 2,
            "waitingFor": "hourlyLimit",
            "since": "2026-11-24T09:01:00.000Z",
            "nextTryAt": "2026-11-24T09:09:00.000Z",
        },
    )
    assert answer.headers == {"Location": f"{HERE}/api/resets/INC-3177", "Retry-After": "30"}
    assert (await post(Desk(Pending(row.key, row)))).document == answer.document


async def test_answer_of_what_nothing_is_scheduled_for_yet_names_no_time() -> None:
    """It is due in the past, so that it is missed soon, and nobody waits for anything."""
    answer = await get(Desk(row=replace(an_accepted_request(), due_at=NOW - timedelta(minutes=28))))
    assert [answer.document[key] for key in ("waitingFor", "since", "nextTryAt")] == [None, None, None]
    assert answer.document["acceptedAt"] == "2026-11-24T09:00:00.000Z"


@pytest.mark.parametrize(
    ("url", "public_url", "origin"),
    [
        ("http://127.0.0.1:7071/api/resets?code=secret", None, "http://127.0.0.1:7071"),
        ("https://mfa.contoso.example/api/resets", None, "https://mfa.contoso.example"),
        ("http://[::1]:7071/api/resets", None, "http://[::1]:7071"),
        ("https://evil.example/api/resets", "https://app.example", "https://app.example"),
        ("https://user:pass@evil.example/api/resets", None, ""),
        ("javascript://x/api/resets", None, ""),
        ("https://evil.example\\@x/api", None, ""),
        ("http://[::1/api", None, ""),
        ("", None, ""),
    ],
)
async def test_location_leads_to_where_azure_says_we_are_else_to_where_the_call_came(
    url: str, public_url: str | None, origin: str
) -> None:
    """A forged host leads only its own forger astray, and nothing but scheme and host of the url goes back."""
    web = a_web(Desk(Pending(KEY)), require_entra=False, public_url=public_url)
    answer = await web.post_reset(HttpCall("POST", {"x-forwarded-host": "evil.example"}, b"{}", url))
    assert answer.headers["Location"] == f"{origin}/api/resets/INC:1"


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
    [(LedgerUnavailableError("secret"), 503), (ValueError("secret"), 500)],
)
async def test_call_that_goes_wrong_on_our_side_says_only_where_to_look(error: Exception, status: int) -> None:
    """A correlation id, and no text of ours or of an exception's."""
    correlate("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    web = a_web(Desk(error=error), require_entra=False)
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
        answer = await a_web(Desk(row=row), require_entra=False).get_reset(HttpCall("GET", {}), request_id)
        assert answer.status == status
    assert (await a_web(Desk(), require_entra=False).get_reset(HttpCall("POST", {}), "x")).headers == {"Allow": "GET"}


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
        found = a_web(Desk(), require_entra=True).identify({"x-ms-client-principal": header})
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
        await a_web(Desk(), require_entra=True).get_reset(HttpCall("GET", {"x-ms-client-principal": header}), "x"),
    ):
        assert (answer.status, answer.document["code"]) == (401, "noPrincipal")


async def test_principal_without_the_role_is_403() -> None:
    """Authenticated is not authorised."""
    header = {"x-ms-client-principal": principal(("oid", APPLICATION))}
    assert (await post(Desk(), entra=True, x_ms_client_principal=header["x-ms-client-principal"])).status == 403
    assert (await a_web(Desk(), require_entra=True).get_reset(HttpCall("GET", header), "x")).status == 403


async def test_principal_is_not_read_without_app_service_authentication() -> None:
    """Anybody could send the header then: whoever has the key is the function key's caller, and may read all."""
    header = principal(("oid", APPLICATION), ("roles", "MfaReset.Request"))
    desk = Desk(Pending(KEY))
    await post(desk, x_ms_client_principal=header)
    await a_web(desk, require_entra=False).get_reset(HttpCall("GET", {"x-ms-client-principal": header}), "x")
    assert desk.calls[0].caller == FUNCTION_KEY
    assert set(desk.look_ups) == {(RequestId("x"), FUNCTION_KEY, True)}


@given(st.text())
def test_principal_of_any_header_is_somebody_or_nobody(header: str) -> None:
    """Reading it is total."""
    found = a_web(Desk(), require_entra=True).identify({"x-ms-client-principal": header})
    assert isinstance(found, HttpAnswer | Principal)


@pytest.mark.parametrize(
    "names", [("oid", "oid"), ("oid", "http://schemas.microsoft.com/identity/claims/objectidentifier")]
)
def test_principal_when_the_same_id_is_claimed_twice_then_it_is_one(names: tuple[str, str]) -> None:
    """In capital and in small letters, under either name; what is no object id is no second one."""
    header = principal((names[0], APPLICATION), (names[1], APPLICATION.upper()), ("oid", "bob"))
    found = a_web(Desk(), require_entra=True).identify({"x-ms-client-principal": header})
    assert found == Principal(APPLICATION, may_request=False, may_read_all=False)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["claims", "typ", "val"]), inner),
    )
)
def test_principal_of_any_json_is_somebody_or_nobody(document: object) -> None:
    """Reading it is total below the encoding too, and without an object id nobody is somebody."""
    header = base64.b64encode(json.dumps(document).encode()).decode()
    found = a_web(Desk(), require_entra=True).identify({"x-ms-client-principal": header})
    assert isinstance(found, HttpAnswer)


async def test_get_by_a_reader_looks_at_the_requests_of_all_and_by_an_asker_at_their_own() -> None:
    """A request's outcome names its user."""
    desk = Desk(row=an_accepted_request())
    for role in ("MfaReset.Request", "MfaReset.Read", "MfaReset.Operate"):
        header = principal(("oid", APPLICATION), ("roles", role))
        answer = await a_web(desk, require_entra=True).get_reset(
            HttpCall("GET", {"x-ms-client-principal": header}), "x"
        )
        assert answer.status == 202
    assert desk.look_ups == [(RequestId("x"), APPLICATION, any_caller) for any_caller in (False, True, True)]


# --- Any request, any outcome -----------------------------------------------------------------------------------


@given(request_ids)
async def test_location_of_any_pending_request_leads_back_to_it(request_id: RequestId) -> None:
    """What is quoted is one segment of a path that reads as the id again."""
    answer = await post(Desk(Pending(RequestKey(FUNCTION_KEY, request_id))))
    prefix, _, segment = answer.headers["Location"].rpartition("/")
    assert (prefix, unquote(segment)) == (f"{HERE}/api/resets", request_id)
    assert segment.isascii()


@given(outcomes.filter(lambda outcome: bool(outcome.reasons)))
async def test_post_of_any_outcome_holds_all_of_it(outcome: Outcome) -> None:
    """Whether as the answer or within a problem document, whose detail stays readable."""
    answer = await post(Desk(Finished(outcome)))
    document = json.loads(answer.body)
    assert document.get("outcome", document) == json.loads(json.dumps(outcome_document(outcome)))
    assert len(document.get("detail", "")) <= 2_000
    assert (answer.status == HTTPStatus.OK) is (outcome.status not in {Status.REFUSED, Status.INVALID})


async def test_problem_when_answered_then_it_is_a_problem_document() -> None:
    """RFC 9457: type, title, status, detail; `code` is what a program matches."""
    answer = await post(Desk(refusal(Status.REFUSED, "neverUser", "guest")))
    shown = {key: answer.document[key] for key in ("type", "title", "status", "code", "detail", "requestId")}
    assert shown == {
        "type": "urn:mfa-reset:problem:neverUser",
        "title": "Forbidden",
        "status": 403,
        "code": "neverUser",
        "detail": "neverUser. guest.",
        "requestId": "INC-3177",
    }


async def test_call_that_not_all_was_accepted_of_says_when_and_how_to_send_it_again() -> None:
    """Under the same id nothing is done twice; a bug says nothing of the kind."""
    answer = await post(Desk(error=LedgerUnavailableError()))
    assert (answer.headers, answer.document["code"]) == ({"Retry-After": "30"}, "unavailable")
    assert answer.document["detail"] == (
        "Nothing was accepted, or not all of several: send it again, under the same requestId or Idempotency-Key."
    )
    assert (await post(Desk(error=ZeroDivisionError()))).headers == {}


# --- Several users ----------------------------------------------------------------------------------------------

CHILDREN = ("INC-1~ABCDEFGHIJKLMNOP", "INC-1~ABCDEFGHIJKLMNOQ")


def children(*outcomes: Outcome | None) -> tuple[AcceptedRequest, ...]:
    """Make what one body was split into, each with its outcome or none yet."""
    rows = [an_accepted_request(outcome=outcome) for outcome in outcomes]
    ids = [RequestId(each) for each in CHILDREN]
    return tuple(replace(row, key=RequestKey(FUNCTION_KEY, id_)) for row, id_ in zip(rows, ids, strict=False))


@pytest.mark.parametrize(
    ("outcomes", "status", "word"),
    [
        ((an_outcome(Status.COMPLETED), an_outcome(Status.REFUSED)), 200, "ended"),
        ((an_outcome(Status.COMPLETED), None), 202, "accepted"),
        ((None, None), 202, "accepted"),
    ],
)
async def test_get_of_the_id_of_several_shows_each_as_it_is(
    outcomes: tuple[Outcome | None, ...], status: int, word: str
) -> None:
    """200 once all have ended, 202 and when to look again until then, at an absolute address."""
    answer = await get(Desk(family=Family(RequestId("INC-1"), children(*outcomes))))
    lines = json.loads(answer.body)["requests"]
    assert [line["status"] for line in lines] == [one.status.value if one else "accepted" for one in outcomes]
    assert ["waitingFor" in line for line in lines] == [one is None for one in outcomes]
    headers = {"Location": f"{HERE}/api/resets/INC-1", "Retry-After": "30"} if status == 202 else {}
    assert (answer.status, answer.headers) == (status, headers)
    assert answer.document == {"requestId": "INC-1", "status": word, "requests": lines}


async def test_get_of_the_id_of_several_shows_what_was_invalid_with_its_reasons() -> None:
    """Whoever sent five hundred sees which ones, and what to mend; the others' reasons are under their own ids."""
    user = {"user_id": ALICE, "user_principal_name": "alice@contoso.example"}
    ended = (
        an_outcome(Status.INVALID, asked="x", reasons=(Reason("badFormat", "[1].user: No."),)),
        an_outcome(Status.PARTIAL, asked="Alice@contoso.example", reasons=(Reason("notPermitted", "No."),), **user),
    )
    answer = await get(Desk(family=Family(RequestId("INC-1"), children(*ended))))
    invalid, partial = json.loads(answer.body)["requests"]
    assert invalid == {
        "requestId": "INC-3177",
        "status": "invalid",
        "user": {"asked": "x", "id": None, "userPrincipalName": None},
        "reasons": [{"code": "badFormat", "text": "[1].user: No.", "method": None, "step": None}],
    }
    assert partial == {
        "requestId": "INC-3177",
        "status": "partial",
        "user": {"asked": "Alice@contoso.example", "id": ALICE, "userPrincipalName": "alice@contoso.example"},
    }


async def test_get_of_what_was_no_request_shows_it_only_where_nothing_else_has_its_id() -> None:
    """A body that could not be read shadows nobody's requests."""
    row = replace(an_accepted_request(outcome=an_outcome(Status.INVALID)), fingerprint=MALFORMED)
    assert (await get(Desk(row=row))).document["status"] == "invalid"
    family = Family(RequestId("INC-1"), children(None))
    assert "requests" in (await get(Desk(row=row, family=family))).document


async def test_get_of_an_id_that_is_a_request_and_a_body_of_several_shows_the_request() -> None:
    """The family is not even looked for."""
    desk = Desk(row=an_accepted_request(), family=Family(RequestId("INC-1"), children(None)))
    answer = await a_web(desk, require_entra=False).get_reset(HttpCall("GET", {}), "INC-1")
    assert "requests" not in answer.document
    assert len(desk.look_ups) == 1


async def test_get_of_the_id_of_several_looks_at_those_of_all_for_a_reader_only() -> None:
    """An asker is shown their own, as with a single request."""
    desk = Desk()
    for role in ("MfaReset.Request", "MfaReset.Read"):
        header = principal(("oid", APPLICATION), ("roles", role))
        call = HttpCall("GET", {"x-ms-client-principal": header})
        assert (await a_web(desk, require_entra=True).get_reset(call, "INC-1")).status == 404
    assert [any_caller for _, _, any_caller in desk.look_ups] == [False, False, True, True]
    assert {caller for _, caller, _ in desk.look_ups} == {APPLICATION}


async def test_post_of_several_leads_to_their_common_id() -> None:
    """Also where each has ended already: every 202 says where to look, and when."""
    ended = Finished(an_outcome(Status.COMPLETED))
    for replies in ((Pending(KEY), Pending(KEY)), (Pending(KEY), ended), (ended, ended)):
        answer = await post(Desk(*replies))
        assert (answer.status, answer.document["requestId"], answer.document["status"]) == (202, "INC-1", "accepted")
        assert answer.headers == {"Location": f"{HERE}/api/resets/INC-1", "Retry-After": "30"}


# --- Refused: who sees what -------------------------------------------------------------------------------------

ROLE, GROUP = "62e90394-69f5-4237-9190-012177145e10", "a0000000-0000-4000-8000-0000000000a1"
REFUSED = an_outcome(
    Status.REFUSED,
    asked="alice@contoso.example",
    user_id=ALICE,
    user_principal_name="alice.admin@contoso.example",
    reasons=(
        Reason("privilegedRole", f"The user holds the directory role {ROLE} through group {GROUP}."),
        Reason("privilegedRole", "The user holds the directory role 2."),
        Reason("neverGroup", f"The policy never touches members of group {GROUP}."),
        Reason("stepFailed", f"containmentGroup:{GROUP} failed.", step=f"containmentGroup:{GROUP}"),
    ),
    methods=(replace(a_line(), detail="+XX XXXXXXX55"),),
    steps=(StepLine(f"containmentGroup:{GROUP}", StepResult.FAILED, NOW, f"group {GROUP}"),),
    follow_ups=(Reason("onPremisesPassword", f"Reset it there, {ALICE}."),),
)


async def looks(role: str | None) -> tuple[HttpAnswer, ...]:
    """Look at a refusal in every way there is: posted alone, or with another, by its id and by its parent's."""
    headers = {"x_ms_client_principal": principal(("oid", APPLICATION), ("roles", role))} if role else {}
    row = replace(an_accepted_request(), outcome=REFUSED)
    return (
        await post(Desk(Finished(REFUSED)), entra=role is not None, **headers),
        await post(Desk(Finished(REFUSED), Pending(KEY)), entra=role is not None, **headers),
        await get(Desk(row=row), role=role),
        await get(Desk(family=Family(RequestId("INC-1"), (row,))), role=role),
    )


async def test_refusal_when_looked_at_without_the_right_to_read_all_then_it_names_codes_and_no_ids() -> None:
    """Else whoever may ask would learn who is an administrator of what, and through which groups, one name a call."""
    for answer in await looks("MfaReset.Request"):
        text = answer.body.decode()
        for secret in (ROLE, GROUP, ALICE, "alice.admin", "XX55", "XXX55", "onPremisesPassword"):
            assert secret not in text
        assert "alice@contoso.example" in text


async def test_refusal_when_told_without_the_right_to_read_all_then_each_code_has_a_neutral_text() -> None:
    """As often as there is, so that nobody counts roles; steps without what they are about."""
    answer = (await looks("MfaReset.Request"))[0]
    assert [(one["code"], one["text"]) for one in json.loads(answer.body)["problems"]] == [
        ("privilegedRole", "The policy refuses users with privileges."),
        ("neverGroup", "The policy never touches this user."),
        ("stepFailed", "Who may read all is told more."),
    ]
    (step,) = json.loads(answer.body)["outcome"]["steps"]
    assert (step["step"], step["result"], step["detail"]) == ("containmentGroup", "failed", None)
    assert (answer.status, answer.document["code"]) == (403, "privilegedRole")


@pytest.mark.parametrize("role", [None, "MfaReset.Read"])
async def test_refusal_when_looked_at_by_who_may_read_all_then_it_is_whole(role: str | None) -> None:
    """The holder of the function key is one."""
    answers = await looks(role)
    assert json.loads(answers[2].body) == outcome_document(REFUSED)
    assert ALICE in answers[3].body.decode()
    for answer in answers[:2]:
        assert (GROUP in answer.body.decode()) is (role is None)  # a reader may not ask


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.REFUSED])
async def test_outcome_that_is_no_refusal_when_looked_at_by_its_caller_then_it_is_whole(status: Status) -> None:
    """Whoever may ask for a reset hears what became of it."""
    row = replace(an_accepted_request(), outcome=replace(REFUSED, status=status))
    answer = await get(Desk(row=row), role="MfaReset.Request")
    assert row.outcome
    assert json.loads(answer.body) == outcome_document(row.outcome)


# --- Readiness --------------------------------------------------------------------------------------------------


async def test_readiness_when_asked_with_a_key_then_it_is_the_judgement() -> None:
    """Whoever has the function key may read all."""
    answer = await a_web(Desk(), require_entra=False).get_readiness(HttpCall("GET", {}))
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert json.loads(answer.body) == readiness_document(READINESS)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_readiness_when_asked_by_another_method_then_405(method: str) -> None:
    """Before anybody is asked who they are."""
    answer = await a_web(Desk(), require_entra=True, error=ZeroDivisionError()).get_readiness(HttpCall(method, {}))
    assert (answer.status, answer.headers) == (405, {"Allow": "GET"})


@pytest.mark.parametrize(
    ("claims", "status", "code"),
    [
        ([], 401, "noPrincipal"),
        ([("oid", APPLICATION)], 403, "roleMissing"),
        ([("oid", APPLICATION), ("roles", "MfaReset.Request")], 403, "roleMissing"),
        ([("oid", APPLICATION), ("roles", "MfaReset.Read")], 200, None),
        ([("oid", APPLICATION), ("roles", "MfaReset.Operate")], 200, None),
    ],
)
async def test_readiness_behind_entra_when_asked_then_a_reader_only_is_told(
    claims: list[tuple[str, object]], status: int, code: str | None
) -> None:
    """Whoever may only ask for resets need not know what our identity may do."""
    call = HttpCall("GET", {"x-ms-client-principal": principal(*claims)})
    answer = await a_web(Desk(), require_entra=True).get_readiness(call)
    assert (answer.status, answer.document.get("code")) == (status, code)
    assert ("missing" in answer.document) is (status == 200)


async def test_readiness_when_there_is_no_token_then_503_says_why_and_when_to_ask_again() -> None:
    """The kind of the error, and nothing of its text."""
    correlate("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    error = TokenError(GraphAnswer(code="ClientAuthenticationError"))
    answer = await a_web(Desk(), require_entra=False, error=error).get_readiness(HttpCall("GET", {}))
    assert (answer.status, answer.content_type) == (503, "application/problem+json")
    assert answer.headers == {"Retry-After": "30"}
    shown = {key: answer.document[key] for key in ("code", "cause", "correlationId")}
    assert shown == {
        "code": "noToken",
        "cause": "ClientAuthenticationError",
        "correlationId": "0af7651916cd43dd8448eb211c80319c",
    }


async def test_readiness_when_something_else_is_wrong_then_500_without_its_text() -> None:
    """A bug has the same fate as everywhere."""
    web = a_web(Desk(), require_entra=False, error=ValueError("secret"))
    answer = await web.get_readiness(HttpCall("GET", {}))
    assert (answer.status, answer.document["code"]) == (500, "bug")
    assert b"secret" not in answer.body
