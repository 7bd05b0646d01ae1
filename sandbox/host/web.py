"""The HTTP side of the host: routes, keys, Easy Auth, and the way from aiohttp to the worker and back."""

import asyncio
import json
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import SimpleCookie

from aiohttp import web
from multidict import CIMultiDict, MultiMapping

from sandbox.host.app_functions import AuthLevel, Function, HttpTrigger
from sandbox.host.errors import HostError
from sandbox.host.invocations import Invocations
from sandbox.host.keys import Keys, is_same
from sandbox.host.protos import CookieSameSite, RpcHttp, RpcHttpCookie, TypedData
from sandbox.host.timers import Timer
from sandbox.host.traces import start_span

KEY_HEADER = "x-functions-key"
KEY_PARAMETER = "code"
PRINCIPAL_HEADERS = "x-ms-client-principal"
# The sandbox's own: who shows the key is taken for App Service Authentication, and may say who the caller is.
EASY_AUTH_HEADER = "x-sandbox-easy-auth"
# The sandbox's own, too: whoever runs a function by hand hears how it ended, 200 or 500, not only that it begins.
WAIT_HEADER = "x-sandbox-wait"
# Azure's limits.
LARGEST_BODY = 104_857_600
ANSWER_SECONDS = 230.0
# What aiohttp writes itself.
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})

_log = logging.getLogger("Host.Http")


@dataclass(frozen=True, kw_only=True)
class EasyAuth:
    """App Service Authentication is on; without a key nobody can say who the caller is."""

    key: str | None = None


