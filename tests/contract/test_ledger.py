"""Every sentence of `shared.ports.Ledger` that concerns one request, for each store."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from shared.errors import ClaimLostError, LedgerUnavailableError
from shared.model import MALFORMED, AcceptedRequest, RequestKey
from shared.ports import Ledger
from shared.vocabulary import FUNCTION_KEY, QUEUE, Status
from tests.contract.ledger_processes import other_process
from tests.contract.ledger_stores import LedgerStore
from tests.contract.ledger_values import (
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
OTHER = key_of("INC-3178")
HOUR = timedelta(hours=1)


# --- accept -----------------------------------------------------------------------------------------------------


async def test_accept_of_a_new_key_keeps_what_is_offered(ledger: Ledger) -> None:
    """What is offered first is returned, and read again."""
    assert await ledger.accept(accepted()) == accepted()
    assert await ledger.read(KEY) == accepted()


async def test_accept_of_a_known_key_returns_what_is_kept_already(ledger: Ledger) -> None:
    """The second offer changes nothing, whatever it says."""
    await ledger.accept(accepted())
    assert await ledger.accept(accepted(fingerprint="f2", due_at=START + HOUR)) == accepted()
    assert await ledger.read(KEY) == accepted()


async def test_accept_of_a_request_under_way_returns_how_far_it_is(ledger: Ledger) -> None:
    """Attempts, evidence and outcome come with what is kept."""
    await ledger.accept(accepted())
    await ledger.count_attempt(KEY)
    await write_evidence(ledger, accepted(), evidence())
    assert await ledger.accept(accepted()) == replace(accepted(), attempts=1, evidence=evidence())
    await end(ledger, accepted(), outcome())
    assert await ledger.accept(accepted()) == replace(accepted(), attempts=1, evidence=evidence(), outcome=outcome())


@pytest.mark.parametrize("other", [key_of("INC-3177", FUNCTION_KEY), key_of("inc-3177"), key_of("INC-3177.")])
async def test_accept_of_another_key_keeps_another_request(ledger: Ledger, other: RequestKey) -> None:
    """Keys are compared exactly: caller, and case."""
    await ledger.accept(accepted())
    assert (await ledger.accept(accepted(other, fingerprint="f2"))).fingerprint == "f2"
    assert await ledger.read(KEY) == accepted()


async def test_accept_keeps_all_that_is_offered(ledger: Ledger) -> None:
    """Whatever it holds, nothing of it is left out."""
    offered = replace(accepted(), run=3, attempts=7, evidence=evidence(), outcome=outcome(), reported=True)
    assert await ledger.accept(offered) == offered
    assert await ledger.read(KEY) == offered


@pytest.mark.parametrize("shift", [0, 1])
async def test_accept_keeps_a_long_text_of_any_characters(ledger: Ledger, shift: int) -> None:
    """A store that cuts texts into pieces cuts no character in two, and counts a long one as it does itself."""
    offered = accepted(reason="a" * shift + "🔑" * 33_000)
    await ledger.accept(offered)
    assert await ledger.read(KEY) == offered


async def test_accept_by_many_at_once_keeps_one(store: LedgerStore) -> None:
    """All who offer the same key at the same time are told the same."""
    workers = [store.open() for _ in range(4)]
    offers = [accepted(fingerprint=f"f{number}") for number in range(20)]
    kept = await asyncio.gather(*(workers[number % 4].accept(offer) for number, offer in enumerate(offers)))
    assert len(set(kept)) == 1
    assert kept[0] in offers


async def test_accept_by_two_processes_at_once_keeps_one_of_each(store: LedgerStore) -> None:
    """Processes that open an absent store at the same time agree on every key."""
    async with other_process(store, "accept", QUEUE, "20") as one, other_process(store, "accept", QUEUE, "20") as two:
        (said_by_one, _), (said_by_two, _) = await asyncio.gather(one.communicate(), two.communicate())
    assert said_by_one == said_by_two
    assert len(said_by_one.split()) == 20
    assert set(said_by_one.decode().split()) <= {str(one.pid), str(two.pid)}


async def test_what_is_accepted_outlives_the_ledger_object(store: LedgerStore, ledger: Ledger) -> None:
    """Another worker that starts later reads it."""
    await ledger.accept(accepted())
    await write_evidence(ledger, accepted(), evidence())
    await ledger.close()
    assert (await read(store.open(), KEY)).evidence == evidence()


# --- read and find ----------------------------------------------------------------------------------------------


async def test_read_of_an_unknown_key_returns_none(ledger: Ledger) -> None:
    """Neither caller nor id alone is the key."""
    await ledger.accept(accepted())
    assert await ledger.read(OTHER) is None
    assert await ledger.read(key_of("INC-3177", FUNCTION_KEY)) is None


async def test_find_returns_the_last_accepted_whoever_asked(ledger: Ledger) -> None:
    """It is the time of acceptance that counts, not the order of writing, and not the text of the time."""
    east = timezone(timedelta(hours=5, minutes=30))
    newest = accepted(key_of("INC-3177", FUNCTION_KEY), accepted_at=START + timedelta(seconds=1))
    older = accepted(key_of("INC-3177", "0bd2"), accepted_at=(START + timedelta(microseconds=1)).astimezone(east))
    for each in (accepted(), newest, older, accepted(OTHER, accepted_at=START + timedelta(days=1))):
        await ledger.accept(each)
    assert await ledger.find(KEY.request_id) == newest


async def test_find_returns_evidence_and_outcome_too(ledger: Ledger) -> None:
    """As reading by the key does."""
    await ledger.accept(accepted())
    await write_evidence(ledger, accepted(), evidence())
    await end(ledger, accepted(), outcome())
    assert await ledger.find(KEY.request_id) == replace(accepted(), evidence=evidence(), outcome=outcome())


async def test_accept_of_what_has_ended_keeps_its_outcome(ledger: Ledger) -> None:
    """What is malformed has ended when it is accepted; once reported, nobody looks for it."""
    malformed = accepted(fingerprint=MALFORMED)
    malformed = replace(malformed, outcome=outcome(Status.INVALID, methods=0))
    assert await ledger.accept(malformed) == malformed
    assert await read(ledger, KEY) == malformed
    assert await ledger.unfinished(START + 9 * HOUR, 10) == (KEY,)
    await ledger.mark_reported(KEY, 1)
    assert await ledger.unfinished(START + 9 * HOUR, 10) == ()
    restarted = await ledger.restart(asked_again(), await read(ledger, KEY))
    assert (restarted.run, restarted.outcome) == (2, None)
    assert await ledger.accept(malformed) == restarted


async def test_find_returns_a_request_rather_than_what_is_malformed(ledger: Ledger) -> None:
    """However late that came: whoever may send anything shadows nobody's request."""
    late = accepted(key_of("INC-3177", FUNCTION_KEY), fingerprint=MALFORMED, accepted_at=START + HOUR)
    await ledger.accept(late)
    assert await ledger.find(KEY.request_id) == late
    await ledger.accept(accepted())
    assert await ledger.find(KEY.request_id) == accepted()


