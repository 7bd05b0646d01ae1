"""Taking one step on one user: each converges, but for the Temporary Access Pass, which is made once for a request.

A step is done once a read shows it: `disableAccount` and `revokeSessions` are unconfirmed until `shared.confirmation`
has read the user, `enableAccount` and `perUserMfa` are read here. Nothing that we read shows `confirmCompromised`,
`containmentGroup` and `resetPassword`: they are done when Microsoft Graph has accepted them.
"""

import re
import secrets
import string
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC
from typing import assert_never

from shared.errors import (
    UNCERTAIN,
    BadRequestError,
    ClaimLostError,
    GraphError,
    NotFoundError,
    NotPermittedError,
    UnlicensedError,
)
from shared.logs import log
from shared.model import (
    Evidence,
    PlannedStep,
    ReferenceKind,
    RequestKey,
    SignIn,
    StepLine,
    User,
    UserReference,
)
from shared.passes import FINISH_SECONDS, Ending, PassMaker
from shared.permissions import DIRECTORY_ROLES
from shared.plan import NOT_DISABLED_BY_US, PASS_MADE_BEFORE, Standing
from shared.ports import Claim, Clock, Directory, Ledger, Vault
from shared.vocabulary import GroupId, Mark, MethodId, Step, StepName, StepResult, UserId

SHOWN_AFTER_SECONDS = 10.0
PASSWORD_CHARACTERS = 32
_ALPHABETS = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!#$%&*+-=?@_")

