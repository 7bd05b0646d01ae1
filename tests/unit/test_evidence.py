"""Evidence: listing after listing, no method is lost and no result is bettered."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.evidence import (
    ALL_OF_ITS_TYPE,
    IN_FLIGHT,
    INTERRUPTED,
    STILL_LISTED,
    has_changed_something,
    line_for,
    name_the_remaining,
    note,
    resumed,
    still_to_do,
    with_removal_under_way,
)
from shared.model import Evidence, Method, MethodLine, Plan, PlannedRemoval, Selection
from shared.plan import line_of, make_plan, make_scope
from shared.policy import Profile
from shared.vocabulary import MethodResult, MethodType, Removal
from tests.builders import a_line, a_method, an_evidence, listings, method_types, planned_steps, profiles, selections

GONE = {MethodResult.DELETED, MethodResult.ALREADY_GONE, MethodResult.DEACTIVATED}


def plan_of(methods: tuple[Method, ...], profile: Profile, selection: Selection) -> Plan:
    """Judge a listing."""
    return make_plan(methods, planned_steps(profile), make_scope(profile, selection))


def removing(*methods: Method, removal: Removal = Removal.DELETE) -> Plan:
    """Build a plan that removes `methods`."""
    return Plan((), tuple(PlannedRemoval(one, removal) for one in methods), ())


def by_id(evidence: Evidence) -> dict[tuple[str, str], MethodLine]:
    """Find an evidence's lines."""
    assert len({(line.type, line.id) for line in evidence.methods}) == len(evidence.methods)
    return {(line.type, line.id): line for line in evidence.methods}


lines = listings.flatmap(
    lambda methods: st.tuples(
        *(
            st.builds(line_of, st.just(one), st.none() | st.sampled_from(MethodResult), st.sampled_from([None, "x"]))
            for one in methods
        )
    )
)
evidences = lines.map(lambda some: an_evidence(*some))
plans = st.builds(plan_of, listings, profiles, selections)
not_permitted = st.lists(method_types, max_size=2, unique=True).map(tuple)


# --- Noting a listing --------------------------------------------------------------------------------------------


@given(evidences, plans, not_permitted)
def test_note_when_done_twice_then_the_second_changes_nothing(
    evidence: Evidence, plan: Plan, types: tuple[MethodType, ...]
) -> None:
    """A resumed reset may see the same listing again."""
    once = note(evidence, plan, types)
    assert note(once, plan, types) == once


@given(evidences, st.lists(st.tuples(plans, not_permitted), max_size=3))
def test_note_when_listing_follows_listing_then_no_method_is_lost_and_deleted_stays_deleted(
    evidence: Evidence, looks: list[tuple[Plan, tuple[MethodType, ...]]]
) -> None:
    """What the first listing showed is the evidence; what we did is never said to have been gone already."""
    for plan, types in looks:
        after = note(evidence, plan, types)
        found = by_id(after)
        assert found.keys() >= {key for key in by_id(evidence) if key[1] != ALL_OF_ITS_TYPE}
        for key, line in by_id(evidence).items():
            if line.result in {MethodResult.DELETED, MethodResult.DEACTIVATED}:
                assert found[key].result is line.result
        evidence = after


@given(evidences, plans, not_permitted)
def test_note_when_a_listing_shows_methods_then_all_of_them_are_in_the_evidence(
    evidence: Evidence, plan: Plan, types: tuple[MethodType, ...]
) -> None:
    """And those of types that could not be listed are named as such."""
    found = by_id(note(evidence, plan, types))
    shown = [line_of(one.method) for one in plan.removals] + list(plan.staying)
    assert found.keys() >= {(line.type, line.id) for line in shown}
    assert {key[0] for key in found if key[1] == ALL_OF_ITS_TYPE} == set(types)
    assert all(found[each, ALL_OF_ITS_TYPE].result is MethodResult.NOT_PERMITTED for each in types)


@given(evidences, not_permitted)
def test_note_when_a_listing_shows_nothing_then_every_method_that_could_be_listed_is_gone(
    evidence: Evidence, types: tuple[MethodType, ...]
) -> None:
    """What could not be listed stays as it was: unknown is not gone."""
    found = by_id(note(evidence, Plan((), (), ()), types))
    for key, line in by_id(evidence).items():
        assert found[key] == line if line.type in types else found[key].result in GONE


