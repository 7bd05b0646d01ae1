"""How a request leaves: told to everybody who is told, or put off until later, or given up."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from shared.documents import request_document
from shared.errors import (
    GraphError,
    HeldBackError,
    Later,
    LedgerUnavailableError,
    NotPermittedError,
    OperatorError,
    OutOfTimeError,
)
from shared.evidence import has_progressed
from shared.logs import alert, log
from shared.model import AcceptedRequest, Outcome
from shared.patience import ALERT_AFTER, PATIENCE, counts_as_attempt, next_try_at, waiting_after
from shared.ports import Bus, Clock, Ledger, RejectedCopy
from shared.vocabulary import Source, Status

COMES_BACK_AFTER = timedelta(minutes=1)

type Obstacle = Later | GraphError | TimeoutError | LedgerUnavailableError
type GiveUp = Callable[[AcceptedRequest, str], Awaitable[Outcome]]


@dataclass(frozen=True)
class Endings:
    """Tells outcomes and schedules resumes; `give_up` is the service's, `jitter` draws from 0 to 1."""

    ledger: Ledger
    bus: Bus
    clock: Clock
    give_up: GiveUp
    jitter: Callable[[], float]

    async def report(self, accepted: AcceptedRequest, outcome: Outcome, body: bytes) -> None:
        """Tell everybody who is told, then remember that: until then each delivery of the request tells them again.

        `body` is what a copy on the rejected queue holds. Raises BusUnavailableError and LedgerUnavailableError.
        """
        await self.tell(outcome, body)
        await self.ledger.mark_reported(accepted.key, accepted.run)

    async def tell(self, outcome: Outcome, body: bytes, *, copied: bool = False) -> None:
        """Tell the topic; what cannot be carried out also goes to the rejected queue when it came from a queue.

        Not where its message is `copied` there already: each of hundreds in one body would be a copy of them all.
        """
        log(
            "finished",
            requestId=outcome.request_id,
            caller=outcome.caller,
            userId=outcome.user_id,
            status=outcome.status,
            profile=outcome.profile,
            verified=outcome.verified,
            code=",".join(sorted({reason.code for reason in outcome.reasons})) or None,
        )
        if outcome.status in {Status.PARTIAL, Status.INVALID, Status.FAILED}:
            alert("needsAttention", requestId=outcome.request_id, caller=outcome.caller, status=outcome.status)
        await self.bus.publish(outcome)
        rejected = outcome.status is Status.FAILED or (
            outcome.status is Status.INVALID and outcome.source is Source.QUEUE
        )
        if rejected and not copied:
            text = " ".join(reason.text for reason in outcome.reasons)
            code = outcome.reasons[0].code
            await self.bus.reject(RejectedCopy(body, code, text, outcome.request_id, outcome.caller))

    async def end_malformed(self, row: AcceptedRequest, body: bytes | None = None, *, copied: bool = False) -> None:
        """Keep what is no request, where its id is not another's; tell it if it came in a message, `body`.

        Raises BusUnavailableError and LedgerUnavailableError; a second call tells it again.
        """
        kept = await self.ledger.accept(row)
        if row.outcome and body is not None:
            await self.tell(row.outcome, body, copied=copied)
        if kept.is_malformed:
            await self.ledger.mark_reported(kept.key, kept.run)

    async def postpone(self, accepted: AcceptedRequest, body: bytes, error: Later | GraphError) -> None:
        """Schedule a resume, then remember for when; past the end of patience it has failed.

        In that order: a delivery that ends in between comes again, and schedules another one.
        """
        now = self.clock.now()
        if isinstance(error, OutOfTimeError):
            error = await self._judge_the_time(accepted, error)
        # What does not count as an attempt goes on somewhere: at another worker, or in the next delivery.
        if counts_as_attempt(error) and now - accepted.patient_since >= PATIENCE:
            try:
                await self.end_as_failed(accepted, code_of(error), body)
            except Later as held:  # another worker is at it
                error = held
            else:
                return
        attempts = accepted.attempts
        if counts_as_attempt(error):
            attempts = await self.ledger.count_attempt(accepted.key)
        at = next_try_at(error, attempts, now, self.jitter())
        self.tell_obstacle(accepted, error, at.isoformat(timespec="seconds"))
        await self.bus.schedule_resume(accepted.key, at)
        since = at if isinstance(error, HeldBackError) else None
        await self.ledger.expect(accepted.key, at, waiting=waiting_after(error, accepted, now), patient_since=since)

    async def come_back(self, accepted: AcceptedRequest) -> None:
        """Schedule a resume in a minute, for what has to be done for an ended request once more."""
        await self.bus.schedule_resume(accepted.key, self.clock.now() + COMES_BACK_AFTER)

    async def _judge_the_time(self, accepted: AcceptedRequest, error: OutOfTimeError) -> OutOfTimeError:
        """Let a delivery that changed something go on at once; one that only took its time was an attempt.

        Past the end of patience every one is: somebody may register methods as fast as they are removed.
        """
        now, kept = self.clock.now(), await self.ledger.read(accepted.key)
        progressed = kept is not None and has_progressed(accepted.evidence, kept.evidence)
        goes_on = progressed and now - accepted.patient_since < PATIENCE
        return OutOfTimeError(error.code, now if goes_on else None, counts=not goes_on)

    async def end_as_failed(self, accepted: AcceptedRequest, code: str, body: bytes | None = None) -> None:
        """Give up, and tell everybody who is told; raise Later where another worker is at it, or was since."""
        outcome = await self.give_up(accepted, code)
        await self.report(accepted, outcome, body or body_of(accepted))

    def tell_obstacle(self, accepted: AcceptedRequest, error: Obstacle, at: str) -> None:
        """Log why it goes on later; alert where an operator has to act, or has waited for long."""
        code = code_of(error)
        request_id, caller = accepted.key.request_id, accepted.key.caller
        log("postponed", requestId=request_id, caller=caller, code=code, at=at)
        if isinstance(error, OperatorError | NotPermittedError):
            alert("operatorNeeded", requestId=request_id, caller=caller, code=code, missing=error.missing)
        elif self.clock.now() - accepted.accepted_at >= ALERT_AFTER:
            alert("stillWaiting", requestId=request_id, caller=caller, code=code)


def code_of(error: Obstacle) -> str:
    """Return the stable word for an obstacle."""
    if isinstance(error, LedgerUnavailableError):
        return "ledgerUnavailable"
    return error.code if isinstance(error, Later | GraphError) else "inlineDeadline"


def body_of(accepted: AcceptedRequest) -> bytes:
    """Write a request as it can be sent again, where the body that it came in is not to hand."""
    return json.dumps(request_document(accepted.request)).encode()