async def test_find_of_an_unknown_id_returns_none(ledger: Ledger) -> None:
    """Ids are compared exactly."""
    await ledger.accept(accepted())
    assert await ledger.find(key_of("inc-3177").request_id) is None


# --- restart ----------------------------------------------------------------------------------------------------


async def ended_request(ledger: Ledger, *, status: Status = Status.FAILED) -> AcceptedRequest:
    """Accept a request, carry it out under a claim and report it; return what is kept."""
    await ledger.accept(accepted())
    await ledger.count_attempt(KEY)
    await write_evidence(ledger, accepted(), evidence())
    await end(ledger, accepted(), outcome(status))
    await ledger.mark_reported(KEY, 1)
    return await read(ledger, KEY)


def asked_again(number: int = 1) -> AcceptedRequest:
    """Build what is offered when the request comes again."""
    return accepted(fingerprint=f"f{number}", accepted_at=START + number * HOUR)


async def test_restart_replaces_all_that_was_kept(ledger: Ledger) -> None:
    """No evidence, no outcome and no attempts are left, not even those that are offered; it is the second run."""
    await ledger.accept(accepted(OTHER))
    ended = await ended_request(ledger)
    offered = replace(asked_again(), attempts=5, evidence=evidence(1), outcome=outcome(), reported=True, run=7)
    restarted = await ledger.restart(offered, ended)
    assert restarted == replace(asked_again(), run=2)
    assert await ledger.read(KEY) == restarted
    assert await ledger.find(KEY.request_id) == restarted
    assert await ledger.read(OTHER) == accepted(OTHER)


