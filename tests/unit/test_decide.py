"""The guard's judgement, as tables and properties."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.coverage import History
from shared.decide import Approval, Decision, Guard, Refusal, decide
from shared.model import (
    Coverage,
    Group,
    ReferenceKind,
    RequestKey,
    ResetRequest,
    RoleHolding,
    Selection,
    Subject,
    User,
    UserReference,
)
from shared.policy import Policy, parse_policy
from shared.vocabulary import (
    FUNCTION_KEY,
    QUEUE,
    Caller,
    GroupId,
    MethodType,
    ProfileName,
    Removal,
    RequestId,
    RoleId,
    Status,
    Step,
    StepName,
    UserId,
)

USER = UserId("10000000-0000-4000-8000-000000000001")
OTHER = "10000000-0000-4000-8000-000000000002"
GROUP = GroupId("20000000-0000-4000-8000-000000000001")
ROLE = RoleId("62e90394-69f5-4237-9190-012177145e10")
NO_HISTORY = History((), datetime(2026, 11, 24, tzinfo=UTC))
NAMED = Caller("aaaaaaaa-0000-4000-8000-00000000000a")


def policy(**changes: object) -> Policy:
    """Build a policy in which a named caller may reset administrators and the queue may not."""
    window = {"registrationWindow": "accepted"}
    base = {
        "profiles": {
            "plain": {"methods": "all"} | window,
            "admin": {"methods": "all", "privileged": "allow", "selective": True} | window,
        },
        "callers": {"queue": ["plain"], NAMED: ["plain", "admin"]},
        "privileged": {"instead": ["revokeSessions"]},
    }
    return parse_policy(json.dumps(base | changes))


def subject(
    groups: tuple[Group, ...] = (),
    roles: tuple[RoleHolding, ...] = (),
    *,
    guest: bool = False,
    restricted: bool = False,
) -> Subject:
    """Build the facts of a user."""
    user = User(USER, "a@b.example", "Guest" if guest else "Member", True, False, restricted, None)  # noqa: FBT003 - facts
    return Subject(user, groups, roles)


def request(profile: str = "plain", *, keep: tuple[str, ...] = (), dry_run: bool = False) -> ResetRequest:
    """Build a request."""
    reference = UserReference(ReferenceKind.OBJECT_ID, USER)
    return ResetRequest(
        RequestId("1"), reference, ProfileName(profile), selection=Selection(keep=keep), dry_run=dry_run
    )


groups = st.lists(
    st.builds(Group, st.sampled_from([GROUP, GroupId(OTHER)]), *(st.booleans() for _ in range(4))),
    max_size=3,
    unique_by=lambda one: one.id,
).map(tuple)
roles = st.lists(st.builds(RoleHolding, st.just(ROLE), st.none() | st.just(GROUP), st.booleans()), max_size=2).map(
    tuple
)
subjects = st.builds(subject, groups, roles, guest=st.booleans(), restricted=st.booleans())
requests = st.builds(
    request, st.sampled_from(["plain", "admin"]), keep=st.sampled_from([(), ("phone",)]), dry_run=st.booleans()
)
callers = st.sampled_from([QUEUE, NAMED, Caller(OTHER)])
policies = st.builds(
    policy,
    never=st.fixed_dictionaries(
        {"users": st.sampled_from([[], [USER], [OTHER]]), "groups": st.sampled_from([[], [GROUP]])}
    ),
    guests=st.sampled_from(["allow", "refuse"]),
    mode=st.sampled_from(["enforce", "observe"]),
    privileged=st.fixed_dictionaries(
        {
            "roles": st.sampled_from(["any", [ROLE], [OTHER]]),
            "groups": st.sampled_from(["assignable", "none"]),
            "instead": st.just(["revokeSessions"]),
        }
    ),
)


def codes(decision: Decision) -> set[str]:
    """Gather the codes of a decision's reasons."""
    return {reason.code for reason in decision.reasons} if isinstance(decision, Refusal) else set()


def test_decide_approves_who_is_nobody_special() -> None:
    """The everyday case."""
    decision = decide(request(), QUEUE, subject(), NO_HISTORY, policy())
    assert decision == Approval(policy().profiles[ProfileName("plain")], dry_run=False)


