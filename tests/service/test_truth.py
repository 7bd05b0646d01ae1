"""What an outcome states: nothing is gone, done or verified on the word of the call that was to do it."""

from collections.abc import Iterable

import pytest

from sandbox.tenant import Fault
from shared.confirmation import confirm_account
from shared.errors import GraphError, NotFoundError, UnavailableError, UnreadableAnswerError
from shared.model import AcceptedRequest, Evidence, Outcome, ReferenceKind, StepLine, UserReference
from shared.vocabulary import MethodResult, Status, StepName, StepResult
from tests.service.stage import AVERY, BLAIR, CASEY, DEVON, FINLEY, REESE, Stage, policy_with, request_for, under
from tests.service.test_service import codes, results
from tests.service.test_steps import NAMED, policy_of, step_of

TOKEN_LIST = "/hardwareOathMethods$"
UNCONFIRMED = (StepResult.UNCONFIRMED, None)


async def accept(stage: Stage, user: str, profile: str = "compromised") -> AcceptedRequest:
    """Accept a request for a user."""
    return await stage.ledger.accept(request_for(user, stage.clock.now(), profile=profile))


async def resume(stage: Stage, row: AcceptedRequest) -> Outcome:
    """Go on with a row as the ledger has it."""
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    return await stage.handle(kept)


async def give_up(stage: Stage, row: AcceptedRequest) -> Outcome:
    """End a row whose patience is at its end."""
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    return await stage.service.give_up(kept, "deadline")


def of_type(outcome: Outcome, type_: str) -> list[tuple[str, MethodResult | None, str | None]]:
    """Return what is said of the methods of a type."""
    return [(line.id, line.result, line.error) for line in outcome.methods if line.type == type_]


def follow_ups(outcome: Outcome) -> Iterable[str]:
    """Return the codes of what is left to people."""
    return {each.code for each in outcome.follow_ups}


# --- A type that is not there any more --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["404", "no such segment"])
async def test_token_that_was_listed_when_its_list_is_refused_then_it_is_not_said_to_be_gone(
    stage: Stage, how: str
) -> None:
    """Listed once, its removal answered 503 without effect, then "there is no such thing": it is still active."""
    row = await accept(stage, REESE)
    stage.tenant.add_fault(Fault(method="DELETE", path="hardwareOathMethods", status=503, times=None))
    if how == "404":
        stage.tenant.add_fault(Fault(method="GET", path=TOKEN_LIST, skip=1, status=404, times=None))
    else:
        text = "Resource not found for the segment 'hardwareOathMethods'."
        stage.tenant.add_fault(Fault(method="GET", path=TOKEN_LIST, skip=1, status=400, message=text, times=None))
    with pytest.raises((UnreadableAnswerError, UnavailableError)):
        await stage.handle(row)
    with pytest.raises(UnreadableAnswerError):  # nor is it by the next delivery, to which no list shows it
        await resume(stage, row)
    assert stage.types_of(REESE) == ["hardwareOath"]
    failed = await give_up(stage, row)
    assert (failed.status, failed.verified) == (Status.FAILED, False)
    assert {result for _, result, _ in of_type(failed, "hardwareOath")} == {MethodResult.UNCONFIRMED}
    assert results(failed)["phone"] == ["deleted"]


async def test_token_that_was_listed_when_its_list_comes_back_then_it_is_removed(stage: Stage) -> None:
    """What was unclear is looked at again."""
    row = await accept(stage, REESE)
    stage.tenant.add_fault(Fault(method="DELETE", path="hardwareOathMethods", status=503, times=5))
    stage.tenant.add_fault(Fault(method="GET", path=TOKEN_LIST, skip=1, status=404, times=3))
    with pytest.raises(UnreadableAnswerError):
        await stage.handle(row)
    outcome = await resume(stage, row)
    assert (outcome.status, outcome.verified, stage.types_of(REESE)) == (Status.COMPLETED, True, [])
    assert results(outcome)["hardwareOath"] == ["deleted"]


async def test_type_whose_list_is_never_answered_then_the_others_go_and_it_is_named(stage: Stage) -> None:
    """Trying again cures nothing, and nothing else stays open for it; out of scope it does not matter."""
    stage.tenant.add_fault(Fault(method="GET", path=TOKEN_LIST, status=404, times=None))
    outcome = await stage.reset(DEVON, profile="compromised")
    assert (outcome.status, outcome.verified, stage.types_of(DEVON)) == (Status.PARTIAL, False, [])
    assert of_type(outcome, "hardwareOath") == [("*", MethodResult.UNCONFIRMED, "notListed")]
    assert [(reason.code, reason.method) for reason in outcome.reasons] == [("methodUnconfirmed", "*")]
    assert (await stage.reset(DEVON, profile="phones")).status is Status.COMPLETED


