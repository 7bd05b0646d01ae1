"""One SQLite file: created for its owner alone, checked before use, reached by one thread through one connection."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from contextvars import copy_context
from pathlib import Path
from sqlite3 import Connection
from tempfile import NamedTemporaryFile
from typing import Literal

from shared.errors import LedgerMissingError, LedgerUnavailableError
from shared.ledger.rows import SCHEMA_VERSION

OLDEST_VERSION = 5  # that is read; what came since are columns that may be empty, and tables
APPLICATION_ID = 0x6D666172  # "mfar": tells our file from another program's
SCHEMA = (
    "PRAGMA journal_mode = WAL",  # the file remembers it
    """
    CREATE TABLE requests (
        caller TEXT NOT NULL,
        request_id TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        source TEXT NOT NULL,
        accepted_at TEXT NOT NULL,
        first_enqueued_at TEXT NOT NULL,
        due_at TEXT NOT NULL,
        patient_since TEXT NOT NULL,
        run INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        request TEXT NOT NULL,
        evidence TEXT,
        outcome TEXT,
        reported INTEGER NOT NULL,
        resolved_id TEXT,
        waiting_for TEXT,
        waiting_since TEXT,
        waiting_budget TEXT,
        schema INTEGER,
        PRIMARY KEY (caller, request_id)
    ) STRICT
    """,
    "CREATE INDEX requests_by_id ON requests (request_id, accepted_at)",
    "CREATE INDEX requests_open ON requests (due_at) WHERE NOT (outcome IS NOT NULL AND reported)",
    "CREATE INDEX requests_waiting ON requests (waiting_budget, accepted_at) WHERE waiting_for IS NOT NULL",
    "CREATE TABLE claims (user_id TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, until TEXT NOT NULL) STRICT",
    """
    CREATE TABLE marks (
        user_id TEXT NOT NULL, written_at TEXT NOT NULL, mark TEXT NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (user_id, mark)
    ) STRICT
    """,
    """
    CREATE TABLE coverages (user_id TEXT NOT NULL PRIMARY KEY, text TEXT NOT NULL, written_at TEXT NOT NULL) STRICT
    """,
    """
    CREATE TABLE children (
        place INTEGER PRIMARY KEY, caller TEXT NOT NULL, parent TEXT NOT NULL, request_id TEXT NOT NULL,
        written_at TEXT NOT NULL, UNIQUE (caller, parent, request_id)
    ) STRICT
    """,
    """
    CREATE TABLE budget_starts (
        budget TEXT NOT NULL, minute INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (budget, minute)
    ) STRICT
    """,
    "CREATE TABLE control (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL) STRICT",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class Database:
    """Transactions on one file, one after another on a thread of their own; opened at first use.

    A caller that is cancelled stops waiting: its transaction is done whole or not at all, before any that is asked for
    later. Other processes may use the same file; what they lock is waited for, `lock_timeout_seconds` at most.
    LedgerUnavailableError means that the file could not be used and nothing was changed; the next call opens it anew.
    A missing file is created, or without `may_create` a LedgerMissingError.
    """

    def __init__(self, path: Path, lock_timeout_seconds: float, *, may_create: bool = True) -> None:
        self._path = path
        self._may_create = may_create
        self._lock_timeout_seconds = lock_timeout_seconds
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._connection: Connection | None = None
        self._closed: Future[None] | None = None

    async def read[Result](self, work: Callable[[Connection], Result]) -> Result:
        """Do `work`, on the worker's thread, on one state of the file."""
        return await asyncio.wrap_future(self._submit("BEGIN", work))

    async def write[Result](self, work: Callable[[Connection], Result]) -> Result:
        """Do `work`, on the worker's thread, as the only writer, and commit; where it raises, nothing is changed."""
        return await asyncio.wrap_future(self._submit("BEGIN IMMEDIATE", work))

    async def close(self) -> None:
        """Close the file once all that was asked for is done; a second call waits for the same."""
        if self._closed is None:
            self._closed = self._worker.submit(self._disconnect)
            self._worker.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(self._closed))

    def _submit[Result](
        self, begin: Literal["BEGIN", "BEGIN IMMEDIATE"], work: Callable[[Connection], Result]
    ) -> Future[Result]:
        # In the caller's context: what is logged there has its correlation id.
        return self._worker.submit(copy_context().run, self._transact, begin, work)

    def _transact[Result](
        self, begin: Literal["BEGIN", "BEGIN IMMEDIATE"], work: Callable[[Connection], Result]
    ) -> Result:
        try:
            connection = self._connection = self._connection or connect(
                self._path, self._lock_timeout_seconds, may_create=self._may_create
            )
            with connection:
                connection.execute(begin)
                return work(connection)
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # ours to mend: nothing that waiting would cure
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            why = error.strerror if isinstance(error, OSError) else error
            raise LedgerUnavailableError(f"The ledger's file cannot be used: {why}.") from error

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def connect(path: Path, lock_timeout_seconds: float, *, may_create: bool = True) -> Connection:
    """Open the file for the calling thread; where it is missing, create it (mode 0600), and its directory.

    An earlier version's ledger gets what has been added since; a later version's is used as it is. Raises sqlite3.Error
    or OSError where that is impossible, LedgerUnavailableError where the file is no ledger, or none that can be used
    so: such a file is left as it is. Without `may_create` nothing is created: LedgerMissingError.
    """
    if not _is_there(path):
        if not may_create:
            raise LedgerMissingError(
                f"There is no ledger at {path.absolute()}: the app creates it, an operator's command never does."
            )
        _create(path)
    connection = _open(path, lock_timeout_seconds)
    try:
        # The default depends on how SQLite was built, and an acceptance must outlive a power failure.
        connection.execute("PRAGMA synchronous = FULL")
        _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_there(path: Path) -> bool:
    """Return whether there is a file; raise OSError where that cannot be seen."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _open(path: Path, lock_timeout_seconds: float) -> Connection:
    # `mode=rw`: SQLite itself would create the file as the umask allows. No isolation level: BEGIN is ours to say.
    address = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=lock_timeout_seconds, isolation_level=None)


def _check(connection: Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) == (APPLICATION_ID, SCHEMA_VERSION):
        return
    is_ours = application == APPLICATION_ID and version >= OLDEST_VERSION
    if is_ours and version < SCHEMA_VERSION:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for change in _what_lacks(connection):
                connection.execute(change)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    elif not is_ours or _what_lacks(connection):
        raise LedgerUnavailableError(
            f"The file is no ledger of schema version {SCHEMA_VERSION}, nor one that can be used as such: its "
            f"application id is {application:#x}, its schema version {version}. It is left as it is."
        )


def _what_lacks(connection: Connection) -> list[str]:
    """Return the statements that make what the file lacks: tables, indexes, columns that may be empty.

    What a later version's file has besides does not matter, as long as it may be empty.
    """
    with closing(sqlite3.connect(":memory:")) as model:
        for statement in SCHEMA:
            model.execute(statement)
        wanted = _columns(model)
        parts = model.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    kept = _columns(connection)
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    missing = [(table, column, kind) for table, column, kind in wanted - kept if table in there]
    made = [f"ALTER TABLE {table} ADD COLUMN {column} {kind}" for table, column, kind in sorted(missing)]
    return made + [sql for name, sql in parts if name not in there]


def _columns(connection: Connection) -> set[tuple[str, str, str]]:
    """Return table, name and type of each column."""
    found = connection.execute("""
        SELECT tables.name, columns.name, columns.type || CASE columns."notnull" WHEN 1 THEN ' NOT NULL' ELSE '' END
        FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'
    """)
    return set(found.fetchall())


def _create(path: Path) -> None:
    """Put a ready ledger in place in one step, unless another was faster.

    Two connections that switch one file to WAL disturb each other: SQLITE_BUSY at once, whatever the time-out.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.new-", delete_on_close=False) as draft:
        # Before the file has its name: closing any descriptor of a file drops the locks that SQLite holds on it
        # elsewhere in this process.
        draft.close()
        _write_schema(Path(draft.name))
        with suppress(FileExistsError):
            os.link(draft.name, path)


def _write_schema(path: Path) -> None:
    with closing(_open(path, 0)) as connection:
        for statement in SCHEMA:
            connection.execute(statement)
