"""Azure on one machine: the tenant, the bus, a vault and a host that runs the function app against them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox.bus import Bus
from sandbox.host import HostProcess
from sandbox.tenant import Tenant
from sandbox.vault import Vault

ROOT = Path(__file__).parents[1]
REQUESTS, REJECTED, OUTCOMES, AUDIT = "mfa-reset-requests", "mfa-reset-rejected", "mfa-reset-outcomes", "audit"
BREAK_GLASS_USER = "10000000-0000-4000-8000-000000000012"
NEVER_RESET_GROUP = "20000000-0000-4000-8000-000000000001"
# Deleted methods stay listed for this long, as they do in Microsoft Entra ID.
VISIBILITY_DELAY_SECONDS = 2.0


@dataclass(frozen=True)
class Stage:
    """What is up, with the addresses to reach it."""

    tenant: Tenant
    bus: Bus
    vault: Vault
    host: HostProcess
    environment: dict[str, str]


@asynccontextmanager
async def set_up(host_port: int = 0) -> AsyncIterator[Stage]:
    """Start everything on free ports; all of it ends with the context. The ledger lives in a folder of its own."""
    with (
        TemporaryDirectory(prefix="mfa-reset-") as folder,
        Bus(queues=(REQUESTS, REJECTED), topics={OUTCOMES: (AUDIT,)}) as bus,
    ):
        async with Tenant() as tenant, Vault(tenant.tokens) as vault:
            tenant.visibility_delay_seconds = VISIBILITY_DELAY_SECONDS
            environment = {
                **tenant.environment,
                **vault.environment,
                "ServiceBusConnection": bus.connection_string,
                "REQUEST_QUEUE": REQUESTS,
                "REJECTED_QUEUE": REJECTED,
                "OUTCOME_TOPIC": OUTCOMES,
                "LEDGER_URL": f"sqlite:///{folder}/ledger.sqlite",
                "MFA_RESET_POLICY": read_policy(),
            }
            async with HostProcess(ROOT, environment, port=host_port) as host:
                yield Stage(tenant, bus, vault, host, environment)


def read_policy() -> str:
    """Take the policy that is deployed to Azure, and protect the sandbox's break-glass account as an operator does."""
    policy = json.loads((ROOT / "infra" / "policy.json").read_text())
    policy["never"] = {"users": [BREAK_GLASS_USER], "groups": [NEVER_RESET_GROUP]}
    return json.dumps(policy)
