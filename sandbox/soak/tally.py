"""Counting, from outside: outcomes, dead letters, what is open, and users whom two hosts changed at once."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from sandbox.bus import Bus
from sandbox.soak.senders import Books
from sandbox.stage import AUDIT, OUTCOMES, REQUESTS
from sandbox.tenant import Call

# What a delivery reads of its user once it holds the claim, and never before: there its work on them begins.
BEGIN = "transitiveMemberOf"
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
    """What counts in the end."""

    accepted: int
    seen: Seen
    left_to_timer: frozenset[str]
    overlaps: tuple[str, ...]

    @property
    def lost(self) -> frozenset[str]:
        """What was accepted and neither ended nor will."""
        return self.seen.open - self.seen.waiting - self.left_to_timer

    @property
    def is_well(self) -> bool:
        """Whether nothing is lost, and no user had two workers at once."""
        return not self.lost and not self.overlaps


@dataclass(frozen=True)
class Run:
    """How it was."""

    kills: int
    calls: int
    seconds: float


def look(books: Books, bus: Bus) -> Seen:
    """Look at the queue first: what moves on meanwhile is then found where it has gone."""
    queued = read_keys(bus, REQUESTS)
    dead = read_keys(bus, f"{REQUESTS}/$DeadLetterQueue")
    ended = read_outcomes(bus)
    still_open = find_open(books, ended.keys() | dead)
    waiting = still_open - find_open(books, ended.keys() | dead | queued)
    return Seen(Counter(ended.values()), frozenset(dead), still_open, waiting)


def count(books: Books, seen: Seen, left_to_timer: frozenset[str], calls: Iterable[Call]) -> Tally:
    """Count; `left_to_timer` is what the ledger knows although nothing on the queue leads to it."""
    return Tally(books.requests, seen, left_to_timer, tuple(find_overlaps(calls)))


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
    children = Counter(key.rpartition(".")[0] for key in closed)
    families = {key for key, number in books.families.items() if children[key] < number and key not in closed}
    return frozenset((books.accepted - closed) | families)


def report(tally: Tally, books: Books, ran: Run, say: Callable[[str], None]) -> None:
    """Say it as a table, and name what should not be."""
    lines: list[tuple[str, int]] = [
        ("messages sent, duplicates too", books.messages),
        ("HTTP calls answered", books.calls),
        ("hosts killed", ran.kills),
        ("calls to Microsoft Graph", ran.calls),
        ("accepted", tally.accepted),
        *((f"outcome {status}", number) for status, number in sorted(tally.seen.statuses.items())),
        ("dead letters", len(tally.seen.dead)),
        ("waiting for their resume", len(tally.seen.waiting)),
        ("left to the timer", len(tally.left_to_timer)),
        ("lost", len(tally.lost)),
        ("two workers on one user", len(tally.overlaps)),
        ("seconds", round(ran.seconds)),
    ]
    for name, number in lines:
        say(f"{name:32}{number:>8}")
    for key in sorted(tally.lost)[:SHOWN]:
        say(f"lost: {key}")
    for overlap in tally.overlaps[:SHOWN]:
        say(f"two workers: {overlap}")


@dataclass
class _Work:
    """What one host changed on one user, from the time it held the claim until it began anew."""

    host: str
    changes: list[float] = field(default_factory=list)


def find_overlaps(calls: Iterable[Call]) -> Iterator[str]:
    """Find users whom two hosts changed at once: from the first to the last change of one delivery."""
    under_way: dict[tuple[str, str], _Work] = {}
    works: defaultdict[str, list[_Work]] = defaultdict(list)
    for call in calls:
        user_id = _user_in(call.path)
        if user_id is None or call.client_id is None:
            continue
        key = (user_id, call.client_id)
        if BEGIN in call.path or key not in under_way:
            under_way[key] = _Work(call.client_id)
            works[user_id].append(under_way[key])
        if call.effect:
            under_way[key].changes.append(call.at.timestamp())
    for user_id, several in works.items():
        changed = sorted((work for work in several if work.changes), key=lambda work: work.changes[0])
        for earlier, later in itertools.pairwise(changed):
            if earlier.host != later.host and later.changes[0] < earlier.changes[-1]:
                yield f"{user_id}: {earlier.host} and {later.host}"


def _user_in(path: str) -> str | None:
    parts = path.split("/users/", 1)
    return parts[1][:36] if len(parts) > 1 else None
