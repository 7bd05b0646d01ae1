"""What goes wrong for a reason that nobody has foreseen ends all the same, and keeps nobody else waiting."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection

import pytest

from sandbox.tenant import Fault
from sandbox.tenant import method as a_method
from shared.errors import LedgerUnavailableError, UnreadableRowError
from shared.ledger.sqlite import SqliteLedger
from shared.model import AcceptedRequest, RequestKey, Waiting
from shared.patience import LOST_AFTER
from shared.ports import Delivery, Family
from shared.reception import HOLD_BACK_SECONDS
from shared.sweep import RESUMES_AT_ONCE
from shared.vocabulary import FUNCTION_KEY, RequestId, Status, UserId, WaitingFor
from shared.waking import Waker
from shared.web.answers import Reader, answer_family
from tests.service.stage import DEVON, OAKLEY, PARKER, policy_with, request_for
from tests.service.test_reception import Door, key_of, open_door

LATE = LOST_AFTER + timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a door of its own to each test."""
    async with open_door(tmp_path) as door:
        yield door


async def accept(door: Door, request_id: str = "INC-1", user: str = DEVON) -> None:
    """Leave a request behind that was due just now, as a killed process does."""
    await door.stage.ledger.accept(request_for(user, door.stage.clock.now(), request_id=request_id))


async def test_request_that_gets_lost_again_and_again_is_tried_ever_more_seldom_and_has_failed(door: Door) -> None:
    """A bug must not revoke somebody's sessions every ten minutes for ever."""
    await accept(door)
    found = 0
    for _ in range(24 * 6 + 10):
        door.stage.clock.advance(LATE.total_seconds())
        found += await door.sweep.resume_the_lost()
    assert found < 30
    assert [told["status"] for told in door.told()] == ["failed"]
    assert [told["reasons"][0]["code"] for told in door.told()] == ["patienceAtItsEnd"]
    assert (await door.row()).reported
    assert len(door.rejected()) == 1


async def test_request_that_another_worker_is_at_is_not_given_up(door: Door) -> None:
    """It is resumed instead."""
    door.stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=503, times=None))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    resumes = len(door.resumes())
    door.stage.clock.advance((DAY + LATE).total_seconds())
    async with door.stage.ledger.claim(UserId(DEVON)):
        assert await door.sweep.resume_the_lost() == 1
    assert door.told() == []
    assert len(door.resumes()) == resumes + 1


