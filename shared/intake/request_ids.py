"""What makes a request the same request: its id, and what it asks for."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC

from shared.model import RequestKey, ResetRequest, UserReference
from shared.vocabulary import FUNCTION_KEY, QUEUE, Caller, RequestId

MAX_LENGTH = 100
MAX_STORED_LENGTH = 200  # a derived id is its parent and 17 characters

_ALPHABET = re.compile(r"[A-Za-z0-9._:-]+")
_STORED = re.compile(r"([A-Za-z0-9._:-]+)(?:~[A-Z2-7]{16})?")
_DERIVED = re.compile(r"([A-Za-z0-9._:-]+)~[A-Z2-7]{16}")  # `~` is in no id that a sender may name
_CALLER = re.compile(rf"{QUEUE}|{FUNCTION_KEY}|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")
_DOTS = frozenset({".", ".."})  # an address would swallow them
_DERIVED_BYTES = 10  # 16 characters of base32


def parse_request_id(text: str) -> RequestId | None:
    """Read what a sender calls a request: 1 to 100 of `A-Z a-z 0-9 . _ : -`, but not `.` or `..`."""
    fits = len(text) <= MAX_LENGTH and _ALPHABET.fullmatch(text) and text not in _DOTS
    return RequestId(text) if fits else None


def parse_stored_request_id(text: str) -> RequestId | None:
    r"""Read the id of a request that we hold: up to 200 of the same alphabet, with what makes a derived id or without.

    Nothing else becomes part of a key of the ledger, where `~` begins what is not a request, and where Table Storage
    allows neither `/ \ # ?` nor control characters nor more than 1 KiB:
    https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
    """
    found = _STORED.fullmatch(text) if len(text) <= MAX_STORED_LENGTH else None
    return RequestId(text) if found and found[1] not in _DOTS else None


def parse_request_key(text: str) -> RequestKey | None:
    """Read what `str(key)` wrote of a request that we may hold; None where no key of ours is written so."""
    caller, _, request_id = text.partition(":")
    parsed = parse_stored_request_id(request_id) if _CALLER.fullmatch(caller) else None
    return RequestKey(Caller(caller), parsed) if parsed else None


def queue_parent_id(message_id: str | None, sequence_number: int) -> RequestId:
    """Return the id that a message gives its requests: the MessageId itself where it is one, else a hash of it.

    `q-<sequence number>` without a MessageId. The same message yields the same id again.
    """
    if not message_id:
        return RequestId(f"q-{sequence_number}")
    return parse_request_id(message_id) or RequestId(f"m-{_digest(message_id).hex()}")


def derive_request_id(parent: RequestId, user: UserReference) -> RequestId:
    """Return parent, `~`, 16 base32 characters of the user's hash: one parent may serve several users.

    `~` is in no id that a sender may name, so nobody can take it first.
    """
    return _derive(parent, user.value)


def derive_id_of_place(parent: RequestId, place: int) -> RequestId:
    """Return the id of an item of an array of whose user nothing can be said; no user is called `[3]`."""
    return _derive(parent, f"[{place}]")


def parent_of(request_id: RequestId) -> RequestId | None:
    """Return what an id was derived from; None for one that a sender named."""
    found = _DERIVED.fullmatch(request_id)
    return RequestId(found[1]) if found else None


def common_parent(ids: Iterable[RequestId], otherwise: RequestId) -> RequestId:
    """Return what all of them were derived from; `otherwise` where that is not one id."""
    parents = {parent_of(each) for each in ids}
    return (parents.pop() if len(parents) == 1 else None) or otherwise


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


def _derive(parent: RequestId, what: str) -> RequestId:
    return RequestId(f"{parent}~{base64.b32encode(_digest(what)[:_DERIVED_BYTES]).decode()}")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
