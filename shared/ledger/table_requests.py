"""The rows of requests in Azure Table Storage, and what is kept of each in its user's partition."""

from collections.abc import Callable
from dataclasses import replace

from shared.errors import LedgerUnavailableError, UnreadableRowError
from shared.ledger.rows import RequestRow, alerting, from_row
from shared.ledger.table_rows import (
    OPEN,
    OPTIONAL,
    PLAIN,
    TEXTS,
    complete,
    is_same_run,
    keys_of,
    open_key,
    run_keys,
    waiting_row,
)
from shared.ledger.tables import REQUESTS, USERS, Found, Row, Tables, keys, read_text
from shared.model import AcceptedRequest, RequestKey
from shared.vocabulary import Caller, RequestId

# What another worker changed in between is read again, and tried again.
TRIES = 20


class TableRequests:
    """One row a request; every method raises LedgerUnavailableError where there is none.

    Where it cannot be read, every method alerts and raises UnreadableRowError.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, key: RequestKey) -> Found:
        """Read the row, with what its missing properties stand for."""
        found = await self._tables.get(REQUESTS, key.request_id, key.caller)
        if found is None:
            raise LedgerUnavailableError("The ledger holds no request under this key.")
        with alerting(requestId=key.request_id, caller=key.caller):
            return replace(found, row=complete(found.row))

    async def change(self, key: RequestKey, change: Callable[[Row], Row]) -> Row:
        """Write what `change` makes of the row as it is, some properties of it; return the row with that."""
        for _ in range(TRIES):
            found = await self.get(key)
            properties = change(found.row)
            if properties.items() <= found.row.items():
                return found.row
            if await self._tables.merge(REQUESTS, keys_of(key) | properties, found.etag):
                return found.row | properties
        raise changing()

    async def leave_the_line(self, accepted: AcceptedRequest) -> None:
        """Forget what the request waits for: it starts, or ends; a second call changes nothing."""
        if accepted.waiting is None:
            return
        gone = waiting_row(None)
        await self.change(accepted.key, lambda row: gone if row["run"] == accepted.run else {})
        await self._tables.merge(REQUESTS, keys(OPEN, open_key(accepted.key, accepted.run)) | gone)

    async def read(self, key: RequestKey) -> AcceptedRequest:
        """Read the row, and what is in its user's partition."""
        return await self.compose((await self.get(key)).row)

    async def compose(self, row: Row) -> AcceptedRequest:
        """Put a request together from its row and, of the same run, what is in its user's partition."""
        key = RequestKey(Caller(row["RowKey"]), RequestId(row["PartitionKey"]))
        with alerting(requestId=key.request_id, caller=key.caller):
            return await self._compose(key, complete(row))

    async def _compose(self, key: RequestKey, row: Row) -> AcceptedRequest:
        for _ in range(TRIES):
            runs = await self._runs_of(key, row)
            if all(is_same_run(run, row) for run in runs):
                break
            row = (await self.get(key)).row  # it has begun anew between the two readings
        texts: Row = {name: read_text(name, row) for name in TEXTS}
        for run in runs:
            if is_same_run(run, row):
                texts |= {name: text for name in TEXTS if (text := read_text(name, run)) is not None}
        if texts["request"] is None:
            raise UnreadableRowError
        if row.get("user_id") and not runs:  # it has begun, and nobody knows what was done
            await self.get(key)  # unless it was forgotten between the two readings
            raise UnreadableRowError
        plain = {name: row[name] for name in PLAIN} | {name: row.get(name) or None for name in OPTIONAL}
        return from_row(RequestRow(caller=key.caller, request_id=key.request_id, **plain, **texts))

    async def _runs_of(self, key: RequestKey, row: Row) -> list[Row]:
        """Read what is in the user's partition: the outcome first, so that both were there together at some time."""
        user_id = row.get("user_id")
        names = run_keys(key) if user_id else ()
        return [found.row for name in names if (found := await self._tables.get(USERS, str(user_id), name))]


def changing() -> LedgerUnavailableError:
    """Say that others were always faster."""
    return LedgerUnavailableError("Others change this row all the time.")
