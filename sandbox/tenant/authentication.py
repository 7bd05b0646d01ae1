"""What else a user's authentication holds: sign-in preferences, per-user MFA, new Temporary Access Passes."""

import secrets
import uuid

from sandbox.tenant import permissions
from sandbox.tenant.default_method import PREFERENCES, find_carrier
from sandbox.tenant.directory import Json, User, method
from sandbox.tenant.exchange import Answer, Request, bad_request
from sandbox.tenant.method_types import BROAD_READ, BROAD_WRITE
from sandbox.tenant.methods import render_method
from sandbox.tenant.permissions import Service
from sandbox.tenant.routing import BETA, Route
from sandbox.tenant.users import check_unrestricted, get_user
from sandbox.tenant.world import World, graph_time

_PREFERRED = "userPreferredMethodForSecondaryAuthentication"
_SYSTEM_PREFERRED = "isSystemPreferredAuthenticationMethodEnabled"
_PER_USER_STATES = ("disabled", "enabled", "enforced")
_DEFAULT_PASS_MINUTES = 60
_TAP_ROLE = "UserAuthMethod-TAP.ReadWrite.All"


def read_preferences(world: World, request: Request) -> Answer:
    """`GET …/authentication/signInPreferences`."""
    user = get_user(world, request)
    return Answer(200, {_SYSTEM_PREFERRED: user.system_preferred, _PREFERRED: user.default_method})


def update_preferences(world: World, request: Request) -> Answer:
    """`PATCH …/authentication/signInPreferences`: the new default is one that a method of the user can carry."""
    user = get_user(world, request)
    check_unrestricted(world, user, Service.METHODS)
    unknown = request.body.keys() - {_PREFERRED, _SYSTEM_PREFERRED, "@odata.type"}
    system_preferred = request.body.get(_SYSTEM_PREFERRED, user.system_preferred)
    if unknown or not isinstance(system_preferred, bool):
        raise bad_request("The request body is not valid.", "badRequest")
    if (preferred := request.body.get(_PREFERRED)) is not None:
        if preferred not in PREFERENCES or find_carrier(user, preferred) is None:
            raise bad_request("The preferred method is not registered for the user.", "badRequest")
        user.default_method = preferred
    user.system_preferred = system_preferred
    return Answer(204, effect=True)


def read_requirements(world: World, request: Request) -> Answer:
    """`GET …/authentication/requirements`: the per-user MFA state."""
    return Answer(200, {"perUserMfaState": get_user(world, request).per_user_mfa_state})


def update_requirements(world: World, request: Request) -> Answer:
    """`PATCH …/authentication/requirements`."""
    user = get_user(world, request)
    check_unrestricted(world, user, Service.METHODS)
    state = request.body.get("perUserMfaState")
    if state not in _PER_USER_STATES:
        raise bad_request("The value of perUserMfaState is not valid.", "badRequest")
    user.per_user_mfa_state = state
    return Answer(204, effect=True)


def create_pass(world: World, request: Request) -> Answer:
    """`POST …/temporaryAccessPassMethods`: 201 with the code, which no other answer shows; replaces an earlier one."""
    user = get_user(world, request)
    check_unrestricted(world, user, Service.METHODS)
    minutes = request.body.get("lifetimeInMinutes", _DEFAULT_PASS_MINUTES)
    shortest, longest = world.temporary_access_pass_minutes
    if not isinstance(minutes, int) or not shortest <= minutes <= longest:
        raise bad_request(
            "The requested lifetime is outside of the policy:"
            " UserCredentialPolicy does not allow creating or updating this authentication method.",
            "badRequest",
        )
    entry = _new_pass(world, minutes, once=bool(request.body.get("isUsableOnce", False)))
    _replace_pass(user, entry)
    return Answer(
        201, render_method(world, user.methods[-1]) | {"temporaryAccessPass": secrets.token_urlsafe(9)}, effect=True
    )


def _new_pass(world: World, minutes: int, *, once: bool) -> Json:
    now = graph_time(world.now())
    return {
        "createdDateTime": now,
        "startDateTime": now,
        "temporaryAccessPass": None,
        "lifetimeInMinutes": minutes,
        "isUsableOnce": once,
    }


def _replace_pass(user: User, entry: Json) -> None:
    user.methods = [each for each in user.methods if each.type != "temporaryAccessPass"]
    user.methods.append(method("temporaryAccessPass", str(uuid.uuid4()), **entry))


ROUTES = (
    Route(
        "GET",
        "users/{user}/authentication/signInPreferences",
        permissions.methods(BROAD_READ, BROAD_WRITE),
        read_preferences,
        BETA,
    ),
    Route(
        "PATCH",
        "users/{user}/authentication/signInPreferences",
        permissions.methods(BROAD_WRITE),
        update_preferences,
        BETA,
    ),
    Route(
        "GET",
        "users/{user}/authentication/requirements",
        permissions.methods("Policy.Read.All", "Policy.ReadWrite.AuthenticationMethod"),
        read_requirements,
        BETA,
    ),
    Route(
        "PATCH",
        "users/{user}/authentication/requirements",
        permissions.methods("Policy.ReadWrite.AuthenticationMethod"),
        update_requirements,
        BETA,
    ),
    Route(
        "POST",
        "users/{user}/authentication/temporaryAccessPassMethods",
        permissions.methods(BROAD_WRITE, _TAP_ROLE),
        create_pass,
    ),
)
