"""Every sentence of `shared.ports.Ledger` on what starts within an hour, who waits and whom a request means."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.errors import ClaimLostError
from shared.model import AcceptedRequest, Budget, HeldBack, RequestKey, Waiting
from shared.ports import Ledger
from shared.vocabulary import FUNCTION_KEY, QUEUE, BudgetKind, Caller, RequestId, WaitingFor
from tests.contract.ledger_stores import LedgerStore
from tests.contract.ledger_values import OTHER_USER_ID, START, USER_ID, accepted, outcome

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RESETS = Budget(QUEUE, BudgetKind.RESETS)


# --- starts -----------------------------------------------------------------------------------------------------


async def test_count_start_beyond_the_limit_says_when_one_more_may(ledger: Ledger) -> None:
    """An hour, and what is left of the minute, after the first of those that fill it; then it may."""
    for number in range(3):
        assert await ledger.count_start(RESETS, accepted(), 3, START + number * 10 * MINUTE) is None
    for now in (START + 21 * MINUTE, START + HOUR, START + HOUR + timedelta(seconds=59)):
        assert await ledger.count_start(RESETS, accepted(), 3, now) == START + HOUR + MINUTE
    assert await ledger.count_start(RESETS, accepted(), 3, START + HOUR + MINUTE) is None
    assert await ledger.count_start(RESETS, accepted(), 3, START + HOUR + MINUTE) == START + HOUR + 11 * MINUTE


async def test_count_start_by_a_limit_that_changes_goes_by_the_one_it_is_told(ledger: Ledger) -> None:
    """An operator raises it, and lowers it below what has started already."""
    for _ in range(2):
        assert await ledger.count_start(RESETS, accepted(), 2, START) is None
    assert await ledger.count_start(RESETS, accepted(), 2, START) == START + HOUR + MINUTE
    assert await ledger.count_start(RESETS, accepted(), 3, START + MINUTE) is None
    assert await ledger.count_start(RESETS, accepted(), 1, START + MINUTE) == START + HOUR + 2 * MINUTE


async def test_count_start_counts_each_caller_alone(ledger: Ledger) -> None:
    """One that is at its limit keeps nobody else waiting."""
    assert await ledger.count_start(RESETS, accepted(), 1, START) is None
    assert await ledger.count_start(RESETS, accepted(), 1, START)
    assert await ledger.count_start(Budget(FUNCTION_KEY, BudgetKind.RESETS), accepted(), 1, START) is None


async def test_count_start_by_many_at_once_never_exceeds_the_limit(store: LedgerStore) -> None:
    """Across all workers."""
    workers = [store.open() for _ in range(4)]
    counts = (workers[number % 4].count_start(RESETS, accepted(), 5, START) for number in range(12))
    told = await asyncio.gather(*counts)
    assert told.count(None) == 5
    assert set(told) == {None, START + HOUR + MINUTE}


async def test_may_start_at_says_what_count_start_would_and_counts_nothing(ledger: Ledger) -> None:
    """Asked twice, it says the same."""
    assert await ledger.may_start_at(RESETS, accepted(), 1, START) is None
    assert await ledger.may_start_at(RESETS, accepted(), 1, START) is None
    assert await ledger.count_start(RESETS, accepted(), 1, START) is None
    assert await ledger.may_start_at(RESETS, accepted(), 1, START) == START + HOUR + MINUTE
    assert await ledger.may_start_at(RESETS, accepted(), 2, START) is None


# --- the line of those that wait --------------------------------------------------------------------------------


def waiting_request(number: int, caller: Caller = QUEUE) -> AcceptedRequest:
    """Build a request that was accepted `number` seconds after the start."""
    at = START + timedelta(seconds=number)
    return replace(accepted(), key=RequestKey(caller, RequestId(f"INC-{number}")), accepted_at=at, due_at=at)


async def hold_back(
    ledger: Ledger, number: int, due_at: datetime, why: WaitingFor = WaitingFor.HOURLY_LIMIT
) -> AcceptedRequest:
    """Let a request wait in the line of the queue's resets."""
    request = waiting_request(number)
    await ledger.accept(request)
    await ledger.expect(request.key, due_at, waiting=Waiting(why, START, RESETS))
    kept = await ledger.read(request.key)
    assert kept
    return kept


