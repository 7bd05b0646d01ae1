"""The way of a body: size, layers, arrays, shapes that are not known, resumes."""

import base64
import codecs
import json
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.intake import Item, Resume, parse_resume, read_body
from shared.intake.layers import MAX_LAYERS
from shared.intake.reading import MAX_BODY_BYTES
from shared.intake.request_ids import derive_id_of_place
from shared.model import InvalidItem, RequestKey, ResetRequest
from shared.strictjson import MAX_DEPTH
from shared.vocabulary import QUEUE as QUEUE_CALLER
from shared.vocabulary import RequestId
from tests.unit.intake_bodies import HTTP, QUEUE, asking, problems_of, read, request_of

_BODY = json.dumps(asking()).encode()
_REQUEST = request_of(asking())
_OTHER = "d5bedccf-e5ff-4215-a1df-468800618a6d"


def _url_base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _json_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _padded_to(size: int) -> bytes:
    return _BODY + b" " * (size - len(_BODY))


def _in_strings(text: str, layers: int) -> str:
    for _ in range(layers):
        text = _json_string(text)
    return text


# --- Size and bytes ---------------------------------------------------------------------------------------------


def test_read_body_of_200_kb_is_read_and_one_byte_more_is_too_large() -> None:
    """The limit counts bytes as they come, and nothing else is said of a larger body."""
    assert read_body(_padded_to(MAX_BODY_BYTES), HTTP) == (_REQUEST,)
    assert problems_of(read_body(_padded_to(MAX_BODY_BYTES + 1), HTTP)) == {("", "tooLarge")}
    assert MAX_BODY_BYTES == 204_800


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (codecs.BOM_UTF8, "empty"),
        (codecs.BOM_UTF16_LE, "empty"),
        (b"[]", "empty"),
        (b"\xff", "notUtf8"),
        (b'{"user": "\xe9@contoso.com"}', "notUtf8"),
        (b'{"user": "\xed\xa0\x80@contoso.com"}', "notUtf8"),
        (codecs.BOM_UTF16_LE + b"{", "notUtf8"),
        (codecs.BOM_UTF16_BE + b"\xd8\x00", "notUtf8"),
        (json.dumps(asking()).encode("utf-16-le"), "notJson"),
        (b"hello", "notJson"),
        (b"helloo12", "notJson"),
        (b"user=jsmith%40contoso.com", "notJson"),
        (b'{"user": NaN}', "notJson"),
        (_BODY + _BODY, "notJson"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "tooDeep"),
        (b"null", "unknownShape"),
        (b"true", "unknownShape"),
        (b"1", "unknownShape"),
        (b'"hello"', "unknownShape"),
        (b'""', "unknownShape"),
        (b'"1"', "unknownShape"),
        (b"{}", "unknownShape"),
        (b'{"User": "a@b.c"}', "unknownShape"),
        (b'{"requestId": "a", "profile": "compromised"}', "unknownShape"),
        (b'{"resume": "queue:a"}', "unknownShape"),
    ],
)
def test_read_body_that_holds_no_request_says_why_at_the_empty_path(body: bytes, code: str) -> None:
    """One problem for the whole body, under the id of the envelope."""
    (item,) = read_body(body, HTTP)
    assert isinstance(item, InvalidItem)
    assert item.request_id == HTTP.parent_id
    assert problems_of((item,)) == {("", code)}


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ('{"user": 1, "user": 2}', {"user"}),
        ('{"user": "a@b.c", "incident": {"title": "1", "title": "1"}}', {"incident.title"}),
        ('[{"user": "a@b.c"}, {"incident": {"id": "1", "id": "2"}, "incident": 1}]', {"[1].incident"}),
        ('[{"incident": {"id": "1", "id": "2"}, "a b": {"x": 1, "x": 2}}]', {"[0].incident.id", "[0]['a b'].x"}),
        ('["{\\"keep\\": [{\\"a\\": 1, \\"a\\": 1}]}"]', {"[0].keep[0].a"}),
    ],
)
def test_read_body_with_a_key_that_stands_twice_names_its_path(body: str, paths: set[str]) -> None:
    """Whoever wrote a long body finds it; what a repeated key hides is not looked at."""
    items = read_body(body.encode(), HTTP)
    assert problems_of(items) == {(path, "duplicateKey") for path in paths}
    assert all(problem.text.startswith("duplicate key") for item in items for problem in getattr(item, "problems", ()))


