"""Removing one user's methods, one after another, each with what is known so far kept before."""

from dataclasses import dataclass
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
    UnlicensedError,
)
from shared.evidence import line_for, name_the_missing_right, with_answer, with_removal_under_way
from shared.logs import log
from shared.model import AcceptedRequest, Evidence, MethodLine, PlannedRemoval
from shared.pause import raise_if_paused
from shared.plan import default_candidates, held_by_default
from shared.ports import Claim, Clock, Directory, Ledger
from shared.vocabulary import MethodId, MethodResult

_FINAL = (RefusedAsDefaultError, BadRequestError, UnlicensedError)
_REFUSALS = (*_FINAL, ConflictError)


@dataclass
class Removing:
    """One user whose methods are removed under a claim; the only thing that changes meanwhile is the evidence."""

    directory: Directory
    ledger: Ledger
    clock: Clock
    claim: Claim
    accepted: AcceptedRequest
    deadline_at: datetime
    evidence: Evidence

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
                if not await self._change_default(untried, refused):
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
        except (Later, LedgerUnavailableError):  # not removed; a process that is killed leaves the mark
            self.evidence = before
            raise
        try:
            result, error = await self._removed(planned, line)
        except GraphError as raised:
            maybe = before.with_method(with_answer(line, planned.removal, raised))
            self.evidence = maybe if raised.after_uncertain else before
            raise
        self.evidence = self.evidence.with_method(result)
        event, user_id = "removed" if error is None else "notRemoved", self.evidence.user.id
        said = result.tried.answer if result.tried else result.result
        log(event, userId=user_id, methodType=result.type, methodId=result.id, result=said, code=result.error)
        return error

    async def _removed(self, planned: PlannedRemoval, line: MethodLine) -> tuple[MethodLine, GraphError | None]:
        try:
            await self.directory.remove_method(self.evidence.user.id, planned.method, planned.removal)
        except (NotFoundError, NotPermittedError) as error:
            return with_answer(line, planned.removal, error), None
        except (*_REFUSALS, *UNCERTAIN) as error:
            return with_answer(line, planned.removal, error), error
        return with_answer(line, planned.removal, None), None

    async def _change_default(self, untried: list[str], refused: dict[PlannedRemoval, GraphError]) -> bool:
        """Make the first of `untried` that Microsoft Graph accepts the default method; False when none is left."""
        while untried:
            await self._before_a_change()
            try:
                await self.directory.change_default_method(self.evidence.user.id, untried.pop(0))
            except (*_REFUSALS, *UNCERTAIN, NotFoundError, NotPermittedError) as error:
                log("defaultNotChanged", userId=self.evidence.user.id, code=error.code)
                if isinstance(error, NotPermittedError):
                    untried.clear()  # nor may it choose any other
                    self.evidence = name_the_missing_right(self.evidence, held_by_default(refused), error)
            else:
                return True
        return False

    async def _before_a_change(self) -> None:
        """Confirm that it is still ours to change, with what was done so far kept."""
        if self.clock.now() >= self.deadline_at:
            raise OutOfTimeError("deadline", self.clock.now(), counts=False)
        await raise_if_paused(self.ledger, self.clock)
        await self.claim.write_evidence(self.accepted, self.evidence)

    async def _keep_evidence(self) -> bool:
        """Keep what is known; False where another worker has the claim, goes on from before and reads the directory."""
        try:
            await self.claim.write_evidence(self.accepted, self.evidence)
        except ClaimLostError:
            return False
        return True
