"""The ledger in Azure Table Storage where two workers' calls come in the one order that could lose something.

Each call of the first worker goes through the proxy, which lets the second one work in between.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import ClaimHeldError, ClaimLostError, LedgerUnavailableError
from shared.ledger.table import TableLedger
from shared.ledger.table_rows import OPEN
from shared.ledger.tables import REQUESTS, USERS
from shared.model import AcceptedRequest
from shared.vocabulary import Status
from tests.contract.ledger_stores import TableStore
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
    write_evidence,
)

KEY = key_of()
HOUR = timedelta(hours=1)
AGAIN = accepted(fingerprint="f2", accepted_at=START + HOUR)


@pytest.fixture
async def other(store: TableStore) -> TableLedger:
    """Return the ledger of the worker that comes in between."""
    return store.open_beside()


def come_between(
    store: TableStore, pattern: bytes, work: Callable[[], Awaitable[object]], *, after: int = 0
) -> list[bool]:
    """Let `work` be done once, before a call in which the pattern is found, that is the first after `after` others.

    What is returned is empty until then.
    """
    seen: list[bytes] = []

    async def interrupt(request: bytes) -> None:
        if re.search(pattern, request):
            seen.append(request)
            if len(seen) == after + 1:
                await work()
                done.append(True)

    done: list[bool] = []
    store.proxy.before = interrupt
    return done


async def ended_request(ledger: TableLedger, *, reported: bool = True) -> AcceptedRequest:
    """Accept a request, carry it out, report it; return what is kept."""
    await ledger.accept(accepted())
    await write_evidence(ledger, accepted(), evidence())
    await end(ledger, accepted(), outcome(Status.FAILED))
    if reported:
        await ledger.mark_reported(KEY, 1)
    return await read(ledger, KEY)


async def open_runs(store: TableStore) -> list[int]:
    """Return which runs the index of what is open names."""
    tables = store.open_tables()
    rows = await tables.query(REQUESTS, "PartitionKey eq @open", {"open": OPEN})
    await tables.close()
    return [row["run"] for row in rows]


async def kept_rows(store: TableStore) -> int:
    """Count what is kept of runs in the partitions of all users."""
    tables = store.open_tables()
    rows = await tables.query(USERS, "RowKey ge 'run:' and RowKey lt 'run;'", {})
    await tables.close()
    return len(rows)


# --- purge ------------------------------------------------------------------------------------------------------


async def test_purge_while_the_request_is_asked_for_again_leaves_the_new_run(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """It was found as old and reported, and is neither by the time it would be deleted."""
    ended = await ended_request(other)
    came = come_between(store, rb"\nDELETE http\S+Requests", lambda: other.restart(AGAIN, ended))
    assert await ledger.purge(START + HOUR, 100) == 0
    assert came
    assert await other.read(KEY) == replace(AGAIN, run=2)
    assert await other.unfinished(START + 2 * HOUR, 100) == (KEY,)


async def test_purge_while_the_request_comes_again_as_a_new_one_leaves_what_that_has_kept(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """The old one is gone, the new one has begun, and the old one's evidence was about to be deleted."""
    await ended_request(other)

    async def begin_anew() -> None:
        await other.accept(AGAIN)
        await write_evidence(other, AGAIN, evidence(1))

    came = come_between(store, rb"\nDELETE http\S+Users", begin_anew)
    assert await ledger.purge(START + HOUR, 100) == 1
    assert came
    assert await other.read(KEY) == replace(AGAIN, evidence=evidence(1))


async def test_purge_leaves_nothing_of_a_run_that_was_about_another_user(
    store: TableStore, ledger: TableLedger
) -> None:
    """The name meant one user in the first run, another in the second."""
    second = await ledger.restart(AGAIN, await ended_request(ledger))
    async with ledger.claim(OTHER_USER_ID) as claim:
        await claim.write_evidence(second, evidence(1))
        await claim.end(second, outcome(), None)
    assert await kept_rows(store) == 4
    assert await ledger.purge(store.now() + HOUR, 100) == 0
    assert await kept_rows(store) == 2
    assert (await read(ledger, KEY)).evidence == evidence(1)
    await ledger.mark_reported(KEY, 2)
    assert await ledger.purge(START + 2 * HOUR, 100) == 1
    assert await kept_rows(store) == 0


