"""What will be done, what was found and done, and how it ended."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.model.directory import Method, SignIn, User
from shared.model.requests import Budget, Incident, RequestKey, ResetRequest
from shared.vocabulary import (
    Caller,
    MethodId,
    MethodResult,
    ProfileName,
    Removal,
    RemovalAnswer,
    RequestId,
    Source,
    Status,
    Step,
    StepResult,
    UserId,
    WaitingFor,
)


@dataclass(frozen=True)
class Reason:
    """Why, as a stable code and a sentence; `method` is the id of the method, `step` the step that it is about."""

    code: str
    text: str
    method: MethodId | None = None
    step: str | None = None


@dataclass(frozen=True)
class Tried:
    """A try to remove a method that may have removed it, or found it gone: how, and with what answer."""

    removal: Removal
    answer: RemovalAnswer


@dataclass(frozen=True)
class MethodLine:
    """One method in an outcome.

    `result` is None only in evidence, while no listing shows what became of the method. `tried` is kept in the ledger
    and shown to nobody: None where nothing was tried, or where a refusal says that the tries had no effect.
    """

    type: str
    id: MethodId
    detail: str | None = None
    registered_at: datetime | None = None
    result: MethodResult | None = None
    error: str | None = None
    tried: Tried | None = None


@dataclass(frozen=True)
class StepLine:
    """One step in an outcome."""

    step: str
    result: StepResult
    at: datetime
    detail: str | None = None


@dataclass(frozen=True)
class PlannedRemoval:
    """One method and how it will be removed."""

    method: Method
    removal: Removal


@dataclass(frozen=True)
class PlannedStep:
    """One step; `skipped` is the code of the reason for which it will not be taken."""

    step: Step
    skipped: str | None = None


@dataclass(frozen=True)
class Plan:
    """What will be done, in this order; `staying` are the methods that will not be touched, each with its reason.

    `revokeSessions` among the steps is done again after the removals: whoever still held a session may have used it.
    """

    steps: tuple[PlannedStep, ...]
    removals: tuple[PlannedRemoval, ...]
    staying: tuple[MethodLine, ...]


@dataclass(frozen=True)
class Evidence:
    """What was found before the first change and what has become of it: a resumed reset goes on from here.

    `every_type_listed` is False where our identity may list known types only, so that others would go unseen.
    """

    user: User
    started_at: datetime
    methods: tuple[MethodLine, ...] = ()
    steps: tuple[StepLine, ...] = ()
    sign_in: SignIn | None = None
    every_type_listed: bool = True

    def with_method(self, line: MethodLine) -> "Evidence":
        """Replace the line of the same type and id, or add it."""
        known = [old for old in self.methods if (old.type, old.id) == (line.type, line.id)]
        if not known:
            return replace(self, methods=(*self.methods, line))
        return replace(self, methods=tuple(line if old is known[0] else old for old in self.methods))

    def with_step(self, line: StepLine) -> "Evidence":
        """Replace the line of the same step, or add it."""
        if all(old.step != line.step for old in self.steps):
            return replace(self, steps=(*self.steps, line))
        return replace(self, steps=tuple(line if old.step == line.step else old for old in self.steps))


@dataclass(frozen=True)
class CoveredBy:
    """What covers a request; `verified_at` is the start of its last verifying listing.

    It is None where that request was refused and took steps instead: nothing was listed.
    """

    request_id: RequestId
    caller: Caller
    status: Status
    verified_at: datetime | None


@dataclass(frozen=True)
class Outcome:
    """How one request ended: the HTTP answer, the message on the outcome topic, the ledger entry.

    `asked` is the user's identifier as the request named it; `replayed` marks an earlier outcome that is given again.
    """

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
    asked: str | None = None
    covered_by: CoveredBy | None = None
    replayed: bool = False


@dataclass(frozen=True)
class Waiting:
    """Why a request waits, and since when: it is next tried at its `due_at`.

    `budget` is the hourly budget in whose line it has its place; None where it may go on as soon as the obstacle ends.
    """

    why: WaitingFor
    since: datetime
    budget: Budget | None = None


@dataclass(frozen=True)
class HeldBack:
    """A request that an operator's pause or an hourly limit holds back, and when it is due."""

    key: RequestKey
    due_at: datetime
    waiting: Waiting


MALFORMED = "malformed"  # stands for the fingerprint of what is no request


@dataclass(frozen=True)
class AcceptedRequest:
    """A request that the ledger holds: from here on it ends somewhere visible.

    `run` counts how often it was asked for again after an outcome. Something will take it up by `due_at`, and what
    comes a good deal earlier is superseded; patience counts from `patient_since`. `user_id` is the user that the
    request's identifier led to in the first delivery: a name that changes hands later leads to nobody else.
    """

    key: RequestKey
    fingerprint: str
    request: ResetRequest
    source: Source
    accepted_at: datetime
    first_enqueued_at: datetime
    due_at: datetime
    patient_since: datetime
    run: int = 1
    attempts: int = 0
    evidence: Evidence | None = None
    outcome: Outcome | None = None
    reported: bool = False
    user_id: UserId | None = None
    waiting: Waiting | None = None

    @property
    def is_malformed(self) -> bool:
        """Whether it is no request, kept only so that it can be looked up: one under the same id takes its place."""
        return self.fingerprint == MALFORMED
