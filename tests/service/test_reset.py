"""A reset under faults: what stays open is told, what may be cured is tried again, nothing is believed."""

from dataclasses import replace

import pytest

from sandbox.tenant import Fault, method
from shared.errors import GraphError, NoAnswerError, ThrottledError, UnauthenticatedError, UnavailableError
from shared.model import AcceptedRequest, Outcome, Selection
from shared.vocabulary import MethodResult, Status, StepResult
from tests.service.stage import BLAIR, CASEY, DEVON, OAKLEY, REESE, VAL, Stage, request_for, under
from tests.service.test_service import SESSIONS, codes, results
from tests.service.test_steps import NAMED, policy_of

MOBILE = "phoneMethods/3179e48a"
AUTHENTICATOR = "microsoftAuthenticatorMethods"
DEFAULT_TEXT = "Cannot delete default method with other methods configured."
SAGE = "10000000-0000-4000-8000-000000000019"


async def accept(stage: Stage, user: str) -> AcceptedRequest:
    """Accept a request for a user."""
    return await stage.ledger.accept(request_for(user, stage.clock.now()))


async def resume(stage: Stage, row: AcceptedRequest) -> Outcome:
    """Go on with a row as the ledger has it."""
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    return await stage.handle(kept)


async def test_default_method_is_removed_after_the_others_whatever_the_text(stage: Stage) -> None:
    """Both texts of the refusal are known; what was refused goes through once it is the last."""
    stage.tenant.default_text = "alternating"
    assert (await stage.reset(DEVON)).status is Status.COMPLETED
    assert (await stage.reset(BLAIR)).status is Status.COMPLETED
    assert stage.types_of(DEVON) == []


async def test_catch_22_of_alternate_mobile_is_left_by_another_default(stage: Stage) -> None:
    """The alternateMobile is the default and mobile cannot go before it: mobile is made the default."""
    outcome = await stage.reset(OAKLEY)
    assert results(outcome) == {"phone": ["deleted", "deleted"]}
    assert any("signInPreferences" in change for change in stage.changes())


@pytest.mark.parametrize(
    ("narrow", "why"), [(True, "missing app role UserAuthenticationMethod.ReadWrite.All"), (False, "accessDenied")]
)
async def test_catch_22_without_the_broad_right_names_what_is_missing(stage: Stage, why: str, *, narrow: bool) -> None:
    """Where the default may not be changed both phones stay, not for a bad request but for a role."""
    if narrow:
        stage.tenant.roles = {role for role in stage.tenant.roles if not role.startswith("UserAuthenticationMethod.")}
    stage.tenant.add_fault(Fault(method="PATCH", path="signInPreferences", status=403, times=None))
    outcome = await stage.reset(OAKLEY)
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, False)
    assert [(line.result, line.error) for line in outcome.methods] == [(MethodResult.NOT_PERMITTED, why)] * 2
    assert [(reason.code, reason.method) for reason in outcome.reasons] == [
        ("notPermitted", line.id) for line in outcome.methods
    ]
    assert sum("signInPreferences" in call.path for call in stage.tenant.calls) == 1


async def test_catch_22_without_the_broad_right_leaves_what_is_refused_for_another_reason_as_it_is(
    stage: Stage,
) -> None:
    """A role would not cure it."""
    stage.tenant.directory.users[OAKLEY].methods.append(method("softwareOath", "0ff1ce00-0000-4000-8000-000000000002"))
    stage.tenant.add_fault(Fault(method="DELETE", path="softwareOath", status=400, code="nope", times=None))
    stage.tenant.add_fault(Fault(method="PATCH", path="signInPreferences", status=403, times=None))
    assert results(await stage.reset(OAKLEY)) == {"phone": ["notPermitted"] * 2, "softwareOath": ["remaining"]}


@pytest.mark.parametrize("default", ["sms", "voiceAlternateMobile"])
async def test_default_is_left_alone_where_it_is_not_what_stands_in_the_way(stage: Stage, default: str) -> None:
    """A mobile phone under an alternate one that is kept cannot go, whatever the default is."""
    user = stage.tenant.directory.users[OAKLEY]
    user.default_method = default
    kept = Selection(keep=("id:b6332ec1-7057-4abe-9331-3d72feddfe41",))
    outcome = await stage.reset(OAKLEY, profile="some", selection=kept)
    assert outcome.status is Status.PARTIAL
    assert not [change for change in stage.changes() if "signInPreferences" in change]


