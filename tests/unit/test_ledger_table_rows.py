"""Rows in Azure Table Storage that lack something, or hold something that this version does not know."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import ClaimHeldError, UnreadableRowError
from shared.ledger.rows import SCHEMA_VERSION
from shared.ledger.table import TableLedger
from shared.ledger.table_claims import CLAIM
from shared.ledger.table_rows import CHILDREN, OPEN, STARTS, open_key, run_keys
from shared.ledger.tables import CONTROL, REQUESTS, USERS, Found, Row, Tables, keys
from shared.model import Budget, HeldBack, Waiting
from shared.vocabulary import QUEUE, BudgetKind, Mark, RequestId, Status, WaitingFor
from tests.contract.ledger_stores import TableStore
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

KEY, OTHER = key_of(), key_of("INC-3178")
OUTCOME_KEY, EVIDENCE_KEY = run_keys(KEY)
BUDGET = Budget(QUEUE, BudgetKind.RESETS)
HELD = Waiting(WaitingFor.HOURLY_LIMIT, START, BUDGET)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def tables(store: TableStore) -> AsyncIterator[Tables]:
    """Return what lies under the ledger."""
    tables = store.open_tables()
    yield tables
    await tables.close()


def unreadable(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return which rows were alerted of, and forget it."""
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "mfa_reset"]
    caplog.clear()
    return [line.get("requestId") or line["code"] for line in lines if line["event"] == "unreadableRow"]


async def found(tables: Tables, table: str, partition: str, key: str) -> Found:
    """Return a row that is there."""
    kept = await tables.get(table, partition, key)
    assert kept
    return kept


async def change(tables: Tables, table: str, row: tuple[str, str], *missing: str, **new: Any) -> None:  # noqa: ANN401 - what a property may hold
    """Take properties out of a row, and put others in."""
    kept = (await found(tables, table, *row)).row
    await tables.put(table, {name: value for name, value in kept.items() if name not in missing} | new)


REQUEST_ROW = (KEY.request_id, QUEUE)
OPEN_ROW = (OPEN, open_key(KEY, 1))


# --- What something else stands for -----------------------------------------------------------------------------


async def test_row_without_what_has_a_default_when_read_has_that(ledger: TableLedger, tables: Tables) -> None:
    """As an earlier version wrote it; every method can deal with it."""
    times = ("first_enqueued_at", "due_at", "patient_since")
    await ledger.accept(accepted())
    missing = (*times, "run", "attempts", "reported", "resolved_id", "waiting_for", "waiting_since", "schema")
    await change(tables, REQUESTS, REQUEST_ROW, *missing)
    plain = replace(accepted(), first_enqueued_at=START, due_at=START, patient_since=START)
    assert await ledger.read(KEY) == plain
    assert await ledger.find(KEY.request_id) == plain
    assert await ledger.accept(accepted()) == plain
    assert await ledger.unfinished(START + HOUR, 5) == (KEY,)
    assert await ledger.count_attempt(KEY) == 1
    await ledger.expect(KEY, START + HOUR)
    await write_evidence(ledger, accepted(), evidence())
    await end(ledger, accepted(), outcome(Status.FAILED), coverage())
    await ledger.mark_reported(KEY, 1)
    kept = await read(ledger, KEY)
    assert (kept.run, kept.reported, kept.outcome) == (1, True, outcome(Status.FAILED))
    assert (await ledger.restart(accepted(accepted_at=START + HOUR), kept)).run == 2


async def test_row_with_what_is_not_known_when_read_is_what_the_rest_says(ledger: TableLedger, tables: Tables) -> None:
    """A later version put it there; it stays there."""
    await ledger.accept(accepted())
    await change(tables, REQUESTS, REQUEST_ROW, place=7, schema=SCHEMA_VERSION + 1)
    assert await ledger.read(KEY) == accepted()
    await ledger.count_attempt(KEY)
    assert (await found(tables, REQUESTS, *REQUEST_ROW)).row["place"] == 7


