"""The way of a body: unwrapped, taken apart, and each object read by the first shape that knows it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.intake.canonical import read_canonical
from shared.intake.envelope import MAX_REQUESTS, Envelope, Item
from shared.intake.layers import UnreadableError, unwrap, unwrap_value
from shared.intake.request_ids import derive_id_of_place, parse_request_key
from shared.intake.text import path_to
from shared.model import InvalidItem, Problem, RequestKey, ResetRequest
from shared.strictjson import Json, JsonPlace
from shared.vocabulary import RequestId

MAX_BODY_BYTES = 204_800

type Shape = Callable[[dict[str, Json], Envelope, str], tuple[Item, ...] | None]

# In this order. A shape answers None for an object that is not of it, and reads what is of it completely: nothing that
# stands further down gets to see it.
SHAPES: tuple[Shape, ...] = (read_canonical,)

_TWICE = "duplicate key: nobody can tell which of its values is meant."
_UNKNOWN = 'This is no request that is known here; the smallest is {"user": "..."}.'


def read_body(body: bytes, envelope: Envelope) -> tuple[Item, ...]:
    """Read the requests of a body, in its order; never raises and never returns nothing, for any bytes.

    What cannot be read is an InvalidItem: one for the whole body, with one problem at the empty path, or one for an
    object with all its problems. An InvalidItem has the id that its request would have had; where that is not clear,
    the envelope's `parent_id`, in an array an id derived from that and the item's place.
    """
    return _with_id(_read_unnamed(body, envelope), envelope.parent_id)


@dataclass(frozen=True)
class Resume:
    """What a message asks to go on with; `key` is None where it names nothing that the ledger could hold."""

    key: RequestKey | None


def parse_resume(body: bytes) -> Resume | None:
    """Read `{"resume": "<key>"}`, an object of exactly that field, whatever stands there; None for anything else."""
    if len(body) > MAX_BODY_BYTES:
        return None
    try:
        value = unwrap(body).value
    except UnreadableError:
        return None
    if not isinstance(value, dict) or value.keys() != {"resume"}:
        return None
    key = value["resume"]
    return Resume(parse_request_key(key) if isinstance(key, str) else None)


def _read_unnamed(body: bytes, envelope: Envelope) -> tuple[Item, ...]:
    if len(body) > MAX_BODY_BYTES:
        return _invalid("tooLarge", f"It has {len(body)} bytes, at most {MAX_BODY_BYTES} are read.")
    try:
        content = unwrap(body)
    except UnreadableError as error:
        return _unreadable(error)
    if isinstance(content.value, list):
        return _read_array(content.value, content.layers, envelope)
    return _read_object(content.value, envelope, "")


def _read_array(items: list[Json], layers: int, envelope: Envelope) -> tuple[Item, ...]:
    if not items:
        return _invalid("empty", "The array holds no request.")
    if len(items) > MAX_REQUESTS:
        return _too_many(len(items))
    found = tuple(item for place, value in enumerate(items) for item in _read_item(value, place, layers, envelope))
    requests = sum(isinstance(item, ResetRequest) for item in found)
    return _too_many(requests) if requests > MAX_REQUESTS else found


def _read_item(value: Json, place: int, layers: int, envelope: Envelope) -> tuple[Item, ...]:
    """Read one item of an array, on its own: its ids are derived, and a bad one spoils no other."""
    path = f"[{place}]"
    try:
        content = unwrap_value(value, layers).value
    except UnreadableError as error:
        found = _unreadable(error, path)
    else:
        found = _read_object(content, replace(envelope, derive=True), path)
    return _with_id(found, derive_id_of_place(envelope.parent_id, place) if envelope.parent_id else None)


def _read_object(value: Json, envelope: Envelope, path: str) -> tuple[Item, ...]:
    if isinstance(value, dict):
        for shape in SHAPES:
            found = shape(value, envelope, path)
            if found is not None:
                return found
    return _invalid("unknownShape", _UNKNOWN, path)


def _with_id(items: tuple[Item, ...], otherwise: RequestId | None) -> tuple[Item, ...]:
    return tuple(
        replace(item, request_id=otherwise) if isinstance(item, InvalidItem) and item.request_id is None else item
        for item in items
    )


def _unreadable(error: UnreadableError, path: str = "") -> tuple[Item, ...]:
    """Say why there is no JSON at `path`; a repeated key is named by its own path."""
    if not error.places:
        return _invalid(error.code, str(error), path)
    return (InvalidItem(None, tuple(Problem(_path_of(place, path), error.code, _TWICE) for place in error.places)),)


def _path_of(place: JsonPlace, path: str) -> str:
    for name in place:
        path = path_to(name, path) if isinstance(name, str) else f"{path}[{name}]"
    return path


def _too_many(requests: int) -> tuple[Item, ...]:
    return _invalid("tooMany", f"It holds {requests} requests, at most {MAX_REQUESTS} are allowed.")


def _invalid(code: str, text: str, path: str = "") -> tuple[Item, ...]:
    return (InvalidItem(None, (Problem(path, code, text),)),)
