"""Settings: read once, every problem together, no secret shown."""

import json
import re
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings import read_settings

ROOT = Path(__file__).parents[2]
SECRET = "c2VjcmV0LWtleQ"
SOUND = {
    "ServiceBusConnection": f"Endpoint=sb://bus.example/;SharedAccessKeyName=a;SharedAccessKey={SECRET}",
    "LEDGER_URL": "sqlite:////var/lib/mfa-reset/ledger.sqlite",
    "MFA_RESET_POLICY": (ROOT / "infra" / "policy.json").read_text(),
}


def problems_of(**changes: str) -> str:
    """Return every problem of settings that must not start."""
    with pytest.raises(SettingsError) as raised:
        read_settings(SOUND | changes)
    assert SECRET not in str(raised.value)
    return "\n".join(raised.value.problems)


def test_settings_take_the_defaults_of_the_contract() -> None:
    """The least that is set is enough."""
    settings = read_settings(SOUND)
    assert settings.graph_url == "https://graph.microsoft.com"
    assert settings.ledger.path == Path("/var/lib/mfa-reset/ledger.sqlite")
    assert (settings.bus.request_queue, settings.bus.rejected_queue, settings.bus.outcome_topic) == (
        "mfa-reset-requests",
        "mfa-reset-rejected",
        "mfa-reset-outcomes",
    )
    assert (settings.client_id, settings.require_entra_caller) == (None, False)


@pytest.mark.parametrize(
    ("required", "told", "tokens"),
    [
        ("true", "True", True),
        ("true", "true", True),
        ("true", "False", False),
        ("true", "", False),
        ("true", "1", False),
        ("false", "True", False),
        ("", "True", False),
    ],
)
def test_settings_when_a_token_lets_in_then_it_is_asked_for_and_app_service_looks_at_it(
    required: str, told: str, *, tokens: bool
) -> None:
    """Else the host goes on asking for a key."""
    settings = read_settings(SOUND | {"REQUIRE_ENTRA_CALLER": required, "WEBSITE_AUTH_ENABLED": told})
    assert settings.tokens_let_in is tokens


@pytest.mark.parametrize(
    ("host", "public_url"),
    [
        ("app.azurewebsites.example", "https://app.azurewebsites.example"),
        ("localhost:7071", None),
        ("evil.example/path", None),
        ("", None),
    ],
)
def test_settings_when_azure_names_the_apps_host_then_answers_lead_there(host: str, public_url: str | None) -> None:
    """A developer's machine has a port, and no certificate."""
    assert read_settings(SOUND | {"WEBSITE_HOSTNAME": host}).public_url == public_url


MAKES_PASSES = {
    "profiles": {"p": {"methods": "none", "steps": ["temporaryAccessPass"]}},
    "callers": {"aaaaaaaa-0000-4000-8000-00000000000a": ["p"]},
}


def test_settings_of_a_vault_are_read() -> None:
    """Without a slash at the end; none is needed where no profile makes passes."""
    assert read_settings(SOUND).key_vault_url is None
    makes = SOUND | {"MFA_RESET_POLICY": json.dumps(MAKES_PASSES), "KEY_VAULT_URL": "https://kv.vault.azure.net/"}
    assert read_settings(makes).key_vault_url == "https://kv.vault.azure.net"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "KEY_VAULT_URL is not set, and the policy makes Temporary Access Passes"),
        ("http://kv.vault.azure.net", "KEY_VAULT_URL must be https://host"),
        ("https://kv.vault.azure.net/secrets", "KEY_VAULT_URL must be https://host"),
        ("https://user@kv.vault.azure.net", "KEY_VAULT_URL must be https://host"),
        ("kv", "KEY_VAULT_URL must be https://host"),
    ],
)
def test_settings_without_a_vault_for_a_policy_that_makes_passes_do_not_start(url: str, said: str) -> None:
    """There is no other place for them."""
    with pytest.raises(SettingsError, match=re.escape(said)):
        read_settings(SOUND | {"MFA_RESET_POLICY": json.dumps(MAKES_PASSES), "KEY_VAULT_URL": url})


def test_settings_show_no_secret() -> None:
    """A repr may end in a log."""
    settings = read_settings(SOUND)
    assert settings.bus.connection is not None
    assert SECRET in settings.bus.connection.value
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"MFA_RESET_POLICY": ""}, "MFA_RESET_POLICY is not set"),
        ({"MFA_RESET_POLICY": "{}"}, "callers"),
        ({"ServiceBusConnection": ""}, "ServiceBusConnection or ServiceBusConnection__fullyQualifiedNamespace"),
        ({"ServiceBusConnection": f"SharedAccessKey={SECRET}"}, "must be a connection string"),
        ({"ServiceBusConnection__fullyQualifiedNamespace": "a b"}, "must be a host name"),
        ({"LEDGER_URL": ""}, "LEDGER_URL is not set"),
        ({"LEDGER_URL": "sqlite:///"}, "LEDGER_URL must be https://<account>.table.core.windows.net, a storage"),
        ({"WEBSITE_INSTANCE_ID": "1"}, "must not be sqlite:///… on Azure"),
        ({"GRAPH_URL": "http://graph.microsoft.com"}, "GRAPH_URL"),
        ({"GRAPH_URL": "https://graph.microsoft.com/v1.0"}, "GRAPH_URL"),
        ({"GRAPH_URL": "https://me@graph.microsoft.com"}, "GRAPH_URL"),
        ({"GRAPH_URL": "https://"}, "GRAPH_URL"),
        ({"REQUEST_QUEUE": "a b"}, "REQUEST_QUEUE must be the name"),
        ({"AZURE_CLIENT_ID": "x"}, "AZURE_CLIENT_ID must be an id"),
        ({"REQUIRE_ENTRA_CALLER": "yes"}, "REQUIRE_ENTRA_CALLER must be true or false"),
    ],
)
def test_settings_with_a_problem_do_not_start(changes: dict[str, str], said: str) -> None:
    """Each is named by its setting."""
    assert said in problems_of(**changes)


