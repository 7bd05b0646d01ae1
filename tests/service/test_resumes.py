"""A request that is interrupted anywhere and goes on: of the same user, once, and nothing it did is forgotten."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from sandbox.tenant import Fault, RoleAssignment
from sandbox.tenant import method as a_method
from shared.errors import ClaimHeldError, GraphError, Later, NoAnswerError, ThrottledError, UnavailableError
from shared.model import AcceptedRequest, Outcome
from shared.steps import DISABLED_BY_US
from shared.vocabulary import Mark, MethodResult, Status, StepName, StepResult, UserId
from tests.service.stage import BLAIR, CASEY, DEVON, Stage, asked_again, policy_with, request_for, under
from tests.service.test_steps import GLOBAL_ADMINISTRATOR, NAMED, policy_of, reset, resume, step_of

NAME = "blair.everett@contoso.example"


async def accept(stage: Stage, user: str) -> AcceptedRequest:
    """Accept a request for the profile of these tests."""
    return await stage.ledger.accept(request_for(user, stage.clock.now(), profile="p", caller=NAMED))


def lines_of(outcome: Outcome) -> dict[str, set[str]]:
    """Gather the results of an outcome's methods by type."""
    gathered: dict[str, set[str]] = {}
    for line in outcome.methods:
        gathered.setdefault(line.type, set()).add(str(line.result))
    return gathered


async def interrupt(stage: Stage, row: AcceptedRequest, when: Callable[[], bool]) -> None:
    """Carry a request until `when` holds at one of its waits, then end it the way a killed process does."""
    handling = asyncio.create_task(stage.handle(row))

    async def cancel(_: float) -> None:
        if when():
            handling.cancel()

    stage.clock.on_sleep = cancel
    with pytest.raises(asyncio.CancelledError):
        await handling
    stage.clock.on_sleep = None


async def begin_by_name(stage: Stage) -> tuple[Stage, AcceptedRequest]:
    """Begin a reset of whoever has Blair's name, which cannot be ended for now."""
    playing = under(stage, policy_of("revokeSessions"))
    row = await accept(playing, NAME)
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=429, retry_after=600, times=None))
    with pytest.raises(ThrottledError):
        await playing.handle(row)
    return playing, row


# --- Whom it is about -------------------------------------------------------------------------------------------


async def test_request_by_a_name_that_another_has_by_now_goes_on_with_the_user_it_began_with(stage: Stage) -> None:
    """Names move; the guard judges whom the methods are taken from."""
    playing, row = await begin_by_name(stage)
    stage.tenant.clear_faults()
    users = stage.tenant.directory.users
    users[BLAIR].properties["userPrincipalName"] = "blair.old@contoso.example"
    users[DEVON].properties["userPrincipalName"] = NAME
    before = stage.types_of(DEVON)
    outcome = await resume(playing, row)
    assert (outcome.status, outcome.user_id) == (Status.COMPLETED, BLAIR)
    assert (stage.types_of(BLAIR), stage.types_of(DEVON)) == ([], before)


async def test_request_whose_user_became_an_administrator_is_judged_again(stage: Stage) -> None:
    """By the user it began with, whatever their name is now."""
    playing, row = await begin_by_name(stage)
    stage.tenant.clear_faults()
    stage.tenant.directory.role_assignments.append(RoleAssignment("x", BLAIR, GLOBAL_ADMINISTRATOR))
    stage.tenant.directory.users[DEVON].properties["userPrincipalName"] = NAME
    outcome = await resume(playing, row)
    assert (outcome.status, outcome.user_id) == (Status.REFUSED, BLAIR)
    assert "phone" in stage.types_of(BLAIR)


async def test_request_that_is_read_before_its_user_was_kept_means_the_same_user(stage: Stage) -> None:
    """A delivery that wakes up late resolves the name anew, but the ledger holds whom it meant the first time."""
    playing, row = await begin_by_name(stage)
    stage.tenant.clear_faults()
    stage.tenant.directory.users[BLAIR].properties["userPrincipalName"] = "blair.old@contoso.example"
    stage.tenant.directory.users[DEVON].properties["userPrincipalName"] = NAME
    outcome = await playing.handle(replace(row, user_id=None))  # as it was when it was read: without evidence
    assert outcome.user_id == BLAIR


# --- Once -------------------------------------------------------------------------------------------------------


