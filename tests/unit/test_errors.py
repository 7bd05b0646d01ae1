"""What can go wrong, and what is said of it."""

import inspect

import pytest

from shared import errors
from shared.errors import (
    ClaimHeldError,
    ClaimLostError,
    GraphAnswer,
    GraphError,
    Later,
    MfaResetError,
    NotFoundError,
    OperatorError,
    SettingsError,
    ThrottledError,
    UnavailableError,
    VaultError,
)
from tests.builders import NOW

ALL = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, MfaResetError)]
OF_GRAPH = [each for each in ALL if issubclass(each, GraphError)]
PLAIN = [each for each in ALL if not issubclass(each, GraphError | Later | SettingsError | VaultError)]


@pytest.mark.parametrize("kind", PLAIN)
def test_error_when_raised_without_a_message_then_its_docstring_is_one(kind: type[MfaResetError]) -> None:
    """And a message of its own takes its place."""
    assert str(kind()) == inspect.getdoc(kind)
    assert str(kind("Else.")) == "Else."


@pytest.mark.parametrize("kind", OF_GRAPH)
def test_graph_error_when_shown_then_it_says_kind_status_and_code_only(kind: type[GraphError]) -> None:
    """No body and no address; the ids are for logs."""
    error = kind(GraphAnswer(403, "accessDenied", "request-id", "client-request-id"))
    assert str(error) == f"{inspect.getdoc(kind)} (status 403, code accessDenied)"
    assert (error.code, error.answer.request_id) == ("accessDenied", "request-id")


@pytest.mark.parametrize("kind", OF_GRAPH)
def test_graph_error_when_graph_gave_no_code_then_the_kind_of_failure_is_one(kind: type[GraphError]) -> None:
    """Outcomes and logs always have a word."""
    assert kind().code == kind.__name__.removesuffix("Error")
    assert kind().answer == GraphAnswer()
    assert not isinstance(kind(), Later)


@pytest.mark.parametrize("kind", [ThrottledError, UnavailableError])
def test_graph_error_when_graph_says_how_long_to_wait_then_it_is_known(
    kind: type[ThrottledError | UnavailableError],
) -> None:
    """None where it does not."""
    assert kind(GraphAnswer(429), 7.5).retry_after_seconds == 7.5
    assert kind().retry_after_seconds is None


@pytest.mark.parametrize("kind", OF_GRAPH)
def test_graph_error_when_nobody_says_so_then_no_earlier_try_may_have_done_it(kind: type[GraphError]) -> None:
    """Nothing is claimed by default."""
    assert kind().after_uncertain is False


def test_later_when_raised_then_code_time_and_whether_it_counts_are_known() -> None:
    """The three things that a resume is scheduled by."""
    later = Later("deadline", NOW, counts=False)
    assert (later.code, later.at, later.counts, str(later)) == ("deadline", NOW, False, "later: deadline")
    plain = Later("paused")
    assert (plain.at, plain.counts) == (None, True)


def test_later_when_a_claim_or_an_operator_is_waited_for_then_only_the_operator_counts() -> None:
    """A claim is no failed try."""
    assert (ClaimHeldError(NOW).code, ClaimHeldError(NOW).at, ClaimHeldError(NOW).counts) == ("claimHeld", NOW, False)
    assert (ClaimLostError().code, ClaimLostError().counts) == ("claimLost", False)
    operator = OperatorError("groupUnreadable", "GroupMember.Read.All")
    assert (operator.code, operator.missing, operator.counts) == ("groupUnreadable", "GroupMember.Read.All", True)
    assert OperatorError("x").missing is None


def test_settings_error_when_shown_then_every_problem_has_a_line() -> None:
    """An operator reads it in the log of a start that failed."""
    error = SettingsError(("A is not set", "B must be true or false"))
    assert error.problems == ("A is not set", "B must be true or false")
    assert str(error) == "mfa-reset cannot start:\n- A is not set\n- B must be true or false"


def test_error_tree_when_a_fate_is_caught_then_no_other_is_caught_with_it() -> None:
    """Refused, later and broken are never folded into one another."""
    assert not issubclass(GraphError, Later)
    assert not issubclass(Later, GraphError)
    for broken in (errors.LedgerUnavailableError, errors.BusUnavailableError, errors.AmbiguousUserError):
        assert not issubclass(broken, Later | GraphError)
    assert issubclass(NotFoundError, GraphError)
