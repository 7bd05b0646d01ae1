"""The environment, read in this place only, once, whole or by part (product.md 6); all problems are told together."""

import os
import re
from collections.abc import Callable, Mapping
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


@dataclass(frozen=True, repr=False)
class Secret:
    """A value that must not be printed."""

    value: str

    def __repr__(self) -> str:
        """Say that there is one."""
        return "Secret(…)"


@dataclass(frozen=True)
class LedgerSettings:
    """Where the ledger is, exactly one of a file, an account and a connection string; and who opens an account."""

    path: Path | None
    account: str | None
    connection: Secret | None
    client_id: str | None  # of the app's identity; None is the system-assigned one
    tenant_id: str | None  # of the operator; None is the one that `az` is in


@dataclass(frozen=True)
class BusSettings:
    """What things are called on the bus; how it is reached, the connection string first; and who does without one."""

    request_queue: str
    rejected_queue: str
    outcome_topic: str
    namespace: str | None
    connection: Secret | None
    client_id: str | None  # the bus's own where one is named, else the app's
    tenant_id: str | None


@dataclass(frozen=True)
class Settings:
    """What an operator has set. The repr shows no secret."""

    policy: Policy
    graph_url: str
    ledger: LedgerSettings
    bus: BusSettings
    client_id: str | None
    tenant_id: str | None
    require_entra_caller: bool
    easy_auth_enabled: bool
    key_vault_url: str | None
    public_url: str | None  # where callers reach the app, where Azure says so

    @property
    def tokens_let_in(self) -> bool:
        """Whether App Service Authentication stands before the app, as it should: then no caller needs a key."""
        return self.require_entra_caller and self.easy_auth_enabled


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings, by default of this process; raise SettingsError with every problem that forbids a start."""
    reader = _Reader(environment)
    policy = reader.read_policy()
    graph_url = reader.read_graph_url()
    store = reader.read_store()
    bus = reader.read_bus()
    client_id, tenant_id = reader.read_identity()
    require_entra_caller = reader.read_switch("REQUIRE_ENTRA_CALLER")
    # Azure's own word for whether App Service Authentication is on; any other word than this is no.
    easy_auth_enabled = reader.text("WEBSITE_AUTH_ENABLED").lower() == "true"
    key_vault_url = reader.read_key_vault_url(policy)
    return Settings(
        policy=reader.sound(policy),
        graph_url=graph_url,
        ledger=LedgerSettings(*store, client_id, tenant_id),
        bus=bus,
        client_id=client_id,
        tenant_id=tenant_id,
        require_entra_caller=require_entra_caller,
        easy_auth_enabled=easy_auth_enabled,
        key_vault_url=key_vault_url,
        public_url=reader.read_public_url(),
    )


def read_ledger_settings(environment: Mapping[str, str] | None = None) -> LedgerSettings:
    """Read what opening the ledger takes and nothing else; raise SettingsError with every problem of that."""
    reader = _Reader(environment)
    return reader.sound(LedgerSettings(*reader.read_store(), *reader.read_identity()))


def read_bus_settings(environment: Mapping[str, str] | None = None) -> BusSettings:
    """Read what using the bus takes and nothing else; raise SettingsError with every problem of that."""
    reader = _Reader(environment)
    return reader.sound(reader.read_bus())


def read_policy(environment: Mapping[str, str] | None = None) -> Policy:
    """Read the policy and nothing else, not even whether there is a vault for it; raise SettingsError as above."""
    reader = _Reader(environment)
    return reader.sound(reader.read_policy())


def read_policy_if_set(environment: Mapping[str, str] | None = None) -> Policy | None:
    """Return None where no policy is set, else what `read_policy` does; raise SettingsError for a bad one."""
    return read_policy(environment) if _Reader(environment).text("MFA_RESET_POLICY") else None


def read_together[One, Other](one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
    """Read two parts; raise SettingsError with every problem of both, so that they are mended in one go."""
    try:
        first = one()
    except SettingsError as error:
        raise SettingsError(error.problems + _problems_of(other)) from None
    return first, other()


def _problems_of(read: Callable[[], object]) -> tuple[str, ...]:
    try:
        read()
    except SettingsError as error:
        return error.problems
    return ()


class _Reader:
    """Reads one setting after the other and collects what is wrong, once each however many parts it belongs to."""

    def __init__(self, environment: Mapping[str, str] | None) -> None:
        self.environment = os.environ if environment is None else environment
        self.problems: dict[str, None] = {}

    def complain(self, *problems: str) -> None:
        self.problems |= dict.fromkeys(problems)

    def sound[Part](self, part: Part | None) -> Part:
        """Return what was read where nothing was wrong with anything; None always has its problem."""
        if self.problems or part is None:
            raise SettingsError(tuple(self.problems))
        return part

    def text(self, name: str) -> str:
        return self.environment.get(name, "").strip()

    def read_policy(self) -> Policy | None:
        text = self.text("MFA_RESET_POLICY")
        if not text:
            self.complain("MFA_RESET_POLICY is not set: the policy as JSON (see infra/policy.json)")
            return None
        try:
            return parse_policy(text)
        except SettingsError as error:
            self.complain(*error.problems)
            return None

    def read_graph_url(self) -> str:
        url = self.text("GRAPH_URL").rstrip("/") or "https://graph.microsoft.com"
        if not _HTTPS_URL.fullmatch(url) and not _LOOPBACK_URL.fullmatch(url):
            self.complain("GRAPH_URL must be https://host (or http:// on loopback), without a path")
        return url

    def read_public_url(self) -> str | None:
        """Read where Azure says that the app is reached; what has a port is a developer's machine, and is not taken.

        https://learn.microsoft.com/azure/app-service/reference-app-settings#app-environment
        """
        host = self.text("WEBSITE_HOSTNAME")
        return f"https://{host}" if _NAMESPACE.fullmatch(host) else None

    def read_key_vault_url(self, policy: Policy | None) -> str | None:
        url = self.text("KEY_VAULT_URL").rstrip("/")
        if url and not _HTTPS_URL.fullmatch(url):
            self.complain("KEY_VAULT_URL must be https://host, without a path")
        if not url and policy and policy.makes_passes:
            self.complain("KEY_VAULT_URL is not set, and the policy makes Temporary Access Passes")
        return url or None

    def read_store(self) -> tuple[Path | None, str | None, Secret | None]:
        """Read which of the three it is: a file, an account for our identity, or a connection string."""
        url = self.text("LEDGER_URL")
        if not url:
            self.complain("LEDGER_URL is not set")
        elif _HTTPS_URL.fullmatch(url.rstrip("/")):
            return None, url.rstrip("/"), None
        elif _STORAGE_CONNECTION.match(url):
            return None, None, Secret(url)
        elif not url.startswith(_SQLITE) or url == _SQLITE:
            self.complain(
                "LEDGER_URL must be https://<account>.table.core.windows.net, a storage connection string or "
                "sqlite:///path"
            )
        elif any(self.environment.get(name) for name in _AZURE_ONLY):
            self.complain("LEDGER_URL must not be sqlite:///… on Azure, where instances share no disk")
        else:
            return Path(url.removeprefix(_SQLITE)), None, None
        return None, None, None

    def read_bus(self) -> BusSettings:
        names = (
            self.read_entity("REQUEST_QUEUE", "mfa-reset-requests"),
            self.read_entity("REJECTED_QUEUE", "mfa-reset-rejected"),
            self.read_entity("OUTCOME_TOPIC", "mfa-reset-outcomes"),
        )
        namespace, connection = self.read_namespace(), self.read_connection()
        own = self.read_guid("ServiceBusConnection__clientId")
        client_id, tenant_id = self.read_identity()
        return BusSettings(*names, namespace, connection, own or client_id, tenant_id)

    def read_identity(self) -> tuple[str | None, str | None]:
        return self.read_guid("AZURE_CLIENT_ID"), self.read_guid("AZURE_TENANT_ID")

    def read_entity(self, name: str, default: str) -> str:
        value = self.text(name) or default
        if not _ENTITY.fullmatch(value):
            self.complain(f"{name} must be the name of a Service Bus entity")
        return value

    def read_namespace(self) -> str | None:
        value = self.text("ServiceBusConnection__fullyQualifiedNamespace")
        if not value and not self.text("ServiceBusConnection"):
            self.complain("ServiceBusConnection or ServiceBusConnection__fullyQualifiedNamespace must be set")
        if value and not _NAMESPACE.fullmatch(value):
            self.complain("ServiceBusConnection__fullyQualifiedNamespace must be a host name")
        return value or None

    def read_connection(self) -> Secret | None:
        value = self.text("ServiceBusConnection")
        if value and not re.search(r"(^|;)\s*Endpoint=sb://[^/;]+", value, re.IGNORECASE):
            self.complain("ServiceBusConnection must be a connection string (Endpoint=sb://…)")
        return Secret(value) if value else None

    def read_guid(self, name: str) -> str | None:
        value = self.text(name)
        if value and not GUID.fullmatch(value):
            self.complain(f"{name} must be an id (8-4-4-4-12 hexadecimal digits)")
        return value.lower() or None

    def read_switch(self, name: str) -> bool:
        value = self.text(name).lower()
        if value not in {"", "true", "false"}:
            self.complain(f"{name} must be true or false")
        return value == "true"
