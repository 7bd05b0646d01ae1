"""Every sentence of `shared.ports.Ledger` and `shared.ports.Claim`, for each store."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from shared.errors import ClaimHeldError, ClaimLostError, LedgerUnavailableError
from shared.model import RequestKey
from shared.ports import Ledger
from shared.vocabulary import FUNCTION_KEY, QUEUE, Status
from tests.clocks import FakeClock
from tests.contract.ledger_stores import LedgerStore, SqliteStore
from tests.contract.ledger_values import OTHER_USER_ID, START, USER_ID, accepted, evidence, key_of, outcome

ROOT = Path(__file__).parents[2]
KEY = key_of()


@pytest.fixture(params=["sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LedgerStore]:
    """Return an empty store, one kind after the other."""
    kinds: dict[str, Callable[[Path, FakeClock], LedgerStore]] = {"sqlite": SqliteStore}
    made = kinds[request.param](tmp_path, FakeClock(START))
    yield made
    await made.close()


@pytest.fixture
def ledger(store: LedgerStore) -> Ledger:
    """Return a ledger on the empty store."""
    return store.open()


@asynccontextmanager
async def other_process(store: LedgerStore, *order: str) -> AsyncIterator[Process]:
    """Run `ledger_worker` on the store; it is killed at the end, if it still runs."""
    command = ("-m", "tests.contract.ledger_worker", store.address, store.clock.now().isoformat(), *order)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def read_line(process: Process) -> str:
    """Read what the process says next."""
    assert process.stdout
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


async def held_until(ledger: Ledger) -> datetime | None:
    """Return until when the claim on the user is held, by trying to get it; None where it was free."""
    try:
        async with ledger.claim(USER_ID):
            return None
    except ClaimHeldError as held:
        return held.at


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


# --- accept -----------------------------------------------------------------------------------------------------


async def test_accept_of_a_new_key_keeps_what_is_offered(ledger: Ledger) -> None:
    """What is offered first is returned, and read again."""
    assert await ledger.accept(accepted()) == accepted()
    assert await ledger.read(KEY) == accepted()


async def test_accept_of_a_known_key_returns_what_is_kept_already(ledger: Ledger) -> None:
    """The second offer changes nothing, whatever it says."""
    await ledger.accept(accepted())
    assert await ledger.accept(accepted(fingerprint="f2")) == accepted()
    assert await ledger.read(KEY) == accepted()


async def test_accept_of_a_request_under_way_returns_how_far_it_is(ledger: Ledger) -> None:
    """Attempts, evidence and outcome come with what is kept."""
    await ledger.accept(accepted())
    await ledger.count_attempt(KEY)
    await ledger.write_evidence(KEY, evidence())
    await ledger.write_outcome(KEY, outcome())
    kept = await ledger.accept(accepted())
    assert (kept.attempts, kept.evidence, kept.outcome) == (1, evidence(), outcome())


@pytest.mark.parametrize("other", [key_of("INC-3177", FUNCTION_KEY), key_of("inc-3177"), key_of("INC-3177 ")])
async def test_accept_of_another_key_keeps_another_request(ledger: Ledger, other: RequestKey) -> None:
    """Keys are compared exactly: caller, and case."""
    await ledger.accept(accepted())
    assert (await ledger.accept(accepted(other, fingerprint="f2"))).fingerprint == "f2"
    assert await ledger.read(KEY) == accepted()


async def test_accept_keeps_all_that_is_offered(ledger: Ledger) -> None:
    """Whatever it holds, nothing of it is left out."""
    offered = replace(accepted(), attempts=7, evidence=evidence(), outcome=outcome(), reported=True)
    assert await ledger.accept(offered) == offered
    assert await ledger.read(KEY) == offered


async def test_accept_by_many_at_once_keeps_one(store: LedgerStore) -> None:
    """All who offer the same key at the same time are told the same."""
    workers = [store.open() for _ in range(4)]
    offers = [accepted(fingerprint=f"f{number}") for number in range(40)]
    kept = await asyncio.gather(*(workers[number % 4].accept(offer) for number, offer in enumerate(offers)))
    assert len(set(kept)) == 1
    assert kept[0] in offers


async def test_accept_by_two_processes_at_once_keeps_one_of_each(store: LedgerStore) -> None:
    """Processes that open an absent store at the same time agree on every key."""
    async with other_process(store, "accept", QUEUE, "30") as one, other_process(store, "accept", QUEUE, "30") as two:
        (said_by_one, _), (said_by_two, _) = await asyncio.gather(one.communicate(), two.communicate())
    assert said_by_one == said_by_two
    assert len(said_by_one.split()) == 30
    assert set(said_by_one.decode().split()) <= {str(one.pid), str(two.pid)}


async def test_what_is_accepted_outlives_the_ledger_object(store: LedgerStore, ledger: Ledger) -> None:
    """Another worker that starts later reads it."""
    await ledger.accept(accepted())
    await ledger.write_evidence(KEY, evidence())
    await ledger.close()
    kept = await store.open().read(KEY)
    assert kept
    assert kept.evidence == evidence()


# --- read and find ----------------------------------------------------------------------------------------------


async def test_read_of_an_unknown_key_returns_none(ledger: Ledger) -> None:
    """Neither caller nor id alone is the key."""
    await ledger.accept(accepted())
    assert await ledger.read(key_of("INC-3178")) is None
    assert await ledger.read(key_of("INC-3177", FUNCTION_KEY)) is None


async def test_find_returns_the_last_accepted_whoever_asked(ledger: Ledger) -> None:
    """It is the time of acceptance that counts, not the order of writing, and not the text of the time."""
    east = timezone(timedelta(hours=5, minutes=30))
    newest = accepted(key_of("INC-3177", FUNCTION_KEY), accepted_at=START + timedelta(seconds=1))
    older = accepted(key_of("INC-3177", "0bd2"), accepted_at=(START + timedelta(microseconds=1)).astimezone(east))
    for each in (accepted(), newest, older, accepted(key_of("INC-3178"), accepted_at=START + timedelta(days=1))):
        await ledger.accept(each)
    assert await ledger.find(KEY.request_id) == newest


async def test_find_of_an_unknown_id_returns_none(ledger: Ledger) -> None:
    """Ids are compared exactly."""
    await ledger.accept(accepted())
    assert await ledger.find(key_of("inc-3177").request_id) is None


# --- restart ----------------------------------------------------------------------------------------------------


async def test_restart_replaces_all_that_was_kept(ledger: Ledger) -> None:
    """No evidence, no outcome and no attempts are left, not even those that are offered."""
    await ledger.accept(accepted())
    await ledger.accept(accepted(key_of("INC-3178")))
    await ledger.count_attempt(KEY)
    await ledger.write_evidence(KEY, evidence())
    await ledger.write_outcome(KEY, outcome(Status.FAILED))
    await ledger.mark_reported(KEY)
    kept = await ledger.read(KEY)
    assert kept
    later = START + timedelta(hours=1)
    restarted = await ledger.restart(replace(kept, fingerprint="f2", accepted_at=later))
    assert restarted == replace(accepted(), fingerprint="f2", accepted_at=later)
    assert await ledger.read(KEY) == restarted
    assert await ledger.read(key_of("INC-3178")) == accepted(key_of("INC-3178"))


async def test_restart_of_an_unknown_key_keeps_it(ledger: Ledger) -> None:
    """There may be nothing to replace."""
    assert await ledger.restart(accepted()) == accepted()
    assert await ledger.read(KEY) == accepted()


# --- attempts, evidence, outcome --------------------------------------------------------------------------------


async def test_count_attempt_by_many_at_once_counts_each(store: LedgerStore) -> None:
    """Every call returns a number of its own."""
    workers = [store.open() for _ in range(3)]
    await workers[0].accept(accepted())
    counted = await asyncio.gather(*(workers[number % 3].count_attempt(KEY) for number in range(21)))
    assert sorted(counted) == list(range(1, 22))
    kept = await workers[0].read(KEY)
    assert kept
    assert kept.attempts == 21


async def test_evidence_and_outcome_written_again_are_replaced(ledger: Ledger) -> None:
    """The last one written is kept, and neither touches the other or another request."""
    await ledger.accept(accepted())
    await ledger.accept(accepted(key_of("INC-3178")))
    await ledger.write_evidence(KEY, evidence(methods=1))
    await ledger.write_outcome(KEY, outcome(Status.FAILED))
    await ledger.write_evidence(KEY, evidence(methods=3))
    await ledger.write_outcome(KEY, outcome(Status.PARTIAL))
    expected = replace(accepted(), evidence=evidence(methods=3), outcome=outcome(Status.PARTIAL))
    assert await ledger.read(KEY) == expected
    assert await ledger.read(key_of("INC-3178")) == accepted(key_of("INC-3178"))


async def test_evidence_and_outcome_of_a_user_with_200_methods_are_read_as_written(ledger: Ledger) -> None:
    """No store may cut or refuse what a large user needs."""
    await ledger.accept(accepted())
    await ledger.write_evidence(KEY, evidence(methods=200))
    await ledger.write_outcome(KEY, outcome(methods=200))
    kept = await ledger.read(KEY)
    assert kept
    assert (kept.evidence, kept.outcome) == (evidence(methods=200), outcome(methods=200))


async def test_outcome_is_reported_once_it_is_marked_so(ledger: Ledger) -> None:
    """A second mark changes nothing; another outcome is not reported yet; nothing else is touched."""
    await ledger.accept(accepted())
    await ledger.accept(accepted(key_of("INC-3178")))
    await ledger.write_outcome(KEY, outcome(Status.FAILED))
    assert await ledger.read(KEY) == replace(accepted(), outcome=outcome(Status.FAILED))
    for _ in range(2):
        await ledger.mark_reported(KEY)
        assert await ledger.read(KEY) == replace(accepted(), outcome=outcome(Status.FAILED), reported=True)
    await ledger.write_outcome(KEY, outcome())
    assert await ledger.read(KEY) == replace(accepted(), outcome=outcome())
    assert await ledger.read(key_of("INC-3178")) == accepted(key_of("INC-3178"))


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger: ledger.count_attempt(KEY),
        lambda ledger: ledger.write_evidence(KEY, evidence()),
        lambda ledger: ledger.write_outcome(KEY, outcome()),
        lambda ledger: ledger.mark_reported(KEY),
    ],
)
async def test_writing_under_an_unknown_key_is_refused(
    ledger: Ledger, write: Callable[[Ledger], Awaitable[object]]
) -> None:
    """The promise to keep it cannot be kept, and no row comes into being."""
    with pytest.raises(LedgerUnavailableError, match="holds no request under this key"):
        await write(ledger)
    assert await ledger.read(KEY) is None


# --- claims -----------------------------------------------------------------------------------------------------


async def test_claim_keeps_everybody_else_off_the_user(store: LedgerStore, ledger: Ledger) -> None:
    """Others, and this worker a second time, are told when it expires: 60 s after it was acquired."""
    async with ledger.claim(USER_ID):
        store.clock.advance(59)
        assert await held_until(store.open()) == START + timedelta(seconds=60)
        assert await held_until(ledger) == START + timedelta(seconds=60)


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
    assert await held_until(ledger) is None


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


async def test_claim_expires_60_seconds_after_the_last_confirmation(store: LedgerStore, ledger: Ledger) -> None:
    """Nobody gets it before, anybody then."""
    async with ledger.claim(USER_ID) as claim:
        store.clock.advance(50)
        await claim.confirm()
        store.clock.advance(59.999999)
        assert await held_until(store.open()) == START + timedelta(seconds=110)
        store.clock.advance(0.000001)
        assert await held_until(store.open()) is None


async def test_confirm_of_an_expired_claim_that_nobody_took_renews_it(store: LedgerStore, ledger: Ledger) -> None:
    """Being late harms nobody where nobody else came."""
    async with ledger.claim(USER_ID) as claim:
        store.clock.advance(3600)
        await claim.confirm()
        assert await held_until(store.open()) == START + timedelta(seconds=3660)


async def test_confirm_of_a_claim_that_another_worker_took_raises(store: LedgerStore, ledger: Ledger) -> None:
    """It says so each time, and the other worker's claim stays, also when this one is left."""
    other = store.open()
    async with ledger.claim(USER_ID) as lost:
        store.clock.advance(60)
        async with other.claim(USER_ID) as held:
            for _ in range(2):
                with pytest.raises(ClaimLostError):
                    await lost.confirm()
            await held.confirm()
            with pytest.raises(ClaimLostError):
                async with ledger.claim(OTHER_USER_ID):
                    await lost.confirm()
            assert await held_until(other) == START + timedelta(seconds=120)


