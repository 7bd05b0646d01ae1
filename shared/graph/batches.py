"""Many readings in few calls: `$batch`, of which every part is judged, repeated and paged by itself."""

import asyncio
from collections.abc import Sequence
from functools import partial

from shared.errors import GraphError
from shared.graph.client import Call, GraphClient, Reading
from shared.graph.concurrency import first_error
from shared.graph.repeats import Patience, wait_before_repeat
from shared.graph.wire import Page, read_parts
from shared.ports import Clock

MOST_PARTS = 20  # https://learn.microsoft.com/graph/json-batching#batch-size-limitations
_AT_ONCE = 8


class Batches:
    """Reads much of Microsoft Graph's v1.0 at once, within one patience. Only what changes nothing belongs here."""

    def __init__(self, graph: GraphClient, clock: Clock, patience: Patience) -> None:
        self._graph = graph
        self._clock = clock
        self._patience = patience
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def read_each[T](self, readings: Sequence[Reading[T]]) -> list[list[T]]:
        """Read every collection to its end: the first pages in batches, what follows page by page.

        Raises the first error of any: one collection that cannot be read is a part of the whole that is missing.
        """
        firsts = await self.ask_each([self._graph.first_page_of(reading) for reading in readings])
        with first_error():
            async with asyncio.TaskGroup() as tasks:
                read = [
                    tasks.create_task(self._read_on(reading, _value_of(first)))
                    for reading, first in zip(readings, firsts, strict=True)
                ]
        return [task.result() for task in read]

    async def _read_on[T](self, reading: Reading[T], first: Page[T]) -> list[T]:
        if first.next_link is None:
            return list(first.items)
        async with self._places:
            return await self._graph.read_all(reading, self._patience, first)

    async def ask_each[T](self, calls: Sequence[Call[T]]) -> list[T | GraphError]:
        """Make every call; return what each says, or its error where trying again is unsafe or did not help.

        Raises GraphError where a batch as a whole fails.
        """
        chunks = [calls[start : start + MOST_PARTS] for start in range(0, len(calls), MOST_PARTS)]
        with first_error():
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(self._ask_some(chunk)) for chunk in chunks]
        return [said for task in asked for said in task.result()]

    async def _ask_some[T](self, calls: Sequence[Call[T]]) -> list[T | GraphError]:
        async with self._places:
            if len(calls) == 1:
                try:
                    return [await self._graph.ask(calls[0], self._patience)]
                except GraphError as error:
                    return [error]
            said: dict[int, T | GraphError] = {}
            failures: dict[int, list[GraphError]] = {number: [] for number in range(len(calls))}
            pending = list(failures)
            while True:
                waits = await self._ask_pending(calls, pending, said, failures)
                # The longest wait is none too short for any: each part is throttled, with a Retry-After, by itself.
                if not waits or not self._patience.allows(longest := max(waits.values())):
                    return [said[number] for number in range(len(calls))]
                await self._clock.sleep(longest)
                pending = list(waits)

    async def _ask_pending[T](
        self,
        calls: Sequence[Call[T]],
        pending: Sequence[int],
        said: dict[int, T | GraphError],
        failures: dict[int, list[GraphError]],
    ) -> dict[int, float]:
        """Ask once for what is pending and put down what it said; return what may be asked again, after how long."""
        batch = Call(
            "batch",
            lambda requests: requests.batch([calls[number].build(requests) for number in pending]),
            partial(read_parts, count=len(pending)),
        )
        waits: dict[int, float] = {}
        for number, part in zip(pending, await self._graph.ask(batch, self._patience), strict=True):
            try:
                said[number] = await self._graph.judge_part(calls[number], part, len(failures[number]) + 1)
            except GraphError as error:
                said[number] = error
                failures[number].append(error)
                wait = wait_before_repeat(failures[number], changes=False, jitter=self._graph.jitter())
                if wait is not None:
                    waits[number] = wait
        return waits


def _value_of[T](said: T | GraphError) -> T:
    if isinstance(said, GraphError):
        raise said
    return said
