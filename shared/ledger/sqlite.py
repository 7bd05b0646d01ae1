"""The embedded ledger: one SQLite file, for the processes of one machine."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection

from shared.errors import ClaimLostError, LedgerUnavailableError, UnreadableRowError
from shared.ledger.database import Database
from shared.ledger.holding import RENEW_EVERY_SECONDS, HeldClaim
from shared.ledger.rows import (
    RequestRow,
    alerting,
    control_from_json,
    control_to_json,
    outcome_from_json,
    outcome_to_json,
    to_row,
    to_time_text,
    waiting_columns,
)
from shared.ledger.sqlite_claims import FORGET, REMEMBER, SqliteClaims
from shared.ledger.sqlite_limits import SqliteLimits
from shared.ledger.sqlite_rows import COLUMNS, read_keys, read_request, read_row
from shared.model import MALFORMED, AcceptedRequest, Control, Outcome, RequestKey, Waiting
from shared.ports import Clock
from shared.vocabulary import Mark, RequestId, UserId

_INSERT = f"""
    INSERT INTO requests ({", ".join(COLUMNS)}) VALUES ({", ".join(f":{name}" for name in COLUMNS)})
"""  # noqa: S608 - names of our own columns
_INSERT_NEW = f"{_INSERT} ON CONFLICT (caller, request_id) DO NOTHING"
_REPLACE = f"""
    UPDATE requests SET {", ".join(f"{name} = :{name}" for name in COLUMNS)}
    WHERE caller = :caller AND request_id = :request_id AND run = :run - 1
"""  # noqa: S608 - as above
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM requests"  # noqa: S608 - as above
_SELECT_KEY = f"{_SELECT} WHERE caller = ? AND request_id = ?"
_SELECT_LAST = f"{_SELECT} WHERE request_id = ? ORDER BY fingerprint = ?, accepted_at DESC, rowid DESC"
_COUNT_ATTEMPT = """
    UPDATE requests SET attempts = attempts + 1 WHERE caller = ? AND request_id = ? RETURNING attempts
"""
_EXPECT = """
    UPDATE requests SET due_at = ?, patient_since = coalesce(?, patient_since),
    waiting_for = ?, waiting_since = ?, waiting_budget = ?
    WHERE caller = ? AND request_id = ? RETURNING attempts
"""
_RESOLVE = """
    UPDATE requests SET resolved_id = coalesce(resolved_id, ?) WHERE caller = ? AND request_id = ? AND run = ?
    RETURNING resolved_id
"""
_SET_OUTCOME = """
    UPDATE requests SET outcome = ?, reported = 0
    WHERE caller = ? AND request_id = ? AND run = ? AND outcome IS NULL AND evidence IS NULL
"""
_SET_REPORTED = """
    UPDATE requests SET reported = reported OR run = ? WHERE caller = ? AND request_id = ? RETURNING attempts