async def test_claim_lost_and_left_leaves_the_other_workers_claim(store: LedgerStore, ledger: Ledger) -> None:
    """Only one's own claim is given back."""
    lost = ledger.claim(USER_ID)
    await lost.__aenter__()
    store.clock.advance(60)
    async with store.open().claim(USER_ID) as held:
        await lost.__aexit__(None, None, None)
        await held.confirm()
        assert await held_until(ledger) == START + timedelta(seconds=120)


async def test_confirm_of_a_claim_that_another_worker_had_meanwhile_raises(store: LedgerStore, ledger: Ledger) -> None:
    """The user may have been changed meanwhile: that the claim is free again does not help."""
    async with ledger.claim(USER_ID) as claim:
        store.clock.advance(60)
        assert await held_until(store.open()) is None
        with pytest.raises(ClaimLostError):
            await claim.confirm()


async def test_confirm_of_a_claim_that_was_left_raises(ledger: Ledger) -> None:
    """What was given back is not taken again."""
    async with ledger.claim(USER_ID) as claim:
        pass
    with pytest.raises(ClaimLostError):
        await claim.confirm()
    assert await held_until(ledger) is None


async def test_claim_is_renewed_while_it_is_held(store: LedgerStore) -> None:
    """Without any confirmation it does not expire."""
    async with store.open(renew_every_seconds=0.01).claim(USER_ID):
        store.clock.advance(50)
        other = store.open()
        for _ in range(500):
            if await held_until(other) == START + timedelta(seconds=110):
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("it was not renewed")


