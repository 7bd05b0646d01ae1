"""Who could get at a privileged group, by whatever way, and what the guard asks to know it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.tenant import Fault, GroupEligibility, RoleAssignment, method
from sandbox.tenant import Group as TenantGroup
from shared.decide import Guard
from shared.errors import Later, NotFoundError, OperatorError
from shared.model import Method, Outcome, PlannedRemoval
from shared.recheck import BECAME_PRIVILEGED, Recheck
from shared.vocabulary import MethodId, MethodType, ProfileName, Removal, Status, UserId
from tests.service.stage import CASEY, DEVON, HARPER, MORGAN, NEVER_RESET, Stage, policy_with, request_for, under
from tests.service.test_reception import Door, open_door

PEOPLE = "10000000-0000-4000-8000-0000000000"
TIER_0 = "20000000-0000-4000-8000-000000000005"  # role-assignable, with a role
IDENTITY_OPERATIONS = "20000000-0000-4000-8000-000000000009"  # role-assignable, with a role to activate
PLATFORM = "20000000-0000-4000-8000-000000000010"  # could join the first one
OWNER, LEADING_OWNER = "roleAssignableGroupOwner", "leadingGroupOwner"
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"


def codes(outcome: Outcome) -> set[str]:
    """Gather the codes of an outcome's reasons."""
    return {reason.code for reason in outcome.reasons}


def add_group(stage: Stage, number: int, *members: str, **more: bool) -> str:
    """Add an ordinary group to the tenant."""
    group_id = f"21000000-0000-4000-8000-{number:012}"
    group = TenantGroup(group_id, f"Group {number}", members=list(members), hidden=more.get("hidden", False))
    group.synced = more.get("synced", False)
    stage.tenant.directory.groups[group_id] = group
    return group_id


def make_eligible(stage: Stage, principal: str, group_id: str, access: str = "member") -> None:
    """Let somebody, or the members of a group, make themselves a member or an owner of a group."""
    eligibilities = stage.tenant.directory.group_eligibilities
    eligibilities.append(GroupEligibility(f"e{len(eligibilities)}", principal, group_id, access))


async def calls_of(stage: Stage, user: str) -> int:
    """Count the calls to Graph of one refused or planned request, with a snapshot that is there."""
    await stage.reset(CASEY, dry_run=True)
    stage.tenant.calls.clear()
    await stage.reset(user, dry_run=True)
    return len(stage.tenant.calls)


# --- Bounded ----------------------------------------------------------------------------------------------------


async def test_guard_when_a_user_is_in_250_groups_then_it_costs_as_many_calls_as_for_one_in_2(stage: Stage) -> None:
    """Whoever took an account over can join self-service groups; that makes nobody immune."""
    few = await calls_of(stage, DEVON)
    for number in range(250):
        add_group(stage, number, DEVON)
    assert await calls_of(stage, DEVON) == few


async def test_guard_when_a_user_makes_and_owns_250_groups_then_it_costs_no_more(stage: Stage) -> None:
    """Nor does owning what leads nowhere, nested as deep as one likes."""
    few = await calls_of(stage, DEVON)
    inner = DEVON
    for number in range(250):
        inner = add_group(stage, number, inner)
        stage.tenant.directory.groups[inner].owners.append(DEVON)
    assert await calls_of(stage, DEVON) == few
    assert (await stage.reset(DEVON)).status is Status.COMPLETED


async def test_guard_when_many_groups_are_privileged_then_the_user_is_asked_about_twenty_at_a_time(
    stage: Stage,
) -> None:
    """In one batch; the last one counts as the first."""
    for number in range(45):
        group_id = add_group(stage, number)
        stage.tenant.directory.groups[group_id].assignable = True
    stage.tenant.directory.groups[group_id].members.append(DEVON)
    assert codes(await stage.reset(DEVON)) == {"roleAssignableGroup"}
    asked = [call for call in stage.tenant.calls if "checkMemberGroups" in call.path]
    assert [call.in_batch for call in asked] == [True, True, True]


async def test_guard_when_the_users_own_group_cannot_be_read_then_it_holds_nothing_up(stage: Stage) -> None:
    """A hidden group, or one that shows only its id, is none of the guard's unless it leads to privilege."""
    group_id = add_group(stage, 1, DEVON, hidden=True)
    stage.tenant.directory.groups[group_id].unreadable = True
    assert (await stage.reset(DEVON)).status is Status.COMPLETED


# --- Owners -----------------------------------------------------------------------------------------------------


