"""One call a second, for a service that throttles without saying how long to wait."""

from datetime import datetime, timedelta

from shared.graph.repeats import MOST_WAITING_SECONDS
from shared.ports import Clock

_BETWEEN_CALLS = timedelta(seconds=1.2)  # a second, and what the network may take from it


class Pace:
    """Hands out turns a good second apart; other processes' calls are told by the service's own 429 only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_at: datetime | None = None

    def reserve(self) -> float | None:
        """Return the seconds to wait for the turn that is now taken; None, and nothing taken, when that is too long."""
        now = self._clock.now()
        at = max(self._next_at or now, now)
        wait = (at - now).total_seconds()
        if wait > MOST_WAITING_SECONDS:
            return None
        self._next_at = at + _BETWEEN_CALLS
        return wait
