"""OData query options: what may be asked, what is selected, what a filter compares."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from sandbox.tenant.directory import Json
from sandbox.tenant.exchange import GraphError, Request, bad_request

COLLECTION_OPTIONS = frozenset({"$select", "$filter", "$count", "$top", "$skiptoken"})
EXPANDABLE_OPTIONS = COLLECTION_OPTIONS | {"$expand"}
PAGE_OPTIONS = frozenset({"$select", "$count", "$top", "$skiptoken"})
ENTITY_OPTIONS = frozenset({"$select"})

type Literal = str | bool | None

_CLAUSE = re.compile(
    r"\s*(?P<name>\w+)\s+eq\s+(?P<literal>'(?:[^']|'')*'|true|false|null)\s*(?P<rest>and\s+.+)?", re.DOTALL
)


@dataclass(frozen=True)
class Clause:
    """One comparison of a property with a literal."""

    name: str
    literal: Literal

    def holds(self, entity: Json) -> bool:
        """Compare as the directory does: text in any case."""
        value = entity.get(self.name)
        if isinstance(value, str) and isinstance(self.literal, str):
            return value.casefold() == self.literal.casefold()
        return bool(value == self.literal)


def check_options(request: Request, allowed: Collection[str]) -> None:
    """Raise 400 for a query option that the address does not take."""
    for name in request.query:
        if name.startswith("$") and name not in allowed:
            raise bad_request(f"The query option '{name}' is not supported here.", "BadRequest")


def read_select(request: Request, known: Collection[str], type_name: str) -> tuple[str, ...] | None:
    """Return the selected properties, None when nothing is selected; raise 400 for one the type does not have."""
    text = request.query.get("$select")
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in known:
            raise bad_request(
                "Parsing OData Select and Expand failed: "
                f"Could not find a property named '{name}' on type 'microsoft.graph.{type_name}'.",
                "BadRequest",
            )
    return names


def parse_filter(text: str) -> list[Clause]:
    """Return the comparisons joined by `and`; raise 400 for anything else."""
    clauses: list[Clause] = []
    rest: str | None = text
    while rest is not None:
        found = _CLAUSE.fullmatch(rest)
        if found is None:
            raise bad_request("Invalid filter clause: the expression cannot be parsed.", "BadRequest")
        clauses.append(Clause(found["name"], _parse_literal(found["literal"])))
        rest = found["rest"].removeprefix("and") if found["rest"] else None
    return clauses


def _parse_literal(text: str) -> Literal:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    return {"true": True, "false": False, "null": None}[text]


def read_filter(request: Request, filterable: Collection[str], resource: str) -> list[Clause]:
    """Return the filter's comparisons, none without a filter; raise 400 for a property that cannot be filtered by."""
    clauses = parse_filter(request.query["$filter"]) if "$filter" in request.query else []
    for clause in clauses:
        if clause.name not in filterable:
            raise unsupported_filter(clause.name, resource)
    return clauses


def unsupported_filter(name: str, resource: str) -> GraphError:
    """Return the answer to a filter by a property that does not support it, or not without the advanced headers."""
    message = f"Unsupported or invalid query filter clause specified for property '{name}' of resource '{resource}'."
    return bad_request(message, "Request_UnsupportedQuery")


def is_advanced(request: Request) -> bool:
    """Say whether the call has what an advanced query needs: `ConsistencyLevel: eventual` and `$count=true`."""
    return request.eventual and request.query.get("$count", "").casefold() == "true"
