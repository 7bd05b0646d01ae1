"""An operator's pause: nothing is begun or changed while it holds."""

from datetime import timedelta

from shared.errors import HeldBackError
from shared.model import Budget
from shared.ports import Clock, Ledger
from shared.vocabulary import WaitingFor

ASKED_EVERY = timedelta(minutes=5)


async def raise_if_paused(ledger: Ledger, clock: Clock, budget: Budget | None = None) -> None:
    """Raise HeldBackError while an operator has paused the program.

    `budget` is the line in which a request that has not begun waits meanwhile. It is asked again every few minutes,
    should the timer that lets it go on at the end of the pause not run.
    """
    now = clock.now()
    control = await ledger.read_control()
    if control.paused_until and control.is_paused(now):
        at = min(control.paused_until, now + ASKED_EVERY)
        raise HeldBackError(WaitingFor.PAUSED, at, str(budget) if budget else None)
