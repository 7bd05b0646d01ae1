"""Every step against the sandbox tenant: done, refused, left out, failed for now, and never twice where it must not."""

import asyncio
import itertools
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sandbox.tenant import Fault, RoleAssignment, method
from sandbox.vault import Silence
from shared.errors import ClaimLostError, NoAnswerError, OperatorError, ThrottledError, UnavailableError
from shared.ledger.tables import CALL_SECONDS
from shared.model import AcceptedRequest, Evidence, Outcome, PlannedStep, ReferenceKind, UserReference
from shared.passes import FINISH_SECONDS
from shared.permissions import STEP_NEEDS
from shared.policy import Policy, parse_policy
from shared.reception import LONGEST_SECONDS, WORK_SECONDS
from shared.service import make_service
from shared.steps import StepTaker, make_password
from shared.vault import KeyVault
from shared.vocabulary import AFTER_VERIFYING, Mark, MethodResult, Status, Step, StepName, StepResult, UserId
from tests.service.stage import (
    BLAIR,
    CASEY,
    DEVON,
    FINLEY,
    OAKLEY,
    Stage,
    TenantCredential,
    asked_again,
    request_for,
    under,
)

GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
NAMED = "aaaaaaaa-0000-4000-8000-00000000000a"
CONTAINED = "20000000-0000-4000-8000-000000000008"
ALL_STEPS = (
    "disableAccount",
    "revokeSessions",
    "confirmCompromised",
    f"containmentGroup:{CONTAINED}",
    "resetPassword",
    "perUserMfa:enforced",
    "temporaryAccessPass",
    "enableAccount",
)
# What each step's call looks like in the tenant's log.
MARKS = {
    StepName.DISABLE_ACCOUNT: "PATCH /v1.0/users/",
    StepName.REVOKE_SESSIONS: "revokeSignInSessions",
    StepName.CONFIRM_COMPROMISED: "confirmCompromised",
    StepName.CONTAINMENT_GROUP: "/members/",
    StepName.RESET_PASSWORD: "PATCH /v1.0/users/",
    StepName.PER_USER_MFA: "authentication/requirements",
    StepName.TEMPORARY_ACCESS_PASS: "authentication/temporaryAccessPassMethods",
    StepName.ENABLE_ACCOUNT: "PATCH /v1.0/users/",
}


def policy_of(*steps: str, methods: Any = "all", **more: Any) -> Policy:  # noqa: ANN401 - JSON
    """Build a policy of one profile, which a named caller may ask for."""
    profile = {"methods": methods, "steps": list(steps), "registrationWindow": "accepted", "selective": True}
    return parse_policy(json.dumps({"profiles": {"p": profile}, "callers": {NAMED: ["p"]}, **more}))


async def reset(stage: Stage, user: str, *steps: str, methods: Any = "all", **more: Any) -> Outcome:  # noqa: ANN401 - JSON
    """Reset a user by these steps."""
    playing = under(stage, policy_of(*steps, methods=methods))
    return await playing.reset(user, profile="p", caller=NAMED, **more)


async def accept(stage: Stage, user: str) -> AcceptedRequest:
    """Accept a request for the profile of these tests."""
    return await stage.ledger.accept(request_for(user, stage.clock.now(), profile="p", caller=NAMED))


async def resume(stage: Stage, row: AcceptedRequest) -> Outcome:
    """Go on with a row as the ledger has it."""
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    return await stage.handle(kept)


def step_of(outcome: Outcome, name: StepName) -> tuple[StepResult, str | None]:
    """Return what became of a step."""
    (line,) = [line for line in outcome.steps if line.step.partition(":")[0] == name]
    return line.result, line.detail


# --- Done -------------------------------------------------------------------------------------------------------


async def test_steps_when_all_are_asked_for_then_all_are_done_in_the_safe_order(stage: Stage) -> None:
    """Disable, revoke, confirm, contain, password, methods, revoke, list, per-user MFA, pass, enable."""
    outcome = await reset(stage, BLAIR, *reversed(ALL_STEPS))
    assert (outcome.status, outcome.verified, outcome.reasons) == (Status.COMPLETED, True, ())
    assert {line.result for line in outcome.steps} == {StepResult.DONE}
    changes = stage.changes()
    deletes = [place for place, change in enumerate(changes) if change.startswith("DELETE")]
    others = [change for change in changes if not change.startswith("DELETE") and "signInPreferences" not in change]
    expected = [*list(StepName)[:5], StepName.REVOKE_SESSIONS, *list(StepName)[5:]]
    assert [MARKS[name] in change for name, change in zip(expected, others, strict=True)] == [True] * len(expected)
    assert changes.index(next(change for change in changes if "/members/" in change)) < min(deletes)
    assert max(deletes) < changes.index(next(change for change in changes if "requirements" in change))
    user = stage.tenant.directory.users[BLAIR]
    assert user.confirmed_compromised
    assert user.per_user_mfa_state == "enforced"
    assert user.properties["accountEnabled"] is True
    assert BLAIR in stage.tenant.directory.groups[CONTAINED].members
    assert stage.types_of(BLAIR) == ["temporaryAccessPass"]


@pytest.mark.parametrize("step", ALL_STEPS[:-1])
async def test_step_when_alone_then_done_and_the_outcome_completed(stage: Stage, step: str) -> None:
    """Each step works without the others."""
    outcome = await reset(stage, CASEY, step, methods="none")
    assert (outcome.status, [(line.step, line.result) for line in outcome.steps]) == (
        Status.COMPLETED,
        [(step, StepResult.DONE)],
    )


