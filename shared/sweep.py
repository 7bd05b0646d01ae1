"""What is done by the clock: finding requests whose resume or report got lost, and forgetting what is old."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from shared.endings import Endings
from shared.errors import Later, UnreadableRowError
from shared.logs import alert, log
from shared.model import AcceptedRequest, RequestKey
from shared.patience import LOST_AFTER, PATIENCE, next_try_at
from shared.ports import Bus, Clock, Ledger

RESUMES_AT_ONCE = 200
KEPT_FOR = timedelta(days=400)
PURGED_AT_ONCE = 500
PURGES_A_DAY = 40
LOST = "lost"


@dataclass(frozen=True)
class Sweep:
    """Keeps the ledger in order. Each raises LedgerUnavailableError, `resume_the_lost` BusUnavailableError too."""

    ledger: Ledger
    bus: Bus
    clock: Clock
    endings: Endings

    async def resume_the_lost(self) -> int:
        """Send a resume for requests that should have gone on, or been reported, long ago; return how many it found.

        A second call finds them again only when they are late again. Being found counts as an attempt, so what fails
        for a reason that nobody has foreseen is tried ever more seldom, and has failed at the end of patience.
        """
        keys = await self.ledger.unfinished(self.clock.now() - LOST_AFTER, RESUMES_AT_ONCE)
        if keys:
            alert("resumedLost", result=f"{len(keys)} requests")
        for key in keys:
            with suppress(UnreadableRowError):  # the ledger alerts of it: the others do not wait for it
                await self._resume(key)
        return len(keys)

    async def _resume(self, key: RequestKey) -> None:
        log("resumedLost", logging.WARNING, requestId=key.request_id, caller=key.caller)
        row = await self.ledger.read(key)
        if row is None or (row.outcome is None and await self._has_given_up(row)):
            return
        now = self.clock.now()
        attempts = await self.ledger.count_attempt(key)
        at = now if attempts == 1 or row.outcome else next_try_at(Later(LOST), attempts - 1, now, 0)
        await self.bus.schedule_resume(key, at)
        await self.ledger.expect(key, at)

    async def _has_given_up(self, row: AcceptedRequest) -> bool:
        """End it as failed once patience is at its end; not while another worker is at it."""
        if self.clock.now() - row.patient_since < PATIENCE:
            return False
        try:
            await self.endings.end_as_failed(row, LOST)
        except Later:
            return False
        return True

    async def purge(self) -> int:
        """Forget what was accepted over 400 days ago, a bounded number a day; return how many requests."""
        before, purged = self.clock.now() - KEPT_FOR, 0
        for _ in range(PURGES_A_DAY):
            number = await self.ledger.purge(before, PURGED_AT_ONCE)
            purged += number
            if number < PURGED_AT_ONCE:
                break
        log("purged", result=f"{purged} requests")
        return purged
