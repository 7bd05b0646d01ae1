"""Empty tables in Azurite, and one worker's ledger on them."""

from collections.abc import AsyncIterator

import pytest

from shared.ledger.table import TableLedger
from shared.vocabulary import Mark
from tests.azurite import Azurite, Proxy
from tests.contract.ledger_stores import TableStore
from tests.contract.ledger_values import USER_ID, key_of


@pytest.fixture
async def store(azurite: Azurite) -> AsyncIterator[TableStore]:
    """Return empty tables."""
    async with Proxy(azurite.port) as proxy:
        tables = TableStore(azurite, proxy)
        yield tables
        await tables.close()


@pytest.fixture
async def ledger(store: TableStore) -> TableLedger:
    """Return a ledger whose tables are there."""
    ledger = store.open()
    await ledger.read(key_of())
    await ledger.read_control()
    await ledger.recall(USER_ID, Mark("none"))
    return ledger
