"""Claims in Azure Table Storage, and what is kept under one: a user's partition holds it all, for one transaction.

A claim is judged by the store's own clock: when it wrote the row (Timestamp) against when it answers (Date), which has
whole seconds, cut: a claim expires up to a second late, never early.
"""

import asyncio
import hashlib
from collections.abc import Coroutine
from datetime import timedelta

from shared.errors import ClaimHeldError, ClaimLostError, LedgerUnavailableError
from shared.ledger.rows import (
    coverages_from_json,
    coverages_to_json,
    evidence_to_json,
    outcome_to_json,
    with_coverage,
)
from shared.ledger.tables import REQUESTS, USERS, Change, Tables, keys, read_text, write_text
from shared.model import AcceptedRequest, Coverage, Evidence, Outcome, RequestKey
from shared.vocabulary import UserId

CLAIM, COVERAGES = "claim", "coverages"
_TRIES = 4


def run_keys(key: RequestKey) -> tuple[str, str]:
    """Name the rows in the user's partition that hold evidence and outcome: together they may be too long for one."""
    digest = hashlib.sha256(str(key).encode()).hexdigest()[:32]
    return f"run:{digest}:evidence", f"run:{digest}:outcome"


class TableClaims:
    """`shared.ledger.holding.ClaimStore`. A call that is cancelled is waited for: it must not take effect later on."""

    def __init__(self, tables: Tables, lasts: timedelta) -> None:
        self._tables = tables
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
        evidence_key, _ = run_keys(accepted.key)
        row = keys(user_id, evidence_key) | {"run": accepted.run} | write_text("evidence", evidence_to_json(evidence))
        await _to_the_end(self._bind_and_write(user_id, holder, accepted, "replace", [("put", row, None)]))

    async def read_coverages(self, user_id: UserId) -> tuple[Coverage, ...]:
        """Return what the last resets of the user cover, the newest first."""
        found = await self._tables.get(USERS, user_id, COVERAGES)
        return coverages_from_json(read_text("coverages", found.row) if found else None)

    async def end(
        self, user_id: UserId, holder: str, accepted: AcceptedRequest, outcome: Outcome, coverage: Coverage | None
    ) -> None:
        """Keep outcome and coverage and remove the row where it names `holder`, in one step; else ClaimLostError."""
        _, outcome_key = run_keys(accepted.key)
        row = keys(user_id, outcome_key) | {"run": accepted.run} | write_text("outcome", outcome_to_json(outcome))
        changes: list[Change] = [("put", row, None)]
        if coverage:
            covered = coverages_to_json(with_coverage(await self.read_coverages(user_id), coverage))
            changes.append(("put", keys(user_id, COVERAGES) | write_text("coverages", covered), None))
        await _to_the_end(self._bind_and_write(user_id, holder, accepted, "delete", changes))

    async def _acquire(self, user_id: UserId, holder: str) -> None:
        row = keys(user_id, CLAIM) | {"holder": holder}
        for _ in range(_TRIES):
            if await self._tables.insert(USERS, row):
                return
            found = await self._tables.get(USERS, user_id, CLAIM)
            if found is None:
                continue
            if found.row["holder"] == holder:  # written by a call whose answer was lost
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

    async def _bind_and_write(
        self, user_id: UserId, holder: str, accepted: AcceptedRequest, claim: str, changes: list[Change]
    ) -> None:
        """Let the request's row say in whose partition its evidence is, then write that."""
        bound = self._bound.setdefault(holder, set())
        if (accepted.key, accepted.run) not in bound:
            row = keys(accepted.key.request_id, accepted.key.caller) | {"user_id": user_id}
            if not await self._tables.merge(REQUESTS, row):
                raise LedgerUnavailableError("The ledger holds no request under this key.")
            bound.add((accepted.key, accepted.run))
        await self._write_under(user_id, holder, claim, changes)

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
        if found is None or found.row["holder"] != holder:
            raise ClaimLostError
        return found.etag


async def _to_the_end[Result](work: Coroutine[None, None, Result]) -> Result:
    """Let what was asked of the store end, however often whoever asked is cancelled: each call ends within seconds."""
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
