"""What tests run beside Python: where it is missing, and how it ends."""

import os
from subprocess import Popen, TimeoutExpired
from typing import Any, NoReturn

import pytest

STOP_SECONDS = 10


def is_missing(reason: str) -> NoReturn:
    """Skip the test that needs it and say why; where CI tests, everything is there, so there it fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def stop(process: Popen[Any]) -> None:
    """End a process that ends with its standard input; kill it where it does not, within 20 s."""
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
    process.stdout.close()