class HttpFunctions:
    """Serves the HTTP functions, in the order they were indexed, and `POST /admin/functions/NAME` for the timers."""

    def __init__(  # noqa: PLR0913 - what the host is made of
        self,
        functions: Sequence[Function],
        timers: Mapping[str, Timer],
        invocations: Invocations,
        keys: Keys,
        *,
        easy_auth: EasyAuth | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._routes = [(each, each.trigger) for each in functions if isinstance(each.trigger, HttpTrigger)]
        self._timers = {name.lower(): timer for name, timer in timers.items()}
        self._invocations = invocations
        self._keys = keys
        self._easy_auth = easy_auth
        self._answer_seconds = answer_seconds
        self._running: set[asyncio.Task[web.Response]] = set()

    def application(self) -> web.Application:
        """Build the aiohttp application."""
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_post("/admin/functions/{name}", self._run_by_hand)
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.Response:
        for function, trigger in self._routes:
            parameters = _match(trigger, request)
            if parameters is None:
                continue
            if function.is_disabled and not self._keys.allow(AuthLevel.ADMIN, function.name, _read_key(request)):
                return web.Response(status=404)
            if not self._keys.allow(trigger.auth_level, function.name, _read_key(request)):
                return web.Response(status=401)
            return await self._within_limit(self._invoke(function, request, parameters))
        # A wrong method is no match to Azure's router either: 404, never 405.
        return web.Response(status=404)

    def _keep_running(self, call: Coroutine[None, None, web.Response]) -> asyncio.Task[web.Response]:
        task = asyncio.create_task(call)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _within_limit(self, call: Coroutine[None, None, web.Response]) -> web.Response:
        # The function goes on when the caller has left or the front end has given up, as in Azure.
        try:
            return await asyncio.wait_for(asyncio.shield(self._keep_running(call)), self._answer_seconds)
        except TimeoutError:
            return web.Response(status=504)

    async def _invoke(self, function: Function, request: web.Request, parameters: Mapping[str, str]) -> web.Response:
        try:
            body = await self._read_body(request)
            answer = await self._invocations.run(
                function,
                TypedData(http=self._read_request(request, parameters, body)),
                reason="This function was programmatically called via the host APIs.",
                trace=start_span(request.headers.get("traceparent"), request.headers.get("tracestate")),
            )
        except HostError:
            return web.Response(status=500)
        return _write_response(answer)

    async def _read_body(self, request: web.Request) -> TypedData:
        # Azure's host takes a body by its Content-Length: one that comes in chunks never reaches the function.
        if request.content_length:
            return TypedData(bytes=await request.read())
        if request.body_exists:
            _log.warning("A request body without Content-Length was dropped, as Azure does")
        return TypedData()

    def _read_request(self, request: web.Request, parameters: Mapping[str, str], body: TypedData) -> RpcHttp:
        headers = {name.lower(): values for name, values in _join(request.headers).items()}
        if self._easy_auth is not None and not self._comes_from_easy_auth(request):
            headers = {name: value for name, value in headers.items() if not name.startswith(PRINCIPAL_HEADERS)}
        headers.pop(EASY_AUTH_HEADER, None)
        return RpcHttp(
            method=request.method,
            url=str(request.url),
            headers=headers,
            params=parameters,
            # The worker cannot tell an empty parameter from an absent one: the host leaves it out.
            query={name: value for name, value in _join(request.query).items() if value},
            body=body,
        )

    def _comes_from_easy_auth(self, request: web.Request) -> bool:
        key = self._easy_auth.key if self._easy_auth else None
        return key is not None and is_same(request.headers.get(EASY_AUTH_HEADER), key)

    async def _run_by_hand(self, request: web.Request) -> web.Response:
        if not self._keys.allow(AuthLevel.ADMIN, request.match_info["name"], _read_key(request)):
            return web.Response(status=401)
        if request.content_type != "application/json":
            return web.Response(status=415)
        if not await _is_object(request):
            return web.Response(status=400)
        timer = self._timers.get(request.match_info["name"].lower())
        if timer is None:
            return web.Response(status=404)
        running = self._keep_running(_run_timer(timer))
        if WAIT_HEADER in request.headers:
            return await asyncio.shield(running)
        return web.Response(status=202)


async def _is_object(request: web.Request) -> bool:
    # Its `input` is nothing to a timer.
    try:
        return isinstance(json.loads(await request.read()), dict)
    except ValueError:
        return False


async def _run_timer(timer: Timer) -> web.Response:
    try:
        await timer.run_by_hand()
    except HostError:
        return web.Response(status=500)
    return web.Response()


def _match(trigger: HttpTrigger, request: web.Request) -> Mapping[str, str] | None:
    if trigger.methods and request.method not in trigger.methods:
        return None
    return trigger.route.match(request.rel_url.raw_path)


def _read_key(request: web.Request) -> str | None:
    # The header wins even when it is empty.
    if KEY_HEADER in request.headers:
        return request.headers[KEY_HEADER]
    return request.query.get(KEY_PARAMETER)


def _join(items: MultiMapping[str]) -> dict[str, str]:
    return {name: ",".join(items.getall(name)) for name in items}


def _write_response(answer: TypedData | None) -> web.Response:
    if answer is None:
        return web.Response(status=200)
    http: RpcHttp | None = answer.http
    if http is None:
        return web.Response(text=answer.string or answer.json or "")
    headers = CIMultiDict({name: value for name, value in http.headers.items() if name.lower() not in _FRAMING})
    for cookie in http.cookies or ():
        headers.add("Set-Cookie", _write_cookie(cookie))
    body = http.body.bytes if http.body.bytes is not None else (http.body.string or "").encode()
    return web.Response(status=int(http.status_code), headers=headers, body=body)


def _write_cookie(cookie: RpcHttpCookie) -> str:
    written: SimpleCookie = SimpleCookie({cookie.name: cookie.value})
    morsel = written[cookie.name]
    for attribute, nullable in (("domain", cookie.domain), ("path", cookie.path)):
        morsel[attribute] = nullable.value if nullable else ""
    if cookie.expires:
        expires_at = datetime.fromtimestamp(cookie.expires.value.seconds, UTC)
        morsel["expires"] = expires_at.strftime("%a, %d %b %Y %H:%M:%S GMT")
    if cookie.max_age:
        morsel["max-age"] = str(int(cookie.max_age.value))
    morsel["secure"] = bool(cookie.secure and cookie.secure.value)
    morsel["httponly"] = bool(cookie.http_only and cookie.http_only.value)
    same_site = {CookieSameSite.Lax: "lax", CookieSameSite.Strict: "strict", CookieSameSite.ExplicitNone: "none"}
    morsel["samesite"] = same_site.get(cookie.same_site, "") if cookie.same_site is not None else ""
    return morsel.OutputString()