def test_read_body_with_many_keys_that_stand_twice_stays_smaller_than_a_message() -> None:
    """Twenty are named, however deep they are and however their names are written."""
    names = [f"\U0001f600{'é' * 49}{number}" for number in range(200)]
    inner = "{" + ", ".join(f'"{name}": 1, "{name}": 1' for name in names) + "}"
    body = f'{{"{"é" * 50}": ' * 60 + inner + "}" * 60
    (item,) = read_body(body.encode(), HTTP)
    assert isinstance(item, InvalidItem)
    assert len(item.problems) == 20
    assert sum(len(problem.path) for problem in item.problems) < 100_000


def test_read_body_of_an_unknown_shape_tells_the_smallest_request() -> None:
    """Who sends the wrong thing learns what the right one looks like."""
    (item,) = read_body(b"{}", replace(HTTP, parent_id=None))
    assert isinstance(item, InvalidItem)
    assert item.request_id is None
    assert '{"user": "..."}' in item.problems[0].text


def test_read_body_nested_to_the_limit_is_read() -> None:
    """64 levels are JSON like any other: what is wrong is the field."""
    nested = b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)
    assert problems_of(read_body(b'{"user": "a@b.c", "keep": ' + nested + b"}", HTTP)) == {("keep[0]", "wrongType")}
    deeper = b"[" + nested + b"]"
    assert problems_of(read_body(b'{"user": "a@b.c", "keep": ' + deeper + b"}", HTTP)) == {("", "tooDeep")}


# --- Layers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        _BODY,
        b"\r\n " + _BODY + b" ",
        codecs.BOM_UTF8 + _BODY,
        codecs.BOM_UTF16_LE + _BODY.decode().encode("utf-16-le"),
        codecs.BOM_UTF16_BE + _BODY.decode().encode("utf-16-be"),
        json.dumps(_BODY.decode()).encode(),
        json.dumps("\ufeff" + _BODY.decode()).encode(),
        base64.b64encode(_BODY),
        base64.b64encode(_BODY).rstrip(b"="),
        base64.encodebytes(_BODY),
        b" " + base64.b64encode(_BODY + b"  ") + b"\n",
        _url_base64(_BODY),
        base64.urlsafe_b64encode(_BODY),
        json.dumps(base64.b64encode(_BODY).decode()).encode(),
        base64.b64encode(json.dumps(_BODY.decode()).encode()),
        base64.b64encode(codecs.BOM_UTF16_LE + _BODY.decode().encode("utf-16-le")),
        _in_strings(_BODY.decode(), MAX_LAYERS).encode(),
        codecs.BOM_UTF8 + _in_strings(_BODY.decode(), MAX_LAYERS - 1).encode(),
        base64.b64encode(base64.b64encode(base64.b64encode(base64.b64encode(_BODY)))),
    ],
)
def test_read_body_in_up_to_four_layers_reads_the_request(body: bytes) -> None:
    """What a step on the way wrapped once too often is the same request."""
    assert read_body(body, HTTP) == (_REQUEST,)


@pytest.mark.parametrize("text", ["ü?>~ü@contoso.com", "ÿÿÿÿþþþþ@contoso.com"])
def test_read_body_in_base64_knows_both_alphabets(text: str) -> None:
    """`+` and `/` may be `-` and `_`."""
    body = json.dumps({"version": 1, "user": text, "reason": "ÿþ?>~" * 3}, ensure_ascii=False).encode()
    standard = base64.b64encode(body)
    assert standard != base64.urlsafe_b64encode(body)
    assert read_body(standard, HTTP) == read_body(base64.urlsafe_b64encode(body), HTTP) == read_body(body, HTTP)


