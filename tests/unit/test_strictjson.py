"""JSON as a boundary reads it."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.strictjson import MAX_DEPTH, Json, StrictJsonError, parse_json

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        (' {"a": [1, 2.5, true, "x"]} ', {"a": [1, 2.5, True, "x"]}),
        ('{"a": {"b": 1}, "b": {"a": 1}}', {"a": {"b": 1}, "b": {"a": 1}}),
        ("1e308", 1e308),
        ("1" * 4300, int("1" * 4300)),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
        ('{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH, None),
    ],
)
def test_parse_json_of_json_returns_its_value(text: str, value: Json) -> None:
    """What is JSON is read, up to the deepest nesting and the largest numbers allowed."""
    assert parse_json(text) == (value if value is not None else json.loads(text))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "notJson"),
        ("hello", "notJson"),
        ('{"a": 1,}', "notJson"),
        ("{} {}", "notJson"),
        ("\ufeff{}", "notJson"),
        ("NaN", "notJson"),
        ("[Infinity]", "notJson"),
        ("[-Infinity]", "notJson"),
        ("1e309", "notJson"),
        ("-1e309", "notJson"),
        ("1" * 4301, "notJson"),
        ('"\x00"', "notJson"),
        ('{"a": 1, "a": 1}', "duplicateKey"),
        ('[{"b": {"a": 1, "\\u0061": 2}}]', "duplicateKey"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "tooDeep"),
        ('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), "tooDeep"),
        ("[" * 200_000 + "]" * 200_000, "tooDeep"),
    ],
)
def test_parse_json_of_anything_else_says_which_fault(text: str, code: str) -> None:
    """What is not JSON as we accept it is refused with a code."""
    with pytest.raises(StrictJsonError) as caught:
        parse_json(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[secret]", "not JSON at line 1, column 2: Expecting value"),
        ("NaN", "NaN is not JSON"),
        ('{"a": 1, "b": 2, "a": 3, "c": 4, "b": 5}', "duplicate key: 'a', 'b'"),
        ('{"\\ud800\\u0007": 1, "\\ud800\\u0007": 2}', "duplicate key: '\\ud800\\x07'"),
        ("{" + ", ".join(f'"{"x" * 60}{n % 9}": 1' for n in range(18)) + "}", f"duplicate key: {"'xxx…'"}"),
    ],
)
def test_parse_json_when_refusing_quotes_keys_only_escaped_and_cut(text: str, message: str) -> None:
    """The message helps to find the fault and gives away nothing but repeated keys."""
    expected = message.replace("'xxx…'", ", ".join(["'" + "x" * 50 + "'"] * 5))
    with pytest.raises(StrictJsonError) as caught:
        parse_json(text)
    assert str(caught.value) == expected


def test_parse_json_when_a_key_repeats_then_its_place_is_known() -> None:
    """Outer ones first; the keys are as they were written."""
    with pytest.raises(StrictJsonError) as caught:
        parse_json('[1, {"b": [{"a": 1, "a": 2}], "": 1, "": {"c": 1, "c": 1}}]')
    assert caught.value.places == ((1, ""), (1, "b", 0, "a"), (1, "", "c"))


def test_parse_json_refuses_more_than_sixty_four_levels() -> None:
    """The depth is part of the contract with senders."""
    assert MAX_DEPTH == 64


def test_parse_json_of_thousands_of_repeated_keys_answers_at_once() -> None:
    """Finding the repeated keys takes time in proportion to their number (their square would be a minute here)."""
    keys = [*range(30_000), *range(30_000)]
    with pytest.raises(StrictJsonError, match=r"^duplicate key: '0', '1', '10', '100', '1000'$"):
        parse_json("{" + ",".join(f'"{key}":1' for key in keys) + "}")


@given(_VALUES)
def test_parse_json_of_written_json_returns_what_was_written(value: Json) -> None:
    """Reading is the inverse of writing."""
    assert parse_json(json.dumps(value)) == value


@given(st.text(st.characters()) | st.text('[]{}"\\,:0123456789.eE+-ntfu \n'))
def test_parse_json_of_any_text_returns_or_raises_its_own_error(text: str) -> None:
    """No text makes it raise anything else."""
    with suppress(StrictJsonError):
        parse_json(text)
