"""What the state machine plays with: a tenant, a bus, a ledger file, and two processes that work on them.

Each process has a ledger, a link to the bus, a directory and a reception of its own, and is its own Functions host: it
takes messages under a lock, hands them to `Reception.receive`, completes them when that returns and abandons them when
it raises. What goes wrong in the middle of that goes wrong at a call to Microsoft Graph: a `Fault` that only delays
makes the tenant wait by the test's clock, which hears of it and does the mischief there, so that it comes at the same
place whenever the same example is played.

It is **not faithful** in this:

- A killed process is cancelled, which runs `finally` blocks; SIGKILL does not. Before that its ledger is closed and
  what it asked of it is done, so that those blocks reach nothing: no evidence is kept, no claim is given back, nothing
  is settled. The claim and the lock of the message end by the clock, as after a kill. What the file holds when a
  process is killed for good is tested with real processes elsewhere.
- Nobody renews the locks of messages, as the host does; each lasts 5 minutes.
- The ledger's outage refuses changes and lets it be read, and ends by the clock.
- Time passes when somebody sleeps, whoever else is in the middle of something: claims and locks end early.
"""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from sandbox.bus import Bus, Message, State
from sandbox.tenant import Fault, Tenant
from shared.ledger.sqlite import SqliteLedger
from shared.model import AcceptedRequest, Outcome, RequestKey
from shared.policy import Policy
from shared.reception import Reception
from shared.service import make_service
from shared.steps import StepTaker
from shared.sweep import Sweep
from tests.clocks import FakeClock
from tests.service.machine_process import BROKEN, Links, Process, open_links
from tests.service.stage import START
from tests.service.test_reception import AUDIT, OUTCOMES, REJECTED, REQUESTS, connect

DEAD_LETTERS = f"{REQUESTS}/$DeadLetterQueue"
LOCK = timedelta(minutes=5)
TOKENS_LAST_SECONDS = 900
LEDGER_PATIENCE_SECONDS = 0.1
_AT_MOST_SECONDS = 60.0  # of the machine's time, for one thing that a process does

type Mischief = Callable[[], Awaitable[None]]
type Ends[More] = Callable[[AcceptedRequest, More], Awaitable[Outcome]]