async def test_type_that_the_cloud_does_not_have_is_no_reason(stage: Stage) -> None:
    """Microsoft Graph says of a segment that it does not know that it is not there."""
    stage.tenant.absent_types = {"hardwareOath", "qrCodePin"}
    outcome = await stage.reset(DEVON, profile="compromised")
    assert (outcome.status, outcome.verified) == (Status.COMPLETED, True)


async def test_covered_when_the_list_of_a_type_is_not_answered_then_that_is_said(stage: Stage) -> None:
    """What was registered since is not known."""
    now = stage.clock.now()
    await stage.reset(DEVON, profile="compromised", observed_at=now)
    stage.tenant.add_fault(Fault(method="GET", path=TOKEN_LIST, status=404, times=None))
    outcome = await stage.reset(DEVON, profile="compromised", observed_at=now)
    assert (outcome.status, codes(outcome)) == (Status.PARTIAL, {"coveredBy", "methodUnconfirmed"})


# --- A user who is deleted in the middle ------------------------------------------------------------------------


async def deleted_in_the_middle(stage: Stage) -> AcceptedRequest:
    """Begin a reset of a user who is deleted while the first method is being removed."""
    row = await accept(stage, BLAIR)
    stage.tenant.add_fault(Fault(method="DELETE", delay_seconds=7))

    async def delete_user(seconds: float) -> None:
        if seconds == 7:
            stage.tenant.directory.delete_user(BLAIR, stage.clock.now())

    stage.clock.on_sleep = delete_user
    with pytest.raises(NotFoundError):
        await stage.handle(row)
    stage.clock.on_sleep = None
    return row


async def test_user_who_is_deleted_in_the_middle_then_no_method_is_said_to_be_gone(stage: Stage) -> None:
    """`Request_ResourceNotFound` speaks of the user: when they are restored, every method is there."""
    before = stage.types_of(BLAIR)
    row = await deleted_in_the_middle(stage)
    outcome = await resume(stage, row)
    assert (outcome.status, outcome.reasons[0].code) == (Status.INVALID, "deletedUser")
    assert [line.result for line in outcome.methods] == [MethodResult.UNCONFIRMED] * len(before)
    assert {line.error for line in outcome.methods} == {"notFound"}
    assert codes(outcome) == {"deletedUser", "methodUnconfirmed", "stepUnconfirmed", "stepFailed"}
    stage.tenant.directory.restore_user(BLAIR)
    assert stage.types_of(BLAIR) == before
    assert (await stage.reset(BLAIR, profile="compromised")).status is Status.COMPLETED


async def test_user_who_is_restored_before_the_next_try_then_the_reset_goes_on(stage: Stage) -> None:
    """What was not found is found, and removed."""
    row = await deleted_in_the_middle(stage)
    stage.tenant.directory.restore_user(BLAIR)
    outcome = await resume(stage, row)
    assert (outcome.status, outcome.verified, stage.types_of(BLAIR)) == (Status.COMPLETED, True, [])
    assert {line.result for line in outcome.methods} == {MethodResult.DELETED}


# --- A listing that never comes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", [True, False])
async def test_failed_when_no_listing_came_after_the_removals_then_they_are_unconfirmed(
    stage: Stage, *, effect: bool
) -> None:
    """The word of a DELETE is not believed, of 204 no more than of 404."""
    row = await accept(stage, DEVON, "reregister")
    stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", skip=1, status=500, times=None))
    if not effect:
        stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=404, times=None))
        stage.tenant.add_fault(Fault(method="DELETE", path="microsoftAuthenticator", status=204, times=None))
    with pytest.raises(UnavailableError):
        await stage.handle(row)
    failed = await give_up(stage, row)
    assert failed.status is Status.FAILED
    assert of_type(failed, "microsoftAuthenticator")[0][1:] == (MethodResult.UNCONFIRMED, "accepted")
    assert of_type(failed, "phone")[0][1:] == (MethodResult.UNCONFIRMED, "accepted" if effect else "notFound")
    assert [line.result for line in failed.steps] == [StepResult.UNCONFIRMED]
    assert codes(failed) == {"patienceAtItsEnd", "methodUnconfirmed", "stepUnconfirmed"}


