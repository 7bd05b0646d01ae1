"""The directory as a managed identity, in a process whose environment says so."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from typing import Any

from sandbox.tenant import Fault, Tenant
from tests.service.graph_script import USER_ID

PATIENCE_SECONDS = 60
CLIENT_ID = "30000000-0000-4000-8000-000000000001"


async def run(*arguments: str, environment: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """Run the directory in a process with warnings as errors; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-m",
        "tests.service.directory_process",
        *arguments,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **environment},
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


async def test_import_when_nothing_is_called_then_no_sdk_is_loaded() -> None:
    """A cold start does not pay half a second for what it may not need."""
    assert await run("lazy", environment={}) == []


async def test_directory_when_environment_leads_to_a_tenant_then_managed_identity_works() -> None:
    """The real credential gets one token for all calls, for the user-assigned identity that the settings name."""
    async with Tenant() as tenant:
        seen = await run(USER_ID, CLIENT_ID, environment=tenant.environment)
        assert seen == {"name": "avery.quinn@contoso.example", "methods": 4}
        assert len(tenant.token_calls) == 1
        assert f"client_id={CLIENT_ID}" in tenant.token_calls[0].path


async def test_directory_when_no_client_id_then_system_assigned() -> None:
    """Without a client id the token endpoint is asked for none."""
    async with Tenant() as tenant:
        seen = await run(USER_ID, environment=tenant.environment)
        assert seen["name"]
        assert "client_id" not in tenant.token_calls[0].path


async def test_directory_when_token_endpoint_fails_then_our_repeats_only() -> None:
    """Five tries of ours, one request each: the credential's own retries are off."""
    async with Tenant() as tenant:
        tenant.add_fault(Fault(path="/msi/token", times=None, status=500))
        seen = await run(USER_ID, environment=tenant.environment)
        assert seen["error"] == "TokenError"
        assert seen["tries"] == 5
        assert len(tenant.token_calls) == 5


async def test_directory_when_there_is_no_identity_then_token_error() -> None:
    """An endpoint where nobody listens is no token, quickly."""
    environment = {
        "GRAPH_URL": "http://127.0.0.1:1",
        "IDENTITY_ENDPOINT": "http://127.0.0.1:1/",
        "IDENTITY_HEADER": "x",
    }
    assert (await run(USER_ID, environment=environment))["error"] == "TokenError"
