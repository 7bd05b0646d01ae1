"""Azurite's table service as a process of its own."""

import base64
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from tests.outside import stop

HERE = Path(__file__).parent
MAIN = HERE / "node_modules" / "azurite" / "dist" / "src" / "table" / "main.js"
ACCOUNT = "ledger"
START_SECONDS = 60
TRIES = 5  # another process may take a free port before Azurite does
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")
SUCCESS = "successfully started"


class AzuriteMissingError(Exception):
    """Azurite is not here: install Node.js 20 or later with npm, then run `make test`, which fetches it."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class Azurite:
    """Entered, it answers on a free port of 127.0.0.1; left, it is gone, and so it is with the process that started it.

    Entering raises AzuriteMissingError where Node.js or Azurite is not installed. `key` is made afresh each time.
    """

    def __init__(self) -> None:
        self.key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.port = 0
        self._directory: TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        if not self.is_installed:
            raise AzuriteMissingError
        self._directory = TemporaryDirectory(prefix="azurite-", ignore_cleanup_errors=True)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._directory:
            self._directory.cleanup()

    @property
    def is_installed(self) -> bool:
        """Whether there is Node.js to run it with, and itself."""
        return bool(shutil.which("node")) and MAIN.exists()

    @property
    def connection_string(self) -> str:
        """What reaches it without a detour."""
        return self.connection_string_by(self.port)

    def connection_string_by(self, port: int) -> str:
        """Return what reaches it by another port of this machine that leads to it."""
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={self.key};TableEndpoint={endpoint};"

    def start(self) -> None:
        """Start it, on the same port and with the same tables as before; RuntimeError with what it said instead."""
        said: list[str] = []
        for _ in range(TRIES):
            port = self.port or _free_port()
            if self._start_on(port, said):
                self.port = port
                return
        raise RuntimeError("Azurite did not start:\n" + "".join(said))

    def stop(self) -> None:
        """End it in order: what it keeps is there when it starts again. A second call does nothing."""
        if self._process is None:
            return
        process, self._process = self._process, None
        stop(process)

    def _start_on(self, port: int, said: list[str]) -> bool:
        assert self._directory
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603 - a program of our own choice
            _command(port, self._directory.name),
            # A pipe that is never written to: it ends with this process, and Azurite with it.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**inherited, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"},
            text=True,
        )
        if self._has_started(said):
            return True
        self.stop()
        time.sleep(0.2)  # the port may be free again soon
        return False

    def _has_started(self, said: list[str]) -> bool:
        assert self._process
        assert self._process.stdout
        for line in self._process.stdout:
            said.append(line)
            if SUCCESS in line:
                return True
        return False


def _command(port: int, directory: str) -> list[str]:
    node = str(shutil.which("node"))
    return [
        *(node, str(HERE / "server.js"), "--tableHost", "127.0.0.1", "--tablePort", str(port)),
        *("--location", directory, "--silent", "--disableTelemetry", "--skipApiVersionCheck"),
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
