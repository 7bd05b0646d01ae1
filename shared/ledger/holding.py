"""Holding a claim: acquired, renewed while held, given back; the same for every store."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from math import inf
from time import monotonic
from types import TracebackType
from typing import NoReturn, Protocol, Self
from uuid import uuid4

from shared.errors import ClaimLostError, LedgerUnavailableError
from shared.model import AcceptedRequest, Coverage, Evidence, Outcome
from shared.vocabulary import Mark, UserId

CLAIM_LASTS = timedelta(seconds=60)
RENEW_EVERY_SECONDS = 20.0
FRESH_SECONDS = 5.0  # far less than a claim lasts: a process that was stopped in between asks the store again


class ClaimStore(Protocol):
    """One row a user: who holds the claim, and until when by the store's own clock.

    Each method raises LedgerUnavailableError when it cannot keep its promise. A call that is cancelled has taken
    effect, or takes effect before any later call of the same holder, or never does.
    """

    async def acquire(self, user_id: UserId, holder: str) -> None:
        """Write `holder`, for CLAIM_LASTS, where there is no row or an expired one; else raise ClaimHeldError."""
        ...

    async def renew(self, user_id: UserId, holder: str) -> None:
        """Make it last CLAIM_LASTS from now where the row names `holder`, expired or not; else raise ClaimLostError."""
        ...

    async def release(self, user_id: UserId, holder: str) -> None:
        """Remove the row where it names `holder`; else, and on a second call, change nothing."""
        ...

    async def write_evidence(self, user_id: UserId, holder: str, accepted: AcceptedRequest, evidence: Evidence) -> None:
        """Do as `renew` does, and keep the evidence, in one step."""
        ...

    async def write_marks(self, user_id: UserId, holder: str, marks: Mapping[Mark, str | None]) -> None:
        """Do as `renew` does, and keep these marks, or none where there is no text, in one step."""
        ...

    async def read_coverages(self, user_id: UserId) -> tuple[Coverage, ...]:
        """Return what the last resets of the user cover, the newest first."""
        ...

    async def end(
        self, user_id: UserId, holder: str, accepted: AcceptedRequest, outcome: Outcome, coverage: Coverage | None
    ) -> None:
        """Keep outcome and coverage and remove the row where it names `holder`, in one step; else ClaimLostError."""
        ...


class HeldClaim:
    """The claim of one holder on one user, for one `async with`; a `shared.ports.Claim`.

    It is renewed every `renew_every_seconds` of real time. A renewal that finds the ledger unreachable is tried again
    at the next turn; whatever else ends the renewals is raised by the next `confirm`. Leaving gives the claim back,
    and raises what prevented that, or the bug that ended the renewals, unless the body raises something itself: then
    that goes on its way with a note. A claim lost without a `confirm` after it is no error: nothing was changed since.
    """

    def __init__(self, store: ClaimStore, user_id: UserId, renew_every_seconds: float) -> None:
        self._store = store
        self._user_id = user_id
        self._renew_every_seconds = renew_every_seconds
        self._holder = uuid4().hex
        self._turn = asyncio.Lock()  # what this holder asks of the store, one after the other
        self._confirmed_at = -inf  # by `write_evidence`, until an exchange makes use of it; of the steady clock

    async def __aenter__(self) -> Self:
        try:
            await self._store.acquire(self._user_id, self._holder)
        except (asyncio.CancelledError, LedgerUnavailableError) as untold:
            # The store may have written the row all the same: it would keep the user for nobody.
            _raise_or_note(await self._give_back(), untold)
            raise
        self._renewals = asyncio.create_task(self._renew_until_lost())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renewals.cancel()
        _raise_or_note(await self._give_back(self._renewals), raised)

    async def confirm(self) -> None:
        """Renew it; raise ClaimLostError when another worker has it now, or had it since."""
        self._raise_what_ended_the_renewals()
        await self._renew()

    async def still_held(self) -> None:
        """Confirm it, but once not: within seconds after `write_evidence`, which confirmed it."""
        confirmed_at, self._confirmed_at = self._confirmed_at, -inf
        if monotonic() - confirmed_at > FRESH_SECONDS:
            await self.confirm()

    async def write_evidence(self, accepted: AcceptedRequest, evidence: Evidence) -> None:
        """Renew it, and keep what was found and done so far, in one step; a second call replaces the evidence."""
        self._raise_what_ended_the_renewals()
        asked_at = monotonic()
        async with self._turn:
            await self._store.write_evidence(self._user_id, self._holder, accepted, evidence)
        self._confirmed_at = asked_at

    async def keep_marks(self, marks: Mapping[Mark, str | None]) -> None:
        """Renew it, and remember marks of the user, or forget them, in one step; a second call changes nothing."""
        self._raise_what_ended_the_renewals()
        async with self._turn:
            await self._store.write_marks(self._user_id, self._holder, marks)

    async def read_coverages(self) -> tuple[Coverage, ...]:
        """Return what the last resets of this user cover, the newest first, ten at most."""
        await self.confirm()
        return await self._store.read_coverages(self._user_id)

    async def end(self, accepted: AcceptedRequest, outcome: Outcome, coverage: Coverage | None) -> None:
        """Keep how it ended, not reported yet, and what that covers, and give the claim back, in one step."""
        self._raise_what_ended_the_renewals()
        self._renewals.cancel()  # one that is under way would find the claim gone
        async with self._turn:
            await self._store.end(self._user_id, self._holder, accepted, outcome, coverage)

    def _raise_what_ended_the_renewals(self) -> None:
        if self._renewals.done() and not self._renewals.cancelled():
            self._renewals.result()

    async def _renew(self) -> None:
        async with self._turn:
            await self._store.renew(self._user_id, self._holder)

    async def _renew_until_lost(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._renew_every_seconds)
            with suppress(LedgerUnavailableError):  # `confirm` asks the ledger itself and raises it there
                await self._renew()

    async def _give_back(self, *renewals: asyncio.Task[NoReturn]) -> list[Exception]:
        """Release the claim, even when cancelled meanwhile; return what went wrong with it and with the renewals."""
        ends = asyncio.gather(*renewals, self._store.release(self._user_id, self._holder), return_exceptions=True)
        return [
            end
            for end in await asyncio.shield(ends)
            if isinstance(end, Exception) and not isinstance(end, ClaimLostError)
        ]


def _raise_or_note(failures: list[Exception], raised: BaseException | None) -> None:
    for failure in failures:
        if raised is None:
            raise failure
        raised.add_note(f"The claim was not given back in order and expires by itself: {failure}")