async def test_external_method_that_is_refused_in_both_forms_is_remaining(stage: Stage) -> None:
    """The answer to the documented form counts."""
    path = "externalAuthenticationMethods"
    stage.tenant.add_fault(Fault(method="DELETE", path=path, status=400, code="nope", times=None))
    outcome = await stage.reset(VAL, profile="some")
    assert [(line.result, line.error) for line in outcome.methods if line.type == "external"] == [
        (MethodResult.REMAINING, "nope")
    ]


async def test_default_is_refused_again_after_it_was_changed_then_the_next_is_tried(stage: Stage) -> None:
    """Each candidate once, and then the truth."""
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=400, message=DEFAULT_TEXT, times=None))
    outcome = await stage.reset(OAKLEY)
    assert outcome.status is Status.PARTIAL
    tried = [change for change in stage.changes() if "signInPreferences" in change]
    assert len(tried) >= 2


@pytest.mark.parametrize("form", ["plain", "ref"])
async def test_external_method_that_is_still_listed_once_it_is_gone_stays_deleted(stage: Stage, form: str) -> None:
    """Gone in one form, wrong in the other: gone."""
    stage.tenant.external_delete_form = "ref" if form == "ref" else "plain"
    stage.tenant.visibility_delay_seconds = 12
    outcome = await stage.reset(VAL, profile="some")
    assert outcome.status is Status.COMPLETED
    assert {line.result for line in outcome.methods} == {MethodResult.DELETED}


async def test_delayed_visibility_is_waited_for(stage: Stage) -> None:
    """A deleted method that is still listed is asked for again, found gone, and stays `deleted`."""
    stage.tenant.visibility_delay_seconds = 15
    outcome = await stage.reset(DEVON)
    assert outcome.status is Status.COMPLETED
    assert {line.result for line in outcome.methods} == {MethodResult.DELETED}


async def test_visibility_that_never_comes_is_partial(stage: Stage) -> None:
    """After three looks what is still listed is remaining, whatever the deletes answered."""
    stage.tenant.visibility_delay_seconds = 3_600
    outcome = await stage.reset(DEVON)
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, False)
    assert {(line.result, line.error) for line in outcome.methods} == {(MethodResult.REMAINING, "stillListed")}


async def test_method_that_is_registered_meanwhile_is_removed_too(stage: Stage) -> None:
    """Scope is a rule, not a list: an attacker who registers again in between loses that as well."""
    row = await accept(stage, DEVON)
    user = stage.tenant.directory.users[DEVON]
    added: list[str] = []

    async def register_while_settling(_: float) -> None:
        if not added:
            added.append("0ff1ce00-0000-4000-8000-000000000001")
            user.methods.append(method("softwareOath", added[0]))

    stage.clock.on_sleep = register_while_settling
    outcome = await stage.handle(row)
    assert outcome.status is Status.COMPLETED
    assert results(outcome)["softwareOath"] == ["deleted"]
    assert sum(SESSIONS in change for change in stage.changes()) == 3


async def test_method_that_is_gone_already_is_no_failure(stage: Stage) -> None:
    """404 on a delete is done."""
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=404))
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=404, when="after"))
    outcome = await stage.reset(DEVON)
    assert outcome.status is Status.COMPLETED


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_delete_that_failed_after_its_effect_and_is_repeated_is_ours(stage: Stage, status: int) -> None:
    """What the second try does not find, the first one has removed."""
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=status, when="after"))
    outcome = await stage.reset(DEVON)
    assert outcome.status is Status.COMPLETED
    assert results(outcome) == {"phone": ["deleted"], "microsoftAuthenticator": ["deleted"]}
    assert sum(call.method == "DELETE" and MOBILE in call.path for call in stage.tenant.calls) == 2


@pytest.mark.parametrize("form", ["plain", "ref"])
async def test_external_delete_that_failed_after_its_effect_and_is_repeated_is_ours(stage: Stage, form: str) -> None:
    """In whichever form of the address it took effect."""
    stage.tenant.external_delete_form = "ref" if form == "ref" else "plain"
    path = "/externalAuthenticationMethods/" + (".*ref$" if form == "ref" else "")
    stage.tenant.add_fault(Fault(method="DELETE", path=path, status=503, when="after"))
    outcome = await stage.reset(VAL, profile="some")
    assert results(outcome)["external"] == ["deleted"]


