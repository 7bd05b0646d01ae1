"""What else a user's authentication holds: sign-in preferences, per-user MFA, new Temporary Access Passes."""

import secrets
import uuid
from datetime import UTC, datetime

from sandbox.tenant import permissions
from sandbox.tenant.default_method import PREFERENCES, find_carrier
from sandbox.tenant.directory import Json, User, method
from sandbox.tenant.exchange import Answer, GraphError, Request, bad_request
from sandbox.tenant.method_types import BROAD_READ, BROAD_WRITE
from sandbox.tenant.methods import render_typed
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
    entry = _read_pass(world, request.body)
    code = secrets.token_urlsafe(9)
    world.issued_secrets.add(code)
    _replace_pass(user, entry)
    return Answer(201, render_typed(world, user.methods[-1]) | {"temporaryAccessPass": code}, effect=True)


def _read_pass(world: World, body: Json) -> Json:
    minutes, once = body.get("lifetimeInMinutes", _DEFAULT_PASS_MINUTES), body.get("isUsableOnce", False)
    if not world.temporary_access_passes_allowed:
        raise _outside_policy("Temporary Access Pass is not enabled for the user")
    shortest, longest = world.temporary_access_pass_minutes
    if not isinstance(minutes, int) or not shortest <= minutes <= longest:
        raise _outside_policy("The requested lifetime is outside of the policy")
    if not isinstance(once, bool):
        raise bad_request("The value of isUsableOnce is not valid.", "badRequest")
    return {
        "createdDateTime": graph_time(world.now()),
        "startDateTime": _read_start(world, body),
        "temporaryAccessPass": None,
        "lifetimeInMinutes": minutes,
        "isUsableOnce": once,
    }


def _outside_policy(reason: str) -> GraphError:
    return bad_request(
        f"{reason}: UserCredentialPolicy does not allow creating or updating this authentication method.", "badRequest"
    )


def _read_start(world: World, body: Json) -> str:
    if (text := body.get("startDateTime")) is None:
        return graph_time(world.now())
    try:
        starts_at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise bad_request("The value of startDateTime is not valid.", "badRequest") from None
    return graph_time(starts_at if starts_at.tzinfo else starts_at.replace(tzinfo=UTC))


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
        method_type="temporaryAccessPass",
    ),
)