async def test_two_workers_on_one_row_do_it_once(stage: Stage) -> None:
    """Whoever had to wait for the claim finds the outcome that the first has written."""
    playing = under(stage, policy_of("disableAccount", "resetPassword", "revokeSessions"))
    row = await accept(playing, BLAIR)

    async def carry_out() -> Outcome:
        for _ in range(100):
            try:
                outcome = await playing.handle(row)
            except ClaimHeldError:  # this clock waits for nobody, the other worker does
                await asyncio.sleep(0.05)
            else:
                await stage.ledger.write_outcome(row, outcome)
                return outcome
        raise AssertionError("the other worker never ended")

    first, second = await asyncio.gather(carry_out(), carry_out())
    assert len(first.methods) == len(second.methods) == 14
    patches = [change for change in stage.changes() if change == f"PATCH /v1.0/users/{BLAIR}"]
    assert len(patches) == 2  # disabled once, one password


async def test_row_that_has_its_outcome_by_now_gives_that_one(stage: Stage) -> None:
    """Read again under the claim."""
    playing = under(stage, policy_of("revokeSessions"))
    row = await accept(playing, BLAIR)
    outcome = await playing.handle(row)
    await stage.ledger.write_outcome(row, outcome)
    before = len(stage.changes())
    assert await playing.handle(row) == outcome
    assert len(stage.changes()) == before


# --- The account ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_disabling_without_an_answer_is_still_ours_to_take_back(stage: Stage, cut: str) -> None:
    """The mark is there before the call."""
    playing = under(stage, policy_of("disableAccount", "resetPassword", "enableAccount"))
    fault = Fault(method="PATCH", path=BLAIR, cut="before" if cut == "before" else "after")
    stage.tenant.add_fault(fault)
    row = await accept(playing, BLAIR)
    with pytest.raises(NoAnswerError):
        await playing.handle(row)
    outcome = await resume(playing, row)
    assert (outcome.status, {line.result for line in outcome.steps}) == (Status.COMPLETED, {StepResult.DONE})
    assert stage.tenant.directory.users[BLAIR].properties["accountEnabled"] is True


@pytest.mark.parametrize("enabled", [True, False])
async def test_disabling_that_is_refused_leaves_no_mark(stage: Stage, *, enabled: bool) -> None:
    """What was certainly not done is nobody's to take back."""
    stage.tenant.roles.discard("User.EnableDisableAccount.All")
    stage.tenant.directory.users[CASEY].properties["accountEnabled"] = enabled
    await reset(stage, CASEY, "disableAccount", methods="none")
    assert await stage.ledger.recall(UserId(CASEY), DISABLED_BY_US) is None


async def test_account_that_somebody_else_disabled_while_we_waited_is_not_ours(stage: Stage) -> None:
    """Decided by the account as it is when we come to it."""
    playing = under(stage, policy_of("disableAccount", methods="none"))
    stage.tenant.add_fault(Fault(method="PATCH", path=CASEY, status=429, retry_after=600))
    row = await accept(playing, CASEY)
    with pytest.raises(ThrottledError):
        await playing.handle(row)
    stage.tenant.directory.users[CASEY].properties["accountEnabled"] = False
    assert (await resume(playing, row)).status is Status.COMPLETED
    later = await reset(stage, CASEY, "enableAccount", methods="none")
    assert step_of(later, StepName.ENABLE_ACCOUNT) == (StepResult.SKIPPED, "notDisabledByUs")
    assert stage.tenant.directory.users[CASEY].properties["accountEnabled"] is False


async def test_account_that_somebody_disabled_while_we_looked_is_not_enabled(stage: Stage) -> None:
    """Between the plan and the step it became somebody else's decision."""
    stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", delay_seconds=5))

    async def disable(seconds: float) -> None:
        if seconds == 5:
            stage.tenant.directory.users[CASEY].properties["accountEnabled"] = False

    stage.clock.on_sleep = disable
    outcome = await reset(stage, CASEY, "disableAccount", "enableAccount", methods=["phone"])
    assert step_of(outcome, StepName.ENABLE_ACCOUNT) == (StepResult.SKIPPED, "notDisabledByUs")
    assert stage.tenant.directory.users[CASEY].properties["accountEnabled"] is False


