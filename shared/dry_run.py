"""What would be done, as evidence says what was: methods and steps each in the order in which it would be. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from shared.evidence import line_for
from shared.model import Evidence, MethodLine, Plan, PlannedStep, StepLine
from shared.vocabulary import MethodResult, Removal, StepResult

_WOULD = {Removal.DELETE: MethodResult.WOULD_DELETE, Removal.DEACTIVATE: MethodResult.WOULD_DEACTIVATE}
_STILL_THERE = {None, MethodResult.REMAINING}


def as_planned(evidence: Evidence, plan: Plan, now: datetime) -> Evidence:
    """Give every method and step what would become of it: first those that would go, then those that stay."""
    removals = [replace(line_for(evidence, one), result=_WOULD[one.removal], error=None) for one in plan.removals]
    going = {(line.type, line.id) for line in removals}
    staying = [line for line in evidence.methods if (line.type, line.id) not in going]
    return with_steps_planned(with_nothing_removed(replace(evidence, methods=(*removals, *staying))), plan.steps, now)


def with_nothing_removed(evidence: Evidence) -> Evidence:
    """Call every method `kept` that would be left as it is; one that is known to be gone, or out of reach, stays so."""
    return replace(evidence, methods=tuple(map(_as_kept, evidence.methods)))


def _as_kept(line: MethodLine) -> MethodLine:
    return replace(line, result=MethodResult.KEPT) if line.result in _STILL_THERE else line


def with_steps_planned(evidence: Evidence, steps: Iterable[PlannedStep], now: datetime) -> Evidence:
    """Give each step a line, in their order; what was done before the policy turned to observing stays done."""
    done = tuple(line for line in evidence.steps if line.result is StepResult.DONE)
    known = {line.step for line in done}
    planned = (
        StepLine(str(one.step), StepResult.SKIPPED if one.skipped else StepResult.WOULD_DO, now, one.skipped)
        for one in steps
        if str(one.step) not in known
    )
    return replace(evidence, steps=(*done, *planned))
