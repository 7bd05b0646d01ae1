"""What is known of each method, listing after listing. Pure: evidence in, evidence out."""

from collections.abc import Iterable
from dataclasses import replace

from shared.model import Evidence, MethodLine, Plan, PlannedRemoval, PlannedStep
from shared.permissions import listing_needs, missing_roles
from shared.plan import line_of
from shared.vocabulary import MethodId, MethodResult, MethodType, Removal, StepResult

STILL_LISTED = "stillListed"
IN_FLIGHT = "inFlight"  # its removal is under way, or was when the process ended
INTERRUPTED = "interrupted"
REPLACED = "replaced"  # by the Temporary Access Pass that we made
ALL_OF_ITS_TYPE = MethodId("*")  # stands for an id where methods of a type could not even be listed

_OURS = {MethodResult.DELETED, MethodResult.DEACTIVATED}
_MAYBE_DONE = {StepResult.DONE, StepResult.UNCONFIRMED, StepResult.FAILED}  # an answer may have been lost
_GONE = {*_OURS, MethodResult.ALREADY_GONE}


def note(
    evidence: Evidence,
    plan: Plan,
    not_permitted: tuple[MethodType, ...] = (),
    *,
    unseen: tuple[MethodType, ...] = (),
) -> Evidence:
    """Merge what a listing shows, judged as `plan`: new methods are added, those it shows no more are settled.

    A method that is gone although nothing was tried on it is `alreadyGone`; one that we tried to remove without
    hearing how that ended was `deleted` by it. One whose type could not be listed, in scope
    (`not_permitted`, which gets a line) or not (`unseen`), is neither: it stays as it was.
    """
    evidence = _forget_listing_permitted(evidence, not_permitted)
    listed = [*(line_of(one.method) for one in plan.removals), *plan.staying]
    shown = {(line.type, line.id) for line in listed}
    for old in evidence.methods:
        if (old.type, old.id) not in shown and old.type not in {*not_permitted, *unseen}:
            evidence = evidence.with_method(_settle(old))
    known = {(line.type, line.id): line for line in evidence.methods}
    for line in listed:
        earlier = known.get((line.type, line.id))
        if earlier is None or (line.result is not None and earlier.result not in _OURS):
            evidence = evidence.with_method(line)
        else:  # what is listed counts: an id can be given again, as a phone's is
            evidence = evidence.with_method(replace(line, result=earlier.result, error=earlier.error))
    for type_ in not_permitted:
        evidence = with_unlisted(evidence, type_)
    return evidence


def with_unlisted(evidence: Evidence, type_: MethodType) -> Evidence:
    """Say that the methods of a type could not even be listed, and which app role is missing."""
    why = f"missing app role {', '.join(missing_roles(listing_needs(type_), ()))}"
    return evidence.with_method(MethodLine(type_, ALL_OF_ITS_TYPE, None, None, MethodResult.NOT_PERMITTED, why))


def still_to_do(evidence: Evidence, plan: Plan) -> tuple[PlannedRemoval, ...]:
    """Return what of `plan` is left: not a token that we deactivated and whose state Microsoft Graph does not show."""
    return tuple(
        one
        for one in plan.removals
        if one.removal is not Removal.DEACTIVATE
        or one.method.active is not None
        or line_for(evidence, one).result is not MethodResult.DEACTIVATED
    )


def name_the_remaining(evidence: Evidence, left: tuple[PlannedRemoval, ...]) -> Evidence:
    """Turn every line of `left` into one that says so and why, however good the answer to its removal was."""
    for one in left:
        line = line_for(evidence, one)
        if line.result is not MethodResult.NOT_PERMITTED:
            evidence = evidence.with_method(
                replace(line, result=MethodResult.REMAINING, error=line.error or STILL_LISTED)
            )
    return evidence


def name_what_is_listed_again(evidence: Evidence, left: tuple[PlannedRemoval, ...]) -> Evidence:
    """Take back `deleted` and the like of what the last listing still showed; what had no answer stays unknown."""
    return name_the_remaining(evidence, tuple(one for one in left if line_for(evidence, one).result in _GONE))


def resumed(evidence: Evidence, steps: Iterable[PlannedStep]) -> Evidence:
    """Return what is still true of an earlier try: not what was not permitted then, for a fresh grant may have come.

    A removal that was under way when that try ended was interrupted. Of its steps those count that were done, and those
    that are planned still.
    """
    planned = {str(one.step) for one in steps}
    kept = tuple(line for line in evidence.steps if line.result is StepResult.DONE or line.step in planned)
    return replace(evidence, methods=tuple(map(_to_try_again, evidence.methods)), steps=kept)


def _to_try_again(line: MethodLine) -> MethodLine:
    if line.result is MethodResult.NOT_PERMITTED:
        return replace(line, result=None, error=None)
    return replace(line, error=INTERRUPTED) if line.error == IN_FLIGHT else line


def with_removal_under_way(evidence: Evidence, planned: PlannedRemoval) -> Evidence:
    """Say of what is about to be removed that it is: should the process end now, what is gone then was ours.

    What was removed already, and is listed all the same, stays ours.
    """
    line = line_for(evidence, planned)
    return evidence if line.result in _OURS else evidence.with_method(replace(line, result=None, error=IN_FLIGHT))


def with_earlier_pass_replaced(evidence: Evidence) -> Evidence:
    """Say of a Temporary Access Pass that was kept that a new one took its place: a user has one only (graph.md 5)."""
    for line in evidence.methods:
        if line.type == MethodType.TEMPORARY_ACCESS_PASS and line.result is MethodResult.KEPT:
            evidence = evidence.with_method(replace(line, result=MethodResult.DELETED, error=REPLACED))
    return evidence


def has_changed_something(evidence: Evidence) -> bool:
    """Whether anything was done to the user already, or may have been."""
    return any(map(may_be_ours, evidence.methods)) or any(line.result in _MAYBE_DONE for line in evidence.steps)


def may_be_ours(line: MethodLine) -> bool:
    """Whether we removed a method, or tried to without hearing how that ended: should it be gone, it was ours."""
    return line.result in _OURS or (line.result is None and line.error is not None)


def line_for(evidence: Evidence, planned: PlannedRemoval) -> MethodLine:
    """Return the line of a method; a fresh one when it has none yet."""
    fresh = line_of(planned.method)
    return next((line for line in evidence.methods if (line.type, line.id) == (fresh.type, fresh.id)), fresh)


def _forget_listing_permitted(evidence: Evidence, not_permitted: tuple[MethodType, ...]) -> Evidence:
    """Drop what stands for a type that could not be listed, where it can be now: its methods speak for themselves."""
    lines = (line for line in evidence.methods if line.id != ALL_OF_ITS_TYPE or line.type in not_permitted)
    return replace(evidence, methods=tuple(lines))


def _settle(line: MethodLine) -> MethodLine:
    if line.result in _GONE:
        return line
    return replace(line, result=MethodResult.DELETED if may_be_ours(line) else MethodResult.ALREADY_GONE, error=None)


def has_progressed(before: Evidence | None, after: Evidence | None) -> bool:
    """Whether more is done by `after` than was by `before`; nothing where nothing was found yet."""
    return bool(_done(after) - _done(before))


def _done(evidence: Evidence | None) -> set[tuple[str, str]]:
    if evidence is None:
        return set()
    gone = {(line.type, str(line.id)) for line in evidence.methods if line.result in _GONE}
    return gone | {("step", line.step) for line in evidence.steps if line.result is StepResult.DONE}
