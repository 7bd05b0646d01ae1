"""What an answer of Microsoft Graph means: a table, and properties over any answer."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import (
    BadRequestError,
    ConflictError,
    GraphError,
    NotFoundError,
    NotPermittedError,
    RefusedAsDefaultError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    UnlicensedError,
    UnreadableAnswerError,
)
from shared.graph.wire import Answer, failure_of, parse_retry_after, read_entity, read_page

NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
GRAPH = "https://graph.microsoft.com"
DEFAULT_1 = (
    "This authentication method matches the user's current default authentication method, and cannot be deleted until "
    "the default authentication method is changed"
)
DEFAULT_2 = "Cannot delete default method with other methods configured. Please change default method before deletion."

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
error_words = st.sampled_from(
    ["error", "code", "message", "innerError", "innererror", "request-id", "value", "Message"]
)
graph_like = st.recursive(
    json_values,
    lambda inner: st.dictionaries(error_words, inner, max_size=4),
    max_leaves=8,
)
bodies = st.binary(max_size=100) | (json_values | graph_like).map(lambda value: json.dumps(value).encode())
headers = st.dictionaries(st.sampled_from(["retry-after", "request-id", "content-type"]), st.text(max_size=40))
answers = st.builds(Answer, status=st.integers(-1, 1_000), headers=headers, body=bodies)


def refused(status: int, code: Any = "someCode", message: Any = "text") -> Answer:  # noqa: ANN401 - any JSON
    """Return a refusal in Graph's shape."""
    return Answer(status, body=json.dumps({"error": {"code": code, "message": message}}).encode())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(400), BadRequestError),
        (refused(400, "AadPremiumLicenseRequired"), UnlicensedError),
        (refused(400, "aadPremiumLicenseRequired"), BadRequestError),
        (refused(400, "BadRequest", "Resource not found for the segment 'hardwareOathMethods'."), NotFoundError),
        (refused(400, "badRequest", DEFAULT_1), RefusedAsDefaultError),
        (refused(400, "badRequest", DEFAULT_2), RefusedAsDefaultError),
        (refused(400, "badRequest", DEFAULT_2.upper()), RefusedAsDefaultError),
        (refused(401), UnauthenticatedError),
        (refused(403, "accessDenied", "Request Authorization failed"), NotPermittedError),
        (refused(403, "Forbidden", "Your tenant is not licensed for this feature."), UnlicensedError),
        (refused(403, "UnknownError", '{"errorCode":"PermissionScopeNotGranted"}'), NotPermittedError),
        (refused(404), NotFoundError),
        (refused(405), BadRequestError),
        (refused(408), UnavailableError),
        (refused(409), ConflictError),
        (refused(412), ConflictError),
        (refused(422), BadRequestError),
        (refused(429), ThrottledError),
        (refused(499), BadRequestError),
        (refused(500), UnavailableError),
        (refused(503), UnavailableError),
        (refused(599), UnavailableError),
        (refused(100), UnreadableAnswerError),
        (refused(302), UnreadableAnswerError),
        (refused(600), UnreadableAnswerError),
        (refused(404, DEFAULT_1, DEFAULT_1), NotFoundError),
    ],
)
def test_failure_when_refused_then_typed_error(answer: Answer, error: type[GraphError]) -> None:
    """Status, code and text decide, in that order."""
    assert type(failure_of(answer, NOW)) is error


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_failure_when_successful_then_none(status: int) -> None:
    """Every 2xx is success, whatever the body."""
    assert failure_of(refused(status), NOW) is None


@given(answers)
def test_failure_when_anything_is_answered_then_never_breaks(answer: Answer) -> None:
    """Reading is total: nothing but success is None, and what may be said holds no character that a log minds."""
    failure = failure_of(answer, NOW)
    assert (failure is None) == (200 <= answer.status <= 299)
    if failure is not None:
        for word in (failure.answer.code, failure.answer.request_id):
            assert word is None or (word.isascii() and len(word) <= 100 and word.replace("_", "").strip())
        assert failure.answer.status == answer.status


