"""Rejected copies and dead letters, looked at and sent again, over the sandbox's bus."""

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage

from sandbox.bus import Bus, Message
from sandbox.tenant import Fault
from shared.bus import ServiceBus
from shared.errors import BusUnavailableError
from shared.ports import Delivery, RejectedCopy
from shared.redrive.__main__ import DONE, NOT_ALL, WRONG, Order, redrive
from shared.redrive.judgement import Place
from shared.redrive.queues import BATCH, MOST_MESSAGES, PAGE, Queues, Tally
from shared.settings import read_bus_settings, read_policy
from shared.vocabulary import FUNCTION_KEY, QUEUE, Caller
from tests.builders import APPLICATION, a_policy_document
from tests.service.stage import DEVON, OAKLEY, set_up
from tests.service.test_reception import Door, connect

ROOT = Path(__file__).parents[2]
REQUESTS, REJECTED, OUTCOMES = "mfa-reset-requests", "mfa-reset-rejected", "mfa-reset-outcomes"
DEAD, REJECTED_DEAD = f"{REQUESTS}/$DeadLetterQueue", f"{REJECTED}/$DeadLetterQueue"
POLICY = json.dumps(a_policy_document())
FAILED, TOO_OFTEN = "patienceAtItsEnd", "MaxDeliveryCountExceeded"


@dataclass
class Desk:
    """An operator at the queues."""

    bus: Bus
    client: ServiceBusClient
    copies: ServiceBus
    said: list[str] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    when: tuple[str, Callable[[], None]] | None = None
    most: int = MOST_MESSAGES

    @property
    def environment(self) -> dict[str, str]:
        """Return what the command needs, and nothing besides."""
        return {"ServiceBusConnection": self.bus.connection_string, "MFA_RESET_POLICY": POLICY}

    def say(self, text: str) -> None:
        """Hear of progress, and do what the test wants done at that point."""
        self.said.append(text)
        if self.when and self.when[0] in text:
            self.when[1]()

    @property
    def queues(self) -> Queues:
        """Return the places as the command sees them."""
        settings = read_bus_settings(self.environment)
        return Queues(self.client, settings, self.say, self.stop, self.most, arrival_seconds=1.0)

    async def run(self, place: Place, *reasons: str, limit: int | None = None, send: bool = True) -> int:
        """Give the command; return its exit status."""
        order = Order((place,), frozenset(reasons), limit, send)
        return await redrive(order, read_policy(self.environment), self.queues)

    async def reject(
        self, number: int, reason: str = FAILED, caller: Caller = QUEUE, body: dict[str, Any] | bytes | None = None
    ) -> None:
        """Let the product reject a request."""
        request = {"requestId": f"INC-{number}", "user": "bob@contoso.example"} if body is None else body
        raw = request if isinstance(request, bytes) else json.dumps(request).encode()
        await self.copies.reject(RejectedCopy(raw, reason, "why", f"INC-{number}", caller))

    async def dead_letter(self, *messages: tuple[str, ServiceBusMessage]) -> None:
        """Put messages on the request queue and give them up, each for its reason."""
        async with self.client.get_queue_sender(REQUESTS) as sender, self.client.get_queue_receiver(REQUESTS) as taker:
            for reason, message in messages:
                await sender.send_messages(message)
                (received,) = await taker.receive_messages(1, max_wait_time=5)
                await taker.dead_letter_message(received, reason=reason)

    def requests(self) -> list[tuple[str | None, Any]]:
        """Return MessageId and body of each on the request queue."""
        return [(one.message_id, json.loads(one.body)) for one in self.bus.peek(REQUESTS)]

    def left(self, place: str = REJECTED) -> tuple[Message, ...]:
        """Return what lies in a place, where nothing may be locked any more."""
        messages = self.bus.peek(place)
        assert not [one for one in messages if one.locked_until]
        return messages


