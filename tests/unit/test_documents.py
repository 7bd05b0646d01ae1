"""Outcomes and requests as the contract's JSON."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shared.documents import outcome_document, request_document, time_text
from shared.intake import Envelope, Item, fingerprint, read_body
from shared.intake.request_ids import derive_request_id
from shared.model import CoveredBy, Incident, MethodLine, Outcome, Reason, ResetRequest, Selection
from shared.strictjson import Json
from shared.vocabulary import QUEUE, MethodId, MethodResult, ProfileName, RequestId, Status, StepResult, WaitingFor
from tests.builders import ALICE, COMPROMISED, NOW, a_request, a_step, an_outcome
from tests.strategies import outcomes, reset_requests, times

REASON_KEYS = {"code", "text", "method", "step"}
FOLLOW_UP_KEYS = {"code", "text"}
METHOD_KEYS = {"type", "id", "detail", "registeredAt", "result", "error"}
STEP_KEYS = {"step", "result", "at", "detail"}
OUTCOME_KEYS = {
    *("version", "requestId", "caller", "status", "dryRun", "user", "profile", "reasons", "methods", "steps"),
    *("verified", "verifiedAt", "followUps", "requestedBy", "source", "incident", "acceptedAt", "startedAt"),
    *("finishedAt", "coveredBy", "replayed"),
}
REQUEST_KEYS = {
    *("version", "requestId", "user", "profile", "reason", "requestedBy", "observedAt", "keep"),
    *("onlyRegisteredAfter", "keepUndated", "incident", "dryRun"),
}
COVERING_KEYS = {"requestId", "caller", "status", "verifiedAt"}
USER_KEYS = {"asked", "id", "userPrincipalName"}
INCIDENT_KEYS = {"id", "url", "title"}
ROOT = Path(__file__).parents[2]
TIME_KEYS = {"verifiedAt", "registeredAt", "at", "acceptedAt", "startedAt", "finishedAt"}


def fields_of(value: object) -> Iterator[tuple[str, object]]:
    """Walk every key of a document, however deep."""
    match value:
        case dict():
            for key, inner in value.items():
                yield key, inner
                yield from fields_of(inner)
        case list():
            for inner in value:
                yield from fields_of(inner)


# --- Outcomes ----------------------------------------------------------------------------------------------------


@given(outcomes)
def test_document_of_any_outcome_when_written_then_it_is_json_with_exactly_the_contracts_keys(outcome: Outcome) -> None:
    """Product.md 3, to the key: nothing of a phone number, a caller's token or a policy has a place in it."""
    document = json.loads(json.dumps(outcome_document(outcome)).encode())
    assert document.keys() == OUTCOME_KEYS
    assert all(one.keys() == REASON_KEYS for one in document["reasons"])
    assert all(one.keys() == FOLLOW_UP_KEYS for one in document["followUps"])
    assert all(one.keys() == METHOD_KEYS for one in document["methods"])
    assert all(one.keys() == STEP_KEYS for one in document["steps"])
    assert document["user"].keys() == USER_KEYS
    assert document["coveredBy"] is None or document["coveredBy"].keys() == COVERING_KEYS
    assert document["incident"] is None or document["incident"].keys() == INCIDENT_KEYS
    assert not any("phone" in key.lower() or "number" in key.lower() for key, _ in fields_of(document))


@given(outcomes)
def test_document_of_any_outcome_when_written_then_every_time_is_in_utc_or_null(outcome: Outcome) -> None:
    """RFC 3339 with a Z, to the millisecond."""
    times_found = [value for key, value in fields_of(outcome_document(outcome)) if key in TIME_KEYS]
    assert all(value is None or (isinstance(value, str) and value.endswith("Z")) for value in times_found)
    assert len(times_found) == 4 + len(outcome.methods) + len(outcome.steps) + bool(outcome.covered_by)


@given(outcomes)
def test_document_of_any_outcome_when_written_then_each_value_is_the_outcomes(outcome: Outcome) -> None:
    """Nothing is swapped, and enums are their words."""
    document = outcome_document(outcome)
    assert (document["version"], document["requestId"], document["caller"]) == (1, outcome.request_id, outcome.caller)
    assert (document["status"], document["source"]) == (outcome.status.value, outcome.source.value)
    assert (document["dryRun"], document["verified"]) == (outcome.dry_run, outcome.verified)
    assert (document["profile"], document["requestedBy"]) == (outcome.profile, outcome.requested_by)
    assert document["reasons"] == [
        {"code": one.code, "text": one.text, "method": one.method, "step": one.step} for one in outcome.reasons
    ]
    user = {"asked": outcome.asked, "id": outcome.user_id, "userPrincipalName": outcome.user_principal_name}
    assert (document["user"], document["replayed"]) == (user, outcome.replayed)
    assert document["followUps"] == [{"code": one.code, "text": one.text} for one in outcome.follow_ups]


