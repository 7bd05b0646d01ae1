"""What is asked for, and by whom."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.vocabulary import BudgetKind, Caller, ProfileName, RequestId


class ReferenceKind(StrEnum):
    """How a request names its user."""

    OBJECT_ID = "objectId"
    USER_PRINCIPAL_NAME = "userPrincipalName"
    SECURITY_IDENTIFIER = "securityIdentifier"
    ACCOUNT_NAME = "accountName"


@dataclass(frozen=True)
class UserReference:
    r"""A user as a request names them; `value` is normalised (lower case, a cloud SID decoded to its object id).

    An account name is `<DNS name of its domain>\<SAM account name>`.
    """

    kind: ReferenceKind
    value: str


@dataclass(frozen=True)
class Incident:
    """Where the request comes from, for the people who read the outcome."""

    id: str | None = None
    url: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class Selection:
    """What a request leaves out of its profile's scope."""

    keep: tuple[str, ...] = ()
    only_registered_after: datetime | None = None
    keep_undated: bool = False

    def __bool__(self) -> bool:
        """Whether anything is left out at all."""
        return self != Selection()


@dataclass(frozen=True)
class ResetRequest:
    """One user to reset, as asked for; `also` are weaker identifiers that were given beside `user`, strongest first.

    `asked` is the identifier as the sender wrote it, for the outcome only.
    """

    request_id: RequestId
    user: UserReference
    profile: ProfileName
    reason: str | None = None
    requested_by: str | None = None
    observed_at: datetime | None = None
    selection: Selection = Selection()
    incident: Incident | None = None
    dry_run: bool = False
    also: tuple[UserReference, ...] = ()
    asked: str | None = None


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a request: where (`path`, as in `users[3]`), which (`code`), in words (`text`)."""

    path: str
    code: str
    text: str


@dataclass(frozen=True)
class InvalidItem:
    """A request that cannot be understood, with all that is wrong with it."""

    request_id: RequestId | None
    problems: tuple[Problem, ...]
    asked: str | None = None


@dataclass(frozen=True, order=True)
class RequestKey:
    """What makes a request the same request: who asks, and the id they gave it."""

    caller: Caller
    request_id: RequestId

    def __str__(self) -> str:
        """`<caller>:<request id>`; a caller holds no colon."""
        return f"{self.caller}:{self.request_id}"


@dataclass(frozen=True)
class Budget:
    """What one caller may start within an hour, of one kind; requests over it wait in the order of their acceptance."""

    caller: Caller
    kind: BudgetKind

    def __str__(self) -> str:
        """`<caller>:<kind>`; a caller holds no colon."""
        return f"{self.caller}:{self.kind}"


def parse_budget(text: str) -> Budget | None:
    """Read what `str(budget)` wrote; None where it is no budget."""
    caller, _, kind = text.partition(":")
    return Budget(Caller(caller), BudgetKind(kind)) if caller and kind in set(BudgetKind) else None
