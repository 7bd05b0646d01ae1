"""Authentication methods: list them all or by type, read one, delete one, deactivate a hardware token."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sandbox.tenant import permissions
from sandbox.tenant.confidential import secrets_of_method
from sandbox.tenant.default_method import check_delete, is_activated, is_refused_default, settle_default
from sandbox.tenant.directory import Departing, Json, Method, User
from sandbox.tenant.exchange import Answer, GraphError, Request, bad_request
from sandbox.tenant.method_types import BETA_ONLY_IN_LISTS, BROAD_READ, BROAD_WRITE, METHOD_TYPES, MethodType
from sandbox.tenant.pages import answer_page
from sandbox.tenant.permissions import Service
from sandbox.tenant.query import check_options
from sandbox.tenant.routing import BETA, BOTH, Handler, Route
from sandbox.tenant.users import check_unrestricted, get_user
from sandbox.tenant.world import World

_READ_ALL = permissions.methods(BROAD_READ, BROAD_WRITE)
_NO_OPTIONS = frozenset({"$skiptoken"})


def list_methods(world: World, user: User) -> list[Method]:
    """Return what a listing shows now: the user's methods, and those deleted so lately that they still show.

    Of a type that the tenant's cloud does not have, none is shown.
    """
    now = world.now()
    user.departing = [each for each in user.departing if each.listed_until > now]
    listed = user.methods + [each.method for each in user.departing]
    return [method for method in listed if method.type not in world.absent_types]


def render_method(world: World, method: Method) -> Json:
    """Return a method as Graph shows it; a Temporary Access Pass is usable for its lifetime only."""
    if method.type != "temporaryAccessPass":
        return dict(method.properties)
    started_at, minutes = method.properties.get("startDateTime"), method.properties.get("lifetimeInMinutes")
    if started_at is None or minutes is None:
        return dict(method.properties)
    return method.properties | _usability(world, str(started_at), int(minutes))


def render_typed(world: World, method: Method) -> Json:
    """Return a method as its type's own address shows it, which need not name the type."""
    entity = render_method(world, method)
    if not world.typed_collections_name_the_type:
        del entity["@odata.type"]
    return entity


def _usability(world: World, started_at: str, minutes: int) -> Json:
    start, now = datetime.fromisoformat(started_at), world.now()
    if now < start:
        return {"isUsable": False, "methodUsabilityReason": "NotYetValid"}
    if now >= start + timedelta(minutes=minutes):
        return {"isUsable": False, "methodUsabilityReason": "Expired"}
    return {"isUsable": True, "methodUsabilityReason": "EnabledByPolicy"}


def read_all(world: World, request: Request) -> Answer:
    """`GET …/authentication/methods`: every type that the version's model has; takes no OData options."""
    check_options(request, _NO_OPTIONS)
    hidden = BETA_ONLY_IN_LISTS if request.version == "v1.0" else frozenset()
    listed = list_methods(world, get_user(world, request))
    return _answer_methods(world, request, [render_method(world, each) for each in listed if each.type not in hidden])


def read_one(world: World, request: Request) -> Answer:
    """`GET …/authentication/methods/{id}`."""
    return Answer(200, render_method(world, _find_listed(world, request, None)))


def _answer_methods(world: World, request: Request, items: Sequence[Json]) -> Answer:
    return answer_page(world, request, items, "users/authentication/methods")


def _find_listed(world: World, request: Request, type_name: str | None) -> Method:
    for method in list_methods(world, get_user(world, request)):
        if method.id == request.parameters["method"] and type_name in (None, method.type):
            return method
    raise _no_such_method()


def _no_such_method() -> GraphError:
    return GraphError(404, "resourceNotFound", "The requested authentication method was not found.")


def refuse_generic_delete(world: World, request: Request) -> Answer:
    """`DELETE …/authentication/methods/{id}` does not exist, and is not even answered in Graph's shape."""
    address = f"{world.url}{request.question.path}"
    return Answer(404, {"Message": f"No HTTP resource was found that matches the request URI '{address}'."})


def delete_method(world: World, user: User, method: Method) -> Answer:
    """Delete a method unless a rule keeps it; it stays listed for the tenant's delay."""
    check_unrestricted(world, user, Service.METHODS)
    other_types = world.other_methods - world.absent_types
    check_delete(user, method, other_types, _next_text(world, user, method, other_types))
    world.issued_secrets |= secrets_of_method(method)
    user.methods.remove(method)
    settle_default(user)
    listed_until = world.now() + timedelta(seconds=world.visibility_delay_seconds)
    user.departing.append(Departing(method, listed_until))
    return Answer(204, effect=True)


