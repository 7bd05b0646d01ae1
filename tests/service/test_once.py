"""Once: a burst is one reset, what is held back is not lost, and nothing takes effect twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.tenant import Fault
from sandbox.tenant import method as a_method
from shared.errors import BusUnavailableError, ClaimHeldError, LedgerUnavailableError, ThrottledError
from shared.ledger.sqlite import SqliteLedger
from shared.model import AcceptedRequest, Budget, Control, Outcome, RequestKey, Waiting
from shared.patience import LOST_AFTER
from shared.policy import Policy
from shared.ports import Delivery, Finished, Pending
from shared.readiness import Readiness, check_readiness
from shared.reception import HOLD_BACK_SECONDS
from shared.sweep import KEPT_FOR, PURGED_AT_ONCE, PURGES_A_DAY
from shared.vocabulary import (
    FUNCTION_KEY,
    QUEUE,
    BudgetKind,
    Caller,
    MethodResult,
    RequestId,
    Status,
    StepName,
    StepResult,
    UserId,
    WaitingFor,
)
from shared.web import HttpAnswer, HttpCall, Web
from tests.service.stage import (
    AVERY,
    BLAIR,
    BREAK_GLASS,
    CASEY,
    DEVON,
    FINLEY,
    OAKLEY,
    PARKER,
    START,
    Stage,
    policy_with,
    request_for,
    under,
)
from tests.service.test_reception import OUTCOMES, REQUESTS, Door, fails_with, key_of, open_door
from tests.service.test_steps import NAMED, policy_of, step_of

RESETS = Budget(QUEUE, BudgetKind.RESETS)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MILLISECOND = timedelta(milliseconds=1)  # what the bus tells times to
EARLIER = START - HOUR
MOBILE = "3179e48a-750b-4051-897c-87b9720928f7"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a door of its own to each test."""
    async with open_door(tmp_path) as door:
        yield door


def statuses(door: Door) -> list[str]:
    """List how requests ended, as the topic was told."""
    return [told["status"] for told in door.told()]


def codes(told: dict[str, Any]) -> list[str]:
    """List the codes of the reasons of what was told."""
    return [reason["code"] for reason in told["reasons"]]


def register(stage: Stage, user: str, *, phone: str | None = None) -> None:
    """Let a user register a phone, or a passkey."""
    new = a_method("phone", phone, phoneNumber="+1 5550004321", phoneType="mobile") if phone else None
    stage.tenant.directory.users[user].methods.append(new or a_method("softwareOath", "new-1"))


def alerts(caplog: pytest.LogCaptureFixture) -> list[str]:
    """List the alerts that were logged."""
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "mfa_reset"]
    return [line["event"] for line in lines if line.get("alert")]


def limited(number: int, **more: Any) -> Policy:  # noqa: ANN401 - JSON
    """Make the tests' policy with an hourly limit."""
    return policy_with(limits={"resetsPerHour": number}, **more)


# --- A burst ----------------------------------------------------------------------------------------------------


async def test_burst_of_20_alerts_on_one_user_is_one_reset_and_19_covered(door: Door) -> None:
    """They come all at once: whoever has to wait for the claim finds what the first has done, and names it."""
    bodies = [{"requestId": f"INC-{number}", "user": DEVON} for number in range(20)]
    await asyncio.gather(*(door.receive(body, f"MSG-{body['requestId']}") for body in bodies))
    for _ in range(20):
        for key in {key for key, _ in door.resumes()}:
            await door.go_on(key)
    assert sorted(statuses(door)) == ["completed", *["covered"] * 19]
    (reset,) = [told for told in door.told() if told["status"] == "completed"]
    for told in door.told():
        if told["status"] == "covered":
            assert codes(told) == ["coveredBy"]
            assert told["reasons"][0]["text"].startswith(f"The reset {reset['requestId']} of queue covers it")
    deletes = [change for change in door.stage.changes() if change.startswith("DELETE")]
    assert len(deletes) == len(set(deletes)) == 2


@pytest.mark.parametrize(("observed", "status"), [(None, "covered"), (-1, "covered"), (60, "completed")])
async def test_compromise_seen_after_the_reset_is_reset_again(door: Door, observed: int | None, status: str) -> None:
    """What counts is when it was seen, else when it came; seconds are told from the end of the first reset."""
    await door.receive({"requestId": "INC-1", "user": DEVON, "observedAt": EARLIER.isoformat()})
    changes = len(door.stage.changes())
    looked_at = datetime.fromisoformat(door.told()[0]["verifiedAt"])
    door.stage.clock.advance(120)
    body = {"requestId": "INC-2", "user": DEVON}
    if observed is not None:
        body["observedAt"] = (looked_at + timedelta(seconds=observed)).isoformat()
    await door.receive(body, "MSG-2")
    assert statuses(door) == ["completed", status]
    assert (len(door.stage.changes()) > changes) is (status == "completed")


async def test_request_without_a_time_is_covered_until_the_cooldown_is_over(door: Door) -> None:
    """It may be about what happened before the reset for so long: 30 minutes here."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    for minutes, status in ((29, "covered"), (2, "completed")):
        door.stage.clock.advance(minutes * 60)
        await door.receive({"requestId": f"INC-{minutes}", "user": DEVON}, f"MSG-{minutes}")
        assert statuses(door)[-1] == status


@pytest.mark.parametrize("phone", [None, MOBILE])
async def test_methods_registered_since_are_told_with_an_alert_and_stay(
    door: Door, caplog: pytest.LogCaptureFixture, phone: str | None
) -> None:
    """A phone that was deleted and comes back has the id that every mobile phone has: it is another one."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    register(door.stage, DEVON, phone=phone)
    changes, types = door.stage.changes(), door.stage.types_of(DEVON)
    door.stage.clock.advance(60)
    caplog.clear()
    await door.receive({"requestId": "INC-2", "user": DEVON}, "MSG-2")
    told = door.told()[-1]
    assert (told["status"], codes(told)) == ("partial", ["coveredBy", "registeredSinceReset"])
    assert [(line["id"], line["result"], line["error"]) for line in told["methods"]] == [
        (phone or "new-1", "remaining", "registeredSinceReset")
    ]
    assert alerts(caplog) == ["needsAttention"]
    assert (door.stage.changes(), door.stage.types_of(DEVON)) == (changes, types)


