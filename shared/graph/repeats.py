"""What is tried again within one call of the port, and how long that may take (rule 5 of the house)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.errors import ConflictError, GraphError, NoAnswerError, ThrottledError, TokenError, UnavailableError
from shared.ports import Clock

MOST_TRIES = 5
MOST_WAITING_SECONDS = 20.0
CONFLICT_WAIT_SECONDS = 1.0
_JITTER = 0.25


class Patience:
    """What one call of the port may spend on waiting: every wait ends within 20 s of the first one's start.

    It is shared by everything that the call reads, one after another or at once. `seconds` makes it shorter.
    """

    def __init__(self, clock: Clock, seconds: float = MOST_WAITING_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._ends_at: datetime | None = None

    def allows(self, seconds: float) -> bool:
        """Tell whether a wait of that length, from now, still fits."""
        now = self._clock.now()
        if self._ends_at is None:
            self._ends_at = now + timedelta(seconds=self._seconds)
        return timedelta(seconds=seconds) <= self._ends_at - now


def wait_before_repeat(
    failures: Sequence[GraphError], *, changes: bool, once: bool = False, jitter: float
) -> float | None:
    """Return the seconds to wait before the next try after `failures`, None when there must not be one.

    `changes`: whether the call changes something; our changes converge, so that a refused one may be sent again.
    Whether one took effect that got no answer is for the next listing to tell. `once`: it does not converge, so only
    what was certainly not carried out is sent again. `jitter` is from 0 to 1.
    """
    if len(failures) >= MOST_TRIES or (once and not isinstance(failures[-1], ThrottledError | TokenError)):
        return None
    backoff = 2.0 ** (len(failures) - 1) * (1 + _JITTER * jitter)
    match failures[-1]:
        case ThrottledError(retry_after_seconds=seconds) | UnavailableError(retry_after_seconds=seconds):
            return backoff if seconds is None else seconds
        case TokenError():
            return backoff
        case NoAnswerError():
            return None if changes else backoff
        case ConflictError():
            first = sum(isinstance(failure, ConflictError) for failure in failures) == 1
            return CONFLICT_WAIT_SECONDS if changes and first else None
        case _:
            return None
