"""The vault on a socket: TLS, the challenge, the two rights, the secrets."""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, assert_never
from urllib.parse import unquote, urlsplit

from aiohttp import web

from sandbox.tenant.exchange import GraphError
from sandbox.tenant.tokens import TokenAuthority
from sandbox.tenant.world import Now, utc_now
from sandbox.vault.certificate import certify
from sandbox.vault.faults import Cut, Fault, FaultLine, Refusal, Silence
from sandbox.vault.secret import Json, Secret, VaultError, check_name, parse_secret, render_secret

LOOPBACK = "127.0.0.1"
RESOURCE = "https://vault.azure.net"
_TENANT_ID = "00000000-0000-4000-8000-00000000a112"
_API_VERSION = re.compile(r"7\.\d|20\d\d-\d\d-\d\d")
_SHUTDOWN_SECONDS = 0.2


@dataclass(frozen=True)
class Call:
    """The record of one call: `path` is decoded, without the query; `status` is 0 until it is answered, or cut."""

    at: datetime
    method: str
    path: str
    status: int
    body_bytes: int
    api_version: str | None


@dataclass(frozen=True)
class _Answer:
    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Vault:
    """A vault that answers on loopback while its context is open; its rights and faults may change then.

    It takes the tokens of the tenant whose `TokenAuthority` it is given, judged by the clock `now`; `tenant_id` is what
    its challenge names. A port of 0 takes a free one.
    """

    def __init__(
        self, tenant_tokens: TokenAuthority, *, now: Now = utc_now, tenant_id: str = _TENANT_ID, port: int = 0
    ) -> None:
        self.url = ""
        self.ca_file = Path()
        self.secrets: dict[str, list[Secret]] = {}
        self.calls: list[Call] = []
        self.may_set = True
        self.may_get = False
        self.resource = RESOURCE  # what the challenge says tokens are for; those for RESOURCE are taken
        self._tokens = tenant_tokens
        self._now = now
        self._tenant_id = tenant_id
        self._port = port
        self._faults = FaultLine()
        self._opened = AsyncExitStack()

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead a process to this vault and let it trust the certificate.

        SSL_CERT_FILE takes the place of the certificates that the process would trust otherwise.
        """
        return {"KEY_VAULT_URL": self.url, "SSL_CERT_FILE": str(self.ca_file)}

    def fail_with(
        self,
        status: int,
        code: str,
        *,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> None:
        """Refuse the next calls that bring a token; `body` replaces Key Vault's error shape."""
        self.add_fault(Refusal(status, code, headers or {}, body), times=times)

    def add_fault(self, fault: Fault, *, times: int = 1) -> None:
        """Let a fault strike the next calls that bring a token, after the faults that wait already."""
        self._faults.add(fault, times)

    def clear_faults(self) -> None:
        """Forget every fault that still waits."""
        self._faults.clear()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            folder = opening.enter_context(TemporaryDirectory(prefix="vault-"))
            self.ca_file = Path(folder) / "ca.pem"
            tls = certify(LOOPBACK, utc_now(), self.ca_file)  # clients judge it by the machine's clock
            runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=_SHUTDOWN_SECONDS)
            opening.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, LOOPBACK, self._port, ssl_context=tls).start()
            self.url = f"https://{LOOPBACK}:{runner.addresses[0][1]}"
            self._opened = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        path = unquote(urlsplit(request.raw_path).path)
        call = Call(self._now(), request.method, path, 0, len(body), request.query.get("api-version"))
        place = len(self.calls)
        self.calls.append(call)
        fault = self._faults.take() if "Authorization" in request.headers else None
        answer = await self._answer_under(fault, request, path, body)
        if answer is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        # A test may have emptied the list while the call was under way.
        if place < len(self.calls) and self.calls[place] is call:
            self.calls[place] = replace(call, status=answer.status)
        headers = {"Content-Type": "application/json; charset=utf-8", **answer.headers}
        return web.Response(status=answer.status, body=answer.body.encode(), headers=headers)

    async def _answer_under(
        self, fault: Fault | None, request: web.BaseRequest, path: str, body: bytes
    ) -> _Answer | None:
        """Return the answer under a fault; None when the connection is to be cut instead."""
        match fault:
            case None:
                return self._answer(request, path, body)
            case Refusal():
                text = _error_body(fault.code, "A fault of the sandbox.") if fault.body is None else fault.body
                return _Answer(fault.status, text, fault.headers)
            case Cut() | Silence():
                if fault.after_effect:
                    self._answer(request, path, body)
                if isinstance(fault, Silence):
                    await asyncio.Event().wait()  # until the client goes away or the vault ends
                return None
            case never:
                assert_never(never)

    def _answer(self, request: web.BaseRequest, path: str, body: bytes) -> _Answer:
        try:
            self._authenticate(request)
            return _Answer(200, json.dumps(self._respond(request, path, body)))
        except VaultError as error:
            headers = {"WWW-Authenticate": self._challenge} if error.status == web.HTTPUnauthorized.status_code else {}
            return _Answer(error.status, _error_body(error.code, error.message, error.inner), headers)

    @property
    def _challenge(self) -> str:
        authority = f"https://login.microsoftonline.com/{self._tenant_id}"
        return f'Bearer authorization="{authority}", resource="{self.resource}"'

    def _authenticate(self, request: web.BaseRequest) -> None:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            raise VaultError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        try:
            self._tokens.read_roles(authorization, (RESOURCE,), self._now())
        except GraphError as error:
            raise VaultError(401, "Unauthorized", error.message) from None

    def _respond(self, request: web.BaseRequest, path: str, body: bytes) -> Json:
        if not _API_VERSION.fullmatch(request.query.get("api-version", "")):
            raise VaultError(400, "BadParameter", "The api-version query parameter is missing or not known.")
        match request.method, path.removeprefix("/").split("/"):
            case "PUT", ["secrets", name]:
                return self._set(check_name(name), body)
            case "GET", ["secrets", name] | ["secrets", name, ""]:
                return self._get(check_name(name), None)
            case "GET", ["secrets", name, version]:
                return self._get(check_name(name), version)
            case method, ["secrets", _] | ["secrets", _, _]:
                raise VaultError(405, "MethodNotAllowed", f"The sandbox has no {method} for this address.")
            case _:
                raise VaultError(404, "NotFound", "The sandbox has nothing at this address.")

    def _set(self, name: str, body: bytes) -> Json:
        if not self.may_set:
            raise _forbidden("setSecret")
        secret = parse_secret(body, self._now())
        self.secrets.setdefault(name, []).append(secret)
        return render_secret(secret, self.url, name)

    def _get(self, name: str, version: str | None) -> Json:
        if not self.may_get:
            raise _forbidden("getSecret")
        found = [each for each in self.secrets.get(name, []) if version in {None, each.version}]
        if not found:
            raise VaultError(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        if not found[-1].enabled:
            raise VaultError(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return render_secret(found[-1], self.url, name)


def _forbidden(action: str) -> VaultError:
    text = f"Caller is not authorized to perform action 'Microsoft.KeyVault/vaults/secrets/{action}/action'."
    return VaultError(403, "Forbidden", text, "ForbiddenByRbac")


def _error_body(code: str, message: str, inner: str | None = None) -> str:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return json.dumps({"error": error})