async def test_request_covered_by_the_reset_of_another_caller_names_it(door: Door) -> None:
    """Who asks has to be able to look for it."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    (reply,) = await door.call({"requestId": "INC-9", "user": DEVON})
    assert isinstance(reply, Finished)
    assert reply.outcome.status is Status.COVERED
    assert "The reset INC-1 of queue covers it: it ended as completed" in reply.outcome.reasons[0].text


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ("reregister", "some", "completed"),
        ("reregister", "compromised", "completed"),
        ("reregister", "phones", "covered"),
        ("reregister", "revoke", "covered"),
        ("compromised", "reregister", "covered"),
        ("phones", "revoke", "completed"),
    ],
)
async def test_request_that_asks_for_more_than_the_reset_did_is_not_covered(
    door: Door, first: str, second: str, status: str
) -> None:
    """One that asks for less, or for some of it, is."""
    await door.receive({"requestId": "INC-1", "user": DEVON, "profile": first})
    await door.receive({"requestId": "INC-2", "user": DEVON, "profile": second}, "MSG-2")
    assert statuses(door) == ["completed", status]


@pytest.mark.parametrize("observing", [True, False])
async def test_dry_run_of_a_covered_request_is_planned_and_says_so(door: Door, *, observing: bool) -> None:
    """Asked for, or because the policy observes."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    if observing:
        door.stage.policy = policy_with(mode="observe")
    await door.receive({"requestId": "INC-2", "user": DEVON, "dryRun": not observing}, "MSG-2")
    told = door.told()[-1]
    assert (told["status"], told["dryRun"], codes(told)) == ("planned", True, ["coveredBy"])


async def test_refusal_comes_before_what_covers_a_request(door: Door) -> None:
    """The user was put on the list of those who are never touched since."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    door.stage.policy = policy_with(never={"users": [DEVON], "groups": []})
    await door.receive({"requestId": "INC-2", "user": DEVON}, "MSG-2")
    assert (statuses(door)[-1], codes(door.told()[-1])) == ("refused", ["neverUser"])


async def test_types_that_cannot_be_listed_any_more_make_what_is_covered_partial(door: Door) -> None:
    """What was registered since is not known then."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    door.stage.tenant.roles -= {"UserAuthenticationMethod.Read.All", "UserAuthenticationMethod.ReadWrite.All"}
    door.stage.tenant.roles.discard("UserAuthMethod-SoftwareOATH.ReadWrite.All")
    await door.receive({"requestId": "INC-2", "user": DEVON}, "MSG-2")
    told = door.told()[-1]
    assert (told["status"], codes(told)) == ("partial", ["coveredBy", "notPermitted"])


async def test_request_that_had_begun_and_is_covered_meanwhile_tells_what_it_did_itself(door: Door) -> None:
    """Nothing that the other reset removed is said to remain; nor is it a dry run, whatever the policy says by now."""
    door.stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=429, retry_after=600))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    await door.receive({"requestId": "INC-2", "user": DEVON}, "MSG-2")
    door.stage.policy = policy_with(mode="observe")
    await door.go_on()
    told = {each["requestId"]: each for each in door.told()}
    assert {id_: each["status"] for id_, each in told.items()} == {"INC-1": "covered", "INC-2": "completed"}
    assert told["INC-1"]["dryRun"] is False
    assert {line["type"]: line["result"] for line in told["INC-1"]["methods"]} == {
        "phone": "alreadyGone",
        "microsoftAuthenticator": "deleted",
    }


# --- The Temporary Access Pass ----------------------------------------------------------------------------------


async def test_pass_that_the_covering_reset_failed_to_make_is_made_up_for(stage: Stage) -> None:
    """Its user waits for it."""
    playing = under(stage, policy_of("revokeSessions", "temporaryAccessPass"))
    stage.vault.may_set = False
    first = await playing.reset(BLAIR, profile="p", caller=NAMED, observed_at=EARLIER)
    assert (first.status, step_of(first, StepName.TEMPORARY_ACCESS_PASS)[0]) == (Status.PARTIAL, StepResult.FAILED)
    stage.vault.may_set = True
    second = await playing.reset(BLAIR, profile="p", caller=NAMED, observed_at=EARLIER)
    assert (second.status, step_of(second, StepName.TEMPORARY_ACCESS_PASS)[0]) == (Status.COMPLETED, StepResult.DONE)
    assert len(stage.vault.secrets) == 1


async def test_pass_that_the_covering_reset_made_was_not_registered_since(stage: Stage) -> None:
    """A second is not made either; one that somebody else made is told."""
    playing = under(stage, policy_of("revokeSessions", "temporaryAccessPass"))
    assert (await playing.reset(BLAIR, profile="p", caller=NAMED, observed_at=EARLIER)).status is Status.COMPLETED
    assert stage.types_of(BLAIR) == ["temporaryAccessPass"]
    second = await playing.reset(BLAIR, profile="p", caller=NAMED, observed_at=EARLIER)
    assert (second.status, second.methods) == (Status.COVERED, ())
    assert len(stage.vault.secrets) == 1
    user = stage.tenant.directory.users[BLAIR]
    user.methods[:] = [a_method("temporaryAccessPass", "another")]
    third = await playing.reset(BLAIR, profile="p", caller=NAMED, observed_at=EARLIER)
    assert (third.status, [line.error for line in third.methods]) == (Status.PARTIAL, ["registeredSinceReset"])


# --- The same request again -------------------------------------------------------------------------------------


async def test_duplicate_within_a_day_of_completed_is_the_same_outcome_without_effect(door: Door) -> None:
    """The user's new methods stay, and nothing is said of them: nothing was looked at."""
    body = {"requestId": "INC-1", "user": DEVON}
    await door.receive(body)
    register(door.stage, DEVON)
    calls = len(door.stage.tenant.calls)
    door.stage.clock.advance(23 * 3_600)
    await door.receive(body)
    first, second = door.told()
    assert (first["replayed"], second) == (False, first | {"replayed": True})
    assert len(door.stage.tenant.calls) == calls
    assert door.stage.types_of(DEVON) == ["softwareOath"]


@pytest.mark.parametrize(("registers", "status"), [(False, "covered"), (True, "partial")])
async def test_request_asked_for_again_after_partial_is_covered_and_new_methods_stay(
    door: Door, status: str, *, registers: bool
) -> None:
    """It runs again, and finds that its own first run covers it."""
    await door.receive({"requestId": "INC-1", "user": PARKER})
    if registers:
        register(door.stage, PARKER)
    changes = door.stage.changes()
    door.stage.clock.advance(5 * 60)
    await door.receive({"requestId": "INC-1", "user": PARKER})
    assert statuses(door) == ["partial", status]
    assert codes(door.told()[1])[0] == "coveredBy"
    assert (door.stage.changes(), (await door.row()).run) == (changes, 2)
    assert ("softwareOath" in door.stage.types_of(PARKER)) is registers


async def test_duplicate_of_the_message_after_partial_is_the_same_outcome(door: Door) -> None:
    """What was enqueued before the run was accepted asks for nothing new, however late it comes."""
    delivery = Delivery(json.dumps({"requestId": "INC-1", "user": PARKER}).encode(), "M", 7, door.stage.clock.now())
    await door.reception().receive(delivery)
    register(door.stage, PARKER)
    door.stage.clock.advance(30 * 3_600)
    await door.reception().receive(delivery)
    first, second = door.told()
    assert (first["replayed"], second) == (False, first | {"replayed": True})
    assert ((await door.row()).run, "softwareOath" in door.stage.types_of(PARKER)) == (1, True)


