"""One soak from beginning to end."""

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox.bus import Bus
from sandbox.host import HostProcess
from sandbox.soak.senders import Books, Sender
from sandbox.soak.tally import Run, Seen, count, look, report
from sandbox.soak.timers import find_known, run_timer
from sandbox.soak.trouble import TOKEN_FAULT, disturb_bus, disturb_tenant, kill
from sandbox.soak.users import add_users
from sandbox.stage import AUDIT, OUTCOMES, REJECTED, REQUESTS, ROOT, read_policy
from sandbox.tenant import Tenant

# A host that is killed leaves its messages locked, and its users claimed for a minute: no sooner is it of any use that
# the messages come again.
LOCK_SECONDS = 60
POLL_SECONDS = 1.0
KILLS_SECONDS = 120
DYING_SECONDS = 0.5
SENDERS = 4
RESETS_PER_HOUR = 100_000


@dataclass(frozen=True)
class Plan:
    """How much: `seconds` to send in, and `end_seconds` more at most for everything to come to its end."""

    requests: int = 2_000
    users: int = 200
    hosts: int = 3
    seconds: float = 240
    end_seconds: float = 360
    kill_seconds: float = 12
    least_kills: int = 3
    seed: int = 1
    ledger: str | None = None


@dataclass
class Scene:
    """What is up."""

    tenant: Tenant
    bus: Bus
    environment: dict[str, str]
    users: list[str]
    chance: random.Random
    hosts: list[HostProcess] = field(default_factory=list)
    starts: int = 0

    async def start_host(self) -> HostProcess:
        """Start a host with an identity of its own; every other one is refused its first token."""
        self.starts += 1
        if self.starts % 2 == 0:
            self.tenant.add_fault(TOKEN_FAULT)
        identity = str(uuid.UUID(int=self.chance.getrandbits(128)))
        return await HostProcess(ROOT, self.environment | {"AZURE_CLIENT_ID": identity}).__aenter__()

    async def replace_the_dead(self) -> None:
        """Start a host in place of each that was killed, it may be just now, and has no successor yet."""
        for place, host in enumerate(self.hosts):
            with suppress(TimeoutError):
                await host.wait_for_exit(DYING_SECONDS)
                self.hosts[place] = await self.start_host()


async def run(plan: Plan, say: Callable[[str], None]) -> bool:
    """Soak, and say what became of everything; whether all is as it should be."""
    started, books = time.monotonic(), Books()
    async with set_up(plan) as scene, _meanwhile(run_timer(scene.hosts)):
        say(f"{plan.requests} messages and calls in {plan.seconds:.0f} s, {plan.hosts} hosts, seed {plan.seed} …")
        async with asyncio.TaskGroup() as calls:
            await _send_in_trouble(plan, scene, books, calls)
            sent_after = time.monotonic() - started
            left = len(look(books, scene.bus).open)
            say(f"All sent after {sent_after:.0f} s; {left} are under way, nothing more is disturbed …")
        seen = await _wait_for_the_end(books, scene.bus, plan.end_seconds)
        known = await find_known(scene.hosts[0], seen.open - seen.waiting)
        tally = count(books, seen, known, scene.tenant.calls)
        ran = Run(scene.starts - plan.hosts, len(scene.tenant.calls), time.monotonic() - started)
        report(tally, books, ran, say)
        return tally.is_well


async def _send_in_trouble(plan: Plan, scene: Scene, books: Books, calls: asyncio.TaskGroup) -> None:
    """Send everything while all is disturbed, then let it rest."""
    async with _meanwhile(
        disturb_tenant(scene.tenant, scene.chance),
        disturb_bus(scene.bus, scene.chance),
        kill(scene.hosts, scene.start_host, scene.chance, plan.kill_seconds),
    ):
        await _send(plan, scene, books, calls)
        for _ in range(round(KILLS_SECONDS / POLL_SECONDS)):
            if scene.starts - plan.hosts >= plan.least_kills:
                break
            await asyncio.sleep(POLL_SECONDS)
    scene.tenant.clear_faults()
    scene.bus.clear_faults()
    await scene.replace_the_dead()


async def _wait_for_the_end(books: Books, bus: Bus, seconds: float) -> Seen:
    """Wait until nothing is open, or the queue is empty, so that only the timer could go on; or for so long."""
    seen = look(books, bus)
    for _ in range(round(seconds / POLL_SECONDS)):
        if not seen.open or not bus.peek(REQUESTS):
            break
        await asyncio.sleep(POLL_SECONDS)
        seen = look(books, bus)
    return look(books, bus)


@asynccontextmanager
async def set_up(plan: Plan) -> AsyncIterator[Scene]:
    """Start tenant, bus and hosts; all of it ends with the context."""
    policy = json.loads(read_policy())
    policy["limits"]["resetsPerHour"] = RESETS_PER_HOUR
    bus = Bus(queues=(REQUESTS, REJECTED), topics={OUTCOMES: (AUDIT,)}, lock_seconds=LOCK_SECONDS)
    with TemporaryDirectory(prefix="mfa-reset-") as folder, bus:
        async with AsyncExitStack() as stack:
            tenant = await stack.enter_async_context(Tenant())
            environment = {
                **tenant.environment,
                "ServiceBusConnection": bus.connection_string,
                "REQUEST_QUEUE": REQUESTS,
                "LEDGER_URL": plan.ledger or f"sqlite:///{Path(folder) / 'ledger.sqlite'}",
                "MFA_RESET_POLICY": json.dumps(policy),
            }
            users = add_users(tenant, plan.users)
            scene = Scene(tenant, bus, environment, users, random.Random(plan.seed))  # noqa: S311 - draws no secret
            try:
                for _ in range(plan.hosts):
                    scene.hosts.append(await scene.start_host())
                yield scene
            finally:
                await asyncio.gather(*(host.kill() for host in scene.hosts))


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
