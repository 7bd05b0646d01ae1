"""A JSON object read strictly, field by field: what is wrong gathers by path, and all of it is told at once."""

from datetime import datetime
from typing import assert_never

from shared.intake.moments import parse_moment
from shared.intake.text import is_spoilt, path_to, quote, remove_control_characters
from shared.model import Problem
from shared.strictjson import Json

_NAMED_UNKNOWN_FIELDS = 20  # beyond them only counted: the outcome has to fit into a message


class Fields:
    """The fields of one object at `path`. Each is taken once; `refuse_others` refuses those that nobody took.

    An absent field and one that is null read the same, unless a method says otherwise. A method that finds a problem
    keeps it in `problems` and returns what it returns for an absent field.
    """

    def __init__(self, content: dict[str, Json], path: str, problems: list[Problem] | None = None) -> None:
        self._untaken = dict(content)
        self._path = path
        self.problems: list[Problem] = [] if problems is None else problems

    def path_of(self, name: str) -> str:
        """Return the path of a field; a name that is no plain word is quoted."""
        return path_to(name, self._path)

    def refuse(self, name: str, code: str, text: str) -> None:
        """Keep a problem of the field `name`."""
        self.problems.append(Problem(self.path_of(name), code, text))

    def has(self, name: str) -> bool:
        """Whether the field, not yet taken, is there and not null."""
        return self._untaken.get(name) is not None

    def is_empty_array(self, name: str) -> bool:
        """Whether the field, not yet taken, is an array without entries."""
        return self._untaken.get(name) == []

    def take(self, name: str) -> Json:
        """Take a field as it is."""
        return self._untaken.pop(name, None)

    def take_string(self, name: str) -> str | None:
        """Take a string as it is."""
        value = self.take(name)
        if value is None or isinstance(value, str):
            return value
        self._refuse_type(name, "text", value)
        return None

    def take_text(self, name: str, limit: int) -> str | None:
        """Take text for people, without its control characters, of at most `limit` characters; none left is absent."""
        text = remove_control_characters(self.take_string(name) or "")
        if len(text) > limit:
            self.refuse(name, "tooLong", f"It has {len(text)} characters, at most {limit} are allowed.")
            return None
        return text or None

    def take_identifier(self, name: str, limit: int) -> str | None:
        """Take an id of a sender, of at most `limit` characters and without control characters; empty is absent."""
        text = self.take_string(name) or ""
        if len(text) > limit:
            self.refuse(name, "tooLong", f"It has {len(text)} characters, at most {limit} are allowed.")
            return None
        if is_spoilt(text):
            self.refuse(name, "badFormat", "It holds characters that no id has: control characters or unreadable ones.")
            return None
        return text or None

    def take_flag(self, name: str, *, nullable: bool) -> bool:
        """Take true or false; absent is false, and so is null where it is `nullable`."""
        value = self._untaken.pop(name, False)
        if isinstance(value, bool) or (value is None and nullable):
            return bool(value)
        self._refuse_type(name, "true or false", value)
        return False

    def take_moment(self, name: str) -> datetime | None:
        """Take a time in RFC 3339 with an offset."""
        text = self.take_string(name)
        at = None if text is None else parse_moment(text)
        if text is not None and at is None:
            self.refuse(name, "badFormat", f"It is no time in RFC 3339 with an offset: {quote(text)}.")
        return at

    def take_strings(self, name: str, limit: int) -> dict[int, str]:
        """Take an array of at most `limit` strings, each under its place in it."""
        value = self.take(name)
        if value is None:
            return {}
        if not isinstance(value, list):
            self._refuse_type(name, "an array", value)
            return {}
        if len(value) > limit:
            self.refuse(name, "tooMany", f"It has {len(value)} entries, at most {limit} are allowed.")
            return {}
        strings: dict[int, str] = {}
        for place, entry in enumerate(value):
            if isinstance(entry, str):
                strings[place] = entry
            else:
                self.refuse_entry(name, place, "wrongType", _wrong_type("text", entry))
        return strings

    def take_object(self, name: str) -> "Fields | None":
        """Take an object; what is wrong in it is kept here too."""
        value = self.take(name)
        if isinstance(value, dict):
            return Fields(value, self.path_of(name), self.problems)
        if value is not None:
            self._refuse_type(name, "an object", value)
        return None

    def refuse_others(self) -> None:
        """Refuse every field that was not taken: a misspelt one must not be lost in silence."""
        names = list(self._untaken)
        for name in names[:_NAMED_UNKNOWN_FIELDS]:
            self.refuse(name, "unknownField", "There is no such field.")
        if more := names[_NAMED_UNKNOWN_FIELDS:]:
            text = f"There are {len(more)} more fields that are not known."
            self.problems.append(Problem(self._path, "unknownField", text))

    def refuse_entry(self, name: str, place: int, code: str, text: str) -> None:
        """Keep a problem of one entry of an array."""
        self.problems.append(Problem(f"{self.path_of(name)}[{place}]", code, text))

    def _refuse_type(self, name: str, wanted: str, value: Json) -> None:
        self.refuse(name, "wrongType", _wrong_type(wanted, value))


def _wrong_type(wanted: str, value: Json) -> str:
    return f"It must be {wanted}, not {_type_name(value)}."


def _type_name(value: Json) -> str:
    """Say what a JSON value is."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            assert_never(value)
