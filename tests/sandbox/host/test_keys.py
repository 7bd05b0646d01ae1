"""Who may call."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from sandbox.host import HostProcess
from tests.sandbox.host.apps import write_app

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("host-keys")]

APP = """
@app.route("open", auth_level=func.AuthLevel.ANONYMOUS)
async def open_to_all(req: func.HttpRequest) -> str:
    return json.dumps(dict(req.headers))

@app.route("told", auth_level=func.AuthLevel.ANONYMOUS)
async def told(req: func.HttpRequest) -> str:
    return os.environ.get("WEBSITE_AUTH_ENABLED", "nothing")

@app.route("keyed", auth_level=func.AuthLevel.FUNCTION)
async def keyed(req: func.HttpRequest) -> str:
    return "x"

@app.route("unsaid")
async def unsaid(req: func.HttpRequest) -> str:
    return "x"

@app.route("admin-only", auth_level=func.AuthLevel.ADMIN)
async def admin_only(req: func.HttpRequest) -> str:
    return "x"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HostProcess]:
    """Start one without a route prefix, behind App Service Authentication."""
    app = write_app(tmp_path_factory.mktemp("app"), APP, {"extensions": {"http": {"routePrefix": ""}}})
    async with HostProcess(app, {}, easy_auth=True) as host:
        yield host


async def get(host: HostProcess, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Call once."""
    async with httpx.AsyncClient(base_url=host.url, timeout=10) as client:
        return await client.get(path, headers=headers)


async def test_key_when_missing_or_wrong_then_401_without_body(host: HostProcess) -> None:
    """Function and admin level need a key; function is the default."""
    assert (await get(host, "/open")).status_code == 200
    for path in ("/keyed", "/unsaid", "/admin-only"):
        for headers in ({}, {"x-functions-key": ""}, {"x-functions-key": host.function_key[:-1] + "!"}):
            answer = await get(host, path, headers)
            assert (answer.status_code, answer.content) == (401, b"")


async def test_key_when_right_then_it_opens_its_level(host: HostProcess) -> None:
    """Header or query; the master key opens all, the function key not the admin level."""
    assert (await get(host, "/keyed", {"x-functions-key": host.function_key})).status_code == 200
    assert (await get(host, f"/unsaid?code={host.function_key}")).status_code == 200
    assert (await get(host, "/keyed", {"x-functions-key": host.master_key})).status_code == 200
    assert (await get(host, "/admin-only", {"x-functions-key": host.function_key})).status_code == 401
    assert (await get(host, "/admin-only", {"x-functions-key": host.master_key})).status_code == 200


async def test_key_when_header_is_wrong_then_the_query_does_not_help(host: HostProcess) -> None:
    """The header wins."""
    answer = await get(host, f"/keyed?code={host.function_key}", {"x-functions-key": "wrong"})
    assert answer.status_code == 401


async def test_key_when_host_logs_then_it_is_not_among_it(host: HostProcess) -> None:
    """Given keys are never printed."""
    await get(host, "/keyed", {"x-functions-key": host.function_key})
    assert not [line for line in host.output if host.function_key in line or host.master_key in line]


async def test_easy_auth_when_a_caller_names_itself_then_the_headers_are_stripped(host: HostProcess) -> None:
    """Nobody outside can say who he is."""
    forged = {"X-MS-CLIENT-PRINCIPAL": "e30=", "x-ms-client-principal-id": "me", "x-sandbox-easy-auth": "guess"}
    seen = (await get(host, "/open", forged)).json()
    assert not [name for name in seen if "principal" in name or "easy-auth" in name]


async def test_easy_auth_when_signed_in_then_the_principal_arrives(host: HostProcess) -> None:
    """The host's own key makes a principal believed, and does not reach the app."""
    headers = host.sign_in([("roles", "MfaReset.Request")])
    seen = (await get(host, "/open", headers)).json()
    assert seen["x-ms-client-principal"] == headers["X-MS-CLIENT-PRINCIPAL"]
    assert "x-sandbox-easy-auth" not in seen


async def test_easy_auth_when_on_then_the_app_is_told_so(host: HostProcess, tmp_path: Path) -> None:
    """By the variable that Azure sets, and not where it is off."""
    assert (await get(host, "/told")).text == "True"
    async with HostProcess(write_app(tmp_path, APP), {}) as another:
        assert (await get(another, "/api/told")).text == "nothing"