async def test_account_that_somebody_enabled_between_deliveries_is_disabled_again(stage: Stage) -> None:
    """The outcome tells the truth of the account as it is left."""
    playing = under(stage, policy_of("disableAccount"))
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", cut="before", times=None))
    row = await accept(playing, DEVON)
    with pytest.raises(NoAnswerError):
        await playing.handle(row)
    stage.tenant.clear_faults()
    stage.tenant.directory.users[DEVON].properties["accountEnabled"] = True
    outcome = await resume(playing, row)
    assert outcome.status is Status.COMPLETED
    assert stage.tenant.directory.users[DEVON].properties["accountEnabled"] is False


async def test_enabling_without_an_answer_ends_with_an_account_that_is_enabled_and_said_to_be(stage: Stage) -> None:
    """Neither `stays disabled` nor a closed window is claimed of it."""
    playing = under(stage, policy_of("disableAccount", "enableAccount"))
    stage.tenant.add_fault(Fault(method="PATCH", path=BLAIR, skip=1, cut="after"))
    row = await accept(playing, BLAIR)
    with pytest.raises(NoAnswerError):
        await playing.handle(row)
    assert stage.tenant.directory.users[BLAIR].properties["accountEnabled"] is True
    outcome = await resume(playing, row)
    assert (outcome.status, step_of(outcome, StepName.ENABLE_ACCOUNT)[0]) == (Status.COMPLETED, StepResult.DONE)
    assert stage.tenant.directory.users[BLAIR].properties["accountEnabled"] is True
    codes = {each.code for each in outcome.follow_ups}
    assert ("registrationOpen" in codes, "accountDisabled" in codes) == (True, False)


async def test_enabling_when_the_pass_before_it_failed_is_left_out(stage: Stage) -> None:
    """Every step before it has to be done."""
    stage.vault.may_set = False
    outcome = await reset(stage, BLAIR, "disableAccount", "temporaryAccessPass", "enableAccount")
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS)[0] is StepResult.FAILED
    assert step_of(outcome, StepName.ENABLE_ACCOUNT) == (StepResult.SKIPPED, "stepsOpen")


# --- The pass ---------------------------------------------------------------------------------------------------


async def test_pass_after_a_vault_that_did_not_take_it_is_made_when_the_request_runs_again(stage: Stage) -> None:
    """It was deleted again, so there is none."""
    playing = under(stage, policy_of("temporaryAccessPass", methods="none"))
    stage.vault.may_set = False
    row = await accept(playing, CASEY)
    assert (await playing.handle(row)).status is Status.PARTIAL
    stage.vault.may_set = True
    outcome = await playing.handle(await stage.ledger.restart(asked_again(row, stage.clock.now()), row))
    assert (outcome.status, len(stage.vault.secrets)) == (Status.COMPLETED, 1)


async def test_pass_when_the_process_ends_between_vault_and_ledger_is_replaced_under_a_secret_of_its_own(
    stage: Stage,
) -> None:
    """Whether its code is in the vault is not known: the secret that the outcome names opens the one pass there is."""
    playing = under(stage, policy_of("temporaryAccessPass"))
    row = await accept(playing, BLAIR)
    outcome = await playing.handle(row)
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS)[0] is StepResult.DONE
    mark = next(iter(await _marks(stage, BLAIR)))
    text = await stage.ledger.recall(UserId(BLAIR), mark)
    assert text
    method_id, _, secret = text.partition(" ")
    await stage.ledger.remember(UserId(BLAIR), mark, f"{method_id} ?{secret}")  # as a killed process leaves it
    again = await playing.handle(await stage.ledger.restart(asked_again(row, stage.clock.now()), row))
    result, detail = step_of(again, StepName.TEMPORARY_ACCESS_PASS)
    assert (again.status, result) == (Status.COMPLETED, StepResult.DONE)
    (other,) = set(stage.vault.secrets) - {secret}
    assert detail == f"Key Vault secret {other}"
    assert [len(versions) for versions in stage.vault.secrets.values()] == [1, 1]
    (made,) = stage.tenant.directory.users[BLAIR].registered
    assert (made.type, made.id != method_id) == ("temporaryAccessPass", True)


async def _marks(stage: Stage, user: str) -> list[Mark]:
    return [
        Mark(name)
        for (name,) in await stage.ledger._database.read(
            lambda connection: connection.execute("SELECT mark FROM marks WHERE user_id = ?", (user,)).fetchall()
        )
    ]


# --- What is told of methods ------------------------------------------------------------------------------------


