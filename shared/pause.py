"""An operator's pause: nothing is begun or changed while it holds."""

from datetime import timedelta

from shared.errors import HeldBackError
from shared.ports import Clock, Ledger

ASKED_EVERY = timedelta(minutes=5)


async def raise_if_paused(ledger: Ledger, clock: Clock) -> None:
    """Raise HeldBackError while an operator has paused the program; it is asked again soon, should they lift it."""
    now = clock.now()
    control = await ledger.read_control()
    if control.paused_until and control.is_paused(now):
        raise HeldBackError("paused", min(control.paused_until, now + ASKED_EVERY))
