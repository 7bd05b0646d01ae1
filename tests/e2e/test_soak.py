"""A short soak, and the proof that its counting can find what it looks for."""

from collections import Counter
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.soak import Plan, run
from sandbox.soak.senders import Books
from sandbox.soak.tally import Seen, Tally, find_open, find_overlaps
from sandbox.tenant import Call

pytestmark = pytest.mark.xdist_group("soak")

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
USER = "60000000-0000-4000-8000-000000000001"
# A host that is killed leaves claims of a minute: no soak can be much shorter than a minute and a half.
SHORT = Plan(requests=60, users=20, hosts=2, seconds=12, end_seconds=300, kill_seconds=2.5)


async def test_soak_loses_nothing_and_never_puts_two_hosts_on_one_user() -> None:
    """Faults on all sides, hosts killed: `make soak` does the same for longer."""
    said: list[str] = []
    assert await run(SHORT, said.append), "\n".join(said)
    numbers = {name.strip(): int(number) for name, _, number in (line.rpartition(" ") for line in said[2:])}
    assert numbers["accepted"] > 40
    assert numbers["hosts killed"] >= 3
    assert (numbers["lost"], numbers["two workers on one user"]) == (0, 0)
    assert numbers["outcome completed"] >= 10


def call(seconds: float, host: str, *, begins: bool = False, user: str = USER) -> Call:
    """Make a line of the tenant's log."""
    path = f"/v1.0/users/{user}/transitiveMemberOf" if begins else f"/v1.0/users/{user}/authentication/phoneMethods/x"
    return Call(START + timedelta(seconds=seconds), "GET" if begins else "DELETE", path, 204, None, not begins, host)


def test_overlap_when_two_hosts_change_one_user_then_found() -> None:
    """The second begins, and changes, before the first has done its last change."""
    calls = [call(0, "A", begins=True), call(1, "A"), call(2, "B", begins=True), call(3, "B"), call(4, "A")]
    assert list(find_overlaps(calls)) == [f"{USER}: A and B"]


def test_overlap_when_one_comes_after_the_other_then_none() -> None:
    """Each begins anew, also one that had its turn before; other users are other users."""
    calls = [call(0, "A", begins=True), call(1, "A"), call(2, "B", begins=True), call(3, "B")]
    calls += [call(4, "A", begins=True), call(5, "A")]
    calls += [call(0, "B", user=USER[:-1] + "2", begins=True), call(2, "B", user=USER[:-1] + "2")]
    assert list(find_overlaps(calls)) == []


def test_open_when_neither_outcome_nor_dead_letter_then_named() -> None:
    """Of several users each child counts."""
    books = Books(accepted={"queue:A", "queue:B", "functionKey:C"})
    books.families.update({"queue:F": 2, "queue:G": 1, "queue:H": 3})
    closed = {"queue:A", "queue:B", "queue:F.AAAAAAAAAAAAAAAA", "queue:G.AAAAAAAAAAAAAAAA", "queue:H"}
    assert find_open(books, closed) == {"functionKey:C", "queue:F"}
    assert books.requests == 9


@pytest.mark.parametrize(
    ("open_", "waiting", "overlaps", "is_well"),
    [
        (set(), set(), (), True),
        ({"queue:A"}, set(), (), False),
        ({"queue:A"}, {"queue:A"}, (), True),
        ({"functionKey:A"}, set(), (), True),
        (set(), set(), ("x",), False),
    ],
    ids=["all ended", "lost", "waiting", "left to the timer", "two workers"],
)
def test_tally_when_lost_or_two_at_once_then_not_well(
    open_: AbstractSet[str], waiting: AbstractSet[str], overlaps: tuple[str, ...], *, is_well: bool
) -> None:
    """What has a resume on the queue, or is left to the timer, is not lost."""
    seen = Seen(Counter(), frozenset(), frozenset(open_), frozenset(waiting))
    assert Tally(1, seen, frozenset({"functionKey:A"}), overlaps).is_well is is_well
