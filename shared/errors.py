"""What can go wrong, by what becomes of it. The docstring of each class is its default message."""

from dataclasses import dataclass
from datetime import datetime

from shared.vocabulary import StepName, WaitingFor


class MfaResetError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__class__.__doc__)


class SettingsError(MfaResetError):
    """The settings do not allow a start."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("mfa-reset cannot start:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


# --- The three fates of a request that does not end in an outcome now -------------------------------------------


class Later(MfaResetError):  # noqa: N818 - a fate, not an error
    """It has to be tried again later.

    `code` is a stable word for logs and answers, `at` the earliest time that makes sense (None: as the schedule of
    resumes says), `counts` whether the wait counts as one of the attempts.
    """

    def __init__(self, code: str, at: datetime | None = None, *, counts: bool = True) -> None:
        super().__init__(f"later: {code}")
        self.code = code
        self.at: datetime | None = at
        self.counts = counts


class OperatorError(Later):
    """An operator has to act first: our identity lacks a right that it needs to decide or to list."""

    def __init__(self, code: str, missing: str | None = None) -> None:
        super().__init__(code)
        self.missing = missing


class PrivilegeUnknownError(OperatorError):
    """What leads to privilege in the tenant could not be read whole, so nobody can be judged.

    `cause` is the code of what stood in the way.
    """

    def __init__(self, cause: str) -> None:
        super().__init__("privilegeUnknown")
        self.cause = cause


class HeldBackError(Later):
    """It is held back, by an operator's pause or by an hourly limit: however long, that uses up no patience.

    `budget` names the line in which it has its place (a `shared.model.Budget` as text); None where it has none.
    """

    at: datetime

    def __init__(self, why: WaitingFor, at: datetime, budget: str | None = None) -> None:
        super().__init__(why.value, at, counts=False)
        self.why = why
        self.budget = budget


class OutOfTimeError(Later):
    """The time of this delivery is over: it counts as an attempt unless something was changed."""


class ClaimHeldError(Later):
    """Another worker holds the claim on this user."""

    def __init__(self, at: datetime) -> None:
        super().__init__("claimHeld", at, counts=False)


class ClaimLostError(Later):
    """The claim on this user was lost to another worker.

    `switched` is the step that enables or disables the account, where this worker may have taken it without the claim.
    """

    def __init__(self) -> None:
        super().__init__("claimLost", counts=False)
        self.switched: StepName | None = None


class LedgerUnavailableError(MfaResetError):
    """The ledger cannot be reached: nothing is accepted, the delivery is given back."""


class UnreadableRowError(LedgerUnavailableError):
    """The ledger holds a row that this version of the program cannot read."""


class LedgerMissingError(LedgerUnavailableError):
    """There is no ledger where the settings say, and whoever asks may not create one."""


class BusUnavailableError(MfaResetError):
    """The Service Bus cannot be reached: the delivery is given back."""


class AmbiguousUserError(MfaResetError):
    """More than one user has this identifier."""


class VaultError(MfaResetError):
    """The Key Vault did not take the secret."""

    def __init__(self, code: str) -> None:
        super().__init__(f"{self.__class__.__doc__} ({code})")
        self.code = code


# --- What Microsoft Graph answered (graph.md 4) -----------------------------------------------------------------


@dataclass(frozen=True)
class GraphAnswer:
    """What may be said of a failed call: codes and ids, never a body or an address."""

    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None


class GraphError(MfaResetError):
    """Microsoft Graph did not do what was asked."""

    def __init__(self, answer: GraphAnswer | None = None) -> None:
        self.answer = answer or GraphAnswer()
        # Set by who repeats a call: an earlier try of the same call failed although it may have taken effect, so that
        # this answer is not all that became of it.
        self.after_uncertain = False
        super().__init__(f"{self.__class__.__doc__} (status {self.answer.status}, code {self.answer.code})")

    @property
    def code(self) -> str:
        """A word for outcomes and logs: Graph's own code where it gave one, else the kind of failure."""
        return self.answer.code or type(self).__name__.removesuffix("Error")


class NotFoundError(GraphError):
    """Microsoft Graph does not know it."""


class NotPermittedError(GraphError):
    """Our identity may not do this."""

    def __init__(self, answer: GraphAnswer | None = None, missing: str | None = None) -> None:
        # `missing` names the app roles that our token lacks for it; None when it holds them all, so that something else
        # stands in the way: a directory role, a restricted administrative unit, a service that sees it differently.
        super().__init__(answer)
        self.missing = missing

    @property
    def why(self) -> str:
        """Say what is missing where we know it, else Graph's code."""
        return f"missing app role {self.missing}" if self.missing else self.code


class UnauthenticatedError(GraphError):
    """Microsoft Graph does not accept our token."""


class UnlicensedError(GraphError):
    """The tenant has no licence for this."""


class RefusedAsDefaultError(GraphError):
    """This is the user's default method, which cannot be deleted while others remain."""


class ConflictError(GraphError):
    """Somebody else is changing it."""


class BadRequestError(GraphError):
    """Microsoft Graph refuses this request as it is."""


class ThrottledError(GraphError):
    """Microsoft Graph asks us to slow down."""

    def __init__(self, answer: GraphAnswer | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(answer)
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(GraphError):
    """Microsoft Graph is not working properly at the moment."""

    def __init__(self, answer: GraphAnswer | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(answer)
        self.retry_after_seconds = retry_after_seconds


class NoAnswerError(GraphError):
    """No answer came: whether the call took effect is unknown until the next listing."""


class TokenError(GraphError):
    """The managed identity gave us no token."""


class UnreadableAnswerError(GraphError):
    """Microsoft Graph's answer is not of the documented form."""


# After these a call may have taken effect; one that was throttled, in conflict or without a token certainly did not.
UNCERTAIN = (UnavailableError, NoAnswerError, UnreadableAnswerError)