async def test_failed_when_an_earlier_listing_showed_a_method_gone_then_that_is_fact(stage: Stage) -> None:
    """Only what came after it is unconfirmed."""
    row = await accept(stage, DEVON, "reregister")
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", cut="before"))
    stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", skip=2, status=500, times=None))
    with pytest.raises(UnavailableError):
        await stage.handle(row)
    failed = await give_up(stage, row)
    assert of_type(failed, "microsoftAuthenticator")[0][1:] == (MethodResult.DELETED, None)
    assert of_type(failed, "phone")[0][1:] == (MethodResult.UNCONFIRMED, "accepted")


async def test_failed_when_a_method_is_listed_again_then_it_is_not_deleted(stage: Stage) -> None:
    """A listing that showed it gone is older than one that shows it: the id of a phone can be given again."""
    row = await accept(stage, DEVON, "reregister")
    user = stage.tenant.directory.users[DEVON]
    phones = [one for one in user.methods if one.type == "phone"]
    stage.tenant.add_fault(Fault(method="DELETE", path="microsoftAuthenticator", cut="before", times=2))
    looks: list[float] = []

    async def register_again(seconds: float) -> None:
        looks.append(seconds)
        if seconds == 10 and looks.count(10) == 2:
            user.methods += phones
            stage.tenant.add_fault(Fault(method="DELETE", status=429, retry_after=600, times=None))

    stage.clock.on_sleep = register_again
    with pytest.raises(GraphError):
        await stage.handle(row)
    failed = await give_up(stage, row)
    assert of_type(failed, "phone")[0][1] is not MethodResult.DELETED
    assert "phone" in stage.types_of(DEVON)


# --- The account ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [("disableAccount", "revokeSessions"), ("disableAccount",)])
async def test_disabling_that_does_not_show_is_unconfirmed_and_nobody_is_let_in(
    stage: Stage, steps: tuple[str, ...]
) -> None:
    """A PATCH that was answered 204 without effect: the account is enabled, and the window open."""
    stage.tenant.add_fault(Fault(method="PATCH", path=f"/users/{BLAIR}$", status=204, times=None))
    playing = under(stage, policy_of(*steps, "temporaryAccessPass", "enableAccount"))
    outcome = await playing.reset(BLAIR, profile="p", caller=NAMED)
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, False)
    assert step_of(outcome, StepName.DISABLE_ACCOUNT) == UNCONFIRMED
    assert step_of(outcome, StepName.TEMPORARY_ACCESS_PASS) == (StepResult.SKIPPED, "notVerified")
    assert step_of(outcome, StepName.ENABLE_ACCOUNT) == (StepResult.SKIPPED, "notVerified")
    assert "registrationOpen" in follow_ups(outcome)
    assert ("stepUnconfirmed", "disableAccount") in {(reason.code, reason.step) for reason in outcome.reasons}
    assert (stage.types_of(BLAIR), stage.vault.secrets) == ([], {})


async def test_disabling_that_does_not_show_at_first_is_done_again(stage: Stage) -> None:
    """The next round takes it once more, and the user shows it then."""
    stage.tenant.add_fault(Fault(method="PATCH", path=f"/users/{BLAIR}$", status=204))
    outcome = await stage.reset(BLAIR, profile="compromised")
    assert (outcome.status, outcome.verified) == (Status.COMPLETED, True)
    assert step_of(outcome, StepName.DISABLE_ACCOUNT)[0] is StepResult.DONE
    assert stage.tenant.directory.users[BLAIR].properties["accountEnabled"] is False


@pytest.mark.parametrize(("times", "result"), [(None, StepResult.UNCONFIRMED), (1, StepResult.DONE)])
@pytest.mark.parametrize("step", ["disableAccount", "revokeSessions"])
async def test_step_taken_instead_that_does_not_show_is_unconfirmed(
    stage: Stage, step: str, times: int | None, result: StepResult
) -> None:
    """What is done to whom a reset is refused is read as well."""
    stage.tenant.caller_directory_roles.add("62e90394-69f5-4237-9190-012177145e10")
    method, path = ("PATCH", f"/users/{FINLEY}$") if step == "disableAccount" else ("POST", "revokeSignInSessions")
    fault = Fault(method=method, path=path, status=204, times=times)
    stage.tenant.add_fault(fault)
    playing = under(stage, policy_with(privileged={"instead": [step]}))
    outcome = await playing.reset(FINLEY)
    assert (outcome.status, step_of(outcome, StepName(step))) == (Status.REFUSED, (result, None))


