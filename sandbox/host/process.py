"""The host as a process of its own, for tests and for `python -m sandbox`."""

import asyncio
import base64
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.host.errors import HostError, HostStartError
from sandbox.host.keys import DEFAULT, MASTER
from sandbox.host.running import DRAIN_SECONDS, READY
from sandbox.host.web import ANSWER_SECONDS, EASY_AUTH_HEADER

START_SECONDS = 30
# On top of the drain, before a stop becomes a kill.
STOP_SECONDS = 10
LONGEST_LINE = 16 * 1024 * 1024
# What a process needs to run at all, and what coverage needs to see it.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


class HostProcess:
    """A function app in a host process: ready when entered, dead when left, dead with the process that started it.

    `environment` is the app's whole environment besides PATH and the like. Entering raises HostStartError with what
    was logged when the app cannot be loaded. An instance is entered once; for a restart make another on the same port.
    """

    def __init__(  # noqa: PLR0913 - one for each thing that a test varies
        self,
        app_directory: Path,
        environment: Mapping[str, str],
        *,
        port: int = 0,
        function_key: str | None = None,
        easy_auth: bool = False,
        drain_seconds: float = DRAIN_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.function_key = function_key or secrets.token_urlsafe(32)
        self.master_key = secrets.token_urlsafe(32)
        self.output: list[str] = []
        self.url = ""
        self._app_directory = app_directory
        self._environment = environment
        self._port = port
        self._easy_auth_key = secrets.token_urlsafe(32) if easy_auth else None
        self._drain_seconds = drain_seconds
        self._answer_seconds = answer_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        await self._start()
        try:
            line = await self.wait_for_output(READY, timeout_seconds=START_SECONDS)
        except BaseException as error:
            await self.kill()
            if isinstance(error, HostError | TimeoutError):
                raise HostStartError("The host did not start:\n" + "\n".join(self.output)) from None
            raise
        self.url = line.removeprefix(READY)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await (self.kill() if kind else self.stop())

    @property
    def pid(self) -> int:
        """The process id, also after the end."""
        return self._running.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._running.returncode

    async def stop(self) -> int:
        """Ask it to stop, as scale-in does: it drains. Killed when it takes too long; a second call does nothing."""
        with suppress(ProcessLookupError):
            self._running.terminate()
        try:
            return await self.wait_for_exit(self._drain_seconds + STOP_SECONDS)
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """End it as a crash does: nothing is finished, locks are left to expire. A second call does nothing."""
        with suppress(ProcessLookupError):
            self._running.kill()
        return await self.wait_for_exit(STOP_SECONDS)

    async def wait_for_exit(self, timeout_seconds: float) -> int:
        """Wait for the end and return the exit code; TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            code = await self._running.wait()
            if self._reading:
                await self._reading
        return code

    async def wait_for_output(self, text: str, *, timeout_seconds: float = 10) -> str:
        """Wait for a line, already logged or to come, that holds the text; HostError when the process ends first."""
        position = 0
        async with asyncio.timeout(timeout_seconds), self._news:
            while True:
                for line in self.output[position:]:
                    if text in line:
                        return line
                position = len(self.output)
                if self._reading is None or self._reading.done():
                    raise HostError(f"The host ended without logging {text!r}")
                await self._news.wait()

    def sign_in(self, claims: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """Make the headers of a caller whom App Service Authentication has let in, with these claims.

        ValueError without `easy_auth`: then there is nobody who could say so.
        """
        if self._easy_auth_key is None:
            raise ValueError("The host was started without easy_auth")
        principal = {
            "auth_typ": "aad",
            "claims": [{"typ": kind, "val": value} for kind, value in claims],
            "name_typ": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
            "role_typ": "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
        }
        return {
            EASY_AUTH_HEADER: self._easy_auth_key,
            "X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(principal).encode()).decode(),
        }

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise HostError("The host was not started")
        return self._process

    async def _start(self) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in INHERITED or name.startswith(("COVERAGE_", "COV_"))
        }
        self._process = await asyncio.create_subprocess_exec(
            *self._command(),
            # A pipe that is never written to: it ends with this process, and the host with it.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            env={**inherited, "PYTHONUNBUFFERED": "1", **self._environment},
            limit=LONGEST_LINE,
        )
        self._reading = asyncio.create_task(self._read_output())

    def _command(self) -> Sequence[str]:
        easy_auth = [f"--easy-auth={self._easy_auth_key}"] if self._easy_auth_key else []
        return [
            *(sys.executable, "-m", "sandbox.host", "--app", str(self._app_directory), "--port", str(self._port)),
            # Never a key as an argument of its own: one in 64 begins with a dash.
            *("--key", f"{MASTER}={self.master_key}", "--key", f"{DEFAULT}={self.function_key}", *easy_auth),
            *("--drain-seconds", str(self._drain_seconds), "--answer-seconds", str(self._answer_seconds)),
            "--die-with-input",
        ]

    async def _read_output(self) -> None:
        stream = self._running.stdout
        try:
            while stream and (line := await stream.readline()):
                await self._note(line.decode("utf-8", "replace").rstrip("\n"))
        finally:
            # On the way out, so that who waits sees the task done.
            asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(self._note(None)))

    async def _note(self, line: str | None) -> None:
        async with self._news:
            if line is not None:
                self.output.append(line)
            self._news.notify_all()