@pytest.mark.parametrize(
    "body",
    [
        _in_strings(_BODY.decode(), MAX_LAYERS + 1).encode(),
        codecs.BOM_UTF8 + _in_strings(_BODY.decode(), MAX_LAYERS).encode(),
        codecs.BOM_UTF16_LE + _in_strings(_BODY.decode(), MAX_LAYERS).encode("utf-16-le"),
        base64.b64encode(_in_strings(_BODY.decode(), MAX_LAYERS).encode()),
        base64.b64encode(base64.b64encode(base64.b64encode(base64.b64encode(base64.b64encode(_BODY))))),
        "\ufeff".encode() * (MAX_LAYERS + 1) + _BODY,
    ],
)
def test_read_body_in_five_layers_is_invalid(body: bytes) -> None:
    """A fifth layer is no accident."""
    assert problems_of(read_body(body, HTTP)) == {("", "tooManyLayers")}


@pytest.mark.parametrize(
    ("inner", "path", "code"),
    [
        (b'{"user": 1, "user": 2}', "user", "duplicateKey"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "", "tooDeep"),
    ],
)
def test_read_body_with_a_fault_inside_a_layer_names_that_fault(inner: bytes, path: str, code: str) -> None:
    """Inside a layer the rules are the same."""
    assert problems_of(read_body(json.dumps(inner.decode()).encode(), HTTP)) == {(path, code)}
    assert problems_of(read_body(base64.b64encode(inner), HTTP)) == {(path, code)}


@pytest.mark.parametrize("excess", [b"=", b"==", b"====", b"A", b"!", "é".encode()])
def test_read_body_in_spoilt_base64_is_not_json(excess: bytes) -> None:
    """What only looks like base64 is not guessed at."""
    body = base64.b64encode(_BODY + b" " * (-len(_BODY) % 3))
    assert not body.endswith(b"=")
    assert read_body(body, HTTP) == (_REQUEST,)
    assert problems_of(read_body(body + excess, HTTP)) == {("", "notJson")}


# --- Arrays -----------------------------------------------------------------------------------------------------


def test_read_body_of_an_array_judges_each_item_on_its_own() -> None:
    """A bad item is named by its place and spoils no other."""
    items = read([asking(), asking(profile="x", foo=1), 5, {"a": 1}, [asking()], None, asking(requestId="mine")])
    assert [isinstance(item, ResetRequest) for item in items] == [True, False, False, False, False, False, True]
    assert problems_of(items[1:-1]) == {
        ("[1].profile", "unknownProfile"),
        ("[1].foo", "unknownField"),
        ("[2]", "unknownShape"),
        ("[3]", "unknownShape"),
        ("[4]", "unknownShape"),
        ("[5]", "unknownShape"),
    }


def test_read_body_of_an_array_derives_the_ids_that_items_do_not_name() -> None:
    """The parent is shared, so the user is added to it; an item whose user is not clear has its place's id instead."""
    items = read([asking(), {"user": _OTHER}, asking(requestId="mine"), {"user": "x"}, 5, asking(profile="x")])
    single = request_of(asking(), QUEUE).request_id
    assert single.startswith("parent~")
    place = partial(derive_id_of_place, RequestId("parent"))
    ids = [item.request_id for item in items]
    assert ids == [single, request_of({"user": _OTHER}, QUEUE).request_id, "mine", place(3), place(4), single]


def test_read_body_of_an_array_without_any_parent_asks_for_ids() -> None:
    """Where nothing names a request it cannot be recognised when it comes again."""
    items = read([asking(), asking(requestId="mine"), 5], replace(HTTP, parent_id=None))
    assert problems_of((items[0],)) == {("[0].requestId", "required")}
    assert [item.request_id for item in items] == [None, "mine", None]


