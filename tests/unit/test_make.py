"""What make asks of the machine before it runs a command: of an operator's, as little as can be."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("make", "sh", "touch", "cat", "grep", "sed", "expand")  # and neither cc nor any Python
NO_PYTHON = 'mfa-reset needs Python 3.13, and "python3.13" is not one.\nInstall it (Debian 13, Ubuntu 25.04: '
NO_COMPILER = "mfa-reset needs a C compiler for the sandbox (Debian, Ubuntu: apt install gcc python3.13-dev).\n"
COMMANDS = {
    "operate": "usage: make operate ARGS='[-h] VERB ...'\nmake operate: error: the following arguments",
    "redrive": "Nothing was done: the command's settings are not as they should be",
    "rejected": "Nothing was done: the command's settings are not as they should be",
    "policy": "infra/policy.json: sound\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout of what an operator's commands are made of, without an environment."""
    for name in ("Makefile", "infra/policy.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "shared").symlink_to(ROOT / "shared")
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).touch()  # no library, so no network
    (tmp_path / "path").mkdir()
    for name in TOOLS:
        (tmp_path / "path" / name).symlink_to(str(shutil.which(name)))
    return tmp_path


def add_program(file: Path, command: str) -> None:
    """Write a program that runs another."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    file.chmod(0o755)


def make(checkout: Path, *words: str) -> tuple[int, str]:
    """Run make with nothing on the PATH but what the checkout holds; return its status and what it said."""
    done = subprocess.run(  # noqa: S603 - the Makefile of the repository
        [str(checkout / "path" / "make"), *words],
        cwd=checkout,
        # Where an environment has no libraries, it finds those of the tests.
        env={"PATH": str(checkout / "path"), "PYTHONPATH": sysconfig.get_path("purelib")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("marker", [".ready", ".runtime"])
@pytest.mark.parametrize("target", COMMANDS)
def test_command_of_an_operator_when_there_is_an_environment_then_nothing_is_asked_of_the_machine(
    checkout: Path, target: str, marker: str
) -> None:
    """Neither a compiler nor a Python on the PATH: also where the libraries for tests have been pinned anew since."""
    add_program(checkout / ".venv/bin/python", sys.executable)
    (checkout / ".venv" / marker).touch()
    os.utime(checkout / "requirements.txt", (0, 0))
    _, said = make(checkout, target)
    assert said.startswith(COMMANDS[target])


def test_command_of_an_operator_when_the_libraries_cannot_be_renewed_then_it_works_with_those_it_has(
    checkout: Path,
) -> None:
    """A pause does not wait for a network."""
    add_program(checkout / ".venv/bin/python", sys.executable)
    (checkout / ".venv/.runtime").touch()
    os.utime(checkout / ".venv/.runtime", (0, 0))
    (checkout / "requirements.txt").write_text("no-such-file.whl --hash=sha256:00\n")
    status, said = make(checkout, "policy")
    assert status == 0
    assert "The libraries in .venv are older than requirements.txt, and serve as they are.\n" in said
    assert COMMANDS["policy"] in said


def test_command_of_an_operator_when_there_is_no_environment_then_one_is_made_without_a_compiler(
    checkout: Path,
) -> None:
    """Of the libraries of the app alone; the next command finds it."""
    status, said = make(checkout, "policy")
    assert status == 2
    assert said.startswith(NO_PYTHON)
    add_program(checkout / "path/python3.13", sys._base_executable)  # type: ignore[attr-defined]
    status, said = make(checkout, "policy")
    assert (status, COMMANDS["policy"] in said) == (0, True)
    assert said.startswith("Setting up .venv for the commands of an operator")
    assert not (checkout / ".venv/.ready").exists()
    (checkout / "path/python3.13").unlink()
    assert make(checkout, "policy")[1].startswith(COMMANDS["policy"])


def test_sandbox_when_something_is_missing_then_it_says_what_and_how_to_get_it(checkout: Path) -> None:
    """It is built with a compiler."""
    assert make(checkout, "run")[1].startswith(NO_PYTHON)
    add_program(checkout / "path/python3.13", sys.executable)
    assert make(checkout, "run")[1].startswith(NO_COMPILER)


def test_sandbox_when_the_environment_is_ready_then_nothing_is_asked_of_the_machine(checkout: Path) -> None:
    """The compiler has done its work."""
    add_program(checkout / ".venv/bin/python", str(shutil.which("echo")))
    (checkout / ".venv/.ready").touch()
    assert make(checkout, "serve", "ARGS=--port 7072") == (0, "-m sandbox --typed make serve --port 7072\n")
