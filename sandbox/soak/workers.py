"""Who worked on which user when, by the tenant's own log, and where two did at once."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sandbox.soak.logs import Told
from sandbox.tenant import Call

# What a delivery reads of its user once it holds the claim, and never before: there its work on them begins.
BEGIN = "checkMemberGroups"


@dataclass
class Work:
    """What one delivery did to one user: from its first call under the claim to its last change.

    Places in the tenant's log rather than times: the tenant puts down each call as it comes in. `end` is `start` where
    nothing was changed.
    """

    host: str
    delivery: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.delivery} in {self.host}"


@dataclass
class Works:
    """All that was done; `strays` are changes that no delivery can have made."""

    by_user: defaultdict[str, dict[str, Work]] = field(default_factory=lambda: defaultdict(dict))
    strays: list[str] = field(default_factory=list)

    @property
    def overlaps(self) -> Iterator[str]:
        """Name the users on whom a delivery began to work, or changed something, while another still changed them."""
        for user_id, works in self.by_user.items():
            latest: Work | None = None
            for work in sorted(works.values(), key=lambda each: each.start):
                if latest and work.start < latest.end:
                    yield f"{user_id}: {latest} and {work}"
                if latest is None or work.end > latest.end:
                    latest = work


def find_works(calls: Sequence[Call], told: Told) -> Works:
    """Attribute the calls to deliveries.

    A host that is killed leaves changes that it did not come to tell of, one for each delivery that it had under way:
    such a change is its latest unfinished delivery's that had begun on the user. With none of them it is a stray.
    """
    works, untold = Works(), list[tuple[int, str, Call]]()
    for place, user_id, call in _about_users(calls):
        delivery = told.deliveries.get(call.client_request_id or "")
        if delivery is None and call.effect:
            untold.append((place, user_id, call))
        elif delivery and (call.effect or BEGIN in call.path):
            _note(works, user_id, call, delivery, place)
    for place, user_id, call in untold:
        owner = _find_owner(works.by_user[user_id].values(), call, told, place)
        if owner:
            owner.end = max(owner.end, place)
        else:
            works.strays.append(f"{user_id}: {call.method} by {call.client_id}")
    return works


def _about_users(calls: Sequence[Call]) -> Iterator[tuple[int, str, Call]]:
    for place, call in enumerate(calls):
        parts = call.path.split("/users/", 1)
        if len(parts) > 1:
            yield place, parts[1][:36], call


def _note(works: Works, user_id: str, call: Call, delivery: str, place: int) -> None:
    fresh = Work(call.client_id or "", delivery, place, place)
    work = works.by_user[user_id].setdefault(delivery, fresh)
    if call.effect:
        work.end = place


def _find_owner(works: Iterable[Work], call: Call, told: Told, place: int) -> Work | None:
    unfinished = told.unfinished.get(call.client_id or "", frozenset())
    begun = [work for work in works if work.delivery in unfinished and work.start < place]
    return max(begun, key=lambda work: work.start, default=None)