async def test_duplicate_after_covered_is_the_same_outcome(door: Door) -> None:
    """As after completed."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    for _ in range(2):
        await door.receive({"requestId": "INC-2", "user": DEVON}, "MSG-2")
    assert door.told()[2] == door.told()[1] | {"replayed": True}
    assert (await door.row("INC-2")).run == 1


async def test_request_that_runs_again_begins_afresh(door: Door) -> None:
    """Neither evidence nor attempts of the run before, and the next resume is its own."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    await door.go_on()
    assert (await door.row()).attempts == 1
    door.stage.clock.advance(25 * 3_600)
    door.stage.policy = policy_with(never={"users": [DEVON], "groups": []})
    await door.receive({"requestId": "INC-1", "user": DEVON})
    row = await door.row()
    assert (row.run, row.attempts, row.evidence, statuses(door)) == (2, 0, None, ["completed", "refused"])
    assert row.accepted_at == row.patient_since == door.stage.clock.now()


def web_of(door: Door) -> Web:
    """Build the HTTP side over the same reception."""

    async def check() -> Readiness:
        return await check_readiness(door.stage.policy, door.stage.directory)

    return Web(door.reception(), require_entra=False, check=check)


HERE = "http://127.0.0.1:7071"


async def post(door: Door, **body: Any) -> HttpAnswer:  # noqa: ANN401 - JSON
    """Post a body over HTTP."""
    return await web_of(door).post_reset(HttpCall("POST", {}, json.dumps(body).encode(), f"{HERE}/api/resets"))


async def get(door: Door, request_id: str) -> HttpAnswer:
    """Look at a request over HTTP."""
    call = HttpCall("GET", {}, url=f"{HERE}/api/resets/{request_id}")
    return await web_of(door).get_reset(call, request_id)


async def test_id_that_is_repeated_for_another_user_is_409(door: Door) -> None:
    """Nothing is done to them, and the first request keeps its outcome."""
    assert (await post(door, requestId="INC-1", user=DEVON)).status == 200
    before = door.stage.types_of(OAKLEY)
    answer = await post(door, requestId="INC-1", user=OAKLEY)
    assert (answer.status, answer.document["code"]) == (409, "requestIdReused")
    assert door.stage.types_of(OAKLEY) == before
    assert (await get(door, "INC-1")).document["status"] == "completed"


# --- The hourly limit -------------------------------------------------------------------------------------------


async def reset_two(door: Door) -> None:
    """Use up a limit of two."""
    door.stage.policy = limited(2)
    for number, user in enumerate((DEVON, OAKLEY)):
        await door.receive({"requestId": f"USED-{number}", "user": user}, f"USED-{number}")
    assert statuses(door) == ["completed", "completed"]


async def test_third_reset_of_a_limit_of_two_waits_until_it_may_start(door: Door) -> None:
    """It is no attempt, nothing was changed, and it starts soon after an hour is over."""
    started = door.stage.clock.now()
    await reset_two(door)
    changes = door.stage.changes()
    await door.receive({"requestId": "INC-1", "user": CASEY})
    row = await door.row()
    at = started + HOUR + MINUTE
    assert (row.attempts, row.outcome, row.evidence, row.due_at, row.patient_since) == (0, None, None, at, at)
    assert row.waiting == Waiting(WaitingFor.HOURLY_LIMIT, row.waiting.since if row.waiting else START, RESETS)
    assert door.stage.changes() == changes
    await door.go_on()
    assert statuses(door) == ["completed"] * 3
    began = datetime.fromisoformat(door.told()[2]["startedAt"])
    assert HOUR <= began - started <= HOUR + 2 * MINUTE


async def test_other_callers_do_not_wait_for_a_caller_that_is_over_the_limit(door: Door) -> None:
    """The limit is each caller's own."""
    await reset_two(door)
    (reply,) = await door.call({"user": CASEY})
    assert isinstance(reply, Finished)
    assert reply.outcome.status is Status.COMPLETED


async def test_limit_that_an_operator_raised_counts(door: Door) -> None:
    """For its while; then the policy's counts again."""
    await reset_two(door)
    until = door.stage.clock.now() + 10 * MINUTE
    await door.stage.ledger.change_control(lambda _: Control(resets_per_hour=3, resets_per_hour_until=until))
    await door.receive({"requestId": "INC-1", "user": CASEY})
    assert statuses(door) == ["completed"] * 3
    door.stage.clock.advance(11 * 60)
    await door.receive({"requestId": "INC-2", "user": AVERY}, "MSG-2")
    assert [key for key, _ in door.resumes()] == ["queue:INC-2"]


async def test_what_is_no_reset_is_not_counted(door: Door) -> None:
    """Dry runs, refusals without a step instead and what is covered, however many."""
    door.stage.policy = limited(2)
    await door.receive({"requestId": "FIRST", "user": DEVON}, "FIRST")
    bodies: list[dict[str, Any]] = [
        {"user": OAKLEY, "dryRun": True},
        {"user": BREAK_GLASS},
        {"user": DEVON},
        {"user": "nobody@contoso.example"},
    ]
    for number, body in enumerate(bodies):
        await door.receive({"requestId": f"INC-{number}", **body}, f"MSG-{number}")
    assert statuses(door) == ["completed", "planned", "refused", "covered", "invalid"]
    await door.receive({"requestId": "LAST", "user": CASEY}, "LAST")
    assert (statuses(door)[-1], door.resumes()) == ("completed", [])


async def test_reset_that_goes_on_is_not_counted_twice(door: Door) -> None:
    """It started once."""
    door.stage.policy = limited(2)
    door.stage.tenant.add_fault(Fault(method="DELETE", status=429, retry_after=30, times=6))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    for _ in range(10):
        if door.told():
            break
        await door.go_on()
    assert statuses(door) == ["completed"]
    assert len(door.resumes()) > 1
    await door.receive({"requestId": "INC-2", "user": CASEY}, "MSG-2")
    assert statuses(door) == ["completed", "completed"]


async def test_waiting_for_the_limit_uses_up_no_patience(door: Door) -> None:
    """After more than a day of it the first obstacle is met with a day of patience."""
    door.stage.policy = limited(1)
    await door.receive({"requestId": "INC-1", "user": CASEY})
    await door.receive({"requestId": "INC-2", "user": DEVON}, "MSG-2")
    earlier = replace(await door.row(), accepted_at=START - HOUR)
    for _ in range(26):
        door.stage.clock.advance(3_600)
        await door.stage.ledger.count_start(RESETS, earlier, 1, door.stage.clock.now())  # one that came before it
        await door.receive({"resume": "queue:INC-2"})
    assert door.stage.clock.now() - (await door.row("INC-2")).accepted_at > 24 * HOUR
    assert (await door.row("INC-2")).attempts == 0
    await fails_once_and_then_ends(door, "queue:INC-2")


