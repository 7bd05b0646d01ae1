"""Bodies, the envelope they come in, and short ways to read them."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.intake import Envelope, Item, read_body
from shared.model import InvalidItem, ResetRequest
from shared.vocabulary import ProfileName, RequestId

NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
OBJECT_ID = "c4bedccf-e5ff-4215-a1df-468800618a6c"
HTTP = Envelope(
    now=NOW,
    default_profile=ProfileName("reregister"),
    profiles=frozenset({ProfileName("reregister"), ProfileName("compromised")}),
    parent_id=RequestId("parent"),
    derive=False,
)
QUEUE = replace(HTTP, derive=True)


def read(value: object, envelope: Envelope = HTTP) -> tuple[Item, ...]:
    """Read a body that holds `value` as JSON."""
    return read_body(json.dumps(value).encode(), envelope)


def request_of(value: object, envelope: Envelope = HTTP) -> ResetRequest:
    """Read a body that yields exactly one request."""
    (item,) = read(value, envelope)
    assert isinstance(item, ResetRequest), item
    return item


def invalid_of(value: object, envelope: Envelope = HTTP) -> InvalidItem:
    """Read a body that yields exactly one invalid item."""
    (item,) = read(value, envelope)
    assert isinstance(item, InvalidItem), item
    return item


def problems_of(items: tuple[Item, ...]) -> set[tuple[str, str]]:
    """Return path and code of every problem in `items`, which must hold nothing else."""
    assert all(isinstance(item, InvalidItem) for item in items), items
    return {
        (problem.path, problem.code) for item in items if isinstance(item, InvalidItem) for problem in item.problems
    }


def asking(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON, wrong types too
    """Return the smallest request with other fields beside."""
    return {"user": OBJECT_ID, **fields}
