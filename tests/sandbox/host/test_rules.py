"""The host's rules that need no process to be seen."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.host import HostProcess, protos
from sandbox.host.__main__ import _parse
from sandbox.host.app_functions import AuthLevel, resolve
from sandbox.host.errors import StartError
from sandbox.host.host_json import format_duration, parse_duration
from sandbox.host.keys import Keys, is_same
from sandbox.host.routes import Route
from sandbox.host.traces import start_span
from sandbox.host.web import EasyAuth


def test_keys_when_named_for_a_function_then_they_open_that_one_only() -> None:
    """FUNCTION:NAME is a function key."""
    keys = Keys.parse({"f:mine": "secret", "default": "host"}, spare="master")
    assert keys.allow(AuthLevel.FUNCTION, "f", "secret")
    assert keys.allow(AuthLevel.FUNCTION, "f", "host")
    assert not keys.allow(AuthLevel.FUNCTION, "g", "secret")
    assert not keys.allow(AuthLevel.ADMIN, "f", "secret")
    assert not keys.allow(AuthLevel.ADMIN, "f", None)


@pytest.mark.parametrize("name", ["", "f:", "name"])
def test_keys_when_one_has_no_name_or_value_then_start_error(name: str) -> None:
    """An empty key would open to all."""
    with pytest.raises(StartError):
        Keys.parse({name: "" if name == "name" else "value"}, spare="master")


def test_command_line_when_keys_begin_with_a_dash_then_they_are_read_as_keys() -> None:
    """Random keys do so now and then."""
    host = HostProcess(Path("app"), {}, function_key="-f", easy_auth=True)
    host.master_key = host._easy_auth_key = "-m"
    options = _parse(host._command()[3:])
    assert options.keys == {"_master": "-m", "default": "-f"}
    assert options.easy_auth == EasyAuth(key="-m")


@given(st.text(), st.text(min_size=1))
def test_keys_when_compared_then_only_the_same_text_is_the_same(given_key: str, known: str) -> None:
    """Nothing empty, nothing similar, and no text that cannot be compared."""
    assert is_same(given_key, known) == (given_key == known)


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("resets/{id}", "/resets/a%20b", {"id": "a b"}),
        ("resets/{id}", "/resets/", None),
        ("resets/{id?}", "/resets", {}),
        ("resets/{id=1}", "/resets", {"id": "1"}),
        ("resets/{id:int}", "/resets/12", {"id": "12"}),
        ("resets/{id:int}", "/resets/x", None),
        ("resets/{id:int:required}", "/resets/7", {"id": "7"}),
        ("{*rest}", "/", {}),
        ("a/{**rest}", "/a/b/c", {"rest": "b/c"}),
        ("a", "/a/b", None),
        ("a", "/A", {}),
        ("a/{b}/c", "/a//c", None),
        ("{on:bool}", "/True", {"on": "True"}),
        ("", "/", {}),
    ],
)
def test_route_when_matched_then_parameters_or_nothing(
    template: str, path: str, parameters: Mapping[str, str] | None
) -> None:
    """As ASP.NET Core matches templates."""
    assert Route.parse(template).match(path) == parameters


@pytest.mark.parametrize("template", ["a-{b}", "{b", "{b:regex(x)}", "{}"])
def test_route_when_template_is_unknown_then_start_error(template: str) -> None:
    """Nothing is half understood."""
    with pytest.raises(StartError):
        Route.parse(template)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("00:05:00", timedelta(minutes=5)),
        ("1.02:03:04.5", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
    ],
)
def test_duration_when_written_as_dotnet_does_then_parsed(text: str, duration: timedelta) -> None:
    """Days and fractions too."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["5", "00:05", "-1", "", 5, None])
def test_duration_when_it_is_none_then_start_error(text: object) -> None:
    """A number of seconds is a mistake that Azure would read as days."""
    with pytest.raises(StartError):
        parse_duration(text)


def test_duration_when_formatted_then_as_in_azures_message() -> None:
    """Hours, minutes, seconds."""
    assert format_duration(timedelta(minutes=10)) == "00:10:00"


def test_setting_when_resolved_then_put_in_place() -> None:
    """Also within a text; what is missing is named, all of it."""
    assert resolve("a-%X%-%Y%", {"X": "1", "Y": ""}) == "a-1-"
    with pytest.raises(StartError, match="'%X%', '%Y%'"):
        resolve("%X%%Y%", {})


@pytest.mark.parametrize("parent", [None, "", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
def test_trace_when_parent_is_none_then_a_fresh_one(parent: str | None) -> None:
    """Each is another trace, and a state without a parent means nothing."""
    first, second = start_span(parent, "v=1"), start_span(parent)
    assert first.trace_parent.split("-")[1] != second.trace_parent.split("-")[1]
    assert first.trace_state == ""


def test_typed_data_when_given_two_forms_then_type_error() -> None:
    """A oneof holds one; what is not set is None."""
    with pytest.raises(TypeError):
        protos.TypedData(string="a", json="b")
    data = protos.TypedData(string="a")
    assert (data.WhichOneof("data"), data.string, data.json) == ("string", "a", None)
    assert protos.TypedData().WhichOneof("data") is None
