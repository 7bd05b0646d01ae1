"""Which app roles a call needs, and how each of Graph's services words its refusal."""

import json
from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from sandbox.tenant.exchange import GraphError


class Service(Enum):
    """The service behind Graph that answers a call; each refuses in its own words."""

    METHODS = auto()
    DIRECTORY = auto()
    PRIVILEGED_ACCESS = auto()
    IDENTITY_PROTECTION = auto()


@dataclass(frozen=True)
class Permission:
    """Any one of these app roles will do."""

    service: Service
    any_of: frozenset[str]


def methods(*roles: str) -> Permission:
    """Return a permission of the authentication methods service."""
    return Permission(Service.METHODS, frozenset(roles))


def directory(*roles: str) -> Permission:
    """Return a permission of the directory."""
    return Permission(Service.DIRECTORY, frozenset(roles))


def check(permission: Permission, roles: frozenset[str]) -> None:
    """Raise the service's 403 unless one of the roles is held."""
    if not permission.any_of & roles:
        raise denial(permission.service, permission.any_of)


def denial(service: Service, wanted: frozenset[str] = frozenset()) -> GraphError:
    """Return a service's answer to a caller without the right."""
    names = ",".join(sorted(wanted))
    match service:
        case Service.METHODS:
            return GraphError(403, "accessDenied", "Request Authorization failed")
        case Service.DIRECTORY:
            message = "Insufficient privileges to complete the operation."
            return GraphError(403, "Authorization_RequestDenied", message)
        case Service.PRIVILEGED_ACCESS:
            reason = f"Authorization failed due to missing permission scope {names}."
            content = {"errorCode": "PermissionScopeNotGranted", "message": reason, "instanceAnnotations": []}
            return GraphError(403, "UnknownError", json.dumps(content, separators=(",", ":")))
        case Service.IDENTITY_PROTECTION:
            message = f"You cannot perform the requested operation, required scopes are missing in the token: {names}."
            return GraphError(403, "Forbidden", message)
        case _:
            assert_never(service)


def restricted_denial(service: Service) -> GraphError:
    """Return the answer to a change of a member of a restricted management administrative unit."""
    refusal = denial(service)
    reason = (
        "Target object is a member of a restricted management administrative unit"
        " and can only be modified by administrators scoped to that administrative unit."
    )
    return GraphError(refusal.status, refusal.code, f"{refusal.message} {reason}")
