"""What names a user or a method. Parsed, never repaired beyond spaces at the ends and ASCII case."""

import re
import struct
from uuid import UUID

from shared.intake.text import lower_ascii, remove_control_characters
from shared.model import ReferenceKind, UserReference
from shared.vocabulary import MethodType

MAX_USER_LENGTH = 256
MAX_METHOD_ID_LENGTH = 256
METHOD_ID_PREFIX = "id:"

_OBJECT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_METHOD_TYPES = frozenset(MethodType)
_NOBODY = "00000000-0000-0000-0000-000000000000"
_NUMBER = r"(?:0|[1-9][0-9]{0,9})"  # one spelling a number: SIDs are compared as text
_CLOUD_SID = re.compile(rf"s-1-12-1((?:-{_NUMBER}){{4}})")
_ON_PREMISES_SID = re.compile(rf"s-1-5-21((?:-{_NUMBER}){{4}})")
_SUB_AUTHORITIES = 2**32
_NOT_IN_A_NAME = frozenset('/\\?*"<>|[], \N{REPLACEMENT CHARACTER}')

# GUIDs, the base64url of FIDO2 and Windows Hello ids, base64 with `=` and `+`, and what else RFC 3986 calls unreserved.
# `/`, `?`, `#` and `%` would change an address that the id stands in, and Graph shows no id with them.
_METHOD_ID = re.compile(r"[A-Za-z0-9._~=+-]{1,256}")


def parse_user(text: str) -> UserReference | None:
    """Read an object id, a cloud SID (decoded to the object id), an on-premises SID or a user principal name.

    The value is normalised, so that two spellings of one identifier are equal. None where it is none of them.
    """
    folded = lower_ascii(text.strip(" "))
    object_id = folded if _OBJECT_ID.fullmatch(folded) else decode_cloud_sid(folded)
    if object_id is not None:
        return None if object_id == _NOBODY else UserReference(ReferenceKind.OBJECT_ID, object_id)
    if _sub_authorities(_ON_PREMISES_SID, folded) is not None:
        return UserReference(ReferenceKind.SECURITY_IDENTIFIER, folded.upper())
    return UserReference(ReferenceKind.USER_PRINCIPAL_NAME, folded) if _is_principal_name(folded) else None


def shorten_user(text: str) -> str | None:
    """Return what names a user as it can be shown again: without control characters, at most 256 of it; None of none.

    What `parse_user` reads is shown as it was written, but for the spaces at its ends, and reads the same again.
    """
    return remove_control_characters(text.strip(" ")[:MAX_USER_LENGTH]) or None


def decode_cloud_sid(text: str) -> str | None:
    """Return the object id that `S-1-12-1-a-b-c-d` holds as four little-endian numbers; None for any other text."""
    numbers = _sub_authorities(_CLOUD_SID, lower_ascii(text))
    return None if numbers is None else str(UUID(bytes_le=struct.pack("<4I", *numbers)))


def is_kept(text: str) -> bool:
    """Whether `keep` may say this: a method type, or `id:` and a method id."""
    return text in _METHOD_TYPES or (text.startswith(METHOD_ID_PREFIX) and is_method_id(text[len(METHOD_ID_PREFIX) :]))


def is_method_id(text: str) -> bool:
    """Whether a method's id may look like this: 1 to 256 of `A-Z a-z 0-9 . _ ~ = + -`."""
    return _METHOD_ID.fullmatch(text) is not None


def _sub_authorities(pattern: re.Pattern[str], text: str) -> tuple[int, ...] | None:
    found = pattern.fullmatch(text)
    if found is None:
        return None
    numbers = tuple(int(number) for number in found[1].split("-")[1:])
    return numbers if all(number < _SUB_AUTHORITIES for number in numbers) else None


def _is_principal_name(text: str) -> bool:
    """One `@` with something on both sides, printable, no white space; `#` (as in `#EXT#`) only before the `@`."""
    name, _, domain = text.partition("@")
    return (
        bool(name and domain)
        and len(text) <= MAX_USER_LENGTH
        and text.isprintable()
        and _NOT_IN_A_NAME.isdisjoint(text)
        and "@" not in domain
        and "#" not in domain
    )
