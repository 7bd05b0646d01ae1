"""Fixtures of the service's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.stage import Stage, set_up


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Give a tenant of its own to each test."""
    async with set_up(tmp_path) as stage:
        yield stage
