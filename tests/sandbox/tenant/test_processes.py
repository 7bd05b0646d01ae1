import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from sandbox.tenant import Tenant
from tests.sandbox.tenant.conftest import AVERY, DARCY, HELP_DESK, NIGHT_SHIFT

REAL_CLIENTS = "tests.sandbox.tenant.real_clients"
PATIENCE_SECONDS = 120


@asynccontextmanager
async def running(*arguments: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """Run Python in a process that does not outlive the test."""
    whole = {**os.environ, **(environment or {})}
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE, stderr=PIPE, env=whole)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_real_clients_when_environment_leads_here_then_they_work() -> None:
    """Azure Identity's managed identity and the Graph SDK read typed objects and errors from the tenant."""
    async with (
        Tenant() as tenant,
        running("-m", REAL_CLIENTS, AVERY, NIGHT_SHIFT, DARCY, environment=tenant.environment) as process,
    ):
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        assert process.returncode == 0, errors.decode()
        seen = json.loads(output)
        assert seen["displayName"] == "Avery Quinn"
        assert seen["types"] == [each.odata_type for each in tenant.directory.users[AVERY].methods]
        assert seen["phoneTypes"] == ["mobile"]
        assert (seen["error"]["status"], seen["error"]["code"]) == (400, "badRequest")
        assert seen["error"]["requestId"]
        assert seen["groups"] == [[HELP_DESK, True]]
        assert seen["deleted"] == ["User", "Darcy Lowell"]
        assert seen["expiresOn"] > 1_700_000_000
        assert len(tenant.token_calls) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_command_when_signalled_then_stops_cleanly(number: signal.Signals) -> None:
    """The command prints where the tenant is, serves it, and ends without a word when asked to."""
    async with running("-m", "sandbox.tenant") as process:
        assert process.stdout is not None
        lines = [(await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS)).decode() for _ in range(4)]
        settings = dict(line.strip().split("=", 1) for line in lines[:3])
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.get(
                settings["IDENTITY_ENDPOINT"],
                params={"resource": settings["GRAPH_URL"], "api-version": "2019-08-01"},
                headers={"X-IDENTITY-HEADER": settings["IDENTITY_HEADER"]},
            )
        process.send_signal(number)
        rest, errors = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        assert answer.status_code == 200
        assert (process.returncode, rest, errors) == (0, b"", b"")
        assert lines[3] == f"sandbox: {settings['GRAPH_URL']}/sandbox/\n"


@pytest.mark.parametrize("content", [None, "{", "{}"])
async def test_command_when_directory_cannot_be_read_then_says_so(tmp_path: Path, content: str | None) -> None:
    """A missing or a broken directory file ends the command with one line on the error output."""
    path = tmp_path / "directory.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    async with running("-m", "sandbox.tenant", "--directory", str(path)) as process:
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        assert (process.returncode, output) == (1, b"")
        assert errors.decode().startswith("The tenant could not start: ")
        assert errors.count(b"\n") == 1


async def test_command_when_port_is_taken_then_says_so() -> None:
    """A taken port ends the command with one line on the error output."""
    async with Tenant() as tenant, running("-m", "sandbox.tenant", "--port", tenant.url.rpartition(":")[2]) as process:
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        assert (process.returncode, output) == (1, b"")
        assert errors.decode().startswith("The tenant could not start: ")
        assert errors.count(b"\n") == 1


async def test_tenant_when_left_then_port_is_free_again() -> None:
    """A tenant on a chosen port ends with its context, and the port can be taken again."""
    async with Tenant() as first:
        port = int(first.url.rpartition(":")[2])
    async with Tenant(port=port) as second:
        assert second.url == first.url
        assert second.identity_header != first.identity_header
