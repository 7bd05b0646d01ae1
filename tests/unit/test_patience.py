"""When something is tried again."""

from shared.errors import Later, ThrottledError
from shared.patience import counts_as_attempt, next_try_at
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
