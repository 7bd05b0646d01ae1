"""`POST /$batch`: up to 20 calls in one, each judged, throttled and answered by itself.

The batch itself is 200 however its parts end, and they are answered in another order than they came in. Parts do not
depend on each other here: `dependsOn` is refused.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from multidict import CIMultiDict

from sandbox.tenant.directory import Json
from sandbox.tenant.exchange import Answer, GraphError, Question, bad_request
from sandbox.tenant.routing import check_version
from sandbox.tenant.tokens import GRAPH_AUDIENCES
from sandbox.tenant.world import World

MOST_PARTS = 20
_SEGMENT = "$batch"
_METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})


@dataclass(frozen=True)
class Part:
    """One call of a batch: the caller's name for it, and what is asked."""

    id: str
    question: Question

    @property
    def address(self) -> str:
        """The decoded path with the query, as a call of its own would be recorded."""
        query = "&".join(f"{name}={value}" for name, value in self.question.query.items())
        return f"{unquote(self.question.path)}{'?' if query else ''}{query}"


def is_batch(question: Question) -> bool:
    """Say whether a call is a batch."""
    return question.method == "POST" and question.segments[1:] == (_SEGMENT,)


async def answer_batch(world: World, question: Question, carry_out: Callable[[Part], Awaitable[Answer]]) -> Answer:
    """Answer a batch; raise GraphError for one that cannot be read, or whose token does not count."""
    authorization = question.headers.get("Authorization")
    world.tokens.read_roles(authorization, (world.url, *GRAPH_AUDIENCES), world.now())
    parts = read_parts(question)
    answers = [(part, await carry_out(part)) for part in parts]
    responses = [_render(part, answer) for part, answer in reversed(answers)]
    return Answer(200, {"responses": responses}, effect=any(answer.effect for _, answer in answers))


def _render(part: Part, answer: Answer) -> Json:
    if answer.cut:  # the service behind Graph went away, not Graph
        body: Json = {"error": {"code": "BadGateway", "message": "The gateway received no answer."}}
        return {"id": part.id, "status": 502, "headers": {"Content-Type": "application/json"}, "body": body}
    rendered: Json = {"id": part.id, "status": answer.status, "headers": dict(answer.headers)}
    if answer.body is None:
        return rendered
    rendered["headers"]["Content-Type"] = "application/json"
    return rendered | {"body": answer.body}


def read_parts(question: Question) -> list[Part]:
    """Read the calls of a batch; raise 400 for anything that is none."""
    version = check_version(question.segments[0])
    try:
        content = json.loads(question.body)
    except ValueError:
        raise bad_request("Unable to read JSON request payload.", "BadRequest") from None
    requests = content.get("requests") if isinstance(content, dict) else None
    if not isinstance(requests, list) or not requests:
        raise bad_request("Invalid batch payload format.", "BadRequest")
    if len(requests) > MOST_PARTS:
        raise bad_request(f"Number of batch request steps exceeds the maximum value of {MOST_PARTS}.", "BadRequest")
    parts = [_read_part(each, version, question.headers) for each in requests]
    if len({part.id.casefold() for part in parts}) < len(parts):
        raise bad_request("The ids of the requests in a batch have to be unique.", "BadRequest")
    return parts


def _read_part(entry: Any, version: str, headers: Mapping[str, str]) -> Part:  # noqa: ANN401 - whatever JSON came
    if not isinstance(entry, dict) or "dependsOn" in entry:
        raise bad_request("Invalid batch payload format.", "BadRequest")
    part_id, method, url = entry.get("id"), entry.get("method"), entry.get("url")
    own: Any = entry.get("headers", {})
    if not isinstance(part_id, str) or method not in _METHODS or not isinstance(url, str) or not isinstance(own, dict):
        raise bad_request("Invalid batch payload format.", "BadRequest")
    if url.startswith("http"):
        raise bad_request("Invalid URL in a batch: it is relative to the version.", "BadRequest")
    given = CIMultiDict({name: str(value) for name, value in own.items()})
    if "body" in entry and "Content-Type" not in given:
        raise bad_request("A request with a body in a batch needs a Content-Type header.", "BadRequest")
    # Of the batch's own headers the parts have who asks, and the id that the answer repeats.
    given["Authorization"] = headers.get("Authorization", "")
    if "client-request-id" not in given and "client-request-id" in headers:
        given["client-request-id"] = headers["client-request-id"]
    path, _, query = url.partition("?")
    path = f"/{version}/{path.strip('/')}"
    segments = tuple(unquote(segment) for segment in path.strip("/").split("/"))
    body = json.dumps(entry["body"]).encode() if "body" in entry else b""
    return Part(part_id, Question(method, path, segments, dict(parse_qsl(query, keep_blank_values=True)), given, body))


def refuse_nested() -> GraphError:
    """Return the answer to a batch within a batch."""
    return bad_request("A batch cannot hold a batch.", "BadRequest")