def test_document_of_an_outcome_when_written_then_it_is_the_contracts_example() -> None:
    """Once in full, as callers read it."""
    at = datetime(2026, 11, 24, 9, 0, 0, 123_999, UTC)
    line = MethodLine("phone", MethodId("p1"), "+XX XXXXXXX55", at, MethodResult.NOT_PERMITTED, "accessDenied")
    outcome = an_outcome(
        Status.PARTIAL,
        user_id=ALICE,
        user_principal_name="alice@contoso.example",
        profile=COMPROMISED,
        asked="Alice@contoso.example",
        reasons=(
            Reason("notPermitted", "No.", MethodId("p1")),
            Reason("stepUnconfirmed", "No.", step="revokeSessions"),
        ),
        covered_by=CoveredBy(RequestId("INC-1"), QUEUE, Status.COMPLETED, at),
        replayed=True,
        methods=(line, replace(line, id=MethodId("p2"), detail=None, registered_at=None, result=None, error=None)),
        steps=(replace(a_step(result=StepResult.UNCONFIRMED), detail="x"),),
        verified=True,
        verified_at=at,
        follow_ups=(Reason("appPasswords", "Delete them."),),
        requested_by="playbook reset-mfa",
        incident=Incident("7", "https://portal.example/7", "Token theft"),
        started_at=at,
    )
    assert outcome_document(outcome) == {
        "version": 1,
        "requestId": "INC-3177",
        "caller": "queue",
        "status": "partial",
        "dryRun": False,
        "user": {"asked": "Alice@contoso.example", "id": ALICE, "userPrincipalName": "alice@contoso.example"},
        "profile": "compromised",
        "reasons": [
            {"code": "notPermitted", "text": "No.", "method": "p1", "step": None},
            {"code": "stepUnconfirmed", "text": "No.", "method": None, "step": "revokeSessions"},
        ],
        "coveredBy": {
            "requestId": "INC-1",
            "caller": "queue",
            "status": "completed",
            "verifiedAt": "2026-11-24T09:00:00.123Z",
        },
        "replayed": True,
        "methods": [
            {
                "type": "phone",
                "id": "p1",
                "detail": "+XX XXXXXXX55",
                "registeredAt": "2026-11-24T09:00:00.123Z",
                "result": "notPermitted",
                "error": "accessDenied",
            },
            {"type": "phone", "id": "p2", "detail": None, "registeredAt": None, "result": None, "error": None},
        ],
        "steps": [{"step": "revokeSessions", "result": "unconfirmed", "at": "2026-11-24T09:00:00.000Z", "detail": "x"}],
        "verified": True,
        "verifiedAt": "2026-11-24T09:00:00.123Z",
        "followUps": [{"code": "appPasswords", "text": "Delete them."}],
        "requestedBy": "playbook reset-mfa",
        "source": "queue",
        "incident": {"id": "7", "url": "https://portal.example/7", "title": "Token theft"},
        "acceptedAt": "2026-11-24T09:00:00.000Z",
        "startedAt": "2026-11-24T09:00:00.123Z",
        "finishedAt": "2026-11-24T09:00:00.000Z",
    }


def test_document_of_an_outcome_when_nobody_was_found_then_user_and_times_are_null() -> None:
    """What is not known is said to be so."""
    document = outcome_document(an_outcome(Status.INVALID))
    nothing = ("profile", "verifiedAt", "startedAt", "requestedBy", "incident", "coveredBy")
    assert {key: document[key] for key in nothing} == dict.fromkeys(nothing)
    assert document["user"] == {"asked": None, "id": None, "userPrincipalName": None}


