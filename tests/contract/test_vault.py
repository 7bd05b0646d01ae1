import asyncio
import base64
import logging
import os
import sys
import time
import traceback
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from azure.core.credentials import AccessToken
from azure.keyvault.secrets._shared import http_challenge_cache

from sandbox.tenant import Tenant
from sandbox.tenant.tokens import Grant
from sandbox.vault import Cut, Fault, Refusal, Silence, Vault
from shared.errors import VaultError
from shared.ports import Vault as VaultPort
from shared.vault import KeyVault, _scope_of

NAME = "tap-INC-3177"
VALUE = "Kq7-TAP-value"
EXPIRES_AT = datetime(2026, 11, 24, 9, 2, 3, tzinfo=UTC)
TAGS = {"userId": "c4bedccf-e5ff-4215-a1df-468800618a6c", "caller": "queue"}
PATIENCE_SECONDS = 90
THROTTLED = Refusal(429, "Throttled", {"Retry-After": "3600"})
UNAVAILABLE = Refusal(503, "ServiceUnavailable")


@dataclass
class Credential:
    """A credential of the sandbox's tenant that remembers what it was asked for."""

    tenant: Tenant
    scopes: list[str] = field(default_factory=list)
    tenants: list[object] = field(default_factory=list)
    claims: list[str | None] = field(default_factory=list)
    failure: Exception | None = None
    closed: bool = False

    async def get_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **_: object
    ) -> AccessToken:
        """Return a token of the tenant, or fail as ordered."""
        self.scopes.extend(scopes)
        self.tenants.append(tenant_id)
        self.claims.append(claims)
        if self.failure:
            raise self.failure
        grant = Grant("t", "c", scopes[0].removesuffix("/.default"), frozenset())
        token = self.tenant.tokens.issue(grant, self.tenant.now(), timedelta(hours=1))
        return AccessToken(token.text, int(token.expires_at.timestamp()))

    async def close(self) -> None:
        """Remember it."""
        self.closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.close()


@pytest.fixture
async def tenant() -> AsyncIterator[Tenant]:
    """Serve a tenant."""
    async with Tenant() as serving:
        yield serving


@pytest.fixture
async def server(tenant: Tenant) -> AsyncIterator[Vault]:
    """Serve a vault of that tenant."""
    async with Vault(tenant.tokens) as serving:
        yield serving


@pytest.fixture
def credential(tenant: Tenant) -> Credential:
    """Return a credential of that tenant."""
    return Credential(tenant)


type Open = Callable[..., KeyVault]


@pytest.fixture
async def connect(server: Vault, credential: Credential) -> AsyncIterator[Open]:
    """Make vaults of the product that end with the test."""
    http_challenge_cache.clear()  # it outlives the clients, and a free port may be that of an earlier test's vault
    opened = []

    def make(url: str = server.url, ca_file: Path | None = server.ca_file, seconds: float = 5) -> KeyVault:
        vault = KeyVault(
            url, None, credential_factory=lambda: credential, ca_file=ca_file, seconds=seconds, pause_seconds=0.01
        )
        opened.append(vault)
        return vault

    yield make
    for vault in opened:
        await vault.close()


async def put(vault: VaultPort, value: str = VALUE) -> None:
    """Set the secret."""
    await vault.put(NAME, value, EXPIRES_AT, TAGS)


async def fail(vault: VaultPort) -> str:
    """Return the code of the failure that setting the secret ends in."""
    with pytest.raises(VaultError) as caught:
        await put(vault)
    return caught.value.code


def statuses(server: Vault) -> list[int]:
    """Return what was answered, in order."""
    return [call.status for call in server.calls]


# --- What is set ------------------------------------------------------------------------------------------------


async def test_put_when_vault_takes_it_then_secret_is_whole(connect: Open, server: Vault) -> None:
    """Value, expiry, tags and content type arrive, and the secret is enabled."""
    await put(connect())
    (secret,) = server.secrets[NAME]
    assert (secret.value, secret.expires_at, secret.tags) == (VALUE, EXPIRES_AT, TAGS)
    assert (secret.content_type, secret.enabled) == ("text/plain", True)


async def test_put_when_repeated_then_another_version(connect: Open, server: Vault) -> None:
    """The second value stands beside the first, over the same client: one challenge, which got no body."""
    vault = connect()
    await put(vault, "first")
    await put(vault, "second")
    assert [secret.value for secret in server.secrets[NAME]] == ["first", "second"]
    assert statuses(server) == [401, 200, 200]
    assert server.calls[0].body_bytes == 0


