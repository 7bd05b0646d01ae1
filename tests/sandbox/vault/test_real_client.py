from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets._shared import http_challenge_cache
from azure.keyvault.secrets.aio import SecretClient

from sandbox.tenant.tokens import TokenAuthority
from sandbox.vault import Vault
from tests.sandbox.vault.conftest import Caller


class Credential(AsyncTokenCredential):
    """Gives the caller's tokens to Microsoft's client."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    async def get_token(self, *scopes: str, **_: object) -> AccessToken:
        """Return a fresh token for the resource of a scope."""
        return AccessToken(self.caller.token(scopes[0].removesuffix("/.default")), 4_000_000_000)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


@pytest.fixture
async def client(vault: Vault, caller: Caller) -> AsyncIterator[SecretClient]:
    """Open Microsoft's client, as it has to be opened for a vault on loopback."""
    http_challenge_cache.clear()  # it outlives the clients, and a free port may be that of an earlier test's vault
    async with SecretClient(
        vault.url,
        Credential(caller),
        verify_challenge_resource=False,
        connection_verify=str(vault.ca_file),
        retry_total=0,
    ) as opened:
        yield opened


async def test_client_when_it_sets_and_gets_then_reads_what_it_wrote(client: SecretClient, vault: Vault) -> None:
    """A secret goes there and back whole."""
    expires_at = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
    written = await client.set_secret("p-1", "v", tags={"a": "b"}, content_type="text/plain", expires_on=expires_at)
    vault.may_get = True
    read = await client.get_secret("p-1")
    for secret in (written, read):
        assert (secret.name, secret.value, secret.properties.tags) == ("p-1", "v", {"a": "b"})
        assert (secret.properties.expires_on, secret.properties.content_type) == (expires_at, "text/plain")
        assert secret.properties.version == vault.secrets["p-1"][0].version
        assert secret.properties.vault_url == vault.url
    assert [call.status for call in vault.calls] == [401, 200, 200]


async def test_client_when_refused_then_understands_why(client: SecretClient, vault: Vault) -> None:
    """Status and code arrive where Microsoft's client keeps them."""
    with pytest.raises(HttpResponseError) as forbidden:
        await client.get_secret("p-1")
    vault.may_get = True
    with pytest.raises(ResourceNotFoundError) as missing:
        await client.get_secret("p-1")
    errors = [each.value.error for each in (forbidden, missing)]
    assert [error and error.code for error in errors] == ["Forbidden", "SecretNotFound"]
    assert [error and error.innererror for error in errors] == [{"code": "ForbiddenByRbac"}, {}]


async def test_client_when_token_is_foreign_then_refused_after_two_challenges(
    client: SecretClient, vault: Vault, caller: Caller
) -> None:
    """The client follows the challenge of its discovery, and gives up at the next."""
    caller.tokens = TokenAuthority()
    with pytest.raises(ClientAuthenticationError):
        await client.set_secret("p-1", "v")
    assert [call.status for call in vault.calls] == [401, 401]
