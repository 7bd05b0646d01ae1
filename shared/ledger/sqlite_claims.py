"""Claims in the SQLite file, and what is kept under one: evidence, outcome, what a reset covers."""

from collections.abc import Mapping
from sqlite3 import Connection

from shared.errors import ClaimHeldError, ClaimLostError, LedgerUnavailableError
from shared.ledger.database import Database
from shared.ledger.holding import CLAIM_LASTS
from shared.ledger.rows import (
    coverages_from_json,
    coverages_to_json,
    evidence_to_json,
    from_time_text,
    outcome_to_json,
    to_time_text,
    with_coverage,
)
from shared.model import AcceptedRequest, Coverage, Evidence, Outcome
from shared.ports import Clock
from shared.vocabulary import Mark, UserId

_ACQUIRE = """
    INSERT INTO claims (user_id, holder, until) VALUES (:user_id, :holder, :until)
    ON CONFLICT (user_id) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE until <= :now
"""
REMEMBER = """
    INSERT INTO marks (user_id, written_at, mark, text) VALUES (:user_id, :at, :mark, :text)
    ON CONFLICT (user_id, mark) DO UPDATE SET text = excluded.text, written_at = excluded.written_at
"""
FORGET = "DELETE FROM marks WHERE user_id = ? AND mark = ?"
_SELECT = "SELECT holder, until FROM claims WHERE user_id = ?"
_RENEW = "UPDATE claims SET until = ? WHERE user_id = ? AND holder = ?"
_RELEASE = "DELETE FROM claims WHERE user_id = ? AND holder = ?"

# Only of the run that was taken up, while it goes on, and about the user whom its evidence is about.
_SAME_RUN = """
    WHERE caller = :caller AND request_id = :request_id AND run = :run AND outcome IS NULL
    AND coalesce(json_extract(evidence, '$.user.id'), :user_id) = :user_id
"""
_SET_EVIDENCE = f"UPDATE requests SET evidence = :text {_SAME_RUN}"  # noqa: S608 - our own words
_SET_OUTCOME = f"UPDATE requests SET outcome = :text, reported = 0 {_SAME_RUN}"  # noqa: S608 - as above
_SELECT_REQUEST = "SELECT 1 FROM requests WHERE caller = ? AND request_id = ?"
_SELECT_COVERAGES = "SELECT text FROM coverages WHERE user_id = ?"
_SET_COVERAGES = """
    INSERT INTO coverages (user_id, text, written_at) VALUES (:user_id, :text, :at)
    ON CONFLICT (user_id) DO UPDATE SET text = excluded.text, written_at = excluded.written_at
"""


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
            kept: tuple[str, str] = connection.execute(_SELECT, (user_id,)).fetchone()
            return kept

        kept_holder, until = await self._database.write(insert_or_replace)
        if kept_holder != holder:
            raise ClaimHeldError(from_time_text(until))

    async def renew(self, user_id: UserId, holder: str) -> None:
        """Make it last from now where the row names `holder`, expired or not; else raise ClaimLostError."""
        await self._database.write(lambda connection: self._renew(connection, user_id, holder))

    async def release(self, user_id: UserId, holder: str) -> None:
        """Remove the row where it names `holder`; else, and on a second call, change nothing."""
        await self._database.write(lambda connection: connection.execute(_RELEASE, (user_id, holder)))

    async def write_evidence(self, user_id: UserId, holder: str, accepted: AcceptedRequest, evidence: Evidence) -> None:
        """Do as `renew` does, and keep the evidence, in one step."""
        text = evidence_to_json(evidence)

        def renew_and_write(connection: Connection) -> None:
            self._renew(connection, user_id, holder)
            _write(connection, _SET_EVIDENCE, text, user_id, accepted)

        await self._database.write(renew_and_write)

    async def write_marks(self, user_id: UserId, holder: str, marks: Mapping[Mark, str | None]) -> None:
        """Do as `renew` does, and keep these marks, in one step."""

        def renew_and_write(connection: Connection) -> None:
            self._renew(connection, user_id, holder)
            at = to_time_text(self._clock.now())
            for mark, text in marks.items():
                if text is None:
                    connection.execute(FORGET, (user_id, mark))
                else:
                    connection.execute(REMEMBER, {"user_id": user_id, "mark": mark, "text": text, "at": at})

        await self._database.write(renew_and_write)

    async def read_coverages(self, user_id: UserId) -> tuple[Coverage, ...]:
        """Return what the last resets of the user cover, the newest first."""
        return await self._database.read(lambda connection: _coverages(connection, user_id))

    async def end(
        self, user_id: UserId, holder: str, accepted: AcceptedRequest, outcome: Outcome, coverage: Coverage | None
    ) -> None:
        """Keep outcome and coverage and remove the row where it names `holder`, in one step; else ClaimLostError."""
        text = outcome_to_json(outcome)

        def write_and_release(connection: Connection) -> None:
            if not connection.execute(_RELEASE, (user_id, holder)).rowcount:
                raise ClaimLostError
            _write(connection, _SET_OUTCOME, text, user_id, accepted)
            covered = coverages_to_json(with_coverage(_coverages(connection, user_id), coverage))
            row = {"user_id": user_id, "text": covered, "at": to_time_text(self._clock.now())}
            connection.execute(_SET_COVERAGES, row)

        await self._database.write(write_and_release)

    def _renew(self, connection: Connection, user_id: UserId, holder: str) -> None:
        until = to_time_text(self._clock.now() + CLAIM_LASTS)
        if not connection.execute(_RENEW, (until, user_id, holder)).rowcount:
            raise ClaimLostError


def _write(connection: Connection, statement: str, text: str, user_id: UserId, accepted: AcceptedRequest) -> None:
    key = (accepted.key.caller, accepted.key.request_id)
    values = {"text": text, "user_id": user_id, "caller": key[0], "request_id": key[1], "run": accepted.run}
    if not connection.execute(statement, values).rowcount:
        if connection.execute(_SELECT_REQUEST, key).fetchone():
            raise ClaimLostError
        raise LedgerUnavailableError("The ledger holds no request under this key.")


def _coverages(connection: Connection, user_id: UserId) -> tuple[Coverage, ...]:
    found = connection.execute(_SELECT_COVERAGES, (user_id,)).fetchone()
    return coverages_from_json(found and str(found[0]), user_id)