def _next_text(world: World, user: User, method: Method, other_types: Collection[str]) -> int:
    if world.default_text != "alternating":
        return world.default_text
    if is_refused_default(user, method, other_types):
        world.default_refusals += 1
    return 2 - world.default_refusals % 2


def _get_typed(user: User, method_id: str, type_name: str) -> Method:
    method = user.find_method(method_id)
    if method is None or method.type != type_name:
        raise _no_such_method()
    return method


def _type_reader(type_name: str) -> Handler:
    def answer(world: World, request: Request) -> Answer:
        check_options(request, _NO_OPTIONS)
        listed = list_methods(world, get_user(world, request))
        items = [render_typed(world, method) for method in listed if method.type == type_name]
        return _answer_methods(world, request, items)

    return answer


def _one_reader(type_name: str) -> Handler:
    def answer(world: World, request: Request) -> Answer:
        return Answer(200, render_typed(world, _find_listed(world, request, type_name)))

    return answer


def _deleter(type_name: str, form: str | None = None) -> Handler:
    def answer(world: World, request: Request) -> Answer:
        if form not in (None, world.external_delete_form):
            raise bad_request("The address is not valid for this operation.", "badRequest")
        user = get_user(world, request)
        return delete_method(world, user, _get_typed(user, request.parameters["method"], type_name))

    return answer


def read_qr_code_pin(world: World, request: Request) -> Answer:
    """`GET …/authentication/qrCodePinMethod`: the one entry, without an id in the address."""
    for method in list_methods(world, get_user(world, request)):
        if method.type == "qrCodePin":
            return Answer(200, render_typed(world, method))
    raise _no_such_method()


def delete_qr_code_pin(world: World, request: Request) -> Answer:
    """`DELETE …/authentication/qrCodePinMethod`: QR codes and PIN together."""
    user = get_user(world, request)
    for method in user.methods:
        if method.type == "qrCodePin":
            return delete_method(world, user, method)
    raise _no_such_method()


def deactivate(world: World, request: Request) -> Answer:
    """`POST …/hardwareOathMethods/{id}/deactivate`: the token stays assigned; a second call changes nothing."""
    user = get_user(world, request)
    method = _get_typed(user, request.parameters["method"], "hardwareOath")
    check_unrestricted(world, user, Service.METHODS)
    changed = is_activated(method)
    method.properties["device"] = (method.properties.get("device") or {}) | {"status": "assigned"}
    settle_default(user)
    return Answer(204, effect=changed)


def _routes_of(kind: MethodType) -> list[Route]:
    collection = f"users/{{user}}/authentication/{kind.segment}"
    one = f"{collection}/{{method}}"
    narrow = [kind.role] if kind.role else []
    versions = BOTH if kind.version == "v1.0" else BETA
    read, write = permissions.methods(BROAD_READ, BROAD_WRITE, *narrow), permissions.methods(BROAD_WRITE, *narrow)
    if kind.name == "qrCodePin":
        return [
            Route("GET", collection, read, read_qr_code_pin, versions, kind.name),
            Route("DELETE", collection, write, delete_qr_code_pin, versions, kind.name),
        ]
    routes = [
        Route("GET", collection, read, _type_reader(kind.name), versions, kind.name),
        Route("GET", one, read, _one_reader(kind.name), versions, kind.name),
    ]
    if kind.name == "external":
        routes.append(Route("DELETE", one, write, _deleter(kind.name, "plain"), versions, kind.name))
        routes.append(Route("DELETE", f"{one}/$ref", write, _deleter(kind.name, "ref"), versions, kind.name))
    elif kind.deletable:
        routes.append(Route("DELETE", one, write, _deleter(kind.name), versions, kind.name))
    return routes


ROUTES = (
    Route("GET", "users/{user}/authentication/methods", _READ_ALL, read_all),
    Route("GET", "users/{user}/authentication/methods/{method}", _READ_ALL, read_one),
    Route("DELETE", "users/{user}/authentication/methods/{method}", _READ_ALL, refuse_generic_delete),
    *(route for kind in METHOD_TYPES for route in _routes_of(kind)),
    Route(
        "POST",
        "users/{user}/authentication/hardwareOathMethods/{method}/deactivate",
        permissions.methods(BROAD_WRITE, "UserAuthMethod-HardwareOATH.ReadWrite.All"),
        deactivate,
        BETA,
        "hardwareOath",
    ),
)
