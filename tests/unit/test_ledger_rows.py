"""Values as rows, and rows as values."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given

from shared.errors import LedgerUnavailableError, UnreadableRowError
from shared.ledger.rows import (
    SCHEMA_VERSION,
    RequestRow,
    control_from_json,
    control_to_json,
    coverages_from_json,
    coverages_to_json,
    from_row,
    from_time_text,
    outcome_from_json,
    to_row,
    to_time_text,
    with_coverage,
)
from shared.model import (
    AcceptedRequest,
    Control,
    Coverage,
    Evidence,
    Incident,
    MethodLine,
    Outcome,
    Reason,
    ReferenceKind,
    RequestKey,
    ResetRequest,
    Selection,
    StepLine,
    User,
    UserReference,
)
from shared.operate import Order, carry_out, describe
from shared.vocabulary import (
    QUEUE,
    Caller,
    MethodId,
    MethodResult,
    MethodType,
    ProfileName,
    Removal,
    RequestId,
    Source,
    Status,
    StepResult,
    UserId,
)
from tests.strategies import accepted_requests, times

AT = datetime(2026, 11, 24, 9, 0, 0, 5, UTC)
NAIVE = AT.replace(tzinfo=None)
SECRET = "not-for-any-log"

FROZEN_ROW = RequestRow(
    caller="queue",
    request_id="INC-3177",
    fingerprint="f1",
    source="queue",
    accepted_at="2026-11-24T09:00:00.000005+00:00",
    first_enqueued_at="2026-11-24T09:00:00.000005+00:00",
    due_at="2026-11-24T09:00:00.000005+00:00",
    patient_since="2026-11-24T09:00:00.000005+00:00",
    run=3,
    attempts=2,
    request="""{
        "request_id": "INC-3177", "user": {"kind": "userPrincipalName", "value": "alice@contoso.example"},
        "profile": "compromised", "reason": "Token theft", "requested_by": "playbook",
        "observed_at": "2026-11-24T09:00:00.000005Z",
        "selection": {"keep": ["fido2"], "only_registered_after": "2026-11-24T09:00:00.000005Z", "keep_undated": true},
        "incident": {"id": "7", "url": "https://portal.example/7", "title": "Alert"}, "dry_run": true
    }""",
    evidence="""{
        "user": {"id": "c4be", "user_principal_name": "alice@contoso.example", "user_type": "Member",
            "account_enabled": null, "on_premises_synced": false, "management_restricted": false,
            "sessions_valid_from": "2026-11-24T09:00:00.000005Z"},
        "started_at": "2026-11-24T09:00:00.000005Z",
        "methods": [{"type": "phone", "id": "3179", "detail": "+XX XXXXXXX55",
            "registered_at": "2026-11-24T09:00:00.000005Z", "result": "deleted", "error": null}],
        "steps": [{"step": "revokeSessions", "result": "done", "at": "2026-11-24T09:00:00.000005Z", "detail": null}]
    }""",
    outcome="""{
        "request_id": "INC-3177", "caller": "queue", "status": "partial", "source": "queue",
        "accepted_at": "2026-11-24T09:00:00.000005Z", "finished_at": "2026-11-24T09:00:00.000005Z",
        "follow_ups": [{"code": "appPasswords", "text": "Delete them."}]
    }""",
    reported=True,
)
FROZEN_VALUE = AcceptedRequest(
    key=RequestKey(Caller("queue"), RequestId("INC-3177")),
    fingerprint="f1",
    request=ResetRequest(
        request_id=RequestId("INC-3177"),
        user=UserReference(ReferenceKind.USER_PRINCIPAL_NAME, "alice@contoso.example"),
        profile=ProfileName("compromised"),
        reason="Token theft",
        requested_by="playbook",
        observed_at=AT,
        selection=Selection(("fido2",), AT, keep_undated=True),
        incident=Incident("7", "https://portal.example/7", "Alert"),
        dry_run=True,
    ),
    source=Source.QUEUE,
    accepted_at=AT,
    first_enqueued_at=AT,
    due_at=AT,
    patient_since=AT,
    run=3,
    attempts=2,
    evidence=Evidence(
        user=User(
            id=UserId("c4be"),
            user_principal_name="alice@contoso.example",
            user_type="Member",
            account_enabled=None,
            on_premises_synced=False,
            management_restricted=False,
            sessions_valid_from=AT,
        ),
        started_at=AT,
        methods=(MethodLine("phone", MethodId("3179"), "+XX XXXXXXX55", AT, MethodResult.DELETED),),
        steps=(StepLine("revokeSessions", StepResult.DONE, AT),),
    ),
    outcome=Outcome(
        request_id=RequestId("INC-3177"),
        caller=Caller("queue"),
        status=Status.PARTIAL,
        source=Source.QUEUE,
        accepted_at=AT,
        finished_at=AT,
        follow_ups=(Reason("appPasswords", "Delete them."),),
    ),
    reported=True,
)


def evidence_with(change: Callable[[dict[str, object]], object]) -> RequestRow:
    """Build the frozen row with something changed in its evidence."""
    assert FROZEN_ROW.evidence
    evidence = json.loads(FROZEN_ROW.evidence)
    change(evidence)
    return replace(FROZEN_ROW, evidence=json.dumps(evidence))


@given(accepted_requests)
def test_row_of_any_request_when_read_is_that_request(accepted: AcceptedRequest) -> None:
    """Nothing is lost, added or changed by being kept; and what compares equal is of the same types and offsets."""
    read = from_row(to_row(accepted))
    assert read == accepted
    assert to_row(read) == to_row(accepted)


def test_row_of_today_when_read_later_is_what_it_was() -> None:
    """Rows lie for 400 days: whoever renames a field has to read the old name."""
    assert from_row(FROZEN_ROW) == FROZEN_VALUE
    written = to_row(FROZEN_VALUE)
    assert json.loads(written.request) == json.loads(FROZEN_ROW.request) | {"also": [], "asked": None}
    evidence = json.loads(FROZEN_ROW.evidence or "") | {"sign_in": None, "every_type_listed": True}
    evidence["methods"][0]["tried"] = None
    assert json.loads(written.evidence or "") == evidence


@given(times, times)
def test_time_texts_when_sorted_are_in_the_order_of_time(one: datetime, other: datetime) -> None:
    """A store that can only compare texts finds the newest."""
    assert (to_time_text(one) < to_time_text(other)) == (one < other)
    assert len(to_time_text(one)) == 32
    assert from_time_text(to_time_text(one)) == one


@pytest.mark.parametrize(
    "row",
    [
        evidence_with(lambda evidence: evidence.update(new=1)),
        evidence_with(lambda evidence: evidence["user"].update(new=1)),  # type: ignore[attr-defined] # JSON
        evidence_with(lambda evidence: evidence["methods"][0].update(new=1)),  # type: ignore[index] # JSON
        evidence_with(lambda evidence: evidence["steps"][0].update(new=1)),  # type: ignore[index] # JSON
        replace(FROZEN_ROW, request=FROZEN_ROW.request.replace('"keep":', '"new": 1, "keep":')),
        replace(FROZEN_ROW, request=FROZEN_ROW.request.replace('"title":', '"new": 1, "title":')),
    ],
)
def test_row_with_an_unknown_field_when_read_is_what_the_others_say(row: RequestRow) -> None:
    """Whoever goes back a version goes on with what is under way."""
    assert row != FROZEN_ROW
    assert from_row(row) == FROZEN_VALUE


@pytest.mark.parametrize("schema", [None, 5, SCHEMA_VERSION, SCHEMA_VERSION + 1, 10_000])
def test_row_of_any_version_when_read_is_what_it_says(schema: int | None) -> None:
    """The number is for people who look into the ledger."""
    assert from_row(replace(FROZEN_ROW, schema=schema)) == FROZEN_VALUE
    assert to_row(FROZEN_VALUE).schema == SCHEMA_VERSION


def test_row_without_fields_that_have_a_default_when_read_has_that() -> None:
    """As an earlier version wrote it, which did not know them."""
    row = replace(
        FROZEN_ROW,
        request='{"request_id": "1", "user": {"kind": "objectId", "value": "c4be"}, "profile": "p"}',
        evidence=json.dumps({"user": json.loads(FROZEN_ROW.evidence or "")["user"], "started_at": AT.isoformat()}),
        outcome=json.dumps(
            {
                "request_id": "1",
                "caller": "queue",
                "status": "failed",
                "source": "http",
                "accepted_at": AT.isoformat(),
                "finished_at": AT.isoformat(),
            }
        ),
    )
    read = from_row(row)
    user = UserReference(ReferenceKind.OBJECT_ID, "c4be")
    assert read.request == ResetRequest(RequestId("1"), user, ProfileName("p"))
    assert FROZEN_VALUE.evidence
    assert read.evidence == Evidence(FROZEN_VALUE.evidence.user, AT)
    assert read.outcome == Outcome(RequestId("1"), QUEUE, Status.FAILED, Source.HTTP, AT, AT)


@pytest.mark.parametrize(
    "row",
    [
        replace(FROZEN_ROW, request="null"),
        replace(FROZEN_ROW, evidence="null"),
        replace(FROZEN_ROW, outcome="{}"),
        replace(FROZEN_ROW, request=FROZEN_ROW.request[:-1]),
        replace(FROZEN_ROW, request=FROZEN_ROW.request.replace("true", "1")),
        replace(FROZEN_ROW, request=FROZEN_ROW.request.replace('"compromised"', "null")),
        replace(FROZEN_ROW, request=FROZEN_ROW.request.replace("userPrincipalName", "nickname")),
        replace(FROZEN_ROW, request=FROZEN_ROW.request.replace("005Z", "005")),
        evidence_with(lambda evidence: evidence.update(started_at="2026-11-24T09:00:00")),
        evidence_with(lambda evidence: evidence["methods"][0].update(registered_at="2026-11-24T09:00:00")),  # type: ignore[index] # JSON
        evidence_with(lambda evidence: evidence["methods"][0].update(result="evaporated")),  # type: ignore[index] # JSON
        evidence_with(lambda evidence: evidence["steps"][0].update(result="nearly")),  # type: ignore[index] # JSON
        evidence_with(lambda evidence: evidence.pop("user")),
        replace(FROZEN_ROW, outcome=(FROZEN_ROW.outcome or "").replace("partial", "splendid")),
        replace(FROZEN_ROW, source="pigeon"),
        replace(FROZEN_ROW, accepted_at="yesterday"),
        replace(FROZEN_ROW, first_enqueued_at="2026-11-24T09:00:00.000005"),
        replace(FROZEN_ROW, due_at="soon"),
        replace(FROZEN_ROW, patient_since="2026-11-24T09:00:00.000005"),
    ],
)
def test_row_that_is_not_ours_when_read_is_refused(row: RequestRow) -> None:
    """No default stands in for what cannot be read: it is as if the ledger were not there."""
    with pytest.raises(LedgerUnavailableError, match="cannot read"):
        from_row(row)


def test_row_that_is_refused_when_told_quotes_no_value() -> None:
    """The message names places and kinds; what stands there, and the cause that quotes it, is left out."""
    row = evidence_with(lambda evidence: evidence["methods"][0].update(result=SECRET))  # type: ignore[index] # JSON
    with pytest.raises(UnreadableRowError, match=r"methods\.0\.result: enum") as caught:
        from_row(row)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "value",
    [
        replace(FROZEN_VALUE, accepted_at=NAIVE),
        replace(FROZEN_VALUE, first_enqueued_at=NAIVE),
        replace(FROZEN_VALUE, due_at=NAIVE),
        replace(FROZEN_VALUE, patient_since=NAIVE),
        replace(FROZEN_VALUE, request=replace(FROZEN_VALUE.request, observed_at=NAIVE)),
        replace(FROZEN_VALUE, request=replace(FROZEN_VALUE.request, selection=Selection(only_registered_after=NAIVE))),
    ],
)
def test_time_without_an_offset_when_written_is_refused(value: AcceptedRequest) -> None:
    """Nobody could say later what time it was."""
    with pytest.raises(ValueError, match="a time without an offset"):
        to_row(value)


@pytest.mark.parametrize("reason", [f"{SECRET} \ud800", SECRET.encode()])
def test_value_that_its_type_does_not_allow_when_written_is_refused(reason: str) -> None:
    """It could not be read again; the message does not quote it."""
    with pytest.raises(ValueError, match="a field of ResetRequest") as caught:
        to_row(replace(FROZEN_VALUE, request=replace(FROZEN_VALUE.request, reason=reason)))
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_time_of_another_offset_when_written_is_utc() -> None:
    """The column holds one time zone only."""
    east = FROZEN_VALUE.accepted_at.astimezone(tz=None) + timedelta(0)
    assert to_time_text(east) == FROZEN_ROW.accepted_at


# --- what hangs on a user, and what an operator has set ----------------------------------------------------------

USER = UserId("c4bedccf-e5ff-4215-a1df-468800618a6c")
FROZEN_COVERAGES = """[{
    "key": {"caller": "queue", "request_id": "INC-3177"}, "status": "partial", "until": "2026-11-24T09:00:00.000005Z",
    "removals": [["phone", "delete"], ["hardwareOath", "deactivate"]], "unknown_types": true,
    "selection": {"keep": ["fido2"], "only_registered_after": "2026-11-24T09:00:00.000005Z", "keep_undated": true},
    "steps": ["revokeSessions"], "stayed": [["fido2", "6803", null]], "undone": []
}]"""
COVERAGE = Coverage(
    key=RequestKey(Caller("queue"), RequestId("INC-3177")),
    status=Status.PARTIAL,
    until=AT,
    removals=((MethodType.PHONE, Removal.DELETE), (MethodType.HARDWARE_OATH, Removal.DEACTIVATE)),
    unknown_types=True,
    selection=Selection(("fido2",), AT, keep_undated=True),
    steps=("revokeSessions",),
    stayed=(("fido2", MethodId("6803"), None),),
)
FROZEN_CONTROL = """{
    "paused_until": "2026-11-24T09:00:00.000005Z", "paused_by": "Sam", "paused_why": "Migration",
    "resets_per_hour": 500, "resets_per_hour_until": "2026-11-24T09:00:00.000005Z"
}"""
CONTROL = Control(AT, "Sam", "Migration", 500, AT)


def test_coverages_of_today_when_read_later_are_what_they_were() -> None:
    """They lie for 400 days, too; nothing is nothing."""
    assert coverages_from_json(FROZEN_COVERAGES, USER) == (COVERAGE,)
    (frozen,) = json.loads(FROZEN_COVERAGES)
    assert json.loads(coverages_to_json((COVERAGE,))) == [frozen | {"tried_at": None}]
    assert coverages_from_json(None, USER) == ()


def test_control_of_today_when_read_later_is_what_it_was() -> None:
    """A pause must survive an update of the program; nothing is nothing."""
    assert control_from_json(FROZEN_CONTROL) == CONTROL
    assert json.loads(control_to_json(CONTROL)) == json.loads(FROZEN_CONTROL)
    assert control_from_json(None) == Control()


def test_text_with_an_unknown_field_when_read_is_what_the_others_say() -> None:
    """Going back a version forgets neither what covers a user nor a pause."""
    coverages = FROZEN_COVERAGES.replace('"steps"', '"new": 1, "steps"').replace('"stayed"', '"later"')
    assert coverages_from_json(coverages, USER) == (replace(COVERAGE, stayed=()),)
    assert control_from_json(FROZEN_CONTROL.replace('"paused_by"', '"new": 1, "paused_by"')) == CONTROL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("005Z", "005"),
        ('"phone"', '"pigeon"'),
        ('"delete"', '"deflate"'),
        ('"partial"', '"splendid"'),
        ('"key"', '"k"'),
    ],
)
def test_coverage_that_cannot_be_read_is_left_out_with_an_alert(
    old: str, new: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It covers nobody; the others do, and later resets of this user come to their end."""
    both = json.loads(FROZEN_COVERAGES.replace(old, new)) + json.loads(FROZEN_COVERAGES)
    assert coverages_from_json(json.dumps(both), USER) == (COVERAGE,)
    assert [line["code"] for line in alerts(caplog)] == ["coverages"]
    assert [line["userId"] for line in alerts(caplog)] == [USER]


