"""What is held back has a place, means the user whom it meant at first, and goes on as soon as it may."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.tenant import Fault
from shared.bus import ServiceBus
from shared.model import Budget, Control, RequestKey, Waiting
from shared.policy import Policy
from shared.ports import Finished, Pending
from shared.service import make_service
from shared.steps import StepTaker
from shared.vocabulary import QUEUE, BudgetKind, RequestId, Status, WaitingFor
from shared.waking import Waker
from tests.service.stage import BLAIR, BREAK_GLASS, CASEY, DEVON, FINLEY, OAKLEY, START, VAL, policy_with
from tests.service.test_reception import OUTCOMES, REJECTED, REQUESTS, Door, connect, open_door

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NAME = "blair.everett@contoso.example"
RESETS = Budget(QUEUE, BudgetKind.RESETS)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a door of its own to each test."""
    async with open_door(tmp_path) as door:
        yield door


def limited(resets: int, **more: Any) -> Policy:  # noqa: ANN401 - JSON
    """Make the tests' policy with hourly limits."""
    return policy_with(limits={"resetsPerHour": resets, **more})


async def pause(door: Door, lasting: timedelta = 4 * HOUR) -> None:
    """Pause as an operator does."""
    until = door.stage.clock.now() + lasting
    await door.stage.ledger.change_control(lambda _: Control(until, "an operator", "a test"))


async def lift(door: Door) -> None:
    """Lift the pause."""
    await door.stage.ledger.change_control(lambda _: Control())


def waker(door: Door) -> Waker:
    """Build what the timer calls."""
    stage = door.stage
    steps = StepTaker(stage.directory, stage.ledger, stage.clock, stage.key_vault)
    budgets = make_service(stage.policy, stage.directory, stage.ledger, stage.clock, steps).budgets
    return Waker(stage.ledger, door.service_bus, stage.clock, budgets)


async def ask(door: Door, request_id: str, user: str, **more: Any) -> None:  # noqa: ANN401 - JSON
    """Deliver a request, a second after the one before."""
    door.stage.clock.advance(1)
    await door.receive({"requestId": request_id, "user": user, **more}, f"MSG-{request_id}")


def ended(door: Door) -> list[str]:
    """List which requests have ended, in that order."""
    return [told["requestId"] for told in door.told()]


# --- Whom it means ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held_by", ["pause", "limit"])
async def test_request_when_its_name_changes_hands_while_it_waits_then_it_means_the_first_user(
    door: Door, held_by: str
) -> None:
    """Whoever has the name afterwards is not reset, and the directory is not asked for the name again."""
    door.stage.policy = limited(1)
    if held_by == "pause":
        await pause(door)
    else:
        await ask(door, "INC-0", CASEY)
    await ask(door, "INC-1", NAME)
    users = door.stage.tenant.directory.users
    before = door.stage.types_of(DEVON)
    users[BLAIR].properties["userPrincipalName"] = "blair.old@contoso.example"
    users[DEVON].properties["userPrincipalName"] = NAME
    await lift(door)
    door.stage.clock.advance(2 * 3_600)
    await door.go_on()
    told = door.told()[-1]
    assert (told["requestId"], told["status"], told["user"]["id"]) == ("INC-1", "completed", BLAIR)
    assert door.stage.types_of(DEVON) == before


async def test_request_of_an_unknown_user_when_paused_then_it_ends_at_once(door: Door) -> None:
    """A pause holds back what changes something, not an answer that needs none."""
    await pause(door)
    await ask(door, "INC-1", "nobody@contoso.example")
    assert [told["status"] for told in door.told()] == ["invalid"]


# --- Places -----------------------------------------------------------------------------------------------------


