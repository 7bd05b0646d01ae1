"""How the directory reads what leads to privilege, and a user's part in it."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from shared.errors import (
    GraphError,
    NotPermittedError,
    OperatorError,
    PrivilegeUnknownError,
    UnlicensedError,
    UnreadableAnswerError,
)
from shared.model import Group, RoleHolding, User
from shared.vocabulary import GroupId, RoleId
from tests.service.graph_script import NOW, UNPACK, USER_ID, Asked, Reply, by_place, page, refusal, scene

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
FIRST, SECOND, THIRD = (GroupId(f"{GROUP}{number}") for number in (1, 2, 3))
GROUP_QUERY = "$select=id,displayName,isAssignableToRole,visibility,onPremisesSyncEnabled"
ROLES = "/v1.0/roleManagement/directory"
JOINABLE = "/v1.0/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances"
ROLE = "62e90394-69f5-4237-9190-012177145e10"
OTHER_ROLE = "729827e3-9c14-49f7-bb1b-9608f156bbb8"
LICENCE = "AadPremiumLicenseRequired"


def group(group_id: str, *, assignable: bool | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a group as Graph shows it."""
    return {"id": group_id, "displayName": f"Group {group_id[-1]}", "isAssignableToRole": assignable, **more}


def assignment(principal: str, role: str = ROLE, kind: str | None = None) -> dict[str, Any]:
    """Return a role assignment as Graph shows it, with its principal where a kind is given."""
    shown = {"principal": {"@odata.type": f"#microsoft.graph.{kind}"}} if kind else {}
    return {"id": "x", "principalId": principal, "roleDefinitionId": role, "directoryScopeId": "/", **shown}


def eligibility(principal: str, group_id: str, access: str = "member", kind: str | None = None) -> dict[str, Any]:
    """Return an eligibility for a group as Graph shows it."""
    shown = {"principal": {"@odata.type": f"#microsoft.graph.{kind}"}} if kind else {}
    return {"id": "x", "principalId": principal, "groupId": group_id, "accessId": access, **shown}


def of(principal: str) -> str:
    """Write the filter by which a principal's entries are asked for."""
    return f"$filter=principalId%20eq%20%27{principal}%27"


def is_in(*groups: str) -> Reply:
    """Answer in which groups a user is."""
    return page(*groups)  # type: ignore[arg-type] # ids, not entities


class Tenant:
    """A script: role-assignable groups with a role each, and what is said at some addresses."""

    def __init__(self, assignable: Sequence[str] = (FIRST,), /, **said: Reply) -> None:
        self.assignable = assignable
        self.said = {name.replace("_", "/"): reply for name, reply in said.items()}

    def __call__(self, asked: Asked) -> Reply:
        """Answer a call."""
        place = asked.address
        if place.endswith("/$batch"):
            return UNPACK
        for mark, reply in self.said.items():
            if mark in place:
                return reply
        if "/groups?" in place:
            return page(*(group(each, assignable=True) for each in self.assignable))
        return page()


