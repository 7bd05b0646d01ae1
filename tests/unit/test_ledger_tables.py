"""Rows in Azure Table Storage: texts in pieces, and a store that fails on the way."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.data.tables.aio import TableServiceClient
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ClaimHeldError, ClaimLostError, LedgerMissingError, LedgerUnavailableError
from shared.ledger.table import TableLedger
from shared.ledger.table_failures import explain
from shared.ledger.tables import (
    CHARACTERS_IN_A_PROPERTY,
    CONTROL,
    REQUESTS,
    USERS,
    Change,
    keys,
    read_text,
    write_text,
)
from shared.model import Budget, Control
from shared.vocabulary import QUEUE, BudgetKind, Mark, RequestId, Status
from tests.azurite import Azurite, Proxy
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
from tests.outside import is_missing

if TYPE_CHECKING:
    from shared.ledger.holding import HeldClaim

KEY = key_of()
OTHER = key_of("INC-3178")
HOUR = timedelta(hours=1)
BYTES_IN_A_ROW = 1_048_576
UNITS_IN_A_PROPERTY = 32_768
TRANSACTION = rb"^POST /ledger/\$batch"
ALL = 20  # aiohttp repeats a PUT or DELETE by itself where it had used the connection before
RESETS = Budget(QUEUE, BudgetKind.RESETS)


# --- texts ------------------------------------------------------------------------------------------------------


def utf16_units(text: str) -> int:
    """Count a text as the store does."""
    return len(text.encode("utf-16-le")) // 2


@given(st.integers(CHARACTERS_IN_A_PROPERTY - 2, CHARACTERS_IN_A_PROPERTY + 2), st.text(st.characters(codec="utf-8")))
def test_text_when_read_is_what_was_written_and_no_piece_is_too_long(length: int, end_of_it: str) -> None:
    """Whatever stands at the border between two pieces, and however many units a character is."""
    for filling in ("a", "🔑"):
        text = filling * length + end_of_it
        row = write_text("name", text)
        assert read_text("name", row) == text
        assert max(map(utf16_units, row.values())) <= UNITS_IN_A_PROPERTY


def test_text_that_is_empty_or_missing_when_read_is_that() -> None:
    """Nothing is not the same as nothing said; another name's text is another."""
    assert read_text("name", write_text("name", "")) == ""
    assert read_text("name", write_text("name", None)) is None
    assert read_text("name", write_text("named", "text")) is None


async def test_rows_of_a_user_with_1000_methods_fit_what_azure_takes(
    azurite: Azurite, store: TableStore, ledger: TableLedger
) -> None:
    """Less than 1 MB each, in UTF-16, and less than 252 properties: Azurite does not look in a transaction."""
    await ledger.accept(accepted())
    await write_evidence(ledger, accepted(), evidence(1000))
    await end(ledger, accepted(), outcome(methods=1000), coverage())
    async with TableServiceClient.from_connection_string(azurite.connection_string) as client:
        rows = [row async for row in client.get_table_client(f"{store.prefix}Users").list_entities()]
    assert len(rows) == 3
    for row in rows:
        assert len(row) <= 252
        assert sum(2 * utf16_units(f"{name}{value}") for name, value in row.items()) < BYTES_IN_A_ROW


# --- an outage --------------------------------------------------------------------------------------------------


async def test_ledger_during_an_outage_is_unavailable_at_once_and_goes_on_after_it() -> None:
    """With what was kept before; a claim that was held counts on."""
    with_its_own = Azurite()
    if not with_its_own.is_installed:
        is_missing("Azurite is missing")
    with with_its_own as azurite:
        async with Proxy(azurite.port) as proxy:
            store = TableStore(azurite, proxy)
            ledger = store.open()
            await ledger.accept(accepted())
            async with ledger.claim(USER_ID) as claim:
                await claim.write_evidence(accepted(), evidence())
                azurite.stop()
                began = time.monotonic()
                for call in (ledger.read(KEY), ledger.accept(accepted(OTHER)), claim.confirm(), ledger.read_control()):
                    with pytest.raises(LedgerUnavailableError):
                        await call
                assert time.monotonic() - began < 10
                azurite.start()
                assert await read(ledger, KEY) == replace(accepted(), evidence=evidence())
                await claim.end(accepted(), outcome(), coverage())
            assert (await read(ledger, KEY)).outcome == outcome()
            await store.close()


