"""What happens between two writes: a lost claim, a pause, a bus that fails, a method that is registered meanwhile."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sandbox.tenant import Fault
from sandbox.tenant import method as a_method
from shared.errors import BusUnavailableError, ClaimLostError, HeldBackError
from shared.model import Control
from shared.patience import LOST_AFTER, PATIENCE
from shared.ports import Delivery
from shared.reception import HOLD_BACK_SECONDS
from shared.steps import SWITCHED_WITHOUT_CLAIM
from shared.vocabulary import StepName, UserId, WaitingFor
from tests.service.stage import DEVON, FINLEY, OAKLEY, Stage, policy_with, request_for, under
from tests.service.test_reception import OUTCOMES, REQUESTS, Door, open_door

LATE = LOST_AFTER + timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a door of its own to each test."""
    async with open_door(tmp_path) as door:
        yield door


# --- The default method -----------------------------------------------------------------------------------------


async def test_default_method_when_the_claim_was_lost_before_it_is_changed_then_it_is_not(stage: Stage) -> None:
    """The other worker removes the methods now, and chooses a default of its own."""
    row = await stage.ledger.accept(request_for(OAKLEY, stage.clock.now()))
    calls = stage.tenant.calls

    async def lose_it() -> None:
        stage.clock.advance(61)
        async with stage.ledger.claim(UserId(OAKLEY)):
            pass

    stage.tenant.add_fault(Fault(method="DELETE", skip=1, delay_seconds=3, times=1, when="after"))
    lost = False

    async def at(seconds: float) -> None:
        nonlocal lost
        if seconds == 3 and not lost:
            lost = True
            await lose_it()

    stage.clock.on_sleep = at
    with pytest.raises(ClaimLostError):
        await stage.handle(row)
    assert [call.path for call in calls if call.method == "PATCH"] == []


async def test_default_method_when_paused_before_it_is_changed_then_it_is_not(stage: Stage) -> None:
    """A pause stops a reset before its next change, whatever that is."""
    row = await stage.ledger.accept(request_for(OAKLEY, stage.clock.now()))
    stage.tenant.add_fault(Fault(method="DELETE", skip=1, delay_seconds=3, times=1, when="after"))

    async def pause(seconds: float) -> None:
        if seconds == 3:
            until = stage.clock.now() + HOUR
            await stage.ledger.change_control(lambda _: Control(until, "an operator", "a test"))

    stage.clock.on_sleep = pause
    with pytest.raises(HeldBackError) as raised:
        await stage.handle(row)
    assert raised.value.why is WaitingFor.PAUSED
    assert [call.path for call in stage.tenant.calls if call.method == "PATCH"] == []


# --- Resumes and reports ----------------------------------------------------------------------------------------