async def fails_once_and_then_ends(door: Door, key: str) -> None:
    """Meet an obstacle when the request is carried out at last: it is tried again, not given up."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    door.stage.clock.advance(2 * 3_600)
    await door.go_on(key)
    request_id = RequestId(key.partition(":")[2])
    assert request_id not in [told["requestId"] for told in door.told()]
    assert (await door.row(request_id)).attempts == 1
    await door.go_on(key)
    assert (door.told()[-1]["requestId"], door.told()[-1]["status"]) == (request_id, "completed")


# --- A pause ----------------------------------------------------------------------------------------------------


async def pause(door: Door, lasting: timedelta) -> None:
    """Pause the program for so long."""
    control = Control(door.stage.clock.now() + lasting, "operator@contoso.example", "why not")
    await door.stage.ledger.change_control(lambda _: control)


async def test_pause_lets_nothing_begin(door: Door) -> None:
    """Neither a reset, nor a refusal's steps, nor a look at what is covered; HTTP answers 202."""
    await door.receive({"requestId": "INC-0", "user": CASEY}, "MSG-0")
    await pause(door, HOUR)
    changes = door.stage.changes()
    for number, user in enumerate((DEVON, FINLEY, CASEY), 1):
        await door.receive({"requestId": f"INC-{number}", "user": user}, f"MSG-{number}")
    assert (await post(door, requestId="INC-9", user=OAKLEY)).status == 202
    assert (statuses(door), door.stage.changes()) == (["completed"], changes)
    assert {at - door.stage.clock.now() for key, at in door.resumes() if key.startswith("queue")} == {5 * MINUTE}
    assert (await door.row()).attempts == 0
    await door.stage.ledger.change_control(lambda _: Control())
    for number in (1, 2, 3):
        await door.go_on(f"queue:INC-{number}")
    await door.go_on("functionKey:INC-9")
    assert statuses(door) == ["completed", "completed", "refused", "covered", "completed"]


async def test_pause_in_the_middle_of_a_reset_stops_it_before_the_next_change(door: Door) -> None:
    """Afterwards it goes on where it stopped: nothing is done twice, nothing is forgotten."""
    stage = door.stage
    stage.tenant.add_fault(Fault(method="DELETE", delay_seconds=3, times=1))

    async def pause_at_the_first_removal(seconds: float) -> None:
        if seconds == 3:
            await pause(door, 10 * MINUTE)

    stage.clock.on_sleep = pause_at_the_first_removal
    await door.receive({"requestId": "INC-1", "user": BLAIR, "profile": "compromised"})
    stage.clock.on_sleep = None
    deletes = [change for change in stage.changes() if change.startswith("DELETE")]
    assert len(deletes) == 1
    for _ in range(3):
        await door.go_on()
    (told,) = door.told()
    assert (told["status"], {line["result"] for line in told["methods"]}) == ("completed", {"deleted"})
    assert len(told["methods"]) == 14
    deletes = [change for change in stage.changes() if change.startswith("DELETE")]
    assert len(deletes) == len(set(deletes))


async def test_pause_of_30_hours_uses_up_no_patience(door: Door) -> None:
    """The first obstacle afterwards is met with a day of patience."""
    await pause(door, 30 * HOUR)
    await door.receive({"requestId": "INC-1", "user": DEVON})
    for _ in range(6):
        await door.go_on()
        door.stage.clock.advance(5 * 3_600)
    assert statuses(door) == []
    await fails_once_and_then_ends(door, "queue:INC-1")


# --- Processes that end, resumes that get lost ------------------------------------------------------------------


async def test_outcome_is_kept_when_the_process_ends_before_the_report(door: Door) -> None:
    """The next delivery of the message reports it; nothing takes effect a second time."""

    async def end_the_process(accepted: AcceptedRequest, deadline_at: datetime) -> Outcome:
        await door.stage.service.handle(accepted, deadline_at)
        raise asyncio.CancelledError

    delivery = Delivery(json.dumps({"requestId": "INC-1", "user": DEVON}).encode(), "M", 7, door.stage.clock.now())
    with pytest.raises(asyncio.CancelledError):
        await door.reception(end_the_process).receive(delivery)
    row = await door.row()
    assert row.outcome is not None
    assert (row.reported, door.told()) == (False, [])
    calls = len(door.stage.tenant.calls)
    await door.reception().receive(delivery)
    assert statuses(door) == ["completed"]
    assert ((await door.row()).reported, len(door.stage.tenant.calls)) == (True, calls)


async def test_report_that_failed_is_made_by_the_sweep(door: Door) -> None:
    """A call is answered although the topic is not to be had; nobody delivers it again."""
    door.bus.refuse_sends(OUTCOMES, times=3)
    door.bus.refuse_sends(REQUESTS, times=3)
    (reply,) = await door.call({"requestId": "INC-1", "user": DEVON})
    assert isinstance(reply, Finished)
    door.bus.clear_faults()
    calls = len(door.stage.tenant.calls)
    door.stage.clock.advance((START + timedelta(seconds=90) - door.stage.clock.now()).total_seconds())
    assert await door.sweep.resume_the_lost() == 0
    door.stage.clock.advance(1)
    assert await door.sweep.resume_the_lost() == 1
    await door.go_on("functionKey:INC-1")
    assert (statuses(door), len(door.stage.tenant.calls)) == (["completed"], calls)
    door.stage.clock.advance(3_600)
    assert await door.sweep.resume_the_lost() == 0


async def test_call_whose_resume_is_scheduled_is_lost_half_an_hour_after_that(door: Door) -> None:
    """The resume may only be late: the queue holds others before it."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=None))
    (reply,) = await door.call({"requestId": "INC-1", "user": DEVON})
    assert isinstance(reply, Pending)
    late_at = START + timedelta(seconds=90) + LOST_AFTER
    assert (await door.row("INC-1", FUNCTION_KEY)).due_at + LOST_AFTER == late_at
    door.stage.clock.advance((late_at - door.stage.clock.now()).total_seconds())
    assert await door.sweep.resume_the_lost() == 0
    door.stage.clock.advance(1)
    assert await door.sweep.resume_the_lost() == 1


async def test_resume_that_got_lost_is_sent_again_after_half_an_hour_and_carried_out_once(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """By the sweep, with an alert; the one that was only late finds nothing to do."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    due_at = (await door.row()).due_at
    door.stage.clock.advance((due_at + LOST_AFTER - door.stage.clock.now()).total_seconds())
    assert await door.sweep.resume_the_lost() == 0
    door.stage.clock.advance(1)
    caplog.clear()
    assert await door.sweep.resume_the_lost() == 1
    assert alerts(caplog) == ["resumedLost"]
    assert await door.sweep.resume_the_lost() == 0
    (_, late_at), (_, sent_at) = sorted(door.resumes(), key=lambda one: one[1])
    row = await door.row()
    assert abs(late_at - due_at) < MILLISECOND
    assert abs(sent_at - row.due_at) < MILLISECOND
    assert (row.attempts, row.due_at - door.stage.clock.now()) == (2, MINUTE)  # it has been tried, and was found
    await door.go_on()
    await door.receive({"resume": "queue:INC-1"})
    assert statuses(door) == ["completed"]


