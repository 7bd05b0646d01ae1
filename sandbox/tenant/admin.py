"""The sandbox's own addresses, by which another process drives the tenant; they need no token.

POST /sandbox/faults       a Fault, by the names of its fields; put in force
DELETE /sandbox/faults     every fault out of force, and every held call goes on
GET /sandbox/holds         the names under which calls are held
DELETE /sandbox/holds/{name}   the calls held under a name go on
GET /sandbox/calls         the calls to Graph, in order of arrival
GET /sandbox/users/{id}    one user's state, by object id or user principal name; no password is in it
GET, PATCH /sandbox/settings   the switches, by the names of their attributes
"""

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, get_type_hints

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from sandbox.tenant.directory import Json, User
from sandbox.tenant.faults import Fault
from sandbox.tenant.switches import Switches

if TYPE_CHECKING:
    from sandbox.tenant.server import Tenant

_FAULT = TypeAdapter(Fault)
_NAMES = tuple(each.name for each in fields(Switches))


class Admin:
    """Answers the sandbox's own addresses for one tenant."""

    def __init__(self, tenant: "Tenant") -> None:
        self._tenant = tenant

    async def add_fault(self, request: web.Request) -> web.Response:
        """Put the fault in the body in force; 400 names what is wrong with it."""
        body = await _read_object(request)
        if unknown := body.keys() - {each.name for each in fields(Fault)}:
            raise _bad_request(f"unknown: {', '.join(sorted(unknown))}")
        try:
            self._tenant.add_fault(_FAULT.validate_python(body))
        except ValidationError as error:
            raise _bad_request(str(error)) from None
        return web.Response(status=204)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Take every fault out of force."""
        self._tenant.clear_faults()
        return web.Response(status=204)

    async def read_holds(self, _request: web.Request) -> web.Response:
        """List the names under which calls are held."""
        return web.json_response({"value": self._tenant.holds.names})

    async def release(self, request: web.Request) -> web.Response:
        """Let the calls held under a name go on."""
        self._tenant.holds.release(request.match_info["name"])
        return web.Response(status=204)

    async def read_calls(self, _request: web.Request) -> web.Response:
        """List the calls to Graph."""
        calls = [asdict(call) | {"at": call.at.isoformat()} for call in self._tenant.calls]
        return web.json_response({"value": calls})

    async def read_user(self, request: web.Request) -> web.Response:
        """Show one user's state, in the form of the directory file."""
        user = self._tenant.directory.find_user(request.match_info["user"])
        if user is None:
            raise web.HTTPNotFound
        return web.json_response(describe_user(user))

    async def refuse(self, _request: web.Request) -> web.Response:
        """Keep an address that is not there from being taken for one of Graph's."""
        raise web.HTTPNotFound

    async def read_settings(self, _request: web.Request) -> web.Response:
        """Show the switches."""
        return web.json_response({name: _as_json(getattr(self._tenant, name)) for name in _NAMES})

    async def change_settings(self, request: web.Request) -> web.Response:
        """Set the switches in the body, all of them or, when one is wrong, none."""
        body = await _read_object(request)
        hints = get_type_hints(Switches)
        if unknown := body.keys() - set(_NAMES):
            raise _bad_request(f"unknown: {', '.join(sorted(unknown))}")
        try:
            values = {name: TypeAdapter(hints[name]).validate_python(value) for name, value in body.items()}
        except ValidationError as error:
            raise _bad_request(str(error)) from None
        for name, value in values.items():
            setattr(self._tenant, name, value)
        return await self.read_settings(request)


def add_routes(application: web.Application, tenant: "Tenant") -> None:
    """Add the sandbox's own addresses to a server."""
    admin = Admin(tenant)
    application.router.add_post("/sandbox/faults", admin.add_fault)
    application.router.add_delete("/sandbox/faults", admin.clear_faults)
    application.router.add_get("/sandbox/holds", admin.read_holds)
    application.router.add_delete("/sandbox/holds/{name}", admin.release)
    application.router.add_get("/sandbox/calls", admin.read_calls)
    application.router.add_get("/sandbox/users/{user}", admin.read_user)
    application.router.add_get("/sandbox/settings", admin.read_settings)
    application.router.add_patch("/sandbox/settings", admin.change_settings)
    application.router.add_route("*", "/sandbox{rest:(/.*)?}", admin.refuse)


def describe_user(user: User) -> Json:
    """Return a user in the form of the directory file, and what became of it; no password is in it."""
    return user.properties | {
        "authentication": {
            "methods": [method.properties for method in user.methods],
            "userPreferredMethodForSecondaryAuthentication": user.default_method,
            "isSystemPreferredAuthenticationMethodEnabled": user.system_preferred,
            "perUserMfaState": user.per_user_mfa_state,
        },
        "passwordWasSet": user.password_profile is not None,
        "confirmedCompromised": user.confirmed_compromised,
    }


async def _read_object(request: web.Request) -> Json:
    try:
        content = json.loads(await request.read())
    except ValueError:
        raise _bad_request("the body is not JSON") from None
    if not isinstance(content, dict):
        raise _bad_request("the body is not a JSON object")
    return content


def _bad_request(message: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"message": message}), content_type="application/json")


def _as_json(value: object) -> object:
    return sorted(value) if isinstance(value, set) else value
