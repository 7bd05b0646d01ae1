"""From what was found and done to the outcome."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue import ALTERNATE_MOBILE, MOBILE
from shared.decide import Covered
from shared.evidence import ALL_OF_ITS_TYPE, NOT_LISTED, STATE_NOT_SHOWN, Unlisted, note
from shared.model import (
    Coverage,
    CoveredBy,
    Evidence,
    Incident,
    Method,
    MethodLine,
    Outcome,
    Plan,
    PlannedStep,
    Problem,
    Reason,
    RequestKey,
    Selection,
    StepLine,
    Tried,
)
from shared.outcomes import (
    SecondLook,
    Verification,
    carried_out,
    covered,
    failed,
    invalid,
    planned,
    reasons_of,
    refused,
    refused_in_a_dry_run,
)
from shared.plan import NOTHING, Scope, make_plan, make_scope
from shared.policy import Profile
from shared.remains import NOT_VERIFIED, OPEN_SKIPS, STEPS_OPEN, open_steps, unless_held_back
from shared.vocabulary import (
    QUEUE,
    MethodId,
    MethodResult,
    MethodType,
    Removal,
    RemovalAnswer,
    RequestId,
    Status,
    Step,
    StepName,
    StepResult,
)
from tests.builders import (
    ALICE,
    COMPROMISED,
    NOW,
    REREGISTER,
    a_line,
    a_method,
    a_policy,
    a_request,
    a_step,
    an_accepted_request,
    an_evidence,
    listings,
    planned_steps,
    profiles,
    selections,
)
from tests.strategies import accepted_requests, evidences

TRIED = {answer: Tried(Removal.DELETE, answer) for answer in RemovalAnswer}
LATER = NOW + timedelta(minutes=1)
SEEN = Verification(LATER, in_scope_left=False, sessions_confirmed=True)
WOULD = {MethodResult.WOULD_DELETE, MethodResult.WOULD_DEACTIVATE}
OPEN_METHODS = {
    None: "methodRemaining",
    MethodResult.REMAINING: "methodRemaining",
    MethodResult.UNSUPPORTED: "unsupportedMethod",
    MethodResult.NOT_PERMITTED: "notPermitted",
    MethodResult.UNCONFIRMED: "methodUnconfirmed",
}
OPEN_STEPS = {
    StepResult.FAILED: "stepFailed",
    StepResult.UNCONFIRMED: "stepUnconfirmed",
    StepResult.NOT_PERMITTED: "notPermitted",
}
COMPROMISED_PROFILE = a_policy().profiles[COMPROMISED]
REREGISTER_PROFILE = a_policy().profiles[REREGISTER]


def codes(outcome: Outcome) -> list[str]:
    """List the codes of an outcome's reasons."""
    return [reason.code for reason in outcome.reasons]


def carry_out(evidence: Evidence, verification: Verification = SEEN) -> Outcome:
    """Tell the end of a reset of a compromised account."""
    return carried_out(an_accepted_request(), evidence, COMPROMISED_PROFILE, verification, LATER)


# --- Carried out -------------------------------------------------------------------------------------------------


@given(accepted_requests, evidences, st.booleans(), st.booleans())
def test_outcome_of_a_reset_when_told_then_completed_means_nothing_open_and_verified(
    accepted: object, evidence: Evidence, in_scope_left: object, sessions_confirmed: object
) -> None:
    """`completed` is never said of anything else; each open method and step has its reason."""
    verification = Verification(LATER, bool(in_scope_left), bool(sessions_confirmed))
    outcome = carried_out(accepted, evidence, COMPROMISED_PROFILE, verification, LATER)  # type: ignore[arg-type] # any accepted request
    open_methods = [line for line in evidence.methods if line.result in OPEN_METHODS]
    open_steps = [line for line in evidence.steps if line.result in OPEN_STEPS]
    assert outcome.verified is (not in_scope_left and bool(sessions_confirmed))
    assert outcome.verified_at == (LATER if outcome.verified else None)
    assert (outcome.status is Status.COMPLETED) is (not outcome.reasons)
    assert outcome.status in {Status.COMPLETED, Status.PARTIAL}
    assert outcome.status is Status.PARTIAL or (outcome.verified and not open_methods and not open_steps)
    assert len(outcome.reasons) >= len(open_methods) + len(open_steps)


