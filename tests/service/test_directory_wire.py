"""What the directory sends, address by address, and what it makes of each answer."""

import json
from typing import Any

import pytest

from shared.catalogue import BY_TYPE, MOBILE
from shared.errors import (
    AmbiguousUserError,
    BadRequestError,
    GraphError,
    NotFoundError,
    NotPermittedError,
    OperatorError,
    RefusedAsDefaultError,
    UnreadableAnswerError,
)
from shared.model import (
    Group,
    GroupId,
    Method,
    MethodId,
    MethodType,
    ReferenceKind,
    Removal,
    RoleHolding,
    RoleId,
    User,
    UserReference,
)
from shared.ports import Listing
from tests.service.graph_script import NOW, USER, USER_ID, Asked, Reply, by_place, page, refusal, scene

SELECT = (
    "id,userPrincipalName,userType,accountEnabled,onPremisesSyncEnabled,isManagementRestricted,"
    "signInSessionsValidFromDateTime,onPremisesSecurityIdentifier"
)
BY_ID = UserReference(ReferenceKind.OBJECT_ID, USER_ID)
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


def by_name(name: str) -> UserReference:
    """Return a reference by user principal name."""
    return UserReference(ReferenceKind.USER_PRINCIPAL_NAME, name)


def by_sid(identifier: str) -> UserReference:
    """Return a reference by security identifier."""
    return UserReference(ReferenceKind.SECURITY_IDENTIFIER, identifier)


def method(type_: MethodType, method_id: str = "an-id") -> Method:
    """Return a method of that type."""
    return Method(type_, BY_TYPE[type_].odata_type, MethodId(method_id))


# --- find_user --------------------------------------------------------------------------------------------------


async def test_find_user_when_asked_by_id_then_reads_selected_properties() -> None:
    """One GET of v1.0, with our token, a request id of ours and no name in the report."""
    async with scene([Reply(body=USER, headers={"request-id": "graph-request"})]) as here:
        assert await here.directory.find_user(BY_ID) == AVERY
        assert here.addresses == [f"GET /v1.0/users/{USER_ID}?$select={SELECT}"]
        headers = here.graph.asked[0].headers
        assert headers["Authorization"] == "Bearer token-1"
        assert here.credential.scopes == [f"{here.graph.url}/.default"]
        (report,) = here.reports
        assert (report.operation, report.status, report.code) == ("readUser", 200, None)
        assert (report.request_id, report.attempt) == ("graph-request", 1)
        assert report.client_request_id == headers["client-request-id"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (
            "o'brien_x.example#ext#@contoso.example",
            "/v1.0/users/o%27brien_x.example%23ext%23%40contoso.example",
        ),
        ("a/b?c%d&e=f@x.example", "/v1.0/users/a%2Fb%3Fc%25d%26e%3Df%40x.example"),
        ("ünal@x.example", "/v1.0/users/%C3%BCnal%40x.example"),
        ("$cash'o@x.example", "/v1.0/users('%24cash%27%27o%40x.example')"),
        ("..", "/v1.0/users('..')"),
    ],
)
async def test_find_user_when_name_is_special_then_it_is_one_segment(name: str, path: str) -> None:
    """A name arrives as one path segment, or in the quoted form where a segment would mean something else."""
    async with scene([Reply(body=USER | {"userPrincipalName": name})]) as here:
        found = await here.directory.find_user(by_name(name))
        assert found is not None
        assert found.user_principal_name == name
        assert here.graph.asked[0].address.partition("?")[0] == path


@pytest.mark.parametrize(
    ("reference", "changes"),
    [
        (by_name("avery.quinn@contoso.example"), {"userPrincipalName": "AVERY.Quinn@contoso.EXAMPLE"}),
        (by_name(USER_ID), {}),
    ],
)
async def test_find_user_when_answer_is_the_one_then_it_counts(
    reference: UserReference, changes: dict[str, Any]
) -> None:
    """Letter case does not matter, and an object id given for a name is good too."""
    async with scene([Reply(body=USER | changes)]) as here:
        assert await here.directory.find_user(reference) is not None