async def test_restart_of_a_run_that_another_worker_restarted_returns_that_ones(ledger: Ledger) -> None:
    """A second call changes nothing, however far the other's run is."""
    ended = await ended_request(ledger)
    first = await ledger.restart(asked_again(1), ended)
    assert await ledger.restart(asked_again(2), ended) == first
    await write_evidence(ledger, first, evidence(1))
    await ledger.count_attempt(KEY)
    under_way = replace(first, attempts=1, evidence=evidence(1))
    assert await ledger.restart(asked_again(2), ended) == under_way
    assert await ledger.read(KEY) == under_way


async def test_restart_by_many_at_once_is_one_run(store: LedgerStore, ledger: Ledger) -> None:
    """All are told the same."""
    ended = await ended_request(ledger)
    workers = [store.open() for _ in range(4)]
    restarts = (workers[number % 4].restart(asked_again(number), ended) for number in range(1, 9))
    kept = set(await asyncio.gather(*restarts))
    assert kept == {await ledger.read(KEY)}
    assert kept < {replace(asked_again(number), run=2) for number in range(1, 9)}


async def test_restart_again_after_the_next_outcome_is_the_third_run(ledger: Ledger) -> None:
    """Each run hides the evidence and the outcome of the last."""
    second = await ledger.restart(asked_again(1), await ended_request(ledger))
    await write_evidence(ledger, second, evidence(1))
    await end(ledger, second, outcome(Status.PARTIAL))
    ended = await read(ledger, KEY)
    assert ended == replace(second, evidence=evidence(1), outcome=outcome(Status.PARTIAL))
    third = await ledger.restart(asked_again(2), ended)
    assert third == await ledger.read(KEY) == replace(asked_again(2), run=3)


async def test_restart_after_an_outcome_without_a_claim_hides_that_too(ledger: Ledger) -> None:
    """However it ended."""
    await ledger.accept(accepted())
    await ledger.write_outcome(accepted(), outcome(Status.INVALID))
    restarted = await ledger.restart(asked_again(), await read(ledger, KEY))
    assert restarted == await ledger.read(KEY) == replace(asked_again(), run=2)
    assert await ledger.write_outcome(restarted, outcome(Status.FAILED)) == outcome(Status.FAILED)


# --- attempts, expectations -------------------------------------------------------------------------------------


async def test_count_attempt_by_many_at_once_counts_each(store: LedgerStore) -> None:
    """Every call returns a number of its own."""
    workers = [store.open() for _ in range(3)]
    await workers[0].accept(accepted())
    counted = await asyncio.gather(*(workers[number % 3].count_attempt(KEY) for number in range(6)))
    assert sorted(counted) == list(range(1, 7))
    assert (await read(workers[0], KEY)).attempts == 6


async def test_expect_replaces_when_it_is_due_and_keeps_the_rest(ledger: Ledger) -> None:
    """Since when patience counts is kept where nothing is said of it, whatever the offset of the time."""
    east = timezone(timedelta(hours=5, minutes=30))
    await ledger.accept(accepted())
    await ledger.accept(accepted(OTHER))
    await ledger.expect(KEY, (START + HOUR).astimezone(east))
    assert await ledger.read(KEY) == replace(accepted(), due_at=START + HOUR)
    await ledger.expect(KEY, START + 2 * HOUR, patient_since=START)
    await ledger.expect(KEY, START + 3 * HOUR)
    assert await ledger.read(KEY) == replace(accepted(), due_at=START + 3 * HOUR, patient_since=START)
    assert await ledger.read(OTHER) == accepted(OTHER)


