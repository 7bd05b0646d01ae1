"""What holds for every body: it is read without an exception, safely, and to the same request again."""

import json
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.intake import Envelope, Item, fingerprint, parse_resume, parse_stored_request_id, read_body
from shared.intake.identifiers import is_kept, parse_user
from shared.intake.moments import parse_moment
from shared.model import InvalidItem, ResetRequest
from shared.vocabulary import MethodType
from tests.unit.intake_bodies import HTTP, NOW, OBJECT_ID, QUEUE, read

# --- Any body ---------------------------------------------------------------------------------------------------

_ANY_TEXT = st.text(st.characters(), max_size=60)  # lone surrogates too
_ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ANY_TEXT, inner, max_size=4),
    max_leaves=8,
)
_TELLING = st.sampled_from(
    [
        OBJECT_ID,
        "a@b.c",
        "S-1-12-1-1-2-3-4",
        "phone",
        "id:x",
        "id:\0",
        "2026-11-24T01:02:03Z",
        "https://a.b/",
        1,
        True,
        [],
        {},
    ]
)
_NAMES = [
    "version",
    "user",
    "users",
    "requestId",
    "profile",
    "reason",
    "requestedBy",
    "observedAt",
    "keep",
    "onlyRegisteredAfter",
    "keepUndated",
    "incident",
    "dryRun",
    "id",
    "url",
    "title",
    "resume",
]
_LIKELY: st.SearchStrategy[Any] = st.recursive(
    _TELLING | _ANY_JSON,
    lambda inner: (
        st.dictionaries(st.sampled_from(_NAMES), inner, max_size=8)
        | st.lists(inner, max_size=4)
        | inner.map(json.dumps)
    ),
    max_leaves=12,
)
_NEAR = st.fixed_dictionaries(
    {"user": _TELLING | _ANY_JSON}, optional=dict.fromkeys(_NAMES[2:13], _TELLING | _ANY_JSON)
)
_ENVELOPES = st.sampled_from([HTTP, QUEUE, replace(HTTP, parent_id=None)])


def _texts_of(item: Item) -> list[str]:
    """Return every text that comes out of intake."""
    match item:
        case InvalidItem():
            told = [text for problem in item.problems for text in (problem.path, problem.code, problem.text)]
            return [*told, item.request_id or "", item.asked or ""]
        case ResetRequest():
            incident = item.incident
            free = [item.reason, item.requested_by, *((incident.id, incident.url, incident.title) if incident else ())]
            return [
                item.request_id,
                item.user.value,
                item.asked or "",
                item.profile,
                *item.selection.keep,
                *(text for text in free if text),
            ]


def _check(items: tuple[Item, ...]) -> None:
    assert items
    for item in items:
        for text in _texts_of(item):
            assert not {unicodedata.category(character) for character in text} & {"Cc", "Cf", "Cs"}
            assert text.encode().decode() == text
        if isinstance(item, InvalidItem):
            assert item.problems
            assert all(problem.code and len(problem.text) < 200 for problem in item.problems)
        else:
            assert parse_stored_request_id(item.request_id) == item.request_id
            assert parse_user(item.user.value) == item.user == parse_user(item.asked or "")
            assert all(map(is_kept, item.selection.keep))


@given(st.binary(), _ENVELOPES)
def test_read_body_of_any_bytes_returns_safe_items(body: bytes, envelope: Envelope) -> None:
    """No bytes make it raise, return nothing, or let through what cannot be shown."""
    _check(read_body(body, envelope))
    parse_resume(body)


@given(_LIKELY, _ENVELOPES)
def test_read_body_of_any_json_returns_safe_items(value: object, envelope: Envelope) -> None:
    """No JSON makes it raise, return nothing, or let through what cannot be shown."""
    _check(read(value, envelope))
    parse_resume(json.dumps(value).encode())


@given(_NEAR, _ENVELOPES)
def test_read_body_of_almost_a_request_returns_safe_items(value: object, envelope: Envelope) -> None:
    """Each field may hold anything."""
    _check(read(value, envelope))


# --- Requests ---------------------------------------------------------------------------------------------------

