"""Fixtures of the service's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.secrecy import find_leaks, texts_of_bus
from tests.service.stage import Stage, set_up

PLACES = ("requests", "rejected", "outcomes/Subscriptions/audit")  # of the door's bus


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Give a tenant of its own to each test."""
    async with set_up(tmp_path) as stage:
        yield stage


@pytest.fixture(autouse=True)
def _no_secret_leaves(request: pytest.FixtureRequest) -> Iterator[None]:
    """Look for every secret of the tenant in all that left it, after each test that plays on a stage."""
    door = request.getfixturevalue("door") if "door" in request.fixturenames else None
    stage: Stage | None = door.stage if door else None
    if door is None and "stage" in request.fixturenames:
        stage = request.getfixturevalue("stage")
    yield
    if stage:
        on_the_bus = texts_of_bus(door.bus, *PLACES) if door else ()
        assert find_leaks(stage.tenant.secret_values(), [*stage.texts(), *on_the_bus]) == []
