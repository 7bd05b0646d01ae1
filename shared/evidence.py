"""What is known of each method, listing after listing. Pure: evidence in, evidence out."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.errors import UNCERTAIN, GraphError, NotFoundError, NotPermittedError, RefusedAsDefaultError
from shared.model import Evidence, MethodLine, Plan, PlannedRemoval, PlannedStep, Tried
from shared.permissions import listing_needs, missing_roles
from shared.plan import NOT_ACTIVE, Scope, line_of
from shared.ports import Listing
from shared.vocabulary import MethodId, MethodResult, MethodType, Removal, RemovalAnswer, StepResult

STILL_LISTED = "stillListed"
DEFAULT_METHOD = "defaultMethod"
NOT_LISTED = "notListed"  # Microsoft Graph gave no documented answer when it was asked for the methods of a type
STATE_NOT_SHOWN = "stateNotShown"  # a token was deactivated, and the listing does not say whether it is active
INTERRUPTED = "interrupted"
REPLACED = "replaced"  # by the Temporary Access Pass that we made
ALL_OF_ITS_TYPE = MethodId("*")  # stands for an id where methods of a type could not even be listed

_OURS = {MethodResult.DELETED, MethodResult.DEACTIVATED}
_MAYBE_DONE = {StepResult.DONE, StepResult.UNCONFIRMED, StepResult.FAILED}  # an answer may have been lost
_GONE = {*_OURS, MethodResult.ALREADY_GONE}
_REFUSED = {MethodResult.REMAINING, MethodResult.NOT_PERMITTED}
_WEIGHTS = (RemovalAnswer.NOT_FOUND, RemovalAnswer.UNKNOWN, RemovalAnswer.ACCEPTED)


@dataclass(frozen=True)
class Unlisted:
    """Types of which a listing shows nothing although there may be methods of them.

    `not_permitted` and `unclear` are in scope: the outcome has a line for each. What is `out_of_scope` is only not
    taken for gone.
    """

    not_permitted: tuple[MethodType, ...] = ()
    unclear: tuple[MethodType, ...] = ()
    out_of_scope: tuple[MethodType, ...] = ()

    @property
    def in_scope(self) -> tuple[MethodType, ...]:
        """Return the types in scope."""
        return *self.not_permitted, *self.unclear


def unlisted_types(listing: Listing, scope: Scope, evidence: Evidence) -> Unlisted:
    """Return the types that a listing leaves open.

    One that this cloud is said not to have is among them once a method of it was found: one of the two is not true.
    """
    found = {line.type for line in evidence.methods if line.id != ALL_OF_ITS_TYPE}
    unclear = (*listing.unclear, *(type_ for type_ in listing.absent if type_ in found))
    missing = (*listing.not_permitted, *unclear)
    beyond = tuple(type_ for type_ in missing if type_ not in scope.covered(missing))
    return Unlisted(scope.covered(listing.not_permitted), scope.covered(unclear), beyond)


EVERYTHING_LISTED = Unlisted()


def note(evidence: Evidence, plan: Plan, unlisted: Unlisted = EVERYTHING_LISTED) -> Evidence:
    """Merge what a listing shows, judged as `plan`: new methods are added, those it shows no more are settled.

    Nothing but this says that a method is gone: `deleted` or `deactivated` where we tried that and it may have had its
    effect, else `alreadyGone`. What is listed is not gone, whatever was said of it before: an id can be given again, as
    a phone's is. A method whose type is `unlisted` stays as it was.
    """
    evidence = _forget_types_that_are_listed(evidence, unlisted)
    listed = [*(line_of(one.method) for one in plan.removals), *plan.staying]
    shown = {(line.type, line.id) for line in listed}
    unseen = {*unlisted.in_scope, *unlisted.out_of_scope}
    for old in evidence.methods:
        if (old.type, old.id) not in shown and old.type not in unseen:
            evidence = evidence.with_method(_settle(old))
    known = {(line.type, line.id): line for line in evidence.methods}
    for line in listed:
        earlier = known.get((line.type, line.id))
        evidence = evidence.with_method(_as_listed(line, earlier) if earlier else line)
    for type_ in unlisted.in_scope:
        evidence = with_unlisted(evidence, type_, unlisted)
    return evidence


def with_unlisted(evidence: Evidence, type_: MethodType, unlisted: Unlisted) -> Evidence:
    """Say that the methods of a type could not be listed: which app role is missing, or that the answer is unclear."""
    line = MethodLine(type_, ALL_OF_ITS_TYPE, result=MethodResult.UNCONFIRMED, error=NOT_LISTED)
    if type_ in unlisted.not_permitted:
        why = f"missing app role {', '.join(missing_roles(listing_needs(type_), ()))}"
        line = replace(line, result=MethodResult.NOT_PERMITTED, error=why)
    return evidence.with_method(line)


def still_to_do(evidence: Evidence, plan: Plan) -> tuple[PlannedRemoval, ...]:
    """Return what of `plan` is left: not a token that we deactivated and whose state Microsoft Graph does not show."""
    return tuple(one for one in plan.removals if not _is_deactivated_unseen(evidence, one))


def name_the_unseen(evidence: Evidence, plan: Plan) -> Evidence:
    """Say of each token that we deactivated, and whose state the listing does not show, that this is not confirmed."""
    for one in plan.removals:
        if _is_deactivated_unseen(evidence, one):
            line = line_for(evidence, one)
            evidence = evidence.with_method(
                replace(line, result=MethodResult.UNCONFIRMED, error=line.error or STATE_NOT_SHOWN)
            )
    return evidence


def _is_deactivated_unseen(evidence: Evidence, one: PlannedRemoval) -> bool:
    deactivated = Tried(Removal.DEACTIVATE, RemovalAnswer.ACCEPTED)
    tried = line_for(evidence, one).tried
    return one.removal is Removal.DEACTIVATE and one.method.active is None and tried == deactivated


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
    """Say of what was answered as gone and is still listed that it remains; what had no answer stays unknown."""
    return name_the_remaining(evidence, tuple(one for one in left if _is_answered(line_for(evidence, one))))


def _is_answered(line: MethodLine) -> bool:
    return line.tried is not None and line.tried.answer is not RemovalAnswer.UNKNOWN


def may_come_back(evidence: Evidence, unlisted: Unlisted) -> bool:
    """Whether a method in scope was found whose type could be listed before, and now gets no documented answer."""
    return any(line.type in unlisted.unclear and line.id != ALL_OF_ITS_TYPE for line in evidence.methods)


def resumed(evidence: Evidence, steps: Iterable[PlannedStep]) -> Evidence:
    """Return what is still true of an earlier try: not what was not permitted then, for a fresh grant may have come.

    Of its steps those count that were done, and those that are planned still.
    """
    planned = {str(one.step) for one in steps}
    kept = tuple(line for line in evidence.steps if line.result is StepResult.DONE or line.step in planned)
    return replace(evidence, methods=tuple(map(_to_try_again, evidence.methods)), steps=kept)


def _to_try_again(line: MethodLine) -> MethodLine:
    if line.result is MethodResult.NOT_PERMITTED and line.id != ALL_OF_ITS_TYPE:
        return replace(line, result=None, error=None)
    return line


def name_the_missing_right(evidence: Evidence, held: Iterable[PlannedRemoval], error: NotPermittedError) -> Evidence:
    """Say of methods that stay because of the default one that our identity may not change which that is."""
    for one in held:
        line = line_for(evidence, one)
        if line.result is MethodResult.REMAINING:
            evidence = evidence.with_method(replace(line, result=MethodResult.NOT_PERMITTED, error=error.why))
    return evidence


def with_removal_under_way(evidence: Evidence, planned: PlannedRemoval) -> Evidence:
    """Say of what is about to be removed that it may be: should the process end now, what is gone then was ours."""
    line = line_for(evidence, planned)
    tried = _tried_with(line, planned.removal, RemovalAnswer.UNKNOWN)
    return evidence.with_method(replace(line, result=None, error=None, tried=tried))


def with_answer(line: MethodLine, removal: Removal, error: GraphError | None) -> MethodLine:
    """Write down what a removal was answered (None: it was accepted); what became of the method is for a listing."""

    def tried(answer: RemovalAnswer) -> Tried:
        return _tried_with(line, removal, RemovalAnswer.UNKNOWN if maybe else answer)

    maybe = error is not None and error.after_uncertain
    if error is None:
        return replace(line, result=None, error=None, tried=tried(RemovalAnswer.ACCEPTED))
    if isinstance(error, NotFoundError):
        return replace(line, result=None, error=None, tried=tried(RemovalAnswer.NOT_FOUND))
    if isinstance(error, UNCERTAIN):
        return replace(line, result=None, error=error.code, tried=tried(RemovalAnswer.UNKNOWN))
    if isinstance(error, NotPermittedError):
        # Refused in the same way and listed all the same: what was tried before had no effect.
        open_still, result, why = line.error != error.why, MethodResult.NOT_PERMITTED, error.why
    else:
        why = DEFAULT_METHOD if isinstance(error, RefusedAsDefaultError) else error.code
        open_still, result = True, MethodResult.REMAINING
    if maybe or (may_be_ours(line) and open_still):
        return replace(line, result=None, error=why, tried=tried(RemovalAnswer.UNKNOWN))
    return replace(line, result=result, error=why, tried=None)


def _tried_with(line: MethodLine, removal: Removal, answer: RemovalAnswer) -> Tried:
    """Return what is known of the tries to remove a method in one way: the answer that says most, not the latest."""
    earlier = line.tried
    if earlier and earlier.removal is removal and _WEIGHTS.index(earlier.answer) >= _WEIGHTS.index(answer):
        return earlier
    return Tried(removal, answer)


def has_pass_that_stays(evidence: Evidence) -> bool:
    """Whether the user had a Temporary Access Pass that was not to go."""
    return any(map(_is_kept_pass, evidence.methods))


def with_earlier_pass_replaced(evidence: Evidence, listing: Listing) -> Evidence:
    """Say of a Temporary Access Pass that was kept that a new one took its place, if the listing shows it no more.

    A user has one only: https://learn.microsoft.com/graph/api/authentication-post-temporaryaccesspassmethods
    """
    listed = {method.id for method in listing.methods}
    for line in filter(_is_kept_pass, evidence.methods):
        if line.id not in listed and MethodType.TEMPORARY_ACCESS_PASS not in listing.not_permitted:
            evidence = evidence.with_method(replace(line, result=MethodResult.DELETED, error=REPLACED))
    return evidence


def _is_kept_pass(line: MethodLine) -> bool:
    return line.type == MethodType.TEMPORARY_ACCESS_PASS and line.result is MethodResult.KEPT


def has_changed_something(evidence: Evidence) -> bool:
    """Whether anything was done to the user already, or may have been."""
    return any(map(may_be_ours, evidence.methods)) or any(line.result in _MAYBE_DONE for line in evidence.steps)


def may_be_ours(line: MethodLine) -> bool:
    """Whether we removed a method, or tried to and it may have had its effect: should it be gone, it was ours."""
    tried = line.tried is not None and line.tried.answer is not RemovalAnswer.NOT_FOUND
    return line.result in _OURS or tried


def line_for(evidence: Evidence, planned: PlannedRemoval) -> MethodLine:
    """Return the line of a method; a fresh one when it has none yet."""
    fresh = line_of(planned.method)
    return next((line for line in evidence.methods if (line.type, line.id) == (fresh.type, fresh.id)), fresh)


def _forget_types_that_are_listed(evidence: Evidence, unlisted: Unlisted) -> Evidence:
    """Drop what stands for a type that could not be listed, where it can be now: its methods speak for themselves."""
    lines = (line for line in evidence.methods if line.id != ALL_OF_ITS_TYPE or line.type in unlisted.in_scope)
    return replace(evidence, methods=tuple(lines))


def _as_listed(line: MethodLine, earlier: MethodLine) -> MethodLine:
    """Put together what a listing shows of a method and what was known of it."""
    if line.error == NOT_ACTIVE and may_be_ours(earlier):
        return replace(line, result=MethodResult.DEACTIVATED, error=None, tried=earlier.tried)
    if line.result is None and earlier.result not in {None, *_REFUSED}:
        return replace(line, tried=earlier.tried)
    if line.result is None:
        return replace(line, result=earlier.result, error=earlier.error, tried=earlier.tried)
    return replace(line, tried=earlier.tried)


def _settle(line: MethodLine) -> MethodLine:
    if line.result in _GONE:
        return line
    if line.tried is None or not may_be_ours(line):
        return replace(line, result=MethodResult.ALREADY_GONE, error=None)
    deactivated = line.tried.removal is Removal.DEACTIVATE
    return replace(line, result=MethodResult.DEACTIVATED if deactivated else MethodResult.DELETED, error=None)


def has_progressed(before: Evidence | None, after: Evidence | None) -> bool:
    """Whether more is done by `after` than was by `before`; nothing where nothing was found yet."""
    return bool(_done(after) - _done(before))


def _done(evidence: Evidence | None) -> set[tuple[str, str]]:
    if evidence is None:
        return set()
    gone = {(line.type, str(line.id)) for line in evidence.methods if line.result in _GONE or _is_accepted(line)}
    return gone | {("step", line.step) for line in evidence.steps if line.result is StepResult.DONE}


def _is_accepted(line: MethodLine) -> bool:
    return line.tried is not None and line.tried.answer is RemovalAnswer.ACCEPTED