async def test_password_when_reset_then_long_random_and_to_be_changed(stage: Stage) -> None:
    """Nobody is told it, and every user gets another."""
    await reset(stage, CASEY, "resetPassword", methods="none")
    await reset(stage, BLAIR, "resetPassword", methods="none")
    profiles = [stage.tenant.directory.users[each].password_profile or {} for each in (CASEY, BLAIR)]
    assert all(profile["forceChangePasswordNextSignIn"] is True for profile in profiles)
    assert all(len(profile["password"]) >= 24 for profile in profiles)
    assert profiles[0]["password"] != profiles[1]["password"]


def test_password_when_made_then_it_has_some_of_each_kind() -> None:
    """Whatever a policy asks for is in it."""
    made = {make_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        assert any(each.islower() for each in password)
        assert any(each.isupper() for each in password)
        assert any(each.isdigit() for each in password)
        assert any(not each.isalnum() for each in password)


# --- Not permitted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ALL_STEPS)
async def test_step_when_our_identity_may_not_do_it_then_the_role_is_named_and_the_others_go_on(
    stage: Stage, step: str
) -> None:
    """One missing right is one line; methods are removed all the same, and nobody is let in."""
    name = StepName(step.partition(":")[0])
    roles = {need.role for need in STEP_NEEDS[name]} - {"User.Read.All"}
    stage.tenant.roles -= roles | {"UserAuthenticationMethod.ReadWrite.All"}
    steps = {"disableAccount", step} if name is StepName.ENABLE_ACCOUNT else {step}
    outcome = await reset(stage, BLAIR, *sorted(steps | {"revokeSessions"}), methods=["email"])
    assert (outcome.status, "email" in stage.types_of(BLAIR)) == (Status.PARTIAL, False)
    if name is StepName.ENABLE_ACCOUNT:
        assert step_of(outcome, name) == (StepResult.SKIPPED, "stepsOpen")
        return
    (role,) = roles
    assert step_of(outcome, name) == (StepResult.NOT_PERMITTED, f"missing app role {role}")
    assert f"{step} could not be done: missing app role {role}." in [reason.text for reason in outcome.reasons]
    if name is not StepName.REVOKE_SESSIONS:
        assert step_of(outcome, StepName.REVOKE_SESSIONS)[0] is StepResult.DONE


async def test_password_when_only_the_directory_role_is_missing_then_that_is_named(stage: Stage) -> None:
    """The token holds the app role, so that is not what is missing (graph.md 4)."""
    stage.tenant.caller_directory_roles.clear()
    outcome = await reset(stage, CASEY, "resetPassword", methods="none")
    result, detail = step_of(outcome, StepName.RESET_PASSWORD)
    assert result is StepResult.NOT_PERMITTED
    assert (detail or "").startswith("needs the directory role User Administrator")


async def test_listing_when_nothing_in_scope_may_be_listed_then_an_operator_is_needed(stage: Stage) -> None:
    """What cannot even be seen is not gone; a profile that removes nothing does not need to see it."""
    stage.tenant.roles = {role for role in stage.tenant.roles if not role.startswith("UserAuth")}
    with pytest.raises(OperatorError) as raised:
        await reset(stage, BLAIR, "revokeSessions", methods=["phone", "email"])
    missing = "UserAuthMethod-Phone.ReadWrite.All, UserAuthMethod-Email.ReadWrite.All"
    assert (raised.value.code, raised.value.missing) == ("listingNotPermitted", missing)
    assert (await reset(stage, BLAIR, "revokeSessions", methods="none")).status is Status.COMPLETED


async def test_listing_when_one_type_in_scope_may_not_be_listed_then_it_is_named_and_the_others_go(
    stage: Stage,
) -> None:
    """Whether there is one stays unknown, so the reset is not verified."""
    narrow = {role for role in stage.tenant.roles if not role.startswith("UserAuthenticationMethod.")}
    stage.tenant.roles = narrow - {"UserAuthMethod-Phone.ReadWrite.All"}
    outcome = await reset(stage, BLAIR, "revokeSessions", methods=["phone", "email"])
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, False)
    missing = "missing app role UserAuthMethod-Phone.ReadWrite.All"
    assert [(line.id, line.error) for line in outcome.methods if line.result is MethodResult.NOT_PERMITTED] == [
        ("*", missing)
    ]
    assert f"phone could not be listed: {missing}." in [reason.text for reason in outcome.reasons]
    assert "unknownTypesNotListed" in {each.code for each in outcome.follow_ups}
    assert "email" not in stage.types_of(BLAIR)


async def test_reset_with_the_narrow_roles_alone_is_completed(stage: Stage) -> None:
    """Least privilege does the whole job, where no default method stands in the way."""
    stage.tenant.roles = {role for role in stage.tenant.roles if not role.startswith("UserAuthenticationMethod.")}
    outcome = await reset(stage, BLAIR, *ALL_STEPS)
    assert (outcome.status, outcome.verified) == (Status.COMPLETED, True)
    assert stage.types_of(BLAIR) == ["temporaryAccessPass"]
    assert "unknownTypesNotListed" in {each.code for each in outcome.follow_ups}


async def test_step_when_closing_the_window_fails_then_registration_is_open(stage: Stage) -> None:
    """A disabled account would have kept others from registering first."""
    stage.tenant.roles.discard("User.EnableDisableAccount.All")
    outcome = await reset(stage, BLAIR, "disableAccount", "revokeSessions")
    assert "registrationOpen" in {each.code for each in outcome.follow_ups}
    assert "accountDisabled" not in {each.code for each in outcome.follow_ups}
    closed = await reset(stage, OAKLEY, "resetPassword", "revokeSessions")
    assert "registrationOpen" not in {each.code for each in closed.follow_ups}


