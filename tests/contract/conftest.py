"""Fixtures of the contract's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.ports import Ledger
from tests.azurite import Proxy
from tests.contract.ledger_stores import LedgerStore, SqliteStore, TableStore


@pytest.fixture(params=["sqlite", "table"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LedgerStore]:
    """Return an empty store, one kind after the other."""
    if request.param == "sqlite":
        file = SqliteStore(tmp_path)
        yield file
        await file.close()
    else:
        azurite = request.getfixturevalue("azurite")
        async with Proxy(azurite.port) as proxy:
            tables = TableStore(azurite, proxy)
            yield tables
            await tables.close()


@pytest.fixture
def ledger(store: LedgerStore) -> Ledger:
    """Return a ledger on the empty store."""
    return store.open()
