"""Deliveries and calls to their fates, over the sandbox's bus and tenant."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus.aio import ServiceBusClient

from sandbox.bus import Bus, Message
from sandbox.tenant import Fault
from shared.bus import ServiceBus
from shared.errors import (
    BusUnavailableError,
    GraphError,
    Later,
    LedgerUnavailableError,
    NotPermittedError,
    OperatorError,
)
from shared.model import AcceptedRequest, Outcome, RequestKey
from shared.ports import Call, Delivery, Finished, Pending
from shared.reception import Handle, Reception
from shared.sweep import Sweep
from shared.vocabulary import FUNCTION_KEY, QUEUE, RequestId, Status
from tests.service.stage import BREAK_GLASS, DEVON, OAKLEY, Stage, set_up
from tests.service.test_service import SESSIONS

REQUESTS, REJECTED, OUTCOMES, AUDIT = "requests", "rejected", "outcomes", "outcomes/Subscriptions/audit"


@dataclass
class Door:
    """The reception, and what is behind it."""

    stage: Stage
    bus: Bus
    service_bus: ServiceBus
    numbers: Iterator[int]

    def reception(self, handle: Handle | None = None) -> Reception:
        """Build the reception, over the service or over what a test puts in its place."""
        return Reception(
            self.stage.policy,
            self.stage.ledger,
            self.service_bus,
            self.stage.clock,
            handle or self.stage.service.handle,
            self.stage.service.give_up,
            self.stage.service.mender.mend,
            new_id=lambda: f"new-{next(self.numbers)}",
            jitter=lambda: 0.0,
        )

    async def receive(self, body: str | bytes | dict[str, Any], message_id: str | None = "MSG-1") -> None:
        """Deliver a message."""
        raw = json.dumps(body) if isinstance(body, dict) else body
        encoded = raw.encode() if isinstance(raw, str) else raw
        await self.reception().receive(Delivery(encoded, message_id, 7, self.stage.clock.now()))

    async def call(self, body: Any, key: str | None = None) -> tuple[Finished | Pending, ...]:  # noqa: ANN401 - JSON
        """Post a body."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        taken = await self.reception().take_call(Call(raw, FUNCTION_KEY, RequestId(key) if key else None))
        return taken.replies

    async def go_on(self, key: str = "queue:INC-1") -> None:
        """Deliver the last resume of a request, when it is due."""
        at = max(at for each, at in self.resumes() if each == key)
        self.stage.clock.advance(max((at - self.stage.clock.now()).total_seconds(), 0))
        await self.receive({"resume": key})

    async def row(self, request_id: str = "INC-1", caller: str = QUEUE) -> AcceptedRequest:
        """Return what the ledger holds of a request."""
        row = await self.stage.ledger.read(key_of(request_id, caller))
        assert row is not None
        return row

    @property
    def sweep(self) -> Sweep:
        """The sweep of the same ledger."""
        return Sweep(self.stage.ledger, self.service_bus, self.stage.clock, self.reception().endings)

    def told(self) -> list[dict[str, Any]]:
        """Return what the outcome topic was told."""
        return [json.loads(message.body) for message in self.bus.peek(AUDIT)]

    def resumes(self) -> list[tuple[str, datetime]]:
        """Return which keys are to be resumed, and when."""
        messages = self.bus.peek(REQUESTS)
        return [(json.loads(one.body)["resume"], one.scheduled_at or one.enqueued_at) for one in messages]

    def rejected(self) -> tuple[Message, ...]:
        """Return what lies on the rejected queue."""
        return self.bus.peek(REJECTED)


