"""What Bicep computes permissions from is what the code says."""

import json
import re
import subprocess
import sys

from shared.grants_table import grants_table
from tests.infra.compiler import INFRA, ROOT

FILE = INFRA / "catalogue.json"


def test_catalogue_when_written_then_it_is_the_file() -> None:
    """Else `make docs` has to be run."""
    assert json.loads(FILE.read_text()) == grants_table()


def test_catalogue_when_written_by_the_command_then_it_is_the_same() -> None:
    """As `make docs` does it."""
    command = [sys.executable, "-W", "error", "-m", "shared.grants_table"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own interpreter and code
    assert done.stdout == FILE.read_text()
    (recipe,) = re.findall(r"^docs:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "-m shared.grants_table >" in recipe
    assert "infra/catalogue.json" in recipe
