"""When a request that did not end is tried again, and when it has been tried long enough (product.md 7). Pure."""

from datetime import datetime, timedelta

from shared.errors import (
    ClaimHeldError,
    GraphError,
    HeldBackError,
    Later,
    NotPermittedError,
    OperatorError,
    ThrottledError,
    UnavailableError,
)
from shared.model import AcceptedRequest, Waiting, parse_budget
from shared.vocabulary import WaitingFor

RESUME_MINUTES = (1, 2, 5, 15, 60)  # then hourly
JITTER = 0.1
PATIENCE = timedelta(hours=24)
# A resume is late by what the queue holds before it: the largest body, 500 users, keeps one host busy for a quarter of
# an hour. After that it is taken for lost.
LOST_AFTER = timedelta(minutes=30)
ALERT_AFTER = timedelta(minutes=15)
HELD_BACK_JITTER = timedelta(minutes=2)
LONGEST_WAIT = timedelta(hours=2)  # whatever a Retry-After says


def counts_as_attempt(error: Later | GraphError) -> bool:
    """Tell whether this try counts: waiting for a claim, or for the next delivery, does not."""
    return not isinstance(error, Later) or error.counts


def next_try_at(error: Later | GraphError, attempts: int, now: datetime, jitter: float) -> datetime:
    """Return when to try again after `attempts` tries; `jitter` from 0 to 1 keeps many requests apart."""
    if isinstance(error, HeldBackError) and error.why is WaitingFor.PAUSED:  # many wait for the same moment
        return max(error.at, now) + HELD_BACK_JITTER * jitter
    if isinstance(error, Later) and error.at is not None:
        return max(error.at, now)
    minutes = RESUME_MINUTES[min(max(attempts, 1), len(RESUME_MINUTES)) - 1]
    wait = timedelta(minutes=minutes * (1 + JITTER * jitter))
    if isinstance(error, ThrottledError | UnavailableError) and error.retry_after_seconds is not None:
        wait = max(wait, timedelta(seconds=min(error.retry_after_seconds, LONGEST_WAIT.total_seconds())))
    return now + wait


def waiting_after(error: Later | GraphError, accepted: AcceptedRequest, now: datetime) -> Waiting:
    """Say what a request waits for after an obstacle, and since when: one that stays the same began earlier."""
    why, budget = _why(error), parse_budget(error.budget or "") if isinstance(error, HeldBackError) else None
    same = accepted.waiting is not None and accepted.waiting.why is why
    return Waiting(why, accepted.waiting.since if accepted.waiting and same else now, budget)


def _why(error: Later | GraphError) -> WaitingFor:
    match error:
        case HeldBackError(why=why):
            return why
        case ThrottledError():
            return WaitingFor.THROTTLED
        case OperatorError() | NotPermittedError():
            return WaitingFor.OPERATOR_NEEDED
        case ClaimHeldError():
            return WaitingFor.ANOTHER_RESET
        case Later():
            return WaitingFor.NEXT_DELIVERY
        case _:
            return WaitingFor.GRAPH_UNAVAILABLE
