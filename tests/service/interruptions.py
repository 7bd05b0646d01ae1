"""One request through the whole service, interrupted at any one of its writes, then carried to its end by another.

Every write (a change in Microsoft Graph, in the ledger or of the claim, a message, a secret) goes through a thin
`_Port` that delegates to the product's own implementation, counts it, and may interrupt the worker there. Two workers
share tenant, ledger file, bus and vault, and nothing else.

It is **not faithful** in this:

- An interruption falls between two calls of a port, never inside one: what a call repeats over HTTP is one write here.
- A killed worker is cancelled, which runs `finally` blocks; but nothing of what they ask for reaches anything.
- Nobody takes messages off the queue: the original one and the resumes are delivered here, each when it is due.
- Whoever called over HTTP and got no answer calls again only where nothing was accepted.
"""

import itertools
import json
from asyncio import CancelledError, Task, create_task
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from sandbox.bus import Bus
from sandbox.tenant import RoleAssignment, Tenant
from sandbox.vault import Vault
from shared.bus import ServiceBus
from shared.errors import (
    BusUnavailableError,
    GraphAnswer,
    LedgerUnavailableError,
    NoAnswerError,
    UnavailableError,
    VaultError,
)
from shared.graph import GraphDirectory
from shared.ledger.holding import CLAIM_LASTS, RENEW_EVERY_SECONDS, HeldClaim
from shared.ledger.sqlite import SqliteLedger
from shared.model import AcceptedRequest, RequestKey
from shared.patience import LOST_AFTER
from shared.policy import Policy
from shared.ports import Bus as BusPort
from shared.ports import Call, Claim, Delivery, Directory, Ledger, TemporaryAccessPass
from shared.ports import Vault as VaultPort
from shared.reception import Reception
from shared.service import make_service
from shared.steps import StepTaker
from shared.sweep import Sweep
from shared.vault import KeyVault
from shared.vocabulary import QUEUE, Caller, MethodId, RequestId, UserId
from tests.clocks import FakeClock
from tests.service.stage import START, TenantCredential
from tests.service.test_reception import AUDIT, OUTCOMES, REJECTED, REQUESTS, connect

GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
PASS_TYPE = "temporaryAccessPass"
MESSAGE_LOCK = timedelta(minutes=5)
SECOND = timedelta(seconds=1)
_AT_MOST_DELIVERIES = 20
_READS = ("read", "find", "list", "recall", "unfinished", "was_", "granted", "may_", "close")


class Kind(StrEnum):
    """What happens at a write."""

    KILL = "killed after it"
    FAIL_BEFORE = "fails before its effect"
    FAIL_AFTER = "fails after its effect"
    LOSE = "another holder takes the claim before it, and changes nothing"
    STALL = "another worker finishes before it"


class _Area(StrEnum):
    DIRECTORY = "directory"
    LEDGER = "ledger"
    CLAIM = "claim"
    BUS = "bus"
    VAULT = "vault"


@dataclass(frozen=True)
class Write:
    """One write of a worker."""

    area: str
    name: str

    def __str__(self) -> str:
        return f"{self.area}.{self.name}"


type Interrupt = Callable[[Write, Callable[[], Awaitable[Any]]], Awaitable[Any]]


class _Port:
    """An implementation of a port, each write of which passes by its worker."""

    def __init__(self, area: _Area, delegate: object, worker: "Worker") -> None:
        self._area = area
        self._delegate = delegate
        self._worker = worker

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        method = getattr(self._delegate, name)

        async def pass_by(*words: Any, **named: Any) -> Any:  # noqa: ANN401 - as above
            self._worker.raise_if_dead()
            if name.startswith(_READS):
                return await method(*words, **named)
            return await self._worker.write(Write(self._area, name), lambda: method(*words, **named))

        return pass_by


class _DirectoryPort(_Port):
    """The directory, and the same under a claim."""

    def under(self, claim: Claim) -> "_DirectoryPort":
        directory = cast("GraphDirectory", self._delegate)
        return _DirectoryPort(self._area, directory.under(claim), self._worker)