async def test_resume_when_the_bus_does_not_take_it_then_the_ledger_expects_none(door: Door) -> None:
    """Else the request would be looked for only long after the time of a resume that was never sent."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    door.bus.refuse_sends(REQUESTS, times=3)
    body = json.dumps({"requestId": "INC-1", "user": DEVON}).encode()
    before = door.stage.clock.now()
    with pytest.raises(BusUnavailableError):
        await door.reception().receive(Delivery(body, "MSG-1", 1, before))
    row = await door.row()
    assert row.waiting is None
    assert row.due_at == before + timedelta(seconds=240)
    assert door.stage.clock.now() - before >= timedelta(seconds=HOLD_BACK_SECONDS)


async def test_request_that_was_held_back_for_a_day_when_found_lost_then_it_is_not_given_up(door: Door) -> None:
    """Its patience begins when it may go on, not when it was accepted."""
    door.stage.policy = policy_with(limits={"resetsPerHour": 1})
    await door.receive({"requestId": "INC-0", "user": OAKLEY})
    await door.receive({"requestId": "INC-1", "user": DEVON}, "MSG-1")
    row = await door.row()
    later = row.accepted_at + PATIENCE + HOUR
    await door.stage.ledger.expect(row.key, later, waiting=row.waiting, patient_since=later)
    door.stage.clock.advance((later + LATE - door.stage.clock.now()).total_seconds())
    assert await door.sweep.resume_the_lost() == 1
    assert [told["requestId"] for told in door.told()] == ["INC-0"]
    await door.receive({"resume": "queue:INC-1"})
    assert [told["status"] for told in door.told()] == ["completed", "completed"]


async def test_outcome_that_could_not_be_told_is_told_again_at_once_each_time_it_is_found(door: Door) -> None:
    """Telling changes nothing for anybody: there is no reason to wait ever longer with it."""
    row = await door.stage.ledger.accept(request_for(DEVON, door.stage.clock.now()))
    await door.stage.handle(row)
    for _ in range(5):
        door.stage.clock.advance(LATE.total_seconds())
        assert await door.sweep.resume_the_lost() == 1
        assert door.resumes()[-1][1] <= door.stage.clock.now()
    await door.receive({"resume": "queue:INC-1"})
    assert [told["status"] for told in door.told()] == ["completed"]


async def test_outcome_when_the_topic_fails_then_the_next_delivery_tells_it(door: Door) -> None:
    """Nothing is reset again for it."""
    door.bus.refuse_sends(OUTCOMES, times=3)
    body = {"requestId": "INC-1", "user": DEVON}
    with pytest.raises(BusUnavailableError):
        await door.receive(body)
    changes = door.stage.changes()
    door.bus.clear_faults()
    door.stage.clock.advance(60)
    await door.receive(body)
    assert [told["status"] for told in door.told()] == ["completed"]
    assert door.stage.changes() == changes


# --- The last look ----------------------------------------------------------------------------------------------


async def test_verified_at_is_the_start_of_the_last_look(door: Door) -> None:
    """Not its end: what is registered while the listing takes its time is not in it."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods$", skip=1, delay_seconds=90))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    (told,) = door.told()
    verified_at, finished_at = (datetime.fromisoformat(told[name]) for name in ("verifiedAt", "finishedAt"))
    assert finished_at - verified_at >= timedelta(seconds=90)


async def test_method_that_is_registered_while_the_last_listing_takes_its_time_is_not_covered(door: Door) -> None:
    """An alert about it was seen after that look began, so it is reset again."""
    seen: list[str] = []

    async def register(seconds: float) -> None:
        if seconds == 90:
            door.stage.tenant.directory.users[DEVON].methods.append(a_method("softwareOath", "late-1"))
            seen.append((door.stage.clock.now() + timedelta(seconds=1)).isoformat())

    fault = Fault(method="GET", path="authentication/methods$", skip=1, delay_seconds=90, when="after")
    door.stage.tenant.add_fault(fault)
    door.stage.clock.on_sleep = register
    await door.receive({"requestId": "INC-1", "user": DEVON})
    door.stage.clock.on_sleep = None
    assert [told["status"] for told in door.told()] == ["completed"]
    assert door.stage.types_of(DEVON) == ["softwareOath"]
    await door.receive({"requestId": "INC-2", "user": DEVON, "observedAt": seen[0]}, "MSG-2")
    assert [told["status"] for told in door.told()] == ["completed", "completed"]
    assert door.stage.types_of(DEVON) == []


# --- Steps instead ----------------------------------------------------------------------------------------------


async def test_step_instead_when_the_claim_was_lost_in_its_exchange_then_the_account_is_looked_at(stage: Stage) -> None:
    """An administrator's account is disabled instead of a reset: what a late exchange did to it is set right, too."""
    stage.tenant.caller_directory_roles.add("62e90394-69f5-4237-9190-012177145e10")
    playing = under(stage, policy_with(privileged={"instead": ["disableAccount", "revokeSessions"]}))
    row = await stage.ledger.accept(request_for(FINLEY, stage.clock.now()))
    stage.tenant.add_fault(Fault(method="PATCH", path=FINLEY, delay_seconds=3, when="after"))

    async def lose_it(seconds: float) -> None:
        if seconds == 3:
            stage.clock.advance(61)
            async with stage.ledger.claim(UserId(FINLEY)):
                pass

    stage.clock.on_sleep = lose_it
    with pytest.raises(ClaimLostError) as raised:
        await playing.handle(row)
    assert raised.value.switched is StepName.DISABLE_ACCOUNT
    assert await stage.ledger.recall(UserId(FINLEY), SWITCHED_WITHOUT_CLAIM)