_USERS = (
    st.uuids().filter(lambda found: found.int > 0).map(str)
    | st.tuples(*[st.integers(1, 2**32 - 1)] * 4).map(lambda numbers: "S-1-12-1-" + "-".join(map(str, numbers)))
    | st.tuples(*[st.integers(0, 2**32 - 1)] * 4).map(lambda numbers: "s-1-5-21-" + "-".join(map(str, numbers)))
    | st.from_regex(r"\A[A-Za-z'.#ÄÖ]{1,20}@[A-Za-z.-]{1,20}\Z")
)
_MOMENTS = st.datetimes(datetime(2000, 1, 1), NOW.replace(tzinfo=None) - timedelta(days=1)).flatmap(  # noqa: DTZ001 - hypothesis wants bounds without a zone
    lambda naive: st.integers(-1439, 1439).map(
        lambda minutes: naive.replace(tzinfo=timezone(timedelta(minutes=minutes))).isoformat()
    )
)
_KEPT = st.sampled_from(list(MethodType)) | st.from_regex(r"\Aid:[A-Za-z0-9._~=+-]{1,30}\Z")
_IDS = st.from_regex(r"\A[A-Za-z0-9_:-][A-Za-z0-9._:-]{0,99}\Z")
_VALID = st.fixed_dictionaries(
    {"user": _USERS},
    optional={
        "version": st.just(1),
        "requestId": _IDS,
        "profile": st.sampled_from(sorted(HTTP.profiles)),
        "reason": st.text(st.characters(), max_size=60),
        "requestedBy": st.text(st.characters(), max_size=60),
        "observedAt": _MOMENTS,
        "keep": st.lists(_KEPT, max_size=6),
        "onlyRegisteredAfter": _MOMENTS,
        "keepUndated": st.booleans(),
        "incident": st.fixed_dictionaries(
            {},
            optional={
                "id": st.text(
                    st.characters(exclude_categories=["Cc", "Cf", "Cs"], exclude_characters="\ufffd"), max_size=60
                ),
                "url": st.from_regex(r"\Ahttps://[a-z.]{1,20}[a-z](:[1-9][0-9]{0,3})?/[!#-;=?-\[\]^_a-~]{0,50}\Z"),
                "title": st.text(st.characters(), max_size=60),
            },
        ),
        "dryRun": st.booleans(),
    },
)


def _written(request: ResetRequest) -> dict[str, Any]:
    """Write a request as a canonical body."""
    incident, after = request.incident, request.selection.only_registered_after
    return {
        "version": 1,
        "requestId": request.request_id,
        "user": request.asked,
        "profile": request.profile,
        "reason": request.reason,
        "requestedBy": request.requested_by,
        "observedAt": request.observed_at.isoformat() if request.observed_at else None,
        "keep": list(request.selection.keep),
        "onlyRegisteredAfter": after.isoformat() if after else None,
        "keepUndated": request.selection.keep_undated,
        "incident": {"id": incident.id, "url": incident.url, "title": incident.title} if incident else None,
        "dryRun": request.dry_run,
    }


def _only_request(items: tuple[Item, ...]) -> ResetRequest:
    (item,) = items
    assert isinstance(item, ResetRequest), item
    return item


@given(_VALID)
def test_read_body_of_a_valid_request_written_again_reads_the_same(value: dict[str, Any]) -> None:
    """A request survives being written and read, with its fingerprint."""
    request = _only_request(read(value))
    again = _only_request(read(_written(request)))
    assert again == request
    assert fingerprint(again) == fingerprint(request)
    _check((request,))


@given(_VALID)
def test_read_body_of_a_valid_request_reads_what_it_says(value: dict[str, Any]) -> None:
    """What is said arrives, moments in UTC."""
    request = _only_request(read(value))
    observed_at = parse_moment(value["observedAt"]) if "observedAt" in value else None
    assert request.observed_at == observed_at
    assert observed_at is None or observed_at.tzinfo is UTC
    assert request.profile == value.get("profile", HTTP.default_profile)
    assert request.dry_run is value.get("dryRun", False)
    assert set(request.selection.keep) == set(value.get("keep", []))


@given(st.lists(_VALID | _NEAR, min_size=1, max_size=5))
def test_read_body_of_an_array_reads_each_item_as_if_it_were_alone(values: list[dict[str, Any]]) -> None:
    """No item changes how another is read."""
    alone = [item for value in values for item in read(value, QUEUE)]
    requests = [item for item in alone if isinstance(item, ResetRequest)]
    together = read(values, QUEUE)
    assert [item for item in together if isinstance(item, ResetRequest)] == requests
    assert len(together) == len(alone)
