"""The house rules that a machine can hold."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared import acceptance, patience, reception, reset, sweep
from shared.bus import TIME_TO_LIVE

ROOT = Path(__file__).parents[2]
FUNCTION_APP = ROOT / "function_app.py"
SHARED = sorted((ROOT / "shared").rglob("*.py"))
SANDBOX = sorted((ROOT / "sandbox").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name_of(path: Path) -> str:
    """Name a file from the root."""
    return str(path.relative_to(ROOT))


def imports_of(path: Path) -> set[str]:
    """Return every module that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module)):
                found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", [*SHARED, *SANDBOX, *TESTS], ids=name_of)
def test_nothing_imports_the_function_app_or_a_mock(path: Path) -> None:
    """Triggers are the outermost layer; nothing is mocked or patched."""
    roots = {module.split(".")[0] for module in imports_of(path)}
    assert "function_app" not in roots
    assert "unittest" not in roots
    arguments = {node.arg for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.arg)}
    assert not arguments & {"monkeypatch", "mocker"}


@pytest.mark.parametrize("path", [FUNCTION_APP, *SHARED], ids=name_of)
def test_environment_is_read_in_one_place(path: Path) -> None:
    """Everything else is handed in."""
    reads = re.search(r"\bos\.(environ|getenv)\b", path.read_text())
    assert bool(reads) is (path.name == "settings.py")


@pytest.mark.parametrize("path", [FUNCTION_APP, *SHARED, *SANDBOX], ids=name_of)
def test_files_and_functions_stay_small(path: Path) -> None:
    """A reader holds one thing in mind: triggers in 100 lines, modules in 300, functions in 45."""
    text = path.read_text()
    if path not in SANDBOX:
        assert len(text.splitlines()) <= (100 if path == FUNCTION_APP else 300)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno + 1 <= 45, node.name


def test_cold_start_imports_no_sdk() -> None:
    """They are imported on first use: a second and more that a start need not spend."""
    code = "import sys, shared.bootstrap; print(*sys.modules)"
    found = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
    assert not {"msgraph", "kiota_http", "azure.identity", "azure.servicebus"} & set(found)


def test_times_are_those_of_the_contract() -> None:
    """Product.md 7, held to host.json and to the code."""
    host = json.loads((ROOT / "host.json").read_text())
    bus = host["extensions"]["serviceBus"]
    assert host["functionTimeout"] == "00:10:00"
    assert (bus["maxAutoLockRenewalDuration"], bus["prefetchCount"], bus["autoCompleteMessages"]) == (
        "00:10:00",
        0,
        True,
    )
    assert (acceptance.DELIVERY_SECONDS, reception.INLINE_SECONDS, acceptance.SAFETY_RESUME_SECONDS) == (240, 60, 90)
    assert (patience.RESUME_MINUTES, patience.PATIENCE.days) == ((1, 2, 5, 15, 60), 1)
    assert (patience.ALERT_AFTER.total_seconds(), TIME_TO_LIVE.days) == (900, 14)
    assert (sweep.KEPT_FOR.days, acceptance.REPLAY_FOR.days) == (400, 1)
    assert (reset.MAX_ROUNDS, reset.SETTLE_SECONDS >= 5) == (3, True)


@pytest.mark.xdist_group("groups")
def test_groups_when_tests_are_handed_out_then_the_workers_know_them(request: pytest.FixtureRequest) -> None:
    """Else the servers of a group start on every worker, and its tests get in each other's way."""
    assert request.node.nodeid.endswith("@groups") is ("PYTEST_XDIST_WORKER" in os.environ)
