"""Azure Table Storage over azure-data-tables: rows in, rows out, every failure one of two: unavailable, or changed.

Nothing here knows what the rows mean. The SDK's own retries are off; what is safe to repeat is repeated once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Literal

from shared.errors import LedgerMissingError, LedgerUnavailableError
from shared.ledger.rows import SCHEMA_VERSION
from shared.ledger.table_failures import explain

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient, TableServiceClient

PREFIX = "MfaReset"
REQUESTS, USERS, CONTROL = ALL_TABLES = ("Requests", "Users", "Control")
CALL_SECONDS = 8.0
TRY_SECONDS = 4.0  # of a call that is repeated, so that both together take no longer
SCAN_SECONDS = 120.0
PAUSE_SECONDS = 0.5
# A property holds 32 K UTF-16 units, and a character is two of them at most.
CHARACTERS_IN_A_PROPERTY = 16_000

type Row = dict[str, Any]
type Change = tuple[Literal["put", "replace", "delete"], Row, str | None]

ETAG = "~etag"  # beside the properties of a row that `query` returns
_GONE_OR_CHANGED = {404, 409, 412}


@dataclass(frozen=True)
class Found:
    """A row as it was read: when the store wrote it and when it answered are times of the store's own clock."""

    row: Row
    etag: str
    written_at: datetime
    answered_at: datetime


class Tables:
    """Three tables whose names begin with `prefix`, created together at first use.

    `connect` makes the client, on the loop that uses it. Needs Storage Table Data Contributor. Every method raises
    LedgerUnavailableError, which holds no content, when the store did not do it or did not say so. Without `may_create`
    nothing is created: a missing table is a LedgerMissingError.
    """

    def __init__(self, connect: "Callable[[], TableServiceClient]", prefix: str, *, may_create: bool = True) -> None:
        self._connect = connect
        self._prefix = prefix
        self._may_create = may_create
        self._client: TableServiceClient | None = None
        self._made: dict[str, TableClient] = {}

    async def get(self, table: str, partition: str, key: str) -> Found | None:
        """Read one row; None where there is none."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - 0.2 s that a cold start need not spend

        answered: list[str] = []

        async def read() -> Found | None:
            client = await self._table(table)
            try:
                entity = await client.get_entity(
                    partition, key, raw_response_hook=lambda call: answered.append(call.http_response.headers["Date"])
                )
            except ResourceNotFoundError:
                return None
            return _found(entity, parsedate_to_datetime(answered[-1]))

        return await self._repeat(read)

    async def insert(self, table: str, row: Row) -> bool:
        """Write a row where there is none; False where there is one, which may be this very one."""
        from azure.core.exceptions import ResourceExistsError  # noqa: PLC0415 - as above

        async def write() -> bool:
            client = await self._table(table)
            try:
                await client.create_entity(row)
            except ResourceExistsError:
                return False
            return True

        return await self._repeat(write)

    async def put(self, table: str, row: Row) -> None:
        """Write a row whatever is there; a second call changes nothing."""
        from azure.data.tables import UpdateMode  # noqa: PLC0415 - as above

        async def write() -> None:
            await (await self._table(table)).upsert_entity(row, mode=UpdateMode.REPLACE)

        await self._repeat(write)

    async def merge(self, table: str, row: Row, etag: str | None = None) -> bool:
        """Write some properties of a row; False where there is none, or it is not as it was at `etag` any more."""
        return await self._update(table, row, etag, merge=True)

    async def replace(self, table: str, row: Row, etag: str) -> bool:
        """Replace a row; False where there is none, or it is not as it was at `etag` any more."""
        return await self._update(table, row, etag, merge=False)

    async def write_if(self, table: str, row: Row, found: Found | None) -> bool:
        """Write a row unless another worker did since it was looked for; False where one did."""
        return await (self.replace(table, row, found.etag) if found else self.insert(table, row))

    async def delete(self, table: str, partition: str, key: str) -> None:
        """Delete a row whatever it holds; a second call changes nothing."""

        async def delete() -> None:
            await (await self._table(table)).delete_entity(partition, key)  # nothing there is fine to the SDK

        await self._repeat(delete)

    async def delete_as_found(self, table: str, rows: Iterable[Row]) -> bool:
        """Delete rows of `query`, of one partition, together; False where one was written again since, or is gone."""
        changes: list[Change] = [("delete", keys(row["PartitionKey"], row["RowKey"]), row[ETAG]) for row in rows]
        return await self.transact(table, changes) is not None

    async def transact(self, table: str, changes: Iterable[Change]) -> tuple[str | None, ...] | None:
        """Carry out changes of one partition together; return the new etags, None where one of them could not be.

        `put` writes whatever is there; `replace` and `delete` need the row to be as it was at the etag.
        """
        from azure.data.tables import TableTransactionError  # noqa: PLC0415 - as above

        operations = [_operation(*change) for change in changes]
        async with _translated(CALL_SECONDS):
            client = await self._table(table)
            try:
                answers = await client.submit_transaction(operations)
            except TableTransactionError as error:
                if error.status_code in _GONE_OR_CHANGED:
                    return None
                raise
            return tuple(answer.get("etag") for answer in answers)

    async def query(
        self, table: str, condition: str, values: Mapping[str, str | bool | datetime], limit: int | None = None
    ) -> list[Row]:
        """Return the rows that meet an OData condition, `limit` at most, each with its ETAG.

        `values` are what its `@names` stand for.
        """

        async def read() -> list[Row]:
            client, found = await self._table(table), list[Row]()
            async for entity in client.query_entities(condition, parameters=dict(values)):
                found.append({**entity, ETAG: entity.metadata["etag"]})
                if limit is not None and len(found) >= limit:
                    break
            return found

        async with _translated(SCAN_SECONDS):
            return await read()

    async def close(self) -> None:
        """Close the connections; nothing is called afterwards."""
        client, self._client = self._client, None
        self._made.clear()
        if client:
            await client.close()

    async def _update(self, table: str, row: Row, etag: str | None, *, merge: bool) -> bool:
        from azure.core import MatchConditions  # noqa: PLC0415 - as above
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError  # noqa: PLC0415 - as above
        from azure.data.tables import UpdateMode  # noqa: PLC0415 - as above

        mode = UpdateMode.MERGE if merge else UpdateMode.REPLACE
        condition = MatchConditions.IfNotModified if etag else None
        async with _translated(CALL_SECONDS):
            client = await self._table(table)
            try:
                await client.update_entity(row, mode=mode, etag=etag, match_condition=condition)
            except (ResourceModifiedError, ResourceNotFoundError):
                return False
            return True

    async def _table(self, name: str) -> "TableClient":
        """Return the client of a table that is there."""
        if name not in self._made:
            service = self._client = self._client or self._connect()
            # All at once: what is one of them is a whole ledger, which an operator can pause before its first request.
            clients = {each: service.get_table_client(f"{self._prefix}{each}") for each in ALL_TABLES}
            if self._may_create:
                await asyncio.gather(*map(_create, clients.values()))
            elif not await _is_there(clients[name]):
                raise LedgerMissingError(
                    f"There is no ledger in the storage account {service.account_name}: "
                    "the app creates it, an operator's command never does."
                )
            self._made = clients
        return self._made[name]

    async def _repeat[Result](self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Do what may be done twice, once more where it failed."""
        try:
            async with _translated(TRY_SECONDS):
                return await call()
        except LedgerUnavailableError:
            await asyncio.sleep(PAUSE_SECONDS)
        async with _translated(TRY_SECONDS):
            return await call()