async def test_row_that_cannot_be_read_does_not_keep_the_others_waiting(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, the others are resumed."""
    await accept(door)
    await accept(door, "INC-2", OAKLEY)
    await spoil(door, "INC-1")
    door.stage.clock.advance(LATE.total_seconds())
    assert await door.sweep.resume_the_lost() == 1
    assert [key for key, _ in door.resumes()] == ["queue:INC-2"]
    assert "unreadableRow" in caplog.text


async def test_rows_that_cannot_be_read_however_many_do_not_keep_the_others_waiting(door: Door) -> None:
    """They are the oldest, and as many as are resumed at once."""
    at = door.stage.clock.now()
    for number in range(RESUMES_AT_ONCE):
        await door.stage.ledger.accept(request_for(DEVON, at, request_id=f"INC-{number}"))
    change = "UPDATE requests SET request = '{}'"
    await door.stage.ledger._database.write(lambda connection: connection.execute(change))
    door.stage.clock.advance(1)
    await accept(door, "INC-LAST", OAKLEY)
    door.stage.clock.advance(LATE.total_seconds())
    assert await door.sweep.resume_the_lost() == 1
    assert [key for key, _ in door.resumes()] == ["queue:INC-LAST"]


class SpoiltMeanwhile(SqliteLedger):
    """A ledger in which a row becomes unreadable after it was found."""

    async def unfinished(self, due_before: datetime, limit: int) -> tuple[RequestKey, ...]:
        """Find what there is, and spoil the first of it."""
        keys = await super().unfinished(due_before, limit)
        change = "UPDATE requests SET request = '{}' WHERE request_id = ?"
        await self._database.write(lambda connection: connection.execute(change, (keys[0].request_id,)))
        return keys


async def test_row_that_cannot_be_read_any_more_does_not_keep_the_others_waiting(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """A later version wrote it just now."""
    await accept(door)
    door.stage.clock.advance(1)
    await accept(door, "INC-2", OAKLEY)
    door.stage.clock.advance(LATE.total_seconds())
    ledger = SpoiltMeanwhile(door.stage.ledger_path, door.stage.clock)
    assert await replace(door.sweep, ledger=ledger).resume_the_lost() == 2
    await ledger.close()
    assert [key for key, _ in door.resumes()] == ["queue:INC-2"]
    assert "unreadableRow" in caplog.text


async def test_delivery_of_a_row_that_cannot_be_read_is_given_back_at_once(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends in the dead letters, with an alert, and holds up nothing meanwhile; once it can be read, it goes on."""
    await accept(door)
    whole = await spoil(door, "INC-1")
    at = door.stage.clock.now()
    for body in ({"resume": "queue:INC-1"}, {"requestId": "INC-1", "user": DEVON}):
        with pytest.raises(UnreadableRowError):
            await door.receive(body)
    assert door.stage.clock.now() == at
    assert caplog.text.count("unreadableRow") == 2
    assert caplog.text.count("givenBack") == 2
    await mend(door, "INC-1", whole)
    await door.receive({"resume": "queue:INC-1"})
    assert [told["status"] for told in door.told()] == ["completed"]


async def test_body_for_several_of_which_one_cannot_be_read_is_accepted_but_for_that(door: Door) -> None:
    """The others are resumed by the sweep, and shown; whoever asked is not told that all was accepted."""
    users = [DEVON, *(f"10000000-0000-4000-8000-0000000005{number:02}" for number in range(20)), OAKLEY]
    await door.call({"requestId": "INC", "users": users})
    family = await look_up(door)
    first, last = family.children[0].key, family.children[-1].key
    await door.stage.ledger._database.write(lambda connection: connection.execute("DELETE FROM requests"))
    await door.call({"requestId": "INC", "users": users[:1]})
    await spoil(door, first.request_id)
    with pytest.raises(UnreadableRowError):
        await door.call({"requestId": "INC", "users": users})
    family = await look_up(door)
    assert (len(family.children), family.unreadable) == (len(users) - 1, (first.request_id,))
    door.stage.clock.advance(LATE.total_seconds())
    assert await door.sweep.resume_the_lost() == len(users) - 1
    assert str(last) in [key for key, _ in door.resumes()]
    door_answer = answer_family(family, Reader("", may_read_all=True))
    assert {"requestId": first.request_id, "status": "unreadable"} in door_answer.document["requests"]  # type: ignore[operator] # JSON


class Down(SqliteLedger):
    """A ledger that takes no request."""

    async def accept(self, offered: AcceptedRequest) -> AcceptedRequest:  # noqa: ARG002 - the port's signature
        """Be unreachable."""
        raise LedgerUnavailableError


async def test_delivery_while_the_ledger_takes_nothing_is_given_back_slowly(door: Door) -> None:
    """That is an outage, which ends: the five deliveries may not be over before it."""
    ledger, at = Down(door.stage.ledger_path, door.stage.clock), door.stage.clock.now()
    body = b'{"requestId": "INC-1", "user": "%s"}' % DEVON.encode()
    with pytest.raises(LedgerUnavailableError):
        await replace(door.reception(), ledger=ledger).receive(Delivery(body, "M", 7, at))
    await ledger.close()
    assert door.stage.clock.now() - at == timedelta(seconds=HOLD_BACK_SECONDS)


class Forgetful(SqliteLedger):
    """A ledger in which the row of one that waits cannot be read."""

    async def let_go(self, key: RequestKey, at: datetime) -> bool:
        """Let the others go."""
        if key.request_id == "INC-1":
            raise UnreadableRowError
        return await super().let_go(key, at)


async def test_waker_when_the_row_of_one_cannot_be_read_then_the_others_go_on(door: Door) -> None:
    """Nor is it woken again and again: its resume would find nothing that it could go on with."""
    held = Waiting(WaitingFor.PAUSED, door.stage.clock.now())
    due_at = door.stage.clock.now() + timedelta(minutes=5)
    for request_id, user in (("INC-1", DEVON), ("INC-2", OAKLEY)):
        await accept(door, request_id, user)
        await door.stage.ledger.expect(key_of(request_id), due_at, waiting=held)
    ledger = Forgetful(door.stage.ledger_path, door.stage.clock)
    waker = Waker(ledger, door.service_bus, door.stage.clock, door.stage.service.budgets)
    assert [await waker.wake(), await waker.wake()] == [1, 0]
    await ledger.close()
    assert (await door.row("INC-2")).due_at == door.stage.clock.now()


@pytest.mark.parametrize("change", ["due_at = 'x'", "waiting_since = 'x'", "waiting_since = NULL"])
async def test_request_that_waits_and_cannot_be_read_keeps_no_other_waiting(door: Door, change: str) -> None:
    """Whoever lets the others go on looks at all of them."""
    held = Waiting(WaitingFor.PAUSED, door.stage.clock.now())
    for request_id in ("INC-1", "INC-2"):
        await accept(door, request_id)
        await door.stage.ledger.expect(key_of(request_id), door.stage.clock.now(), waiting=held)
    spoilt = f"UPDATE requests SET {change} WHERE request_id = 'INC-1'"  # noqa: S608 - our own words
    await door.stage.ledger._database.write(lambda connection: connection.execute(spoilt))
    assert [one.key.request_id for one in await door.stage.ledger.held_back(5)] == ["INC-2"]


async def look_up(door: Door) -> Family:
    """Return the requests of a body."""
    family = await door.reception().look_up_family(RequestId("INC"), FUNCTION_KEY, any_caller=False)
    assert family
    return family


async def spoil(door: Door, request_id: str) -> str:
    """Let a row be something that cannot be read; return what it was."""

    def write(connection: Connection) -> str:
        kept = "SELECT request FROM requests WHERE request_id = ?"
        (whole,) = connection.execute(kept, (request_id,)).fetchone()
        connection.execute("UPDATE requests SET request = '{}' WHERE request_id = ?", (request_id,))
        return str(whole)

    return await door.stage.ledger._database.write(write)


async def mend(door: Door, request_id: str, whole: str) -> None:
    """Let a row be what it was."""
    change = "UPDATE requests SET request = ? WHERE request_id = ?"
    await door.stage.ledger._database.write(lambda connection: connection.execute(change, (whole, request_id)))


async def test_message_that_comes_again_after_its_partial_outcome_is_that_outcome(door: Door) -> None:
    """The process died before the message was settled: it asks for nothing new."""
    delivery = Delivery(b'{"requestId": "INC-1", "user": "%s"}' % PARKER.encode(), "M", 7, door.stage.clock.now())
    await door.reception().receive(delivery)
    kept, changes = await door.row(), door.stage.changes()
    await door.reception().receive(delivery)
    assert [told["status"] for told in door.told()] == ["partial", "partial"]
    assert (await door.row(), door.stage.changes()) == (kept, changes)


async def test_call_that_is_repeated_is_resumed_although_the_row_was_due_much_later(door: Door) -> None:
    """Half a reset must not stand for an hour because its safety resume came early."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=10))
    await door.call({"requestId": "INC-1", "user": DEVON})
    await door.stage.ledger.expect(key_of("INC-1", FUNCTION_KEY), door.stage.clock.now() + timedelta(hours=1))
    await door.call({"requestId": "INC-1", "user": DEVON})
    await door.go_on("functionKey:INC-1")
    assert [told["status"] for told in door.told()] == ["completed"]


async def test_request_that_waits_for_the_limit_asks_nothing_of_the_directory(door: Door) -> None:
    """Many wait for the same moment; the first that may start does."""
    door.stage.policy = policy_with(limits={"resetsPerHour": 1})
    await door.receive({"requestId": "INC-1", "user": DEVON})
    await door.receive({"requestId": "INC-2", "user": OAKLEY})
    calls = len(door.stage.tenant.calls)
    await door.receive({"resume": "queue:INC-2"})
    assert len(door.stage.tenant.calls) == calls
    assert [told["requestId"] for told in door.told()] == ["INC-1"]
    await door.go_on("queue:INC-2")
    assert [told["requestId"] for told in door.told()] == ["INC-1", "INC-2"]


async def test_compromise_that_was_seen_ahead_of_the_clock_is_covered_like_one_seen_now(door: Door) -> None:
    """A sender's clock may be fast: a burst is one reset all the same."""
    ahead = (door.stage.clock.now() + timedelta(minutes=4)).isoformat()
    at = door.stage.clock.now()
    for number in range(3):
        body = b'{"requestId": "INC-%d", "user": "%s", "observedAt": "%s"}' % (number, DEVON.encode(), ahead.encode())
        await door.reception().receive(Delivery(body, f"M{number}", number, at))
    assert [told["status"] for told in door.told()] == ["completed", "covered", "covered"]


async def test_message_that_was_sent_again_while_its_reset_ran_is_a_replay_although_its_clock_is_fast(
    door: Door,
) -> None:
    """Nobody has seen what had not happened when they asked."""
    at = door.stage.clock.now()
    ahead = (at + timedelta(minutes=4)).isoformat()
    body = b'{"requestId": "INC-1", "user": "%s", "observedAt": "%s"}' % (DEVON.encode(), ahead.encode())
    for number in range(2):
        await door.reception().receive(Delivery(body, f"M{number}", number, at + timedelta(seconds=number)))
    assert [(told["status"], told["replayed"]) for told in door.told()] == [("completed", False), ("completed", True)]


async def test_method_that_came_too_late_to_be_tried_is_told_by_the_next_alert(door: Door) -> None:
    """An intruder who registers again and again is not quietly covered."""
    stage = door.stage
    methods = stage.tenant.directory.users[OAKLEY].methods

    async def register(seconds: float) -> None:
        if seconds > 5:
            methods.append(a_method("softwareOath", f"late-{stage.clock.now().isoformat()}"))

    stage.clock.on_sleep = register
    sent_at = stage.clock.now()
    for number in range(2):
        body = b'{"requestId": "INC-%d", "user": "%s"}' % (number, OAKLEY.encode())
        await door.reception().receive(Delivery(body, f"M{number}", number, sent_at))
        stage.clock.on_sleep = None
    first, second = door.told()
    assert (first["status"], second["status"]) == (Status.PARTIAL, Status.PARTIAL)
    assert "registeredSinceReset" in {reason["code"] for reason in second["reasons"]}
