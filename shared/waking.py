"""Letting go on what a pause or an hourly limit held back, once it holds no more."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched

from shared.budgets import Budgets
from shared.errors import UnreadableRowError
from shared.logs import log
from shared.model import Budget, HeldBack, RequestKey
from shared.ports import Bus, Clock, Ledger

LOOKED_AT = 20_000  # of all callers: one with a long line must not hide the others
WOKEN_AT_ONCE = 500
ROWS_AT_ONCE = 10
SOON = timedelta(minutes=1)  # what is due within it comes by itself
LATE = timedelta(minutes=2)  # what is due for longer than that has lost its resume


@dataclass(frozen=True)
class Waker:
    """Schedules resumes of what may go on."""

    ledger: Ledger
    bus: Bus
    clock: Clock
    budgets: Budgets

    async def wake(self) -> int:
        """Let go on what a pause held back and, in the order of acceptance, what the hourly limits leave room for.

        Return how many. Called twice a minute, so that an operator who lifts a pause or raises a limit waits no longer;
        a second call wakes nobody again within two minutes. Raises LedgerUnavailableError and BusUnavailableError.
        """
        now = self.clock.now()
        if (await self.ledger.read_control()).is_paused(now):
            return 0
        free: dict[Budget, int] = {}
        may_go_on = [held for held in await self.ledger.held_back(LOOKED_AT) if await self._may_go_on(held, free)]
        woken = [held for held in may_go_on if not now - LATE <= held.due_at <= now + SOON][:WOKEN_AT_ONCE]
        let_go: list[RequestKey] = []
        for batch in batched(woken, ROWS_AT_ONCE, strict=False):
            let_go += filter(None, await asyncio.gather(*(self._let_go(held.key, now) for held in batch)))
        if let_go:
            log("woken", result=f"{len(let_go)} requests")
            await self.bus.schedule_resumes(let_go, now)
        return len(let_go)

    async def _let_go(self, key: RequestKey, now: datetime) -> RequestKey | None:
        """Expect its resume before that is sent, or it would be dropped as superseded; None where it waits no more."""
        with suppress(UnreadableRowError):  # the ledger alerts of it: the others do not wait for it
            return key if await self.ledger.let_go(key, now) else None
        return None

    async def _may_go_on(self, held: HeldBack, free: dict[Budget, int]) -> bool:
        """Take a place of what is free in its line; what has begun already needs none."""
        budget = held.waiting.budget
        if budget is None:
            return True
        if budget not in free:
            started = await self.ledger.count_started(budget, self.clock.now())
            free[budget] = await self.budgets.limit_of(budget.kind) - started
        free[budget] -= 1
        return free[budget] >= 0
