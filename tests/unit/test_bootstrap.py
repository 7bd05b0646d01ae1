"""Settings become objects; nothing is opened before its first use."""

import json
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from azure.servicebus.aio import ServiceBusClient

from shared.bootstrap import SystemClock, build, connect_bus, connect_tables, open_ledger
from shared.errors import LedgerUnavailableError
from shared.graph import CallReport
from shared.ledger.sqlite import SqliteLedger
from shared.ledger.table import TableLedger
from shared.settings import read_bus_settings, read_ledger_settings, read_settings
from tests.builders import a_policy_document

BUS = "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=a;SharedAccessKey=b"


def environment(tmp_path: Path, **changes: str) -> dict[str, str]:
    """Build an environment that starts."""
    return {
        "ServiceBusConnection": BUS,
        "LEDGER_URL": f"sqlite:///{tmp_path}/ledger.sqlite",
        "GRAPH_URL": "http://127.0.0.1:9",
        "MFA_RESET_POLICY": json.dumps(a_policy_document()),
    } | changes


async def test_house_is_built_without_opening_anything_and_closes(tmp_path: Path) -> None:
    """A cold start pays for nothing that it does not use."""
    for vault in ({}, {"KEY_VAULT_URL": "https://127.0.0.1:9"}):
        house = build(read_settings(environment(tmp_path, **vault)))
        assert house.web.front is house.reception
        assert house.sweep.ledger is house.reception.ledger is house.ledger
        assert (house.vault is None) is (not vault)
        assert not (tmp_path / "ledger.sqlite").exists()
        await house.close()


ACCOUNT = "https://account.table.core.windows.net"
CONNECTION = "DefaultEndpointsProtocol=https;AccountName=account;AccountKey=a2V5;EndpointSuffix=core.windows.net"


async def test_ledger_is_a_file_or_tables_and_opens_nothing(tmp_path: Path) -> None:
    """As the settings say, for the app and for its operator."""
    for url, kind in ((f"sqlite:///{tmp_path}/l.db", SqliteLedger), (ACCOUNT, TableLedger), (CONNECTION, TableLedger)):
        for as_operator in (False, True):
            ledger = open_ledger(read_ledger_settings({"LEDGER_URL": url}), SystemClock(), as_operator=as_operator)
            assert isinstance(ledger, kind)
            await ledger.close()
    assert not (tmp_path / "l.db").exists()


async def test_ledger_that_nobody_answers_for_is_unavailable() -> None:
    """The client is made at the first use, by a connection string that leads nowhere."""
    nowhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:9/a;"
    ledger = open_ledger(read_ledger_settings({"LEDGER_URL": nowhere}), SystemClock())
    with pytest.raises(LedgerUnavailableError):
        await ledger.read_control()
    await ledger.close()


@pytest.mark.parametrize(
    ("url", "as_operator", "address", "credential"),
    [
        (CONNECTION, False, ACCOUNT, "AzureNamedKeyCredential"),
        (CONNECTION, True, ACCOUNT, "AzureNamedKeyCredential"),
        (ACCOUNT, False, ACCOUNT, "ManagedIdentityCredential"),
        (ACCOUNT, True, ACCOUNT, "AzureCliCredential"),
        ("UseDevelopmentStorage=true", False, "http://127.0.0.1:10002/devstoreaccount1", "AzureNamedKeyCredential"),
    ],
)
async def test_client_of_the_tables_is_made_of_a_connection_string_or_of_an_identity(
    url: str, as_operator: bool, address: str, credential: str
) -> None:
    """Ours for the app; for a command, who is logged in."""
    client = connect_tables(read_ledger_settings({"LEDGER_URL": url}), as_operator=as_operator)
    assert client.url == address
    assert type(client.credential).__name__ == credential
    await client.close()


async def test_client_of_the_bus_is_made_of_a_connection_string_or_of_the_identity() -> None:
    """The string wins: that is the local case."""
    namespace = {"ServiceBusConnection__fullyQualifiedNamespace": "bus.servicebus.windows.net"}
    local = connect_bus(read_bus_settings(namespace | {"ServiceBusConnection": BUS}))
    assert isinstance(local, ServiceBusClient)
    assert local.fully_qualified_namespace == "127.0.0.1"
    azure = connect_bus(read_bus_settings(namespace))
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
