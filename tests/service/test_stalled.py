"""What takes too long is cut off, and what a worker does after it lost its claim is seen and set right."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sandbox.tenant import Fault
from sandbox.tenant import method as a_method
from shared.errors import ClaimHeldError, ClaimLostError, LedgerUnavailableError
from shared.intake import read_body
from shared.mending import GIVEN_UP_AFTER
from shared.model import AcceptedRequest, Outcome
from shared.passes import MADE_WITHOUT_CLAIM
from shared.patience import PATIENCE
from shared.ports import Call, Delivery, Pending
from shared.steps import DISABLED_BY_US, ENABLED_BY_US, SWITCHED_WITHOUT_CLAIM
from shared.vocabulary import FUNCTION_KEY, QUEUE, RequestId, Source, Status, StepName, UserId, WaitingFor
from tests.service.stage import BLAIR, DEVON, Stage, request_for, under
from tests.service.test_reception import Door, open_door
from tests.service.test_steps import NAMED, policy_of

USER = UserId(BLAIR)
BODY = json.dumps({"requestId": "INC-1", "user": DEVON}).encode()
LATE = timedelta(seconds=61)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a door of its own to each test."""
    async with open_door(tmp_path) as door:
        yield door


# --- Nothing is endless -----------------------------------------------------------------------------------------


async def never_end(_: AcceptedRequest, __: datetime) -> Outcome:
    """Stand in for a service that Microsoft Graph keeps waiting."""
    await asyncio.Event().wait()
    raise AssertionError


async def deliver(door: Door, body: bytes = BODY) -> None:
    """Deliver to a reception that waits for its service for a moment only."""
    reception = replace(door.reception(never_end), work_seconds=0.05)
    await reception.receive(Delivery(body, "MSG-1", 1, door.stage.clock.now()))


async def test_delivery_when_it_takes_too_long_then_it_ends_and_counts_as_an_attempt(door: Door) -> None:
    """Whatever Microsoft Graph does: the message's lock is not outlived, and in the end it has failed."""
    await deliver(door)
    for attempts in range(1, 40):
        row = await door.row()
        if row.outcome:
            break
        assert (row.attempts, row.waiting and row.waiting.why) == (attempts, WaitingFor.NEXT_DELIVERY)
        door.stage.clock.advance((row.due_at - door.stage.clock.now()).total_seconds())
        await deliver(door, b'{"resume": "queue:INC-1"}')
    assert [told["status"] for told in door.told()] == ["failed"]
    assert "deliveryTimeout" in door.told()[0]["reasons"][0]["text"]
    assert door.stage.clock.now() - (await door.row()).accepted_at >= PATIENCE


@pytest.mark.parametrize(("method", "attempts"), [("DELETE", 0), ("GET", 1)])
async def test_delivery_when_its_deadline_is_near_then_only_one_that_changed_nothing_was_an_attempt(
    door: Door, method: str, attempts: int
) -> None:
    """A user with many methods is reset in several deliveries, which use up no patience."""
    path = "authentication/methods$" if method == "GET" else None
    door.stage.tenant.add_fault(Fault(method=method, path=path, delay_seconds=250))
    await door.receive(BODY)
    row = await door.row()
    assert (row.attempts, row.outcome) == (attempts, None)
    assert (row.due_at <= door.stage.clock.now()) is (attempts == 0)
    await door.go_on()
    assert [told["status"] for told in door.told()] == ["completed"]


async def test_delivery_when_nothing_of_it_ends_then_the_whole_is_cut_off(door: Door) -> None:
    """A ledger or a bus that hangs in its turn: the message is given back in time."""
    reception = replace(door.reception(never_end), longest_seconds=0.05)
    with pytest.raises(TimeoutError):
        await reception.receive(Delivery(BODY, "MSG-1", 1, door.stage.clock.now()))
    assert (await door.row()).outcome is None


# --- Before each exchange ---------------------------------------------------------------------------------------


async def steal(stage: Stage, user_id: UserId = USER) -> None:
    """Let another worker take over, hold the claim for a moment and give it back."""
    async with stage.ledger.claim(user_id):
        pass