async def test_store_that_never_answers_is_unavailable_within_10_seconds(
    store: TableStore, ledger: TableLedger
) -> None:
    """Every call is bounded in time, whether it is tried again or not."""
    await ledger.accept(accepted())
    claim = ledger.claim(USER_ID)
    await claim.__aenter__()
    store.proxy.flowing.clear()
    began = time.monotonic()
    calls = (
        ledger.accept(accepted(OTHER)),
        ledger.read(KEY),
        ledger.count_attempt(KEY),
        ledger.mark_reported(KEY, 1),
        ledger.find(RequestId("INC-3177")),
        claim.confirm(),
    )
    said = await asyncio.gather(*calls, return_exceptions=True)
    assert time.monotonic() - began < 10
    assert [type(each) for each in said] == [LedgerUnavailableError] * len(said)
    store.proxy.flowing.set()
    await claim.__aexit__(None, None, None)


async def test_error_of_an_unreachable_store_tells_no_address_and_no_key(azurite: Azurite, store: TableStore) -> None:
    """It ends in logs and in an answer's log."""
    with pytest.raises(LedgerUnavailableError) as caught:
        await store.open_unreachable().accept(accepted())
    assert str(caught.value) == "Table Storage did not do what was asked: it cannot be reached."
    assert caught.value.__suppress_context__
    assert azurite.key not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")  # the SDK's own
async def test_ledger_that_may_not_read_is_unavailable(azurite: Azurite, store: TableStore) -> None:
    """A wrong key is no empty ledger; what the store says of it stays out of the message."""
    wrong = Azurite()
    wrong.port = azurite.port
    ledger = TableLedger(
        lambda: TableServiceClient.from_connection_string(wrong.connection_string, retry_total=0), prefix=store.prefix
    )
    with pytest.raises(LedgerUnavailableError, match="status 403"):
        await ledger.read(KEY)
    await ledger.close()


@pytest.mark.parametrize("table", [REQUESTS, USERS, CONTROL])
async def test_tables_that_are_missing_when_they_may_not_be_created_are_missing(
    azurite: Azurite, store: TableStore, table: str
) -> None:
    """For each kind of call; what one of them was asked for first, all three are there for."""
    async with TableServiceClient.from_connection_string(azurite.connection_string) as client:
        tables = store.open_tables(may_create=False)
        for call in (
            tables.get(table, "p", "r"),
            tables.insert(table, keys("p", "r")),
            tables.merge(table, keys("p", "r")),
            tables.delete(table, "p", "r"),
            tables.transact(table, [("put", keys("p", "r"), None)]),
            tables.query(table, "PartitionKey eq @p", {"p": "p"}),
        ):
            with pytest.raises(LedgerMissingError, match=r"^There is no ledger in the storage account ledger: "):
                await call
        named = [each.name async for each in client.list_tables() if each.name.startswith(store.prefix)]
        assert named == []
        await store.open().read_control()
        assert await tables.get(table, "p", "r") is None
        assert await tables.insert(table, keys("p", "r"))
        await tables.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError(), "no answer came in time"),
        (ClientAuthenticationError("secret"), "there was no token for it (an operator needs Azure CLI and `az login`"),
        (ServiceRequestError("secret"), "it cannot be reached"),
        (OSError("secret"), "it cannot be reached"),
        (ServiceResponseError("secret"), "the connection broke before the answer"),
        (ValueError("secret"), "its answer could not be read"),
    ],
)
def test_failure_when_explained_then_it_is_words(error: Exception, said: str) -> None:
    """An operator reads them."""
    assert explain(error).startswith(said)
    assert "secret" not in explain(error)


@pytest.mark.parametrize(("code", "said"), [("Forbidden code: key", ""), (None, ""), ("ServerBusy", ", ServerBusy")])
def test_failure_when_a_status_is_known_then_it_is_told_with_its_code(code: str | None, said: str) -> None:
    """A code is one word, or it is left out."""
    for status, text in ((503, "it answered with status 503{}"), (403, "access was refused (status 403{}; it takes")):
        error = HttpResponseError("secret")
        error.status_code = status
        error.error_code = code  # type: ignore[attr-defined]
        assert explain(error).startswith(text.format(said))


# --- an answer that is lost -------------------------------------------------------------------------------------


