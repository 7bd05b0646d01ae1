"""Our own shape: every field, every limit, and every problem by its path."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.intake import fingerprint
from shared.model import Incident, Problem, ReferenceKind, ResetRequest, Selection, UserReference
from shared.vocabulary import MethodType, ProfileName, RequestId
from tests.unit.intake_bodies import HTTP, NOW, OBJECT_ID, QUEUE, asking, invalid_of, problems_of, read, request_of

_BIDI = "\u202e"
_URL = "https://portal.azure.com/#asset/Microsoft_Azure_Security_Insights/Incident/subscriptions/1?x=%20&y='(~)'"


def _url_of(length: int) -> str:
    return "https://contoso.com/".ljust(length, "x")


# --- What is read -----------------------------------------------------------------------------------------------


def test_read_canonical_of_the_contracts_example_reads_every_field() -> None:
    """Each field arrives where it belongs."""
    request = request_of(
        {
            "version": 1,
            "requestId": "INC-3177-jsmith",
            "user": OBJECT_ID,
            "profile": "compromised",
            "reason": "Token theft confirmed by the SOC",
            "requestedBy": "playbook reset-mfa",
            "observedAt": "2026-11-24T01:02:03Z",
            "keep": ["phone", "id:-2_GRUg2-HYz6_1YG4YRAQ2"],
            "onlyRegisteredAfter": "2026-11-01T02:00:00+02:00",
            "keepUndated": True,
            "incident": {"id": "/subscriptions/1/incidents/2", "url": _URL, "title": "Token theft"},
            "dryRun": True,
        }
    )
    assert request == ResetRequest(
        request_id=RequestId("INC-3177-jsmith"),
        user=UserReference(ReferenceKind.OBJECT_ID, OBJECT_ID),
        profile=ProfileName("compromised"),
        reason="Token theft confirmed by the SOC",
        requested_by="playbook reset-mfa",
        observed_at=NOW,
        selection=Selection(
            ("phone", "id:-2_GRUg2-HYz6_1YG4YRAQ2"), datetime(2026, 11, 1, tzinfo=UTC), keep_undated=True
        ),
        incident=Incident("/subscriptions/1/incidents/2", _URL, "Token theft"),
        dry_run=True,
        asked=OBJECT_ID,
    )


def test_read_canonical_of_the_smallest_request_fills_in_the_defaults() -> None:
    """Only the user is required."""
    assert request_of({"user": "JSmith@contoso.com"}) == ResetRequest(
        RequestId("parent"),
        UserReference(ReferenceKind.USER_PRINCIPAL_NAME, "jsmith@contoso.com"),
        HTTP.default_profile,
        asked="JSmith@contoso.com",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 1},
        {"version": None},
        {"requestId": None},
        {"users": None},
        {"profile": None},
        {"profile": "reregister"},
        {"reason": None, "requestedBy": None, "observedAt": None},
        {"reason": "", "requestedBy": f"\0{_BIDI}"},
        {"keep": None},
        {"keep": [], "onlyRegisteredAfter": None, "keepUndated": False},
        {"keepUndated": None},
        {"incident": None},
        {"incident": {}},
        {"incident": {"id": None, "url": None, "title": "\n"}},
        {"dryRun": False},
    ],
)
def test_read_canonical_of_null_or_nothing_reads_it_as_absent(fields: dict[str, Any]) -> None:
    """An optional field that says nothing may as well not be there."""
    assert request_of(asking(**fields)) == request_of(asking())


@pytest.mark.parametrize(
    ("fields", "read_as"),
    [
        ({"reason": f"to\0ken\n th{_BIDI}eft\ud800"}, {"reason": "token theft"}),
        ({"reason": "x" * 1000 + "\r\n"}, {"reason": "x" * 1000}),
        ({"requestedBy": "\x1b[31mme"}, {"requested_by": "[31mme"}),
        ({"requestedBy": "é" * 200}, {"requested_by": "é" * 200}),
        ({"incident": {"id": "x" * 2048}}, {"incident": Incident(id="x" * 2048)}),
        ({"incident": {"title": "\ufeffx" * 300}}, {"incident": Incident(title="x" * 300)}),
        ({"incident": {"url": _url_of(2048)}}, {"incident": Incident(url=_url_of(2048))}),
        ({"incident": {"url": "HTTPS://[::1]:8443/?q#f"}}, {"incident": Incident(url="HTTPS://[::1]:8443/?q#f")}),
        ({"observedAt": "2026-11-24T01:07:03Z"}, {"observed_at": NOW + timedelta(minutes=5)}),
        ({"observedAt": "1999-01-01T00:00:00Z"}, {"observed_at": datetime(1999, 1, 1, tzinfo=UTC)}),
        ({"keep": ["email", "phone", "email"]}, {"selection": Selection(("email", "phone"))}),
        ({"keep": list(MethodType)}, {"selection": Selection(tuple(MethodType))}),
        ({"keep": [f"id:{n}" for n in range(100)]}, {"selection": Selection(tuple(f"id:{n}" for n in range(100)))}),
        ({"keep": ["id:" + "x" * 256]}, {"selection": Selection(("id:" + "x" * 256,))}),
        ({"requestId": "x" * 100}, {"request_id": "x" * 100}),
    ],
)
def test_read_canonical_up_to_each_limit_reads_the_field(fields: dict[str, Any], read_as: dict[str, Any]) -> None:
    """Control characters leave text before its length counts; each limit itself is allowed."""
    assert request_of(asking(**fields)) == replace(request_of(asking()), **read_as)


# --- What is refused --------------------------------------------------------------------------------------------


def test_request_without_a_profile_when_the_policy_has_no_default_is_invalid() -> None:
    """Nobody guesses what was meant."""
    other = replace(HTTP, default_profile=ProfileName("another"))
    (problem,) = invalid_of({"user": OBJECT_ID}, other).problems
    assert (problem.path, problem.code) == ("profile", "profileRequired")
    assert request_of({"user": OBJECT_ID, "profile": "compromised"}, other).profile == "compromised"


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({"version": 1}, "user", "required"),
        ({"user": None}, "user", "required"),
        ({"users": None}, "user", "required"),
        ({"user": 5}, "user", "wrongType"),
        ({"user": [OBJECT_ID]}, "user", "wrongType"),
        ({"user": ""}, "user", "badFormat"),
        ({"user": "null"}, "user", "badFormat"),
        ({"user": "-"}, "user", "badFormat"),
        ({"user": "00000000-0000-0000-0000-000000000000"}, "user", "badFormat"),
        ({"user": "CONTOSO\\jsmith"}, "user", "badFormat"),
        ({"user": "a@" + "/" * 254}, "user", "badFormat"),
        ({"user": "  a@" + "/" * 254 + " "}, "user", "badFormat"),
        ({"user": "a@" + "b" * 255}, "user", "tooLong"),
        ({"users": OBJECT_ID}, "users", "wrongType"),
        ({"users": {"a": OBJECT_ID}}, "users", "wrongType"),
        ({"users": []}, "users", "empty"),
        ({"users": [OBJECT_ID, None]}, "users[1]", "wrongType"),
        ({"users": [OBJECT_ID, "x", OBJECT_ID]}, "users[1]", "badFormat"),
        ({"users": ["a@" + "b" * 255]}, "users[0]", "tooLong"),
        ({"users": [f"u{number}@b.c" for number in range(501)]}, "users", "tooMany"),
        ({"user": OBJECT_ID, "users": [OBJECT_ID]}, "users", "conflict"),
        (asking(version=True), "version", "wrongType"),
        (asking(version=1.0), "version", "wrongType"),
        (asking(version="1"), "version", "wrongType"),
        (asking(version=[1]), "version", "wrongType"),
        (asking(version={}), "version", "wrongType"),
        (asking(version=2), "version", "unsupportedVersion"),
        (asking(version=0), "version", "unsupportedVersion"),
        (asking(version=10**4000), "version", "unsupportedVersion"),
        (asking(requestId=5), "requestId", "wrongType"),
        (asking(requestId=""), "requestId", "badFormat"),
        (asking(requestId=".."), "requestId", "badFormat"),
        (asking(requestId="a b"), "requestId", "badFormat"),
        (asking(requestId="a\0"), "requestId", "badFormat"),
        (asking(requestId=" " * 100), "requestId", "badFormat"),
        (asking(requestId="x" * 101), "requestId", "tooLong"),
        (asking(profile=1), "profile", "wrongType"),
        (asking(profile=""), "profile", "unknownProfile"),
        (asking(profile="Compromised"), "profile", "unknownProfile"),
        (asking(reason=1), "reason", "wrongType"),
        (asking(reason="x" * 1001), "reason", "tooLong"),
        (asking(requestedBy=[]), "requestedBy", "wrongType"),
        (asking(requestedBy="x" * 201), "requestedBy", "tooLong"),
        (asking(observedAt=1764000000), "observedAt", "wrongType"),
        (asking(observedAt="2026-11-24"), "observedAt", "badFormat"),
        (asking(observedAt="2026-11-24T01:02:03"), "observedAt", "badFormat"),
        (asking(observedAt=""), "observedAt", "badFormat"),
        (asking(observedAt="2026-11-24T01:07:03.000001Z"), "observedAt", "inTheFuture"),
        (asking(keep="phone"), "keep", "wrongType"),
        (asking(keep=[5]), "keep[0]", "wrongType"),
        (asking(keep=["phone", "Phone"]), "keep[1]", "unknownMethodType"),
        (asking(keep=["password"]), "keep[0]", "unknownMethodType"),
        (asking(keep=["x\ud800" * 400]), "keep[0]", "unknownMethodType"),
        (asking(keep=["id:"]), "keep[0]", "badFormat"),
        (asking(keep=["id:a/b"]), "keep[0]", "badFormat"),
        (asking(keep=["id:" + "/" * 256]), "keep[0]", "badFormat"),
        (asking(keep=["id:" + "x" * 257]), "keep[0]", "tooLong"),
        (asking(keep=["phone"] * 101), "keep", "tooMany"),
        (asking(onlyRegisteredAfter="2026-11-24"), "onlyRegisteredAfter", "badFormat"),
        (asking(onlyRegisteredAfter=True), "onlyRegisteredAfter", "wrongType"),
        (asking(keepUndated="yes"), "keepUndated", "wrongType"),
        (asking(keepUndated=0), "keepUndated", "wrongType"),
        (asking(dryRun=None), "dryRun", "wrongType"),
        (asking(dryRun="true"), "dryRun", "wrongType"),
        (asking(dryRun=1), "dryRun", "wrongType"),
        (asking(incident="INC-1"), "incident", "wrongType"),
        (asking(incident=["INC-1"]), "incident", "wrongType"),
        (asking(incident={"id": 5}), "incident.id", "wrongType"),
        (asking(incident={"id": "x" * 2049}), "incident.id", "tooLong"),
        (asking(incident={"id": "a\tb"}), "incident.id", "badFormat"),
        (asking(incident={"id": "INC-1\n"}), "incident.id", "badFormat"),
        (asking(incident={"id": f"INC{_BIDI}-1"}), "incident.id", "badFormat"),
        (asking(incident={"id": "INC-\ud800"}), "incident.id", "badFormat"),
        (asking(incident={"title": "x" * 301}), "incident.title", "tooLong"),
        (asking(incident={"url": 5}), "incident.url", "wrongType"),
        (asking(incident={"url": _url_of(2049)}), "incident.url", "tooLong"),
        (asking(incident={"number": 5}), "incident.number", "unknownField"),
        (asking(User=OBJECT_ID), "User", "unknownField"),
        (asking(resume="queue:a"), "resume", "unknownField"),
        (asking(**{"": 1}), "['']", "unknownField"),
        (asking(**{"a.b\0\ud800": 1}), "['a.b\\x00\\ud800']", "unknownField"),
        (asking(incident={"x" * 51: 1}), f"incident['{'x' * 50}'...]", "unknownField"),
    ],
)
def test_read_canonical_of_a_bad_field_names_it_and_nothing_else(body: dict[str, Any], path: str, code: str) -> None:
    """Every rule has its own code at the path of the field."""
    assert problems_of(read(body)) == {(path, code)}
    assert problems_of(read([body])) == {(f"[0]{path}" if path.startswith("[") else f"[0].{path}", code)}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://contoso.com/",
        "javascript:alert(1)",
        "//contoso.com/",
        "https:contoso.com",
        "https://",
        "https:///path",
        "https://:443/",
        "https://contoso.com:0/",
        "https://contoso.com:70000/",
        "https://contoso.com:x/",
        "https://[::1/",
        "https://portal.azure.com@evil.example/",
        "https://me:secret@contoso.com/",
        " https://contoso.com/",
        "https://contoso.com/a b",
        "https://contoso.com/\n",
        "https://contoso.com/\0",
        "https://contoso.com/\u202e",
        "https://contösö.com/",
        "https://contoso.com/\ud800",
        *(f"https://contoso.com/{character}" for character in '"<>\\`'),
    ],
)
def test_read_canonical_of_what_is_no_https_address_refuses_it(url: str) -> None:
    """People click on it: it has to be what it looks like."""
    assert problems_of(read(asking(incident={"url": url}))) == {("incident.url", "badFormat")}


def test_read_canonical_with_many_faults_tells_all_of_them_at_once() -> None:
    """Nobody has to send a request once for each mistake in it."""
    body = {
        "version": 3,
        "requestId": "a b",
        "users": ["x", 5, OBJECT_ID],
        "profile": "none",
        "reason": 1,
        "observedAt": "now",
        "keep": ["x", "id:"],
        "keepUndated": 1,
        "incident": {"url": "ftp://x", "foo": 1},
        "dryRun": None,
        "bar": 1,
    }
    assert {path for path, _ in problems_of(read(body))} == {
        "version",
        "requestId",
        "users[0]",
        "users[1]",
        "profile",
        "reason",
        "observedAt",
        "keep[0]",
        "keep[1]",
        "keepUndated",
        "incident.url",
        "incident.foo",
        "dryRun",
        "bar",
    }


def test_read_canonical_with_many_unknown_fields_names_twenty_and_counts_the_others() -> None:
    """What is told of a body has to fit into a message."""
    exactly = invalid_of(asking(**{f"f{number}": 1 for number in range(20)}))
    assert [problem.path for problem in exactly.problems] == [f"f{number}" for number in range(20)]
    more = invalid_of(asking(**{f"f{number}": 1 for number in range(22)}))
    assert more.problems[:20] == exactly.problems
    assert [(problem.path, problem.code, problem.text) for problem in more.problems[20:]] == [
        ("", "unknownField", "There are 2 more fields that are not known.")
    ]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "true or false"),
        (5, "a number"),
        (0.5, "a number"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_read_canonical_of_a_wrong_type_says_which(value: object, name: str) -> None:
    """The type is named, the value is not quoted."""
    (problem,) = invalid_of({"users": [value]}).problems
    assert problem == Problem("users[0]", "wrongType", f"It must be text, not {name}.")


def test_read_canonical_of_text_in_place_of_a_flag_says_so() -> None:
    """The same for the type that most fields have."""
    (problem,) = invalid_of(asking(dryRun="secret")).problems
    assert problem == Problem("dryRun", "wrongType", "It must be true or false, not text.")


def test_read_canonical_of_the_largest_list_of_bad_users_stays_smaller_than_a_message() -> None:
    """Each of 500 users is named, however long and strange."""
    item = invalid_of({"users": ["\ud800" * 60] * 500})
    assert len(item.problems) == 500
    assert sum(len(problem.path + problem.code + problem.text) for problem in item.problems) < 100_000


# --- Ids --------------------------------------------------------------------------------------------------------


def test_read_canonical_without_request_id_over_http_takes_the_parent_as_it_is() -> None:
    """The caller gets back the key that they sent, or the new id."""
    assert request_of(asking()).request_id == "parent"
    assert request_of(asking(requestId="mine")).request_id == "mine"


def test_read_canonical_without_request_id_on_the_queue_adds_the_user_to_the_parent() -> None:
    """A MessageId that repeats for another user is another request."""
    one, other = request_of(asking(), QUEUE).request_id, request_of({"user": "a@b.c"}, QUEUE).request_id
    assert one != other
    assert {one[:7], other[:7]} == {"parent~"}
    assert {len(one), len(other)} == {len("parent~") + 16}
    assert request_of(asking(requestId="mine"), QUEUE).request_id == "mine"


@pytest.mark.parametrize("envelope", [HTTP, QUEUE])
def test_read_canonical_of_users_derives_every_id(*, envelope: Any) -> None:  # noqa: ANN401 - both are envelopes
    """The id of each is parent and user, even of a single one, also where the object names the parent."""
    several = read({"users": [OBJECT_ID, "a@b.c"], "requestId": "mine", "reason": "why"}, envelope)
    single = request_of({"users": [OBJECT_ID], "requestId": "mine", "reason": "why"}, envelope)
    assert several[0] == single
    assert [item.request_id[:5] for item in several if item.request_id] == ["mine~", "mine~"]
    assert request_of({"users": [OBJECT_ID]}, envelope).request_id == request_of(asking(), QUEUE).request_id


def test_read_canonical_of_the_same_user_twice_yields_one_request() -> None:
    """Any spelling of one identifier is the same request, in the place of its first."""
    sid = "S-1-12-1-1943430372-1249052806-2496021943-3034400218"
    items = read({"users": [sid, "B@c.d", "73D664E4-0886-4A73-B745-C694DA45DDB4", " b@C.d"]})
    requests = [item for item in items if isinstance(item, ResetRequest)]
    assert [request.user.value for request in requests] == ["73d664e4-0886-4a73-b745-c694da45ddb4", "b@c.d"]
    assert len({fingerprint(request) for request in requests}) == len(items)


def test_read_canonical_of_five_hundred_users_yields_as_many_requests() -> None:
    """The limit itself is allowed."""
    items = read({"users": [f"u{number}@b.c" for number in range(500)]})
    assert len({item.request_id for item in items}) == 500


def test_read_canonical_with_an_idempotency_key_refuses_another_request_id() -> None:
    """Two names for one request would make it two."""
    envelope = replace(HTTP, idempotency_key=RequestId("parent"))
    assert request_of(asking(), envelope).request_id == "parent"
    assert request_of(asking(requestId="parent"), envelope).request_id == "parent"
    item = invalid_of(asking(requestId="mine"), envelope)
    assert problems_of((item,)) == {("requestId", "idempotencyKeyDiffers")}
    assert item.request_id == "mine"


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        (asking(foo=1, requestId="mine"), "mine"),
        ({"users": ["x"], "requestId": "mine"}, "mine"),
        ({"users": [OBJECT_ID, "x"]}, "parent"),
        ({"user": "x"}, "parent"),
        (asking(requestId="a b"), request_of(asking(), QUEUE).request_id),
        (asking(foo=1), request_of(asking(), QUEUE).request_id),
    ],
)
def test_read_canonical_when_invalid_keeps_the_id_of_the_request(body: dict[str, Any], request_id: str) -> None:
    """Who asked finds the answer under the id that the request would have had."""
    assert invalid_of(body, QUEUE).request_id == request_id


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"user": " JSmith@Contoso.com ", "foo": 1}, "JSmith@Contoso.com"),
        ({"user": "not a user"}, "not a user"),
        ({"user": "\x1b[31mx\u202e\ud800y"}, "[31mxy"),
        ({"user": "x" * 5000}, "x" * 256),
        ({"users": ["not a user"]}, "not a user"),
        ({"users": [OBJECT_ID, "x"]}, None),
        ({"users": []}, None),
        ({"user": "\n"}, None),
        ({"user": 5}, None),
        ({"version": 1}, None),
    ],
)
def test_read_canonical_when_invalid_then_it_holds_the_user_as_asked_for_where_that_is_one_text(
    body: dict[str, Any], asked: str | None
) -> None:
    """Whoever sent many can tell which one failed; nothing in it can hurt who reads it."""
    assert invalid_of(body).asked == asked


def test_read_canonical_of_several_users_then_each_is_as_it_was_asked_for() -> None:
    """In the spelling of the first of equal ones."""
    items = read({"users": ["A@b.c ", OBJECT_ID.upper(), "a@B.c"]})
    assert [item.asked for item in items] == ["A@b.c", OBJECT_ID.upper()]


def test_read_canonical_without_any_id_asks_for_one() -> None:
    """Neither the object nor the envelope names it; a bad id is one problem, not two."""
    envelope = replace(HTTP, parent_id=None)
    assert problems_of((invalid_of(asking(), envelope),)) == {("requestId", "required")}
    assert problems_of((invalid_of(asking(requestId=None), envelope),)) == {("requestId", "required")}
    assert problems_of((invalid_of(asking(requestId="a b"), envelope),)) == {("requestId", "badFormat")}
    assert request_of(asking(requestId="mine"), envelope).request_id == "mine"