# --- evidence and outcome ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", [200, 1000])
async def test_evidence_and_outcome_of_a_user_with_many_methods_are_read_as_written(
    ledger: Ledger, methods: int
) -> None:
    """No store may cut or refuse what a large user needs."""
    await ledger.accept(accepted())
    await write_evidence(ledger, accepted(), evidence(methods))
    await end(ledger, accepted(), outcome(methods=methods), coverage())
    assert await ledger.read(KEY) == replace(accepted(), evidence=evidence(methods), outcome=outcome(methods=methods))


async def test_write_outcome_keeps_the_first(ledger: Ledger) -> None:
    """What is kept already is returned, and another request is not touched."""
    await ledger.accept(accepted())
    await ledger.accept(accepted(OTHER))
    assert await ledger.write_outcome(accepted(), outcome(Status.INVALID)) == outcome(Status.INVALID)
    assert await ledger.write_outcome(accepted(), outcome(Status.FAILED)) == outcome(Status.INVALID)
    assert await ledger.read(KEY) == replace(accepted(), outcome=outcome(Status.INVALID))
    assert await ledger.read(OTHER) == accepted(OTHER)


async def test_write_outcome_by_many_at_once_keeps_one(store: LedgerStore, ledger: Ledger) -> None:
    """All are told the same, and that is kept."""
    await ledger.accept(accepted())
    statuses = [Status.INVALID, Status.REFUSED, Status.FAILED, Status.PARTIAL]
    kept = await asyncio.gather(*(store.open().write_outcome(accepted(), outcome(status)) for status in statuses))
    assert set(kept) == {(await read(ledger, KEY)).outcome}


async def test_write_outcome_keeps_what_was_kept_under_a_claim(ledger: Ledger) -> None:
    """Where somebody gives up what has just ended, it has ended."""
    await ledger.accept(accepted())
    await end(ledger, accepted(), outcome())
    assert await ledger.write_outcome(accepted(), outcome(Status.FAILED)) == outcome()
    assert (await read(ledger, KEY)).outcome == outcome()


async def test_write_outcome_of_what_has_begun_is_for_whoever_has_the_claim(ledger: Ledger) -> None:
    """Somebody was at work on it meanwhile: how that ends is not said beside it."""
    await ledger.accept(accepted())
    await write_evidence(ledger, accepted(), evidence())
    with pytest.raises(ClaimLostError):
        await ledger.write_outcome(accepted(), outcome(Status.INVALID))
    assert await ledger.read(KEY) == replace(accepted(), evidence=evidence())


async def test_write_outcome_of_an_earlier_run_is_not_kept(ledger: Ledger) -> None:
    """A slow delivery judged the run before: the one that was asked for since has not ended by that."""
    await ledger.accept(accepted())
    await ledger.write_outcome(accepted(), outcome(Status.INVALID))
    restarted = await ledger.restart(asked_again(), await read(ledger, KEY))
    for _ in range(2):
        with pytest.raises(ClaimLostError):
            await ledger.write_outcome(accepted(), outcome(Status.FAILED))
        assert await ledger.read(KEY) == restarted
        await ledger.write_outcome(restarted, outcome())
        restarted = replace(restarted, outcome=outcome())


async def test_write_outcome_of_a_large_user_is_read_as_written(ledger: Ledger) -> None:
    """Here, too."""
    await ledger.accept(accepted())
    await ledger.write_outcome(accepted(), outcome(Status.FAILED, methods=200))
    assert (await read(ledger, KEY)).outcome == outcome(Status.FAILED, methods=200)


async def test_outcome_is_reported_once_it_is_marked_so(ledger: Ledger) -> None:
    """A second mark changes nothing; nothing else is touched."""
    await ledger.accept(accepted())
    await ledger.accept(accepted(OTHER))
    await ledger.write_outcome(accepted(), outcome(Status.FAILED))
    assert await ledger.read(KEY) == replace(accepted(), outcome=outcome(Status.FAILED))
    for _ in range(2):
        await ledger.mark_reported(KEY, 1)
        assert await ledger.read(KEY) == replace(accepted(), outcome=outcome(Status.FAILED), reported=True)
    assert await ledger.read(OTHER) == accepted(OTHER)