@asynccontextmanager
async def open_door(tmp_path: Path) -> AsyncIterator[Door]:
    """Stand up tenant, bus and reception."""
    async with set_up(tmp_path) as stage:
        with Bus(queues=(REQUESTS, REJECTED), topics={OUTCOMES: ("audit",)}, now=stage.clock.now) as bus:
            service_bus = ServiceBus(lambda: connect(bus), REQUESTS, REJECTED, OUTCOMES)
            try:
                yield Door(stage, bus, service_bus, itertools.count(1))
            finally:
                await service_bus.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a door of its own to each test."""
    async with open_door(tmp_path) as door:
        yield door


def connect(bus: Bus) -> ServiceBusClient:
    """Make a client as bootstrap does."""
    return ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0, try_timeout=5)


def key_of(request_id: str, caller: str = QUEUE) -> RequestKey:
    """Build a key."""
    return RequestKey(QUEUE if caller == QUEUE else FUNCTION_KEY, RequestId(request_id))


def fails_with(error: Exception) -> Handle:
    """Stand in for a service that cannot go on."""

    async def handle(_: AcceptedRequest, __: datetime) -> Outcome:
        raise error

    return handle


# --- The queue --------------------------------------------------------------------------------------------------


async def test_message_is_carried_out_told_and_kept(door: Door) -> None:
    """One message: one reset, one outcome on the topic with properties to filter on, one row."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    (told,) = door.told()
    assert (told["requestId"], told["status"], told["caller"], told["source"]) == (
        "INC-1",
        "completed",
        "queue",
        "queue",
    )
    (message,) = door.bus.peek(AUDIT)
    assert message.subject == "completed"
    properties = {str(name): value for name, value in message.application_properties.items()}
    assert {name: properties[name] for name in ("caller", "status", "profile")} == {
        "caller": "queue",
        "status": "completed",
        "profile": "reregister",
    }
    row = await door.stage.ledger.read(key_of("INC-1"))
    assert row is not None
    assert row.reported
    assert row.outcome is not None
    assert row.outcome.status is Status.COMPLETED
    assert door.resumes() == []


async def test_message_delivered_again_is_told_again_without_a_second_reset(door: Door) -> None:
    """The same key and fingerprint within 24 h: the same outcome, no further effect."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    changes = len(door.stage.changes())
    await door.receive({"requestId": "INC-1", "user": DEVON})
    first, second = door.told()
    assert (first["replayed"], second) == (False, first | {"replayed": True})
    assert len({message.message_id for message in door.bus.peek(AUDIT)}) == 1
    assert len(door.stage.changes()) == changes


async def test_message_repeated_after_a_day_runs_again(door: Door) -> None:
    """An old outcome says nothing about today."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    changes = len(door.stage.changes())
    door.stage.clock.advance(24 * 3_600 + 1)
    await door.receive({"requestId": "INC-1", "user": DEVON})
    assert len(door.stage.changes()) > changes


async def test_message_repeated_after_a_refusal_runs_again(door: Door) -> None:
    """Only completed and covered outcomes are repeated as they were."""
    await door.receive({"requestId": "INC-1", "user": BREAK_GLASS})
    await door.receive({"requestId": "INC-1", "user": BREAK_GLASS})
    assert [told["status"] for told in door.told()] == ["refused", "refused"]
    first, second = door.told()
    assert first["acceptedAt"] <= second["acceptedAt"]


