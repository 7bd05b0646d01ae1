"""Whether the guard still lets a reset go on that takes more than one round."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.decide import Guard
from shared.errors import Later, NotFoundError
from shared.logs import log
from shared.model import PlannedRemoval, ReferenceKind, UserReference
from shared.ports import Clock, Directory
from shared.vocabulary import UserId

BECAME_PRIVILEGED = "becamePrivileged"


@dataclass(frozen=True)
class Recheck:
    """Reads the user again before the rounds after the first one."""

    directory: Directory
    clock: Clock
    guard: Guard

    async def before_round(self, number: int, user_id: UserId, left: Sequence[PlannedRemoval]) -> None:
        """Raise Later where the guard is by now against removing what is `left`, and GraphError where it cannot tell.

        The next delivery then decides anew: it refuses the request, tells what was done until now and what is still
        there, and takes the steps instead.
        """
        if number == 1 or not left:
            return
        user = await self.directory.find_user(UserReference(ReferenceKind.OBJECT_ID, user_id))
        if user is None:
            raise NotFoundError
        subject = await self.directory.read_subject(user, self.guard.policy.never.groups)
        if reasons := self.guard.reasons_against(subject):
            log(BECAME_PRIVILEGED, userId=user_id, code=",".join(sorted({reason.code for reason in reasons})))
            raise Later(BECAME_PRIVILEGED, self.clock.now())
