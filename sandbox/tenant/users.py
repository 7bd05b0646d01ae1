"""Users: read one, a deleted one too, look one up by name or SID, read their domain."""

from datetime import timedelta

from sandbox.tenant import permissions
from sandbox.tenant.directory import Json, User
from sandbox.tenant.exchange import Answer, Request, not_found
from sandbox.tenant.membership import is_restricted
from sandbox.tenant.pages import answer_page
from sandbox.tenant.permissions import Service
from sandbox.tenant.query import (
    COLLECTION_OPTIONS,
    ENTITY_OPTIONS,
    check_options,
    is_advanced,
    read_filter,
    read_select,
    unsupported_filter,
)
from sandbox.tenant.routing import Route
from sandbox.tenant.world import World, graph_time

DEFAULT_PROPERTIES = (
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
)
"""What comes back without `$select`."""
PROPERTIES = frozenset(DEFAULT_PROPERTIES) | {
    "userType",
    "accountEnabled",
    "onPremisesSyncEnabled",
    "isManagementRestricted",
    "signInSessionsValidFromDateTime",
    "onPremisesSecurityIdentifier",
    "securityIdentifier",
    "onPremisesSamAccountName",
    "onPremisesDomainName",
    "onPremisesUserPrincipalName",
    "authorizationInfo",
    "createdDateTime",
    "deletedDateTime",
    "identities",
}
_FILTERABLE = {"userPrincipalName", "id", "onPremisesSecurityIdentifier", "securityIdentifier"}
_FILTERABLE_ADVANCED = {"onPremisesSamAccountName"}
_RETENTION = timedelta(days=30)
_READ = permissions.directory("User.Read.All", "User.ReadWrite.All", "Directory.Read.All")


def get_user(world: World, request: Request) -> User:
    """Return the user that the address names, by object id or user principal name; raise 404 without one."""
    name = request.parameters["user"]
    user = world.directory.find_user(name)
    if user is None:
        raise not_found(name)
    return user


def check_unrestricted(world: World, user: User, service: Service) -> None:
    """Raise 403 for a member of a restricted management administrative unit."""
    if is_restricted(world.directory, user):
        raise permissions.restricted_denial(service)


def render_user(world: World, user: User, names: tuple[str, ...] | None) -> Json:
    """Return a user's selected properties, null where the directory has nothing."""
    entity = {name: user.properties.get(name) for name in names or DEFAULT_PROPERTIES}
    if "businessPhones" in entity:
        entity["businessPhones"] = entity["businessPhones"] or []
    if "isManagementRestricted" in entity:
        # Graph shows null, not false, for a user in no restricted unit.
        entity["isManagementRestricted"] = is_restricted(world.directory, user) or None
    if "authorizationInfo" in entity:
        entity["authorizationInfo"] = entity["authorizationInfo"] or {"certificateUserIds": []}
    if "deletedDateTime" in entity:
        entity["deletedDateTime"] = graph_time(user.deleted_at) if user.deleted_at else None
    return entity


def _read_select(world: World, request: Request) -> tuple[str, ...] | None:
    hidden = world.authorization_info_in == "beta" and request.version == "v1.0"
    return read_select(request, PROPERTIES - {"authorizationInfo"} if hidden else PROPERTIES, "user")


def read_one(world: World, request: Request) -> Answer:
    """`GET /users/{id}`."""
    check_options(request, ENTITY_OPTIONS)
    names = _read_select(world, request)
    user = get_user(world, request)
    context = {"@odata.context": f"{world.url}/{request.version}/$metadata#users/$entity"}
    return Answer(200, context | render_user(world, user, names))


def read_all(world: World, request: Request) -> Answer:
    """`GET /users`, by a filter or all of them."""
    check_options(request, COLLECTION_OPTIONS)
    names = _read_select(world, request)
    clauses = read_filter(request, _FILTERABLE | _FILTERABLE_ADVANCED, "User")
    for clause in clauses:
        if clause.name in _FILTERABLE_ADVANCED and not is_advanced(request):
            raise unsupported_filter(clause.name, "User")
    found = [
        user for user in world.directory.users.values() if all(clause.holds(user.properties) for clause in clauses)
    ]
    return answer_page(world, request, [render_user(world, user, names) for user in found], "users")


def read_deleted(world: World, request: Request) -> Answer:
    """`GET /directory/deletedItems/{id}`, where every deleted object is a user: it says so."""
    answer = read_deleted_user(world, request)
    context = {"@odata.context": f"{world.url}/{request.version}/$metadata#directoryObjects/$entity"}
    return Answer(200, answer.body | context | {"@odata.type": "#microsoft.graph.user"})


def read_deleted_user(world: World, request: Request) -> Answer:
    """`GET /directory/deletedItems/{id}/microsoft.graph.user`: 404 after 30 days, as for whoever was not deleted."""
    check_options(request, ENTITY_OPTIONS)
    names = _read_select(world, request)
    object_id, now = request.parameters["object"], world.now()
    user = world.directory.deleted_users.get(object_id.casefold())
    if user is None:
        raise not_found(object_id)
    user.deleted_at = user.deleted_at or now
    if now - user.deleted_at >= _RETENTION:
        raise not_found(object_id)
    context = {"@odata.context": f"{world.url}/{request.version}/$metadata#users/$entity"}
    return Answer(200, context | render_user(world, user, names))


def read_domain(world: World, request: Request) -> Answer:
    """`GET /domains/{domain}`."""
    check_options(request, ENTITY_OPTIONS)
    name = request.parameters["domain"]
    for domain in world.directory.domains:
        if domain["id"].casefold() == name.casefold():
            return Answer(200, {"@odata.context": f"{world.url}/{request.version}/$metadata#domains/$entity"} | domain)
    raise not_found(name)


ROUTES = (
    Route("GET", "users", _READ, read_all),
    Route("GET", "users/{user}", _READ, read_one),
    Route("GET", "directory/deletedItems/{object}", _READ, read_deleted),
    Route("GET", "directory/deletedItems/{object}/microsoft.graph.user", _READ, read_deleted_user),
    Route("GET", "domains/{domain}", permissions.directory("Domain.Read.All", "Directory.Read.All"), read_domain),
)