async def test_message_with_an_id_of_another_request_is_invalid(door: Door) -> None:
    """A reused id is told and rejected, and the request that has it keeps its outcome."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    await door.receive({"requestId": "INC-1", "user": OAKLEY})
    assert [told["status"] for told in door.told()] == ["completed", "invalid"]
    assert door.told()[1]["reasons"][0]["code"] == "requestIdReused"
    (copy,) = door.rejected()
    assert json.loads(copy.body) == {"requestId": "INC-1", "user": OAKLEY}
    row = await door.stage.ledger.read(key_of("INC-1"))
    assert row is not None
    assert row.outcome is not None
    assert row.outcome.status is Status.COMPLETED


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty"),
        (b"{not json", "notJson"),
        (b"\xff\xfe\xfd", "notUtf8"),
        (b"{}", "unknownShape"),
        (b'{"user": "a@b.example", "user": "c@d.example"}', "duplicateKey"),
        (b'{"user": "a@b.example", "password": "x"}', "unknownField"),
        (b'{"version": 1}', "required"),
        (b'{"user": "a@b.example", "reason": "' + b"x" * 250_000 + b'"}', "tooLarge"),
    ],
)
async def test_message_that_is_malformed_is_told_and_copied_with_its_reason(door: Door, body: bytes, code: str) -> None:
    """Nothing is retried; the copy holds the body, cut at 200 KB, with its hash and reason."""
    await door.receive(body)
    (told,) = door.told()
    assert (told["status"], told["requestId"][:5]) == ("invalid", "MSG-1")
    assert code in {reason["code"] for reason in told["reasons"]}
    (copy,) = door.rejected()
    assert copy.body == body[:204_800]
    properties = {str(name): value for name, value in copy.application_properties.items()}
    assert properties["reason"] == code or code in str(properties["reasonText"]) or len(told["reasons"]) > 1
    assert properties["cut"] is (len(body) > 204_800)
    assert len(str(properties["sha256"])) == 64
    assert door.resumes() == []


async def test_message_when_many_of_it_are_invalid_then_it_is_copied_once(door: Door) -> None:
    """Each is told; a body of 200 KB that names hundreds must not fill the rejected queue with hundreds of bodies."""
    body = json.dumps([{"user": f"x{number}"} for number in range(3)])
    await door.receive(body)
    assert [told["status"] for told in door.told()] == ["invalid"] * 3
    assert [copy.body.decode() for copy in door.rejected()] == [body]
    named = [{"requestId": f"INC-{number}", "user": OAKLEY} for number in range(2)]
    for one in named:
        await door.receive({**one, "user": DEVON}, f"MSG-{one['requestId']}")
    await door.receive(json.dumps(named))
    assert [told["reasons"][0]["code"] for told in door.told()[-2:]] == ["requestIdReused"] * 2
    assert len(door.rejected()) == 2


async def test_message_about_nobody_is_invalid_and_its_own_body_is_copied(door: Door) -> None:
    """An unknown user is found out after acceptance; the copy is what was sent all the same."""
    body = {"requestId": "INC-1", "user": "nobody@contoso.example"}
    await door.receive(body)
    assert [told["reasons"][0]["code"] for told in door.told()] == ["unknownUser"]
    assert [json.loads(copy.body) for copy in door.rejected()] == [body]


async def test_message_for_several_users_becomes_a_row_and_a_resume_each(door: Door) -> None:
    """The parent is done when its children are accepted; each resume carries one out."""
    await door.receive({"requestId": "INC-1", "users": [DEVON, OAKLEY]})
    keys = [key for key, _ in door.resumes()]
    assert len(keys) == 2
    assert all(key.startswith("queue:INC-1~") for key in keys)
    assert door.told() == []
    for key in keys:
        await door.receive({"resume": key})
    assert [told["status"] for told in door.told()] == ["completed", "completed"]


async def test_resume_of_what_nobody_accepted_is_dropped(door: Door) -> None:
    """Nothing is believed because a message says so."""
    for text in ("queue:never", "no key at all", ":", "queue:"):
        await door.receive({"resume": text})
    assert (door.told(), door.rejected(), door.stage.changes()) == ([], (), [])


async def test_resume_of_what_has_ended_does_nothing(door: Door) -> None:
    """A resume that comes late finds the outcome told."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    await door.receive({"resume": "queue:INC-1"})
    assert len(door.told()) == 1


async def test_report_that_failed_is_made_by_the_next_delivery(door: Door) -> None:
    """The topic refuses: the message is given back; its next delivery tells, and resets nothing again."""
    door.bus.refuse_sends(OUTCOMES, times=3)
    with pytest.raises(BusUnavailableError):
        await door.receive({"requestId": "INC-1", "user": DEVON})
    changes = len(door.stage.changes())
    door.bus.clear_faults()
    await door.receive({"resume": "queue:INC-1"})
    assert [told["status"] for told in door.told()] == ["completed"]
    await door.receive({"resume": "queue:INC-1"})
    assert len(door.told()) == 1
    assert len(door.stage.changes()) == changes


# --- Trying again -----------------------------------------------------------------------------------------------


