"""The snapshot of what leads to privilege: one for all requests of the process, at most 60 s old, whole or unknown."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from shared.errors import GraphError, NotPermittedError, PrivilegeUnknownError, TokenError, UnauthenticatedError
from shared.graph.client import GraphClient
from shared.graph.privilege import Privilege, PrivilegeReading
from shared.ports import Clock
from shared.vocabulary import GroupId

MOST_AGE = timedelta(seconds=60)
READING_SECONDS = 60.0  # a reading that lasts longer would be too old when it is done
# Those errors say themselves what an operator has to do, or concern every call.
_PLAIN = (NotPermittedError, TokenError, UnauthenticatedError)


@dataclass
class _Kept:
    named: frozenset[GroupId]
    reading: asyncio.Task[Privilege]


class Snapshot:
    """Keeps the last reading, and lets everybody who needs one wait for the same."""

    def __init__(self, graph: GraphClient, clock: Clock, reading_seconds: float = READING_SECONDS) -> None:
        self._graph = graph
        self._clock = clock
        self._seconds = reading_seconds
        self._kept: _Kept | None = None

    async def get(self, named: Collection[GroupId]) -> Privilege:
        """Return what leads to privilege, with what is known of the `named` groups; read it unless it is fresh.

        Raises OperatorError where it cannot be read whole. A reading that failed is nobody's but those who waited for
        it, and one that somebody stopped waiting for goes on for the others.
        """
        wanted = frozenset(named)
        kept = self._kept
        if kept is None or kept.named != wanted or self._is_spent(kept.reading):
            kept = self._kept = _Kept(wanted, asyncio.create_task(self._read(wanted)))
            kept.reading.add_done_callback(_look_at_the_error)
        try:
            return await asyncio.shield(kept.reading)
        except _PLAIN:
            raise
        except GraphError as error:
            raise PrivilegeUnknownError(error.code) from None
        except TimeoutError:
            raise PrivilegeUnknownError("tooSlow") from None

    async def close(self) -> None:
        """End a reading that is under way."""
        if self._kept:
            self._kept.reading.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._kept.reading

    def _is_spent(self, reading: asyncio.Task[Privilege]) -> bool:
        if not reading.done():
            return False
        if reading.cancelled() or reading.exception():
            return True
        return self._clock.now() - reading.result().taken_at > MOST_AGE

    async def _read(self, named: frozenset[GroupId]) -> Privilege:
        async with asyncio.timeout(self._seconds):
            return await PrivilegeReading(self._graph, self._clock, named).take()


def _look_at_the_error(reading: asyncio.Task[Privilege]) -> None:
    """Take note of the error, of which asyncio would complain where nobody waits any more."""
    if not reading.cancelled():
        reading.exception()
