"""The SQLite file: how it is made, what it refuses, what becomes of a transaction."""

import asyncio
import resource
import sqlite3
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pytest

from shared.errors import LedgerMissingError, LedgerUnavailableError
from shared.ledger.database import APPLICATION_ID, OLDEST_VERSION, SCHEMA, Database, connect
from shared.ledger.rows import SCHEMA_VERSION


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a file that is not there, in a directory that is not there."""
    return tmp_path / "new" / "ledger.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    """Return the database of that file."""
    made = Database(path, lock_timeout_seconds=5)
    yield made
    await made.close()


def value_of(query: str) -> Callable[[Connection], object]:
    """Build the work that reads one value."""
    return lambda connection: connection.execute(query).fetchone()[0]


def insert_claim(connection: Connection) -> None:
    """Write a row."""
    connection.execute("INSERT INTO claims VALUES ('user', 'holder', 'until')")


COUNT_CLAIMS = value_of("SELECT count(*) FROM claims")


async def test_database_before_its_first_use_touches_nothing(path: Path) -> None:
    """Building the object does no I/O, and closing it neither."""
    await Database(path, lock_timeout_seconds=5).close()
    assert not path.parent.exists()


async def test_file_when_created_is_its_owners_alone(database: Database, path: Path) -> None:
    """Names of users lie in the file and in the log beside it, whatever the umask says."""
    await database.write(insert_claim)
    files = list(path.parent.iterdir())
    assert {file.name for file in files} == {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_file_when_created_is_durable_and_open_to_readers(database: Database) -> None:
    """A commit is on disk (synchronous FULL is 2), and a writer keeps no reader waiting."""
    assert await database.read(value_of("PRAGMA journal_mode")) == "wal"
    assert await database.read(value_of("PRAGMA synchronous")) == 2
    assert await database.read(value_of("PRAGMA user_version")) == SCHEMA_VERSION


async def test_file_that_exists_when_opened_keeps_its_rows(database: Database, path: Path) -> None:
    """The tables are made once."""
    await database.write(insert_claim)
    await database.close()
    again = Database(path, lock_timeout_seconds=5)
    assert await again.read(COUNT_CLAIMS) == 1
    await again.close()


@pytest.mark.parametrize("attempt", range(10))
def test_many_that_open_an_absent_file_at_once_all_find_a_ledger(path: Path, attempt: int) -> None:  # noqa: ARG001 - a race is tried more than once
    """Whoever creates it, nobody finds it half made, nobody is told that it is locked, and no draft is left."""
    start = threading.Barrier(6)

    def write(number: int) -> None:
        start.wait(30)
        with closing(connect(path, 5)) as connection:
            connection.execute("INSERT INTO claims VALUES (?, 'holder', 'until')", (str(number),))

    with ThreadPoolExecutor(6) as workers:
        list(workers.map(write, range(6)))
    with closing(connect(path, 5)) as connection:
        assert COUNT_CLAIMS(connection) == 6
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


@pytest.mark.parametrize("name", ["a b", "a?mode=memory", "a#b", "a%20b", "ü"])
async def test_file_of_any_name_is_the_one_that_is_named(tmp_path: Path, name: str) -> None:
    """What means something in an address is part of a path like any other."""
    database = Database(tmp_path / name, lock_timeout_seconds=5)
    await database.write(insert_claim)
    assert (tmp_path / name).stat().st_size
    await database.close()


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ([f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 4"], "0x6d666172, its schema version 4"),
        (
            [f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 99"],
            "0x6d666172, its schema version 99",
        ),
        (["CREATE TABLE recipes (name)", "PRAGMA user_version = 1"], "0x0, its schema version 1"),
        ([], "0x0, its schema version 0"),
    ],
)
def test_file_of_another_schema_is_refused_and_left_alone(path: Path, statements: list[str], told: str) -> None:
    """A ledger that lacks what we need, another program's file or an empty one is not changed by a single byte."""
    path.parent.mkdir()
    path.touch()
    with closing(sqlite3.connect(path)) as foreign:
        for statement in statements:
            foreign.execute(statement)
    before = path.read_bytes()
    said = f"no ledger of schema version {SCHEMA_VERSION}, .* its application id is {told}"
    with pytest.raises(LedgerUnavailableError, match=said):
        connect(path, 5)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def schema_of(path: Path) -> list[tuple[str, str]]:
    """Return what the file has: each table's columns, and the indexes."""
    with closing(sqlite3.connect(path)) as connection:
        columns = connection.execute("""
            SELECT tables.name, columns.name FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
        """).fetchall()
        return sorted([*columns, *connection.execute("SELECT 'index', name FROM sqlite_master WHERE type = 'index'")])