@pytest.mark.parametrize("result", [None, *MethodResult])
def test_outcome_of_a_reset_when_a_method_is_open_then_it_is_partial_and_the_method_is_named(
    result: MethodResult | None,
) -> None:
    """What is gone, deactivated or kept on purpose is no reason."""
    outcome = carry_out(an_evidence(a_line(id_="m7", result=result)))
    assert codes(outcome) == ([OPEN_METHODS[result]] if result in OPEN_METHODS else [])
    assert outcome.status is (Status.PARTIAL if result in OPEN_METHODS else Status.COMPLETED)
    assert all("fido2 m7" in reason.text and reason.method == "m7" for reason in outcome.reasons)


@pytest.mark.parametrize("result", list(StepResult))
def test_outcome_of_a_reset_when_a_step_is_open_then_it_is_partial_and_the_step_is_named(result: StepResult) -> None:
    """A skipped step was not asked for."""
    outcome = carry_out(an_evidence(steps=(a_step(StepName.DISABLE_ACCOUNT, result),)))
    assert codes(outcome) == ([OPEN_STEPS[result]] if result in OPEN_STEPS else [])
    assert all("disableAccount" in reason.text for reason in outcome.reasons)
    assert {reason.step for reason in outcome.reasons} <= {"disableAccount"}


def test_outcome_of_a_reset_when_an_undated_method_was_kept_then_it_is_partial() -> None:
    """Whether the attacker registered it is not known; one kept by name is nobody's question."""
    undated = a_line(result=MethodResult.KEPT, error="undated")
    outcome = carry_out(an_evidence(undated, a_line("phone", "p", MethodResult.KEPT)))
    assert (outcome.status, codes(outcome)) == (Status.PARTIAL, ["undatedKept"])


@pytest.mark.parametrize("verification", [(True, True, True), (False, False, True), (False, True, False)])
def test_outcome_of_a_reset_when_nothing_is_open_but_it_is_not_verified_then_it_is_partial(
    verification: tuple[bool, bool, bool],
) -> None:
    """Without proof it is not completed."""
    outcome = carry_out(an_evidence(), Verification(LATER, *verification))
    assert (outcome.status, codes(outcome), outcome.verified_at) == (Status.PARTIAL, ["notVerified"], None)


def test_outcome_of_a_reset_when_told_then_everything_of_request_and_evidence_is_in_it() -> None:
    """Field by field."""
    incident = Incident("7", "https://portal.example/7", "Token theft")
    accepted = an_accepted_request()
    request = type(accepted.request)(
        accepted.request.request_id,
        accepted.request.user,
        COMPROMISED,
        requested_by="playbook reset-mfa",
        incident=incident,
    )
    evidence = an_evidence(a_line(result=MethodResult.DELETED), steps=(a_step(StepName.DISABLE_ACCOUNT),))
    outcome = carried_out(an_accepted_request(request), evidence, COMPROMISED_PROFILE, SEEN, LATER)
    assert outcome == Outcome(
        request_id=accepted.key.request_id,
        caller=accepted.key.caller,
        status=Status.COMPLETED,
        source=accepted.source,
        accepted_at=NOW,
        finished_at=LATER,
        user_id=ALICE,
        user_principal_name="alice@contoso.example",
        profile=COMPROMISED,
        methods=evidence.methods,
        steps=evidence.steps,
        verified=True,
        verified_at=LATER,
        follow_ups=outcome.follow_ups,
        requested_by="playbook reset-mfa",
        incident=incident,
        started_at=NOW,
    )
    assert [one.code for one in outcome.follow_ups] == [
        "appPasswords",
        "accountDisabled",
        "registeredDevices",
        "inboxRules",
        "oauthGrants",
    ]


# --- Planned -----------------------------------------------------------------------------------------------------


