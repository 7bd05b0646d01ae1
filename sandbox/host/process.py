"""The host as a process of its own, for tests and for `python -m sandbox`."""

import asyncio
import base64
import json
import os
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from sandbox.host.errors import FunctionFailedError, HostError, HostStartError
from sandbox.host.keys import DEFAULT, MASTER
from sandbox.host.running import DRAIN_SECONDS, READY
from sandbox.host.web import ANSWER_SECONDS, EASY_AUTH_HEADER, KEY_HEADER, WAIT_HEADER

START_SECONDS = 30
# On top of the drain, before a stop becomes a kill.
STOP_SECONDS = 10
LONGEST_LINE = 16 * 1024 * 1024
LOOK_SECONDS = 0.01
FREEZE_LOOKS = 500
# What a process needs to run at all, and what coverage needs to see it.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


class HostProcess:
    """A function app in a host process: ready when entered, dead when left, dead with the process that started it.

    `environment` is the app's whole environment besides PATH and the like, and WEBSITE_AUTH_ENABLED with `easy_auth`.
    Entering raises HostStartError with what was logged when the app cannot be loaded. Host and app are one process,
    the leader of a group of its own: what the app starts belongs to the group, is frozen and killed with it, and does
    not outlive it. `output` holds all that was logged, over all starts; with `shows_invocations` each line of the app
    names its invocation.
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
        shows_invocations: bool = False,
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
        self._shows_invocations = shows_invocations
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._has_group = False
        self._is_frozen = False
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A frozen one is not let go on only to be stopped.
        await (self.kill() if kind or self._is_frozen else self.stop())

    @property
    def pid(self) -> int:
        """The process id, also after the end; another one after each start."""
        return self._running.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._running.returncode

    async def start(self) -> None:
        """Start it; after its end, again: on the same port, with the same keys. HostError while it runs.

        HostStartError with what this start logged when it does not become ready, as when somebody has taken the port
        meanwhile, which nobody holds: it has ended then.
        """
        if self._process is not None:
            if self.exit_code is None:
                raise HostError("The host runs already")
            await self.wait_for_exit(STOP_SECONDS)  # it may have ended by itself, and left children
        logged_before = len(self.output)
        await self._spawn()
        try:
            line = await self.wait_for_output(READY, timeout_seconds=START_SECONDS, after=logged_before)
        except BaseException as error:
            await self.kill()
            if isinstance(error, HostError | TimeoutError):
                raise HostStartError("The host did not start:\n" + "\n".join(self.output[logged_before:])) from None
            raise
        self.url = line.removeprefix(READY)
        self._port = int(self.url.rpartition(":")[2])

    async def stop(self) -> int:
        """Ask it to stop, as scale-in does: it drains. Killed when it takes too long; a second call does nothing.

        A frozen one is thawed for it.
        """
        if self._is_frozen and self.exit_code is None:
            self.thaw()
        with suppress(ProcessLookupError):
            self._running.terminate()
        try:
            return await self.wait_for_exit(self._drain_seconds + STOP_SECONDS)
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """End it as a crash does: nothing is finished, locks are left to expire. A second call does nothing.

        SIGKILL for the whole group, frozen or not.
        """
        if self.exit_code is None:
            self._signal(signal.SIGKILL)
        return await self.wait_for_exit(STOP_SECONDS)

    async def freeze(self) -> None:
        """Stop its clockwork, as a stalled machine does, and return when it stands: SIGSTOP for the whole group.

        Connections stay open, locks and claims run on. HostError when it has ended; a second call does nothing.
        """
        self._signal(signal.SIGSTOP)
        self._is_frozen = True
        for _ in range(FREEZE_LOOKS):
            if _stands(self.pid):
                return
            await asyncio.sleep(LOOK_SECONDS)
        raise HostError("The host could not be frozen")

    def thaw(self) -> None:
        """Let a frozen one go on where it stood. HostError when it has ended; a second call does nothing."""
        self._signal(signal.SIGCONT)
        self._is_frozen = False

    async def run_timer(self, name: str, *, timeout_seconds: float = 60) -> None:
        """Run a timer function now, beside its schedule, and wait for its end.

        FunctionFailedError when it raises, HostError when there is none of this name, TimeoutError.
        """
        headers = {KEY_HEADER: self.master_key, WAIT_HEADER: "true"}
        limit = aiohttp.ClientTimeout(total=timeout_seconds)
        async with aiohttp.ClientSession(self.url, headers=headers, timeout=limit) as client:
            answer = await client.post(f"/admin/functions/{name}", json={"input": ""})
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise FunctionFailedError(f"The function '{name}' failed")
        if answer.status != HTTPStatus.OK:
            raise HostError(f"The host answered {answer.status} to a run of '{name}'")

    async def wait_for_exit(self, timeout_seconds: float) -> int:
        """Wait for the end, also of what the app has started, and return the exit code; TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            # Not the process's own `wait`: that waits for the output's end too, which a child would hold open.
            while self.exit_code is None:  # noqa: ASYNC110 - see above
                await asyncio.sleep(LOOK_SECONDS)
            self._end_group()
            code = await self._running.wait()
            if self._reading:
                await self._reading
        return code

    async def wait_for_output(self, text: str, *, timeout_seconds: float = 30, after: int = 0) -> str:
        """Wait for a line, already logged or to come, that holds the text; HostError when the process ends first.

        `after` so many lines of `output` only.
        """
        position = after
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

    def _signal(self, number: signal.Signals) -> None:
        if self.exit_code is not None:
            raise HostError("The host has ended")
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _end_group(self) -> None:
        # Once only: later the number may be somebody else's.
        if self._has_group:
            self._has_group = self._is_frozen = False
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _spawn(self) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in INHERITED or name.startswith(("COVERAGE_", "COV_"))
        }
        told_by_host = {"WEBSITE_AUTH_ENABLED": "True"} if self._easy_auth_key else {}
        self._process = await asyncio.create_subprocess_exec(
            *self._command(),
            # A pipe that is never written to: it ends with this process, and the host with it.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            env={**inherited, "PYTHONUNBUFFERED": "1", **told_by_host, **self._environment},
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        self._has_group = True
        self._reading = asyncio.create_task(self._read_output())

    def _command(self) -> Sequence[str]:
        easy_auth = [f"--easy-auth={self._easy_auth_key}"] if self._easy_auth_key else []
        return [
            *(sys.executable, "-m", "sandbox.host", "--app", str(self._app_directory), "--port", str(self._port)),
            # Never a key as an argument of its own: one in 64 begins with a dash.
            *("--key", f"{MASTER}={self.master_key}", "--key", f"{DEFAULT}={self.function_key}", *easy_auth),
            *("--drain-seconds", str(self._drain_seconds), "--answer-seconds", str(self._answer_seconds)),
            *("--die-with-input", *(["--show-invocations"] if self._shows_invocations else [])),
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


def _stands(pid: int) -> bool:
    with suppress(ChildProcessError):  # it has ended instead
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    return False
