"""The timer trigger: invokes its function when the schedule says so, one invocation at a time.

After TimerListener and TimerTriggerBinding of the WebJobs extension: the status tells of the run before; the next run
is reckoned from the begin of the last, so that one which comes due meanwhile starts as soon as that has ended; a
function that raises is not tried again before the next occurrence.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from sandbox.host.app_functions import Function, TimerTrigger
from sandbox.host.errors import HostError
from sandbox.host.invocations import Invocations
from sandbox.host.protos import TypedData
from sandbox.host.traces import start_span

# What .NET says of a time that has not been yet.
NEVER = "0001-01-01T00:00:00"
# A wait is never longer, so that a machine whose clock was set, or that slept, is noticed.
LONGEST_WAIT_SECONDS = 30.0


def _machine_time() -> datetime:
    return datetime.now(UTC)


class Timer:
    """Runs one function from `run` until `stop`."""

    def __init__(
        self,
        function: Function,
        trigger: TimerTrigger,
        invocations: Invocations,
        now: Callable[[], datetime] = _machine_time,
    ) -> None:
        self._function = function
        self._trigger = trigger
        self._invocations = invocations
        self._now = now
        self._last: datetime | None = None
        self._next = trigger.schedule.next_after(now())
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Keep the schedule until `stop`; at once when `stop` was called before."""
        if self._trigger.runs_on_startup and not self._stopping.is_set():
            await self._fire()
        while await self._is_due():
            await self._fire()

    def stop(self) -> None:
        """Start nothing more by the schedule; what runs is carried out."""
        self._stopping.set()

    async def run_by_hand(self) -> None:
        """Run it now, beside the schedule, which this does not move; HostError when the function fails."""
        await self._invoke("This function was programmatically called via the host APIs.")

    async def _is_due(self) -> bool:
        """Wait for the next occurrence; False when it is not to be waited for any more."""
        while not self._stopping.is_set():
            seconds = (self._next - self._now()).total_seconds()
            if seconds <= 0:
                return True
            try:
                await asyncio.wait_for(self._stopping.wait(), min(seconds, LONGEST_WAIT_SECONDS))
            except TimeoutError:
                continue
        return False

    async def _fire(self) -> None:
        began = self._now()
        with suppress(HostError):  # logged by the invocation; the next run is the schedule's
            await self._invoke(f"Timer fired at {began.isoformat()}")
        self._last, self._next = began, self._trigger.schedule.next_after(began)

    async def _invoke(self, reason: str) -> None:
        value = TypedData(json=json.dumps(self._describe(), separators=(",", ":")))
        await self._invocations.run(self._function, value, reason=reason, trace=start_span(None))

    def _describe(self) -> dict[str, object]:
        told: dict[str, object] = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        if not self._trigger.is_monitored:
            return told
        last = self._last.isoformat() if self._last else NEVER
        return told | {"ScheduleStatus": {"Last": last, "Next": self._next.isoformat(), "LastUpdated": last}}