@given(listings, profiles, selections)
def test_outcome_of_a_dry_run_when_told_then_methods_and_steps_are_the_plan_in_its_order(
    methods: tuple[Method, ...], profile: Profile, selection: Selection
) -> None:
    """What would have run, as data: a program need not read a sentence."""
    plan = make_plan(methods, planned_steps(profile), make_scope(profile, selection))
    outcome = planned(an_accepted_request(a_request(dry_run=True)), note(an_evidence(), plan), plan, LATER)
    going = [line for line in outcome.methods if line.result in WOULD]
    assert [(line.id, line.result) for line in going] == [
        (one.method.id, f"would{one.removal.title()}") for one in plan.removals
    ]
    assert outcome.methods[: len(going)] == tuple(going)
    assert {(line.id, line.result) for line in outcome.methods[len(going) :]} == {
        (line.id, line.result) for line in plan.staying
    }
    assert [(line.step, line.result, line.detail) for line in outcome.steps] == [
        (str(one.step), StepResult.SKIPPED if one.skipped else StepResult.WOULD_DO, one.skipped) for one in plan.steps
    ]
    assert (outcome.status, outcome.dry_run, outcome.verified) == (Status.PLANNED, True, False)
    assert (outcome.reasons, len(outcome.methods)) == ((), len(methods))


def test_outcome_of_a_dry_run_when_told_then_what_would_go_comes_first_and_what_stays_is_kept() -> None:
    """Whatever the order in which Microsoft Graph lists them, and whatever an earlier try came to."""
    methods = [a_method(), a_method(MethodType.PHONE, ALTERNATE_MOBILE), a_method(MethodType.PHONE, MOBILE)]
    plan = make_plan(methods, planned_steps(REREGISTER_PROFILE), make_scope(REREGISTER_PROFILE, Selection()))
    evidence = note(an_evidence(), plan)
    unseen = MethodLine("email", MethodId("e"), None, None, MethodResult.REMAINING, "serviceUnavailable")
    gone = MethodLine("phone", MethodId("o"), None, None, MethodResult.ALREADY_GONE)
    evidence = replace(evidence, methods=(unseen, gone, *evidence.methods))
    outcome = planned(an_accepted_request(), evidence, plan, LATER)
    assert [(line.id, line.result) for line in outcome.methods] == [
        (ALTERNATE_MOBILE, MethodResult.WOULD_DELETE),
        (MOBILE, MethodResult.WOULD_DELETE),
        ("e", MethodResult.KEPT),
        ("o", MethodResult.ALREADY_GONE),
        ("m1", MethodResult.KEPT),
    ]
    assert outcome.steps == (StepLine("revokeSessions", StepResult.WOULD_DO, LATER),)


def test_outcome_of_a_dry_run_when_there_is_nothing_to_do_then_it_has_no_reason() -> None:
    """An empty plan is a plan."""
    outcome = planned(an_accepted_request(), an_evidence(), Plan((), (), ()), LATER)
    assert (outcome.status, outcome.reasons, outcome.methods, outcome.steps) == (Status.PLANNED, (), (), ())


# --- Refused, invalid, failed ------------------------------------------------------------------------------------


@given(listings, profiles, st.data())
def test_reason_about_a_method_or_a_step_when_told_then_it_names_that_lines_id(
    methods: tuple[Method, ...], profile: Profile, data: st.DataObject
) -> None:
    """Whoever reads the outcome with a program finds the line that a reason is about."""
    open_results = st.sampled_from([None, *MethodResult])
    plan = make_plan(methods, planned_steps(profile), make_scope(profile, Selection()))
    evidence = note(an_evidence(), plan, Unlisted(not_permitted=(MethodType.EMAIL,)))
    evidence = replace(
        evidence,
        methods=tuple(replace(line, result=data.draw(open_results)) for line in evidence.methods),
        steps=tuple(StepLine(str(one.step), data.draw(st.sampled_from(StepResult)), LATER) for one in plan.steps),
    )
    outcome = failed(an_accepted_request(), profile, "serviceUnavailable", LATER)
    assert (outcome.reasons[0].method, outcome.reasons[0].step) == (None, None)
    outcome = failed(an_accepted_request(evidence=evidence), profile, "serviceUnavailable", LATER)
    ids, steps = {line.id for line in outcome.methods}, {line.step for line in outcome.steps}
    for reason in outcome.reasons[1:]:
        assert (reason.method in ids) is not (reason.step in steps)
        assert (reason.method is None) is not (reason.step is None)


