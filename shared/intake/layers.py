"""What a value may be wrapped in: a byte order mark, UTF-16 with one, a JSON string, base64. At most four layers."""

import base64
import codecs
from dataclasses import dataclass

from shared.strictjson import Json, JsonPlace, StrictJsonError, parse_json

MAX_LAYERS = 4

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_TO_STANDARD_ALPHABET = str.maketrans("-_", "+/")
_HOLDS_NO_JSON = frozenset({"empty", "notUtf8", "notJson"})


class UnreadableError(ValueError):
    """There is no JSON in it; `code` is a problem's, the message a sentence, `places` where the JSON is at fault."""

    def __init__(self, code: str, message: str, places: tuple[JsonPlace, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.places = places


@dataclass(frozen=True)
class Unwrapped:
    """A JSON value, and how many layers it was in."""

    value: Json
    layers: int


def unwrap(content: bytes) -> Unwrapped:
    """Read the JSON that `content` holds; raise UnreadableError where it holds none, or in more than four layers."""
    return _unwrap_bytes(content, 0)


def unwrap_value(value: Json, layers: int) -> Unwrapped:
    """Read the JSON that a string holds; what is no string, or a string without JSON, is returned as it is.

    Raises UnreadableError where it is JSON but not as we accept it, or in more than four layers with those around it.
    """
    if not isinstance(value, str):
        return Unwrapped(value, layers)
    try:
        return _unwrap_text(value, _one_more(layers))
    except UnreadableError as error:
        if error.code in _HOLDS_NO_JSON:
            return Unwrapped(value, layers)
        raise


def _unwrap_bytes(content: bytes, layers: int) -> Unwrapped:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _unwrap_text(_decode(content[len(mark) :], encoding), _one_more(layers))
    return _unwrap_text(_decode(content, "utf-8"), layers)


def _unwrap_text(text: str, layers: int) -> Unwrapped:
    if text.startswith(_MARK):
        return _unwrap_text(text[1:], _one_more(layers))
    if not text.strip():
        raise UnreadableError("empty", "There is nothing in it.")
    try:
        value = parse_json(text)
    except StrictJsonError as error:
        unreadable = UnreadableError(error.code, f"It cannot be read as JSON: {error}.", error.places)
    else:
        return unwrap_value(value, layers)
    return _unwrap_base64(text, layers, unreadable)


def _unwrap_base64(text: str, layers: int, otherwise: UnreadableError) -> Unwrapped:
    content = _decode_base64(text)
    if content is None:
        raise otherwise
    try:
        return _unwrap_bytes(content, _one_more(layers))
    except UnreadableError as error:
        if error.code in _HOLDS_NO_JSON:
            raise otherwise from None
        raise


def _decode(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise UnreadableError("notUtf8", "It is neither UTF-8 nor UTF-16 with a byte order mark.") from None


def _decode_base64(text: str) -> bytes | None:
    """Read either alphabet, padded or not, and white space anywhere."""
    standard = "".join(text.split()).translate(_TO_STANDARD_ALPHABET)
    unpadded = standard.rstrip("=")
    padded = unpadded + "=" * (-len(unpadded) % 4)
    if standard not in {unpadded, padded}:
        return None
    try:
        return base64.b64decode(padded, validate=True)
    except ValueError:
        return None


def _one_more(layers: int) -> int:
    if layers == MAX_LAYERS:
        raise UnreadableError("tooManyLayers", f"It is wrapped in more than {MAX_LAYERS} layers.")
    return layers + 1
