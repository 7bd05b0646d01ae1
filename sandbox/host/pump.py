"""The Service Bus trigger: receives one entity's messages and invokes its function.

Peek-lock always; the function returns: complete; it raises: abandon, and the broker delivers again at once. Each
concurrent call has a connection of its own (a lane), more being opened as they are needed up to `maxConcurrentCalls`.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage, parse_connection_string
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from sandbox.host.app_functions import Function, ServiceBusTrigger
from sandbox.host.errors import FunctionTimeoutError, HostError, StartError, WorkerRestartError
from sandbox.host.host_json import ServiceBusOptions
from sandbox.host.invocations import Invocations
from sandbox.host.messages import read_body, read_trace_parent, read_trigger_metadata
from sandbox.host.traces import start_span

# How long one receive call waits; also the longest that a stop waits for it.
POLL_SECONDS = 0.5
CALL_SECONDS = 10
# The client takes half a second to connect: some lanes wait from the start, and when all are busy they double.
FIRST_LANES = 4
FIRST_BACK_OFF_SECONDS = 0.2
LONGEST_BACK_OFF_SECONDS = 5
# .NET renews this long before the lock ends, or half-way when less is left.
RENEWAL_BUFFER = timedelta(seconds=10)

_log = logging.getLogger("Host.Triggers.ServiceBus")


# The SDK says ValueError of a receiver that was shut down meanwhile, as a broken connection does it.
FAILURES = (AzureError, OSError, TimeoutError, ValueError)


class ServiceBusPump:
    """Pumps one entity from `run` until `stop`; StartError when the connection string is none."""

    def __init__(
        self, function: Function, trigger: ServiceBusTrigger, options: ServiceBusOptions, invocations: Invocations
    ) -> None:
        try:
            parse_connection_string(trigger.connection_string)
        except ValueError:
            # The text is a secret, and the client's error holds it.
            raise StartError(
                f"The '{function.name}' function's connection is no Service Bus connection string"
            ) from None
        self._function = function
        self._trigger = trigger
        self._options = options
        self._invocations = invocations
        self._stopping = asyncio.Event()
        self._lanes = asyncio.TaskGroup()
        self._lane_count = 0
        self._waiting_lanes = 0
        self._nobody_waits = asyncio.Event()

    async def run(self) -> None:
        """Receive until `stop`, through every failure of the bus; cancelled, it leaves what it holds locked."""
        async with self._lanes:
            self._open_lanes(FIRST_LANES)

    def stop(self) -> None:
        """Receive nothing more; what was received is carried out."""
        self._stopping.set()

    def _open_lanes(self, wanted: int) -> None:
        for _ in range(min(wanted, self._options.max_concurrent_calls - self._lane_count)):
            self._lane_count += 1
            self._count_waiting(1)
            self._lanes.create_task(self._run_lane())

    def _count_waiting(self, change: int) -> None:
        self._waiting_lanes += change
        if self._waiting_lanes:
            self._nobody_waits.clear()
        else:
            self._nobody_waits.set()

    async def _run_lane(self) -> None:
        try:
            await self._keep_receiving()
        finally:
            self._count_waiting(-1)

    async def _keep_receiving(self) -> None:
        back_off_seconds = FIRST_BACK_OFF_SECONDS
        while not self._stopping.is_set():
            try:
                async with AsyncExitStack() as stack:
                    receiver = await self._connect(stack)
                    back_off_seconds = FIRST_BACK_OFF_SECONDS
                    await self._receive(receiver)
            except FAILURES as error:
                _log.warning("%s: %s; trying again in %.1f s", self._name, _describe(error), back_off_seconds)
                await self._pause(back_off_seconds)
                back_off_seconds = min(2 * back_off_seconds, LONGEST_BACK_OFF_SECONDS)

    @property
    def _name(self) -> str:
        subscription = self._trigger.subscription
        return f"{self._trigger.entity}/{subscription}" if subscription else self._trigger.entity

    async def _connect(self, stack: AsyncExitStack) -> ServiceBusReceiver:
        # The SDK's own retries are off: the lane's back-off is the one that shows in the log.
        client = ServiceBusClient.from_connection_string(self._trigger.connection_string, retry_total=0)
        await stack.enter_async_context(client)
        if self._trigger.subscription is None:
            receiver = client.get_queue_receiver(self._trigger.entity, prefetch_count=self._options.prefetch_count)
        else:
            receiver = client.get_subscription_receiver(
                self._trigger.entity, self._trigger.subscription, prefetch_count=self._options.prefetch_count
            )
        async with asyncio.timeout(CALL_SECONDS):
            return await stack.enter_async_context(receiver)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _receive(self, receiver: ServiceBusReceiver) -> None:
        while not self._stopping.is_set():
            for message in await receiver.receive_messages(max_message_count=1, max_wait_time=POLL_SECONDS):
                self._count_waiting(-1)
                if not self._waiting_lanes:
                    self._open_lanes(self._lane_count)
                try:
                    await self._carry_out(receiver, message)
                finally:
                    self._count_waiting(1)

    async def _carry_out(self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
        done = asyncio.Event()
        renewal = asyncio.create_task(self._renew_lock(receiver, message, done))
        try:
            await self._invocations.run(
                self._function,
                read_body(message),
                reason=f"New ServiceBus message detected on '{self._name}'.",
                trace=start_span(read_trace_parent(message)),
                metadata=read_trigger_metadata(message),
            )
            has_succeeded = True
        except (FunctionTimeoutError, WorkerRestartError):
            # The process ends: what is abandoned now must not come to a lane that still waits.
            self.stop()
            await self._nobody_waits.wait()
            has_succeeded = False
        except HostError:
            has_succeeded = False
        finally:
            # The renewal is let to its end rather than cancelled: half a request would be left on the connection.
            done.set()
            await renewal
        await self._settle(receiver, message, has_succeeded=has_succeeded)

    async def _settle(
        self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage, *, has_succeeded: bool
    ) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                if not has_succeeded:
                    await receiver.abandon_message(message)
                elif self._trigger.auto_complete_messages:
                    await receiver.complete_message(message)
        except FAILURES as error:
            _log.error(
                "%s: message %s was not settled and comes again: %s",
                self._name,
                message.sequence_number,
                _describe(error),
            )

    async def _renew_lock(
        self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage, done: asyncio.Event
    ) -> None:
        renew_until = datetime.now(UTC) + self._options.max_auto_lock_renewal
        while not await _has_ended(done, _renewal_delay(message.locked_until_utc)):
            if datetime.now(UTC) >= renew_until:
                return
            try:
                await receiver.renew_message_lock(message, timeout=CALL_SECONDS)
            except FAILURES as error:
                _log.warning(
                    "%s: the lock of message %s is lost: %s", self._name, message.sequence_number, _describe(error)
                )
                return


def _renewal_delay(locked_until: datetime | None) -> timedelta:
    remaining = max((locked_until or datetime.now(UTC)) - datetime.now(UTC), timedelta())
    return remaining - min(remaining / 2, RENEWAL_BUFFER)


async def _has_ended(done: asyncio.Event, delay: timedelta) -> bool:
    try:
        await asyncio.wait_for(done.wait(), delay.total_seconds())
    except TimeoutError:
        return False
    return True


def _describe(error: Exception) -> str:
    # The kind is enough, and the text of an Azure error may hold the connection's address and more.
    return type(error).__name__
