"""What a reset leaves open, in words. Pure."""

from dataclasses import replace

from shared.evidence import ALL_OF_ITS_TYPE, IN_FLIGHT, INTERRUPTED
from shared.model import Evidence, MethodLine, PlannedStep, Reason, StepLine
from shared.plan import (
    FEDERATED_PASSWORD,
    HOME_TENANT_PASSWORD,
    NOT_DISABLED_BY_US,
    ON_PREMISES_PASSWORD,
    PASS_MADE_BEFORE,
    PASS_PENDING,
    PASS_UNKNOWN,
    UNDATED,
)
from shared.vocabulary import MethodResult, StepName, StepResult

NOT_VERIFIED = "notVerified"
STEPS_OPEN = "stepsOpen"

_OPEN_METHOD = {
    MethodResult.REMAINING: ("methodRemaining", "is still there"),
    MethodResult.UNSUPPORTED: ("unsupportedMethod", "is of a type that we do not know, so it was not touched"),
    MethodResult.NOT_PERMITTED: ("notPermitted", "could not be removed"),
}
_OPEN_STEP = {
    StepResult.FAILED: ("stepFailed", "failed"),
    StepResult.UNCONFIRMED: ("stepUnconfirmed", "was accepted, but Microsoft Graph does not show its effect yet"),
    StepResult.NOT_PERMITTED: ("notPermitted", "could not be done"),
}
# A step that was left out although what it is for is still to do. The other skips leave nothing open.
OPEN_SKIPS = {
    ON_PREMISES_PASSWORD: "was left out: the password is kept on-premises",
    FEDERATED_PASSWORD: "was left out: the domain's own identity provider keeps the password",
    HOME_TENANT_PASSWORD: "was left out: the guest's home tenant keeps the password",
    NOT_DISABLED_BY_US: "was left out: it was not this product that disabled the account",
    NOT_VERIFIED: "was left out: not everything in scope is shown to be gone",
    STEPS_OPEN: "was left out: another step that comes first is not done",
}
_UNCONFIRMED = {
    PASS_UNKNOWN: "got no answer: there may be a pass, whose code nobody knows, until it ends",
    PASS_PENDING: "was made, but whether the vault has its code is not known: look there, or make another by hand",
}


def open_methods(evidence: Evidence) -> tuple[Reason, ...]:
    """Name every method that stays open, and why."""
    reasons = []
    for line in evidence.methods:
        why = f": {line.error}" if line.result is MethodResult.NOT_PERMITTED and line.error else ""
        if line.result is None:
            reasons.append(Reason("methodRemaining", f"{line.type} {line.id} {_unknown(line)}.", line.id))
        elif line.id == ALL_OF_ITS_TYPE:
            reasons.append(Reason("notPermitted", f"{line.type} could not be listed{why}.", line.id))
        elif line.result in _OPEN_METHOD:
            code, text = _OPEN_METHOD[line.result]
            reasons.append(Reason(code, f"{line.type} {line.id} {text}{why}.", line.id))
        elif line.error == UNDATED:
            text = f"{line.type} {line.id} has no date of registration and was kept."
            reasons.append(Reason("undatedKept", text, line.id))
    return tuple(reasons)


def _unknown(line: MethodLine) -> str:
    """Say what is known of a method whose removal has no result; words for a process that ended are the ledger's."""
    if line.error is None:
        return "was not reached"
    return "may still be there" if line.error in {IN_FLIGHT, INTERRUPTED} else f"may still be there: {line.error}"


def open_steps(evidence: Evidence) -> tuple[Reason, ...]:
    """Name every step that is not done although what it is for is still to do."""
    reasons = []
    for line in evidence.steps:
        if line.result in _OPEN_STEP:
            code, text = _OPEN_STEP[line.result]
            said = _UNCONFIRMED.get(line.detail or "") or f"{text}{f': {line.detail}' if line.detail else ''}"
            reasons.append(Reason(code, f"{line.step} {said}.", step=line.step))
        elif line.result is StepResult.SKIPPED and line.detail in OPEN_SKIPS:
            reasons.append(Reason("stepSkipped", f"{line.step} {OPEN_SKIPS[line.detail]}.", step=line.step))
    return tuple(reasons)


def unless_held_back(planned: PlannedStep, evidence: Evidence, *, verified: bool) -> PlannedStep:
    """Let nobody in again, by a pass or by enabling, where a way in may still be open to somebody else."""
    if planned.skipped or planned.step.name is StepName.PER_USER_MFA:
        return planned
    if not verified:
        return replace(planned, skipped=NOT_VERIFIED)
    others = [line for line in evidence.steps if line.step != StepName.ENABLE_ACCOUNT]
    if planned.step.name is StepName.ENABLE_ACCOUNT and not all(map(_is_behind_us, others)):
        return replace(planned, skipped=STEPS_OPEN)
    return planned


def _is_behind_us(line: StepLine) -> bool:
    """Whether a step is done, or was by an earlier run of this very request."""
    return line.result is StepResult.DONE or (line.detail or "").startswith(f"{PASS_MADE_BEFORE}:")
