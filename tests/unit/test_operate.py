"""What an operator may set, and in which words it is told."""

import asyncio
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from shared.ledger.sqlite import SqliteLedger
from shared.model import Control
from shared.operate import Order, carry_out, describe, operate, read_order
from tests.clocks import FakeClock
from tests.service.stage import POLICY, START

ROOT = Path(__file__).parents[2]
HOURS = timedelta(hours=2)
PAUSED = Control(paused_until=START + HOURS, paused_by="Kim", paused_why="migration")
RAISED = Control(resets_per_hour=500, resets_per_hour_until=START + HOURS)


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (["show"], Order("show")),
        (["resume"], Order("resume")),
        (["usual-limit"], Order("usual-limit")),
        (["limit", "500", "--for", "30m"], Order("limit", timedelta(minutes=30), number=500)),
        (["limit", "100000", "--for", "7d"], Order("limit", timedelta(days=7), number=100_000)),
        (
            ["pause", "--for", "2h", "--by", " Kim ", "--why", "a\nmigration"],
            Order("pause", HOURS, "Kim", "a migration"),
        ),
    ],
)
def test_order_when_it_makes_sense_then_read(words: list[str], order: Order) -> None:
    """Every verb, with all that it takes."""
    assert read_order(words) == order


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["stop"],
        ["pause", "--for", "2h"],
        ["pause", "--for", "8d", "--by", "Kim", "--why", "x"],
        ["pause", "--for", "0h", "--by", "Kim", "--why", "x"],
        ["pause", "--for", "2", "--by", "Kim", "--why", "x"],
        ["pause", "--for", "2h", "--by", " ", "--why", "x"],
        ["pause", "--for", "2h", "--by", "Kim", "--why", "x" * 301],
        ["pause", "--for", "2h", "--by", "Kim\x07", "--why", "x"],
        ["limit", "0", "--for", "2h"],
        ["limit", "100001", "--for", "2h"],
        ["limit", "1e3", "--for", "2h"],
        ["limit", "5"],
    ],
)
def test_order_when_it_makes_no_sense_then_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing lasts longer than a week, and nobody pauses without a name and a reason."""
    with pytest.raises(SystemExit) as ended:
        read_order(words)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("order", "before", "after"),
    [
        (Order("show"), PAUSED, PAUSED),
        (Order("pause", HOURS, "Kim", "migration"), Control(), PAUSED),
        (Order("resume"), PAUSED, Control()),
        (Order("limit", HOURS, number=500), Control(), RAISED),
        (Order("usual-limit"), RAISED, Control()),
    ],
)
def test_control_after_an_order_holds_what_it_says(order: Order, before: Control, after: Control) -> None:
    """The other half is left as it is."""
    assert carry_out(order, before, START) == after


@pytest.mark.parametrize(
    ("control", "hours", "said"),
    [
        (Control(), 0, "Not paused: requests are carried out.\nResets an hour and caller: 100; the policy says 100."),
        (
            PAUSED,
            0,
            (
                "Paused until 2026-11-24T11:00:00+00:00 by Kim: migration\nResets an hour and caller: 100; the "
                "policy says 100."
            ),
        ),
        (PAUSED, 2, "Not paused: requests are carried out.\nResets an hour and caller: 100; the policy says 100."),
        (
            RAISED,
            1,
            (
                "Not paused: requests are carried out.\nResets an hour and caller: 500 until "
                "2026-11-24T11:00:00+00:00; the policy says 100."
            ),
        ),
        (RAISED, 2, "Not paused: requests are carried out.\nResets an hour and caller: 100; the policy says 100."),
    ],
)
def test_description_says_what_holds_now(control: Control, hours: int, said: str) -> None:
    """What has passed holds no more."""
    assert describe(control, 100, START + timedelta(hours=hours)) == said


async def test_operate_keeps_what_was_ordered_for_every_worker(tmp_path: Path) -> None:
    """Another worker reads it from the ledger."""
    ledger, other = (SqliteLedger(tmp_path / "ledger.db", FakeClock(START)) for _ in range(2))
    assert (await operate(Order("pause", HOURS, "Kim", "migration"), ledger, 100, START)).startswith("Paused until")
    assert await other.read_control() == PAUSED
    assert (await operate(Order("show"), other, 100, START)).startswith("Paused until")
    await ledger.close()
    await other.close()


async def run_command(*words: str, **environment: str) -> tuple[int, str, str]:
    """Run the command as an operator does; what it runs through counts."""
    coverage = {name: value for name, value in os.environ.items() if name.startswith(("COVERAGE_", "COV_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shared.operate",
        *words,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **coverage, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, out.decode(), err.decode()


def environment(ledger: str) -> dict[str, str]:
    """Give the settings of an app."""
    bus = "Endpoint=sb://127.0.0.1;SharedAccessKeyName=x;SharedAccessKey=y"
    return {"LEDGER_URL": ledger, "MFA_RESET_POLICY": json.dumps(POLICY), "ServiceBusConnection": bus}


async def test_command_pauses_and_shows_it(tmp_path: Path) -> None:
    """From the command line to the ledger and back."""
    app = environment(f"sqlite:///{tmp_path}/ledger.db")
    paused = await run_command("pause", "--for", "2h", "--by", "Kim", "--why", "migration", **app)
    assert (paused[0], paused[2]) == (0, "")
    status, shown, _ = await run_command("show", **app)
    assert status == 0
    assert "by Kim: migration" in shown


async def test_command_without_a_ledger_says_so(tmp_path: Path) -> None:
    """Wrong settings and an unreachable ledger are told apart."""
    (tmp_path / "file").touch()
    status, _, said = await run_command("show", **environment(f"sqlite:///{tmp_path}/file/ledger.db"))
    assert (status, "ledger" in said) == (1, True)
    status, _, said = await run_command("show")
    assert status == 2
    assert "LEDGER_URL is not set" in said
