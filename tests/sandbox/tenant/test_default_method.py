import pytest

from sandbox.tenant import Tenant, method
from sandbox.tenant.default_method import DEFAULT_TEXTS
from tests.sandbox.tenant.conftest import (
    ALTERNATE_MOBILE,
    AVERY,
    CASEY,
    EMERY,
    MOBILE,
    OAKLEY,
    OFFICE,
    REESE,
    SAGE,
    TATUM,
    Caller,
    error_of,
)
from tests.sandbox.tenant.test_methods import address_of

SEGMENTS = {
    "phone": "phoneMethods",
    "microsoftAuthenticator": "microsoftAuthenticatorMethods",
    "softwareOath": "softwareOathMethods",
    "hardwareOath": "hardwareOathMethods",
}
PREFERRED = "userPreferredMethodForSecondaryAuthentication"


def address_of_carrier(tenant: Tenant, user_id: str, short_type: str) -> str:
    """Return the address of the user's first method of a type."""
    found = next(each for each in tenant.directory.users[user_id].methods if each.type == short_type)
    return address_of(user_id, f"{SEGMENTS[short_type]}/{found.id}", "beta")


@pytest.mark.parametrize(
    ("user_id", "short_type"),
    [
        (AVERY, "microsoftAuthenticator"),
        (EMERY, "softwareOath"),
        (REESE, "hardwareOath"),
        (SAGE, "phone"),
    ],
)
async def test_default_method_when_others_remain_then_cannot_be_deleted(
    graph: Caller, tenant: Tenant, user_id: str, short_type: str
) -> None:
    """Whatever kind the default is, it stays while other strong methods are there."""
    answer = await graph.delete(address_of_carrier(tenant, user_id, short_type))
    assert error_of(answer) == (400, "badRequest")
    assert answer.json()["error"]["message"] == DEFAULT_TEXTS[0]
    assert not tenant.calls[-1].effect


async def test_default_method_when_it_is_the_office_phone_then_cannot_be_deleted(graph: Caller) -> None:
    """An office phone is a default like any other; the mobile phone beside it is free."""
    office = await graph.delete(address_of(TATUM, f"phoneMethods/{OFFICE}"))
    mobile = await graph.delete(address_of(TATUM, f"phoneMethods/{MOBILE}"))
    assert (office.status_code, mobile.status_code) == (400, 204)


async def test_default_method_when_it_is_the_last_then_deleted(graph: Caller, tenant: Tenant) -> None:
    """With the others gone the default goes through, and no default is left."""
    user = tenant.directory.users[EMERY]
    address = address_of_carrier(tenant, EMERY, "softwareOath")
    assert (await graph.delete(address_of(EMERY, f"phoneMethods/{MOBILE}"))).status_code == 204
    assert (await graph.delete(address)).status_code == 204
    assert (user.registered, user.default_method) == ([], "none")


async def test_default_method_when_only_an_email_remains_then_deleted(graph: Caller, tenant: Tenant) -> None:
    """Password and email do not count as other methods."""
    user = tenant.directory.users[CASEY]
    user.methods += [method("email", "mail"), method("softwareOath", "app")]
    user.default_method = "oath"
    assert (await graph.delete(address_of(CASEY, "softwareOathMethods/app"))).status_code == 204


async def test_default_method_when_fewer_types_count_then_next_default_is_chosen(graph: Caller, tenant: Tenant) -> None:
    """Which types count can be changed; the next default is a method that the user still has."""
    tenant.other_methods = {"phone"}
    user = tenant.directory.users[CASEY]
    user.methods += [method("microsoftAuthenticator", "app"), method("softwareOath", "oath")]
    user.default_method = "push"
    assert (await graph.delete(address_of(CASEY, "microsoftAuthenticatorMethods/app"))).status_code == 204
    assert user.default_method == "oath"


async def test_default_method_when_two_share_the_kind_then_the_first_carries_it(graph: Caller, tenant: Tenant) -> None:
    """Of two Authenticator apps the second may go at once, then the first."""
    user = tenant.directory.users[CASEY]
    user.methods += [method("microsoftAuthenticator", "first"), method("microsoftAuthenticator", "second")]
    user.default_method = "push"
    addresses = [address_of(CASEY, f"microsoftAuthenticatorMethods/{each}") for each in ("first", "second", "first")]
    assert [(await graph.delete(address)).status_code for address in addresses] == [400, 204, 204]


