"""Evidence: listing after listing, no method is lost and no result is bettered."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue import EVERYTHING
from shared.errors import (
    BadRequestError,
    GraphAnswer,
    GraphError,
    NoAnswerError,
    NotFoundError,
    NotPermittedError,
    RefusedAsDefaultError,
)
from shared.evidence import (
    ALL_OF_ITS_TYPE,
    STATE_NOT_SHOWN,
    STILL_LISTED,
    Unlisted,
    has_changed_something,
    line_for,
    may_be_ours,
    may_come_back,
    name_the_missing_right,
    name_the_remaining,
    name_the_unseen,
    note,
    resumed,
    still_to_do,
    unlisted_types,
    with_answer,
    with_earlier_pass_replaced,
    with_removal_under_way,
)
from shared.model import Evidence, Method, MethodLine, Plan, PlannedRemoval, Selection, Tried
from shared.plan import Scope, line_of, make_plan, make_scope
from shared.policy import Profile
from shared.ports import Listing
from shared.vocabulary import MethodResult, MethodType, Removal, RemovalAnswer
from tests.builders import a_line, a_method, an_evidence, listings, method_types, planned_steps, profiles, selections

GONE = {MethodResult.DELETED, MethodResult.ALREADY_GONE, MethodResult.DEACTIVATED}
ACCEPTED, UNKNOWN, NOT_FOUND = (
    Tried(Removal.DELETE, answer) for answer in (RemovalAnswer.ACCEPTED, RemovalAnswer.UNKNOWN, RemovalAnswer.NOT_FOUND)
)
DEACTIVATED = Tried(Removal.DEACTIVATE, RemovalAnswer.ACCEPTED)


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


tries = st.none() | st.builds(Tried, st.sampled_from(Removal), st.sampled_from(RemovalAnswer))
lines = listings.flatmap(
    lambda methods: st.tuples(
        *(
            st.builds(
                lambda one, result, error, tried: replace(line_of(one, result, error), tried=tried),
                st.just(one),
                st.none() | st.sampled_from(MethodResult),
                st.sampled_from([None, "x"]),
                tries,
            )
            for one in methods
        )
    )
)
evidences = lines.map(lambda some: an_evidence(*some))
plans = st.builds(plan_of, listings, profiles, selections)
types = st.lists(method_types, max_size=3, unique=True)
unlisted = types.map(lambda some: Unlisted(tuple(some[:1]), tuple(some[1:2]), tuple(some[2:])))
EMPTY = Plan((), (), ())


# --- Noting a listing --------------------------------------------------------------------------------------------


@given(evidences, plans, unlisted)
def test_note_when_done_twice_then_the_second_changes_nothing(evidence: Evidence, plan: Plan, gaps: Unlisted) -> None:
    """A resumed reset may see the same listing again."""
    once = note(evidence, plan, gaps)
    assert note(once, plan, gaps) == once


@given(evidences, st.lists(st.tuples(plans, unlisted), max_size=3))
def test_note_when_listing_follows_listing_then_no_method_is_lost_and_what_we_did_is_never_told_as_somebody_elses(
    evidence: Evidence, looks: list[tuple[Plan, Unlisted]]
) -> None:
    """What the first listing showed is the evidence."""
    for plan, gaps in looks:
        after = note(evidence, plan, gaps)
        found = by_id(after)
        assert found.keys() >= {key for key in by_id(evidence) if key[1] != ALL_OF_ITS_TYPE}
        for key, line in by_id(evidence).items():
            if line.tried and may_be_ours(line) and line.result is not MethodResult.ALREADY_GONE:
                assert found[key].result is not MethodResult.ALREADY_GONE
        evidence = after


@given(evidences, plans, unlisted)
def test_note_when_a_listing_shows_a_method_then_nothing_says_that_it_is_gone(
    evidence: Evidence, plan: Plan, gaps: Unlisted
) -> None:
    """Whatever was answered, and whatever an earlier listing showed: an id can be given again, as a phone's is."""
    found = by_id(note(evidence, plan, gaps))
    for one in plan.removals:
        assert found[line_of(one.method).type, one.method.id].result not in GONE
    for line in plan.staying:
        assert found[line.type, line.id].result not in {MethodResult.DELETED, MethodResult.ALREADY_GONE}


