"""Graph without sockets: a question becomes an answer, or the error that is one."""

import json
import uuid
from datetime import UTC, timedelta
from email.utils import format_datetime

from sandbox.tenant import account, authentication, groups, methods, relations, risk, roles, users
from sandbox.tenant.directory import Json
from sandbox.tenant.exchange import (
    Answer,
    GraphError,
    Question,
    Request,
    bad_request,
    no_such_segment,
    too_many_requests,
)
from sandbox.tenant.permissions import check
from sandbox.tenant.routing import check_version, find_route
from sandbox.tenant.tokens import GRAPH_AUDIENCES
from sandbox.tenant.world import World

ROUTES = (
    *users.ROUTES,
    *account.ROUTES,
    *groups.ROUTES,
    *relations.ROUTES,
    *roles.ROUTES,
    *methods.ROUTES,
    *authentication.ROUTES,
    *risk.ROUTES,
)
_METHODS_WINDOW = timedelta(seconds=10)


def answer(world: World, question: Question) -> Answer:
    """Answer a call, changing the tenant where it says so; never raises GraphError."""
    try:
        return _answer(world, question)
    except GraphError as error:
        return render_error(world, error, question.headers.get("client-request-id"))


def _answer(world: World, question: Question) -> Answer:
    token_roles = world.tokens.read_roles(
        question.headers.get("Authorization"), (world.url, *GRAPH_AUDIENCES), world.now()
    )
    if not question.segments:
        raise no_such_segment("")
    version = check_version(question.segments[0])
    there = [route for route in ROUTES if route.method_type not in world.absent_types]
    route, parameters = find_route(there, question.method, version, question.segments[1:])
    check(route.permission, token_roles)
    if "/authentication/" in route.pattern:
        _throttle_methods(world)
    return route.answer(world, Request(question, version, parameters, token_roles, _read_body(question.body)))


def _read_body(body: bytes) -> Json:
    if not body:
        return {}
    try:
        content = json.loads(body)
    except ValueError:
        raise bad_request("Unable to read JSON request payload.", "BadRequest") from None
    if not isinstance(content, dict):
        raise bad_request("The request payload is not a JSON object.", "BadRequest")
    return content


def _throttle_methods(world: World) -> None:
    limit = world.methods_calls_per_10_seconds
    if limit is None:
        return
    now, calls_at = world.now(), world.methods_calls_at
    while calls_at and calls_at[0] <= now - _METHODS_WINDOW:
        calls_at.popleft()
    if len(calls_at) >= limit:
        wait = calls_at[0] + _METHODS_WINDOW - now if calls_at else _METHODS_WINDOW
        raise too_many_requests(max(1, -(-wait // timedelta(seconds=1))))
    calls_at.append(now)


def render_error(world: World, error: GraphError, client_request_id: str | None) -> Answer:
    """Return an error in Graph's shape, with ids and time."""
    return Answer(error.status, error_body(world, error.code, error.message, client_request_id), error.headers)


def error_body(world: World, code: str, message: str, client_request_id: str | None) -> Json:
    """Return the body of an error; the request id in it is the one in the answer's headers."""
    request_id = str(uuid.uuid4())
    inner = {
        "date": world.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": client_request_id or request_id,
    }
    return {"error": {"code": code, "message": message, "innerError": inner}}


def identify(world: World, result: Answer, client_request_id: str | None) -> dict[str, str]:
    """Return the headers that every answer of Graph has: its ids and its time."""
    inner = result.body.get("error", {}).get("innerError", {}) if isinstance(result.body, dict) else {}
    request_id = inner.get("request-id") or str(uuid.uuid4())
    return {
        "request-id": request_id,
        "client-request-id": client_request_id or request_id,
        "Date": format_datetime(world.now().astimezone(UTC), usegmt=True),
    }