@pytest.mark.parametrize(
    ("result", "error", "settled"),
    [
        (None, None, MethodResult.ALREADY_GONE),
        (None, "noAnswer", MethodResult.DELETED),
        (MethodResult.DELETED, None, MethodResult.DELETED),
        (MethodResult.DEACTIVATED, None, MethodResult.DEACTIVATED),
        (MethodResult.ALREADY_GONE, None, MethodResult.ALREADY_GONE),
        (MethodResult.REMAINING, "defaultMethod", MethodResult.ALREADY_GONE),
        (MethodResult.NOT_PERMITTED, "accessDenied", MethodResult.ALREADY_GONE),
        (MethodResult.KEPT, "undated", MethodResult.ALREADY_GONE),
        (MethodResult.UNSUPPORTED, "unknownType", MethodResult.ALREADY_GONE),
    ],
)
def test_note_when_a_method_is_shown_no_more_then_its_line_says_by_whom_it_went(
    result: MethodResult | None, error: str | None, settled: MethodResult
) -> None:
    """A try without an answer did it; without a try somebody else did."""
    evidence = note(an_evidence(a_line(result=result, error=error)), Plan((), (), ()))
    assert evidence.methods == (a_line(result=settled),)


@pytest.mark.parametrize("earlier", list(MethodResult))
def test_note_when_a_method_of_the_evidence_is_to_be_removed_still_then_its_line_stays(earlier: MethodResult) -> None:
    """What an earlier try answered is kept until it is tried again."""
    evidence = an_evidence(a_line(result=earlier, error="x"))
    assert note(evidence, removing(a_method())) == evidence


def test_note_when_a_method_comes_back_that_stays_then_it_is_no_longer_gone() -> None:
    """A listing may leave out for a moment what another shows again."""
    kept = Plan((), (), (a_line(result=MethodResult.KEPT),))
    hidden = note(note(an_evidence(), kept), Plan((), (), ()))
    assert [line.result for line in hidden.methods] == [MethodResult.ALREADY_GONE]
    assert [line.result for line in note(hidden, kept).methods] == [MethodResult.KEPT]


def test_note_when_a_type_can_be_listed_again_then_only_its_methods_speak_for_it() -> None:
    """A grant may take effect between two listings."""
    blind = note(an_evidence(a_line("phone", "p")), Plan((), (), ()), (MethodType.FIDO2, MethodType.EMAIL))
    seeing = note(blind, removing(a_method()), (MethodType.EMAIL,))
    assert set(by_id(seeing)) == {("phone", "p"), ("fido2", "m1"), ("email", ALL_OF_ITS_TYPE)}


# --- What is left ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("removal", "active", "result", "left"),
    [
        (Removal.DELETE, None, MethodResult.DELETED, True),
        (Removal.DEACTIVATE, None, MethodResult.DEACTIVATED, False),
        (Removal.DEACTIVATE, None, None, True),
        (Removal.DEACTIVATE, None, MethodResult.REMAINING, True),
        (Removal.DEACTIVATE, True, MethodResult.DEACTIVATED, True),
    ],
)
def test_still_to_do_when_a_token_was_deactivated_and_its_state_is_not_shown_then_it_is_done(
    removal: Removal, result: MethodResult | None, *, active: bool | None, left: bool
) -> None:
    """Anything else that is listed is still to do, however good the answer was."""
    method = a_method(MethodType.HARDWARE_OATH, active=active)
    evidence = an_evidence(line_of(method, result))
    assert bool(still_to_do(evidence, removing(method, removal=removal))) is left


@given(evidences, plans)
def test_still_to_do_when_asked_then_it_is_a_part_of_the_plan_in_its_order(evidence: Evidence, plan: Plan) -> None:
    """Nothing is added."""
    left = still_to_do(evidence, plan)
    assert [one for one in plan.removals if one in left] == list(left)