async def test_removals_of_a_process_that_ended_are_ours_all_the_same(stage: Stage) -> None:
    """The ledger knew of them before the first."""
    playing = under(stage, policy_of("revokeSessions"))
    row = await accept(playing, BLAIR)
    stage.tenant.add_fault(Fault(method="DELETE", delay_seconds=1, times=None))
    await interrupt(playing, row, lambda: len(stage.types_of(BLAIR)) <= 8)
    stage.tenant.clear_faults()
    outcome = await resume(playing, row)
    assert outcome.status is Status.COMPLETED
    assert {line.result for line in outcome.methods} == {MethodResult.DELETED}


async def test_removals_that_were_not_reached_are_not_said_to_be_ours(stage: Stage) -> None:
    """What vanishes while a request waits was somebody else."""
    playing = under(stage, policy_of("revokeSessions"))
    row = await accept(playing, BLAIR)
    stage.tenant.add_fault(Fault(method="DELETE", path="fido2", delay_seconds=300))
    with pytest.raises(Later):
        await playing.handle(row)
    user = stage.tenant.directory.users[BLAIR]
    user.methods = [one for one in user.methods if one.type != "phone"]
    outcome = await resume(playing, row)
    assert lines_of(outcome)["phone"] == {"alreadyGone"}
    assert lines_of(outcome)["fido2"] == {"deleted"}


async def test_phone_that_an_intruder_registers_again_under_its_old_id_is_told_as_it_is(stage: Stage) -> None:
    """Ids of phones are fixed; number and date are the new one's."""
    user = stage.tenant.directory.users[DEVON]
    (phone,) = [one for one in user.registered if one.type == "phone"]
    added: list[str] = []

    async def register(_: float) -> None:
        if not added:
            added.append("+1 5550001177")
            user.methods.append(a_method("phone", phone.id, phoneNumber=added[0], phoneType="mobile"))

    stage.clock.on_sleep = register
    outcome = await under(stage, policy_of("revokeSessions")).reset(DEVON, profile="p", caller=NAMED)
    (line,) = [line for line in outcome.methods if line.type == "phone"]
    assert (line.result, (line.detail or "")[-2:]) == (MethodResult.DELETED, "77")


async def test_user_who_is_deleted_after_half_a_reset_is_invalid_and_what_was_done_is_told(stage: Stage) -> None:
    """No ending reports an empty world."""
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", cut="before", times=None))
    playing = under(stage, policy_of("revokeSessions"))
    row = await accept(playing, DEVON)
    with pytest.raises(NoAnswerError):
        await playing.handle(row)
    stage.tenant.directory.delete_user(DEVON)
    outcome = await resume(playing, row)
    assert (outcome.status, outcome.user_id) == (Status.INVALID, DEVON)
    assert lines_of(outcome) == {"microsoftAuthenticator": {"deleted"}, "phone": {"unconfirmed"}}
    assert [reason.code for reason in outcome.reasons][:1] == ["deletedUser"]
    assert "appPasswords" in {each.code for each in outcome.follow_ups}


async def test_profile_that_is_gone_after_half_a_reset_is_invalid_and_what_was_done_is_told(stage: Stage) -> None:
    """The same where an operator takes the profile out of the policy."""
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", cut="before", times=None))
    playing = under(stage, policy_of("revokeSessions"))
    row = await accept(playing, DEVON)
    with pytest.raises(NoAnswerError):
        await playing.handle(row)
    outcome = await resume(under(stage, policy_with()), row)
    assert (outcome.status, outcome.user_id) == (Status.INVALID, DEVON)
    assert lines_of(outcome)["microsoftAuthenticator"] == {"deleted"}
    assert [line.step for line in outcome.steps] == ["revokeSessions"]


async def test_step_that_failed_and_is_planned_no_more_holds_nothing_up(stage: Stage) -> None:
    """An operator mends the policy while the request waits."""
    wrong = "containmentGroup:20000000-0000-4000-8000-00000000dead"
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", cut="before", times=None))
    row = await accept(under(stage, policy_of("disableAccount", wrong, "enableAccount")), DEVON)
    with pytest.raises(NoAnswerError):
        await under(stage, policy_of("disableAccount", wrong, "enableAccount")).handle(row)
    stage.tenant.clear_faults()
    outcome = await resume(under(stage, policy_of("disableAccount", "enableAccount")), row)
    assert (outcome.status, outcome.reasons) == (Status.COMPLETED, ())
    assert [line.step for line in outcome.steps] == ["disableAccount", "enableAccount"]


