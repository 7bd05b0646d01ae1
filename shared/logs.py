"""One JSON object a line, with allow-listed fields: object ids and codes, no names and no free text."""

import json
import logging
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

_TRACE_PARTS = 4  # version, trace id, parent id, flags

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


def quiet_libraries() -> None:
    """Let other libraries' loggers speak from WARNING on; a second call changes nothing."""
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def correlate(trace_parent: str | None) -> None:
    """Let the lines of this invocation carry the trace id of its W3C `traceparent`; without one, an id of our own."""
    parts = (trace_parent or "").split("-")
    correlation_id.set(parts[1] if len(parts) == _TRACE_PARTS and parts[1].isalnum() else uuid.uuid4().hex)
