"""The queue by itself, in a time of the test's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.bus.codec import to_timestamp
from sandbox.bus.envelope import SCHEDULED_ENQUEUE_TIME, Envelope, build_message, parse_envelope
from sandbox.bus.message import State
from sandbox.bus.queue import LockLostError, MessageNotFoundError, Options, Queue
from sandbox.bus.settlement import Abandon, Complete, DeadLetter, Defer, Release, Settlement

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Give the time so many seconds after the beginning."""
    return NOW + timedelta(seconds=seconds)


def build_queue(options: Options | None = None) -> Queue:
    """Give an empty queue: lock 30 s, three deliveries."""
    options = options or Options(lock_seconds=30, max_delivery_count=3)
    return Queue("q", options, Queue("q/$DeadLetterQueue", options))


def build_envelope(message_id: str, *, lifetime: float | None = None, due: datetime | None = None) -> Envelope:
    """Give a message."""
    base = parse_envelope(build_message([message_id], {}, None))
    annotations = {SCHEDULED_ENQUEUE_TIME: to_timestamp(due)} if due else {}
    return Envelope(
        annotations=annotations,
        properties=base.properties,
        body=base.body,
        time_to_live=None if lifetime is None else timedelta(seconds=lifetime),
    )


def ids(queue: Queue | None) -> list[str]:
    """Give the ids of what is in a queue."""
    assert queue is not None
    return [entry.envelope.read_properties()[0] for entry in queue.peek()]


def test_message_when_expired_and_switched_on_then_dead_lettered() -> None:
    """The dead-letter queue says why, and keeps it however long."""
    queue = build_queue(Options(dead_letter_on_expiry=True))
    queue.put(build_envelope("a", lifetime=10), NOW)
    queue.advance(at(9.9))
    assert ids(queue) == ["a"]
    queue.advance(at(10))
    assert ids(queue) == []
    assert queue.dead_letters is not None
    queue.dead_letters.advance(at(10_000))
    (dead,) = queue.dead_letters.peek()
    assert dead.envelope.read_application_properties()["DeadLetterReason"] == "TTLExpiredException"


def test_scheduled_message_when_it_has_a_time_to_live_then_it_counts_from_the_enqueuing() -> None:
    """A message does not expire while it waits for its time."""
    queue = build_queue()
    queue.put(build_envelope("a", lifetime=10, due=at(100)), NOW)
    queue.advance(at(100))
    assert ids(queue) == ["a"]
    queue.advance(at(110))
    assert ids(queue) == []


def test_message_when_its_lock_ends_after_its_life_then_expires() -> None:
    """A lock holds an expired message; its end lets it go."""
    queue = build_queue()
    queue.put(build_envelope("a", lifetime=10), NOW)
    assert queue.take(NOW, locked=True) is not None
    queue.advance(at(29))
    assert ids(queue) == ["a"]
    queue.advance(at(30))
    assert ids(queue) == []


def test_deferred_message_when_expired_then_goes_when_asked_for() -> None:
    """Nothing expires a deferred message but the question for it."""
    queue = build_queue()
    queue.put(build_envelope("a", lifetime=10), NOW)
    entry = queue.take(NOW, locked=True)
    assert entry is not None
    assert entry.lock is not None
    queue.settle(entry.lock.token, Defer(), NOW)
    queue.advance(at(11))
    assert ids(queue) == ["a"]
    with pytest.raises(MessageNotFoundError):
        queue.take_deferred([1], at(11), locked=True)
    assert ids(queue) == []


def test_deferred_message_when_locked_then_nobody_else_gets_it() -> None:
    """A second receiver does not find it until the lock ends; then it is deferred as before."""
    queue = build_queue()
    queue.put(build_envelope("a"), NOW)
    entry = queue.take(NOW, locked=True)
    assert entry is not None
    assert entry.lock is not None
    queue.settle(entry.lock.token, Defer(), NOW)
    queue.take_deferred([1], NOW, locked=True)
    with pytest.raises(MessageNotFoundError):
        queue.take_deferred([1], at(1), locked=True)
    (again,) = queue.take_deferred([1], at(30), locked=True)
    assert (again.state, again.delivery_count) == (State.DEFERRED, 1)


def test_message_when_released_then_count_stays() -> None:
    """A message that was handed back unread comes again as if never delivered, and first."""
    queue = build_queue()
    queue.put(build_envelope("a"), NOW)
    queue.put(build_envelope("b"), NOW)
    entry = queue.take(NOW, locked=True)
    assert entry is not None
    assert entry.lock is not None
    queue.settle(entry.lock.token, Release(), NOW)
    again = queue.take(NOW, locked=True)
    assert again is not None
    assert (again.sequence_number, again.delivery_count) == (1, 0)


def test_message_when_settled_with_changes_then_has_the_properties() -> None:
    """Abandon, defer and dead-letter may each set application properties."""
    for settlement in (Abandon({"k": 1}), Defer({"k": 1}), DeadLetter(changes={"k": 1})):
        queue = build_queue()
        queue.put(build_envelope("a"), NOW)
        entry = queue.take(NOW, locked=True)
        assert entry is not None
        assert entry.lock is not None
        queue.settle(entry.lock.token, settlement, NOW)
        (left,) = queue.peek() + (queue.dead_letters.peek() if queue.dead_letters else [])
        assert left.envelope.read_application_properties() == {"k": 1}


def test_duplicate_when_within_the_window_then_dropped() -> None:
    """Detection is by message id, counts scheduled ones, and forgets after the window."""
    queue = build_queue(Options(duplicate_window_seconds=60))
    queue.put(build_envelope("a", due=at(1000)), NOW)
    queue.put(build_envelope("a"), NOW)
    queue.put(build_envelope("b"), at(59))
    queue.put(build_envelope("a"), at(59))
    assert ids(queue) == ["a", "b"]
    queue.put(build_envelope("a"), at(60))
    assert ids(queue) == ["a", "b", "a"]


def test_lock_when_settled_twice_then_lost() -> None:
    """A token is good for one settlement."""
    queue = build_queue()
    queue.put(build_envelope("a"), NOW)
    entry = queue.take(NOW, locked=True)
    assert entry is not None
    assert entry.lock is not None
    token = entry.lock.token
    queue.settle(token, Abandon(), NOW)
    with pytest.raises(LockLostError):
        queue.settle(token, Complete(), NOW)


settlements = st.sampled_from([Complete(), Abandon(), Defer(), DeadLetter(), Release(), None])


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["put", "take"]), settlements), max_size=60))
def test_queue_when_used_anyhow_then_no_message_is_lost_or_doubled(
    steps: list[tuple[float, str, Settlement | None]],
) -> None:
    """Whatever receivers do, each message is in the queue, in the dead-letter queue, or completed, and in one only."""
    queue, now, sent, completed = build_queue(), NOW, 0, 0
    for seconds, step, settlement in steps:
        now += timedelta(seconds=seconds)
        queue.advance(now)
        if step == "put":
            sent += 1
            queue.put(build_envelope(str(sent)), now)
        elif (entry := queue.take(now, locked=True)) and entry.lock and settlement:
            queue.settle(entry.lock.token, settlement, now)
            completed += isinstance(settlement, Complete)
    left = ids(queue) + ids(queue.dead_letters)
    assert len(left) == len(set(left)) == sent - completed
    assert all(entry.delivery_count < 3 for entry in queue.peek())
