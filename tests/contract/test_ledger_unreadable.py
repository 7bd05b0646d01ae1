"""What cannot be read costs itself only, in each store, and somebody hears of it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import UnreadableRowError
from shared.model import Control
from shared.ports import Ledger
from shared.vocabulary import FUNCTION_KEY, RequestId
from tests.contract.ledger_stores import LedgerStore
from tests.contract.ledger_values import START, USER_ID, accepted, coverage, end, key_of, outcome

KEY = key_of()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def unreadable(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return which rows were alerted of, and forget it."""
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "mfa_reset"]
    caplog.clear()
    assert all((line["event"], line["alert"]) == ("unreadableRow", True) for line in lines)
    return [line.get("requestId") or line["code"] for line in lines]


@pytest.fixture
async def three(store: LedgerStore, ledger: Ledger) -> Ledger:
    """Return a ledger with three requests of which the oldest, and the first due, cannot be read."""
    for number in range(3):
        await ledger.accept(accepted(key_of(f"r{number}"), accepted_at=START + number * timedelta(minutes=1)))
    await store.spoil(key_of("r0"))
    return ledger


async def test_unfinished_leaves_out_what_cannot_be_read(three: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    """The others are found, as many as are asked for: those first due, however many before them cannot be read."""
    assert await three.unfinished(START + DAY, 100) == (key_of("r1"), key_of("r2"))
    assert unreadable(caplog) == ["r0"]
    assert await three.unfinished(START + DAY, 1) == (key_of("r1"),)


async def test_unfinished_finds_the_last_however_many_cannot_be_read(
    store: LedgerStore, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """They do not use up what is found at once."""
    for number in range(8):
        await ledger.accept(accepted(key_of(f"r{number}"), due_at=START + number * timedelta(minutes=1)))
    for number in range(7):
        await store.spoil(key_of(f"r{number}"))
    assert await ledger.unfinished(START + DAY, 2) == (key_of("r7"),)
    assert unreadable(caplog) == [f"r{number}" for number in range(7)]


@pytest.mark.parametrize(
    "call",
    [
        lambda ledger: ledger.read(KEY),
        lambda ledger: ledger.accept(accepted()),
        lambda ledger: ledger.find(KEY.request_id),
    ],
    ids=["read", "accept", "find"],
)
async def test_request_that_cannot_be_read_is_said_to_be_so(
    store: LedgerStore,
    ledger: Ledger,
    caplog: pytest.LogCaptureFixture,
    call: Callable[[Ledger], Awaitable[object]],
) -> None:
    """Nobody takes it for one that is not there, or not ended; each time somebody hears of it."""
    await ledger.accept(accepted())
    await store.spoil(KEY)
    with pytest.raises(UnreadableRowError):
        await call(ledger)
    assert unreadable(caplog) == [KEY.request_id]


async def test_find_returns_the_last_that_can_be_read(
    store: LedgerStore, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """One caller's row hides no other's."""
    older, newer = accepted(), accepted(key_of(KEY.request_id, FUNCTION_KEY), accepted_at=START + HOUR)
    for each in (older, newer):
        await ledger.accept(each)
    await store.spoil(newer.key)
    assert await ledger.find(KEY.request_id) == older
    assert unreadable(caplog) == [KEY.request_id]
    await store.spoil(older.key)
    with pytest.raises(UnreadableRowError):
        await ledger.find(KEY.request_id)


async def test_children_of_which_one_cannot_be_read_are_all_found(three: Ledger) -> None:
    """Their names stand elsewhere."""
    ids = tuple(RequestId(f"r{number}") for number in range(3))
    await three.add_children(KEY, ids)
    assert await three.find_children(KEY.request_id) == tuple(map(key_of, ids))


async def test_purge_forgets_what_is_old_beside_what_cannot_be_read(three: Ledger) -> None:
    """What cannot be read has not ended, as far as anybody knows, and stays until somebody has looked at it."""
    for number in (1, 2):
        await three.write_outcome(accepted(key_of(f"r{number}"), accepted_at=START), outcome())
        await three.mark_reported(key_of(f"r{number}"), 1)
    assert await three.purge(START + DAY, 100) == 2
    assert await three.read(key_of("r1")) is None
    with pytest.raises(UnreadableRowError):
        await three.read(key_of("r0"))


async def test_coverage_that_cannot_be_read_covers_nobody_and_keeps_nothing_from_its_end(
    store: LedgerStore, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """A compromised user is reset once more rather than not at all."""
    await ledger.accept(accepted())
    await end(ledger, accepted(), outcome(), coverage())
    await store.spoil_coverages(USER_ID)
    async with ledger.claim(USER_ID) as claim:
        assert await claim.read_coverages() == (coverage(),)
    assert unreadable(caplog) == ["coverages"]
    second = accepted(key_of("INC-2"))
    await ledger.accept(second)
    newer = coverage(START + HOUR, second.key)
    await end(ledger, second, replace(outcome(), request_id=second.key.request_id), newer)
    async with ledger.claim(USER_ID) as claim:
        assert await claim.read_coverages() == (newer, coverage())


async def test_control_that_cannot_be_read_is_a_pause_until_an_operator_lifts_it(
    store: LedgerStore, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """What is written then can be read."""
    await ledger.read_control()
    await store.spoil_control()
    assert (await ledger.read_control()).is_paused(START + 400 * DAY)
    assert unreadable(caplog) == ["control"]
    await ledger.change_control(lambda kept: replace(kept, paused_until=None, paused_by=None, paused_why=None))
    caplog.clear()
    assert await ledger.read_control() == Control()
    assert unreadable(caplog) == []
