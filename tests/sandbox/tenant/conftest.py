"""A tenant with a clock of its own, and a caller with a fresh token for each call."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox.tenant import Tenant

AVERY, BLAIR, CASEY, DEVON, EMERY, FINLEY, GRAY, HARPER, INDIGO, JULES, KAI, EMERGENCY, MORGAN, NOEL, OAKLEY, PARKER = (
    f"10000000-0000-4000-8000-0000000000{number:02}" for number in range(1, 17)
)
QUINN, REESE, SAGE, TATUM, UMA, RORY, VAL = (f"10000000-0000-4000-8000-0000000000{number}" for number in range(17, 24))
WREN, XAN, YAEL, ZION, ADAIR, ARDEN, BELLAMY, OLD_BELLAMY, CAMDEN, DARCY, ELLIS = (
    f"10000000-0000-4000-8000-0000000000{number}" for number in range(24, 35)
)
NEVER_RESET, PLANT, HELP_DESK, NIGHT_SHIFT, TIER_0, ALL_STAFF, WORKS_COUNCIL, CONTAINED = (
    f"20000000-0000-4000-8000-0000000000{number:02}" for number in range(1, 9)
)
IDENTITY_OPERATIONS, PLATFORM, SEATTLE, BRANCHES = (
    f"20000000-0000-4000-8000-0000000000{number:02}" for number in range(9, 13)
)
MOBILE = "3179e48a-750b-4051-897c-87b9720928f7"
ALTERNATE_MOBILE = "b6332ec1-7057-4abe-9331-3d72feddfe41"
OFFICE = "e37fc753-ff3b-4958-9484-eaa9425c82bc"
PASSWORD = "28c10230-6103-485e-b985-444c60001490"
BARE_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ADVANCED = {"ConsistencyLevel": "eventual"}


class Clock:
    """A clock that moves only when a test or a wait moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 24, 1, 2, 3, 456789, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Return the time."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.at += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait without waiting."""
        self.slept.append(seconds)
        self.advance(seconds)


class Caller:
    """Calls a tenant over HTTP, each time with a token that holds the tenant's present roles."""

    def __init__(self, tenant: Tenant, http: httpx.AsyncClient) -> None:
        self.tenant = tenant
        self.http = http

    async def ask_token(self, **changes: str) -> httpx.Response:
        """Ask the token endpoint, as the managed identity's client does."""
        parameters = {"resource": self.tenant.url, "api-version": "2019-08-01"} | changes
        header = {"X-IDENTITY-HEADER": self.tenant.identity_header}
        return await self.http.get("/msi/token", params=parameters, headers=header)

    async def token(self, **changes: str) -> str:
        """Return a fresh token."""
        return str((await self.ask_token(**changes)).json()["access_token"])

    async def call(self, method: str, address: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's options
        """Call an address with a fresh token."""
        headers = {"Authorization": f"Bearer {await self.token()}"} | options.pop("headers", {})
        return await self.http.request(method, address, headers=headers, **options)

    async def get(self, address: str, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        """Read an address; the query options go without their dollar sign."""
        options = {f"${name}": value for name, value in query.items()}
        return await self.call("GET", address, headers=headers or {}, params=options or None)

    async def post(self, address: str, body: Any = None) -> httpx.Response:  # noqa: ANN401 - any JSON
        """Post a body."""
        return await self.call("POST", address, json=body)

    async def patch(self, address: str, body: Any) -> httpx.Response:  # noqa: ANN401 - any JSON
        """Patch with a body."""
        return await self.call("PATCH", address, json=body)

    async def delete(self, address: str) -> httpx.Response:
        """Delete what is at an address."""
        return await self.call("DELETE", address)

    async def listed(self, user: str, version: str = "v1.0") -> list[str]:
        """Return the ids of the methods that a listing shows."""
        answer = await self.get(f"/{version}/users/{user}/authentication/methods")
        return [method["id"] for method in answer.json()["value"]]


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
async def tenant(clock: Clock) -> AsyncIterator[Tenant]:
    """Serve a tenant with the sandbox's own directory."""
    async with Tenant(now=clock.now, sleep=clock.sleep) as serving:
        yield serving


@pytest.fixture
async def graph(tenant: Tenant) -> AsyncIterator[Caller]:
    """Open a connection to the tenant."""
    # A bare context: loopback is plain HTTP, and reading the certificate store would take longer than the test.
    async with httpx.AsyncClient(base_url=tenant.url, timeout=30, verify=BARE_CONTEXT) as http:
        yield Caller(tenant, http)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Return status and error code of a refusal, after a look at the shape of its body."""
    error = answer.json()["error"]
    assert error["message"]
    assert error["innerError"].keys() == {"date", "request-id", "client-request-id"}
    return answer.status_code, error["code"]