@pytest.mark.parametrize(
    ("reference", "changes"),
    [
        (BY_ID, {"id": "10000000-0000-4000-8000-000000000002"}),
        (by_name("someone@contoso.example"), {}),
        (by_name("kim@contoso.example"), {"userPrincipalName": "\u212aim@contoso.example"}),
        (UserReference(ReferenceKind.OBJECT_ID, "avery.quinn@contoso.example"), {}),
    ],
)
async def test_find_user_when_answer_is_another_user_then_raises(
    reference: UserReference, changes: dict[str, Any]
) -> None:
    """Whoever is answered must be who was asked for: a reset of another user cannot be undone."""
    async with scene([Reply(body=USER | changes)]) as here:
        with pytest.raises(UnreadableAnswerError):
            await here.directory.find_user(reference)


async def test_find_user_when_unknown_then_none() -> None:
    """404 is an answer, not a failure."""
    async with scene([refusal(404, "Request_ResourceNotFound")]) as here:
        assert await here.directory.find_user(BY_ID) is None
        assert here.reports[0].code == "Request_ResourceNotFound"


async def test_find_user_when_not_permitted_then_raises() -> None:
    """403 is no 'unknown user'."""
    async with scene([refusal(403, "Authorization_RequestDenied")]) as here:
        with pytest.raises(NotPermittedError) as caught:
            await here.directory.find_user(BY_ID)
        assert caught.value.answer.code == "Authorization_RequestDenied"
        assert caught.value.answer.request_id == "inner-request-id"
        assert caught.value.answer.client_request_id == here.graph.asked[0].headers["client-request-id"]


async def test_find_user_when_asked_by_sid_then_filters_as_advanced_query_on_every_page() -> None:
    """The identifier is quoted in the filter, the header is on each page, an empty page is followed."""

    def answer(asked: Asked) -> Reply:
        if "skiptoken" in asked.address:
            return page(USER | {"onPremisesSecurityIdentifier": "S-1-5-21-1'2"})
        return page(link=f"http://{asked.headers['Host']}/v1.0/users?$skiptoken=abc")

    async with scene(answer) as here:
        found = await here.directory.find_user(by_sid("s-1-5-21-1'2"))
        assert found == AVERY
        first, second = here.graph.asked
        assert "$filter=onPremisesSecurityIdentifier%20eq%20%27s-1-5-21-1%27%272%27" in first.address
        assert "$count=true" in first.address
        assert second.address == "/v1.0/users?$skiptoken=abc"
        assert [asked.headers["ConsistencyLevel"] for asked in here.graph.asked] == ["eventual", "eventual"]


async def test_find_user_when_sid_is_nobodys_then_none() -> None:
    """An empty collection is nobody."""
    async with scene([page()]) as here:
        assert await here.directory.find_user(by_sid("s-1-5-21-1-2-3")) is None


async def test_find_user_when_sid_is_two_users_then_ambiguous() -> None:
    """Two users of one identifier: we do not choose."""
    other = USER | {"id": "10000000-0000-4000-8000-000000000002"}
    async with scene([page(USER, USER, other)]) as here:
        with pytest.raises(AmbiguousUserError):
            await here.directory.find_user(by_sid("s-1-5-21-1-2-3"))


@pytest.mark.parametrize("value", ["S-1-5-21-9", None])
async def test_find_user_when_filter_was_ignored_then_raises(value: str | None) -> None:
    """A user who does not have the identifier is no answer to the filter."""
    async with scene([page(USER | {"onPremisesSecurityIdentifier": value})]) as here:
        with pytest.raises(UnreadableAnswerError):
            await here.directory.find_user(by_sid("s-1-5-21-1-2-3"))


# --- read_subject -----------------------------------------------------------------------------------------------


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


# --- list_methods -----------------------------------------------------------------------------------------------

PHONE = {
    "@odata.type": "#microsoft.graph.phoneAuthenticationMethod",
    "id": MOBILE,
    "createdDateTime": "2026-01-02T03:04:05.1234567Z",
    "phoneNumber": "+1 4255550155",
    "phoneType": "mobile",
}
PASSWORD = {"@odata.type": "#microsoft.graph.passwordAuthenticationMethod", "id": "28c10230", "createdDateTime": None}
TOKEN = {"id": "token-1", "device": {"serialNumber": "SERIAL0042", "status": "activated"}}


