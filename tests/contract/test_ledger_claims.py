"""Every sentence of `shared.ports.Claim`, for each store."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.errors import ClaimHeldError, ClaimLostError, LedgerUnavailableError
from shared.ports import Claim, Ledger
from shared.vocabulary import Mark, Status, UserId
from tests.contract.ledger_processes import other_process, read_line
from tests.contract.ledger_stores import LedgerStore, SqliteStore
from tests.contract.ledger_values import (
    OTHER_USER_ID,
    START,
    USER_ID,
    accepted,
    coverage,
    end,
    evidence,
    key_of,
    outcome,
    read,
)

KEY = key_of()
MINUTE = timedelta(minutes=1)
MARK, OTHER_MARK = Mark("one"), Mark("other")
CHANGES: dict[str, Callable[[Claim], Awaitable[object]]] = {
    "confirm": lambda claim: claim.confirm(),
    "write_evidence": lambda claim: claim.write_evidence(accepted(), evidence(1)),
    "keep_marks": lambda claim: claim.keep_marks({MARK: "late", OTHER_MARK: None}),
    "read_coverages": lambda claim: claim.read_coverages(),
    "end": lambda claim: claim.end(accepted(), outcome(Status.PARTIAL), coverage(START + MINUTE)),
}
every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@pytest.fixture
def brief(store: LedgerStore) -> LedgerStore:
    """Return a store whose claims a test can outlive."""
    store.shorten_claims()
    return store


async def held_until(ledger: Ledger) -> datetime | None:
    """Return until when the claim on the user is held, by trying to get it; None where it was free."""
    try:
        async with ledger.claim(USER_ID):
            return None
    except ClaimHeldError as held:
        return held.at


async def is_held_since(store: LedgerStore, ledger: Ledger, earliest: datetime, latest: datetime) -> bool:
    """Whether the claim is held, and was confirmed last between those times of the store's clock."""
    at = await held_until(ledger)
    return at is not None and earliest - store.coarseness <= at - store.lasts <= latest + store.coarseness


async def hold(ledger: Ledger, entered: asyncio.Event) -> None:
    """Hold the claim on the user for as long as the task lives."""
    async with ledger.claim(USER_ID):
        entered.set()
        await asyncio.Event().wait()


async def start_holding(ledger: Ledger) -> asyncio.Task[None]:
    """Start a task that holds the claim on the user until it is cancelled."""
    entered = asyncio.Event()
    holding = asyncio.create_task(hold(ledger, entered))
    await asyncio.wait_for(entered.wait(), 30)
    return holding


# --- held -------------------------------------------------------------------------------------------------------


async def test_claim_keeps_everybody_else_off_the_user(store: LedgerStore, ledger: Ledger) -> None:
    """Others, and this worker a second time, are told when it expires."""
    before = store.now()
    async with ledger.claim(USER_ID):
        after = store.now()
        assert await is_held_since(store, store.open(), before, after)
        assert await is_held_since(store, ledger, before, after)


async def test_claim_on_one_user_leaves_the_others_free(ledger: Ledger) -> None:
    """Each user has a claim of their own."""
    async with ledger.claim(OTHER_USER_ID), ledger.claim(USER_ID) as claim:
        await claim.confirm()


async def test_claim_by_many_at_once_is_given_to_one(store: LedgerStore) -> None:
    """Of all who try at the same time one enters, until that one leaves."""
    leave = asyncio.Event()

    async def try_it(worker: Ledger) -> bool:
        try:
            async with worker.claim(USER_ID):
                await leave.wait()
                return True
        except ClaimHeldError:
            return False

    tries = [asyncio.create_task(try_it(store.open())) for _ in range(6)]
    losers, _ = await _wait_for_all_but_one(tries)
    leave.set()
    assert [task.result() for task in losers] == [False] * 5
    assert sorted([await task for task in tries]) == [False] * 5 + [True]


