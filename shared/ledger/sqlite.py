"""The embedded ledger: one SQLite file, for the processes of one machine."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from shared.errors import ClaimHeldError, ClaimLostError, LedgerUnavailableError
from shared.ledger.database import Database
from shared.ledger.holding import CLAIM_LASTS, RENEW_EVERY_SECONDS, HeldClaim
from shared.ledger.rows import (
    RequestRow,
    evidence_to_json,
    from_row,
    from_time_text,
    outcome_to_json,
    to_row,
    to_time_text,
)
from shared.model import AcceptedRequest, Evidence, Outcome, RequestKey
from shared.ports import Clock
from shared.vocabulary import Mark, RequestId, UserId

_INSERT_NEW = """
    INSERT INTO requests VALUES (:caller, :request_id, :fingerprint, :source, :accepted_at, :first_enqueued_at,
        :attempts, :request, :evidence, :outcome, :reported)
    ON CONFLICT (caller, request_id) DO NOTHING
"""
_INSERT_OR_REPLACE = """
    INSERT INTO requests VALUES (:caller, :request_id, :fingerprint, :source, :accepted_at, :first_enqueued_at,
        :attempts, :request, :evidence, :outcome, :reported)
    ON CONFLICT (caller, request_id) DO UPDATE SET fingerprint = excluded.fingerprint, source = excluded.source,
        accepted_at = excluded.accepted_at, first_enqueued_at = excluded.first_enqueued_at,
        attempts = excluded.attempts, request = excluded.request, evidence = excluded.evidence,
        outcome = excluded.outcome, reported = excluded.reported
"""
_SELECT_KEY = """
    SELECT caller, request_id, fingerprint, source, accepted_at, first_enqueued_at, attempts, request, evidence,
        outcome, reported
    FROM requests WHERE caller = ? AND request_id = ?
"""
_SELECT_LAST = """
    SELECT caller, request_id, fingerprint, source, accepted_at, first_enqueued_at, attempts, request, evidence,
        outcome, reported
    FROM requests WHERE request_id = ? ORDER BY accepted_at DESC, rowid DESC LIMIT 1
"""
_COUNT_ATTEMPT = """
    UPDATE requests SET attempts = attempts + 1 WHERE caller = ? AND request_id = ? RETURNING attempts
"""
_SET_EVIDENCE = "UPDATE requests SET evidence = ? WHERE caller = ? AND request_id = ? RETURNING attempts"
_SET_OUTCOME = "UPDATE requests SET outcome = ?, reported = 0 WHERE caller = ? AND request_id = ? RETURNING attempts"
_SET_REPORTED = "UPDATE requests SET reported = 1 WHERE caller = ? AND request_id = ? RETURNING attempts"

_REMEMBER = "INSERT INTO marks VALUES (?, ?, ?) ON CONFLICT (user_id, mark) DO UPDATE SET text = excluded.text"
_RECALL = "SELECT text FROM marks WHERE user_id = ? AND mark = ?"
_FORGET = "DELETE FROM marks WHERE user_id = ? AND mark = ?"

_ACQUIRE = """
    INSERT INTO claims VALUES (:user_id, :holder, :until)
    ON CONFLICT (user_id) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE until <= :now