async def test_exchange_when_the_claim_was_lost_during_its_repeat_then_it_is_not_sent_again(door: Door) -> None:
    """A worker that stood still may finish the exchange in flight and no other."""
    stage = door.stage
    stage.tenant.add_fault(Fault(method="PATCH", path=BLAIR, status=503, times=None))
    playing = under(stage, policy_of("disableAccount", "revokeSessions"))
    row = await stage.ledger.accept(request(stage))

    async def stand_still(_: float) -> None:
        stage.clock.advance(LATE.total_seconds())
        await steal(stage)

    stage.clock.on_sleep = stand_still
    with pytest.raises(ClaimLostError) as raised:
        await playing.handle(row)
    assert raised.value.switched is StepName.DISABLE_ACCOUNT
    assert [call.status for call in stage.tenant.calls if call.method == "PATCH"] == [503]
    assert await stage.ledger.recall(USER, SWITCHED_WITHOUT_CLAIM)


def request(stage: Stage, request_id: str = "INC-1", profile: str = "p") -> AcceptedRequest:
    """Build a request of a caller who may ask for every step."""
    return request_for(BLAIR, stage.clock.now(), request_id=request_id, profile=profile, caller=NAMED)


async def test_removal_when_the_claim_was_lost_then_no_other_method_is_touched(door: Door) -> None:
    """Removing converges: nothing has to be set right afterwards."""
    stage = door.stage
    playing = under(stage, policy_of("revokeSessions"))
    row = await stage.ledger.accept(request(stage))
    stage.tenant.add_fault(Fault(method="DELETE", status=503, retry_after=5))

    async def stand_still(seconds: float) -> None:
        if seconds == 5:
            stage.clock.advance(LATE.total_seconds())
            await steal(stage)

    stage.clock.on_sleep = stand_still
    with pytest.raises(ClaimLostError) as raised:
        await playing.handle(row)
    assert raised.value.switched is None
    assert len([call for call in stage.tenant.calls if call.method == "DELETE"]) == 1
    assert await stage.ledger.recall(USER, SWITCHED_WITHOUT_CLAIM) is None


# --- Set right --------------------------------------------------------------------------------------------------


def enabled(stage: Stage) -> bool:
    """Whether the account may sign in."""
    return stage.tenant.directory.users[BLAIR].properties["accountEnabled"] is True


def switch(stage: Stage, *, to: bool) -> None:
    """Let an exchange that was in flight take effect."""
    stage.tenant.directory.users[BLAIR].properties["accountEnabled"] = to


async def test_account_when_a_late_exchange_disabled_it_then_it_is_enabled_again(door: Door) -> None:
    """The whole story: one worker stands still in the exchange, another ends the reset, the first wakes up."""
    stage = door.stage
    playing = under(stage, policy_of("disableAccount", "revokeSessions", "enableAccount"))
    row = await stage.ledger.accept(request(stage))
    stage.tenant.add_fault(Fault(method="PATCH", path=BLAIR, delay_seconds=1, when="after"))
    frozen = asyncio.Event()

    async def let_the_other_one_end_it(seconds: float) -> None:
        if seconds == 1 and not frozen.is_set():
            frozen.set()
            stage.clock.advance(LATE.total_seconds())
            kept = await stage.ledger.read(row.key)
            outcome = await playing.handle(kept or row)
            assert outcome.status is Status.COMPLETED
            assert enabled(stage)
            switch(stage, to=False)

    stage.clock.on_sleep = let_the_other_one_end_it
    with pytest.raises(ClaimLostError):
        await playing.handle(row)
    stage.clock.on_sleep = None
    assert not enabled(stage)
    await door.receive({"resume": str(row.key)})
    assert enabled(stage)
    assert await stage.ledger.recall(USER, SWITCHED_WITHOUT_CLAIM) is None