@given(evidences, plans, unlisted)
def test_note_when_a_listing_shows_methods_then_all_of_them_are_in_the_evidence(
    evidence: Evidence, plan: Plan, gaps: Unlisted
) -> None:
    """And those of types in scope that could not be listed are named as such."""
    found = by_id(note(evidence, plan, gaps))
    shown = [line_of(one.method) for one in plan.removals] + list(plan.staying)
    assert found.keys() >= {(line.type, line.id) for line in shown}
    assert {key[0] for key in found if key[1] == ALL_OF_ITS_TYPE} == set(gaps.in_scope)
    assert all(found[each, ALL_OF_ITS_TYPE].result is MethodResult.NOT_PERMITTED for each in gaps.not_permitted)
    assert all(found[each, ALL_OF_ITS_TYPE].result is MethodResult.UNCONFIRMED for each in gaps.unclear)


@given(evidences, unlisted)
def test_note_when_a_listing_shows_nothing_then_every_method_that_could_be_listed_is_gone(
    evidence: Evidence, gaps: Unlisted
) -> None:
    """What could not be listed stays as it was: unknown is not gone."""
    found = by_id(note(evidence, EMPTY, gaps))
    for key, line in by_id(evidence).items():
        unseen = line.type in {*gaps.in_scope, *gaps.out_of_scope}
        assert found[key] == line if unseen else found[key].result in GONE


@pytest.mark.parametrize(
    ("line", "settled"),
    [
        (a_line(), MethodResult.ALREADY_GONE),
        (a_line(error="noAnswer", tried=UNKNOWN), MethodResult.DELETED),
        (a_line(tried=ACCEPTED), MethodResult.DELETED),
        (a_line(tried=NOT_FOUND), MethodResult.ALREADY_GONE),
        (a_line(tried=DEACTIVATED), MethodResult.DEACTIVATED),
        (a_line(result=MethodResult.DELETED), MethodResult.DELETED),
        (a_line(result=MethodResult.DEACTIVATED), MethodResult.DEACTIVATED),
        (a_line(result=MethodResult.ALREADY_GONE), MethodResult.ALREADY_GONE),
        (a_line(result=MethodResult.REMAINING, error=STILL_LISTED, tried=ACCEPTED), MethodResult.DELETED),
        (a_line(result=MethodResult.REMAINING, error="defaultMethod"), MethodResult.ALREADY_GONE),
        (a_line(result=MethodResult.NOT_PERMITTED, error="accessDenied"), MethodResult.ALREADY_GONE),
        (a_line(result=MethodResult.KEPT, error="undated"), MethodResult.ALREADY_GONE),
        (a_line(result=MethodResult.UNSUPPORTED, error="unknownType"), MethodResult.ALREADY_GONE),
    ],
)
def test_note_when_a_method_is_shown_no_more_then_its_line_says_by_whom_it_went(
    line: MethodLine, settled: MethodResult
) -> None:
    """A try that may have had its effect did it; without one somebody else did, also where it was not found."""
    (told,) = note(an_evidence(line), EMPTY).methods
    assert told.result is settled
    assert told.error is None or told == line


@pytest.mark.parametrize("earlier", [None, *MethodResult])
def test_note_when_a_method_of_the_evidence_is_to_be_removed_still_then_only_its_refusal_stays(
    earlier: MethodResult | None,
) -> None:
    """What an earlier try was refused for is kept until it is tried again; that it was tried stays too."""
    evidence = an_evidence(a_line(result=earlier, error="x", tried=ACCEPTED))
    kept = a_line(result=earlier, error="x", tried=ACCEPTED)
    refused = {None, MethodResult.REMAINING, MethodResult.NOT_PERMITTED}
    assert note(evidence, removing(a_method())).methods == (kept if earlier in refused else a_line(tried=ACCEPTED),)