async def lose(door: Door, request_id: str, user: str) -> None:
    """Accept a request and let it get lost: the process ends at once, and the message is gone."""

    async def end_the_process(_: AcceptedRequest, __: datetime) -> Outcome:
        raise asyncio.CancelledError

    body = json.dumps({"requestId": request_id, "user": user}).encode()
    with pytest.raises(asyncio.CancelledError):
        await door.reception(end_the_process).receive(Delivery(body, request_id, 7, door.stage.clock.now()))


async def test_request_that_is_lost_again_and_again_is_resumed_ever_more_seldom_and_fails_at_last(door: Door) -> None:
    """What fails for a reason that nobody has foreseen is no endless loop."""
    await lose(door, "INC-1", DEVON)
    waits = []
    for _ in range(300):
        door.stage.clock.advance(5 * 60)
        if await door.sweep.resume_the_lost():
            if door.told():
                break
            waits.append(((await door.row()).due_at - door.stage.clock.now()) / MINUTE)
    assert waits[:6] == [0, 1, 2, 5, 15, 60]
    (told,) = door.told()
    assert (told["status"], codes(told)) == ("failed", ["patienceAtItsEnd"])
    assert 24 * HOUR <= door.stage.clock.now() - START <= 26 * HOUR


async def test_request_that_is_lost_past_the_end_of_patience_goes_on_while_another_worker_is_at_the_user(
    door: Door,
) -> None:
    """It fails under the claim only."""
    await run_out_of_patience(door)
    async with door.stage.ledger.claim(UserId(DEVON)):
        assert await door.sweep.resume_the_lost() == 1
    assert (door.told(), (await door.row()).due_at > door.stage.clock.now()) == ([], True)
    door.stage.clock.advance(2 * 3_600)
    assert await door.sweep.resume_the_lost() == 1
    assert statuses(door) == ["failed"]


async def test_row_that_cannot_be_read_does_not_hold_the_others_up(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """It alerts, so that somebody looks at it."""
    for request_id, user in (("INC-1", DEVON), ("INC-2", OAKLEY)):
        await lose(door, request_id, user)
    spoil = "UPDATE requests SET request = '{' WHERE request_id = 'INC-1'"
    await door.stage.ledger._database.write(lambda connection: connection.execute(spoil))
    door.stage.clock.advance(3_600)
    assert await door.sweep.resume_the_lost() == 1
    assert alerts(caplog) == ["unreadableRow", "resumedLost"]
    assert [key for key, _ in door.resumes()] == ["queue:INC-2"]


class Behind(SqliteLedger):
    """A ledger whose index of the unfinished names what has been forgotten."""

    async def unfinished(self, due_before: datetime, limit: int) -> tuple[RequestKey, ...]:
        """Name a request that there is no more."""
        return (key_of("GONE"), *await super().unfinished(due_before, limit))


async def test_request_that_is_forgotten_while_the_sweep_looks_is_no_trouble(door: Door) -> None:
    """There is nothing to go on with."""
    ledger = Behind(door.stage.ledger_path, door.stage.clock)
    await lose(door, "INC-1", DEVON)
    door.stage.clock.advance(3_600)
    assert await replace(door.sweep, ledger=ledger).resume_the_lost() == 2
    await ledger.close()
    assert [key for key, _ in door.resumes()] == ["queue:INC-1"]


async def test_sweep_that_cannot_send_finds_the_request_again(door: Door) -> None:
    """What was not sent is not expected."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    door.stage.clock.advance(3_600)
    door.bus.refuse_sends(REQUESTS, times=3)
    with pytest.raises(BusUnavailableError):
        await door.sweep.resume_the_lost()
    door.bus.clear_faults()
    assert await door.sweep.resume_the_lost() == 1


async def test_resume_that_comes_before_it_is_expected_is_superseded(door: Door) -> None:
    """A duplicate of the message made a second chain of resumes: one of the two ends."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=15))
    for _ in range(2):
        await door.receive({"requestId": "INC-1", "user": DEVON})
    first_at, second_at = sorted(at for _, at in door.resumes())
    assert second_at - first_at > MINUTE
    calls = len(door.stage.tenant.calls)
    door.stage.clock.advance((first_at - door.stage.clock.now()).total_seconds() - 1)
    door.stage.ear.heard.clear()
    await door.receive({"resume": "queue:INC-1"})
    assert [text for text in door.stage.ear.heard if '"event": "superseded"' in text]
    assert (len(door.stage.tenant.calls), len(door.resumes())) == (calls, 2)
    await door.go_on()
    assert len(door.resumes()) == 3
    await door.go_on()
    assert statuses(door) == ["completed"]


async def test_resume_that_comes_less_than_a_minute_early_is_carried_out(door: Door) -> None:
    """Clocks differ a little."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    await door.receive({"resume": "queue:INC-1"})
    assert statuses(door) == ["completed"]


@pytest.mark.parametrize("error", [LedgerUnavailableError(), BusUnavailableError()])
async def test_delivery_that_an_outage_gives_back_is_held_for_a_while_first(door: Door, error: Exception) -> None:
    """Five deliveries at once would be over before any outage is."""

    async def fail(_: AcceptedRequest, __: datetime) -> Outcome:
        raise error

    started = door.stage.clock.now()
    delivery = Delivery(json.dumps({"requestId": "INC-1", "user": DEVON}).encode(), "M", 7, started)
    with pytest.raises(type(error)):
        await door.reception(fail).receive(delivery)
    assert door.stage.clock.now() - started == timedelta(seconds=HOLD_BACK_SECONDS)


# --- Patience at its end ----------------------------------------------------------------------------------------


async def run_out_of_patience(door: Door) -> None:
    """Begin a reset, and let a day pass in which it does not get on."""
    door.stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=503, times=None))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    door.stage.clock.advance(24 * 3_600)


@pytest.mark.parametrize("error", [None, ThrottledError()])
async def test_request_past_the_end_of_patience_is_given_up_under_the_claim_only(
    door: Door, error: Exception | None
) -> None:
    """While another worker is at it, it is put off: what that one does must not be written over."""
    await run_out_of_patience(door)
    attempts = (await door.row()).attempts
    handle = fails_with(error) if error else None
    delivery = Delivery(b'{"resume": "queue:INC-1"}', "R", 8, door.stage.clock.now())
    async with door.stage.ledger.claim(UserId(DEVON)):
        await door.reception(handle).receive(delivery)
    assert (door.told(), (await door.row()).attempts) == ([], attempts)
    await door.go_on()
    assert statuses(door) == ["failed"]


async def test_request_that_another_worker_has_begun_since_it_was_read_is_given_up_under_the_claim_only(
    door: Door,
) -> None:
    """What was read of it, that nothing had begun, is old."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    row = await door.row()
    door.stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=503, times=None))
    await door.go_on()
    async with door.stage.ledger.claim(UserId(DEVON)):
        with pytest.raises(ClaimHeldError):
            await door.stage.service.give_up(row, "someObstacle")
    outcome = await door.stage.service.give_up(row, "someObstacle")
    assert (outcome.status, outcome.user_id) == (Status.FAILED, DEVON)
    assert {line.type: line.result for line in outcome.methods} == {
        "phone": MethodResult.UNCONFIRMED,
        "microsoftAuthenticator": MethodResult.DELETED,
    }


