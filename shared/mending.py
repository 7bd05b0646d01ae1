"""Setting right what a worker did to an account after it had lost its claim on the user."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.errors import NotFoundError
from shared.logs import alert, log
from shared.model import ReferenceKind, UserReference
from shared.passes import MADE_WITHOUT_CLAIM, pass_of
from shared.ports import Clock, Directory, Ledger
from shared.steps import DISABLED_BY_US, ENABLED_BY_US, SWITCHED_WITHOUT_CLAIM, note_switched
from shared.vocabulary import Mark, MethodId, Removal, StepName, UserId

GIVEN_UP_AFTER = timedelta(hours=24)
_STEP_OF = {MADE_WITHOUT_CLAIM: StepName.TEMPORARY_ACCESS_PASS}


@dataclass(frozen=True)
class Mender:
    """Compares accounts with the ledger where a worker that lost its claim may have enabled or disabled one.

    Disabling and enabling do not converge: the one that is carried out last holds. A worker that stands still may send
    one exchange after its claim expired, and another worker may have ended the reset by then.
    """

    directory: Directory
    ledger: Ledger
    clock: Clock

    async def note(self, user_id: UserId, switched: StepName) -> None:
        """Remember that this user's account has to be looked at; a second call replaces the step."""
        await note_switched(self.ledger, self.clock, user_id, switched)

    async def mend(self, user_id: UserId) -> None:
        """Delete a pass that was made without a claim, and set the account back to what this product did to it last.

        An account that this product has not switched since the step that was noted is left alone. A second call finds
        nothing noted; after a day it is given up with an alert. Raises ClaimHeldError while another worker is at it,
        GraphError and LedgerUnavailableError; what is noted stays then. Needs User.EnableDisableAccount.All, and
        UserAuthMethod-TAP.ReadWrite.All.
        """
        if made := await self._noted(user_id, MADE_WITHOUT_CLAIM):
            await self._delete_pass(user_id, MethodId(made))
        if switched := await self._noted(user_id, SWITCHED_WITHOUT_CLAIM):
            await self._set_back(user_id, switched)

    async def _noted(self, user_id: UserId, mark: Mark) -> str | None:
        """Return what is noted under a mark; None, and nothing is noted any longer, where that is given up."""
        noted = await self.ledger.recall(user_id, mark)
        if noted is None:
            return None
        what, _, at = noted.partition(" ")
        if self.clock.now() - datetime.fromisoformat(at) <= GIVEN_UP_AFTER:
            return what
        alert("accountNotMended", userId=user_id, step=_STEP_OF.get(mark, what))
        await self.ledger.forget(user_id, mark)
        return None

    async def _delete_pass(self, user_id: UserId, method_id: MethodId) -> None:
        """Delete a pass whose code is lost; if it is there, it took the place of the one that somebody was told of."""
        async with self.ledger.claim(user_id) as claim:
            try:
                await self.directory.under(claim).remove_method(user_id, pass_of(method_id), Removal.DELETE)
            except NotFoundError:
                log("passGone", userId=user_id)
            else:
                alert("accountMended", userId=user_id, step=StepName.TEMPORARY_ACCESS_PASS, result="deleted")
            await claim.keep_marks({MADE_WITHOUT_CLAIM: None})

    async def _set_back(self, user_id: UserId, switched: str) -> None:
        async with self.ledger.claim(user_id) as claim:
            wanted = await self._wanted(user_id, switched)
            user = await self.directory.find_user(UserReference(ReferenceKind.OBJECT_ID, user_id))
            if user is not None and wanted is not None and user.account_enabled is not wanted:
                directory = self.directory.under(claim)
                await (directory.enable_account(user_id) if wanted else directory.disable_account(user_id))
                alert("accountMended", userId=user_id, step=switched, result="enabled" if wanted else "disabled")
            await claim.keep_marks({SWITCHED_WITHOUT_CLAIM: None})

    async def _wanted(self, user_id: UserId, switched: str) -> bool | None:
        """Return whether the account has to be enabled; None where nothing contradicts the step that was noted."""
        if switched == StepName.DISABLE_ACCOUNT and await self.ledger.recall(user_id, ENABLED_BY_US) is not None:
            return True
        if switched == StepName.ENABLE_ACCOUNT and await self.ledger.recall(user_id, DISABLED_BY_US) is not None:
            return False
        return None
