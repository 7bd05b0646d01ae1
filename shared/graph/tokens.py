"""Tokens of the managed identity: asked for in time, forgotten when they are refused, read for what they grant."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential

from shared.errors import GraphAnswer, TokenError
from shared.identity import TOKEN_SECONDS
from shared.strictjson import parse_json

type CredentialFactory = Callable[[], AsyncTokenCredential]


def read_roles(token: str) -> frozenset[str]:
    """Return the `roles` claim of an access token; raise TokenError for one that cannot be read.

    For saying what is missing, not for deciding: nobody but Microsoft Graph checks the signature.
    """
    try:
        payload = token.split(".")[1]
        claims = parse_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode())
    except (IndexError, ValueError):  # not three parts, no base64, no UTF-8, no JSON
        raise TokenError(GraphAnswer(code="unreadableToken")) from None
    roles = claims.get("roles", []) if isinstance(claims, dict) else None
    if not isinstance(roles, list):
        raise TokenError(GraphAnswer(code="unreadableToken"))
    return frozenset(role for role in roles if isinstance(role, str))


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
