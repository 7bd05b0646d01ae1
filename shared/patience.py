"""When a request that did not end is tried again, and when it has been tried long enough (product.md 7). Pure."""

from datetime import datetime, timedelta

from shared.errors import GraphError, HeldBackError, Later, ThrottledError, UnavailableError

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
    if isinstance(error, HeldBackError):  # many wait for the same moment
        return max(error.at, now) + HELD_BACK_JITTER * jitter
    if isinstance(error, Later) and error.at is not None:
        return max(error.at, now)
    minutes = RESUME_MINUTES[min(max(attempts, 1), len(RESUME_MINUTES)) - 1]
    wait = timedelta(minutes=minutes * (1 + JITTER * jitter))
    if isinstance(error, ThrottledError | UnavailableError) and error.retry_after_seconds is not None:
        wait = max(wait, timedelta(seconds=min(error.retry_after_seconds, LONGEST_WAIT.total_seconds())))
    return now + wait