def test_settings_with_many_problems_name_them_all() -> None:
    """An operator mends them in one go."""
    said = problems_of(GRAPH_URL="x", LEDGER_URL="", MFA_RESET_POLICY="{", REQUIRE_ENTRA_CALLER="?")
    assert len(said.splitlines()) == 4


def test_settings_of_a_managed_identity_are_read() -> None:
    """A namespace takes the place of the connection string; ids are compared in lower case; loopback may be http."""
    client_id = "AAAAAAAA-0000-4000-8000-00000000000A"
    settings = read_settings(
        SOUND
        | {
            "ServiceBusConnection": "",
            "ServiceBusConnection__fullyQualifiedNamespace": "bus.servicebus.windows.net",
            "ServiceBusConnection__clientId": client_id,
            "AZURE_CLIENT_ID": client_id,
            "GRAPH_URL": "http://127.0.0.1:8080/",
            "REQUIRE_ENTRA_CALLER": "True",
        }
    )
    assert settings.bus.namespace == "bus.servicebus.windows.net"
    assert (settings.bus.client_id, settings.client_id) == (client_id.lower(), client_id.lower())
    assert settings.graph_url == "http://127.0.0.1:8080"
    assert settings.require_entra_caller


def test_settings_when_nothing_is_set_then_all_that_is_missing_is_named() -> None:
    """Three settings have no default."""
    with pytest.raises(SettingsError) as raised:
        read_settings({})
    assert [problem.split(" ")[0] for problem in raised.value.problems] == [
        "MFA_RESET_POLICY",
        "LEDGER_URL",
        "ServiceBusConnection",
    ]


def test_settings_when_every_setting_is_wrong_then_every_one_is_named_and_no_secret() -> None:
    """With the policy's own problems among them."""
    wrong = {
        "MFA_RESET_POLICY": '{"mode": "dream"}',
        "GRAPH_URL": f"https://user:{SECRET}@graph.example",
        "LEDGER_URL": f"DefaultEndpointsProtocol=https;AccountKey={SECRET}",
        "REQUEST_QUEUE": f"?{SECRET}",
        "REJECTED_QUEUE": "-",
        "OUTCOME_TOPIC": "a/",
        "ServiceBusConnection": f"SharedAccessKey={SECRET}",
        "ServiceBusConnection__fullyQualifiedNamespace": "https://bus.example",
        "ServiceBusConnection__clientId": SECRET,
        "AZURE_CLIENT_ID": SECRET,
        "AZURE_TENANT_ID": "contoso.example",
        "REQUIRE_ENTRA_CALLER": "1",
    }
    said = problems_of(**wrong)
    assert {line.split(" ")[0].rstrip(":") for line in said.splitlines()} == set(wrong)
    assert {"mode", "profiles", "callers"} <= {
        line.split(": ")[1] for line in said.splitlines() if line.startswith("MFA_RESET_POLICY: ")
    }


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:8080", "https://graph.microsoft.us", "https://a:443"],
)
def test_settings_when_graph_is_secure_or_on_loopback_then_it_is_taken(url: str) -> None:
    """Plain http never leaves the machine."""
    assert read_settings(SOUND | {"GRAPH_URL": url}).graph_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1.attacker.example",
        "http://127.0.0.2",
        "http://localhost@attacker.example",
        "http://0.0.0.0",
        "https://[",
        "https://a b",
        "https://graph.micro\tsoft.com",
        "https://graph.microsoft.com?",
        "https://graph.microsoft.com#",
        "https://graph.microsoft.com:port",
        "https:///v1.0",
        "ftp://graph.microsoft.com",
        "graph.microsoft.com",
    ],
)
def test_settings_when_graph_is_anything_else_then_they_do_not_start(url: str) -> None:
    """Tokens go to that address."""
    assert problems_of(GRAPH_URL=url).startswith("GRAPH_URL must be https://host")


@pytest.mark.parametrize(
    "changes",
    [
        {"ServiceBusConnection": "http://bus.example"},
        {"ServiceBusConnection": f"SharedAccessKey={SECRET};Endpoint=https://bus.example"},
        {"LEDGER_URL": "http://127.0.0.1:10002/devstoreaccount1"},
    ],
)
def test_settings_when_another_address_is_on_loopback_or_plain_then_they_do_not_start(changes: dict[str, str]) -> None:
    """The exception is the one for Microsoft Graph."""
    (name,) = changes
    assert problems_of(**changes).startswith(f"{name} must be")


def test_settings_when_a_value_is_only_spaces_then_it_counts_as_not_set() -> None:
    """Portals and pipelines leave such values behind."""
    settings = read_settings(SOUND | {"GRAPH_URL": "  ", "REQUEST_QUEUE": " ", "AZURE_TENANT_ID": "\t"})
    assert (settings.graph_url, settings.bus.request_queue) == ("https://graph.microsoft.com", "mfa-reset-requests")
    assert settings.tenant_id is None


def test_secret_when_shown_then_nothing_of_it_is() -> None:
    """By repr, str and format alike."""
    connection = read_settings(SOUND).bus.connection
    assert {repr(connection), str(connection), f"{connection}"} == {"Secret(…)"}