async def test_claim_renewed_in_vain_is_found_lost_by_confirm(store: LedgerStore) -> None:
    """A renewal that finds the claim lost is not forgotten, and takes nothing from the worker that has it."""
    async with store.open(renew_every_seconds=0.01).claim(USER_ID) as lost:
        other = store.open()
        store.clock.advance(60)
        async with other.claim(USER_ID):
            await asyncio.sleep(0.1)
            with pytest.raises(ClaimLostError):
                await lost.confirm()
            assert await held_until(other) == START + timedelta(seconds=120)


async def test_claim_left_is_renewed_no_more(store: LedgerStore) -> None:
    """Nothing runs on in the background."""
    before = asyncio.all_tasks()
    async with store.open(renew_every_seconds=0.01).claim(USER_ID):
        assert len(asyncio.all_tasks()) == len(before) + 1
    assert asyncio.all_tasks() == before


async def test_claim_of_another_process_is_held(store: LedgerStore, ledger: Ledger) -> None:
    """It is held until that process leaves it."""
    async with other_process(store, "claim", USER_ID) as process:
        assert await read_line(process) == "held"
        assert await held_until(ledger) == START + timedelta(seconds=60)
        await process.communicate()
        assert await held_until(ledger) is None


async def test_claim_of_a_process_that_was_killed_expires(store: LedgerStore, ledger: Ledger) -> None:
    """A worker that dies frees it by expiry, and leaves no lock."""
    async with other_process(store, "claim", USER_ID) as process:
        assert await read_line(process) == "held"
        process.kill()
        await process.wait()
    assert await held_until(ledger) == START + timedelta(seconds=60)
    store.clock.advance(60)
    assert await held_until(ledger) is None


