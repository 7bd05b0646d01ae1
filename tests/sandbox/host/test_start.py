"""Apps that cannot be served: the start fails, soon, and says why."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.host import HostProcess, HostStartError
from tests.sandbox.host.apps import ANSWERING, HEAD, write_app

CONNECTION = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=x;SharedAccessKey=aGlkZGVu;UseDevelopmentEmulator=true"
QUEUE = """
@app.service_bus_queue_trigger("message", connection="ServiceBusConnection", queue_name="%REQUEST_QUEUE%")
async def take(message: func.ServiceBusMessage) -> None: ...
"""
ROUTE = "@app.route('x')\n"


async def refusal(app: Path, environment: Mapping[str, str]) -> str:
    """Start, expect the refusal, return its text."""
    with pytest.raises(HostStartError) as raised:
        async with HostProcess(app, environment):
            pytest.fail("The host has started")
    return str(raised.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (f"{ROUTE}async def f(req: func.HttpRequest, more: int = 1) -> str: ...", "'more'"),
        (f"{ROUTE}async def f(req: func.HttpRequest) -> dict: ...", "return annotation"),
        (f"{ROUTE}async def f(req: func.HttpRequest) -> func.HttpResponse | None: ...", "return annotation"),
        (f"{ROUTE}async def f(req: func.HttpRequest, ctx: func.Context) -> str: ...", "'ctx'"),
        ("other = func.FunctionApp()", "More than one"),
        ("app = None", "Could not find top level function app"),
        ("import absent_module", "absent_module"),
        ("raise RuntimeError('at import')", "at import"),
        (f"{ROUTE}async def f(req: func.HttpRequest) -> str: ...\n{ROUTE}async def f(req): ...", "f"),
        (
            QUEUE.replace("func.ServiceBusMessage", "list[func.ServiceBusMessage]"),
            "list",
        ),
        ("", "No functions were found"),
    ],
)
async def test_start_when_the_worker_refuses_the_app_then_its_message(tmp_path: Path, source: str, words: str) -> None:
    """What Microsoft's library refuses, the host refuses."""
    assert words in await refusal(write_app(tmp_path, source), {})


async def test_start_when_settings_are_missing_then_each_function_in_error_is_named(tmp_path: Path) -> None:
    """The unresolved setting is named, and the missing connection of another function too."""
    more = QUEUE.replace("%REQUEST_QUEUE%", "q").replace("take", "take_more")
    words = await refusal(write_app(tmp_path, QUEUE + more), {})
    assert "The 'take' function is in error: '%REQUEST_QUEUE%' does not resolve to a value" in words
    assert "'take_more' function is in error: Service Bus connection string 'ServiceBusConnection' is missing" in words


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"ServiceBusConnection": "nonsense-aGlkZGVu"},
            "The 'take' function's connection is no Service Bus connection string",
        ),
        ({"ServiceBusConnection__fullyQualifiedNamespace": "x.servicebus.windows.net"}, "identity-based"),
    ],
)
async def test_start_when_the_connection_is_unusable_then_it_is_named_and_not_shown(
    tmp_path: Path, environment: Mapping[str, str], words: str
) -> None:
    """A connection string is a secret."""
    said = await refusal(write_app(tmp_path, QUEUE), {"REQUEST_QUEUE": "q", **environment})
    assert words in said
    assert "aGlkZGVu" not in said


@pytest.mark.parametrize(
    ("host_json", "words"),
    [
        ({"extensionBundle": {}}, "names no extensionBundle"),
        ({"version": "1.0"}, '"version": "2.0"'),
        ({"functionTimeout": "10 minutes"}, "'10 minutes' is not a time span"),
        ({"extensions": {"serviceBus": {"maxConcurrentCalls": 0}}}, "maxConcurrentCalls"),
        ({"extensions": []}, "extensions is not an object"),
        ({"logging": {"logLevel": {"default": "Loud"}}}, "default: Loud"),
    ],
)
async def test_start_when_host_json_is_wrong_then_it_says_what(
    tmp_path: Path, host_json: Mapping[str, Any], words: str
) -> None:
    """Nothing of it is guessed."""
    environment = {"REQUEST_QUEUE": "q", "ServiceBusConnection": CONNECTION}
    assert words in await refusal(write_app(tmp_path, QUEUE, host_json), environment)


async def test_start_when_host_json_is_absent_or_no_json_then_it_says_so(tmp_path: Path) -> None:
    """The file is required."""
    (tmp_path / "function_app.py").write_text(HEAD + ANSWERING, encoding="utf-8")
    assert "no host.json" in await refusal(tmp_path, {})
    (tmp_path / "host.json").write_text("{", encoding="utf-8")
    assert "host.json is not JSON" in await refusal(tmp_path, {})


async def test_start_when_the_route_is_unknown_to_the_sandbox_then_it_says_so(tmp_path: Path) -> None:
    """Better than a route that matches nothing."""
    app = write_app(tmp_path, "@app.route('x/{id:frob}')\nasync def f(req: func.HttpRequest) -> str: ...")
    assert "constraint 'frob'" in await refusal(app, {})


async def test_start_when_the_port_is_taken_then_it_says_so(tmp_path: Path) -> None:
    """Two hosts cannot share one."""
    app = write_app(tmp_path, ANSWERING)
    async with HostProcess(app, {}) as host:
        port = int(host.url.rpartition(":")[2])
        with pytest.raises(HostStartError, match=f"Port {port} cannot be used"):
            async with HostProcess(app, {}, port=port):
                pass


async def test_start_when_service_bus_keys_are_unknown_then_a_warning_each(tmp_path: Path) -> None:
    """Dead keys are told, and the bus that cannot be reached does not keep the host from serving."""
    service_bus = {"messageHandlerOptions": {}, "maxConcurrentCalls": 2}
    app = write_app(tmp_path, QUEUE, {"extensions": {"serviceBus": service_bus}})
    async with HostProcess(app, {"REQUEST_QUEUE": "q", "ServiceBusConnection": CONNECTION}) as host:
        line = "WARNING Host.Startup host.json: extensions.serviceBus.messageHandlerOptions is not known"
        assert await host.wait_for_output(line)
        assert not [line for line in host.output if "maxConcurrentCalls" in line]
        assert await host.wait_for_output("q: ServiceBusConnectionError; trying again")
        assert not [line for line in host.output if "aGlkZGVu" in line]
