"""What concerns every kind of test: the order, how patient Hypothesis is, and fixtures."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

from tests.azurite import Azurite, AzuriteMissingError
from tests.outside import is_missing

# How long an example takes says how busy the machine is, with four at work on two cores. The rest is Hypothesis' own
# choice: the same examples each time where CI is set, others each time elsewhere.
settings.register_profile("busy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes a minute and more, so that the end does not wait for it; the rest stays in its order."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture
def untraced() -> Iterator[None]:
    """Leave a test out of the coverage, and so of its cost.

    The mark of pytest-cov for that stops one of several measurements that run in a worker, and fails without any.
    """
    stopped: list[Coverage] = []
    while tracing := Coverage.current():
        tracing.stop()
        stopped.append(tracing)
    yield
    for tracing in reversed(stopped):
        tracing.start()


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
