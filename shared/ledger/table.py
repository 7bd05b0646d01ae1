"""The ledger in Azure Table Storage: for all instances of the app, kept across them.

`Requests` holds one row a request: partition the request id, row the caller. It is an index: what was found and done,
and how it ended, is in its user's partition of `Users`, beside the claim and what that user's resets cover, so that one
transaction keeps it all. The partition `~open` of `Requests` names what has not ended and been reported,
`~children:<id>` what a body was split into. `Control` holds what concerns everybody.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.errors import ClaimLostError, UnreadableRowError
from shared.ledger.holding import CLAIM_LASTS, RENEW_EVERY_SECONDS, HeldClaim
from shared.ledger.rows import control_from_json, control_to_json, outcome_to_json, to_time_text
from shared.ledger.table_claims import TableClaims
from shared.ledger.table_limits import TableLimits
from shared.ledger.table_purge import purge
from shared.ledger.table_requests import TRIES, TableRequests, changing
from shared.ledger.table_rows import (
    CHILDREN,
    OPEN,
    THE_CONTROL,
    is_same_run,
    keys_of,
    mark_key,
    mark_row,
    open_key,
    open_row,
    read_children,
    read_open,
    request_row,
    run_name,
    waiting_row,
)
from shared.ledger.tables import CONTROL, PREFIX, REQUESTS, USERS, Row, Tables, keys, read_text, write_text
from shared.model import MALFORMED, AcceptedRequest, Control, Outcome, RequestKey, Waiting
from shared.vocabulary import Caller, Mark, RequestId, UserId

if TYPE_CHECKING:
    from azure.data.tables.aio import TableServiceClient

STRAY_FOR = timedelta(hours=1)


class TableLedger(TableLimits):
    """`shared.ports.Ledger` in tables whose names begin with `prefix`.

    `connect` makes the client, on the loop that uses it, with the SDK's own retries off. Its clock, by which claims
    expire after `claim_lasts`, is the store's. The tables are created at first use unless `may_create` is False.
    """

    def __init__(
        self,
        connect: "Callable[[], TableServiceClient]",
        *,
        prefix: str = PREFIX,
        renew_every_seconds: float = RENEW_EVERY_SECONDS,
        claim_lasts: timedelta = CLAIM_LASTS,
        may_create: bool = True,
    ) -> None:
        tables = Tables(connect, prefix, may_create=may_create)
        super().__init__(tables, TableRequests(tables))
        self._claims = TableClaims(self._tables, self._requests, claim_lasts)
        self._renew_every_seconds = renew_every_seconds

    async def accept(self, offered: AcceptedRequest) -> AcceptedRequest:
        """Keep `offered`, or return what is kept already under its key (a second call does that), in one step."""
        row, index = request_row(offered), open_row(offered.key, offered.run, offered.due_at, offered.accepted_at)
        # First the index of what is open: a request that is not in it would not be found, should its message get lost.
        indexed = await self._tables.insert(REQUESTS, index)
        if not await self._tables.insert(REQUESTS, row):
            return await self._requests.read(offered.key)
        if not indexed:  # what was there may have been swept away as a stray just now
            await self._tables.put(REQUESTS, index)
        return offered

    async def read(self, key: RequestKey) -> AcceptedRequest | None:
        """Return what is kept under `key`, with evidence and outcome; None when there is nothing."""
        found = await self._tables.get(REQUESTS, key.request_id, key.caller)
        return await self._requests.compose(found.row) if found else None

    async def find(self, request_id: RequestId) -> AcceptedRequest | None:
        """Return the request of that id that was accepted last, whoever asked for it; None when there is none."""
        rows = await self._tables.query(REQUESTS, "PartitionKey eq @id", {"id": request_id})
        unreadable: UnreadableRowError | None = None
        for row in sorted(rows, key=_place_of, reverse=True):
            try:
                return await self._requests.compose(row)
            except UnreadableRowError as error:
                unreadable = error
        if unreadable:
            raise unreadable
        return None

    async def restart(self, offered: AcceptedRequest, ended: AcceptedRequest) -> AcceptedRequest:
        """Replace the run that `ended` by a fresh one; return what is kept now: another worker may be faster."""
        fresh = replace(offered, run=ended.run + 1, attempts=0, evidence=None, outcome=None, reported=False)
        for _ in range(TRIES):
            found = await self._requests.get(fresh.key)
            if not is_same_run(found.row, run_name(ended)):
                return await self._requests.compose(found.row)
            await self._tables.put(REQUESTS, open_row(fresh.key, fresh.run, fresh.due_at, fresh.accepted_at))
            # The last run's evidence and outcome stay with its user until they are overwritten or purged.
            if await self._tables.replace(REQUESTS, request_row(fresh), found.etag):
                return fresh
        raise changing()

    async def count_attempt(self, key: RequestKey) -> int:
        """Add one to the attempts and return their number. A second call counts again."""
        row = await self._requests.change(key, lambda row: {"attempts": int(row["attempts"]) + 1})
        return int(row["attempts"])

    async def expect(
        self,
        key: RequestKey,
        at: datetime,
        *,
        waiting: Waiting | None = None,
        patient_since: datetime | None = None,
    ) -> None:
        """Remember when it will be taken up next, what it waits for, and since when patience counts."""
        since = {"patient_since": to_time_text(patient_since)} if patient_since else {}
        changes = {"due_at": to_time_text(at)} | waiting_row(waiting) | since
        row = await self._requests.change(key, lambda _: changes)
        # Merged, not put: one that has ended and was reported meanwhile is among those that are open no more.
        await self._tables.merge(REQUESTS, open_row(key, row["run"], at, row["accepted_at"], waiting))

    async def resolve(self, accepted: AcceptedRequest, user_id: UserId) -> UserId:
        """Remember which user this run means, unless that is remembered already; return who it is."""

        def keep_the_first(row: Row) -> Row:
            if not is_same_run(row, run_name(accepted)):
                raise ClaimLostError
            return {"resolved_id": row.get("resolved_id") or user_id}

        return UserId((await self._requests.change(accepted.key, keep_the_first))["resolved_id"])

    async def write_outcome(self, accepted: AcceptedRequest, outcome: Outcome) -> Outcome:
        """Keep how a run without a claim ended, unless that is kept already; return what is."""
        text = outcome_to_json(outcome)
        await self._requests.leave_the_line(accepted)
        for _ in range(TRIES):
            found = await self._requests.get(accepted.key)
            kept = await self._requests.compose(found.row)
            if kept.run != accepted.run or (kept.evidence and not kept.outcome):
                raise ClaimLostError
            if kept.outcome:
                return kept.outcome
            row = keys_of(accepted.key) | write_text("outcome", text)
            if await self._tables.merge(REQUESTS, row, found.etag):
                return outcome
        raise changing()

    async def mark_reported(self, key: RequestKey, run: int) -> None:
        """Remember that everybody who is told has been told how that run ended; a second call changes nothing."""
        row = await self._requests.change(key, lambda row: {"reported": row["run"] == run or row["reported"]})
        if row["run"] == run:
            await self._tables.delete(REQUESTS, OPEN, open_key(key, run))

    async def unfinished(self, due_before: datetime, limit: int) -> tuple[RequestKey, ...]:
        """Return up to `limit` requests that were due earlier than that and have not ended, or were not reported."""
        values = {"open": OPEN, "before": to_time_text(due_before)}
        rows = await self._tables.query(REQUESTS, "PartitionKey eq @open and due_at lt @before", values)
        unfinished: list[RequestKey] = []
        for row in sorted(rows, key=lambda row: str(row["due_at"])):
            if len(unfinished) >= limit:
                break
            try:
                key, run = read_open(row)
                kept = await self.read(key)
            except UnreadableRowError:  # which must not keep the others waiting
                continue
            if kept and kept.run == run and not (kept.outcome and kept.reported):
                unfinished.append(key)
            # What has ended does not begin again, but for a run of its own; else it is being accepted just now.
            elif (kept and kept.run >= run) or row["due_at"] < to_time_text(due_before - STRAY_FOR):
                await self._tables.delete_as_found(REQUESTS, [row])
        return tuple(unfinished)

    # --- What concerns more than one request --------------------------------------------------------------------

    async def add_children(self, parent: RequestKey, children: tuple[RequestId, ...]) -> None:
        """Remember which requests of the same caller one body was split into; a second call adds what is new."""
        place = keys(f"{CHILDREN}{parent.request_id}", parent.caller)
        for _ in range(TRIES):
            found = await self._tables.get(REQUESTS, place["PartitionKey"], place["RowKey"])
            known = read_children(found.row) if found else []
            both = list(dict.fromkeys([*known, *children]))
            if both == known:
                return
            if await self._tables.write_if(REQUESTS, place | write_text("children", json.dumps(both)), found):
                return
        raise changing()

    async def find_children(self, parent: RequestId) -> tuple[RequestKey, ...]:
        """Return the children of every parent of that id, whoever asked, in the order in which they were added."""
        rows = await self._tables.query(REQUESTS, "PartitionKey eq @parent", {"parent": f"{CHILDREN}{parent}"})
        return tuple(
            RequestKey(Caller(row["RowKey"]), RequestId(child)) for row in rows for child in read_children(row)
        )

    async def read_control(self) -> Control:
        """Return what the operator has set; an empty one where nothing is."""
        found = await self._tables.get(CONTROL, THE_CONTROL, THE_CONTROL)
        return control_from_json(read_text("control", found.row) if found else None)

    async def change_control(self, change: Callable[[Control], Control]) -> Control:
        """Replace it by what `change` makes of it, in one step; return that."""
        for _ in range(TRIES):
            found = await self._tables.get(CONTROL, THE_CONTROL, THE_CONTROL)
            control = change(control_from_json(read_text("control", found.row) if found else None))
            row = keys(THE_CONTROL, THE_CONTROL) | write_text("control", control_to_json(control))
            if await self._tables.write_if(CONTROL, row, found):
                return control
        raise changing()

    async def purge(self, before: datetime, limit: int) -> int:
        """Forget requests accepted before that, with all that hangs on them, `limit` at most; return how many."""
        return await purge(self._tables, before, limit)

    # --- What concerns one user ---------------------------------------------------------------------------------

    async def remember(self, user_id: UserId, mark: Mark, text: str) -> None:
        """Keep what later requests have to know of what was done to a user; a second call replaces the text."""
        await self._tables.put(USERS, mark_row(user_id, mark, text))

    async def recall(self, user_id: UserId, mark: Mark) -> str | None:
        """Return what is kept under `mark`; None when there is nothing."""
        found = await self._tables.get(USERS, user_id, mark_key(mark))
        return read_text("text", found.row) if found else None

    async def forget(self, user_id: UserId, mark: Mark) -> None:
        """Keep it no longer; a second call changes nothing."""
        await self._tables.delete(USERS, user_id, mark_key(mark))

    def claim(self, user_id: UserId) -> HeldClaim:
        """Hold the claim on a user: see `shared.ports.Ledger.claim` and `HeldClaim`."""
        return HeldClaim(self._claims, user_id, self._renew_every_seconds)

    async def close(self) -> None:
        """Close the connections; nothing is called afterwards."""
        await self._tables.close()


def _place_of(row: Row) -> tuple[bool, str]:
    """Put requests of one id in the order of acceptance, and before them what is malformed."""
    return row.get("fingerprint") != MALFORMED, str(row.get("accepted_at"))