@dataclass
class Site:
    """Everything there is, for one example after another: links to the bus take half a second each to open."""

    tenant: Tenant
    bus: Bus
    clock: FakeClock
    directory: Path
    policy: Policy
    client: ServiceBusClient
    sender: ServiceBusSender | None = None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    processes: list[Process] = field(default_factory=list)
    ended: list[tuple[RequestKey, Outcome]] = field(default_factory=list)
    mischief: dict[float, Mischief] = field(default_factory=dict)
    outages: dict[Literal["ledger", "bus"], datetime] = field(default_factory=dict)
    path: Path = field(default_factory=Path)
    observers: list[SqliteLedger] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    _locker: sqlite3.Connection | None = None
    _burials: list[asyncio.Task[None]] = field(default_factory=list)

    # --- From example to example --------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Have an empty ledger, an empty queue and nothing wrong, at the beginning of an hour."""
        self.heal()
        self.path = self.directory / f"ledger-{next(self.numbers)}.sqlite"
        self.ended.clear()
        self.tenant.calls.clear()
        self.clock.on_sleep = self._on_sleep
        self.clock.advance(3_600 - self.clock.now().timestamp() % 3_600)
        earlier, self.processes = self.processes, []
        self.processes = [self._build(process.links) for process in earlier] or [self._build(), self._build()]
        for process in earlier:
            await process.ledger.close()
        await self._let_go_of_the_observer()
        self.observers.append(SqliteLedger(self.path, self.clock))
        await self._empty_the_queue()
        for entity in (AUDIT, REJECTED, DEAD_LETTERS):
            self.seen[entity] = max((message.sequence_number for message in self.bus.peek(entity)), default=0)

    async def close(self) -> None:
        """Stop everything."""
        self.heal()
        await self._let_go_of_the_observer()
        await asyncio.gather(*(process.close() for process in self.processes), *self._burials)

    @property
    def observer(self) -> SqliteLedger:
        """The ledger as an operator opens it."""
        return self.observers[-1]

    async def _let_go_of_the_observer(self) -> None:
        while self.observers:
            await self.observers.pop().close()

    async def _empty_the_queue(self) -> None:
        """Throw away what an example left that failed."""
        for _ in range(200):
            if not self.bus.peek(REQUESTS):
                return
            self.clock.advance(24 * 3_600)
            async with self.processes[0].links.client.get_queue_receiver(REQUESTS) as receiver:
                for message in await receiver.receive_messages(max_message_count=50, max_wait_time=1):
                    await receiver.complete_message(message)
        raise AssertionError("The queue does not become empty.")

    def _build(self, links: Links | None = None) -> Process:
        """Make a process on the ledger of this example, with the links of one that ended in order."""
        links = links or open_links(self.tenant, self.bus, self.clock)
        ledger = SqliteLedger(self.path, self.clock, lock_timeout_seconds=LEDGER_PATIENCE_SECONDS)
        steps = StepTaker(links.directory, ledger, self.clock, None)
        service = make_service(self.policy, links.directory, ledger, self.clock, steps)
        reception = Reception(
            self.policy,
            ledger,
            links.service_bus,
            self.clock,
            self._noting(service.handle),
            self._noting(service.give_up),
            service.mender.mend,
            new_id=lambda: f"new-{next(self.numbers)}",
            jitter=lambda: 0.5,
        )
        return Process(links, ledger, reception, Sweep(ledger, links.service_bus, self.clock, reception.endings))

    def _noting[More](self, end: Ends[More]) -> Ends[More]:
        """Write down how each request ends, whether or not anybody lives to tell it."""

        async def noted(accepted: AcceptedRequest, more: More) -> Outcome:
            outcome = await end(accepted, more)
            self.ended.append((accepted.key, outcome))
            return outcome

        return noted

    # --- Working ------------------------------------------------------------------------------------------------

    async def run(self, number: int, work: Callable[[Process], Coroutine[Any, Any, None]]) -> None:
        """Let a process do something; one that is killed meanwhile is replaced by a new one."""
        process = self.processes[number]
        task = process.task = asyncio.create_task(work(process))
        await asyncio.wait({task}, timeout=_AT_MOST_SECONDS)
        assert task.done(), "It hangs."
        if not process.killed:
            task.result()
            return
        if not task.cancelled():
            task.exception()
        self.processes[number] = self._build()
        self._bury(process)

    async def work(self, deliveries: int, *, both: bool = False) -> None:
        """Take so many messages, two at a time where both processes work."""
        for _ in range(deliveries):
            waiting = len(self.visible())
            if not waiting or "bus" in self.outages:
                return
            numbers = (0, 1) if both and waiting > 1 else (0,)
            await asyncio.gather(*(self.run(number, Process.take) for number in numbers))

    async def put(self, body: bytes, message_id: str) -> int:
        """Send a message as a sender does, who tries again until it is taken; return how often it may have been."""
        self.bus.clear_faults()  # it is our messages that are disturbed
        for tries in range(1, 5):
            try:
                self.sender = self.sender or self.client.get_queue_sender(REQUESTS)
                await self.sender.send_messages(ServiceBusMessage(body, message_id=message_id))
            except BROKEN:
                self._bury(self.sender)
                self.sender = None
            else:
                return tries
        raise AssertionError("The bus takes no message.")

    def _bury(self, link: ServiceBusSender | Process | None) -> None:
        """Close what is broken, which takes a while, beside everything else."""

        async def close() -> None:
            with suppress(*BROKEN):
                if link:
                    await link.close()

        self._burials.append(asyncio.create_task(close()))

    def visible(self) -> list[Message]:
        """Return the messages that a host could have now."""
        return [one for one in self.bus.peek(REQUESTS) if one.state is State.ACTIVE and one.locked_until is None]

    def new(self, entity: str) -> list[Message]:
        """Return what has come to a queue or subscription since the example began."""
        return [message for message in self.bus.peek(entity) if message.sequence_number > self.seen[entity]]

    # --- What goes wrong ----------------------------------------------------------------------------------------

    def strike_at(self, skip: int, when: Literal["before", "after"], mischief: Mischief) -> None:
        """Do mischief while the tenant answers a call to Graph, the one after `skip` more, once."""
        marker = next(self.numbers) / 1_000_000
        self.mischief[marker] = mischief
        self.tenant.add_fault(Fault(skip=skip, delay_seconds=marker, when=when))

    async def kill(self) -> None:
        """Kill the first process that is busy."""
        busy = next((process for process in self.processes if process.busy), None)
        if busy:
            await busy.kill()

    async def lose_the_lock(self) -> None:
        """Let the locks of all messages end, and the claims; another process that is idle takes what comes of it."""
        self.advance(LOCK.total_seconds() + 1)
        idle = next((number for number, process in enumerate(self.processes) if not process.busy), None)
        if idle is not None and self.visible() and "bus" not in self.outages:
            await self.run(idle, Process.take)

    async def lock_the_ledger(self, seconds: float = 100) -> None:
        """Let nobody change the ledger for a while."""
        if self._locker is None and self.path.exists():
            self._locker = sqlite3.connect(self.path, isolation_level=None)
            self._locker.execute("BEGIN IMMEDIATE")
            self.outages["ledger"] = self.clock.now() + timedelta(seconds=seconds)

    async def stop_the_bus(self, seconds: float = 100) -> None:
        """Break every connection to the bus, and refuse new ones for a while."""
        self.bus.stop()
        self.outages["bus"] = self.clock.now() + timedelta(seconds=seconds)

    async def drop_connections(self) -> None:
        """Break every connection to the bus."""
        if "bus" not in self.outages:
            self.bus.drop_connections()

    def advance(self, seconds: float) -> None:
        """Let time pass, and what ends with it end."""
        self.clock.advance(seconds)
        self._end_outages(self.clock.now())

    def heal(self) -> None:
        """Let nothing be wrong any more."""
        self.tenant.clear_faults()
        self.mischief.clear()
        self._end_outages(None)
        self.bus.clear_faults()

    async def _on_sleep(self, seconds: float) -> None:
        self._end_outages(self.clock.now())
        if mischief := self.mischief.pop(seconds, None):
            await mischief()

    def _end_outages(self, now: datetime | None) -> None:
        over = {what for what, until in self.outages.items() if now is None or now >= until}
        if "ledger" in over and self._locker:
            self._locker.close()
            self._locker = None
        if "bus" in over:
            self.bus.start()
        for what in over:
            del self.outages[what]


@asynccontextmanager
async def open_site(directory: Path, policy: Policy) -> AsyncIterator[Site]:
    """Stand up everything."""
    clock = FakeClock(START)
    async with AsyncExitStack() as stack:
        tenant = await stack.enter_async_context(Tenant(now=clock.now, sleep=clock.sleep))
        tenant.token_lifetime_seconds = TOKENS_LAST_SECONDS
        bus = stack.enter_context(Bus(queues=(REQUESTS, REJECTED), topics={OUTCOMES: ("audit",)}, now=clock.now))
        client = await stack.enter_async_context(connect(bus))
        site = Site(tenant, bus, clock, directory, policy, client)
        stack.push_async_callback(site.close)
        yield site
