"""One soak from beginning to end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from sandbox.soak.logs import read_logs
from sandbox.soak.plan import Plan
from sandbox.soak.scene import Scene, set_up
from sandbox.soak.senders import Books, Sender
from sandbox.soak.tally import Run, Seen, count, look, report
from sandbox.soak.timers import run_timer
from sandbox.soak.trouble import disturb_bus, disturb_tenant, kill

POLL_SECONDS = 1.0
SENDERS = 4


async def run(plan: Plan, say: Callable[[str], None]) -> bool:
    """Soak, and say what became of everything; whether all is as it should be."""
    started, books = time.monotonic(), Books()
    async with set_up(plan) as scene, _meanwhile(run_timer(scene.hosts)):
        say(f"{plan.requests} messages and calls in {plan.seconds:.0f} s, {plan.hosts} hosts, seed {plan.seed} …")
        early_kills = await _ask_in_trouble(plan, scene, books, say)
        say(f"{len(look(books, scene.bus).open)} are left, nothing more is disturbed …")
        seen = await _wait_for_the_end(plan, scene, books)
        calls, told = scene.tenant.calls, read_logs(scene.logs)
        changes = sum(call.effect for call in calls)
        late_kills, seconds = scene.kills - early_kills, time.monotonic() - started
        tally = count(books, seen, calls, told)
        report(tally, books, Run(scene.kills, late_kills, len(calls), changes, len(told.found), seconds), say)
        return tally.is_well


async def _ask_in_trouble(plan: Plan, scene: Scene, books: Books, say: Callable[[str], None]) -> int:
    """Ask for everything and see most of it end while all is disturbed; return how many hosts were killed at first."""
    async with asyncio.TaskGroup() as calls:
        async with _meanwhile(disturb_tenant(scene.tenant, scene.chance), disturb_bus(scene.bus, scene.chance)):
            async with _meanwhile(kill(scene, plan.kill_seconds)):
                await _send(plan, scene, books, calls)
            early_kills = scene.kills
            say(f"All sent, {len(look(books, scene.bus).open)} are under way; hosts are killed until most have ended …")
            await scene.replace_the_dead()
            async with _meanwhile(kill(scene, plan.drain_kill_seconds)):
                await _drain(plan, scene, books)
        scene.tenant.clear_faults()
        scene.bus.clear_faults()
        await scene.replace_the_dead()
    return early_kills


async def _drain(plan: Plan, scene: Scene, books: Books) -> None:
    """Wait, in trouble, until most of what was open has ended and hosts enough were killed; or for so long."""
    few = plan.calm_share * len(look(books, scene.bus).open)
    for _ in range(round(plan.drain_seconds / POLL_SECONDS)):
        if scene.kills >= plan.least_kills and len(look(books, scene.bus).open) <= few:
            break
        await asyncio.sleep(POLL_SECONDS)


async def _wait_for_the_end(plan: Plan, scene: Scene, books: Books) -> Seen:
    """Wait until nothing is open, be it that only the timer finds it; or for so long."""
    seen = look(books, scene.bus)
    for _ in range(round(plan.end_seconds / POLL_SECONDS)):
        if not seen.open:
            break
        await asyncio.sleep(POLL_SECONDS)
        seen = look(books, scene.bus)
    return seen


@asynccontextmanager
async def _meanwhile(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do this until the context ends, then cancel it; raise what went wrong in it."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end


async def _send(plan: Plan, scene: Scene, books: Books, calls: asyncio.TaskGroup) -> None:
    pause = plan.seconds * SENDERS / plan.requests
    numbers = [range(first, plan.requests, SENDERS) for first in range(SENDERS)]
    senders = [Sender(books, scene.bus, scene.hosts, scene.users, scene.chance) for _ in numbers]
    await asyncio.gather(
        *(
            sender.send(part, lambda: pause * scene.chance.uniform(0.5, 1.5), calls)
            for sender, part in zip(senders, numbers, strict=True)
        )
    )
