"""What an operator may set, and in which words it is told."""

import asyncio
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.bootstrap import open_ledger
from shared.ledger.sqlite import SqliteLedger
from shared.model import Control
from shared.operate import Order, carry_out, describe, operate, read_order
from shared.settings import read_ledger_settings
from tests.azurite import Azurite
from tests.builders import APPLICATION
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


@pytest.mark.parametrize(
    ("control", "hours", "said"),
    [
        (Control(), 0, "Resets an hour and caller: as the policy says, which is not known here."),
        (RAISED, 1, "Resets an hour and caller: 500 until 2026-11-24T11:00:00+00:00, then as the policy says."),
        (RAISED, 2, "Resets an hour and caller: as the policy says, which is not known here."),
    ],
)
def test_description_without_the_policy_names_no_number_of_it(control: Control, hours: int, said: str) -> None:
    """It guesses none."""
    lines = describe(control, None, START + timedelta(hours=hours)).splitlines()
    assert lines == ["Not paused: requests are carried out.", said]


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
        env={"PATH": os.environ["PATH"]} | coverage | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, out.decode(), err.decode()


async def make_ledger(directory: Path) -> str:
    """Create a ledger as the app does at its first use; return its LEDGER_URL."""
    app = SqliteLedger(directory / "ledger.db", FakeClock(START))
    await app.read_control()
    await app.close()
    return f"sqlite:///{directory}/ledger.db"


def files_in(directory: Path) -> list[Path]:
    """Return what lies in a directory, at any depth."""
    return sorted(directory.rglob("*"))


@pytest.mark.parametrize("words", [["show"], ["pause", "--for", "2h", "--by", "Kim", "--why", "x"], ["resume"]])
@pytest.mark.parametrize("name", ["typo.db", "no-directory/ledger.db", "ledger.db/ledger.db"])
async def test_command_when_there_is_no_ledger_then_none_is_created_and_the_status_is_2(
    tmp_path: Path, name: str, words: list[str]
) -> None:
    """A pause in a ledger that nobody reads stops nothing."""
    await make_ledger(tmp_path)
    before = files_in(tmp_path)
    status, said, complaint = await run_command(*words, LEDGER_URL=f"sqlite:///{tmp_path}/{name}")
    assert (status, said) == (2, "")
    assert complaint == (
        f"There is no ledger at {tmp_path}/{name}: the app creates it, an operator's command never does.\n"
    )
    assert files_in(tmp_path) == before


async def test_command_when_the_account_holds_no_ledger_then_no_table_is_created(azurite: Azurite) -> None:
    """Neither by looking nor by pausing; once the app has begun, both are done."""
    names = ("Requests", "Users", "Control")
    async with TableServiceClient.from_connection_string(azurite.connection_string) as client:
        for name in names:  # other tests may have left them
            await client.delete_table(f"MfaReset{name}")
        before = {table.name async for table in client.list_tables()}
        for words in (["show"], ["pause", "--for", "2h", "--by", "Kim", "--why", "x"]):
            status, said, complaint = await run_command(*words, LEDGER_URL=azurite.connection_string)
            assert (status, said) == (2, "")
            assert complaint == (
                "There is no ledger in the storage account ledger: the app creates it, "
                "an operator's command never does.\n"
            )
        assert {table.name async for table in client.list_tables()} == before
        app = open_ledger(read_ledger_settings({"LEDGER_URL": azurite.connection_string}), FakeClock(START))
        assert await app.unfinished(START, 1) == ()  # what its timer asks first, before there is any request
        await app.close()
        status, said, _ = await run_command(*words, LEDGER_URL=azurite.connection_string)
        assert (status, said.startswith("Paused until ")) == (0, True)
        for name in names:
            await client.delete_table(f"MfaReset{name}")


async def test_command_with_nothing_but_a_ledger_does_all_that_it_is_for(tmp_path: Path) -> None:
    """In an emergency nobody gathers the app's other settings."""
    ledger = await make_ledger(tmp_path)
    paused = await run_command("pause", "--for", "2h", "--by", "Kim", "--why", "migration", LEDGER_URL=ledger)
    assert (paused[0], paused[2]) == (0, "")
    assert await run_command("show", LEDGER_URL=ledger) == paused
    assert "by Kim: migration\nResets an hour and caller: as the policy says, which is not known here." in paused[1]
    _, raised, _ = await run_command("limit", "500", "--for", "4h", LEDGER_URL=ledger)
    assert "Resets an hour and caller: 500 until " in raised
    assert (await run_command("usual-limit", LEDGER_URL=ledger))[1] == paused[1]
    assert (await run_command("resume", LEDGER_URL=ledger))[1].startswith("Not paused")


async def test_command_with_the_policy_says_its_limit(tmp_path: Path) -> None:
    """One that makes passes needs no vault here."""
    passes = {"profiles": {"p": {"methods": "none", "steps": ["temporaryAccessPass"]}}, "callers": {APPLICATION: ["p"]}}
    policy = json.dumps(POLICY | passes | {"defaultProfiles": {"request": "p", "alert": "p"}})
    status, shown, _ = await run_command(
        "show", LEDGER_URL=await make_ledger(tmp_path), MFA_RESET_POLICY=policy, AZURE_TENANT_ID=APPLICATION
    )
    assert (status, shown.splitlines()[1]) == (0, "Resets an hour and caller: 100; the policy says 100.")


async def test_command_when_the_ledger_cannot_be_used_then_the_status_is_1(tmp_path: Path) -> None:
    """Other than with wrong settings; one sentence says why."""
    status, said, complaint = await run_command("show", LEDGER_URL=f"sqlite:///{tmp_path}")
    assert (status, said) == (1, "")
    assert complaint == "The ledger's file cannot be used: unable to open database file.\n"


async def test_command_when_nobody_is_signed_in_then_it_says_so_in_one_sentence() -> None:
    """Without Azure CLI there is no token; what its library would log is not shown."""
    status, said, complaint = await run_command("show", LEDGER_URL="https://nobody.table.core.windows.net", PATH="")
    assert (status, said) == (1, "")
    assert complaint == (
        "Table Storage did not do what was asked: there was no token for it "
        "(an operator needs Azure CLI and `az login`, the app its identity).\n"
    )


async def test_command_when_settings_are_wrong_then_all_are_named_and_the_status_is_2() -> None:
    """A policy that is there but bad is one of them."""
    status, _, said = await run_command("show", MFA_RESET_POLICY="{", AZURE_TENANT_ID="contoso")
    assert status == 2
    assert said.startswith("Nothing was done: the command's settings are not as they should be")
    assert [line.split(" ")[1].rstrip(":") for line in said.splitlines()[1:]] == [
        "MFA_RESET_POLICY",
        "LEDGER_URL",
        "AZURE_TENANT_ID",
    ]
