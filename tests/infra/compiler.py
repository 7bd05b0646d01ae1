"""The Bicep compiler as a process that is asked over its standard input and output (JSON-RPC)."""

import json
import os
import selectors
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.outside import stop

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
CALL_SECONDS = 60
FIRST_CALL_SECONDS = 180  # it may have to fetch the Microsoft Graph extension first
MAX_HEADER_BYTES = 4096
MAX_OTHER_MESSAGES = 100  # what it may say between a call and its answer
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

TENANT = "22222222-2222-4222-8222-222222222222"
SUBSCRIPTION = "33333333-3333-4333-8333-333333333333"
LOCATION = "westeurope"
GROUP = "rg-by-hand"  # where what is deployed to a resource group goes


class BicepMissingError(Exception):
    """No Bicep here: `az bicep install`, azd or a release of Azure/bicep; name it in BICEP, or put it on the PATH."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class BicepError(Exception):
    """The compiler refused what it was asked, and this is what it said."""


@dataclass(frozen=True)
class Diagnostic:
    """One finding; lines and columns count from 0."""

    source: str
    level: str
    code: str
    message: str
    line: int
    column: int


@dataclass(frozen=True)
class Compilation:
    """What became of a file: its template where there is one, and every finding, whatever its level."""

    diagnostics: tuple[Diagnostic, ...]
    template: Any


def find_bicep() -> str:
    """Find the compiler: BICEP, else the PATH, else the tools beside the checkout; BicepMissingError where it is not.

    A BICEP that is set and leads nowhere is missing too: whoever set it did not mean another one.
    """
    beside = ROOT.parent / "shared" / "tools" / "bicep"
    named = os.environ.get("BICEP")
    found = shutil.which(named or "bicep") or (None if named else shutil.which(beside))
    if not found:
        raise BicepMissingError
    return str(found)


class Bicep:
    """Entered, it runs; left, it is gone, and so it is with the process that started it.

    Entering raises BicepMissingError. Each call raises BicepError where the compiler refuses, TimeoutError where it
    does not answer, EOFError where it has ended. What is compiled is read again each time, but not what it loads: give
    each variant of a loaded file a directory of its own.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [find_bicep(), "jsonrpc", "--stdio"]
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603 - a program of our own choice
            command,
            stdin=subprocess.PIPE,  # it ends with this process, and the compiler with it
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**inherited, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
            bufsize=0,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        assert process
        stop(process)

    def compile(self, path: Path) -> Compilation:
        """Compile and lint a `.bicep` or `.bicepparam` file; it may be a bad one."""
        answer = self._call("bicep/compile", {"path": str(path)})
        text = answer.get("contents")
        return Compilation(tuple(map(_diagnostic, answer["diagnostics"])), json.loads(text) if text else None)

    def diagnose(self, path: Path) -> tuple[Diagnostic, ...]:
        """Tell all that the compiler and the linter find, of any level."""
        return self.compile(path).diagnostics

    def format(self, path: Path) -> str:
        """Return a file as the formatter would write it; the file stays as it is."""
        return str(self._call("bicep/format", {"path": str(path)})["contents"])

    def snapshot(self, path: Path, *, into_group: bool = False) -> dict[str, Any]:
        """Predict what a `.bicepparam` file deploys, to a subscription or into a resource group."""
        metadata = {
            "tenantId": TENANT,
            "subscriptionId": SUBSCRIPTION,
            "location": LOCATION,
            "deploymentName": "main",
            **({"resourceGroup": GROUP} if into_group else {}),
        }
        answer = self._call("bicep/getSnapshot", {"path": str(path), "metadata": metadata})
        snapshot: dict[str, Any] = json.loads(answer["snapshot"])
        return snapshot

    def _call(self, method: str, parameters: dict[str, object]) -> dict[str, Any]:
        self._calls += 1
        deadline = time.monotonic() + (FIRST_CALL_SECONDS if self._calls == 1 else CALL_SECONDS)
        self._send({"jsonrpc": "2.0", "id": self._calls, "method": method, "params": parameters})
        for _ in range(MAX_OTHER_MESSAGES):
            answer = self._receive(deadline)
            if answer.get("id") != self._calls:
                continue
            if "error" in answer:
                raise BicepError(f"{method}: {answer['error']}")
            result: dict[str, Any] = answer["result"]
            return result
        raise BicepError(f"{method}: no answer among {MAX_OTHER_MESSAGES} messages")

    def _send(self, message: dict[str, object]) -> None:
        assert self._process
        assert self._process.stdin
        body = json.dumps(message).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def _receive(self, deadline: float) -> dict[str, Any]:
        header = b""
        while not header.endswith(b"\r\n\r\n") and len(header) < MAX_HEADER_BYTES:
            header += self._read(1, deadline)
        fields = dict(line.lower().split(b":", 1) for line in header.splitlines() if line)
        length = int(fields[b"content-length"])
        body = b""
        while len(body) < length:
            body += self._read(length - len(body), deadline)
        message: dict[str, Any] = json.loads(body)
        return message

    def _read(self, length: int, deadline: float) -> bytes:
        assert self._process
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError("Bicep did not answer in time")
        if not (data := os.read(self._process.stdout.fileno(), length)):
            raise EOFError("Bicep has ended")
        return data


def _diagnostic(found: dict[str, Any]) -> Diagnostic:
    start = found["range"]["start"]
    return Diagnostic(
        Path(found["source"]).name, found["level"], found["code"], found["message"], start["line"], start["char"]
    )
