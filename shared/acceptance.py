"""How what is asked for becomes a row of the ledger, once: offered, accepted, replayed or begun anew."""

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import batched

from shared import outcomes
from shared.coverage import last_look_of
from shared.endings import Endings, body_of
from shared.errors import LedgerUnavailableError, UnreadableRowError
from shared.intake import Envelope, Item, common_parent, fingerprint, parent_of
from shared.logs import log
from shared.malformed import malformed_row
from shared.model import AcceptedRequest, InvalidItem, Outcome, Problem, RequestKey
from shared.patience import LOST_AFTER
from shared.policy import Policy
from shared.ports import Clock, Ledger
from shared.vocabulary import Caller, RequestId, Source, Status

DELIVERY_SECONDS = 240.0  # the own deadline of one delivery: the rest of a large user goes on in the next
SAFETY_RESUME_SECONDS = 90.0  # when accepted work over HTTP is taken up again should this process not finish it
# Until its resume is scheduled, what came over HTTP would be missed by nobody: by when the resume should have come, it
# is lost already, and the sweep need not wait for it any longer.
_UNSCHEDULED = timedelta(seconds=SAFETY_RESUME_SECONDS) - LOST_AFTER
REPLAY_FOR = timedelta(hours=24)
ROWS_AT_ONCE = 10
_REPLAYED = {Status.COMPLETED, Status.COVERED}


@dataclass(frozen=True)
class Acceptance:
    """Accepts requests. Every method raises LedgerUnavailableError; what was accepted until then goes on."""

    policy: Policy
    ledger: Ledger
    clock: Clock
    endings: Endings

    def envelope(self, parent_id: RequestId, *, derive: bool, idempotency_key: RequestId | None = None) -> Envelope:
        """Say what surrounds a body."""
        return Envelope(
            now=self.clock.now(),
            default_profile=self.policy.default_profiles.request,
            profiles=frozenset(self.policy.profiles),
            parent_id=parent_id,
            derive=derive,
            idempotency_key=idempotency_key,
        )

    def offer(
        self, item: Item, caller: Caller, source: Source, enqueued_at: datetime, parent_id: RequestId
    ) -> AcceptedRequest:
        """Make the row of a request, or of what is none."""
        key, now = RequestKey(caller, item.request_id or parent_id), self.clock.now()
        due_at = now + (_UNSCHEDULED if source is Source.HTTP else timedelta(seconds=DELIVERY_SECONDS))
        if isinstance(item, InvalidItem):
            return malformed_row(item, key, source, now, due_at)
        return AcceptedRequest(key, fingerprint(item), item, source, now, enqueued_at, due_at, now)

    async def accept_all(self, offers: list[AcceptedRequest], *, at_once: bool) -> list[AcceptedRequest | Outcome]:
        """Make each a row of the ledger; raise UnreadableRowError in the end where the row of one cannot be read.

        `at_once`: it was a body for several, whose requests are resumed at once, be there only one that is valid.
        """
        kept: list[AcceptedRequest | Outcome] = []
        unreadable: list[UnreadableRowError] = []
        if at_once:
            now = self.clock.now()
            offers = [replace(offered, due_at=min(offered.due_at, now)) for offered in offers]
        for batch in batched(offers, ROWS_AT_ONCE, strict=False):
            for each in await asyncio.gather(*map(self._accept, batch), return_exceptions=True):
                match each:
                    case UnreadableRowError():  # the others are accepted all the same, and found by the sweep
                        unreadable.append(each)
                    case BaseException():
                        raise each
                    case _:
                        kept.append(each)
        if unreadable:
            raise unreadable[0]
        return kept

    async def remember_families(self, rows: list[AcceptedRequest], parent_id: RequestId) -> None:
        """Remember those whose id is derived, and all of a body for several, as their parent's children beforehand."""
        families: dict[RequestKey, list[RequestId]] = {}
        for key in (row.key for row in rows):
            if parent := parent_of(key.request_id):
                families.setdefault(RequestKey(key.caller, parent), []).append(key.request_id)
        if len(rows) > 1:
            ids = [row.key.request_id for row in rows]
            families[RequestKey(rows[0].key.caller, common_parent(ids, parent_id))] = ids
        for family, children in families.items():
            await self.ledger.add_children(family, tuple(dict.fromkeys(children)))

    async def keep_malformed(self, rows: list[AcceptedRequest], parent_id: RequestId) -> None:
        """Keep what a call sent that is no request; where the ledger does not take it, the answer says it all."""
        try:
            await self.remember_families(rows, parent_id)
            for batch in batched(rows, ROWS_AT_ONCE, strict=False):
                await asyncio.gather(*(self.endings.end_malformed(row) for row in batch))
        except LedgerUnavailableError:
            log("malformedNotKept", logging.WARNING, requestId=rows[0].key.request_id, result=f"{len(rows)} items")

    async def _accept(self, offered: AcceptedRequest) -> AcceptedRequest | Outcome:
        """Make it a row of the ledger.

        Return the row: with an outcome when that is to be told again without any further effect, else to be carried
        out. Return an outcome of its own when the id is another request's.
        """
        kept = await self.ledger.accept(offered)
        if kept.is_malformed:
            kept = await self.ledger.restart(offered, kept)
        if kept.fingerprint != offered.fingerprint:
            text = "Another request of this caller has this id; ask for something else under an id of its own."
            return outcomes.invalid(offered, (Problem("requestId", "requestIdReused", text),), self.clock.now())
        if kept.outcome is None:
            return kept
        if self._is_replay(offered, kept, kept.outcome):
            log("replayed", requestId=kept.key.request_id, caller=kept.key.caller, status=kept.outcome.status)
            # A message that reports what a lost process did not is the first to do so.
            is_first = offered.source is Source.QUEUE and not kept.reported
            return kept if is_first else replace(kept, outcome=replace(kept.outcome, replayed=True))
        if not kept.reported:
            await self.endings.report(kept, kept.outcome, body_of(kept))
        return await self.ledger.restart(offered, kept)

    def _is_replay(self, offered: AcceptedRequest, kept: AcceptedRequest, outcome: Outcome) -> bool:
        """Whether it asks for what has ended: of a success within a day, unless it was seen again since.

        What was enqueued before that run was accepted is its own message, or a copy of it, and asks for nothing new.
        """
        if offered.source is Source.QUEUE and offered.first_enqueued_at <= kept.accepted_at:
            return True
        if outcome.status not in _REPLAYED or self.clock.now() - outcome.finished_at >= REPLAY_FOR:
            return False
        observed_at = offered.request.observed_at
        return observed_at is None or min(observed_at, offered.first_enqueued_at) <= last_look_of(outcome)