async def test_deactivation_that_failed_after_its_effect_and_is_repeated_is_ours(stage: Stage) -> None:
    """A token that somebody takes from the user before the second try had been deactivated by the first."""
    user = stage.tenant.directory.users[REESE]

    async def unassign(_: float) -> None:
        user.methods = [one for one in user.methods if one.type != "hardwareOath"]

    stage.clock.on_sleep = unassign
    stage.tenant.add_fault(Fault(method="POST", path="deactivate", status=503, when="after"))
    assert results(await stage.reset(REESE))["hardwareOath"] == ["deactivated"]


@pytest.mark.parametrize(
    "leaving",
    [Fault(method="DELETE", status=429, retry_after=600), Fault(method="DELETE", status=401)],
    ids=lambda fault: str(fault.status),
)
async def test_delete_that_left_after_a_try_that_had_its_effect_is_ours(stage: Stage, leaving: Fault) -> None:
    """Neither throttling nor a token takes back what the try before them has done."""
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=503, when="after"))
    stage.tenant.add_fault(replace(leaving, path=MOBILE))
    row = await accept(stage, DEVON)
    with pytest.raises((ThrottledError, UnauthenticatedError)) as raised:
        await stage.handle(row)
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    assert kept.evidence is not None
    assert [(line.result, line.error) for line in kept.evidence.methods if line.type == "phone"] == [
        (None, raised.value.code)
    ]
    outcome = await resume(stage, row)
    assert outcome.status is Status.COMPLETED
    assert results(outcome) == {"phone": ["deleted"], "microsoftAuthenticator": ["deleted"]}


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (Fault(status=400, code="nope"), (MethodResult.REMAINING, "nope")),
        (Fault(status=400, message=DEFAULT_TEXT), (MethodResult.REMAINING, "defaultMethod")),
        (Fault(status=403), (MethodResult.NOT_PERMITTED, "accessDenied")),
    ],
    ids=["bad", "default", "forbidden"],
)
async def test_delete_that_is_refused_after_a_try_that_may_have_done_it_is_judged_by_the_listing(
    stage: Stage, refusal: Fault, said: tuple[MethodResult, str]
) -> None:
    """What is gone was ours; what is still listed is told as it was refused."""
    stage.tenant.add_fault(Fault(method="DELETE", path=AUTHENTICATOR, status=503, when="after"))
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=503))
    stage.tenant.add_fault(replace(refusal, method="DELETE", times=None))
    outcome = await stage.reset(DEVON)
    assert outcome.status is Status.PARTIAL
    assert {line.type: (line.result, line.error) for line in outcome.methods} == {
        "microsoftAuthenticator": (MethodResult.DELETED, None),
        "phone": said,
    }


@pytest.mark.parametrize("times", [2, None])
async def test_delete_that_conflicts_after_a_try_that_had_its_effect_is_ours(stage: Stage, times: int | None) -> None:
    """Whether it is not found when it is asked for again, or is in conflict until nothing of it is listed."""
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=503, when="after"))
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=409, times=times))
    outcome = await stage.reset(DEVON)
    assert outcome.status is Status.COMPLETED
    assert results(outcome) == {"phone": ["deleted"], "microsoftAuthenticator": ["deleted"]}


@pytest.mark.parametrize("first", [None, Fault(method="DELETE", path=MOBILE, cut="after")], ids=["deleted", "cut"])
@pytest.mark.parametrize("status", [400, 403, 409])
async def test_delete_that_is_refused_in_a_later_round_while_it_is_still_listed_is_ours(
    stage: Stage, status: int, first: Fault | None
) -> None:
    """A refusal of what we have removed, or may have, does not make it somebody else's doing."""
    stage.tenant.visibility_delay_seconds = 15
    stage.tenant.add_fault(first or Fault(method="DELETE", path=MOBILE))
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=status, code="nope", times=None))
    outcome = await stage.reset(DEVON)
    assert outcome.status is Status.COMPLETED
    assert results(outcome) == {"phone": ["deleted"], "microsoftAuthenticator": ["deleted"]}


async def test_enabling_that_took_effect_before_its_token_was_refused_is_done(stage: Stage) -> None:
    """The ledger keeps that it may have been taken: the account, seen enabled, tells that it was."""
    await under(stage, policy_of("disableAccount", methods="none")).reset(CASEY, profile="p", caller=NAMED)
    playing = under(stage, policy_of("enableAccount", methods="none"))
    row = await stage.ledger.accept(
        request_for(CASEY, stage.clock.now(), request_id="INC-E", profile="p", caller=NAMED)
    )
    stage.tenant.add_fault(Fault(method="PATCH", path=CASEY, status=503, when="after"))
    stage.tenant.add_fault(Fault(method="PATCH", path=CASEY, status=401))
    with pytest.raises(UnauthenticatedError):
        await playing.handle(row)
    outcome = await resume(playing, row)
    assert [(line.step, line.result) for line in outcome.steps] == [("enableAccount", StepResult.DONE)]
    assert outcome.status is Status.COMPLETED