def test_decide_collects_every_reason() -> None:
    """A refusal that names one reason of several sends people in circles."""
    never = {"users": [USER], "groups": [GROUP]}
    everything = subject(
        (Group(GROUP, role_assignable=True),),
        (RoleHolding(ROLE, GROUP), RoleHolding(ROLE, eligible=True)),
        guest=True,
        restricted=True,
    )
    decision = decide(
        request(keep=("phone",)),
        Caller(OTHER),
        everything,
        NO_HISTORY,
        policy(never=never, guests="refuse", mode="observe"),
    )
    assert codes(decision) == {
        "callerMayNotAsk",
        "notSelective",
        "neverUser",
        "neverGroup",
        "guest",
        "privilegedRole",
        "eligibleRole",
        "roleAssignableGroup",
        "restrictedManagement",
    }
    assert decision.dry_run


def test_decide_refuses_an_administrator_with_the_steps_instead() -> None:
    """Only where being an administrator is the only reason."""
    admin = subject(roles=(RoleHolding(ROLE),))
    decision = decide(request(), QUEUE, admin, NO_HISTORY, policy())
    assert isinstance(decision, Refusal)
    assert decision.instead == (Step(StepName.REVOKE_SESSIONS),)
    assert isinstance(decide(request("admin"), NAMED, admin, NO_HISTORY, policy()), Approval)


@given(requests, callers, subjects, policies, groups, roles)
def test_decide_never_approves_more_after_a_protection_is_added(  # noqa: PLR0913, PLR0917 - what a decision is made of
    request: ResetRequest,
    caller: Caller,
    subject: Subject,
    policy: Policy,
    more_groups: tuple[Group, ...],
    more_roles: tuple[RoleHolding, ...],
) -> None:
    """A further group, role, never entry or refusal of guests turns no refusal into an approval."""
    before = decide(request, caller, subject, NO_HISTORY, policy)
    guarded = Subject(subject.user, subject.groups + more_groups, subject.roles + more_roles)
    never = policy.never.model_copy(update={"users": (*policy.never.users, USER)})
    stricter = policy.model_copy(update={"never": never, "guests": "refuse"})
    for after in (
        decide(request, caller, guarded, NO_HISTORY, policy),
        decide(request, caller, guarded, NO_HISTORY, stricter),
    ):
        assert codes(before) <= codes(after)
        assert isinstance(after, Refusal) or isinstance(before, Approval)


@given(requests, callers, subjects, policies)
def test_decide_lets_never_be_lifted_by_nothing(
    request: ResetRequest, caller: Caller, subject: Subject, policy: Policy
) -> None:
    """Whoever is on the list is refused, and no step is taken instead."""
    listed = policy.model_copy(update={"never": policy.never.model_copy(update={"users": (USER,)})})
    decision = decide(request, caller, subject, NO_HISTORY, listed)
    assert isinstance(decision, Refusal)
    assert (decision.instead, "neverUser" in codes(decision)) == ((), True)


@given(requests, callers, subjects, policies)
def test_decide_gives_a_caller_no_profile_of_others(
    request: ResetRequest, caller: Caller, subject: Subject, policy: Policy
) -> None:
    """And a caller who may not ask causes no effect at all."""
    decision = decide(request, caller, subject, NO_HISTORY, policy)
    if not policy.may_ask_for(caller, request.profile):
        assert isinstance(decision, Refusal)
        assert decision.instead == ()
    assert decision.dry_run is (request.dry_run or policy.mode == "observe")


RULES_OF_PRIVILEGE = {
    *("privilegedRole", "eligibleRole", "roleAssignableGroup", "restrictedManagement"),
    *("roleAssignableGroupOwner", "leadingGroupOwner"),
}


def reasons_of_each_rule_alone(
    request: ResetRequest, caller: Caller, subject: Subject, policy: Policy
) -> set[tuple[str, str]]:
    """Say by the contract's words, rule by rule, why not: code and what the sentence must name."""
    profile = policy.profiles[request.profile]
    guarded = profile.privileged is None
    roles = [one for one in subject.roles if policy.privileged.roles == "any" or one.role in policy.privileged.roles]
    by_group = guarded and policy.privileged.groups == "assignable"
    assignable = [one for one in subject.groups if one.role_assignable]
    leading = [one for one in subject.groups if one.leads and one.owner and not one.role_assignable]
    rules = [
        ("callerMayNotAsk", caller, request.profile not in policy.callers.get(caller, ())),
        ("notSelective", request.profile, bool(request.selection) and not profile.selective),
        ("neverUser", "", USER in policy.never.users),
        *(
            ("neverGroup", one.id, one.id in policy.never.groups and not (one.eligible or one.owner))
            for one in subject.groups
        ),
        ("guest", "", policy.guests == "refuse" and subject.user.user_type == "Guest"),
        *(("eligibleRole" if one.eligible else "privilegedRole", one.role, guarded) for one in roles),
        *(("roleAssignableGroup", one.id, by_group) for one in assignable if not one.owner),
        *(("roleAssignableGroupOwner", one.id, by_group) for one in assignable if one.owner),
        *(("leadingGroupOwner", one.id, by_group) for one in leading),
        ("restrictedManagement", "", guarded and subject.user.management_restricted),
    ]
    return {(code, named) for code, named, holds in rules if holds}