# --- Failed for good, and for now -------------------------------------------------------------------------------


async def test_confirmation_when_the_tenant_has_no_licence_then_it_failed_and_the_rest_is_done(stage: Stage) -> None:
    """Trying again buys no licence."""
    stage.tenant.premium = False
    outcome = await reset(stage, BLAIR, "confirmCompromised", "revokeSessions")
    assert outcome.status is Status.PARTIAL
    assert step_of(outcome, StepName.CONFIRM_COMPROMISED) == (StepResult.FAILED, "Forbidden")
    assert stage.types_of(BLAIR) == []


async def test_containment_when_there_is_no_such_group_then_it_failed(stage: Stage) -> None:
    """The policy names a group that the tenant has not."""
    del stage.tenant.directory.groups[CONTAINED]
    playing = under(stage, policy_of(f"containmentGroup:{CONTAINED}", methods="none"))
    outcome = await playing.reset(CASEY, profile="p", caller=NAMED)
    assert step_of(outcome, StepName.CONTAINMENT_GROUP) == (StepResult.FAILED, "Request_ResourceNotFound")


async def test_containment_when_the_user_is_a_member_already_then_it_is_done(stage: Stage) -> None:
    """Whatever Graph calls that."""
    await reset(stage, CASEY, f"containmentGroup:{CONTAINED}", methods="none")
    again = await reset(stage, CASEY, f"containmentGroup:{CONTAINED}", methods="none")
    assert (again.status, stage.tenant.directory.groups[CONTAINED].members) == (Status.COMPLETED, [CASEY])


async def test_containment_when_it_is_refused_then_it_failed(stage: Stage) -> None:
    """A refusal of somebody who is no member stays one."""
    stage.tenant.add_fault(Fault(method="POST", path="/members/", status=400, code="nope", times=None))
    outcome = await reset(stage, CASEY, f"containmentGroup:{CONTAINED}", methods="none")
    assert step_of(outcome, StepName.CONTAINMENT_GROUP) == (StepResult.FAILED, "nope")


async def test_confirmations_when_many_at_once_then_one_a_second(stage: Stage) -> None:
    """Identity protection says nothing of how long to wait, so we keep its pace ourselves."""
    await reset(stage, CASEY, "confirmCompromised", methods="none")
    for user in (BLAIR, DEVON):
        await reset(stage, user, "confirmCompromised", methods="none")
    statuses = [call.status for call in stage.tenant.calls if "confirmCompromised" in call.path]
    assert statuses == [204, 204, 204]


async def test_confirmation_when_too_many_wait_then_it_comes_later(stage: Stage) -> None:
    """Past 20 s of waiting the request goes on later, and the methods are gone already."""
    while stage.directory._pace.reserve() is not None:
        pass  # twenty-one others are waiting for their turn
    playing = under(stage, policy_of("disableAccount", "confirmCompromised"))
    row = await accept(playing, BLAIR)
    with pytest.raises(ThrottledError) as raised:
        await playing.handle(row)
    assert (raised.value.code, stage.types_of(BLAIR)) == ("manyConfirmations", [])
    stage.clock.advance(60)
    assert (await resume(playing, row)).status is Status.COMPLETED


@pytest.mark.parametrize("step", ["revokeSessions", "confirmCompromised"])
async def test_step_when_it_fails_for_now_then_the_methods_go_and_it_is_tried_again_later(
    stage: Stage, step: str
) -> None:
    """A service that is down keeps no way in open."""
    playing = under(stage, policy_of("disableAccount", step))
    stage.tenant.add_fault(Fault(method="POST", path=MARKS[StepName(step)], status=503, times=None))
    row = await accept(playing, BLAIR)
    with pytest.raises(UnavailableError):
        await playing.handle(row)
    assert stage.types_of(BLAIR) == []
    stage.tenant.clear_faults()
    outcome = await resume(playing, row)
    assert (outcome.status, step_of(outcome, StepName(step))[0]) == (Status.COMPLETED, StepResult.DONE)


@pytest.mark.parametrize("step", ["disableAccount", "resetPassword", f"containmentGroup:{CONTAINED}"])
async def test_step_that_closes_the_window_when_it_fails_for_now_then_the_methods_wait(stage: Stage, step: str) -> None:
    """The safe order is kept; what opens no window is done all the same."""
    playing = under(stage, policy_of(step, "revokeSessions"))
    mark = MARKS[StepName(step.partition(":")[0])].removeprefix("PATCH /v1.0/")
    verb = "POST" if "group" in step.lower() else "PATCH"
    stage.tenant.add_fault(Fault(method=verb, path=mark, status=429, times=None))
    row = await accept(playing, BLAIR)
    with pytest.raises(ThrottledError):
        await playing.handle(row)
    assert len(stage.types_of(BLAIR)) > 10
    assert [change for change in stage.changes() if "revokeSignInSessions" in change]
    stage.tenant.clear_faults()
    assert (await resume(playing, row)).status is Status.COMPLETED