async def test_step_whose_token_is_refused_at_once_was_not_taken(stage: Stage) -> None:
    """The ledger does not keep that it may have been."""
    stage.tenant.add_fault(Fault(method="POST", path=SESSIONS, status=401))
    row = await accept(stage, CASEY)
    with pytest.raises(UnauthenticatedError):
        await stage.handle(row)
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    assert kept.evidence is not None
    assert kept.evidence.steps == ()


async def test_method_that_vanished_by_itself_is_already_gone(stage: Stage) -> None:
    """What nobody of us removed is not claimed."""
    row = await stage.ledger.accept(request_for(DEVON, stage.clock.now(), profile="compromised"))
    stage.tenant.add_fault(Fault(method="PATCH", path=DEVON, status=500, times=5))
    with pytest.raises(UnavailableError):
        await stage.handle(row)
    user = stage.tenant.directory.users[DEVON]
    user.methods = [one for one in user.methods if one.type != "phone"]
    outcome = await resume(stage, row)
    assert results(outcome) == {"phone": ["alreadyGone"], "microsoftAuthenticator": ["deleted"]}


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_delete_without_an_answer_is_unknown_until_the_next_listing(stage: Stage, cut: str) -> None:
    """Whether the connection broke before or after the effect, the listing decides, in the same reset."""
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, cut="before" if cut == "before" else "after"))
    outcome = await stage.reset(DEVON)
    assert outcome.status is Status.COMPLETED
    assert results(outcome)["phone"] == ["deleted"]
    assert stage.types_of(DEVON) == []


async def test_delete_that_never_gets_an_answer_closes_the_rest_and_goes_on_later(stage: Stage) -> None:
    """One method that cannot be removed now does not keep the others open; the evidence says what was reached."""
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, cut="before", times=None))
    row = await accept(stage, DEVON)
    with pytest.raises(NoAnswerError):
        await stage.handle(row)
    assert stage.types_of(DEVON) == ["phone"]
    stage.tenant.clear_faults()
    outcome = await resume(stage, row)
    assert outcome.status is Status.COMPLETED
    assert results(outcome) == {"phone": ["deleted"], "microsoftAuthenticator": ["deleted"]}


async def test_delete_that_conflicts_is_tried_in_the_next_round_and_later(stage: Stage) -> None:
    """A conflict may pass: it is no end."""
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=409, times=4))
    assert (await stage.reset(DEVON)).status is Status.COMPLETED
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=409, times=None))
    row = await accept(stage, OAKLEY)
    with pytest.raises(GraphError, match="Somebody else"):
        await stage.handle(row)


async def test_delete_that_is_refused_for_good_is_remaining_with_its_code(stage: Stage) -> None:
    """A refusal that trying again does not cure is told with Graph's code."""
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=400, code="nope", message="No.", times=None))
    outcome = await stage.reset(DEVON)
    assert outcome.status is Status.PARTIAL
    assert [(line.result, line.error) for line in outcome.methods if line.type == "phone"] == [
        (MethodResult.REMAINING, "nope")
    ]


async def test_type_without_its_app_role_is_not_permitted_and_the_others_go(stage: Stage) -> None:
    """A missing right for one type is that line's result; nothing waits for it."""
    stage.tenant.roles -= {"UserAuthenticationMethod.ReadWrite.All", "UserAuthMethod-Phone.ReadWrite.All"}
    outcome = await stage.reset(REESE)
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, False)
    assert results(outcome) == {"phone": ["notPermitted"], "hardwareOath": ["deactivated"]}
    assert codes(outcome) == {"notPermitted"}


async def test_type_without_its_app_role_is_not_asked_for_again(stage: Stage) -> None:
    """A further round for what is still listed does not repeat what is not permitted."""
    stage.tenant.roles -= {"UserAuthenticationMethod.ReadWrite.All", "UserAuthMethod-Phone.ReadWrite.All"}
    stage.tenant.visibility_delay_seconds = 15
    outcome = await stage.reset(DEVON)
    assert results(outcome) == {"phone": ["notPermitted"], "microsoftAuthenticator": ["deleted"]}
    assert sum(call.method == "DELETE" and "phoneMethods" in call.path for call in stage.tenant.calls) == 1


