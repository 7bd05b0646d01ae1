"""The story of one request, against the sandbox tenant."""

from contextlib import suppress
from datetime import timedelta

import pytest

from sandbox.tenant import Fault, RoleAssignment
from shared.errors import ClaimHeldError, Later, NotPermittedError, OperatorError
from shared.model import Outcome, Selection
from shared.vocabulary import FUNCTION_KEY, MethodResult, Status, StepResult, UserId
from tests.service.stage import (
    AVERY,
    BLAIR,
    BREAK_GLASS,
    CASEY,
    DEVON,
    EMERY_SID,
    FINLEY,
    HARPER,
    MORGAN,
    NOEL,
    OAKLEY,
    PARKER,
    REESE,
    VAL,
    Stage,
    policy_with,
    request_for,
    under,
)

SESSIONS = "revokeSignInSessions"


def results(outcome: Outcome) -> dict[str, list[str]]:
    """Gather the results of an outcome's methods by type."""
    gathered: dict[str, list[str]] = {}
    for line in outcome.methods:
        gathered.setdefault(line.type, []).append(str(line.result))
    return gathered


def codes(outcome: Outcome) -> set[str]:
    """Gather the codes of an outcome's reasons."""
    return {reason.code for reason in outcome.reasons}


async def test_reset_of_an_everyday_user_does_what_the_portals_button_does(stage: Stage) -> None:
    """Phones, Authenticator and software OATH go, hardware OATH is deactivated, the rest is kept and named."""
    outcome = await stage.reset(BLAIR)
    assert outcome.status is Status.COMPLETED
    assert outcome.verified
    assert outcome.user_principal_name == "blair.everett@contoso.example"
    assert results(outcome) == {
        "phone": ["deleted"] * 3,
        "microsoftAuthenticator": ["deleted"] * 2,
        "softwareOath": ["deleted"],
        "hardwareOath": ["deactivated"],
        "email": ["kept"],
        "fido2": ["kept"],
        "windowsHelloForBusiness": ["kept"],
        "platformCredential": ["kept"],
        "temporaryAccessPass": ["kept"],
        "external": ["kept"],
        "qrCodePin": ["kept"],
    }


async def test_reset_of_everything_leaves_nothing(stage: Stage) -> None:
    """Every type goes, hardware OATH is unassigned, the account is disabled first and sessions are revoked twice."""
    outcome = await stage.reset(BLAIR, profile="compromised")
    assert outcome.status is Status.COMPLETED
    assert stage.types_of(BLAIR) == []
    assert {str(line.result) for line in outcome.methods} == {"deleted"}
    changes = stage.changes()
    assert changes[0] == f"PATCH /v1.0/users/{BLAIR}"
    assert [SESSIONS in change for change in changes].index(True) == 1
    assert SESSIONS in changes[-1]
    assert {step.step: step.result for step in outcome.steps} == {
        "disableAccount": StepResult.DONE,
        "revokeSessions": StepResult.DONE,
    }
    assert {follow_up.code for follow_up in outcome.follow_ups} == {
        "appPasswords",
        "accountDisabled",
        "registeredDevices",
        "inboxRules",
        "oauthGrants",
    }


async def test_reset_with_an_accepted_window_says_that_registration_is_open(stage: Stage) -> None:
    """Where nothing keeps whoever knows the password from registering first, the outcome says so."""
    outcome = await stage.reset(DEVON)
    assert {follow_up.code for follow_up in outcome.follow_ups} == {"appPasswords", "registrationOpen", "homeTenant"}


async def test_reset_writes_evidence_before_the_first_change(stage: Stage) -> None:
    """What was found is in the ledger when the first change fails."""
    stage.tenant.add_fault(Fault(method="PATCH", path=f"users/{DEVON}", status=500, times=None))
    row = await stage.ledger.accept(request_for(DEVON, stage.clock.now(), profile="compromised"))
    with pytest.raises(Exception, match="not working properly"):
        await stage.handle(row)
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    assert kept.evidence is not None
    assert sorted(line.type for line in kept.evidence.methods) == ["microsoftAuthenticator", "phone"]
    assert all(line.result is None for line in kept.evidence.methods)
    assert stage.types_of(DEVON) == ["microsoftAuthenticator", "phone"]


async def test_reset_of_a_user_with_only_a_password_revokes_and_is_completed(stage: Stage) -> None:
    """Nothing to remove is no failure: sessions are revoked once and the listing proves it."""
    outcome = await stage.reset(CASEY)
    assert outcome.status is Status.COMPLETED
    assert outcome.methods == ()
    assert len(stage.changes()) == 1


