"""Whether a request may be carried out. Pure: the same facts give the same answer, with every reason."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.coverage import History, find_covering
from shared.model import Coverage, Group, Reason, ResetRequest, RoleHolding, Subject
from shared.plan import NOTHING, make_scope
from shared.policy import Policy, Profile
from shared.vocabulary import Caller, Step, in_safe_order


@dataclass(frozen=True)
class Approval:
    """It may; `dry_run` when nothing may be changed all the same."""

    profile: Profile
    dry_run: bool


@dataclass(frozen=True)
class Covered:
    """It may, but an earlier reset did all that it asks for, later than what it is about was seen."""

    profile: Profile
    by: Coverage
    dry_run: bool


@dataclass(frozen=True)
class Refusal:
    """It may not, for all of these reasons; `instead` is what is still to be done to the user all the same."""

    reasons: tuple[Reason, ...]
    instead: tuple[Step, ...]
    dry_run: bool


type Decision = Approval | Covered | Refusal


def decide(request: ResetRequest, caller: Caller, subject: Subject, history: History, policy: Policy) -> Decision:
    """Judge one request by all that was read of its user and by what was done to them before.

    Total for a profile of the policy: every rule is asked, and one that holds is always among the reasons. The
    `instead` steps are carried out only where being an administrator is the only reason, so never for somebody on the
    `never` list and never for a caller who may not ask. A refusal comes before what covers the request; it stays one
    where what covers it took those steps already.
    """
    profile = policy.profiles[request.profile]
    privileged = () if profile.privileged == "allow" else tuple(_privileged(subject, policy))
    others = (*judge_caller(request, caller, policy), *_never(subject, policy), *_guest(subject, policy))
    dry_run = request.dry_run or policy.mode == "observe"
    if others or privileged:
        instead = () if others else in_safe_order(policy.privileged.instead)
        return _unless_taken_before(Refusal(others + privileged, instead, dry_run), history)
    covering = find_covering(history, make_scope(profile, request.selection), profile.steps)
    return Covered(profile, covering, dry_run) if covering else Approval(profile, dry_run)


@dataclass(frozen=True)
class Guard:
    """What keeps a user from being reset under one profile, whoever asks and whatever was done before."""

    policy: Policy
    profile: Profile

    def reasons_against(self, subject: Subject) -> tuple[Reason, ...]:
        """Judge the user as they are by now: empty where the guard has nothing against going on."""
        privileged = () if self.profile.privileged == "allow" else _privileged(subject, self.policy)
        return (*_never(subject, self.policy), *privileged)


def _unless_taken_before(refusal: Refusal, history: History) -> Refusal:
    """Leave out the steps instead where an earlier request took them all, no earlier than it was seen; and say which.

    Each alert of a burst would revoke an administrator's sessions again, and a late duplicate those begun since.
    """
    by = find_covering(history, NOTHING, refusal.instead) if refusal.instead else None
    if by is None:
        return refusal
    return replace(refusal, reasons=(*refusal.reasons, _instead_covered(by, refusal.instead)), instead=())


def _instead_covered(by: Coverage, instead: tuple[Step, ...]) -> Reason:
    steps = [str(step) for step in instead]
    undone = [step for step in steps if step in by.undone]
    left = f" But not done: {', '.join(undone)}." if undone else ""
    text = (
        f"The request {by.key.request_id} of {by.key.caller}, which ended as {by.status}, took the steps instead: "
        f"{', '.join(steps)}.{left} They cover what was seen until {by.until.isoformat(timespec='seconds')}. "
        "For what was seen later, as observedAt says, they are taken again."
    )
    return Reason("insteadCovered", text)


def judge_caller(request: ResetRequest, caller: Caller, policy: Policy) -> tuple[Reason, ...]:
    """Say why this caller may not ask for this, whoever the user is; nothing where they may."""
    return tuple(_reasons_against(request, caller, policy.profiles[request.profile], policy))


def _reasons_against(request: ResetRequest, caller: Caller, profile: Profile, policy: Policy) -> Iterable[Reason]:
    if not policy.may_ask_for(caller, request.profile):
        yield Reason("callerMayNotAsk", f"Caller {caller} may not ask for profile {request.profile}.")
    if request.selection and not profile.selective:
        yield Reason("notSelective", f"Profile {request.profile} takes no keep, onlyRegisteredAfter or keepUndated.")


def _never(subject: Subject, policy: Policy) -> Iterable[Reason]:
    if subject.user.id in policy.never.users:
        yield Reason("neverUser", "The policy never touches this user.")
    never_groups = set(policy.never.groups)
    for group in subject.groups:
        if group.id in never_groups and not group.eligible and not group.owner:
            yield Reason("neverGroup", f"The policy never touches members of group {group.id}.")


def _guest(subject: Subject, policy: Policy) -> Iterable[Reason]:
    if policy.guests == "refuse" and subject.user.is_guest:
        yield Reason("guest", "The policy refuses guests.")


def _privileged(subject: Subject, policy: Policy) -> Iterable[Reason]:
    for holding in subject.roles:
        if policy.privileged.roles == "any" or holding.role in policy.privileged.roles:
            yield _role_reason(holding)
    if policy.privileged.groups == "assignable":
        yield from filter(None, map(_group_reason, subject.groups))
    if subject.user.management_restricted:
        yield Reason("restrictedManagement", "The user is a member of a restricted management administrative unit.")


def _group_reason(group: Group) -> Reason | None:
    """Say why a group makes the user privileged; an owner can add members, themselves too."""
    verb = "could become" if group.eligible else "is"
    if group.role_assignable and group.owner:
        return Reason("roleAssignableGroupOwner", f"The user {verb} an owner of the role-assignable group {group.id}.")
    if group.role_assignable:
        return Reason("roleAssignableGroup", f"The user {verb} a member of the role-assignable group {group.id}.")
    if group.leads and group.owner:
        text = f"The user {verb} an owner of group {group.id}, whose members could get into a privileged group."
        return Reason("leadingGroupOwner", text)
    return None


def _role_reason(holding: RoleHolding) -> Reason:
    through = f" through group {holding.through}" if holding.through else ""
    if holding.eligible:
        return Reason("eligibleRole", f"The user could activate the directory role {holding.role}{through}.")
    return Reason("privilegedRole", f"The user holds the directory role {holding.role}{through}.")