async def test_read_subject_when_read_then_these_calls_and_no_others() -> None:
    """What leads to privilege once, then the user: nothing is an advanced query but the cast to nested groups."""
    tenant = Tenant(checkMemberGroups=is_in(FIRST), skiptoken=page(group(SECOND, assignable=True)))
    tenant.said |= {
        f"/v1.0/groups/{THIRD}?": Reply(body=group(THIRD)),
        "roleAssignments?$expand": page(assignment(FIRST, OTHER_ROLE, "group"), assignment(USER_ID, ROLE, "user")),
        "roleAssignments?$filter": page(assignment(USER_ID.upper(), ROLE.upper())),
        f"groupId%20eq%20%27{SECOND}": page(
            eligibility(THIRD, SECOND, kind="group"), eligibility(USER_ID, SECOND, kind="user")
        ),
    }

    def answer(asked: Asked) -> Reply:
        if "/groups?$filter" in asked.address:
            link = f"http://{asked.headers['Host']}/v1.0/groups?$skiptoken=1"
            return page(group(FIRST, assignable=True), link=link)
        return tenant(asked)

    async with scene(answer) as here:
        subject = await here.directory.read_subject(AVERY, ())
        assert subject.user is AVERY
        assert subject.groups == (Group(FIRST, role_assignable=True),)
        assert subject.roles == (RoleHolding(RoleId(ROLE)), RoleHolding(RoleId(OTHER_ROLE), FIRST))
        assert sorted(here.addresses) == sorted(
            [
                f"GET /v1.0/groups?$filter=isAssignableToRole%20eq%20true&{GROUP_QUERY}",
                "GET /v1.0/groups?$skiptoken=1",
                f"GET {ROLES}/roleAssignments?$expand=principal",
                f"GET {ROLES}/roleEligibilityScheduleInstances?$expand=principal",
                *(f"GET /v1.0/groups/{each}/owners?$select=id" for each in (FIRST, SECOND, THIRD)),
                *(
                    f"GET {JOINABLE}?$filter=groupId%20eq%20%27{each}%27&$expand=principal"
                    for each in (FIRST, SECOND, THIRD)
                ),
                f"GET /v1.0/groups/{THIRD}?{GROUP_QUERY}",
                f"GET /v1.0/groups/{THIRD}/transitiveMembers/microsoft.graph.group?{GROUP_QUERY}&$count=true",
                f"GET {JOINABLE}?{of(USER_ID)}",
                f"GET {ROLES}/roleAssignments?{of(USER_ID)}",
                f"GET {ROLES}/roleEligibilityScheduleInstances?{of(USER_ID)}",
                f"POST /v1.0/users/{USER_ID}/checkMemberGroups",
            ]
        )
        (checked,) = [asked.body for asked in here.graph.asked if "check" in asked.address]
        assert json.loads(checked) == {"groupIds": [FIRST, SECOND, THIRD]}
        advanced = [asked.address for asked in here.graph.asked if asked.headers.get("ConsistencyLevel")]
        assert ["transitiveMembers" in address for address in advanced] == [True]


async def test_read_subject_when_roles_could_be_activated_then_they_count_as_eligible() -> None:
    """The user's own, those of a group they are in, and all of a group that they could join or own."""

    def answer(asked: Asked) -> Reply:
        place = asked.address
        if "roleAssignments?$expand" in place:
            return page(*(assignment(each, ROLE, "group") for each in (FIRST, SECOND, THIRD)))
        if "roleEligibilityScheduleInstances?$expand" in place:
            return page(assignment(FIRST, OTHER_ROLE, "group"))
        if "roleEligibilityScheduleInstances?$filter" in place:
            return page(assignment(USER_ID, OTHER_ROLE))
        if "group/eligib" in place and USER_ID in place:
            return page(eligibility(USER_ID, SECOND), eligibility(USER_ID, THIRD, "owner"))
        return is_in(FIRST) if "checkMemberGroups" in place else Tenant((FIRST, SECOND, THIRD))(asked)

    async with scene(answer) as here:
        subject = await here.directory.read_subject(AVERY, ())
    assert subject.groups == (
        Group(FIRST, role_assignable=True),
        Group(SECOND, role_assignable=True, eligible=True),
        Group(THIRD, role_assignable=True, eligible=True, owner=True),
    )
    assert set(subject.roles) == {
        RoleHolding(RoleId(OTHER_ROLE), eligible=True),
        RoleHolding(RoleId(ROLE), FIRST),
        RoleHolding(RoleId(OTHER_ROLE), FIRST, eligible=True),
        RoleHolding(RoleId(ROLE), SECOND, eligible=True),
        RoleHolding(RoleId(ROLE), THIRD, eligible=True),
    }