async def test_reset_of_a_user_of_an_unknown_type_is_partial(stage: Stage) -> None:
    """A type that is not in the catalogue is named and never touched; in a full scope it is not verified either."""
    outcome = await stage.reset(PARKER)
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, True)
    assert codes(outcome) == {"unsupportedMethod"}
    assert stage.types_of(PARKER) == ["x509Something"]
    full = await stage.reset(PARKER, profile="compromised")
    assert (full.status, full.verified) == (Status.PARTIAL, False)


async def test_reset_of_45_windows_hello_keys_removes_each_once(stage: Stage) -> None:
    """Dozens of keys are deleted one after another."""
    outcome = await stage.reset(NOEL, profile="compromised")
    assert outcome.status is Status.COMPLETED
    assert len(outcome.methods) == 46
    deletes = [change for change in stage.changes() if change.startswith("DELETE")]
    assert len(set(deletes)) == len(deletes) == 46


@pytest.mark.parametrize("page_size", [1, 2])
async def test_reset_reads_every_page_of_everything(stage: Stage, page_size: int) -> None:
    """Neither a method nor a group on a later page is overlooked, nor one behind an empty first page."""
    stage.tenant.page_size = page_size
    stage.tenant.empty_first_page = True
    assert (await stage.reset(BLAIR, profile="compromised")).status is Status.COMPLETED
    assert stage.types_of(BLAIR) == []
    assert "neverGroup" in codes(await stage.reset(MORGAN))


async def test_reset_names_a_user_by_name_or_sid(stage: Stage) -> None:
    """A guest's name, one with an apostrophe and a security identifier all find their user."""
    for user in ("devon.laine_northwind.example#EXT#@contoso.example", "rory.o'brien@contoso.example", EMERY_SID):
        outcome = await stage.reset(user)
        assert outcome.status is Status.COMPLETED, user


@pytest.mark.parametrize("user", ["nobody@contoso.example", "99999999-0000-4000-8000-000000000000", "s-1-5-21-1-2-3-4"])
async def test_reset_of_nobody_is_invalid(stage: Stage, user: str) -> None:
    """An identifier that finds nobody is told at the path of the user."""
    outcome = await stage.reset(user)
    assert outcome.status is Status.INVALID
    assert codes(outcome) == {"unknownUser"}
    assert outcome.reasons[0].text.startswith("user: ")


async def test_reset_of_a_sid_that_two_users_have_is_invalid(stage: Stage) -> None:
    """Nothing is guessed."""
    users = stage.tenant.directory.users
    users[AVERY].properties["onPremisesSecurityIdentifier"] = EMERY_SID
    assert codes(await stage.reset(EMERY_SID)) == {"ambiguousUser"}
    assert stage.changes() == []


# --- The guard --------------------------------------------------------------------------------------------------


async def test_guard_never_touches_the_break_glass_account(stage: Stage) -> None:
    """Every reason is collected, and nothing is changed: not even the steps for administrators."""
    outcome = await stage.reset(BREAK_GLASS)
    assert outcome.status is Status.REFUSED
    assert codes(outcome) == {"neverUser", "neverGroup", "privilegedRole"}
    assert stage.changes() == []


async def test_guard_refuses_a_transitive_member_of_a_never_group(stage: Stage) -> None:
    """A group inside the group counts."""
    assert codes(await stage.reset(MORGAN)) == {"neverGroup"}
    assert stage.changes() == []


async def test_guard_refuses_an_administrator_and_revokes_sessions_instead(stage: Stage) -> None:
    """A direct holder of a directory role keeps every method."""
    outcome = await stage.reset(FINLEY, profile="compromised")
    assert (outcome.status, codes(outcome)) == (Status.REFUSED, {"privilegedRole"})
    assert [step.step for step in outcome.steps] == ["revokeSessions"]
    assert stage.changes() == [f"POST /v1.0/users/{FINLEY}/{SESSIONS}"]


async def test_guard_refuses_an_administrator_through_nested_groups(stage: Stage) -> None:
    """A role given to a group counts for whoever is in it, however deep."""
    outcome = await stage.reset(HARPER)
    assert codes(outcome) == {"privilegedRole", "roleAssignableGroup"}
    assert any("through group" in reason.text for reason in outcome.reasons)


