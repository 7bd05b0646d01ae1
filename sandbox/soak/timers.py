"""Running the timer more often than its schedule does; and what is left to it."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

import httpx

from sandbox.host import HostProcess

TIMER = "resume_lost"
TIMER_EVERY_SECONDS = 20.0
HTTP_SECONDS = 20
MOST = 10_000
BY_HTTP = "functionKey:"


async def run_timer(hosts: Sequence[HostProcess]) -> None:
    """Run the timer that looks for lost requests, more often than Azure would, until cancelled."""
    async with httpx.AsyncClient(timeout=HTTP_SECONDS) as http:
        for turn in range(MOST):
            await asyncio.sleep(TIMER_EVERY_SECONDS)
            host = hosts[turn % len(hosts)]
            with suppress(httpx.HTTPError):  # it may just have been killed
                await http.post(
                    f"{host.url}/admin/functions/{TIMER}", headers={"x-functions-key": host.master_key}, json={}
                )


async def find_known(host: HostProcess, keys: Iterable[str]) -> frozenset[str]:
    """Return those requests that came over HTTP and that the ledger knows: what it knows the timer finds in the end.

    Only over HTTP may a request be accepted whose resume the bus did not take.
    """
    known = set()
    async with httpx.AsyncClient(timeout=HTTP_SECONDS, headers={"x-functions-key": host.function_key}) as http:
        for key in keys:
            if key.startswith(BY_HTTP):
                answer = await http.get(f"{host.url}/api/resets/{key.removeprefix(BY_HTTP)}")
                if answer.status_code in {200, 202}:
                    known.add(key)
    return frozenset(known)
