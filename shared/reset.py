"""Carrying out a plan on one user: remove, revoke, settle, look again, at most three rounds.

The directory is the truth: what a removal answered is written down, but only a later listing proves it. Errors of one
method or step that trying again may cure leave by exception, after everything else that could be closed is closed;
those that concern every call (throttling, no token) leave at once.
"""

from dataclasses import dataclass, field

from shared.confirmation import confirm_account, confirmed, unconfirmed
from shared.errors import (
    UNCERTAIN,
    ClaimLostError,
    ConflictError,
    GraphAnswer,
    GraphError,
    Later,
    LedgerUnavailableError,
    ThrottledError,
    UnreadableAnswerError,
)
from shared.evidence import (
    INTERRUPTED,
    has_pass_that_stays,
    line_for,
    may_come_back,
    name_the_remaining,
    name_the_unseen,
    name_what_is_listed_again,
    note,
    still_to_do,
    unlisted_types,
    with_earlier_pass_replaced,
)
from shared.logs import log
from shared.model import (
    Plan,
    PlannedStep,
    StepLine,
)
from shared.outcomes import Verification
from shared.plan import Scope, make_plan
from shared.policy import CLOSES_REGISTRATION_WINDOW
from shared.recheck import Recheck
from shared.remains import unless_held_back
from shared.removing import Removing
from shared.steps import StepTaker, note_switched
from shared.vocabulary import AFTER_VERIFYING, MethodResult, Step, StepName, StepResult

MAX_ROUNDS = 3
# A deleted method can be listed for some seconds more: about 10 s in practice (graph.md 4), at least 5 by contract.
SETTLE_SECONDS = 10.0
SWITCHES = frozenset({StepName.DISABLE_ACCOUNT, StepName.ENABLE_ACCOUNT})  # the last one to be carried out holds

_CURABLE = (ThrottledError, ConflictError, *UNCERTAIN)
_REVOKE = PlannedStep(Step(StepName.REVOKE_SESSIONS))


