"""The time that text from outside takes: it grows with the length, whatever the text.

Measured is the processor time of this thread, which a busy machine hardly changes, at lengths of which each is four
times the one before. What looks at each pair of characters takes sixteen times as long then; eight times is allowed.
"""

import base64
import json
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from shared.errors import UnreadableAnswerError
from shared.graph.facts import parse_method, parse_time, parse_user
from shared.graph.masking import clean_name, mask_email, mask_phone, mask_serial
from shared.graph.wire import Answer, Entity, failure_of, parse_retry_after, read_entity, read_page
from shared.intake import parse_request_id, parse_resume, parse_stored_request_id, queue_parent_id, read_body
from shared.intake.identifiers import parse_user as parse_named_user
from shared.intake.moments import parse_moment
from shared.intake.text import is_spoilt, quote
from shared.logs import correlate
from shared.policy import parse_policy
from shared.redrive.judgement import Place, Rules, Waiting, judge
from shared.strictjson import StrictJsonError, parse_json
from shared.web.principals import read_principal
from tests.service.stage import POLICY
from tests.unit.intake_bodies import NOW, OBJECT_ID, QUEUE

LENGTHS, ALLOWED = (12_500, 50_000, 200_000), 8  # the last is what the longest body holds
AT_ONCE_SECONDS = 0.05  # of processor time: less than that is not worth comparing
RULES = Rules(parse_policy(json.dumps(POLICY)), NOW)


def in_base64(text: str) -> str:
    """Write a text as many senders do."""
    return base64.b64encode(text.encode()).decode()


def to_length(piece: str) -> Callable[[int], str]:
    """Build texts of any length out of one piece."""
    return lambda length: (piece * (length // len(piece) + 1))[:length]


TEXTS: dict[str, Callable[[int], str]] = {
    piece: to_length(piece)
    for piece in ("a", "1", " ", ".", "-", "@", "~", ":", '"', "\\", "[", "{", "\x00", "\ud800", "é", "a@", "1 ", "1.")
} | {
    "six digits": to_length("123456a"),
    "spaced digits": to_length("4 - 2 - 5 - 5 - 5 - 0 - x"),
    "derived": to_length("a.AAAAAAAAAAAAAAAA"),
    "fraction": lambda length: "2026-11-24T01:02:03." + "1" * length,
    "base64": lambda length: in_base64("a" * (length * 3 // 4)),
    "array": lambda length: "[" + "1," * (length // 2) + "1]",
    "strings": lambda length: "[" + '"\\u0000",' * (length // 9) + '""]',
    "escapes": lambda length: '"' + "\\u00e9" * (length // 6) + '"',
    "object": lambda length: "{" + ",".join(f'"k{number}":1' for number in range(length // 10)) + "}",
    "repeated keys": lambda length: "{" + ",".join(f'"{number % 99}":1' for number in range(length // 7)) + "}",
    "objects": lambda length: "[" + '{"user":"a@b.c"},' * (length // 17) + "{}]",
    "wrapped": lambda length: json.dumps(json.dumps(json.dumps("a" * length))),
}


def read_json(text: str) -> None:
    """Read it as JSON, or not."""
    with suppress(StrictJsonError):
        parse_json(text)


def encoded(text: str) -> bytes:
    """Write it as bytes, with what is no UTF-8 as it comes."""
    return text.encode("utf-8", "surrogatepass")


def read_as_body(text: str) -> None:
    """Read it as a body, and as each field of one."""
    read_body(encoded(text), QUEUE)
    parse_resume(encoded(text))
    for body in (
        {"user": text},
        {"users": [text]},
        {"user": OBJECT_ID, "requestId": text, "profile": text, "reason": text, "requestedBy": text},
        {"user": OBJECT_ID, "observedAt": text, "keep": [text], "onlyRegisteredAfter": text, text: text},
        {"user": OBJECT_ID, "incident": {"id": text, "url": f"https://{text}", "title": text}},
        {"resume": text},
        [text],
    ):
        read_body(encoded(json.dumps(body)), QUEUE)
        parse_resume(encoded(json.dumps(body)))


def read_as_answer(text: str) -> None:
    """Read it as an answer of Microsoft Graph, and as what stands in one."""
    refusal = encoded(json.dumps({"error": {"code": text, "message": text, "innerError": {"request-id": text}}}))
    page = encoded(json.dumps({"value": [], "@odata.nextLink": text}))
    for body in (encoded(text), refusal):
        for status in (400, 403):
            failure_of(Answer(status, {"request-id": text, "retry-after": text}, body), NOW)
    for read in (
        lambda: read_entity(Answer(200, {}, encoded(text))),
        lambda: read_page(Answer(200, {}, page), "https://graph.example", _id),
        lambda: parse_user({"id": text, "userPrincipalName": text}),
        lambda: parse_user({"id": OBJECT_ID, "userPrincipalName": text, "signInSessionsValidFromDateTime": text}),
        lambda: parse_method({"id": text, "@odata.type": text}),
        lambda: parse_method({"id": "1", "@odata.type": text, "createdDateTime": text, "displayName": text}),
        lambda: parse_time(text),
    ):
        with suppress(UnreadableAnswerError):
            read()


def _id(entity: Entity) -> Entity:
    return entity


def read_as_principal(text: str) -> None:
    """Read it as the header that says who calls."""
    claims = json.dumps({"claims": [{"typ": "oid", "val": text}, {"typ": text, "val": text}]})
    for header in (text, in_base64(claims)):
        read_principal({"x-ms-client-principal": header})


def read_as_dead_letter(text: str) -> None:
    """Judge it as a message, and as what stands beside one."""
    properties = {"DeadLetterReason": text, "reason": text, "sha256": text, "cut": False, "caller": "queue"}
    for place in (Place.DEAD_LETTER, Place.REJECTED):
        for body in (encoded(text), encoded(json.dumps({"resume": text})), b'{"user": "a@b.c"}'):
            judge(Waiting(7, NOW, text, text, 1, body, properties), place, RULES)


def read_as_word(text: str) -> None:
    """Read it as each of the short texts that have a grammar."""
    for read in (
        parse_request_id,
        parse_stored_request_id,
        parse_named_user,
        parse_moment,
        is_spoilt,
        quote,
        correlate,
    ):
        read(text)
    queue_parent_id(text, 7)
    parse_retry_after(text, NOW)


def read_as_detail(text: str) -> None:
    """Mask it as each detail of a method."""
    for mask in (clean_name, mask_phone, mask_email, mask_serial):
        mask(text)


def seconds_of(read: Callable[[str], None], text: str) -> float:
    """Measure the fastest of a few."""
    taken: list[float] = []
    while len(taken) < 3 and min(taken, default=1) > AT_ONCE_SECONDS:
        began = time.thread_time()
        read(text)
        taken.append(time.thread_time() - began)
    return min(taken)


@pytest.mark.parametrize("build", TEXTS.values(), ids=[f"{name!a}" for name in TEXTS])
@pytest.mark.parametrize(
    "read",
    [read_json, read_as_body, read_as_answer, read_as_principal, read_as_dead_letter, read_as_word, read_as_detail],
)
def test_text_that_is_four_times_as_long_takes_no_more_than_eight_times_as_long(
    read: Callable[[str], None], build: Callable[[int], str]
) -> None:
    """Nobody can hold the event loop, and with it everybody else's requests, by what they write."""
    short = AT_ONCE_SECONDS / ALLOWED
    for length in LENGTHS:
        taken = seconds_of(read, build(length))
        assert taken < ALLOWED * short or length == LENGTHS[0]
        short = max(taken, AT_ONCE_SECONDS / ALLOWED)