def test_read_body_of_an_array_unwraps_its_items() -> None:
    """An item may be text that holds an object; what is wrong inside it is that item's."""
    wrapped = _BODY.decode()
    items = read([wrapped, base64.b64encode(_BODY).decode(), "hello", '{"a": 1, "a": 1}', f"[{wrapped}]"])
    assert [item for item in items if isinstance(item, ResetRequest)] == [request_of(asking(), QUEUE)] * 2
    assert problems_of(items[2:]) == {("[2]", "unknownShape"), ("[3].a", "duplicateKey"), ("[4]", "unknownShape")}


def test_read_body_of_an_array_counts_the_layers_around_and_inside_together() -> None:
    """Four layers in all, wherever they are."""

    def nested(inside: int, around: int) -> tuple[Item, ...]:
        array = json.dumps([_in_strings(_BODY.decode(), inside - 1)])
        return read_body(_in_strings(array, around).encode(), HTTP)

    assert nested(inside=3, around=1) == (request_of(asking(), QUEUE),)
    assert problems_of(nested(inside=3, around=2)) == {("[0]", "tooManyLayers")}


def test_read_body_of_five_hundred_requests_is_read_and_of_one_more_is_not() -> None:
    """The limit holds for items and for what `users` in them yield together."""
    users = [f"u{number}@contoso.com" for number in range(500)]
    assert len(read([{"user": user} for user in users])) == 500
    assert problems_of(read([{"user": user} for user in [*users, "x@contoso.com"]])) == {("", "tooMany")}
    assert len(read([{"users": users[:250]}, {"users": users[250:]}, {"user": "bad"}])) == 501
    assert problems_of(read([{"users": users}, asking()])) == {("", "tooMany")}


# --- Resume -----------------------------------------------------------------------------------------------------


_KEY = RequestKey(QUEUE_CALLER, RequestId("INC-1"))


@pytest.mark.parametrize(
    ("body", "resume"),
    [
        (b'{"resume": "queue:INC-1"}', Resume(_KEY)),
        (codecs.BOM_UTF8 + b'{"resume": "queue:INC-1"}', Resume(_KEY)),
        (b'{"resume": "nonsense"}', Resume(None)),
        (b'{"resume": "queue:~children:INC-77"}', Resume(None)),
        (b'{"resume": "queue:~open"}', Resume(None)),
        (b'{"resume": "queue:a/b"}', Resume(None)),
        (json.dumps({"resume": "queue:" + "x" * 200_000}).encode(), Resume(None)),
        (b'{"resume": ""}', Resume(None)),
        (b'{"resume": null}', Resume(None)),
        (b'{"resume": 5}', Resume(None)),
        (b'{"resume": false}', Resume(None)),
        (b'{"resume": {}}', Resume(None)),
        (b'{"resume": ["queue:INC-1"]}', Resume(None)),
        (b'{"resume": "queue:\\ud800"}', Resume(None)),
        (b'{"resume": "queue:\\u0000"}', Resume(None)),
        (b'{"resume": "queue:\\ufffd"}', Resume(None)),
        (b'{"resume": "queue:INC-1", "user": "a@b.c"}', None),
        (b'{"resume": "a", "resume": "b"}', None),
        (b'[{"resume": "queue:INC-1"}]', None),
        (b"{}", None),
        (b"", None),
        (b"\xff", None),
        (b'{"resume": "queue:INC-1"}'.ljust(MAX_BODY_BYTES), Resume(_KEY)),
        (b'{"resume": "queue:INC-1"}'.ljust(MAX_BODY_BYTES + 1), None),
        (_BODY, None),
    ],
)
def test_parse_resume_of_exactly_one_field_returns_the_key_that_it_names(body: bytes, resume: Resume | None) -> None:
    """Anything more or else is no message of ours; what stands in that field is a key or nothing."""
    assert parse_resume(body) == resume


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3))
def test_parse_resume_of_any_value_is_a_resume(value: object) -> None:
    """Never a request, and never an exception."""
    resume = parse_resume(json.dumps({"resume": value}).encode())
    assert resume is not None
    assert resume.key is None or str(resume.key) == value
