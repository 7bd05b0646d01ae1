"""What a reset leaves open, in words. Pure."""

from dataclasses import replace

from shared.evidence import ALL_OF_ITS_TYPE, STATE_NOT_SHOWN
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
from shared.vocabulary import MethodResult, RemovalAnswer, StepName, StepResult

NOT_VERIFIED = "notVerified"
STEPS_OPEN = "stepsOpen"

NOT_REACHED = "notReached"
METHOD_UNCONFIRMED = "methodUnconfirmed"
UNCLEAR_TYPE = "could not be listed: Microsoft Graph gave no documented answer"

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
    said = ((line, _say(line)) for line in evidence.methods)
    return tuple(Reason(words[0], f"{line.type} {words[1]}.", method=line.id) for line, words in said if words)


def as_told(line: MethodLine, why: str | None = NOT_REACHED) -> MethodLine:
    """Say of a method without a result what the last listing said of it, or that none shows what became of it."""
    if line.result is not None:
        return line
    if line.tried is None:
        return replace(line, result=MethodResult.REMAINING, error=line.error or why)
    return replace(line, result=MethodResult.UNCONFIRMED, error=line.error or line.tried.answer.value)


def _say(line: MethodLine) -> tuple[str, str] | None:
    """Return code and words for a method that is open, None for one that is not."""
    why = f": {line.error}" if line.result is MethodResult.NOT_PERMITTED and line.error else ""
    if line.result is MethodResult.UNCONFIRMED or (line.result is None and line.tried):
        return METHOD_UNCONFIRMED, _say_unconfirmed(line)
    if line.result is None:
        return "methodRemaining", f"{line.id} was not reached"
    if line.id == ALL_OF_ITS_TYPE:
        return "notPermitted", f"could not be listed{why}"
    if line.result in _OPEN_METHOD:
        code, text = _OPEN_METHOD[line.result]
        return code, f"{line.id} {text}{why}"
    if line.error == UNDATED:
        return "undatedKept", f"{line.id} has no date of registration and was kept"
    return None


def _say_unconfirmed(line: MethodLine) -> str:
    """Say what is known of a method of which no listing shows what became of it."""
    if line.id == ALL_OF_ITS_TYPE:
        return UNCLEAR_TYPE
    if line.error == STATE_NOT_SHOWN:
        return f"{line.id} was deactivated, but the listing does not say whether it is active"
    answer = line.tried.answer if line.tried else RemovalAnswer.UNKNOWN
    if answer is RemovalAnswer.UNKNOWN:
        known = line.error and line.error != RemovalAnswer.UNKNOWN
        return f"{line.id} may still be there{f': {line.error}' if known else ''}"
    said = "its removal was accepted" if answer is RemovalAnswer.ACCEPTED else "Microsoft Graph did not find it"
    return f"{line.id} may still be there: {said}, but no listing since shows that it is gone"


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