@given(evidences, plans)
def test_name_the_remaining_when_methods_are_left_then_none_is_without_a_result_or_said_to_be_gone(
    evidence: Evidence, plan: Plan
) -> None:
    """The last listing is right, whatever an answer said; other lines are as they were."""
    noted = note(evidence, plan)
    left = still_to_do(noted, plan)
    named = name_the_remaining(noted, left)
    keys = {(line_of(one.method).type, one.method.id) for one in left}
    for key, line in by_id(named).items():
        assert line == by_id(noted)[key] if key not in keys else line.result not in {None, *GONE}
        assert key not in keys or line.result is not MethodResult.REMAINING or line.error


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (a_line(), a_line(result=MethodResult.REMAINING, error=STILL_LISTED)),
        (a_line(result=MethodResult.DELETED), a_line(result=MethodResult.REMAINING, error=STILL_LISTED)),
        (a_line(error="noAnswer"), a_line(result=MethodResult.REMAINING, error="noAnswer")),
        (
            a_line(result=MethodResult.NOT_PERMITTED, error="accessDenied"),
            a_line(result=MethodResult.NOT_PERMITTED, error="accessDenied"),
        ),
    ],
)
def test_name_the_remaining_when_a_method_is_left_then_its_line_says_why(
    line: MethodLine, expected: MethodLine
) -> None:
    """A reason that is known already is kept."""
    assert name_the_remaining(an_evidence(line), removing(a_method()).removals).methods == (expected,)


def test_line_for_when_a_method_has_no_line_yet_then_a_fresh_one_is_given() -> None:
    """One of the same id but of another type is another method."""
    planned = PlannedRemoval(a_method(MethodType.FIDO2, "m1"), Removal.DELETE)
    other, own = a_line("email", "m1", MethodResult.DELETED), replace(a_line(), error="x")
    assert line_for(an_evidence(other), planned) == line_of(planned.method)
    assert line_for(an_evidence(other, own), planned) is own


# --- What is under way -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (None, None),
        (None, "noAnswer"),
        (None, INTERRUPTED),
        (None, IN_FLIGHT),
        (MethodResult.REMAINING, "defaultMethod"),
        (MethodResult.ALREADY_GONE, None),
    ],
)
def test_removal_under_way_when_marked_then_it_is_whatever_came_of_an_earlier_try(
    result: MethodResult | None, error: str | None
) -> None:
    """Should the process end now, what is gone then was ours."""
    (planned,) = removing(a_method()).removals
    evidence = with_removal_under_way(an_evidence(a_line(result=result, error=error)), planned)
    assert evidence.methods == (a_line(error=IN_FLIGHT),)


@pytest.mark.parametrize("result", [MethodResult.DELETED, MethodResult.DEACTIVATED])
def test_removal_under_way_when_it_was_removed_already_then_it_stays_ours(result: MethodResult) -> None:
    """Although it is listed all the same."""
    (planned,) = removing(a_method()).removals
    removed = an_evidence(a_line(result=result))
    assert with_removal_under_way(removed, planned) == removed


def test_removal_under_way_when_the_method_has_no_line_yet_then_it_gets_one() -> None:
    """One that was registered between two listings."""
    (planned,) = removing(a_method()).removals
    assert with_removal_under_way(an_evidence(), planned).methods == (a_line(error=IN_FLIGHT),)


def test_removal_under_way_when_the_process_ended_then_it_was_interrupted_and_may_have_changed_something() -> None:
    """What is gone then was ours."""
    (planned,) = removing(a_method()).removals
    evidence = resumed(with_removal_under_way(an_evidence(), planned), ())
    assert evidence.methods == (a_line(error=INTERRUPTED),)
    assert has_changed_something(evidence)
    assert note(evidence, Plan((), (), ())).methods == (a_line(result=MethodResult.DELETED),)


def test_resumed_when_a_method_was_not_permitted_then_it_is_tried_again() -> None:
    """A fresh grant may have come."""
    refused = a_line(result=MethodResult.NOT_PERMITTED, error="accessDenied")
    assert resumed(an_evidence(refused, a_line("phone", "p", MethodResult.DELETED)), ()).methods == (
        a_line(),
        a_line("phone", "p", MethodResult.DELETED),
    )