async def test_enabling_that_does_not_show_is_unconfirmed_and_stays_ours(stage: Stage) -> None:
    """The next request enables it."""
    playing = under(stage, policy_of("disableAccount", "enableAccount", methods="none"))
    stage.tenant.add_fault(Fault(method="PATCH", path=f"/users/{CASEY}$", skip=1, status=204))
    outcome = await playing.reset(CASEY, profile="p", caller=NAMED)
    assert (outcome.status, step_of(outcome, StepName.ENABLE_ACCOUNT)) == (Status.PARTIAL, UNCONFIRMED)
    assert "accountDisabled" in follow_ups(outcome)
    enabling = under(stage, policy_of("enableAccount", methods="none"))
    assert (await enabling.reset(CASEY, profile="p", caller=NAMED)).status is Status.COMPLETED
    assert stage.tenant.directory.users[CASEY].properties["accountEnabled"] is True


async def test_enabling_that_shows_a_little_later_is_done(stage: Stage) -> None:
    """A directory takes a while: the user is read once more."""
    playing = under(stage, policy_of("disableAccount", "enableAccount", methods="none"))
    stage.tenant.add_fault(Fault(method="PATCH", path=f"/users/{CASEY}$", skip=1, status=204))
    properties = stage.tenant.directory.users[CASEY].properties
    slept: list[float] = []

    async def take_effect(seconds: float) -> None:
        slept.append(seconds)
        if slept.count(10) == 2:
            properties["accountEnabled"] = True

    stage.clock.on_sleep = take_effect
    outcome = await playing.reset(CASEY, profile="p", caller=NAMED)
    assert (outcome.status, step_of(outcome, StepName.ENABLE_ACCOUNT)) == (Status.COMPLETED, (StepResult.DONE, None))


@pytest.mark.parametrize("fault", [Fault(method="PATCH", status=204), Fault(method="GET", status=403, times=None)])
async def test_account_when_an_earlier_step_is_unconfirmed_then_it_is_not_enabled(stage: Stage, fault: Fault) -> None:
    """Per-user MFA was to be enforced before the owner is let in, and nothing shows that it is."""
    stage.tenant.add_fault(Fault(**{**vars(fault), "path": "authentication/requirements"}))
    playing = under(stage, policy_of("disableAccount", "perUserMfa:enforced", "enableAccount"))
    outcome = await playing.reset(BLAIR, profile="p", caller=NAMED)
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, True)
    assert step_of(outcome, StepName.PER_USER_MFA) == UNCONFIRMED
    assert step_of(outcome, StepName.ENABLE_ACCOUNT) == (StepResult.SKIPPED, "stepsOpen")
    assert stage.tenant.directory.users[BLAIR].properties["accountEnabled"] is False


@pytest.mark.parametrize(
    ("enabling", "disabled"), [(StepResult.DONE, StepResult.DONE), (StepResult.FAILED, StepResult.UNCONFIRMED)]
)
async def test_disabling_when_the_account_was_enabled_in_the_end_then_it_is_not_looked_for(
    stage: Stage, enabling: StepResult, disabled: StepResult
) -> None:
    """A delivery that comes again after that must not lock the owner out."""
    user = await stage.directory.find_user(UserReference(ReferenceKind.OBJECT_ID, AVERY))
    assert user is not None
    now = stage.clock.now()
    steps = (
        StepLine("disableAccount", StepResult.DONE, now),
        StepLine("enableAccount", enabling, now),
    )
    evidence = await confirm_account(stage.directory, Evidence(user, now, steps=steps))
    assert [line.result for line in evidence.steps] == [disabled, enabling]


async def test_password_of_a_guest_by_type_whose_account_is_here_is_reset(stage: Stage) -> None:
    """Where the password is kept is a matter of the account, not of the type of user."""
    user = stage.tenant.directory.users[CASEY]
    user.properties["userType"] = "Guest"
    playing = under(stage, policy_of("resetPassword", methods="none"))
    outcome = await playing.reset(CASEY, profile="p", caller=NAMED)
    assert (outcome.status, step_of(outcome, StepName.RESET_PASSWORD)) == (Status.COMPLETED, (StepResult.DONE, None))
    assert user.password_profile is not None