async def test_requests_over_the_limit_start_in_the_order_of_their_acceptance(door: Door) -> None:
    """Each is due when its turn comes, and those that are resumed early stay where they are."""
    door.stage.policy = limited(1)
    users = [DEVON, OAKLEY, CASEY, VAL]
    for number, user in enumerate(users):
        await ask(door, f"INC-{number}", user)
    dues = [(await door.row(f"INC-{number}")).due_at for number in (1, 2, 3)]
    turn = HOUR + MINUTE
    assert [due - START for due in dues] == [turn, 2 * turn, 3 * turn]
    for number in (3, 2, 1):
        await door.receive({"resume": f"queue:INC-{number}"})
    assert ended(door) == ["INC-0"]
    for number in (1, 2, 3):
        door.stage.clock.advance(max((dues[number - 1] - door.stage.clock.now()).total_seconds(), 0))
        for each in (3, 2, 1):  # the last one asks first
            if f"INC-{each}" not in ended(door):
                await door.receive({"resume": f"queue:INC-{each}"})
    assert ended(door) == ["INC-0", "INC-1", "INC-2", "INC-3"]


async def test_call_over_the_limit_has_its_place_at_once(door: Door) -> None:
    """It stands in the line from the first answer on, and says what it waits for."""
    door.stage.policy = policy_with(limits={"resetsPerHour": 1})
    await door.call({"requestId": "INC-1", "user": DEVON})
    (reply,) = await door.call({"requestId": "INC-2", "user": OAKLEY})
    assert isinstance(reply, Pending)
    assert reply.row
    assert reply.row.waiting
    assert reply.row.waiting.why is WaitingFor.HOURLY_LIMIT
    assert (await door.row("INC-2", "functionKey")).waiting == reply.row.waiting
    door.stage.clock.advance(1)
    (later,) = await door.call({"requestId": "INC-3", "user": CASEY})
    assert isinstance(later, Pending)
    await door.go_on("functionKey:INC-2")
    await door.go_on("functionKey:INC-3")
    dues = [(await door.row(each, "functionKey")).due_at - START for each in ("INC-2", "INC-3")]
    assert dues == [HOUR + MINUTE, 2 * (HOUR + MINUTE)]


# --- What counts ------------------------------------------------------------------------------------------------


async def test_steps_instead_when_asked_for_by_fresh_ids_then_they_are_taken_as_often_as_the_limit_says(
    door: Door,
) -> None:
    """Nobody hampers an administrator by asking again and again, each time about something seen later."""
    door.stage.policy = limited(100, privilegedPerHour=2)
    for number in range(12):
        seen = (door.stage.clock.now() + timedelta(seconds=1)).isoformat()
        await ask(door, f"INC-{number}", FINLEY, observedAt=seen)
    revoked = [change for change in door.stage.changes() if change.endswith("revokeSignInSessions")]
    assert len(revoked) == 2
    assert len(ended(door)) == 2
    row = await door.row("INC-2")
    assert row.waiting
    assert row.waiting.budget == Budget(QUEUE, BudgetKind.PRIVILEGED)
    assert row.due_at - START <= HOUR + 2 * MINUTE


async def test_steps_instead_count_as_resets_too(door: Door) -> None:
    """An administrator's refusal with steps takes a place of the caller's."""
    door.stage.policy = limited(1)
    await ask(door, "INC-1", FINLEY)
    await ask(door, "INC-2", DEVON)
    assert ended(door) == ["INC-1"]
    row = await door.row("INC-2")
    assert row.waiting
    assert row.waiting.budget == RESETS


async def test_steps_instead_when_the_resets_are_used_up_then_no_privileged_place_is_taken(door: Door) -> None:
    """One that waits for the one limit does not eat up the other each time it comes."""
    door.stage.policy = limited(1, privilegedPerHour=1)
    await ask(door, "INC-1", DEVON)
    await ask(door, "INC-2", FINLEY)
    privileged = Budget(QUEUE, BudgetKind.PRIVILEGED)
    assert await door.stage.ledger.count_started(privileged, door.stage.clock.now()) == 0
    await door.go_on("queue:INC-2")
    assert ended(door) == ["INC-1", "INC-2"]