async def again(call: Callable[[], Awaitable[object]]) -> object:
    """Do as a caller does that was told nothing: call again."""
    try:
        return await call()
    except LedgerUnavailableError:
        return await call()


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("which", [rb"~open", rb"INC-3177"], ids=["index", "request"])
async def test_accept_whose_answer_is_lost_keeps_it_once(
    store: TableStore, ledger: TableLedger, which: bytes, times: int
) -> None:
    """Whichever of its calls it is, and however often."""
    store.proxy.lose_answer(rb'^POST /ledger/\w+Requests (?s:.*)"PartitionKey": *"' + which, times)
    assert await again(lambda: ledger.accept(accepted())) == accepted()
    assert len(store.proxy.lost) == times
    assert await ledger.accept(accepted(fingerprint="f2")) == accepted()
    assert await ledger.unfinished(START + HOUR, 100) == (KEY,)


async def test_write_evidence_whose_answer_is_lost_is_kept_by_the_next(store: TableStore, ledger: TableLedger) -> None:
    """The claim is still ours, under an etag that we were not told."""
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        await claim.write_evidence(accepted(), evidence(1))
        store.proxy.lose_answer(TRANSACTION)
        with pytest.raises(LedgerUnavailableError):
            await claim.write_evidence(accepted(), evidence(2))
        assert (await read(ledger, KEY)).evidence == evidence(2)
        await claim.write_evidence(accepted(), evidence(3))
        await claim.confirm()
    assert (await read(ledger, KEY)).evidence == evidence(3)
    assert len(store.proxy.lost) == 1


async def test_end_whose_answer_is_lost_has_ended(store: TableStore, ledger: TableLedger) -> None:
    """Whoever takes it up next reads the outcome, and finds the user free and covered."""
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        await claim.write_evidence(accepted(), evidence())
        store.proxy.lose_answer(TRANSACTION)
        with pytest.raises(LedgerUnavailableError):
            await claim.end(accepted(), outcome(), coverage())
        with pytest.raises(ClaimLostError):
            await claim.end(accepted(), outcome(Status.FAILED), None)
    kept = await ledger.accept(accepted())
    assert (kept.outcome, kept.reported) == (outcome(), False)
    assert await ledger.write_outcome(accepted(), outcome(Status.FAILED)) == outcome()
    async with ledger.claim(USER_ID) as claim:
        assert await claim.read_coverages() == (coverage(),)


async def test_end_without_evidence_whose_answer_is_lost_is_repeated(store: TableStore, ledger: TableLedger) -> None:
    """Nobody was told of it, and nothing was changed for it: the claim is still ours, and the second call counts."""
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        store.proxy.lose_answer(TRANSACTION)
        with pytest.raises(LedgerUnavailableError):
            await claim.end(accepted(), outcome(Status.REFUSED), None)
        assert await ledger.read(KEY) == accepted()
        await claim.end(accepted(), outcome(), coverage())
    assert (await read(ledger, KEY)).outcome == outcome()
    async with ledger.claim(USER_ID) as claim:
        assert await claim.read_coverages() == (coverage(),)


async def test_end_without_evidence_whose_last_answer_is_lost_has_ended(store: TableStore, ledger: TableLedger) -> None:
    """The request names its user, who has its outcome: whoever reads it tells that."""
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        store.proxy.lose_answer(rb"^(PUT|PATCH) /ledger/\w+Requests", ALL)
        with pytest.raises(LedgerUnavailableError):
            await claim.end(accepted(), outcome(Status.REFUSED), None)
        store.proxy.heal()
        with pytest.raises(ClaimLostError):
            await claim.end(accepted(), outcome(), coverage())
    assert await ledger.read(KEY) == replace(accepted(), outcome=outcome(Status.REFUSED))


@pytest.mark.parametrize("ends_first", [False, True])
async def test_what_a_try_left_that_was_cut_off_before_it_began_is_not_taken_for_the_next_ones(
    store: TableStore, ledger: TableLedger, *, ends_first: bool
) -> None:
    """It was refused, under yesterday's policy say, and is carried out now; or the other way round."""
    await ledger.accept(accepted())
    store.proxy.lose_request(rb"^(PUT|PATCH) /ledger/\w+Requests", ALL)
    with pytest.raises(LedgerUnavailableError):
        await (
            end(ledger, accepted(), outcome(Status.REFUSED))
            if ends_first
            else write_evidence(ledger, accepted(), evidence())
        )
    store.proxy.heal()
    if ends_first:
        await write_evidence(ledger, accepted(), evidence(1))
        assert await ledger.read(KEY) == replace(accepted(), evidence=evidence(1))
    else:
        await end(ledger, accepted(), outcome(Status.REFUSED))
        assert await ledger.read(KEY) == replace(accepted(), outcome=outcome(Status.REFUSED))


