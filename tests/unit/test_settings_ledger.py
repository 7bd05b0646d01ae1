"""Settings of the ledger: which of the three it is, and who opens it."""

from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings import LedgerSettings, Secret, read_ledger_settings

SECRET = "c2VjcmV0LWtleQ"
CLIENT, TENANT = "aaaaaaaa-0000-4000-8000-00000000000a", "bbbbbbbb-0000-4000-8000-00000000000b"


def problems_of(**settings: str) -> str:
    """Return every problem of settings that open no ledger."""
    with pytest.raises(SettingsError) as raised:
        read_ledger_settings(settings)
    assert SECRET not in str(raised.value)
    return "\n".join(raised.value.problems)


ACCOUNT = "https://account.table.core.windows.net"
CONNECTIONS = (
    f"DefaultEndpointsProtocol=https;AccountName=account;AccountKey={SECRET};EndpointSuffix=core.windows.net",
    f"TableEndpoint={ACCOUNT};SharedAccessSignature=sv=1&sig={SECRET}",
    f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={SECRET};TableEndpoint=http://127.0.0.1:10002/a;",
    "UseDevelopmentStorage=true",
)


def ledger_of(url: str, **changes: str) -> tuple[Path | None, str | None, Secret | None]:
    """Return which of the three ledgers it is."""
    ledger = read_ledger_settings({"LEDGER_URL": url} | changes)
    return ledger.path, ledger.account, ledger.connection


@pytest.mark.parametrize("url", [ACCOUNT, f"{ACCOUNT}/", f" {ACCOUNT} "])
def test_ledger_when_it_is_an_account_then_our_identity_opens_it(url: str) -> None:
    """On Azure, too; without a slash at the end."""
    assert ledger_of(url, WEBSITE_INSTANCE_ID="x") == (None, ACCOUNT, None)


@pytest.mark.parametrize("url", CONNECTIONS)
def test_ledger_when_it_is_a_connection_string_then_it_is_kept_secret(url: str) -> None:
    """On Azure, too; of an account with its key, with a signature, or of the emulator."""
    assert ledger_of(url, WEBSITE_INSTANCE_ID="x") == (None, None, Secret(url))
    assert SECRET not in repr(read_ledger_settings({"LEDGER_URL": url}))


def test_ledger_when_it_is_a_file_then_it_is_a_path() -> None:
    """A relative one has three slashes, an absolute one four."""
    assert ledger_of("sqlite:///ledger.db") == (Path("ledger.db"), None, None)
    assert ledger_of("sqlite:////var/ledger.db") == (Path("/var/ledger.db"), None, None)


@pytest.mark.parametrize(
    "url",
    [
        "account",
        "account.table.core.windows.net",
        "http://account.table.core.windows.net",
        f"{ACCOUNT}/MfaResetRequests",
        f"{ACCOUNT}?sig={SECRET}",
        f"https://me:{SECRET}@account.table.core.windows.net",
        "sqlite://ledger.db",
        "sqlite:///",
        "postgres://127.0.0.1/ledger",
        f"AccountKey={SECRET}",
    ],
)
def test_ledger_when_it_is_anything_else_then_it_is_refused(url: str) -> None:
    """Nothing of it is told: there may be a key in it."""
    assert problems_of(LEDGER_URL=url) == (
        "LEDGER_URL must be https://<account>.table.core.windows.net, a storage connection string or sqlite:///path"
    )


@pytest.mark.parametrize("name", ["WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME", "WEBSITE_POD_NAME"])
def test_ledger_when_azure_runs_the_app_then_a_file_is_refused(name: str) -> None:
    """Any of what Azure sets tells it."""
    assert (
        problems_of(LEDGER_URL="sqlite:///ledger.db", **{name: "x"})
        == "LEDGER_URL must not be sqlite:///… on Azure, where instances share no disk"
    )


@pytest.mark.parametrize("url", ["", " \t"])
def test_ledger_when_it_is_not_set_then_it_is_refused(url: str) -> None:
    """It has no default."""
    assert problems_of(LEDGER_URL=url) == problems_of() == "LEDGER_URL is not set"


def test_ledger_when_nothing_else_is_set_then_it_is_enough() -> None:
    """Neither a bus nor a policy is asked for, and what they are matters not."""
    alone = LedgerSettings(None, ACCOUNT, None, None, None)
    assert read_ledger_settings({"LEDGER_URL": ACCOUNT}) == alone
    others = {"MFA_RESET_POLICY": "{", "ServiceBusConnection": "?", "REQUEST_QUEUE": "?", "GRAPH_URL": "?"}
    assert read_ledger_settings({"LEDGER_URL": ACCOUNT} | others) == alone


def test_ledger_when_an_identity_and_a_tenant_are_set_then_they_come_along() -> None:
    """Ids are compared in lower case."""
    ids = {"AZURE_CLIENT_ID": CLIENT.upper(), "AZURE_TENANT_ID": TENANT.upper()}
    assert read_ledger_settings({"LEDGER_URL": ACCOUNT} | ids) == LedgerSettings(None, ACCOUNT, None, CLIENT, TENANT)


def test_ledger_with_many_problems_names_them_all() -> None:
    """And none of another part."""
    said = problems_of(AZURE_CLIENT_ID="x", AZURE_TENANT_ID="y", REQUEST_QUEUE="?", MFA_RESET_POLICY="{")
    assert [line.split(" ")[0] for line in said.splitlines()] == ["LEDGER_URL", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"]