# --- a store that cannot be reached -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda ledger: ledger.accept(accepted()),
        lambda ledger: ledger.read(KEY),
        lambda ledger: ledger.find(KEY.request_id),
        lambda ledger: ledger.restart(accepted()),
        lambda ledger: ledger.count_attempt(KEY),
        lambda ledger: ledger.write_evidence(KEY, evidence()),
        lambda ledger: ledger.write_outcome(KEY, outcome()),
        lambda ledger: ledger.mark_reported(KEY),
        lambda ledger: ledger.claim(USER_ID).__aenter__(),
    ],
)
async def test_every_method_raises_when_the_store_is_not_there(
    store: LedgerStore, call: Callable[[Ledger], Awaitable[object]]
) -> None:
    """Nothing is said to be kept, and nothing is said to be absent."""
    with pytest.raises(LedgerUnavailableError):
        await call(store.open_unreachable())


async def test_confirm_raises_while_the_store_takes_no_change(store: LedgerStore) -> None:
    """The claim counts again once the store does."""
    async with store.open(patience_seconds=0.01).claim(USER_ID) as claim:
        with store.refusing_changes(), pytest.raises(LedgerUnavailableError):
            await claim.confirm()
        await claim.confirm()


async def test_renewal_that_finds_the_store_refusing_is_tried_again(store: LedgerStore) -> None:
    """An outage shorter than the claim costs nothing."""
    async with store.open(renew_every_seconds=0.01, patience_seconds=0.01).claim(USER_ID):
        with store.refusing_changes():
            await asyncio.sleep(0.1)
        store.clock.advance(50)
        other = store.open()
        for _ in range(500):
            if await held_until(other) == START + timedelta(seconds=110):
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("it was not renewed")


