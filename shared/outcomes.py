"""How a request ended: from what was found and done to the outcome."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.decide import Covered
from shared.dry_run import as_planned, with_nothing_removed, with_steps_planned
from shared.evidence import ALL_OF_ITS_TYPE, EVERYTHING_LISTED, Unlisted, may_be_ours, with_unlisted
from shared.followups import name_follow_ups, name_follow_ups_of_refusal
from shared.model import (
    AcceptedRequest,
    Coverage,
    CoveredBy,
    Evidence,
    MethodLine,
    Outcome,
    Plan,
    PlannedStep,
    Problem,
    Reason,
    User,
)
from shared.plan import line_of
from shared.policy import Profile
from shared.remains import METHOD_UNCONFIRMED, NOT_VERIFIED, as_told, open_methods, open_steps
from shared.vocabulary import MethodResult, Removal, Status, StepName

REGISTERED_SINCE = "registeredSinceReset"


@dataclass(frozen=True)
class Verification:
    """What the last listing, and the read of the user after it, showed.

    `in_scope_left` is False only when it showed nothing in scope. What was not asked for counts as confirmed.
    """

    at: datetime
    in_scope_left: bool
    sessions_confirmed: bool
    account_confirmed: bool = True

    @property
    def verified(self) -> bool:
        """Whether it shows what was to be shown."""
        return not self.in_scope_left and self.sessions_confirmed and self.account_confirmed


@dataclass(frozen=True)
class SecondLook:
    """What is there at a user whom a reset covers: what would have to go, and which types could not be listed."""

    at: datetime
    plan: Plan
    unlisted: Unlisted = EVERYTHING_LISTED


def carried_out(
    accepted: AcceptedRequest, evidence: Evidence, profile: Profile, verification: Verification, now: datetime
) -> Outcome:
    """Tell the end of a reset that went its whole way: completed, or partial with every open thing as a reason."""
    reasons = (*open_methods(evidence), *open_steps(evidence))
    verified = verification.verified
    evidence = _all_told(evidence)
    if not reasons and not verified:
        reasons = (Reason(NOT_VERIFIED, "The last listing does not show that everything in scope is gone."),)
    return _outcome(
        accepted,
        Status.PARTIAL if reasons else Status.COMPLETED,
        now,
        evidence=evidence,
        reasons=reasons,
        verified=verified,
        verified_at=verification.at if verified else None,
        follow_ups=name_follow_ups(
            evidence, methods_removed=profile.removes_methods, against_an_intruder=profile.against_an_intruder
        ),
    )


def planned(accepted: AcceptedRequest, evidence: Evidence, plan: Plan, now: datetime) -> Outcome:
    """Tell what would have been done, and with which methods nothing would be."""
    return _outcome(accepted, Status.PLANNED, now, evidence=as_planned(evidence, plan, now), dry_run=True)


def covered(accepted: AcceptedRequest, evidence: Evidence, decision: Covered, look: SecondLook) -> Outcome:
    """Tell which reset covers it; what was registered since, or cannot be listed, is open: partial, never quiet.

    Where a reset was refused nothing was listed, so what is there now is not said to be new.
    """
    by = decision.by
    stayed = set(by.stayed)
    reasons: list[Reason] = [_covered_by(by)]
    for line in _still_in_scope(look.plan):
        new = (line.type, line.id, line.detail) not in stayed
        since = new and by.status is not Status.REFUSED
        evidence = evidence.with_method(replace(line, error=REGISTERED_SINCE) if since else line)
        if since:
            text = f"{line.type} {line.id} was registered since that reset."
            reasons.append(Reason(REGISTERED_SINCE, text, line.id))
        elif new:
            reasons += open_methods(replace(evidence, methods=(line,)))
    reasons += _untrue_by_now(by, decision.profile, evidence.user)
    for type_ in look.unlisted.in_scope:
        if (type_, ALL_OF_ITS_TYPE, None) not in stayed:
            code = "notPermitted" if type_ in look.unlisted.not_permitted else METHOD_UNCONFIRMED
            text = f"{type_} could not be listed, so what was registered since is not known."
            reasons.append(Reason(code, text, ALL_OF_ITS_TYPE))
            evidence = with_unlisted(evidence, type_, look.unlisted)
    status = Status.PARTIAL if len(reasons) > 1 else Status.COVERED
    told = _all_told(evidence)
    if decision.dry_run:
        status, told = Status.PLANNED, with_nothing_removed(evidence)
    outcome = _outcome(accepted, status, look.at, evidence=told, reasons=tuple(reasons), dry_run=decision.dry_run)
    return replace(outcome, covered_by=_covering(by))


def refused(
    accepted: AcceptedRequest, evidence: Evidence, reasons: tuple[Reason, ...], now: datetime, *, dry_run: bool = False
) -> Outcome:
    """Tell why the policy forbids it, which steps were carried out instead, and what was done before it forbade it."""
    evidence, open_reasons, follow_ups = _what_was_done(evidence)
    return _outcome(
        accepted,
        Status.REFUSED,
        now,
        evidence=evidence,
        reasons=reasons + open_reasons,
        dry_run=dry_run,
        follow_ups=follow_ups or name_follow_ups_of_refusal(evidence),
    )


def refused_at_acceptance(
    accepted: AcceptedRequest, reasons: tuple[Reason, ...], now: datetime, *, dry_run: bool
) -> Outcome:
    """Say why this caller may not ask for this; nothing was read of the user."""
    return _outcome(accepted, Status.REFUSED, now, reasons=reasons, dry_run=dry_run)


def refused_in_a_dry_run(
    accepted: AcceptedRequest,
    evidence: Evidence,
    reasons: tuple[Reason, ...],
    steps: tuple[PlannedStep, ...],
    now: datetime,
) -> Outcome:
    """Tell why the policy forbids it, and which steps would have been carried out instead."""
    return refused(accepted, with_steps_planned(evidence, steps, now), reasons, now, dry_run=True)


def invalid(accepted: AcceptedRequest, problems: tuple[Problem, ...], now: datetime) -> Outcome:
    """Tell all that is wrong with the request, and what was done before that was found."""
    reasons, dry_run = reasons_of(problems), accepted.request.dry_run
    if accepted.evidence is None:
        return _outcome(accepted, Status.INVALID, now, reasons=reasons, dry_run=dry_run)
    evidence, open_reasons, follow_ups = _what_was_done(accepted.evidence)
    return _outcome(
        accepted,
        Status.INVALID,
        now,
        evidence=evidence,
        reasons=reasons + open_reasons,
        dry_run=dry_run,
        follow_ups=follow_ups,
    )


def failed(accepted: AcceptedRequest, profile: Profile | None, code: str, now: datetime) -> Outcome:
    """Tell what was done and what not when patience is at its end; what nothing came of is remaining.

    `profile` is None for one that the policy does not have any more.
    """
    reason = Reason("patienceAtItsEnd", f"Tried until now without reaching the end; the last obstacle was {code}.")
    evidence, dry_run = accepted.evidence, accepted.request.dry_run
    if evidence is None:
        return _outcome(accepted, Status.FAILED, now, reasons=(reason,), dry_run=dry_run)
    return _outcome(
        accepted,
        Status.FAILED,
        now,
        evidence=_all_told(evidence),
        reasons=(reason, *open_methods(evidence), *open_steps(evidence)),
        dry_run=dry_run,
        follow_ups=name_follow_ups(
            evidence,
            methods_removed=_removed_something(evidence),
            against_an_intruder=profile is not None and profile.against_an_intruder,
        ),
    )


def reasons_of(problems: tuple[Problem, ...]) -> tuple[Reason, ...]:
    """Make reasons of problems; the text begins with the path of what it is about."""
    return tuple(Reason(one.code, f"{one.path}: {one.text}" if one.path else one.text) for one in problems)


def _outcome(  # noqa: PLR0913 - one field each; the callers above name them
    accepted: AcceptedRequest,
    status: Status,
    now: datetime,
    *,
    evidence: Evidence | None = None,
    reasons: tuple[Reason, ...] = (),
    verified: bool = False,
    verified_at: datetime | None = None,
    follow_ups: tuple[Reason, ...] = (),
    dry_run: bool = False,
) -> Outcome:
    request = accepted.request
    return Outcome(
        request_id=accepted.key.request_id,
        caller=accepted.key.caller,
        status=status,
        source=accepted.source,
        accepted_at=accepted.accepted_at,
        finished_at=now,
        dry_run=dry_run,
        user_id=evidence.user.id if evidence else None,
        user_principal_name=evidence.user.user_principal_name if evidence else None,
        profile=request.profile,
        reasons=reasons,
        methods=evidence.methods if evidence else (),
        steps=evidence.steps if evidence else (),
        verified=verified,
        verified_at=verified_at,
        follow_ups=follow_ups,
        requested_by=request.requested_by,
        incident=request.incident,
        started_at=evidence.started_at if evidence else None,
        asked=request.asked,
    )


def _what_was_done(evidence: Evidence) -> tuple[Evidence, tuple[Reason, ...], tuple[Reason, ...]]:
    """Tell of a reset that ends otherwise what became of each method, and what is open if any was tried."""
    follow_ups: tuple[Reason, ...] = ()
    if _removed_something(evidence):
        follow_ups = name_follow_ups(evidence, methods_removed=True, against_an_intruder=False)
    tried = follow_ups or any(line.tried for line in evidence.methods)
    return _all_told(evidence), (*(open_methods(evidence) if tried else ()), *open_steps(evidence)), follow_ups


def _all_told(evidence: Evidence) -> Evidence:
    return replace(evidence, methods=tuple(as_told(line) for line in evidence.methods))


def _removed_something(evidence: Evidence) -> bool:
    """Whether any method was removed, or may have been."""
    return any(map(may_be_ours, evidence.methods))


def _covering(by: Coverage) -> CoveredBy:
    looked_at = None if by.status is Status.REFUSED else by.until
    return CoveredBy(by.key.request_id, by.key.caller, by.status, looked_at)


def _covered_by(by: Coverage) -> Reason:
    name, until = f"{by.key.request_id} of {by.key.caller}", by.until.isoformat(timespec="seconds")
    stayed = f", {len(by.stayed)} methods stayed" if by.stayed else ""
    undone = f", not done: {', '.join(by.undone)}" if by.undone else ""
    text = (
        f"The reset {name} covers it: it ended as {by.status}{stayed}{undone}. It looked last at {until}. "
        "What was seen later, as observedAt says, is reset again."
    )
    if by.status is Status.REFUSED:
        text = (
            f"The request {name} covers it: it ended as {by.status}, and took steps instead: {', '.join(by.steps)}"
            f"{undone}. It began them at {until}. What was seen later, as observedAt says, is done again."
        )
    return Reason("coveredBy", text)


def _untrue_by_now(by: Coverage, profile: Profile, user: User) -> list[Reason]:
    """Name the steps that are asked for and that the reset which covers them left undone, or that were undone since."""
    asked = [str(step) for step in profile.steps]
    text = "was not done by the reset that covers this request; it is tried again for what comes after the cooldown."
    reasons = [Reason("stepOpen", f"{step} {text}", step=step) for step in asked if step in by.undone]
    disables, enables = str(StepName.DISABLE_ACCOUNT), str(StepName.ENABLE_ACCOUNT)
    done = set(by.steps) - set(by.undone)
    if disables in asked and disables in done and enables not in done and user.account_enabled:
        text = "That reset disabled the account; somebody has enabled it since."
        reasons.append(Reason("changedSince", text, step=disables))
    if enables in asked and enables in done and user.account_enabled is False:
        text = "That reset enabled the account; it was disabled since."
        reasons.append(Reason("changedSince", text, step=enables))
    return reasons


def _still_in_scope(plan: Plan) -> list[MethodLine]:
    """Return what would have to go: not a token that was deactivated and whose state Microsoft Graph does not show."""
    shown = [one for one in plan.removals if one.removal is not Removal.DEACTIVATE or one.method.active is not None]
    unknown = [line for line in plan.staying if line.result is MethodResult.UNSUPPORTED]
    return [*(line_of(one.method, MethodResult.REMAINING) for one in shown), *unknown]
