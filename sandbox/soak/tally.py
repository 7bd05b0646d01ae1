"""Counting, from outside: outcomes, dead letters, what is open, and users whom two deliveries worked on at once."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sandbox.bus import Bus
from sandbox.soak.logs import Told
from sandbox.soak.senders import Books
from sandbox.soak.workers import find_works
from sandbox.stage import AUDIT, OUTCOMES, REQUESTS
from sandbox.tenant import Call

SHOWN = 10


@dataclass(frozen=True)
class Seen:
    """What became of everything by now: `open` has neither outcome nor dead letter, `waiting` of it is on the queue."""

    statuses: Counter[str]
    dead: frozenset[str]
    open: frozenset[str]
    waiting: frozenset[str]


@dataclass(frozen=True)
class Tally:
    """What counts in the end; `strays` are changes that no delivery can have made."""

    accepted: int
    seen: Seen
    overlaps: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()

    @property
    def lost(self) -> frozenset[str]:
        """What was accepted and has neither ended nor anything on the queue that leads to it."""
        return self.seen.open - self.seen.waiting

    @property
    def is_well(self) -> bool:
        """Whether everything came to its end, and no user had two workers at once, as far as each change has one."""
        return not self.seen.open and not self.overlaps and not self.strays


@dataclass(frozen=True)
class Run:
    """How it was; `late_kills` were while what was accepted was worked off, `found` is how many the timer found."""

    kills: int
    late_kills: int
    calls: int
    changes: int
    found: int
    seconds: float


def look(books: Books, bus: Bus) -> Seen:
    """Look at the queue first: what moves on meanwhile is then found where it has gone."""
    queued = read_keys(bus, REQUESTS)
    dead = read_keys(bus, f"{REQUESTS}/$DeadLetterQueue")
    ended = read_outcomes(bus)
    still_open = find_open(books, ended.keys() | dead)
    waiting = still_open - find_open(books, ended.keys() | dead | queued)
    return Seen(Counter(ended.values()), frozenset(dead), still_open, waiting)


def count(books: Books, seen: Seen, calls: Sequence[Call], told: Told) -> Tally:
    """Count; `calls` are the tenant's, `told` is what the logs of all hosts tell of them."""
    works = find_works(calls, told)
    return Tally(books.requests, seen, tuple(works.overlaps), tuple(works.strays))


def read_outcomes(bus: Bus) -> dict[str, str]:
    """Return each request's last outcome, by its key."""
    told = [json.loads(message.body) for message in bus.peek(f"{OUTCOMES}/Subscriptions/{AUDIT}")]
    return {f"{one['caller']}:{one['requestId']}": one["status"] for one in told}


def read_keys(bus: Bus, entity: str) -> set[str]:
    """Return whose messages and resumes an entity holds: keys of requests, or of the parent of several."""
    bodies = [json.loads(message.body) for message in bus.peek(entity)]
    return {body.get("resume") or f"queue:{body['requestId']}" for body in bodies}


def find_open(books: Books, closed: AbstractSet[str]) -> frozenset[str]:
    """Return what was accepted and is not closed, the parent for each of several."""
    children = Counter(key.rpartition("~")[0] for key in closed)
    families = {key for key, number in books.families.items() if children[key] < number and key not in closed}
    return frozenset((books.accepted - closed) | families)


def report(tally: Tally, books: Books, ran: Run, say: Callable[[str], None]) -> None:
    """Say it as a table, and name what should not be."""
    lines: list[tuple[str, int]] = [
        ("messages sent, duplicates too", books.messages),
        *((f"HTTP calls, {fate}", books.calls[fate]) for fate in books.calls),
        ("HTTP tries without an answer", books.unanswered_tries),
        ("hosts killed", ran.kills),
        ("of them after all was sent", ran.late_kills),
        ("calls to Microsoft Graph", ran.calls),
        ("of them changes of a user", ran.changes),
        ("accepted", tally.accepted),
        *((f"outcome {status}", number) for status, number in sorted(tally.seen.statuses.items())),
        ("dead letters", len(tally.seen.dead)),
        ("found by the timer", ran.found),
        ("not ended, but on the queue", len(tally.seen.waiting)),
        ("lost", len(tally.lost)),
        ("two workers on one user", len(tally.overlaps)),
        ("changes that nobody made", len(tally.strays)),
        ("seconds", round(ran.seconds)),
    ]
    for name, number in lines:
        say(f"{name:32}{number:>8}")
    _name("lost", tally.lost, say)
    _name("not ended", tally.seen.waiting, say)
    _name("two workers", tally.overlaps, say)
    _name("nobody", tally.strays, say)


def _name(what: str, those: AbstractSet[str] | Sequence[str], say: Callable[[str], None]) -> None:
    for one in sorted(those)[:SHOWN]:
        say(f"{what}: {one}")
