import pytest

from sandbox.tenant import Tenant, method
from sandbox.tenant.method_types import METHOD_TYPES, MethodType
from tests.sandbox.tenant.conftest import (
    BLAIR,
    CAMDEN,
    CASEY,
    JULES,
    MOBILE,
    NOEL,
    PARKER,
    PASSWORD,
    UMA,
    VAL,
    Caller,
    Clock,
    error_of,
)

DELETABLE = [kind for kind in METHOD_TYPES if kind.deletable and kind.name not in {"qrCodePin", "external"}]
BLAIRS_TOKEN = "50000000-0000-4000-8000-000000000204"


def address_of(user: str, segment: str, version: str = "v1.0") -> str:
    """Return the address of something in a user's authentication."""
    return f"/{version}/users/{user}/authentication/{segment}"


async def test_methods_when_user_has_only_a_password_then_it_is_listed(graph: Caller) -> None:
    """The password is always there."""
    assert await graph.listed(CASEY) == [PASSWORD]


async def test_methods_when_listed_from_v1_then_hardware_token_is_missing(graph: Caller) -> None:
    """The v1.0 model has no hardware tokens; it does show the QR code."""
    version_1 = (await graph.get(address_of(BLAIR, "methods"))).json()["value"]
    beta = (await graph.get(address_of(BLAIR, "methods", "beta"))).json()["value"]
    hidden = [each["@odata.type"] for each in beta if each not in version_1]
    assert hidden == ["#microsoft.graph.hardwareOathAuthenticationMethod"]
    assert "#microsoft.graph.qrCodePinAuthenticationMethod" in [each["@odata.type"] for each in version_1]


async def test_methods_when_listed_then_types_show_their_own_properties(graph: Caller) -> None:
    """Each item has type, id and date, and what its type has."""
    listed = (await graph.get(address_of(BLAIR, "methods", "beta"))).json()["value"]
    own = {each["@odata.type"].removeprefix("#microsoft.graph."): each for each in reversed(listed)}
    assert all({"@odata.type", "id", "createdDateTime"} <= each.keys() for each in listed)
    assert {kind.name for kind in METHOD_TYPES} == {name.removesuffix("AuthenticationMethod") for name in own}
    assert own["microsoftAuthenticatorAuthenticationMethod"]["createdDateTime"] is None
    assert own["softwareOathAuthenticationMethod"]["secretKey"] is None
    assert own["hardwareOathAuthenticationMethod"]["device"]["serialNumber"] == "GALT11420104"
    assert own["phoneAuthenticationMethod"]["phoneType"] == "mobile"


async def test_methods_when_options_are_given_then_bad_request(graph: Caller) -> None:
    """The lists of methods take no OData options."""
    for segment in ("methods", "phoneMethods"):
        assert error_of(await graph.get(address_of(BLAIR, segment), select="id")) == (400, "BadRequest")


async def test_methods_when_user_is_unknown_then_not_found(graph: Caller) -> None:
    """An unknown user is told apart from an unknown method."""
    assert error_of(await graph.get(address_of("nobody", "methods"))) == (404, "Request_ResourceNotFound")


async def test_methods_when_type_is_unknown_then_listed_and_not_deletable(graph: Caller) -> None:
    """A type of tomorrow shows as it is, and there is no address to delete it."""
    listed = (await graph.get(address_of(PARKER, "methods"))).json()["value"]
    (unknown,) = [each for each in listed if "x509Something" in each["@odata.type"]]
    answer = await graph.delete(address_of(PARKER, f"x509SomethingMethods/{unknown['id']}"))
    assert error_of(answer) == (400, "BadRequest")
    assert "segment 'x509SomethingMethods'" in answer.json()["error"]["message"]


async def test_methods_when_user_has_many_keys_then_all_are_listed(graph: Caller) -> None:
    """Forty-five Windows Hello keys have ids of their own."""
    listed = (await graph.get(address_of(NOEL, "windowsHelloForBusinessMethods"))).json()["value"]
    assert len({each["id"] for each in listed}) == 45


async def test_methods_when_user_has_two_hundred_then_every_page_of_them(graph: Caller, tenant: Tenant) -> None:
    """Two hundred methods and the password fill three pages of the largest size."""
    listed: list[str] = []
    address: str | None = address_of(CAMDEN, "methods")
    pages = 0
    while address is not None and pages < 10:
        page = (await graph.get(address)).json()
        listed += [each["id"] for each in page["value"]]
        address, pages = page.get("@odata.nextLink"), pages + 1
    assert pages == 3
    assert len(set(listed)) == len(listed) == 201
    assert listed == [each.id for each in tenant.directory.users[CAMDEN].methods]


