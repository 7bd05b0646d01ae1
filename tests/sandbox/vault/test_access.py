import asyncio
import logging
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from sandbox.tenant.tokens import TokenAuthority
from sandbox.vault import Cut, Silence, Vault
from sandbox.vault.certificate import certify
from tests.sandbox.vault.conftest import Caller, Clock, error_of

BODY = {"value": "Code-1"}
CHALLENGE = (
    'Bearer authorization="https://login.microsoftonline.com/11111111-0000-4000-8000-000000000001", '
    'resource="https://vault.azure.net"'
)
UNAUTHORIZED = (401, "Unauthorized", None)


# --- Tokens -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/secrets/pass-1?api-version=7.6", "/secrets/pass-1", "/nowhere"])
async def test_vault_when_there_is_no_token_then_challenged(caller: Caller, vault: Vault, address: str) -> None:
    """Whatever is asked for: first a token."""
    answer = await caller.http.put(address)
    assert error_of(answer) == UNAUTHORIZED
    assert answer.headers["WWW-Authenticate"] == CHALLENGE
    assert vault.secrets == {}


@pytest.mark.parametrize(
    "resource", ["https://graph.microsoft.com", "https://vault.azure.cn", "https://x.vault.azure.net", ""]
)
async def test_vault_when_token_is_for_another_resource_then_challenged(
    caller: Caller, vault: Vault, resource: str
) -> None:
    """The audience is that of vaults, and nothing else opens one."""
    answer = await caller.call("PUT", "/secrets/pass-1", BODY, token=caller.token(resource))
    assert error_of(answer) == UNAUTHORIZED
    assert answer.headers["WWW-Authenticate"] == CHALLENGE
    assert vault.secrets == {}


@pytest.mark.parametrize("authorization", ["Bearer x", "Bearer a.b.c", "Bearer", "Basic YTpi", ""])
async def test_vault_when_token_is_none_then_challenged(caller: Caller, authorization: str) -> None:
    """Only what the tenant signed is a token."""
    answer = await caller.http.put("/secrets/pass-1", headers={"Authorization": authorization}, json=BODY)
    assert error_of(answer) == UNAUTHORIZED
    assert answer.headers["WWW-Authenticate"] == CHALLENGE


async def test_vault_when_token_is_another_tenants_then_challenged(caller: Caller, clock: Clock) -> None:
    """Each tenant signs with a key of its own."""
    other = Caller(caller.vault, TokenAuthority(), clock, caller.http)
    assert error_of(await other.set("pass-1", BODY)) == UNAUTHORIZED


async def test_vault_when_token_has_ended_then_challenged(caller: Caller, clock: Clock) -> None:
    """A token is good until it ends, by the clock that was handed in."""
    token = caller.token()
    clock.advance(59)
    assert (await caller.call("PUT", "/secrets/pass-1", BODY, token=token)).status_code == 200
    clock.advance(1)
    assert error_of(await caller.call("PUT", "/secrets/pass-1", BODY, token=token)) == UNAUTHORIZED


async def test_vault_when_challenge_is_for_another_resource_then_says_it(caller: Caller, vault: Vault) -> None:
    """A hostile vault can be played."""
    vault.resource = "https://graph.microsoft.com"
    answer = await caller.http.put("/secrets/pass-1")
    assert 'resource="https://graph.microsoft.com"' in answer.headers["WWW-Authenticate"]


# --- What is remembered -----------------------------------------------------------------------------------------


async def test_calls_when_served_then_each_is_there(caller: Caller, vault: Vault, clock: Clock) -> None:
    """Method, decoded path without query, status, size of the body and version; no value."""
    await caller.http.put("/secrets/pass-1?api-version=7.6")
    await caller.set("pass%2D1", BODY)
    seen = [(call.method, call.path, call.status, call.api_version) for call in vault.calls]
    assert seen == [("PUT", "/secrets/pass-1", 401, "7.6"), ("PUT", "/secrets/pass-1", 200, "2026-04-01")]
    assert vault.calls[0].body_bytes == 0
    assert vault.calls[1].body_bytes > 0
    assert {call.at for call in vault.calls} == {clock.now()}
    assert "Code-1" not in repr(vault.calls)


# --- Faults -----------------------------------------------------------------------------------------------------


