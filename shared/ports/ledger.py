"""What must outlive a process."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from shared.model import AcceptedRequest, Evidence, Outcome, RequestKey
from shared.vocabulary import Mark, RequestId, UserId


class Claim(Protocol):
    """The right of one worker to change one user, for 60 s from each confirmation by the ledger's own clock."""

    async def confirm(self) -> None:
        """Renew it; raise ClaimLostError when another worker has it now. Called before each change."""
        ...


class Ledger(Protocol):
    """What must outlive this process. Every method raises LedgerUnavailableError when it cannot keep its promise."""

    async def accept(self, offered: AcceptedRequest) -> AcceptedRequest:
        """Keep `offered`, or return what is kept already under its key (a second call does that), in one step."""
        ...

    async def read(self, key: RequestKey) -> AcceptedRequest | None:
        """Return what is kept under `key`, with evidence and outcome; None when there is nothing."""
        ...

    async def find(self, request_id: RequestId) -> AcceptedRequest | None:
        """Return the request of that id that was accepted last, whoever asked for it; None when there is none."""
        ...

    async def restart(self, offered: AcceptedRequest) -> AcceptedRequest:
        """Replace what is kept under the key by `offered`: no evidence, no outcome, no attempts. Return it."""
        ...

    async def count_attempt(self, key: RequestKey) -> int:
        """Add one to the attempts and return their number. A second call counts again."""
        ...

    async def write_evidence(self, key: RequestKey, evidence: Evidence) -> None:
        """Keep what was found and done so far; a second call replaces it."""
        ...

    async def write_outcome(self, key: RequestKey, outcome: Outcome) -> None:
        """Keep how it ended, not reported yet; a second call replaces it."""
        ...

    async def mark_reported(self, key: RequestKey) -> None:
        """Remember that everybody who is told has been told how it ended; a second call changes nothing."""
        ...

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
