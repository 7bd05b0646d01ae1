"""A Microsoft Graph that answers what a test says, and the credentials that go with it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self

import httpx
from aiohttp import web
from azure.core.credentials import AccessToken

from sandbox.tenant import Tenant
from shared.graph import CallReport, GraphDirectory
from shared.vocabulary import UserId
from tests.clocks import FakeClock

NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
USER_ID = UserId("10000000-0000-4000-8000-000000000001")
USER: dict[str, Any] = {
    "id": str(USER_ID),
    "userPrincipalName": "avery.quinn@contoso.example",
    "userType": "Member",
    "accountEnabled": True,
    "onPremisesSyncEnabled": None,
    "isManagementRestricted": None,
    "signInSessionsValidFromDateTime": "2026-01-02T03:04:05Z",
    "onPremisesSecurityIdentifier": "S-1-5-21-1-2-3",
}
SETTLE_SECONDS = 0.2
MEETING_SECONDS = 20
MOMENT_SECONDS = 0.02


@dataclass(frozen=True)
class Reply:
    """What is answered; `cut`: the connection ends there instead; `hang`: nothing comes, until the server ends.

    `meets`: it waits until so many calls have been open at once, and a moment for one more to come.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: bool = False
    meets: int = 0


@dataclass(frozen=True)
class Asked:
    """What was asked, as it came over the wire; `address` is neither decoded nor normalised."""

    method: str
    address: str
    headers: Mapping[str, str]
    body: bytes


UNPACK = Reply()
"""What a script answers to a batch that is to be taken apart."""

type Script = Callable[[Asked], Reply]


class ScriptedGraph:
    """Answers by a function, or by a list of replies in turn of which the last one stays.

    A batch is taken apart: its parts are asked, and answered in another order, as if each had come by itself. Where the
    script answers the batch's own address, that is the answer to it as a whole.
    """

    def __init__(self, script: Script | list[Reply]) -> None:
        self.asked: list[Asked] = []
        self.batches: list[int] = []
        self.most_at_once = 0
        self._open = 0
        self._script = script
        self._ended = asyncio.Event()
        self._met = asyncio.Event()

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/{address:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=SETTLE_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(request.method, request.raw_path, request.headers, await request.read())
        reply = self._reply_to_batch(asked) if asked.address.endswith("/$batch") else self._reply(asked)
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        if reply.meets:
            await self._meet(reply.meets)
        if reply.hang:
            await self._ended.wait()
        self._open -= 1
        if reply.cut and request.transport is not None:
            request.transport.abort()
        if isinstance(reply.body, bytes):
            return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
        text = None if reply.body is None else json.dumps(reply.body)
        return web.Response(status=reply.status, text=text, headers=reply.headers, content_type="application/json")

    async def _meet(self, calls: int) -> None:
        if self.most_at_once >= calls:
            self._met.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._met.wait(), MEETING_SECONDS)
        await asyncio.sleep(MOMENT_SECONDS)

    def _reply_to_batch(self, asked: Asked) -> Reply:
        parts = json.loads(asked.body)["requests"]
        self.batches.append(len(parts))
        whole = None if isinstance(self._script, list) else self._script(asked)
        if whole is not None and whole is not UNPACK:
            return whole
        answers = []
        for part in parts:
            body = json.dumps(part["body"]).encode() if "body" in part else b""
            address = asked.address.removesuffix("/$batch") + part["url"]
            reply = self._reply(Asked(part["method"], address, part["headers"], body))
            answers.append(
                {"id": part["id"], "status": reply.status, "headers": dict(reply.headers), "body": reply.body}
            )
        return Reply(body={"responses": answers[::-1]})

    def _reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if isinstance(self._script, list):
            return self._script[min(len(self.asked), len(self._script)) - 1]
        return self._script(asked)