async def test_guard_when_a_user_owns_a_role_assignable_group_then_they_are_refused(stage: Stage) -> None:
    """Permanently, and so in no list of what they could activate: they add themselves as a member."""
    stage.tenant.directory.groups[TIER_0].owners.append(DEVON)
    outcome = await stage.reset(DEVON, profile="compromised")
    assert (outcome.status, codes(outcome)) == (Status.REFUSED, {OWNER, "eligibleRole"})
    assert [line.step for line in outcome.steps] == ["revokeSessions"]
    texts = [reason.text for reason in outcome.reasons]
    assert f"The user is an owner of the role-assignable group {TIER_0}." in texts


async def test_guard_when_a_user_owns_a_group_that_leads_to_one_then_they_are_refused(stage: Stage) -> None:
    """They add themselves to it, activate, and are in the other."""
    stage.tenant.directory.groups[PLATFORM].owners.append(DEVON)
    outcome = await stage.reset(DEVON)
    assert codes(outcome) == {LEADING_OWNER, "eligibleRole", "roleAssignableGroup"}
    assert outcome.reasons[1].text == (
        f"The user is an owner of group {PLATFORM}, whose members could get into a privileged group."
    )


async def test_guard_when_a_user_could_own_a_group_that_leads_to_one_then_they_are_refused(stage: Stage) -> None:
    """By PIM, too."""
    make_eligible(stage, DEVON, PLATFORM, "owner")
    outcome = await stage.reset(DEVON)
    assert codes(outcome) == {LEADING_OWNER, "eligibleRole", "roleAssignableGroup"}
    assert any(reason.text.startswith("The user could become an owner of group") for reason in outcome.reasons)


@pytest.mark.parametrize("groups", ["assignable", "none"])
async def test_guard_when_the_group_has_no_role_then_owning_it_counts_as_the_policy_says(
    stage: Stage, groups: str
) -> None:
    """As being in it does."""
    group_id = add_group(stage, 1)
    stage.tenant.directory.groups[group_id].assignable = True
    stage.tenant.directory.groups[group_id].owners.append(DEVON)
    playing = under(stage, policy_with(privileged={"groups": groups, "instead": []}))
    outcome = await playing.reset(DEVON)
    assert codes(outcome) == ({OWNER} if groups == "assignable" else set())


async def test_guard_when_a_user_owns_a_never_group_then_they_are_no_member_of_it(stage: Stage) -> None:
    """That list is about members."""
    stage.tenant.directory.groups[NEVER_RESET].owners.append(DEVON)
    assert (await stage.reset(DEVON)).status is Status.COMPLETED


async def test_guard_when_a_group_comes_from_on_premises_then_it_leads_on_and_its_owners_do_not(stage: Stage) -> None:
    """Whoever is in it could join; who owns it in Entra cannot change who is in it."""
    group_id = add_group(stage, 1, HARPER, synced=True)
    stage.tenant.directory.groups[group_id].owners.append(DEVON)
    make_eligible(stage, group_id, TIER_0)
    assert "roleAssignableGroup" in codes(await stage.reset(HARPER))
    assert (await stage.reset(DEVON)).status is Status.COMPLETED


# --- Ways that lead on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["member", "owner", "eligible", "eligibleOwner"])
async def test_guard_when_groups_lead_to_groups_that_lead_there_then_each_way_in_counts(stage: Stage, way: str) -> None:
    """Three activations and two nested groups away, and a circle on the way."""
    inner = add_group(stage, 1)
    outer = add_group(stage, 2, inner)
    middle = add_group(stage, 3, outer)
    far = add_group(stage, 4)
    make_eligible(stage, middle, PLATFORM)
    make_eligible(stage, far, inner, "owner")
    make_eligible(stage, PLATFORM, far)
    groups = stage.tenant.directory.groups
    groups[inner].members.append(outer)
    match way:
        case "member":
            groups[far].members.append(DEVON)
        case "owner":
            groups[far].owners.append(DEVON)
        case "eligible":
            make_eligible(stage, DEVON, far)
        case "eligibleOwner":
            make_eligible(stage, DEVON, far, "owner")
    outcome = await stage.reset(DEVON)
    owner = {LEADING_OWNER} if way in {"owner", "eligibleOwner"} else set()
    assert (outcome.status, codes(outcome)) == (Status.REFUSED, {"eligibleRole", "roleAssignableGroup"} | owner)


