"""Changes to an account: enable, disable, set a password, revoke sessions."""

from typing import Any

from sandbox.tenant import permissions
from sandbox.tenant.confidential import secrets_of_profile
from sandbox.tenant.directory import User
from sandbox.tenant.exchange import Answer, Request, bad_request
from sandbox.tenant.membership import is_administrator
from sandbox.tenant.permissions import Service
from sandbox.tenant.routing import Route
from sandbox.tenant.switches import (
    GLOBAL_ADMINISTRATOR,
    PRIVILEGED_AUTHENTICATION_ADMINISTRATOR,
    USER_ADMINISTRATOR,
)
from sandbox.tenant.users import check_unrestricted, get_user
from sandbox.tenant.world import World, graph_time

_ENABLE_ROLES = frozenset({"User.EnableDisableAccount.All", "User.Read.All"})
_PASSWORD_ROLES = frozenset({"User-PasswordProfile.ReadWrite.All"})
_OVER_ADMINISTRATORS = frozenset({PRIVILEGED_AUTHENTICATION_ADMINISTRATOR, GLOBAL_ADMINISTRATOR})
_SHORTEST_PASSWORD = 8


def update(world: World, request: Request) -> Answer:
    """`PATCH /users/{id}`: accountEnabled and passwordProfile only, each by its own rights."""
    if not request.body or request.body.keys() - {"accountEnabled", "passwordProfile"}:
        raise permissions.denial(Service.DIRECTORY) if request.body else bad_request("The request has no body.")
    user = get_user(world, request)
    world.issued_secrets |= secrets_of_profile(request.body.get("passwordProfile"))
    check_unrestricted(world, user, Service.DIRECTORY)
    if "accountEnabled" in request.body:
        _check_enable(world, request, user)
    if "passwordProfile" in request.body:
        _check_password(world, request, user)
    if "accountEnabled" in request.body:
        user.properties["accountEnabled"] = request.body["accountEnabled"]
    if "passwordProfile" in request.body:
        user.password_profile = dict(request.body["passwordProfile"])
    return Answer(204, effect=True)


def _check_enable(world: World, request: Request, user: User) -> None:
    if not request.roles >= _ENABLE_ROLES:
        raise permissions.denial(Service.DIRECTORY)
    if is_administrator(world.directory, user) and not world.caller_directory_roles & _OVER_ADMINISTRATORS:
        raise permissions.denial(Service.DIRECTORY)
    if not isinstance(request.body["accountEnabled"], bool):
        raise bad_request("Property accountEnabled value is invalid.")


def _check_password(world: World, request: Request, user: User) -> None:
    if not request.roles >= _PASSWORD_ROLES or not _may_set_password(world, user):
        raise permissions.denial(Service.DIRECTORY)
    if user.properties.get("onPremisesSyncEnabled"):
        raise bad_request(
            "Unable to update the specified properties for on-premises mastered Directory Sync objects"
            " or objects currently undergoing migration."
        )
    if _is_federated(world, user):
        raise bad_request("The password of a user in a federated domain cannot be set.")
    if not _is_complex(request.body["passwordProfile"]):
        raise bad_request("The specified password does not comply with password complexity requirements.")


def _may_set_password(world: World, user: User) -> bool:
    if is_administrator(world.directory, user):
        return bool(world.caller_directory_roles & _OVER_ADMINISTRATORS)
    return bool(world.caller_directory_roles & (_OVER_ADMINISTRATORS | {USER_ADMINISTRATOR}))


def _is_federated(world: World, user: User) -> bool:
    name = user.user_principal_name.rpartition("@")[2].casefold()
    domains = {domain["id"].casefold(): domain.get("authenticationType") for domain in world.directory.domains}
    return domains.get(name) == "Federated"


def _is_complex(profile: Any) -> bool:  # noqa: ANN401 - whatever JSON the caller sent
    password = profile.get("password") if isinstance(profile, dict) else None
    return isinstance(password, str) and len(password) >= _SHORTEST_PASSWORD


def revoke_sessions(world: World, request: Request) -> Answer:
    """`POST /users/{id}/revokeSignInSessions`: every call moves the time on, to the second."""
    user = get_user(world, request)
    check_unrestricted(world, user, Service.DIRECTORY)
    user.properties["signInSessionsValidFromDateTime"] = graph_time(world.now())
    if world.revoke_answers == 204:  # noqa: PLR2004 - the status itself
        return Answer(204, effect=True)
    context = f"{world.url}/{request.version}/$metadata#Edm.Boolean"
    return Answer(200, {"@odata.context": context, "value": True}, effect=True)


ROUTES = (
    Route(
        "PATCH",
        "users/{user}",
        permissions.directory("User.EnableDisableAccount.All", "User-PasswordProfile.ReadWrite.All"),
        update,
    ),
    Route(
        "POST", "users/{user}/revokeSignInSessions", permissions.directory("User.RevokeSessions.All"), revoke_sessions
    ),
)
