"""How the directory lists and removes authentication methods, and what it does to an account."""

import json
from typing import Any

import pytest

from shared.catalogue import BY_TYPE, MOBILE
from shared.errors import (
    BadRequestError,
    GraphError,
    NotFoundError,
    NotPermittedError,
    RefusedAsDefaultError,
    UnreadableAnswerError,
)
from shared.model import Method
from shared.ports import Listing
from shared.vocabulary import MethodId, MethodType, Removal
from tests.service.graph_script import NOW, USER_ID, Asked, Reply, by_place, page, refusal, scene


def method(type_: MethodType, method_id: str = "an-id") -> Method:
    """Return a method of that type."""
    return Method(type_, BY_TYPE[type_].odata_type, MethodId(method_id))


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


async def test_list_methods_when_cloud_has_no_hardware_oath_then_it_is_absent() -> None:
    """A national cloud's beta does not know the segment: that is documented as absence."""
    no_segment = refusal(400, message="Resource not found for the segment 'x'.")
    async with scene(by_place({"hardware": no_segment})) as here:
        assert await here.directory.list_methods(USER_ID) == Listing((), absent=(MethodType.HARDWARE_OATH,))


@pytest.mark.parametrize("reply", [refusal(404), refusal(404, "Request_ResourceNotFound"), refusal(400), refusal(405)])
async def test_list_methods_when_beta_refuses_in_another_way_then_it_is_unclear(reply: Reply) -> None:
    """It is documented nowhere that this means that there is no token."""
    async with scene(by_place({"hardware": reply, "methods": page(PHONE)})) as here:
        listing = await here.directory.list_methods(USER_ID)
        assert (listing.unclear, listing.absent) == ((MethodType.HARDWARE_OATH,), ())
        assert [each.id for each in listing.methods] == [MOBILE]


@pytest.mark.parametrize(
    ("reply", "unclear"),
    [
        (refusal(404, "resourceNotFound"), ()),
        (refusal(404, "Request_ResourceNotFound"), (MethodType.QR_CODE_PIN,)),
        (Reply(404, b"<html>not found</html>"), (MethodType.QR_CODE_PIN,)),
        (refusal(400), (MethodType.QR_CODE_PIN,)),
    ],
)
async def test_list_methods_when_there_is_no_qr_code_then_only_a_404_about_it_says_so(
    reply: Reply, unclear: tuple[MethodType, ...]
) -> None:
    """Microsoft documents 404 for a user without one; one about the user, or a gateway's, is another."""

    def answer(asked: Asked) -> Reply:
        if asked.address.endswith("/authentication/methods"):
            return refusal(403)
        return reply if asked.address.endswith("/qrCodePinMethod") else page()

    async with scene(answer) as here:
        listing = await here.directory.list_methods(USER_ID)
        assert (listing.methods, listing.unclear) == ((), unclear)


async def test_list_methods_when_user_is_gone_then_not_found() -> None:
    """v1.0 decides whether there is a user."""
    async with scene(by_place({"methods": refusal(404), "hardware": refusal(404)})) as here:
        with pytest.raises(NotFoundError):
            await here.directory.list_methods(USER_ID)


@pytest.mark.parametrize("broken", [{}, {"@odata.type": PHONE["@odata.type"]}, {**PHONE, "id": ".."}])
async def test_list_methods_when_one_cannot_be_read_then_raises(broken: dict[str, Any]) -> None:
    """A method that we cannot name cannot be left out either."""
    async with scene(by_place({"methods": page(PHONE, broken)})) as here:
        with pytest.raises(UnreadableAnswerError) as caught:
            await here.directory.list_methods(USER_ID)
        assert caught.value.answer.client_request_id in {report.client_request_id for report in here.reports}
        assert "methods" not in str(caught.value)


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