# --- unfinished -------------------------------------------------------------------------------------------------


async def test_unfinished_returns_what_was_due_and_has_not_ended_or_was_not_reported(ledger: Ledger) -> None:
    """The longest overdue first; what is due at that very time is not overdue."""
    keys = [key_of(f"r{number}") for number in range(6)]
    for number, key in enumerate(keys):
        await ledger.accept(accepted(key, due_at=START - number * HOUR))
    await ledger.write_outcome(accepted(keys[1]), outcome())
    await end(ledger, accepted(keys[2]), outcome())
    for ended in keys[3:5]:
        await end(ledger, accepted(ended), outcome())
        await ledger.mark_reported(ended, 1)
    assert await ledger.unfinished(START, 100) == (keys[5], keys[2], keys[1])
    assert await ledger.unfinished(START + timedelta(microseconds=1), 100) == (keys[5], keys[2], keys[1], keys[0])
    assert await ledger.unfinished(START, 2) == (keys[5], keys[2])
    assert await ledger.unfinished(START - 10 * HOUR, 100) == ()


async def test_unfinished_follows_what_is_expected(ledger: Ledger) -> None:
    """It is the last time that counts."""
    await ledger.accept(accepted())
    await ledger.expect(KEY, START + HOUR)
    assert await ledger.unfinished(START + HOUR, 100) == ()
    await ledger.expect(KEY, START + timedelta(minutes=1))
    assert await ledger.unfinished(START + HOUR, 100) == (KEY,)


async def test_unfinished_holds_what_was_restarted(ledger: Ledger) -> None:
    """It begins anew, with a due time of its own."""
    await ledger.restart(asked_again(), await ended_request(ledger))
    assert await ledger.unfinished(START + HOUR, 100) == ()
    assert await ledger.unfinished(START + 2 * HOUR, 100) == (KEY,)


async def test_unfinished_is_not_disturbed_by_a_second_acceptance(ledger: Ledger) -> None:
    """What ended long ago does not come back, and what is open stays known under its own due time."""
    await ended_request(ledger)
    await ledger.accept(accepted(OTHER))
    for key in (KEY, OTHER):
        await ledger.accept(accepted(key, due_at=START + 9 * HOUR))
    assert await ledger.unfinished(START + HOUR, 100) == (OTHER,)
    assert await ledger.unfinished(START + 10 * HOUR, 100) == (OTHER,)


# --- what is not there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger: ledger.restart(accepted(), accepted()),
        lambda ledger: ledger.count_attempt(KEY),
        lambda ledger: ledger.expect(KEY, START),
        lambda ledger: write_evidence(ledger, accepted(), evidence()),
        lambda ledger: end(ledger, accepted(), outcome(), coverage()),
        lambda ledger: ledger.write_outcome(accepted(), outcome()),
        lambda ledger: ledger.mark_reported(KEY, 1),
    ],
    ids=["restart", "count_attempt", "expect", "write_evidence", "end", "write_outcome", "mark_reported"],
)
async def test_writing_under_an_unknown_key_is_refused(
    ledger: Ledger, write: Callable[[Ledger], Awaitable[object]]
) -> None:
    """The promise to keep it cannot be kept, and nothing comes into being."""
    with pytest.raises(LedgerUnavailableError, match="holds no request under this key"):
        await write(ledger)
    assert await ledger.read(KEY) is None
    assert await ledger.unfinished(START + HOUR, 100) == ()
    async with ledger.claim(USER_ID) as claim:
        assert await claim.read_coverages() == ()


async def test_mark_reported_of_another_run_changes_nothing(ledger: Ledger) -> None:
    """What was asked for again since is told by its own report."""
    offered = await ledger.accept(accepted())
    await ledger.write_outcome(accepted(), outcome())
    again = await ledger.restart(offered, offered)
    await ledger.mark_reported(KEY, offered.run)
    kept = await ledger.read(KEY)
    assert kept is not None
    assert (kept.run, kept.reported) == (again.run, False)
    assert await ledger.unfinished(again.due_at + timedelta(seconds=1), 5) == (KEY,)
