"""Evidence: nothing that was found is lost, and nothing is claimed that was not seen."""

from hypothesis import given

from shared.evidence import ALL_OF_ITS_TYPE, name_the_remaining, note, still_to_do
from shared.model import (
    Evidence,
    Method,
    MethodResult,
    MethodType,
    Plan,
    Removal,
    Selection,
)
from shared.plan import make_plan, make_scope
from tests.builders import COMPROMISED, REREGISTER, a_line, a_method, a_policy, an_evidence
from tests.unit.test_plan import users

ALL = a_policy().profiles[COMPROMISED]
BUTTON = a_policy().profiles[REREGISTER]


def plan_of(*methods: Method) -> Plan:
    """Plan to remove everything."""
    return make_plan(methods, ALL, make_scope(ALL, Selection()))


def result_of(evidence: Evidence, method_id: str = "m1") -> MethodResult | None:
    """Return the result of one line."""
    (line,) = [line for line in evidence.methods if line.id == method_id]
    return line.result


@given(users, users)
def test_note_loses_nothing_and_is_idempotent(first: list[Method], second: list[Method]) -> None:
    """Every method that was ever listed keeps one line; noting the same listing again changes nothing."""
    evidence = note(note(an_evidence(), plan_of(*first)), plan_of(*second))
    keys = [(line.type, line.id) for line in evidence.methods]
    assert len(set(keys)) == len(keys)
    assert {line.id for line in evidence.methods} == {method.id for method in [*first, *second]}
    assert note(evidence, plan_of(*second)) == evidence


def test_note_settles_what_is_listed_no_more() -> None:
    """Removed by us: deleted. Tried without an answer: deleted. Never tried: already gone."""
    for line, result in (
        (a_line(result=MethodResult.DELETED), MethodResult.DELETED),
        (a_line(result=MethodResult.ALREADY_GONE), MethodResult.ALREADY_GONE),
        (a_line(error="NoAnswer"), MethodResult.DELETED),
        (a_line(), MethodResult.ALREADY_GONE),
        (a_line(result=MethodResult.REMAINING, error="nope"), MethodResult.ALREADY_GONE),
    ):
        assert result_of(note(an_evidence(line), plan_of())) is result


def test_note_keeps_what_was_done_while_it_is_still_listed() -> None:
    """A deleted method can be listed for a while: that undoes nothing yet."""
    evidence = note(an_evidence(a_line(result=MethodResult.DELETED)), plan_of(a_method()))
    assert result_of(evidence) is MethodResult.DELETED


def test_note_stands_a_line_for_a_type_that_may_not_be_listed() -> None:
    """Its methods are not taken for gone; when it can be listed again they speak for themselves."""
    known = a_line(MethodType.HARDWARE_OATH)
    hidden = note(an_evidence(known), plan_of(), (MethodType.HARDWARE_OATH,))
    assert result_of(hidden, ALL_OF_ITS_TYPE) is MethodResult.NOT_PERMITTED
    assert result_of(hidden) is None
    seen = note(hidden, plan_of(a_method(MethodType.HARDWARE_OATH)))
    assert [line.id for line in seen.methods] == ["m1"]


def test_still_to_do_trusts_a_deactivation_only_where_graph_does_not_say() -> None:
    """A token that shows as active after all is done again."""
    scope = make_scope(BUTTON, Selection())
    for active, left in ((None, 0), (True, 1)):
        plan = make_plan([a_method(MethodType.HARDWARE_OATH, active=active)], BUTTON, scope)
        assert plan.removals[0].removal is Removal.DEACTIVATE
        done = an_evidence(a_line(MethodType.HARDWARE_OATH, result=MethodResult.DEACTIVATED))
        assert len(still_to_do(done, plan)) == left
        assert len(still_to_do(an_evidence(), plan)) == 1


def test_name_the_remaining_leaves_no_line_that_says_gone() -> None:
    """Whatever a removal answered, what the last listing shows is remaining; a better reason is kept."""
    left = plan_of(a_method()).removals
    for line, error in (
        (a_line(result=MethodResult.DELETED), "stillListed"),
        (a_line(result=MethodResult.ALREADY_GONE), "stillListed"),
        (a_line(error="NoAnswer"), "NoAnswer"),
        (a_line(result=MethodResult.REMAINING, error="nope"), "nope"),
    ):
        (named,) = name_the_remaining(an_evidence(line), left).methods
        assert (named.result, named.error) == (MethodResult.REMAINING, error)
    (kept,) = name_the_remaining(an_evidence(a_line(result=MethodResult.NOT_PERMITTED)), left).methods
    assert kept.result is MethodResult.NOT_PERMITTED
