"""Route templates of HTTP functions, as ASP.NET Core reads them.

Known: literals (matched without regard to case), `{name}`, `{name?}`, `{name=default}`, `{*name}`, `{**name}` and the
constraints of `CONSTRAINTS`; a literal and a parameter in one segment are not.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from sandbox.host.errors import StartError

_GUID = r"\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?"
CONSTRAINTS = {
    "int": re.compile(r"[+-]?\d{1,10}"),
    "long": re.compile(r"[+-]?\d{1,19}"),
    "bool": re.compile(r"(?i:true|false)"),
    "guid": re.compile(_GUID),
    "alpha": re.compile(r"[A-Za-z]*"),
    "required": re.compile(r".+"),
}
_PARAMETER = re.compile(r"\{(\*{0,2})(\w+)((?::\w+)*)(?:(\?)|=([^}]*))?\}")


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One segment of a template: a literal or a parameter."""

    literal: str | None = None
    name: str = ""
    constraints: tuple[re.Pattern[str], ...] = ()
    is_catch_all: bool = False
    is_optional: bool = False
    default: str | None = None

    @property
    def may_be_absent(self) -> bool:
        """Whether a path may end before this segment."""
        return self.is_optional or self.is_catch_all or self.default is not None

    def accepts(self, text: str) -> bool:
        """Whether the text may stand here."""
        if self.literal is not None:
            return text.lower() == self.literal.lower()
        return bool(text or self.is_catch_all) and all(constraint.fullmatch(text) for constraint in self.constraints)


@dataclass(frozen=True)
class Route:
    """A template in segments."""

    segments: Sequence[Segment]

    @classmethod
    def parse(cls, template: str) -> "Route":
        """Parse a template; StartError when it is not one that the sandbox knows."""
        segments = [_parse_segment(text, template) for text in template.strip("/").split("/") if text]
        return cls(segments)

    def match(self, raw_path: str) -> Mapping[str, str] | None:
        """Match a path as it came on the wire; the parameters decoded, or None."""
        parts = raw_path.strip("/").split("/") if raw_path.strip("/") else []
        parameters: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if segment.is_catch_all:
                parts = [*parts[:position], "/".join(parts[position:])]
            if position >= len(parts) or (segment.is_catch_all and not parts[position]):
                if not segment.may_be_absent:
                    return None
                if segment.default is not None:
                    parameters[segment.name] = segment.default
                continue
            text = unquote(parts[position])
            if not segment.accepts(text):
                return None
            if segment.literal is None:
                parameters[segment.name] = text
        is_covered = len(parts) <= len(self.segments)
        return parameters if is_covered else None


def _parse_segment(text: str, template: str) -> Segment:
    if "{" not in text and "}" not in text:
        return Segment(literal=unquote(text))
    found = _PARAMETER.fullmatch(text)
    if not found:
        raise StartError(f"The sandbox host does not know the segment '{text}' of the route '{template}'")
    stars, name, constraints, optional, default = found.groups()
    names = constraints.split(":")[1:]
    unknown = [constraint for constraint in names if constraint not in CONSTRAINTS]
    if unknown:
        raise StartError(f"The sandbox host does not know the constraint '{unknown[0]}' of the route '{template}'")
    return Segment(
        name=name,
        constraints=tuple(CONSTRAINTS[constraint] for constraint in names),
        is_catch_all=bool(stars),
        is_optional=bool(optional),
        default=default,
    )