def make_ledger(path: Path, version: int, *changes: str) -> None:
    """Put a ledger there that another version has made."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*SCHEMA, *changes, f"PRAGMA user_version = {version}"):
            connection.execute(statement)


EARLIER = (
    "DROP INDEX requests_open",
    "DROP INDEX requests_waiting",
    "DROP TABLE budget_starts",
    "CREATE TABLE starts (caller TEXT NOT NULL)",
    "ALTER TABLE requests DROP COLUMN schema",
    "ALTER TABLE requests DROP COLUMN waiting_for",
    "INSERT INTO claims VALUES ('user', 'holder', 'until')",
)
LATER = (
    "ALTER TABLE requests ADD COLUMN place INTEGER",
    "ALTER TABLE claims ADD COLUMN purpose TEXT NOT NULL DEFAULT ''",
    "CREATE TABLE places (place INTEGER NOT NULL)",
    "INSERT INTO claims VALUES ('user', 'holder', 'until', '')",
)


async def test_file_of_an_earlier_version_when_opened_gets_what_has_been_added(database: Database, path: Path) -> None:
    """Its rows stay; the columns that are added are empty in them."""
    make_ledger(path, OLDEST_VERSION, *EARLIER)
    assert await database.read(COUNT_CLAIMS) == 1
    await database.close()
    make_ledger(path.parent / "new" / "ledger.db", SCHEMA_VERSION)
    added = [part for part in schema_of(path) if part[0] != "starts"]
    assert added == schema_of(path.parent / "new" / "ledger.db")
    with closing(sqlite3.connect(path)) as connection:
        assert value_of("PRAGMA user_version")(connection) == SCHEMA_VERSION


def test_many_that_open_a_file_of_an_earlier_version_at_once_all_find_a_ledger(path: Path) -> None:
    """Only one of them adds what is missing."""
    make_ledger(path, OLDEST_VERSION, *EARLIER)
    start = threading.Barrier(4)

    def read(_: int) -> object:
        start.wait(30)
        with closing(connect(path, 5)) as connection:
            return COUNT_CLAIMS(connection)

    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(read, range(4))) == [1] * 4


async def test_file_of_a_later_version_that_only_added_when_opened_is_used_as_it_is(
    database: Database, path: Path
) -> None:
    """Who goes back a version keeps the ledger, and has it when they come again."""
    make_ledger(path, SCHEMA_VERSION + 1, *LATER)
    before = schema_of(path)
    assert await database.read(COUNT_CLAIMS) == 1
    assert await database.read(value_of("PRAGMA user_version")) == SCHEMA_VERSION + 1
    assert schema_of(path) == before


@pytest.mark.parametrize(
    "change", ["ALTER TABLE requests DROP COLUMN waiting_since", "DROP TABLE children", "DROP INDEX requests_open"]
)
def test_file_of_a_later_version_that_lacks_what_we_need_is_refused(path: Path, change: str) -> None:
    """What took its place means something else."""
    make_ledger(path, SCHEMA_VERSION + 1, change)
    before = schema_of(path)
    with pytest.raises(LedgerUnavailableError, match="It is left as it is"):
        connect(path, 5)
    assert schema_of(path) == before


def test_file_of_an_earlier_version_that_cannot_be_completed_is_unavailable(path: Path) -> None:
    """A column that every row must fill cannot be added; all of the others are not, either."""
    kept = "INSERT INTO coverages VALUES ('user', '[]', '')"
    make_ledger(path, OLDEST_VERSION, *EARLIER, kept, "ALTER TABLE coverages DROP COLUMN text")
    before = schema_of(path)
    with pytest.raises(sqlite3.OperationalError):
        connect(path, 5)
    assert schema_of(path) == before


def make_text(path: Path) -> None:
    """Put something there that is no database."""
    path.parent.mkdir()
    path.write_text("no database, for sure\n" * 100)


@pytest.mark.parametrize("obstruct", [None, "directory", "parent"])
async def test_file_that_is_missing_when_it_may_not_be_created_is_missing_and_nothing_is_created(
    path: Path, obstruct: str | None
) -> None:
    """An operator who mistypes the path is told so."""
    if obstruct:
        (path.parent.mkdir if obstruct == "directory" else path.parent.touch)()
    before = sorted(path.parents[1].rglob("*"))
    looking = Database(path, lock_timeout_seconds=5, may_create=False)
    for work in (looking.read(COUNT_CLAIMS), looking.write(insert_claim)):
        with pytest.raises(LedgerMissingError, match=f"^There is no ledger at {path}: "):
            await work
    assert sorted(path.parents[1].rglob("*")) == before
    await looking.close()


async def test_file_that_is_there_when_it_may_not_be_created_is_used(database: Database, path: Path) -> None:
    """The app has made it."""
    await database.write(insert_claim)
    looking = Database(path, lock_timeout_seconds=5, may_create=False)
    assert await looking.read(COUNT_CLAIMS) == 1
    await looking.close()


async def test_file_whose_name_is_impossible_is_unavailable_in_words(tmp_path: Path) -> None:
    """Not missing: nobody can see whether it is there."""
    looking = Database(tmp_path / ("x" * 300), lock_timeout_seconds=5, may_create=False)
    with pytest.raises(LedgerUnavailableError, match=r"^The ledger's file cannot be used: File name too long\.$"):
        await looking.read(COUNT_CLAIMS)
    await looking.close()


def remove(path: Path) -> None:
    """Take it away again."""
    path.unlink()


def make_directory(path: Path) -> None:
    """Put a directory in its place."""
    path.mkdir(parents=True)


def make_parent_a_file(path: Path) -> None:
    """Put a file in the place of its directory."""
    path.parent.touch()


@pytest.mark.parametrize("obstruct", [make_text, make_directory, make_parent_a_file])
async def test_file_that_cannot_be_a_database_is_unavailable(
    database: Database, path: Path, obstruct: Callable[[Path], None]
) -> None:
    """Whatever is in the way, nothing is said to be kept."""
    obstruct(path)
    with pytest.raises(LedgerUnavailableError):
        await database.write(insert_claim)


async def test_database_after_the_obstacle_is_gone_works(database: Database, path: Path) -> None:
    """An outage ends without a restart."""
    make_text(path)
    with pytest.raises(LedgerUnavailableError):
        await database.read(COUNT_CLAIMS)
    remove(path)
    assert await database.read(COUNT_CLAIMS) == 0


def test_link_to_nowhere_is_unavailable_and_creates_nothing(tmp_path: Path) -> None:
    """The file is never made where somebody else says, with whatever mode the umask leaves."""
    link, target = tmp_path / "ledger.db", tmp_path / "target"
    link.symlink_to(target)
    with pytest.raises(sqlite3.OperationalError):
        connect(link, 5)
    assert list(tmp_path.iterdir()) == [link]


async def test_database_after_its_file_was_replaced_uses_the_new_one(database: Database, path: Path) -> None:
    """A connection that failed is not kept: it may belong to a file that is no longer there."""
    await database.write(lambda connection: connection.execute("DROP TABLE claims"))
    with pytest.raises(LedgerUnavailableError, match="no such table"):
        await database.read(COUNT_CLAIMS)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert await database.read(COUNT_CLAIMS) == 0


async def test_file_locked_for_longer_than_the_timeout_is_unavailable(database: Database, path: Path) -> None:
    """The wait is bounded, readers need none, and the next writer after the lock gets through."""
    await database.write(insert_claim)
    impatient = Database(path, lock_timeout_seconds=0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(LedgerUnavailableError, match="database is locked"):
        await impatient.write(insert_claim)
    assert time.monotonic() - began < 4
    assert await impatient.read(COUNT_CLAIMS) == 1
    other.close()
    await impatient.write(lambda connection: connection.execute("DELETE FROM claims"))
    assert await database.read(COUNT_CLAIMS) == 0
    await impatient.close()


async def test_file_locked_for_less_than_the_timeout_is_waited_for(database: Database, path: Path) -> None:
    """Another process at work is no outage, and the loop goes on meanwhile."""
    await database.read(COUNT_CLAIMS)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(database.write(insert_claim))
    await asyncio.sleep(0.05)
    assert not writing.done()
    other.close()
    await writing
    assert await database.read(COUNT_CLAIMS) == 1


async def test_disk_that_is_full_is_unavailable_and_changes_nothing(database: Database, path: Path) -> None:
    """What does not fit is not kept in part."""
    await database.write(insert_claim)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.parent.joinpath("ledger.db-wal").stat().st_size, hard))
    try:
        with pytest.raises(LedgerUnavailableError, match="disk"):
            await database.write(lambda connection: connection.execute("DELETE FROM claims"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await database.read(COUNT_CLAIMS) == 1


async def test_write_that_raises_is_undone(database: Database) -> None:
    """The exception goes on as it is, and the next transaction begins afresh."""

    def insert_and_fail(connection: Connection) -> None:
        insert_claim(connection)
        raise LookupError("changed my mind")

    with pytest.raises(LookupError, match="changed my mind"):
        await database.write(insert_and_fail)
    assert await database.read(COUNT_CLAIMS) == 0


async def test_writer_is_the_only_one_from_its_first_reading_on(database: Database, path: Path) -> None:
    """What it read is still true when it writes."""

    def read_then_write(connection: Connection) -> None:
        assert COUNT_CLAIMS(connection) == 0
        with closing(connect(path, 0)) as other, pytest.raises(sqlite3.OperationalError, match="locked"):
            insert_claim(other)
        insert_claim(connection)

    await database.write(read_then_write)
    assert await database.read(COUNT_CLAIMS) == 1


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("INSERT INTO claims VALUES ('user', NULL, 'until')", sqlite3.IntegrityError),
        ("SELECT ?", sqlite3.ProgrammingError),
    ],
)
async def test_mistake_of_ours_surfaces_as_such(database: Database, statement: str, error: type[Exception]) -> None:
    """No redelivery would cure it."""
    with pytest.raises(error):
        await database.write(lambda connection: connection.execute(statement))
    await database.write(insert_claim)
    assert await database.read(COUNT_CLAIMS) == 1


async def test_writer_that_is_cancelled_leaves_no_transaction_open(database: Database, path: Path) -> None:
    """Its transaction ends on the worker's thread; one that had not begun never does."""
    inside, go_on = threading.Event(), threading.Event()

    def insert_slowly(connection: Connection) -> None:
        inside.set()
        go_on.wait(30)
        insert_claim(connection)

    begun = asyncio.create_task(database.write(insert_slowly))
    waiting = asyncio.create_task(database.write(lambda connection: connection.execute("DELETE FROM claims")))
    await asyncio.to_thread(inside.wait, 30)
    for task in (begun, waiting):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    go_on.set()
    assert await database.read(COUNT_CLAIMS) == 1
    other = Database(path, lock_timeout_seconds=0.01)
    await other.write(lambda connection: connection.execute("DELETE FROM claims"))
    await other.close()


async def test_file_opened_twice_in_one_process_keeps_both_apart(database: Database, path: Path) -> None:
    """Opening and closing it once more does not drop the lock that somebody holds."""
    await database.read(COUNT_CLAIMS)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    opened = Database(path, lock_timeout_seconds=0.01)
    assert await opened.read(COUNT_CLAIMS) == 0
    await opened.close()
    impatient = Database(path, lock_timeout_seconds=0.01)
    with pytest.raises(LedgerUnavailableError):
        await impatient.write(insert_claim)
    await impatient.close()
    other.close()


async def test_close_waits_for_the_transaction_under_way(database: Database) -> None:
    """Whoever closed it may remove the file."""
    go_on = threading.Event()

    def wait_and_insert(connection: Connection) -> None:
        go_on.wait(30)
        insert_claim(connection)

    writing = asyncio.create_task(database.write(wait_and_insert))
    await asyncio.sleep(0)
    closing_it = asyncio.create_task(database.close())
    await asyncio.sleep(0.05)
    assert not closing_it.done()
    go_on.set()
    await closing_it
    await asyncio.wait_for(writing, 30)
