from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.vault import Vault
from tests.sandbox.vault.conftest import Caller, Clock, error_of

BODY = {
    "value": "Code-1",
    "contentType": "text/plain",
    "tags": {"user": "avery"},
    "attributes": {"enabled": True, "exp": 1795500000},
}
BAD = (400, "BadParameter", None)


async def test_set_when_body_is_whole_then_kept_and_shown(caller: Caller, vault: Vault, clock: Clock) -> None:
    """What was sent is kept, and answered as Key Vault does."""
    answer = await caller.set("pass-1", BODY)
    (secret,) = vault.secrets["pass-1"]
    created = int(clock.now().timestamp())
    assert answer.status_code == 200
    assert answer.json() == {
        "value": "Code-1",
        "id": f"{vault.url}/secrets/pass-1/{secret.version}",
        "contentType": "text/plain",
        "tags": {"user": "avery"},
        "attributes": {
            "enabled": True,
            "exp": 1795500000,
            "created": created,
            "updated": created,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        },
    }
    assert (secret.value, secret.content_type, secret.tags) == ("Code-1", "text/plain", {"user": "avery"})
    assert (secret.expires_at, secret.created_at) == (datetime.fromtimestamp(1795500000, UTC), clock.now())


async def test_set_when_only_a_value_then_the_rest_is_empty(caller: Caller, vault: Vault) -> None:
    """Everything but the value is optional."""
    answer = await caller.set("pass-1", {"value": ""})
    (secret,) = vault.secrets["pass-1"]
    assert answer.status_code == 200
    assert answer.json().keys() == {"value", "id", "tags", "attributes"}
    assert (secret.expires_at, secret.tags, secret.content_type, secret.enabled) == (None, {}, None, True)


async def test_set_when_name_is_taken_then_another_version(caller: Caller, vault: Vault) -> None:
    """The newest is last; each has a version of its own."""
    for value in ("one", "two"):
        await caller.set("pass-1", {"value": value})
    first, second = vault.secrets["pass-1"]
    assert (first.value, second.value) == ("one", "two")
    assert first.version != second.version


async def test_secret_when_printed_then_hides_its_value(caller: Caller, vault: Vault) -> None:
    """A failing test prints secrets."""
    await caller.set("pass-1", BODY)
    assert "Code-1" not in repr(vault.secrets)
    assert "avery" in repr(vault.secrets)


@pytest.mark.parametrize("name", ["a", "A-9-z", "x" * 127])
async def test_set_when_name_is_of_the_grammar_then_taken(caller: Caller, name: str) -> None:
    """Letters, digits and hyphens, 1 to 127 of them."""
    assert (await caller.set(name, BODY)).status_code == 200


@pytest.mark.parametrize("name", ["", "x" * 128, "a_b", "a.b", "ü", "a%20b", "a%0A"])
async def test_set_when_name_is_not_of_the_grammar_then_refused(caller: Caller, vault: Vault, name: str) -> None:
    """Nothing is kept under any other name."""
    assert error_of(await caller.set(name, BODY)) == BAD
    assert vault.secrets == {}


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"value": None},
        {"value": 7},
        {"value": "x" * 25_601},
        {"value": "v", "attributes": []},
        {"value": "v", "attributes": {"exp": "tomorrow"}},
        {"value": "v", "attributes": {"exp": 10**18}},
        {"value": "v", "attributes": {"enabled": "yes"}},
        {"value": "v", "contentType": 7},
        {"value": "v", "contentType": "x" * 256},
        {"value": "v", "tags": ["a"]},
        {"value": "v", "tags": {"a": 1}},
        {"value": "v", "tags": {"a": "x" * 257}},
        {"value": "v", "tags": {"x" * 257: "a"}},
        {"value": "v", "tags": {str(number): "" for number in range(16)}},
    ],
)
async def test_set_when_body_is_of_another_form_then_refused(
    caller: Caller,
    vault: Vault,
    body: Any,  # noqa: ANN401 - any JSON
) -> None:
    """A body is an object with a value; sizes are Key Vault's."""
    assert error_of(await caller.set("pass-1", body)) == BAD
    assert vault.secrets == {}


