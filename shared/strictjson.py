"""JSON as a boundary reads it: no duplicate keys, no NaN or infinity, no bottomless nesting.

What is read may still hold lone surrogates: JSON can write them, so whoever takes a string over looks for them.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NoReturn

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
type JsonFault = Literal["notJson", "duplicateKey", "tooDeep"]

type JsonPlace = tuple[str | int, ...]  # the keys and indexes that lead to a value

MAX_DEPTH = 64
_NAMED_KEYS = 20
_QUOTED_KEYS = 5
_QUOTED_CHARACTERS = 50


class StrictJsonError(ValueError):
    """The text is not JSON as we accept it.

    `code` is a stable word; the message says why and quotes nothing of the text but repeated keys, cut and escaped.
    `places` are those of repeated keys, 20 at most, with the keys as they are.
    """

    def __init__(self, code: JsonFault, message: str, places: tuple[JsonPlace, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.places = places


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
    if places := list(islice(_repeated_in(value), _NAMED_KEYS)):
        keys = ", ".join(ascii(str(place[-1])[:_QUOTED_CHARACTERS]) for place in places[:_QUOTED_KEYS])
        raise StrictJsonError("duplicateKey", f"duplicate key: {keys}", tuple(places))
    return value


class _Repeating(dict[str, Json]):
    """An object in which a key stands more than once; the parser closes inner objects first, so it knows no path."""

    def __init__(self, pairs: list[tuple[str, Json]]) -> None:
        super().__init__(pairs)
        self.repeated = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Repeating(pairs)


def _repeated_in(value: Json, place: JsonPlace = ()) -> Iterator[JsonPlace]:
    """Find repeated keys, outer ones first; what a repeated key hides is not looked at."""
    if isinstance(value, _Repeating):
        yield from ((*place, key) for key in sorted(value.repeated))
    match value:
        case list():
            inner: Iterable[tuple[str | int, Json]] = enumerate(value)
        case dict():
            inner = value.items()
        case _:
            return
    for name, each in inner:
        if isinstance(each, list | dict):
            yield from _repeated_in(each, (*place, name))


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
