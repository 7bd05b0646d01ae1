"""How the directory reads groups and roles."""

from typing import Any

import pytest

from shared.errors import (
    GraphError,
    NotPermittedError,
    OperatorError,
    UnlicensedError,
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
ROLES = "/v1.0/roleManagement/directory"
JOINABLE = "/v1.0/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances"
ROLE = "62e90394-69f5-4237-9190-012177145e10"
OTHER_ROLE = "729827e3-9c14-49f7-bb1b-9608f156bbb8"


def group(number: int, *, assignable: bool | None) -> dict[str, Any]:
    """Return a group as Graph shows it."""
    return {"id": f"{GROUP}{number}", "displayName": f"Group {number}", "isAssignableToRole": assignable}


def assignment(principal: str, role: str = ROLE) -> dict[str, Any]:
    """Return a role assignment as Graph shows it."""
    return {"id": "x", "principalId": principal, "roleDefinitionId": role, "directoryScopeId": "/"}


def of(principal: str) -> str:
    """Write the filter by which a principal's entries are asked for."""
    return f"$filter=principalId%20eq%20%27{principal}%27"


async def test_read_subject_when_in_groups_then_roles_through_them_count() -> None:
    """Groups over pages, direct roles, and roles of role-assignable groups only; nothing twice."""

    def answer(asked: Asked) -> Reply:
        match asked.address:
            case address if "skiptoken" in address:
                return page(group(2, assignable=True), group(2, assignable=True), group(3, assignable=False))
            case address if "transitiveMemberOf" in address:
                link = f"http://{asked.headers['Host']}/v1.0/groups?$skiptoken=1"
                return page(group(1, assignable=None), link=link)
            case address if "roleAssignments" not in address:
                return page()
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
        assert sorted(here.addresses) == sorted(
            [
                "GET /v1.0/groups?$skiptoken=1",
                f"GET /v1.0/users/{USER_ID}/transitiveMemberOf/microsoft.graph.group?{GROUP_QUERY}",
                *(f"GET {JOINABLE}?{of(each)}" for each in (USER_ID, f"{GROUP}1", f"{GROUP}2", f"{GROUP}3")),
                *(f"GET {ROLES}/roleAssignments?{of(each)}" for each in (USER_ID, f"{GROUP}2")),
                *(f"GET {ROLES}/roleEligibilityScheduleInstances?{of(each)}" for each in (USER_ID, f"{GROUP}2")),
            ]
        )
        levels = [asked.headers.get("ConsistencyLevel") for asked in here.graph.asked if "roup?" in asked.address]
        assert levels == ["eventual"]


async def test_read_subject_when_roles_could_be_activated_then_they_count_as_eligible() -> None:
    """The user's own, those of a group they are in, and all of a group that they could join."""

    def answer(asked: Asked) -> Reply:
        place = asked.address
        if "transitiveMemberOf" in place:
            return page(group(1, assignable=True)) if f"users/{USER_ID}" in place else page()
        if place.startswith(f"/v1.0/groups/{GROUP}2"):
            return Reply(body=group(2, assignable=True))
        for number in (1, 2):
            if f"{GROUP}{number}" in place and "AssignmentS" not in place and "group/eligib" not in place:
                role = ROLE if "roleAssignments" in place else OTHER_ROLE
                return page(assignment(f"{GROUP}{number}", role))
        if "group/eligib" in place:
            return page({"principalId": USER_ID, "groupId": f"{GROUP}2"}) if USER_ID in place else page()
        return page(assignment(USER_ID, OTHER_ROLE)) if "roleEligibility" in place else page()

    async with scene(answer) as here:
        subject = await here.directory.read_subject(AVERY)
    first, second = GroupId(f"{GROUP}1"), GroupId(f"{GROUP}2")
    assert subject.groups == (
        Group(first, role_assignable=True),
        Group(second, role_assignable=True, eligible=True),
    )
    assert set(subject.roles) == {
        RoleHolding(RoleId(OTHER_ROLE), eligible=True),
        RoleHolding(RoleId(ROLE), first),
        RoleHolding(RoleId(OTHER_ROLE), first, eligible=True),
        RoleHolding(RoleId(ROLE), second, eligible=True),
        RoleHolding(RoleId(OTHER_ROLE), second, eligible=True),
    }


async def test_read_subject_when_groups_could_be_joined_through_groups_then_each_is_followed_once() -> None:
    """Eligible memberships lead on, also through the groups that a group is in; a circle ends."""
    leads_to = {USER_ID: f"{GROUP}1", f"{GROUP}1": f"{GROUP}2", f"{GROUP}3": f"{GROUP}1"}

    def answer(asked: Asked) -> Reply:
        place = asked.address
        if "group/eligib" in place:
            return page(*({"principalId": one, "groupId": other} for one, other in leads_to.items() if one in place))
        if "transitiveMemberOf" in place:
            return page(group(3, assignable=False)) if f"groups/{GROUP}2" in place else page()
        if place.startswith("/v1.0/groups/"):
            return Reply(body=group(int(place.split("?")[0][-1]), assignable=False))
        return page()

    async with scene(answer) as here:
        subject = await here.directory.read_subject(AVERY)
        eligible = [asked.address for asked in here.graph.asked if "group/eligib" in asked.address]
        assert len(set(eligible)) == len(eligible) == 4
    assert {group.id for group in subject.groups} == {f"{GROUP}1", f"{GROUP}2", f"{GROUP}3"}
    assert all(group.eligible for group in subject.groups)


async def test_read_subject_when_a_group_that_could_be_joined_is_gone_then_it_is_none() -> None:
    """An eligibility may outlive its group; nobody can join that."""

    def answer(asked: Asked) -> Reply:
        if "group/eligib" in asked.address:
            return page({"principalId": USER_ID, "groupId": f"{GROUP}1"})
        return refusal(404) if asked.address.startswith("/v1.0/groups/") else page()

    async with scene(answer) as here:
        assert (await here.directory.read_subject(AVERY)).groups == ()


LICENCE = "AadPremiumLicenseRequired"


async def test_read_subject_when_the_tenant_has_no_licence_then_there_is_no_eligibility() -> None:
    """Exactly that error says so, once of each API, and nothing more is asked of it."""
    replies = {"eligible": refusal(400, LICENCE), "joinable": refusal(400, LICENCE)}
    async with scene(by_place(replies | {"groups": page(group(1, assignable=True))})) as here:  # type: ignore[arg-type] # literals
        subject = await here.directory.read_subject(AVERY)
        assert (len(subject.groups), subject.roles) == (1, ())
        assert sum("ligibility" in asked.address for asked in here.graph.asked) == 2


async def test_read_subject_when_one_api_has_no_licence_then_the_other_is_read_all_the_same() -> None:
    """What one says of itself is no fact about the other."""
    eligible = page(assignment(USER_ID))
    replies = {"joinable": refusal(400, LICENCE), "eligible": eligible}
    async with scene(by_place(replies)) as here:  # type: ignore[arg-type] # literals
        assert (await here.directory.read_subject(AVERY)).roles == (RoleHolding(RoleId(ROLE), eligible=True),)


async def test_read_subject_when_the_licence_is_missing_for_a_group_only_then_raises() -> None:
    """A tenant has it or has it not: an answer that contradicts the user's own says nothing."""

    def answer(asked: Asked) -> Reply:
        if "transitiveMemberOf" in asked.address:
            return page(group(1, assignable=True))
        return refusal(400, LICENCE) if f"{GROUP}1" in asked.address and "ligib" in asked.address else page()

    async with scene(answer) as here:
        with pytest.raises(UnlicensedError):
            await here.directory.read_subject(AVERY)


@pytest.mark.parametrize("place", ["eligible", "joinable", "groups", "roles"])
@pytest.mark.parametrize(
    "reply",
    [
        *(refusal(status, LICENCE) for status in (401, 402, 403, 404, 409, 422)),
        *(refusal(400, code) for code in ("aadpremiumlicenserequired", "LicenseRequired", "BadRequest", "")),
        refusal(403, "Forbidden", "Your tenant is not licensed for this feature."),
        refusal(403, "UnknownError", '{"errorCode":"PermissionScopeNotGranted"}'),
        refusal(400, "someCode", "AadPremiumLicenseRequired"),
        *(refusal(status) for status in (429, 500, 502, 503, 504)),
        Reply(200, b"not JSON"),
        Reply(200, {"value": None}),
        Reply(200, {"value": [{"principalId": None}]}),
    ],
)
async def test_read_subject_when_anything_else_keeps_a_fact_from_being_read_then_raises(
    place: Any,  # noqa: ANN401 - a literal
    reply: Reply,
) -> None:
    """Unknown is not a value: no status, code or text but the one of the licence stands for `there is none`."""
    async with scene(by_place({place: reply})) as here:
        with pytest.raises((GraphError, OperatorError)):
            await here.directory.read_subject(AVERY)


@pytest.mark.parametrize("hidden", [{}, {"displayName": None, "isAssignableToRole": None}])
async def test_read_subject_when_group_is_hidden_then_operator_has_to_act(hidden: dict[str, None]) -> None:
    """A group of which only the id shows may be role-assignable: that is unknown, not no."""
    async with scene(by_place({"groups": page({"id": f"{GROUP}1"} | hidden)})) as here:
        with pytest.raises(OperatorError) as caught:
            await here.directory.read_subject(AVERY)
        assert (caught.value.code, caught.value.missing) == ("groupUnreadable", "GroupMember.Read.All")


@pytest.mark.parametrize("place", ["groups", "roles", "eligible", "joinable"])
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
        # What is asked about the user is asked alone.
        return Reply(body={"value": []}, meets=4 if GROUP in asked.address else 0)

    async with scene(answer) as here:
        await here.directory.read_subject(AVERY)
        assert len(here.graph.asked) == 1 + 10 + 2 * 10
        assert here.graph.most_at_once == 4
