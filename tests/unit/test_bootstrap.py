"""Settings become objects; nothing is opened before its first use."""

import json
from datetime import UTC, timedelta
from pathlib import Path

from azure.servicebus.aio import ServiceBusClient

from shared.bootstrap import SystemClock, build, connect_bus
from shared.graph import CallReport
from shared.settings import read_settings
from tests.builders import a_policy_document


def environment(tmp_path: Path, **changes: str) -> dict[str, str]:
    """Build an environment that starts."""
    return {
        "ServiceBusConnection": "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=a;SharedAccessKey=b",
        "LEDGER_URL": f"sqlite:///{tmp_path}/ledger.sqlite",
        "GRAPH_URL": "http://127.0.0.1:9",
        "MFA_RESET_POLICY": json.dumps(a_policy_document()),
    } | changes


async def test_house_is_built_without_opening_anything_and_closes(tmp_path: Path) -> None:
    """A cold start pays for nothing that it does not use."""
    for vault in ({}, {"KEY_VAULT_URL": "https://127.0.0.1:9"}):
        house = build(read_settings(environment(tmp_path, **vault)))
        assert house.web.front is house.reception
        assert (house.vault is None) is (not vault)
        assert not (tmp_path / "ledger.sqlite").exists()
        await house.close()


async def test_client_of_the_bus_is_made_of_a_connection_string_or_of_the_identity(tmp_path: Path) -> None:
    """The string wins: that is the local case."""
    local = connect_bus(read_settings(environment(tmp_path)))
    assert isinstance(local, ServiceBusClient)
    assert local.fully_qualified_namespace == "127.0.0.1"
    namespace = {"ServiceBusConnection__fullyQualifiedNamespace": "bus.servicebus.windows.net"}
    azure = connect_bus(read_settings(environment(tmp_path, ServiceBusConnection="", **namespace)))
    assert azure.fully_qualified_namespace == "bus.servicebus.windows.net"
    await local.close()
    await azure.close()


async def test_clock_of_this_machine_tells_utc_and_waits() -> None:
    """Aware, and asleep for at least as long as asked."""
    clock = SystemClock()
    before = clock.now()
    assert before.tzinfo is UTC
    await clock.sleep(0.01)
    assert clock.now() - before >= timedelta(seconds=0.01)


def test_report_of_a_call_holds_no_address() -> None:
    """What is logged of a call is ids and codes."""
    assert set(CallReport.__annotations__) == {
        "operation",
        "status",
        "code",
        "request_id",
        "client_request_id",
        "seconds",
        "attempt",
    }
