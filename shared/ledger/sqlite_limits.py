"""Hourly budgets in the SQLite file: what has started, and who waits before whom."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from shared.errors import UnreadableRowError
from shared.ledger.database import Database
from shared.ledger.limits import HOLDING_BACK, OVERDUE, count_recent, free_at, minute_of, oldest_that_counts
from shared.ledger.rows import alerting, from_time_text, read_waiting, to_time_text
from shared.model import AcceptedRequest, Budget, HeldBack, RequestKey
from shared.vocabulary import Caller, RequestId

_FORGET_STARTS = "DELETE FROM budget_starts WHERE minute < ?"
_SELECT_STARTS = "SELECT minute, number FROM budget_starts WHERE budget = ?"
_COUNT_START = """
    INSERT INTO budget_starts (budget, minute, number) VALUES (?, ?, 1)
    ON CONFLICT (budget, minute) DO UPDATE SET number = number + 1
"""
_COUNT_AHEAD = """
    SELECT count(*) FROM requests WHERE waiting_budget = ? AND waiting_for IS NOT NULL AND outcome IS NULL
    AND due_at >= ? AND (accepted_at, caller, request_id) < (?, ?, ?)
"""
_LEAVE_THE_LINE = """
    UPDATE requests SET waiting_for = NULL, waiting_since = NULL, waiting_budget = NULL
    WHERE caller = ? AND request_id = ?
"""
_SELECT_HELD_BACK = """
    SELECT caller, request_id, due_at, waiting_for, waiting_since, waiting_budget FROM requests
    WHERE waiting_for IN (?, ?) AND outcome IS NULL ORDER BY accepted_at, caller, request_id LIMIT ?
"""
_LET_GO = """
    UPDATE requests SET due_at = ?
    WHERE caller = ? AND request_id = ? AND waiting_for IN (?, ?) AND outcome IS NULL RETURNING attempts
"""


class SqliteLimits:
    """The part of the ledger that counts what starts within an hour; see `shared.ports.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count_start(
        self, budget: Budget, accepted: AcceptedRequest, limit: int, now: datetime
    ) -> datetime | None:
        """Count one more start, take the request out of its line and return None, or return when its turn comes."""

        def count_unless_full(connection: Connection) -> datetime | None:
            connection.execute(_FORGET_STARTS, (oldest_that_counts(now),))
            at = _turn_of(connection, budget, accepted, limit, now)
            if at is None:
                connection.execute(_COUNT_START, (str(budget), minute_of(now)))
                connection.execute(_LEAVE_THE_LINE, (accepted.key.caller, accepted.key.request_id))
            return at

        return await self._database.write(count_unless_full)

    async def may_start_at(
        self, budget: Budget, accepted: AcceptedRequest, limit: int, now: datetime
    ) -> datetime | None:
        """Return when its turn comes; None when it may start now. Counts nothing."""
        return await self._database.read(lambda connection: _turn_of(connection, budget, accepted, limit, now))

    async def held_back(self, limit: int) -> tuple[HeldBack, ...]:
        """Return up to `limit` requests that a pause or an hourly limit holds back, in the order of acceptance."""
        found = await self._fetch_all(_SELECT_HELD_BACK, (*HOLDING_BACK, limit))
        held: list[HeldBack] = []
        for caller, request_id, due_at, *columns in found:
            with suppress(UnreadableRowError), alerting(requestId=request_id, caller=caller):
                if waiting := read_waiting(*columns):
                    key = RequestKey(Caller(caller), RequestId(request_id))
                    held.append(HeldBack(key, from_time_text(due_at), waiting))
        return tuple(held)

    async def let_go(self, key: RequestKey, at: datetime) -> bool:
        """Remember that a request which is held back is taken up then; False where nothing holds it back any more."""
        values = (to_time_text(at), key.caller, key.request_id, *HOLDING_BACK)
        return bool(await self._database.write(lambda connection: connection.execute(_LET_GO, values).fetchall()))

    async def count_started(self, budget: Budget, now: datetime) -> int:
        """Return how many starts of the last hour a budget counts."""
        return count_recent(dict(await self._fetch_all(_SELECT_STARTS, (str(budget),))), now)

    async def _fetch_all(self, query: str, values: Sequence[str | int]) -> list[Any]:
        return await self._database.read(lambda connection: connection.execute(query, values).fetchall())


def _turn_of(
    connection: Connection, budget: Budget, accepted: AcceptedRequest, limit: int, now: datetime
) -> datetime | None:
    """Return when the request may start; None when it may now."""
    starts = dict(connection.execute(_SELECT_STARTS, (str(budget),)).fetchall())
    place = (to_time_text(accepted.accepted_at), accepted.key.caller, accepted.key.request_id)
    (ahead,) = connection.execute(_COUNT_AHEAD, (str(budget), to_time_text(now - OVERDUE), *place)).fetchone()
    return free_at(starts, limit, now, ahead)
