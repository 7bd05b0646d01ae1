"""How a request ended, and the contract's document of it."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from shared import outcomes
from shared.documents import outcome_document, request_document, time_text
from shared.model import (
    AcceptedRequest,
    Incident,
    MethodLine,
    MethodResult,
    MethodType,
    Outcome,
    Problem,
    Reason,
    Removal,
    ResetRequest,
    Selection,
    Source,
    Status,
    StepName,
    StepResult,
    parse_key,
)
from shared.outcomes import Verification
from shared.plan import UNDATED, make_plan, make_scope
from tests import strategies
from tests.builders import (
    COMPROMISED,
    NOW,
    REREGISTER,
    a_line,
    a_method,
    a_policy,
    a_request,
    a_step,
    a_user,
    an_accepted_request,
    an_evidence,
    an_outcome,
)

POLICY = a_policy()
SEEN = Verification(NOW, in_scope_left=False, sessions_confirmed=True)


def codes(reasons: tuple[Reason, ...]) -> list[str]:
    """Return the codes, in order."""
    return [reason.code for reason in reasons]


def test_outcome_of_all_done_and_verified_is_completed() -> None:
    """Nothing open, and a listing that shows it."""
    evidence = an_evidence(a_line(result=MethodResult.DELETED), steps=(a_step(),))
    outcome = outcomes.carried_out(an_accepted_request(), evidence, POLICY.profiles[REREGISTER], SEEN, NOW)
    assert (outcome.status, outcome.verified, outcome.verified_at, outcome.reasons) == (Status.COMPLETED, True, NOW, ())
    assert codes(outcome.follow_ups) == ["appPasswords", "registrationOpen"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (a_line(), "methodRemaining"),
        (a_line(result=MethodResult.REMAINING), "methodRemaining"),
        (a_line(result=MethodResult.UNSUPPORTED), "unsupportedMethod"),
        (a_line(result=MethodResult.NOT_PERMITTED), "notPermitted"),
        (a_line(result=MethodResult.KEPT, error=UNDATED), "undatedKept"),
    ],
)
def test_outcome_with_an_open_method_is_partial_and_says_which(line: MethodLine, code: str) -> None:
    """Each open thing is a reason that names it."""
    outcome = outcomes.carried_out(an_accepted_request(), an_evidence(line), POLICY.profiles[REREGISTER], SEEN, NOW)
    assert (outcome.status, codes(outcome.reasons)) == (Status.PARTIAL, [code])
    assert "m1" in outcome.reasons[0].text


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (StepResult.FAILED, "stepFailed"),
        (StepResult.UNCONFIRMED, "stepUnconfirmed"),
        (StepResult.NOT_PERMITTED, "notPermitted"),
    ],
)
def test_outcome_with_an_open_step_is_partial(result: StepResult, code: str) -> None:
    """So is a step that did not do what was asked."""
    evidence = an_evidence(steps=(a_step(result=result),))
    outcome = outcomes.carried_out(an_accepted_request(), evidence, POLICY.profiles[REREGISTER], SEEN, NOW)
    assert (outcome.status, codes(outcome.reasons)) == (Status.PARTIAL, [code])


@pytest.mark.parametrize(("left", "confirmed"), [(True, True), (False, False), (True, False)])
def test_outcome_that_no_listing_proves_is_partial(left: bool, confirmed: bool) -> None:
    """Completed without verified does not exist."""
    seen = Verification(NOW, in_scope_left=left, sessions_confirmed=confirmed)
    outcome = outcomes.carried_out(an_accepted_request(), an_evidence(), POLICY.profiles[REREGISTER], seen, NOW)
    assert (outcome.status, outcome.verified, outcome.verified_at) == (Status.PARTIAL, False, None)
    assert codes(outcome.reasons) == ["notVerified"]


def test_outcome_names_what_people_have_to_do() -> None:
    """A disabled account and a guest's home tenant are follow-ups; a closed window is none."""
    guest = a_user(user_type="Guest")
    evidence = an_evidence(steps=(a_step(StepName.DISABLE_ACCOUNT),), user=guest)
    outcome = outcomes.carried_out(an_accepted_request(), evidence, POLICY.profiles[COMPROMISED], SEEN, NOW)
    assert codes(outcome.follow_ups) == ["appPasswords", "accountDisabled", "homeTenant"]


def test_outcome_of_a_plan_says_what_would_be_done_and_leaves_all_as_it_is() -> None:
    """Steps and removals in order, the revocation again after them."""
    profile = POLICY.profiles[REREGISTER]
    methods = [a_method(MethodType.SOFTWARE_OATH), a_method(MethodType.FIDO2, "m2")]
    plan = make_plan(methods, profile, make_scope(profile, Selection()))
    outcome = outcomes.planned(an_accepted_request(), a_user(), plan, NOW, NOW)
    assert (outcome.status, outcome.dry_run) == (Status.PLANNED, True)
    assert [reason.text for reason in outcome.reasons] == [
        "revokeSessions",
        f"{Removal.DELETE} softwareOath m1",
        "revokeSessions again",
    ]
    assert [line.result for line in outcome.methods] == [MethodResult.REMAINING, MethodResult.KEPT]
    assert [step.result for step in outcome.steps] == [StepResult.SKIPPED]
    nothing = make_plan([], profile, make_scope(profile, Selection()))
    assert len(outcomes.planned(an_accepted_request(), a_user(), nothing, NOW, NOW).reasons) == 1