async def test_list_methods_when_all_can_be_read_then_one_listing() -> None:
    """v1.0 and beta together, without the password, an unknown type kept, a token without its type known by place."""
    unknown = {"@odata.type": "#microsoft.graph.novelAuthenticationMethod", "id": "n"}
    replies = by_place({"methods": page(PASSWORD, PHONE, unknown, PHONE), "hardware": page(TOKEN, PASSWORD)})
    async with scene(replies) as here:
        listing = await here.directory.list_methods(USER_ID)
        assert listing == Listing(
            (
                Method(
                    MethodType.PHONE,
                    "#microsoft.graph.phoneAuthenticationMethod",
                    MOBILE,
                    "+X XXXXXXXX55",
                    NOW.replace(2026, 1, 2, 3, 4, 5, 123456),
                    phone_type="mobile",
                ),
                Method(None, "#microsoft.graph.novelAuthenticationMethod", MethodId("n")),
                Method(
                    MethodType.HARDWARE_OATH,
                    "#microsoft.graph.hardwareOathAuthenticationMethod",
                    MethodId("token-1"),
                    "serial number ending in 42",
                    active=True,
                ),
            )
        )
        assert sorted(here.addresses) == [
            f"GET /beta/users/{USER_ID}/authentication/hardwareOathMethods",
            f"GET /v1.0/users/{USER_ID}/authentication/methods",
        ]


async def test_list_methods_when_hardware_oath_is_forbidden_then_says_so() -> None:
    """The others are listed, and the type is named."""
    async with scene(by_place({"methods": page(PHONE), "hardware": refusal(403, "accessDenied")})) as here:
        listing = await here.directory.list_methods(USER_ID)
        assert [each.id for each in listing.methods] == [MOBILE]
        assert listing.not_permitted == (MethodType.HARDWARE_OATH,)


@pytest.mark.parametrize("reply", [refusal(404), refusal(400, message="Resource not found for the segment 'x'.")])
async def test_list_methods_when_cloud_has_no_hardware_oath_then_none(reply: Reply) -> None:
    """A national cloud's beta does not know the segment: there is nothing to list, and nothing is missing."""
    async with scene(by_place({"hardware": reply})) as here:
        assert await here.directory.list_methods(USER_ID) == Listing(())


async def test_list_methods_when_user_is_gone_then_not_found() -> None:
    """v1.0 decides whether there is a user."""
    async with scene(by_place({"methods": refusal(404), "hardware": refusal(404)})) as here:
        with pytest.raises(NotFoundError):
            await here.directory.list_methods(USER_ID)


@pytest.mark.parametrize("broken", [{"id": "x"}, {"@odata.type": PHONE["@odata.type"]}, {**PHONE, "id": ".."}])
async def test_list_methods_when_one_cannot_be_read_then_raises(broken: dict[str, Any]) -> None:
    """A method that we cannot name cannot be left out either."""
    async with scene(by_place({"methods": page(PHONE, broken)})) as here:
        with pytest.raises(UnreadableAnswerError) as caught:
            await here.directory.list_methods(USER_ID)
        assert caught.value.answer.client_request_id in {report.client_request_id for report in here.reports}
        assert "methods" not in str(caught.value)


# --- Pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1:1/v1.0/users",
        "https://graph.microsoft.com/v1.0/users",
        "http://{host}@evil.example/v1.0",
        "http://user@{host}/v1.0",
        "https://{host}/v1.0",
        "//{host}/v1.0",
        "/v1.0/users?$skiptoken=x",
        "http://{host}\\@evil.example/",
        "http://{host}/v1.0 /x",
        "http://[/v1.0",
        "http://127.0.0.1:99999999/",
        17,
    ],
)
async def test_pages_when_link_leads_away_then_it_is_not_followed(link: Any) -> None:  # noqa: ANN401 - any JSON
    """Our token goes to Microsoft Graph and nowhere else."""

    def answer(asked: Asked) -> Reply:
        target = link.replace("{host}", asked.headers["Host"]) if isinstance(link, str) else link
        return page(link=target)

    async with scene(answer) as here:
        with pytest.raises(UnreadableAnswerError) as caught:
            await here.directory.find_user(by_sid("s-1"))
        assert caught.value.answer.code == "unreadable.nextLink"
        assert len(here.graph.asked) == 1