async def test_request_that_cannot_go_on_is_resumed_later_and_ends(door: Door) -> None:
    """Past the budget of a call a resume is scheduled before the delivery is settled."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    ((key, at),) = door.resumes()
    assert abs(at - door.stage.clock.now() - timedelta(minutes=1)) < timedelta(seconds=1)
    assert door.told() == []
    row = await door.stage.ledger.read(key_of("INC-1"))
    assert row is not None
    assert row.attempts == 1
    await door.receive({"resume": key})
    assert [told["status"] for told in door.told()] == ["completed"]


async def test_request_past_the_end_of_patience_that_another_worker_has_ended_is_left_as_it_is(door: Door) -> None:
    """An outcome is not written over by whoever could not get at the user."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    await door.receive({"requestId": "INC-1", "user": DEVON})
    door.stage.clock.advance(24 * 3_600)
    row = await door.stage.ledger.read(key_of("INC-1"))
    assert row is not None

    async def end_elsewhere(accepted: AcceptedRequest, deadline_at: datetime) -> Outcome:
        await door.stage.service.handle(accepted, deadline_at)
        raise Later("claimHeld", counts=False)

    await door.reception(end_elsewhere).receive(Delivery(b'{"resume": "queue:INC-1"}', "R", 8, door.stage.clock.now()))
    kept = await door.stage.ledger.read(row.key)
    assert kept is not None
    assert kept.outcome is not None
    assert kept.outcome.status is Status.COMPLETED


async def test_request_past_the_end_of_patience_has_failed(door: Door) -> None:
    """After 24 hours it ends: told with what was done and what not, and copied for somebody to send again."""
    door.stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=503, times=None))
    await door.receive({"requestId": "INC-1", "user": DEVON, "reason": "why"})
    door.stage.clock.advance(24 * 3_600)
    await door.receive({"resume": "queue:INC-1"})
    (told,) = door.told()
    assert told["status"] == "failed"
    assert told["reasons"][0]["code"] == "patienceAtItsEnd"
    assert {line["type"]: line["result"] for line in told["methods"]} == {
        "phone": "unconfirmed",
        "microsoftAuthenticator": "deleted",
    }
    (copy,) = door.rejected()
    assert json.loads(copy.body)["reason"] == "why"


@pytest.mark.parametrize(
    ("error", "minutes", "attempts"),
    [
        (GraphError(), 1, 1),
        (Later("claimHeld", counts=False), 1, 0),
        (Later("paused", datetime.fromisoformat("2026-11-24T09:30:00Z"), counts=False), 30, 0),
    ],
)
async def test_resume_comes_when_the_error_says(door: Door, error: Exception, minutes: int, attempts: int) -> None:
    """What waits without having tried does not count as an attempt."""
    delivery = Delivery(b'{"requestId": "INC-1", "user": "a@b.example"}', None, 7, door.stage.clock.now())
    await door.reception(fails_with(error)).receive(delivery)
    ((_, at),) = door.resumes()
    assert at - door.stage.clock.now() == timedelta(minutes=minutes)
    row = await door.stage.ledger.read(key_of("INC-1"))
    assert row is not None
    assert row.attempts == attempts


@pytest.mark.parametrize(
    ("error", "waited_seconds", "event"),
    [
        (OperatorError("groupUnreadable", "GroupMember.Read.All"), 0, "operatorNeeded"),
        (NotPermittedError(), 0, "operatorNeeded"),
        (GraphError(), 900, "stillWaiting"),
        (GraphError(), 0, None),
    ],
)
async def test_waiting_alerts_at_once_for_an_operator_and_else_after_15_minutes(
    door: Door, caplog: pytest.LogCaptureFixture, error: Exception, waited_seconds: int, event: str | None
) -> None:
    """Nobody hears of a hiccup; an operator hears of a missing right at the first try."""
    body = b'{"requestId": "INC-1", "user": "a@b.example"}'
    await door.reception(fails_with(Later("x"))).receive(Delivery(body, None, 7, door.stage.clock.now()))
    door.stage.clock.advance(waited_seconds)
    caplog.clear()
    await door.reception(fails_with(error)).receive(
        Delivery(b'{"resume": "queue:INC-1"}', None, 8, door.stage.clock.now())
    )
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "mfa_reset"]
    assert [line["event"] for line in lines if line.get("alert")] == ([event] if event else [])