async def test_guard_of_listed_roles_lets_others_pass(stage: Stage) -> None:
    """A policy may name the roles that count."""
    reader = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b"
    stage.tenant.directory.role_assignments.append(RoleAssignment("a", DEVON, reader))
    listed = {"roles": ["62e90394-69f5-4237-9190-012177145e10"], "instead": []}
    assert (await stage.reset(DEVON)).status is Status.REFUSED
    narrow = under(stage, policy_with(privileged=listed))
    assert (await narrow.reset(DEVON)).status is Status.COMPLETED
    assert (await narrow.reset(FINLEY)).status is Status.REFUSED


async def test_guard_refuses_guests_where_the_policy_does(stage: Stage) -> None:
    """A guest is known by type and by name."""
    refusing = under(stage, policy_with(guests="refuse"))
    assert codes(await refusing.reset(DEVON)) == {"guest"}
    stage.tenant.directory.users[DEVON].properties["userType"] = None
    assert codes(await refusing.reset(DEVON)) == {"guest"}


async def test_guard_refuses_a_caller_without_the_profile(stage: Stage) -> None:
    """A caller gets what the policy names for them only, and learns nothing of anybody: the directory is not asked."""
    for user in (FINLEY, "nobody@contoso.example"):
        outcome = await stage.reset(user, profile="compromised", caller=FUNCTION_KEY)
        assert (outcome.status, codes(outcome)) == (Status.REFUSED, {"callerMayNotAsk"})
        assert (outcome.user_id, outcome.user_principal_name) == (None, None)
    assert list(stage.tenant.calls) == []


async def test_guard_waits_for_an_operator_when_a_group_of_the_policy_cannot_be_read(stage: Stage) -> None:
    """A group of which only the id is shown is not a pass where it counts, and nothing where it does not."""
    works_council = "20000000-0000-4000-8000-000000000007"
    stage.tenant.directory.groups[works_council].members.append(CASEY)
    naming = under(stage, policy_with(never={"users": [], "groups": [works_council]}))
    with pytest.raises(OperatorError) as raised:
        await naming.reset(CASEY)
    assert (raised.value.code, raised.value.missing) == ("groupUnreadable", "GroupMember.Read.All")
    assert stage.changes() == []
    assert (await stage.reset(CASEY)).status is Status.COMPLETED


@pytest.mark.parametrize(
    "role", ["User.Read.All", "GroupMember.Read", "RoleManagement.Read.Directory", "PrivilegedEligibilitySchedule"]
)
async def test_guard_lets_nobody_pass_when_a_right_is_missing(stage: Stage, role: str) -> None:
    """What our identity may not read is unknown, and unknown is not a pass."""
    stage.tenant.roles = {held for held in stage.tenant.roles if not held.startswith(role)}
    with pytest.raises(NotPermittedError) as raised:
        await stage.reset(DEVON)
    assert (raised.value.missing or "").startswith(role)
    assert stage.changes() == []


async def test_dry_run_changes_nothing_and_says_what_it_would_do(stage: Stage) -> None:
    """The plan stands in methods and steps, in order."""
    outcome = await stage.reset(REESE, dry_run=True)
    assert (outcome.status, outcome.dry_run, outcome.verified) == (Status.PLANNED, True, False)
    assert [(line.type, line.result) for line in outcome.methods] == [
        ("hardwareOath", "wouldDeactivate"),
        ("phone", "wouldDelete"),
    ]
    assert [(line.step, line.result) for line in outcome.steps] == [("revokeSessions", "wouldDo")]
    assert outcome.reasons == ()
    assert stage.changes() == []


@pytest.mark.parametrize("how", ["asked for", "observing"])
async def test_dry_run_of_a_user_whose_token_is_inactive_already_changes_nothing(stage: Stage, how: str) -> None:
    """What is so already is nothing that we did: it does not count as a reset that has begun."""
    (token,) = [one for one in stage.tenant.directory.users[BLAIR].registered if one.type == "hardwareOath"]
    token.properties["device"]["status"] = "assigned"
    playing = under(stage, policy_with(mode="observe")) if how == "observing" else stage
    outcome = await playing.reset(BLAIR, dry_run=how == "asked for")
    assert (outcome.status, stage.changes()) == (Status.PLANNED, [])
    assert results(outcome)["hardwareOath"] == ["kept"]


async def test_observe_mode_makes_every_request_a_dry_run(stage: Stage) -> None:
    """A protected user is refused with all reasons, and nothing is done instead."""
    observing = under(stage, policy_with(mode="observe"))
    assert (await observing.reset(DEVON)).status is Status.PLANNED
    refused = await observing.reset(FINLEY)
    assert (refused.status, refused.dry_run) == (Status.REFUSED, True)
    assert [(line.step, line.result) for line in refused.steps] == [("revokeSessions", StepResult.WOULD_DO)]
    assert [reason.code for reason in refused.reasons] == ["privilegedRole"]
    assert stage.changes() == []


