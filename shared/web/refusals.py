"""What a caller sees of a refusal over HTTP: codes, and nothing of roles, groups or the user that they could not name.

Whoever may ask for resets could else learn who is an administrator, through which groups, and what they are called, by
asking for each. Who may read all sees all of it, as do the outcome topic and the ledger.
"""

from shared.model import Outcome, Reason, StepLine
from shared.vocabulary import Status

_PRIVILEGED = "The policy refuses users with privileges."
_NEVER = "The policy never touches this user."
_TEXTS = {
    "callerMayNotAsk": "The caller may not ask for this profile.",
    "notSelective": "The profile takes no keep, onlyRegisteredAfter or keepUndated.",
    "neverUser": _NEVER,
    "neverGroup": _NEVER,
    "guest": "The policy refuses guests.",
    "privilegedRole": _PRIVILEGED,
    "eligibleRole": _PRIVILEGED,
    "roleAssignableGroup": _PRIVILEGED,
    "roleAssignableGroupOwner": _PRIVILEGED,
    "leadingGroupOwner": _PRIVILEGED,
    "restrictedManagement": _PRIVILEGED,
    "insteadCovered": "An earlier request took the steps instead.",
}
_OTHER = "Who may read all is told more."


def as_seen(outcome: Outcome, *, may_read_all: bool) -> Outcome:
    """Return an outcome as somebody may see it; of a refusal each code once, and each step without what it is about."""
    if may_read_all or outcome.status is not Status.REFUSED:
        return outcome
    codes = dict.fromkeys(reason.code for reason in outcome.reasons)
    return Outcome(
        request_id=outcome.request_id,
        caller=outcome.caller,
        status=outcome.status,
        source=outcome.source,
        accepted_at=outcome.accepted_at,
        finished_at=outcome.finished_at,
        dry_run=outcome.dry_run,
        profile=outcome.profile,
        reasons=tuple(Reason(code, _TEXTS.get(code, _OTHER)) for code in codes),
        steps=tuple(StepLine(line.step.partition(":")[0], line.result, line.at) for line in outcome.steps),
        requested_by=outcome.requested_by,
        incident=outcome.incident,
        started_at=outcome.started_at,
        asked=outcome.asked,
        replayed=outcome.replayed,
    )
