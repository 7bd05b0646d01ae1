"""What was accepted and has not ended is found, and makes the soak fail."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from sandbox.bus import Bus
from sandbox.soak.senders import Books
from sandbox.soak.tally import Run, Seen, Tally, count, find_open, look, report
from sandbox.stage import AUDIT, OUTCOMES, REQUESTS
from tests.sandbox.soak.calls import USER, Log


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    """Give a bus on which A has an outcome, D's message waits, E's resume is far away, and X is a dead letter."""
    outcome = json.dumps({"caller": "queue", "requestId": "A", "status": "completed"})
    later = ServiceBusMessage('{"resume": "functionKey:E"}')
    with Bus(queues=(REQUESTS,), topics={OUTCOMES: (AUDIT,)}) as bus:
        async with ServiceBusClient.from_connection_string(bus.connection_string) as client:
            requests, outcomes = client.get_queue_sender(REQUESTS), client.get_topic_sender(OUTCOMES)
            await outcomes.send_messages(ServiceBusMessage(outcome))
            await requests.send_messages(ServiceBusMessage('{"requestId": "X"}'))
            async with client.get_queue_receiver(REQUESTS) as receiver:
                (dead,) = await receiver.receive_messages()
                await receiver.dead_letter_message(dead)
            await requests.send_messages(ServiceBusMessage('{"requestId": "D"}'))
            await requests.schedule_messages(later, datetime.now(UTC) + timedelta(hours=1))
            yield bus


async def test_look_when_nothing_leads_to_a_request_then_it_is_lost(bus: Bus) -> None:
    """One with an outcome or a dead letter has ended, one on the queue, be it for later, has not."""
    books = Books(accepted={"queue:A", "queue:B", "functionKey:C", "queue:D", "functionKey:E", "queue:X"})
    seen = look(books, bus)
    assert seen.statuses == Counter(completed=1)
    assert seen.dead == {"queue:X"}
    assert seen.waiting == {"queue:D", "functionKey:E"}
    tally = count(books, seen, [], Log().told())
    assert tally.lost == {"queue:B", "functionKey:C"}
    assert not tally.is_well


def test_open_when_neither_outcome_nor_dead_letter_then_named() -> None:
    """Of several users each child counts."""
    books = Books(accepted={"queue:A", "queue:B", "functionKey:C"})
    books.families.update({"queue:F": 2, "queue:G": 1, "queue:H": 3})
    closed = {"queue:A", "queue:B", "queue:F~AAAAAAAAAAAAAAAA", "queue:G~AAAAAAAAAAAAAAAA", "queue:H"}
    assert find_open(books, closed) == {"functionKey:C", "queue:F"}
    assert books.requests == 9


@pytest.mark.parametrize(
    ("open_", "waiting", "overlaps", "strays", "is_well"),
    [
        (set(), set(), (), (), True),
        ({"queue:A"}, set(), (), (), False),
        ({"queue:A"}, {"queue:A"}, (), (), False),
        (set(), set(), ("x",), (), False),
        (set(), set(), (), ("x",), False),
    ],
    ids=["all ended", "lost", "did not end in time", "two workers", "a change of nobody's"],
)
def test_tally_when_something_is_amiss_then_not_well(
    open_: AbstractSet[str],
    waiting: AbstractSet[str],
    overlaps: tuple[str, ...],
    strays: tuple[str, ...],
    *,
    is_well: bool,
) -> None:
    """Every request ends, and every change is one worker's."""
    seen = Seen(Counter(), frozenset(), frozenset(open_), frozenset(waiting))
    assert Tally(1, seen, overlaps, strays).is_well is is_well


def test_report_when_something_is_amiss_then_counted_and_named() -> None:
    """From the tenant's log and the books to the words."""
    log = Log()
    log.begin("one")
    log.begin("two")
    log.change("one")
    log.change(None, "B")
    seen = Seen(Counter(failed=2), frozenset(), frozenset({"queue:A", "queue:B"}), frozenset({"queue:B"}))
    said: list[str] = []
    report(count(Books(), seen, log.calls, log.told()), Books(), Run(5, 2, 4, 2, 1, 9.6), said.append)
    numbers = {name.strip(): number for name, _, number in (line.rpartition(" ") for line in said)}
    expected = {"hosts killed": "5", "outcome failed": "2", "lost": "1", "not ended, but on the queue": "1"}
    expected |= {"two workers on one user": "1", "changes that nobody made": "1", "seconds": "10"}
    assert expected.items() <= numbers.items()
    assert {"lost: queue:A", "not ended: queue:B", f"two workers: {USER}: one in A and two in A"} <= set(said)
    assert f"nobody: {USER}: DELETE by B" in said
