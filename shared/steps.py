"""Taking one step on one user: each converges, but for the Temporary Access Pass, which is made once for a request."""

import asyncio
import hashlib
import re
import secrets
import string
from dataclasses import dataclass, replace
from datetime import UTC
from typing import assert_never

from shared.catalogue import PASS
from shared.errors import (
    UNCERTAIN,
    BadRequestError,
    GraphError,
    NotFoundError,
    NotPermittedError,
    UnlicensedError,
    VaultError,
)
from shared.logs import log
from shared.model import (
    Evidence,
    Method,
    PlannedStep,
    ReferenceKind,
    RequestKey,
    SignIn,
    StepLine,
    User,
    UserReference,
)
from shared.permissions import DIRECTORY_ROLES
from shared.plan import NOT_DISABLED_BY_US, PASS_MADE_BEFORE, PASS_PENDING, PASS_UNKNOWN, Standing
from shared.ports import Claim, Clock, Directory, Ledger, TemporaryAccessPass, Vault
from shared.vocabulary import GroupId, Mark, MethodId, Removal, Step, StepName, StepResult, UserId

_PENDING = "?"  # before the name of a secret that the vault may not have yet
PASSWORD_CHARACTERS = 32
_ALPHABETS = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!#$%&*+-=?@_")

# What this product did last to whether the account may sign in: one of the two at most, and neither where it never did.
DISABLED_BY_US = Mark("disabledByUs")
ENABLED_BY_US = Mark("enabledByUs")

type Ending = tuple[StepResult, str | None]


