"""An operator's command line: it shows itself as it was typed, and complains in words."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from shared.operate import read_order as read_operate
from shared.policy.__main__ import main as check_policy
from shared.redrive.__main__ import read_order as read_redrive


class Slip(NamedTuple):
    """A command line that makes no sense, and what is said of it."""

    read: Callable[[list[str]], object]
    target: str
    words: list[str]
    usage: str
    complaint: str


SLIPS = (
    Slip(read_operate, "operate ARGS", [], "[-h] VERB ...", ": error: the following arguments are required: VERB"),
    Slip(read_operate, "operate ARGS", ["stop"], "[-h] VERB ...", ": error: argument VERB: invalid choice: 'stop'"),
    Slip(
        read_operate,
        "operate ARGS",
        ["pause", "--for", "2h"],
        "pause [-h] --for DURATION --by NAME --why TEXT",
        " pause: error: the following arguments are required: --by, --why",
    ),
    Slip(
        read_operate,
        "operate ARGS",
        ["limit", "many", "--for", "2h"],
        "limit [-h] --for DURATION NUMBER",
        " limit: error: argument NUMBER: a whole number from 1 to 100000",
    ),
    Slip(read_redrive, "redrive ARGS", ["--send"], "[-h]", ": error: --send needs --from"),
    Slip(check_policy, "policy POLICY", [], "[-h] FILE", ": error: the following arguments are required: FILE"),
)


@pytest.mark.parametrize("make", [False, True])
@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: " ".join([slip.target, *slip.words]))
def test_usage_when_a_command_makes_no_sense_then_it_is_as_it_was_typed(
    slip: Slip, make: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """By make, whose options go into a variable, or by Python; never as a file that nobody has typed."""
    name, variable = slip.target.split()
    typed = ["--typed", f"make {slip.target}"] if make else []
    command = f"make {name}" if make else f"python -m shared.{name}"
    with pytest.raises(SystemExit) as ended:
        slip.read([*typed, *slip.words])
    assert ended.value.code == 2
    usage, _, complaint = capsys.readouterr().err.partition(f"\n{command}")
    assert usage.startswith(f"usage: {command} {variable}='{slip.usage}" if make else f"usage: {command} {slip.usage}")
    assert usage.endswith("'") is make
    assert complaint.startswith(slip.complaint)
    assert "__main__" not in usage + complaint


def test_help_when_make_asks_for_it_then_only_its_usage_is_rewritten(capsys: pytest.CaptureFixture[str]) -> None:
    """What it explains is the same."""
    shown = []
    for typed in ([], ["--typed", "make operate ARGS"]):
        with pytest.raises(SystemExit) as ended:
            read_operate([*typed, "pause", "--help"])
        assert ended.value.code == 0
        shown.append(capsys.readouterr().out.split("\n\n", 1))
    assert [usage for usage, _ in shown] == [
        "usage: python -m shared.operate pause [-h] --for DURATION --by NAME --why TEXT",
        "usage: make operate ARGS='pause [-h] --for DURATION --by NAME --why TEXT'",
    ]
    assert shown[0][1] == shown[1][1]