async def test_pages_when_link_repeats_then_raises() -> None:
    """A circle of pages ends at once."""
    async with scene(lambda asked: page(link=f"http://{asked.headers['Host']}/v1.0/again?a=b")) as here:
        with pytest.raises(UnreadableAnswerError) as caught:
            await here.directory.find_user(by_sid("s-1"))
        assert caught.value.answer.code == "unreadable.repeatedLink"
        assert len(here.graph.asked) == 2


async def test_pages_when_they_do_not_end_then_raises() -> None:
    """A thousand pages are more than any user has groups."""
    count = 0

    def answer(asked: Asked) -> Reply:
        nonlocal count
        count += 1
        return page(link=f"http://{asked.headers['Host']}/v1.0/page?number={count}")

    async with scene(answer) as here:
        with pytest.raises(UnreadableAnswerError) as caught:
            await here.directory.find_user(by_sid("s-1"))
        assert caught.value.answer.code == "unreadable.tooManyPages"
        assert count == 1_000


# --- Changes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", [type_ for type_ in MethodType if not BY_TYPE[type_].single])
async def test_remove_method_when_deleted_then_address_is_the_catalogues(type_: MethodType) -> None:
    """The SDK's builders and our templates agree with the catalogue; ids are encoded whole."""
    kind = BY_TYPE[type_]
    async with scene([Reply(204)]) as here:
        await here.directory.remove_method(USER_ID, method(type_, "a/b?c#d"), Removal.DELETE)
        version = "beta" if kind.beta else "v1.0"
        assert here.addresses == [f"DELETE /{version}/users/{USER_ID}/authentication/{kind.segment}/a%2Fb%3Fc%23d"]
        assert here.reports[0].operation == f"delete.{type_}"


async def test_remove_method_when_qr_code_then_it_has_no_id() -> None:
    """One object, named by its segment."""
    async with scene([Reply(204)]) as here:
        await here.directory.remove_method(USER_ID, method(MethodType.QR_CODE_PIN), Removal.DELETE)
        assert here.addresses == [f"DELETE /beta/users/{USER_ID}/authentication/qrCodePinMethod"]


async def test_remove_method_when_deactivated_then_posts() -> None:
    """A token is switched off and stays assigned."""
    async with scene([Reply(204)]) as here:
        await here.directory.remove_method(USER_ID, method(MethodType.HARDWARE_OATH), Removal.DEACTIVATE)
        assert here.addresses == [f"POST /beta/users/{USER_ID}/authentication/hardwareOathMethods/an-id/deactivate"]


@pytest.mark.parametrize(
    ("what", "removal"),
    [
        (Method(None, "#microsoft.graph.novelAuthenticationMethod", MethodId("n")), Removal.DELETE),
        (method(MethodType.PHONE), Removal.DEACTIVATE),
    ],
)
async def test_remove_method_when_it_cannot_be_then_nothing_is_sent(what: Method, removal: Removal) -> None:
    """No address is made up for a type that is not in the catalogue."""
    async with scene([Reply(204)]) as here:
        with pytest.raises(BadRequestError):
            await here.directory.remove_method(USER_ID, what, removal)
        assert not here.addresses


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(404), NotFoundError),
        (refusal(403), NotPermittedError),
        (
            refusal(400, "badRequest", "It matches the user's current Default Authentication Method, and cannot be…"),
            RefusedAsDefaultError,
        ),
        (refusal(400, "badRequest"), BadRequestError),
    ],
)
async def test_remove_method_when_refused_then_error_says_why(reply: Reply, error: type[GraphError]) -> None:
    """Each refusal is an error of its own, and none is repeated."""
    async with scene([reply]) as here:
        with pytest.raises(error):
            await here.directory.remove_method(USER_ID, method(MethodType.PHONE), Removal.DELETE)
        assert len(here.graph.asked) == 1


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_remove_method_when_external_form_is_wrong_then_other_form(status: int) -> None:
    """Microsoft's documentation and SDK differ: the second form is tried, and it counts."""
    plain = f"DELETE /v1.0/users/{USER_ID}/authentication/externalAuthenticationMethods/an-id"
    async with scene([refusal(status), Reply(204)]) as here:
        await here.directory.remove_method(USER_ID, method(MethodType.EXTERNAL), Removal.DELETE)
        assert here.addresses == [plain, f"{plain}/$ref"]