@pytest.mark.parametrize(
    ("body", "code", "request_id"),
    [
        ({"error": {"code": "a.B_c-1", "innerError": {"request-id": "r-1"}}}, "a.B_c-1", "r-1"),
        ({"error": {"code": "c", "innererror": {"request-id": "r-2"}}}, "c", "r-2"),
        ({"error": {"code": "has space", "innerError": {"request-id": "a@b"}}}, None, None),
        ({"error": {"code": "c" * 101}}, None, None),
        ({"error": {"code": 7, "message": 7, "innerError": 7}}, None, None),
        ({"error": {"code": "c", "innerError": {"request-id": 7}}}, "c", None),
        ({"error": "invalid_request", "error_description": "x"}, "invalid_request", None),
        ({"Message": "No HTTP resource was found that matches the request URI"}, None, None),
        ([], None, None),
        ("text", None, None),
    ],
)
def test_failure_when_body_has_any_shape_then_says_what_is_safe(
    body: Any,  # noqa: ANN401 - any JSON
    code: str | None,
    request_id: str | None,
) -> None:
    """Codes and ids come from an allow-list of characters."""
    failure = failure_of(Answer(400, body=json.dumps(body).encode()), NOW)
    assert failure is not None
    assert (failure.answer.code, failure.answer.request_id) == (code, request_id)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"a":1,"a":2}', b"1" * 5_000])
def test_failure_when_body_is_no_json_then_status_decides(body: bytes) -> None:
    """A gateway's page, nothing, or nonsense."""
    assert type(failure_of(Answer(403, body=body), NOW)) is NotPermittedError


def test_failure_when_segment_is_unknown_in_another_shape_then_not_found() -> None:
    """The text counts in the shape without `error`, too."""
    body = {"Message": "Resource not found for the segment 'x'."}
    assert type(failure_of(Answer(400, body=json.dumps(body).encode()), NOW)) is NotFoundError


def test_failure_when_header_names_request_then_it_wins() -> None:
    """The header is Graph's own; the body's id is for when it is missing."""
    body = json.dumps({"error": {"innerError": {"request-id": "inner"}}}).encode()
    failure = failure_of(Answer(500, {"request-id": "outer"}, body, "ours"), NOW)
    assert failure is not None
    assert (failure.answer.request_id, failure.answer.client_request_id) == ("outer", "ours")


