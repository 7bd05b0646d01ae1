"""Carrying out a plan on one user: remove, revoke, settle, look again, at most three rounds.

The directory is the truth: what a removal answered is written down, but only a later listing proves it. Errors of one
method or step that trying again may cure leave by exception, after everything else that could be closed is closed;
those that concern every call (throttling, no token) leave at once.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.errors import (
    UNCERTAIN,
    BadRequestError,
    ClaimLostError,
    ConflictError,
    GraphError,
    Later,
    LedgerUnavailableError,
    NotFoundError,
    NotPermittedError,
    OutOfTimeError,
    RefusedAsDefaultError,
    ThrottledError,
    UnlicensedError,
)
from shared.evidence import (
    INTERRUPTED,
    line_for,
    may_be_ours,
    name_the_remaining,
    name_what_is_listed_again,
    note,
    still_to_do,
    with_earlier_pass_replaced,
    with_removal_under_way,
)
from shared.logs import log
from shared.model import (
    AcceptedRequest,
    Evidence,
    MethodLine,
    Plan,
    PlannedRemoval,
    PlannedStep,
    ReferenceKind,
    StepLine,
    UserReference,
)
from shared.outcomes import Verification
from shared.pause import raise_if_paused
from shared.plan import Scope, default_candidates, make_plan
from shared.policy import CLOSES_REGISTRATION_WINDOW
from shared.ports import Claim, Clock, Directory, Ledger
from shared.recheck import Recheck
from shared.remains import unless_held_back
from shared.steps import StepTaker
from shared.vocabulary import AFTER_VERIFYING, MethodId, MethodResult, Removal, Step, StepName, StepResult

MAX_ROUNDS = 3
# A deleted method can be listed for some seconds more: about 10 s in practice (graph.md 4), at least 5 by contract.
SETTLE_SECONDS = 10.0
DEFAULT_METHOD = "defaultMethod"
SWITCHES = frozenset({StepName.DISABLE_ACCOUNT, StepName.ENABLE_ACCOUNT})  # the last one to be carried out holds

_FINAL = (RefusedAsDefaultError, BadRequestError, UnlicensedError)
_REFUSALS = (*_FINAL, ConflictError)
_CURABLE = (ThrottledError, ConflictError, *UNCERTAIN)
_RESULTS = {Removal.DELETE: MethodResult.DELETED, Removal.DEACTIVATE: MethodResult.DEACTIVATED}
_REVOKE = PlannedStep(Step(StepName.REVOKE_SESSIONS))


@dataclass
class Reset:
    """One reset under way; the only things that change while it runs are its evidence and what it must try again."""

    directory: Directory
    ledger: Ledger
    clock: Clock
    steps: StepTaker
    claim: Claim
    accepted: AcceptedRequest
    scope: Scope
    deadline_at: datetime
    evidence: Evidence
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
            await self._keep_evidence()
        return verification

    async def take_instead(self, steps: tuple[PlannedStep, ...]) -> None:
        """Take steps without removing anything: what is done to whom a reset is refused. Raises as `perform` does."""
        try:
            for planned in steps:
                await self._take(planned)
            self._raise_the_unfinished()
        except ClaimLostError as error:
            error.switched = self.switched
            raise
        finally:
            await self._keep_evidence()

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

    async def _keep_evidence(self) -> None:
        with suppress(ClaimLostError):  # whoever has it now goes on from what was kept before, and reads the directory
            await self.claim.write_evidence(self.accepted, self.evidence)

    def _raise_the_unfinished(self) -> None:
        for error in self.unfinished.values():
            raise error

    async def _remove_until_verified(self, plan: Plan) -> Verification:
        left, revoked = still_to_do(self.evidence, plan), None
        revokes = any(planned.step.name is StepName.REVOKE_SESSIONS for planned in plan.steps)
        for round_number in range(1, MAX_ROUNDS + 1):
            await self.recheck.before_round(round_number, self.evidence.user.id, left)
            curable = await self._remove(left, plan.staying)
            if (left or revoked is StepResult.UNCONFIRMED) and revokes:
                await self._take(_REVOKE)
            await self.clock.sleep(SETTLE_SECONDS)
            looked_at = self.clock.now()
            listing = await self.directory.list_methods(self.evidence.user.id)
            plan = make_plan(listing.methods, plan.steps, self.scope)
            self.evidence = note(
                self.evidence, plan, self.scope.covered(listing.not_permitted), unseen=listing.not_permitted
            )
            left = still_to_do(self.evidence, plan)
            revoked = await self._confirm_revocation()
            log("looked", round=round_number, userId=self.evidence.user.id, result=f"{len(left)} left")
            hopeless = all(line_for(self.evidence, one).result is MethodResult.NOT_PERMITTED for one in left)
            if hopeless and revoked is not StepResult.UNCONFIRMED:
                break
        for one in left:
            if one.method.id in curable:
                self.evidence = name_what_is_listed_again(self.evidence, left)
                raise curable[one.method.id]
        self.evidence = name_the_remaining(self.evidence, left)
        unseen = bool(self.scope.covered(listing.not_permitted)) or self.scope.unknown_left(plan.staying)
        return Verification(looked_at, bool(left) or unseen, revoked in {None, StepResult.DONE})

    # --- Methods ------------------------------------------------------------------------------------------------

    async def _remove(
        self, pending: tuple[PlannedRemoval, ...], staying: tuple[MethodLine, ...]
    ) -> dict[MethodId, GraphError]:
        """Remove one after another, what was refused once more after the others; return what trying later may cure.

        Parallel deletes of one user have failed silently (graph.md 4). Each pass either removes something or tries
        another default method, so the passes are bounded.
        """
        curable: dict[MethodId, GraphError] = {}
        untried: list[str] | None = None
        while pending:
            refused: dict[PlannedRemoval, GraphError] = {}
            for planned in pending:
                error = await self._try_to_remove(planned)
                if isinstance(error, _REFUSALS):
                    refused[planned] = error
                if error and not isinstance(error, _FINAL):
                    curable[planned.method.id] = error
            if len(refused) == len(pending):
                if not any(isinstance(error, RefusedAsDefaultError) for error in refused.values()):
                    break  # another default would free none of them
                if untried is None:
                    untried = list(default_candidates(staying, refused))
                if not await self._change_default(untried):
                    break
            pending = tuple(refused)
        return curable

    async def _try_to_remove(self, planned: PlannedRemoval) -> GraphError | None:
        """Remove one method and write down how that went; errors that concern every call leave by exception."""
        line = line_for(self.evidence, planned)
        if line.result is MethodResult.NOT_PERMITTED:
            return None
        before, self.evidence = self.evidence, with_removal_under_way(self.evidence, planned)
        try:
            await self._before_a_change()
            result, error = await self._removed(planned, line)
        except GraphError as raised:
            maybe_removed = before.with_method(replace(line, result=None, error=raised.code))
            self.evidence = maybe_removed if raised.after_uncertain else before
            raise
        except (Later, LedgerUnavailableError):  # not removed; a process that is killed leaves the mark
            self.evidence = before
            raise
        self.evidence = self.evidence.with_method(result)
        event, user_id = "removed" if error is None else "notRemoved", self.evidence.user.id
        log(event, userId=user_id, methodType=result.type, methodId=result.id, result=result.result, code=result.error)
        return error

    async def _removed(self, planned: PlannedRemoval, line: MethodLine) -> tuple[MethodLine, GraphError | None]:
        done = _RESULTS[planned.removal]
        try:
            await self.directory.remove_method(self.evidence.user.id, planned.method, planned.removal)
        except NotFoundError as error:
            ours = error.after_uncertain or may_be_ours(line)
            return replace(line, result=done if ours else MethodResult.ALREADY_GONE, error=None), None
        except NotPermittedError as error:
            # Refused in the same way and listed all the same: what was tried before had no effect.
            maybe = error.after_uncertain or (may_be_ours(line) and line.error != error.why)
            result = None if maybe else MethodResult.NOT_PERMITTED
            return replace(line, result=result, error=error.why), None
        except _REFUSALS as error:
            result = None if error.after_uncertain or may_be_ours(line) else MethodResult.REMAINING
            why = DEFAULT_METHOD if isinstance(error, RefusedAsDefaultError) else error.code
            return replace(line, result=result, error=why), error
        except UNCERTAIN as error:
            return replace(line, result=None, error=error.code), error
        return replace(line, result=done, error=None), None

    async def _change_default(self, untried: list[str]) -> bool:
        """Make the first of `untried` that Microsoft Graph accepts the default method; False when none is left."""
        while untried:
            await self._before_a_change()
            try:
                await self.directory.change_default_method(self.evidence.user.id, untried.pop(0))
            except (*_REFUSALS, *UNCERTAIN, NotFoundError, NotPermittedError) as error:
                log("defaultNotChanged", userId=self.evidence.user.id, code=error.code)
            else:
                return True
        return False

    # --- Steps --------------------------------------------------------------------------------------------------

    async def _take(self, planned: PlannedStep, *, wait_for_it: bool = False) -> None:
        """Take one step unless it is done; what trying again may cure is remembered, or raised when `wait_for_it`."""
        line = next((line for line in self.evidence.steps if line.step == str(planned.step)), None)
        if line and line.result is StepResult.DONE and planned.step.name is not StepName.REVOKE_SESSIONS:
            return
        taken = await self._taken(planned)
        self.evidence = self.evidence.with_step(taken)
        if taken.step == StepName.TEMPORARY_ACCESS_PASS and taken.result is StepResult.DONE:
            self.evidence = with_earlier_pass_replaced(self.evidence)
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
            self.unfinished.pop(planned.step, None)
            if planned.step.name in SWITCHES and not planned.skipped:
                self.switched = planned.step.name
            return await self.steps.take(planned, before, self.accepted.key)
        except _CURABLE as error:
            self.unfinished[planned.step] = error
            return StepLine(str(planned.step), StepResult.FAILED, self.clock.now(), error.code)
        except (GraphError, Later, LedgerUnavailableError) as error:
            if not (isinstance(error, GraphError) and error.after_uncertain):
                self.evidence = before  # not taken; a process that is killed leaves the line
            raise

    async def _confirm_revocation(self) -> StepResult | None:
        """Compare the user's `signInSessionsValidFromDateTime` with before; None when no step revokes sessions."""
        line = next((line for line in self.evidence.steps if line.step == StepName.REVOKE_SESSIONS), None)
        if line is None or line.result not in {StepResult.DONE, StepResult.UNCONFIRMED}:
            return line.result if line else None
        user = await self.directory.find_user(UserReference(ReferenceKind.OBJECT_ID, self.evidence.user.id))
        if user is None:
            raise NotFoundError
        before, after = self.evidence.user.sessions_valid_from, user.sessions_valid_from
        later = after is not None and (before is None or after > before)
        line = replace(line, result=StepResult.DONE if later else StepResult.UNCONFIRMED)
        self.evidence = self.evidence.with_step(line)
        return line.result

    async def _before_a_change(self) -> None:
        """Confirm that it is still ours to change, with what was done so far kept."""
        if self.clock.now() >= self.deadline_at:
            raise OutOfTimeError("deadline", self.clock.now(), counts=False)
        await raise_if_paused(self.ledger, self.clock)
        await self.claim.write_evidence(self.accepted, self.evidence)