async def test_guard_when_a_nested_group_could_join_another_then_the_groups_in_it_lead_there_too(stage: Stage) -> None:
    """It was known already, for what it is nested in."""
    inner = add_group(stage, 1)
    middle = add_group(stage, 2, inner)
    stage.tenant.directory.groups[PLATFORM].members.append(middle)
    make_eligible(stage, middle, IDENTITY_OPERATIONS)
    stage.tenant.directory.groups[inner].owners.append(DEVON)
    texts = [reason.text for reason in (await stage.reset(DEVON)).reasons]
    for group_id in (TIER_0, IDENTITY_OPERATIONS):
        assert f"The user could become a member of the role-assignable group {group_id}." in texts


async def test_guard_when_groups_are_nested_deep_then_only_what_holds_them_is_asked_for_them(stage: Stage) -> None:
    """Its list is transitive: whoever owns it cannot make the reading grow with the square of what they nest."""
    inner = add_group(stage, 0)
    for number in range(1, 60):
        inner = add_group(stage, number, inner)
    stage.tenant.directory.groups[PLATFORM].members.append(inner)
    await stage.reset(DEVON, dry_run=True)
    asked = [call.path for call in stage.tenant.calls if "transitiveMembers" in call.path]
    assert len(asked) == 1
    assert PLATFORM in asked[0]


async def test_guard_when_privileged_groups_could_join_each_other_then_both_are_named(stage: Stage) -> None:
    """A circle of two."""
    make_eligible(stage, TIER_0, IDENTITY_OPERATIONS)
    make_eligible(stage, IDENTITY_OPERATIONS, TIER_0)
    stage.tenant.directory.groups[TIER_0].members.append(DEVON)
    texts = [reason.text for reason in (await stage.reset(DEVON)).reasons]
    assert f"The user is a member of the role-assignable group {TIER_0}." in texts
    assert f"The user could become a member of the role-assignable group {IDENTITY_OPERATIONS}." in texts


async def test_guard_when_a_group_leads_to_an_ordinary_one_only_then_nobody_is_refused(stage: Stage) -> None:
    """Being able to join something is no privilege by itself."""
    ordinary = add_group(stage, 1)
    make_eligible(stage, DEVON, ordinary)
    make_eligible(stage, add_group(stage, 2, DEVON), ordinary)
    assert (await stage.reset(DEVON)).status is Status.COMPLETED


async def test_guard_when_an_eligible_group_is_deleted_then_it_leads_nowhere(stage: Stage) -> None:
    """Nobody can join it."""
    make_eligible(stage, "21000000-0000-4000-8000-0000000000ff", TIER_0)
    make_eligible(stage, DEVON, "21000000-0000-4000-8000-0000000000ff")
    assert (await stage.reset(DEVON)).status is Status.COMPLETED


# --- Hidden membership ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["never", "leading"])
async def test_guard_when_membership_of_a_group_that_counts_is_hidden_then_an_operator_has_to_act(
    stage: Stage, where: str
) -> None:
    """An answer that leaves the group out does not say that the user is not in it; with the role it does."""
    group_id = NEVER_RESET if where == "never" else PLATFORM
    stage.tenant.directory.groups[group_id].hidden = True
    user = MORGAN if where == "never" else f"{PEOPLE}34"
    for one in (user, DEVON):
        with pytest.raises(OperatorError) as caught:
            await stage.reset(one)
        assert (caught.value.code, caught.value.missing) == ("membershipHidden", "Member.Read.Hidden")
    stage.tenant.roles.add("Member.Read.Hidden")
    assert (await stage.reset(user)).status is Status.REFUSED
    assert (await stage.reset(DEVON)).status is Status.COMPLETED


async def test_guard_when_a_never_group_is_not_there_then_it_protects_nobody_and_holds_nothing_up(
    stage: Stage,
) -> None:
    """Readiness names it."""
    missing = "21000000-0000-4000-8000-0000000000ff"
    playing = under(stage, policy_with(never={"users": [], "groups": [NEVER_RESET, missing]}))
    assert (await playing.reset(DEVON)).status is Status.COMPLETED
    assert codes(await playing.reset(MORGAN)) == {"neverGroup"}


# --- Between the rounds -----------------------------------------------------------------------------------------