def test_note_when_a_method_comes_back_that_stays_then_it_is_no_longer_gone() -> None:
    """A listing may leave out for a moment what another shows again."""
    kept = Plan((), (), (a_line(result=MethodResult.KEPT),))
    hidden = note(note(an_evidence(), kept), EMPTY)
    assert [line.result for line in hidden.methods] == [MethodResult.ALREADY_GONE]
    assert [line.result for line in note(hidden, kept).methods] == [MethodResult.KEPT]


@pytest.mark.parametrize(
    ("line", "result"),
    [
        (a_line(tried=DEACTIVATED), MethodResult.DEACTIVATED),
        (a_line(result=MethodResult.DEACTIVATED), MethodResult.DEACTIVATED),
        (a_line(), MethodResult.KEPT),
        (a_line(tried=replace(DEACTIVATED, answer=RemovalAnswer.NOT_FOUND)), MethodResult.KEPT),
    ],
)
def test_note_when_a_token_is_not_active_then_it_is_deactivated_only_where_we_did_that(
    line: MethodLine, result: MethodResult
) -> None:
    """One that was never activated is kept, and why."""
    token = Plan((), (), (a_line(result=MethodResult.KEPT, error="notActive"),))
    (told,) = note(an_evidence(line), token).methods
    assert (told.result, told.error) == (result, "notActive" if result is MethodResult.KEPT else None)


def test_note_when_a_type_can_be_listed_again_then_only_its_methods_speak_for_it() -> None:
    """A grant may take effect between two listings."""
    gaps = Unlisted((MethodType.EMAIL,), (MethodType.FIDO2,))
    blind = note(an_evidence(a_line("phone", "p")), EMPTY, gaps)
    seeing = note(blind, removing(a_method()), Unlisted((MethodType.EMAIL,)))
    assert set(by_id(seeing)) == {("phone", "p"), ("fido2", "m1"), ("email", ALL_OF_ITS_TYPE)}


@pytest.mark.parametrize("result", [None, *MethodResult])
def test_unlisted_when_a_type_is_absent_of_which_a_method_was_found_then_it_is_unclear(
    result: MethodResult | None,
) -> None:
    """Whatever became of the method: either the first listing is wrong or this one."""
    listing = Listing((), absent=(MethodType.FIDO2, MethodType.QR_CODE_PIN))
    scope = Scope(EVERYTHING, Selection())
    assert unlisted_types(listing, scope, an_evidence(a_line(result=result))) == Unlisted(unclear=(MethodType.FIDO2,))
    assert unlisted_types(listing, scope, an_evidence(a_line(id_=ALL_OF_ITS_TYPE))) == Unlisted()


def test_unlisted_when_types_are_out_of_scope_then_they_are_only_not_taken_for_gone() -> None:
    """The outcome has no line for them."""
    listing = Listing((), not_permitted=(MethodType.EMAIL, MethodType.PHONE), unclear=(MethodType.FIDO2,))
    scope = Scope({MethodType.PHONE: Removal.DELETE}, Selection())
    gaps = unlisted_types(listing, scope, an_evidence())
    assert gaps == Unlisted((MethodType.PHONE,), (), (MethodType.EMAIL, MethodType.FIDO2))


@pytest.mark.parametrize(("id_", "again"), [("m1", True), (ALL_OF_ITS_TYPE, False)])
def test_unlisted_when_a_method_was_found_of_a_type_that_is_unclear_now_then_it_may_be_listed_again(
    id_: str, *, again: bool
) -> None:
    """A type that never could be listed is no reason to try for a day."""
    evidence = an_evidence(a_line(id_=id_))
    assert may_come_back(evidence, Unlisted(unclear=(MethodType.FIDO2,))) is again
    assert not may_come_back(evidence, Unlisted(not_permitted=(MethodType.FIDO2,)))


