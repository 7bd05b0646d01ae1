"""Temporary Access Passes: one for a request, its code in the vault, and none with a code that is lost.

A user has one pass at most: a new one takes the place of another
(https://learn.microsoft.com/graph/api/authentication-post-temporaryaccesspassmethods).
"""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.catalogue import PASS
from shared.errors import (
    UNCERTAIN,
    BadRequestError,
    ClaimLostError,
    GraphError,
    NotFoundError,
    NotPermittedError,
    VaultError,
)
from shared.logs import log
from shared.model import Method, RequestKey
from shared.plan import PASS_MADE_BEFORE, PASS_PENDING, PASS_UNKNOWN
from shared.ports import Claim, Clock, Directory, Ledger, TemporaryAccessPass, Vault
from shared.vocabulary import Mark, MethodId, Removal, StepResult, UserId

_ASKED = "@"  # before the time at which a pass was asked for
_PENDING = "?"  # before the name of a secret that the vault may not have yet
_CLOCKS_DIFFER = timedelta(minutes=5)
# How long whoever was cut off still waits for pass and vault; with what else a delivery may take it fits into its end.
FINISH_SECONDS = 15.0
# Kept of a user by a worker that lost its claim while it made a pass: nobody knows that pass's code.
MADE_WITHOUT_CLAIM = Mark("passMadeWithoutClaim")

type Ending = tuple[StepResult, str | None]


