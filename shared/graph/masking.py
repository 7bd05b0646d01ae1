"""What of a method may be shown: enough for its owner to recognise it, too little to call, write or sign in with."""

import re

_PHONE_PUNCTUATION = frozenset("+ -().x")
_FEWEST_DIGITS = 5  # the last two digits of a shorter number would be too much of it
_LONGEST_NUMBER = 40
_LONGEST_NAME = 64
_LONG_NUMBER = re.compile(r"\d(?:[\W_]{0,3}\d){6,}")  # as people write it, too: `(425) 555-0155`
_SEVEN_DIGITS = 25  # characters, with three between each two: of a number that begins, so many tell whether it is long
_TOP_LEVEL_DOMAIN = re.compile(r"[A-Za-z]{2,24}")
_FEWEST_SERIAL_CHARACTERS = 5


def mask_phone(number: str) -> str | None:
    """Turn every digit but the last two into X: `+1 5555550155` is `+X XXXXXXXX55`; None when nothing is left."""
    kept = [character for character in number if character.isdecimal() or character in _PHONE_PUNCTUATION]
    digits = [place for place, character in enumerate(kept) if character.isdecimal()]
    hidden = digits[:-2] if len(digits) >= _FEWEST_DIGITS else digits
    for place in hidden:
        kept[place] = "X"
    return "".join(kept)[-_LONGEST_NUMBER:].strip() or None


def mask_email(address: str) -> str:
    """Show the first character of the local part and the top-level domain: `a***@***.example`."""
    local, _, domain = address.strip().rpartition("@")
    first = local[:1] if local[:1].isalnum() else ""
    ending = domain.rpartition(".")[2] if "." in domain else ""
    return f"{first}***@***" + (f".{ending}" if _TOP_LEVEL_DOMAIN.fullmatch(ending) else "")


def clean_name(name: str) -> str | None:
    """Take out what is not printable, mask addresses and numbers that could be somebody's, cut at 64 characters.

    Users choose such names, and whoever registers a method in their name: the time grows with the length, no faster.
    """
    printable = "".join(character if character.isprintable() else " " for character in name)
    # Word by word, because a regular expression for an address tries each character of a word as its first. Cut so that
    # nothing is left out that tells whether what is shown belongs to a number.
    words = ("***" if "@" in word else word for word in printable.split())
    text = " ".join(words)[: _LONGEST_NAME + _SEVEN_DIGITS]
    masked = _LONG_NUMBER.sub(lambda found: "X" * len(found[0]), text)
    return masked[:_LONGEST_NAME] or None


def mask_serial(number: str) -> str | None:
    """Show the last two characters of a serial number, nothing of a short one."""
    kept = "".join(character for character in number if character.isascii() and character.isalnum())
    return f"serial number ending in {kept[-2:]}" if len(kept) >= _FEWEST_SERIAL_CHARACTERS else None