@given(requests, callers, subjects, policies)
def test_decide_gives_all_reasons_that_each_rule_alone_gives(
    request: ResetRequest, caller: Caller, subject: Subject, policy: Policy
) -> None:
    """No rule hides another, and no reason comes from nowhere."""
    decision = decide(request, caller, subject, NO_HISTORY, policy)
    expected = reasons_of_each_rule_alone(request, caller, subject, policy)
    assert codes(decision) == {code for code, _ in expected}
    texts = " ".join(reason.text for reason in decision.reasons) if isinstance(decision, Refusal) else ""
    assert all(named in texts for _, named in expected)


@given(requests, callers, subjects, policies)
def test_decide_acts_instead_only_where_being_privileged_is_the_only_reason(
    request: ResetRequest, caller: Caller, subject: Subject, policy: Policy
) -> None:
    """Nothing is done to somebody whom the policy protects otherwise, nor for somebody who may not ask."""
    decision = decide(request, caller, subject, NO_HISTORY, policy)
    if isinstance(decision, Refusal):
        assert bool(decision.instead) is (codes(decision) <= RULES_OF_PRIVILEGE)


@given(requests, callers, subjects, policies, st.sampled_from(["user", "group", "guests", "role", "assignable"]))
def test_decide_when_one_protection_is_added_then_no_refusal_becomes_an_approval(
    request: ResetRequest, caller: Caller, subject: Subject, policy: Policy, protection: str
) -> None:
    """Each protection alone, whatever the others are."""
    stricter, guarded = policy, subject
    match protection:
        case "user":
            stricter = policy.model_copy(update={"never": policy.never.model_copy(update={"users": (USER,)})})
        case "group":
            stricter = policy.model_copy(update={"never": policy.never.model_copy(update={"groups": (GROUP,)})})
        case "guests":
            stricter = policy.model_copy(update={"guests": "refuse"})
        case "role":
            guarded = Subject(subject.user, subject.groups, (*subject.roles, RoleHolding(ROLE)))
        case _:
            guarded = Subject(subject.user, (*subject.groups, Group(GROUP, role_assignable=True)), subject.roles)
    before, after = (
        decide(request, caller, subject, NO_HISTORY, policy),
        decide(request, caller, guarded, NO_HISTORY, stricter),
    )
    assert codes(before) <= codes(after)
    assert isinstance(after, Refusal) or isinstance(before, Approval)


def test_decide_when_a_group_is_never_touched_then_a_profile_for_administrators_does_not_lift_it() -> None:
    """Nothing lifts `never`: not `"privileged": "allow"`, not a named caller, not a dry run."""
    decision = decide(
        request("admin", dry_run=True),
        NAMED,
        subject((Group(GROUP, role_assignable=True),)),
        NO_HISTORY,
        policy(never={"groups": [GROUP]}),
    )
    assert codes(decision) == {"neverGroup"}


def test_decide_when_the_steps_instead_are_several_then_in_the_safe_order() -> None:
    """Disable before revoke, whatever the order written."""
    both = {"instead": ["revokeSessions", "disableAccount"]}
    decision = decide(request(), QUEUE, subject(restricted=True), NO_HISTORY, policy(privileged=both))
    assert isinstance(decision, Refusal)
    assert decision.instead == (Step(StepName.DISABLE_ACCOUNT), Step(StepName.REVOKE_SESSIONS))


