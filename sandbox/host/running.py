"""The host, put together and run until it is told to stop."""

import asyncio
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from sandbox.host.app_functions import Function, ServiceBusTrigger, TimerTrigger, read_functions
from sandbox.host.errors import StartError
from sandbox.host.host_json import HostJson, read_host_json
from sandbox.host.invocations import Invocations
from sandbox.host.keys import DEFAULT, MASTER, Keys
from sandbox.host.log_output import LineHandler, set_up_logging
from sandbox.host.timers import Timer
from sandbox.host.web import ANSWER_SECONDS, EasyAuth, HttpFunctions
from sandbox.host.worker import Worker

if TYPE_CHECKING:
    from sandbox.host.pump import ServiceBusPump

READY = "Now listening on: "
EXIT_STOPPED = 0
EXIT_START_FAILED = 1
EXIT_FUNCTION_TIMEOUT = 3
# What a timed-out worker's other invocations get to fail, and their messages to be abandoned.
SETTLE_SECONDS = 2
DRAIN_SECONDS = 10.0

_log = logging.getLogger("Host.Startup")


@dataclass(frozen=True, kw_only=True)
class HostOptions:
    """What the command line says; `drain_seconds` is what running invocations get after SIGTERM or Ctrl-C."""

    app_directory: Path
    port: int = 0
    keys: Mapping[str, str] = field(default_factory=dict)
    easy_auth: EasyAuth | None = None
    drain_seconds: float = DRAIN_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    dies_with_input: bool = False
    shows_invocations: bool = False


class Pump(Protocol):
    """What drives functions besides HTTP: a Service Bus pump, a timer."""

    async def run(self) -> None:
        """Drive its function until `stop`."""

    def stop(self) -> None:
        """Begin nothing more; what was begun is carried out."""


class Host:
    """One function app, served; after `run`, `has_drained` says whether all that ran had come to its end."""

    def __init__(
        self, options: HostOptions, host_json: HostJson, functions: Sequence[Function], invocations: Invocations
    ) -> None:
        self._options = options
        self._invocations = invocations
        master = secrets.token_urlsafe(32)
        keys = Keys.parse(options.keys, spare=master)
        timers = {
            each.name: Timer(each, each.trigger, invocations)
            for each in functions
            if isinstance(each.trigger, TimerTrigger)
        }
        http = HttpFunctions(
            functions,
            timers,
            invocations,
            keys,
            easy_auth=options.easy_auth,
            answer_seconds=options.answer_seconds,
        )
        self._runner = web.AppRunner(http.application(), access_log=None, shutdown_timeout=0.5)
        kept = [timers[each.name] for each in functions if each.name in timers and not each.is_disabled]
        self._pumps: Sequence[Pump] = [*_make_pumps(functions, host_json, invocations), *kept]
        self.has_drained = False

    async def run(self) -> int:
        """Serve until a signal or a function timeout; the exit code."""
        stop = _on_signals()
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._options.port)
        try:
            await site.start()
        except OSError as error:
            why = os.strerror(error.errno or 0)  # without the words that asyncio puts before it
            raise StartError(f"Port {self._options.port} cannot be used: {why}") from None
        pumping = [asyncio.create_task(pump.run()) for pump in self._pumps]
        host, port = self._runner.addresses[0][:2]
        _print(f"{READY}http://{host}:{port}")
        try:
            return await self._serve(stop, site, pumping)
        finally:
            for task in pumping:
                task.cancel()
            await _bounded(asyncio.gather(*pumping, return_exceptions=True), SETTLE_SECONDS)
            await self._runner.cleanup()

    async def _serve(self, stop: asyncio.Event, site: web.TCPSite, pumping: Sequence[asyncio.Task[None]]) -> int:
        waits = [asyncio.create_task(event.wait()) for event in (stop, self._invocations.timed_out)]
        # A pump ends by a defect only: its exception is shown rather than a queue left alone.
        await asyncio.wait([*waits, *pumping], return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        for task in pumping:
            if task.done():
                task.result()
        for pump in self._pumps:
            pump.stop()
        if self._invocations.timed_out.is_set():
            await _bounded(asyncio.wait(pumping) if pumping else asyncio.sleep(0.1), SETTLE_SECONDS)
            return EXIT_FUNCTION_TIMEOUT
        await site.stop()
        self.has_drained = await _bounded(self._drain(pumping), self._options.drain_seconds)
        return EXIT_STOPPED

    async def _drain(self, pumping: Sequence[asyncio.Task[None]]) -> None:
        await asyncio.gather(*pumping)
        await self._invocations.wait_idle()
        # One turn for the answers to be written.
        await asyncio.sleep(0)


def _make_pumps(
    functions: Sequence[Function], host_json: HostJson, invocations: Invocations
) -> Sequence["ServiceBusPump"]:
    pumped = [
        (each, each.trigger)
        for each in functions
        if isinstance(each.trigger, ServiceBusTrigger) and not each.is_disabled
    ]
    if not pumped:
        return ()
    # Imported late: the client takes half of the start, and an app without a queue needs none.
    from sandbox.host.pump import ServiceBusPump  # noqa: PLC0415 - see above

    return [ServiceBusPump(function, trigger, host_json.service_bus, invocations) for function, trigger in pumped]


async def run_host(options: HostOptions, environment: Mapping[str, str]) -> int:
    """Load the app and serve it; the exit code. StartError says why it cannot start."""
    if options.dies_with_input:
        threading.Thread(target=_die_with_input, name="input", daemon=True).start()
    host_json = read_host_json(options.app_directory)
    worker = Worker()
    invocations = Invocations(worker, host_json.function_timeout)
    debug = environment.get("PYTHON_ENABLE_DEBUG_LOGGING", "").lower() in {"1", "true"}
    lines = LineHandler(host_json.log_levels, invocations.function_of, shows_invocations=options.shows_invocations)
    set_up_logging(lines, debug=debug)
    for warning in host_json.warnings:
        _log.warning("%s", warning)
    try:
        functions = read_functions(await worker.start(options.app_directory), host_json, environment)
        host = Host(options, host_json, functions, invocations)
        code = await host.run()
    finally:
        has_ended = worker.stop()
    if not (has_ended and host.has_drained):
        # A function still runs, perhaps on a thread of the worker's pool, for which the interpreter would wait.
        sys.stdout.flush()
        os._exit(code)
    return code


def _on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_STOPPED)  # asked twice: at once
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


async def _bounded(work: Awaitable[object], seconds: float) -> bool:
    """Wait for the work's end, which must come in that time; whether it did."""
    try:
        await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return False
    return True


def _die_with_input() -> None:
    # Not sys.stdin: its lock, held by a thread that never ends, breaks the interpreter's exit.
    while os.read(0, 1024):
        pass
    if os.getpgrp() == os.getpid():
        # The group is ours: what the app has started goes with us.
        os.killpg(0, signal.SIGKILL)
    os._exit(EXIT_STOPPED)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def make_keys(given: Mapping[str, str]) -> Mapping[str, str]:
    """Add a master and a default key where none is given, and show those: nobody else could know them."""
    made = {name: secrets.token_urlsafe(32) for name in (MASTER, DEFAULT) if not given}
    for name, value in made.items():
        _print(f"Key of this start, {name}: {value}")
    return {**made, **given}