async def test_request_past_the_end_of_patience_that_is_held_back_has_not_failed(door: Door) -> None:
    """Whoever pauses does not want it to end."""
    await run_out_of_patience(door)
    await pause(door, HOUR)
    await door.receive({"resume": "queue:INC-1"})
    assert door.told() == []


async def test_request_of_which_nothing_was_found_has_failed_and_keeps_an_outcome_that_was_faster(door: Door) -> None:
    """Without a user there is no claim: the first outcome counts."""
    door.stage.tenant.add_fault(Fault(path="checkMemberGroups", status=503, times=None))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    row = await door.row()
    failed = await door.stage.service.give_up(row, "someObstacle")
    assert failed.status is Status.FAILED
    assert await door.stage.service.give_up(row, "another") == failed
    assert (await door.row()).outcome == failed


async def test_request_with_an_outcome_is_not_given_up(door: Door) -> None:
    """Another worker has ended it since the row was read."""
    await run_out_of_patience(door)
    row = await door.row()
    door.stage.tenant.clear_faults()
    outcome = await door.stage.service.handle(row, door.stage.clock.now() + 4 * MINUTE)
    assert outcome.status is Status.COMPLETED
    assert await door.stage.service.give_up(row, "someObstacle") == outcome


# --- Several users ----------------------------------------------------------------------------------------------


async def test_several_users_are_shown_under_the_id_of_the_body(door: Door) -> None:
    """202 until all have ended, then 200; each line is one of them."""
    answer = await post(door, requestId="INC-1", users=[DEVON, OAKLEY])
    assert (answer.status, answer.headers["Location"]) == (202, f"{HERE}/api/resets/INC-1")
    keys = [key for key, _ in door.resumes()]
    assert [row.due_at for row in [await door.row(key.partition(":")[2], FUNCTION_KEY) for key in keys]] == [START] * 2
    for status, word, lines in (
        (202, "accepted", ["accepted", "accepted"]),
        (202, "accepted", ["completed", "accepted"]),
        (200, "ended", ["completed", "completed"]),
    ):
        shown = await get(door, "INC-1")
        assert (shown.status, shown.document["status"]) == (status, word)
        assert [line["status"] for line in json.loads(shown.body)["requests"]] == lines
        if status == 202:
            await door.receive({"resume": keys[lines.count("completed")]})


async def test_list_of_one_user_is_shown_under_the_id_of_the_body_too(door: Door) -> None:
    """Whoever sends lists need not know how long they are."""
    answer = await post(door, requestId="INC-1", users=[DEVON])
    assert answer.status == 200
    shown = await get(door, "INC-1")
    (line,) = json.loads(shown.body)["requests"]
    assert (shown.status, line["status"]) == (200, "completed")
    assert line["requestId"].startswith("INC-1~")


async def test_one_valid_request_beside_an_invalid_one_is_resumed_at_once_and_shown(door: Door) -> None:
    """The call is answered 202, so the resume is not taken for one that came too early."""
    body = [{"requestId": "INC-1", "user": DEVON}, {"requestId": "INC-1", "user": 1}]
    replies = await door.call(body)
    assert {type(reply) for reply in replies} == {Pending, Finished}
    ((key, at),) = door.resumes()
    assert at == door.stage.clock.now()
    await door.receive({"resume": key})
    assert statuses(door) == ["completed"]


async def test_array_when_some_of_it_is_invalid_then_its_parent_shows_each_in_order(door: Door) -> None:
    """Also those that name their own ids, and those of whom nothing can be said."""
    named, unknown = {"requestId": "INC-1", "user": DEVON}, {"requestId": "INC-2", "user": 1}
    body = [named, 5, {"user": "x"}, {"user": OAKLEY}, unknown]
    call = HttpCall("POST", {}, json.dumps(body).encode(), f"{HERE}/api/resets")
    answer = await web_of(door).post_reset(call)
    assert (answer.status, answer.document["requestId"]) == (202, "new-1")
    assert answer.headers["Location"] == f"{HERE}/api/resets/new-1"
    for key, _ in door.resumes():
        await door.receive({"resume": key})
    shown = await get(door, "new-1")
    lines = json.loads(shown.body)["requests"]
    assert (shown.status, shown.document["status"]) == (200, "ended")
    assert [line["status"] for line in lines] == ["completed", "invalid", "invalid", "completed", "invalid"]
    assert [line["user"]["asked"] for line in lines] == [DEVON, None, "x", OAKLEY, None]
    assert [[reason["code"] for reason in line.get("reasons", [])] for line in lines] == [
        *([], ["unknownShape"], ["badFormat"], [], ["wrongType"])
    ]
    for line in lines:
        assert (await get(door, line["requestId"])).document["status"] == line["status"]


async def test_array_when_all_of_it_is_invalid_then_it_can_be_looked_up_all_the_same(door: Door) -> None:
    """Nothing was accepted, and every item says why."""
    call = HttpCall("POST", {"idempotency-key": "BATCH-7"}, b'[5, {"user": "x"}]', f"{HERE}/api/resets")
    answer = await web_of(door).post_reset(call)
    assert (answer.status, answer.document["requestId"]) == (400, "BATCH-7")
    shown = await get(door, "BATCH-7")
    assert (shown.status, [line["status"] for line in json.loads(shown.body)["requests"]]) == (200, ["invalid"] * 2)