async def test_account_when_the_late_worker_is_cut_off_then_it_is_enabled_again(door: Door) -> None:
    """It stood still for longer than a delivery may last: when it wakes up, its time is over too."""
    stage = door.stage
    playing = under(stage, policy_of("disableAccount", "revokeSessions", "enableAccount"))
    row = await stage.ledger.accept(request(stage))
    stage.tenant.add_fault(Fault(method="PATCH", path=BLAIR, delay_seconds=1, when="after"))
    late = asyncio.create_task(playing.handle(row))

    async def let_the_other_one_end_it(seconds: float) -> None:
        if seconds == 1:
            stage.clock.on_sleep = None
            stage.clock.advance(LATE.total_seconds())
            kept = await stage.ledger.read(row.key)
            assert (await playing.handle(kept or row)).status is Status.COMPLETED
            switch(stage, to=False)
            late.cancel()

    stage.clock.on_sleep = let_the_other_one_end_it
    with pytest.raises(asyncio.CancelledError):
        await late
    assert not enabled(stage)
    await door.receive({"resume": str(row.key)})
    assert enabled(stage)
    assert await stage.ledger.recall(USER, SWITCHED_WITHOUT_CLAIM) is None


async def test_request_when_its_message_comes_again_before_the_account_was_looked_at_then_it_waits(door: Door) -> None:
    """What was noted does not stay, to be held against what an administrator does later."""
    stage, body = door.stage, {"requestId": "INC-1", "user": BLAIR}
    acceptance, parent_id = door.reception().acceptance, RequestId("MSG-1")
    (item,) = read_body(json.dumps(body).encode(), acceptance.envelope(parent_id, derive=True))
    offered = acceptance.offer(item, QUEUE, Source.QUEUE, stage.clock.now(), parent_id)
    await stage.ledger.accept(replace(offered, user_id=USER))
    await stage.service.mender.note(USER, StepName.DISABLE_ACCOUNT)
    async with stage.ledger.claim(USER):
        await door.receive(body)
    assert door.resumes() == [("queue:INC-1", stage.clock.now() + timedelta(minutes=1))]
    await door.receive(body)
    assert [told["status"] for told in door.told()] == ["completed"]
    assert await stage.ledger.recall(USER, SWITCHED_WITHOUT_CLAIM) is None


async def test_account_when_the_message_of_the_late_worker_comes_again_then_it_is_looked_at(door: Door) -> None:
    """It was given back rather than resumed, and its request has ended: at once, or in a minute."""
    stage, body = door.stage, {"requestId": "INC-1", "user": BLAIR}
    await door.receive(body)
    await stage.ledger.remember(USER, ENABLED_BY_US, "then")
    await stage.service.mender.note(USER, StepName.DISABLE_ACCOUNT)
    switch(stage, to=False)
    async with stage.ledger.claim(USER):
        await door.receive(body)
    assert not enabled(stage)
    assert door.resumes()[-1] == ("queue:INC-1", stage.clock.now() + timedelta(minutes=1))
    await door.receive(body)
    assert enabled(stage)
    assert await stage.ledger.recall(USER, SWITCHED_WITHOUT_CLAIM) is None


@pytest.mark.parametrize(
    ("switched", "mark", "is_enabled", "mended"),
    [
        (StepName.DISABLE_ACCOUNT, ENABLED_BY_US, False, True),
        (StepName.DISABLE_ACCOUNT, ENABLED_BY_US, True, True),
        (StepName.DISABLE_ACCOUNT, DISABLED_BY_US, False, False),
        (StepName.DISABLE_ACCOUNT, None, False, False),
        (StepName.ENABLE_ACCOUNT, DISABLED_BY_US, True, False),
        (StepName.ENABLE_ACCOUNT, DISABLED_BY_US, False, False),
        (StepName.ENABLE_ACCOUNT, ENABLED_BY_US, True, True),
        (StepName.ENABLE_ACCOUNT, None, True, True),
    ],
)
async def test_account_when_looked_at_then_it_is_what_this_product_made_it_last(
    door: Door, switched: StepName, mark: str | None, *, is_enabled: bool, mended: bool
) -> None:
    """What somebody else did to it is left alone."""
    stage = door.stage
    switch(stage, to=is_enabled)
    if mark:
        await stage.ledger.remember(USER, DISABLED_BY_US if mark == DISABLED_BY_US else ENABLED_BY_US, "then")
    await stage.service.mender.note(USER, switched)
    await stage.service.mender.mend(USER)
    assert enabled(stage) is mended
    assert await stage.ledger.recall(USER, SWITCHED_WITHOUT_CLAIM) is None
    changes = stage.changes()
    await stage.service.mender.mend(USER)
    assert stage.changes() == changes


