"""What is wrong with a value of the policy, in the words of whoever wrote it: JSON's, not the validating library's."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from shared.policy.values import Policy, Profile

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

type Place = tuple[int | str, ...]

# https://docs.pydantic.dev/latest/errors/validation_errors/ lists the types. What stands in braces is the context's.
_WORDS: Mapping[str, str] = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "enum": "must be one of {expected}",
    "extra_forbidden": "there is no such key",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "missing": "it is missing",
    "model_type": "must be an object",
    "string_type": "must be a text",
    "string_unicode": "must be a text without half of a surrogate pair",
    "too_short": "must hold at least one",
    "tuple_type": "must be a list",
    "value_error": "{error}",
}
# What pydantic puts into a place for the branch of a union that it tried.
_LITERAL = re.compile(r"literal\[.*\]", re.DOTALL)
_SEVERAL = re.compile(r"(tuple|function-[a-z]+)\[.*\]", re.DOTALL)
_OF_LITERALS = {"literal_error", "string_unicode"}
_LONGEST_KEY = 50


def describe(details: Sequence["ErrorDetails"]) -> Iterator[str]:
    """Say what is wrong and where, a sentence each."""
    # Of a value that may be a word or a list, one of the two branches says what matters.
    words_or_lists = {detail["loc"][:-1] for detail in details if _is_literal(detail)}
    for detail in details:
        if _is_literal(detail):
            if not isinstance(detail["input"], list):
                yield f"{_path(detail['loc'])}: {_words(detail)}, or a list"
        elif detail["type"] != "tuple_type" or detail["loc"][:-1] not in words_or_lists:
            yield f"{_path(detail['loc'])}: {_words(detail)}"


def _is_literal(detail: "ErrorDetails") -> bool:
    return bool(detail["loc"] and _LITERAL.fullmatch(str(detail["loc"][-1])) and detail["type"] in _OF_LITERALS)


def _is_branch(part: int | str) -> bool:
    return bool(_LITERAL.fullmatch(str(part)) or _SEVERAL.fullmatch(str(part)))


def _path(place: Place) -> str:
    return ".".join(str(part)[:_LONGEST_KEY] for part in place if not _is_branch(part)) or "the policy"


def _words(detail: "ErrorDetails") -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    expected = str(context.get("expected", "")).replace("'", '"')
    words = _WORDS.get(detail["type"], "cannot be understood").format(**context | {"expected": expected})
    return words + (_suggest(detail["loc"]) if detail["type"] == "extra_forbidden" else "")


def _suggest(place: Place) -> str:
    """Name the key that was meant, where one is near: in the same part, or of the same name in another."""
    *above, key = map(str, place)
    near = get_close_matches(key, _keys(_part(above)), n=1)
    near += [f"{name}.{key}" for name in _keys(Policy) if key in _keys(_part([name]))]
    return f"; did you mean {near[0]}?" if near else ""


def _part(place: list[str]) -> type[BaseModel] | None:
    """Return which part of the policy a place is; None where the policy names no keys."""
    match place:
        case []:
            return Policy
        case ["profiles", _]:
            return Profile
        case _:
            found = next(field for field in Policy.model_fields.values() if field.alias == place[0]).annotation
            return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _keys(part: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()] if part else []
