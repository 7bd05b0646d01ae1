"""A secret: what a client may send, what is kept, and what is shown of it."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

MAX_VALUE_BYTES = 25 * 1024
MAX_TAGS = 15
MAX_TAG_CHARACTERS = 256
MAX_CONTENT_TYPE_CHARACTERS = 255
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")

type Json = dict[str, Any]


class VaultError(Exception):
    """An answer in Key Vault's error shape; `inner` is the code of its `innererror`."""

    def __init__(self, status: int, code: str, message: str, inner: str | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner


@dataclass(frozen=True)
class Secret:
    """One version of a secret. Times are aware, in UTC; `expires_at` is to the second, as it is sent."""

    value: str = field(repr=False)
    expires_at: datetime | None
    tags: Mapping[str, str]
    content_type: str | None
    created_at: datetime
    enabled: bool = True
    version: str = field(default_factory=lambda: uuid.uuid4().hex)


def check_name(name: str) -> str:
    """Return the name; raise VaultError 400 when it is none."""
    if not _NAME.fullmatch(name):
        raise VaultError(400, "BadParameter", "The request URI contains an invalid name.")
    return name


def parse_secret(body: bytes, at: datetime) -> Secret:
    """Read what is to be set; raise VaultError 400 when it is not of the documented form."""
    content = _expect(_parse(body), dict, "body")
    attributes = _expect(content.get("attributes"), dict | None, "attributes") or {}
    secret = Secret(
        value=_expect(content.get("value"), str, "value"),
        expires_at=_read_time(attributes, "exp"),
        tags=_expect(content.get("tags"), dict | None, "tags") or {},
        content_type=_expect(content.get("contentType"), str | None, "contentType"),
        created_at=at,
        enabled=_expect(attributes.get("enabled", True), bool, "attributes.enabled"),
    )
    _check_sizes(secret)
    return secret


def render_secret(secret: Secret, vault_url: str, name: str) -> Json:
    """Return the secret as Key Vault shows it, value included."""
    created = int(secret.created_at.timestamp())
    attributes: Json = {"enabled": secret.enabled, "created": created, "updated": created}
    if secret.expires_at:
        attributes["exp"] = int(secret.expires_at.timestamp())
    bundle: Json = {
        "value": secret.value,
        "id": f"{vault_url}/secrets/{name}/{secret.version}",
        "attributes": {**attributes, "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90},
        "tags": dict(secret.tags),
    }
    if secret.content_type is not None:
        bundle["contentType"] = secret.content_type
    return bundle


def _parse(body: bytes) -> object:
    try:
        content: object = json.loads(body)
    except ValueError:
        raise _bad("body") from None
    return content


def _expect(value: object, kind: Any, name: str) -> Any:  # noqa: ANN401 - what `kind` says, str | None included
    if not isinstance(value, kind):
        raise _bad(name)
    return value


def _read_time(attributes: Json, name: str) -> datetime | None:
    seconds = _expect(attributes.get(name), int | None, f"attributes.{name}")
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise _bad(f"attributes.{name}") from None


def _check_sizes(secret: Secret) -> None:
    if len(secret.value.encode(errors="replace")) > MAX_VALUE_BYTES:
        raise _bad("value")
    if len(secret.content_type or "") > MAX_CONTENT_TYPE_CHARACTERS:
        raise _bad("contentType")
    words = [*secret.tags, *secret.tags.values()]
    if len(secret.tags) > MAX_TAGS or not all(_is_tag(word) for word in words):
        raise _bad("tags")


def _is_tag(word: object) -> bool:
    return isinstance(word, str) and len(word) <= MAX_TAG_CHARACTERS


def _bad(name: str) -> VaultError:
    return VaultError(400, "BadParameter", f"Property {name} has invalid value.")