@pytest.mark.parametrize("user", [DEVON, FINLEY])
async def test_dry_runs_have_a_limit_of_ten_times_that_of_resets(door: Door, user: str) -> None:
    """Each reads as much as a reset; they take no reset's place."""
    door.stage.policy = limited(1)
    for number in range(11):
        await ask(door, f"INC-{number}", user, dryRun=True)
    assert ended(door) == [f"INC-{number}" for number in range(10)]
    await ask(door, "LAST", OAKLEY)
    assert ended(door)[-1] == "LAST"


async def test_dry_runs_when_they_end_as_covered_or_refused_then_they_count_too(door: Door) -> None:
    """Over the limit nothing is read of anybody: whoever may ask cannot keep Microsoft Graph busy with dry runs."""
    door.stage.policy = limited(1)
    await ask(door, "FIRST", DEVON)
    for number in range(10):
        user = (DEVON, BREAK_GLASS)[number % 2]
        await ask(door, f"INC-{number}", user, dryRun=True)
    statuses = [told["status"] for told in door.told()]
    assert statuses == ["completed", *["planned", "refused"] * 5]
    assert door.told()[1]["coveredBy"]
    asked = len(door.stage.tenant.calls)
    await ask(door, "MORE", DEVON, dryRun=True)
    assert len(ended(door)) == 11
    row = await door.row("MORE")
    assert row.waiting
    assert row.waiting.budget == Budget(QUEUE, BudgetKind.DRY_RUNS)
    assert len(door.stage.tenant.calls) - asked == 1  # which says whom it means


# --- Going on ---------------------------------------------------------------------------------------------------


async def test_pause_when_lifted_then_what_waits_goes_on_within_a_minute(door: Door) -> None:
    """What has begun and what has not; the timer comes twice a minute."""
    await pause(door)
    await ask(door, "INC-1", DEVON)
    await ask(door, "INC-2", OAKLEY)
    assert await waker(door).wake() == 0
    door.stage.clock.advance(60)
    await lift(door)
    assert await waker(door).wake() == 2
    assert await waker(door).wake() == 0
    now = door.stage.clock.now()
    assert sorted(key for key, at in door.resumes() if at <= now) == ["queue:INC-1", "queue:INC-2"]
    for number in (1, 2):
        await door.receive({"resume": f"queue:INC-{number}"})
    assert ended(door) == ["INC-1", "INC-2"]


async def test_resume_when_it_comes_as_soon_as_it_is_sent_then_it_is_expected_already(door: Door) -> None:
    """Where many are let go at once the first has ended before the last is sent: none is dropped, none waits again."""

    class Prompt(ServiceBus):
        async def schedule_resumes(self, keys: Sequence[RequestKey], at: datetime) -> None:
            await super().schedule_resumes(keys, at)
            for key in keys:
                await door.receive({"resume": str(key)})

    await pause(door)
    await ask(door, "INC-1", DEVON)
    await ask(door, "INC-2", OAKLEY)
    await lift(door)
    prompt = Prompt(lambda: connect(door.bus), REQUESTS, REJECTED, OUTCOMES)
    assert await replace(waker(door), bus=prompt).wake() == 2
    await prompt.close()
    assert ended(door) == ["INC-1", "INC-2"]
    door.stage.clock.advance(5 * 60)
    assert await waker(door).wake() == 0


async def test_callers_when_one_has_a_long_line_then_it_hides_no_other(door: Door) -> None:
    """Whoever asks for thousands waits themselves; the others go on when the pause ends."""
    door.stage.policy = limited(1)
    await ask(door, "FIRST", DEVON)
    ledger, now = door.stage.ledger, door.stage.clock.now()
    row = replace(await door.row("FIRST"), outcome=None, evidence=None, reported=False, user_id=None)
    waiting = Waiting(WaitingFor.HOURLY_LIMIT, now, RESETS)
    for number in range(2_001):
        key = RequestKey(QUEUE, RequestId(f"MANY-{number}"))
        await ledger.accept(replace(row, key=key, due_at=now + 10 * HOUR, waiting=waiting))
    await pause(door)
    await door.call({"requestId": "INC-1", "user": OAKLEY})
    door.stage.clock.advance(4 * 60)
    await lift(door)
    assert await waker(door).wake() == 1