async def test_body_that_could_not_be_read_when_it_is_mended_then_it_does_not_stand_before_its_requests(
    door: Door,
) -> None:
    """Under the same id as several users."""
    assert (await post(door, requestId="INC-1", users=[DEVON, "x"])).status == 400
    assert (await get(door, "INC-1")).document["status"] == "invalid"
    assert (await post(door, requestId="INC-1", users=[DEVON, OAKLEY])).status == 202
    assert len(json.loads((await get(door, "INC-1")).body)["requests"]) == 2


async def test_message_with_several_when_some_of_it_is_invalid_then_it_is_shown_under_its_message_id(
    door: Door,
) -> None:
    """An operator who finds a copy on the rejected queue can look up what it was about."""
    await door.receive(json.dumps([{"requestId": "INC-1", "user": DEVON}, {"user": "x"}]), "MSG-9")
    (copy,) = door.rejected()
    lines = json.loads((await get(door, "MSG-9")).body)["requests"]
    assert [(line["requestId"], line["status"]) for line in lines] == [
        ("INC-1", "completed"),
        (copy.correlation_id, "invalid"),
    ]
    assert (await get(door, str(copy.correlation_id))).document["reasons"] == lines[1]["reasons"]


async def test_call_that_is_malformed_is_answered_although_the_ledger_does_not_take_it(door: Door) -> None:
    """It was to do nothing, and the answer says it all."""
    door.stage.ledger_path.mkdir()  # where its file would be
    (reply,) = await door.call({"user": "x"})
    door.stage.ledger_path.rmdir()
    assert isinstance(reply, Finished)
    assert reply.outcome.status is Status.INVALID


async def test_family_is_shown_to_its_caller_and_to_who_may_read_all(door: Door) -> None:
    """An id may be two callers' own."""
    await door.call({"requestId": "INC-1", "users": [DEVON, OAKLEY]})
    await door.receive({"requestId": "INC-1", "users": [CASEY, AVERY]})
    reception = door.reception()
    parent = RequestId("INC-1")
    own = await reception.look_up_family(parent, FUNCTION_KEY, any_caller=False)
    everybodys = await reception.look_up_family(parent, FUNCTION_KEY, any_caller=True)
    assert own is not None
    assert everybodys is not None
    assert {row.key.caller for row in own.children} == {FUNCTION_KEY}
    assert (len(own.children), len(everybodys.children)) == (2, 4)
    assert await reception.look_up_family(parent, Caller(NAMED), any_caller=False) is None
    assert await reception.look_up_family(RequestId("INC-2"), FUNCTION_KEY, any_caller=True) is None


async def test_message_for_several_users_that_comes_again_repeats_nothing(door: Door) -> None:
    """Who has ended is told again, who has not is resumed, and the body has the same children."""
    body = {"requestId": "INC-1", "users": [DEVON, OAKLEY]}
    await door.receive(body)
    first, second = [key for key, _ in door.resumes()]
    await door.receive({"resume": first})
    await door.receive(body)
    assert statuses(door) == ["completed", "completed"]
    assert door.told()[1] == door.told()[0] | {"replayed": True}
    assert [key for key, _ in door.resumes()] == [first, second, second]
    family = await door.reception().look_up_family(RequestId("INC-1"), Caller("queue"), any_caller=False)
    assert family is not None
    assert len(family.children) == 2


async def test_call_for_several_users_that_comes_again_is_answered_with_what_there_is(door: Door) -> None:
    """Ended, going on, and another request of the same id."""
    await door.call({"requestId": "INC-1", "users": [DEVON, OAKLEY]})
    (key, _), _ = door.resumes()
    await door.receive({"resume": key})
    again = await door.call({"requestId": "INC-1", "users": [DEVON, OAKLEY]})
    assert [type(reply) for reply in again] == [Finished, Pending]
    other = await door.call({"requestId": "INC-1", "users": [DEVON, OAKLEY], "dryRun": True})
    assert [reply.outcome.reasons[0].code for reply in other if isinstance(reply, Finished)] == ["requestIdReused"] * 2


async def test_250_users_are_resumed_in_batches_and_each_once(door: Door) -> None:
    """A batch of resumes holds a hundred; a message for the one after it is sent all the same."""
    users = [f"20000000-0000-4000-8000-{number:012}" for number in range(250)]
    await door.receive({"requestId": "INC-1", "users": users})
    keys = [key for key, _ in door.resumes()]
    assert len(keys) == len(set(keys)) == 250
    assert len({message.message_id for message in door.bus.peek(REQUESTS)}) == 250


class Forgetful(SqliteLedger):
    """A ledger that does not take one user's request."""

    async def accept(self, offered: AcceptedRequest) -> AcceptedRequest:
        """Take all but Oakley's."""
        if offered.request.user.value == OAKLEY:
            raise LedgerUnavailableError
        return await super().accept(offered)


async def test_call_of_which_not_all_was_accepted_is_503_and_what_was_goes_on(door: Door) -> None:
    """By the sweep, for nobody sent a resume; sent again, the others follow and nothing is repeated."""
    ledger = Forgetful(door.stage.ledger_path, door.stage.clock)
    web = replace(web_of(door), front=replace(door.reception(), ledger=ledger))
    body = json.dumps({"requestId": "INC-1", "users": [DEVON, OAKLEY]}).encode()
    assert (await web.post_reset(HttpCall("POST", {}, body))).status == 503
    await ledger.close()
    door.stage.clock.advance(601)
    assert await door.sweep.resume_the_lost() == 1
    ((key, _),) = door.resumes()
    await door.go_on(key)
    assert statuses(door) == ["completed"]
    replies = await door.call(json.loads(body))
    assert [type(reply) for reply in replies] == [Finished, Pending]


class Unexpecting(SqliteLedger):
    """A ledger that is gone just when a resume has been sent."""

    async def expect(
        self,
        key: RequestKey,
        at: datetime,
        *,
        waiting: Waiting | None = None,
        patient_since: datetime | None = None,
    ) -> None:
        """Say so of this very call."""
        raise LedgerUnavailableError(f"{key} {at} {waiting} {patient_since}")


@pytest.mark.parametrize("whom", [{"user": DEVON}, {"users": [DEVON, OAKLEY]}], ids=["one", "several"])
async def test_call_whose_resume_was_sent_is_accepted_although_the_ledger_was_not_told_when(
    door: Door, whom: dict[str, Any]
) -> None:
    """A 503 would have its caller ask for the same again; the sweep sends one resume more."""
    ledger = Unexpecting(door.stage.ledger_path, door.stage.clock)
    web = replace(web_of(door), front=replace(door.reception(), ledger=ledger))
    answer = await web.post_reset(HttpCall("POST", {}, json.dumps({"requestId": "INC-1", **whom}).encode()))
    assert answer.status in {200, 202}
    assert len(door.resumes()) == len(whom.get("users", [DEVON]))
    await ledger.close()