async def _create(table: "TableClient") -> None:
    """Create a table; nothing where it is there."""
    from azure.core.exceptions import ResourceExistsError  # noqa: PLC0415 - as above

    with suppress(ResourceExistsError):
        await table.create_table()


async def _is_there(table: "TableClient") -> bool:
    """Return whether there is a table, by reading a row that is in none: that needs no right but to read rows."""
    from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - as above

    try:
        await table.get_entity("~", "~")
    except ResourceNotFoundError as error:
        if getattr(error, "error_code", None) == "TableNotFound":
            return False
    return True


def write_text(name: str, text: str | None) -> Row:
    """Write a text of any length as properties `<name>_0`, `<name>_1` …; none for None."""
    if text is None:
        return {}
    starts = range(0, max(len(text), 1), CHARACTERS_IN_A_PROPERTY)
    return {f"{name}_{number}": text[at : at + CHARACTERS_IN_A_PROPERTY] for number, at in enumerate(starts)}


def read_text(name: str, row: Row) -> str | None:
    """Read what `write_text` wrote; None where there is nothing."""
    parts: list[str] = []
    while (part := row.get(f"{name}_{len(parts)}")) is not None:
        parts.append(str(part))
    return "".join(parts) if parts else None


def keys(partition: str, key: str) -> Row:
    """Begin a row: its keys, and the version that writes it."""
    return {"PartitionKey": partition, "RowKey": key, "schema": SCHEMA_VERSION}


@asynccontextmanager
async def _translated(seconds: float) -> AsyncIterator[None]:
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - as above

    try:
        async with asyncio.timeout(seconds):
            yield
    # The last two for an answer that it cannot read.
    except (AzureError, OSError, TimeoutError, ValueError, HTTPException) as error:
        raise LedgerUnavailableError(f"Table Storage did not do what was asked: {explain(error)}.") from None


def _found(entity: Any, answered_at: datetime) -> Found:  # noqa: ANN401 - the SDK's entity, a dict with metadata
    metadata = entity.metadata
    return Found(dict(entity), metadata["etag"], metadata["timestamp"], answered_at)


def _operation(kind: Literal["put", "replace", "delete"], row: Row, etag: str | None) -> tuple[str, Row, Row]:
    from azure.core import MatchConditions  # noqa: PLC0415 - as above
    from azure.data.tables import UpdateMode  # noqa: PLC0415 - as above

    condition: Row = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    if kind == "put":
        return "upsert", row, {"mode": UpdateMode.REPLACE}
    if kind == "delete":
        return "delete", row, condition
    return "update", row, {"mode": UpdateMode.REPLACE, **condition}
