"""What Microsoft Graph answered: a value, or a typed error (graph.md 4). No I/O, and total over any answer."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

from shared.errors import (
    BadRequestError,
    ConflictError,
    GraphAnswer,
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
from shared.strictjson import Json, StrictJsonError, parse_json

type Entity = dict[str, Json]

_SAFE_WORD = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_LINK = re.compile(r"[!-\[\]-~]{1,32768}")  # printable ASCII but the backslash, which clients read in different ways
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DEFAULT_METHOD_TEXTS = ("default authentication method", "cannot delete default method")
_UNKNOWN_SEGMENT_TEXT = "resource not found for the segment"
_UNLICENSED_TEXT = "not licensed"
_UNLICENSED_CODE = "AadPremiumLicenseRequired"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    client_request_id: str | None = None


@dataclass(frozen=True)
class Page[T]:
    """Some items of a collection, and the address of the next ones within Microsoft Graph."""

    items: tuple[T, ...]
    next_link: str | None


@dataclass(frozen=True)
class _Complaint:
    """What the body of a refusal says; `text` is case-folded and for matching only."""

    code: str | None = None
    text: str = ""
    request_id: str | None = None


def failure_of(answer: Answer, now: datetime) -> GraphError | None:
    """Return what went wrong, None when nothing did; `now` turns a `Retry-After` that is a date into seconds."""
    if is_within(answer.status, 200):
        return None
    complaint = _read_complaint(answer.body)
    about = describe(answer, complaint.code, complaint.request_id)
    if answer.status == 400:  # noqa: PLR2004 - HTTP's own number
        return _bad_request(about, complaint)
    if answer.status == 403 and _UNLICENSED_TEXT in complaint.text:  # noqa: PLR2004 - as above
        return UnlicensedError(about)
    return _by_status(about, answer, now)


def _by_status(about: GraphAnswer, answer: Answer, now: datetime) -> GraphError:
    refusals: dict[int, type[GraphError]] = {
        401: UnauthenticatedError,
        403: NotPermittedError,
        404: NotFoundError,
        409: ConflictError,
        412: ConflictError,
    }
    wait = parse_retry_after(answer.headers.get("retry-after"), now)
    match answer.status:
        case status if status in refusals:
            return refusals[status](about)
        case 429:
            return ThrottledError(about, wait)
        case status if status == 408 or is_within(status, 500):  # noqa: PLR2004 - HTTP's own number
            return UnavailableError(about, wait)
        case status if is_within(status, 400):
            return BadRequestError(about)
        case _:
            return UnreadableAnswerError(about)


def is_within(status: int, hundred: int) -> bool:
    """Tell whether a status is of the class that begins with `hundred`."""
    return status // 100 == hundred // 100


def describe(answer: Answer, code: str | None = None, request_id: str | None = None) -> GraphAnswer:
    """Return what may be said of an answer: codes and ids that look like ones, nothing else that it holds."""
    return GraphAnswer(
        status=answer.status,
        code=_safe_word(code),
        request_id=_safe_word(answer.headers.get("request-id")) or _safe_word(request_id),
        client_request_id=answer.client_request_id,
    )


def unreadable(part: str) -> UnreadableAnswerError:
    """Return the error for an answer of which `part`, a name of ours or of Graph's documentation, cannot be read."""
    return UnreadableAnswerError(GraphAnswer(code=f"unreadable.{part}"))


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Return the seconds of a `Retry-After` in either of its forms (RFC 9110, 10.2.3); None where it says nothing."""
    if text is None:
        return None
    if _SECONDS.fullmatch(seconds := text.strip(" \t")):  # what HTTP calls white space, not what Python does
        return float(seconds)
    try:
        at = parsedate_to_datetime(text)
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max((aware - now).total_seconds(), 0.0)
    except (ValueError, OverflowError):
        return None


def read_entity(answer: Answer) -> Entity:
    """Read the one object that an answer holds; raise UnreadableAnswerError when it holds none."""
    body = _parse(answer.body)
    if not isinstance(body, dict):
        raise unreadable("body")
    return body


def read_page[T](answer: Answer, graph_url: str, parse: Callable[[Entity], T]) -> Page[T]:
    """Read one page of a collection, an empty one too; its link is refused when it leads away from `graph_url`."""
    entity = read_entity(answer)
    items = entity.get("value")
    if not isinstance(items, list):
        raise unreadable("value")
    link = entity.get("@odata.nextLink")
    next_link = None if link is None else _within(graph_url, link)
    return Page(tuple(parse(_object(item)) for item in items), next_link)


def read_parts(answer: Answer, count: int) -> tuple[Answer, ...]:
    """Read the answers to the `count` parts of a batch, in the order in which they were asked.

    Raises UnreadableAnswerError unless there is exactly one for each: a part without an answer is not one that is fine.
    """
    responses = read_entity(answer).get("responses")
    if not isinstance(responses, list):
        raise unreadable("responses")
    found = dict(_part(_object(each), answer.client_request_id) for each in responses)
    if len(responses) != count or found.keys() != set(map(str, range(count))):
        raise unreadable("responses")
    return tuple(found[str(number)] for number in range(count))


def _part(entity: Entity, client_request_id: str | None) -> tuple[str, Answer]:
    number, status, headers, body = (entity.get(name) for name in ("id", "status", "headers", "body"))
    if not isinstance(number, str) or not isinstance(status, int):
        raise unreadable("responses")
    named = headers if isinstance(headers, dict) else {}
    texts = {name.lower(): value for name, value in named.items() if isinstance(value, str)}
    content = b"" if body is None else json.dumps(body).encode()
    return number, Answer(status, texts, content, client_request_id)


def _object(item: Json) -> Entity:
    if not isinstance(item, dict):
        raise unreadable("value")
    return item


def _within(graph_url: str, link: Json) -> str:
    """Return the address that `link` names, put together anew: nothing of it but path and query is taken over."""
    path, mark, query = link.partition("?") if isinstance(link, str) else ("", "", "")
    link = f"{path}{mark}{query.replace(' ', '%20')}"  # a filter's spaces are not always encoded
    if not _LINK.fullmatch(link):
        raise unreadable("nextLink")
    try:
        parts = urlsplit(link)
        same = _origin(parts) == _origin(urlsplit(graph_url)) and "@" not in parts.netloc
    except ValueError:
        raise unreadable("nextLink") from None
    if not same:
        raise unreadable("nextLink")
    return f"{graph_url}{parts.path}?{parts.query}"


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _bad_request(about: GraphAnswer, complaint: _Complaint) -> GraphError:
    if complaint.code == _UNLICENSED_CODE:
        return UnlicensedError(about)
    if _UNKNOWN_SEGMENT_TEXT in complaint.text:
        return NotFoundError(about)
    if any(text in complaint.text for text in _DEFAULT_METHOD_TEXTS):
        return RefusedAsDefaultError(about)
    return BadRequestError(about)


def _read_complaint(body: bytes) -> _Complaint:
    """Read a refusal of any shape: Graph's own, `{"Message": …}`, a gateway's page, nothing at all."""
    whole = _parse(body)
    if not isinstance(whole, dict):
        return _Complaint()
    error = whole.get("error")
    if not isinstance(error, dict):
        return _Complaint(_text(error), (_text(whole.get("Message")) or "").casefold())
    inner = error.get("innerError", error.get("innererror"))
    request_id = inner.get("request-id") if isinstance(inner, dict) else None
    return _Complaint(_text(error.get("code")), (_text(error.get("message")) or "").casefold(), _text(request_id))


def _parse(body: bytes) -> Json:
    try:
        return parse_json(body.decode("utf-8-sig"))
    except (StrictJsonError, UnicodeDecodeError):
        return None


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _safe_word(text: str | None) -> str | None:
    return text if text is not None and _SAFE_WORD.fullmatch(text) else None
