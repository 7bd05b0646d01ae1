"""The bus as a test or a developer holds it: started, stopped, looked into, disturbed."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from threading import RLock
from typing import TYPE_CHECKING, Final, Self

from sandbox.bus.broker import Broker
from sandbox.bus.entities import Entities, Namespace
from sandbox.bus.faults import SENDING, SERVER_BUSY, SETTLING, DelayAnswer, KeepSilent, LoseAnswer, LoseRequest, Refuse
from sandbox.bus.message import view
from sandbox.bus.queue import Options
from sandbox.bus.server import HOST, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
    from types import TracebackType

    from sandbox.bus.faults import Fault, Operation
    from sandbox.bus.message import Message


_LOOK_SECONDS: Final = 0.01


def _machine_time() -> datetime:
    return datetime.now(UTC)


class Bus:
    """A Service Bus namespace on 127.0.0.1, for ``with``: ready when entered, stopped and joined at exit.

    The state belongs to one thread while the bus runs; each method here may be called from any thread: it hands its
    work to that thread and waits for it, or, while the bus is stopped, does it itself, one caller at a time.
    ``now`` is called in the bus's thread and gives aware times; locks, schedules and expiry follow it within 50 ms.
    """

    def __init__(  # noqa: PLR0913 - what an administrator sets, each with its default
        self,
        queues: Iterable[str] = (),
        topics: Mapping[str, Iterable[str]] | None = None,
        *,
        port: int = 0,
        lock_seconds: float = 300,
        max_delivery_count: int = 5,
        dead_letter_on_expiry: bool = False,
        duplicate_window_seconds: float = 0,
        now: Callable[[], datetime] = _machine_time,
    ) -> None:
        options = Options(lock_seconds, max_delivery_count, dead_letter_on_expiry, duplicate_window_seconds)
        named = {name: tuple(subscriptions) for name, subscriptions in (topics or {}).items()}
        self._broker = Broker(Namespace(Entities(tuple(queues), named, options)), now)
        self._failures: list[BaseException] = []
        self._turn = RLock()
        self._port = port
        self._server: Server | None = None
        self._reservation: socket.socket | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._give_port_up()
        if kind is None and self._failures:
            raise BaseExceptionGroup("the bus failed", self._failures)

    @property
    def connection_string(self) -> str:
        """What clients connect with; the key is not looked at. The port is known after the first start."""
        endpoint = f"Endpoint=sb://{HOST}:{self._port};SharedAccessKeyName=sandbox;SharedAccessKey=sandbox"
        return f"{endpoint};UseDevelopmentEmulator=true"

    @property
    def connections(self) -> int:
        """The number of connections that are open now; the client opens one for each sender and receiver."""
        return self._call(lambda: len(self._broker.peers))

    def start(self) -> None:
        """Serve, on the same port as before; nothing when it serves already."""
        with self._turn:
            if self._server is None:
                self._give_port_up()
                self._server = Server(self._broker, self._port, self._failures)
                self._port = self._server.port

    def stop(self) -> None:
        """Break all connections and refuse new ones. Messages, locks and ordered faults stay as they are."""
        with self._turn:
            if self._server is not None:
                self._server.stop()
                self._server = None
                self._keep_port()

    def peek(self, entity: str) -> tuple[Message, ...]:
        """Give what waits in ``queue``, ``queue/$DeadLetterQueue``, ``topic/Subscriptions/sub`` …, in order.

        All states are in it: visible, locked, scheduled, deferred. UnknownEntityError, a LookupError, for a wrong name;
        NotAllowedError for a topic, which keeps nothing.
        """

        def look() -> tuple[Message, ...]:
            self._broker.namespace.advance(self._broker.now())
            return tuple(map(view, self._broker.namespace.find_source(entity).peek()))

        return self._call(look)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Be away inside the context, as in a failover: ``stop`` and ``start``. Time goes on: locks and lives end."""
        await asyncio.to_thread(self.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(self.start)

    def refuse_sends(self, entity: str, condition: str = SERVER_BUSY, times: int = 1) -> None:
        """Answer the next sends to a queue or topic, scheduled ones too, with an AMQP condition and take nothing."""
        self._order(entity, Refuse(condition), times, SENDING)

    def refuse_settlements(self, entity: str, condition: str = SERVER_BUSY, times: int = 1) -> None:
        """Answer the next settlements at a queue, subscription or dead-letter queue with an AMQP condition.

        The message stays locked.
        """
        self._order(entity, Refuse(condition), times, SETTLING)

    def lose_requests(self, entity: str, times: int = 1, *, to: Collection[Operation] = SENDING) -> None:
        """Break the connection instead of doing the next such operations."""
        self._order(entity, LoseRequest(), times, to)

    def lose_answers(self, entity: str, times: int = 1, *, to: Collection[Operation] = SENDING) -> None:
        """Do the next such operations, but break the connection before each answer: the client cannot know."""
        self._order(entity, LoseAnswer(), times, to)

    def delay_answers(
        self, entity: str, seconds: float, times: int = 1, *, to: Collection[Operation] = SENDING
    ) -> None:
        """Do the next such operations, but answer each so many seconds of the machine's time later."""
        self._order(entity, DelayAnswer(seconds), times, to)

    def keep_silent(self, entity: str, times: int = 1, *, done: bool, to: Collection[Operation] = SENDING) -> None:
        """Do the next such operations, or nothing of them, and never answer, over connections that stay open."""
        self._order(entity, KeepSilent(done), times, to)

    def end_locks(self, entity: str) -> None:
        """End all locks of a queue, subscription or dead-letter queue now, as their time would: a delivery each."""
        self._call(lambda: self._broker.namespace.find_source(entity).end_locks())

    def drop_connections(self) -> None:
        """Break every connection that is open now; new ones are served."""
        self._call(self._broker.drop_connections)

    async def wait_for_faults(self, entity: str) -> None:
        """Wait until every fault that was ordered for an entity has struck, its effect included."""

        def waiting() -> int:
            return self._broker.faults.count(self._broker.namespace.find(entity).path)

        while self._call(waiting):  # noqa: ASYNC110 - another thread's doing
            await asyncio.sleep(_LOOK_SECONDS)

    def clear_faults(self) -> None:
        """Forget the ordered faults that have not struck yet."""
        self._call(self._broker.faults.clear)

    def _order(self, entity: str, fault: Fault, times: int, operations: Collection[Operation]) -> None:
        def add() -> None:
            namespace = self._broker.namespace
            found = namespace.find_source(entity) if SETTLING & {*operations} else namespace.find_target(entity)
            self._broker.faults.add(found.path, fault, times, operations)

        self._call(add)

    def _call[T](self, work: Callable[[], T]) -> T:
        with self._turn:
            return work() if self._server is None else self._server.call(work)

    def _keep_port(self) -> None:
        """Hold the port, without listening, so that nobody else gets it while the bus is stopped."""
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reservation.bind((HOST, self._port))

    def _give_port_up(self) -> None:
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None