def waiting_of(request: AcceptedRequest) -> Waiting:
    """Return what it waits for."""
    assert request.waiting
    return request.waiting


async def test_count_start_when_others_wait_then_they_come_first(ledger: Ledger) -> None:
    """The one that was accepted first takes what is free, whoever asks first."""
    third, first, second = [await hold_back(ledger, number, START + HOUR) for number in (3, 1, 2)]
    assert await ledger.count_start(RESETS, third, 2, START) == START + HOUR + MINUTE
    assert await ledger.may_start_at(RESETS, second, 2, START) is None
    assert await ledger.may_start_at(RESETS, second, 1, START) == START + HOUR + MINUTE
    assert await ledger.count_start(RESETS, first, 1, START) is None
    assert await ledger.count_start(RESETS, third, 2, START) == START + HOUR + MINUTE
    assert await ledger.count_start(RESETS, second, 2, START) is None
    assert await ledger.count_start(RESETS, third, 2, START + HOUR + MINUTE) is None
    assert await ledger.count_started(RESETS, START + HOUR + MINUTE) == 1


async def test_count_start_when_many_wait_then_each_has_a_place(ledger: Ledger) -> None:
    """Twenty an hour: the hundredth of those that wait comes in the fifth hour, in a model of whole minutes."""
    for number in range(10):
        await hold_back(ledger, number, START + HOUR)
    turn = HOUR + MINUTE
    places = [await ledger.may_start_at(RESETS, waiting_request(number), 4, START) for number in range(10)]
    assert places == [None] * 4 + [START + turn] * 4 + [START + 2 * turn] * 2


async def test_count_start_when_one_ahead_is_overdue_then_it_holds_nobody_up(ledger: Ledger) -> None:
    """Its resume got lost, or it is stuck: after ten minutes the others go on."""
    await hold_back(ledger, 1, START)
    assert await ledger.count_start(RESETS, waiting_request(2), 1, START + 10 * MINUTE)
    assert await ledger.count_start(RESETS, waiting_request(2), 1, START + 11 * MINUTE) is None


async def test_count_start_when_it_started_then_it_waits_no_longer(ledger: Ledger) -> None:
    """Nor does it count as one that waits for those behind it."""
    request = await hold_back(ledger, 1, START + HOUR)
    assert request.waiting == Waiting(WaitingFor.HOURLY_LIMIT, START, RESETS)
    assert [held.key for held in await ledger.held_back(10)] == [request.key]
    assert await ledger.count_start(RESETS, request, 2, START) is None
    assert await ledger.held_back(10) == ()
    assert (kept := await ledger.read(request.key))
    assert kept.waiting is None
    assert await ledger.count_start(RESETS, waiting_request(2), 2, START) is None


async def test_held_back_are_those_that_a_pause_or_a_limit_holds_in_the_order_of_acceptance(ledger: Ledger) -> None:
    """With what they wait for and when they are due; what is throttled is tried by its own schedule."""
    paused = await hold_back(ledger, 3, START + MINUTE, WaitingFor.PAUSED)
    limited = await hold_back(ledger, 1, START + HOUR)
    await hold_back(ledger, 2, START + HOUR, WaitingFor.THROTTLED)
    assert await ledger.held_back(10) == (
        HeldBack(limited.key, START + HOUR, waiting_of(limited)),
        HeldBack(paused.key, START + MINUTE, waiting_of(paused)),
    )
    assert len(await ledger.held_back(1)) == 1
    await ledger.expect(waiting_request(1).key, START + HOUR)
    assert [held.key for held in await ledger.held_back(10)] == [waiting_request(3).key]