@pytest.mark.parametrize("status", [408, 429, 503])
def test_failure_when_told_to_wait_then_seconds(status: int) -> None:
    """Throttling and outages carry `Retry-After`."""
    failure = failure_of(Answer(status, {"retry-after": "17"}), NOW)
    assert isinstance(failure, ThrottledError | UnavailableError)
    assert failure.retry_after_seconds == 17


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 10 ", 10),
        ("1.5", 1.5),
        ("-1", None),
        ("1e9", None),
        ("soon", None),
        ("\u0661", None),
        ("9999999999", None),
        ("Tue, 24 Nov 2026 01:03:03 GMT", 60),
        ("Tue, 24 Nov 2026 01:03:03 -0000", 60),
        ("Tue, 24 Nov 2026 00:03:03 GMT", 0),
        ("Tue, 99 Nov 2026 00:03:03 GMT", None),
    ],
)
def test_retry_after_when_read_then_seconds_or_none(text: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110; the past is now; nonsense is nothing."""
    assert parse_retry_after(text, NOW) == seconds


@given(st.text(max_size=60))
@example("0\x1f")
def test_retry_after_when_anything_then_never_breaks(text: str) -> None:
    """Any header gives a wait that is not negative, or none."""
    seconds = parse_retry_after(text, NOW)
    assert seconds is None or seconds >= 0


@given(st.integers(-10_000, 10_000))
def test_retry_after_when_date_then_difference(seconds: int) -> None:
    """A date is the time until then."""
    text = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(text, NOW) == max(seconds, 0)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"7", b'"x"', b"{", b"\xff", b'{"a":NaN}'])
def test_entity_when_body_is_no_object_then_raises(body: bytes) -> None:
    """An answer without an object is not an empty one."""
    with pytest.raises(UnreadableAnswerError):
        read_entity(Answer(200, body=body))


def test_entity_when_body_starts_with_a_mark_then_it_is_read() -> None:
    """A byte order mark is no reason to give up."""
    assert read_entity(Answer(200, body=b'\xef\xbb\xbf{"a": 1}')) == {"a": 1}


def page_of(content: Any) -> Answer:  # noqa: ANN401 - any JSON
    """Return an answer with this body."""
    return Answer(200, body=json.dumps(content).encode())


@pytest.mark.parametrize("content", [{}, {"value": None}, {"value": {}}, {"value": [1]}, {"value": [None]}, []])
def test_page_when_it_is_none_then_raises(content: Any) -> None:  # noqa: ANN401 - any JSON
    """A page has a list of objects, or it is none."""
    with pytest.raises(UnreadableAnswerError):
        read_page(page_of(content), GRAPH, dict)


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        (f"{GRAPH}/v1.0/users?$skiptoken=a%20b", f"{GRAPH}/v1.0/users?$skiptoken=a%20b"),
        (f"{GRAPH}:443/v1.0/users?x=y", f"{GRAPH}/v1.0/users?x=y"),
        ("HTTPS://Graph.Microsoft.COM/v1.0/users?x=y", f"{GRAPH}/v1.0/users?x=y"),
        (f"{GRAPH}/v1.0/users?x=y#part", f"{GRAPH}/v1.0/users?x=y"),
        (None, None),
    ],
)
def test_page_when_linked_then_address_is_built_anew(link: str | None, followed: str | None) -> None:
    """Of a link only path and query are taken over."""
    page = read_page(page_of({"value": [], "@odata.nextLink": link}), GRAPH, dict)
    assert (page.items, page.next_link) == ((), followed)


@pytest.mark.parametrize(
    "link",
    [
        "",
        7,
        "http://graph.microsoft.com/v1.0",
        "https://graph.microsoft.com.evil.example/v1.0",
        "https://graph.microsoft.com:444/v1.0",
        "https://evil.example/https://graph.microsoft.com/",
        "https://graph.microsoft.com@evil.example/",
        "https://a:b@graph.microsoft.com/v1.0",
        "https://graph.microsoft.com\\.evil.example/",
        "https://graph.microsoft.com/v1.0\n/x",
        "https://gr\u00e4ph.microsoft.com/",
        "https://[::1/",
        "https://graph.microsoft.com:x/",
        f"{GRAPH}/{'a' * 32_768}",
    ],
)
def test_page_when_link_leads_away_then_raises(link: Any) -> None:  # noqa: ANN401 - any JSON
    """A page whose link cannot be followed is not the last one: that would be half a collection."""
    with pytest.raises(UnreadableAnswerError):
        read_page(page_of({"value": [], "@odata.nextLink": link}), GRAPH, dict)


@given(
    st.text(max_size=80)
    | st.from_regex(r"https://(graph\.microsoft\.com)?[/@:\\?#a.]{0,8}[a-z./]{0,8}", fullmatch=True)
)
def test_page_when_link_is_anything_then_never_leaves_graph(link: str) -> None:
    """Whatever a link says, what is followed begins with Graph's own address."""
    try:
        page = read_page(page_of({"value": [], "@odata.nextLink": link}), GRAPH, dict)
    except UnreadableAnswerError:
        return
    assert page.next_link is not None
    assert page.next_link.startswith((f"{GRAPH}/", f"{GRAPH}?"))


@given(answers)
def test_page_when_anything_is_answered_then_page_or_unreadable(answer: Answer) -> None:
    """Reading a page is total, too."""
    try:
        page = read_page(answer, GRAPH, lambda entity: entity)
    except UnreadableAnswerError:
        return
    assert all(isinstance(item, dict) for item in page.items)
