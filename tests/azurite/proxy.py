"""A way to a server that loses what it is told to lose."""

import asyncio
import re
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CHUNK = 65_536
CLOSE_SECONDS = 10
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Proxy:
    """A port of 127.0.0.1 that leads to another one, for one `async with`.

    It takes HTTP requests apart, of which a client sends the next one only after the answer to the last.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.closed = False  # True: every request is lost
        self.flowing = asyncio.Event()  # cleared: no answer comes, and no end either
        self.before: Callable[[bytes], Awaitable[None]] | None = None  # awaited before a request is passed on
        self.lost: list[str] = []  # the first lines of what was lost
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lose_requests: list[re.Pattern[bytes]] = []
        self._lose_answers: list[re.Pattern[bytes]] = []

    async def __aenter__(self) -> Self:
        self.flowing.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server
        self._server.close()
        for _ in range(5):  # what was accepted just now becomes a connection
            await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server.close_clients()
        await asyncio.wait_for(self._server.wait_closed(), CLOSE_SECONDS)

    def lose_request(self, pattern: bytes, times: int = 1) -> None:
        """Lose the next requests in which the pattern is found, before they are passed on; in the order of calls."""
        self._lose_requests += [re.compile(pattern)] * times

    def lose_answer(self, pattern: bytes, times: int = 1) -> None:
        """Lose the answer to the next requests in which the pattern is found: they have taken effect."""
        self._lose_answers += [re.compile(pattern)] * times

    def heal(self) -> None:
        """Lose nothing any more of what is still to be lost."""
        self._lose_requests.clear()
        self._lose_answers.clear()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            with suppress(OSError, IncompleteReadError):  # either end has gone
                await self._pass_on(reader, writer)
        finally:
            writer.close()

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        losing = asyncio.Event()
        answers = asyncio.create_task(self._pass_back(there_reader, writer, losing))
        try:
            while True:
                request = await _read_request(reader)
                if self.before:
                    await self.before(request)
                if self.closed or self._is_next(self._lose_requests, request):
                    return
                if self._is_next(self._lose_answers, request):
                    losing.set()
                there_writer.write(request)
                await there_writer.drain()
        finally:
            answers.cancel()
            there_writer.close()
            await asyncio.gather(answers, there_writer.wait_closed(), return_exceptions=True)

    async def _pass_back(self, there: StreamReader, writer: StreamWriter, losing: asyncio.Event) -> None:
        try:
            while answer := await there.read(CHUNK):
                await self.flowing.wait()
                if losing.is_set():
                    return
                writer.write(answer)
                await writer.drain()
        finally:
            writer.close()

    def _is_next(self, patterns: list[re.Pattern[bytes]], request: bytes) -> bool:
        if not patterns or not patterns[0].search(request):
            return False
        del patterns[0]
        self.lost.append(request.partition(b"\r\n")[0].decode())
        return True


async def _read_request(reader: StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")