def test_decide_when_a_right_could_be_activated_then_it_counts_and_is_told_apart() -> None:
    """An eligible administrator is one activation away from being one; a group they could join is none they are in."""
    could = subject(
        (Group(GROUP, role_assignable=True, eligible=True),),
        (RoleHolding(ROLE, eligible=True), RoleHolding(ROLE, GROUP, eligible=True)),
    )
    decision = decide(request(), QUEUE, could, NO_HISTORY, policy(never={"groups": [GROUP]}))
    assert isinstance(decision, Refusal)
    assert [reason.text for reason in decision.reasons] == [
        f"The user could activate the directory role {ROLE}.",
        f"The user could activate the directory role {ROLE} through group {GROUP}.",
        f"The user could become a member of the role-assignable group {GROUP}.",
    ]


@pytest.mark.parametrize(
    ("group", "code", "text"),
    [
        (
            Group(GROUP, role_assignable=True, owner=True),
            "roleAssignableGroupOwner",
            f"The user is an owner of the role-assignable group {GROUP}.",
        ),
        (
            Group(GROUP, role_assignable=True, eligible=True, owner=True),
            "roleAssignableGroupOwner",
            f"The user could become an owner of the role-assignable group {GROUP}.",
        ),
        (
            Group(GROUP, role_assignable=False, owner=True, leads=True),
            "leadingGroupOwner",
            f"The user is an owner of group {GROUP}, whose members could get into a privileged group.",
        ),
        (
            Group(GROUP, role_assignable=False, eligible=True, owner=True, leads=True),
            "leadingGroupOwner",
            f"The user could become an owner of group {GROUP}, whose members could get into a privileged group.",
        ),
    ],
)
def test_decide_when_a_user_owns_what_leads_to_privilege_then_a_reason_of_its_own(
    group: Group, code: str, text: str
) -> None:
    """An owner adds whom they like, themselves too; a `never` group is about members all the same."""
    decision = decide(request(), QUEUE, subject((group,)), NO_HISTORY, policy(never={"groups": [GROUP]}))
    assert isinstance(decision, Refusal)
    assert [(reason.code, reason.text) for reason in decision.reasons] == [(code, text)]
    lenient = policy(privileged={"groups": "none", "instead": []})
    assert isinstance(decide(request(), QUEUE, subject((group,)), NO_HISTORY, lenient), Approval)
    assert isinstance(decide(request("admin"), NAMED, subject((group,)), NO_HISTORY, policy()), Approval)


@pytest.mark.parametrize("leads", [True, False])
def test_decide_when_a_user_is_in_an_ordinary_group_then_that_alone_is_no_reason(*, leads: bool) -> None:
    """Where it leads to is told beside it."""
    ordinary = subject((Group(GROUP, role_assignable=False, leads=leads),))
    assert isinstance(decide(request(), QUEUE, ordinary, NO_HISTORY, policy()), Approval)


@given(requests, callers, subjects, policies)
def test_guard_when_asked_again_then_it_has_against_it_what_decided_whatever_the_caller(
    request: ResetRequest, caller: Caller, subject: Subject, policy: Policy
) -> None:
    """All that speaks against the user themselves but being a guest, which nobody becomes."""
    decision = decide(request, caller, subject, NO_HISTORY, policy)
    reasons = decision.reasons if isinstance(decision, Refusal) else ()
    kept = [one for one in reasons if one.code not in {"callerMayNotAsk", "notSelective", "guest"}]
    assert list(Guard(policy, policy.profiles[request.profile]).reasons_against(subject)) == kept


def test_decide_when_a_role_is_held_through_a_group_then_the_group_is_named() -> None:
    """Whoever has to take the role away has to know where it comes from."""
    holder = subject(roles=(RoleHolding(ROLE, GROUP), RoleHolding(ROLE)))
    decision = decide(request(), QUEUE, holder, NO_HISTORY, policy())
    assert isinstance(decision, Refusal)
    assert [reason.text for reason in decision.reasons] == [
        f"The user holds the directory role {ROLE} through group {GROUP}.",
        f"The user holds the directory role {ROLE}.",
    ]


# --- Steps instead that were taken before ------------------------------------------------------------------------

ADMIN = subject(roles=(RoleHolding(ROLE),))


def coverage(*steps: str, status: Status = Status.REFUSED, undone: tuple[str, ...] = ()) -> Coverage:
    """Build what an earlier request of another caller covers: steps, and methods if it was a reset."""
    key = RequestKey(FUNCTION_KEY, RequestId("INC-9"))
    removals = () if status is Status.REFUSED else ((MethodType.PHONE, Removal.DELETE),)
    selection = Selection()
    return Coverage(key, status, NO_HISTORY.seen_at, removals, False, selection, steps, (), undone)  # noqa: FBT003 - a field


