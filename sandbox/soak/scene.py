"""What is up while a soak runs."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox.bus import Bus
from sandbox.host import HostProcess
from sandbox.soak.plan import Plan
from sandbox.soak.users import add_users
from sandbox.stage import AUDIT, OUTCOMES, REJECTED, REQUESTS, ROOT, read_policy
from sandbox.tenant import Fault, Tenant

# A host that is killed leaves its messages locked, and its users claimed for a minute: no sooner is it of any use that
# the messages come again.
LOCK_SECONDS = 60
DYING_SECONDS = 0.5
TOKEN_FAULT = Fault(path="/msi/token", status=500)
RESETS_PER_HOUR = 100_000


@dataclass
class Scene:
    """Tenant, bus and those hosts that are up; `logs` is what each host said that there ever was, by its client id."""

    tenant: Tenant
    bus: Bus
    environment: dict[str, str]
    users: list[str]
    chance: random.Random
    hosts: list[HostProcess] = field(default_factory=list)
    logs: dict[str, Sequence[str]] = field(default_factory=dict)
    kills: int = 0

    async def start_host(self) -> HostProcess:
        """Start a host with an identity of its own; every other one is refused its first token."""
        if len(self.logs) % 2:
            self.tenant.add_fault(TOKEN_FAULT)
        identity = str(uuid.UUID(int=self.chance.getrandbits(128)))
        host = HostProcess(ROOT, self.environment | {"AZURE_CLIENT_ID": identity}, shows_invocations=True)
        self.logs[identity] = host.output
        return await host.__aenter__()

    async def kill_host(self) -> None:
        """Kill one host with SIGKILL, and start another in its place."""
        place = self.chance.randrange(len(self.hosts))
        await self.hosts[place].kill()
        self.kills += 1
        self.hosts[place] = await self.start_host()

    async def replace_the_dead(self) -> None:
        """Start a host in place of each that was killed and has no successor, as the killing was called off."""
        for place, host in enumerate(self.hosts):
            with suppress(TimeoutError):  # it lives; one that was killed just now may not have ended yet
                await host.wait_for_exit(DYING_SECONDS)
                self.hosts[place] = await self.start_host()


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
