"""When something is tried again."""

from datetime import timedelta

import pytest

from shared.errors import (
    ClaimHeldError,
    ClaimLostError,
    GraphError,
    HeldBackError,
    Later,
    NotPermittedError,
    OperatorError,
    ThrottledError,
    UnavailableError,
)
from shared.patience import counts_as_attempt, next_try_at
from shared.vocabulary import WaitingFor
from tests.builders import NOW


def minutes_after(tries: int, jitter: float = 0.0) -> float:
    """Return how many minutes after so many tries the next one comes."""
    return (next_try_at(ThrottledError(), tries, NOW, jitter) - NOW).total_seconds() / 60


def test_patience_follows_the_schedule_of_the_contract() -> None:
    """1, 2, 5, 15 and 60 minutes, then hourly; jitter adds a tenth at most."""
    assert [minutes_after(tries) for tries in range(1, 8)] == [1, 2, 5, 15, 60, 60, 60]
    assert minutes_after(5, jitter=1.0) == 66


def test_patience_is_as_long_as_graph_asks_within_reason() -> None:
    """A Retry-After longer than the schedule counts, up to two hours."""
    for seconds, wait in ((1, 60), (600, 600), (1_000_000, 7_200)):
        assert (next_try_at(ThrottledError(None, seconds), 1, NOW, 0.0) - NOW).total_seconds() == wait


def test_patience_never_ends_in_the_past() -> None:
    """A time that has passed already means now."""
    later = NOW.replace(hour=10)
    assert next_try_at(Later("x", NOW), 1, later, 0.0) == later
    assert next_try_at(Later("x", later), 1, NOW, 0.0) == later


def test_patience_counts_tries_only() -> None:
    """Waiting for a claim or for the next delivery is no attempt."""
    assert counts_as_attempt(ThrottledError())
    assert counts_as_attempt(Later("x"))
    assert not counts_as_attempt(Later("x", counts=False))


@pytest.mark.parametrize("attempts", [-1, 0, 1, 2, 3, 4, 5, 6, 1_000])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_patience_of_any_number_of_tries_is_between_a_minute_and_an_hour_and_a_tenth(
    attempts: int, jitter: float
) -> None:
    """Jitter keeps many requests apart and never shortens a wait."""
    assert minutes_after(attempts) <= minutes_after(attempts, jitter) <= 1.1 * minutes_after(attempts)
    assert 1 <= minutes_after(attempts, jitter) <= 66


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (UnavailableError(None, 600), 600),
        (UnavailableError(None, 0), 60),
        (UnavailableError(), 60),
        (NotPermittedError(), 60),
        (OperatorError("groupUnreadable"), 60),
        (Later("paused"), 60),
        (ClaimHeldError(NOW + timedelta(seconds=7)), 7),
        (ClaimHeldError(NOW - timedelta(seconds=7)), 0),
        (ClaimLostError(), 60),
    ],
)
def test_patience_with_each_kind_of_obstacle(error: Later | GraphError, seconds: float) -> None:
    """A time that is known is waited for; else the schedule, unless Microsoft Graph asks for longer."""
    assert next_try_at(error, 1, NOW, 0.0) - NOW == timedelta(seconds=seconds)


def test_patience_counts_no_wait_for_a_claim() -> None:
    """But the wait for an operator it does."""
    assert not counts_as_attempt(ClaimHeldError(NOW))
    assert not counts_as_attempt(ClaimLostError())
    assert counts_as_attempt(OperatorError("groupUnreadable"))


@pytest.mark.parametrize(("why", "minutes"), [(WaitingFor.PAUSED, 2), (WaitingFor.HOURLY_LIMIT, 0)])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_patience_with_what_is_held_back_waits_for_its_time(why: WaitingFor, minutes: int, jitter: float) -> None:
    """Many wait for the end of a pause, so up to two minutes more; in a line each has its own time."""
    later = NOW + timedelta(hours=3)
    error = HeldBackError(why, later)
    assert next_try_at(error, 5, NOW, jitter) == later + timedelta(minutes=minutes * jitter)
    assert next_try_at(error, 5, later + timedelta(hours=1), 0.0) == later + timedelta(hours=1)
    assert not counts_as_attempt(error)
    assert (error.code, error.at) == (why.value, later)