@dataclass(frozen=True)
class StepTaker:
    """Takes steps; `vault` is None where no policy makes Temporary Access Passes.

    `claim` is that on the user whose steps are taken: see `under`.
    """

    directory: Directory
    ledger: Ledger
    clock: Clock
    vault: Vault | None
    claim: Claim | None = None

    def under(self, claim: Claim) -> "StepTaker":
        """Return one that changes something only while `claim` is held."""
        return replace(self, directory=self.directory.under(claim), claim=claim)

    async def read_standing(self, user: User, sign_in: SignIn, key: RequestKey) -> Standing:
        """Read what steps depend on. An account that somebody has enabled is none that we disabled any more."""
        disabled_by_us = await self.ledger.recall(user.id, DISABLED_BY_US) is not None
        if disabled_by_us and user.account_enabled:
            await self.ledger.forget(user.id, DISABLED_BY_US)
            disabled_by_us = False
        made = await self.ledger.recall(user.id, _pass_mark(key))
        return Standing(user, sign_in, disabled_by_us, pass_made=made is not None, our_passes=_our_passes(made))

    async def passes_of(self, user_id: UserId, key: RequestKey) -> frozenset[MethodId]:
        """Return the Temporary Access Pass that a request has made, if it has."""
        return _our_passes(await self.ledger.recall(user_id, _pass_mark(key)))

    async def take(self, planned: PlannedStep, evidence: Evidence, key: RequestKey) -> StepLine:
        """Take one step; what cannot be done for good becomes its result.

        Raises GraphError when trying again may cure it, and LedgerUnavailableError. Needs the app role in
        `permissions.STEP_NEEDS`.
        """
        try:
            if planned.skipped:
                result, detail = await self._leave_out(planned.skipped, evidence.user.id, key)
            else:
                result, detail = await self._do(planned.step, evidence.user, key)
        except NotPermittedError as error:
            result, detail = StepResult.NOT_PERMITTED, _explain(planned.step.name, error)
        except (BadRequestError, NotFoundError, UnlicensedError) as error:
            result, detail = StepResult.FAILED, error.code
        log("step", userId=evidence.user.id, step=str(planned.step), result=result, code=_code_in(detail))
        return StepLine(str(planned.step), result, self.clock.now(), detail)

    async def _leave_out(self, reason: str, user_id: UserId, key: RequestKey) -> Ending:
        return await self._recall_pass(user_id, key) if reason == PASS_MADE_BEFORE else (StepResult.SKIPPED, reason)

    async def _do(self, step: Step, user: User, key: RequestKey) -> Ending:
        match step.name:
            case StepName.DISABLE_ACCOUNT:
                await self._disable(user.id)
            case StepName.REVOKE_SESSIONS:
                await self.directory.revoke_sessions(user.id)
            case StepName.CONFIRM_COMPROMISED:
                await self.directory.confirm_compromised(user.id)
            case StepName.CONTAINMENT_GROUP:
                await self.directory.add_to_group(user.id, GroupId(str(step.argument)))
            case StepName.RESET_PASSWORD:
                await self.directory.set_password(user.id, make_password())
            case StepName.PER_USER_MFA:
                await self.directory.set_per_user_mfa(user.id, str(step.argument))
            case StepName.TEMPORARY_ACCESS_PASS:
                return await self._make_pass_to_the_end(user.id, key)
            case StepName.ENABLE_ACCOUNT:
                return await self._enable(user.id)
            case _:
                assert_never(step.name)
        return StepResult.DONE, None

    # --- The account --------------------------------------------------------------------------------------------

    async def _disable(self, user_id: UserId) -> None:
        """Remember what we disable: only an account that is enabled now is ours to enable again.

        The mark comes first, for the answer may be lost; a refusal that is certain takes it back.
        """
        ours = await self._is_enabled(user_id)
        if ours:
            await self._confirm()
            await self.ledger.remember(user_id, DISABLED_BY_US, self._now_text())
            await self.ledger.forget(user_id, ENABLED_BY_US)
        try:
            await self.directory.disable_account(user_id)
        except UNCERTAIN:
            raise
        except GraphError:
            if ours and await self._is_enabled(user_id):
                await self.ledger.forget(user_id, DISABLED_BY_US)
            raise

    async def _is_enabled(self, user_id: UserId) -> bool:
        """Whether the account is known to be enabled: an earlier try of the same call may have disabled it."""
        try:
            user = await self.directory.find_user(UserReference(ReferenceKind.OBJECT_ID, user_id))
        except GraphError:
            return False
        return user is not None and user.account_enabled is True

    async def _enable(self, user_id: UserId) -> Ending:
        if await self.ledger.recall(user_id, DISABLED_BY_US) is None:
            return StepResult.SKIPPED, NOT_DISABLED_BY_US
        await self.directory.enable_account(user_id)
        await self._confirm()  # another worker may have disabled it since, and remembers that
        await self.ledger.remember(user_id, ENABLED_BY_US, self._now_text())
        await self.ledger.forget(user_id, DISABLED_BY_US)
        return StepResult.DONE, None

    async def _confirm(self) -> None:
        if self.claim:
            await self.claim.confirm()

    def _now_text(self) -> str:
        return self.clock.now().astimezone(UTC).isoformat(timespec="seconds")

    # --- The Temporary Access Pass ------------------------------------------------------------------------------

    async def _make_pass_to_the_end(self, user_id: UserId, key: RequestKey) -> Ending:
        """Let nothing come between the pass and the vault: whoever waits may give up, the code must not be lost.

        The claim on the user is held until then: the next delivery must not take the pass for somebody else's.
        """
        making = asyncio.create_task(self._make_pass(user_id, key))
        try:
            return await asyncio.shield(making)
        finally:
            await asyncio.wait({making})

    async def _make_pass(self, user_id: UserId, key: RequestKey) -> Ending:
        """Make it and put it into the vault. The ledger knows before Microsoft Graph that there may be one."""
        if self.vault is None:
            return StepResult.FAILED, "keyVault.none"
        mark = _pass_mark(key)
        await self.ledger.remember(user_id, mark, "")
        try:
            made = await self.directory.create_pass(user_id)
        except UNCERTAIN:
            return StepResult.UNCONFIRMED, PASS_UNKNOWN
        except GraphError:  # certainly not made: it may be tried again
            await self.ledger.forget(user_id, mark)
            raise
        secret = _secret_name(user_id, key)
        await self.ledger.remember(user_id, mark, f"{made.method_id} {_PENDING}{secret}")
        try:
            await self.vault.put(secret, made.code, made.expires_at, {"userId": user_id, "requestId": key.request_id})
        except VaultError as error:
            return StepResult.FAILED, await self._take_back(user_id, mark, made, error)
        await self.ledger.remember(user_id, mark, f"{made.method_id} {secret}")
        return StepResult.DONE, f"Key Vault secret {secret}"

    async def _take_back(self, user_id: UserId, mark: Mark, made: TemporaryAccessPass, error: VaultError) -> str:
        """Delete a pass that nobody can use, as its code is lost; then there is none, and one may be made again."""
        method = Method(PASS.type, PASS.odata_type, made.method_id)
        try:
            await self.directory.remove_method(user_id, method, Removal.DELETE)
        except NotFoundError:
            log("passGone", userId=user_id)
        except GraphError as left:
            await self.ledger.remember(user_id, mark, "")  # nobody's to keep: a reset may remove it
            return f"keyVault.{error.code}, and the pass could not be deleted ({left.code})"
        await self.ledger.forget(user_id, mark)
        return f"keyVault.{error.code}"

    async def _recall_pass(self, user_id: UserId, key: RequestKey) -> Ending:
        _, secret = _read_pass(await self.ledger.recall(user_id, _pass_mark(key)) or "")
        if secret is None:
            return StepResult.UNCONFIRMED, PASS_UNKNOWN
        if secret.startswith(_PENDING):
            return StepResult.UNCONFIRMED, PASS_PENDING
        return StepResult.SKIPPED, f"{PASS_MADE_BEFORE}: Key Vault secret {secret}"


def make_password() -> str:
    """Make a password that nobody is told: 32 random characters, some of each kind, so that every policy takes it."""
    one_of_each = [secrets.choice(alphabet) for alphabet in _ALPHABETS]
    others = [secrets.choice("".join(_ALPHABETS)) for _ in range(PASSWORD_CHARACTERS - len(one_of_each))]
    characters = one_of_each + others
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


def _pass_mark(key: RequestKey) -> Mark:
    return Mark(f"pass:{key}")


def _our_passes(mark: str | None) -> frozenset[MethodId]:
    method_id, _ = _read_pass(mark or "")
    return frozenset({method_id}) if method_id else frozenset()


def _read_pass(text: str) -> tuple[MethodId | None, str | None]:
    """Read the id of the pass and the name of its secret; nothing of either where it was never finished."""
    method_id, _, secret = text.partition(" ")
    return (MethodId(method_id), secret) if secret else (None, None)


def _code_in(detail: str | None) -> str | None:
    """Return a detail that is a code; sentences are for outcomes."""
    return detail if detail and re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", detail) else None


def _secret_name(user_id: UserId, key: RequestKey) -> str:
    return f"tap-{user_id}-{hashlib.sha256(str(key).encode()).hexdigest()[:12]}"


def _explain(step: StepName, error: NotPermittedError) -> str:
    if error.missing is None and step in DIRECTORY_ROLES:
        return f"needs the directory role {DIRECTORY_ROLES[step]}"
    return error.why