async def test_every_row_when_written_says_by_which_version(ledger: TableLedger, tables: Tables) -> None:
    """Whoever looks into the ledger sees which program it was."""
    await ledger.accept(accepted())
    await ledger.accept(accepted(OTHER))
    await ledger.add_children(KEY, (RequestId("a"),))
    await end(ledger, accepted(), outcome(), coverage())
    await ledger.remember(USER_ID, Mark("m"), "text")
    await ledger.count_start(BUDGET, accepted(), 5, START)
    await ledger.change_control(lambda kept: kept)
    async with ledger.claim(USER_ID):
        for table, number in ((REQUESTS, 5), (USERS, 5), (CONTROL, 2)):
            rows = await tables.query(table, "PartitionKey ne @none", {"none": ""})
            assert [row["schema"] for row in rows] == [SCHEMA_VERSION] * number


# --- What nothing stands for ------------------------------------------------------------------------------------

DAMAGES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ("fingerprint", "source", "accepted_at", "request_0")),
    *(
        ("", {name: "x"})
        for name in ("run", "attempts", "reported", "accepted_at", "due_at", "patient_since", "source")
    ),
    *(("", {name: 7}) for name in ("fingerprint", "accepted_at", "due_at", "request_0", "resolved_id", "waiting_for")),
]


@pytest.mark.parametrize(("missing", "new"), DAMAGES)
async def test_row_that_lacks_what_nothing_stands_for_costs_itself_only(
    ledger: TableLedger, tables: Tables, caplog: pytest.LogCaptureFixture, missing: str, new: dict[str, Any]
) -> None:
    """The recovery goes on for the others, and so does the purge."""
    for key in (KEY, OTHER):
        await ledger.accept(accepted(key))
    await change(tables, REQUESTS, REQUEST_ROW, missing, **new)
    assert await ledger.unfinished(START + HOUR, 5) == (OTHER,)
    assert unreadable(caplog) == [KEY.request_id]
    for call in (ledger.read(KEY), ledger.find(KEY.request_id), ledger.accept(accepted())):
        with pytest.raises(UnreadableRowError):
            await call
        assert unreadable(caplog) == [KEY.request_id]
    await ledger.write_outcome(accepted(OTHER), outcome())
    await ledger.mark_reported(OTHER, 1)
    assert await ledger.purge(START + HOUR, 5) == 1