@pytest.mark.parametrize("asked", ["JSmith@contoso.example", None])
def test_outcome_of_any_end_when_told_then_it_says_whom_the_request_asked_for(asked: str | None) -> None:
    """Also where nobody was found."""
    accepted = an_accepted_request(replace(a_request(), asked=asked))
    plan = Plan((), (), ())
    ends = (
        planned(accepted, an_evidence(), plan, LATER),
        refused(accepted, an_evidence(), (), LATER),
        invalid(accepted, (Problem("user", "unknownUser", "Nobody."),), LATER),
        failed(accepted, None, "serviceUnavailable", LATER),
        covered(
            accepted,
            an_evidence(),
            Covered(COMPROMISED_PROFILE, coverage(), dry_run=False),
            SecondLook(LATER, plan),
        ),
        carried_out(accepted, an_evidence(), COMPROMISED_PROFILE, SEEN, LATER),
    )
    assert {end.asked for end in ends} == {asked}


@pytest.mark.parametrize(("dry_run", "disabled"), list(product([True, False], [True, False])))
def test_outcome_of_a_refusal_when_told_then_reasons_and_what_was_done_instead_are_in_it(
    *, dry_run: bool, disabled: bool
) -> None:
    """An account that was disabled instead has to be enabled by somebody."""
    steps = (a_step(StepName.DISABLE_ACCOUNT if disabled else StepName.REVOKE_SESSIONS),)
    reason = Reason("privilegedRole", "The user holds a directory role.")
    outcome = refused(an_accepted_request(), an_evidence(steps=steps), (reason,), LATER, dry_run=dry_run)
    assert (outcome.status, outcome.reasons, outcome.steps) == (Status.REFUSED, (reason,), steps)
    assert (outcome.dry_run, outcome.user_id, outcome.finished_at) == (dry_run, ALICE, LATER)
    assert [one.code for one in outcome.follow_ups] == (["accountDisabled"] if disabled else [])


def test_outcome_of_a_refusal_in_a_dry_run_when_told_then_what_would_be_done_instead_is_in_it() -> None:
    """A step that was done before the policy turned to observing stays done."""
    disable, revoke = Step(StepName.DISABLE_ACCOUNT), Step(StepName.REVOKE_SESSIONS)
    steps = (PlannedStep(disable), PlannedStep(revoke), PlannedStep(Step(StepName.RESET_PASSWORD), "federatedPassword"))
    evidence = an_evidence(steps=(a_step(StepName.DISABLE_ACCOUNT),))
    reason = Reason("privilegedRole", "The user holds a directory role.")
    outcome = refused_in_a_dry_run(an_accepted_request(), evidence, (reason,), steps, LATER)
    assert (outcome.status, outcome.dry_run) == (Status.REFUSED, True)
    assert [each.code for each in outcome.reasons] == ["privilegedRole", "stepSkipped"]
    assert [(line.step, line.result, line.detail) for line in outcome.steps] == [
        ("disableAccount", StepResult.DONE, None),
        ("revokeSessions", StepResult.WOULD_DO, None),
        ("resetPassword", StepResult.SKIPPED, "federatedPassword"),
    ]


@pytest.mark.parametrize("dry_run", [True, False])
def test_outcome_of_an_invalid_request_when_told_then_every_problem_is_named_by_its_path(*, dry_run: bool) -> None:
    """A problem of the whole body has no path."""
    problems = (Problem("user", "unknownUser", "Nobody."), Problem("", "notJson", "Not JSON."))
    outcome = invalid(an_accepted_request(a_request(dry_run=dry_run)), problems, LATER)
    assert outcome.reasons == (Reason("unknownUser", "user: Nobody."), Reason("notJson", "Not JSON."))
    assert (outcome.status, outcome.user_id, outcome.dry_run) == (Status.INVALID, None, dry_run)
    assert reasons_of(()) == ()


