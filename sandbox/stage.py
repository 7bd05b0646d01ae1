"""Azure on one machine: the tenant, the bus, a vault and the hosts that run the function app against them."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox.bus import Bus, Options
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
    """What is up, with the addresses to reach it; `environment` is what all hosts have in common."""

    tenant: Tenant
    bus: Bus
    vault: Vault
    hosts: tuple[HostProcess, ...]
    environment: dict[str, str]

    @property
    def host(self) -> HostProcess:
        """The first host, for those who have one."""
        return self.hosts[0]


def identity_of(number: int) -> str:
    """Give the client id by which the tenant tells one of several hosts from the others, from 0."""
    return f"aaaaaaaa-0000-4000-8000-{number + 1:012}"


@asynccontextmanager
async def set_up(
    host_port: int = 0,
    *,
    hosts: int = 1,
    policy: str | None = None,
    settings: Mapping[str, str] | None = None,
    lock_seconds: float = Options().lock_seconds,
) -> AsyncIterator[Stage]:
    """Start everything on free ports; all of it ends with the context. The ledger lives in a folder of its own.

    Several hosts share queue and ledger; each goes by `identity_of` its number, and `host_port` is the first one's.
    `policy` is JSON instead of `read_policy`'s; `settings` go over those of every host. A host may be killed, frozen
    and started again meanwhile. ValueError without a host.
    """
    if hosts < 1:
        raise ValueError("a stage needs a host")
    with (
        TemporaryDirectory(prefix="mfa-reset-") as folder,
        Bus(queues=(REQUESTS, REJECTED), topics={OUTCOMES: (AUDIT,)}, lock_seconds=lock_seconds) as bus,
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
                "MFA_RESET_POLICY": policy or read_policy(),
                **(settings or {}),
            }
            async with AsyncExitStack() as stack:
                started = [
                    await stack.enter_async_context(_make_host(number, hosts, environment, host_port))
                    for number in range(hosts)
                ]
                yield Stage(tenant, bus, vault, tuple(started), environment)


def _make_host(number: int, hosts: int, environment: Mapping[str, str], first_port: int) -> HostProcess:
    # One alone goes by the system-assigned identity, unless the settings say otherwise.
    own = {"AZURE_CLIENT_ID": identity_of(number)} if hosts > 1 else {}
    return HostProcess(ROOT, {**environment, **own}, port=first_port if number == 0 else 0)


def read_policy() -> str:
    """Take the policy that is deployed to Azure, and protect the sandbox's break-glass account as an operator does."""
    policy = json.loads((ROOT / "infra" / "policy.json").read_text())
    policy["never"] = {"users": [BREAK_GLASS_USER], "groups": [NEVER_RESET_GROUP]}
    return json.dumps(policy)