async def test_what_an_interrupted_purge_left_is_not_taken_for_the_new_requests(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """The same key, the same run, the same user: but another time."""
    await ended_request(other)
    store.proxy.lose_request(rb"\nDELETE http\S+Users")
    with pytest.raises(LedgerUnavailableError):
        await ledger.purge(START + HOUR, 100)
    await other.accept(AGAIN)
    await write_evidence(other, AGAIN, evidence(1))
    assert await other.read(KEY) == replace(AGAIN, evidence=evidence(1))


# --- the index of what is open ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [rb"^(PATCH|PUT) /ledger/\w+Requests.*INC-3177", rb"^DELETE ", rb"^GET .*INC-3177"])
async def test_report_while_the_request_is_asked_for_again_leaves_the_new_run_open(
    store: TableStore, ledger: TableLedger, other: TableLedger, pattern: bytes
) -> None:
    """Wherever in the report that is: a second delivery may have reported it before."""
    await ended_request(other, reported=False)

    async def report_and_restart() -> None:
        await other.mark_reported(KEY, 1)
        assert (await other.restart(AGAIN, await read(other, KEY))).run == 2

    came = come_between(store, pattern, report_and_restart)
    await ledger.mark_reported(KEY, 1)
    assert came
    assert await other.read(KEY) == replace(AGAIN, run=2)
    assert await other.unfinished(START + 2 * HOUR, 100) == (KEY,)
    assert await open_runs(store) == [2]


@pytest.mark.parametrize("after", [0, 1])
async def test_restart_while_the_last_run_is_reported_once_more_is_the_new_run(
    store: TableStore, ledger: TableLedger, other: TableLedger, after: int
) -> None:
    """What the second report writes must not keep the request from being asked for again, nor hide it."""
    ended = await ended_request(other)
    came = come_between(store, rb"^(PATCH|PUT) /ledger/\w+Requests", lambda: other.mark_reported(KEY, 1), after=after)
    assert await ledger.restart(AGAIN, ended) == replace(AGAIN, run=2)
    assert came
    assert await open_runs(store) == [2]


async def test_restart_while_the_row_is_written_is_tried_again(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """The run that ended is still the last one."""
    ended = await ended_request(other)
    came = come_between(store, rb"^(PATCH|PUT) .*INC-3177", lambda: other.expect(KEY, START + HOUR))
    assert await ledger.restart(AGAIN, ended) == replace(AGAIN, run=2)
    assert came


async def test_restart_of_a_row_that_is_written_all_the_time_is_given_up(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """Whoever asked comes again."""
    ended = await ended_request(other)

    async def interfere(request: bytes) -> None:
        if re.search(rb"^(PATCH|PUT) .*INC-3177", request):
            await other.count_attempt(KEY)

    store.proxy.before = interfere
    with pytest.raises(LedgerUnavailableError, match="Others change this row all the time"):
        await ledger.restart(AGAIN, ended)
    assert (await read(other, KEY)).run == 1


async def test_accept_while_the_sweep_takes_an_old_trace_away_is_found_by_the_next(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """A crash left the trace; the sweep saw that no request was there, and then one came."""
    store.proxy.lose_request(rb'"PartitionKey": *"INC-3177"', times=2)
    with pytest.raises(LedgerUnavailableError):
        await ledger.accept(accepted())
    came = come_between(store, rb"\nDELETE http\S+Requests", lambda: other.accept(accepted()))
    assert await ledger.unfinished(START + 2 * HOUR, 100) == ()
    assert came
    assert await other.unfinished(START + 2 * HOUR, 100) == (KEY,)


async def test_sweep_while_a_request_is_asked_for_again_leaves_the_new_run_open(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """It has not replaced the last run yet, and is not taken for a trace of something that never came."""
    ended = await ended_request(other)
    came = come_between(
        store, rb"^(PATCH|PUT) .*INC-3177", lambda: other.unfinished(START + HOUR + timedelta(minutes=5), 100)
    )
    assert await ledger.restart(AGAIN, ended) == replace(AGAIN, run=2)
    assert came
    assert await open_runs(store) == [2]


# --- reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1])
async def test_read_while_the_request_is_asked_for_again_shows_one_run_or_the_other(
    store: TableStore, ledger: TableLedger, other: TableLedger, after: int
) -> None:
    """Never the old one without its end, which would be carried out once more."""
    ended = await ended_request(other)

    async def begin_anew() -> None:
        second = await other.restart(AGAIN, ended)
        await write_evidence(other, second, evidence(1))

    came = come_between(store, rb"^GET /ledger/\w+Users", begin_anew, after=after)
    assert await ledger.read(KEY) == replace(AGAIN, run=2, evidence=evidence(1))
    assert came


async def test_read_of_a_request_that_is_asked_for_again_all_the_time_shows_what_was_there(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """It is bounded, and what it returns is one run."""
    await ended_request(other)

    async def begin_anew(request: bytes) -> None:
        if re.search(rb"^GET /ledger/\w+Users", request):
            kept = await read(other, KEY)
            second = await other.restart(replace(AGAIN, accepted_at=kept.accepted_at + HOUR), kept)
            await end(other, second, outcome(Status.FAILED))

    store.proxy.before = begin_anew
    assert (await read(ledger, KEY)).evidence is None


# --- beginning and ending ---------------------------------------------------------------------------------------


async def test_outcome_without_a_claim_while_somebody_begins_is_not_kept(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """They have begun to change the user by then: that is how it ends."""
    await other.accept(accepted())
    came = come_between(
        store, rb"^(PATCH|PUT) /ledger/\w+Requests", lambda: write_evidence(other, accepted(), evidence())
    )
    with pytest.raises(ClaimLostError):
        await ledger.write_outcome(accepted(), outcome(Status.INVALID))
    assert came
    assert await other.read(KEY) == replace(accepted(), evidence=evidence())


async def test_beginning_while_the_request_is_given_up_changes_nothing(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """Whoever would begin is told so before anything is changed, and the user is not covered by it."""
    await other.accept(accepted())
    came = come_between(
        store, rb"^(PATCH|PUT) /ledger/\w+Requests", lambda: other.write_outcome(accepted(), outcome(Status.FAILED))
    )
    async with ledger.claim(USER_ID) as claim:
        with pytest.raises(ClaimLostError):
            await claim.end(accepted(), outcome(), coverage())
        assert await claim.read_coverages() == ()
    assert came
    assert (await read(other, KEY)).outcome == outcome(Status.FAILED)


async def test_two_that_begin_at_once_about_different_users_are_one(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """The name came to mean somebody else between the two: the first to write its evidence goes on."""
    await other.accept(accepted())

    async def begin_elsewhere() -> None:
        async with other.claim(OTHER_USER_ID) as claim:
            await claim.write_evidence(accepted(), evidence(1))

    came = come_between(store, rb"^(PATCH|PUT) /ledger/\w+Requests", begin_elsewhere)
    with pytest.raises(ClaimLostError):
        await write_evidence(ledger, accepted(), evidence(2))
    assert came
    assert await other.read(KEY) == replace(accepted(), evidence=evidence(1))


# --- a claim for nobody -----------------------------------------------------------------------------------------


async def test_claim_whose_answers_are_all_lost_is_given_back(
    store: TableStore, ledger: TableLedger, other: TableLedger
) -> None:
    """Whoever wanted it was told that the ledger cannot be reached: nobody else need wait for its end."""
    store.proxy.lose_answer(rb"^POST /ledger/\w+Users ", times=2)
    with pytest.raises(LedgerUnavailableError):
        await ledger.claim(USER_ID).__aenter__()
    assert len(store.proxy.lost) == 2
    async with other.claim(USER_ID):
        with pytest.raises(ClaimHeldError):
            await ledger.claim(USER_ID).__aenter__()
