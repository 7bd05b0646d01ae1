"""What must outlive a process."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from shared.model import (
    AcceptedRequest,
    Budget,
    Control,
    Coverage,
    Evidence,
    HeldBack,
    Outcome,
    RequestKey,
    Waiting,
)
from shared.vocabulary import Mark, RequestId, UserId


class Claim(Protocol):
    """The right of one worker to change one user, for 60 s from each confirmation by the ledger's own clock.

    Every method raises ClaimLostError when another worker has it now, or had it since, or it was given back; what is
    kept of a request also where that run of it has ended, or is about another user by now. Then nothing is kept.
    """

    async def confirm(self) -> None:
        """Renew it. Called before each change, by itself or in the next."""
        ...

    async def still_held(self) -> None:
        """Confirm it, but once not: right after `write_evidence`, which confirmed it. Called before each exchange."""
        ...

    async def write_evidence(self, accepted: AcceptedRequest, evidence: Evidence) -> None:
        """Renew it, and keep what was found and done so far, in one step; a second call replaces the evidence."""
        ...

    async def keep_marks(self, marks: Mapping[Mark, str | None]) -> None:
        """Renew it, and remember these marks of the user, or forget those without a text, in one step.

        A worker that stood still does not overwrite what another one remembered since.
        """
        ...

    async def read_coverages(self) -> tuple[Coverage, ...]:
        """Return what the last resets of this user cover, the newest first, ten at most."""
        ...

    async def end(self, accepted: AcceptedRequest, outcome: Outcome, coverage: Coverage | None) -> None:
        """Keep how it ended, not reported yet, and what that covers, and give the claim back, in one step.

        Where no evidence was written the outcome may be kept a step earlier: nothing was changed that could be covered.
        """
        ...


class Ledger(Protocol):
    """What must outlive this process. Every method raises LedgerUnavailableError when it cannot keep its promise.

    A method that is given a key which the ledger does not hold raises it too, where nothing else is said.
    """

    async def accept(self, offered: AcceptedRequest) -> AcceptedRequest:
        """Keep `offered`, or return what is kept already under its key (a second call does that), in one step."""
        ...

    async def read(self, key: RequestKey) -> AcceptedRequest | None:
        """Return what is kept under `key`, with evidence and outcome; None when there is nothing."""
        ...

    async def find(self, request_id: RequestId) -> AcceptedRequest | None:
        """Return the request of that id that was accepted last, whoever asked for it; None when there is none.

        What is malformed is returned only where no request has that id.
        """
        ...

    async def restart(self, offered: AcceptedRequest, ended: AcceptedRequest) -> AcceptedRequest:
        """Replace the run that `ended` by a fresh one: no evidence, no outcome, no attempts; return what is kept now.

        Where another worker was faster (a second call finds that too), that is its run.
        """
        ...

    async def resolve(self, accepted: AcceptedRequest, user_id: UserId) -> UserId:
        """Remember which user this run of a request means, unless that is remembered already; return who it is.

        A second call, by whatever name it came about, returns the first one's user. Raises ClaimLostError where that
        run is not the one now.
        """
        ...

    async def count_attempt(self, key: RequestKey) -> int:
        """Add one to the attempts and return their number. A second call counts again."""
        ...

    async def expect(
        self,
        key: RequestKey,
        at: datetime,
        *,
        waiting: Waiting | None = None,
        patient_since: datetime | None = None,
    ) -> None:
        """Remember when it will be taken up next, what it waits for, and since when patience counts.

        A second call replaces the first two, and the third where it is given. Called once the resume is sent; should
        that get lost, `unfinished` finds the request.
        """
        ...

    async def write_outcome(self, accepted: AcceptedRequest, outcome: Outcome) -> Outcome:
        """Keep how a run without a claim ended, not reported yet, unless that is kept already; return what is.

        Raises ClaimLostError where it has evidence, for then it has begun, and ends under a claim; and where that run
        is not the one now.
        """
        ...

    async def mark_reported(self, key: RequestKey, run: int) -> None:
        """Remember that everybody who is told has been told how that run ended; a second call changes nothing.

        Nor does a call for a run that is not the one now: what was asked for again since is not reported by it.
        """
        ...

    async def unfinished(self, due_before: datetime, limit: int) -> tuple[RequestKey, ...]:
        """Return up to `limit` requests that were due earlier than that and have not ended, or were not reported."""
        ...

    # --- What concerns more than one request --------------------------------------------------------------------

    async def add_children(self, parent: RequestKey, children: tuple[RequestId, ...]) -> None:
        """Remember which requests of the same caller one body was split into; a second call adds what is new.

        Needs no request under `parent`.
        """
        ...

    async def find_children(self, parent: RequestId) -> tuple[RequestKey, ...]:
        """Return the children of every parent of that id, whoever asked, in the order in which they were added."""
        ...

    async def count_start(
        self, budget: Budget, accepted: AcceptedRequest, limit: int, now: datetime
    ) -> datetime | None:
        """Count one more start against a budget, across all workers, take the request out of its line, return None.

        Where `limit` have started within an hour, in whole minutes, or as many as may still start wait in the budget's
        line with an earlier acceptance, count nothing: return when its turn comes. One that is overdue by ten minutes
        holds nobody up. `accepted` is the request as it is kept now. A second call counts again.
        """
        ...

    async def may_start_at(
        self, budget: Budget, accepted: AcceptedRequest, limit: int, now: datetime
    ) -> datetime | None:
        """Return when its turn comes, as `count_start` does; None when it may start now. Counts nothing."""
        ...

    async def held_back(self, limit: int) -> tuple[HeldBack, ...]:
        """Return up to `limit` requests that a pause or an hourly limit holds back, in the order of acceptance."""
        ...

    async def let_go(self, key: RequestKey, at: datetime) -> bool:
        """Remember that a request which is held back is taken up then, and keeps its place until it starts.

        False, and nothing changed, where nothing holds it back any more, be it that it has ended. A second call
        replaces the time. Called before the resume is sent: one that comes earlier than it is expected is dropped.
        """
        ...

    async def count_started(self, budget: Budget, now: datetime) -> int:
        """Return how many starts of the last hour a budget counts."""
        ...

    async def read_control(self) -> Control:
        """Return what the operator has set; an empty one where nothing is."""
        ...

    async def change_control(self, change: Callable[[Control], Control]) -> Control:
        """Replace it by what `change` makes of it, in one step; return that. `change` may be called several times."""
        ...

    async def purge(self, before: datetime, limit: int) -> int:
        """Forget requests accepted before that, with all that hangs on them, `limit` at most; return how many.

        What has not ended, or was not reported, is kept. Marks and coverages of a user last written before that go
        too, and are not counted.
        """
        ...

    # --- What concerns one user ---------------------------------------------------------------------------------

    async def remember(self, user_id: UserId, mark: Mark, text: str) -> None:
        """Keep what later requests have to know of what was done to a user; a second call replaces the text."""
        ...

    async def recall(self, user_id: UserId, mark: Mark) -> str | None:
        """Return what is kept under `mark`; None when there is nothing."""
        ...

    async def forget(self, user_id: UserId, mark: Mark) -> None:
        """Keep it no longer; a second call changes nothing."""
        ...

    def claim(self, user_id: UserId) -> AbstractAsyncContextManager[Claim]:
        """Hold the claim on a user, renewed every 20 s while held and given back at the end, also on an exception.

        Entering raises ClaimHeldError, with the time when it expires, while another worker holds it.
        """
        ...

    async def close(self) -> None:
        """Release what is open; nothing is called afterwards."""
        ...
