"""A clock that waits for nobody."""

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class FakeClock:
    """A `shared.ports.Clock` that stands still until it is told otherwise."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self.on_sleep: Callable[[float], Awaitable[None]] | None = None

    def now(self) -> datetime:
        """Return the time it was set to and advanced by since."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Advance at once, and let the others on the loop have one turn; `on_sleep` hears of it first."""
        if self.on_sleep:
            await self.on_sleep(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
