"""The words of the domain: ids and enums. Enum values are wire contracts: a test freezes them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

UserId = NewType("UserId", str)  # an object id in lower case
GroupId = NewType("GroupId", str)
RoleId = NewType("RoleId", str)  # the template id of a directory role
MethodId = NewType("MethodId", str)
RequestId = NewType("RequestId", str)
Caller = NewType("Caller", str)  # `queue`, `functionKey` or an object id
ProfileName = NewType("ProfileName", str)
Mark = NewType("Mark", str)  # under which the ledger keeps something about a user

QUEUE = Caller("queue")
FUNCTION_KEY = Caller("functionKey")


class Source(StrEnum):
    """By which door a request came."""

    QUEUE = "queue"
    HTTP = "http"


class MethodType(StrEnum):
    """The types of authentication method that we know how to remove."""

    PHONE = "phone"
    MICROSOFT_AUTHENTICATOR = "microsoftAuthenticator"
    SOFTWARE_OATH = "softwareOath"
    HARDWARE_OATH = "hardwareOath"
    EMAIL = "email"
    FIDO2 = "fido2"
    WINDOWS_HELLO = "windowsHelloForBusiness"
    PLATFORM_CREDENTIAL = "platformCredential"
    TEMPORARY_ACCESS_PASS = "temporaryAccessPass"  # noqa: S105 - the name of a type, no pass
    EXTERNAL = "external"
    QR_CODE_PIN = "qrCodePin"


class StepName(StrEnum):
    """What is done to a user besides removing methods, in the safe order (product.md 2)."""

    DISABLE_ACCOUNT = "disableAccount"
    REVOKE_SESSIONS = "revokeSessions"
    CONFIRM_COMPROMISED = "confirmCompromised"
    CONTAINMENT_GROUP = "containmentGroup"
    RESET_PASSWORD = "resetPassword"  # noqa: S105 - the name of a step
    PER_USER_MFA = "perUserMfa"
    TEMPORARY_ACCESS_PASS = "temporaryAccessPass"  # noqa: S105 - as above
    ENABLE_ACCOUNT = "enableAccount"


AFTER_VERIFYING = frozenset({StepName.PER_USER_MFA, StepName.TEMPORARY_ACCESS_PASS, StepName.ENABLE_ACCOUNT})


@dataclass(frozen=True)
class Step:
    """A step of a profile, and what it is about: a group for `containmentGroup`, a state for `perUserMfa`."""

    name: StepName
    argument: str | None = None

    def __str__(self) -> str:
        """Write it as policies and outcomes do: `containmentGroup:<object id>`."""
        return f"{self.name}:{self.argument}" if self.argument else f"{self.name}"


def in_safe_order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Put steps in the order in which they are taken, whatever the order written."""
    places = list(StepName)
    return tuple(sorted(steps, key=lambda step: places.index(step.name)))


class WaitingFor(StrEnum):
    """Why a request has not ended yet."""

    PAUSED = "paused"
    HOURLY_LIMIT = "hourlyLimit"
    THROTTLED = "throttled"
    OPERATOR_NEEDED = "operatorNeeded"
    ANOTHER_RESET = "anotherReset"
    GRAPH_UNAVAILABLE = "graphUnavailable"
    NEXT_DELIVERY = "nextDelivery"


class BudgetKind(StrEnum):
    """What an hourly limit counts."""

    RESETS = "resets"
    PRIVILEGED = "privileged"
    DRY_RUNS = "dryRuns"


class Removal(StrEnum):
    """How a method stops working."""

    DELETE = "delete"
    DEACTIVATE = "deactivate"


class RemovalAnswer(StrEnum):
    """What a removal was answered; only a later listing shows what became of the method."""

    UNKNOWN = "unknown"  # under way when the process ended, or no answer that is certain: it may have taken effect
    ACCEPTED = "accepted"
    NOT_FOUND = "notFound"


class Status(StrEnum):
    """How a request ended."""

    COMPLETED = "completed"
    PARTIAL = "partial"
    COVERED = "covered"
    PLANNED = "planned"
    REFUSED = "refused"
    INVALID = "invalid"
    FAILED = "failed"


class MethodResult(StrEnum):
    """What became of one method."""

    DELETED = "deleted"
    ALREADY_GONE = "alreadyGone"
    DEACTIVATED = "deactivated"
    KEPT = "kept"
    REMAINING = "remaining"
    UNSUPPORTED = "unsupported"
    NOT_PERMITTED = "notPermitted"
    UNCONFIRMED = "unconfirmed"
    WOULD_DELETE = "wouldDelete"
    WOULD_DEACTIVATE = "wouldDeactivate"


class StepResult(StrEnum):
    """What became of one step."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    NOT_PERMITTED = "notPermitted"
    WOULD_DO = "wouldDo"
