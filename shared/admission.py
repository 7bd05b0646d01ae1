"""What is settled before a request gets the claim on its user: who asks, whom it means, whether its turn has come."""

from dataclasses import dataclass

from shared import outcomes
from shared.budgets import Budgets
from shared.decide import judge_caller
from shared.lookup import find_user
from shared.model import AcceptedRequest, Budget, Outcome, Problem
from shared.pause import raise_if_paused
from shared.policy import Policy
from shared.ports import Clock, Directory, Ledger
from shared.vocabulary import BudgetKind, UserId


@dataclass(frozen=True)
class Admission:
    """Lets requests in, in this order: the caller, the user, a pause, the hourly limit."""

    policy: Policy
    directory: Directory
    ledger: Ledger
    clock: Clock
    budgets: Budgets

    async def admit(self, accepted: AcceptedRequest) -> UserId | Outcome:
        """Return the user whom the request means, or how it ends without one.

        Raises HeldBackError while a pause or an hourly limit holds it back, GraphError and LedgerUnavailableError. A
        second call asks the directory no more: whom the request means is kept before anything can hold it back.
        """
        if not accepted.evidence and (ended := self._end_unasked(accepted)):
            return ended
        user_id = await self._resolve(accepted)
        if isinstance(user_id, Problem):
            return outcomes.invalid(accepted, (user_id,), self.clock.now())
        await raise_if_paused(self.ledger, self.clock, self._line_of(accepted))
        await self.budgets.wait_for_its_turn(accepted, dry_run=self._is_dry_run(accepted))
        return user_id

    def _end_unasked(self, accepted: AcceptedRequest) -> Outcome | None:
        """End what this caller may not ask for before the directory is asked, so that nobody learns from it."""
        if gone := missing_profile(accepted, self.policy):
            return outcomes.invalid(accepted, (gone,), self.clock.now())
        if reasons := judge_caller(accepted.request, accepted.key.caller, self.policy):
            dry_run = self._is_dry_run(accepted)
            return outcomes.refused_at_acceptance(accepted, reasons, self.clock.now(), dry_run=dry_run)
        return None

    async def _resolve(self, accepted: AcceptedRequest) -> UserId | Problem:
        """Find whom the request means, once: by the next delivery its name may be somebody else's."""
        if accepted.evidence:
            return accepted.evidence.user.id
        if accepted.user_id:
            return accepted.user_id
        user = await find_user(self.directory, accepted.request)
        return user if isinstance(user, Problem) else await self.ledger.resolve(accepted, user.id)

    def _line_of(self, accepted: AcceptedRequest) -> Budget | None:
        """Say in which line a request waits until a pause ends; in none once it has begun."""
        if accepted.evidence:
            return None
        if accepted.waiting and accepted.waiting.budget:
            return accepted.waiting.budget
        kind = BudgetKind.DRY_RUNS if self._is_dry_run(accepted) else BudgetKind.RESETS
        return Budget(accepted.key.caller, kind)

    def _is_dry_run(self, accepted: AcceptedRequest) -> bool:
        return accepted.request.dry_run or self.policy.mode == "observe"


def missing_profile(accepted: AcceptedRequest, policy: Policy) -> Problem | None:
    """Name the profile that a new policy does not have any more; None where it has it."""
    if accepted.request.profile in policy.profiles:
        return None
    return Problem("profile", "unknownProfile", "The policy has no such profile any more.")