def test_contract_page_when_read_then_it_names_every_field_and_word_of_an_outcome() -> None:
    """Whoever writes a client has the page, not the code."""
    page = (ROOT / "docs/contract.md").read_text().partition("## The outcome")[2]
    table = page.partition("### Not ended yet")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(OUTCOME_KEYS)
    for keys in (REASON_KEYS, FOLLOW_UP_KEYS, METHOD_KEYS, STEP_KEYS, COVERING_KEYS, USER_KEYS, INCIDENT_KEYS):
        lists = [set(re.findall(r'"(\w+)"', braces)) for braces in re.findall(r"{[^}]*}", table)]
        assert keys in lists
    words = set(re.findall(r"`(\w+)`", page))
    assert words >= {*Status, *WaitingFor, "wouldDelete", "wouldDeactivate", "kept", "wouldDo", "skipped"}


# --- Times -------------------------------------------------------------------------------------------------------


@given(times)
def test_time_text_of_any_time_when_written_then_it_is_the_same_moment_cut_to_the_millisecond(at: datetime) -> None:
    """Whatever its offset."""
    text = time_text(at)
    assert text is not None
    assert timedelta(0) <= at - datetime.fromisoformat(text) < timedelta(milliseconds=1)
    assert (text[-1], len(text)) == ("Z", len("2026-11-24T09:00:00.000Z"))


def test_time_text_when_a_time_has_an_offset_or_is_none_then_it_is_in_utc_or_null() -> None:
    """Cut, not rounded: a time is never later than it was."""
    at = datetime(2026, 11, 24, 1, 0, 0, 999_999, timezone(timedelta(hours=2)))
    assert (time_text(at), time_text(None)) == ("2026-11-23T23:00:00.999Z", None)


# --- Requests ----------------------------------------------------------------------------------------------------


@given(reset_requests)
def test_document_of_any_request_when_written_then_it_is_json_with_exactly_the_contracts_keys(
    request: ResetRequest,
) -> None:
    """Product.md 1, to the key."""
    document = json.loads(json.dumps(request_document(request)).encode())
    assert document.keys() == REQUEST_KEYS
    assert (document["version"], document["user"], document["dryRun"]) == (
        1,
        request.asked or request.user.value,
        request.dry_run,
    )
    assert document["keep"] == list(request.selection.keep)


def send_again(document: dict[str, Json], message_id: str = "parent") -> tuple[Item, ...]:
    """Read a request's document as a body of a message."""
    envelope = Envelope(
        now=NOW,
        default_profile=ProfileName("default"),
        profiles=frozenset({COMPROMISED}),
        parent_id=RequestId(message_id),
        derive=True,
    )
    return read_body(json.dumps(document).encode(), envelope)


moments = st.datetimes(datetime(2020, 1, 1), datetime(2026, 11, 24), timezones=st.just(UTC))  # noqa: DTZ001 - as hypothesis wants
full_requests = st.builds(
    ResetRequest,
    request_id=st.from_regex(r"[A-Za-z0-9_:-]{1,100}", fullmatch=True).map(RequestId),
    user=st.just(a_request().user),
    profile=st.just(COMPROMISED),
    reason=st.none() | st.sampled_from(["Token theft", "Ünïcode"]),
    requested_by=st.none() | st.just("playbook"),
    observed_at=st.none() | moments,
    selection=st.builds(
        Selection,
        keep=st.sampled_from([(), ("phone", "id:m1")]),
        only_registered_after=st.none() | moments,
        keep_undated=st.booleans(),
    ),
    incident=st.none() | st.just(Incident("7", "https://portal.example/7", "Token theft")),
    dry_run=st.booleans(),
    asked=st.sampled_from([ALICE, ALICE.upper()]),
)


@given(full_requests)
def test_document_of_a_request_when_sent_again_then_it_is_the_same_request(request: ResetRequest) -> None:
    """A rejected copy that an operator sends again asks for what was asked."""
    assert send_again(request_document(request)) == (request,)


@given(full_requests, st.sampled_from(["INC-1", "INC-1.ABCDEFGHIJKLMNOP", "m-" + "e" * 98]))
def test_document_of_a_request_whose_id_is_derived_when_sent_under_its_parent_then_it_is_the_same(
    request: ResetRequest, parent_id: str
) -> None:
    """The id is left out, and comes out of MessageId and user again: the same key, the same fingerprint."""
    parent = RequestId(parent_id)
    derived = replace(request, request_id=derive_request_id(parent, request.user))
    assert request_document(derived)["requestId"] is None
    (again,) = send_again(request_document(derived), parent)
    assert again == derived
    assert isinstance(again, ResetRequest)
    assert fingerprint(again) == fingerprint(derived)
