"""What importing does: nothing that a start need not spend, nothing to the outside world."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from shared import reset, service
from shared.graph import repeats
from shared.intake import canonical, reading, request_ids
from shared.ledger import holding
from shared.policy import MAX_USERS_PER_BODY

ROOT = Path(__file__).parents[2]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "shared").rglob("*.py"))
]
SDKS = ("msgraph", "kiota_http", "azure.identity", "azure.servicebus")
ENVIRONMENT = {
    "MFA_RESET_POLICY": (ROOT / "infra" / "policy.json").read_text(),
    "LEDGER_URL": "sqlite:////nowhere/ledger.sqlite",
    "ServiceBusConnection__fullyQualifiedNamespace": "bus.servicebus.windows.net",
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # which it looks for in the file system with the first class of ours
}

# Imports modules and prints what the code of `folder` itself did to the outside world meanwhile. What a library does
# when it is imported is the library's: its frames are below those of the import system.
WATCH = """
import importlib, sys
folder, *modules = sys.argv[1:]
seen = []

def watch(event, arguments):
    if not event.startswith(("open", "socket.", "subprocess.", "os.", "sqlite3.", "urllib.", "shutil.", "tempfile.")):
        return
    frame = sys._getframe(1)
    while frame and not frame.f_code.co_filename.startswith("<frozen importlib"):
        if frame.f_code.co_filename.startswith(folder):
            seen.append(f"{event} in {frame.f_code.co_filename}:{frame.f_lineno}")
            return
        frame = frame.f_back

sys.addaudithook(watch)
for module in modules:
    importlib.import_module(module)
print(*dict.fromkeys(seen), sep="\\n")
"""


def run(code: str, *arguments: str, folder: Path = ROOT) -> str:
    """Run code in a fresh interpreter that has nothing of this process but the libraries."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_modules_of_shared_when_imported_then_they_do_nothing_to_the_outside_world() -> None:
    """No file, no socket, no process, no database before somebody calls."""
    assert run(WATCH, str(ROOT / "shared"), *MODULES).strip() == ""


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("open(__file__).close()", "open"),
        ("import socket; socket.socket().close()", "socket.__new__"),
        ("import sqlite3; sqlite3.connect(':memory:').close()", "sqlite3.connect"),
        ("import os; os.listdir('.')", "os.listdir"),
    ],
)
def test_watch_on_imports_when_a_module_does_something_then_it_is_seen(
    tmp_path: Path, statement: str, event: str
) -> None:
    """Else the test above could not fail."""
    (tmp_path / "culprit.py").write_text(f"{statement}\n")
    assert run(WATCH, str(tmp_path), "culprit", folder=tmp_path).startswith(f"{event} in {tmp_path}/culprit.py:1")


def test_function_app_when_loaded_then_no_sdk_is_imported_and_settings_are_read() -> None:
    """A cold start spends a second less; each SDK is imported with its first call."""
    loaded = set(run("import sys, function_app; print(*sys.modules)").split())
    assert {"function_app", "azure.functions", "shared.bootstrap", "shared.graph"} <= loaded
    assert not loaded.intersection(SDKS)


def test_function_app_when_the_settings_are_wrong_then_it_does_not_load() -> None:
    """A problem shows at the start, not with the first compromised user."""
    with pytest.raises(subprocess.CalledProcessError) as raised:
        run("import os; os.environ['GRAPH_URL'] = 'http://graph.example'; import function_app")
    assert "GRAPH_URL must be https://host" in raised.value.stderr


def test_routes_and_times_of_the_host_when_read_then_they_are_those_of_the_code() -> None:
    """The Location of an answer leads to the route that the host serves."""
    host = json.loads((ROOT / "host.json").read_text())
    assert host["extensions"]["http"]["routePrefix"] == "api"
    assert host["version"] == "2.0"


def test_limits_when_read_then_they_are_those_of_the_contract() -> None:
    """Product.md 1, 5 and 7."""
    assert (reading.MAX_BODY_BYTES, MAX_USERS_PER_BODY, request_ids.MAX_LENGTH) == (204_800, 500, 100)
    assert (canonical.MAX_REASON, canonical.MAX_REQUESTED_BY, canonical.MAX_TITLE) == (1_000, 200, 300)
    assert (2_048, 100, timedelta(minutes=5)) == (canonical.MAX_LINK, canonical.MAX_KEEP, canonical.MAX_AHEAD)
    assert (timedelta(seconds=60), 20.0) == (holding.CLAIM_LASTS, holding.RENEW_EVERY_SECONDS)
    assert (service.CLAIM_PATIENCE_SECONDS, repeats.MOST_WAITING_SECONDS) == (20.0, 20.0)
    assert timedelta(seconds=reset.SETTLE_SECONDS) >= timedelta(seconds=5)