async def test_put_when_several_at_once_then_none_is_mixed_up(connect: Open, server: Vault) -> None:
    """Each name gets its own value, also when all are challenged together."""
    vault = connect()
    await asyncio.gather(*(vault.put(f"tap-{number}", f"value-{number}", EXPIRES_AT, {}) for number in range(5)))
    taken = {name: [secret.value for secret in versions] for name, versions in server.secrets.items()}
    assert taken == {f"tap-{number}": [f"value-{number}"] for number in range(5)}


async def test_put_when_expiry_is_in_another_zone_then_the_moment_is_the_same(connect: Open, server: Vault) -> None:
    """An expiry is a moment, whatever the offset it is written with."""
    await connect().put(NAME, VALUE, EXPIRES_AT.astimezone(timezone(timedelta(hours=5.5))), {})
    assert server.secrets[NAME][0].expires_at == EXPIRES_AT


async def test_put_when_environment_leads_there_then_identity_and_trust_come_from_it(
    tenant: Tenant, server: Vault
) -> None:
    """The real managed identity and SSL_CERT_FILE are enough; no SDK is imported early, and no proxy is asked."""
    nowhere = "http://127.0.0.1:1"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), nowhere)
    environment = {**os.environ, **proxies, "NO_PROXY": "", "no_proxy": "", **tenant.environment, **server.environment}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contract.vault_process", stdout=PIPE, stderr=PIPE, env=environment
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert (process.returncode, output) == (0, b"False\n"), errors.decode()
    assert [secret.value for secret in server.secrets["pass-1"]] == ["Secret-Code-7"]
    assert len(tenant.token_calls) == 1


# --- What fails -------------------------------------------------------------------------------------------------


async def test_put_when_right_is_missing_then_forbidden_at_once(connect: Open, server: Vault) -> None:
    """The vault's own word is the code, and a refusal is not repeated."""
    server.may_set = False
    assert await fail(connect()) == "Forbidden"
    assert statuses(server) == [401, 403]
    assert server.secrets == {}


@pytest.mark.parametrize(
    "fault", [Refusal(408, "Timeout"), THROTTLED, Refusal(500, "InternalServerError"), UNAVAILABLE, Cut()]
)
async def test_put_when_failure_may_pass_then_repeated_once(connect: Open, server: Vault, fault: Fault) -> None:
    """A vault that is throttled, broken or gone for one call takes the secret with the next."""
    server.add_fault(fault)
    await put(connect())
    assert [secret.value for secret in server.secrets[NAME]] == [VALUE]
    assert len(server.calls) == 3


async def test_put_when_answer_is_lost_then_another_version(connect: Open, server: Vault) -> None:
    """A secret that was taken without an answer is set again."""
    server.add_fault(Cut(after_effect=True))
    await put(connect())
    assert [secret.value for secret in server.secrets[NAME]] == [VALUE, VALUE]


@pytest.mark.parametrize(
    ("fault", "code", "calls"),
    [(THROTTLED, "Throttled", 2), (UNAVAILABLE, "ServiceUnavailable", 2), (Cut(), "noAnswer", 4)],
)
async def test_put_when_failure_stays_then_code_after_two_tries(
    connect: Open, server: Vault, fault: Fault, code: str, calls: int
) -> None:
    """One repeat is all; the HTTP library repeats a cut call once more within each try."""
    server.add_fault(fault, times=9)
    assert await fail(connect()) == code
    assert len(server.calls) == 1 + calls


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>",
        "[]",
        "{}",
        '{"error": {"code": "", "message": "m"}}',
        '{"error": {"code": 7, "message": "m"}}',
        '{"error": {"code": "two words", "message": "m"}}',
        '{"error": {"code": "Word\\n", "message": "m"}}',
        '{"error": {"code": "%s", "message": "m"}}' % ("x" * 61),
    ],
)
async def test_put_when_code_is_no_word_then_status_is_the_code(connect: Open, server: Vault, body: str) -> None:
    """Nothing of a body goes on but a plain word."""
    server.fail_with(400, "", body=body)
    assert await fail(connect()) == "http400"


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        ("<html>", "application/json", "unreadableAnswer"),
        ("<html>", "text/html", "unreadableAnswer"),
        ("[]", "application/json", "AttributeError"),
    ],
)
async def test_put_when_success_cannot_be_read_then_not_believed(
    connect: Open, server: Vault, body: str, content_type: str, code: str
) -> None:
    """An answer 200 that is not a secret is no proof that there is one."""
    server.fail_with(200, "", headers={"Content-Type": content_type}, body=body)
    assert await fail(connect()) == code