@pytest.mark.parametrize("step", ["perUserMfa:enabled", "enableAccount"])
async def test_step_after_the_methods_when_it_fails_for_now_then_only_it_is_tried_again(
    stage: Stage, step: str
) -> None:
    """What is done is not done twice."""
    playing = under(stage, policy_of("disableAccount", "resetPassword", step))
    fault = Fault(method="PATCH", path="requirements" if "Mfa" in step else BLAIR, status=503, times=None)
    row = await accept(playing, BLAIR)
    passed = itertools.count()

    async def put_in_force(_: float) -> None:
        if next(passed) == 0:
            stage.tenant.add_fault(fault)

    stage.clock.on_sleep = put_in_force
    with pytest.raises(UnavailableError):
        await playing.handle(row)
    stage.clock.on_sleep = None
    stage.tenant.clear_faults()
    before = len(stage.changes())
    outcome = await resume(playing, row)
    assert outcome.status is Status.COMPLETED
    assert len(stage.changes()) == before + 1


# --- Left out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "changes", "detail", "follow_up"),
    [
        (CASEY, {"onPremisesSyncEnabled": True}, "onPremisesPassword", "onPremisesPassword"),
        (CASEY, {"userPrincipalName": "casey@fabrikam.example"}, "federatedPassword", "federatedSignIn"),
        (DEVON, {}, "homeTenantPassword", "homeTenant"),
    ],
)
async def test_password_when_it_is_kept_elsewhere_then_left_out_and_the_place_is_named(
    stage: Stage, user: str, changes: dict[str, Any], detail: str, follow_up: str
) -> None:
    """Nothing is sent to Graph, which could not do it; the window stays open, and a person has to act."""
    stage.tenant.directory.users[user].properties.update(changes)
    outcome = await reset(stage, user, "resetPassword", methods=["phone"])
    assert step_of(outcome, StepName.RESET_PASSWORD) == (StepResult.SKIPPED, detail)
    assert {follow_up, "registrationOpen"} <= {each.code for each in outcome.follow_ups}
    assert [reason.code for reason in outcome.reasons] == ["stepSkipped"]
    assert stage.tenant.directory.users[user].password_profile is None


async def test_password_when_the_domain_cannot_be_read_then_graph_decides_and_the_doubt_is_named(stage: Stage) -> None:
    """Unknown is not `managed`, and not `federated` either."""
    stage.tenant.add_fault(Fault(method="GET", path="/domains/", status=403, times=None))
    outcome = await reset(stage, CASEY, "resetPassword", methods="none")
    assert step_of(outcome, StepName.RESET_PASSWORD)[0] is StepResult.DONE
    (told,) = [each.text for each in outcome.follow_ups if each.code == "federatedSignIn"]
    assert told.startswith("It could not be read")


async def test_enable_when_somebody_else_disabled_the_account_then_left_out(stage: Stage) -> None:
    """Only what this product disabled is its to enable."""
    stage.tenant.directory.users[CASEY].properties["accountEnabled"] = False
    for steps in (("enableAccount",), ("disableAccount", "enableAccount")):
        outcome = await reset(stage, CASEY, *steps, methods="none")
        assert outcome.status is Status.PARTIAL
        assert step_of(outcome, StepName.ENABLE_ACCOUNT) == (StepResult.SKIPPED, "notDisabledByUs")
    assert stage.tenant.directory.users[CASEY].properties["accountEnabled"] is False


async def test_enable_when_an_earlier_request_disabled_the_account_then_done_once(stage: Stage) -> None:
    """One request locks, a later one unlocks; after that the account is nobody's to enable."""
    properties = stage.tenant.directory.users[CASEY].properties
    await reset(stage, CASEY, "disableAccount", methods="none")
    assert [properties["accountEnabled"]] == [False]
    planned = await reset(stage, CASEY, "enableAccount", methods="none", dry_run=True)
    assert [(line.step, line.result) for line in planned.steps] == [("enableAccount", StepResult.WOULD_DO)]
    assert (await reset(stage, CASEY, "enableAccount", methods="none")).status is Status.COMPLETED
    assert properties["accountEnabled"] is True
    again = await reset(stage, CASEY, "enableAccount", methods="none")
    assert (again.status, step_of(again, StepName.ENABLE_ACCOUNT)) == (
        Status.COMPLETED,
        (StepResult.SKIPPED, "notDisabled"),
    )
    properties["accountEnabled"] = False
    assert step_of(await reset(stage, CASEY, "enableAccount", methods="none"), StepName.ENABLE_ACCOUNT) == (
        StepResult.SKIPPED,
        "notDisabledByUs",
    )


async def test_enable_when_somebody_enabled_it_in_between_then_it_is_not_ours_any_more(stage: Stage) -> None:
    """A later disabling is somebody else's decision, once we have seen the account enabled."""
    properties = stage.tenant.directory.users[CASEY].properties
    await reset(stage, CASEY, "disableAccount", methods="none")
    properties["accountEnabled"] = True
    await reset(stage, CASEY, "revokeSessions", methods="none")
    properties["accountEnabled"] = False
    outcome = await reset(stage, CASEY, "enableAccount", methods="none")
    assert step_of(outcome, StepName.ENABLE_ACCOUNT) == (StepResult.SKIPPED, "notDisabledByUs")


async def test_pass_and_enabling_when_a_method_stays_then_left_out(stage: Stage) -> None:
    """Nobody is let in while a way in may be open to somebody else."""
    stage.tenant.add_fault(Fault(method="DELETE", path="emailMethods", status=400, code="nope", times=None))
    outcome = await reset(stage, BLAIR, "disableAccount", "perUserMfa:enabled", "temporaryAccessPass", "enableAccount")
    assert step_of(outcome, StepName.PER_USER_MFA)[0] is StepResult.DONE
    for name in (StepName.TEMPORARY_ACCESS_PASS, StepName.ENABLE_ACCOUNT):
        assert step_of(outcome, name) == (StepResult.SKIPPED, "notVerified")
    assert stage.tenant.directory.users[BLAIR].properties["accountEnabled"] is False
    assert stage.vault.secrets == {}
    assert "accountDisabled" in {each.code for each in outcome.follow_ups}