async def test_read_subject_when_a_principal_does_not_show_its_kind_then_it_is_asked_for_as_a_group() -> None:
    """A deleted one is none; one that is a group leads on."""

    def answer(asked: Asked) -> Reply:
        place = asked.address
        if f"groupId%20eq%20%27{FIRST}" in place:
            return page(eligibility(SECOND, FIRST), eligibility(THIRD, FIRST))
        if place.startswith(f"/v1.0/groups/{SECOND}?"):
            return Reply(body=group(SECOND))
        if place.startswith(f"/v1.0/groups/{THIRD}?"):
            return refusal(404)
        return is_in(SECOND) if "checkMemberGroups" in place else Tenant()(asked)

    async with scene(answer) as here:
        subject = await here.directory.read_subject(AVERY, ())
    assert subject.groups == (
        Group(SECOND, role_assignable=False, leads=True),
        Group(FIRST, role_assignable=True, eligible=True),
    )


async def test_read_subject_when_a_group_holds_a_role_and_is_in_no_list_then_its_members_hold_it_too() -> None:
    """It was made just now, or the list lacks it: the role shows all the same."""
    script = Tenant((), **{"roleAssignments?$expand": page(assignment(SECOND, kind="group"))})
    script.said |= {f"/v1.0/groups/{SECOND}?": Reply(body=group(SECOND)), "checkMemberGroups": is_in(SECOND)}
    async with scene(script) as here:
        subject = await here.directory.read_subject(AVERY, ())
    assert subject.roles == (RoleHolding(RoleId(ROLE), SECOND),)


async def test_read_subject_when_a_group_comes_from_on_premises_then_nobody_is_asked_who_owns_it() -> None:
    """Its members are changed there only: Entra has no owners of it, nor eligible members."""
    script = Tenant(**{f"groupId%20eq%20%27{FIRST}": page(eligibility(SECOND, FIRST, kind="group"))})
    script.said[f"/v1.0/groups/{SECOND}?"] = Reply(body=group(SECOND, onPremisesSyncEnabled=True))
    async with scene(script) as here:
        await here.directory.read_subject(AVERY, ())
        of_it = [asked.address for asked in here.graph.asked if SECOND in asked.address]
    assert ["transitiveMembers" in address for address in of_it] == [False, True]


# --- Without a licence ------------------------------------------------------------------------------------------


async def test_read_subject_when_the_tenant_has_no_licence_then_there_is_no_eligibility() -> None:
    """Exactly that error says so, once of each API for the tenant and once for the user."""
    script = Tenant((FIRST, SECOND), ligibility=refusal(400, LICENCE), checkMemberGroups=is_in(FIRST))
    async with scene(script) as here:
        subject = await here.directory.read_subject(AVERY, ())
        assert (len(subject.groups), subject.roles) == (1, ())
        assert sum("ligibility" in asked.address for asked in here.graph.asked) == 4


async def test_read_subject_when_one_api_has_no_licence_then_the_other_is_read_all_the_same() -> None:
    """What one says of itself is no fact about the other."""
    replies = {"joinable": refusal(400, LICENCE), "eligible": page(assignment(USER_ID, kind="user"))}
    async with scene(by_place(replies)) as here:  # type: ignore[arg-type] # literals
        assert (await here.directory.read_subject(AVERY, ())).roles == (RoleHolding(RoleId(ROLE), eligible=True),)


@pytest.mark.parametrize("mark", ["roleEligibilityScheduleInstances", "group/eligibilityScheduleInstances"])
async def test_read_subject_when_the_licence_is_missing_for_the_user_only_then_raises(mark: str) -> None:
    """A tenant has it or has it not: an answer that contradicts what was read before says nothing."""

    def answer(asked: Asked) -> Reply:
        of_user = mark in asked.address and USER_ID in asked.address
        return refusal(400, LICENCE) if of_user else Tenant()(asked)

    async with scene(answer) as here:
        with pytest.raises(UnlicensedError):
            await here.directory.read_subject(AVERY, ())


async def test_read_subject_when_the_licence_is_missing_for_one_group_only_then_raises() -> None:
    """The same of two groups."""
    script = Tenant((FIRST, SECOND), **{f"groupId%20eq%20%27{SECOND}": refusal(400, LICENCE)})
    async with scene(script) as here:
        with pytest.raises(PrivilegeUnknownError) as caught:
            await here.directory.read_subject(AVERY, ())
        assert caught.value.cause == LICENCE