@pytest.mark.parametrize("kind", METHOD_TYPES, ids=lambda kind: kind.name)
async def test_typed_address_when_switched_then_does_not_name_the_type(
    graph: Caller, tenant: Tenant, kind: MethodType
) -> None:
    """By its type's own address a method may come without the type; in the list of all it has it."""
    collection = address_of(BLAIR, kind.segment, "beta")
    wanted = f"#microsoft.graph.{kind.name}AuthenticationMethod"
    for named in (True, False):
        tenant.typed_collections_name_the_type = named
        content = (await graph.get(collection)).json()
        items = content.get("value", [content])
        one = content if "value" not in content else (await graph.get(f"{collection}/{items[0]['id']}")).json()
        types = [item.get("@odata.type") for item in (*items, one)]
        assert items
        assert set(types) == ({wanted} if named else {None})
    everything = (await graph.get(address_of(BLAIR, "methods", "beta"))).json()["value"]
    assert wanted in [each["@odata.type"] for each in everything]


async def test_qr_code_when_there_is_none_then_not_found(graph: Caller) -> None:
    """The address without an id is there for whoever has no QR code, and leads nowhere."""
    address = address_of(CASEY, "qrCodePinMethod", "beta")
    assert error_of(await graph.get(address)) == (404, "resourceNotFound")
    assert error_of(await graph.delete(address)) == (404, "resourceNotFound")


@pytest.mark.parametrize("version", ["v1.0", "beta"])
@pytest.mark.parametrize("kind", METHOD_TYPES, ids=lambda kind: kind.name)
async def test_type_when_the_cloud_does_not_have_it_then_neither_address_nor_item(
    graph: Caller, tenant: Tenant, kind: MethodType, version: str
) -> None:
    """A national cloud's smaller model has no such segment, whatever the caller may, and its list no such item."""
    tenant.absent_types = {kind.name}
    tenant.roles = {"UserAuthenticationMethod.Read.All"}
    listed = (await graph.get(address_of(BLAIR, "methods", version))).json()["value"]
    method_id = next(each.id for each in tenant.directory.users[BLAIR].methods if each.type == kind.name)
    one = await graph.get(address_of(BLAIR, f"methods/{method_id}", version))
    answers = [
        await graph.call(verb, address_of(BLAIR, f"{kind.segment}{end}", version), json={})
        for verb, end in (("GET", ""), ("POST", ""), ("DELETE", f"/{method_id}"), ("POST", f"/{method_id}/deactivate"))
    ]
    assert [error_of(each) for each in answers] == [(400, "BadRequest")] * 4
    wanted = f"Resource not found for the segment '{kind.segment}'."
    assert {each.json()["error"]["message"] for each in answers} == {wanted}
    assert kind.name not in " ".join(each["@odata.type"] for each in listed)
    assert len(listed) > 5
    assert error_of(one) == (404, "resourceNotFound")


async def test_type_when_the_cloud_does_not_have_it_then_keeps_no_default(graph: Caller, tenant: Tenant) -> None:
    """Whatever is not there does not count among the other methods."""
    user = tenant.directory.users[CASEY]
    user.methods += [method("microsoftAuthenticator", "app"), method("softwareOath", "token")]
    user.default_method = "push"
    address = address_of(CASEY, "microsoftAuthenticatorMethods/app")
    assert error_of(await graph.delete(address)) == (400, "badRequest")
    tenant.absent_types = {"softwareOath"}
    assert (await graph.delete(address)).status_code == 204


@pytest.mark.parametrize("kind", DELETABLE, ids=lambda kind: kind.name)
async def test_method_when_deleted_then_gone_and_second_delete_not_found(
    graph: Caller, tenant: Tenant, kind: MethodType
) -> None:
    """Every type's own address lists, reads and deletes; the second delete finds nothing."""
    user = tenant.directory.users[CASEY]
    user.methods.append(method(kind.name, "the-one"))
    collection = address_of(CASEY, kind.segment, kind.version)
    listed = (await graph.get(collection)).json()["value"]
    read = await graph.get(f"{collection}/the-one")
    first, second = await graph.delete(f"{collection}/the-one"), await graph.delete(f"{collection}/the-one")
    assert [each["id"] for each in listed] == ["the-one"]
    assert read.json() == listed[0]
    assert first.status_code == 204
    assert error_of(second) == (404, "resourceNotFound")
    assert user.registered == []
    assert [call.effect for call in tenant.calls] == [False, False, True, False]


@pytest.mark.parametrize("kind", [each for each in METHOD_TYPES if each.version == "beta"], ids=lambda kind: kind.name)
async def test_method_when_address_is_beta_only_then_v1_does_not_have_it(graph: Caller, kind: MethodType) -> None:
    """What only beta has is an unknown segment in v1.0."""
    answer = await graph.get(address_of(BLAIR, kind.segment))
    assert error_of(answer) == (400, "BadRequest")
    assert answer.json()["error"]["message"] == f"Resource not found for the segment '{kind.segment}'."


async def test_method_when_deleted_by_another_types_address_then_not_found(graph: Caller, tenant: Tenant) -> None:
    """A phone is not deleted as an email address."""
    assert error_of(await graph.delete(address_of(BLAIR, f"emailMethods/{MOBILE}"))) == (404, "resourceNotFound")
    assert tenant.directory.users[BLAIR].find_method(MOBILE) is not None