class _LedgerPort(_Port):
    """The ledger, with claims whose store is a port of its own."""

    def claim(self, user_id: UserId) -> HeldClaim:
        ledger = cast("SqliteLedger", self._delegate)
        store = cast("Any", _Port(_Area.CLAIM, ledger._claims, self._worker))
        return HeldClaim(store, user_id, RENEW_EVERY_SECONDS)


@dataclass
class Worker:
    """A process of the product: what it wrote, and what interrupts it."""

    interrupt: Interrupt | None = None
    interrupted_at: int = -1
    writes: list[Write] = field(default_factory=list)
    dead: bool = False
    task: Task[None] | None = None
    look: Callable[[Write, Any], None] | None = None
    reception: Reception = field(init=False)
    sweep: Sweep = field(init=False)

    def build(self, site: "Site", connected: "Connected", ledger: SqliteLedger) -> "Worker":
        """Make reception and sweep over ports that pass by here."""
        directory = cast("Directory", _DirectoryPort(_Area.DIRECTORY, connected.directory, self))
        kept = cast("Ledger", _LedgerPort(_Area.LEDGER, ledger, self))
        bus = cast("BusPort", _Port(_Area.BUS, connected.bus, self))
        vault = cast("VaultPort", _Port(_Area.VAULT, connected.vault, self))
        service = make_service(site.policy, directory, kept, site.clock, StepTaker(directory, kept, site.clock, vault))
        ends = service.handle, service.give_up, service.mender.mend
        numbers = itertools.count()
        self.reception = Reception(
            site.policy, kept, bus, site.clock, *ends, new_id=lambda: f"new-{next(numbers)}", jitter=lambda: 0.5
        )
        self.sweep = Sweep(kept, bus, site.clock, self.reception.endings)
        return self

    async def write(self, write: Write, do: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what the port gives
        """Count a write, and do it as it is to be done."""
        self.writes.append(write)

        async def do_and_look() -> Any:  # noqa: ANN401 - what the port gives
            result = await do()
            if self.look:
                self.look(write, result)
            return result

        if self.interrupt and len(self.writes) - 1 == self.interrupted_at:
            return await self.interrupt(write, do_and_look)
        return await do_and_look()

    def raise_if_dead(self) -> None:
        """Let nothing through that a killed worker asks for while it is unwound."""
        if self.dead:
            raise CancelledError

    async def receive(self, original: Delivery | Call) -> bool:
        """Take a delivery or a call as the host does: True when it is settled or answered, else it comes again."""
        self.task = create_task(self._take(original))
        try:
            await self.task
        except (LedgerUnavailableError, BusUnavailableError):
            return False
        except CancelledError:
            if not self.dead:
                raise
            return False
        return True

    async def _take(self, original: Delivery | Call) -> None:
        if isinstance(original, Call):
            await self.reception.take_call(original)
        else:
            await self.reception.receive(original)


@dataclass(frozen=True)
class Case:
    """A request that is interrupted: whom it is for, and who asks how. Only `queue` sends a message."""

    profile: str
    user: dict[str, Any]
    caller: Caller = QUEUE
    administrator: bool = False


@dataclass
class Connected:
    """What a worker is connected by; opening it takes half a second, so that it outlives a run."""

    directory: GraphDirectory
    bus: ServiceBus
    vault: KeyVault


@dataclass
class Site:
    """Tenant, bus, vault and clock, for one run after another, each with a user and a ledger of its own."""

    tenant: Tenant
    bus: Bus
    clock: FakeClock
    directory: Path
    policy: Policy
    links: tuple[Connected, Connected]
    vault: Vault
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @asynccontextmanager
    async def run(self, case: Case) -> AsyncIterator["Run"]:
        """Begin a run for a user, who is added to the tenant."""
        number = next(self.numbers)
        user_id = f"30000000-0000-4000-8000-{number:012}"
        self.tenant.directory.add_user(
            {"id": user_id, "userPrincipalName": f"user-{number}@contoso.example", "displayName": f"{number}"}
            | case.user
        )
        if case.administrator:
            role = RoleAssignment(f"role-{number}", user_id, GLOBAL_ADMINISTRATOR)
            self.tenant.directory.role_assignments.append(role)
        self.tenant.calls.clear()
        path = self.directory / f"ledger-{number}.sqlite"
        ledgers = SqliteLedger(path, self.clock), SqliteLedger(path, self.clock)
        key = RequestKey(case.caller, RequestId(f"RUN-{number}"))
        body = json.dumps({"requestId": key.request_id, "user": user_id, "profile": case.profile}).encode()
        message = Delivery(body, "M", number, self.clock.now())
        yield Run(self, UserId(user_id), key, message if case.caller == QUEUE else Call(body, case.caller), ledgers)
        for ledger in ledgers:
            await ledger.close()


@dataclass
class Run:
    """One request, and the two workers that it meets: the first may be interrupted, the second ends it."""

    site: Site
    user_id: UserId
    key: RequestKey
    original: Delivery | Call
    ledgers: tuple[SqliteLedger, SqliteLedger]
    first: Worker = field(init=False)
    second: Worker = field(init=False)
    writes_after_stall: int | None = None
    codes: dict[MethodId, str] = field(default_factory=dict)  # of the passes that were made
    counted: int = 0  # starts, against an hourly limit
    wrong: set[str] = field(default_factory=set)  # seen at a write
    _was_disabled: bool = False
    _delivered: set[int] = field(default_factory=set)
    _settled: bool = False

    def __post_init__(self) -> None:
        self.first = Worker().build(self.site, self.site.links[0], self.ledgers[0])
        self.second = Worker().build(self.site, self.site.links[1], self.ledgers[1])
        self.first.look = self.second.look = self._look

    async def play(self, kind: Kind | None = None, at: int = -1) -> None:
        """Let the first worker be interrupted at a write, by its place from 0, and the second end what is left."""
        doing: dict[Kind, Interrupt] = {
            Kind.KILL: self._kill,
            Kind.FAIL_BEFORE: self._fail_before,
            Kind.FAIL_AFTER: self._fail_after,
            Kind.LOSE: self._lose,
            Kind.STALL: self._stall,
        }
        async with AsyncExitStack() as self._until_the_end_of_the_first:
            self.first.interrupted_at, self.first.interrupt = at, doing[kind] if kind else None
            self._settled |= await self.first.receive(self.original)
        if self.first.dead:
            self.site.clock.advance(MESSAGE_LOCK.total_seconds())
        await self._end()
        await self._deliver_what_is_left()

    # --- Interruptions ------------------------------------------------------------------------------------------

    async def _kill(self, _: Write, do: Callable[[], Awaitable[Any]]) -> None:
        await do()
        self.first.dead = True
        assert self.first.task
        self.first.task.cancel()
        raise CancelledError

    async def _fail_before(self, write: Write, _: Callable[[], Awaitable[Any]]) -> None:
        raise _failure(write, UnavailableError(GraphAnswer(503, "serviceNotAvailable")))

    async def _fail_after(self, write: Write, do: Callable[[], Awaitable[Any]]) -> None:
        await do()
        raise _failure(write, NoAnswerError())

    async def _lose(self, _: Write, do: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what the port gives
        self.site.clock.advance((CLAIM_LASTS + SECOND).total_seconds())
        await self._until_the_end_of_the_first.enter_async_context(self.ledgers[1].claim(self.user_id))
        return await do()

    async def _stall(self, _: Write, do: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what the port gives
        self.site.clock.advance(MESSAGE_LOCK.total_seconds())
        await self._end()
        self.writes_after_stall = len(self.first.writes) - 1  # the one that it stands before, too
        return await do()

    # --- To the end ---------------------------------------------------------------------------------------------

    async def row(self) -> AcceptedRequest | None:
        """Return what the ledger holds."""
        return await self.ledgers[1].read(self.key)

    async def _end(self) -> None:
        """Let the second worker take what comes: the original until it is settled, then resumes, then the sweep's."""
        for _ in range(_AT_MOST_DELIVERIES):
            row = await self.row()
            if row and row.outcome and row.reported:
                return
            if isinstance(self.original, Call) and row:
                self._settled = True
            if not self._settled:
                self._settled = await self.second.receive(self.original)
            elif not await self._deliver_a_resume():
                self.site.clock.advance((LOST_AFTER + SECOND).total_seconds())
                await self.second.sweep.resume_the_lost()
        raise AssertionError("It never ends.")

    async def _deliver_what_is_left(self) -> None:
        while await self._deliver_a_resume():
            pass

    async def _deliver_a_resume(self) -> bool:
        """Deliver the next resume of this request when it is due; False when there is none."""
        for message in self.site.bus.peek(REQUESTS):
            resume = json.loads(message.body) == {"resume": str(self.key)}
            if not resume or message.sequence_number in self._delivered:
                continue
            self._delivered.add(message.sequence_number)
            at = message.scheduled_at or message.enqueued_at
            self.site.clock.advance(max((at - self.site.clock.now()).total_seconds(), 0))
            delivery = Delivery(message.body, message.message_id, message.sequence_number, at)
            assert await self.second.receive(delivery)
            return True
        return False

    # --- What became of it --------------------------------------------------------------------------------------

    def _look(self, write: Write, result: Any) -> None:  # noqa: ANN401 - what the port gave
        """Look at the user after a write, and remember what may never be, however briefly."""
        user = self.site.tenant.directory.users[self.user_id]
        enabled = user.properties.get("accountEnabled") is not False
        self._was_disabled |= not enabled
        if self._was_disabled and enabled and any(method.type != PASS_TYPE for method in user.registered):
            self.wrong.add("enabled while methods are left")
        if write.name == "count_start" and result is None:
            self.counted += 1
        if write.area == _Area.DIRECTORY and not self.counted:
            self.wrong.add("changed before it was counted")
        if isinstance(result, TemporaryAccessPass):
            self.codes[result.method_id] = result.code

    async def open_rows(self) -> tuple[RequestKey, ...]:
        """Return what the ledger takes for unfinished, however late it is due."""
        return await self.ledgers[1].unfinished(self.site.clock.now() + timedelta(days=9), 9)

    def told(self) -> list[dict[str, Any]]:
        """Return the outcomes that the topic was told of this request, but for whether one was told before."""
        documents = [json.loads(message.body) for message in self.site.bus.peek(AUDIT)]
        return [one | {"replayed": None} for one in documents if one["requestId"] == self.key.request_id]

    def changes_of(self, worker: Worker, since: int = 0) -> list[str]:
        """Return what a worker changed, or tried to, in the directory."""
        return [write.name for write in worker.writes[since:] if write.area == _Area.DIRECTORY]


def _failure(write: Write, of_graph: Exception) -> Exception:
    match write.area:
        case _Area.DIRECTORY:
            return of_graph
        case _Area.BUS:
            return BusUnavailableError()
        case _Area.VAULT:
            return VaultError("noAnswer")
        case _:
            return LedgerUnavailableError()


@asynccontextmanager
async def open_site(tmp_path: Path, policy: Policy) -> AsyncIterator[Site]:
    """Start tenant, vault and bus, and connect two workers."""
    clock = FakeClock(START)
    async with AsyncExitStack() as stack:
        tenant = await stack.enter_async_context(Tenant(now=clock.now, sleep=clock.sleep))
        vault = await stack.enter_async_context(Vault(tenant.tokens, now=clock.now))
        tenant.caller_directory_roles.add(GLOBAL_ADMINISTRATOR)
        bus = stack.enter_context(Bus((REQUESTS, REJECTED), {OUTCOMES: ("audit",)}, now=clock.now))

        def link() -> Connected:
            tokens = TenantCredential(tenant)
            directory = GraphDirectory(tenant.url, None, clock, credential_factory=lambda: tokens)
            key_vault = KeyVault(vault.url, None, credential_factory=lambda: tokens, ca_file=vault.ca_file)
            connected = Connected(directory, ServiceBus(lambda: connect(bus), REQUESTS, REJECTED, OUTCOMES), key_vault)
            for each in (connected.directory, connected.bus, connected.vault):
                stack.push_async_callback(each.close)
            return connected

        yield Site(tenant, bus, clock, tmp_path, policy, (link(), link()), vault)