async def test_remove_method_when_external_is_gone_then_second_form_says_so() -> None:
    """Not found in both forms is gone."""
    async with scene([refusal(404)]) as here:
        with pytest.raises(NotFoundError):
            await here.directory.remove_method(USER_ID, method(MethodType.EXTERNAL), Removal.DELETE)
        assert len(here.graph.asked) == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(403), NotPermittedError),
        (refusal(422), BadRequestError),
        (refusal(400, message="Cannot delete default method with other methods."), RefusedAsDefaultError),
    ],
)
async def test_remove_method_when_external_is_refused_then_other_form_is_not_tried(
    reply: Reply, error: type[GraphError]
) -> None:
    """A refusal that is not about the address stands."""
    async with scene([reply]) as here:
        with pytest.raises(error):
            await here.directory.remove_method(USER_ID, method(MethodType.EXTERNAL), Removal.DELETE)
        assert len(here.graph.asked) == 1


async def test_changes_when_made_then_addresses_and_bodies() -> None:
    """The three other changes, as Graph documents them."""
    async with scene([Reply(204)]) as here:
        await here.directory.change_default_method(USER_ID, "sms")
        await here.directory.revoke_sessions(USER_ID)
        await here.directory.disable_account(USER_ID)
        assert here.addresses == [
            f"PATCH /beta/users/{USER_ID}/authentication/signInPreferences",
            f"POST /v1.0/users/{USER_ID}/revokeSignInSessions",
            f"PATCH /v1.0/users/{USER_ID}",
        ]
        default, _, disable = here.graph.asked
        assert json.loads(default.body) == {"userPreferredMethodForSecondaryAuthentication": "sms"}
        assert json.loads(disable.body) == {"accountEnabled": False}
        assert {default.headers["Content-Type"], disable.headers["Content-Type"]} == {"application/json"}
        assert len({asked.headers["client-request-id"] for asked in here.graph.asked}) == 3


async def test_revoke_sessions_when_answered_200_then_done() -> None:
    """Both 200 with a value and 204 are success."""
    async with scene([Reply(200, {"value": True})]) as here:
        await here.directory.revoke_sessions(USER_ID)


@pytest.mark.parametrize("status", [301, 302, 304, 307])
async def test_changes_when_redirected_then_not_followed(status: int) -> None:
    """Graph does not redirect these calls; a token must not travel."""
    async with scene([Reply(status, None, {"Location": "/v1.0/elsewhere"})]) as here:
        with pytest.raises(UnreadableAnswerError):
            await here.directory.revoke_sessions(USER_ID)
        assert len(here.graph.asked) == 1


async def test_find_user_when_body_is_no_object_then_raises() -> None:
    """A gateway's page with status 200 is no user."""
    async with scene([Reply(body=b"<html>")]) as here:
        with pytest.raises(UnreadableAnswerError) as caught:
            await here.directory.find_user(BY_ID)
        assert caught.value.answer.status == 200


async def test_errors_when_raised_then_hold_no_name_and_no_body() -> None:
    """Neither message nor representation of an error shows what was asked or answered."""
    secret = "avery.quinn@contoso.example"
    async with scene([refusal(400, secret, f"about {secret}")]) as here:
        with pytest.raises(BadRequestError) as caught:
            await here.directory.find_user(by_name(secret))
        assert secret not in f"{caught.value}{caught.value!r}{caught.value.answer}{here.reports}"
