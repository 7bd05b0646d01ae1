"""What is said of a wrong value of the policy: words of its author's, whatever is wrong."""

import copy
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from shared.errors import SettingsError
from shared.policy import parse_policy, values
from tests.builders import a_policy_document

WHOLE = a_policy_document(
    profiles={
        "reregister": {"methods": "reregister", "steps": ["revokeSessions"], "registrationWindow": "accepted"},
        "listed": {
            "methods": ["phone"],
            "steps": ["disableAccount"],
            "registrationWindow": "accepted",
            "selective": True,
            "privileged": "allow",
        },
    },
    defaultProfiles={"request": "reregister", "alert": "reregister"},
    callers={"queue": ["reregister"], "aaaaaaaa-0000-4000-8000-00000000000a": ["listed"]},
    never={"users": ["10000000-0000-4000-8000-0000000000aa"], "groups": ["20000000-0000-4000-8000-0000000000aa"]},
    privileged={"roles": ["30000000-0000-4000-8000-0000000000aa"], "groups": "none", "instead": ["revokeSessions"]},
    guests="refuse",
    intake={"mappings": [{}], "defenderRoles": ["compromised"], "domains": {"CONTOSO": "contoso.com"}},
    limits={"resetsPerHour": 1, "usersPerAlert": 1, "cooldownMinutes": 1},
)
WRONG: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**30, 1.5, 1.0, "", "x", "1", "\ud800", "x" * 300),
    *([], ["x"], [1], [None], [[]], [{}], ["\ud800"], {}, {"x": 1}, {"x": []}, {"x": {}}, {"\ud800": 1}),
    *({"tuple[x]": 5}, {"literal[x]": 5}, {"function-before[x]": []}, {"literal['any']": "x", "tuple[x]": 1}),
)
LIBRARY = re.compile(
    r"Input|input|valid|instance|Extra|Field|Value error|Dictionary|dictionary|tuple\[|function-before\[_|literal\['re|"
    r"literal\['any'\]:|parse|integer|boolean|string|unicode|None|True|False|str\b|int\b|cannot be understood|"
    + "|".join(rf"\b{name}\b" for name in vars(values) if name[:1].isupper())
)


def places_of(value: Any, place: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:  # noqa: ANN401 - JSON
    """Return the place of every value, the whole first."""
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from places_of(child, (*place, key))


def put(document: Any, place: Sequence[int | str], value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the document with another value in a place."""
    if not place:
        return value
    changed = copy.copy(document)
    changed[place[0]] = put(document[place[0]], place[1:], value)
    return changed


def problems_of(document: Any) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    """Return what is said of a policy; nothing where it is a sound one."""
    try:
        parse_policy(json.dumps(document))
    except SettingsError as error:
        return error.problems or ("refused, and nobody says why",)
    return ()


@pytest.mark.parametrize("place", [*places_of(WHOLE)], ids=lambda place: ".".join(map(str, place)) or "the policy")
def test_value_when_it_is_wrong_in_any_way_then_the_words_are_not_the_librarys(place: tuple[int | str, ...]) -> None:
    """Every kind of wrong value in every place: each sentence names the place and says what has to be there."""
    complaints = 0
    for value in WRONG:
        for problem in problems_of(put(WHOLE, place, value)):
            complaints += 1
            _, where, words = problem.split(": ", 2)
            told = words if any(key in where for key in ("tuple[", "literal[", "function-")) else f"{where}: {words}"
            assert not LIBRARY.search(told), problem
            assert "\ud800" not in problem
    assert complaints > 5


def test_policy_that_is_whole_when_it_is_read_then_it_is_sound() -> None:
    """So that what is wrong above is what was put in."""
    assert problems_of(WHOLE) == ()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ((), [], "the policy: must be an object"),
        (("mode",), "dream", 'mode: must be "enforce" or "observe"'),
        (("mode",), "\ud800", "mode: must be a text without half of a surrogate pair"),
        (("profiles",), {}, "profiles: must hold at least one"),
        (("profiles",), [], "profiles: must be an object"),
        (("limits",), 7, "limits: must be an object"),
        (("limits", "resetsPerHour"), 0, "limits.resetsPerHour: must be at least 1"),
        (("limits", "resetsPerHour"), 10**6, "limits.resetsPerHour: must be at most 100000"),
        (("limits", "resetsPerHour"), "9", "limits.resetsPerHour: must be a whole number"),
        (("profiles", "listed", "selective"), 1, "profiles.listed.selective: must be true or false"),
        (("profiles", "listed", "steps"), "x", "profiles.listed.steps: must be a list"),
        (("never", "users", 0), "bob", "never.users.0: must be an object id (8-4-4-4-12 hexadecimal digits)"),
        (("callers", "queue"), "reregister", "callers.queue: must be a list"),
        (("callers", "queue"), {"tuple[x]": 1}, "callers.queue: must be a list"),
        (("callers", "queue", 0), 1, "callers.queue.0: must be a text"),
        (("privileged", "roles"), "all", 'privileged.roles: must be "any", or a list'),
        (("privileged", "roles"), 5, 'privileged.roles: must be "any", or a list'),
        (("profiles", "listed", "methods", 0), "fax", 'profiles.listed.methods.0: must be one of "phone", '),
        (("profiles", "listed", "methods"), "fax", 'listed.methods: must be "reregister", "all" or "none", or a list'),
        (("callers",), {"tuple[x]": 5}, "must be a list"),
    ],
)
def test_value_when_it_is_wrong_then_one_sentence_says_what_has_to_be_there(
    place: tuple[int | str, ...], value: object, said: str
) -> None:
    """With its place, and none besides."""
    (problem,) = [one for one in problems_of(put(WHOLE, place, value)) if "no caller may ask" not in one]
    assert said in problem


@pytest.mark.parametrize(
    ("place", "key", "said"),
    [
        ((), "profile", "profile: there is no such key; did you mean profiles?"),
        ((), "Mode", "Mode: there is no such key; did you mean mode?"),
        ((), "resetsPerHour", "resetsPerHour: there is no such key; did you mean limits.resetsPerHour?"),
        ((), "colour", "colour: there is no such key"),
        (("limits",), "resetPerHour", "limits.resetPerHour: there is no such key; did you mean resetsPerHour?"),
        (("limits",), "resets_per_hour", "limits.resets_per_hour: there is no such key; did you mean resetsPerHour?"),
        (("never",), "user", "never.user: there is no such key; did you mean users?"),
        (("profiles", "listed"), "step", "profiles.listed.step: there is no such key; did you mean steps?"),
        ((), "x" * 80, f"{'x' * 50}: there is no such key"),
    ],
)
def test_key_when_it_is_misspelt_then_the_nearest_is_named(place: tuple[int | str, ...], key: str, said: str) -> None:
    """In the same part, or under the same name in another."""
    part: Any = WHOLE
    for name in place:
        part = part[name]
    assert problems_of(put(WHOLE, place, part | {key: 1})) == (f"MFA_RESET_POLICY: {said}",)