@pytest.mark.parametrize("dry_run", [True, False])
def test_outcome_of_a_failure_when_nothing_was_found_yet_then_only_the_last_obstacle_is_told(*, dry_run: bool) -> None:
    """No evidence, no methods, nothing for people to do."""
    outcome = failed(an_accepted_request(a_request(dry_run=dry_run)), None, "Throttled", LATER)
    assert (outcome.status, codes(outcome), outcome.dry_run) == (Status.FAILED, ["patienceAtItsEnd"], dry_run)
    assert "the last obstacle was Throttled" in outcome.reasons[0].text
    assert (outcome.user_id, outcome.methods, outcome.follow_ups, outcome.verified) == (None, (), (), False)


def test_outcome_of_a_failure_when_work_was_done_then_what_is_open_and_what_is_left_to_people_is_told() -> None:
    """A half-done reset leaves the window as open as a whole one."""
    steps = (a_step(StepName.DISABLE_ACCOUNT, StepResult.FAILED),)
    evidence = an_evidence(a_line(result=MethodResult.DELETED), a_line("phone", "p"), steps=steps)
    outcome = failed(an_accepted_request(evidence=evidence), None, "deadline", LATER)
    assert codes(outcome) == ["patienceAtItsEnd", "methodRemaining", "stepFailed"]
    assert (outcome.steps, outcome.started_at) == (evidence.steps, NOW)
    assert outcome.methods == (
        a_line(result=MethodResult.DELETED),
        a_line("phone", "p", MethodResult.REMAINING, "notReached"),
    )
    assert [one.code for one in outcome.follow_ups] == ["appPasswords", "registrationOpen"]


@pytest.mark.parametrize(
    ("methods", "steps", "expected"),
    [
        ((a_line(),), (), ["appPasswords"]),
        ((a_line(result=MethodResult.DEACTIVATED),), (), ["appPasswords", "registrationOpen"]),
        ((a_line(tried=TRIED[RemovalAnswer.UNKNOWN]),), (), ["appPasswords", "registrationOpen"]),
        ((a_line(tried=TRIED[RemovalAnswer.ACCEPTED]),), (), ["appPasswords", "registrationOpen"]),
        ((a_line(tried=TRIED[RemovalAnswer.NOT_FOUND]),), (), ["appPasswords"]),
        (
            (a_line(result=MethodResult.DELETED),),
            (a_step(StepName.DISABLE_ACCOUNT),),
            ["appPasswords", "accountDisabled"],
        ),
    ],
)
def test_outcome_of_a_failure_when_told_then_the_window_is_open_only_where_methods_went(
    methods: tuple[MethodLine, ...], steps: tuple[StepLine, ...], expected: list[str]
) -> None:
    """By what was done, not by what was to be done."""
    outcome = failed(an_accepted_request(evidence=an_evidence(*methods, steps=steps)), None, "Throttled", LATER)
    assert [one.code for one in outcome.follow_ups] == expected


UNSHOWN = {
    "serviceNotAvailable": a_line("phone", "p", error="serviceNotAvailable", tried=TRIED[RemovalAnswer.UNKNOWN]),
    "unknown": a_line("phone", "p", tried=TRIED[RemovalAnswer.UNKNOWN]),
    "accepted": a_line("phone", "p", tried=TRIED[RemovalAnswer.ACCEPTED]),
    "notFound": a_line("phone", "p", tried=TRIED[RemovalAnswer.NOT_FOUND]),
}
WORDS = {
    "serviceNotAvailable": "phone p may still be there: serviceNotAvailable.",
    "unknown": "phone p may still be there.",
    "accepted": ("phone p may still be there: its removal was accepted, but no listing since shows that it is gone."),
    "notFound": (
        "phone p may still be there: Microsoft Graph did not find it, but no listing since shows that it is gone."
    ),
}


