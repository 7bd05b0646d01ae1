"""Hourly limits: what may start now, and what waits in which line."""

from dataclasses import dataclass

from shared.errors import HeldBackError
from shared.model import AcceptedRequest, Budget
from shared.policy import Policy
from shared.ports import Clock, Ledger
from shared.vocabulary import BudgetKind, WaitingFor

DRY_RUNS_A_RESET = 10  # a dry run changes nothing, but it reads as much as a reset


@dataclass(frozen=True)
class Budgets:
    """Counts starts against the policy's hourly limits, and an operator's in their place."""

    policy: Policy
    ledger: Ledger
    clock: Clock

    async def limit_of(self, kind: BudgetKind) -> int:
        """Return how many of a kind one caller may start within an hour now; raise LedgerUnavailableError."""
        if kind is BudgetKind.PRIVILEGED:
            return self.policy.limits.privileged_per_hour
        control = await self.ledger.read_control()
        resets = control.limit(self.policy.limits.resets_per_hour, self.clock.now())
        return resets * DRY_RUNS_A_RESET if kind is BudgetKind.DRY_RUNS else resets

    async def wait_for_its_turn(self, accepted: AcceptedRequest, *, dry_run: bool) -> None:
        """Raise HeldBackError for a dry run, and for what waits in a line already, until its turn comes; count nothing.

        Asked before anything is read of the user: a thousand that wait must not read the directory a thousand times,
        and reading is all that a dry run does. A reset may be covered, for which it need not wait.
        """
        if accepted.evidence:
            return
        if accepted.waiting and accepted.waiting.budget:
            await self._raise_until_its_turn(accepted.waiting.budget, accepted)
        if dry_run:
            await self._raise_until_its_turn(Budget(accepted.key.caller, BudgetKind.DRY_RUNS), accepted)

    async def count_start(self, accepted: AcceptedRequest, *kinds: BudgetKind) -> None:
        """Count a start of each of these kinds; raise HeldBackError, and count nothing, where one is used up."""
        budgets = [Budget(accepted.key.caller, kind) for kind in kinds]
        for budget in budgets[1:]:
            await self._raise_until_its_turn(budget, accepted)
        for budget in budgets:
            now = self.clock.now()
            at = await self.ledger.count_start(budget, accepted, await self.limit_of(budget.kind), now)
            if at:
                raise HeldBackError(WaitingFor.HOURLY_LIMIT, at, str(budget))

    async def _raise_until_its_turn(self, budget: Budget, accepted: AcceptedRequest) -> None:
        limit = await self.limit_of(budget.kind)
        if at := await self.ledger.may_start_at(budget, accepted, limit, self.clock.now()):
            raise HeldBackError(WaitingFor.HOURLY_LIMIT, at, str(budget))