def test_outcome_of_a_refusal_holds_the_reasons_and_the_steps_instead() -> None:
    """An account that was disabled instead has to be enabled by somebody."""
    reasons = (Reason("neverUser", "No."),)
    evidence = an_evidence(steps=(a_step(StepName.DISABLE_ACCOUNT),))
    outcome = outcomes.refused(an_accepted_request(), evidence, reasons, NOW, dry_run=False)
    assert (outcome.status, outcome.reasons, codes(outcome.follow_ups)) == (
        Status.REFUSED,
        reasons,
        ["accountDisabled"],
    )
    assert outcomes.refused(an_accepted_request(), an_evidence(), reasons, NOW, dry_run=True).follow_ups == ()


def test_outcome_of_an_invalid_request_begins_each_text_with_its_path() -> None:
    """A problem of the whole body has no path."""
    problems = (Problem("users[3]", "badFormat", "No."), Problem("", "empty", "Nothing."))
    outcome = outcomes.invalid(an_accepted_request(), problems, NOW)
    assert [reason.text for reason in outcome.reasons] == ["users[3]: No.", "Nothing."]


def test_outcome_of_a_failure_tells_what_was_done_and_what_not() -> None:
    """Also when nothing was found yet."""
    empty = outcomes.failed(an_accepted_request(), "Unavailable", NOW)
    assert (empty.status, codes(empty.reasons), empty.user_id) == (Status.FAILED, ["patienceAtItsEnd"], None)
    evidence = an_evidence(a_line(result=MethodResult.DELETED), a_line(id_="m2"), steps=(a_step(),))
    outcome = outcomes.failed(an_accepted_request(evidence=evidence), "Unavailable", NOW)
    assert codes(outcome.reasons) == ["patienceAtItsEnd", "methodRemaining"]
    assert codes(outcome.follow_ups) == ["appPasswords", "registrationOpen"]


# --- The document -----------------------------------------------------------------------------------------------


@given(strategies.outcomes)
def test_document_of_any_outcome_has_the_contracts_keys(outcome: Outcome) -> None:
    """Product.md 3, to the key; JSON can say it; times are UTC."""
    document = json.loads(json.dumps(outcome_document(outcome)))
    assert set(document) == {
        "version",
        "requestId",
        "caller",
        "status",
        "dryRun",
        "user",
        "profile",
        "reasons",
        "methods",
        "steps",
        "verified",
        "verifiedAt",
        "followUps",
        "requestedBy",
        "source",
        "incident",
        "acceptedAt",
        "startedAt",
        "finishedAt",
    }
    assert document["acceptedAt"].endswith("Z")
    for line in document["methods"]:
        assert set(line) == {"type", "id", "detail", "registeredAt", "result", "error"}
    for step in document["steps"]:
        assert set(step) == {"step", "result", "at", "detail"}
    assert document["user"] is None or set(document["user"]) == {"id", "userPrincipalName"}


def test_document_shows_an_incident_and_no_time_where_there_is_none() -> None:
    """What is absent is null."""
    document = outcome_document(an_outcome(incident=Incident("i", "https://x.example", "t")))
    assert document["incident"] == {"id": "i", "url": "https://x.example", "title": "t"}
    assert (document["verifiedAt"], time_text(None)) == (None, None)


@given(strategies.accepted_requests)
def test_document_of_any_request_is_canonical(accepted: AcceptedRequest) -> None:
    """It can be sent again: version, user and nothing but the contract's fields."""
    request: ResetRequest = accepted.request
    document = request_document(request)
    assert (document["version"], document["user"]) == (1, request.user.value)
    assert set(document) <= {
        "version",
        "requestId",
        "user",
        "profile",
        "reason",
        "requestedBy",
        "observedAt",
        "keep",
        "onlyRegisteredAfter",
        "keepUndated",
        "incident",
        "dryRun",
    }


# --- The model --------------------------------------------------------------------------------------------------


def test_enums_are_the_contracts_words() -> None:
    """Their values are on the wire and in ledgers: none may change."""
    assert [*MethodType] == (
        [
            "phone",
            "microsoftAuthenticator",
            "softwareOath",
            "hardwareOath",
            "email",
            "fido2",
            "windowsHelloForBusiness",
            "platformCredential",
            "temporaryAccessPass",
            "external",
            "qrCodePin",
        ]
    )
    assert [*Status] == ["completed", "partial", "covered", "planned", "refused", "invalid", "failed"]
    assert [*MethodResult] == [
        "deleted",
        "alreadyGone",
        "deactivated",
        "kept",
        "remaining",
        "unsupported",
        "notPermitted",
    ]
    assert [*StepResult] == ["done", "skipped", "failed", "unconfirmed", "notPermitted"]
    assert [*StepName] == ["disableAccount", "revokeSessions"]
    assert [*Source] == ["queue", "http"]
    assert [*Removal] == ["delete", "deactivate"]


def test_key_is_read_back_from_its_text() -> None:
    """What is no key is none."""
    key = an_accepted_request(a_request()).key
    assert parse_key(str(key)) == key
    assert [parse_key(text) for text in ("", ":", "queue", "queue:", ":x")] == [None] * 5


def test_selection_is_true_when_anything_is_left_out() -> None:
    """The guard asks for exactly that."""
    assert not Selection()
    assert Selection(only_registered_after=NOW - timedelta(days=1))


def test_evidence_replaces_a_line_in_its_place() -> None:
    """The order of what was found is kept; a step's line moves to the end."""
    evidence = an_evidence(a_line(), a_line(id_="m2")).with_method(a_line(result=MethodResult.DELETED))
    assert [(line.id, line.result) for line in evidence.methods] == [("m1", MethodResult.DELETED), ("m2", None)]
    steps = evidence.with_step(a_step()).with_step(replace(a_step(), result=StepResult.FAILED)).steps
    assert [step.result for step in steps] == [StepResult.FAILED]
