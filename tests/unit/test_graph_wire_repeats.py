"""Which failures are worth another try."""

import asyncio
from datetime import UTC, datetime
from typing import Self

import pytest
from azure.core.credentials import AccessToken
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import (
    BadRequestError,
    ConflictError,
    GraphError,
    NoAnswerError,
    NotFoundError,
    NotPermittedError,
    RefusedAsDefaultError,
    ThrottledError,
    TokenError,
    UnauthenticatedError,
    UnavailableError,
    UnlicensedError,
    UnreadableAnswerError,
)
from shared.graph.repeats import MOST_TRIES, MOST_WAITING_SECONDS, Patience, wait_before_repeat
from shared.graph.tokens import TokenSource
from tests.clocks import FakeClock

NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
FINAL = (
    BadRequestError,
    NotFoundError,
    NotPermittedError,
    RefusedAsDefaultError,
    UnauthenticatedError,
    UnlicensedError,
    UnreadableAnswerError,
)
failures = st.lists(
    st.sampled_from([*FINAL, ConflictError, NoAnswerError, TokenError, ThrottledError, UnavailableError]).map(
        lambda kind: kind()
    ),
    min_size=1,
    max_size=7,
)
jitters = st.floats(0, 1)


@pytest.mark.parametrize("kind", FINAL)
@pytest.mark.parametrize("changes", [True, False])
def test_wait_when_answer_is_final_then_none(kind: type[GraphError], *, changes: bool) -> None:
    """What another try would not change is not tried."""
    assert wait_before_repeat([kind()], changes=changes, jitter=0) is None


@pytest.mark.parametrize(
    ("error", "reading", "changing"),
    [
        (ThrottledError(), 1, 1),
        (ThrottledError(retry_after_seconds=3.5), 3.5, 3.5),
        (ThrottledError(retry_after_seconds=0), 0, 0),
        (UnavailableError(), 1, 1),
        (UnavailableError(retry_after_seconds=9), 9, 9),
        (TokenError(), 1, 1),
        (NoAnswerError(), 1, None),
        (ConflictError(), None, 1),
    ],
)
def test_wait_when_it_may_help_then_seconds(error: GraphError, reading: float | None, changing: float | None) -> None:
    """The table of what is repeated, for readings and for changes."""
    assert wait_before_repeat([error], changes=False, jitter=0) == reading
    assert wait_before_repeat([error], changes=True, jitter=0) == changing


@given(failures, st.booleans(), jitters)
def test_wait_when_anything_failed_then_bounded(history: list[GraphError], changes: bool, jitter: float) -> None:
    """Never more than five tries, never a negative wait, never a change that may have taken effect."""
    wait = wait_before_repeat(history, changes=changes, jitter=jitter)
    if len(history) >= MOST_TRIES or (changes and isinstance(history[-1], NoAnswerError)):
        assert wait is None
    assert wait is None or 0 <= wait <= 10


def test_patience_when_waits_add_up_then_twenty_seconds_from_the_first() -> None:
    """The time between the waits counts as well."""
    clock = FakeClock(NOW)
    patience = Patience(clock)
    clock.advance(1_000)
    assert patience.allows(MOST_WAITING_SECONDS)
    assert not patience.allows(MOST_WAITING_SECONDS + 0.1)
    clock.advance(15)
    assert patience.allows(5)
    assert not patience.allows(5.1)
    clock.advance(10)
    assert not patience.allows(0)


class Slow:
    """A credential that never has a token."""

    async def get_token(self, *_scopes: str, **_: object) -> AccessToken:
        """Wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        """Have nothing to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def test_token_when_endpoint_hangs_then_token_error() -> None:
    """Waiting for a token ends, for those who wait behind another call as well."""
    tokens = TokenSource(Slow, seconds=0.05)
    answers = await asyncio.gather(*(tokens.get_token("x") for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [TokenError] * 3
    await tokens.close()


async def test_token_when_no_credential_can_be_made_then_token_error() -> None:
    """An environment that allows no credential is no reason to break, nor is closing what was never open."""

    def make() -> Slow:
        raise ValueError

    tokens = TokenSource(make)
    with pytest.raises(TokenError):
        await tokens.get_token("x")
    await tokens.close()