@pytest.mark.parametrize("missing", ["caller", "request_id", "run"])
async def test_index_that_lacks_something_costs_itself_only(
    ledger: TableLedger, tables: Tables, caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    """Nobody can say which request it was about."""
    for key in (KEY, OTHER):
        await ledger.accept(accepted(key))
    await change(tables, REQUESTS, OPEN_ROW, missing)
    assert await ledger.unfinished(START + DAY, 5) == (OTHER,)
    assert unreadable(caplog) == ["open"]
    assert await ledger.read(KEY) == accepted()


@pytest.mark.parametrize("row_key", [EVIDENCE_KEY, OUTCOME_KEY])
@pytest.mark.parametrize("missing", ["run", "accepted_at"])
async def test_what_is_kept_of_a_run_that_does_not_say_of_which_is_not_passed_over(
    ledger: TableLedger, tables: Tables, caplog: pytest.LogCaptureFixture, row_key: str, missing: str
) -> None:
    """Passed over, what was done would be unknown, and done or told again."""
    await ledger.accept(accepted())
    await ledger.accept(accepted(OTHER))
    await write_evidence(ledger, accepted(), evidence())
    await change(tables, USERS, (USER_ID, row_key), missing)
    with pytest.raises(UnreadableRowError):
        await ledger.read(KEY)
    assert unreadable(caplog) == [KEY.request_id]
    assert await ledger.unfinished(START + HOUR, 5) == (OTHER,)


async def test_request_that_has_begun_of_which_nothing_is_kept_is_not_begun_anew(
    ledger: TableLedger, tables: Tables, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows what was done."""
    await ledger.accept(accepted())
    await write_evidence(ledger, accepted(), evidence())
    for row_key in (EVIDENCE_KEY, OUTCOME_KEY):
        await tables.delete(USERS, USER_ID, row_key)
    with pytest.raises(UnreadableRowError):
        await ledger.read(KEY)
    assert unreadable(caplog) == [KEY.request_id]


@pytest.mark.parametrize("text", ["", "{", "{}", "7"])
async def test_children_that_cannot_be_read_are_none_and_may_be_added(
    ledger: TableLedger, tables: Tables, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """It is an index: the requests are there all the same."""
    for caller in (QUEUE, "functionKey"):
        await ledger.add_children(key_of("parent", caller), (RequestId("a"),))
    await change(tables, REQUESTS, (f"{CHILDREN}parent", QUEUE), children_0=text or "[")
    assert await ledger.find_children(RequestId("parent")) == (key_of("a", "functionKey"),)
    assert unreadable(caplog) == ["parent"]
    await ledger.add_children(key_of("parent"), (RequestId("b"),))
    assert set(await ledger.find_children(RequestId("parent"))) == {key_of("b"), key_of("a", "functionKey")}


@pytest.mark.parametrize(
    ("missing", "new"),
    [("caller", {}), ("request_id", {}), ("due_at", {}), ("", {"waiting_since": "x"}), ("", {"due_at": 7})],
)
async def test_request_that_waits_and_cannot_be_read_keeps_no_other_waiting(
    ledger: TableLedger, tables: Tables, caplog: pytest.LogCaptureFixture, missing: str, new: dict[str, Any]
) -> None:
    """Whoever lets the others go on looks at all of them."""
    for key in (KEY, OTHER):
        await ledger.accept(accepted(key))
        await ledger.expect(key, START + HOUR, waiting=HELD)
    await change(tables, REQUESTS, OPEN_ROW, missing, **new)
    assert await ledger.held_back(5) == (HeldBack(OTHER, START + HOUR, HELD),)
    assert unreadable(caplog) in (["open"], [KEY.request_id])
    assert await ledger.may_start_at(BUDGET, accepted(OTHER), 5, START) is None


@pytest.mark.parametrize("text", ["[", "{}7", "7", "[7]", '[["x", 1]]', "[[99999999, null]]"])
async def test_starts_that_cannot_be_read_are_counted_anew(
    ledger: TableLedger, tables: Tables, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """At most as many again start in that hour; raising would keep all of a caller's requests waiting for ever."""
    await ledger.count_start(BUDGET, accepted(), 1, START)
    await change(tables, CONTROL, (STARTS, str(BUDGET)), starts_0=text)
    assert await ledger.count_started(BUDGET, START) == 0
    assert unreadable(caplog) == ["starts"]
    assert await ledger.count_start(BUDGET, accepted(), 1, START) is None
    assert await ledger.count_start(BUDGET, accepted(), 1, START) is not None


async def test_claim_that_does_not_say_whose_it_is_holds_until_it_expires(store: TableStore, tables: Tables) -> None:
    """Nobody's own, and nobody's for ever."""
    store.shorten_claims()
    ledger = store.open()
    async with ledger.claim(USER_ID):
        pass
    await tables.put(USERS, keys(USER_ID, CLAIM))
    with pytest.raises(ClaimHeldError):
        await ledger.claim(USER_ID).__aenter__()
    await store.let_expire()
    async with ledger.claim(USER_ID) as claim:
        await claim.confirm()


async def test_purge_keeps_a_run_that_does_not_say_of_which_and_goes_on(
    store: TableStore, ledger: TableLedger, tables: Tables, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody has to look at it; what else is old goes."""
    damaged: list[Row] = [
        keys(USER_ID, "run:1:outcome") | {"caller": QUEUE, "run": 1, "accepted_at": "x"},
        keys(USER_ID, "run:2:outcome") | {"request_id": "INC-3177", "run": 1, "accepted_at": "x"},
        keys(USER_ID, "run:3:outcome") | {"caller": QUEUE, "request_id": "INC-3177"},
    ]
    for row in damaged:
        await tables.put(USERS, row)
    gone = {"caller": QUEUE, "request_id": "gone", "run": 1, "accepted_at": "x"}
    await tables.put(USERS, keys(USER_ID, "run:4:outcome") | gone)
    await ledger.accept(accepted())
    assert await ledger.purge(store.now() + HOUR, 100) == 0
    kept = await tables.query(USERS, "RowKey ge 'run:' and RowKey lt 'run;'", {})
    assert [row["RowKey"] for row in kept] == ["run:1:outcome", "run:2:outcome", "run:3:outcome"]
    assert unreadable(caplog) == ["run"] * 3
