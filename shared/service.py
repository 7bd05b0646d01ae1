"""The story of one accepted request: whom it means, whether it may be done, what is done, how it ended."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from shared import outcomes
from shared.decide import Approval, Refusal, decide
from shared.errors import ClaimHeldError, OperatorError
from shared.evidence import note, try_permissions_again
from shared.logs import log
from shared.lookup import find_user
from shared.model import AcceptedRequest, Evidence, Outcome, PlannedStep, Problem, User
from shared.permissions import listing_needs, missing_roles
from shared.plan import NOTHING, Scope, Standing, make_plan, make_scope, plan_steps
from shared.policy import Policy
from shared.ports import Claim, Clock, Directory, Ledger, Listing
from shared.reset import Reset
from shared.steps import StepTaker
from shared.vocabulary import Step, UserId

CLAIM_PATIENCE_SECONDS = 20.0
_CLAIM_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Service:
    """Carries out requests under one policy."""

    policy: Policy
    directory: Directory
    ledger: Ledger
    clock: Clock
    steps: StepTaker

    async def handle(self, accepted: AcceptedRequest, deadline_at: datetime) -> Outcome:
        """Carry one accepted request to its outcome; a second call reads the directory again and converges.

        Raises Later (claim held, deadline near), GraphError (trying again may cure it, or an operator has to act) and
        LedgerUnavailableError; what was found and done until then is in the ledger.
        """
        started_at = self.clock.now()
        if accepted.request.profile not in self.policy.profiles:  # a new policy has come since it was accepted
            problem = Problem("profile", "unknownProfile", "The policy has no such profile any more.")
            return outcomes.invalid(accepted, (problem,), started_at)
        user = await find_user(self.directory, accepted.request)
        if isinstance(user, Problem):
            return outcomes.invalid(accepted, (user,), self.clock.now())
        async with AsyncExitStack() as stack:
            claim = await self._claim(user.id, stack)
            subject = await self.directory.read_subject(user)
            match decide(accepted.request, accepted.key.caller, subject, self.policy):
                case Refusal() as refusal:
                    return await self._refuse(accepted, Evidence(user, started_at), refusal, claim, deadline_at)
                case Approval() as approval:
                    return await self._carry_out(accepted, Evidence(user, started_at), approval, claim, deadline_at)
                case decision:
                    assert_never(decision)

    async def _claim(self, user_id: UserId, stack: AsyncExitStack) -> Claim:
        """Wait a little for another worker on the same user; past that it is tried again later."""
        give_up_at = self.clock.now() + timedelta(seconds=CLAIM_PATIENCE_SECONDS)
        while True:
            try:
                return await stack.enter_async_context(self.ledger.claim(user_id))
            except ClaimHeldError:
                if self.clock.now() >= give_up_at:
                    raise
            await self.clock.sleep(_CLAIM_POLL_SECONDS)

    async def _refuse(
        self, accepted: AcceptedRequest, fresh: Evidence, refusal: Refusal, claim: Claim, deadline_at: datetime
    ) -> Outcome:
        log("refused", userId=fresh.user.id, code=",".join(sorted({reason.code for reason in refusal.reasons})))
        found, reasons = accepted.evidence or fresh, refusal.reasons
        if not refusal.instead:
            return outcomes.refused(accepted, found, reasons, self.clock.now(), dry_run=refusal.dry_run)
        steps, standing = await self._plan_steps(accepted, fresh.user, refusal.instead)
        evidence = replace(found, sign_in=standing.sign_in)
        if refusal.dry_run:
            return outcomes.refused_in_a_dry_run(accepted, evidence, reasons, steps, self.clock.now())
        reset = self._begin(accepted, claim, NOTHING, deadline_at, evidence)
        await reset.take_instead(steps)
        return outcomes.refused(accepted, reset.evidence, reasons, self.clock.now())

    async def _carry_out(
        self, accepted: AcceptedRequest, fresh: Evidence, approval: Approval, claim: Claim, deadline_at: datetime
    ) -> Outcome:
        steps, standing = await self._plan_steps(accepted, fresh.user, approval.profile.steps)
        scope = make_scope(approval.profile, accepted.request.selection, standing.our_passes)
        listing = await self.directory.list_methods(fresh.user.id)
        _check_listing(scope, listing)
        plan = make_plan(listing.methods, steps, scope)
        found = try_permissions_again(accepted.evidence) if accepted.evidence else fresh
        found = replace(found, sign_in=standing.sign_in, every_type_listed=listing.every_type)
        evidence = note(found, plan, scope.covered(listing.not_permitted), unseen=listing.not_permitted)
        if approval.dry_run:
            return outcomes.planned(accepted, evidence, plan, self.clock.now())
        await self.ledger.write_evidence(accepted.key, evidence)
        reset = self._begin(accepted, claim, scope, deadline_at, evidence)
        verification = await reset.perform(plan)
        return outcomes.carried_out(accepted, reset.evidence, approval.profile, verification, self.clock.now())

    def _begin(
        self, accepted: AcceptedRequest, claim: Claim, scope: Scope, deadline_at: datetime, evidence: Evidence
    ) -> Reset:
        parts = (self.directory, self.ledger, self.clock, self.steps, claim)
        return Reset(*parts, accepted.key, scope, deadline_at, evidence)

    async def _plan_steps(
        self, accepted: AcceptedRequest, user: User, steps: tuple[Step, ...]
    ) -> tuple[tuple[PlannedStep, ...], Standing]:
        sign_in = await self.directory.read_sign_in(user)
        standing = await self.steps.read_standing(user, sign_in, accepted.key)
        return plan_steps(steps, standing), standing


def _check_listing(scope: Scope, listing: Listing) -> None:
    """Raise OperatorError where nothing of what should go can even be listed."""
    if scope.removals and scope.removals.keys() <= set(listing.not_permitted):
        missing = [role for type_ in scope.removals for role in missing_roles(listing_needs(type_), ())]
        raise OperatorError("listingNotPermitted", ", ".join(missing))
