"""Who we are: our managed identity, the same way for each service; for the commands, the operator."""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

TOKEN_SECONDS = 10.0
CLI_SECONDS = 30  # that `az` may take to give a token
# What Azure's SDK would repeat, tell a log, or ask of the environment (a proxy, which would see the identity's header)
# is ours to decide. Headers are logged at a level that no logger has enabled.
QUIET: dict[str, Any] = {
    "retry_total": 0,
    "permit_redirects": False,
    "use_env_settings": False,
    "logging_enable": False,
    "http_logging_level": logging.NOTSET,
}


def managed_identity(client_id: str | None) -> "AsyncTokenCredential":
    """Return the user-assigned identity of that client id, the system-assigned one for None.

    It asks once within 10 s, and repeats nothing: whoever needs a token decides that.
    """
    from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415 - 0.3 s that a cold start need not spend

    return ManagedIdentityCredential(
        client_id=client_id, connection_timeout=TOKEN_SECONDS, read_timeout=TOKEN_SECONDS, **QUIET
    )


def azure_cli(tenant_id: str | None) -> "AsyncTokenCredential":
    """Return who `az login` has logged in: for the commands of an operator, never for the app."""
    from azure.identity.aio import AzureCliCredential  # noqa: PLC0415 - as above

    return AzureCliCredential(tenant_id=tenant_id or "", process_timeout=CLI_SECONDS)
