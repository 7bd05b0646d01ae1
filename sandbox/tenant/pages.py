"""Collections: pages with an absolute link to the next one, which keeps every query option."""

import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from sandbox.tenant.directory import Json
from sandbox.tenant.exchange import Answer, GraphError, Request, bad_request
from sandbox.tenant.query import is_advanced
from sandbox.tenant.world import World

_SKIP_TOKEN = re.compile(r"sandbox-(\d{1,9})")
_LARGEST_TOP = 999


def answer_page(world: World, request: Request, items: Sequence[Json], context: str) -> Answer:
    """Answer one page of the items; the context is what follows `$metadata#`."""
    offset = _read_skip_token(request)
    size = 0 if offset is None and world.empty_first_page else _page_size(world, request)
    start = offset or 0
    end = start + size
    body: Json = {"@odata.context": f"{world.url}/{request.version}/$metadata#{context}"}
    if offset is None and is_advanced(request):
        body["@odata.count"] = len(items)
    if end < len(items) or (size == 0 and items):
        body["@odata.nextLink"] = _next_link(world, request, end)
    body["value"] = list(items[start:end])
    return Answer(200, body)


def _page_size(world: World, request: Request) -> int:
    top = request.query.get("$top")
    if top is None:
        return world.page_size
    if not re.fullmatch(r"\d{1,4}", top) or not 1 <= int(top) <= _LARGEST_TOP:
        raise bad_request(f"Invalid page size specified: '{top}'. Must be between 1 and {_LARGEST_TOP} inclusive.")
    return min(int(top), world.page_size)


def _read_skip_token(request: Request) -> int | None:
    token = request.query.get("$skiptoken")
    if token is None:
        return None
    found = _SKIP_TOKEN.fullmatch(token)
    if found is None:
        raise GraphError(
            400, "Directory_ExpiredPageToken", "The specified page token value has expired or is not valid."
        )
    return int(found[1])


def _next_link(world: World, request: Request, offset: int) -> str:
    options = {**request.query, "$skiptoken": f"sandbox-{offset}"}
    return f"{world.url}{request.question.path}?{urlencode(options, quote_via=quote, safe='$,')}"
