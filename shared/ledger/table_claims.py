"""Claims in Azure Table Storage, and what is kept under one: a user's partition holds it all, for one transaction.

A claim is judged by the store's own clock: when it wrote the row (Timestamp) against when it answers (Date), which has
whole seconds, cut: a claim expires up to a second late, never early.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import timedelta

from shared.errors import ClaimHeldError, ClaimLostError, LedgerUnavailableError
from shared.ledger.rows import (
    coverages_from_json,
    coverages_to_json,
    evidence_to_json,
    outcome_to_json,
    with_coverage,
)
from shared.ledger.table_requests import TableRequests
from shared.ledger.table_rows import is_same_run, mark_row, run_keys, run_name, run_row
from shared.ledger.tables import USERS, Change, Row, Tables, keys, read_text, write_text
from shared.model import AcceptedRequest, Coverage, Evidence, Outcome, RequestKey
from shared.vocabulary import Mark, UserId

CLAIM, COVERAGES = "claim", "coverages"
_TRIES = 4


class TableClaims:
    """`shared.ledger.holding.ClaimStore`. A call that is cancelled is waited for: it must not take effect later on."""

    def __init__(self, tables: Tables, requests: TableRequests, lasts: timedelta) -> None:
        self._tables = tables
        self._requests = requests
        self._lasts = lasts
        self._etags: dict[str, str | None] = {}  # of the claims held here, by holder
        self._bound: dict[str, set[tuple[RequestKey, int]]] = {}  # requests whose row names the user, by holder

    async def acquire(self, user_id: UserId, holder: str) -> None:
        """Write `holder` where there is no row or an expired one; else raise ClaimHeldError."""
        await _to_the_end(self._acquire(user_id, holder))

    async def renew(self, user_id: UserId, holder: str) -> None:
        """Make it last from now where the row names `holder`, expired or not; else raise ClaimLostError."""
        await _to_the_end(self._write_under(user_id, holder, "replace", []))

    async def release(self, user_id: UserId, holder: str) -> None:
        """Remove the row where it names `holder`; else, and on a second call, change nothing."""
        await _to_the_end(self._release(user_id, holder))

    async def write_evidence(self, user_id: UserId, holder: str, accepted: AcceptedRequest, evidence: Evidence) -> None:
        """Do as `renew` does, and keep the evidence, in one step."""
        _, row_key = run_keys(accepted.key)
        row = run_row(user_id, accepted, row_key) | write_text("evidence", evidence_to_json(evidence))
        await _to_the_end(self._write_run(user_id, holder, accepted, row))

    async def write_marks(self, user_id: UserId, holder: str, marks: Mapping[Mark, str | None]) -> None:
        """Do as `renew` does, and keep these marks, in one step; a row without a text is as good as none."""
        changes: list[Change] = [("put", mark_row(user_id, mark, text), None) for mark, text in marks.items()]
        await _to_the_end(self._write_under(user_id, holder, "replace", changes))

    async def read_coverages(self, user_id: UserId) -> tuple[Coverage, ...]:
        """Return what the last resets of the user cover, the newest first."""
        found = await self._tables.get(USERS, user_id, COVERAGES)
        return coverages_from_json(read_text("coverages", found.row) if found else None, user_id)

    async def end(
        self, user_id: UserId, holder: str, accepted: AcceptedRequest, outcome: Outcome, coverage: Coverage | None
    ) -> None:
        """Keep outcome and coverage and remove the row where it names `holder`, in one step; else ClaimLostError."""
        row_key, _ = run_keys(accepted.key)
        row = run_row(user_id, accepted, row_key) | write_text("outcome", outcome_to_json(outcome))
        await self._requests.leave_the_line(accepted)
        changes: list[Change] = [("put", row, None)]
        if coverage:
            covered = coverages_to_json(with_coverage(await self.read_coverages(user_id), coverage))
            changes.append(("put", keys(user_id, COVERAGES) | write_text("coverages", covered), None))
        await _to_the_end(self._end(user_id, holder, accepted, changes))

    async def _acquire(self, user_id: UserId, holder: str) -> None:
        row = keys(user_id, CLAIM) | {"holder": holder}
        for _ in range(_TRIES):
            if await self._tables.insert(USERS, row):
                return
            found = await self._tables.get(USERS, user_id, CLAIM)
            if found is None:
                continue
            if found.row.get("holder") == holder:  # written by a call whose answer was lost
                return
            expires_at = found.written_at + self._lasts
            if found.answered_at < expires_at:
                raise ClaimHeldError(expires_at)
            if await self._tables.replace(USERS, row, found.etag):
                return
        raise LedgerUnavailableError("Many workers want the same user at once.")

    async def _release(self, user_id: UserId, holder: str) -> None:
        self._bound.pop(holder, None)
        try:
            await self._write_under(user_id, holder, "delete", [])
        except ClaimLostError:
            self._etags.pop(holder, None)

    async def _end(self, user_id: UserId, holder: str, accepted: AcceptedRequest, changes: list[Change]) -> None:
        _, row, _ = changes[0]
        await self._begin(user_id, holder, accepted, row)
        await self._write_under(user_id, holder, "delete", changes)

    async def _write_run(self, user_id: UserId, holder: str, accepted: AcceptedRequest, row: Row) -> None:
        """Write what a run found."""
        if not await self._begin(user_id, holder, accepted, row):
            await self._write_under(user_id, holder, "replace", [("put", row, None)])

    async def _begin(self, user_id: UserId, holder: str, accepted: AcceptedRequest, row: Row) -> bool:
        """Let the request's row name the user, once for each holder and run; return whether `row` was written for it.

        What a run found, or how it ended, is written before, and before anything is changed: a row that names a user
        has something in that user's partition. What a try left there that never came so far is overwritten.
        """

        def bind(kept: Row) -> Row:
            _check(kept, user_id, accepted)
            return {"user_id": user_id}

        begun = self._bound.setdefault(holder, set())
        if (accepted.key, accepted.run) in begun:
            return False
        request = _check((await self._requests.get(accepted.key)).row, user_id, accepted)
        is_first = "user_id" not in request
        if is_first:
            rows = {name: run_row(user_id, accepted, name) for name in run_keys(accepted.key)} | {row["RowKey"]: row}
            await self._write_under(user_id, holder, "replace", [("put", each, None) for each in rows.values()])
            await self._requests.change(accepted.key, bind)
        elif await self._has_ended(user_id, accepted):
            raise ClaimLostError
        begun.add((accepted.key, accepted.run))
        return is_first

    async def _has_ended(self, user_id: UserId, accepted: AcceptedRequest) -> bool:
        """Whether an outcome is kept of a run whose request names the user: then what is there is of that run."""
        row_key, _ = run_keys(accepted.key)
        found = await self._tables.get(USERS, user_id, row_key)
        return found is not None and read_text("outcome", found.row) is not None

    async def _write_under(self, user_id: UserId, holder: str, claim: str, changes: list[Change]) -> None:
        """Renew the claim, or delete it, together with `changes`; ClaimLostError where it is not `holder`'s.

        Another etag than we know is ours too where an earlier call's answer was lost.
        """
        row = keys(user_id, CLAIM) | {"holder": holder}
        for _ in range(_TRIES):
            etag = self._etags.pop(holder, None) or await self._etag_of(user_id, holder)
            kind: Change = ("delete", row, etag) if claim == "delete" else ("replace", row, etag)
            etags = await self._tables.transact(USERS, [kind, *changes])
            if etags is not None:
                if claim != "delete":
                    self._etags[holder] = etags[0]
                return
        raise LedgerUnavailableError("The claim changes all the time.")

    async def _etag_of(self, user_id: UserId, holder: str) -> str:
        found = await self._tables.get(USERS, user_id, CLAIM)
        if found is None or found.row.get("holder") != holder:
            raise ClaimLostError
        return found.etag


def _check(request: Row, user_id: UserId, accepted: AcceptedRequest) -> Row:
    """Return a request's row; raise ClaimLostError where that run has ended without a claim, or means another user."""
    has_ended = read_text("outcome", request) is not None
    if has_ended or request.get("user_id", user_id) != user_id or not is_same_run(request, run_name(accepted)):
        raise ClaimLostError
    return request


async def _to_the_end[Result](work: Coroutine[None, None, Result]) -> Result:
    """Let what was asked of the store end, however often whoever asked is cancelled: all of it is bounded in time."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    task.exception()  # seen: nobody is left to tell
    raise cancelled