# --- The Temporary Access Pass ----------------------------------------------------------------------------------


async def test_pass_when_made_then_its_code_is_in_the_vault_and_nowhere_else(stage: Stage) -> None:
    """The outcome names the secret, which ends with the pass."""
    outcome = await reset(stage, BLAIR, "temporaryAccessPass", request_id="INC-9")
    result, detail = step_of(outcome, StepName.TEMPORARY_ACCESS_PASS)
    ((name, (secret,)),) = stage.vault.secrets.items()
    assert (result, detail) == (StepResult.DONE, f"Key Vault secret {name}")
    assert secret.value in stage.tenant.secret_values()
    assert secret.expires_at
    assert (secret.expires_at - stage.clock.now()).total_seconds() == pytest.approx(3_600, abs=5)
    assert secret.tags == {"userId": BLAIR, "requestId": "INC-9"}
    (made,) = stage.tenant.directory.users[BLAIR].registered
    assert (made.type, made.properties["isUsableOnce"]) == ("temporaryAccessPass", True)


async def test_pass_when_one_is_there_that_is_not_to_go_then_the_new_one_takes_its_place_and_that_is_told(
    stage: Stage,
) -> None:
    """A user has one pass only."""
    outcome = await reset(stage, BLAIR, "temporaryAccessPass", methods=["phone"])
    assert outcome.status is Status.COMPLETED
    assert [(line.result, line.error) for line in outcome.methods if line.type == "temporaryAccessPass"] == [
        (MethodResult.DELETED, "replaced")
    ]


async def test_pass_when_the_request_runs_again_then_it_is_kept_and_none_is_made(stage: Stage) -> None:
    """Never twice for one key, whatever else runs again; another request is another matter."""
    playing = under(stage, policy_of("confirmCompromised", "temporaryAccessPass"))
    stage.tenant.premium = False  # so that the outcome is partial, and the request may run again
    row = await accept(playing, BLAIR)
    assert (await playing.handle(row)).status is Status.PARTIAL
    fresh = await stage.ledger.restart(asked_again(row, stage.clock.now()), row)
    again = await playing.handle(fresh)
    ((name, secrets),) = stage.vault.secrets.items()
    assert len(secrets) == 1
    assert step_of(again, StepName.TEMPORARY_ACCESS_PASS) == (
        StepResult.SKIPPED,
        f"passMadeBefore: Key Vault secret {name}",
    )
    assert [(line.type, line.result, line.error) for line in again.methods] == [
        ("temporaryAccessPass", MethodResult.KEPT, "ourPass")
    ]
    assert stage.types_of(BLAIR) == ["temporaryAccessPass"]
    other = await reset(stage, BLAIR, "temporaryAccessPass", request_id="another")
    assert (other.status, len(stage.vault.secrets)) == (Status.COMPLETED, 2)
    assert stage.types_of(BLAIR) == ["temporaryAccessPass"]


async def resumed_once(stage: Stage, playing: Stage, row: AcceptedRequest) -> Outcome:
    """Go on a minute later, as the schedule of resumes has it."""
    stage.clock.advance(60)
    return await resume(playing, row)


@pytest.mark.parametrize("methods", ["all", "none"])
@pytest.mark.parametrize(
    "fault",
    [Fault(cut="after"), Fault(cut="before"), *(Fault(status=each, when="after") for each in (500, 502, 503, 504))],
    ids=lambda fault: f"{fault.cut or fault.status}",
)
async def test_pass_when_no_answer_tells_its_code_then_it_is_deleted_and_another_is_made(
    stage: Stage, fault: Fault, methods: str
) -> None:
    """There may be one whose code nobody knows: not asked for twice in one go, and gone before there is another."""
    playing = under(stage, policy_of("temporaryAccessPass", methods=methods))
    stage.tenant.add_fault(replace(fault, method="POST", path="temporaryAccessPassMethods"))
    row = await accept(playing, CASEY)
    with pytest.raises((NoAnswerError, UnavailableError)):
        await playing.handle(row)
    lost = [one.id for one in stage.tenant.directory.users[CASEY].registered]
    assert len(lost) == (0 if fault.cut == "before" else 1)
    outcome = await resumed_once(stage, playing, row)
    ((_, (secret,)),) = stage.vault.secrets.items()
    (made,) = stage.tenant.directory.users[CASEY].registered
    assert (outcome.status, step_of(outcome, StepName.TEMPORARY_ACCESS_PASS)[0]) == (Status.COMPLETED, StepResult.DONE)
    assert made.id not in lost
    assert secret.value in stage.tenant.secret_values()
    changes = [change for change in stage.changes() if "temporaryAccessPassMethods" in change]
    assert [change.partition(" ")[0] for change in changes] == ["POST", *["DELETE"] * len(lost), "POST"][
        1 - len(lost) :
    ]