@pytest.mark.parametrize("error", UNSHOWN)
@pytest.mark.parametrize("how", ["failed", "refused", "invalid", "carried out"])
def test_outcome_when_no_listing_shows_what_became_of_a_method_then_it_is_unconfirmed(how: str, error: str) -> None:
    """Whatever its removal was answered, and however the request ends."""
    evidence = an_evidence(UNSHOWN[error], a_line(result=MethodResult.DELETED))
    accepted = an_accepted_request(evidence=evidence)
    outcome = {
        "failed": lambda: failed(accepted, None, "deadline", LATER),
        "refused": lambda: refused(accepted, evidence, (), LATER),
        "invalid": lambda: invalid(accepted, (Problem("user", "deletedUser", "Gone."),), LATER),
        "carried out": lambda: carry_out(evidence),
    }[how]()
    assert [(line.type, line.result, line.error) for line in outcome.methods] == [
        ("phone", MethodResult.UNCONFIRMED, error),
        ("fido2", MethodResult.DELETED, None),
    ]
    (reason,) = [reason for reason in outcome.reasons if reason.code == "methodUnconfirmed"]
    assert (reason.text, reason.method) == (WORDS[error], "p")


def test_outcome_of_a_failure_when_a_method_was_never_tried_then_it_was_not_reached() -> None:
    """The last listing showed it."""
    outcome = failed(an_accepted_request(evidence=an_evidence(a_line("phone", "p"))), None, "deadline", LATER)
    assert outcome.reasons[1:] == (Reason("methodRemaining", "phone p was not reached.", MethodId("p")),)


@pytest.mark.parametrize(
    ("id_", "error", "text"),
    [
        ("p", STATE_NOT_SHOWN, "fido2 p was deactivated, but the listing does not say whether it is active."),
        ("*", NOT_LISTED, "fido2 could not be listed: Microsoft Graph gave no documented answer."),
    ],
)
def test_outcome_when_a_listing_leaves_something_open_then_it_says_what(id_: str, error: str, text: str) -> None:
    """What is not shown has a word of its own."""
    outcome = carry_out(an_evidence(a_line(id_=id_, result=MethodResult.UNCONFIRMED, error=error)))
    assert outcome.reasons == (Reason("methodUnconfirmed", text, MethodId(id_)),)


# --- Covered -----------------------------------------------------------------------------------------------------

UNTIL = NOW.replace(hour=8)


def coverage(*stayed: tuple[str, str], status: Status = Status.COMPLETED) -> Coverage:
    """Make what the reset INC-1 of the queue covers."""
    named = tuple((type_, MethodId(id_), None if id_ == "*" else "safe to show") for type_, id_ in stayed)
    key = RequestKey(QUEUE, RequestId("INC-1"))
    return Coverage(key, status, UNTIL, (), unknown_types=True, selection=Selection(), steps=(), stayed=named)