# --- Forgetting -------------------------------------------------------------------------------------------------


async def test_purge_after_400_days_keeps_what_is_unfinished(door: Door) -> None:
    """What has ended and was reported is forgotten, with what covers its user."""
    await door.receive({"requestId": "ENDED", "user": DEVON}, "ENDED")
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    await door.receive({"requestId": "WAITING", "user": OAKLEY}, "WAITING")
    door.bus.refuse_sends(OUTCOMES, times=3)
    with pytest.raises(BusUnavailableError):
        await door.receive({"requestId": "UNTOLD", "user": CASEY}, "UNTOLD")
    door.stage.clock.advance(KEPT_FOR.total_seconds() - 3_600)
    assert await door.sweep.purge() == 0
    door.stage.clock.advance(2 * 3_600)
    assert await door.sweep.purge() == 1
    kept = [await door.stage.ledger.read(key_of(each)) for each in ("ENDED", "WAITING", "UNTOLD")]
    assert [row is not None for row in kept] == [False, True, True]
    async with door.stage.ledger.claim(UserId(DEVON)) as claim:
        assert await claim.read_coverages() == ()


class Endless(SqliteLedger):
    """A ledger that has always more to forget."""

    async def purge(self, before: datetime, limit: int) -> int:
        """Forget as many as may be."""
        assert before.tzinfo is not None
        return limit


async def test_purge_of_a_ledger_that_is_very_full_ends(tmp_path: Path, door: Door) -> None:
    """The rest is tomorrow's."""
    ledger = Endless(tmp_path / "full.sqlite", door.stage.clock)
    assert await replace(door.sweep, ledger=ledger).purge() == PURGED_AT_ONCE * PURGES_A_DAY
    await ledger.close()


# --- Said only while it is true ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "status", "resets"), [(-1, "completed", 1), (60, "completed", 2)])
async def test_same_request_when_it_was_seen_again_since_then_it_runs_again(
    door: Door, after: int, status: str, resets: int
) -> None:
    """A second compromise under the same id is not answered with the first one's success."""
    await door.receive({"requestId": "INC-1", "user": DEVON, "observedAt": EARLIER.isoformat()})
    looked_at = datetime.fromisoformat(door.told()[0]["verifiedAt"])
    register(door.stage, DEVON)
    door.stage.clock.advance(120)
    seen = (looked_at + timedelta(seconds=after)).isoformat()
    for number in range(2):  # and a copy of that is told its outcome
        await door.receive({"requestId": "INC-1", "user": DEVON, "observedAt": seen}, f"AGAIN-{number}")
    assert statuses(door)[-1] == status
    assert len({told["finishedAt"] for told in door.told()}) == resets
    assert ("softwareOath" in door.stage.types_of(DEVON)) is (resets == 1)


async def test_same_request_when_seen_again_before_its_outcome_was_told_then_both_are_told(door: Door) -> None:
    """What could not be reported yet does not stand in the way of the second reset, nor is it forgotten."""
    await door.stage.ledger.accept(replace(accepted_now(door), first_enqueued_at=START))
    await door.stage.handle(await door.row())
    assert not (await door.row()).reported
    door.stage.clock.advance(3_600)
    seen = door.stage.clock.now().isoformat()
    await door.receive({"requestId": "INC-1", "user": DEVON, "observedAt": seen})
    assert statuses(door) == ["completed", "completed"]
    assert (await door.row()).run == 2


def accepted_now(door: Door) -> AcceptedRequest:
    """Build a request as the reception accepts it."""
    return request_for(DEVON, door.stage.clock.now(), profile="reregister")


async def test_covered_when_a_step_was_not_done_then_it_is_partial_and_soon_tried_again(door: Door) -> None:
    """After the grant, once the cooldown is over, the next alert disables the account."""
    roles = door.stage.tenant.roles
    roles.discard("User.EnableDisableAccount.All")
    body = {"user": DEVON, "profile": "compromised", "observedAt": EARLIER.isoformat()}
    await door.receive({"requestId": "INC-1", **body})
    roles.add("User.EnableDisableAccount.All")
    door.stage.clock.advance(600)
    await door.receive({"requestId": "INC-2", **body}, "MSG-2")
    told = door.told()[-1]
    assert (told["status"], codes(told)) == ("partial", ["coveredBy", "stepOpen"])
    assert [reason["step"] for reason in told["reasons"]] == [None, "disableAccount"]
    door.stage.clock.advance(1_800)
    await door.receive({"requestId": "INC-3", **body}, "MSG-3")
    assert step_of_told(door.told()[-1], "disableAccount") == "done"
    assert door.stage.tenant.directory.users[DEVON].properties["accountEnabled"] is False


async def test_covered_when_the_account_was_disabled_again_since_then_it_is_not_told_as_enabled(door: Door) -> None:
    """Whoever asks for the account to be enabled learns that it is not."""
    stage = under(door.stage, policy_of("disableAccount", "revokeSessions", "enableAccount"))
    seen_at = stage.clock.now()
    assert (await stage.reset(DEVON, profile="p", caller=NAMED)).status is Status.COMPLETED
    more: dict[str, Any] = {"request_id": "INC-2", "profile": "p", "caller": NAMED, "observed_at": seen_at}
    assert (await stage.reset(DEVON, **more)).status is Status.COVERED
    stage.tenant.directory.users[DEVON].properties["accountEnabled"] = False
    outcome = await stage.reset(DEVON, **more | {"request_id": "INC-3"})
    assert (outcome.status, [reason.code for reason in outcome.reasons]) == (
        Status.PARTIAL,
        ["coveredBy", "changedSince"],
    )
    assert outcome.reasons[1].step == "enableAccount"


def step_of_told(told: dict[str, Any], step: str) -> str | None:
    """Return the result of a step."""
    return next((line["result"] for line in told["steps"] if line["step"] == step), None)


async def test_covered_when_the_account_was_enabled_since_then_it_is_partial_and_says_so(door: Door) -> None:
    """Somebody enabled it: this product does not undo that, and does not call it covered."""
    body = {"user": DEVON, "profile": "compromised", "observedAt": EARLIER.isoformat()}
    await door.receive({"requestId": "INC-1", **body})
    door.stage.clock.advance(60)
    await door.receive({"requestId": "INC-2", **body}, "MSG-2")
    assert statuses(door) == ["completed", "covered"]
    door.stage.tenant.directory.users[DEVON].properties["accountEnabled"] = True
    await door.receive({"requestId": "INC-3", **body}, "MSG-3")
    told = door.told()[-1]
    assert (told["status"], codes(told)) == ("partial", ["coveredBy", "changedSince"])
    assert told["reasons"][1]["step"] == "disableAccount"
    assert door.stage.tenant.directory.users[DEVON].properties["accountEnabled"] is True