def refuse(known: Coverage, later: timedelta = timedelta(), *, dry_run: bool = False, **changes: object) -> Refusal:
    """Refuse an administrator whose compromise was seen so much later than a coverage ends."""
    history = History((known,), known.until + later)
    decision = decide(request(dry_run=dry_run), QUEUE, ADMIN, history, policy(**changes))
    assert isinstance(decision, Refusal)
    assert (decision.reasons[0].code, decision.dry_run) == ("privilegedRole", dry_run)
    return decision


coverages = st.builds(
    coverage,
    st.sampled_from(["revokeSessions", "disableAccount"]),
    status=st.sampled_from([Status.REFUSED, Status.PARTIAL, Status.COMPLETED]),
)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("status", [Status.REFUSED, Status.PARTIAL, Status.COMPLETED])
def test_decide_when_the_steps_instead_were_taken_before_then_it_says_by_which_request(
    status: Status, *, dry_run: bool
) -> None:
    """Still a refusal, and nothing is done once more; a reset that took them counts as well."""
    decision = refuse(coverage("disableAccount", "revokeSessions", status=status), dry_run=dry_run)
    assert (decision.instead, [reason.code for reason in decision.reasons[1:]]) == ((), ["insteadCovered"])
    assert decision.reasons[1].text == (
        f"The request INC-9 of functionKey, which ended as {status}, took the steps instead: revokeSessions. "
        "They cover what was seen until 2026-11-24T00:00:00+00:00. "
        "For what was seen later, as observedAt says, they are taken again."
    )


@pytest.mark.parametrize(
    ("known", "later", "instead"),
    [
        (coverage("revokeSessions"), timedelta(microseconds=1), ["revokeSessions"]),
        (coverage("disableAccount"), timedelta(), ["revokeSessions"]),
        (coverage("revokeSessions"), timedelta(), ["disableAccount", "revokeSessions"]),
        (coverage(), timedelta(), ["revokeSessions"]),
    ],
)
def test_decide_when_the_steps_instead_were_others_or_too_early_then_all_are_taken(
    known: Coverage, later: timedelta, instead: list[str]
) -> None:
    """What was seen since is done again, and half of them is not enough."""
    decision = refuse(known, later, privileged={"instead": instead})
    assert ([str(step) for step in decision.instead], len(decision.reasons)) == (instead, 1)
    taken = refuse(coverage(*instead), privileged={"instead": instead})
    assert (taken.instead, len(taken.reasons)) == ((), 2)


def test_decide_when_a_step_instead_could_not_be_done_then_it_is_named() -> None:
    """Only those that are asked for."""
    both = {"instead": ["disableAccount", "revokeSessions"]}
    known = coverage("disableAccount", "revokeSessions", "resetPassword", undone=("disableAccount", "resetPassword"))
    assert "took the steps instead: disableAccount, revokeSessions. But not done: disableAccount. They cover" in (
        refuse(known, privileged=both).reasons[1].text
    )


def test_decide_when_there_is_no_step_instead_then_nothing_is_said_to_be_covered() -> None:
    """Nothing would have been done."""
    known = coverage("revokeSessions")
    reasons = [len(refuse(known, privileged={"instead": instead}).reasons) for instead in ([], ["revokeSessions"])]
    assert reasons == [1, 2]


@given(requests, callers, subjects, policies, st.lists(coverages, max_size=2).map(tuple))
def test_decide_when_something_covers_it_then_a_refusal_stays_one_and_only_its_steps_go(
    request: ResetRequest, caller: Caller, subject: Subject, policy: Policy, known: tuple[Coverage, ...]
) -> None:
    """Whatever was done before; and whoever is refused for more than a role is not told of it."""
    before = decide(request, caller, subject, NO_HISTORY, policy)
    after = decide(request, caller, subject, replace(NO_HISTORY, coverages=known), policy)
    assert isinstance(before, Refusal) is isinstance(after, Refusal)
    if isinstance(before, Refusal) and isinstance(after, Refusal):
        taken = bool(before.instead) and any("revokeSessions" in each.steps for each in known)
        assert (after.dry_run, after.instead) == (before.dry_run, () if taken else before.instead)
        assert [each.code for each in after.reasons[len(before.reasons) :]] == (["insteadCovered"] if taken else [])
        assert after.reasons[: len(before.reasons)] == before.reasons
