"""The stores that the contract of `shared.ports.Ledger` is tested against."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from shared.bootstrap import connect_tables
from shared.ledger.holding import CLAIM_LASTS, RENEW_EVERY_SECONDS
from shared.ledger.sqlite import SqliteLedger
from shared.ledger.table import TableLedger
from shared.ledger.table_claims import COVERAGES
from shared.ledger.table_rows import THE_CONTROL
from shared.ledger.tables import CONTROL, REQUESTS, USERS, Row, Tables, keys, read_text, write_text
from shared.model import RequestKey
from shared.ports import Ledger
from shared.settings import LedgerSettings, read_ledger_settings
from shared.vocabulary import UserId
from tests.azurite import Azurite, Proxy
from tests.clocks import FakeClock
from tests.contract.ledger_values import START

SHORT = timedelta(seconds=1.5)
# The store's answers tell the time in whole seconds.
COARSENESS = timedelta(seconds=1.1)


class LedgerStore(Protocol):
    """One empty store, and as many ledgers on it as a test wants."""

    lasts: timedelta  # how long a claim lasts
    coarseness: timedelta  # how much later it may expire

    @property
    def address(self) -> str:
        """What another process opens it by: see `open_ledger`."""
        ...

    def now(self) -> datetime:
        """Tell the time by the clock by which claims expire."""
        ...

    async def pass_time(self, share: float) -> None:
        """Let so much pass of the time that a claim lasts."""
        ...

    async def let_expire(self) -> None:
        """Let so much time pass that every claim not confirmed meanwhile expires."""
        ...

    @property
    def waits_seconds(self) -> float:
        """How long `let_expire` takes of real time."""
        ...

    def shorten_claims(self) -> None:
        """Let claims of ledgers opened from now on last as short as a test can wait, where the clock is a real one."""
        ...

    def open(self, *, renew_every_seconds: float = RENEW_EVERY_SECONDS, patience_seconds: float = 5.0) -> Ledger:
        """Return another worker's ledger, which waits for a locked store no longer than told; `close` closes it."""
        ...

    def open_unreachable(self) -> Ledger:
        """Return a ledger whose store is not there."""
        ...

    def refusing_changes(self) -> AbstractContextManager[None]:
        """Let no ledger change anything within."""
        ...

    async def spoil(self, key: RequestKey) -> None:
        """Let what is kept of the request be something that no version can read."""
        ...

    async def spoil_control(self) -> None:
        """Let what an operator has set be something that no version can read."""
        ...

    async def spoil_coverages(self, user_id: UserId) -> None:
        """Let what covers a user begin with something that no version can read."""
        ...

    async def close(self) -> None:
        """Close every ledger that was opened."""
        ...


class SqliteStore:
    """A file of its own, and a clock that stands still."""

    lasts = CLAIM_LASTS
    coarseness = timedelta()

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "ledger.db"
        self._opened: list[Ledger] = []
        self.clock = FakeClock(START)

    @property
    def address(self) -> str:
        """`sqlite <time> <path>`."""
        return f"sqlite {self.now().isoformat()} {self._path}"

    def now(self) -> datetime:
        """Tell the clock's time."""
        return self.clock.now()

    async def pass_time(self, share: float) -> None:
        """Set the clock forward."""
        self.clock.advance(self.lasts.total_seconds() * share)

    async def let_expire(self) -> None:
        """Set the clock forward to the very end."""
        await self.pass_time(1)

    @property
    def waits_seconds(self) -> float:
        """Nothing."""
        return 0

    def shorten_claims(self) -> None:
        """Do nothing: this clock waits for nobody."""

    def open(self, *, renew_every_seconds: float = RENEW_EVERY_SECONDS, patience_seconds: float = 5.0) -> Ledger:
        """Return another connection to the file."""
        return self._keep(
            SqliteLedger(
                self._path,
                self.clock,
                renew_every_seconds=renew_every_seconds,
                lock_timeout_seconds=patience_seconds,
            )
        )

    def open_unreachable(self) -> Ledger:
        """Return a ledger in a directory that is a file."""
        in_the_way = self._directory / "no-directory"
        in_the_way.touch()
        return self._keep(SqliteLedger(in_the_way / "ledger.db", self.clock))

    @contextmanager
    def refusing_changes(self) -> Iterator[None]:
        """Keep the file locked."""
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.close()

    async def spoil(self, key: RequestKey) -> None:
        """Write an empty object for the request."""
        self._execute(
            "UPDATE requests SET request = '{}' WHERE caller = ? AND request_id = ?", key.caller, key.request_id
        )

    async def spoil_control(self) -> None:
        """Write an empty list."""
        self._execute("INSERT INTO control (one, text) VALUES (1, '[]')")

    async def spoil_coverages(self, user_id: UserId) -> None:
        """Put an empty object first."""
        self._execute("UPDATE coverages SET text = '[{},' || substr(text, 2) WHERE user_id = ?", user_id)

    def _execute(self, statement: str, *values: str) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute(statement, values)

    async def close(self) -> None:
        """Close every connection."""
        for ledger in self._opened:
            await ledger.close()

    def _keep(self, ledger: Ledger) -> Ledger:
        self._opened.append(ledger)
        return ledger