async def test_bus_that_cannot_be_connected_is_unavailable(door: Door) -> None:
    """A connection string that is none is found at the first message."""
    unusable = ServiceBus(lambda: ServiceBusClient.from_connection_string("nonsense"), REQUESTS, REJECTED, OUTCOMES)
    with pytest.raises(BusUnavailableError):
        await unusable.schedule_resume(key_of("INC-1"), door.stage.clock.now())


async def test_bug_gives_the_delivery_back(door: Door) -> None:
    """What nobody foresaw is redelivered, at last to the dead-letter queue."""
    delivery = Delivery(b'{"user": "a@b.example"}', "M", 7, door.stage.clock.now())
    with pytest.raises(ZeroDivisionError):
        await door.reception(fails_with(ZeroDivisionError())).receive(delivery)
    assert door.told() == []


async def test_resume_that_cannot_be_scheduled_gives_the_delivery_back(door: Door) -> None:
    """The delivery is not settled before the resume is taken."""
    door.stage.tenant.add_fault(Fault(method="POST", path=SESSIONS, status=503, times=None))
    door.bus.refuse_sends(REQUESTS, times=3)
    with pytest.raises(BusUnavailableError):
        await door.receive({"requestId": "INC-1", "user": DEVON})
    door.bus.clear_faults()
    door.stage.tenant.clear_faults()
    await door.receive({"requestId": "INC-1", "user": DEVON})
    assert [told["status"] for told in door.told()] == ["completed"]


async def test_bus_that_restarts_is_found_again(door: Door) -> None:
    """A broken link is not used again."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    door.bus.stop()
    with pytest.raises(BusUnavailableError):
        await door.receive({"requestId": "INC-2", "user": OAKLEY})
    door.bus.start()
    await door.receive({"resume": "queue:INC-2"})
    assert [told["requestId"] for told in door.told()] == ["INC-1", "INC-2"]


async def test_two_sends_that_fail_on_one_link_both_say_so_and_the_next_is_taken(door: Door) -> None:
    """The one that waited for its turn finds the link broken and given up already."""
    await door.service_bus.schedule_resume(key_of("INC-0"), door.stage.clock.now())
    door.bus.stop()
    sends = [door.service_bus.schedule_resume(key_of(each), door.stage.clock.now()) for each in ("INC-1", "INC-2")]
    ends = await asyncio.gather(*sends, return_exceptions=True)
    assert [type(end) for end in ends] == [BusUnavailableError] * 2
    door.bus.start()
    await door.service_bus.schedule_resume(key_of("INC-3"), door.stage.clock.now())
    assert "queue:INC-3" in [key for key, _ in door.resumes()]


# --- HTTP -------------------------------------------------------------------------------------------------------


async def test_call_is_durable_before_the_work_and_answered_with_the_outcome(door: Door) -> None:
    """A resume is scheduled 90 s ahead; the outcome is the answer and is told to the topic."""
    started = door.stage.clock.now()
    (reply,) = await door.call({"user": DEVON})
    assert isinstance(reply, Finished)
    assert (reply.outcome.status, reply.outcome.request_id) == (Status.COMPLETED, "new-1")
    assert door.resumes() == [("functionKey:new-1", started + timedelta(seconds=90))]
    assert [told["source"] for told in door.told()] == ["http"]
    await door.receive({"resume": "functionKey:new-1"})
    assert len(door.told()) == 1


async def test_call_whose_ledger_fails_meanwhile_is_accepted_all_the_same(door: Door) -> None:
    """It is in the ledger and a resume is scheduled: whoever asked must not ask again."""

    async def fail(*_: object) -> Outcome:
        raise LedgerUnavailableError

    body = json.dumps({"requestId": "INC-1", "user": DEVON}).encode()
    (reply,) = (await door.reception(fail).take_call(Call(body, FUNCTION_KEY))).replies
    assert reply == Pending(key_of("INC-1", FUNCTION_KEY))
    assert len(door.resumes()) == 1


async def test_call_whose_outcome_the_ledger_does_not_take_goes_on(door: Door) -> None:
    """What nobody keeps has not ended."""
    handle = fails_with(LedgerUnavailableError())
    body = json.dumps({"requestId": "INC-1", "user": DEVON}).encode()
    (reply,) = (await door.reception(handle).take_call(Call(body, FUNCTION_KEY))).replies
    assert reply == Pending(key_of("INC-1", FUNCTION_KEY))
    assert door.told() == []


async def test_call_that_cannot_end_now_is_pending_and_the_resume_ends_it(door: Door) -> None:
    """Nothing more is scheduled than the resume that was there before the work."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=5))
    (reply,) = await door.call({"requestId": "INC-1", "user": DEVON})
    assert reply == Pending(key_of("INC-1", FUNCTION_KEY))
    ((key, at),) = door.resumes()
    door.stage.clock.advance((at - door.stage.clock.now()).total_seconds())
    await door.receive({"resume": key})
    assert [told["status"] for told in door.told()] == ["completed"]


