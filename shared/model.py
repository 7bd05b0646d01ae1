"""The frozen values that everything speaks in."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.vocabulary import (
    Caller,
    GroupId,
    MethodId,
    MethodResult,
    MethodType,
    ProfileName,
    Removal,
    RequestId,
    RoleId,
    Source,
    Status,
    StepName,
    StepResult,
    UserId,
)

# --- Requests ---------------------------------------------------------------------------------------------------


class ReferenceKind(StrEnum):
    """How a request names its user."""

    OBJECT_ID = "objectId"
    USER_PRINCIPAL_NAME = "userPrincipalName"
    SECURITY_IDENTIFIER = "securityIdentifier"


@dataclass(frozen=True)
class UserReference:
    """A user as a request names them; `value` is normalised (lower case, a cloud SID decoded to its object id)."""

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
    """One user to reset, as asked for."""

    request_id: RequestId
    user: UserReference
    profile: ProfileName
    reason: str | None = None
    requested_by: str | None = None
    observed_at: datetime | None = None
    selection: Selection = Selection()
    incident: Incident | None = None
    dry_run: bool = False


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


@dataclass(frozen=True, order=True)
class RequestKey:
    """What makes a request the same request: who asks, and the id they gave it."""

    caller: Caller
    request_id: RequestId

    def __str__(self) -> str:
        """`<caller>:<request id>`; a caller holds no colon."""
        return f"{self.caller}:{self.request_id}"


def parse_key(text: str) -> RequestKey | None:
    """Read what `str(key)` wrote; None where it is no key."""
    caller, colon, request_id = text.partition(":")
    return RequestKey(Caller(caller), RequestId(request_id)) if caller and colon and request_id else None


@dataclass(frozen=True)
class AcceptedRequest:
    """A request that the ledger holds: from here on it ends somewhere visible."""

    key: RequestKey
    fingerprint: str
    request: ResetRequest
    source: Source
    accepted_at: datetime
    first_enqueued_at: datetime
    attempts: int = 0
    evidence: "Evidence | None" = None
    outcome: "Outcome | None" = None
    reported: bool = False


# --- The directory ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class User:
    """What we read of a user. `None` is what Graph answered, never what we could not read."""

    id: UserId
    user_principal_name: str
    user_type: str | None
    account_enabled: bool | None
    on_premises_synced: bool
    management_restricted: bool
    sessions_valid_from: datetime | None

    @property
    def is_guest(self) -> bool:
        """A guest by type, or by the name that Entra gives a user of another tenant."""
        return (self.user_type or "").casefold() == "guest" or "#ext#" in self.user_principal_name.casefold()


@dataclass(frozen=True)
class Group:
    """A group that the user is a member of, directly or through others."""

    id: GroupId
    role_assignable: bool


@dataclass(frozen=True)
class RoleHolding:
    """An active assignment of a directory role, to the user or to a group of theirs."""

    role: RoleId
    through: GroupId | None = None


@dataclass(frozen=True)
class Subject:
    """The facts that the guard judges, all of them read: one that could not be read raises instead."""

    user: User
    groups: tuple[Group, ...]
    roles: tuple[RoleHolding, ...]


@dataclass(frozen=True)
class Method:
    """A registered authentication method. `type` is None where its `odata_type` is not in the catalogue.

    `detail` is safe to show: numbers and addresses are masked. `active` is False for a hardware OATH token that is
    assigned but not activated, None where Graph does not say.
    """

    type: MethodType | None
    odata_type: str
    id: MethodId
    detail: str | None = None
    registered_at: datetime | None = None
    active: bool | None = None


# --- Decision and plan ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reason:
    """Why, as a stable code and a sentence."""

    code: str
    text: str


@dataclass(frozen=True)
class PlannedRemoval:
    """One method and how it will be removed."""

    method: Method
    removal: Removal


@dataclass(frozen=True)
class Plan:
    """What will be done, in this order; `staying` are the methods that will not be touched, each with its reason.

    `revokeSessions` among the steps is done again after the removals: whoever still held a session may have used it.
    """

    steps: tuple[StepName, ...]
    removals: tuple[PlannedRemoval, ...]
    staying: "tuple[MethodLine, ...]"


# --- Outcome ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MethodLine:
    """One method in an outcome. `result` is None only in evidence, before anything was tried."""

    type: str
    id: MethodId
    detail: str | None = None
    registered_at: datetime | None = None
    result: MethodResult | None = None
    error: str | None = None


@dataclass(frozen=True)
class StepLine:
    """One step in an outcome."""

    step: str
    result: StepResult
    at: datetime
    detail: str | None = None


@dataclass(frozen=True)
class Evidence:
    """What was found before the first change and what has become of it: a resumed reset goes on from here."""

    user: User
    started_at: datetime
    methods: tuple[MethodLine, ...] = ()
    steps: tuple[StepLine, ...] = ()

    def with_method(self, line: MethodLine) -> "Evidence":
        """Replace the line of the same type and id, or add it."""
        known = [old for old in self.methods if (old.type, old.id) == (line.type, line.id)]
        if not known:
            return replace(self, methods=(*self.methods, line))
        return replace(self, methods=tuple(line if old is known[0] else old for old in self.methods))

    def with_step(self, line: StepLine) -> "Evidence":
        """Replace the line of the same step, or add it."""
        others = tuple(old for old in self.steps if old.step != line.step)
        return replace(self, steps=(*others, line))


@dataclass(frozen=True)
class Outcome:
    """How one request ended: the HTTP answer, the message on the outcome topic, the ledger entry."""

    request_id: RequestId
    caller: Caller
    status: Status
    source: Source
    accepted_at: datetime
    finished_at: datetime
    dry_run: bool = False
    user_id: UserId | None = None
    user_principal_name: str | None = None
    profile: ProfileName | None = None
    reasons: tuple[Reason, ...] = ()
    methods: tuple[MethodLine, ...] = ()
    steps: tuple[StepLine, ...] = ()
    verified: bool = False
    verified_at: datetime | None = None
    follow_ups: tuple[Reason, ...] = ()
    requested_by: str | None = None
    incident: Incident | None = None
    started_at: datetime | None = None