async def test_limit_when_raised_then_those_that_wait_go_on_in_their_order(door: Door) -> None:
    """As many as there is room for, the first that was accepted first."""
    door.stage.policy = limited(1)
    for number, user in enumerate((DEVON, OAKLEY, CASEY, VAL)):
        await ask(door, f"INC-{number}", user)
    until = door.stage.clock.now() + HOUR
    await door.stage.ledger.change_control(lambda _: Control(resets_per_hour=3, resets_per_hour_until=until))
    assert await waker(door).wake() == 2
    now = door.stage.clock.now()
    assert sorted(key for key, at in door.resumes() if at <= now) == ["queue:INC-1", "queue:INC-2"]
    for number in (1, 2):
        await door.receive({"resume": f"queue:INC-{number}"})
    assert ended(door) == ["INC-0", "INC-1", "INC-2"]


async def test_request_that_had_begun_when_paused_then_it_goes_on_without_a_place(door: Door) -> None:
    """It was counted when it started."""
    door.stage.policy = limited(1)
    begun = asyncio.Event()

    async def pause_in_the_middle(_: float) -> None:
        if not begun.is_set():
            begun.set()
            await pause(door)

    door.stage.tenant.add_fault(Fault(method="DELETE", status=429, retry_after=5))
    door.stage.clock.on_sleep = pause_in_the_middle
    await ask(door, "INC-1", DEVON)
    door.stage.clock.on_sleep = None
    row = await door.row()
    assert row.evidence
    assert row.waiting
    assert (row.waiting.why, row.waiting.budget) == (WaitingFor.PAUSED, None)
    await lift(door)
    assert await waker(door).wake() == 1
    await door.receive({"resume": "queue:INC-1"})
    assert ended(door) == ["INC-1"]


async def test_waker_when_a_resume_got_lost_then_it_is_sent_again(door: Door) -> None:
    """A place in the line whose turn has come must not hold up the others."""
    door.stage.policy = limited(1)
    await ask(door, "INC-1", DEVON)
    await ask(door, "INC-2", OAKLEY)
    due = (await door.row("INC-2")).due_at
    for late, woken in ((2 * MINUTE, 0), (2 * MINUTE + timedelta(seconds=1), 1)):
        door.stage.clock.advance((due + late - door.stage.clock.now()).total_seconds())
        assert await waker(door).wake() == woken


# --- Who may ask ------------------------------------------------------------------------------------------------


async def test_caller_who_may_not_ask_learns_nothing_of_anybody(door: Door) -> None:
    """Neither roles nor names nor whether there is such a user, and no call to Microsoft Graph is made for it."""
    for number, user in enumerate((FINLEY, DEVON, "nobody@contoso.example")):
        (reply,) = await door.call({"requestId": f"INC-{number}", "user": user, "profile": "compromised"})
        assert isinstance(reply, Finished)
        outcome = reply.outcome
        assert (outcome.status, [reason.code for reason in outcome.reasons]) == (Status.REFUSED, ["callerMayNotAsk"])
        assert (outcome.user_id, outcome.user_principal_name) == (None, None)
    assert list(door.stage.tenant.calls) == []
    assert json.dumps([told["user"] for told in door.told()]).count(FINLEY) <= 1  # as the request itself named it


async def test_request_that_waits_keeps_its_key(door: Door) -> None:
    """The line is the caller's own: another caller's requests of the same id stand elsewhere."""
    door.stage.policy = limited(1)
    await ask(door, "INC-1", DEVON)
    await ask(door, "INC-2", OAKLEY)
    await door.call({"requestId": "INC-2", "user": CASEY})
    held = await door.stage.ledger.held_back(10)
    assert [one.key for one in held] == [RequestKey(QUEUE, RequestId("INC-2"))]
