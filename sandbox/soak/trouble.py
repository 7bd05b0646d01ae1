"""What goes wrong: faults of tenant and bus, and hosts that are killed."""

import asyncio
import random

from sandbox.bus import Bus
from sandbox.soak.scene import Scene
from sandbox.stage import OUTCOMES, REQUESTS
from sandbox.tenant import Fault, Tenant

TENANT_EVERY_SECONDS = 0.3
# A failed send makes the app hold its delivery back for half a minute: more of them would leave no room for work.
BUS_EVERY_SECONDS = 4.0
BUS_STOPPED_SECONDS = 1.0
MOST = 100_000
TENANT_FAULTS = (
    Fault(status=429, retry_after=1),
    Fault(status=500),
    Fault(status=503, when="after"),
    Fault(method="DELETE", cut="before"),
    Fault(method="DELETE", cut="after"),
    Fault(method="DELETE", delay_seconds=2),
    Fault(method="DELETE", delay_seconds=2, when="after"),
    Fault(cut="after"),
)
BUS_TROUBLES, WEIGHTS = ("lose", "refuse", "drop", "stop"), (4, 4, 2, 1)


async def disturb_tenant(tenant: Tenant, chance: random.Random) -> None:
    """Order faults of Microsoft Graph, one after the other, until cancelled."""
    for _ in range(MOST):
        await asyncio.sleep(TENANT_EVERY_SECONDS)
        tenant.add_fault(chance.choice(TENANT_FAULTS))


async def disturb_bus(bus: Bus, chance: random.Random) -> None:
    """Lose answers, refuse sends, break connections, be away for a second, until cancelled."""
    for _ in range(MOST):
        await asyncio.sleep(BUS_EVERY_SECONDS)
        match chance.choices(BUS_TROUBLES, WEIGHTS):
            case ["lose"]:
                bus.lose_answers(chance.choice([REQUESTS, OUTCOMES]))
            case ["refuse"]:
                bus.refuse_sends(chance.choice([REQUESTS, OUTCOMES]))
            case ["drop"]:
                bus.drop_connections()
            case _:
                await _stop_for_a_while(bus)


async def kill(scene: Scene, every_seconds: float) -> None:
    """Kill one host after the other, until cancelled."""
    for _ in range(MOST):
        await asyncio.sleep(every_seconds)
        await scene.kill_host()


async def _stop_for_a_while(bus: Bus) -> None:
    try:
        await asyncio.to_thread(bus.stop)
        await asyncio.sleep(BUS_STOPPED_SECONDS)
    finally:
        bus.start()
