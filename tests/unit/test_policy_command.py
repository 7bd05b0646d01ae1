"""`python -m shared.policy`: a policy checked before it is deployed, and what is said of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.policy import parse_policy
from shared.policy.__main__ import SOUND, UNSOUND, WRONG, describe, main
from tests.builders import APPLICATION, a_policy, a_policy_document

ROOT = Path(__file__).parents[2]
GROUP = "20000000-0000-4000-8000-0000000000cc"
USER = "10000000-0000-4000-8000-0000000000aa"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a test writes its policy."""
    return tmp_path / "policy.json"


def complaints(file: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Check a policy that is not sound; return what is said, a line each, without the name of the file."""
    assert main([str(file)]) == UNSOUND
    written = capsys.readouterr()
    assert written.out == ""
    assert all(line.startswith(f"{file}: ") for line in written.err.splitlines())
    return [line.removeprefix(f"{file}: ") for line in written.err.splitlines()]


# --- What is sound ------------------------------------------------------------------------------------------------


def test_policy_of_the_repository_when_checked_then_it_is_sound_and_explained() -> None:
    """By the command that the Makefile gives: what it runs through counts."""
    (recipe,) = re.findall(r"^policy:.*\n\t@\$\(BIN\)/python (.*)\n", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe == """-m shared.policy --typed 'make policy POLICY' "$(POLICY)\""""
    coverage = {name: value for name, value in os.environ.items() if name.startswith(("COVERAGE_", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-m", "shared.policy", "--typed", "make policy POLICY", "infra/policy.json"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **coverage},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (SOUND, "")
    assert done.stdout.splitlines() == [
        "infra/policy.json: sound",
        "mode: enforce (a deployment puts its own in its place)",
        "never: 0 users, 0 groups (a deployment adds its own)",
        "profile reregister",
        "  methods removed: reregister",
        "  steps: revokeSessions",
        "  administrators: refused; instead: revokeSessions",
        "  asked for by: queue, functionKey",
        "profile compromised",
        "  methods removed: all",
        "  steps: disableAccount, revokeSessions",
        "  administrators: refused; instead: revokeSessions",
        "  asked for by: queue, functionKey",
    ]


def test_description_when_the_policy_is_another_then_every_part_is_told_as_it_is() -> None:
    """Types by name, steps in the order in which they are taken, and only those who may ask."""
    policy = a_policy(
        mode="observe",
        profiles={
            "types": {"methods": ["phone", "fido2"], "registrationWindow": "accepted"},
            "steps": {
                "methods": [],
                "steps": ["temporaryAccessPass", "perUserMfa:enforced", f"containmentGroup:{GROUP}"],
                "privileged": "allow",
            },
        },
        defaultProfiles={"request": "types", "alert": "types"},
        callers={APPLICATION: ["types", "steps"], "queue": ["types"]},
        never={"users": [USER], "groups": [USER, APPLICATION]},
        privileged={},
    )
    assert describe(policy).splitlines() == [
        "mode: observe (a deployment puts its own in its place)",
        "never: 1 user, 2 groups (a deployment adds its own)",
        "profile types",
        "  methods removed: phone, fido2",
        "  steps: none",
        "  administrators: refused; instead: none",
        f"  asked for by: {APPLICATION}, queue",
        "profile steps",
        "  methods removed: none",
        f"  steps: containmentGroup:{GROUP}, perUserMfa:enforced, temporaryAccessPass",
        "  administrators: reset as others are",
        f"  asked for by: {APPLICATION}",
    ]


# --- What is not --------------------------------------------------------------------------------------------------


def test_policy_with_problems_when_checked_then_each_has_a_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same that the app would name, all of them."""
    wrong = a_policy_document(mode="dream", guests="some", callers={"queue": ["reregister"], "bob": ["gone"]})
    file.write_text(json.dumps(wrong))
    with pytest.raises(SettingsError) as raised:
        parse_policy(file.read_text())
    said = complaints(file, capsys)
    assert [f"MFA_RESET_POLICY: {line}" for line in said] == list(raised.value.problems)
    assert {"mode", "guests", "callers.'bob'", "callers.bob", "profiles.compromised"} == {
        line.partition(":")[0] for line in said
    }


@pytest.mark.parametrize("key", ["mode", "callers", "profiles"])
def test_policy_when_it_repeats_a_key_then_it_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    """The template would take the last without a word: another policy than whoever wrote it had in mind."""
    sound = a_policy_document()
    repeated = json.dumps(sound)[:-1] + f", {json.dumps(key)}: {json.dumps(sound[key])}" + "}"
    assert json.loads(repeated) == sound
    file.write_text(repeated)
    assert complaints(file, capsys) == [f"duplicate key: '{key}'"]


@pytest.mark.parametrize("text", ["", "{", "[]", "\ufeff{}"])
def test_policy_when_it_is_no_object_then_it_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """One line says why."""
    file.write_text(text, encoding="utf-8")
    assert len(complaints(file, capsys)) == 1


def test_policy_when_a_key_holds_anything_then_its_problem_stays_on_its_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line is forged, and the terminal is told nothing."""
    file.write_text(json.dumps(a_policy_document() | {"a\nb\x1b[2J\u00e4": 1}))
    (said,) = complaints(file, capsys)
    assert said == "a\\nb\\x1b[2J\u00e4: there is no such key"


# --- What cannot be read --------------------------------------------------------------------------------------------


def test_command_when_there_is_no_text_then_the_status_is_2_and_the_reason_told(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file, a folder, another encoding."""
    assert main([str(file)]) == WRONG
    assert capsys.readouterr().err == f"{file}: cannot be read: No such file or directory\n"
    assert main([str(tmp_path)]) == WRONG
    assert capsys.readouterr().err == f"{tmp_path}: cannot be read: Is a directory\n"
    file.write_bytes(b'{"mode": "\xe9"}')
    assert main([str(file)]) == WRONG
    assert capsys.readouterr().err == f"{file}: is not UTF-8 (at byte 10)\n"


@pytest.mark.parametrize("words", [[], ["a", "b"], ["--all"]])
def test_command_when_it_makes_no_sense_then_the_status_is_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes one file."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == WRONG
    assert "usage: python -m shared.policy" in capsys.readouterr().err