async def test_fail_with_when_token_comes_then_so_many_calls_fail(caller: Caller, vault: Vault) -> None:
    """The challenge is no call that a fault strikes; after the last fault all is well."""
    vault.fail_with(503, "ServiceUnavailable", times=2, headers={"Retry-After": "7"})
    challenged = await caller.http.put("/secrets/pass-1")
    answers = [await caller.set("pass-1", BODY) for _ in range(3)]
    assert challenged.status_code == 401
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert error_of(answers[0]) == (503, "ServiceUnavailable", None)
    assert answers[0].headers["Retry-After"] == "7"
    assert len(vault.secrets["pass-1"]) == 1


async def test_fail_with_when_body_is_given_then_sent_as_it_is(caller: Caller, vault: Vault) -> None:
    """A gateway in between has a shape of its own."""
    vault.fail_with(502, "", body="<html>", headers={"Content-Type": "text/html"})
    answer = await caller.set("pass-1", BODY)
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (502, "<html>", "text/html")


@pytest.mark.parametrize("after_effect", [False, True])
async def test_cut_when_in_force_then_no_answer(caller: Caller, vault: Vault, after_effect: bool) -> None:
    """The connection ends, before or after the secret is kept."""
    vault.add_fault(Cut(after_effect=after_effect))
    with pytest.raises(httpx.RemoteProtocolError):
        await caller.set("pass-1", BODY)
    assert [call.status for call in vault.calls] == [0]
    assert bool(vault.secrets) == after_effect


@pytest.mark.parametrize("after_effect", [False, True])
async def test_silence_when_in_force_then_nothing_comes(caller: Caller, vault: Vault, after_effect: bool) -> None:
    """The client waits for as long as it likes."""
    vault.add_fault(Silence(after_effect=after_effect))
    setting = asyncio.create_task(caller.set("pass-1", BODY))
    async with asyncio.timeout(30):
        while not vault.calls or bool(vault.secrets) != after_effect:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert not setting.done()
    assert [call.status for call in vault.calls] == [0]
    assert bool(vault.secrets) == after_effect
    setting.cancel()
    await asyncio.wait([setting])


async def test_clear_faults_when_some_wait_then_none_strikes(caller: Caller, vault: Vault) -> None:
    """All is well at once."""
    vault.fail_with(503, "ServiceUnavailable", times=9)
    vault.clear_faults()
    assert (await caller.set("pass-1", BODY)).status_code == 200


# --- The certificate --------------------------------------------------------------------------------------------


async def test_certificate_when_not_trusted_then_no_connection(vault: Vault) -> None:
    """Nobody trusts it without its file, and no other address is its."""
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with httpx.AsyncClient(base_url=vault.url, timeout=30, verify=bare, trust_env=False) as http:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await http.get("/")
    assert vault.calls == []


async def test_certificate_when_another_vaults_then_no_connection(vault: Vault, tokens: TokenAuthority) -> None:
    """Each vault has a certificate of its own, which vouches for nobody else."""
    async with Vault(tokens) as other:
        trust = ssl.create_default_context(cafile=other.ca_file)
        async with httpx.AsyncClient(base_url=vault.url, timeout=30, verify=trust, trust_env=False) as http:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await http.get("/")


def test_certify_when_made_then_for_one_address_and_a_day(tmp_path: Path) -> None:
    """It names the address, is valid from a little before now for a day, and may not sign others."""
    at = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
    path = tmp_path / "ca.pem"
    certify("127.0.0.1", at, path)
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert certificate.not_valid_before_utc <= at
    assert certificate.not_valid_after_utc == at + timedelta(days=1)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


async def test_vault_when_serving_then_its_key_is_on_no_disk(vault: Vault) -> None:
    """The certificate is the only file, in a folder that only we may enter; the environment leads there."""
    folder = vault.ca_file.parent
    assert [path.name for path in folder.iterdir()] == ["ca.pem"]
    assert "PRIVATE" not in vault.ca_file.read_text()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert vault.environment == {"KEY_VAULT_URL": vault.url, "SSL_CERT_FILE": str(vault.ca_file)}
    assert vault.url.startswith("https://127.0.0.1:")


async def test_vault_when_left_then_port_and_file_are_gone(
    tokens: TokenAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    """A vault ends with its context, also under a client that waits, and its port can be taken again."""
    async with Vault(tokens) as first:
        port = int(first.url.rpartition(":")[2])
    assert not first.ca_file.parent.exists()
    async with Vault(tokens, port=port) as second:
        assert second.url == first.url
        with pytest.raises(OSError, match="address already in use"):
            await Vault(tokens, port=port).__aenter__()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