async def test_set_when_body_is_at_the_limits_then_taken(caller: Caller) -> None:
    """The largest of everything."""
    tags = {f"{number:0256}": "x" * 256 for number in range(15)}
    body = {"value": "x" * 25_600, "contentType": "x" * 255, "tags": tags}
    assert (await caller.set("pass-1", body)).status_code == 200


async def test_set_when_not_permitted_then_forbidden(caller: Caller, vault: Vault) -> None:
    """Without the right nothing is kept."""
    vault.may_set = False
    assert error_of(await caller.set("pass-1", BODY)) == (403, "Forbidden", "ForbiddenByRbac")
    assert vault.secrets == {}


@pytest.mark.parametrize("address", ["pass-1", "pass-1/", "pass-1/0123", "other"])
async def test_get_when_not_permitted_then_forbidden(caller: Caller, address: str) -> None:
    """Who may only set cannot read, not even whether there is a secret."""
    await caller.set("pass-1", BODY)
    assert error_of(await caller.call("GET", f"/secrets/{address}")) == (403, "Forbidden", "ForbiddenByRbac")


async def test_get_when_permitted_then_newest_or_the_version_named(caller: Caller, vault: Vault) -> None:
    """Without a version the newest is meant."""
    for value in ("one", "two"):
        await caller.set("pass-1", {"value": value})
    first = vault.secrets["pass-1"][0].version
    answers = [await caller.get(address) for address in ("pass-1", "pass-1/", f"pass-1/{first}")]
    assert [answer.json()["value"] for answer in answers] == ["two", "two", "one"]


@pytest.mark.parametrize("address", ["other", "pass-1/0123"])
async def test_get_when_there_is_none_then_not_found(caller: Caller, address: str) -> None:
    """A name or a version that was never set."""
    await caller.set("pass-1", BODY)
    assert error_of(await caller.get(address)) == (404, "SecretNotFound", None)


async def test_get_when_disabled_then_forbidden(caller: Caller) -> None:
    """A disabled secret shows its value to nobody."""
    await caller.set("pass-1", {"value": "v", "attributes": {"enabled": False}})
    assert error_of(await caller.get("pass-1")) == (403, "Forbidden", "SecretDisabled")


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("DELETE", "/secrets/pass-1", 405),
        ("PATCH", "/secrets/pass-1/0123", 405),
        ("PUT", "/secrets/pass-1/0123", 405),
        ("POST", "/secrets/pass-1", 405),
        ("GET", "/secrets", 404),
        ("GET", "/keys/pass-1", 404),
        ("GET", "/", 404),
        ("GET", "/secrets/pass-1/0123/more", 404),
        ("GET", "//secrets/pass-1", 404),
    ],
)
async def test_vault_when_address_or_method_is_not_there_then_says_so(
    caller: Caller, method: str, address: str, status: int
) -> None:
    """Setting and getting secrets is all there is."""
    answer = await caller.call(method, f"{caller.vault.url}{address}")
    assert error_of(answer)[0] == status


@pytest.mark.parametrize("version", [None, "", "1", "2026", "7.6.1"])
async def test_vault_when_api_version_is_not_known_then_refused(caller: Caller, version: str | None) -> None:
    """Every call says which version it speaks."""
    assert error_of(await caller.call("PUT", "/secrets/pass-1", BODY, version=version)) == BAD


@pytest.mark.parametrize("version", ["7.6", "2026-04-01"])
async def test_vault_when_api_version_is_known_then_served(caller: Caller, version: str) -> None:
    """Both forms of a version are in use."""
    assert (await caller.call("PUT", "/secrets/pass-1", BODY, version=version)).status_code == 200