# --- What may stand in the way ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [409, 412])
async def test_step_that_conflicts_is_tried_again_later(stage: Stage, status: int) -> None:
    """Somebody else is changing the user: that passes."""
    playing = under(stage, policy_of("disableAccount"))
    stage.tenant.add_fault(Fault(method="PATCH", path=BLAIR, status=status, times=2))
    row = await accept(playing, BLAIR)
    with pytest.raises(GraphError):
        await playing.handle(row)
    assert len(stage.types_of(BLAIR)) > 10
    assert (await resume(playing, row)).status is Status.COMPLETED


async def test_default_that_cannot_be_changed_costs_its_method_only(stage: Stage) -> None:
    """Whatever the refusal says."""
    oakley = "10000000-0000-4000-8000-000000000015"
    text = "The default authentication method cannot be set."
    stage.tenant.add_fault(Fault(method="PATCH", path="signInPreferences", status=400, message=text, times=None))
    outcome = await under(stage, policy_of("revokeSessions")).reset(oakley, profile="p", caller=NAMED)
    assert (outcome.status, lines_of(outcome)) == (Status.PARTIAL, {"phone": {"remaining"}})


async def test_profile_without_methods_revokes_although_methods_cannot_be_listed(stage: Stage) -> None:
    """Sessions do not wait for a list that nothing depends on; the proof does."""
    stage.tenant.add_fault(Fault(method="GET", path="authentication/", status=503, times=None))
    playing = under(stage, policy_of("revokeSessions", methods="none"))
    row = await accept(playing, BLAIR)
    with pytest.raises(UnavailableError):
        await playing.handle(row)
    assert any("revokeSignInSessions" in change for change in stage.changes())


async def test_reset_that_was_throttled_before_it_changed_anything_is_a_dry_run_once_the_policy_observes(
    stage: Stage,
) -> None:
    """A removal that was certainly not made has begun nothing."""
    stage.tenant.add_fault(Fault(method="DELETE", status=429, retry_after=600, times=None))
    row = await accept(under(stage, policy_of(methods=["phone"])), DEVON)
    with pytest.raises(ThrottledError):
        await under(stage, policy_of(methods=["phone"])).handle(row)
    stage.tenant.clear_faults()
    outcome = await resume(under(stage, policy_of(methods=["phone"], mode="observe")), row)
    assert (outcome.status, stage.changes()) == (Status.PLANNED, [])


async def test_refusal_of_a_reset_that_has_begun_is_no_dry_run_although_the_policy_observes(stage: Stage) -> None:
    """What was done was done, and the steps instead are taken."""
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", cut="before", times=None))
    row = await accept(under(stage, policy_of("revokeSessions")), DEVON)
    with pytest.raises(NoAnswerError):
        await under(stage, policy_of("revokeSessions")).handle(row)
    stage.tenant.directory.role_assignments.append(RoleAssignment("x", DEVON, GLOBAL_ADMINISTRATOR))
    instead = {"instead": ["revokeSessions"]}
    outcome = await resume(under(stage, policy_of("revokeSessions", mode="observe", privileged=instead)), row)
    assert (outcome.status, outcome.dry_run) == (Status.REFUSED, False)
    assert step_of(outcome, StepName.REVOKE_SESSIONS)[0] is StepResult.DONE


async def test_disabling_that_took_effect_before_it_was_refused_is_still_ours(stage: Stage) -> None:
    """The first try of the call was carried out, its repeat was not: the account tells."""
    playing = under(stage, policy_of("disableAccount", methods="none"))
    stage.tenant.add_fault(Fault(method="PATCH", path=CASEY, status=503, when="after"))
    stage.tenant.add_fault(Fault(method="PATCH", path=CASEY, status=429, retry_after=600))
    row = await accept(playing, CASEY)
    with pytest.raises(ThrottledError):
        await playing.handle(row)
    assert (await resume(playing, row)).status is Status.COMPLETED
    assert (await reset(stage, CASEY, "enableAccount", methods="none")).status is Status.COMPLETED
    assert stage.tenant.directory.users[CASEY].properties["accountEnabled"] is True