async def test_end_that_is_lost_on_the_way_is_repeated_as_it_was(store: TableStore, ledger: TableLedger) -> None:
    """Nothing has taken effect, the claim is still ours."""
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        store.proxy.lose_request(TRANSACTION)
        with pytest.raises(LedgerUnavailableError):
            await claim.end(accepted(), outcome(), coverage())
        assert await ledger.read(KEY) == accepted()
        await claim.end(accepted(), outcome(), coverage())
    assert (await read(ledger, KEY)).outcome == outcome()


async def test_claim_whose_answer_is_lost_is_entered(store: TableStore, ledger: TableLedger) -> None:
    """It was tried again, and found to be ours."""
    store.proxy.lose_answer(rb"^POST /ledger/\w+Users ")
    async with ledger.claim(USER_ID) as claim:
        await claim.confirm()
        with pytest.raises(ClaimHeldError):
            await store.open().claim(USER_ID).__aenter__()
    assert len(store.proxy.lost) == 1


async def test_release_whose_answer_is_lost_has_released(store: TableStore, ledger: TableLedger) -> None:
    """Whoever left it is told that something was wrong, and everybody else finds it free."""
    holding = ledger.claim(USER_ID)
    await holding.__aenter__()
    store.proxy.lose_answer(TRANSACTION)
    with pytest.raises(LedgerUnavailableError):
        await holding.__aexit__(None, None, None)
    async with store.open().claim(USER_ID) as claim:
        await claim.confirm()


async def test_count_start_whose_answer_is_lost_counts_it_at_least_once(store: TableStore, ledger: TableLedger) -> None:
    """The limit is never exceeded: a start that may have been counted is counted again."""
    for _ in range(2):
        store.proxy.lose_answer(rb"^(POST|PUT) /ledger/\w+Control")
    told = [await again(lambda: ledger.count_start(RESETS, accepted(), 4, START)) for _ in range(5)]
    assert 2 <= told.count(None) <= 4
    assert told[-1] is not None


async def test_restart_whose_answer_is_lost_is_one_run(store: TableStore, ledger: TableLedger) -> None:
    """The second call finds the first one's."""
    await ledger.accept(accepted())
    await end(ledger, accepted(), outcome(Status.FAILED))
    ended = await read(ledger, KEY)
    store.proxy.lose_answer(rb"^(PUT|PATCH) /ledger/\w+Requests.*INC-3177")
    fresh = accepted(fingerprint="f2", accepted_at=START + HOUR)
    assert await again(lambda: ledger.restart(fresh, ended)) == replace(fresh, run=2)
    assert len(store.proxy.lost) == 1


async def test_other_changes_whose_answers_are_lost_are_made_once(store: TableStore, ledger: TableLedger) -> None:
    """Each is repeated, by the ledger or by whoever calls it."""
    await ledger.accept(accepted())
    control = Control(resets_per_hour=7, resets_per_hour_until=START)
    changes: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: ledger.add_children(KEY, (RequestId("a"), RequestId("b"))),
        lambda: ledger.expect(KEY, START + HOUR),
        lambda: ledger.write_outcome(accepted(), outcome()),
        lambda: ledger.mark_reported(KEY, 1),
        lambda: ledger.change_control(lambda _: control),
        lambda: ledger.remember(USER_ID, Mark("m"), "text"),
    )
    for number, change in enumerate(changes, 1):
        store.proxy.lose_answer(rb"^(POST|PUT|PATCH|DELETE) ")
        await again(change)
        assert len(store.proxy.lost) == number
    assert await read(ledger, KEY) == replace(accepted(), due_at=START + HOUR, outcome=outcome(), reported=True)
    assert await ledger.find_children(KEY.request_id) == (key_of("a"), key_of("b"))
    assert (await ledger.read_control(), await ledger.recall(USER_ID, Mark("m"))) == (control, "text")
    assert await ledger.unfinished(START + 2 * HOUR, 100) == ()


# --- a crash in the middle --------------------------------------------------------------------------------------


