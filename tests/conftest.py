"""Fixtures of more than one kind of test."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.azurite import Azurite, AzuriteMissingError
from tests.outside import is_missing


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Start Azurite once a test process; where it is not installed, skip, but never where CI tests."""
    with ExitStack() as stack:
        server = Azurite()
        try:
            stack.enter_context(server)
        except AzuriteMissingError as missing:
            is_missing(str(missing))
        yield server