async def test_type_that_may_not_be_listed_is_not_permitted(stage: Stage) -> None:
    """Hardware OATH that cannot be seen is not taken for absent."""
    stage.tenant.add_fault(Fault(method="GET", path="hardwareOathMethods", status=403, times=None))
    outcome = await stage.reset(DEVON)
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, False)
    assert results(outcome)["hardwareOath"] == ["notPermitted"]
    assert (await stage.reset(DEVON, profile="phones")).status is Status.COMPLETED


async def test_step_without_its_app_role_is_not_permitted_and_the_reset_goes_on(stage: Stage) -> None:
    """Methods are removed although sessions cannot be revoked; it is partial and not verified."""
    stage.tenant.roles -= {"User.RevokeSessions.All"}
    outcome = await stage.reset(DEVON)
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, False)
    assert [step.result for step in outcome.steps] == [StepResult.NOT_PERMITTED]
    assert stage.types_of(DEVON) == []


async def test_step_that_is_refused_has_failed(stage: Stage) -> None:
    """A refusal for good is told with its code, and the window is said to be open."""
    stage.tenant.add_fault(Fault(method="PATCH", path=f"/users/{DEVON}$", status=400, code="nope", times=None))
    outcome = await stage.reset(DEVON, profile="compromised")
    assert {step.step: (step.result, step.detail) for step in outcome.steps}["disableAccount"] == (
        StepResult.FAILED,
        "nope",
    )
    assert "registrationOpen" in {follow_up.code for follow_up in outcome.follow_ups}


async def test_revocation_that_does_not_show_is_unconfirmed(stage: Stage) -> None:
    """An answer is not believed: the user's own time has to move."""
    stage.tenant.add_fault(Fault(method="POST", path=SESSIONS, status=204, times=None))
    outcome = await stage.reset(DEVON)
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, False)
    assert [step.result for step in outcome.steps] == [StepResult.UNCONFIRMED]
    assert codes(outcome) == {"stepUnconfirmed"}


async def test_revocation_of_a_user_who_never_had_sessions_is_confirmed(stage: Stage) -> None:
    """No time before is earlier than any time after."""
    stage.tenant.directory.users[CASEY].properties["signInSessionsValidFromDateTime"] = None
    assert (await stage.reset(CASEY)).verified


async def test_revocation_in_the_second_of_another_is_done_again(stage: Stage) -> None:
    """Graph's time has whole seconds: one that does not move is moved by the next round."""
    await stage.reset(DEVON, profile="revoke")
    stage.tenant.directory.users[DEVON].properties["signInSessionsValidFromDateTime"] = stage.clock.now().strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    assert (await stage.reset(DEVON)).status is Status.COMPLETED


async def test_user_who_is_deleted_meanwhile_is_tried_later_and_then_unknown(stage: Stage) -> None:
    """Nothing is claimed about somebody who is not there any more."""
    row = await accept(stage, DEVON)

    async def delete_user(_: float) -> None:
        stage.tenant.directory.users.pop(DEVON, None)

    stage.clock.on_sleep = delete_user
    with pytest.raises(GraphError, match="does not know"):
        await stage.handle(row)
    outcome = await resume(stage, row)
    assert codes(outcome) == {"unknownUser", "methodUnconfirmed", "stepUnconfirmed"}
    assert {line.result for line in outcome.methods} == {MethodResult.UNCONFIRMED}


async def test_user_who_vanishes_between_the_looks_is_tried_later(stage: Stage) -> None:
    """The last read of the user counts as well as the listing."""
    row = await accept(stage, DEVON)
    stage.tenant.add_fault(Fault(method="GET", path=rf"/v1.0/users/{DEVON}\?", skip=2, status=404, times=None))
    with pytest.raises(GraphError, match="does not know"):
        await stage.handle(row)


async def test_throttling_that_fits_the_budget_is_waited_for(stage: Stage) -> None:
    """A Retry-After of a few seconds passes inside the call, everywhere."""
    stage.tenant.add_fault(Fault(status=429, retry_after=3, times=3))
    stage.tenant.add_fault(Fault(method="DELETE", status=429, retry_after=5, times=2))
    assert (await stage.reset(DEVON)).status is Status.COMPLETED


