"""Azure Key Vault over azure-keyvault-secrets: it sets secrets, and does nothing else."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from shared.errors import VaultError
from shared.identity import QUIET, managed_identity

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.keyvault.secrets.aio import SecretClient

type CredentialFactory = Callable[[], AsyncTokenCredential]

PUT_SECONDS = 10.0
PAUSE_SECONDS = 1.0  # what Key Vault's throttling guidance asks for before the first repeat
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_OK, _TIMEOUT, _THROTTLED, _SERVER_ERROR = 200, 408, 429, 500


class KeyVault:
    """`shared.ports.Vault`; nothing is connected, and no SDK imported, before the first call.

    Needs the data action `Microsoft.KeyVault/vaults/secrets/setSecret/action` and no other. `url` is the vault's root,
    `client_id` a user-assigned identity's (None: the system-assigned one); `credential_factory` replaces the managed
    identity. `ca_file` holds the certificates to trust instead of the process's own (those of OpenSSL, which
    SSL_CERT_FILE names). A call lasts `seconds` at most; no answer, throttling, 5xx and a missing token are repeated
    once within them, after `pause_seconds`: a second set only makes another version. (aiohttp itself sends a PUT whose
    connection was cut once more, and cannot be told not to.) One object serves one event loop.
    """

    def __init__(  # noqa: PLR0913 - what differs between places, each handed in
        self,
        url: str,
        client_id: str | None,
        *,
        credential_factory: CredentialFactory | None = None,
        ca_file: Path | None = None,
        seconds: float = PUT_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._url = url
        self._host = urlsplit(url).hostname or ""
        self._tokens = _Tokens(credential_factory or partial(managed_identity, client_id), _scope_of(self._host))
        self._ca_file = ca_file
        self._seconds = seconds
        self._pause_seconds = pause_seconds
        self._client: SecretClient | None = None

    async def put(self, name: str, value: str, expires_at: datetime, tags: Mapping[str, str]) -> None:
        """Set a secret that expires. A second call sets another version of it. Needs the right to set secrets.

        Raises VaultError when the vault did not take it; no exception holds the value. Its code is Key Vault's own
        where that is a word, else `http<status>`, `noAnswer`, `noToken`, `untrustedChallenge` (it asked for a token
        of another service than its address says), `unreadableAnswer` or the kind of the failure. After `noAnswer` and
        `unreadableAnswer` the vault may have taken it all the same.
        """
        client = self._client = self._client or self._connect()
        set_secret = partial(
            client.set_secret,
            name,
            value,
            enabled=True,
            content_type="text/plain",
            expires_on=expires_at,
            tags=dict(tags),
        )
        now = asyncio.get_running_loop().time
        end = now() + self._seconds
        failure = await _try(set_secret, now() + self._seconds / 2)
        if failure and failure.passing:
            await asyncio.sleep(self._pause_seconds)
            failure = await _try(set_secret, end)
        # Not raised where the SDK's exception was caught, so that this is not its context: it may quote what was sent.
        if failure:
            raise VaultError(failure.code)

    async def close(self) -> None:
        """Close the connections to the vault and to the token endpoint; nothing is called afterwards."""
        client, self._client = self._client, None
        if client:
            await client.close()
        await self._tokens.close()

    def _connect(self) -> "SecretClient":
        from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415 - 0.5 s that a cold start need not spend

        return SecretClient(
            self._url,
            cast("AsyncTokenCredential", self._tokens),
            # A vault's address ends with the name of the service that its tokens are for; one on loopback has no name
            # to compare, and gets the one kind of token that `_Tokens` gives.
            verify_challenge_resource=self._host not in _LOOPBACK,
            connection_verify=str(self._ca_file) if self._ca_file else True,
            **QUIET,
        )


class _NoTokenError(Exception):
    """The credential gave no token."""


class _Tokens:
    """An `AsyncTokenCredential` as the SDK uses one: whatever a challenge says, it gives tokens for one scope only.

    A challenge for another scope is not refused here: the SDK has remembered it by then, and would never ask again.
    """

    def __init__(self, make: CredentialFactory, scope: str) -> None:
        self._make = make
        self._scope = scope
        self._credential: AsyncTokenCredential | None = None

    async def get_token(self, *_: str, claims: str | None = None, **__: object) -> "AccessToken":
        """Return a token of the identity's own tenant: neither scope nor tenant of a challenge is passed on."""
        try:
            self._credential = self._credential or self._make()
            return await self._credential.get_token(self._scope, claims=claims, enable_cae=True)
        except Exception:  # noqa: BLE001 - whatever it is, its fate is the same: there is no token
            raise _NoTokenError from None

    async def close(self) -> None:
        """Close the connection to the token endpoint."""
        credential, self._credential = self._credential, None
        if credential:
            await credential.close()


def _scope_of(host: str) -> str:
    """Return the scope of the tokens that a vault at `host` may see: of its own cloud's vaults, `<vault>.<service>`."""
    service = "vault.azure.net" if host in _LOOPBACK else host.partition(".")[2]
    return f"https://{service}/.default"


@dataclass(frozen=True)
class _Failure:
    code: str
    passing: bool = False


async def _try(set_secret: Callable[[], Any], end: float) -> _Failure | None:
    """Send it once, token and all, until `end` by the loop's clock; the SDK's own limits, of minutes, never count."""
    try:
        async with asyncio.timeout_at(end):
            await set_secret()
    except Exception as error:  # noqa: BLE001 - whatever it is may quote the value: nothing but a code leaves here
        return _judge(error)
    return None


def _judge(error: Exception) -> _Failure:
    from azure.core.exceptions import (  # noqa: PLC0415 - as above
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )

    match error:
        case ServiceRequestError() | ServiceResponseError() | TimeoutError():
            return _Failure("noAnswer", passing=True)
        case _NoTokenError():
            return _Failure("noToken", passing=True)
        case HttpResponseError():
            return _judge_answer(error)
        case JSONDecodeError():
            return _Failure("unreadableAnswer")
        case ValueError():  # the SDK's word for a challenge that names another service
            return _Failure("untrustedChallenge")
        case _:
            return _Failure(type(error).__name__)


def _judge_answer(error: "HttpResponseError") -> _Failure:
    status = error.status_code or 0
    if status == _OK:
        return _Failure("unreadableAnswer")
    code = error.error.code if error.error else None
    passing = status in {_TIMEOUT, _THROTTLED} or status >= _SERVER_ERROR
    return _Failure(code if isinstance(code, str) and _WORD.fullmatch(code) else f"http{status}", passing)