async def test_put_when_vault_is_silent_then_ends_in_time(connect: Open, server: Vault) -> None:
    """Both tries together last no longer than the seconds given."""
    server.add_fault(Silence(), times=9)
    started_at = time.monotonic()
    assert await fail(connect(seconds=3)) == "noAnswer"
    assert 2.9 < time.monotonic() - started_at < 6
    assert len(server.calls) == 3


async def test_put_when_nobody_listens_then_no_answer(connect: Open, unused_tcp_port: int) -> None:
    """A vault that is not there gives no answer."""
    assert await fail(connect(url=f"https://127.0.0.1:{unused_tcp_port}")) == "noAnswer"


async def test_put_when_certificate_is_not_trusted_then_nothing_is_sent(
    connect: Open, server: Vault, credential: Credential
) -> None:
    """Without the sandbox's certificate there is no connection, and no token is asked for."""
    assert await fail(connect(ca_file=None)) == "noAnswer"
    assert (server.calls, credential.scopes) == ([], [])


async def test_put_when_address_is_plain_http_then_nothing_is_sent(connect: Open, tenant: Tenant) -> None:
    """A token never goes over an open wire."""
    assert await fail(connect(url=tenant.url)) == "noAnswer"
    assert tenant.calls == []


@pytest.mark.parametrize("failure", [RuntimeError(VALUE), ValueError("no"), TimeoutError(), OSError()])
async def test_put_when_there_is_no_token_then_asked_twice(
    connect: Open, credential: Credential, server: Vault, failure: Exception
) -> None:
    """Whatever goes wrong with the identity is one fate; the secret was not sent."""
    credential.failure = failure
    assert await fail(connect()) == "noToken"
    assert len(credential.scopes) == 2
    assert all(call.body_bytes == 0 for call in server.calls)


async def test_put_when_token_is_refused_then_unauthorized(connect: Open, server: Vault) -> None:
    """A token of another tenant's is Key Vault's own refusal."""
    async with Tenant() as other, Vault(other.tokens) as foreign:
        assert await fail(connect(url=foreign.url, ca_file=foreign.ca_file)) == "Unauthorized"
    assert server.calls == []


# --- Where a token may go ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", ["https://graph.microsoft.com", "https://vault.azure.net.example", "", "x"])
async def test_put_when_challenge_names_another_service_then_token_is_for_vaults(
    connect: Open, server: Vault, credential: Credential, resource: str
) -> None:
    """No vault gets a token that opens anything but vaults, whatever it asks for and however often."""
    server.resource = resource
    vault = connect()
    await put(vault)
    await put(vault)
    assert set(credential.scopes) == {"https://vault.azure.net/.default"}


async def test_put_when_challenge_and_address_differ_then_no_token(
    connect: Open, server: Vault, credential: Credential
) -> None:
    """Where addresses have names the client compares them; an address that is none of the service's gets no token."""
    vault = connect()
    vault._host = "contoso.vault.azure.net"  # so that the check is on, as it is for every vault but the sandbox's
    assert await fail(vault) == "untrustedChallenge"
    assert (credential.scopes, server.secrets) == ([], {})


async def test_put_when_challenge_names_a_tenant_then_not_passed_on(connect: Open, credential: Credential) -> None:
    """The identity has a tenant of its own."""
    await put(connect())
    assert (credential.scopes, credential.tenants) == (["https://vault.azure.net/.default"], [None])


async def test_put_when_token_lacks_claims_then_another_is_asked_for(
    connect: Open, server: Vault, credential: Credential
) -> None:
    """A token that was revoked is replaced (continuous access evaluation)."""
    claims = '{"access_token": {"nbf": {"essential": true}}}'
    encoded = base64.urlsafe_b64encode(claims.encode()).decode()
    challenge = f'Bearer authorization="https://login.example/t", error="insufficient_claims", claims="{encoded}"'
    server.fail_with(401, "Unauthorized", headers={"WWW-Authenticate": challenge})
    await put(connect())
    assert credential.claims == [None, claims]