async def test_throttling_beyond_the_budget_leaves_with_its_time(stage: Stage) -> None:
    """What Graph asks for is handed on, and the evidence is kept."""
    stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=429, retry_after=600))
    row = await accept(stage, DEVON)
    with pytest.raises(ThrottledError) as raised:
        await stage.handle(row)
    assert raised.value.retry_after_seconds == 600
    outcome = await resume(stage, row)
    assert (outcome.status, results(outcome)) == (
        Status.COMPLETED,
        {"phone": ["deleted"], "microsoftAuthenticator": ["deleted"]},
    )


async def test_hardware_token_whose_state_is_not_shown_is_deactivated_once(stage: Stage) -> None:
    """Graph need not say whether a token is active: one deactivation that was accepted counts."""
    for token in stage.tenant.directory.users[REESE].methods:
        token.properties.pop("device", None)
    outcome = await stage.reset(REESE)
    assert outcome.status is Status.COMPLETED
    assert results(outcome)["hardwareOath"] == ["deactivated"]
    assert sum("deactivate" in call.path for call in stage.tenant.calls) == 1


async def test_hardware_token_that_is_inactive_already_is_left_alone(stage: Stage) -> None:
    """A second reset has nothing to deactivate."""
    await stage.reset(REESE)
    before = len(stage.changes())
    outcome = await stage.reset(REESE)
    assert [(line.result, line.error) for line in outcome.methods] == [(MethodResult.KEPT, "notActive")]
    assert not any("deactivate" in change for change in stage.changes()[before:])
    assert outcome.status is Status.COMPLETED


async def test_hardware_token_whose_state_is_never_shown_is_not_confirmed(stage: Stage) -> None:
    """It is deactivated once; whether it was is for people to look at."""
    user = stage.tenant.directory.users[REESE]
    stage.tenant.add_fault(Fault(method="POST", path="deactivate", status=204, times=None))
    for token in user.methods:
        token.properties.pop("device", None)
    outcome = await stage.reset(REESE)
    assert (outcome.status, outcome.verified) == (Status.PARTIAL, False)
    assert [(line.result, line.error) for line in outcome.methods if line.type == "hardwareOath"] == [
        (MethodResult.UNCONFIRMED, "stateNotShown")
    ]
    assert sum("deactivate" in call.path for call in stage.tenant.calls) == 1


async def test_external_method_is_deleted_in_either_form(stage: Stage) -> None:
    """Which address works is not documented: both do."""
    stage.tenant.external_delete_form = "ref"
    assert (await stage.reset(BLAIR, profile="compromised")).status is Status.COMPLETED
    assert stage.types_of(BLAIR) == []


async def test_reset_twice_is_harmless(stage: Stage) -> None:
    """Every effect converges."""
    first, second = await stage.reset(SAGE), await stage.reset(SAGE)
    assert (first.status, second.status) == (Status.COMPLETED, Status.COMPLETED)


async def test_reset_that_has_to_wait_takes_back_what_is_still_listed(stage: Stage) -> None:
    """A method that was answered as deleted and is still shown is not kept as deleted in the ledger."""
    stage.tenant.visibility_delay_seconds = 3_600
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, cut="before", times=None))
    row = await accept(stage, DEVON)
    with pytest.raises(NoAnswerError):
        await stage.handle(row)
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    assert kept.evidence is not None
    assert {line.type: (line.result, line.error) for line in kept.evidence.methods} == {
        "microsoftAuthenticator": (MethodResult.REMAINING, "stillListed"),
        "phone": (None, "NoAnswer"),
    }


async def test_reset_that_is_resumed_tries_again_what_was_not_permitted(stage: Stage) -> None:
    """A grant that came meanwhile counts."""
    stage.tenant.add_fault(Fault(method="DELETE", path=MOBILE, status=403))
    stage.tenant.add_fault(Fault(method="DELETE", path="microsoftAuthenticatorMethods", cut="before", times=3))
    row = await accept(stage, DEVON)
    with pytest.raises(NoAnswerError):
        await stage.handle(row)
    outcome = await resume(stage, row)
    assert (outcome.status, stage.types_of(DEVON)) == (Status.COMPLETED, [])


async def test_kept_method_of_a_type_that_can_be_listed_no_more_stays_kept(stage: Stage) -> None:
    """What cannot be seen is not said to be gone, in scope or not."""
    stage.tenant.add_fault(Fault(method="GET", path="hardwareOathMethods", skip=1, status=403, times=None))
    outcome = await stage.reset(REESE, profile="phones")
    assert results(outcome) == {"phone": ["deleted"], "hardwareOath": ["kept"]}