async def test_claim_that_cannot_be_given_back_raises(store: LedgerStore) -> None:
    """The promise could not be kept: it expires by itself."""
    holding = store.open(patience_seconds=0.01).claim(USER_ID)
    await holding.__aenter__()
    with store.refusing_changes(), pytest.raises(LedgerUnavailableError):
        await holding.__aexit__(None, None, None)
    assert await held_until(store.open()) == START + timedelta(seconds=60)
    store.clock.advance(60)
    assert await held_until(store.open()) is None


async def test_claim_that_cannot_be_given_back_does_not_hide_the_exception(store: LedgerStore) -> None:
    """What went wrong first goes on, with a note."""
    boom = ValueError("boom")
    holding = store.open(patience_seconds=0.01).claim(USER_ID)
    await holding.__aenter__()
    with store.refusing_changes():
        assert not await holding.__aexit__(ValueError, boom, None)
    assert [note for note in boom.__notes__ if "expires by itself" in note]


# --- close ------------------------------------------------------------------------------------------------------


async def test_close_waits_for_what_was_asked_before(store: LedgerStore, ledger: Ledger) -> None:
    """What was under way is kept."""
    accepting = asyncio.create_task(ledger.accept(accepted()))
    await asyncio.sleep(0)
    await ledger.close()
    assert await accepting == accepted()
    assert await store.open().read(KEY) == accepted()


async def test_close_again_changes_nothing(ledger: Ledger) -> None:
    """Whoever closes once more need not know."""
    await ledger.read(KEY)
    await ledger.close()
    await ledger.close()