def become(stage: Stage, user: str, what: str) -> None:
    """Make somebody whom the guard protects, or who is gone."""
    directory = stage.tenant.directory
    match what:
        case "role":
            directory.role_assignments.append(RoleAssignment("x", user, GLOBAL_ADMINISTRATOR))
        case "member":
            directory.groups[TIER_0].members.append(user)
        case "never":
            directory.groups[NEVER_RESET].members.append(user)
        case "restricted":
            directory.users[user].properties["isManagementRestricted"] = True


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("role", "privilegedRole"),
        ("member", "roleAssignableGroup"),
        ("never", "neverGroup"),
        ("restricted", "restrictedManagement"),
    ],
)
@pytest.mark.parametrize("look", [1, 2])
async def test_reset_when_the_user_becomes_an_administrator_between_rounds_then_it_goes_no_further(
    stage: Stage, what: str, code: str, look: int
) -> None:
    """What was done is told, what an intruder registers since stays, and the next delivery refuses the rest."""
    user = stage.tenant.directory.users[DEVON]
    before, looks = set(stage.types_of(DEVON)), 0

    async def meanwhile(seconds: float) -> None:
        nonlocal looks
        if seconds < 10:
            return
        looks += 1
        if looks <= look:
            user.methods.append(method("softwareOath", f"intruder-{looks}"))
        if looks == look:
            become(stage, DEVON, what)

    stage.clock.on_sleep = meanwhile
    row = await stage.ledger.accept(request_for(DEVON, stage.clock.now()))
    with pytest.raises(Later) as caught:
        await stage.handle(row)
    assert (caught.value.code, caught.value.at, looks) == (BECAME_PRIVILEGED, stage.clock.now(), look)
    deletes = [call for call in stage.changes() if call.startswith("DELETE")]
    outcome = await stage.handle(row)
    assert (outcome.status, code in codes(outcome)) == (Status.REFUSED, True)
    assert [call for call in stage.changes() if call.startswith("DELETE")] == deletes
    assert f"intruder-{look}" in {each.id for each in user.methods}
    assert {line.type for line in outcome.methods if line.result == "deleted"} <= before | {"softwareOath"}
    assert len(deletes) == sum(line.result == "deleted" for line in outcome.methods) > 0


async def test_recheck_when_the_user_is_gone_then_not_found(stage: Stage) -> None:
    """Nobody is judged by what was read of them before."""
    guard = Guard(stage.policy, stage.policy.profiles[ProfileName("reregister")])
    recheck = Recheck(stage.directory, stage.clock, guard)
    left = (PlannedRemoval(Method(MethodType.PHONE, "#x", MethodId("1")), Removal.DELETE),)
    nobody = UserId("10000000-0000-4000-8000-0000000000ff")
    await recheck.before_round(1, nobody, left)
    await recheck.before_round(2, nobody, ())
    with pytest.raises(NotFoundError):
        await recheck.before_round(2, nobody, left)


# --- What becomes of the request --------------------------------------------------------------------------------


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a door of its own to each test."""
    async with open_door(tmp_path) as door:
        yield door


async def test_request_when_privilege_cannot_be_read_whole_then_it_goes_on_later_and_an_operator_is_told(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """One owner list that fails defers everybody; nobody is reset meanwhile, and the next one goes through."""
    door.stage.tenant.add_fault(Fault(path=f"{PLATFORM}/owners", status=500, times=None))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "mfa_reset"]
    alerts = [(each["event"], each["requestId"], each["code"]) for each in lines if each.get("alert")]
    assert alerts == [("operatorNeeded", "INC-1", "privilegeUnknown")]
    assert (door.told(), door.stage.changes()) == ([], [])
    door.stage.tenant.clear_faults()
    ((key, _),) = door.resumes()
    await door.go_on(key)
    assert [each["status"] for each in door.told()] == ["completed"]


async def test_request_when_its_user_became_an_administrator_then_the_resume_refuses_it_with_the_steps_instead(
    door: Door,
) -> None:
    """At once: what was done is told, what an intruder registered since is named as remaining."""
    stage, user = door.stage, door.stage.tenant.directory.users[DEVON]

    async def meanwhile(seconds: float) -> None:
        if seconds >= 10 and not stage.tenant.directory.groups[TIER_0].members:
            user.methods.append(method("softwareOath", "intruder"))
            become(stage, DEVON, "member")

    stage.clock.on_sleep = meanwhile
    await door.receive({"requestId": "INC-1", "user": DEVON})
    assert door.told() == []
    ((key, at),) = door.resumes()
    assert at <= stage.clock.now()
    await door.go_on(key)
    (told,) = door.told()
    assert told["status"] == "refused"
    assert {reason["code"] for reason in told["reasons"]} >= {"roleAssignableGroup", "methodRemaining"}
    results = {line["id"]: line["result"] for line in told["methods"]}
    assert results.pop("intruder") == "remaining"
    assert set(results.values()) == {"deleted"}
    assert [(line["step"], line["result"]) for line in told["steps"]] == [("revokeSessions", "done")]