async def test_disabling_of_an_account_that_cannot_be_read_is_never_said_to_be_ours(stage: Stage) -> None:
    """Unknown is not `enabled`."""
    playing = under(stage, policy_of("disableAccount", methods="none"))
    stage.tenant.add_fault(Fault(method="GET", path=rf"/v1.0/users/{CASEY}\?.*userType", skip=2, status=500, times=5))
    row = await accept(playing, CASEY)
    assert (await playing.handle(row)).status is Status.COMPLETED
    assert await stage.ledger.recall(UserId(CASEY), DISABLED_BY_US) is None


async def test_enabling_alone_without_an_answer_is_done_once_the_account_is_seen_enabled(stage: Stage) -> None:
    """Nothing of it stays disabled, and whoever knows the password may register."""
    await reset(stage, CASEY, "disableAccount", methods="none")
    playing = under(stage, policy_of("enableAccount", methods="none"))
    stage.tenant.add_fault(Fault(method="PATCH", path=CASEY, cut="after"))
    row = await accept(playing, CASEY)
    with pytest.raises(NoAnswerError):
        await playing.handle(row)
    outcome = await resume(playing, row)
    assert (outcome.status, step_of(outcome, StepName.ENABLE_ACCOUNT)[0]) == (Status.COMPLETED, StepResult.DONE)
    codes = {each.code for each in outcome.follow_ups}
    assert ("registrationOpen" in codes, "accountDisabled" in codes) == (True, False)


async def test_pass_that_is_gone_when_it_is_taken_back_is_no_trouble(stage: Stage) -> None:
    """Somebody else deleted it: there is none."""
    stage.vault.may_set = False
    stage.tenant.add_fault(Fault(method="DELETE", path="temporaryAccessPassMethods", status=404, times=None))
    outcome = await reset(stage, CASEY, "temporaryAccessPass", methods="none")
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS) == (StepResult.FAILED, "keyVault.Forbidden")


async def test_default_that_cannot_be_changed_for_now_does_not_hold_up_the_reset(stage: Stage) -> None:
    """Whether a beta address works is nothing that a reset waits for: the next candidate, then the truth."""
    oakley = "10000000-0000-4000-8000-000000000015"
    stage.tenant.add_fault(Fault(method="PATCH", path="signInPreferences", status=501, times=None))
    outcome = await under(stage, policy_of("revokeSessions")).reset(oakley, profile="p", caller=NAMED)
    assert (outcome.status, lines_of(outcome)) == (Status.PARTIAL, {"phone": {"remaining"}})


async def test_compromise_seen_after_a_step_of_an_earlier_try_is_not_covered_by_the_last_look(stage: Stage) -> None:
    """The step is not repeated when the reset is put off, so what was seen since has it taken again."""
    playing = under(stage, policy_of("confirmCompromised", "revokeSessions"))
    begun_at = stage.clock.now()
    stage.tenant.add_fault(Fault(method="DELETE", path="Methods", status=503, times=None))
    row = await accept(playing, DEVON)
    with pytest.raises(GraphError):
        await playing.handle(row)
    stage.tenant.clear_faults()
    stage.clock.advance(1_800)
    seen_at = stage.clock.now()
    stage.clock.advance(1_800)
    assert (await resume(playing, row)).status is Status.COMPLETED
    before = await playing.reset(DEVON, profile="p", caller=NAMED, observed_at=begun_at)
    since = await playing.reset(DEVON, profile="p", caller=NAMED, observed_at=seen_at)
    assert (before.status, since.status) == (Status.COVERED, Status.COMPLETED)
    assert [line.result for line in since.steps] == [StepResult.DONE] * 2


# --- Asked for again meanwhile ----------------------------------------------------------------------------------


async def test_request_that_was_asked_for_again_is_not_given_up_by_a_delivery_of_the_run_before(stage: Stage) -> None:
    """Its own patience has only begun."""
    playing = under(stage, policy_of("revokeSessions"))
    first = await accept(playing, DEVON)
    await stage.ledger.write_outcome(first, await playing.service.give_up(first, "x"))
    again = request_for(DEVON, stage.clock.now(), profile="p", caller=NAMED)
    second = await stage.ledger.restart(again, await kept(stage, first))
    with pytest.raises(Later, match="rowChanged"):
        await playing.service.give_up(first, "x")
    assert await kept(stage, first) == second


async def kept(stage: Stage, row: AcceptedRequest) -> AcceptedRequest:
    """Read what the ledger has."""
    found = await stage.ledger.read(row.key)
    assert found
    return found
