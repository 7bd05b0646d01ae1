"""What makes a request the same request: its id, and what it asks for."""

import base64
import hashlib
import json
import re
from datetime import UTC

from shared.model import ResetRequest, UserReference
from shared.vocabulary import RequestId

MAX_LENGTH = 100
MAX_STORED_LENGTH = 200  # a derived id is its parent and 17 characters

_ALPHABET = re.compile(r"[A-Za-z0-9._:-]+")
_DERIVED = re.compile(r"(.+)\.[A-Z2-7]{16}")
_DOTS = frozenset({".", ".."})  # an address would swallow them
_DERIVED_BYTES = 10  # 16 characters of base32


def parse_request_id(text: str) -> RequestId | None:
    """Read what a sender calls a request: 1 to 100 of `A-Z a-z 0-9 . _ : -`, but not `.` or `..`."""
    return _parse(text, MAX_LENGTH)


def parse_stored_request_id(text: str) -> RequestId | None:
    """Read the id of a request that we hold: of the same alphabet, but up to 200, because we derive longer ones."""
    return _parse(text, MAX_STORED_LENGTH)


def queue_parent_id(message_id: str | None, sequence_number: int) -> RequestId:
    """Return the id that a message gives its requests: the MessageId itself where it is one, else a hash of it.

    `q-<sequence number>` without a MessageId. The same message yields the same id again.
    """
    if not message_id:
        return RequestId(f"q-{sequence_number}")
    return parse_request_id(message_id) or RequestId(f"m-{_digest(message_id).hex()}")


def derive_request_id(parent: RequestId, user: UserReference) -> RequestId:
    """Return parent, dot, 16 base32 characters of the user's hash: one parent may serve several users."""
    return RequestId(f"{parent}.{base64.b32encode(_digest(user.value)[:_DERIVED_BYTES]).decode()}")


def parent_of(request_id: RequestId) -> RequestId | None:
    """Return what an id was derived from, if it looks derived: a sender may choose such an id too."""
    found = _DERIVED.fullmatch(request_id)
    return RequestId(found[1]) if found else None


def fingerprint(request: ResetRequest) -> str:
    """Return the SHA-256, as hex, of user, profile, selection and dryRun: the same where the same is asked for."""
    after = request.selection.only_registered_after
    asked = {
        "user": request.user.value,
        "profile": request.profile,
        "keep": sorted(set(request.selection.keep)),
        "onlyRegisteredAfter": after.astimezone(UTC).isoformat() if after else None,
        "keepUndated": request.selection.keep_undated,
        "dryRun": request.dry_run,
    }
    return _digest(json.dumps(asked, sort_keys=True, separators=(",", ":"))).hex()


def _parse(text: str, length: int) -> RequestId | None:
    fits = len(text) <= length and _ALPHABET.fullmatch(text) and text not in _DOTS
    return RequestId(text) if fits else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