async def test_crash_between_the_index_and_the_request_leaves_nothing_open(
    store: TableStore, ledger: TableLedger
) -> None:
    """What was never accepted is not resumed, and its trace is swept away once it is old."""
    store.proxy.lose_request(rb'"PartitionKey": *"INC-3177"', times=2)
    with pytest.raises(LedgerUnavailableError):
        await ledger.accept(accepted())
    assert len(store.proxy.lost) == 2
    assert await ledger.read(KEY) is None
    for due_before in (START + HOUR / 2, START + 2 * HOUR, START + 2 * HOUR):
        assert await ledger.unfinished(due_before, 100) == ()
    assert await ledger.accept(accepted()) == accepted()
    assert await ledger.unfinished(START + 2 * HOUR, 100) == (KEY,)


async def test_crash_between_the_report_and_the_index_leaves_nothing_open(
    store: TableStore, ledger: TableLedger
) -> None:
    """What was reported is not reported again."""
    await ledger.accept(accepted())
    await end(ledger, accepted(), outcome())
    store.proxy.lose_request(rb"^DELETE ", ALL)
    with pytest.raises(LedgerUnavailableError):
        await ledger.mark_reported(KEY, 1)
    store.proxy.heal()
    assert (await read(ledger, KEY)).reported
    for _ in range(2):
        assert await ledger.unfinished(START + HOUR, 100) == ()


@pytest.mark.parametrize("which", [TRANSACTION, rb"^(PUT|PATCH) /ledger/\w+Requests"], ids=["evidence", "binding"])
async def test_crash_before_the_request_names_its_user_keeps_nothing(
    store: TableStore, ledger: TableLedger, which: bytes
) -> None:
    """Nothing was changed yet; the next worker begins, and may find that another user has the name by now."""
    await ledger.accept(accepted())
    async with ledger.claim(USER_ID) as claim:
        store.proxy.lose_request(which, ALL)
        with pytest.raises(LedgerUnavailableError):
            await claim.write_evidence(accepted(), evidence())
        store.proxy.heal()
    assert await ledger.read(KEY) == accepted()
    async with ledger.claim(OTHER_USER_ID) as claim:
        await claim.write_evidence(accepted(), evidence(1))
        await claim.end(accepted(), outcome(), None)
    assert await ledger.read(KEY) == replace(accepted(), evidence=evidence(1), outcome=outcome())


async def test_crash_of_a_restart_after_the_index_leaves_the_last_run(store: TableStore, ledger: TableLedger) -> None:
    """The sweep finds a request that has ended, and leaves it alone."""
    await ledger.accept(accepted())
    await end(ledger, accepted(), outcome())
    await ledger.mark_reported(KEY, 1)
    ended = await read(ledger, KEY)
    store.proxy.lose_request(rb"^(PUT|PATCH) /ledger/\w+Requests.*INC-3177", ALL)
    with pytest.raises(LedgerUnavailableError):
        await ledger.restart(accepted(fingerprint="f2"), ended)
    store.proxy.heal()
    assert await ledger.read(KEY) == ended
    for _ in range(2):
        assert await ledger.unfinished(START + HOUR, 100) == ()


async def test_purge_that_was_interrupted_is_finished_by_the_next(store: TableStore, ledger: TableLedger) -> None:
    """What hangs on a request goes with it, or by its own age."""
    for which in (rb"\nDELETE http\S+Requests", rb"\nDELETE http\S+Users"):
        await ledger.accept(accepted())
        await write_evidence(ledger, accepted(), evidence())
        await end(ledger, accepted(), outcome())
        await ledger.mark_reported(KEY, 1)
        store.proxy.lose_request(which)
        with pytest.raises(LedgerUnavailableError):
            await ledger.purge(START + HOUR, 100)
        await ledger.purge(store.now() + HOUR, 100)
        assert await ledger.read(KEY) is None
        tables = store.open_tables()
        assert await tables.query(USERS, "RowKey ne @claim", {"claim": "claim"}) == []
        await tables.close()
    assert len(store.proxy.lost) == 2