# --- What is left ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("removal", "active", "tried", "left"),
    [
        (Removal.DELETE, None, ACCEPTED, True),
        (Removal.DEACTIVATE, None, DEACTIVATED, False),
        (Removal.DEACTIVATE, None, None, True),
        (Removal.DEACTIVATE, None, ACCEPTED, True),
        (Removal.DEACTIVATE, None, Tried(Removal.DEACTIVATE, RemovalAnswer.UNKNOWN), True),
        (Removal.DEACTIVATE, True, DEACTIVATED, True),
    ],
)
def test_still_to_do_when_a_token_was_deactivated_and_its_state_is_not_shown_then_it_is_unconfirmed(
    removal: Removal, tried: Tried | None, *, active: bool | None, left: bool
) -> None:
    """Anything else that is listed is still to do, however good the answer was."""
    method = a_method(MethodType.HARDWARE_OATH, active=active)
    evidence = an_evidence(replace(line_of(method), tried=tried))
    plan = removing(method, removal=removal)
    assert bool(still_to_do(evidence, plan)) is left
    (line,) = name_the_unseen(evidence, plan).methods
    assert (line.result, line.error) == ((None, None) if left else (MethodResult.UNCONFIRMED, STATE_NOT_SHOWN))


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


# --- What is tried -----------------------------------------------------------------------------------------------

(REMOVAL,) = removing(a_method()).removals


@pytest.mark.parametrize(
    ("line", "tried"),
    [
        (a_line(), UNKNOWN),
        (a_line(error="noAnswer", tried=UNKNOWN), UNKNOWN),
        (a_line(tried=NOT_FOUND), UNKNOWN),
        (a_line(tried=ACCEPTED), ACCEPTED),
        (a_line(tried=DEACTIVATED), UNKNOWN),
        (a_line(result=MethodResult.REMAINING, error="defaultMethod"), UNKNOWN),
        (a_line(result=MethodResult.ALREADY_GONE), UNKNOWN),
    ],
)
def test_removal_under_way_when_marked_then_it_may_have_been_carried_out(line: MethodLine, tried: Tried) -> None:
    """Should the process end now, what is gone then was ours; that it was accepted before is not forgotten."""
    evidence = with_removal_under_way(an_evidence(line), REMOVAL)
    assert evidence.methods == (a_line(tried=tried),)


def test_removal_under_way_when_the_method_has_no_line_yet_then_it_gets_one() -> None:
    """One that was registered between two listings."""
    assert with_removal_under_way(an_evidence(), REMOVAL).methods == (a_line(tried=UNKNOWN),)


def test_removal_under_way_when_the_process_ended_then_it_may_have_changed_something() -> None:
    """What is gone then was ours."""
    evidence = resumed(with_removal_under_way(an_evidence(), REMOVAL), ())
    assert evidence.methods == (a_line(tried=UNKNOWN),)
    assert has_changed_something(evidence)
    assert note(evidence, EMPTY).methods == (a_line(result=MethodResult.DELETED, tried=UNKNOWN),)


def after_uncertain(error: GraphError) -> GraphError:
    """Say of an error that a try before it may have taken effect."""
    error.after_uncertain = True
    return error


BAD, FORBIDDEN = GraphAnswer(400, "nope"), GraphAnswer(403, "accessDenied")


