"""A queue or subscription: what is in it, who may have it, until when. No I/O; the time is handed in."""

from __future__ import annotations

import heapq
import uuid
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, assert_never

from sandbox.bus.message import State
from sandbox.bus.settlement import Abandon, Complete, DeadLetter, Defer, Release, Settlement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from sandbox.bus.envelope import Envelope


class LockLostError(Exception):
    """The lock has expired, or was never given."""


class MessageNotFoundError(Exception):
    """No message with this sequence number is in the state asked for."""


class NotAllowedError(Exception):
    """The entity does not do that."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an administrator sets on a queue or subscription; a duplicate window of 0 detects none."""

    lock_seconds: float = 300
    max_delivery_count: int = 5
    dead_letter_on_expiry: bool = False
    duplicate_window_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Lock:
    """The right to settle a message until a time."""

    token: uuid.UUID
    until: datetime


@dataclass(slots=True)
class Entry:
    """A message with what the broker knows of it."""

    envelope: Envelope
    sequence_number: int
    enqueued_at: datetime
    state: State = State.ACTIVE
    enqueued_sequence_number: int = 0
    delivery_count: int = 0
    lock: Lock | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When the time to live, which counts from the enqueuing, is over."""
        lifetime = self.envelope.time_to_live
        return None if lifetime is None else self.enqueued_at + lifetime


class Queue:
    """Messages in the order of their sequence numbers. Without a dead-letter queue it is one: nothing expires there."""

    def __init__(self, path: str, options: Options, dead_letters: Queue | None = None) -> None:
        self.path = path
        self.dead_letters = dead_letters
        self._options = options
        self._numbers = count(1)
        self._entries: dict[int, Entry] = {}
        self._visible: list[int] = []
        self._tokens: dict[uuid.UUID, int] = {}
        self._due: list[tuple[datetime, int]] = []
        self._seen: dict[object, datetime] = {}

    # -- sending

    def put(self, envelope: Envelope, now: datetime, enqueued_sequence_number: int = 0) -> int:
        """Add a message, visible now or at the time it is scheduled for; give its sequence number.

        A duplicate within the window gets a number too and is dropped. A scheduled message gets another number when
        it becomes visible, as in Azure.
        """
        number = next(self._numbers)
        if self._is_duplicate(envelope, now):
            return number
        entry = Entry(envelope, number, now, enqueued_sequence_number=enqueued_sequence_number)
        if envelope.scheduled_at is not None and envelope.scheduled_at > now:
            entry.state = State.SCHEDULED
        self._add(entry)
        return number

    def cancel(self, numbers: Collection[int]) -> None:
        """Take scheduled messages back, all or (MessageNotFoundError) none."""
        for entry in self._find(numbers, State.SCHEDULED):
            del self._entries[entry.sequence_number]

    # -- receiving

    def take(self, now: datetime, *, locked: bool) -> Entry | None:
        """Give the first visible message, locked (peek-lock) or removed (receive and delete)."""
        while self._visible:
            entry = self._entries.get(heapq.heappop(self._visible))
            if entry is not None and entry.state is State.ACTIVE and entry.lock is None:
                return self._hand_out(entry, now, locked=locked)
        return None

    def take_deferred(self, numbers: Collection[int], now: datetime, *, locked: bool) -> list[Entry]:
        """Give deferred messages by number, all or (MessageNotFoundError) none. Only here do these expire."""
        self.advance(now)
        for number in numbers:
            entry = self._entries.get(number)
            if entry is not None and entry.state is State.DEFERRED and entry.lock is None:
                self._expire_if_over(entry, now)
        entries = self._find(numbers, State.DEFERRED)
        if any(entry.lock for entry in entries):
            raise MessageNotFoundError
        return [self._hand_out(entry, now, locked=locked) for entry in entries]

    def peek(self, first: int = 0, limit: int | None = None) -> list[Entry]:
        """Give what is there from a sequence number on, in whatever state, without touching it."""
        return [self._entries[number] for number in sorted(self._entries) if number >= first][:limit]

    # -- settling

    def renew(self, token: uuid.UUID, now: datetime) -> datetime:
        """Lock for the whole lock duration from now; give the end. LockLostError when it was lost."""
        entry = self._locked(token, now)
        entry.lock = Lock(token, now + timedelta(seconds=self._options.lock_seconds))
        self._watch(entry)
        return entry.lock.until

    def settle(self, token: uuid.UUID, settlement: Settlement, now: datetime) -> None:
        """End a lock with a result; LockLostError when it was lost, a second time included."""
        entry = self._locked(token, now)
        match settlement:
            case Complete():
                self._remove(entry)
            case Abandon(changes):
                entry.envelope = entry.envelope.with_application_properties(changes)
                self._end_delivery(entry)
            case Defer(changes):
                entry.envelope = entry.envelope.with_application_properties(changes)
                entry.state = State.DEFERRED
                self._unlock(entry)
            case DeadLetter(reason, description, changes):
                entry.envelope = entry.envelope.with_application_properties(changes)
                self._move_to_dead_letters(entry, reason, description)
            case Release():
                self._unlock(entry)
            case _:
                assert_never(settlement)

    def end_locks(self) -> None:
        """End every lock now, as its time would: visible, or deferred as before, one delivery more on its count."""
        for number in [*self._tokens.values()]:
            self._end_delivery(self._entries[number])

    # -- time

    def advance(self, now: datetime) -> None:
        """Do all that is due: enqueue what was scheduled, end locks, drop or dead-letter what has expired."""
        while self._due and self._due[0][0] <= now:
            at, number = heapq.heappop(self._due)
            entry = self._entries.get(number)
            if entry is not None and at == self._next_change(entry):
                self._change(entry, now)

    def _next_change(self, entry: Entry) -> datetime | None:
        if entry.lock is not None:
            return entry.lock.until
        match entry.state:
            case State.SCHEDULED:
                return entry.envelope.scheduled_at
            case State.ACTIVE:
                return entry.expires_at if self.dead_letters is not None else None
            case State.DEFERRED:
                return None
            case _:
                assert_never(entry.state)

    def _change(self, entry: Entry, now: datetime) -> None:
        if entry.lock is not None:
            self._end_delivery(entry)
        elif entry.state is State.SCHEDULED:
            del self._entries[entry.sequence_number]
            self._add(Entry(entry.envelope, next(self._numbers), now))
        else:
            self._expire_if_over(entry, now)

    # -- the parts

    def _is_duplicate(self, envelope: Envelope, now: datetime) -> bool:
        window = timedelta(seconds=self._options.duplicate_window_seconds)
        message_id = envelope.read_properties()[0]
        if not window or message_id is None:
            return False
        self._seen = {known: at for known, at in self._seen.items() if now - at < window}
        seen = message_id in self._seen
        self._seen.setdefault(message_id, now)
        return seen

    def _find(self, numbers: Iterable[int], state: State) -> list[Entry]:
        entries = [self._entries.get(number) for number in numbers]
        found = [entry for entry in entries if entry is not None and entry.state is state]
        if len(found) != len(entries):
            raise MessageNotFoundError
        return found

    def _locked(self, token: uuid.UUID, now: datetime) -> Entry:
        self.advance(now)
        try:
            return self._entries[self._tokens[token]]
        except KeyError:
            raise LockLostError from None

    def _hand_out(self, entry: Entry, now: datetime, *, locked: bool) -> Entry:
        if locked:
            entry.lock = Lock(uuid.uuid4(), now + timedelta(seconds=self._options.lock_seconds))
            self._tokens[entry.lock.token] = entry.sequence_number
            self._watch(entry)
        else:
            self._remove(entry)
        return entry

    def _add(self, entry: Entry) -> None:
        self._entries[entry.sequence_number] = entry
        self._offer(entry)

    def _offer(self, entry: Entry) -> None:
        if entry.state is State.ACTIVE:
            heapq.heappush(self._visible, entry.sequence_number)
        self._watch(entry)

    def _watch(self, entry: Entry) -> None:
        at = self._next_change(entry)
        if at is not None:
            heapq.heappush(self._due, (at, entry.sequence_number))

    def _unlock(self, entry: Entry) -> None:
        if entry.lock is not None:
            del self._tokens[entry.lock.token]
            entry.lock = None
        self._offer(entry)

    def _end_delivery(self, entry: Entry) -> None:
        entry.delivery_count += 1
        most = self._options.max_delivery_count
        if self.dead_letters is not None and entry.delivery_count >= most:
            told = f"Message could not be consumed after {most} delivery attempts."
            self._move_to_dead_letters(entry, "MaxDeliveryCountExceeded", told)
        else:
            self._unlock(entry)

    def _expire_if_over(self, entry: Entry, now: datetime) -> None:
        if entry.expires_at is None or entry.expires_at > now or self.dead_letters is None:
            return
        if self._options.dead_letter_on_expiry:
            self._move_to_dead_letters(entry, "TTLExpiredException", "The message expired and was dead lettered.")
        else:
            self._remove(entry)

    def _move_to_dead_letters(self, entry: Entry, reason: str | None, description: str | None) -> None:
        if self.dead_letters is None:
            raise NotAllowedError("a dead-letter queue has no dead-letter queue")
        self._remove(entry)
        told = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        entry.envelope = entry.envelope.with_application_properties({k: v for k, v in told.items() if v is not None})
        entry.state, entry.lock = State.ACTIVE, None
        self.dead_letters._add(entry)  # noqa: SLF001 - another of the same class

    def _remove(self, entry: Entry) -> None:
        del self._entries[entry.sequence_number]
        if entry.lock is not None:
            del self._tokens[entry.lock.token]