async def test_pass_when_its_code_stays_lost_to_the_end_then_that_is_told(stage: Stage) -> None:
    """There may be a pass; the ledger keeps that it was asked for."""
    playing = under(stage, policy_of("temporaryAccessPass", methods="none"))
    stage.tenant.add_fault(Fault(method="POST", path="temporaryAccessPassMethods", cut="after"))
    row = await accept(playing, CASEY)
    with pytest.raises(NoAnswerError):
        await playing.handle(row)
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    failed = await playing.service.give_up(kept, "deadline")
    assert step_of(failed, StepName.TEMPORARY_ACCESS_PASS) == (StepResult.UNCONFIRMED, "passUnknown")
    assert "there may be a pass, whose code nobody knows" in " ".join(reason.text for reason in failed.reasons)


async def test_pass_when_its_code_was_lost_then_one_that_was_there_long_before_is_not_taken_for_it(
    stage: Stage,
) -> None:
    """Was none made, the pass that somebody else made stays until a new one takes its place."""
    playing = under(stage, policy_of("temporaryAccessPass", methods="none"))
    old = method("temporaryAccessPass", "0ff1ce00-0000-4000-8000-00000000000a", createdDateTime="2026-11-20T00:00:00Z")
    stage.tenant.directory.users[CASEY].methods.append(old)
    stage.tenant.add_fault(Fault(method="POST", path="temporaryAccessPassMethods", cut="before"))
    row = await accept(playing, CASEY)
    with pytest.raises(NoAnswerError):
        await playing.handle(row)
    outcome = await resumed_once(stage, playing, row)
    assert not [change for change in stage.changes() if change.startswith("DELETE")]
    assert [(line.result, line.error) for line in outcome.methods] == [(MethodResult.DELETED, "replaced")]


async def test_pass_when_a_mark_of_an_earlier_version_says_only_that_it_was_asked_for_then_another_is_made(
    stage: Stage,
) -> None:
    """Whatever pass there is may be the one whose code was lost."""
    playing = under(stage, policy_of("temporaryAccessPass", methods="none"))
    row = await accept(playing, CASEY)
    old = method("temporaryAccessPass", "0ff1ce00-0000-4000-8000-00000000000a", createdDateTime="2026-11-20T00:00:00Z")
    stage.tenant.directory.users[CASEY].methods.append(old)
    await stage.ledger.remember(UserId(CASEY), Mark(f"pass:{row.key}"), "")
    assert (await playing.handle(row)).status is Status.COMPLETED
    assert [change.partition(" ")[0] for change in stage.changes()] == ["DELETE", "POST"]


async def end_the_process(at: str, playing: Stage, row: AcceptedRequest) -> None:
    """Handle a row until the vault is asked, and end all that was under way there, as a killed process does."""
    handling = asyncio.create_task(playing.handle(row))
    for _ in range(500):
        if any(call.path.endswith("temporaryAccessPassMethods") for call in playing.tenant.calls):
            mark = await playing.ledger.recall(UserId(CASEY), Mark(f"pass:{row.key}"))
            if mark and at in mark:
                break
        await asyncio.sleep(0.01)
    else:
        pytest.fail("The ledger never knew that the vault may not have the code.")
    await asyncio.sleep(0.2)  # the vault has the call, and is silent
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if "PassMaker" in repr(task) or task is handling:
            task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling


@pytest.mark.parametrize("methods", ["all", "none"])
@pytest.mark.parametrize("after_effect", [True, False])
async def test_pass_when_the_process_ends_before_the_vault_answers_then_it_is_deleted_and_another_is_made(
    stage: Stage, methods: str, *, after_effect: bool
) -> None:
    """Whether its code is in the vault is not known; what the secret holds in the end opens the one pass there is."""
    playing = under(stage, policy_of("temporaryAccessPass", methods=methods))
    stage.vault.add_fault(Silence(after_effect=after_effect))
    row = await accept(playing, CASEY)
    await end_the_process(" ?", playing, row)
    (lost,) = stage.tenant.directory.users[CASEY].registered
    outcome = await resumed_once(stage, playing, row)
    name = [*stage.vault.secrets][-1]
    (made,) = stage.tenant.directory.users[CASEY].registered
    assert (outcome.status, made.id != lost.id, len(stage.vault.secrets)) == (Status.COMPLETED, True, 1 + after_effect)
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS) == (StepResult.DONE, f"Key Vault secret {name}")
    changes = [change.partition(" ")[0] for change in stage.changes() if "temporaryAccessPass" in change]
    assert changes == ["POST", "DELETE", "POST"]


@pytest.mark.parametrize("after_effect", [True, False])
async def test_pass_when_the_vault_hangs_on_both_tries_then_it_is_deleted_again(
    stage: Stage, *, after_effect: bool
) -> None:
    """The code may be there, but opens nothing."""
    impatient = KeyVault(
        stage.vault.url,
        None,
        credential_factory=lambda: TenantCredential(stage.tenant),
        ca_file=stage.vault.ca_file,
        seconds=1,
        pause_seconds=0.01,
    )
    stage.vault.add_fault(Silence(after_effect=after_effect), times=2)
    playing = replace(under(stage, policy_of("temporaryAccessPass", methods="none")), key_vault=impatient)
    try:
        async with asyncio.timeout(15):
            outcome = await playing.reset(CASEY, profile="p", caller=NAMED)
    finally:
        await impatient.close()
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS) == (StepResult.FAILED, "keyVault.noAnswer")
    assert (outcome.status, stage.types_of(CASEY)) == (Status.PARTIAL, [])


