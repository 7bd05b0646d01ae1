"""How the directory reads groups and roles."""

from typing import Any

import pytest

from shared.errors import (
    NotPermittedError,
    OperatorError,
    UnreadableAnswerError,
)
from shared.model import Group, RoleHolding, User
from shared.vocabulary import GroupId, RoleId
from tests.service.graph_script import NOW, USER_ID, Asked, Reply, by_place, page, refusal, scene

AVERY = User(
    id=USER_ID,
    user_principal_name="avery.quinn@contoso.example",
    user_type="Member",
    account_enabled=True,
    on_premises_synced=False,
    management_restricted=False,
    sessions_valid_from=NOW.replace(2026, 1, 2, 3, 4, 5),
)
GROUP = "20000000-0000-4000-8000-00000000000"
GROUP_QUERY = "$select=id,displayName,isAssignableToRole&$count=true"
ROLE = "62e90394-69f5-4237-9190-012177145e10"
OTHER_ROLE = "729827e3-9c14-49f7-bb1b-9608f156bbb8"


def group(number: int, *, assignable: bool | None) -> dict[str, Any]:
    """Return a group as Graph shows it."""
    return {"id": f"{GROUP}{number}", "displayName": f"Group {number}", "isAssignableToRole": assignable}


def assignment(principal: str, role: str = ROLE) -> dict[str, Any]:
    """Return a role assignment as Graph shows it."""
    return {"id": "x", "principalId": principal, "roleDefinitionId": role, "directoryScopeId": "/"}


async def test_read_subject_when_in_groups_then_roles_through_them_count() -> None:
    """Groups over pages, direct roles, and roles of role-assignable groups only; nothing twice."""

    def answer(asked: Asked) -> Reply:
        match asked.address:
            case address if "skiptoken" in address:
                return page(group(2, assignable=True), group(2, assignable=True), group(3, assignable=False))
            case address if "transitiveMemberOf" in address:
                link = f"http://{asked.headers['Host']}/v1.0/groups?$skiptoken=1"
                return page(group(1, assignable=None), link=link)
            case address if f"{GROUP}2" in address:
                return page(assignment(f"{GROUP}2", OTHER_ROLE))
            case _:
                return page(assignment(USER_ID), assignment(USER_ID.upper(), ROLE.upper()))

    async with scene(answer) as here:
        subject = await here.directory.read_subject(AVERY)
        assert subject.user is AVERY
        assert subject.groups == (
            Group(GroupId(f"{GROUP}1"), role_assignable=False),
            Group(GroupId(f"{GROUP}2"), role_assignable=True),
            Group(GroupId(f"{GROUP}3"), role_assignable=False),
        )
        assert subject.roles == (RoleHolding(RoleId(ROLE)), RoleHolding(RoleId(OTHER_ROLE), GroupId(f"{GROUP}2")))
        assert sorted(here.addresses) == [
            "GET /v1.0/groups?$skiptoken=1",
            f"GET /v1.0/roleManagement/directory/roleAssignments?$filter=principalId%20eq%20%27{USER_ID}%27",
            f"GET /v1.0/roleManagement/directory/roleAssignments?$filter=principalId%20eq%20%27{GROUP}2%27",
            f"GET /v1.0/users/{USER_ID}/transitiveMemberOf/microsoft.graph.group?{GROUP_QUERY}",
        ]
        levels = {asked.address: asked.headers.get("ConsistencyLevel") for asked in here.graph.asked}
        assert [level for address, level in levels.items() if "roleAssignments" not in address] == ["eventual"] * 2


@pytest.mark.parametrize("hidden", [{}, {"displayName": None, "isAssignableToRole": None}])
async def test_read_subject_when_group_is_hidden_then_operator_has_to_act(hidden: dict[str, None]) -> None:
    """A group of which only the id shows may be role-assignable: that is unknown, not no."""
    async with scene(by_place({"groups": page({"id": f"{GROUP}1"} | hidden)})) as here:
        with pytest.raises(OperatorError) as caught:
            await here.directory.read_subject(AVERY)
        assert (caught.value.code, caught.value.missing) == ("groupUnreadable", "GroupMember.Read.All")


@pytest.mark.parametrize("place", ["groups", "roles"])
async def test_read_subject_when_one_reading_fails_then_its_own_error(place: Any) -> None:  # noqa: ANN401 - a literal
    """The error comes as itself, not as a group of errors."""
    async with scene(by_place({place: refusal(403)})) as here:
        with pytest.raises(NotPermittedError):
            await here.directory.read_subject(AVERY)


async def test_read_subject_when_roles_of_a_group_fail_then_raises() -> None:
    """What a group holds is as much a fact as what the user holds."""

    def answer(asked: Asked) -> Reply:
        if f"{GROUP}1" in asked.address:
            return refusal(403)
        return page(group(1, assignable=True)) if "transitiveMemberOf" in asked.address else page()

    async with scene(answer) as here:
        with pytest.raises(NotPermittedError):
            await here.directory.read_subject(AVERY)


async def test_read_subject_when_role_is_somebody_elses_then_raises() -> None:
    """An ignored filter would make everybody an administrator, or hide that somebody is one."""
    async with scene(by_place({"roles": page(assignment(f"{GROUP}9"))})) as here:
        with pytest.raises(UnreadableAnswerError):
            await here.directory.read_subject(AVERY)


async def test_read_subject_when_groups_are_many_then_four_at_once() -> None:
    """Nine role-assignable groups are all read, never more than four of them at once."""

    def answer(asked: Asked) -> Reply:
        if "transitiveMemberOf" in asked.address:
            return page(*(group(number, assignable=True) for number in range(1, 10)))
        return Reply(body={"value": []}, delay_seconds=0.02)

    async with scene(answer) as here:
        await here.directory.read_subject(AVERY)
        assert len(here.graph.asked) == 11
        assert here.graph.most_at_once == 4
