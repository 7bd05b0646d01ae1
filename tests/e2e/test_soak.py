"""A short soak; `tests/sandbox/soak` proves that its counting can find what it looks for."""

import pytest

from sandbox.soak import Plan, run

pytestmark = [pytest.mark.xdist_group("soak"), pytest.mark.long]

# A host that is killed leaves claims of a minute: no soak can be much shorter than two minutes.
SHORT = Plan(requests=60, users=20, hosts=2, seconds=12, drain_seconds=45, end_seconds=900, kill_seconds=2.5)
SENTENCES = 3


async def test_soak_loses_nothing_and_never_puts_two_workers_on_one_user() -> None:
    """Faults on all sides, hosts killed: `make soak` does the same for longer."""
    said: list[str] = []
    assert await run(SHORT, said.append), "\n".join(said)
    numbers = {name.strip(): int(number) for name, _, number in (line.rpartition(" ") for line in said[SENTENCES:])}
    assert numbers["accepted"] > 40
    assert numbers["hosts killed"] >= 3
    assert numbers["of them after all was sent"] >= 1
    assert (numbers["lost"], numbers["two workers on one user"], numbers["changes that nobody made"]) == (0, 0, 0)
    assert numbers["outcome completed"] >= 10
    assert numbers["HTTP calls, answered 200"] + numbers["HTTP calls, answered 202"] >= 1
