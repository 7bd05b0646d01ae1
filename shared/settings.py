"""The environment, read once and in this place only (product.md 6); every problem is reported together."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import SettingsError
from shared.policy import GUID, Policy, parse_policy

_HTTPS_URL = re.compile(r"https://[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(?::[0-9]{1,5})?")
_LOOPBACK_URL = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?")
# An account with its key, a shared access signature, or a machine's own emulator.
_STORAGE_CONNECTION = re.compile(
    r"(?=(.*;)?\s*AccountName=[^;])(.*;)?\s*AccountKey=[^;]"
    r"|(.*;)?\s*(SharedAccessSignature=[^;]|UseDevelopmentStorage=true)",
    re.IGNORECASE,
)
_SQLITE = "sqlite:///"
_ENTITY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?")
_NAMESPACE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
# Azure sets these where it runs an app; instances share no disk there.
_AZURE_ONLY = ("WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME", "WEBSITE_POD_NAME")


@dataclass(frozen=True)
class Settings:
    """What an operator has set. The repr shows no secret: the connection string is left out."""

    policy: Policy
    graph_url: str
    ledger_path: Path | None
    ledger_account: str | None
    ledger_connection: "Secret | None"
    request_queue: str
    rejected_queue: str
    outcome_topic: str
    service_bus_namespace: str | None
    service_bus_connection: "Secret | None"
    service_bus_client_id: str | None
    client_id: str | None
    tenant_id: str | None
    require_entra_caller: bool
    easy_auth_enabled: bool
    key_vault_url: str | None

    @property
    def tokens_let_in(self) -> bool:
        """Whether App Service Authentication stands before the app, as it should: then no caller needs a key."""
        return self.require_entra_caller and self.easy_auth_enabled


@dataclass(frozen=True, repr=False)
class Secret:
    """A value that must not be printed."""

    value: str

    def __repr__(self) -> str:
        """Say that there is one."""
        return "Secret(…)"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings, by default of this process; raise SettingsError with every problem that forbids a start."""
    reader = _Reader(os.environ if environment is None else environment)
    policy = reader.read_policy()
    settings = {
        "graph_url": reader.read_graph_url(),
        **reader.read_ledger(),
        "request_queue": reader.read_entity("REQUEST_QUEUE", "mfa-reset-requests"),
        "rejected_queue": reader.read_entity("REJECTED_QUEUE", "mfa-reset-rejected"),
        "outcome_topic": reader.read_entity("OUTCOME_TOPIC", "mfa-reset-outcomes"),
        "service_bus_namespace": reader.read_namespace(),
        "service_bus_connection": reader.read_connection(),
        "service_bus_client_id": reader.read_guid("ServiceBusConnection__clientId"),
        "client_id": reader.read_guid("AZURE_CLIENT_ID"),
        "tenant_id": reader.read_guid("AZURE_TENANT_ID"),
        "require_entra_caller": reader.read_switch("REQUIRE_ENTRA_CALLER"),
        # Azure's own word for whether App Service Authentication is on; any other word than this is no.
        "easy_auth_enabled": reader.text("WEBSITE_AUTH_ENABLED").lower() == "true",
        "key_vault_url": reader.read_key_vault_url(policy),
    }
    if reader.problems or policy is None:
        raise SettingsError(tuple(reader.problems))
    return Settings(policy=policy, **settings)  # type: ignore[arg-type] # each reader gives its field's type


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        return self.environment.get(name, "").strip()

    def read_policy(self) -> Policy | None:
        text = self.text("MFA_RESET_POLICY")
        if not text:
            self.problems.append("MFA_RESET_POLICY is not set: the policy as JSON (see infra/policy.json)")
            return None
        try:
            return parse_policy(text)
        except SettingsError as error:
            self.problems += error.problems
            return None

    def read_graph_url(self) -> str:
        url = self.text("GRAPH_URL").rstrip("/") or "https://graph.microsoft.com"
        if not _HTTPS_URL.fullmatch(url) and not _LOOPBACK_URL.fullmatch(url):
            self.problems.append("GRAPH_URL must be https://host (or http:// on loopback), without a path")
        return url

    def read_key_vault_url(self, policy: Policy | None) -> str | None:
        url = self.text("KEY_VAULT_URL").rstrip("/")
        if url and not _HTTPS_URL.fullmatch(url):
            self.problems.append("KEY_VAULT_URL must be https://host, without a path")
        if not url and policy and policy.makes_passes:
            self.problems.append("KEY_VAULT_URL is not set, and the policy makes Temporary Access Passes")
        return url or None

    def read_ledger(self) -> dict[str, Path | str | Secret | None]:
        """Read which of the three it is: a file, an account for our identity, or a connection string."""
        url = self.text("LEDGER_URL")
        found: dict[str, Path | str | Secret | None]
        found = {"ledger_path": None, "ledger_account": None, "ledger_connection": None}
        if not url:
            self.problems.append("LEDGER_URL is not set")
        elif _HTTPS_URL.fullmatch(url.rstrip("/")):
            found["ledger_account"] = url.rstrip("/")
        elif _STORAGE_CONNECTION.match(url):
            found["ledger_connection"] = Secret(url)
        elif not url.startswith(_SQLITE) or url == _SQLITE:
            self.problems.append(
                "LEDGER_URL must be https://<account>.table.core.windows.net, a storage connection string or "
                "sqlite:///path"
            )
        elif any(self.environment.get(name) for name in _AZURE_ONLY):
            self.problems.append("LEDGER_URL must not be sqlite:///… on Azure, where instances share no disk")
        else:
            found["ledger_path"] = Path(url.removeprefix(_SQLITE))
        return found

    def read_entity(self, name: str, default: str) -> str:
        value = self.text(name) or default
        if not _ENTITY.fullmatch(value):
            self.problems.append(f"{name} must be the name of a Service Bus entity")
        return value

    def read_namespace(self) -> str | None:
        value = self.text("ServiceBusConnection__fullyQualifiedNamespace")
        if not value and not self.text("ServiceBusConnection"):
            self.problems.append("ServiceBusConnection or ServiceBusConnection__fullyQualifiedNamespace must be set")
        if value and not _NAMESPACE.fullmatch(value):
            self.problems.append("ServiceBusConnection__fullyQualifiedNamespace must be a host name")
        return value or None

    def read_connection(self) -> Secret | None:
        value = self.text("ServiceBusConnection")
        if value and not re.search(r"(^|;)\s*Endpoint=sb://[^/;]+", value, re.IGNORECASE):
            self.problems.append("ServiceBusConnection must be a connection string (Endpoint=sb://…)")
        return Secret(value) if value else None

    def read_guid(self, name: str) -> str | None:
        value = self.text(name)
        if value and not GUID.fullmatch(value):
            self.problems.append(f"{name} must be an id (8-4-4-4-12 hexadecimal digits)")
        return value.lower() or None

    def read_switch(self, name: str) -> bool:
        value = self.text(name).lower()
        if value not in {"", "true", "false"}:
            self.problems.append(f"{name} must be true or false")
        return value == "true"
