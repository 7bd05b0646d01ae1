"""Who calls over HTTP: the holder of the function key, or whom App Service Authentication vouches for."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from shared.policy import GUID
from shared.strictjson import parse_json
from shared.vocabulary import FUNCTION_KEY, Caller

REQUEST_ROLE = "MfaReset.Request"
READ_ROLE = "MfaReset.Read"
READ_ROLES = frozenset({READ_ROLE, "MfaReset.Operate"})

# The names of a claim: as in the token, and as App Service Authentication maps it (functions.md 6).
_ROLE_CLAIMS = {"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"}
_OBJECT_ID_CLAIMS = {"oid", "http://schemas.microsoft.com/identity/claims/objectidentifier"}


@dataclass(frozen=True)
class Principal:
    """Who calls, and what they may do."""

    caller: Caller
    may_request: bool
    may_read_all: bool


KEY_HOLDER = Principal(FUNCTION_KEY, may_request=True, may_read_all=True)


def read_principal(headers: Mapping[str, str]) -> Principal | None:
    """Read whom App Service Authentication vouches for; None unless it is exactly one object id."""
    claims = _read_claims(headers.get("x-ms-client-principal", ""))
    object_ids = {value.lower() for name, value in claims if name in _OBJECT_ID_CLAIMS and GUID.fullmatch(value)}
    if len(object_ids) != 1:
        return None
    roles = {value for name, value in claims if name in _ROLE_CLAIMS}
    return Principal(Caller(object_ids.pop()), may_request=REQUEST_ROLE in roles, may_read_all=bool(READ_ROLES & roles))


def _read_claims(header: str) -> list[tuple[str, str]]:
    """Read what App Service Authentication says of the caller; nothing from anything that is not exactly that."""
    try:
        principal = parse_json(base64.b64decode(header, validate=True).decode())
    except ValueError:  # no ASCII, no base64, no UTF-8, no JSON
        return []
    claims = principal.get("claims") if isinstance(principal, dict) else None
    pairs = (
        [(one.get("typ"), one.get("val")) for one in claims if isinstance(one, dict)]
        if isinstance(claims, list)
        else []
    )
    return [(name, value) for name, value in pairs if isinstance(name, str) and isinstance(value, str)]
