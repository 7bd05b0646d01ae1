"""Settings become objects: the only place that builds them, once a process, on the loop that uses them."""

import asyncio
import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.bus import ServiceBus
from shared.graph import CallReport, GraphDirectory
from shared.ledger.sqlite import SqliteLedger
from shared.logs import log, quiet_libraries
from shared.reception import Reception
from shared.service import Service
from shared.settings import Settings
from shared.web import Web

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusClient


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
    web: Web
    directory: GraphDirectory
    ledger: SqliteLedger
    bus: ServiceBus

    async def close(self) -> None:
        """Close every connection; nothing is called afterwards."""
        await self.directory.close()
        await self.bus.close()
        await self.ledger.close()


def build(settings: Settings) -> House:
    """Build everything; nothing is opened, and no SDK is imported, before its first use."""
    quiet_libraries()
    clock = SystemClock()
    directory = GraphDirectory(settings.graph_url, settings.client_id, clock, on_call=_log_call)
    ledger = SqliteLedger(settings.ledger_path, clock)
    bus = ServiceBus(
        lambda: connect_bus(settings), settings.request_queue, settings.rejected_queue, settings.outcome_topic
    )
    service = Service(settings.policy, directory, ledger, clock)
    reception = Reception(
        settings.policy,
        ledger,
        bus,
        clock,
        handle=service.handle,
        new_id=lambda: str(uuid.uuid4()),
        jitter=random.SystemRandom().random,
    )
    return House(reception, Web(reception, settings.require_entra_caller), directory, ledger, bus)


def connect_bus(settings: Settings) -> "ServiceBusClient":
    """Make the client: of a connection string where there is one, else of the managed identity."""
    from azure.servicebus.aio import ServiceBusClient  # noqa: PLC0415 - 0.3 s that a cold start need not spend

    if settings.service_bus_connection:
        return ServiceBusClient.from_connection_string(
            settings.service_bus_connection.value, retry_total=1, try_timeout=10
        )
    from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415 - as above

    credential = ManagedIdentityCredential(client_id=settings.service_bus_client_id or settings.client_id)
    return ServiceBusClient(str(settings.service_bus_namespace), credential, retry_total=1, try_timeout=10)


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
