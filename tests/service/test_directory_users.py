"""How the directory finds the one user that is meant."""

from dataclasses import replace
from typing import Any

import pytest

from shared.errors import (
    AmbiguousUserError,
    BadRequestError,
    NotPermittedError,
    UnreadableAnswerError,
)
from shared.model import ReferenceKind, SignIn, User, UserReference
from tests.service.graph_script import NOW, USER, USER_ID, Asked, Reply, Script, page, refusal, scene

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


def by_name(name: str) -> UserReference:
    """Return a reference by user principal name."""
    return UserReference(ReferenceKind.USER_PRINCIPAL_NAME, name)


def by_sid(identifier: str) -> UserReference:
    """Return a reference by security identifier."""
    return UserReference(ReferenceKind.SECURITY_IDENTIFIER, identifier)


async def test_find_user_when_an_account_of_another_name_is_answered_then_raises() -> None:
    """A filter that was ignored is no answer."""
    account = USER | {"onPremisesSamAccountName": "other", "onPremisesDomainName": "corp.example"}
    async with scene([page(account)]) as here:
        with pytest.raises(UnreadableAnswerError):
            await here.directory.find_user(UserReference(ReferenceKind.ACCOUNT_NAME, r"corp.example\afinch"))
        (asked,) = here.graph.asked
        assert asked.headers["ConsistencyLevel"] == "eventual"
        assert "onPremisesSamAccountName%20eq%20%27afinch%27" in asked.address


def sign_in_script(first: Reply, second: Reply, domain: Reply) -> Script:
    """Answer the readings of certificates, on v1.0 and on beta, and of the domain."""

    def answer(asked: Asked) -> Reply:
        if "/domains/" in asked.address:
            return domain
        return first if asked.address.startswith("/v1.0/") else second

    return answer


CERTIFICATES = Reply(body={"authorizationInfo": {"certificateUserIds": ["X509:<PN>a@b.example"]}})
MANAGED = Reply(body={"authenticationType": "Managed"})


@pytest.mark.parametrize(
    ("first", "second", "domain", "expected"),
    [
        (CERTIFICATES, refusal(500), MANAGED, SignIn(certificates=True, federated=False)),
        (refusal(400), CERTIFICATES, MANAGED, SignIn(certificates=True, federated=False)),
        (refusal(400), refusal(400), refusal(404), SignIn()),
        (refusal(403), CERTIFICATES, refusal(403), SignIn()),
        (refusal(503), CERTIFICATES, refusal(503), SignIn()),
        (refusal(429, retry_after="60"), CERTIFICATES, Reply(200, b"not JSON"), SignIn()),
        (Reply(body={}), CERTIFICATES, Reply(body={"authenticationType": None}), SignIn(certificates=False)),
    ],
)
async def test_sign_in_when_read_then_known_or_said_to_be_unknown(
    first: Reply, second: Reply, domain: Reply, expected: SignIn
) -> None:
    """Whatever is answered, no reset waits for it, and what is not known is not said to be so."""
    async with scene(sign_in_script(first, second, domain)) as here:
        assert await here.directory.read_sign_in(AVERY) == expected
        assert sum(here.clock.slept) <= 8


async def test_sign_in_when_the_user_is_external_then_our_domains_say_nothing() -> None:
    """A guest's name is in our domain, their sign-in is not."""
    guest = replace(AVERY, user_principal_name="a_b.example#EXT#@contoso.example")
    async with scene(sign_in_script(CERTIFICATES, CERTIFICATES, refusal(500))) as here:
        assert await here.directory.read_sign_in(guest) == SignIn(certificates=True, federated=False)
        assert len(here.graph.asked) == 1


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