async def test_call_that_takes_too_long_is_pending(door: Door) -> None:
    """After the time that a caller waits the work stops; the claim is free for the resume."""
    started = asyncio.Event()

    async def never_ends(_: AcceptedRequest, __: datetime) -> Outcome:
        started.set()
        await asyncio.sleep(3_600)
        raise AssertionError

    reception = replace(door.reception(never_ends), inline_seconds=0.05)
    (reply,) = (await reception.take_call(Call(b'{"user": "a@b.example"}', FUNCTION_KEY))).replies
    assert started.is_set()
    assert isinstance(reply, Pending)


async def test_call_with_an_idempotency_key_is_answered_the_same_again(door: Door) -> None:
    """The header is the id; the second call has no effect."""
    (first,) = await door.call({"user": DEVON}, key="KEY-1")
    changes = len(door.stage.changes())
    (second,) = await door.call({"user": DEVON}, key="KEY-1")
    assert isinstance(first, Finished)
    assert second == Finished(replace(first.outcome, replayed=True))
    kept = (await door.row("KEY-1", FUNCTION_KEY)).outcome
    assert kept == first.outcome
    assert not kept.replayed
    assert len(door.stage.changes()) == changes
    (other,) = await door.call({"user": OAKLEY}, key="KEY-1")
    assert isinstance(other, Finished)
    assert other.outcome.reasons[0].code == "requestIdReused"


async def test_call_that_is_malformed_is_answered_and_kept(door: Door) -> None:
    """The answer names every problem and can be looked up; nobody else is told."""
    (reply,) = await door.call({"user": "x", "profile": 1})
    assert isinstance(reply, Finished)
    assert {reason.code for reason in reply.outcome.reasons} == {"badFormat", "wrongType"}
    assert (reply.outcome.asked, reply.outcome.request_id) == ("x", "new-1")
    row = await door.row("new-1", FUNCTION_KEY)
    assert (row.outcome, row.reported) == (reply.outcome, True)
    assert (door.told(), door.rejected(), door.resumes()) == ([], (), [])


async def test_message_that_is_malformed_when_its_outcome_is_kept_then_a_request_takes_its_id(door: Door) -> None:
    """Whoever mends a body sends it under the same id; the other way about nothing is overwritten."""
    await door.receive({"requestId": "INC-1", "user": "x"})
    row = await door.row()
    assert (row.is_malformed, row.reported, row.outcome and row.outcome.asked) == (True, True, "x")
    await door.receive({"requestId": "INC-1", "user": DEVON})
    assert [told["status"] for told in door.told()] == ["invalid", "completed"]
    kept = await door.row()
    assert (kept.is_malformed, kept.reported) == (False, True)
    await door.receive({"requestId": "INC-1", "user": "y"})
    assert [told["status"] for told in door.told()] == ["invalid", "completed", "invalid"]
    assert await door.row() == kept


async def test_request_when_its_reader_sent_something_malformed_under_its_id_then_it_is_shown(door: Door) -> None:
    """What is no request hides none, whoever sent it."""
    await door.call({"requestId": "INC-1", "user": "x"})
    own = await door.reception().look_up(RequestId("INC-1"), FUNCTION_KEY, any_caller=True)
    assert own
    assert own.is_malformed
    await door.receive({"requestId": "INC-1", "user": DEVON})
    for any_caller, key in ((True, key_of("INC-1")), (False, key_of("INC-1", FUNCTION_KEY))):
        row = await door.reception().look_up(RequestId("INC-1"), FUNCTION_KEY, any_caller=any_caller)
        assert row
        assert row.key == key