@asynccontextmanager
async def at_desk(**options: Any) -> AsyncIterator[Desk]:  # noqa: ANN401 - the bus's options
    """Stand up a bus and sit down at it."""
    with Bus(queues=(REQUESTS, REJECTED), topics={OUTCOMES: ("audit",)}, **options) as bus:
        copies = ServiceBus(lambda: connect(bus), REQUESTS, REJECTED, OUTCOMES)
        async with connect(bus) as client:
            try:
                yield Desk(bus, client, copies)
            finally:
                await copies.close()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Stand up a bus as Azure's default has it."""
    async with at_desk() as one:
        yield one


# --- Looking ------------------------------------------------------------------------------------------------------


async def test_looking_when_nothing_is_to_be_sent_then_nothing_changes(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run shows every message, locks none and counts no delivery."""
    await desk.reject(1)
    await desk.reject(2, "unknownUser")
    before = desk.left()
    assert await desk.run(Place.REJECTED, send=False) == DONE
    assert desk.left() == before
    assert desk.requests() == []
    shown = capsys.readouterr().out
    assert [line.split()[1:4] for line in shown.splitlines()[1:3]] == [
        [FAILED, "1", "INC-1"],
        ["unknownUser", "2", "INC-2"],
    ]
    assert "rejected: 2 found, 2 shown, 2 can be sent, 2 chosen." in shown
    assert "bob@" not in shown
    assert "why" not in shown


async def test_looking_when_there_is_nothing_then_that_is_said(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """In each of the places."""
    order = Order(tuple(Place), frozenset(), None, send=False)
    assert await redrive(order, read_policy(desk.environment), desk.queues) == DONE
    assert [line for line in capsys.readouterr().out.splitlines() if line] == [
        f"{place}: 0 found, 0 shown, 0 can be sent, 0 chosen." for place in Place
    ]


async def test_looking_when_there_are_many_then_it_goes_from_page_to_page_up_to_a_bound(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says where it stopped."""
    async with desk.client.get_queue_sender(REJECTED) as sender:
        await sender.send_messages([ServiceBusMessage(b"x") for _ in range(PAGE + 5)])
    assert await desk.run(Place.REJECTED, send=False) == DONE
    assert desk.said == [f"rejected: looked at {PAGE}", f"rejected: looked at {PAGE + 5}"]
    desk.most = PAGE + 2
    await desk.run(Place.REJECTED, send=False)
    assert f"{PAGE + 2} found" in capsys.readouterr().out.splitlines()[-2]
    assert desk.said[-1] == f"rejected: looked at {PAGE + 2}"


async def test_looking_when_a_message_is_not_of_bytes_then_it_is_shown_and_left(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another's message, by another's client."""
    value = AmqpAnnotatedMessage(value_body={"user": "bob@contoso.example"})
    async with desk.client.get_queue_sender(REJECTED) as sender:
        await sender.send_messages(value)
    assert await desk.run(Place.REJECTED) == DONE
    assert "no: notBytes" in capsys.readouterr().out
    assert len(desk.left()) == 1


# --- Sending again --------------------------------------------------------------------------------------------------


async def test_sending_when_copies_can_be_sent_then_they_go_to_the_request_queue_and_leave_the_rejected_one(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each under the MessageId that makes the same request; progress and sum are told."""
    for number in range(12):
        await desk.reject(number)
    assert await desk.run(Place.REJECTED) == DONE
    assert desk.left() == ()
    assert desk.requests() == [
        (f"INC-{number}", {"requestId": f"INC-{number}", "user": "bob@contoso.example"}) for number in range(12)
    ]
    assert desk.said[1:] == ["rejected: sent 1 of 12", "rejected: sent 11 of 12"]
    assert "rejected: 12 of 12 sent again." in capsys.readouterr().err


async def test_sending_when_copies_must_not_be_sent_then_they_stay_as_they_are(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """A caller's rights, a cut body, one that would be rejected again."""
    await desk.reject(1, caller=FUNCTION_KEY)
    await desk.reject(2, "tooLarge", body=b" " * 250_000)
    await desk.reject(3, "unknownField", body={"requestId": "INC-3", "user": "bob@contoso.example", "x": 1})
    before = desk.left()
    assert await desk.run(Place.REJECTED) == DONE
    assert desk.left() == before
    assert desk.requests() == []
    assert re.findall(r"no: (\w+)", capsys.readouterr().out) == ["otherCaller", "cut", "stillInvalid"]


async def test_sending_when_what_is_passed_over_comes_first_then_it_counts_one_delivery_and_is_free_again(
    desk: Desk,
) -> None:
    """However many batches lie behind it; in a later run only what still stands before a chosen one."""
    for number in range(25):
        await desk.reject(number, "unknownUser" if number < 22 else FAILED)
    assert await desk.run(Place.REJECTED, FAILED) == DONE
    assert [body["requestId"] for _, body in desk.requests()] == ["INC-22", "INC-23", "INC-24"]
    assert [one.delivery_count for one in desk.left()] == [1] * 22
    assert await desk.run(Place.REJECTED, FAILED) == DONE
    assert [one.delivery_count for one in desk.left()] == [1] * 22


async def test_sending_when_a_copy_was_passed_over_too_often_then_it_is_found_among_the_dead_letters() -> None:
    """Nothing gets lost, and from there it goes the same way."""
    async with at_desk(max_delivery_count=1) as desk:
        await desk.reject(1, "unknownUser")
        await desk.reject(2)
        assert await desk.run(Place.REJECTED, FAILED) == DONE
        assert (len(desk.left()), len(desk.left(REJECTED_DEAD))) == (0, 1)
        assert await desk.run(Place.REJECTED_DEAD_LETTER, "unknownUser") == DONE
        assert desk.left(REJECTED_DEAD) == ()
        assert [name for name, _ in desk.requests()] == ["INC-2", "INC-1"]


async def test_sending_when_it_is_limited_then_the_first_are_sent(desk: Desk) -> None:
    """One to try it with."""
    for number in range(3):
        await desk.reject(number)
    assert await desk.run(Place.REJECTED, limit=1) == DONE
    assert [name for name, _ in desk.requests()] == ["INC-0"]
    assert len(desk.left()) == 2


async def test_sending_when_messages_are_dead_letters_then_they_keep_their_message_ids(desk: Desk) -> None:
    """So they are the same requests; a resume goes too."""
    request = b'{"user": "bob@contoso.example"}'
    await desk.dead_letter(
        (TOO_OFTEN, ServiceBusMessage(request, message_id="MSG 1", content_type="application/json")),
        (TOO_OFTEN, ServiceBusMessage(b'{"resume": "functionKey:INC-1"}', message_id="resume-1")),
        ("somebody's own words", ServiceBusMessage(b"{}", message_id="MSG 3")),
    )
    assert await desk.run(Place.DEAD_LETTER, TOO_OFTEN) == DONE
    assert [one.message_id for one in desk.left(DEAD)] == ["MSG 3"]
    assert desk.requests() == [
        ("MSG 1", {"user": "bob@contoso.example"}),
        ("resume-1", {"resume": "functionKey:INC-1"}),
    ]
    assert [one.content_type for one in desk.bus.peek(REQUESTS)] == ["application/json", None]


async def test_request_that_failed_when_sent_again_then_it_runs_again_under_its_own_id(tmp_path: Path) -> None:
    """From the queue, with an id too long to be named; the one that came over HTTP waits for its own caller."""
    long_id = "MSG-" + "1" * 96
    async with set_up(tmp_path) as stage:
        with Bus(queues=(REQUESTS, REJECTED), topics={OUTCOMES: ("audit",)}, now=stage.clock.now) as bus:
            copies = ServiceBus(lambda: connect(bus), REQUESTS, REJECTED, OUTCOMES)
            door = Door(stage, bus, copies, itertools.count(1))
            stage.tenant.add_fault(Fault(method="DELETE", path="phoneMethods", status=503, times=None))
            await door.receive({"user": DEVON, "observedAt": "2026-11-24T08:59:59.123456Z"}, long_id)
            await door.call({"requestId": "HTTP-1", "user": OAKLEY})
            stage.clock.advance(24 * 3_600)
            for key in [json.loads(one.body)["resume"] for one in bus.peek(REQUESTS)]:
                await door.receive({"resume": key})
            outcomes = [json.loads(one.body) for one in bus.peek(f"{OUTCOMES}/Subscriptions/audit")]
            assert [one["status"] for one in outcomes] == ["failed", "failed"]
            stage.tenant.clear_faults()

            async with connect(bus) as client:
                desk = Desk(bus, client, copies)
                before = {one.sequence_number for one in bus.peek(REQUESTS)}
                assert await desk.run(Place.REJECTED) == DONE
            (again,) = [one for one in bus.peek(REQUESTS) if one.sequence_number not in before]
            assert again.message_id == long_id
            await door.reception().receive(Delivery(again.body, again.message_id, 9, stage.clock.now()))
            last = json.loads(bus.peek(f"{OUTCOMES}/Subscriptions/audit")[-1].body)
            assert (last["requestId"], last["status"]) == (outcomes[0]["requestId"], "completed")
            assert [one.application_properties["caller"] for one in desk.left()] == ["functionKey"]
            await copies.close()


# --- When it does not go well ---------------------------------------------------------------------------------------


async def test_sending_when_the_request_queue_takes_nothing_then_everything_stays_and_the_status_is_1(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first refusal ends the run; nothing is removed that was not sent."""
    for number in range(3):
        await desk.reject(number)
    desk.bus.refuse_sends(REQUESTS, condition="amqp:not-allowed", times=10)
    assert await desk.run(Place.REJECTED) == NOT_ALL
    assert (len(desk.left()), desk.requests()) == (3, [])
    said = capsys.readouterr().err
    assert "rejected: 0 of 3 sent again." in said
    assert "Service Bus did not do what was asked: " in said


async def test_sending_when_a_lock_is_lost_then_the_copy_is_sent_once_in_a_run_and_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It could not be removed: the next run sends it again, as the same request."""
    async with at_desk(lock_seconds=1.2, max_delivery_count=100) as desk:
        await desk.reject(1)
        desk.bus.delay_answers(REQUESTS, 1.6)
        assert await desk.run(Place.REJECTED) == NOT_ALL
        assert "1 of 1 sent again.\n1 of them could not be removed" in capsys.readouterr().err
        assert len(desk.left()) == 1
        assert await desk.run(Place.REJECTED) == DONE
        assert [name for name, _ in desk.requests()] == ["INC-1", "INC-1"]
        assert desk.left() == ()


async def test_sending_when_somebody_else_holds_a_message_then_it_is_waited_for_in_vain(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Peeking shows what another has locked; it stays theirs."""
    await desk.reject(1)
    async with desk.client.get_queue_receiver(REJECTED) as other:
        (held,) = await other.receive_messages(1, max_wait_time=5)
        assert await desk.run(Place.REJECTED) == NOT_ALL
        await other.abandon_message(held)
    said = capsys.readouterr().err
    assert "0 of 1 sent again.\nThe others are where they were" in said
    assert (len(desk.left()), desk.requests()) == (1, [])


async def test_sending_when_a_message_does_not_come_then_no_more_is_held_than_looked_at(desk: Desk) -> None:
    """However much has come behind it meanwhile."""
    await desk.reject(1)
    async with desk.client.get_queue_receiver(REJECTED) as other:
        (held,) = await other.receive_messages(1, max_wait_time=5)
        for number in range(2, 30):
            await desk.reject(number)
        desk.most = BATCH
        assert await desk.queues.send_again(Place.REJECTED, {1: "INC-1"}) == Tally(1)
        await other.abandon_message(held)
    assert sorted(one.delivery_count for one in desk.left()) == [0] * 8 + [1] * (BATCH + 1)


async def test_sending_when_interrupted_then_it_ends_after_the_message_in_hand(desk: Desk) -> None:
    """Nothing is left locked; the rest is for the next run."""
    for number in range(3):
        await desk.reject(number)
    desk.when = ("sent 1 of", desk.stop.set)
    assert await desk.run(Place.REJECTED) == NOT_ALL
    assert len(desk.requests()) == 1
    assert len(desk.left()) == 2


async def test_sending_when_interrupted_while_looking_then_nothing_is_sent(desk: Desk) -> None:
    """The page in hand is shown."""
    await desk.reject(1)
    desk.when = ("looked at", desk.stop.set)
    assert await desk.run(Place.REJECTED) == NOT_ALL
    assert (len(desk.left()), desk.requests()) == (1, [])


async def test_sending_when_the_bus_goes_away_then_the_run_ends_and_nothing_is_lost(desk: Desk) -> None:
    """What was not sent is where it was."""
    for number in range(3):
        await desk.reject(number)
    desk.when = ("sent 1 of", desk.bus.stop)
    assert await desk.run(Place.REJECTED) == NOT_ALL
    assert len(desk.requests()) + len(desk.bus.peek(REJECTED)) == 3
    desk.bus.start()


async def test_looking_when_the_queue_does_not_exist_then_it_is_unavailable(desk: Desk) -> None:
    """The error says the kind, no address."""
    elsewhere = read_bus_settings(desk.environment | {"REJECTED_QUEUE": "elsewhere"})
    order = Order((Place.REJECTED,), frozenset(), None, send=False)
    queues = Queues(desk.client, elsewhere, desk.say, desk.stop)
    said = "Service Bus did not do what was asked: there is no such queue (REQUEST_QUEUE, REJECTED_QUEUE)."
    with pytest.raises(BusUnavailableError, match=f"^{re.escape(said)}$"):
        await redrive(order, read_policy(desk.environment), queues)


# --- The command ----------------------------------------------------------------------------------------------------


def command(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does who has exported that and nothing else; what it runs through counts."""
    coverage = {name: value for name, value in os.environ.items() if name.startswith(("COVERAGE_", "COV_"))}
    return subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-m", "shared.redrive", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **coverage, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_command_when_it_sends_then_its_table_is_on_stdout_and_its_progress_on_stderr(desk: Desk) -> None:
    """Pipes get the table only."""
    await desk.reject(1)
    done = command(desk.environment, "--from", "rejected", "--reason", FAILED, "--send")
    assert (done.returncode, len(done.stdout.splitlines())) == (DONE, 4)
    assert done.stderr.splitlines() == [
        "rejected: looked at 1",
        "rejected: sent 1 of 1",
        "rejected: 1 of 1 sent again.",
    ]
    assert len(desk.requests()) == 1


async def test_command_when_the_bus_is_not_to_be_had_then_the_status_is_1(desk: Desk) -> None:
    """In seconds, and without a traceback."""
    desk.bus.stop()
    done = command(desk.environment)
    assert (done.returncode, done.stdout) == (NOT_ALL, "")
    assert done.stderr == "Service Bus did not do what was asked: it cannot be reached.\n"


async def test_command_when_the_settings_are_wrong_then_the_status_is_2(desk: Desk) -> None:
    """Every problem is named."""
    done = command(desk.environment | {"MFA_RESET_POLICY": "", "REJECTED_QUEUE": "?"})
    assert (done.returncode, done.stdout) == (WRONG, "")
    assert "MFA_RESET_POLICY is not set" in done.stderr
    assert "REJECTED_QUEUE must be" in done.stderr


async def test_command_when_the_policy_makes_passes_then_no_vault_is_asked_for(desk: Desk) -> None:
    """It needs what it uses."""
    passes = {"p": {"methods": "none", "steps": ["temporaryAccessPass"]}}
    policy = a_policy_document(
        profiles=passes, callers={APPLICATION: ["p"]}, defaultProfiles={"request": "p", "alert": "p"}
    )
    done = command(desk.environment | {"MFA_RESET_POLICY": json.dumps(policy)}, "--from", "rejected")
    assert (done.returncode, done.stderr) == (DONE, "")


def test_page_for_operators_when_read_then_it_exports_what_the_command_needs() -> None:
    """And with these the command ran above: the sandbox takes a connection string in the namespace's place."""
    page = (ROOT / "docs" / "messages.md").read_text()
    exported = re.findall(r"^export (\w+)=", page, re.MULTILINE)
    assert exported == ["ServiceBusConnection__fullyQualifiedNamespace", "MFA_RESET_POLICY"]