async def _wait_for_all_but_one[Result](
    tasks: list[asyncio.Task[Result]],
) -> tuple[set[asyncio.Task[Result]], set[asyncio.Task[Result]]]:
    done: set[asyncio.Task[Result]] = set()
    pending = set(tasks)
    while len(pending) > 1:
        some, pending = await asyncio.wait(pending, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert some, "nobody was told that the claim is held"
        done |= some
    return done, pending


async def test_expired_claim_by_many_at_once_is_given_to_one(brief: LedgerStore) -> None:
    """Of all who see it expired one takes it over."""
    holding = brief.open().claim(USER_ID)
    await holding.__aenter__()
    await brief.let_expire()
    leave = asyncio.Event()

    async def try_it(worker: Ledger) -> bool:
        try:
            async with worker.claim(USER_ID):
                await leave.wait()
                return True
        except ClaimHeldError:
            return False

    tries = [asyncio.create_task(try_it(brief.open())) for _ in range(4)]
    losers, _ = await _wait_for_all_but_one(tries)
    leave.set()
    assert [task.result() for task in losers] == [False] * 3
    await asyncio.gather(*tries)
    await holding.__aexit__(None, None, None)


# --- left -------------------------------------------------------------------------------------------------------


async def test_claim_left_is_free(store: LedgerStore, ledger: Ledger) -> None:
    """It is given back at the end, and can be had again at once."""
    async with ledger.claim(USER_ID):
        pass
    assert await held_until(store.open()) is None


async def test_claim_left_by_an_exception_is_free(store: LedgerStore, ledger: Ledger) -> None:
    """It is given back, and the exception goes on as it is."""
    boom = ValueError("boom")
    with pytest.raises(ValueError, match="boom") as caught:
        async with ledger.claim(USER_ID):
            raise boom
    assert caught.value is boom
    assert not hasattr(boom, "__notes__")
    assert await held_until(store.open()) is None


async def test_claim_left_by_cancellation_is_free(store: LedgerStore, ledger: Ledger) -> None:
    """It is given back before the cancelled task ends."""
    holding = await start_holding(ledger)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert await held_until(store.open()) is None


async def test_claim_cancelled_again_while_it_is_given_back_is_free(ledger: Ledger) -> None:
    """Giving back goes on when its waiting is cancelled too."""
    holding = await start_holding(ledger)
    holding.cancel()
    await asyncio.sleep(0)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    await until_free(ledger)


async def until_free(ledger: Ledger) -> None:
    """Wait until nobody holds the claim, for much less than it lasts."""
    for _ in range(100):
        if await held_until(ledger) is None:
            return
        await asyncio.sleep(0.02)
    pytest.fail("it was not given back")


@pytest.mark.parametrize("turns", range(4))
async def test_claim_cancelled_while_it_is_acquired_is_free(ledger: Ledger, turns: int) -> None:
    """Whoever was never told that they hold it does not hold it."""
    await ledger.read(KEY)
    trying = asyncio.create_task(hold(ledger, asyncio.Event()))
    for _ in range(turns):
        await asyncio.sleep(0)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    assert await held_until(ledger) is None


@pytest.mark.parametrize("turns", range(4))
async def test_claim_cancelled_again_and_again_while_it_is_acquired_is_free(ledger: Ledger, turns: int) -> None:
    """However impatient whoever waits for it is."""
    await ledger.read(KEY)
    trying = asyncio.create_task(hold(ledger, asyncio.Event()))
    for _ in range(turns + 3):
        await asyncio.sleep(0)
        trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    await until_free(ledger)


@every_change
async def test_claim_that_was_left_is_lost(ledger: Ledger, change: Callable[[Claim], Awaitable[object]]) -> None:
    """What was given back is not taken again, and nothing is kept."""
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        pass
    with pytest.raises(ClaimLostError):
        await change(claim)
    assert await held_until(ledger) is None
    assert await ledger.read(KEY) == accepted()


async def test_claim_left_is_renewed_no_more(store: LedgerStore) -> None:
    """Nothing runs on in the background."""
    ledger = store.open(renew_every_seconds=0.05)
    async with ledger.claim(USER_ID):  # the connections of a client are opened once
        pass
    before = asyncio.all_tasks()
    async with ledger.claim(USER_ID):
        assert len(asyncio.all_tasks()) == len(before) + 1
    assert asyncio.all_tasks() == before


# --- expired ----------------------------------------------------------------------------------------------------


async def test_claim_expires_so_long_after_the_last_confirmation(brief: LedgerStore) -> None:
    """Nobody gets it before, anybody then; evidence that is kept confirms it as well."""
    ledger, other = brief.open(), brief.open()
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        await brief.pass_time(0.55)
        await claim.confirm()
        await brief.pass_time(0.55)
        before = brief.now()
        await claim.write_evidence(accepted(), evidence())
        after = brief.now()
        await brief.pass_time(0.55)
        assert await is_held_since(brief, other, before, after)
        await brief.let_expire()
        assert await held_until(other) is None


async def test_claim_in_sqlite_expires_to_the_microsecond(tmp_path: Path) -> None:
    """60 s after it was acquired, by the injected clock."""
    file = SqliteStore(tmp_path)
    async with file.open().claim(USER_ID):
        file.clock.advance(59.999999)
        assert await held_until(file.open()) == START + timedelta(seconds=60)
        file.clock.advance(0.000001)
        assert await held_until(file.open()) is None
    await file.close()


async def test_confirm_of_an_expired_claim_that_nobody_took_renews_it(brief: LedgerStore) -> None:
    """Being late harms nobody where nobody else came."""
    ledger = brief.open()
    async with ledger.claim(USER_ID) as claim:
        await brief.let_expire()
        before = brief.now()
        await claim.confirm()
        assert await is_held_since(brief, ledger, before, brief.now())


async def test_claim_that_another_worker_took_is_lost(brief: LedgerStore) -> None:
    """Every method says so each time, nothing is kept, and the other worker's claim stays, also when this is left."""
    ledger, other = brief.open(), brief.open()
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as lost:
        await lost.write_evidence(accepted(), evidence(3))
        await brief.let_expire()
        before = brief.now()
        async with other.claim(USER_ID) as held:
            await held.keep_marks({MARK: "now", OTHER_MARK: "too"})
            for change in [*CHANGES.values(), *CHANGES.values()]:
                with pytest.raises(ClaimLostError):
                    await change(lost)
            assert (await read(other, KEY)).evidence == evidence(3)
            assert (await read(other, KEY)).outcome is None
            assert [await other.recall(USER_ID, mark) for mark in (MARK, OTHER_MARK)] == ["now", "too"]
            assert await held.read_coverages() == ()
            with pytest.raises(ClaimLostError):
                async with ledger.claim(OTHER_USER_ID):
                    await lost.confirm()
            assert await is_held_since(brief, other, before, brief.now())


async def test_claim_lost_and_left_leaves_the_other_workers_claim(brief: LedgerStore) -> None:
    """Only one's own claim is given back."""
    ledger = brief.open()
    lost = ledger.claim(USER_ID)
    await lost.__aenter__()
    await brief.let_expire()
    async with brief.open().claim(USER_ID) as held:
        await lost.__aexit__(None, None, None)
        before = brief.now()
        await held.confirm()
        assert await is_held_since(brief, ledger, before, brief.now())


async def test_claim_that_another_worker_had_meanwhile_is_lost(brief: LedgerStore) -> None:
    """The user may have been changed meanwhile: that the claim is free again does not help, whatever is called."""
    ledger, other = brief.open(), brief.open()
    await ledger.accept(accepted())
    async with AsyncExitStack() as stack:
        claims = {name: await stack.enter_async_context(ledger.claim(UserId(name))) for name in CHANGES}
        for claim in claims.values():
            await claim.confirm()
        await brief.let_expire()
        for name in CHANGES:
            async with other.claim(UserId(name)):
                pass
        for name, change in CHANGES.items():
            with pytest.raises(ClaimLostError):
                await change(claims[name])
    assert await ledger.read(KEY) == accepted()


# --- renewed ----------------------------------------------------------------------------------------------------


async def test_claim_is_renewed_while_it_is_held(store: LedgerStore) -> None:
    """Without any confirmation it does not expire."""
    async with store.open(renew_every_seconds=0.05).claim(USER_ID):
        if isinstance(store, SqliteStore):
            await store.pass_time(0.8)
        await until_renewed(store)


async def until_renewed(store: LedgerStore) -> None:
    """Wait until the claim lasts longer than now by all that a claim lasts."""
    other, begun = store.open(), store.now()
    for _ in range(200):
        at = await held_until(other)
        assert at
        if at >= begun + store.lasts:
            return
        await asyncio.sleep(0.02)
    pytest.fail("it was not renewed")


async def test_claim_renewed_in_vain_is_found_lost_by_confirm(brief: LedgerStore) -> None:
    """A renewal that finds the claim lost is not forgotten, and takes nothing from the worker that has it."""
    async with brief.open(renew_every_seconds=brief.waits_seconds + 0.5).claim(USER_ID) as lost:
        other = brief.open()
        await brief.let_expire()
        before = brief.now()
        async with other.claim(USER_ID):
            await asyncio.sleep(0.9)
            with pytest.raises(ClaimLostError):
                await lost.confirm()
            assert await is_held_since(brief, other, before, brief.now())


# --- other processes --------------------------------------------------------------------------------------------


async def test_claim_of_another_process_is_held(store: LedgerStore, ledger: Ledger) -> None:
    """It is held until that process leaves it."""
    before = store.now()
    async with other_process(store, "claim", USER_ID) as process:
        assert await read_line(process) == "held"
        assert await is_held_since(store, ledger, before, store.now())
        await process.communicate()
        assert await held_until(ledger) is None


async def test_claim_of_a_process_that_was_killed_expires(brief: LedgerStore) -> None:
    """A worker that dies frees it by expiry, and leaves no lock."""
    ledger = brief.open()
    async with other_process(brief, "claim", USER_ID) as process:
        assert await read_line(process) == "held"
        process.kill()
        await process.wait()
    assert await held_until(ledger)
    await brief.let_expire()
    assert await held_until(ledger) is None


# --- what is kept under a claim ---------------------------------------------------------------------------------


async def test_write_evidence_again_replaces_it(ledger: Ledger) -> None:
    """The last one written is kept, and another request's is not touched."""
    other = accepted(key_of("INC-3178"))
    await ledger.accept(accepted())
    await ledger.accept(other)
    async with ledger.claim(USER_ID) as claim:
        await claim.write_evidence(other, evidence(5))
        await claim.write_evidence(accepted(), evidence(1))
        await claim.write_evidence(accepted(), evidence(3))
    kept = await read(ledger, KEY)
    assert (kept.evidence, kept.outcome, kept.reported) == (evidence(3), None, False)
    assert (await read(ledger, other.key)).evidence == evidence(5)


WRITES: dict[str, Callable[[Claim], Awaitable[object]]] = {
    "write_evidence": lambda claim: claim.write_evidence(accepted(), evidence(1)),
    "end": lambda claim: claim.end(accepted(), outcome(Status.PARTIAL), coverage(START + MINUTE)),
}
every_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


@every_write
async def test_what_is_written_of_a_run_that_ended_without_a_claim_is_not_kept(
    ledger: Ledger, write: Callable[[Claim], Awaitable[object]]
) -> None:
    """Somebody gave it up before anything was found: nobody may begin to change the user."""
    await ledger.accept(accepted())
    await ledger.write_outcome(accepted(), outcome(Status.FAILED))
    async with ledger.claim(USER_ID) as claim:
        with pytest.raises(ClaimLostError):
            await write(claim)
    assert await ledger.read(KEY) == replace(accepted(), outcome=outcome(Status.FAILED))
    async with ledger.claim(USER_ID) as claim:
        assert await claim.read_coverages() == ()


@every_write
async def test_what_is_written_of_a_run_that_ended_under_an_earlier_claim_is_not_kept(
    ledger: Ledger, write: Callable[[Claim], Awaitable[object]]
) -> None:
    """The first end counts."""
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        await claim.write_evidence(accepted(), evidence(3))
        await claim.end(accepted(), outcome(), coverage())
    async with ledger.claim(USER_ID) as claim:
        with pytest.raises(ClaimLostError):
            await write(claim)
        assert await claim.read_coverages() == (coverage(),)
    assert await ledger.read(KEY) == replace(accepted(), evidence=evidence(3), outcome=outcome())


@every_write
async def test_what_is_written_of_an_earlier_run_is_not_kept(
    ledger: Ledger, write: Callable[[Claim], Awaitable[object]]
) -> None:
    """Whoever was frozen while the request ended, and was asked for again, says nothing of the new run."""
    await ledger.accept(accepted())
    await ledger.write_outcome(accepted(), outcome(Status.FAILED))
    again = accepted(fingerprint="f2", accepted_at=START + MINUTE)
    second = await ledger.restart(again, await read(ledger, KEY))
    async with ledger.claim(USER_ID) as claim:
        with pytest.raises(ClaimLostError):
            await write(claim)
    assert await ledger.read(KEY) == second == replace(again, run=2)


@every_write
async def test_what_is_written_about_another_user_is_not_kept(
    ledger: Ledger, write: Callable[[Claim], Awaitable[object]]
) -> None:
    """A name may come to mean somebody else: the request is about whom it began with."""
    await ledger.accept(accepted())
    found = replace(evidence(), user=replace(evidence().user, id=OTHER_USER_ID))
    async with ledger.claim(OTHER_USER_ID) as claim:
        await claim.write_evidence(accepted(), found)
    async with ledger.claim(USER_ID) as claim:
        with pytest.raises(ClaimLostError):
            await write(claim)
    assert await ledger.read(KEY) == replace(accepted(), evidence=found)


@every_write
async def test_what_is_written_of_a_request_that_nobody_accepted_is_not_kept(
    ledger: Ledger, write: Callable[[Claim], Awaitable[object]]
) -> None:
    """It would be found by nobody."""
    async with ledger.claim(USER_ID) as claim:
        with pytest.raises(LedgerUnavailableError, match="no request under this key"):
            await write(claim)
    assert await ledger.read(KEY) is None


async def test_keep_marks_remembers_and_forgets_in_one_step(ledger: Ledger) -> None:
    """As the ledger does without a claim; a second call changes nothing, and a mark may have an empty text."""
    await ledger.remember(USER_ID, OTHER_MARK, "before")
    async with ledger.claim(USER_ID) as claim:
        for _ in range(2):
            await claim.keep_marks({MARK: "", OTHER_MARK: None})
            assert [await ledger.recall(USER_ID, mark) for mark in (MARK, OTHER_MARK)] == ["", None]
        await ledger.forget(USER_ID, OTHER_MARK)
        await claim.keep_marks({MARK: None, OTHER_MARK: "after"})
        assert [await ledger.recall(USER_ID, mark) for mark in (MARK, OTHER_MARK)] == [None, "after"]


async def test_write_evidence_by_a_later_worker_replaces_the_first_ones(brief: LedgerStore) -> None:
    """The next one that holds the claim goes on."""
    ledger = brief.open()
    await ledger.accept(accepted())
    for methods in (1, 2):
        async with brief.open().claim(USER_ID) as claim:
            await claim.write_evidence(accepted(), evidence(methods))
    assert (await read(ledger, KEY)).evidence == evidence(2)


async def test_end_keeps_the_outcome_and_gives_the_claim_back(store: LedgerStore, ledger: Ledger) -> None:
    """In the middle of the context: the user is free at once, the evidence stays, nobody was told yet."""
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        await claim.write_evidence(accepted(), evidence())
        await claim.end(accepted(), outcome(), coverage())
        assert await held_until(store.open()) is None
        kept = await read(ledger, KEY)
        assert (kept.evidence, kept.outcome, kept.reported) == (evidence(), outcome(), False)
        with pytest.raises(ClaimLostError):
            await claim.end(accepted(), outcome(Status.FAILED), coverage(START + MINUTE))
    assert await read(ledger, KEY) == kept


async def test_end_without_evidence_keeps_the_outcome(ledger: Ledger) -> None:
    """A request may be refused before anything was written."""
    await ledger.accept(accepted())
    await end(ledger, accepted(), outcome(Status.REFUSED))
    kept = await read(ledger, KEY)
    assert (kept.evidence, kept.outcome) == (None, outcome(Status.REFUSED))


async def test_end_leaves_what_another_worker_claims_next(store: LedgerStore, ledger: Ledger) -> None:
    """Leaving the context takes nothing from whoever was faster."""
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        await claim.end(accepted(), outcome(), None)
        before = store.now()
        holding = await start_holding(store.open())
    assert await is_held_since(store, ledger, before, store.now())
    holding.cancel()
    await asyncio.wait([holding], timeout=30)


async def test_coverages_are_the_last_ten_the_newest_first(ledger: Ledger) -> None:
    """In the order in which they were kept; without one, they stay as they are; each user has their own."""
    for number in range(12):
        key = key_of(f"r{number}")
        await ledger.accept(accepted(key))
        covers = coverage(START - number * MINUTE, key) if number != 5 else None
        await end(ledger, accepted(key), outcome(), covers)
    async with ledger.claim(USER_ID) as claim:
        found = await claim.read_coverages()
    assert found == tuple(coverage(START - n * MINUTE, key_of(f"r{n}")) for n in (11, 10, 9, 8, 7, 6, 4, 3, 2, 1))
    async with ledger.claim(OTHER_USER_ID) as claim:
        assert await claim.read_coverages() == ()


# --- a store that takes no change -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["confirm", "write_evidence", "end"])
async def test_change_raises_while_the_store_takes_none(store: LedgerStore, name: str) -> None:
    """Nothing is kept, and the claim counts again once the store does."""
    ledger = store.open(patience_seconds=0.01)
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        with store.refusing_changes(), pytest.raises(LedgerUnavailableError):
            await CHANGES[name](claim)
        await claim.confirm()
        assert await claim.read_coverages() == ()
        assert await ledger.read(KEY) == accepted()
        await CHANGES[name](claim)


async def test_renewal_that_finds_the_store_refusing_is_tried_again(store: LedgerStore) -> None:
    """An outage shorter than the claim costs nothing."""
    async with store.open(renew_every_seconds=0.05, patience_seconds=0.01).claim(USER_ID):
        with store.refusing_changes():
            await asyncio.sleep(0.2)
        if isinstance(store, SqliteStore):
            await store.pass_time(0.8)
        await until_renewed(store)


async def test_claim_that_cannot_be_given_back_raises(brief: LedgerStore) -> None:
    """The promise could not be kept: it expires by itself."""
    holding = brief.open(patience_seconds=0.01).claim(USER_ID)
    await holding.__aenter__()
    with brief.refusing_changes(), pytest.raises(LedgerUnavailableError):
        await holding.__aexit__(None, None, None)
    assert await held_until(brief.open())
    await brief.let_expire()
    assert await held_until(brief.open()) is None


async def test_claim_that_cannot_be_given_back_does_not_hide_the_exception(store: LedgerStore) -> None:
    """What went wrong first goes on, with a note."""
    boom = ValueError("boom")
    holding = store.open(patience_seconds=0.01).claim(USER_ID)
    await holding.__aenter__()
    with store.refusing_changes():
        assert not await holding.__aexit__(ValueError, boom, None)
    assert [note for note in boom.__notes__ if "expires by itself" in note]