async def test_row_that_cannot_be_read_keeps_no_other_from_being_found(
    store: TableStore, ledger: TableLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """One that a newer version wrote, say, before a rollback: it is told, and stays as it is."""
    await ledger.accept(accepted())
    await ledger.accept(accepted(OTHER))
    tables = store.open_tables()
    await tables.merge(REQUESTS, keys(KEY.request_id, KEY.caller) | write_text("request", "{}"))
    assert await ledger.unfinished(START + HOUR, 5) == (OTHER,)
    assert "unreadableRow" in caplog.text
    await tables.close()


# --- others at work in between ----------------------------------------------------------------------------------


async def test_row_that_others_change_all_the_time_is_given_up(store: TableStore, ledger: TableLedger) -> None:
    """Nothing goes on for ever: whoever asked is told to come again."""
    await ledger.accept(accepted())
    rival = store.open_beside()
    children = (RequestId(f"c{number}") for number in range(1000))
    minutes = (START + timedelta(minutes=number) for number in range(1000))

    async def interfere(request: bytes) -> None:
        if re.match(rb"(POST|PUT|PATCH) /ledger/\w+Control", request):
            await rival.count_start(RESETS, accepted(), 1000, START)
            await rival.change_control(lambda kept: replace(kept, resets_per_hour=(kept.resets_per_hour or 0) + 1))
        elif re.match(rb"(POST|PUT|PATCH) /ledger/\w+Requests", request):
            await rival.add_children(KEY, (next(children),))
            await rival.expect(KEY, next(minutes))

    store.proxy.before = interfere
    calls = (
        ledger.count_attempt(KEY),
        ledger.write_outcome(accepted(), outcome()),
        ledger.mark_reported(KEY, 1),
        ledger.add_children(KEY, (RequestId("mine"),)),
        ledger.count_start(RESETS, accepted(), 1000, START),
        ledger.change_control(lambda kept: replace(kept, paused_until=START)),
    )
    said = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(each) for each in said] == ["Others change this row all the time."] * len(calls)
    assert (await rival.read_control()).paused_until is None
    kept = await read(rival, KEY)
    assert kept == replace(accepted(), due_at=kept.due_at)


async def test_claim_given_back_while_somebody_looks_who_has_it_is_theirs(
    store: TableStore, ledger: TableLedger
) -> None:
    """It is free by then."""
    held = store.open_beside().claim(USER_ID)
    await held.__aenter__()

    async def give_back(request: bytes) -> None:
        if re.match(rb"GET /ledger/\w+Users", request):
            await held.__aexit__(None, None, None)

    store.proxy.before = give_back
    async with ledger.claim(USER_ID):
        store.proxy.before = None
        with pytest.raises(ClaimHeldError):
            await store.open().claim(USER_ID).__aenter__()


async def test_expired_claim_that_others_take_first_is_given_up(store: TableStore) -> None:
    """By turns one that sees it held is told so, and one that sees it expired again and again comes back later."""
    long_ago = timedelta(seconds=-5)
    rivals = iter([store.open_beside(long_ago).claim(USER_ID) for _ in range(20)])
    await next(rivals).__aenter__()

    async def take_it_first(request: bytes) -> None:
        if re.match(rb"PUT /ledger/\w+Users", request):
            claim = next(rivals)
            await claim.__aenter__()
            entered.append(claim)

    entered: list[HeldClaim] = []
    store.lasts = long_ago
    late = store.open()
    store.proxy.before = take_it_first
    with pytest.raises(LedgerUnavailableError, match="Many workers want the same user"):
        await late.claim(USER_ID).__aenter__()
    assert len(entered) == 4
    for claim in entered:
        await claim.__aexit__(None, None, None)


async def test_claim_that_is_written_all_the_time_is_given_up(
    azurite: Azurite, store: TableStore, ledger: TableLedger
) -> None:
    """It names us, but never as we read it last."""
    await ledger.accept(accepted())
    async with (
        TableServiceClient.from_connection_string(azurite.connection_string) as client,
        ledger.claim(USER_ID) as claim,
    ):
        users = client.get_table_client(f"{store.prefix}Users")

        async def write_it(request: bytes) -> None:
            if re.match(TRANSACTION, request):
                await users.upsert_entity({"PartitionKey": USER_ID, "RowKey": "claim", "seen": str(time.monotonic())})

        store.proxy.before = write_it
        with pytest.raises(LedgerUnavailableError, match="The claim changes all the time"):
            await claim.write_evidence(accepted(), evidence())
        store.proxy.before = None
        await claim.write_evidence(accepted(), evidence())


async def test_change_that_the_store_refuses_is_not_taken_for_one_that_came_late(store: TableStore) -> None:
    """A property that is too long would be too long again: nothing of the transaction is kept."""
    tables = store.open_tables()
    changes: list[Change] = [
        ("put", keys("p", "good"), None),
        ("put", keys("p", "bad") | {"text": "x" * (UNITS_IN_A_PROPERTY + 1)}, None),
    ]
    with pytest.raises(LedgerUnavailableError, match=r"it answered with status 400, \w+\.$"):
        await tables.transact(USERS, changes)
    assert await tables.get(USERS, "p", "good") is None
    await tables.close()
