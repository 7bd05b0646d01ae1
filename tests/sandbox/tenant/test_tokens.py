import base64
import json

import httpx
import pytest

from sandbox.tenant import Tenant
from tests.sandbox.tenant.conftest import AVERY, Caller, Clock, error_of

ADDRESS = f"/v1.0/users/{AVERY}"


def claims_of(token: str) -> dict[str, object]:
    """Return what a token says."""
    content = token.split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    return claims


async def use(graph: Caller, token: str) -> httpx.Response:
    """Call Graph with a token."""
    return await graph.http.get(ADDRESS, headers={"Authorization": f"Bearer {token}"})


async def test_token_endpoint_when_asked_then_answers_as_app_service_does(
    graph: Caller, tenant: Tenant, clock: Clock
) -> None:
    """The answer has App Service's fields, the token the usual claims."""
    answer = (await graph.ask_token()).json()
    claims = claims_of(answer["access_token"])
    issued_at = int(clock.now().timestamp())
    assert answer["expires_on"] == str(issued_at + 86_400)
    assert (answer["resource"], answer["token_type"]) == (tenant.url, "Bearer")
    assert claims["roles"] == sorted(tenant.roles)
    assert (claims["aud"], claims["tid"]) == (tenant.url, tenant.directory.tenant_id)
    assert (claims["iat"], claims["exp"]) == (issued_at, issued_at + 86_400)
    assert claims["appid"] == answer["client_id"]
    assert claims["oid"]


async def test_token_endpoint_when_client_is_named_then_token_is_its(graph: Caller) -> None:
    """A user-assigned identity is asked for by its client id."""
    answer = (await graph.ask_token(client_id="00000000-0000-4000-8000-0000000000c1")).json()
    assert answer["client_id"] == "00000000-0000-4000-8000-0000000000c1"
    assert claims_of(answer["access_token"])["appid"] == answer["client_id"]


@pytest.mark.parametrize(("header", "status"), [(None, 400), ("wrong", 401)])
async def test_token_endpoint_when_secret_is_missing_or_wrong_then_no_token(
    graph: Caller, header: str | None, status: int
) -> None:
    """Without the secret from the environment there is nothing to be had."""
    answer = await graph.http.get(
        "/msi/token",
        params={"resource": "https://graph.microsoft.com", "api-version": "2019-08-01"},
        headers={} if header is None else {"X-IDENTITY-HEADER": header},
    )
    assert answer.status_code == status
    assert "access_token" not in answer.text


@pytest.mark.parametrize("changes", [{"resource": ""}, {"api-version": "2018-02-01"}])
async def test_token_endpoint_when_question_is_wrong_then_bad_request(graph: Caller, changes: dict[str, str]) -> None:
    """A resource and the one API version are wanted."""
    assert (await graph.ask_token(**changes)).status_code == 400


async def test_token_endpoint_when_posted_to_then_not_allowed(graph: Caller, tenant: Tenant) -> None:
    """Tokens are read."""
    answer = await graph.http.post("/msi/token", headers={"X-IDENTITY-HEADER": tenant.identity_header})
    assert answer.status_code == 405


@pytest.mark.parametrize("resource", ["https://graph.microsoft.com", "https://graph.microsoft.com/"])
async def test_graph_when_token_is_for_the_global_graph_then_accepted(graph: Caller, resource: str) -> None:
    """The audience may be this tenant's address or Microsoft Graph's."""
    assert (await use(graph, await graph.token(resource=resource))).status_code == 200


async def test_graph_when_token_is_for_another_resource_then_refused(graph: Caller) -> None:
    """A vault's token opens no directory."""
    answer = await use(graph, await graph.token(resource="https://vault.azure.net"))
    assert error_of(answer) == (401, "InvalidAuthenticationToken")


async def test_graph_when_token_is_another_tenants_then_refused(graph: Caller) -> None:
    """Every tenant has a key of its own."""
    async with Tenant() as other, httpx.AsyncClient(base_url=other.url, timeout=30) as http:
        token = await Caller(other, http).token(resource="https://graph.microsoft.com")
    assert error_of(await use(graph, token)) == (401, "InvalidAuthenticationToken")


async def test_graph_when_claims_were_altered_then_refused(graph: Caller) -> None:
    """The signature covers the claims."""
    head, content, signature = (await graph.token()).split(".")
    altered = content[:-4] + ("AAAA" if content[-4:] != "AAAA" else "BBBB")
    assert error_of(await use(graph, f"{head}.{altered}.{signature}")) == (401, "InvalidAuthenticationToken")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer x", "Basic YTpi", "Bearer a.b.c", "Bearer a.b.\xff"]
)
async def test_graph_when_there_is_no_token_then_refused(graph: Caller, authorization: str | None) -> None:
    """No token, or none of ours, is 401 with a challenge."""
    headers = {} if authorization is None else {b"Authorization": authorization.encode("latin-1")}
    answer = await graph.http.get(ADDRESS, headers=headers)
    assert error_of(answer) == (401, "InvalidAuthenticationToken")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_graph_when_token_has_ended_then_refused(graph: Caller, tenant: Tenant, clock: Clock) -> None:
    """A token ends by the tenant's clock."""
    tenant.token_lifetime_seconds = 60
    token = await graph.token()
    clock.advance(59)
    before = await use(graph, token)
    clock.advance(1)
    after = await use(graph, token)
    assert before.status_code == 200
    assert error_of(after) == (401, "InvalidAuthenticationToken")
    assert "expired" in after.json()["error"]["message"]


async def test_call_when_logged_then_names_the_application_of_its_token(graph: Caller, tenant: Tenant) -> None:
    """Two processes with identities of their own are told apart in the tenant's log; who has no token is nobody."""
    one, other = "00000000-0000-4000-8000-0000000000c1", "00000000-0000-4000-8000-0000000000c2"
    for client_id in (one, other):
        await use(graph, await graph.token(client_id=client_id))
    for authorization in ("Bearer x", "Bearer a.b.c", "Bearer a.W10.c"):  # no token, no JSON, JSON without claims
        await graph.http.get(ADDRESS, headers={"Authorization": authorization})
    await graph.http.get(ADDRESS)
    assert [call.client_id for call in tenant.calls] == [one, other, None, None, None, None]
