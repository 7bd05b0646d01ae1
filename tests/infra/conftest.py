"""One compiler a test process, and what it predicts of each variant, once."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.infra.compiler import Bicep, BicepMissingError
from tests.infra.variants import VARIANTS, Snapshot, Snapshots
from tests.outside import is_missing


@pytest.fixture(scope="session")
def bicep() -> Iterator[Bicep]:
    """Start the compiler once a test process; where it is not installed, skip, but never where CI tests."""
    with ExitStack() as stack:
        compiler = Bicep()
        try:
            stack.enter_context(compiler)
        except BicepMissingError as missing:
            is_missing(str(missing))
        yield compiler


@pytest.fixture(scope="session")
def snapshots(bicep: Bicep, tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    """Hand out snapshots of variants, each made once."""
    return Snapshots(bicep, tmp_path_factory.mktemp("variants"))


@pytest.fixture(params=VARIANTS)
def snapshot(request: pytest.FixtureRequest, snapshots: Snapshots) -> Snapshot:
    """Take every variant in turn."""
    return snapshots.of(request.param)
