"""JSON as a boundary reads it: no duplicate keys, no NaN or infinity, no bottomless nesting.

What is read may still hold lone surrogates: JSON can write them, so whoever takes a string over looks for them.
"""

import json
import math
from collections import Counter
from typing import Literal, NoReturn

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
type JsonFault = Literal["notJson", "duplicateKey", "tooDeep"]

MAX_DEPTH = 64
_QUOTED_KEYS = 5
_QUOTED_CHARACTERS = 50


class StrictJsonError(ValueError):
    """The text is not JSON as we accept it.

    `code` is a stable word; the message says why and quotes nothing of the text but repeated keys, cut and escaped.
    """

    def __init__(self, code: JsonFault, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_json(text: str) -> Json:
    """Read `text`; raise StrictJsonError where it is not JSON, repeats a key or is nested deeper than 64 levels."""
    try:
        value: Json = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite_number
        )
    except StrictJsonError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise StrictJsonError(
            "notJson", f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except ValueError:  # Python converts no integer of more than 4,300 digits
        raise StrictJsonError("notJson", "a number has too many digits") from None
    _check_depth(value)
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = sorted(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        keys = ", ".join(ascii(key[:_QUOTED_CHARACTERS]) for key in repeated[:_QUOTED_KEYS])
        raise StrictJsonError("duplicateKey", f"duplicate key: {keys}")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise StrictJsonError("notJson", f"{name} is not JSON")


def _finite_number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise StrictJsonError("notJson", "a number is too large")
    return number


def _check_depth(value: Json) -> None:
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> StrictJsonError:
    return StrictJsonError("tooDeep", f"nested deeper than {MAX_DEPTH} levels")


def _children(value: Json) -> list[Json]:
    match value:
        case list():
            return [inner for inner in value if isinstance(inner, list | dict)]
        case dict():
            return [inner for inner in value.values() if isinstance(inner, list | dict)]
        case _:
            return []
