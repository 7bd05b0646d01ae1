"""The frozen values that everything speaks in."""

from shared.model.directory import Group, Method, RoleHolding, SignIn, Subject, User
from shared.model.history import Control, Coverage
from shared.model.record import (
    AcceptedRequest,
    CoveredBy,
    Evidence,
    MethodLine,
    Outcome,
    Plan,
    PlannedRemoval,
    PlannedStep,
    Reason,
    StepLine,
    Waiting,
)
from shared.model.requests import (
    Incident,
    InvalidItem,
    Problem,
    ReferenceKind,
    RequestKey,
    ResetRequest,
    Selection,
    UserReference,
    parse_key,
)

__all__ = [
    "AcceptedRequest",
    "Control",
    "Coverage",
    "CoveredBy",
    "Evidence",
    "Group",
    "Incident",
    "InvalidItem",
    "Method",
    "MethodLine",
    "Outcome",
    "Plan",
    "PlannedRemoval",
    "PlannedStep",
    "Problem",
    "Reason",
    "ReferenceKind",
    "RequestKey",
    "ResetRequest",
    "RoleHolding",
    "Selection",
    "SignIn",
    "StepLine",
    "Subject",
    "User",
    "UserReference",
    "Waiting",
    "parse_key",
]