@dataclass
class Reset(Removing):
    """One reset under way; the only things that change while it runs are its evidence and what it must try again."""

    scope: Scope
    steps: StepTaker
    recheck: Recheck
    unfinished: dict[Step, GraphError] = field(default_factory=dict)
    switched: StepName | None = None  # the last step tried that enables or disables the account

    async def perform(self, plan: Plan) -> Verification:
        """Carry out `plan` and verify it. Needs the app roles of its steps and method types.

        Raises Later when the deadline is near or the claim is lost, GraphError when trying again may cure it; the
        evidence in the ledger then tells how far it came, and a second call goes on from the directory as it is: what
        is done is not done again, but for the revocation of sessions.
        """
        try:
            await self._take_first(plan)
            verification = await self._remove_until_verified(plan)
            self._raise_the_unfinished()
            for planned in plan.steps:
                if planned.step.name in AFTER_VERIFYING:
                    await self._take(
                        unless_held_back(planned, self.evidence, verified=verification.verified), wait_for_it=True
                    )
        except ClaimLostError as error:
            error.switched = self.switched
            raise
        finally:
            await self._leave()
        return verification

    async def take_instead(self, steps: tuple[PlannedStep, ...]) -> None:
        """Take steps without removing anything: what is done to whom a reset is refused. Raises as `perform` does."""
        try:
            for planned in steps:
                await self._take(planned)
            self._raise_the_unfinished()
            await self._confirm()
        except ClaimLostError as error:
            error.switched = self.switched
            raise
        finally:
            await self._leave()

    async def _leave(self) -> None:
        """Keep the evidence; without the claim, remember that the account may have been switched, cut off or not."""
        if not await self._keep_evidence() and self.switched:
            await note_switched(self.ledger, self.clock, self.evidence.user.id, self.switched)

    async def _confirm(self) -> None:
        """Read the user until they show the steps that were taken, and take again what they do not show."""
        for round_number in range(1, MAX_ROUNDS + 1):
            again = unconfirmed(self.evidence)
            for planned in again if round_number > 1 else ():
                await self._take(planned)
            if again:
                await self.clock.sleep(SETTLE_SECONDS)
                self.evidence = await confirm_account(self.directory, self.evidence)

    async def _take_first(self, plan: Plan) -> None:
        """Take the steps that come before the methods.

        One that trying again may cure does not keep the others back; but where it should have kept others from
        registering first, the methods wait for it.
        """
        for planned in plan.steps:
            if planned.step.name not in AFTER_VERIFYING:
                await self._take(planned)
        for step, error in self.unfinished.items():
            if step.name in CLOSES_REGISTRATION_WINDOW:
                raise error

    def _raise_the_unfinished(self) -> None:
        for error in self.unfinished.values():
            raise error

    async def _remove_until_verified(self, plan: Plan) -> Verification:
        left = still_to_do(self.evidence, plan)
        again: tuple[PlannedStep, ...] = ()
        revokes = any(planned.step.name is StepName.REVOKE_SESSIONS for planned in plan.steps)
        for round_number in range(1, MAX_ROUNDS + 1):
            await self.recheck.before_round(round_number, self.evidence.user.id, left)
            curable = await self._remove(left, plan.staying)
            for planned in dict.fromkeys((*again, *((_REVOKE,) if left and revokes else ()))):
                await self._take(planned)
            await self.clock.sleep(SETTLE_SECONDS)
            looked_at = self.clock.now()
            listing = await self.directory.list_methods(self.evidence.user.id)
            plan = make_plan(listing.methods, plan.steps, self.scope)
            unlisted = unlisted_types(listing, self.scope, self.evidence)
            self.evidence = note(self.evidence, plan, unlisted)
            left = still_to_do(self.evidence, plan)
            self.evidence = await confirm_account(self.directory, self.evidence)
            again = unconfirmed(self.evidence)
            log("looked", round=round_number, userId=self.evidence.user.id, result=f"{len(left)} left")
            hopeless = all(line_for(self.evidence, one).result is MethodResult.NOT_PERMITTED for one in left)
            if hopeless and not again and not may_come_back(self.evidence, unlisted):
                break
        errors = [curable[one.method.id] for one in left if one.method.id in curable]
        if may_come_back(self.evidence, unlisted):
            errors.append(UnreadableAnswerError(GraphAnswer(code="unclearListing")))
        if errors:  # trying again may do what the last round did not, or show it
            self.evidence = name_what_is_listed_again(self.evidence, left)
            raise errors[0]
        self.evidence = name_the_unseen(name_the_remaining(self.evidence, left), plan)
        in_scope = bool(plan.removals or unlisted.in_scope) or self.scope.unknown_left(plan.staying)
        return Verification(looked_at, in_scope, *confirmed(self.evidence))

    # --- Steps --------------------------------------------------------------------------------------------------

    async def _take(self, planned: PlannedStep, *, wait_for_it: bool = False) -> None:
        """Take one step unless it is done; what trying again may cure is remembered, or raised when `wait_for_it`."""
        line = next((line for line in self.evidence.steps if line.step == str(planned.step)), None)
        if line and line.result is StepResult.DONE and planned.step.name is not StepName.REVOKE_SESSIONS:
            return
        taken = await self._taken(planned)
        self.evidence = self.evidence.with_step(taken)
        made = taken.step == StepName.TEMPORARY_ACCESS_PASS and taken.result is StepResult.DONE
        if made and has_pass_that_stays(self.evidence):
            listing = await self.directory.list_methods(self.evidence.user.id)
            self.evidence = with_earlier_pass_replaced(self.evidence, listing)
        if wait_for_it and planned.step in self.unfinished:
            raise self.unfinished[planned.step]

    async def _taken(self, planned: PlannedStep) -> StepLine:
        """Take it; the ledger knows before that it may have been taken, should the process end."""
        before = self.evidence
        if not planned.skipped and all(line.step != str(planned.step) for line in before.steps):
            under_way = StepLine(str(planned.step), StepResult.FAILED, self.clock.now(), INTERRUPTED)
            self.evidence = before.with_step(under_way)
        try:
            await self._before_a_change()
        except (Later, LedgerUnavailableError):  # not taken; a process that is killed leaves the line
            self.evidence = before
            raise
        self.unfinished.pop(planned.step, None)
        if planned.step.name in SWITCHES and not planned.skipped:
            self.switched = planned.step.name
        try:
            return await self.steps.take(planned, before, self.accepted.key)
        except _CURABLE as error:
            self.unfinished[planned.step] = error
            return await self.steps.put_off(planned, error, before.user.id, self.accepted.key)
        except GraphError as error:
            if not error.after_uncertain:
                self.evidence = before
            raise