@pytest.mark.parametrize(
    ("line", "error", "expected"),
    [
        (a_line(), None, a_line(tried=ACCEPTED)),
        (a_line(tried=UNKNOWN), None, a_line(tried=ACCEPTED)),
        (a_line(), NotFoundError(), a_line(tried=NOT_FOUND)),
        (a_line(tried=ACCEPTED), NotFoundError(), a_line(tried=ACCEPTED)),
        (a_line(error="x", tried=UNKNOWN), NotFoundError(), a_line(tried=UNKNOWN)),
        (a_line(), after_uncertain(NotFoundError()), a_line(tried=UNKNOWN)),
        (a_line(), NoAnswerError(), a_line(error="NoAnswer", tried=UNKNOWN)),
        (a_line(tried=ACCEPTED), NoAnswerError(), a_line(error="NoAnswer", tried=ACCEPTED)),
        (a_line(), BadRequestError(BAD), a_line(result=MethodResult.REMAINING, error="nope")),
        (a_line(tried=NOT_FOUND), BadRequestError(BAD), a_line(result=MethodResult.REMAINING, error="nope")),
        (a_line(tried=ACCEPTED), BadRequestError(BAD), a_line(error="nope", tried=ACCEPTED)),
        (a_line(), RefusedAsDefaultError(), a_line(result=MethodResult.REMAINING, error="defaultMethod")),
        (a_line(), after_uncertain(BadRequestError(BAD)), a_line(error="nope", tried=UNKNOWN)),
        (a_line(), NotPermittedError(FORBIDDEN), a_line(result=MethodResult.NOT_PERMITTED, error="accessDenied")),
        (a_line(tried=ACCEPTED), NotPermittedError(FORBIDDEN), a_line(error="accessDenied", tried=ACCEPTED)),
        (
            a_line(error="accessDenied", tried=ACCEPTED),
            NotPermittedError(FORBIDDEN),
            a_line(result=MethodResult.NOT_PERMITTED, error="accessDenied"),
        ),
    ],
)
def test_answer_when_a_removal_has_one_then_only_a_refusal_is_a_result(
    line: MethodLine, error: GraphError | None, expected: MethodLine
) -> None:
    """That it is gone is for a listing to show; what may have had its effect is not told as refused."""
    assert with_answer(line, Removal.DELETE, error) == expected


def test_missing_right_when_the_default_may_not_be_changed_then_it_is_named_where_the_method_was_refused() -> None:
    """What may have been removed is for the listing."""
    error = NotPermittedError(FORBIDDEN, "Some.Role")
    refused, maybe = a_line(result=MethodResult.REMAINING, error="defaultMethod"), a_line(error="x", tried=UNKNOWN)
    named = a_line(result=MethodResult.NOT_PERMITTED, error="missing app role Some.Role")
    assert name_the_missing_right(an_evidence(refused), (REMOVAL,), error).methods == (named,)
    assert name_the_missing_right(an_evidence(maybe), (REMOVAL,), error).methods == (maybe,)


def test_resumed_when_a_type_could_not_be_listed_then_that_stays_until_the_next_listing() -> None:
    """It is no method that was tried."""
    blind = note(an_evidence(), EMPTY, Unlisted((MethodType.FIDO2,)))
    assert resumed(blind, ()) == blind


def test_resumed_when_a_method_was_not_permitted_then_it_is_tried_again() -> None:
    """A fresh grant may have come."""
    refused = a_line(result=MethodResult.NOT_PERMITTED, error="accessDenied")
    assert resumed(an_evidence(refused, a_line("phone", "p", MethodResult.DELETED)), ()).methods == (
        a_line(),
        a_line("phone", "p", MethodResult.DELETED),
    )


@pytest.mark.parametrize(
    ("listing", "result"),
    [
        (Listing(()), MethodResult.DELETED),
        (Listing((a_method(MethodType.TEMPORARY_ACCESS_PASS),)), MethodResult.KEPT),
        (Listing((), not_permitted=(MethodType.TEMPORARY_ACCESS_PASS,)), MethodResult.KEPT),
    ],
)
def test_earlier_pass_when_a_new_one_was_made_then_it_is_replaced_only_where_a_listing_shows_that(
    listing: Listing, result: MethodResult
) -> None:
    """Another type that is kept has nothing to do with it."""
    earlier = a_line(MethodType.TEMPORARY_ACCESS_PASS, result=MethodResult.KEPT)
    other = a_line(result=MethodResult.KEPT)
    told = with_earlier_pass_replaced(an_evidence(earlier, other), listing).methods
    assert told == (
        replace(earlier, result=result, error="replaced" if result is MethodResult.DELETED else None),
        other,
    )
