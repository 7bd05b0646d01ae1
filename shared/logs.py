"""One JSON object a line, with allow-listed fields: object ids and codes, no names and no free text."""

import json
import logging
import re
import secrets
import uuid
from contextvars import ContextVar

LOGGER_NAME = "mfa_reset"
# Loggers of the libraries that say too much, or too often, below WARNING (functions.md 7).
NOISY = ("azure.core", "azure.identity", "azure.servicebus", "httpx", "httpcore", "msal", "asyncio")

FIELDS = frozenset(
    {
        "alert",
        "at",
        "attempts",
        "caller",
        "clientRequestId",
        "code",
        "graphRequestId",
        "httpStatus",
        "methodId",
        "methodType",
        "missing",
        "operation",
        "profile",
        "requestId",
        "result",
        "round",
        "seconds",
        "source",
        "status",
        "step",
        "userId",
        "verified",
    }
)

_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context

type Field = str | int | float | bool | None

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")
_logger = logging.getLogger(LOGGER_NAME)


def log(event: str, level: int = logging.INFO, **fields: Field) -> None:
    """Write one line; raise KeyError for a field that is not on the list, so that a test finds it."""
    unknown = fields.keys() - FIELDS
    if unknown:
        raise KeyError(*sorted(unknown))
    line = {"event": event, "correlationId": correlation_id.get() or None, **fields}
    _logger.log(level, "%s", json.dumps({key: value for key, value in line.items() if value is not None}))


def alert(event: str, **fields: Field) -> None:
    """Write a line that an alert rule looks for (`alert` is true)."""
    log(event, logging.ERROR, alert=True, **fields)


def quiet_libraries(level: int = logging.WARNING) -> None:
    """Let other libraries' loggers speak from `level` on; a second call changes nothing."""
    for name in NOISY:
        logging.getLogger(name).setLevel(level)


def correlate(trace_parent: str | None) -> None:
    """Let the lines of this invocation carry the trace id of its W3C `traceparent`; without one, an id of our own."""
    found = _TRACE_PARENT.fullmatch(trace_parent or "")
    correlation_id.set(found[1] if found else uuid.uuid4().hex)


def next_trace_parent() -> str:
    """Make the W3C `traceparent` of what this invocation sends, so that what receives it carries the same trace id."""
    return f"00-{correlation_id.get() or uuid.uuid4().hex}-{secrets.token_hex(8)}-01"