"""
_SELECT_CLAIM = "SELECT holder, until FROM claims WHERE user_id = ?"
_RENEW = "UPDATE claims SET until = ? WHERE user_id = ? AND holder = ?"
_RELEASE = "DELETE FROM claims WHERE user_id = ? AND holder = ?"


class SqliteLedger:
    """`shared.ports.Ledger` in the file at `path`, which is created at first use.

    Its own clock, by which claims expire, is `clock`: `now` is called from another thread. Processes that share the
    file must agree on the time. Where another process keeps the file locked for `lock_timeout_seconds`, and where a
    method is given a key that the file does not hold, it raises LedgerUnavailableError.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        renew_every_seconds: float = RENEW_EVERY_SECONDS,
        lock_timeout_seconds: float = 5.0,
    ) -> None:
        self._database = Database(path, lock_timeout_seconds)
        self._claims = SqliteClaims(self._database, clock)
        self._renew_every_seconds = renew_every_seconds

    async def accept(self, offered: AcceptedRequest) -> AcceptedRequest:
        """Keep `offered`, or return what is kept already under its key (a second call does that), in one step."""
        row = to_row(offered)

        def insert_or_select(connection: Connection) -> RequestRow:
            connection.execute(_INSERT_NEW, asdict(row))
            return _row(connection.execute(_SELECT_KEY, (row.caller, row.request_id)).fetchone())

        return from_row(await self._database.write(insert_or_select))

    async def read(self, key: RequestKey) -> AcceptedRequest | None:
        """Return what is kept under `key`, with evidence and outcome; None when there is nothing."""
        return await self._select(_SELECT_KEY, (key.caller, key.request_id))

    async def find(self, request_id: RequestId) -> AcceptedRequest | None:
        """Return the request of that id that was accepted last, whoever asked for it; None when there is none."""
        return await self._select(_SELECT_LAST, (request_id,))

    async def restart(self, offered: AcceptedRequest) -> AcceptedRequest:
        """Replace what is kept under the key by `offered`: no evidence, no outcome, no attempts. Return it."""
        fresh = replace(offered, attempts=0, evidence=None, outcome=None, reported=False)
        row = to_row(fresh)
        await self._database.write(lambda connection: connection.execute(_INSERT_OR_REPLACE, asdict(row)))
        return fresh

    async def count_attempt(self, key: RequestKey) -> int:
        """Add one to the attempts and return their number. A second call counts again."""
        return await self._update(_COUNT_ATTEMPT, (key.caller, key.request_id))

    async def write_evidence(self, key: RequestKey, evidence: Evidence) -> None:
        """Keep what was found and done so far; a second call replaces it."""
        await self._update(_SET_EVIDENCE, (evidence_to_json(evidence), key.caller, key.request_id))

    async def write_outcome(self, key: RequestKey, outcome: Outcome) -> None:
        """Keep how it ended, not reported yet; a second call replaces it."""
        await self._update(_SET_OUTCOME, (outcome_to_json(outcome), key.caller, key.request_id))

    async def mark_reported(self, key: RequestKey) -> None:
        """Remember that everybody who is told has been told how it ended; a second call changes nothing."""
        await self._update(_SET_REPORTED, (key.caller, key.request_id))

    async def remember(self, user_id: UserId, mark: Mark, text: str) -> None:
        """Keep what later requests have to know of what was done to a user; a second call replaces the text."""
        await self._database.write(lambda connection: connection.execute(_REMEMBER, (user_id, mark, text)))

    async def recall(self, user_id: UserId, mark: Mark) -> str | None:
        """Return what is kept under `mark`; None when there is nothing."""
        found = await self._database.read(lambda connection: connection.execute(_RECALL, (user_id, mark)).fetchone())
        return None if found is None else str(found[0])

    async def forget(self, user_id: UserId, mark: Mark) -> None:
        """Keep it no longer; a second call changes nothing."""
        await self._database.write(lambda connection: connection.execute(_FORGET, (user_id, mark)))

    def claim(self, user_id: UserId) -> HeldClaim:
        """Hold the claim on a user: see `shared.ports.Ledger.claim` and `HeldClaim`."""
        return HeldClaim(self._claims, user_id, self._renew_every_seconds)

    async def close(self) -> None:
        """Close the file; nothing is called afterwards."""
        await self._database.close()

    async def _select(self, query: str, values: Sequence[str]) -> AcceptedRequest | None:
        found = await self._database.read(lambda connection: connection.execute(query, values).fetchone())
        return None if found is None else from_row(_row(found))

    async def _update(self, statement: str, values: Sequence[str]) -> int:
        # `fetchall`, not `fetchone`: a statement that returns rows is finished once all of them are fetched.
        updated = await self._database.write(lambda connection: connection.execute(statement, values).fetchall())
        if not updated:
            raise LedgerUnavailableError("The ledger holds no request under this key.")
        ((attempts,),) = updated
        return int(attempts)


def _row(found: Sequence[Any]) -> RequestRow:
    return replace(RequestRow(*found), reported=bool(found[-1]))


class SqliteClaims:
    """`shared.ledger.holding.ClaimStore`: the time is read once the file is locked, so no wait makes it old."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def acquire(self, user_id: UserId, holder: str) -> None:
        """Write `holder` where there is no row or an expired one; else raise ClaimHeldError."""

        def insert_or_replace(connection: Connection) -> tuple[str, str]:
            now = self._clock.now()
            times = {"until": to_time_text(now + CLAIM_LASTS), "now": to_time_text(now)}
            connection.execute(_ACQUIRE, {"user_id": user_id, "holder": holder, **times})
            kept: tuple[str, str] = connection.execute(_SELECT_CLAIM, (user_id,)).fetchone()
            return kept

        kept_holder, until = await self._database.write(insert_or_replace)
        if kept_holder != holder:
            raise ClaimHeldError(from_time_text(until))

    async def renew(self, user_id: UserId, holder: str) -> None:
        """Make it last from now where the row names `holder`, expired or not; else raise ClaimLostError."""

        def update(connection: Connection) -> int:
            until = to_time_text(self._clock.now() + CLAIM_LASTS)
            return connection.execute(_RENEW, (until, user_id, holder)).rowcount

        if not await self._database.write(update):
            raise ClaimLostError

    async def release(self, user_id: UserId, holder: str) -> None:
        """Remove the row where it names `holder`; else, and on a second call, change nothing."""
        await self._database.write(lambda connection: connection.execute(_RELEASE, (user_id, holder)))
