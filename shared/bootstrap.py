"""Settings become objects: the only place that builds them, once a process, on the loop that uses them."""

import asyncio
import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from shared.bus import ServiceBus
from shared.graph import CallReport, GraphDirectory
from shared.identity import QUIET, azure_cli, managed_identity
from shared.ledger.sqlite import SqliteLedger
from shared.ledger.table import TableLedger
from shared.logs import log, quiet_libraries
from shared.ports import Clock, Ledger
from shared.readiness import check_readiness
from shared.reception import Reception
from shared.service import make_service
from shared.settings import BusSettings, LedgerSettings, Settings
from shared.steps import StepTaker
from shared.sweep import Sweep
from shared.vault import KeyVault
from shared.waking import Waker
from shared.web import Web

if TYPE_CHECKING:
    from azure.data.tables.aio import TableServiceClient
    from azure.servicebus.aio import ServiceBusClient


TABLE_SECONDS = 5


class SystemClock:
    """`ports.Clock` of this machine."""

    def now(self) -> datetime:
        """Tell the time, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True)
class House:
    """What the triggers talk to."""

    reception: Reception
    sweep: Sweep
    waker: Waker
    web: Web
    directory: GraphDirectory
    ledger: Ledger
    bus: ServiceBus
    vault: KeyVault | None

    async def close(self) -> None:
        """Close every connection; nothing is called afterwards."""
        await self.directory.close()
        if self.vault:
            await self.vault.close()
        await self.bus.close()
        await self.ledger.close()


def build(settings: Settings) -> House:
    """Build everything; nothing is opened, and no SDK is imported, before its first use."""
    quiet_libraries()
    clock = SystemClock()
    directory = GraphDirectory(settings.graph_url, settings.client_id, clock, on_call=_log_call)
    ledger = open_ledger(settings.ledger, clock)
    names = settings.bus.request_queue, settings.bus.rejected_queue, settings.bus.outcome_topic
    bus = ServiceBus(partial(connect_bus, settings.bus), *names)
    vault = KeyVault(settings.key_vault_url, settings.client_id) if settings.key_vault_url else None
    steps = StepTaker(directory, ledger, clock, vault)
    service = make_service(settings.policy, directory, ledger, clock, steps)
    reception = Reception(
        settings.policy,
        ledger,
        bus,
        clock,
        handle=service.handle,
        give_up=service.give_up,
        mend=service.mender.mend,
        new_id=lambda: str(uuid.uuid4()),
        jitter=random.SystemRandom().random,
    )
    check = partial(check_readiness, settings.policy, directory)
    web = Web(reception, settings.require_entra_caller, check, settings.public_url)
    sweep, waker = Sweep(ledger, bus, clock, reception.endings), Waker(ledger, bus, clock, service.budgets)
    return House(reception, sweep, waker, web, directory, ledger, bus, vault)


def open_ledger(settings: LedgerSettings, clock: Clock, *, as_operator: bool = False) -> Ledger:
    """Make the ledger; the app's is created where it is missing.

    `as_operator` never creates one, and is who `az login` says where there is no connection string.
    """
    if settings.path:
        return SqliteLedger(settings.path, clock, may_create=not as_operator)
    return TableLedger(partial(connect_tables, settings, as_operator=as_operator), may_create=not as_operator)


def connect_tables(settings: LedgerSettings, *, as_operator: bool = False) -> "TableServiceClient":
    """Make the client: of a connection string where there is one, else of an identity."""
    from azure.data.tables.aio import TableServiceClient  # noqa: PLC0415 - 0.2 s that a cold start need not spend

    quiet = {**QUIET, "connection_timeout": TABLE_SECONDS, "read_timeout": TABLE_SECONDS}
    if settings.connection:
        return TableServiceClient.from_connection_string(settings.connection.value, **quiet)
    credential = azure_cli(settings.tenant_id) if as_operator else managed_identity(settings.client_id)
    return TableServiceClient(str(settings.account), credential=credential, **quiet)


def connect_bus(settings: BusSettings) -> "ServiceBusClient":
    """Make the client: of a connection string where there is one, else of the managed identity."""
    from azure.servicebus.aio import ServiceBusClient  # noqa: PLC0415 - 0.3 s that a cold start need not spend

    if settings.connection:
        return ServiceBusClient.from_connection_string(settings.connection.value, retry_total=1, try_timeout=10)
    credential = managed_identity(settings.client_id)
    return ServiceBusClient(str(settings.namespace), credential, retry_total=1, try_timeout=10)


def _log_call(report: CallReport) -> None:
    log(
        "graphCall",
        operation=report.operation,
        httpStatus=report.status,
        code=report.code,
        graphRequestId=report.request_id,
        clientRequestId=report.client_request_id,
        seconds=round(report.seconds, 3),
        attempts=report.attempt,
    )