async def test_pass_when_it_cannot_be_deleted_for_now_then_that_is_tried_again(stage: Stage) -> None:
    """A pass with a lost code is not left there."""
    stage.vault.may_set = False
    stage.tenant.add_fault(Fault(method="DELETE", path="temporaryAccessPassMethods", status=503, times=5))
    playing = under(stage, policy_of("temporaryAccessPass", methods="none"))
    row = await accept(playing, CASEY)
    with pytest.raises(UnavailableError):
        await playing.handle(row)
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    assert kept.evidence is not None
    assert [(line.result, line.detail) for line in kept.evidence.steps] == [(StepResult.UNCONFIRMED, "passPending")]
    stage.vault.may_set = True
    outcome = await resumed_once(stage, playing, row)
    assert (outcome.status, len(stage.vault.secrets)) == (Status.COMPLETED, 1)
    assert stage.types_of(CASEY) == ["temporaryAccessPass"]


async def test_pass_when_throttled_then_it_waits_and_is_made_later(stage: Stage) -> None:
    """What was certainly not carried out may be tried again."""
    playing = under(stage, policy_of("temporaryAccessPass", methods="none"))
    stage.tenant.add_fault(Fault(method="POST", path="temporaryAccessPassMethods", status=429, retry_after=60))
    row = await accept(playing, CASEY)
    with pytest.raises(ThrottledError):
        await playing.handle(row)
    outcome = await resume(playing, row)
    assert (outcome.status, len(stage.vault.secrets)) == (Status.COMPLETED, 1)


async def test_pass_when_the_vault_does_not_take_it_then_it_is_deleted_again(stage: Stage) -> None:
    """A pass whose code is lost helps nobody."""
    stage.vault.may_set = False
    outcome = await reset(stage, CASEY, "temporaryAccessPass", methods="none")
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS) == (StepResult.FAILED, "keyVault.Forbidden")
    assert stage.types_of(CASEY) == []


async def test_pass_when_neither_vault_nor_deleting_works_then_both_are_told(stage: Stage) -> None:
    """The pass is open until it ends, and the outcome says so."""
    stage.vault.may_set = False
    stage.tenant.add_fault(Fault(method="DELETE", path="temporaryAccessPassMethods", status=403, times=None))
    outcome = await reset(stage, CASEY, "temporaryAccessPass", methods="none")
    result, detail = step_of(outcome, StepName.TEMPORARY_ACCESS_PASS)
    assert result is StepResult.FAILED
    assert detail == "keyVault.Forbidden, and the pass could not be deleted (accessDenied)"


async def test_pass_when_the_policy_allows_no_hour_then_it_gets_the_lifetime_that_it_has(stage: Stage) -> None:
    """The tenant's own default is within the tenant's policy."""
    stage.tenant.temporary_access_pass_minutes = (10, 30)
    stage.tenant.add_fault(Fault(method="POST", path="temporaryAccessPassMethods", status=400))
    outcome = await reset(stage, CASEY, "temporaryAccessPass", methods="none")
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS)[0] in {StepResult.DONE, StepResult.FAILED}


async def test_pass_when_there_is_no_vault_then_none_is_made(stage: Stage) -> None:
    """Settings refuse such a policy; were it there all the same, no code would be lost."""
    playing = under(stage, policy_of("temporaryAccessPass", methods="none"), no_vault=True)
    outcome = await playing.reset(CASEY, profile="p", caller=NAMED)
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS) == (StepResult.FAILED, "keyVault.none")
    assert stage.changes() == []


async def test_pass_when_whoever_waits_gives_up_then_its_code_is_in_the_vault_all_the_same(stage: Stage) -> None:
    """A call waits for 60 s; what was begun with the pass is finished, and the resume finds it."""
    playing = under(stage, policy_of("temporaryAccessPass", methods="none"))
    row = await accept(playing, CASEY)
    stage.tenant.add_fault(Fault(method="POST", path="temporaryAccessPassMethods", delay_seconds=1))
    handling = asyncio.create_task(playing.handle(row))

    async def give_up(seconds: float) -> None:
        if seconds == 1:
            handling.cancel()

    stage.clock.on_sleep = give_up
    with pytest.raises(asyncio.CancelledError):
        await handling
    for _ in range(500):
        if await stage.ledger.recall(UserId(CASEY), Mark(f"pass:{row.key}")):
            break
        await asyncio.sleep(0.01)
    outcome = await resume(playing, row)
    ((name, secrets),) = stage.vault.secrets.items()
    assert (outcome.status, len(secrets)) == (Status.COMPLETED, 1)
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS) == (
        StepResult.SKIPPED,
        f"passMadeBefore: Key Vault secret {name}",
    )


async def test_pass_when_it_takes_too_long_after_the_delivery_was_cut_off_then_that_is_cut_off_too(
    stage: Stage,
) -> None:
    """Whatever Microsoft Graph does: the delivery ends, and the next try deletes the pass whose code is lost."""
    stage.tenant.add_fault(Fault(method="POST", path="temporaryAccessPassMethods", when="after", hold="answer"))
    policy = policy_of("temporaryAccessPass", methods="none")
    playing = under(stage, policy)
    row = await accept(playing, CASEY)
    steps = StepTaker(stage.directory, stage.ledger, stage.clock, stage.key_vault, finish_seconds=0.1)
    service = make_service(policy, stage.directory, stage.ledger, stage.clock, steps)
    handling = asyncio.create_task(service.handle(row, stage.clock.now() + timedelta(seconds=240)))
    await asyncio.wait_for(stage.tenant.holds.reached("answer"), 20)
    handling.cancel()
    await asyncio.wait({handling}, timeout=5)
    assert handling.cancelled()
    assert stage.types_of(CASEY) == ["temporaryAccessPass"]
    assert [task for task in asyncio.all_tasks() if "PassMaker" in repr(task)] == []
    outcome = await resumed_once(stage, playing, row)
    assert (outcome.status, len(stage.vault.secrets)) == (Status.COMPLETED, 1)
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS)[0] is StepResult.DONE
    assert stage.types_of(CASEY) == ["temporaryAccessPass"]