# --- What cannot be read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["eligible", "joinable", "groups", "roles", "assignable", "holders", "owners", "nested"]
)
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
    place: str, reply: Reply
) -> None:
    """Unknown is not a value: no status, code or text but the one of the licence stands for `there is none`."""
    joining = f"groupId%20eq%20%27{FIRST}"
    tenant = Tenant(**{joining: page(eligibility(SECOND, FIRST, kind="group"))})
    tenant.said[f"/v1.0/groups/{SECOND}?"] = Reply(body=group(SECOND))

    def answer(asked: Asked) -> Reply:
        broken = by_place({place: BROKEN})(asked) is BROKEN if "/$batch" not in asked.address else False  # type: ignore[dict-item] # a literal
        if not broken or f"/v1.0/groups/{SECOND}?" in asked.address:
            return tenant(asked)
        # A body that is no JSON is none in a batch.
        return Reply(200, "not JSON") if reply.body == b"not JSON" and asked.method == "GET" else reply

    async with scene(answer) as here:
        with pytest.raises((GraphError, OperatorError)):
            await here.directory.read_subject(AVERY, ())


BROKEN = Reply()


async def test_read_subject_when_a_privileged_group_shows_its_id_only_then_an_operator_has_to_act() -> None:
    """What it holds is unknown, not nothing."""
    async with scene(by_place({"assignable": page({"id": FIRST})})) as here:
        with pytest.raises(OperatorError) as caught:
            await here.directory.read_subject(AVERY, ())
        assert (caught.value.code, caught.value.missing) == ("groupUnreadable", "GroupMember.Read.All")


@pytest.mark.parametrize("place", ["groups", "roles", "eligible", "joinable", "assignable", "holders", "owners"])
async def test_read_subject_when_a_right_is_missing_then_its_own_error(place: Any) -> None:  # noqa: ANN401 - a literal
    """The error comes as itself, not as a group of errors, and names what is missing."""
    replies = {"assignable": page(group(FIRST, assignable=True))} | {place: refusal(403)}
    async with scene(by_place(replies)) as here:
        with pytest.raises(NotPermittedError) as caught:
            await here.directory.read_subject(AVERY, ())
        assert caught.value.missing


@pytest.mark.parametrize(
    ("place", "reply"),
    [
        ("roles", page(assignment(f"{GROUP}9"))),
        ("eligible", page(assignment(f"{GROUP}9"))),
        ("joinable", page(eligibility(f"{GROUP}9", SECOND))),
        ("groups", is_in(f"{GROUP}9")),
        ("groups", Reply(body={"value": [None]})),
    ],
)
async def test_read_subject_when_what_is_told_is_somebody_elses_then_raises(place: Any, reply: Reply) -> None:  # noqa: ANN401 - a literal
    """An ignored filter would make everybody an administrator, or hide that somebody is one."""

    def answer(asked: Asked) -> Reply:
        if USER_ID in asked.address and by_place({place: BROKEN})(asked) is BROKEN:
            return reply
        return Tenant()(asked)

    async with scene(answer) as here:
        with pytest.raises(UnreadableAnswerError):
            await here.directory.read_subject(AVERY, ())


@pytest.mark.parametrize(
    "said",
    [
        {"/groups?": page(group(FIRST))},
        {f"groupId%20eq%20%27{FIRST}": page(eligibility(USER_ID, SECOND))},
        {"roleAssignments?$expand": page(assignment(SECOND)), f"/v1.0/groups/{SECOND}?": Reply(body=group(THIRD))},
    ],
)
async def test_read_subject_when_the_tenant_tells_of_others_than_asked_then_privilege_is_unknown(
    said: dict[str, Reply],
) -> None:
    """A filter that was ignored, and a group for another."""
    async with scene(Tenant(**said)) as here:
        with pytest.raises(PrivilegeUnknownError):
            await here.directory.read_subject(AVERY, ())
