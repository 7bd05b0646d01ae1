"""What an operator sets while the program runs: how long it holds, and what a pause stops."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.errors import HeldBackError
from shared.ledger.sqlite import SqliteLedger
from shared.model import Control
from shared.pause import ASKED_EVERY, raise_if_paused
from tests.builders import NOW
from tests.clocks import FakeClock

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("until", "paused"), [(None, False), (NOW - MINUTE, False), (NOW, False), (NOW + MINUTE, True)]
)
def test_control_when_a_pause_has_an_end_then_it_holds_until_then(until: datetime | None, *, paused: bool) -> None:
    """What has passed holds no more."""
    assert Control(paused_until=until).is_paused(NOW) is paused


@pytest.mark.parametrize(
    ("number", "until", "limit"),
    [
        (None, None, 7),
        (None, NOW + MINUTE, 7),
        (50, None, 7),
        (50, NOW + MINUTE, 50),
        (50, NOW, 7),
        (50, NOW - MINUTE, 7),
        (3, NOW + MINUTE, 3),
    ],
)
def test_control_when_another_limit_is_set_then_it_holds_for_its_while(
    number: int | None, until: datetime | None, limit: int
) -> None:
    """Higher or lower; without an end it was never set."""
    assert Control(resets_per_hour=number, resets_per_hour_until=until).limit(7, NOW) == limit


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    """Open a ledger of its own for each test."""
    kept = SqliteLedger(tmp_path / "ledger.sqlite", FakeClock(NOW))
    yield kept
    await kept.close()


@pytest.mark.parametrize("lasting", [timedelta(seconds=1), ASKED_EVERY, timedelta(days=7)])
async def test_pause_when_it_holds_then_it_is_asked_again_at_its_end_or_soon(
    ledger: SqliteLedger, lasting: timedelta
) -> None:
    """An operator may lift it early: nobody waits for days for a pause that is over."""
    await ledger.change_control(lambda _: Control(paused_until=NOW + lasting))
    with pytest.raises(HeldBackError) as raised:
        await raise_if_paused(ledger, FakeClock(NOW))
    assert (raised.value.code, raised.value.at) == ("paused", NOW + min(lasting, ASKED_EVERY))
    assert not raised.value.counts


async def test_pause_when_none_holds_then_nothing_is_raised(ledger: SqliteLedger) -> None:
    """None was ever set, it has passed, or it was lifted."""
    await raise_if_paused(ledger, FakeClock(NOW))
    await ledger.change_control(lambda _: Control(paused_until=NOW))
    await raise_if_paused(ledger, FakeClock(NOW))
    await ledger.change_control(lambda _: Control(paused_until=NOW + MINUTE))
    await ledger.change_control(lambda _: Control())
    await raise_if_paused(ledger, FakeClock(NOW))