# --- Scope ------------------------------------------------------------------------------------------------------


async def test_reset_of_a_list_removes_these_types_only(stage: Stage) -> None:
    """A default method in scope goes although others stay: one of those becomes the default."""
    outcome = await stage.reset(VAL, profile="phones")
    assert outcome.status in {Status.COMPLETED, Status.PARTIAL}
    assert "external" in stage.types_of(VAL)
    stage.tenant.directory.users[DEVON].default_method = "sms"
    outcome = await stage.reset(DEVON, profile="phones")
    assert (outcome.status, outcome.steps) == (Status.COMPLETED, ())
    assert stage.types_of(DEVON) == ["microsoftAuthenticator"]


async def test_selection_keeps_what_it_names(stage: Stage) -> None:
    """Types, ids and what was registered before a time stay, and that is completed."""
    kept = Selection(keep=("email", "id:_-2Kx7Qm0sTz9vRb4LwYpA2"))
    outcome = await stage.reset(BLAIR, profile="some", selection=kept)
    assert outcome.status is Status.COMPLETED
    assert stage.types_of(BLAIR) == ["email", "fido2"]


async def test_selection_that_keeps_the_undated_is_partial(stage: Stage) -> None:
    """What has no date of registration and was kept for that is an open thing."""
    recent = Selection(only_registered_after=stage.clock.now() - timedelta(days=2), keep_undated=True)
    outcome = await stage.reset(BLAIR, profile="some", selection=recent)
    assert outcome.status is Status.PARTIAL
    assert codes(outcome) == {"undatedKept"}
    assert "temporaryAccessPass" not in stage.types_of(BLAIR)


async def test_selection_in_a_profile_that_is_not_selective_is_refused(stage: Stage) -> None:
    """Nothing is quietly left out."""
    outcome = await stage.reset(DEVON, selection=Selection(keep=("phone",)))
    assert codes(outcome) == {"notSelective"}


async def test_profile_without_methods_only_takes_its_steps(stage: Stage) -> None:
    """Sessions can be revoked alone."""
    outcome = await stage.reset(DEVON, profile="revoke")
    assert (outcome.status, outcome.verified) == (Status.COMPLETED, True)
    assert stage.types_of(DEVON) == ["microsoftAuthenticator", "phone"]


async def test_profile_without_revocation_is_verified_by_the_listing(stage: Stage) -> None:
    """Where no step revokes sessions, none is looked for."""
    outcome = await stage.reset(OAKLEY, profile="phones")
    assert (outcome.status, outcome.verified, outcome.steps) == (Status.COMPLETED, True, ())


# --- The claim --------------------------------------------------------------------------------------------------


async def test_claim_held_by_another_worker_is_waited_for_and_then_left(stage: Stage) -> None:
    """After 20 s the request goes on later, and nothing was read or changed."""
    async with stage.ledger.claim(UserId(DEVON)):
        with pytest.raises(ClaimHeldError) as raised:
            await stage.reset(DEVON)
    assert not raised.value.counts
    assert stage.changes() == []
    row = await stage.ledger.accept(request_for(DEVON, stage.clock.now()))
    assert (await stage.handle(row)).status is Status.COMPLETED


async def test_deadline_near_goes_on_later_where_it_stopped(stage: Stage) -> None:
    """The rest of a large user is done in the next delivery, and nothing twice."""
    stage.tenant.add_fault(Fault(method="DELETE", delay_seconds=20, times=None))
    row = await stage.ledger.accept(request_for(NOEL, stage.clock.now(), profile="compromised"))
    with pytest.raises(Later) as raised:
        await stage.handle(row)
    assert (raised.value.code, raised.value.counts) == ("deadline", False)
    for _ in range(10):
        with suppress(Later):
            outcome = await stage.handle(await stage.ledger.read(row.key) or row)
            break
    assert (outcome.status, len(outcome.methods)) == (Status.COMPLETED, 46)
    assert {line.result for line in outcome.methods} == {MethodResult.DELETED}
    deletes = [change for change in stage.changes() if change.startswith("DELETE")]
    assert len(set(deletes)) == len(deletes) == 46


async def test_profile_that_a_new_policy_has_no_more_is_invalid(stage: Stage) -> None:
    """A request that waited over a change of the policy ends as an outcome, not in the dead-letter queue."""
    row = await stage.ledger.accept(request_for(DEVON, stage.clock.now(), profile="gone"))
    assert codes(await stage.handle(row)) == {"unknownProfile"}
    assert stage.tenant.calls == []
