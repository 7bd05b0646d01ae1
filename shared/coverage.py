"""Whether an earlier reset covers a request, so that nothing need be done again (product.md 5). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.evidence import STILL_LISTED
from shared.model import AcceptedRequest, Coverage, Evidence, Outcome, RequestKey, Selection
from shared.plan import NOTHING, Scope
from shared.remains import OPEN_SKIPS
from shared.vocabulary import AFTER_VERIFYING, MethodResult, Removal, Step, StepResult

NEVER = datetime.min.replace(tzinfo=UTC)
_UNDONE = {StepResult.FAILED, StepResult.NOT_PERMITTED, StepResult.UNCONFIRMED}
_GONE = {MethodResult.DELETED, MethodResult.ALREADY_GONE, MethodResult.DEACTIVATED}


@dataclass(frozen=True)
class History:
    """What earlier requests for the user cover, the newest first, and when what this one is about was seen.

    What was tried in vain before `retry_before` is tried again: something may have been granted since.
    """

    coverages: tuple[Coverage, ...]
    seen_at: datetime
    retry_before: datetime = NEVER


def seen_at(accepted: AcceptedRequest, cooldown: timedelta) -> datetime:
    """Return when the compromise was seen: as the request says, else a while before it was first enqueued.

    Nobody has seen what had not happened when they asked: a sender's clock may be fast.
    """
    if accepted.request.observed_at is None:
        return accepted.first_enqueued_at - cooldown
    return min(accepted.request.observed_at, accepted.first_enqueued_at)


def last_look_of(outcome: Outcome) -> datetime:
    """Return until when a success has looked: the start of its last verifying listing, or of what covers it."""
    covering = outcome.covered_by.verified_at if outcome.covered_by else None
    return covering or outcome.verified_at or outcome.started_at or outcome.accepted_at


def coverage_of(  # noqa: PLR0913 - what was asked for, what was done, and when
    outcome: Outcome,
    evidence: Evidence,
    scope: Scope,
    steps: tuple[Step, ...],
    *,
    looked_at: datetime,
    began_at: datetime,
) -> Coverage:
    """Say what a reset covers whose last verifying listing began at `looked_at`, in a try that began at `began_at`.

    A step that an earlier try had done was not done again: then only what was seen before it is covered.

    It took on every step of its profile. Only one that comes after the methods, and lets their owner in again, is not
    covered where it was not done: whoever asks again gets it. A method that came so late that the last look was the
    first to show it was never tried: it is not among those that are known to stay.
    """
    undone = {line.step for line in evidence.steps if line.result in _UNDONE or line.detail in OPEN_SKIPS}
    asked = {str(step) for step in steps}
    done = [line for line in evidence.steps if line.step in asked and line.result is StepResult.DONE]
    tried = [line.at for line in evidence.steps if line.step in asked and line.result in _UNDONE]
    stayed = [line for line in evidence.methods if line.result not in _GONE and line.error != STILL_LISTED]
    return Coverage(
        RequestKey(outcome.caller, outcome.request_id),
        outcome.status,
        min([looked_at, *(line.at for line in done if line.at < began_at)]),
        tuple(scope.removals.items()),
        scope.unknown_types,
        scope.selection,
        tuple(str(step) for step in steps if step.name not in AFTER_VERIFYING or str(step) not in undone),
        tuple((line.type, line.id, line.detail) for line in stayed),
        tuple(sorted(undone)),
        min(tried, default=None),
    )


def coverage_of_instead(
    outcome: Outcome, evidence: Evidence, steps: tuple[Step, ...], began_at: datetime
) -> Coverage | None:
    """Say what the steps cover that were taken instead of a reset, from `began_at` on; nothing where none was done.

    None of them lets anybody in again, so each is covered by the try: per-user MFA too, which it is in a reset only
    where it was done.
    """
    covers = coverage_of(outcome, evidence, NOTHING, steps, looked_at=began_at, began_at=began_at)
    names = tuple(map(str, steps))
    return replace(covers, steps=names) if set(names) - set(covers.undone) else None


def find_covering(history: History, scope: Scope, steps: Iterable[Step]) -> Coverage | None:
    """Return the newest reset that took on all that is asked for and looked no earlier than it was seen.

    Steps that were taken instead of a reset cover whoever asks for no more than them, and so for no method.
    """
    asked = {str(step) for step in steps}
    for coverage in history.coverages:
        covers = asked <= set(coverage.steps) and _took_on(coverage, scope)
        if history.seen_at <= coverage.until and covers and not _is_to_be_retried(coverage, asked, history):
            return coverage
    return None


def _is_to_be_retried(coverage: Coverage, asked: set[str], history: History) -> bool:
    """Whether a step that is asked for was tried in vain so long ago that it is tried again."""
    in_vain = not asked.isdisjoint(coverage.undone)
    return in_vain and coverage.tried_at is not None and coverage.tried_at <= history.retry_before


def _took_on(coverage: Coverage, scope: Scope) -> bool:
    removals = dict(coverage.removals)
    if scope.unknown_types and not coverage.unknown_types:
        return False
    if any(removals.get(type_) not in {removal, Removal.DELETE} for type_, removal in scope.removals.items()):
        return False
    return not scope.removals or _left_out_no_more(coverage.selection, scope.selection)


def _left_out_no_more(earlier: Selection, asked: Selection) -> bool:
    """Whether all that the earlier selection left out is left out by this one too."""
    if not set(earlier.keep) <= set(asked.keep):
        return False
    if earlier.only_registered_after is None:
        return True
    if asked.only_registered_after is None or asked.only_registered_after < earlier.only_registered_after:
        return False
    return asked.keep_undated or not earlier.keep_undated
