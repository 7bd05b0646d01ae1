import pytest

from sandbox.tenant import Tenant, method
from tests.sandbox.tenant.conftest import (
    AVERY,
    BLAIR,
    CASEY,
    DARCY,
    JULES,
    MOBILE,
    Caller,
    error_of,
)
from tests.sandbox.tenant.test_methods import address_of


async def test_secrets_when_nothing_was_issued_then_those_of_the_directory(tenant: Tenant) -> None:
    """Numbers in each form, addresses of methods and the identity header; deleted users' numbers too."""
    values = tenant.secret_values()
    assert {"+1 4255550101", "14255550101", "4255550101", "avery.quinn@northwind.example"} <= values
    assert {"+1 4255550134", tenant.identity_header} <= values
    assert min(map(len, values)) >= 7
    assert not any(value.endswith("@contoso.example") for value in values)


async def test_secrets_when_tokens_codes_and_passwords_were_issued_then_all_of_them(
    graph: Caller, tenant: Tenant
) -> None:
    """Every token, code and password that ever passed is there, also after the next one took its place."""
    tokens = [await graph.token() for _ in range(2)]
    address = address_of(AVERY, "temporaryAccessPassMethods")
    codes = [(await graph.post(address, {})).json()["temporaryAccessPass"] for _ in range(2)]
    passwords = ["first of the two", "second of the two"]
    for password in passwords:
        body = {"passwordProfile": {"password": password, "forceChangePasswordNextSignIn": True}}
        assert (await graph.patch(f"/v1.0/users/{AVERY}", body)).status_code == 204
    assert {*tokens, *codes, *passwords} <= tenant.secret_values()


async def test_secrets_when_a_password_was_refused_then_it_is_one_all_the_same(graph: Caller, tenant: Tenant) -> None:
    """What was sent is somebody's secret, whatever came of it."""
    answer = await graph.patch(f"/v1.0/users/{JULES}", {"passwordProfile": {"password": "sent in vain"}})
    assert error_of(answer) == (403, "Authorization_RequestDenied")
    assert "sent in vain" in tenant.secret_values()


@pytest.mark.parametrize("added_later", [False, True])
async def test_secrets_when_the_method_is_deleted_then_kept(
    graph: Caller, tenant: Tenant, *, added_later: bool
) -> None:
    """A number is a secret before and after it is a method, whenever it came."""
    if added_later:
        phone = tenant.directory.users[AVERY].find_method(MOBILE)
        assert phone is not None
        phone.properties["phoneNumber"] = "+44 20 7946 0018"
    forms = {"+44 20 7946 0018", "442079460018"} if added_later else {"+1 4255550101", "14255550101"}
    before = tenant.secret_values()
    tenant.directory.users[AVERY].default_method = "push"
    deleted = await graph.delete(address_of(AVERY, f"phoneMethods/{MOBILE}"))
    assert deleted.status_code == 204
    assert MOBILE not in await graph.listed(AVERY)
    assert forms <= before
    assert forms <= tenant.secret_values()


def test_secrets_when_the_user_is_deleted_or_put_aside_then_kept(tenant: Tenant) -> None:
    """The record does not forget."""
    tenant.directory.delete_user(AVERY)
    tenant.directory.deleted_users.clear()
    tenant.directory.users.pop(BLAIR)
    assert {"+1 4255550101", "+1 4255550102", "blair@northwind.example"} <= tenant.secret_values()


def test_secrets_when_entries_hold_keys_pins_and_images_then_those_too(tenant: Tenant) -> None:
    """Whatever the directory holds of them, however deep; what is null is none."""
    user = tenant.directory.users[CASEY]
    user.methods += [
        method("softwareOath", "a", secretKey="JBSWY3DPEHPK3PXP"),
        method("hardwareOath", "b", device={"serialNumber": "S1", "secretKey": "KRSXG5CTMVRXEZLU"}),
        method("qrCodePin", "c", pin={"id": "p", "code": "80351"}, standardQRCode={"image": {"rawContent": "qr-text"}}),
        method("temporaryAccessPass", "d", temporaryAccessPass="Pass-code-1"),
        method("phone", "e", phoneNumber="911"),
    ]
    user.properties |= {"mobilePhone": "+1 4255550198", "businessPhones": ["+1 425 555 0199"]}
    user.password_profile = {"password": "set by the test", "forceChangePasswordNextSignIn": True}
    values = tenant.secret_values()
    assert {"JBSWY3DPEHPK3PXP", "KRSXG5CTMVRXEZLU", "80351", "qr-text", "Pass-code-1", "911"} <= values
    assert {"14255550198", "14255550199", "+1 425 555 0199", "set by the test"} <= values
    assert not values & {"S1", "p", "", None}


@pytest.mark.parametrize("deleted", [False, True])
def test_secrets_when_an_address_is_a_principal_name_then_it_is_none(tenant: Tenant, *, deleted: bool) -> None:
    """Outcomes name users by it, so it cannot be held against anybody; another address can."""
    user = tenant.directory.users[CASEY]
    addresses = ["Casey.Romero@contoso.example", "casey@northwind.example"]
    user.methods += [method("email", address, emailAddress=address) for address in addresses]
    if deleted:
        tenant.directory.delete_user(CASEY)
    assert {address for address in addresses if address in tenant.secret_values()} == {"casey@northwind.example"}


async def test_secrets_when_looked_for_over_http_then_nowhere(graph: Caller, tenant: Tenant) -> None:
    """No address of the sandbox's own gives them away."""
    for address in ("/sandbox/secrets", "/sandbox/secret_values", f"/sandbox/users/{DARCY}"):
        assert (await graph.http.get(address)).status_code == 404
    await graph.patch(f"/v1.0/users/{AVERY}", {"passwordProfile": {"password": "never to be shown"}})
    shown = [(await graph.http.get(f"/sandbox/{each}")).text for each in ("settings", "calls", f"users/{AVERY}")]
    issued = {each for each in tenant.issued_secrets if each in "".join(shown)}
    assert "never to be shown" in tenant.secret_values()
    assert issued == {"+1 4255550101", "4255550101", "avery.quinn@northwind.example"}