def test_what_is_waited_for_after_a_delivery_was_cut_off_ends_before_the_delivery_has_to() -> None:
    """A claim is given back then, by one call of the ledger."""
    assert WORK_SECONDS + FINISH_SECONDS + CALL_SECONDS <= LONGEST_SECONDS


async def test_step_when_no_claim_is_held_then_nothing_is_changed(stage: Stage) -> None:
    """Whoever takes a step holds the claim on its user."""
    user = await stage.directory.find_user(UserReference(ReferenceKind.OBJECT_ID, CASEY))
    assert user is not None
    row, planned = await accept(stage, CASEY), PlannedStep(Step(StepName.DISABLE_ACCOUNT))
    with pytest.raises(ClaimLostError):
        await stage.service.steps.take(planned, Evidence(user, stage.clock.now()), row.key)
    assert stage.changes() == []


# --- Instead of a reset -----------------------------------------------------------------------------------------


async def test_steps_instead_when_an_administrator_is_refused_then_taken_in_the_safe_order(stage: Stage) -> None:
    """All of them, each told; the methods stay."""
    instead = {"instead": ["confirmCompromised", "revokeSessions", f"containmentGroup:{CONTAINED}"]}
    playing = under(stage, policy_of("revokeSessions", privileged=instead))
    before = stage.types_of(FINLEY)
    outcome = await playing.reset(FINLEY, profile="p", caller=NAMED)
    assert outcome.status is Status.REFUSED
    assert [(line.step, line.result) for line in outcome.steps] == [
        ("revokeSessions", StepResult.DONE),
        ("confirmCompromised", StepResult.DONE),
        (f"containmentGroup:{CONTAINED}", StepResult.DONE),
    ]
    assert stage.types_of(FINLEY) == before


async def test_steps_instead_when_one_fails_for_now_then_only_it_is_tried_again(stage: Stage) -> None:
    """The others are done, and not done twice."""
    playing = under(stage, policy_of("revokeSessions", privileged={"instead": ["confirmCompromised", "resetPassword"]}))
    stage.tenant.caller_directory_roles.add(GLOBAL_ADMINISTRATOR)
    stage.tenant.add_fault(Fault(method="POST", path="confirmCompromised", status=503, times=5))
    row = await accept(playing, FINLEY)
    with pytest.raises(UnavailableError):
        await playing.handle(row)
    password = stage.tenant.directory.users[FINLEY].password_profile
    assert password is not None
    outcome = await resume(playing, row)
    assert (outcome.status, {line.result for line in outcome.steps}) == (Status.REFUSED, {StepResult.DONE})
    assert stage.tenant.directory.users[FINLEY].password_profile == password


async def test_refusal_when_the_user_became_an_administrator_meanwhile_then_what_was_done_is_told(stage: Stage) -> None:
    """A resumed reset never reports an empty world."""
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", cut="before", times=None))
    playing = under(stage, policy_of("revokeSessions"))
    row = await accept(playing, DEVON)
    with pytest.raises(NoAnswerError):
        await playing.handle(row)
    stage.tenant.directory.role_assignments.append(RoleAssignment("x", DEVON, GLOBAL_ADMINISTRATOR))
    outcome = await resume(playing, row)
    assert outcome.status is Status.REFUSED
    assert sorted((line.type, line.result) for line in outcome.methods) == [
        ("microsoftAuthenticator", MethodResult.DELETED),
        ("phone", MethodResult.UNCONFIRMED),
    ]


async def test_reset_when_the_policy_turned_to_observing_meanwhile_then_what_has_begun_is_finished(
    stage: Stage,
) -> None:
    """Half a reset is worse than one; a request that has not begun changes nothing."""
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", cut="before", times=None))
    row = await accept(under(stage, policy_of("disableAccount", "revokeSessions")), DEVON)
    with pytest.raises(NoAnswerError):
        await under(stage, policy_of("disableAccount", "revokeSessions")).handle(row)
    stage.tenant.clear_faults()
    observing = under(stage, policy_of("disableAccount", "perUserMfa:enabled", mode="observe"))
    outcome = await resume(observing, row)
    assert (outcome.status, outcome.dry_run, stage.types_of(DEVON)) == (Status.COMPLETED, False, [])
    assert step_of(outcome, StepName.PER_USER_MFA)[0] is StepResult.DONE
    assert (await observing.reset(BLAIR, profile="p", caller=NAMED)).status is Status.PLANNED


async def test_disabling_an_administrator_without_the_directory_role_is_not_permitted(stage: Stage) -> None:
    """Entra ID wants a directory role of whoever locks an administrator out; the app role is there."""
    playing = under(stage, policy_of("revokeSessions", privileged={"instead": ["disableAccount", "revokeSessions"]}))
    outcome = await playing.reset(FINLEY, profile="p", caller=NAMED)
    result, detail = step_of(outcome, StepName.DISABLE_ACCOUNT)
    assert result is StepResult.NOT_PERMITTED
    assert "Privileged Authentication Administrator" in (detail or "")
    assert step_of(outcome, StepName.REVOKE_SESSIONS)[0] is StepResult.DONE


def test_steps_after_verifying_when_listed_then_the_last_three() -> None:
    """The order of the enum is the safe order."""
    assert set(list(StepName)[-3:]) == AFTER_VERIFYING
