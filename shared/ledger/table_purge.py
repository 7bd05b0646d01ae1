"""Forgetting what is old in Azure Table Storage; what was written again since it was looked for is kept.

So is what cannot be read: somebody has to look at it.
"""

from contextlib import suppress
from datetime import datetime

from shared.errors import UnreadableRowError
from shared.ledger.rows import alerting, to_time_text
from shared.ledger.table_rows import FORGOTTEN_BY_AGE, complete, is_same_run, run_keys
from shared.ledger.tables import ETAG, REQUESTS, USERS, Row, Tables
from shared.model import RequestKey
from shared.vocabulary import Caller, RequestId

_REPORTED = "accepted_at lt @before and reported eq @yes"
_OLD_RUNS = "RowKey ge 'run:' and RowKey lt 'run;' and Timestamp lt @before"


async def purge(tables: Tables, before: datetime, limit: int) -> int:
    """Forget requests accepted before that, with all that hangs on them, `limit` at most; return how many."""
    for table, condition in FORGOTTEN_BY_AGE:
        for row in await tables.query(table, f"{condition} and Timestamp lt @before", {"before": before}, limit):
            await tables.delete_as_found(table, [row])
    purged = 0
    for row in await tables.query(REQUESTS, _REPORTED, {"before": to_time_text(before), "yes": True}, limit):
        purged += await _purge_request(tables, row)
    await _purge_left_runs(tables, before, limit)
    return purged


async def _purge_request(tables: Tables, row: Row) -> bool:
    """Forget one request and its run, unless it has begun anew just now."""
    user_id = row.get("user_id")
    names = run_keys(RequestKey(Caller(row["RowKey"]), RequestId(row["PartitionKey"]))) if user_id else ()
    runs = [found for name in names if (found := await tables.get(USERS, str(user_id), name))]
    if not await tables.delete_as_found(REQUESTS, [row]):
        return False
    if runs:
        await tables.delete_as_found(USERS, [found.row | {ETAG: found.etag} for found in runs])
    return True


async def _purge_left_runs(tables: Tables, before: datetime, limit: int) -> None:
    """Forget the old evidence and outcomes of runs whose request has been run again since, or is gone."""
    for row in await tables.query(USERS, _OLD_RUNS, {"before": before}, limit):
        with suppress(UnreadableRowError):
            if await _is_left(tables, row):
                await tables.delete_as_found(USERS, [row])


async def _is_left(tables: Tables, row: Row) -> bool:
    """Whether no request has this run any more; alert and raise UnreadableRowError where that cannot be told."""
    request_id, caller = row.get("request_id"), row.get("caller")
    with alerting(userId=row["PartitionKey"], code="run"):
        if not (isinstance(request_id, str) and isinstance(caller, str)):
            raise UnreadableRowError
        found = await tables.get(REQUESTS, request_id, caller)
        if found is None:
            return True
        request = complete(found.row)
        return not is_same_run(request, row) or request.get("user_id") != row["PartitionKey"]