@pytest.mark.parametrize("text", ["", "{}", "null", "[", '"text"'])
def test_coverages_that_are_no_list_are_none_with_an_alert(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """As above."""
    assert coverages_from_json(text, USER) == ()
    assert [line["event"] for line in alerts(caplog)] == ["unreadableRow"]


@pytest.mark.parametrize("text", ["", "{", "null", "[]", FROZEN_CONTROL.replace("500", '"500"'), '{"paused_until": 5}'])
def test_control_that_cannot_be_read_is_a_pause_that_an_operator_can_lift(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody takes a pause for lifted because it cannot be read."""
    control = control_from_json(text)
    now = AT + timedelta(days=400)
    assert control.is_paused(now)
    assert [line["code"] for line in alerts(caplog)] == ["control"]
    said = describe(control, 100, now)
    assert "what an operator has set cannot be read" in said
    lifted = carry_out(Order("resume"), control, now)
    assert control_from_json(control_to_json(lifted)) == Control()


def test_outcome_that_cannot_be_read_is_refused() -> None:
    """It is as if the ledger were not there."""
    with pytest.raises(UnreadableRowError):
        outcome_from_json("{}")


def alerts(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    """Return what an alert rule would find."""
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "mfa_reset"]
    return [line for line in lines if line.get("alert")]


@pytest.mark.parametrize(
    "write",
    [
        lambda: coverages_to_json((replace(COVERAGE, until=NAIVE),)),
        lambda: control_to_json(replace(CONTROL, paused_until=NAIVE)),
    ],
)
def test_text_with_a_time_without_an_offset_is_not_written(write: Callable[[], str]) -> None:
    """As in rows."""
    with pytest.raises(ValueError, match="a time without an offset"):
        write()


def test_coverage_when_added_is_the_first_of_ten() -> None:
    """The oldest goes; none adds nothing."""
    known = tuple(replace(COVERAGE, until=AT - timedelta(hours=hours)) for hours in range(10))
    new = replace(COVERAGE, until=AT + timedelta(hours=1))
    assert with_coverage(known, new) == (new, *known[:9])
    assert with_coverage(known[:2], new) == (new, *known[:2])
    assert with_coverage(known, None) == known
