"""Running the timer that finds lost requests more often than its schedule does."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import aiohttp

from sandbox.host import HostError, HostProcess

TIMER = "resume_lost"
EVERY_SECONDS = 20.0
RUN_SECONDS = 20.0
MOST = 10_000


async def run_timer(hosts: Sequence[HostProcess]) -> None:
    """Run the timer on one host after the other until cancelled; it finds what should have gone on long ago."""
    for turn in range(MOST):
        await asyncio.sleep(EVERY_SECONDS)
        with suppress(HostError, aiohttp.ClientError, TimeoutError):  # it may just have been killed
            await hosts[turn % len(hosts)].run_timer(TIMER, timeout_seconds=RUN_SECONDS)
