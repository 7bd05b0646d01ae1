"""Tokens of the managed identity. This module imports azure-identity: it is itself imported with the first call."""

import asyncio
from collections.abc import Callable
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.identity.aio import ManagedIdentityCredential

from shared.errors import GraphAnswer, TokenError

type CredentialFactory = Callable[[], AsyncTokenCredential]

TOKEN_SECONDS = 10.0


def managed_identity(client_id: str | None) -> AsyncTokenCredential:
    """Return the user-assigned identity of that client id, the system-assigned one for None.

    Its own retries are off: `shared.graph.repeats` decides what is tried again.
    """
    return ManagedIdentityCredential(
        client_id=client_id, retry_total=0, connection_timeout=TOKEN_SECONDS, read_timeout=TOKEN_SECONDS
    )


class TokenSource:
    """An `AsyncTokenCredential` as the SDK uses one.

    It answers within 10 s or raises TokenError, which says of the reason its kind only.
    """

    def __init__(self, make: CredentialFactory, seconds: float = TOKEN_SECONDS) -> None:
        self._make = make
        self._seconds = seconds
        self._credential: AsyncTokenCredential | None = None
        self._discarded = False
        self._one_at_a_time = asyncio.Lock()

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,  # noqa: ANN401 - the signature is azure-core's
    ) -> AccessToken:
        """Return a token, of the credential's cache while it is good."""
        try:
            async with asyncio.timeout(self._seconds), self._one_at_a_time:
                credential = await self._current()
                return await credential.get_token(
                    *scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae, **kwargs
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, its fate is the same: there is no token
            raise TokenError(GraphAnswer(code=type(error).__name__)) from None

    def discard(self) -> None:
        """Forget the token that is cached: Microsoft Graph did not accept it. The next call asks for a new one."""
        self._discarded = True

    async def close(self) -> None:
        """Close the connection to the token endpoint."""
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()

    async def _current(self) -> AsyncTokenCredential:
        if self._discarded:
            self._discarded = False
            await self.close()
        if self._credential is None:
            self._credential = self._make()
        return self._credential