def look_again(
    *methods: Method,
    by: Coverage | None = None,
    unlisted: Unlisted | None = None,
    evidence: Evidence | None = None,
    scope: Scope | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Tell that a reset covers a request, and what is there now."""
    scope = scope or make_scope(COMPROMISED_PROFILE, Selection())
    decision = Covered(COMPROMISED_PROFILE, by or coverage(), dry_run)
    look = SecondLook(LATER, make_plan(methods, (), scope), unlisted or Unlisted())
    return covered(an_accepted_request(), evidence or an_evidence(), decision, look)


def test_outcome_of_what_is_covered_when_nothing_was_registered_since_then_it_names_the_reset() -> None:
    """Nothing was done, so nothing is verified and nobody is asked to do anything."""
    outcome = look_again()
    assert (outcome.status, codes(outcome), outcome.methods) == (Status.COVERED, ["coveredBy"], ())
    assert (outcome.verified, outcome.follow_ups, outcome.finished_at) == (False, (), LATER)
    assert (outcome.dry_run, outcome.steps, outcome.user_id) == (False, (), ALICE)
    assert outcome.covered_by == CoveredBy(RequestId("INC-1"), QUEUE, Status.COMPLETED, UNTIL)
    assert outcome.reasons[0].text == (
        "The reset INC-1 of queue covers it: it ended as completed. It looked last at 2026-11-24T08:00:00+00:00. "
        "What was seen later, as observedAt says, is reset again."
    )


def test_outcome_of_what_is_covered_when_something_was_registered_since_then_it_is_partial_and_names_it() -> None:
    """Never a quiet success."""
    outcome = look_again(a_method(id_="new"), a_method(MethodType.PHONE, "p"))
    assert (outcome.status, codes(outcome)) == (
        Status.PARTIAL,
        ["coveredBy", "registeredSinceReset", "registeredSinceReset"],
    )
    assert [(line.type, line.id, line.result, line.error) for line in outcome.methods] == [
        ("fido2", "new", MethodResult.REMAINING, "registeredSinceReset"),
        ("phone", "p", MethodResult.REMAINING, "registeredSinceReset"),
    ]
    assert outcome.reasons[2].text == "phone p was registered since that reset."
    assert [reason.method for reason in outcome.reasons] == [None, "new", "p"]


def test_outcome_of_what_is_covered_when_the_reset_left_something_behind_then_that_is_not_new() -> None:
    """It was told of then; the lines show it still."""
    by = coverage(("fido2", "old"), ("palmReaderAuthenticationMethod", "x"), status=Status.PARTIAL)
    by = replace(by, undone=("resetPassword",))
    outcome = look_again(a_method(id_="old"), a_method(None, "x"), by=by)
    assert (outcome.status, codes(outcome)) == (Status.COVERED, ["coveredBy"])
    assert "it ended as partial, 2 methods stayed, not done: resetPassword. It looked" in outcome.reasons[0].text
    assert [(line.id, line.result) for line in outcome.methods] == [
        ("old", MethodResult.REMAINING),
        ("x", MethodResult.UNSUPPORTED),
    ]


def test_outcome_of_what_is_covered_when_another_phone_has_the_id_of_one_that_stayed_then_it_is_named() -> None:
    """Every mobile phone has the same id: what tells them apart is what may be shown of the number."""
    by = coverage(("phone", "p"))
    assert look_again(a_method(MethodType.PHONE, "p"), by=by).status is Status.COVERED
    other = replace(a_method(MethodType.PHONE, "p"), detail="+XX XXXXXXX56")
    assert codes(look_again(other, by=by)) == ["coveredBy", "registeredSinceReset"]


def test_outcome_of_what_is_covered_when_a_method_of_an_unknown_type_is_new_then_it_is_named() -> None:
    """What everything had to go of is open, known or not."""
    outcome = look_again(a_method(None, "x"))
    assert (outcome.status, codes(outcome)) == (Status.PARTIAL, ["coveredBy", "registeredSinceReset"])


@pytest.mark.parametrize(("stayed", "status"), [((), Status.PARTIAL), ((("phone", "*"),), Status.COVERED)])
@pytest.mark.parametrize(
    ("unlisted", "code"),
    [
        (Unlisted((MethodType.PHONE,)), "notPermitted"),
        (Unlisted(unclear=(MethodType.PHONE,)), "methodUnconfirmed"),
    ],
)
def test_outcome_of_what_is_covered_when_a_type_cannot_be_listed_then_it_is_partial_unless_that_was_told_before(
    unlisted: Unlisted, code: str, stayed: tuple[tuple[str, str], ...], status: Status
) -> None:
    """Unknown is not nothing."""
    assert ALL_OF_ITS_TYPE == "*"
    outcome = look_again(by=coverage(*stayed), unlisted=unlisted)
    assert outcome.status is status
    assert codes(outcome)[1:] == ([code] if status is Status.PARTIAL else [])
    assert [line.id for line in outcome.methods] == [reason.method for reason in outcome.reasons[1:]]


@pytest.mark.parametrize(
    ("active", "status"), [(None, Status.COVERED), (False, Status.COVERED), (True, Status.PARTIAL)]
)
def test_outcome_of_what_is_covered_when_a_token_is_listed_then_only_one_that_is_active_is_open(
    status: Status, *, active: bool | None
) -> None:
    """The reset deactivated it, and Microsoft Graph does not always show that."""
    scope = Scope({MethodType.HARDWARE_OATH: Removal.DEACTIVATE}, Selection())
    outcome = look_again(a_method(MethodType.HARDWARE_OATH, active=active), scope=scope)
    assert outcome.status is status


def test_outcome_of_what_is_covered_when_the_profile_removes_nothing_then_no_method_is_open() -> None:
    """Whoever asked for the sessions only is told of the sessions only."""
    assert look_again(a_method(), scope=NOTHING).status is Status.COVERED


@pytest.mark.parametrize("methods", [(), (a_method(),)])
def test_outcome_of_what_is_covered_when_it_is_a_dry_run_then_it_is_planned_and_says_so(
    methods: tuple[Method, ...],
) -> None:
    """It would have been covered, and what was registered since is named all the same."""
    outcome = look_again(*methods, dry_run=True)
    assert (outcome.status, outcome.dry_run) == (Status.PLANNED, True)
    assert codes(outcome) == ["coveredBy", *["registeredSinceReset"] * len(methods)]
    assert [line.result for line in outcome.methods] == [MethodResult.KEPT] * len(methods)
    assert outcome.covered_by


def test_outcome_of_what_is_covered_when_it_had_begun_itself_then_what_it_did_is_told() -> None:
    """Another reset was faster."""
    evidence = an_evidence(a_line(result=MethodResult.DELETED), steps=(a_step(),))
    outcome = look_again(evidence=evidence)
    assert (outcome.status, outcome.methods, outcome.steps) == (Status.COVERED, evidence.methods, evidence.steps)


# --- What remains ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skipped", OPEN_SKIPS)
def test_remains_when_a_step_was_left_out_although_it_was_needed_then_it_is_named(skipped: str) -> None:
    """The other reasons to leave one out leave nothing open."""
    left_out = an_evidence(steps=(a_step(result=StepResult.SKIPPED, detail=skipped),))
    assert [each.code for each in open_steps(left_out)] == ["stepSkipped"]
    assert open_steps(an_evidence(steps=(a_step(result=StepResult.SKIPPED, detail="notDisabled"),))) == ()


ENABLE, PASS, MFA = (
    Step(StepName.ENABLE_ACCOUNT),
    Step(StepName.TEMPORARY_ACCESS_PASS),
    Step(StepName.PER_USER_MFA, "enforced"),
)


@pytest.mark.parametrize(
    ("step", "verified", "lines", "skipped"),
    [
        (MFA, False, (), None),
        (PASS, True, (), None),
        (PASS, False, (), NOT_VERIFIED),
        (ENABLE, False, (), NOT_VERIFIED),
        (ENABLE, True, (), None),
        (ENABLE, True, (a_step(), a_step(ENABLE.name, StepResult.FAILED)), None),
        (ENABLE, True, (a_step(result=StepResult.FAILED),), STEPS_OPEN),
        (ENABLE, True, (a_step(result=StepResult.UNCONFIRMED),), STEPS_OPEN),
        (ENABLE, True, (a_step(result=StepResult.SKIPPED, detail="passMadeBefore: Key Vault secret x"),), None),
        (ENABLE, True, (a_step(result=StepResult.SKIPPED, detail="federatedPassword"),), STEPS_OPEN),
    ],
)
def test_remains_when_a_way_in_may_be_open_then_nobody_is_let_in_again(
    step: Step, lines: tuple[StepLine, ...], skipped: str | None, *, verified: bool
) -> None:
    """A pass and an enabled account wait for proof; enabling waits for every other step too."""
    held = unless_held_back(PlannedStep(step), an_evidence(steps=lines), verified=verified)
    assert held == PlannedStep(step, skipped)


def test_remains_when_a_step_is_left_out_anyway_then_its_reason_stays() -> None:
    """The first reason is the one that counts."""
    planned_before = PlannedStep(ENABLE, "notDisabledByUs")
    assert unless_held_back(planned_before, an_evidence(), verified=False) is planned_before