"""
_SELECT_UNFINISHED = f"{_SELECT} WHERE NOT (outcome IS NOT NULL AND reported) AND due_at < ? ORDER BY due_at"

_ADD_CHILD = """
    INSERT INTO children (caller, parent, request_id, written_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_SELECT_CHILDREN = "SELECT caller, request_id FROM children WHERE parent = ? ORDER BY place"

_SELECT_CONTROL = "SELECT text FROM control"
_SET_CONTROL = "INSERT INTO control (one, text) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET text = excluded.text"

_RECALL = "SELECT text FROM marks WHERE user_id = ? AND mark = ?"

_PURGE = (
    "DELETE FROM marks WHERE written_at < :before",
    "DELETE FROM coverages WHERE written_at < :before",
    "DELETE FROM children WHERE written_at < :before",
)
_PURGE_REQUESTS = """
    DELETE FROM requests WHERE rowid IN (
        SELECT rowid FROM requests WHERE accepted_at < :before AND outcome IS NOT NULL AND reported LIMIT :limit
    )
"""


class SqliteLedger(SqliteLimits):
    """`shared.ports.Ledger` in the file at `path`, which is created at first use unless `may_create` is False.

    Its own clock, by which claims expire, is `clock`: `now` is called from another thread. Processes that share the
    file must agree on the time. Where another process keeps the file locked for `lock_timeout_seconds`, it raises
    LedgerUnavailableError.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        renew_every_seconds: float = RENEW_EVERY_SECONDS,
        lock_timeout_seconds: float = 5.0,
        may_create: bool = True,
    ) -> None:
        super().__init__(Database(path, lock_timeout_seconds, may_create=may_create))
        self._clock = clock
        self._claims = SqliteClaims(self._database, clock)
        self._renew_every_seconds = renew_every_seconds

    async def accept(self, offered: AcceptedRequest) -> AcceptedRequest:
        """Keep `offered`, or return what is kept already under its key (a second call does that), in one step."""
        return read_request(await self._write_and_select(_INSERT_NEW, to_row(offered)))

    async def read(self, key: RequestKey) -> AcceptedRequest | None:
        """Return what is kept under `key`, with evidence and outcome; None when there is nothing."""
        return await self._select_first(_SELECT_KEY, (key.caller, key.request_id))

    async def find(self, request_id: RequestId) -> AcceptedRequest | None:
        """Return the request of that id that was accepted last, whoever asked for it; None when there is none."""
        return await self._select_first(_SELECT_LAST, (request_id, MALFORMED))

    async def restart(self, offered: AcceptedRequest, ended: AcceptedRequest) -> AcceptedRequest:
        """Replace the run that `ended` by a fresh one; return what is kept now: another worker may be faster."""
        fresh = replace(offered, run=ended.run + 1, attempts=0, evidence=None, outcome=None, reported=False)
        return read_request(await self._write_and_select(_REPLACE, to_row(fresh)))

    async def resolve(self, accepted: AcceptedRequest, user_id: UserId) -> UserId:
        """Remember which user this run means, unless that is remembered already; return who it is."""
        values = (user_id, accepted.key.caller, accepted.key.request_id, accepted.run)
        kept = await self._database.write(lambda connection: connection.execute(_RESOLVE, values).fetchall())
        if not kept:
            raise ClaimLostError
        return UserId(kept[0][0])

    async def count_attempt(self, key: RequestKey) -> int:
        """Add one to the attempts and return their number. A second call counts again."""
        return await self._update(_COUNT_ATTEMPT, (key.caller, key.request_id))

    async def expect(
        self,
        key: RequestKey,
        at: datetime,
        *,
        waiting: Waiting | None = None,
        patient_since: datetime | None = None,
    ) -> None:
        """Remember when it will be taken up next, what it waits for, and since when patience counts."""
        since = to_time_text(patient_since) if patient_since else None
        columns = waiting_columns(waiting)
        values = (columns["waiting_for"], columns["waiting_since"], columns["waiting_budget"])
        await self._update(_EXPECT, (to_time_text(at), since, *values, key.caller, key.request_id))

    async def write_outcome(self, accepted: AcceptedRequest, outcome: Outcome) -> Outcome:
        """Keep how a run without a claim ended, unless that is kept already; return what is."""
        text, key = outcome_to_json(outcome), (accepted.key.caller, accepted.key.request_id)

        def write_once(connection: Connection) -> str:
            connection.execute(_SET_OUTCOME, (text, *key, accepted.run))
            kept = read_row(connection.execute(_SELECT_KEY, key).fetchone())
            if kept.run != accepted.run or kept.outcome is None:
                raise ClaimLostError
            return kept.outcome

        with alerting(requestId=accepted.key.request_id, caller=accepted.key.caller):
            return outcome_from_json(await self._database.write(write_once))

    async def mark_reported(self, key: RequestKey, run: int) -> None:
        """Remember that everybody who is told has been told how that run ended; a second call changes nothing."""
        await self._update(_SET_REPORTED, (run, key.caller, key.request_id))

    async def unfinished(self, due_before: datetime, limit: int) -> tuple[RequestKey, ...]:
        """Return up to `limit` requests that were due earlier than that and have not ended, or were not reported."""

        def read_those_that_can_be(connection: Connection) -> tuple[RequestKey, ...]:
            unfinished: list[RequestKey] = []
            for found in connection.execute(_SELECT_UNFINISHED, (to_time_text(due_before),)):
                if len(unfinished) >= limit:
                    break
                with suppress(UnreadableRowError):  # which must not keep the others waiting
                    unfinished.append(read_request(read_row(found)).key)
            return tuple(unfinished)

        return await self._database.read(read_those_that_can_be)

    # --- What concerns more than one request --------------------------------------------------------------------

    async def add_children(self, parent: RequestKey, children: tuple[RequestId, ...]) -> None:
        """Remember which requests of the same caller one body was split into; a second call adds what is new."""
        at = to_time_text(self._clock.now())
        rows = [(parent.caller, parent.request_id, child, at) for child in children]
        await self._database.write(lambda connection: connection.executemany(_ADD_CHILD, rows))

    async def find_children(self, parent: RequestId) -> tuple[RequestKey, ...]:
        """Return the children of every parent of that id, whoever asked, in the order in which they were added."""
        return read_keys(await self._fetch_all(_SELECT_CHILDREN, (parent,)))

    async def read_control(self) -> Control:
        """Return what the operator has set; an empty one where nothing is."""
        found = await self._fetch_all(_SELECT_CONTROL, ())
        return control_from_json(str(found[0][0]) if found else None)

    async def change_control(self, change: Callable[[Control], Control]) -> Control:
        """Replace it by what `change` makes of it, in one step; return that."""

        def write_changed(connection: Connection) -> Control:
            kept = connection.execute(_SELECT_CONTROL).fetchone()
            control = change(control_from_json(kept and str(kept[0])))
            connection.execute(_SET_CONTROL, (control_to_json(control),))
            return control

        return await self._database.write(write_changed)

    async def purge(self, before: datetime, limit: int) -> int:
        """Forget requests accepted before that, with all that hangs on them, `limit` at most; return how many."""
        values = {"before": to_time_text(before), "limit": limit}

        def delete(connection: Connection) -> int:
            number = connection.execute(_PURGE_REQUESTS, values).rowcount
            for statement in _PURGE:
                connection.execute(statement, values)
            return number

        return await self._database.write(delete)

    # --- What concerns one user ---------------------------------------------------------------------------------

    async def remember(self, user_id: UserId, mark: Mark, text: str) -> None:
        """Keep what later requests have to know of what was done to a user; a second call replaces the text."""
        row = {"user_id": user_id, "mark": mark, "text": text, "at": to_time_text(self._clock.now())}
        await self._database.write(lambda connection: connection.execute(REMEMBER, row))

    async def recall(self, user_id: UserId, mark: Mark) -> str | None:
        """Return what is kept under `mark`; None when there is nothing."""
        found = await self._fetch_all(_RECALL, (user_id, mark))
        return str(found[0][0]) if found else None

    async def forget(self, user_id: UserId, mark: Mark) -> None:
        """Keep it no longer; a second call changes nothing."""
        await self._database.write(lambda connection: connection.execute(FORGET, (user_id, mark)))

    def claim(self, user_id: UserId) -> HeldClaim:
        """Hold the claim on a user: see `shared.ports.Ledger.claim` and `HeldClaim`."""
        return HeldClaim(self._claims, user_id, self._renew_every_seconds)

    async def close(self) -> None:
        """Close the file; nothing is called afterwards."""
        await self._database.close()

    # --- The file -----------------------------------------------------------------------------------------------

    async def _select_first(self, query: str, values: Sequence[str]) -> AcceptedRequest | None:
        """Return the first request that can be read; raise UnreadableRowError where there are only others."""
        unreadable: UnreadableRowError | None = None
        for found in await self._fetch_all(query, values):
            try:
                return read_request(read_row(found))
            except UnreadableRowError as error:
                unreadable = error
        if unreadable:
            raise unreadable
        return None

    async def _write_and_select(self, statement: str, row: RequestRow) -> RequestRow:
        def write(connection: Connection) -> RequestRow:
            connection.execute(statement, asdict(row))
            return read_row(connection.execute(_SELECT_KEY, (row.caller, row.request_id)).fetchone())

        return await self._database.write(write)

    async def _update(self, statement: str, values: Sequence[str | int | None]) -> int:
        # `fetchall`, not `fetchone`: a statement that returns rows is finished once all of them are fetched.
        updated = await self._database.write(lambda connection: connection.execute(statement, values).fetchall())
        if not updated:
            raise LedgerUnavailableError("The ledger holds no request under this key.")
        ((attempts,),) = updated
        return int(attempts)