async def test_account_when_it_cannot_be_looked_at_then_a_resume_comes_back_and_ends_after_a_day(door: Door) -> None:
    """Not while another worker is at it, nor for ever; the request itself goes on only afterwards."""
    stage = door.stage
    row = await stage.ledger.accept(replace(request(stage), user_id=USER))
    await stage.service.mender.note(USER, StepName.DISABLE_ACCOUNT)
    async with stage.ledger.claim(USER):
        with pytest.raises(ClaimHeldError):
            await stage.service.mender.mend(USER)
        await door.receive({"resume": str(row.key)})
    assert door.resumes() == [(str(row.key), stage.clock.now() + timedelta(minutes=1))]
    assert door.told() == []
    stage.clock.advance((GIVEN_UP_AFTER + timedelta(seconds=1)).total_seconds())
    await stage.service.mender.mend(USER)
    assert await stage.ledger.recall(USER, SWITCHED_WITHOUT_CLAIM) is None


@pytest.mark.parametrize("there", [True, False])
async def test_pass_when_it_was_made_without_the_claim_then_it_is_deleted(door: Door, *, there: bool) -> None:
    """Its code is lost, and somebody else's pass may be there by now."""
    stage = door.stage
    made = a_method("temporaryAccessPass", "late-1" if there else "other-1")
    stage.tenant.directory.users[BLAIR].methods = [made]
    await stage.ledger.remember(USER, MADE_WITHOUT_CLAIM, f"late-1 {stage.clock.now().isoformat()}")
    await stage.service.mender.mend(USER)
    assert stage.types_of(BLAIR) == ([] if there else ["temporaryAccessPass"])
    assert await stage.ledger.recall(USER, MADE_WITHOUT_CLAIM) is None


async def test_account_when_the_user_is_gone_then_there_is_nothing_to_set_right(door: Door) -> None:
    """A deleted user cannot sign in."""
    stage = door.stage
    await stage.ledger.remember(USER, ENABLED_BY_US, "then")
    await stage.service.mender.note(USER, StepName.DISABLE_ACCOUNT)
    del stage.tenant.directory.users[BLAIR]
    await stage.service.mender.mend(USER)
    assert await stage.ledger.recall(USER, SWITCHED_WITHOUT_CLAIM) is None


async def test_call_when_the_ledger_does_not_keep_what_it_waits_for_then_it_is_pending_all_the_same(door: Door) -> None:
    """The resume that is scheduled keeps it later."""

    async def fail(_: AcceptedRequest, __: datetime) -> Outcome:
        with closing(sqlite3.connect(door.stage.ledger_path)) as connection, connection:
            connection.execute("DELETE FROM requests")
        raise LedgerUnavailableError

    (reply,) = (await door.reception(fail).take_call(Call(BODY, FUNCTION_KEY))).replies
    assert isinstance(reply, Pending)


async def test_delivery_when_it_gets_something_done_for_more_than_a_day_then_it_ends_all_the_same(door: Door) -> None:
    """Whoever registers methods as fast as they are removed does not keep it going for ever."""
    door.stage.tenant.add_fault(Fault(method="DELETE", delay_seconds=250))
    await door.receive(BODY)
    door.stage.tenant.add_fault(Fault(method="DELETE", delay_seconds=250, times=None))
    register = door.stage.tenant.directory.users[DEVON].methods.append
    register(a_method("softwareOath", "again-1"))
    register(a_method("softwareOath", "again-2"))
    door.stage.clock.advance(PATIENCE.total_seconds())
    await door.receive({"resume": "queue:INC-1"})
    assert [told["status"] for told in door.told()] == ["failed"]
