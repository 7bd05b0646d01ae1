"""One process of the product as the state machine has it, and the Functions host that feeds it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from sandbox.bus import Bus
from sandbox.tenant import Tenant
from shared.bus import ServiceBus
from shared.errors import BusUnavailableError, LedgerUnavailableError
from shared.graph import GraphDirectory
from shared.ledger.sqlite import SqliteLedger
from shared.ports import Clock, Delivery
from shared.reception import Reception
from shared.sweep import Sweep
from tests.service.stage import TenantCredential
from tests.service.test_reception import OUTCOMES, REJECTED, REQUESTS, connect

BROKEN = (AzureError, OSError, TimeoutError, ValueError)  # what the client raises where a link is


@dataclass
class Links:
    """What a process is connected by; opening them takes half a second each, so that they outlive an example."""

    directory: GraphDirectory
    service_bus: ServiceBus
    client: ServiceBusClient
    receiver: ServiceBusReceiver | None = None


def open_links(tenant: Tenant, bus: Bus, clock: Clock) -> Links:
    """Make the product's own clients, and the host's."""
    directory = GraphDirectory(tenant.url, None, clock, credential_factory=lambda: TenantCredential(tenant))
    return Links(directory, ServiceBus(lambda: connect(bus), REQUESTS, REJECTED, OUTCOMES), connect(bus))


@dataclass
class Process:
    """One process of the product, and the host that feeds it; it does one thing at a time."""

    links: Links
    ledger: SqliteLedger
    reception: Reception
    sweep: Sweep
    task: asyncio.Task[None] | None = None
    killed: bool = False

    @property
    def busy(self) -> bool:
        """Whether it is in the middle of something."""
        return self.task is not None and not self.task.done()

    async def kill(self) -> None:
        """End it in the middle of what it does; see above for what that is not."""
        if self.task and self.busy:
            self.killed = True
            await self.ledger.close()
            self.task.cancel()

    async def close(self) -> None:
        """Let go of everything."""
        await self.ledger.close()
        await self.links.directory.close()
        for one in (self.links.service_bus, self.links.client):
            with suppress(*BROKEN):
                await one.close()

    async def take(self) -> None:
        """Take one message off the queue, if one comes, and do with it as the host does.

        The host gives back whatever raises; here only what may raise is given back, all else is a bug and leaves.
        """
        message = await self._receive()
        if message is None or self.links.receiver is None:
            return
        assert message.enqueued_time_utc
        body, number = b"".join(message.body), message.sequence_number or 0
        settle = self.links.receiver.complete_message
        try:
            await self.reception.receive(Delivery(body, message.message_id, number, message.enqueued_time_utc))
        except (LedgerUnavailableError, BusUnavailableError):
            settle = self.links.receiver.abandon_message
        try:
            await settle(message)
        except BROKEN:  # the lock is lost, or the link: it is delivered again
            await self._let_go_of_the_link()

    async def _receive(self) -> ServiceBusReceivedMessage | None:
        try:
            self.links.receiver = self.links.receiver or self.links.client.get_queue_receiver(REQUESTS)
            for message in await self.links.receiver.receive_messages(max_message_count=1, max_wait_time=1):
                return message
        except BROKEN:
            pass
        # It is broken, or a later message would be locked for it as soon as it comes.
        await self._let_go_of_the_link()
        return None

    async def _let_go_of_the_link(self) -> None:
        receiver, self.links.receiver = self.links.receiver, None
        with suppress(*BROKEN):
            if receiver:
                await receiver.close()
