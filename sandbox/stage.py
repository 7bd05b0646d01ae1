"""Azure on one machine: the tenant, the bus, a vault and the hosts that run the function app against them."""

import json
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from sandbox.bus import Bus, Options
from sandbox.host import HostProcess, HostStartError
from sandbox.tenant import Tenant
from sandbox.vault import Vault

ROOT = Path(__file__).parents[1]
REQUESTS, REJECTED, OUTCOMES, AUDIT = "mfa-reset-requests", "mfa-reset-rejected", "mfa-reset-outcomes", "audit"
BREAK_GLASS_USER = "10000000-0000-4000-8000-000000000012"
NEVER_RESET_GROUP = "20000000-0000-4000-8000-000000000001"
# Deleted methods stay listed for this long, as they do in Microsoft Entra ID.
VISIBILITY_DELAY_SECONDS = 2.0
LEDGER_SECONDS = 30.0
_HOST_PORT = re.compile(r"Port \d+ cannot be used: (.*)")


class StageError(Exception):
    """The sandbox cannot do what it was started for; the text is a sentence that says why."""


@dataclass(frozen=True)
class Ports:
    """Where on 127.0.0.1 each part listens; 0 takes a free port."""

    app: int = 0
    bus: int = 0
    graph: int = 0
    vault: int = 0


ANY_PORTS = Ports()


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
    ports: Ports = ANY_PORTS,
    *,
    hosts: int = 1,
    policy: str | None = None,
    settings: Mapping[str, str] | None = None,
    lock_seconds: float = Options().lock_seconds,
) -> AsyncIterator[Stage]:
    """Start everything; all of it ends with the context. The ledger lives in a folder of its own.

    Several hosts share queue and ledger; each goes by `identity_of` its number, and `ports.app` is the first one's.
    `policy` is JSON instead of `read_policy`'s; `settings` go over those of every host. A host may be killed, frozen
    and started again meanwhile. ValueError without a host, StageError where this machine does not let it start.
    """
    if hosts < 1:
        raise ValueError("a stage needs a host")
    async with AsyncExitStack() as stack:
        with _in_words("its ledger cannot have a directory: TMPDIR names another place"):
            folder = stack.enter_context(TemporaryDirectory(prefix="mfa-reset-"))
        with _in_words(_taken(ports.bus, "--bus-port")):
            queues, topics = (REQUESTS, REJECTED), {OUTCOMES: (AUDIT,)}
            bus = stack.enter_context(Bus(queues, topics, port=ports.bus, lock_seconds=lock_seconds))
        with _in_words(_taken(ports.graph, "--graph-port")):
            tenant = await stack.enter_async_context(Tenant(port=ports.graph))
        with _in_words(_taken(ports.vault, "--vault-port")):
            vault = await stack.enter_async_context(Vault(tenant.tokens, port=ports.vault))
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
        with _in_words(_taken(ports.app, "--port")):
            started = [
                await stack.enter_async_context(_make_host(number, hosts, environment, ports.app))
                for number in range(hosts)
            ]
        yield Stage(tenant, bus, vault, tuple(started), environment)


async def make_ledger(stage: Stage) -> None:
    """Let the app create its ledger, by asking for a request; StageError where it cannot use it."""
    headers = {"x-functions-key": stage.host.function_key}
    async with httpx.AsyncClient(timeout=LEDGER_SECONDS, headers=headers) as client:
        answer = await client.get(f"{stage.host.url}/api/resets/none-yet")
    if answer.status_code != httpx.codes.NOT_FOUND:
        place = stage.environment["LEDGER_URL"].removeprefix("sqlite:///")
        raise StageError(f"The app cannot use its ledger, {place} (is the disk full?): TMPDIR names another place.")


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Make a StageError of what this machine refuses: `what` says that, the error why."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else "nothing is writable"
        raise StageError(f"The sandbox cannot start: {what} ({why}).") from None
    except HostStartError as error:
        found = _HOST_PORT.search(str(error))
        if found is None:
            raise
        raise StageError(f"The sandbox cannot start: {what} ({found[1]}).") from None


def _taken(port: int, option: str) -> str:
    return f"port {port} cannot be used: {option} names another, or 0 for a free one"


def _make_host(number: int, hosts: int, environment: Mapping[str, str], first_port: int) -> HostProcess:
    # One alone goes by the system-assigned identity, unless the settings say otherwise.
    own = {"AZURE_CLIENT_ID": identity_of(number)} if hosts > 1 else {}
    return HostProcess(ROOT, {**environment, **own}, port=first_port if number == 0 else 0)


def read_policy() -> str:
    """Take the policy that is deployed to Azure, and protect the sandbox's break-glass account as an operator does."""
    policy = json.loads((ROOT / "infra" / "policy.json").read_text())
    policy["never"] = {"users": [BREAK_GLASS_USER], "groups": [NEVER_RESET_GROUP]}
    return json.dumps(policy)