@pytest.mark.parametrize("under_claim", [False, True])
async def test_held_back_when_it_ends_then_it_waits_no_longer(ledger: Ledger, *, under_claim: bool) -> None:
    """Reported or not: its place is free, and nobody lets it go again."""
    request = await hold_back(ledger, 1, START + HOUR)
    if under_claim:
        async with ledger.claim(USER_ID) as claim:
            await claim.end(request, outcome(), None)
    else:
        await ledger.write_outcome(request, outcome())
    assert await ledger.held_back(10) == ()
    assert await ledger.may_start_at(RESETS, waiting_request(2), 1, START) is None
    assert not await ledger.let_go(request.key, START)


async def test_expect_when_it_has_ended_meanwhile_then_it_does_not_come_back_into_the_line(ledger: Ledger) -> None:
    """Another worker may be faster: what waits for ever would hold up everybody behind it."""
    request = await hold_back(ledger, 1, START + HOUR)
    await ledger.write_outcome(request, outcome())
    await ledger.mark_reported(request.key, request.run)
    await ledger.expect(request.key, START, waiting=request.waiting)
    assert await ledger.held_back(10) == ()
    assert await ledger.may_start_at(RESETS, waiting_request(2), 1, START) is None


async def test_write_outcome_by_a_delivery_of_the_last_run_takes_this_one_out_of_no_line(ledger: Ledger) -> None:
    """It was asked for again since, and waits anew."""
    first = await hold_back(ledger, 1, START + HOUR)
    await ledger.write_outcome(first, outcome())
    second = await ledger.restart(waiting_request(1), replace(first, outcome=outcome()))
    await ledger.expect(second.key, START + HOUR, waiting=first.waiting)
    with pytest.raises(ClaimLostError):
        await ledger.write_outcome(first, outcome())
    assert [held.key for held in await ledger.held_back(10)] == [second.key]


async def test_let_go_brings_it_forward_and_keeps_its_place(ledger: Ledger) -> None:
    """Until it starts it stands before those that were accepted later."""
    request = await hold_back(ledger, 1, START + HOUR)
    assert await ledger.let_go(request.key, START + MINUTE)
    assert await ledger.held_back(10) == (HeldBack(request.key, START + MINUTE, waiting_of(request)),)
    assert (kept := await ledger.read(request.key))
    assert kept.due_at == START + MINUTE
    assert await ledger.may_start_at(RESETS, waiting_request(2), 1, START + MINUTE)


async def test_let_go_when_it_has_started_then_it_stays_out_of_the_line(ledger: Ledger) -> None:
    """Nor is what is tried by its own schedule brought forward."""
    request = await hold_back(ledger, 1, START + HOUR)
    await ledger.count_start(RESETS, request, 2, START)
    throttled = await hold_back(ledger, 2, START + HOUR, WaitingFor.THROTTLED)
    for each in (request, throttled):
        assert not await ledger.let_go(each.key, START)
        assert (kept := await ledger.read(each.key))
        assert kept.due_at == START + HOUR
    assert await ledger.held_back(10) == ()


# --- the user that a request means ------------------------------------------------------------------------------


async def test_resolve_when_called_again_then_the_first_user_stays(ledger: Ledger) -> None:
    """A name that changes hands leads to nobody else."""
    request = accepted()
    await ledger.accept(request)
    assert await ledger.resolve(request, USER_ID) == USER_ID
    assert await ledger.resolve(request, OTHER_USER_ID) == USER_ID
    assert (kept := await ledger.read(request.key))
    assert kept.user_id == USER_ID


async def test_resolve_when_the_run_is_another_then_it_is_refused(ledger: Ledger) -> None:
    """A delivery of the last run that wakes up late says nothing of this one, which resolves anew."""
    first = await ledger.accept(accepted())
    await ledger.resolve(first, USER_ID)
    await ledger.write_outcome(first, outcome())
    second = await ledger.restart(accepted(), replace(first, outcome=outcome()))
    with pytest.raises(ClaimLostError):
        await ledger.resolve(first, USER_ID)
    assert (kept := await ledger.read(second.key))
    assert kept.user_id is None
    assert await ledger.resolve(second, OTHER_USER_ID) == OTHER_USER_ID
