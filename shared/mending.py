"""Setting right what a worker did to an account after it had lost its claim on the user."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.logs import alert
from shared.model import ReferenceKind, UserReference
from shared.ports import Clock, Directory, Ledger
from shared.steps import DISABLED_BY_US, ENABLED_BY_US, SWITCHED_WITHOUT_CLAIM, note_switched
from shared.vocabulary import StepName, UserId

GIVEN_UP_AFTER = timedelta(hours=24)


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
        """Set the account back to what this product did to it last, where the step noted says otherwise.

        An account that this product has not switched since is left alone. A second call finds nothing noted; after a
        day it is given up with an alert. Raises
        ClaimHeldError while another worker is at it, GraphError and LedgerUnavailableError; what is noted stays then.
        Needs User.EnableDisableAccount.All.
        """
        noted = await self.ledger.recall(user_id, SWITCHED_WITHOUT_CLAIM)
        if noted is None:
            return
        switched, _, at = noted.partition(" ")
        if self.clock.now() - datetime.fromisoformat(at) > GIVEN_UP_AFTER:
            alert("accountNotMended", userId=user_id, step=switched)
            await self.ledger.forget(user_id, SWITCHED_WITHOUT_CLAIM)
            return
        async with self.ledger.claim(user_id) as claim:
            wanted = await self._wanted(user_id, switched)
            user = await self.directory.find_user(UserReference(ReferenceKind.OBJECT_ID, user_id))
            if user is not None and wanted is not None and user.account_enabled is not wanted:
                directory = self.directory.under(claim)
                await (directory.enable_account(user_id) if wanted else directory.disable_account(user_id))
                alert("accountMended", userId=user_id, step=switched, result="enabled" if wanted else "disabled")
            await claim.confirm()
            await self.ledger.forget(user_id, SWITCHED_WITHOUT_CLAIM)

    async def _wanted(self, user_id: UserId, switched: str) -> bool | None:
        """Return whether the account has to be enabled; None where nothing contradicts the step that was noted."""
        if switched == StepName.DISABLE_ACCOUNT and await self.ledger.recall(user_id, ENABLED_BY_US) is not None:
            return True
        if switched == StepName.ENABLE_ACCOUNT and await self.ledger.recall(user_id, DISABLED_BY_US) is not None:
            return False
        return None
