"""A vault with the tenant whose tokens it takes, and a caller over HTTP."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox.tenant.tokens import Grant, TokenAuthority
from sandbox.vault import Vault

RESOURCE = "https://vault.azure.net"
VERSION = "2026-04-01"


class Clock:
    """A clock that moves only when a test moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 24, 1, 2, 3, 456789, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.at += timedelta(seconds=seconds)


class Caller:
    """Calls a vault over HTTP, with a token that is good for a minute."""

    def __init__(self, vault: Vault, tokens: TokenAuthority, clock: Clock, http: httpx.AsyncClient) -> None:
        self.vault = vault
        self.tokens = tokens
        self.clock = clock
        self.http = http

    def token(self, resource: str = RESOURCE) -> str:
        """Return a fresh token."""
        grant = Grant("tenant", "client", resource, frozenset())
        return self.tokens.issue(grant, self.clock.now(), timedelta(minutes=1)).text

    async def call(
        self,
        method: str,
        address: str,
        body: Any = None,  # noqa: ANN401 - any JSON
        token: str | None = None,
        version: str | None = VERSION,
    ) -> httpx.Response:
        """Call an address."""
        headers = {"Authorization": f"Bearer {token or self.token()}"}
        parameters = {} if version is None else {"api-version": version}
        return await self.http.request(method, address, headers=headers, params=parameters, json=body)

    async def set(self, name: str, body: Any) -> httpx.Response:  # noqa: ANN401 - any JSON
        """Set a secret."""
        return await self.call("PUT", f"/secrets/{name}", body)

    async def get(self, address: str) -> httpx.Response:
        """Read a secret, whether the product may or not."""
        self.vault.may_get = True
        return await self.call("GET", f"/secrets/{address}")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def tokens() -> TokenAuthority:
    """Return what signs a tenant's tokens."""
    return TokenAuthority()


@pytest.fixture
async def vault(tokens: TokenAuthority, clock: Clock) -> AsyncIterator[Vault]:
    """Serve a vault."""
    async with Vault(tokens, now=clock.now, tenant_id="11111111-0000-4000-8000-000000000001") as serving:
        yield serving


@pytest.fixture
async def caller(vault: Vault, tokens: TokenAuthority, clock: Clock) -> AsyncIterator[Caller]:
    """Open a connection to the vault."""
    trust = ssl.create_default_context(cafile=vault.ca_file)
    async with httpx.AsyncClient(base_url=vault.url, timeout=30, verify=trust, trust_env=False) as http:
        yield Caller(vault, tokens, clock, http)


def error_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Return status, error code and inner code of a refusal, after a look at the shape of its body."""
    error = answer.json()["error"]
    assert error["message"]
    return answer.status_code, error["code"], error.get("innererror", {}).get("code")
