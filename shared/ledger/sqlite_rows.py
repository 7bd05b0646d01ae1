"""The rows of requests in the SQLite file."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from shared.errors import LedgerUnavailableError
from shared.ledger.rows import RequestRow, alerting, from_row
from shared.model import AcceptedRequest, RequestKey
from shared.vocabulary import Caller, RequestId

COLUMNS = [field.name for field in fields(RequestRow)]


def read_keys(found: list[Any]) -> tuple[RequestKey, ...]:
    """Read rows of caller and request id."""
    return tuple(RequestKey(Caller(caller), RequestId(request_id)) for caller, request_id in found)


def read_row(found: Sequence[Any] | None) -> RequestRow:
    """Read a row of COLUMNS; raise LedgerUnavailableError where there is none."""
    if found is None:
        raise LedgerUnavailableError("The ledger holds no request under this key.")
    values = dict(zip(COLUMNS, found, strict=True))
    return RequestRow(**values | {"reported": bool(values["reported"])})


def read_request(row: RequestRow) -> AcceptedRequest:
    """Read what a row holds; alert and raise UnreadableRowError where that is not possible."""
    with alerting(requestId=row.request_id, caller=row.caller):
        return from_row(row)
