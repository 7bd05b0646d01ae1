"""The story of one accepted request: whom it means, whether it may be done, what is done, how it ended."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from shared import outcomes
from shared.decide import Approval, Refusal, decide
from shared.errors import AmbiguousUserError, ClaimHeldError
from shared.evidence import note, try_permissions_again
from shared.logs import log
from shared.model import AcceptedRequest, Evidence, Outcome, Problem, User
from shared.plan import make_plan, make_scope
from shared.policy import Policy
from shared.ports import Claim, Clock, Directory, Ledger
from shared.reset import Reset, take_step
from shared.vocabulary import UserId

CLAIM_PATIENCE_SECONDS = 20.0
_CLAIM_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Service:
    """Carries out requests under one policy."""

    policy: Policy
    directory: Directory
    ledger: Ledger
    clock: Clock

    async def handle(self, accepted: AcceptedRequest, deadline_at: datetime) -> Outcome:
        """Carry one accepted request to its outcome; a second call reads the directory again and converges.

        Raises Later (claim held, deadline near), GraphError (trying again may cure it, or an operator has to act) and
        LedgerUnavailableError; what was found and done until then is in the ledger.
        """
        started_at = self.clock.now()
        if accepted.request.profile not in self.policy.profiles:  # a new policy has come since it was accepted
            problem = Problem("profile", "unknownProfile", "The policy has no such profile any more.")
            return outcomes.invalid(accepted, (problem,), started_at)
        user = await self._find_user(accepted)
        if isinstance(user, Problem):
            return outcomes.invalid(accepted, (user,), self.clock.now())
        async with AsyncExitStack() as stack:
            claim = await self._claim(user.id, stack)
            subject = await self.directory.read_subject(user)
            match decide(accepted.request, accepted.key.caller, subject, self.policy):
                case Refusal() as refusal:
                    return await self._refuse(accepted, Evidence(user, started_at), refusal, claim)
                case Approval() as approval:
                    return await self._carry_out(accepted, Evidence(user, started_at), approval, claim, deadline_at)
                case decision:
                    assert_never(decision)

    async def _find_user(self, accepted: AcceptedRequest) -> User | Problem:
        try:
            user = await self.directory.find_user(accepted.request.user)
        except AmbiguousUserError as error:
            return Problem("user", "ambiguousUser", str(error))
        return user or Problem("user", "unknownUser", "Nobody in the directory has this identifier.")

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

    async def _refuse(self, accepted: AcceptedRequest, evidence: Evidence, refusal: Refusal, claim: Claim) -> Outcome:
        for step in () if refusal.dry_run else refusal.instead:
            await claim.confirm()
            evidence = evidence.with_step(await take_step(self.directory, self.clock, evidence, step))
        log("refused", userId=evidence.user.id, code=",".join(sorted({reason.code for reason in refusal.reasons})))
        return outcomes.refused(accepted, evidence, refusal.reasons, self.clock.now(), dry_run=refusal.dry_run)

    async def _carry_out(
        self, accepted: AcceptedRequest, fresh: Evidence, approval: Approval, claim: Claim, deadline_at: datetime
    ) -> Outcome:
        scope = make_scope(approval.profile, accepted.request.selection)
        listing = await self.directory.list_methods(fresh.user.id)
        plan = make_plan(listing.methods, approval.profile, scope)
        if approval.dry_run:
            return outcomes.planned(accepted, fresh.user, plan, fresh.started_at, self.clock.now())
        found = try_permissions_again(accepted.evidence) if accepted.evidence else fresh
        evidence = note(found, plan, scope.covered(listing.not_permitted), unseen=listing.not_permitted)
        await self.ledger.write_evidence(accepted.key, evidence)
        reset = Reset(
            self.directory,
            self.ledger,
            self.clock,
            claim,
            accepted.key,
            approval.profile,
            scope,
            deadline_at,
            evidence,
        )
        verification = await reset.perform(plan)
        return outcomes.carried_out(accepted, reset.evidence, approval.profile, verification, self.clock.now())
