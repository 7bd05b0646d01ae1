"""Whether a step had its effect: what Microsoft Graph answered is not believed, a later read of the user is."""

from dataclasses import replace

from shared.errors import NotFoundError
from shared.model import Evidence, PlannedStep, ReferenceKind, StepLine, User, UserReference
from shared.ports import Directory
from shared.vocabulary import Step, StepName, StepResult

_TO_CONFIRM = (StepName.DISABLE_ACCOUNT, StepName.REVOKE_SESSIONS)
_ACCEPTED = {StepResult.DONE, StepResult.UNCONFIRMED}


async def confirm_account(directory: Directory, evidence: Evidence) -> Evidence:
    """Read the user, and say of the steps that this shows whether it shows them. Needs User.Read.All.

    Raises NotFoundError for a user who is not there any more.
    """
    if not _accepted(evidence):
        return evidence
    user = await directory.find_user(UserReference(ReferenceKind.OBJECT_ID, evidence.user.id))
    if user is None:
        raise NotFoundError
    return confirmed_by(user, evidence)


def confirmed_by(user: User, evidence: Evidence) -> Evidence:
    """Say of the steps that were accepted whether a user who was read since shows them.

    The account has to be disabled, unless it was enabled again in the end, and `signInSessionsValidFromDateTime` later
    than before the reset.
    """
    for line in _accepted(evidence):
        shown = _is_shown(line, evidence.user, user)
        evidence = evidence.with_step(replace(line, result=StepResult.DONE if shown else StepResult.UNCONFIRMED))
    return evidence


def _accepted(evidence: Evidence) -> list[StepLine]:
    enabled = any(line.step == StepName.ENABLE_ACCOUNT and line.result is StepResult.DONE for line in evidence.steps)
    to_confirm = _TO_CONFIRM[1:] if enabled else _TO_CONFIRM
    return [line for line in evidence.steps if line.step in to_confirm and line.result in _ACCEPTED]


def unconfirmed(evidence: Evidence) -> tuple[PlannedStep, ...]:
    """Return the steps that were accepted and that the user does not show, in the safe order, to be taken again."""
    open_ = {line.step for line in evidence.steps if line.result is StepResult.UNCONFIRMED}
    return tuple(PlannedStep(Step(name)) for name in _TO_CONFIRM if name in open_)


def confirmed(evidence: Evidence) -> tuple[bool, bool]:
    """Return whether a read shows the revocation of sessions and the disabling, where they were asked for.

    A disabling that failed or was not permitted is told as that: only one that was accepted has something to show.
    """
    results = {line.step: line.result for line in evidence.steps}
    revoked = results.get(StepName.REVOKE_SESSIONS, StepResult.DONE)
    return revoked is StepResult.DONE, results.get(StepName.DISABLE_ACCOUNT) is not StepResult.UNCONFIRMED


def _is_shown(line: StepLine, before: User, after: User) -> bool:
    if line.step == StepName.DISABLE_ACCOUNT:
        return after.account_enabled is False
    then, now = before.sessions_valid_from, after.sessions_valid_from
    return now is not None and (then is None or now > then)
