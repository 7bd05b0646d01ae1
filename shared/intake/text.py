"""Text of a sender: without what cannot be seen, and safe to quote."""

import re
import unicodedata

_CONTROL = frozenset({"Cc", "Cf", "Cs"})  # control and format characters, lone surrogates
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]{1,50}")
_QUOTED_CHARACTERS = 50
_QUOTED_LENGTH = 60  # escaped: what a problem quotes may not swell an outcome
_LOWER_CASE = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def remove_control_characters(text: str) -> str:
    """Leave out the Unicode categories Cc, Cf and Cs; what remains can be encoded as UTF-8."""
    if text.isprintable():
        return text
    return "".join(character for character in text if unicodedata.category(character) not in _CONTROL)


def is_spoilt(text: str) -> bool:
    """Whether it cannot be an identifier: it holds a control character, or one that a decoder could not read."""
    return _REPLACEMENT in text or remove_control_characters(text) != text


def lower_ascii(text: str) -> str:
    """Write A to Z in lower case and leave other letters: Entra compares names that way, and so do we."""
    return text.translate(_LOWER_CASE)


def path_to(name: str, path: str = "") -> str:
    """Return the path of a field of what is at `path`; a name that is no plain word is quoted."""
    if not _PLAIN_NAME.fullmatch(name):
        return f"{path}[{quote(name)}]"
    return f"{path}.{name}" if path else name


def quote(text: str) -> str:
    """Show the first 50 characters, escaped to ASCII and cut again where the escapes make it long."""
    shown = ascii(text[:_QUOTED_CHARACTERS])
    if len(shown) > _QUOTED_LENGTH:
        return f"{shown[:_QUOTED_LENGTH]}..."
    return f"{shown}..." if len(text) > _QUOTED_CHARACTERS else shown
