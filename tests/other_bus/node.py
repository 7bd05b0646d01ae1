"""The broker and the client of this directory, each a process of Node's that ends with whoever started it."""

import asyncio
import json
import select
import shutil
import socket
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.outside import is_missing

HERE = Path(__file__).parent
HOST = "127.0.0.1"
PATIENCE_SECONDS = 20
LONGEST_LINE = 1_000_000


def find_node() -> str:
    """Return Node's path; without it or its packages the test is skipped, or fails where CI is set."""
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / "rhea").is_dir():
        is_missing("tests/other_bus needs Node 20 and `npm ci --ignore-scripts` there")
    return node


class OtherBroker:
    """The namespace of broker.js on a free port, for `with`: ready when entered; its messages end with it."""

    keeps_messages = False

    def __init__(
        self,
        queues: Iterable[str],
        topics: Mapping[str, Iterable[str]],
        *,
        lock_seconds: float = 30,
        max_delivery_count: int = 3,
    ) -> None:
        self._node = find_node()
        self._wanted: dict[str, Any] = {
            "port": 0,
            "queues": list(queues),
            "topics": {name: list(subscriptions) for name, subscriptions in topics.items()},
            "lockSeconds": lock_seconds,
            "maxDeliveryCount": max_delivery_count,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._reservation: socket.socket | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._give_port_up()

    @property
    def connection_string(self) -> str:
        """What clients connect with."""
        return connection_string(self._wanted["port"])

    def start(self) -> None:
        """Serve, empty, on the same port as before."""
        self._give_port_up()
        command = [self._node, str(HERE / "broker.js"), json.dumps(self._wanted)]
        self._process = subprocess.Popen(command, stdin=PIPE, stdout=PIPE)  # noqa: S603 - a program of ours
        self._wanted["port"] = int(self._read_line())

    def stop(self) -> None:
        """End the process, and with it every connection and message; nobody else gets the port."""
        process, self._process = self._process, None
        if process:
            with process:  # closes standard input, at whose end the broker ends
                process.stdin and process.stdin.close()
                try:
                    process.wait(PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
            self._keep_port()

    def _read_line(self) -> bytes:
        assert self._process
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            self.stop()
            pytest.fail("broker.js did not start")
        return line

    def _keep_port(self) -> None:
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reservation.bind((HOST, self._wanted["port"]))

    def _give_port_up(self) -> None:
        if self._reservation:
            self._reservation.close()
            self._reservation = None


def connection_string(port: int) -> str:
    """Write the connection string of a namespace on this machine, whose key nobody looks at."""
    return f"Endpoint=sb://{HOST}:{port};SharedAccessKeyName=name;SharedAccessKey=key;UseDevelopmentEmulator=true"


class OtherClient:
    """Microsoft's JavaScript client on a namespace, for `async with`."""

    def __init__(self, connection_string: str) -> None:
        self._node = find_node()
        self._connection_string = connection_string
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            self._node, str(HERE / "client.js"), self._connection_string, stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process
        assert self._process.stdin
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def ask(self, do: str, **order: object) -> Any:  # noqa: ANN401 - what the order gives
        """Carry an order of client.js out and return its result; the test fails on an error."""
        answer = await self._exchange(do, order)
        assert "error" not in answer, answer
        return answer["result"]

    async def fail(self, do: str, **order: object) -> str:
        """Carry out an order that must fail, and return the client's code of the error."""
        answer = await self._exchange(do, order)
        return str(answer["error"])

    async def _exchange(self, do: str, order: Mapping[str, object]) -> dict[str, Any]:
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._process.stdin.drain()
            answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer
