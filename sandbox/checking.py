"""Whether what has come of the requests is what should have, a sentence for each difference."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sandbox.scenes import Expected, Request

GONE = frozenset({"deleted", "deactivated", "alreadyGone"})

type Outcome = Mapping[str, Any]


def check_all(requests: Sequence[Request], outcomes: Mapping[str, Outcome]) -> list[str]:
    """Say what is not as it should be of all of them; nothing of one that has no outcome."""
    return [problem for group in group_bursts(requests) for problem in _check_group(group, outcomes)]


def group_bursts(requests: Iterable[Request]) -> list[list[Request]]:
    """Put the requests of a burst together, each other one into a group of its own, in their order."""
    groups: dict[str, list[Request]] = {}
    for request in requests:
        groups.setdefault(request.burst or request.request_id, []).append(request)
    return list(groups.values())


def _check_group(group: list[Request], outcomes: Mapping[str, Outcome]) -> list[str]:
    """Check each of a group; of a burst, chance decides which one is the reset that covers the others."""
    ended = [request for request in group if request.request_id in outcomes]
    resets = [request for request in ended if outcomes[request.request_id]["status"] != "covered"]
    if len(ended) > 1 and len(resets) != 1:
        return [f"{group[0].burst}: one should be a reset and the others covered by it, but {len(resets)} are resets"]
    return [
        problem
        for request in ended
        for problem in check(request if request in resets else _covered_by(resets, request), outcomes)
    ]


def _covered_by(resets: list[Request], request: Request) -> Request:
    if not resets:
        return request
    fields = {"coveredBy.requestId": resets[0].request_id, "coveredBy.status": resets[0].expected.status}
    return replace(request, expected=Expected("covered", reasons=("coveredBy",), fields=fields))


def check(request: Request, outcomes: Mapping[str, Outcome]) -> list[str]:
    """Say what is not as it should be of an outcome, a sentence each; nothing where there is none."""
    outcome = outcomes.get(request.request_id)
    if outcome is None:
        return []
    expected = request.expected
    pairs: tuple[tuple[str, object, object], ...] = (
        ("status", outcome["status"], expected.status),
        ("removed", types_gone(outcome), sorted(expected.gone)),
        ("still there", types_left(outcome), sorted(expected.left)),
        ("verified", outcome.get("verified"), expected.status in {"completed", "partial"}),
        ("why", codes_of(outcome), sorted(expected.reasons)),
        *((path, field_of(outcome, path), wanted) for path, wanted in expected.fields.items()),
    )
    return [
        f"{request.request_id}: {what} should be {wanted}, but is {found}"
        for what, found, wanted in pairs
        if found != wanted
    ]


def types_gone(outcome: Outcome) -> list[str]:
    """Return the type of each method that is gone."""
    return sorted(line["type"] for line in outcome.get("methods", []) if line["result"] in GONE)


def types_left(outcome: Outcome) -> list[str]:
    """Return the type of each method that is still there."""
    return sorted(line["type"] for line in outcome.get("methods", []) if line["result"] not in GONE)


def codes_of(outcome: Outcome) -> list[str]:
    """Return the codes of the reasons, each once."""
    return sorted({reason["code"] for reason in outcome.get("reasons", [])})


def field_of(outcome: object, path: str) -> object:
    """Return the field of an outcome at a path like `methods.0.result`; None where there is none."""
    found = outcome
    for name in path.split("."):
        match found:
            case dict():
                found = found.get(name)
            case list() if name.isdigit() and int(name) < len(found):
                found = found[int(name)]
            case _:
                return None
    return found
