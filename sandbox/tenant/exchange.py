"""One call: what is asked, what is answered, and the error that an answer may be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sandbox.tenant.directory import Json

type Version = Literal["v1.0", "beta"]


@dataclass(frozen=True)
class Question:
    """A call to Graph as it came in; `path` has the version, is encoded as sent and has no query."""

    method: str
    path: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Request:
    """A call that is authorised and has found its route."""

    question: Question
    version: Version
    parameters: Mapping[str, str]
    roles: frozenset[str]
    body: Json

    @property
    def query(self) -> Mapping[str, str]:
        """The decoded query options."""
        return self.question.query

    @property
    def eventual(self) -> bool:
        """Whether the caller sent `ConsistencyLevel: eventual`, which advanced queries want."""
        return self.question.headers.get("ConsistencyLevel", "").casefold() == "eventual"


@dataclass(frozen=True)
class Answer:
    """What goes back; `effect`: the call changed the tenant; `cut`: the connection is closed instead of an answer."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    effect: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Call:
    """The record of one call: `path` is decoded and has the query; `status` is 0 until it is answered, or cut.

    A call that came as a part of a `$batch` has a record of its own, after the batch's.

    `client_id` is the application that the token says it was issued to, believed here without a look at the signature.
    """

    at: datetime
    method: str
    path: str
    status: int
    client_request_id: str | None
    effect: bool
    client_id: str | None = None
    in_batch: bool = False


class GraphError(Exception):
    """An answer in Graph's error shape."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def not_found(object_id: str) -> GraphError:
    """Return the directory's answer for an object that is not there."""
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present.",
    )


def bad_request(message: str, code: str = "Request_BadRequest") -> GraphError:
    """Return the answer for a call that makes no sense."""
    return GraphError(400, code, message)


def no_such_segment(segment: str) -> GraphError:
    """Return Graph's answer for an address that its version of the model does not have."""
    return GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'.")


def too_many_requests(retry_after_seconds: int | None) -> GraphError:
    """Return the answer to a throttled call."""
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    return GraphError(429, "TooManyRequests", "Too many requests. Try again later.", headers)