async def test_default_method_when_refused_then_text_can_be_the_other_or_alternate(
    graph: Caller, tenant: Tenant
) -> None:
    """Both texts of the service can be had."""
    address = address_of_carrier(tenant, AVERY, "microsoftAuthenticator")
    tenant.default_text = 2
    texts = [(await graph.delete(address)).json()["error"]["message"]]
    tenant.default_text = "alternating"
    texts += [(await graph.delete(address)).json()["error"]["message"] for _ in range(3)]
    assert texts == [DEFAULT_TEXTS[1], DEFAULT_TEXTS[0], DEFAULT_TEXTS[1], DEFAULT_TEXTS[0]]


async def test_mobile_phone_when_alternate_exists_then_cannot_be_deleted(graph: Caller, tenant: Tenant) -> None:
    """An alternate mobile phone needs a mobile phone, so it goes first."""
    tenant.directory.users[OAKLEY].default_method = "none"
    numbers = [MOBILE, ALTERNATE_MOBILE, MOBILE]
    answers = [await graph.delete(address_of(OAKLEY, f"phoneMethods/{number}")) for number in numbers]
    assert [answer.status_code for answer in answers] == [400, 204, 204]
    assert error_of(answers[0]) == (400, "badRequest")


async def test_catch_22_when_default_is_changed_then_both_phones_go(graph: Caller, tenant: Tenant) -> None:
    """A default alternate phone and its mobile phone hold each other until the default is another."""
    alternate, mobile = (address_of(OAKLEY, f"phoneMethods/{number}") for number in (ALTERNATE_MOBILE, MOBILE))
    stuck = [(await graph.delete(address)).status_code for address in (alternate, mobile)]
    changed = await graph.patch(address_of(OAKLEY, "signInPreferences", "beta"), {PREFERRED: "sms"})
    free = [(await graph.delete(address)).status_code for address in (alternate, mobile)]
    assert (stuck, changed.status_code, free) == ([400, 400], 204, [204, 204])
    assert tenant.directory.users[OAKLEY].default_method == "none"


async def test_preferences_when_read_then_default_and_system_preference(graph: Caller) -> None:
    """The default is read from beta, and v1.0 does not have it."""
    preferences = (await graph.get(address_of(AVERY, "signInPreferences", "beta"))).json()
    assert preferences == {PREFERRED: "push", "isSystemPreferredAuthenticationMethodEnabled": False}
    assert error_of(await graph.get(address_of(AVERY, "signInPreferences"))) == (400, "BadRequest")


@pytest.mark.parametrize(
    "body",
    [
        {PREFERRED: "oath"},
        {PREFERRED: "none"},
        {PREFERRED: "carrierPigeon"},
        {"isSystemPreferredAuthenticationMethodEnabled": "yes"},
        {"colour": "red"},
    ],
)
async def test_preferences_when_change_makes_no_sense_then_bad_request(
    graph: Caller, tenant: Tenant, body: dict[str, str]
) -> None:
    """A default that no method of the user can carry is refused."""
    answer = await graph.patch(address_of(AVERY, "signInPreferences", "beta"), body)
    assert error_of(answer) == (400, "badRequest")
    assert tenant.directory.users[AVERY].default_method == "push"


async def test_preferences_when_system_preference_is_changed_then_shows_it(graph: Caller) -> None:
    """The system's preference is set without a word on the default."""
    address = address_of(AVERY, "signInPreferences", "beta")
    changed = await graph.patch(address, {"isSystemPreferredAuthenticationMethodEnabled": True})
    preferences = (await graph.get(address)).json()
    assert changed.status_code == 204
    assert preferences == {PREFERRED: "push", "isSystemPreferredAuthenticationMethodEnabled": True}


async def test_hardware_token_when_deactivated_then_no_longer_the_default(graph: Caller, tenant: Tenant) -> None:
    """A token that cannot be signed in with is neither default nor another method."""
    user = tenant.directory.users[REESE]
    assert (await graph.post(f"{address_of_carrier(tenant, REESE, 'hardwareOath')}/deactivate")).status_code == 204
    assert user.default_method == "sms"
    assert (await graph.delete(address_of(REESE, f"phoneMethods/{MOBILE}"))).status_code == 204
    assert user.default_method == "none"
