"""Hourly budgets in Azure Table Storage: what has started, and who waits before whom."""

import asyncio
import json
import random
from contextlib import suppress
from datetime import datetime

from shared.errors import UnreadableRowError
from shared.ledger.limits import HOLDING_BACK, OVERDUE, count_recent, free_at, minute_of
from shared.ledger.rows import to_time_text
from shared.ledger.table_requests import TRIES, TableRequests, changing
from shared.ledger.table_rows import OPEN, STARTS, open_key, read_held_back, read_starts
from shared.ledger.tables import CONTROL, REQUESTS, Row, Tables, keys, write_text
from shared.model import AcceptedRequest, Budget, HeldBack, RequestKey

_AHEAD = (
    "PartitionKey eq @open and waiting_budget eq @budget and due_at ge @overdue and accepted_at le @accepted_at "
    "and waiting_for ne @nothing"
)
_HELD_BACK = "PartitionKey eq @open and (waiting_for eq @paused or waiting_for eq @limited )"


class TableLimits:
    """The part of the ledger that counts what starts within an hour; see `shared.ports.Ledger`."""

    def __init__(self, tables: Tables, requests: TableRequests) -> None:
        self._tables = tables
        self._requests = requests

    async def count_start(
        self, budget: Budget, accepted: AcceptedRequest, limit: int, now: datetime
    ) -> datetime | None:
        """Count one more start, take the request out of its line and return None, or return when its turn comes."""
        for _ in range(TRIES):
            found = await self._tables.get(CONTROL, STARTS, str(budget))
            starts = read_starts(found, now)
            if at := free_at(starts, limit, now, await self._count_ahead(budget, accepted, now)):
                return at
            starts[minute_of(now)] = starts.get(minute_of(now), 0) + 1
            row = keys(STARTS, str(budget)) | write_text("starts", json.dumps(list(starts.items())))
            if await self._tables.write_if(CONTROL, row, found):
                await self._requests.leave_the_line(accepted)
                return None
            await asyncio.sleep(random.uniform(0, 0.2))  # noqa: S311 - keeps workers apart, no secret
        raise changing()

    async def may_start_at(
        self, budget: Budget, accepted: AcceptedRequest, limit: int, now: datetime
    ) -> datetime | None:
        """Return when its turn comes; None when it may start now. Counts nothing."""
        starts = read_starts(await self._tables.get(CONTROL, STARTS, str(budget)), now)
        return free_at(starts, limit, now, await self._count_ahead(budget, accepted, now))

    async def held_back(self, limit: int) -> tuple[HeldBack, ...]:
        """Return up to `limit` requests that a pause or an hourly limit holds back, in the order of acceptance."""
        paused, limited = HOLDING_BACK
        values = {"open": OPEN, "paused": paused.value, "limited": limited.value}
        rows = sorted(await self._tables.query(REQUESTS, _HELD_BACK, values), key=_place)
        held: list[HeldBack] = []
        for row in rows[:limit]:
            with suppress(UnreadableRowError):  # which must not keep the others waiting
                held += filter(None, [read_held_back(row)])
        return tuple(held)

    async def let_go(self, key: RequestKey, at: datetime) -> bool:
        """Remember that a request which is held back is taken up then; False where nothing holds it back any more."""
        due = {"due_at": to_time_text(at)}
        row = await self._requests.change(key, lambda row: due if row.get("waiting_for") in HOLDING_BACK else {})
        return row.get("waiting_for") in HOLDING_BACK and await self._tables.merge(
            REQUESTS, keys(OPEN, open_key(key, row["run"])) | due
        )

    async def count_started(self, budget: Budget, now: datetime) -> int:
        """Return how many starts of the last hour a budget counts."""
        return count_recent(read_starts(await self._tables.get(CONTROL, STARTS, str(budget)), now), now)

    async def _count_ahead(self, budget: Budget, accepted: AcceptedRequest, now: datetime) -> int:
        """Count those that wait in the line with an earlier acceptance and are not overdue."""
        accepted_at = to_time_text(accepted.accepted_at)
        values = {
            "open": OPEN,
            "budget": str(budget),
            "overdue": to_time_text(now - OVERDUE),
            "accepted_at": accepted_at,
            "nothing": "",
        }
        own = (accepted_at, str(accepted.key.caller), str(accepted.key.request_id))
        return sum(_place(row) < own for row in await self._tables.query(REQUESTS, _AHEAD, values))


def _place(row: Row) -> tuple[str, str, str]:
    return str(row.get("accepted_at")), str(row.get("caller")), str(row.get("request_id"))
