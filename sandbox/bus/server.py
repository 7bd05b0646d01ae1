"""The broker's thread: an event loop that serves connections and looks at the clock."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from sandbox.bus.connection import ClientConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.bus.broker import Broker

HOST: Final = "127.0.0.1"
_TICK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 10.0


class Server:
    """One run of the broker: begins to serve when built, ends with ``stop``."""

    def __init__(self, broker: Broker, port: int, failures: list[BaseException]) -> None:
        self._broker = broker
        self._failures = failures
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stopping = asyncio.Event()
        self._beginning: set[asyncio.Task[Any]] = set()
        # Bound and listening here: whoever connects from now on waits in the backlog, no more.
        listener = socket.create_server((HOST, port))
        self.port: int = listener.getsockname()[1]
        self._thread = Thread(target=self._run, args=(listener,), name=f"bus-{self.port}", daemon=True)
        self._thread.start()
        self._ready.result(_PATIENCE_SECONDS)

    def call[T](self, work: Callable[[], T]) -> T:
        """Do something in the broker's thread, let its effects go out, and give the result."""
        done: Future[T] = Future()

        def do() -> None:
            try:
                result = work()
                self._broker.turn()
            except BaseException as problem:  # noqa: BLE001 - whatever it is, it belongs to the caller
                done.set_exception(problem)
            else:
                done.set_result(result)

        self._ready.result(_PATIENCE_SECONDS).call_soon_threadsafe(do)
        return done.result(_PATIENCE_SECONDS)

    def stop(self) -> None:
        """Break all connections, close the port, join the thread."""
        with suppress(RuntimeError):  # the loop is closed already when a failure ended it
            self._ready.result(_PATIENCE_SECONDS).call_soon_threadsafe(self._stopping.set)
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise TimeoutError(f"the bus did not stop within {_PATIENCE_SECONDS} s")

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listener))
        except BaseException as problem:  # noqa: BLE001 - a thread's failure is told by whoever owns it
            self._failures.append(problem)

    async def _serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._note_failure)
        listener.settimeout(0)
        loop.add_reader(listener, self._accept, listener)
        self._ready.set_result(loop)
        try:
            while not self._stopping.is_set():
                self._broker.turn()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _TICK_SECONDS)
        finally:
            loop.remove_reader(listener)
            listener.close()
            await self._end_connections()

    def _accept(self, listener: socket.socket) -> None:
        # By hand: asyncio's own server loses a connection that comes in while it is closed.
        with suppress(BlockingIOError, ConnectionAbortedError):
            accepted, _ = listener.accept()
            accepted.settimeout(0)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            loop = asyncio.get_running_loop()
            task = loop.create_task(loop.connect_accepted_socket(lambda: ClientConnection(self._broker), accepted))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _end_connections(self) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await asyncio.gather(*self._beginning)
            while self._broker.peers:
                self._broker.drop_connections()
                await asyncio.sleep(0)

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        self._failures.append(context.get("exception") or RuntimeError(context["message"]))