class TableStore:
    """Tables of their own in Azurite, which has a real clock; every ledger reaches it through `proxy`."""

    coarseness = COARSENESS

    def __init__(self, azurite: Azurite, proxy: Proxy) -> None:
        self.lasts = CLAIM_LASTS
        self.proxy = proxy
        self.prefix = f"t{uuid4().hex}"
        self._azurite = azurite
        self._opened: list[TableLedger] = []

    @property
    def address(self) -> str:
        """`table <how many seconds a claim lasts> <prefix> <connection string>`."""
        return f"table {self.lasts.total_seconds()} {self.prefix} {self._azurite.connection_string}"

    def now(self) -> datetime:
        """Tell this machine's time, which is Azurite's."""
        return datetime.now(UTC)

    async def pass_time(self, share: float) -> None:
        """Wait."""
        await asyncio.sleep(self.lasts.total_seconds() * share)

    async def let_expire(self) -> None:
        """Wait, and a bit longer: the time is told in whole seconds."""
        await asyncio.sleep(self.waits_seconds)

    @property
    def waits_seconds(self) -> float:
        """How long a claim lasts, and a bit."""
        return (self.lasts + self.coarseness).total_seconds()

    def shorten_claims(self) -> None:
        """Let claims last a few seconds."""
        self.lasts = SHORT

    def open(self, *, renew_every_seconds: float = RENEW_EVERY_SECONDS, patience_seconds: float = 5.0) -> TableLedger:  # noqa: ARG002 - nothing is ever locked
        """Return another client of the tables."""
        return self._open(self._azurite.connection_string_by(self.proxy.port), renew_every_seconds)

    def open_tables(self, *, may_create: bool = True) -> Tables:
        """Return what lies under a ledger."""
        connect = partial(connect_tables, settings_of(self._azurite.connection_string))
        return Tables(connect, self.prefix, may_create=may_create)

    def open_beside(self, lasts: timedelta | None = None) -> TableLedger:
        """Return a ledger that does without the proxy, for claims of another length where that is said."""
        return self._open(self._azurite.connection_string, RENEW_EVERY_SECONDS, lasts)

    def open_unreachable(self) -> TableLedger:
        """Return a ledger at a port where nobody listens."""
        return self._open(self._azurite.connection_string_by(9), RENEW_EVERY_SECONDS)

    @contextmanager
    def refusing_changes(self) -> Iterator[None]:
        """Let nothing through."""
        self.proxy.closed = True
        try:
            yield
        finally:
            self.proxy.closed = False

    async def spoil(self, key: RequestKey) -> None:
        """Write an empty object for the request."""
        await self._merge(REQUESTS, keys(key.request_id, key.caller) | write_text("request", "{}"))

    async def spoil_control(self) -> None:
        """Write an empty list."""
        tables = self.open_tables()
        await tables.put(CONTROL, keys(THE_CONTROL, THE_CONTROL) | write_text("control", "[]"))
        await tables.close()

    async def spoil_coverages(self, user_id: UserId) -> None:
        """Put an empty object first."""
        tables = self.open_tables()
        found = await tables.get(USERS, user_id, COVERAGES)
        await tables.close()
        assert found
        text = (read_text("coverages", found.row) or "").replace("[", "[{},", 1)
        await self._merge(USERS, keys(user_id, COVERAGES) | write_text("coverages", text))

    async def _merge(self, table: str, row: Row) -> None:
        tables = self.open_tables()
        assert await tables.merge(table, row)
        await tables.close()

    async def close(self) -> None:
        """Close every client."""
        for ledger in self._opened:
            await ledger.close()

    def _open(self, connection_string: str, renew_every_seconds: float, lasts: timedelta | None = None) -> TableLedger:
        ledger = open_table_ledger(connection_string, self.prefix, lasts or self.lasts, renew_every_seconds)
        self._opened.append(ledger)
        return ledger


def open_table_ledger(
    connection_string: str, prefix: str, lasts: timedelta, renew_every_seconds: float = RENEW_EVERY_SECONDS
) -> TableLedger:
    """Make a ledger on the tables whose names begin with `prefix`, by the client that the product makes."""
    return TableLedger(
        partial(connect_tables, settings_of(connection_string)),
        prefix=prefix,
        renew_every_seconds=renew_every_seconds,
        claim_lasts=lasts,
    )


def settings_of(connection_string: str) -> LedgerSettings:
    """Read the settings of that ledger."""
    return read_ledger_settings({"LEDGER_URL": connection_string})


def open_ledger(address: str) -> Ledger:
    """Open a store by its address, in another process."""
    match address.split(" ", 3):
        case ["sqlite", time, path]:
            return SqliteLedger(Path(path), FakeClock(datetime.fromisoformat(time)))
        case ["table", seconds, prefix, connection_string]:
            return open_table_ledger(connection_string, prefix, timedelta(seconds=float(seconds)))
        case _:
            raise ValueError(address)