async def test_message_that_is_malformed_when_it_could_not_be_told_then_the_sweep_tells_it_and_carries_nothing_out(
    door: Door,
) -> None:
    """What is kept of it names nobody, although the body did."""
    door.bus.refuse_sends(OUTCOMES, times=3)
    with pytest.raises(BusUnavailableError):
        await door.receive({"requestId": "INC-1", "user": DEVON, "password": "x"})
    door.bus.clear_faults()
    door.stage.clock.advance(3_600)
    await door.sweep.resume_the_lost()
    ((key, _),) = door.resumes()
    await door.receive({"resume": key})
    assert [(told["status"], told["user"]["asked"]) for told in door.told()] == [("invalid", DEVON)]
    assert door.stage.changes() == []
    outcome = await door.stage.service.handle(replace(await door.row(), outcome=None), door.stage.clock.now())
    assert (outcome.status, door.stage.changes()) == (Status.INVALID, [])


async def test_call_for_several_users_is_accepted(door: Door) -> None:
    """Each has its own request, resumed at once."""
    replies = await door.call({"users": [DEVON, OAKLEY]})
    assert [type(reply) for reply in replies] == [Pending, Pending]
    assert [at for _, at in door.resumes()] == [door.stage.clock.now()] * 2


async def test_call_is_answered_although_the_topic_is_not_to_be_had(door: Door) -> None:
    """The caller has the outcome; the resume tells the topic later."""
    door.bus.refuse_sends(OUTCOMES, times=3)
    (reply,) = await door.call({"requestId": "INC-1", "user": DEVON})
    assert isinstance(reply, Finished)
    assert door.told() == []
    door.bus.clear_faults()
    await door.receive({"resume": "functionKey:INC-1"})
    assert [told["requestId"] for told in door.told()] == ["INC-1"]


async def test_call_whose_resume_cannot_be_scheduled_is_carried_out_all_the_same(door: Door) -> None:
    """It is in the ledger: should the process end, the sweep finds it."""
    door.bus.refuse_sends(REQUESTS, times=3)
    (reply,) = await door.call({"user": DEVON})
    assert isinstance(reply, Finished)
    assert reply.outcome.status is Status.COMPLETED
    assert door.resumes() == []


async def test_call_that_is_repeated_while_it_waits_for_long_is_expected_earlier(door: Door) -> None:
    """The resume that was scheduled for it is not one that was superseded."""
    door.stage.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=503, times=None))
    body = {"requestId": "INC-1", "user": DEVON}
    await door.call(body)
    for _ in range(4):
        await door.go_on("functionKey:INC-1")
    assert (await door.row("INC-1", FUNCTION_KEY)).due_at - door.stage.clock.now() > timedelta(minutes=10)
    repeated_at = door.stage.clock.now()
    await door.call(body)
    due_at = (await door.row("INC-1", FUNCTION_KEY)).due_at
    assert due_at == repeated_at + timedelta(seconds=90)
    door.stage.tenant.clear_faults()
    door.stage.clock.advance((due_at - door.stage.clock.now()).total_seconds())
    await door.receive({"resume": "functionKey:INC-1"})
    assert [told["status"] for told in door.told()] == ["completed"]


async def test_look_up_finds_the_callers_own_first(door: Door) -> None:
    """Another caller's request of the same id is shown to who may read all."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    reception = door.reception()
    assert await reception.look_up(RequestId("INC-1"), FUNCTION_KEY, any_caller=False) is None
    found = await reception.look_up(RequestId("INC-1"), FUNCTION_KEY, any_caller=True)
    assert found is not None
    assert found.key.caller == QUEUE
    await door.call({"requestId": "INC-1", "user": OAKLEY})
    own = await reception.look_up(RequestId("INC-1"), FUNCTION_KEY, any_caller=True)
    assert own is not None
    assert own.key.caller == FUNCTION_KEY
    assert await reception.look_up(RequestId("none"), QUEUE, any_caller=True) is None
