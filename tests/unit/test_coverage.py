"""Whether an earlier reset covers a request: as tables, and as what never may happen."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue import EVERYTHING
from shared.coverage import History, coverage_of, coverage_of_instead, find_covering, seen_at
from shared.decide import Approval, Covered, Refusal, decide
from shared.evidence import ALL_OF_ITS_TYPE, STILL_LISTED
from shared.model import Coverage, Evidence, RequestKey, Selection
from shared.plan import NOTHING, Scope, make_scope
from shared.policy import Profile
from shared.remains import OPEN_SKIPS
from shared.vocabulary import (
    AFTER_VERIFYING,
    FUNCTION_KEY,
    QUEUE,
    MethodId,
    MethodResult,
    MethodType,
    Removal,
    RequestId,
    Status,
    Step,
    StepName,
    StepResult,
)
from tests.builders import (
    ALICE,
    APPLICATION,
    COMPROMISED,
    NOW,
    REREGISTER,
    STEPS,
    a_line,
    a_policy,
    a_request,
    a_step,
    a_subject,
    an_accepted_request,
    an_evidence,
    an_outcome,
    moments,
    profiles,
    selections,
)

SECOND = timedelta(seconds=1)
BEFORE = NOW - timedelta(days=1)
PHONE, FIDO2, TOKEN = MethodType.PHONE, MethodType.FIDO2, MethodType.HARDWARE_OATH
DISABLE, REVOKE, PASS = (
    Step(StepName.DISABLE_ACCOUNT),
    Step(StepName.REVOKE_SESSIONS),
    Step(StepName.TEMPORARY_ACCESS_PASS),
)


def a_scope(*types: MethodType, selection: Selection | None = None) -> Scope:
    """Make a scope in which types are deleted."""
    return Scope(dict.fromkeys(types, Removal.DELETE), selection or Selection())


def reset_of(
    scope: Scope = NOTHING, steps: Iterable[Step] = (), evidence: Evidence | None = None, request_id: str = "1"
) -> Coverage:
    """Say what a reset covers that looked last just now."""
    outcome = an_outcome(request_id=RequestId(request_id))
    return coverage_of(outcome, evidence or an_evidence(), scope, tuple(steps), looked_at=NOW, began_at=NOW)


def covers(coverage: Coverage, scope: Scope, steps: Iterable[Step] = ()) -> bool:
    """Tell whether a reset covers what was seen when it looked last."""
    return find_covering(History((coverage,), NOW), scope, steps) is coverage


steps = st.lists(st.sampled_from(STEPS), max_size=4, unique_by=str).map(tuple)
scopes = st.builds(make_scope, profiles, selections)
removal_scopes = st.builds(
    Scope,
    st.dictionaries(st.sampled_from(MethodType), st.sampled_from(Removal), max_size=6),
    selections,
    st.booleans(),
)
coverages = st.builds(reset_of, scopes | removal_scopes, steps).flatmap(
    lambda one: st.builds(replace, st.just(one), until=moments)
)


# --- When it was seen --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [0, 30, 1_440])
def test_seen_at_when_the_request_does_not_say_then_it_is_a_while_before_it_was_first_enqueued(minutes: int) -> None:
    """However long it waited since: what counts is when it came."""
    row = replace(an_accepted_request(), accepted_at=NOW + timedelta(hours=3), first_enqueued_at=NOW)
    cooldown = timedelta(minutes=minutes)
    assert seen_at(row, cooldown) == NOW - cooldown
    observed = replace(row, request=replace(row.request, observed_at=BEFORE))
    assert seen_at(observed, cooldown) == BEFORE
    ahead = replace(row, request=replace(row.request, observed_at=NOW + SECOND))
    assert seen_at(ahead, cooldown) == NOW  # nobody has seen what had not happened when they asked


@pytest.mark.parametrize(("later", "covered"), [(-SECOND, True), (timedelta(), True), (SECOND, False)])
def test_covering_when_it_was_seen_later_than_the_last_look_then_nothing_covers_it(
    later: timedelta, *, covered: bool
) -> None:
    """Until the start of the last verifying listing, that moment included."""
    history = History((reset_of(a_scope(PHONE)),), NOW + later)
    assert (find_covering(history, a_scope(PHONE), ()) is not None) is covered


# --- What it took on ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "asked", "covered"),
    [
        ({PHONE: Removal.DELETE}, {PHONE: Removal.DELETE}, True),
        ({PHONE: Removal.DELETE, FIDO2: Removal.DELETE}, {PHONE: Removal.DELETE}, True),
        ({PHONE: Removal.DELETE}, {PHONE: Removal.DELETE, FIDO2: Removal.DELETE}, False),
        ({TOKEN: Removal.DELETE}, {TOKEN: Removal.DEACTIVATE}, True),
        ({TOKEN: Removal.DEACTIVATE}, {TOKEN: Removal.DEACTIVATE}, True),
        ({TOKEN: Removal.DEACTIVATE}, {TOKEN: Removal.DELETE}, False),
        ({}, {PHONE: Removal.DELETE}, False),
        ({PHONE: Removal.DELETE}, {}, True),
        ({}, {}, True),
    ],
)
def test_covering_when_types_are_asked_for_then_every_one_was_removed_as_thoroughly(
    earlier: dict[MethodType, Removal], asked: dict[MethodType, Removal], *, covered: bool
) -> None:
    """A token that was deleted is deactivated too, not the other way round."""
    assert covers(reset_of(Scope(earlier, Selection())), Scope(asked, Selection())) is covered


@pytest.mark.parametrize(("earlier", "asked", "covered"), [(0, 0, True), (1, 0, True), (1, 1, True), (0, 1, False)])
def test_covering_when_unknown_types_are_asked_for_then_they_were_in_scope(
    earlier: int, asked: int, *, covered: bool
) -> None:
    """A list of every type that is known is not `all`."""
    coverage = reset_of(Scope(EVERYTHING, Selection(), unknown_types=bool(earlier)))
    assert covers(coverage, Scope(EVERYTHING, Selection(), unknown_types=bool(asked))) is covered


@pytest.mark.parametrize(
    ("earlier", "asked", "covered"),
    [
        ((), (), True),
        ((REVOKE, DISABLE), (REVOKE,), True),
        ((REVOKE,), (REVOKE, DISABLE), False),
        ((Step(StepName.PER_USER_MFA, "enabled"),), (Step(StepName.PER_USER_MFA, "enforced"),), False),
        ((Step(StepName.CONTAINMENT_GROUP, "a"),), (Step(StepName.CONTAINMENT_GROUP, "b"),), False),
    ],
)
def test_covering_when_steps_are_asked_for_then_each_was_taken_on_with_its_argument(
    earlier: tuple[Step, ...], asked: tuple[Step, ...], *, covered: bool
) -> None:
    """Another group is another step."""
    assert covers(reset_of(a_scope(PHONE), earlier), a_scope(PHONE), asked) is covered


EARLY, LATE = BEFORE, NOW


@pytest.mark.parametrize(
    ("earlier", "asked", "covered"),
    [
        (Selection(), Selection(keep=("phone",)), True),
        (Selection(keep=("phone",)), Selection(), False),
        (Selection(keep=("phone",)), Selection(keep=("email", "phone")), True),
        (Selection(keep=("phone", "email")), Selection(keep=("phone",)), False),
        (Selection(), Selection(only_registered_after=EARLY), True),
        (Selection(only_registered_after=EARLY), Selection(), False),
        (Selection(only_registered_after=EARLY), Selection(only_registered_after=EARLY), True),
        (Selection(only_registered_after=EARLY), Selection(only_registered_after=LATE), True),
        (Selection(only_registered_after=LATE), Selection(only_registered_after=EARLY), False),
        (Selection((), EARLY, keep_undated=True), Selection((), EARLY), False),
        (Selection((), EARLY, keep_undated=True), Selection((), LATE, keep_undated=True), True),
        (Selection((), EARLY), Selection((), EARLY, keep_undated=True), True),
        (Selection((), None, keep_undated=True), Selection(), True),
    ],
)
def test_covering_when_the_reset_left_something_out_then_the_request_leaves_it_out_too(
    earlier: Selection, asked: Selection, *, covered: bool
) -> None:
    """What it kept, what was registered before a time, what has no date."""
    assert covers(reset_of(a_scope(PHONE, selection=earlier)), a_scope(PHONE, selection=asked)) is covered
    assert covers(reset_of(a_scope(PHONE, selection=earlier)), replace(NOTHING, selection=asked))


def test_covering_when_several_do_then_it_is_the_newest() -> None:
    """They come the newest first; one that does not cover is passed over."""
    narrow = reset_of(a_scope(PHONE), request_id="3")
    wide = [reset_of(a_scope(PHONE, FIDO2), request_id=each) for each in ("2", "1")]
    history = History((narrow, *wide), NOW)
    assert find_covering(history, a_scope(FIDO2), ()) is wide[0]
    assert find_covering(history, a_scope(PHONE), ()) is narrow
    assert find_covering(History((), NOW), NOTHING, ()) is None


# --- What a reset covers -----------------------------------------------------------------------------------------


def test_coverage_when_made_then_it_names_the_reset_and_what_stayed() -> None:
    """By type, id and detail; what went, by whomever, did not stay, and what came too late was not tried."""
    planned = {MethodResult.WOULD_DELETE, MethodResult.WOULD_DEACTIVATE}
    lines = [a_line(id_=result.value, result=result) for result in MethodResult if result not in planned]
    unlisted = replace(a_line("phone", ALL_OF_ITS_TYPE, MethodResult.NOT_PERMITTED), detail=None)
    came_late = a_line("email", "e", MethodResult.REMAINING, STILL_LISTED)
    evidence = an_evidence(*lines, unlisted, came_late, steps=(a_step(REVOKE.name, StepResult.FAILED),))
    scope = make_scope(a_policy().profiles[COMPROMISED], Selection())
    outcome = an_outcome(Status.PARTIAL, caller=FUNCTION_KEY)
    coverage = coverage_of(outcome, evidence, scope, (REVOKE, DISABLE), looked_at=NOW, began_at=NOW)
    assert coverage == Coverage(
        RequestKey(FUNCTION_KEY, RequestId("INC-3177")),
        Status.PARTIAL,
        NOW,
        tuple(EVERYTHING.items()),
        unknown_types=True,
        selection=Selection(),
        steps=("revokeSessions", "disableAccount"),
        stayed=(
            *(
                ("fido2", MethodId(id_), "safe to show")
                for id_ in ("kept", "remaining", "unsupported", "notPermitted", "unconfirmed")
            ),
            ("phone", ALL_OF_ITS_TYPE, None),
        ),
        undone=("revokeSessions",),
        tried_at=NOW,
    )


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("result", list(StepResult))
@pytest.mark.parametrize("detail", [None, "noMatter", *OPEN_SKIPS])
def test_coverage_when_a_step_was_not_done_then_only_one_that_lets_the_user_in_again_is_made_up_for(
    step: Step, result: StepResult, detail: str | None
) -> None:
    """A right that is missing is missing at the next of twenty alerts too; a pass is what its user waits for."""
    evidence = an_evidence(steps=(a_step(str(step), result, detail),))
    open_ = result in {StepResult.FAILED, StepResult.NOT_PERMITTED, StepResult.UNCONFIRMED} or detail in OPEN_SKIPS
    made_up_for = step.name in AFTER_VERIFYING and open_
    assert covers(reset_of(a_scope(PHONE), (step,), evidence), a_scope(PHONE), (step,)) is not made_up_for


# --- What steps instead of a reset cover -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "asked", "covered"),
    [
        (NOTHING, (REVOKE, DISABLE), True),
        (NOTHING, (REVOKE,), True),
        (NOTHING, (REVOKE, PASS), False),
        (a_scope(PHONE), (REVOKE,), False),
        (replace(NOTHING, unknown_types=True), (REVOKE,), False),
        (replace(NOTHING, selection=Selection(keep=("phone",))), (REVOKE,), True),
    ],
)
def test_coverage_of_steps_instead_when_made_then_it_covers_them_and_no_method(
    scope: Scope, asked: tuple[Step, ...], *, covered: bool
) -> None:
    """It is told apart by its status, and names what could not be done."""
    evidence = an_evidence(steps=(a_step(DISABLE.name, StepResult.NOT_PERMITTED), a_step(REVOKE.name)))
    coverage = coverage_of_instead(an_outcome(Status.REFUSED), evidence, (DISABLE, REVOKE), NOW)
    assert coverage
    assert (coverage.status, coverage.until, coverage.undone) == (Status.REFUSED, NOW, ("disableAccount",))
    assert (coverage.removals, coverage.unknown_types, coverage.stayed) == ((), False, ())
    assert covers(coverage, scope, asked) is covered


@pytest.mark.parametrize(
    ("step", "at", "until"),
    [(DISABLE, BEFORE, BEFORE), (DISABLE, NOW + SECOND, NOW), (PASS, BEFORE, NOW)],
)
def test_coverage_of_steps_instead_when_a_try_before_did_some_then_it_covers_what_was_seen_before_that(
    step: Step, at: datetime, until: datetime
) -> None:
    """They are not done again; what a reset had done, and is not among them, does not count."""
    earlier = replace(a_step(step.name), at=at)
    evidence = an_evidence(steps=(earlier, replace(a_step(REVOKE.name), at=NOW + SECOND)))
    coverage = coverage_of_instead(an_outcome(Status.REFUSED), evidence, (DISABLE, REVOKE), NOW)
    assert coverage
    assert coverage.until == until


def test_coverage_of_steps_instead_when_per_user_mfa_could_not_be_set_then_it_is_covered_all_the_same() -> None:
    """It lets nobody in: a burst of alerts must not take the other steps each time because of it."""
    per_user = Step(StepName.PER_USER_MFA, "enforced")
    evidence = an_evidence(
        steps=(a_step(REVOKE.name), replace(a_step(REVOKE.name, StepResult.NOT_PERMITTED), step=str(per_user)))
    )
    coverage = coverage_of_instead(an_outcome(Status.REFUSED), evidence, (REVOKE, per_user), NOW)
    assert coverage
    assert coverage.undone == (str(per_user),)
    assert covers(coverage, NOTHING, (REVOKE, per_user))


def test_coverage_of_steps_instead_when_none_could_be_done_then_there_is_none() -> None:
    """The next alert tries again: by then an operator may have granted what was missing."""
    evidence = an_evidence(
        steps=(a_step(DISABLE.name, StepResult.NOT_PERMITTED), a_step(REVOKE.name, StepResult.FAILED))
    )
    assert coverage_of_instead(an_outcome(Status.REFUSED), evidence, (DISABLE, REVOKE), NOW) is None


@pytest.mark.parametrize(
    ("step", "result", "at", "until"),
    [
        (DISABLE, StepResult.DONE, BEFORE, BEFORE),
        (DISABLE, StepResult.DONE, NOW, NOW + SECOND),
        (DISABLE, StepResult.SKIPPED, BEFORE, NOW + SECOND),
        (PASS, StepResult.DONE, BEFORE, NOW + SECOND),
    ],
)
def test_coverage_when_an_earlier_try_had_done_a_step_then_it_covers_what_was_seen_before_that(
    step: Step, result: StepResult, at: datetime, until: datetime
) -> None:
    """A password that was set an hour ago does not cover what was seen since; what this try did, it does."""
    evidence = an_evidence(steps=(replace(a_step(step.name, result), at=at),))
    coverage = coverage_of(an_outcome(), evidence, NOTHING, (DISABLE, REVOKE), looked_at=NOW + SECOND, began_at=NOW)
    assert coverage.until == until


# --- What never may happen ---------------------------------------------------------------------------------------


@given(scopes | removal_scopes, steps)
def test_covering_when_the_same_is_asked_for_again_then_the_reset_covers_it(
    scope: Scope, some_steps: tuple[Step, ...]
) -> None:
    """A reset covers itself, whatever it was for."""
    assert covers(reset_of(scope, some_steps), scope, some_steps)


@given(coverages, scopes | removal_scopes, steps, st.sampled_from(MethodType), st.sampled_from(Removal))
def test_covering_when_one_more_type_is_asked_for_then_what_was_not_covered_still_is_not(
    coverage: Coverage, scope: Scope, some_steps: tuple[Step, ...], type_: MethodType, removal: Removal
) -> None:
    """Neither does asking for it more thoroughly."""
    history = History((coverage,), coverage.until)
    earlier = scope.removals.get(type_)
    wider = replace(scope, removals={**scope.removals, type_: Removal.DELETE if earlier else removal})
    if find_covering(history, scope, some_steps) is None:
        assert find_covering(history, wider, some_steps) is None


@given(coverages, scopes | removal_scopes, steps, st.sampled_from(STEPS))
def test_covering_when_one_more_step_or_unknown_types_are_asked_for_then_what_was_not_covered_still_is_not(
    coverage: Coverage, scope: Scope, some_steps: tuple[Step, ...], step: Step
) -> None:
    """Asking for more is never covered by less."""
    history = History((coverage,), coverage.until)
    if find_covering(history, scope, some_steps) is None:
        assert find_covering(history, scope, (*some_steps, step)) is None
        assert find_covering(history, replace(scope, unknown_types=True), some_steps) is None


@given(coverages, scopes | removal_scopes, steps, selections)
def test_covering_when_less_is_kept_then_what_was_not_covered_still_is_not(
    coverage: Coverage, scope: Scope, some_steps: tuple[Step, ...], selection: Selection
) -> None:
    """No selection at all asks for everything."""
    history = History((coverage,), coverage.until)
    if find_covering(history, replace(scope, selection=selection), some_steps) is None:
        assert find_covering(history, replace(scope, selection=Selection()), some_steps) is None


@given(st.lists(coverages, max_size=4), scopes | removal_scopes, steps, moments, st.timedeltas(timedelta()))
def test_covering_when_it_was_seen_later_then_what_was_not_covered_still_is_not(
    known: list[Coverage], scope: Scope, some_steps: tuple[Step, ...], at: datetime, later: timedelta
) -> None:
    """And what covers it never looked earlier than it was seen."""
    seen = min(NOW.replace(year=9000), NOW + min(later, timedelta(days=10_000)))
    for moment in (at, seen):
        covering = find_covering(History(tuple(known), moment), scope, some_steps)
        assert covering is None or covering.until >= moment
    if find_covering(History(tuple(known), NOW), scope, some_steps) is None:
        assert find_covering(History(tuple(known), seen), scope, some_steps) is None


# --- The decision ------------------------------------------------------------------------------------------------


def covering_of(profile: Profile) -> History:
    """Make the history of a user whom a reset under a profile covers."""
    return History((reset_of(make_scope(profile, Selection()), profile.steps),), NOW)


@pytest.mark.parametrize(("mode", "asked"), [("enforce", False), ("enforce", True), ("observe", False)])
def test_decide_when_an_earlier_reset_did_it_all_then_it_is_covered(mode: str, *, asked: bool) -> None:
    """A dry run says so too, and stays one."""
    policy = a_policy(mode=mode)
    history = covering_of(policy.profiles[COMPROMISED])
    request = a_request(COMPROMISED, dry_run=asked)
    dry_run = asked or mode == "observe"
    decision = decide(request, QUEUE, a_subject(), history, policy)
    assert decision == Covered(policy.profiles[COMPROMISED], history.coverages[0], dry_run)


def test_decide_when_the_earlier_reset_did_less_then_it_is_approved() -> None:
    """A compromise is more than a phone that was lost."""
    policy = a_policy()
    history = covering_of(policy.profiles[REREGISTER])
    decision = decide(a_request(COMPROMISED), QUEUE, a_subject(), history, policy)
    assert decision == Approval(policy.profiles[COMPROMISED], dry_run=False)


def test_decide_when_it_is_covered_but_not_allowed_then_it_is_refused() -> None:
    """Whoever may not ask is not told what was done."""
    policy = a_policy(never={"users": [ALICE], "groups": []})
    history = covering_of(policy.profiles[REREGISTER])
    assert isinstance(decide(a_request(), QUEUE, a_subject(), history, policy), Refusal)
    unnamed = decide(a_request(), APPLICATION, a_subject(), history, a_policy())
    assert isinstance(unnamed, Refusal)
