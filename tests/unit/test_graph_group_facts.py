"""What groups, directory roles and eligibilities of Microsoft Graph are read as: nothing is guessed."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import OperatorError, UnreadableAnswerError
from shared.graph.group_facts import (
    GroupState,
    Joinable,
    Principal,
    RoleOf,
    parse_active_role,
    parse_assignable_group,
    parse_eligible,
    parse_eligible_role,
    parse_group,
    parse_joinable,
    parse_member_of,
    parse_one_group,
    parse_owner,
    parse_role_holding,
)
from shared.graph.wire import Answer
from shared.model import RoleHolding
from shared.vocabulary import GroupId, RoleId, UserId

ID = "10000000-0000-4000-8000-00000000000c"
OTHER = ID[:-1] + "d"
GROUP: dict[str, Any] = {"id": ID, "displayName": "x", "isAssignableToRole": None, "visibility": None}

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(ID),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = ("id", "displayName", "isAssignableToRole", "visibility", "onPremisesSyncEnabled", "principalId", "groupId")
entities = st.dictionaries(st.sampled_from([*names, "roleDefinitionId", "accessId", "principal"]), any_json)


@pytest.mark.parametrize(
    ("name", "assignable", "expected"),
    [("Staff", None, False), ("Staff", False, False), ("Staff", True, True), (None, True, True), (None, False, False)],
)
def test_group_when_readable_then_null_is_ordinary(name: str | None, assignable: bool | None, expected: bool) -> None:
    """Beside a name, null is what ordinary groups show."""
    entity: dict[str, Any] = {"id": ID.upper(), "displayName": name, "isAssignableToRole": assignable}
    assert parse_group(entity) == GroupState(GroupId(ID), assignable=expected)


@pytest.mark.parametrize(
    ("more", "hidden", "synced"),
    [
        ({"visibility": "HiddenMembership"}, True, False),
        ({"visibility": "hiddenmembership"}, True, False),
        ({"visibility": "Private", "onPremisesSyncEnabled": True}, False, True),
        ({"onPremisesSyncEnabled": False}, False, False),
    ],
)
def test_group_when_hidden_or_synchronised_then_it_says_so(more: dict[str, Any], hidden: bool, synced: bool) -> None:
    """Neither is the rule."""
    assert parse_group(GROUP | more) == GroupState(GroupId(ID), assignable=False, hidden=hidden, synced=synced)


@pytest.mark.parametrize("shown", [{}, {"displayName": None}, {"displayName": None, "isAssignableToRole": None}])
def test_group_when_only_the_id_shows_then_operator_error(shown: dict[str, Any]) -> None:
    """That may be any group: unknown."""
    with pytest.raises(OperatorError):
        parse_group(shown | {"id": ID})


@pytest.mark.parametrize(
    "broken",
    [{"id": 7}, {"displayName": 7}, {"isAssignableToRole": "yes"}, {"visibility": 1}, {"onPremisesSyncEnabled": "no"}],
)
def test_group_when_a_fact_has_another_type_then_raises(broken: dict[str, Any]) -> None:
    """Wrong types are unreadable."""
    with pytest.raises(UnreadableAnswerError):
        parse_group(GROUP | broken)


def test_group_when_another_than_was_asked_for_then_raises() -> None:
    """By its id, or as one that can hold roles."""
    assert parse_one_group(Answer(200, body=json.dumps(GROUP).encode()), GroupId(ID)).id == ID
    with pytest.raises(UnreadableAnswerError):
        parse_one_group(Answer(200, body=json.dumps(GROUP).encode()), GroupId(OTHER))
    assert parse_assignable_group(GROUP | {"isAssignableToRole": True}).assignable
    with pytest.raises(UnreadableAnswerError):
        parse_assignable_group(GROUP)


@pytest.mark.parametrize("eligible", [True, False])
def test_role_when_of_the_user_then_held(*, eligible: bool) -> None:
    """Letter case of ids does not matter."""
    entity: dict[str, Any] = {"principalId": ID.upper(), "roleDefinitionId": ID.upper()}
    assert parse_role_holding(entity, UserId(ID), eligible=eligible) == RoleHolding(RoleId(ID), None, eligible)


@pytest.mark.parametrize("entity", [{"principalId": ID}, {"roleDefinitionId": ID}, {}, {"principalId": OTHER}])
def test_role_when_not_of_the_user_then_raises(entity: dict[str, Any]) -> None:
    """An assignment that is not the one asked for is no answer; nor is an eligibility."""
    group = {"groupId": entity.get("roleDefinitionId")} | entity
    with pytest.raises(UnreadableAnswerError):
        parse_role_holding(entity, UserId(ID), eligible=False)
    with pytest.raises(UnreadableAnswerError):
        parse_joinable(group, UserId(ID))
    with pytest.raises(UnreadableAnswerError):
        parse_eligible(group | {"groupId": OTHER}, GroupId(ID))


@pytest.mark.parametrize(("access", "owner"), [("member", False), ("owner", True), (None, False), ("else", False)])
def test_eligibility_when_of_the_user_then_which_group_and_as_what(access: str | None, owner: bool) -> None:
    """Membership and ownership alike lead in; they are told apart."""
    entity: dict[str, Any] = {"principalId": ID, "groupId": OTHER.upper(), "accessId": access}
    assert parse_joinable(entity, UserId(ID)) == Joinable(GroupId(OTHER), owner)


@pytest.mark.parametrize(
    ("principal", "is_group"),
    [
        (None, None),
        ("x", None),
        ({}, None),
        ({"@odata.type": None}, None),
        ({"@odata.type": "#microsoft.graph.group"}, True),
        ({"@odata.type": "#Microsoft.Graph.Group"}, True),
        ({"@odata.type": "#microsoft.graph.user"}, False),
        ({"@odata.type": "#microsoft.graph.servicePrincipal"}, False),
    ],
)
def test_principal_when_expanded_then_whether_it_is_a_group(principal: object, is_group: bool | None) -> None:
    """What does not show is not known, so that it is asked for."""
    entity: dict[str, Any] = {"principalId": ID, "groupId": ID, "roleDefinitionId": OTHER, "principal": principal}
    found = Principal(ID, is_group)
    assert parse_eligible(entity, GroupId(ID)) == found
    assert parse_active_role(entity) == RoleOf(found, RoleId(OTHER), eligible=False)
    assert parse_eligible_role(entity) == RoleOf(found, RoleId(OTHER), eligible=True)


def test_member_of_when_some_of_what_was_asked_then_these() -> None:
    """In lower case; none is an answer too."""
    asked = (GroupId(ID), GroupId(OTHER))
    assert parse_member_of(Answer(200, body=json.dumps({"value": [OTHER.upper()]}).encode()), asked) == (OTHER,)
    assert parse_member_of(Answer(200, body=b'{"value": []}'), asked) == ()


@pytest.mark.parametrize("value", [None, "x", [None], [7], ["x"], [{"id": ID}], [ID, OTHER]])
def test_member_of_when_anything_else_then_raises(value: object) -> None:
    """A group that was not asked for, too."""
    with pytest.raises(UnreadableAnswerError):
        parse_member_of(Answer(200, body=json.dumps({"value": value}).encode()), (GroupId(ID),))


@given(
    entities,
    st.sampled_from(
        [
            parse_group,
            parse_assignable_group,
            parse_owner,
            parse_active_role,
            parse_eligible_role,
            lambda each: parse_role_holding(each, UserId(ID), eligible=True),
            lambda each: parse_joinable(each, UserId(ID)),
            lambda each: parse_eligible(each, GroupId(ID)),
        ]
    ),
)
def test_entities_of_any_shape_when_read_then_a_value_or_a_typed_error(
    entity: dict[str, Any], parse: Callable[[dict[str, Any]], object]
) -> None:
    """Whatever Graph sends."""
    with suppress(UnreadableAnswerError, OperatorError):
        parse(entity)