class Credential:
    """Gives out numbered tokens, `token-1` first, the same one until it is asked for another; or fails."""

    def __init__(self, failure: Exception | None = None, failing_times: int = 1_000) -> None:
        self.scopes: list[str] = []
        self.made = 0
        self.closed = 0
        self._failure = failure
        self._failing_times = failing_times

    def make(self) -> Self:
        """Make it anew: what was cached is gone."""
        self.made += 1
        return self

    async def get_token(self, *scopes: str, claims: str | None = None, **_: object) -> AccessToken:
        """Return the token of this credential; a challenge's claims are part of it."""
        self.scopes += scopes
        if self._failure is not None and len(self.scopes) <= self._failing_times:
            raise self._failure
        return AccessToken(f"token-{self.made}{claims or ''}", int(NOW.timestamp()) + 3_600)

    async def close(self) -> None:
        """Close it."""
        self.closed += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()


class TenantCredential(Credential):
    """Gets its tokens at a sandbox tenant's token endpoint, a fresh one each time."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__()
        self._tenant = tenant

    async def get_token(self, *scopes: str, claims: str | None = None, **_: object) -> AccessToken:
        """Ask as a managed identity's client does."""
        assert claims is None
        query = {"resource": scopes[0].removesuffix("/.default"), "api-version": "2019-08-01"}
        header = {"X-IDENTITY-HEADER": self._tenant.environment["IDENTITY_HEADER"]}
        # A bare context: loopback is plain HTTP, and reading the certificate store would take longer than the test.
        async with httpx.AsyncClient(timeout=5, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as http:
            answer = await http.get(self._tenant.environment["IDENTITY_ENDPOINT"], params=query, headers=header)
        content = answer.raise_for_status().json()
        return AccessToken(content["access_token"], int(content["expires_on"]))


class RecordingClock(FakeClock):
    """A clock that waits for nobody and knows what it was asked to wait."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Advance at once."""
        self.slept.append(seconds)
        await super().sleep(seconds)


@dataclass(frozen=True)
class Scene:
    """A directory, what it talks to and what it said of its calls."""

    directory: GraphDirectory
    graph: ScriptedGraph
    clock: RecordingClock
    reports: list[CallReport]
    credential: Credential

    @property
    def addresses(self) -> list[str]:
        """Methods and addresses in order of arrival."""
        return [f"{asked.method} {asked.address}" for asked in self.graph.asked]


@asynccontextmanager
async def scene(
    script: Script | list[Reply], credential: Credential | None = None, call_seconds: float = 5
) -> AsyncIterator[Scene]:
    """Open a directory on a scripted Graph."""
    async with ScriptedGraph(script) as graph:
        clock, reports, credential = RecordingClock(), list[CallReport](), credential or Credential()
        directory = GraphDirectory(
            graph.url,
            None,
            clock,
            on_call=reports.append,
            credential_factory=credential.make,
            call_seconds=call_seconds,
        )
        try:
            yield Scene(directory, graph, clock, reports, credential)
        finally:
            await directory.close()


def page(*items: dict[str, Any], link: str | None = None) -> Reply:
    """Answer a page of a collection."""
    return Reply(body={"value": list(items)} | ({"@odata.nextLink": link} if link else {}))


def refusal(status: int, code: str = "someCode", message: str = "text", **headers: str) -> Reply:
    """Answer an error in Graph's shape; `retry_after` is the header `retry-after`."""
    inner = {"request-id": "inner-request-id"}
    body = {"error": {"code": code, "message": message, "innerError": inner}}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


type Where = Literal[
    "groups", "roles", "eligible", "joinable", "assignable", "holders", "owners", "nested", "methods", "hardware"
]


def by_place(replies: Mapping[Where, Reply]) -> Script:
    """Answer by what is read; an empty page where nothing is said of it."""

    def answer(asked: Asked) -> Reply:
        if asked.address.endswith("/$batch"):
            return UNPACK
        marks: dict[Where, str] = {
            "groups": "/checkMemberGroups",
            "assignable": "/groups?",
            "owners": "/owners",
            "nested": "/transitiveMembers/",
            "holders": "/roleAssignments?$expand",
            "roles": "/roleAssignments?$filter",
            "eligible": "/roleEligibilityScheduleInstances",
            "joinable": "/group/eligibilityScheduleInstances",
            "hardware": "/hardwareOathMethods",
            "methods": "/authentication/methods",
        }
        place = next(place for place, mark in marks.items() if mark in asked.address)
        return replies.get(place, page())

    return answer