async def test_method_when_deleted_by_the_generic_address_then_not_even_graphs_shape(
    graph: Caller, tenant: Tenant
) -> None:
    """That address does not exist, and says so in a body of its own; reading by it works."""
    address = address_of(BLAIR, f"methods/{MOBILE}")
    answer = await graph.delete(address)
    assert answer.status_code == 404
    assert answer.json() == {"Message": f"No HTTP resource was found that matches the request URI '{answer.url}'."}
    assert tenant.directory.users[BLAIR].find_method(MOBILE) is not None
    read = await graph.get(address)
    assert (read.status_code, read.json()["phoneType"]) == (200, "mobile")


async def test_password_when_deleted_then_not_allowed(graph: Caller) -> None:
    """A password can be read by its address and not deleted."""
    address = address_of(CASEY, f"passwordMethods/{PASSWORD}")
    assert (await graph.get(address)).status_code == 200
    assert (await graph.delete(address)).status_code == 405


async def test_deleted_method_when_listing_lags_then_shown_for_the_delay(
    graph: Caller, tenant: Tenant, clock: Clock
) -> None:
    """A deleted method stays in listings for the delay, and cannot be deleted again."""
    tenant.visibility_delay_seconds = 2
    address = address_of(BLAIR, "emailMethods")
    (listed,) = (await graph.get(address)).json()["value"]
    deleted = await graph.delete(f"{address}/{listed['id']}")
    again = await graph.delete(f"{address}/{listed['id']}")
    clock.advance(1.9)
    lagging = listed["id"] in await graph.listed(BLAIR)
    clock.advance(0.1)
    settled = listed["id"] in await graph.listed(BLAIR)
    assert (deleted.status_code, again.status_code) == (204, 404)
    assert (lagging, settled) == (True, False)


@pytest.mark.parametrize(("form", "other"), [("plain", "ref"), ("ref", "plain")])
async def test_external_method_when_deleted_then_only_one_form_of_address_works(
    graph: Caller, tenant: Tenant, form: str, other: str
) -> None:
    """The documentation and the SDK disagree on the address; the tenant takes either, one at a time."""
    tenant.external_delete_form = "plain" if form == "plain" else "ref"
    external = next(each for each in tenant.directory.users[VAL].methods if each.type == "external")
    plain = address_of(VAL, f"externalAuthenticationMethods/{external.id}")
    addresses = {"plain": plain, "ref": f"{plain}/$ref"}
    refused, deleted = await graph.delete(addresses[other]), await graph.delete(addresses[form])
    assert error_of(refused) == (400, "badRequest")
    assert deleted.status_code == 204
    assert external not in tenant.directory.users[VAL].methods


async def test_qr_code_when_deleted_then_address_has_no_id(graph: Caller, tenant: Tenant) -> None:
    """QR code and PIN go together, by an address without an id."""
    address = address_of(UMA, "qrCodePinMethod", "beta")
    read, first, second = await graph.get(address), await graph.delete(address), await graph.delete(address)
    assert read.json()["pin"]["code"] is None
    assert (first.status_code, error_of(second)) == (204, (404, "resourceNotFound"))
    assert error_of(await graph.get(address)) == (404, "resourceNotFound")
    assert tenant.directory.users[UMA].registered == []


async def test_hardware_token_when_deactivated_then_stays_assigned(graph: Caller, tenant: Tenant) -> None:
    """A deactivated token is still listed, as assigned; a second call changes nothing."""
    address = address_of(BLAIR, f"hardwareOathMethods/{BLAIRS_TOKEN}", "beta")
    before = (await graph.get(address)).json()["device"]["status"]
    answers = [await graph.post(f"{address}/deactivate") for _ in range(2)]
    after = (await graph.get(address)).json()["device"]
    assert before == "activated"
    assert [answer.status_code for answer in answers] == [204, 204]
    assert (after["status"], after["serialNumber"]) == ("assigned", "GALT11420104")
    assert [call.effect for call in tenant.calls if call.method == "POST"] == [True, False]


async def test_method_when_it_is_not_there_then_reading_it_is_not_found(graph: Caller) -> None:
    """An unknown id is 404 by either address, for a user who exists."""
    for segment in ("methods/none", "phoneMethods/none"):
        assert error_of(await graph.get(address_of(BLAIR, segment))) == (404, "resourceNotFound")


async def test_hardware_token_when_user_is_restricted_then_stays_activated(graph: Caller, tenant: Tenant) -> None:
    """The property on the user shields as the unit does."""
    tenant.directory.users[BLAIR].properties["isManagementRestricted"] = True
    answer = await graph.post(address_of(BLAIR, f"hardwareOathMethods/{BLAIRS_TOKEN}/deactivate", "beta"))
    token = tenant.directory.users[BLAIR].find_method(BLAIRS_TOKEN)
    assert error_of(answer) == (403, "accessDenied")
    assert token is not None
    assert token.properties["device"]["status"] == "activated"


async def test_method_when_user_is_in_restricted_unit_then_delete_is_refused(graph: Caller, tenant: Tenant) -> None:
    """Members of a restricted management administrative unit are shielded."""
    answer = await graph.delete(address_of(JULES, f"phoneMethods/{MOBILE}"))
    assert error_of(answer) == (403, "accessDenied")
    assert tenant.directory.users[JULES].find_method(MOBILE) is not None
