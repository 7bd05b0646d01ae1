"""Access tokens: issued by the managed identity's endpoint, verified on every call to Graph."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sandbox.tenant.directory import Json
from sandbox.tenant.exchange import GraphError

SYSTEM_ASSIGNED_CLIENT_ID = "00000000-0000-4000-8000-00000000a110"
PRINCIPAL_ID = "00000000-0000-4000-8000-00000000a111"
GRAPH_AUDIENCES = ("https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000")


@dataclass(frozen=True)
class Grant:
    """Who may do what where: a client of a tenant, a resource and the app roles."""

    tenant_id: str
    client_id: str
    resource: str
    roles: frozenset[str]


@dataclass(frozen=True)
class Token:
    """An access token and when it ends."""

    text: str
    expires_at: datetime


@dataclass(eq=False)
class TokenAuthority:
    """Signs tokens with a key of its own, so that nobody else's are accepted."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def issue(self, grant: Grant, at: datetime, lifetime: timedelta) -> Token:
        """Return a token for what is granted, which holds the roles as they are now."""
        expires_at = at + lifetime
        claims = {
            "aud": grant.resource.rstrip("/"),
            "appid": grant.client_id,
            "oid": PRINCIPAL_ID,
            "tid": grant.tenant_id,
            "roles": sorted(grant.roles),
            "iat": int(at.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        content = f"{_encode({'typ': 'JWT', 'alg': 'HS256'})}.{_encode(claims)}"
        return Token(f"{content}.{self._sign(content)}", expires_at)

    def read_roles(self, authorization: str | None, audiences: Collection[str], at: datetime) -> frozenset[str]:
        """Return the app roles of a bearer token; raise GraphError 401 when it is missing, foreign or ended."""
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.casefold() != "bearer" or not text:
            raise _unauthorised("Access token is empty.")
        content, _, signature = text.strip().rpartition(".")
        if not hmac.compare_digest(signature.encode(errors="replace"), self._sign(content).encode()):
            raise _unauthorised("Access token validation failure. Invalid signature.")
        claims = _decode(content.partition(".")[2])
        if claims["aud"] not in audiences:
            raise _unauthorised("Access token validation failure. Invalid audience.")
        if at.timestamp() >= claims["exp"]:
            raise _unauthorised("Lifetime validation failed, the token is expired.")
        return frozenset(claims["roles"])

    def _sign(self, content: str) -> str:
        return _base64(hmac.new(self.key, content.encode(errors="replace"), hashlib.sha256).digest())


def read_client_id(authorization: str) -> str | None:
    """Say to which application a bearer token was issued, whoever signed it; None for what is no token."""
    try:
        return str(_decode(authorization.split(".")[1])["appid"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _unauthorised(message: str) -> GraphError:
    return GraphError(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": 'Bearer realm=""'})


def _encode(content: Json) -> str:
    return _base64(json.dumps(content, separators=(",", ":")).encode())


def _decode(text: str) -> Json:
    content: Json = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return content


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