# What this product did last to whether the account may sign in: one of the two at most, and neither where it never did.
DISABLED_BY_US = Mark("disabledByUs")
ENABLED_BY_US = Mark("enabledByUs")
# Kept of a user by a worker that lost its claim: the last step that it may have taken without one.
SWITCHED_WITHOUT_CLAIM = Mark("switchedWithoutClaim")


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
    finish_seconds: float = FINISH_SECONDS

    def under(self, claim: Claim) -> "StepTaker":
        """Return one that changes something only while `claim` is held."""
        return replace(self, directory=self.directory.under(claim), claim=claim)

    async def read_standing(self, user: User, sign_in: SignIn, key: RequestKey) -> Standing:
        """Read what steps depend on, under a claim.

        An account that somebody has enabled is none that we disabled any more.
        """
        disabled_by_us = await self.ledger.recall(user.id, DISABLED_BY_US) is not None
        if disabled_by_us and user.account_enabled:
            await self._held.keep_marks({DISABLED_BY_US: None})
            disabled_by_us = False
        ours = await self._passes.made_for(user.id, key)
        return Standing(user, sign_in, disabled_by_us, pass_made=bool(ours), our_passes=ours)

    async def passes_of(self, user_id: UserId, key: RequestKey) -> frozenset[MethodId]:
        """Return the Temporary Access Pass that a request has made, if the vault is known to have its code."""
        return await self._passes.made_for(user_id, key)

    @property
    def _passes(self) -> PassMaker:
        return PassMaker(self.directory, self.ledger, self.clock, self.vault, self.finish_seconds)

    @property
    def _held(self) -> Claim:
        """The claim; raises ClaimLostError where there is none."""
        if self.claim is None:
            raise ClaimLostError
        return self.claim

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

    async def put_off(self, planned: PlannedStep, error: GraphError, user_id: UserId, key: RequestKey) -> StepLine:
        """Say of a step that trying again may cure what is known of it: there may be a pass with a lost code."""
        unknown = None
        if planned.step.name is StepName.TEMPORARY_ACCESS_PASS:
            unknown = await self._passes.unknown(user_id, key)
        result, detail = (StepResult.UNCONFIRMED, unknown) if unknown else (StepResult.FAILED, error.code)
        return StepLine(str(planned.step), result, self.clock.now(), detail)

    async def _leave_out(self, reason: str, user_id: UserId, key: RequestKey) -> Ending:
        return await self._passes.recall(user_id, key) if reason == PASS_MADE_BEFORE else (StepResult.SKIPPED, reason)

    async def _do(self, step: Step, user: User, key: RequestKey) -> Ending:
        match step.name:
            case StepName.DISABLE_ACCOUNT:
                await self._disable(user.id)
                return StepResult.UNCONFIRMED, None
            case StepName.REVOKE_SESSIONS:
                await self.directory.revoke_sessions(user.id)
                return StepResult.UNCONFIRMED, None
            case StepName.CONFIRM_COMPROMISED:
                await self.directory.confirm_compromised(user.id)
            case StepName.CONTAINMENT_GROUP:
                await self.directory.add_to_group(user.id, GroupId(str(step.argument)))
            case StepName.RESET_PASSWORD:
                await self.directory.set_password(user.id, make_password())
            case StepName.PER_USER_MFA:
                return await self._set_per_user_mfa(user.id, str(step.argument))
            case StepName.TEMPORARY_ACCESS_PASS:
                return await self._passes.make(user.id, key, self._held)
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
            await self._held.keep_marks({DISABLED_BY_US: self._now_text(), ENABLED_BY_US: None})
        try:
            await self.directory.disable_account(user_id)
        except UNCERTAIN:
            raise
        except GraphError:
            if ours and await self._is_enabled(user_id):
                await self._held.keep_marks({DISABLED_BY_US: None})
            raise

    async def _is_enabled(self, user_id: UserId) -> bool:
        """Whether the account is known to be enabled: an earlier try of the same call may have disabled it."""
        try:
            user = await self.directory.find_user(UserReference(ReferenceKind.OBJECT_ID, user_id))
        except GraphError:
            return False
        return user is not None and user.account_enabled is True

    async def _enable(self, user_id: UserId) -> Ending:
        """Enable what we disabled; the mark goes only once the account is shown to be enabled."""
        if await self.ledger.recall(user_id, DISABLED_BY_US) is None:
            return StepResult.SKIPPED, NOT_DISABLED_BY_US
        await self.directory.enable_account(user_id)
        if not await self._is_shown(lambda: self._is_enabled(user_id)):
            return StepResult.UNCONFIRMED, None
        await self._held.keep_marks({ENABLED_BY_US: self._now_text(), DISABLED_BY_US: None})
        return StepResult.DONE, None

    def _now_text(self) -> str:
        return self.clock.now().astimezone(UTC).isoformat(timespec="seconds")

    async def _set_per_user_mfa(self, user_id: UserId, state: str) -> Ending:
        await self.directory.set_per_user_mfa(user_id, state)

        async def is_set() -> bool:
            try:
                return await self.directory.read_per_user_mfa(user_id) == state
            except GraphError:
                return False

        return StepResult.DONE if await self._is_shown(is_set) else StepResult.UNCONFIRMED, None

    async def _is_shown(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Look at once and, as a directory takes a while to show a change, once more a little later."""
        if await look():
            return True
        await self.clock.sleep(SHOWN_AFTER_SECONDS)
        return await look()


async def note_switched(ledger: Ledger, clock: Clock, user_id: UserId, switched: StepName) -> None:
    """Remember the step that a worker without the claim may have taken; a second call replaces it."""
    await ledger.remember(user_id, SWITCHED_WITHOUT_CLAIM, f"{switched} {clock.now().isoformat()}")


def make_password() -> str:
    """Make a password that nobody is told: 32 random characters, some of each kind, so that every policy takes it."""
    one_of_each = [secrets.choice(alphabet) for alphabet in _ALPHABETS]
    others = [secrets.choice("".join(_ALPHABETS)) for _ in range(PASSWORD_CHARACTERS - len(one_of_each))]
    characters = one_of_each + others
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


def _code_in(detail: str | None) -> str | None:
    """Return a detail that is a code; sentences are for outcomes."""
    return detail if detail and re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", detail) else None


def _explain(step: StepName, error: NotPermittedError) -> str:
    if error.missing is None and step in DIRECTORY_ROLES:
        return f"needs the directory role {DIRECTORY_ROLES[step]}"
    return error.why
