"""What becomes of a delivery or a call: accepted, split, carried out, answered, tried again, given up."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared import outcomes
from shared.documents import request_document
from shared.errors import (
    BusUnavailableError,
    GraphError,
    Later,
    LedgerUnavailableError,
    NotPermittedError,
    OperatorError,
)
from shared.intake import Envelope, fingerprint, parse_resume, queue_parent_id, read_body
from shared.logs import alert, log
from shared.model import AcceptedRequest, InvalidItem, Outcome, Problem, RequestKey, ResetRequest, parse_key
from shared.patience import ALERT_AFTER, PATIENCE, counts_as_attempt, next_try_at
from shared.policy import Policy
from shared.ports import Bus, Call, Clock, Delivery, Finished, Ledger, Pending, RejectedCopy, Reply
from shared.vocabulary import QUEUE, Caller, RequestId, Source, Status

DELIVERY_SECONDS = 240.0  # the own deadline of one delivery: the rest of a large user goes on in the next
INLINE_SECONDS = 60.0  # how long a call waits for its outcome: Logic Apps give up after 120 s
SAFETY_RESUME_SECONDS = 90.0  # when accepted work over HTTP is taken up again should this process not finish it
REPLAY_FOR = timedelta(hours=24)
_REPLAYED = {Status.COMPLETED, Status.COVERED}

type Obstacle = Later | GraphError | TimeoutError | LedgerUnavailableError
type Handle = Callable[[AcceptedRequest, datetime], Awaitable[Outcome]]


@dataclass(frozen=True)
class Reception:
    """Takes deliveries and calls (fates: product.md 4).

    `handle` is the service, `new_id` makes ids that nobody has, `jitter` draws from 0 to 1.
    """

    policy: Policy
    ledger: Ledger
    bus: Bus
    clock: Clock
    handle: Handle
    new_id: Callable[[], str]
    jitter: Callable[[], float]
    inline_seconds: float = INLINE_SECONDS

    # --- The queue ----------------------------------------------------------------------------------------------

    async def receive(self, delivery: Delivery) -> None:
        """See one message to its end: returning settles it, an exception gives it back to be delivered again.

        Raises LedgerUnavailableError and BusUnavailableError; a second delivery of the same message finds its request
        in the ledger and goes on there.
        """
        resumed = parse_resume(delivery.body)
        if resumed is not None:
            await self._resume(resumed)
            return
        parent_id = queue_parent_id(delivery.message_id, delivery.sequence_number)
        items = read_body(delivery.body, self._envelope(parent_id, derive=True))
        requests = [item for item in items if isinstance(item, ResetRequest)]
        for item in items:
            if isinstance(item, InvalidItem):
                await self._reject(item, delivery, parent_id)
        for request in requests:
            offered = self._offer(request, QUEUE, Source.QUEUE, delivery.enqueued_at)
            kept = await self._accept(offered)
            if isinstance(kept, Outcome):
                await self._tell_the_end(kept, delivery.body)
            elif kept.outcome:
                await self._report(kept, kept.outcome, delivery.body)
            elif len(requests) > 1:
                await self.bus.schedule_resume(kept.key, self.clock.now())
            else:
                await self._carry_out(kept, delivery.body)

    async def _resume(self, text: str) -> None:
        key = parse_key(text)
        accepted = await self.ledger.read(key) if key else None
        if accepted is None:
            log("unknownResume", logging.WARNING, code="dropped")
        elif accepted.outcome is None:
            await self._carry_out(accepted, _body_of(accepted))
        elif not accepted.reported:
            await self._report(accepted, accepted.outcome, _body_of(accepted))

    async def _carry_out(self, accepted: AcceptedRequest, body: bytes) -> None:
        """Carry it to its outcome, or schedule a resume before the delivery is settled."""
        log("started", requestId=accepted.key.request_id, caller=accepted.key.caller, attempts=accepted.attempts)
        try:
            outcome = await self.handle(accepted, self.clock.now() + timedelta(seconds=DELIVERY_SECONDS))
        except (Later, GraphError) as error:
            await self._postpone(accepted, body, error)
        else:
            await self._finish(accepted, outcome, body)

    # --- HTTP ---------------------------------------------------------------------------------------------------

    async def take_call(self, call: Call) -> tuple[Reply, ...]:
        """Accept what a call asks for and wait up to 60 s for the end of it; several users are only accepted.

        One reply a request, in order. Raises LedgerUnavailableError or BusUnavailableError when nothing was accepted.
        """
        parent_id = call.idempotency_key or RequestId(self.new_id())
        items = read_body(call.body, self._envelope(parent_id, derive=False, idempotency_key=call.idempotency_key))
        return tuple([await self._answer(item, call.caller, alone=len(items) == 1) for item in items])

    async def look_up(self, request_id: RequestId, caller: Caller, *, any_caller: bool) -> AcceptedRequest | None:
        """Return the caller's own request of that id, else, with `any_caller`, the one that was accepted last."""
        own = await self.ledger.read(RequestKey(caller, request_id))
        return own or (await self.ledger.find(request_id) if any_caller else None)

    async def _answer(self, item: ResetRequest | InvalidItem, caller: Caller, *, alone: bool) -> Reply:
        if isinstance(item, InvalidItem):
            return Finished(self._invalid(item, caller, Source.HTTP, RequestId(self.new_id())))
        now = self.clock.now()
        kept = await self._accept(self._offer(item, caller, Source.HTTP, now))
        if isinstance(kept, Outcome):
            return Finished(kept)
        if kept.outcome:
            return Finished(kept.outcome)
        if not alone:
            await self.bus.schedule_resume(kept.key, now)
            return Pending(kept.key)
        await self.bus.schedule_resume(kept.key, now + timedelta(seconds=SAFETY_RESUME_SECONDS))
        return await self._carry_out_inline(kept)

    async def _carry_out_inline(self, accepted: AcceptedRequest) -> Reply:
        """Wait for the outcome as long as a caller waits; the resume that is scheduled already does the rest."""
        log("started", requestId=accepted.key.request_id, caller=accepted.key.caller, attempts=accepted.attempts)
        try:
            async with asyncio.timeout(self.inline_seconds):
                outcome = await self.handle(accepted, self.clock.now() + timedelta(seconds=self.inline_seconds))
        except (Later, GraphError, TimeoutError, LedgerUnavailableError) as error:
            self._tell(accepted, error, self.clock.now() + timedelta(seconds=SAFETY_RESUME_SECONDS))
            return Pending(accepted.key)
        return await self._finish_inline(accepted, outcome)

    async def _finish_inline(self, accepted: AcceptedRequest, outcome: Outcome) -> Reply:
        """End it for the caller even when the topic is not to be had: the resume that is scheduled reports it then.

        Where the ledger did not take the outcome the request goes on: it was accepted, and the resume finds it.
        """
        try:
            await self._finish(accepted, outcome, _body_of(accepted))
        except (BusUnavailableError, LedgerUnavailableError) as error:
            code = type(error).__name__
            log(
                "notReported", logging.WARNING, requestId=accepted.key.request_id, caller=accepted.key.caller, code=code
            )
            if isinstance(error, LedgerUnavailableError):
                return Pending(accepted.key)
        return Finished(outcome)

    # --- Accepting ----------------------------------------------------------------------------------------------

    def _envelope(self, parent_id: RequestId, *, derive: bool, idempotency_key: RequestId | None = None) -> Envelope:
        return Envelope(
            now=self.clock.now(),
            default_profile=self.policy.default_profiles.request,
            profiles=frozenset(self.policy.profiles),
            parent_id=parent_id,
            derive=derive,
            idempotency_key=idempotency_key,
        )

    def _offer(self, request: ResetRequest, caller: Caller, source: Source, enqueued_at: datetime) -> AcceptedRequest:
        key = RequestKey(caller, request.request_id)
        return AcceptedRequest(key, fingerprint(request), request, source, self.clock.now(), enqueued_at)

    async def _accept(self, offered: AcceptedRequest) -> AcceptedRequest | Outcome:
        """Make it a row of the ledger (product.md 5).

        Return the row: with an outcome when that is to be told again without any further effect, else to be carried
        out. Return an outcome of its own when the id is another request's.
        """
        kept = await self.ledger.accept(offered)
        if kept.fingerprint != offered.fingerprint:
            text = "Another request of this caller has this id; ask for something else under an id of its own."
            return outcomes.invalid(offered, (Problem("requestId", "requestIdReused", text),), self.clock.now())
        if kept.outcome is None:
            return kept
        recent = self.clock.now() - kept.outcome.finished_at < REPLAY_FOR
        if not kept.reported or (kept.outcome.status in _REPLAYED and recent):
            log("replayed", requestId=kept.key.request_id, caller=kept.key.caller, status=kept.outcome.status)
            return kept
        return await self.ledger.restart(offered)

    # --- Ending -------------------------------------------------------------------------------------------------

    async def _finish(self, accepted: AcceptedRequest, outcome: Outcome, body: bytes) -> None:
        await self.ledger.write_outcome(accepted.key, outcome)
        await self._report(accepted, outcome, body)

    async def _report(self, accepted: AcceptedRequest, outcome: Outcome, body: bytes) -> None:
        """Tell everybody who is told, then remember that: until then each delivery of the request tells them again."""
        await self._tell_the_end(outcome, body)
        await self.ledger.mark_reported(accepted.key)

    async def _tell_the_end(self, outcome: Outcome, body: bytes) -> None:
        """Tell the topic; what cannot be carried out also goes to the rejected queue when it came from a queue."""
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
        if rejected:
            text = " ".join(reason.text for reason in outcome.reasons)
            code = outcome.reasons[0].code
            await self.bus.reject(RejectedCopy(body, code, text, outcome.request_id))

    async def _reject(self, item: InvalidItem, delivery: Delivery, parent_id: RequestId) -> None:
        await self._tell_the_end(self._invalid(item, QUEUE, Source.QUEUE, parent_id), delivery.body)

    def _invalid(self, item: InvalidItem, caller: Caller, source: Source, fallback_id: RequestId) -> Outcome:
        now = self.clock.now()
        return Outcome(
            request_id=item.request_id or fallback_id,
            caller=caller,
            status=Status.INVALID,
            source=source,
            accepted_at=now,
            finished_at=now,
            reasons=outcomes.reasons_of(item.problems),
        )

    # --- Trying again -------------------------------------------------------------------------------------------

    async def _postpone(self, accepted: AcceptedRequest, body: bytes, error: Later | GraphError) -> None:
        """Schedule a resume; past the end of patience it has failed."""
        now = self.clock.now()
        if now - accepted.accepted_at >= PATIENCE:
            current = await self.ledger.read(accepted.key) or accepted
            if current.outcome:  # another worker has ended it meanwhile
                return
            profile = self.policy.profiles.get(accepted.request.profile)
            await self._finish(accepted, outcomes.failed(current, profile, _code_of(error), now), body)
            return
        attempts = accepted.attempts
        if counts_as_attempt(error):
            attempts = await self.ledger.count_attempt(accepted.key)
        at = next_try_at(error, attempts, now, self.jitter())
        self._tell(accepted, error, at)
        await self.bus.schedule_resume(accepted.key, at)

    def _tell(self, accepted: AcceptedRequest, error: Obstacle, at: datetime) -> None:
        code = _code_of(error)
        request_id, caller = accepted.key.request_id, accepted.key.caller
        log("postponed", requestId=request_id, caller=caller, code=code, at=at.isoformat(timespec="seconds"))
        if isinstance(error, OperatorError | NotPermittedError):
            alert("operatorNeeded", requestId=request_id, caller=caller, code=code, missing=error.missing)
        elif self.clock.now() - accepted.accepted_at >= ALERT_AFTER:
            alert("stillWaiting", requestId=request_id, caller=caller, code=code)


def _code_of(error: Obstacle) -> str:
    if isinstance(error, LedgerUnavailableError):
        return "ledgerUnavailable"
    return error.code if isinstance(error, Later | GraphError) else "inlineDeadline"


def _body_of(accepted: AcceptedRequest) -> bytes:
    return json.dumps(request_document(accepted.request)).encode()
