"""The stores that the contract of `shared.ports.Ledger` is tested against."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from shared.ledger.holding import RENEW_EVERY_SECONDS
from shared.ledger.sqlite import SqliteLedger
from shared.ports import Clock, Ledger
from tests.clocks import FakeClock


class LedgerStore(Protocol):
    """One empty store, with a clock that stands still, and as many ledgers on it as a test wants."""

    @property
    def address(self) -> str:
        """What another process opens it by: see `open_ledger`."""
        ...

    @property
    def clock(self) -> FakeClock:
        """By which claims expire."""
        ...

    def open(self, *, renew_every_seconds: float = RENEW_EVERY_SECONDS, patience_seconds: float = 5.0) -> Ledger:
        """Return another worker's ledger, which waits for the store no longer than told; `close` closes it."""
        ...

    def open_unreachable(self) -> Ledger:
        """Return a ledger whose store is not there."""
        ...

    def refusing_changes(self) -> AbstractContextManager[None]:
        """Let no ledger change anything within."""
        ...

    async def close(self) -> None:
        """Close every ledger that was opened."""
        ...


class SqliteStore:
    """A file of its own."""

    def __init__(self, directory: Path, clock: FakeClock) -> None:
        self._directory = directory
        self._path = directory / "ledger.db"
        self._opened: list[Ledger] = []
        self.clock = clock

    @property
    def address(self) -> str:
        """`sqlite:///path`."""
        return f"sqlite:///{self._path}"

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

    async def close(self) -> None:
        """Close every connection."""
        for ledger in self._opened:
            await ledger.close()

    def _keep(self, ledger: Ledger) -> Ledger:
        self._opened.append(ledger)
        return ledger


def open_ledger(address: str, clock: Clock) -> Ledger:
    """Open a store by its address, in another process."""
    return SqliteLedger(Path(address.removeprefix("sqlite:///")), clock)