async def test_put_when_redirected_then_not_followed(connect: Open, server: Vault, tenant: Tenant) -> None:
    """Neither the token nor the value goes to another address."""
    async with Vault(tenant.tokens) as other:
        server.fail_with(307, "Moved", headers={"Location": f"{other.url}/secrets/{NAME}?api-version=7.6"})
        assert await fail(connect()) == "Moved"
        assert other.calls == []


@pytest.mark.parametrize(
    ("host", "verified"),
    [
        ("127.0.0.1:8443", False),
        ("localhost", False),
        ("[::1]:8443", False),
        ("contoso.vault.azure.net", True),
        ("localhost.vault.azure.net", True),
        ("127.0.0.1.example.com", True),
        ("127.0.0.2", True),
    ],
)
async def test_vault_when_not_on_loopback_then_challenge_is_verified(connect: Open, host: str, verified: bool) -> None:
    """The client's own check is off for the sandbox only."""
    client = connect(url=f"https://{host}")._connect()
    assert client._client._config.authentication_policy._verify_challenge_resource is verified
    await client.close()


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("contoso.vault.azure.net", "https://vault.azure.net/.default"),
        ("contoso.vault.azure.cn", "https://vault.azure.cn/.default"),
        ("contoso.vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net/.default"),
        ("127.0.0.1", "https://vault.azure.net/.default"),
    ],
)
def test_scope_when_vault_is_in_a_cloud_then_that_clouds(host: str, scope: str) -> None:
    """The service of a vault is its address without the vault's own name."""
    assert _scope_of(host) == scope


# --- What is never shown ----------------------------------------------------------------------------------------


def chain(error: BaseException | None) -> list[BaseException]:
    """Return an exception and all that it comes from."""
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


async def put_and_catch(vault: VaultPort) -> VaultError | None:
    """Set the secret; return the failure, None when there is none."""
    try:
        await put(vault)
    except VaultError as error:
        return error
    return None


LEAKS: list[Fault | None] = [
    None,
    Cut(),
    UNAVAILABLE,
    Refusal(403, "Forbidden", {"X-Echo": VALUE}),
    Refusal(400, "", body=f'{{"error": {{"code": "BadParameter", "message": "{VALUE} is weak"}}}}'),
    Refusal(400, "", body=f'{{"error": {{"code": "not {VALUE}", "message": "m"}}}}'),
    Refusal(400, "", body=VALUE),
    Refusal(200, "", body=f"not {VALUE}"),
    Refusal(200, "", {"Content-Type": "text/html"}, body=f"not {VALUE}"),
    Refusal(200, "", body=f'["{VALUE}"]'),
    Refusal(401, "Unauthorized", {"WWW-Authenticate": f'Bearer authorization="x", resource="https://{VALUE}"'}),
]


@pytest.mark.parametrize("fault", LEAKS)
async def test_put_when_vault_quotes_the_value_then_nobody_else_does(
    connect: Open, server: Vault, caplog: pytest.LogCaptureFixture, fault: Fault | None
) -> None:
    """Neither an exception nor what it comes from nor a log record at any level holds the value."""
    for name in (None, "azure", "azure.core", "azure.identity", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    asyncio.get_running_loop().set_debug(True)
    if fault:
        server.add_fault(fault, times=9)
    error = await put_and_catch(connect())
    assert bool(error) == bool(fault)
    for each in chain(error):
        assert VALUE not in f"{each!r} {each.__dict__} {''.join(traceback.format_exception(each))}"
    assert any("SSL handshake took" in record.getMessage() for record in caplog.records)
    assert not [record for record in caplog.records if VALUE in str(record.__dict__) + record.getMessage()]


async def test_put_when_logs_are_open_then_no_headers_are_in_them(
    connect: Open, server: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK's own trace of requests is off at every level."""
    caplog.set_level(logging.DEBUG, logger="azure")
    await put(connect())
    assert server.secrets
    assert [record.name for record in caplog.records if record.name.startswith("azure.core")] == []


# --- The end ----------------------------------------------------------------------------------------------------


async def test_close_when_it_was_used_then_credential_is_closed(connect: Open, credential: Credential) -> None:
    """Both connections end; a second call changes nothing."""
    vault = connect()
    await put(vault)
    await vault.close()
    await vault.close()
    assert credential.closed


async def test_close_when_it_was_not_used_then_nothing_happens(connect: Open, credential: Credential) -> None:
    """There is nothing to close before the first call."""
    await connect().close()
    assert not credential.closed
