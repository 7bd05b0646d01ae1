"""The story of one accepted request: whom it means, whether it may be done, what is done, how it ended."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from shared import outcomes
from shared.admission import Admission, missing_profile
from shared.budgets import Budgets
from shared.confirmation import confirmed_by
from shared.coverage import History, coverage_of, coverage_of_instead, seen_at
from shared.decide import Approval, Covered, Guard, Refusal, decide
from shared.errors import ClaimHeldError, ClaimLostError, GraphError, Later, OperatorError
from shared.evidence import has_changed_something, note, resumed, unlisted_types
from shared.logs import log
from shared.lookup import find_user
from shared.mending import Mender
from shared.model import (
    AcceptedRequest,
    Coverage,
    Evidence,
    Outcome,
    PlannedStep,
    Problem,
    ReferenceKind,
    User,
    UserReference,
)
from shared.permissions import listing_needs, missing_roles
from shared.plan import NOTHING, Scope, Standing, make_plan, make_scope, plan_steps
from shared.policy import Policy
from shared.ports import Claim, Clock, Directory, Ledger, Listing
from shared.recheck import Recheck
from shared.reset import Reset
from shared.steps import StepTaker
from shared.vocabulary import BudgetKind, MethodType, Step, StepName, StepResult, UserId

CLAIM_PATIENCE_SECONDS = 20.0
_CLAIM_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Ending:
    """How a request ends, and what its reset, or the steps taken instead of one, cover.

    `switched` is the step that enabled or disabled the account last.
    """

    outcome: Outcome
    coverage: Coverage | None = None
    switched: StepName | None = None


@dataclass(frozen=True)
class Service:
    """Carries out requests under one policy."""

    policy: Policy
    directory: Directory
    ledger: Ledger
    clock: Clock
    steps: StepTaker
    budgets: Budgets
    admission: Admission
    mender: Mender

    async def handle(self, accepted: AcceptedRequest, deadline_at: datetime) -> Outcome:
        """Carry one accepted request to its outcome, kept in the ledger; a second call converges.

        A request that has an outcome by the time it is its turn gets that one.

        Raises Later (claim held, paused, over an hourly limit, deadline near), GraphError (trying again may cure it,
        or an operator has to act) and LedgerUnavailableError; what was found and done until then is in the ledger.
        """
        admitted = await self.admission.admit(accepted)
        if isinstance(admitted, Outcome):
            return await self.ledger.write_outcome(accepted, admitted)
        try:
            return await self._handle_under_claim(accepted, admitted, deadline_at)
        except ClaimLostError as error:
            if error.switched:
                await self.mender.note(admitted, error.switched)
            raise

    async def _handle_under_claim(self, accepted: AcceptedRequest, user_id: UserId, deadline_at: datetime) -> Outcome:
        async with AsyncExitStack() as stack:
            claim = await self._claim(user_id, stack)
            # Another worker may have held the claim until now: what it left is what counts, of the row and of the user.
            accepted = await self.ledger.read(accepted.key) or accepted
            if accepted.outcome:
                return accepted.outcome
            ending = await self._judge(accepted, user_id, claim, deadline_at)
            try:
                await claim.end(accepted, ending.outcome, ending.coverage)
            except ClaimLostError as error:
                error.switched = ending.switched
                raise
            return ending.outcome

    async def give_up(self, accepted: AcceptedRequest, code: str) -> Outcome:
        """End a request as failed, whose last obstacle was `code`; what has ended meanwhile keeps its outcome.

        Raises Later while another worker is at it, or once it was asked for again, and LedgerUnavailableError.
        """
        profile = self.policy.profiles.get(accepted.request.profile)
        accepted = await self._read_again(accepted)
        if accepted.evidence is None:
            return await self.ledger.write_outcome(accepted, outcomes.failed(accepted, profile, code, self.clock.now()))
        async with self.ledger.claim(accepted.evidence.user.id) as claim:
            accepted = await self._read_again(accepted)
            if accepted.outcome:
                return accepted.outcome
            outcome = outcomes.failed(accepted, profile, code, self.clock.now())
            await claim.end(accepted, outcome, None)
            return outcome

    async def _read_again(self, accepted: AcceptedRequest) -> AcceptedRequest:
        """Read what another worker may have made of it since; one that was asked for again is not to be given up."""
        kept = await self.ledger.read(accepted.key) or accepted
        if kept.run != accepted.run:
            raise Later("rowChanged", self.clock.now(), counts=False)
        return kept

    async def _judge(self, accepted: AcceptedRequest, user_id: UserId, claim: Claim, deadline_at: datetime) -> Ending:
        """Read the user as they are now, decide, and do what was decided."""
        if gone := missing_profile(accepted, self.policy):
            return Ending(outcomes.invalid(accepted, (gone,), self.clock.now()))
        reference = UserReference(ReferenceKind.OBJECT_ID, user_id)
        user = await find_user(self.directory, replace(accepted.request, user=reference, also=()))
        if isinstance(user, Problem):
            return Ending(outcomes.invalid(accepted, (user,), self.clock.now()))
        fresh = Evidence(user, self.clock.now())
        subject = await self.directory.read_subject(user, self.policy.never.groups)
        cooldown = self.policy.limits.cooldown
        retry_before = self.clock.now() - cooldown
        history = History(await claim.read_coverages(), seen_at(accepted, cooldown), retry_before)
        match decide(accepted.request, accepted.key.caller, subject, history, self.policy):
            case Refusal() as refusal:
                return await self._refuse(accepted, fresh, refusal, claim, deadline_at)
            case Covered() as covered:
                return Ending(await self._look_again(accepted, fresh, covered))
            case Approval() as approval:
                return await self._carry_out(accepted, fresh, approval, claim, deadline_at)
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
    ) -> Ending:
        log("refused", userId=fresh.user.id, code=",".join(sorted({reason.code for reason in refusal.reasons})))
        found, reasons = accepted.evidence or fresh, refusal.reasons
        dry_run = refusal.dry_run and not has_changed_something(found)
        if dry_run:
            await self.budgets.count_start(accepted, BudgetKind.DRY_RUNS)
        if not refusal.instead:
            return Ending(outcomes.refused(accepted, found, reasons, self.clock.now(), dry_run=dry_run))
        steps, standing = await self._plan_steps(accepted, fresh.user, refusal.instead, claim)
        found = _resume(accepted.evidence, fresh, steps) if accepted.evidence else fresh
        evidence = replace(found, sign_in=standing.sign_in)
        if dry_run:
            return Ending(outcomes.refused_in_a_dry_run(accepted, evidence, reasons, steps, self.clock.now()))
        if not accepted.evidence:
            await self.budgets.count_start(accepted, BudgetKind.PRIVILEGED, BudgetKind.RESETS)
        reset = self._begin(accepted, claim, NOTHING, deadline_at, evidence)
        began_at = self.clock.now()
        await reset.take_instead(steps)
        outcome = outcomes.refused(accepted, reset.evidence, reasons, self.clock.now())
        coverage = coverage_of_instead(outcome, reset.evidence, refusal.instead, began_at)
        return Ending(outcome, coverage, reset.switched)

    async def _look_again(self, accepted: AcceptedRequest, fresh: Evidence, covered: Covered) -> Outcome:
        """Change nothing, but look for what was registered since the reset that covers the request."""
        if covered.dry_run and not accepted.evidence:
            await self.budgets.count_start(accepted, BudgetKind.DRY_RUNS)
        passes = await self.steps.passes_of(fresh.user.id, covered.by.key)
        scope = make_scope(covered.profile, accepted.request.selection, passes)
        listing = await self._list(fresh.user.id, scope)
        plan = make_plan(listing.methods, (), scope)
        unlisted = unlisted_types(listing, scope, accepted.evidence or fresh)
        log("covered", requestId=accepted.key.request_id, caller=accepted.key.caller, userId=fresh.user.id)
        found = fresh
        if accepted.evidence:  # what it had begun is told as the listing shows it now, in a dry run too
            found = note(accepted.evidence, plan, unlisted)
            covered = replace(covered, dry_run=covered.dry_run and not has_changed_something(accepted.evidence))
        return outcomes.covered(accepted, found, covered, outcomes.SecondLook(self.clock.now(), plan, unlisted))

    async def _carry_out(
        self, accepted: AcceptedRequest, fresh: Evidence, approval: Approval, claim: Claim, deadline_at: datetime
    ) -> Ending:
        steps, standing = await self._plan_steps(accepted, fresh.user, approval.profile.steps, claim)
        scope = make_scope(approval.profile, accepted.request.selection, standing.our_passes)
        listing = await self._list(fresh.user.id, scope)
        plan = make_plan(listing.methods, steps, scope)
        found = _resume(accepted.evidence, fresh, steps) if accepted.evidence else fresh
        found = replace(found, sign_in=standing.sign_in, every_type_listed=listing.every_type)
        evidence = note(found, plan, unlisted_types(listing, scope, found))
        # What has begun is finished: half a reset is worse than one that an operator meanwhile wanted to observe only.
        if approval.dry_run and not has_changed_something(found):
            await self.budgets.count_start(accepted, BudgetKind.DRY_RUNS)
            return Ending(outcomes.planned(accepted, evidence, plan, self.clock.now()))
        if not accepted.evidence:
            await self.budgets.count_start(accepted, BudgetKind.RESETS)
        await claim.write_evidence(accepted, evidence)
        reset = self._begin(accepted, claim, scope, deadline_at, evidence)
        verification = await reset.perform(plan)
        outcome = outcomes.carried_out(accepted, reset.evidence, approval.profile, verification, self.clock.now())
        covers = coverage_of(
            outcome, reset.evidence, scope, approval.profile.steps, looked_at=verification.at, began_at=fresh.started_at
        )
        return Ending(outcome, covers, reset.switched)

    async def _list(self, user_id: UserId, scope: Scope) -> Listing:
        """List what there is; a profile that removes nothing does not wait for the list with its steps."""
        try:
            listing = await self.directory.list_methods(user_id)
        except GraphError:
            if scope.removals:
                raise
            return Listing((), tuple(MethodType), every_type=False)
        _check_listing(scope, listing)
        return listing

    def _begin(
        self, accepted: AcceptedRequest, claim: Claim, scope: Scope, deadline_at: datetime, evidence: Evidence
    ) -> Reset:
        parts = (self.directory.under(claim), self.ledger, self.clock, claim, accepted, deadline_at, evidence)
        guard = Guard(self.policy, self.policy.profiles[accepted.request.profile])
        recheck = Recheck(self.directory, self.clock, guard)
        return Reset(*parts, scope, self.steps.under(claim), recheck)

    async def _plan_steps(
        self, accepted: AcceptedRequest, user: User, steps: tuple[Step, ...], claim: Claim
    ) -> tuple[tuple[PlannedStep, ...], Standing]:
        sign_in = await self.directory.read_sign_in(user)
        standing = await self.steps.under(claim).read_standing(user, sign_in, accepted.key)
        return plan_steps(steps, standing), standing


def _resume(earlier: Evidence, fresh: Evidence, steps: tuple[PlannedStep, ...]) -> Evidence:
    """Go on from an earlier try, by the account as it is now.

    One that is enabled although we disabled it was enabled by somebody since: it is disabled again. One that was only
    to be enabled, and is, was enabled by the call whose answer was lost.
    """
    evidence = confirmed_by(fresh.user, resumed(earlier, steps))
    enabling = next((line for line in evidence.steps if line.step == StepName.ENABLE_ACCOUNT), None)
    if not fresh.user.account_enabled or (enabling and enabling.result is StepResult.DONE):
        return evidence
    disables = any(planned.step.name is StepName.DISABLE_ACCOUNT for planned in steps)
    if enabling and enabling.result in {StepResult.FAILED, StepResult.UNCONFIRMED} and not disables:
        return evidence.with_step(replace(enabling, result=StepResult.DONE, detail=None))
    kept = tuple(line for line in evidence.steps if line.step != StepName.DISABLE_ACCOUNT)
    return replace(evidence, steps=kept)


def _check_listing(scope: Scope, listing: Listing) -> None:
    """Raise OperatorError where nothing of what should go can even be listed."""
    if scope.removals and scope.removals.keys() <= set(listing.not_permitted):
        missing = [role for type_ in scope.removals for role in missing_roles(listing_needs(type_), ())]
        raise OperatorError("listingNotPermitted", ", ".join(missing))


def make_service(policy: Policy, directory: Directory, ledger: Ledger, clock: Clock, steps: StepTaker) -> Service:
    """Put the service together."""
    budgets = Budgets(policy, ledger, clock)
    admission = Admission(policy, directory, ledger, clock, budgets)
    return Service(policy, directory, ledger, clock, steps, budgets, admission, Mender(directory, ledger, clock))
