"""What becomes of a delivery or a call: accepted, split, carried out, answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import batched

from shared.acceptance import DELIVERY_SECONDS, ROWS_AT_ONCE, SAFETY_RESUME_SECONDS, Acceptance
from shared.endings import Endings, GiveUp, Obstacle, body_of, code_of
from shared.errors import (
    BusUnavailableError,
    GraphError,
    Later,
    LedgerUnavailableError,
    OutOfTimeError,
    UnreadableRowError,
)
from shared.intake import (
    Resume,
    common_parent,
    parse_resume,
    queue_parent_id,
    read_body,
)
from shared.logs import log
from shared.model import AcceptedRequest, Outcome, RequestKey
from shared.patience import waiting_after
from shared.policy import Policy
from shared.ports import Bus, Call, Clock, Delivery, Family, Finished, Ledger, Pending, Reply, Taken
from shared.vocabulary import QUEUE, Caller, RequestId, Source, UserId

WORK_SECONDS = 260.0  # after which what a delivery does is cut off, whatever Microsoft Graph does
MEND_SECONDS = 20.0  # for setting an account right before: both together leave time to settle
LONGEST_SECONDS = 290.0  # after which the whole delivery is: its message's lock lasts 300
INLINE_SECONDS = 60.0  # how long a call waits for its outcome: Logic Apps give up after 120 s
# A delivery that fails is delivered again at once, five times in all: it is given back slowly, so that an outage of
# the ledger or of the bus has two and a half minutes to end before the dead-letter queue.
HOLD_BACK_SECONDS = 30.0
# A resume that comes earlier than the ledger expects one is superseded: a later one was scheduled since.
SUPERSEDED_BY = timedelta(seconds=60)
type Handle = Callable[[AcceptedRequest, datetime], Awaitable[Outcome]]
type Mend = Callable[[UserId], Awaitable[None]]


@dataclass(frozen=True)
class Reception:
    """Takes deliveries and calls.

    `handle`, `give_up` and `mend` are the service's, `new_id` makes ids that nobody has, `jitter` draws from 0 to 1.
    """

    policy: Policy
    ledger: Ledger
    bus: Bus
    clock: Clock
    handle: Handle
    give_up: GiveUp
    mend: Mend
    new_id: Callable[[], str]
    jitter: Callable[[], float]
    inline_seconds: float = INLINE_SECONDS
    work_seconds: float = WORK_SECONDS
    longest_seconds: float = LONGEST_SECONDS
    endings: Endings = field(init=False)
    acceptance: Acceptance = field(init=False)

    def __post_init__(self) -> None:
        endings = Endings(self.ledger, self.bus, self.clock, self.give_up, self.jitter)
        object.__setattr__(self, "endings", endings)
        acceptance = Acceptance(self.policy, self.ledger, self.clock, endings)
        object.__setattr__(self, "acceptance", acceptance)

    # --- The queue ----------------------------------------------------------------------------------------------

    async def receive(self, delivery: Delivery) -> None:
        """See one message to its end: returning settles it, an exception gives it back to be delivered again.

        Raises LedgerUnavailableError and BusUnavailableError, after a pause, and TimeoutError: it ends within 290 s. A
        second delivery of the same message finds its request in the ledger and goes on there. Nobody waits for a row
        that cannot be read: its message goes to the dead letters, and is sent from there once it can be.
        """
        async with asyncio.timeout(self.longest_seconds):
            try:
                await self._receive(delivery)
            except (LedgerUnavailableError, BusUnavailableError) as error:
                log("givenBack", logging.ERROR, code=type(error).__name__)
                if not isinstance(error, UnreadableRowError):
                    await self.clock.sleep(HOLD_BACK_SECONDS)
                raise

    async def _receive(self, delivery: Delivery) -> None:
        if resumed := parse_resume(delivery.body):
            await self._resume(resumed)
            return
        parent_id = queue_parent_id(delivery.message_id, delivery.sequence_number)
        items = read_body(delivery.body, self.acceptance.envelope(parent_id, derive=True))
        rows = [self.acceptance.offer(item, QUEUE, Source.QUEUE, delivery.enqueued_at, parent_id) for item in items]
        offers = [row for row in rows if not row.is_malformed]
        if len(items) > 1:  # nobody asks for the parent of one
            await self.acceptance.remember_families(rows, parent_id)
        kept = await self.acceptance.accept_all(offers, at_once=len(items) > 1)
        for place, row in enumerate(row for row in rows if row.is_malformed):
            await self.endings.end_malformed(row, delivery.body, copied=place > 0)
        await self._tell_again(kept, delivery.body)
        going_on = _going_on(kept)
        if len(offers) != 1 and going_on:
            await self.bus.schedule_resumes([row.key for row in going_on], self.clock.now())
        elif going_on and not await self._is_mended(going_on[0]):
            await self.endings.come_back(going_on[0])
        elif going_on:
            await self._carry_out(going_on[0], delivery.body)

    async def _tell_again(self, kept: Iterable[AcceptedRequest | Outcome], body: bytes) -> None:
        """Tell how those of a message ended that have; what a late worker did to their users is looked at too."""
        copied = False
        for ended in kept:
            if isinstance(ended, Outcome):
                await self.endings.tell(ended, body, copied=copied)
                copied = True
            elif ended.outcome:
                if not await self._is_mended(ended):
                    await self.endings.come_back(ended)
                await self.endings.report(ended, ended.outcome, body)

    async def _resume(self, resumed: Resume) -> None:
        """Go on with what the ledger holds under the key; drop a resume of anything else."""
        accepted = await self.ledger.read(resumed.key) if resumed.key else None
        if accepted is None:
            log("unknownResume", logging.WARNING, code="dropped")
        elif not await self._is_mended(accepted):
            await self.endings.come_back(accepted)
        elif accepted.outcome:
            if not accepted.reported:
                await self.endings.report(accepted, accepted.outcome, body_of(accepted))
        elif accepted.due_at - self.clock.now() > SUPERSEDED_BY:
            log("superseded", requestId=accepted.key.request_id, caller=accepted.key.caller)
        else:
            await self._carry_out(accepted, body_of(accepted))

    async def _carry_out(self, accepted: AcceptedRequest, body: bytes) -> None:
        """Carry it to its outcome, or schedule a resume before the delivery is settled."""
        log("started", requestId=accepted.key.request_id, caller=accepted.key.caller, attempts=accepted.attempts)
        try:
            async with asyncio.timeout(self.work_seconds):
                outcome = await self.handle(accepted, self.clock.now() + timedelta(seconds=DELIVERY_SECONDS))
        except TimeoutError:
            await self.endings.postpone(accepted, body, OutOfTimeError("deliveryTimeout", counts=False))
        except (Later, GraphError) as error:
            await self.endings.postpone(accepted, body, error)
        else:
            await self.endings.report(accepted, outcome, body)

    async def _is_mended(self, accepted: AcceptedRequest) -> bool:
        """Set the user's account right where a worker switched it without its claim; False where that has to wait."""
        user_id = accepted.evidence.user.id if accepted.evidence else accepted.user_id
        if user_id is None:
            return True
        try:
            async with asyncio.timeout(MEND_SECONDS):
                await self.mend(user_id)
        except (Later, GraphError, TimeoutError) as error:
            log("notMended", logging.WARNING, userId=user_id, code=code_of(error))
            return False
        return True

    # --- HTTP ---------------------------------------------------------------------------------------------------

    async def take_call(self, call: Call) -> Taken:
        """Accept what a call asks for and wait up to 60 s for the end of it; several users are only accepted.

        Raises LedgerUnavailableError when not all was accepted; what was goes on.
        """
        parent_id = call.idempotency_key or RequestId(self.new_id())
        items = read_body(
            call.body, self.acceptance.envelope(parent_id, derive=False, idempotency_key=call.idempotency_key)
        )
        now = self.clock.now()
        rows = [self.acceptance.offer(item, call.caller, Source.HTTP, now, parent_id) for item in items]
        parent_id = common_parent((row.key.request_id for row in rows), parent_id)
        malformed = [row for row in rows if row.is_malformed]
        if len(rows) > len(malformed):
            await self.acceptance.remember_families(rows, parent_id)
        kept = await self.acceptance.accept_all([row for row in rows if not row.is_malformed], at_once=len(items) > 1)
        going_on = _going_on(kept)
        at = now + timedelta(seconds=SAFETY_RESUME_SECONDS if len(items) == 1 else 0)
        if going_on:
            await self._schedule(going_on, at)
        if len(items) == 1 and going_on:
            return Taken(parent_id, (await self._carry_out_inline(going_on[0], at),))
        if malformed:
            await self.acceptance.keep_malformed(malformed, parent_id)
        accepted = iter(kept)
        replies = tuple(Finished(row.outcome) if row.outcome else _reply(next(accepted), at) for row in rows)
        return Taken(parent_id, replies)

    async def look_up(self, request_id: RequestId, caller: Caller, *, any_caller: bool) -> AcceptedRequest | None:
        """Return the caller's own request of that id, else, with `any_caller`, the one that was accepted last."""
        own = await self.ledger.read(RequestKey(caller, request_id))
        if any_caller and (own is None or own.is_malformed):  # what is no request hides none of that id
            return await self.ledger.find(request_id) or own
        return own

    async def look_up_family(self, parent_id: RequestId, caller: Caller, *, any_caller: bool) -> Family | None:
        """Return the caller's requests that came in one body under that id; with `any_caller`, everybody's."""
        keys = [key for key in await self.ledger.find_children(parent_id) if any_caller or key.caller == caller]
        children: list[AcceptedRequest] = []
        unreadable: list[RequestId] = []
        for batch in batched(keys, ROWS_AT_ONCE, strict=False):
            rows = await asyncio.gather(*(self._read_child(key) for key in batch))
            children += [row for row in rows if isinstance(row, AcceptedRequest)]
            unreadable += [row for row in rows if isinstance(row, str)]
        return Family(parent_id, tuple(children), tuple(unreadable)) if children or unreadable else None

    async def _read_child(self, key: RequestKey) -> AcceptedRequest | RequestId | None:
        """Return its id where its row cannot be read: that hides none of the others."""
        try:
            return await self.ledger.read(key)
        except UnreadableRowError:
            return key.request_id

    async def _schedule(self, rows: list[AcceptedRequest], at: datetime) -> None:
        """Schedule resumes of what is in the ledger already, then say so there: else the sweep takes it up."""
        try:
            await self.bus.schedule_resumes([row.key for row in rows], at)
        except BusUnavailableError:
            log("resumeNotScheduled", logging.ERROR, requestId=rows[0].key.request_id, result=f"{len(rows)} requests")
            return
        try:
            for batch in batched(rows, ROWS_AT_ONCE, strict=False):
                await asyncio.gather(*(self.ledger.expect(row.key, at) for row in batch))
        except LedgerUnavailableError:  # it is accepted all the same; the sweep sends one resume more
            log("resumeNotExpected", logging.WARNING, requestId=rows[0].key.request_id, result=f"{len(rows)} requests")

    async def _carry_out_inline(self, accepted: AcceptedRequest, resumed_at: datetime) -> Reply:
        """Wait for the outcome as long as a caller waits; the resume that is scheduled already does the rest."""
        log("started", requestId=accepted.key.request_id, caller=accepted.key.caller, attempts=accepted.attempts)
        try:
            async with asyncio.timeout(self.inline_seconds):
                outcome = await self.handle(accepted, self.clock.now() + timedelta(seconds=self.inline_seconds))
        except (Later, GraphError, TimeoutError, LedgerUnavailableError) as error:
            self.endings.tell_obstacle(accepted, error, resumed_at.isoformat(timespec="seconds"))
            if self.clock.now() >= resumed_at:  # this worker stood still: that resume may have come already
                with suppress(BusUnavailableError):
                    await self.endings.come_back(accepted)
            return Pending(accepted.key, await self._remember_obstacle(accepted, error, resumed_at))
        try:
            await self.endings.report(accepted, outcome, body_of(accepted))
        except (BusUnavailableError, LedgerUnavailableError) as error:  # the resume that is scheduled reports it then
            key, code = accepted.key, type(error).__name__
            log("notReported", logging.WARNING, requestId=key.request_id, caller=key.caller, code=code)
        return Finished(outcome)

    async def _remember_obstacle(
        self, accepted: AcceptedRequest, error: Obstacle, resumed_at: datetime
    ) -> AcceptedRequest:
        """Keep what a call waits for, and with it its place in the line; return the request with that.

        Where the ledger does not take it, the resume that is scheduled does so later.
        """
        if not isinstance(error, Later | GraphError):
            error = OutOfTimeError("inlineDeadline", counts=False)
        waiting = waiting_after(error, accepted, self.clock.now())
        with suppress(LedgerUnavailableError):
            await self.ledger.expect(accepted.key, resumed_at, waiting=waiting)
        return replace(accepted, due_at=resumed_at, waiting=waiting)


def _going_on(kept: Iterable[AcceptedRequest | Outcome]) -> list[AcceptedRequest]:
    return [row for row in kept if isinstance(row, AcceptedRequest) and row.outcome is None]


def _reply(kept: AcceptedRequest | Outcome, resumed_at: datetime) -> Reply:
    if isinstance(kept, Outcome):
        return Finished(kept)
    return Finished(kept.outcome) if kept.outcome else Pending(kept.key, replace(kept, due_at=resumed_at))
