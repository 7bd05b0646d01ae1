"""Addresses: one route is a method, a pattern, a permission and the function that answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.tenant.exchange import Answer, GraphError, Request, Version, bad_request, no_such_segment
from sandbox.tenant.permissions import Permission
from sandbox.tenant.world import World

type Handler = Callable[[World, Request], Answer]
BOTH: tuple[Version, ...] = ("v1.0", "beta")
BETA: tuple[Version, ...] = ("beta",)


@dataclass(frozen=True)
class Route:
    """An address of Graph; `{name}` in the pattern stands for one segment, `method_type` is the type it is about."""

    method: str
    pattern: str
    permission: Permission
    answer: Handler
    versions: tuple[Version, ...] = BOTH
    method_type: str | None = None
    parts: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.pattern.split("/")))

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """Return what the pattern's names stand for, None when the address is another."""
        if len(segments) != len(self.parts):
            return None
        parameters: dict[str, str] = {}
        for part, segment in zip(self.parts, segments, strict=True):
            if part.startswith("{"):
                parameters[part.strip("{}")] = segment
            elif not _is_same(part, segment):
                return None
        return parameters


def _is_same(part: str, segment: str) -> bool:
    # A cast may leave `microsoft.` out, as the SDKs do: `graph` is the namespace's alias in Graph's metadata.
    return part in (segment, f"microsoft.{segment}")


def find_route(
    routes: Sequence[Route], method: str, version: str, segments: Sequence[str]
) -> tuple[Route, Mapping[str, str]]:
    """Return the route of an address; raise Graph's 400 for an unknown address, 405 for an unknown method."""
    matches = [(route, found) for route in routes if (found := route.match(segments)) is not None]
    in_version = [(route, found) for route, found in matches if version in route.versions]
    for route, found in in_version:
        if route.method == method:
            return route, found
    if in_version:
        raise GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
    raise no_such_segment(_unknown_segment(routes, version, segments))


def _unknown_segment(routes: Sequence[Route], version: str, segments: Sequence[str]) -> str:
    # The first segment that no route of this version gets past is the one that Graph names.
    depth = 0
    for route in routes:
        if version in route.versions:
            depth = max(depth, _common_length(route.parts, segments))
    return segments[min(depth, len(segments) - 1)] if segments else ""


def _common_length(parts: Sequence[str], segments: Sequence[str]) -> int:
    for index, (part, segment) in enumerate(zip(parts, segments, strict=False)):
        if not part.startswith("{") and not _is_same(part, segment):
            return index
    return min(len(parts), len(segments))


def check_version(segment: str) -> Version:
    """Return the version that an address starts with; raise 400 for anything else."""
    match segment:
        case "v1.0":
            return "v1.0"
        case "beta":
            return "beta"
        case _:
            raise bad_request(f"Invalid version: {segment}", "BadRequest")