@dataclass(frozen=True)
class PassMaker:
    """Makes passes; `vault` is None where no policy makes any."""

    directory: Directory
    ledger: Ledger
    clock: Clock
    vault: Vault | None
    finish_seconds: float = FINISH_SECONDS

    async def made_for(self, user_id: UserId, key: RequestKey) -> frozenset[MethodId]:
        """Return the pass that a request has made, if the vault is known to have its code."""
        mark = _read_mark(await self.ledger.recall(user_id, _pass_mark(key)) or "")
        return frozenset({mark.method_id}) if mark.method_id and mark.in_vault else frozenset()

    async def unknown(self, user_id: UserId, key: RequestKey) -> str | None:
        """Say what is not known of the pass of a request that is not finished; None where there is none."""
        text = await self.ledger.recall(user_id, _pass_mark(key))
        if text is None:
            return None
        return PASS_PENDING if _read_mark(text).method_id else PASS_UNKNOWN

    async def make(self, user_id: UserId, key: RequestKey, claim: Claim) -> Ending:
        """Let little come between the pass and the vault: whoever waits may give up, the code had better not be lost.

        The claim on the user is held until then: the next delivery must not take the pass for somebody else's. What
        takes longer than `finish_seconds` is cut off as well; the next try deletes the pass.
        """
        making = asyncio.create_task(self._make(user_id, key, claim))
        try:
            return await asyncio.shield(making)
        finally:
            try:
                await asyncio.wait({making}, timeout=self.finish_seconds)
            finally:
                making.cancel()

    async def _make(self, user_id: UserId, key: RequestKey, claim: Claim) -> Ending:
        """Make it and put it into the vault. The ledger knows before Microsoft Graph that there may be one.

        One that an earlier try made, and whose code may have been lost, is deleted first: nobody was told of it. Each
        pass has a secret of its own, so that a worker that stood still replaces no other's code.
        """
        if self.vault is None:
            return StepResult.FAILED, "keyVault.none"
        mark = _pass_mark(key)
        await self._delete_lost_pass(user_id, await self.ledger.recall(user_id, mark))
        await claim.keep_marks({mark: f"{_ASKED}{self._now_text()}"})
        try:
            made = await self.directory.create_pass(user_id)
        except UNCERTAIN:  # there may be one: the mark stays, and the next try deletes it
            raise
        except GraphError:  # certainly not made
            await claim.keep_marks({mark: None})
            raise
        secret = _secret_name(user_id, key, made.method_id)
        try:
            await claim.keep_marks({mark: f"{made.method_id} {_PENDING}{secret}"})
        except ClaimLostError:
            await self.ledger.remember(user_id, MADE_WITHOUT_CLAIM, f"{made.method_id} {self._now_text()}")
            raise
        try:
            await self.vault.put(secret, made.code, made.expires_at, {"userId": user_id, "requestId": key.request_id})
        except VaultError as error:
            return StepResult.FAILED, await self._take_back(user_id, claim, mark, made, error)
        await claim.keep_marks({mark: f"{made.method_id} {secret}"})
        return StepResult.DONE, f"Key Vault secret {secret}"

    async def _take_back(
        self, user_id: UserId, claim: Claim, mark: Mark, made: TemporaryAccessPass, error: VaultError
    ) -> str:
        """Delete a pass that nobody can use, as its code is lost; then there is none, and one may be made again."""
        try:
            await self._delete_pass(user_id, made.method_id)
        except (NotPermittedError, BadRequestError) as left:
            return f"keyVault.{error.code}, and the pass could not be deleted ({left.code})"
        await claim.keep_marks({mark: None})
        return f"keyVault.{error.code}"

    def _now_text(self) -> str:
        return self.clock.now().astimezone(UTC).isoformat()

    async def _delete_lost_pass(self, user_id: UserId, text: str | None) -> None:
        """Delete the pass of an earlier try: by its id, or, where no answer told that, what was made since then."""
        if text is None:
            return
        mark = _read_mark(text)
        lost = [mark.method_id] if mark.method_id else await self._passes_since(user_id, mark.asked_at)
        for method_id in lost:
            await self._delete_pass(user_id, method_id)

    async def _passes_since(self, user_id: UserId, asked_at: datetime | None) -> list[MethodId]:
        """List the passes that may be the one that was asked for then; a user has one at most."""
        since = asked_at - _CLOCKS_DIFFER if asked_at else None
        listing = await self.directory.list_methods(user_id)
        passes = [method for method in listing.methods if method.type is PASS.type]
        return [one.id for one in passes if since is None or one.registered_at is None or one.registered_at >= since]

    async def _delete_pass(self, user_id: UserId, method_id: MethodId) -> None:
        try:
            await self.directory.remove_method(user_id, pass_of(method_id), Removal.DELETE)
        except NotFoundError:
            log("passGone", userId=user_id)

    async def recall(self, user_id: UserId, key: RequestKey) -> Ending:
        """Name the secret of a pass that was made before."""
        mark = _read_mark(await self.ledger.recall(user_id, _pass_mark(key)) or "")
        return StepResult.SKIPPED, f"{PASS_MADE_BEFORE}: Key Vault secret {mark.secret}"


def pass_of(method_id: MethodId) -> Method:
    """Return a pass as a method that can be removed."""
    return Method(PASS.type, PASS.odata_type, method_id)


def _pass_mark(key: RequestKey) -> Mark:
    return Mark(f"pass:{key}")


@dataclass(frozen=True)
class _PassMark:
    """What the ledger keeps of a pass: when it was asked for, then its id, then that the vault has its code."""

    asked_at: datetime | None = None
    method_id: MethodId | None = None
    secret: str | None = None
    in_vault: bool = False


def _read_mark(text: str) -> _PassMark:
    """Read a mark; an empty one, of an earlier version, says only that a pass was asked for."""
    if text.startswith(_ASKED):
        return _PassMark(datetime.fromisoformat(text.removeprefix(_ASKED)))
    method_id, _, secret = text.partition(" ")
    if not secret:
        return _PassMark()
    return _PassMark(None, MethodId(method_id), secret.removeprefix(_PENDING), not secret.startswith(_PENDING))


def _secret_name(user_id: UserId, key: RequestKey, method_id: MethodId) -> str:
    return f"tap-{user_id}-{hashlib.sha256(f'{key} {method_id}'.encode()).hexdigest()[:12]}"
