"""Carrying out a plan on one user: remove, revoke, settle, look again, at most three rounds.

The directory is the truth: what a removal answered is written down, but only a later listing proves it. Errors that
trying again may cure leave by exception, after everything else that could be closed has been closed.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from shared.errors import (
    BadRequestError,
    ConflictError,
    GraphError,
    Later,
    NoAnswerError,
    NotFoundError,
    NotPermittedError,
    RefusedAsDefaultError,
    UnavailableError,
    UnlicensedError,
    UnreadableAnswerError,
)
from shared.evidence import line_for, name_the_remaining, name_what_is_listed_again, note, still_to_do
from shared.logs import log
from shared.model import Evidence, MethodLine, Plan, PlannedRemoval, ReferenceKind, RequestKey, StepLine, UserReference
from shared.outcomes import Verification
from shared.plan import Scope, default_candidates, make_plan
from shared.policy import Profile
from shared.ports import Claim, Clock, Directory, Ledger
from shared.vocabulary import MethodId, MethodResult, Removal, StepName, StepResult

MAX_ROUNDS = 3
# A deleted method can be listed for some seconds more: about 10 s in practice (graph.md 4), at least 5 by contract.
SETTLE_SECONDS = 10.0
DEFAULT_METHOD = "defaultMethod"

_FINAL = (RefusedAsDefaultError, BadRequestError, UnlicensedError)
_REFUSALS = (*_FINAL, ConflictError)
_RESULTS = {Removal.DELETE: MethodResult.DELETED, Removal.DEACTIVATE: MethodResult.DEACTIVATED}


@dataclass
class Reset:
    """One reset under way; the only thing that changes while it runs is its evidence."""

    directory: Directory
    ledger: Ledger
    clock: Clock
    claim: Claim
    key: RequestKey
    profile: Profile
    scope: Scope
    deadline_at: datetime
    evidence: Evidence

    async def perform(self, plan: Plan) -> Verification:
        """Carry out `plan` and verify it. Needs the app roles of its steps and method types.

        Raises Later when the deadline is near or the claim is lost, GraphError when trying again may cure it; the
        evidence in the ledger then tells how far it came, and a second call goes on from the directory as it is.
        """
        try:
            for step in plan.steps:
                await self._take(step)
            return await self._remove_until_verified(plan)
        finally:
            await self.ledger.write_evidence(self.key, self.evidence)

    async def _remove_until_verified(self, plan: Plan) -> Verification:
        left, revoked = still_to_do(self.evidence, plan), None
        for round_number in range(1, MAX_ROUNDS + 1):
            curable = await self._remove(left, plan.staying)
            if (left or revoked is StepResult.UNCONFIRMED) and StepName.REVOKE_SESSIONS in plan.steps:
                await self._take(StepName.REVOKE_SESSIONS)
            await self.clock.sleep(SETTLE_SECONDS)
            looked_at = self.clock.now()
            listing = await self.directory.list_methods(self.evidence.user.id)
            plan = make_plan(listing.methods, self.profile, self.scope)
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
            refused: list[PlannedRemoval] = []
            for planned in pending:
                error = await self._try_to_remove(planned)
                if isinstance(error, _REFUSALS):
                    refused.append(planned)
                if error and not isinstance(error, _FINAL):
                    curable[planned.method.id] = error
            if len(refused) == len(pending):
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
        await self._before_a_change()
        result, error = await self._removed(planned, line)
        self.evidence = self.evidence.with_method(result)
        log(
            "removed" if error is None else "notRemoved",
            userId=self.evidence.user.id,
            methodType=result.type,
            methodId=result.id,
            result=result.result,
            code=result.error,
        )
        return error

    async def _removed(self, planned: PlannedRemoval, line: MethodLine) -> tuple[MethodLine, GraphError | None]:
        done = _RESULTS[planned.removal]
        try:
            await self.directory.remove_method(self.evidence.user.id, planned.method, planned.removal)
        except NotFoundError:
            ours = line.result is done or (line.result is None and line.error is not None)
            return replace(line, result=done if ours else MethodResult.ALREADY_GONE, error=None), None
        except NotPermittedError as error:
            return replace(line, result=MethodResult.NOT_PERMITTED, error=error.code), None
        except RefusedAsDefaultError as error:
            return replace(line, result=MethodResult.REMAINING, error=DEFAULT_METHOD), error
        except _REFUSALS as error:
            return replace(line, result=MethodResult.REMAINING, error=error.code), error
        except (NoAnswerError, UnavailableError, UnreadableAnswerError) as error:
            return replace(line, result=None, error=error.code), error
        return replace(line, result=done, error=None), None

    async def _change_default(self, untried: list[str]) -> bool:
        """Make the first of `untried` that Microsoft Graph accepts the default method; False when none is left."""
        while untried:
            await self._before_a_change()
            try:
                await self.directory.change_default_method(self.evidence.user.id, untried.pop(0))
            except (BadRequestError, ConflictError, NotFoundError, NotPermittedError) as error:
                log("defaultNotChanged", userId=self.evidence.user.id, code=error.code)
            else:
                return True
        return False

    # --- Steps --------------------------------------------------------------------------------------------------

    async def _take(self, step: StepName) -> None:
        await self._before_a_change()
        self.evidence = self.evidence.with_step(await take_step(self.directory, self.clock, self.evidence, step))

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
        if self.clock.now() >= self.deadline_at:
            raise Later("deadline", self.clock.now(), counts=False)
        await self.claim.confirm()


async def take_step(directory: Directory, clock: Clock, evidence: Evidence, step: StepName) -> StepLine:
    """Do one step to a user; every step converges. A right that is missing becomes its result, not an exception."""
    result, detail = StepResult.DONE, ""
    try:
        match step:
            case StepName.REVOKE_SESSIONS:
                await directory.revoke_sessions(evidence.user.id)
            case StepName.DISABLE_ACCOUNT:
                await directory.disable_account(evidence.user.id)
            case _:
                assert_never(step)
    except NotPermittedError as error:
        result, detail = StepResult.NOT_PERMITTED, error.code
    except (BadRequestError, ConflictError, UnlicensedError) as error:
        result, detail = StepResult.FAILED, error.code
    log("step", userId=evidence.user.id, step=step, result=result, code=detail or None)
    return StepLine(step, result, clock.now(), detail or None)
