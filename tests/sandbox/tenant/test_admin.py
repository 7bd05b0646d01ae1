import asyncio

import pytest

from sandbox.tenant import Tenant
from tests.sandbox.tenant.conftest import ADVANCED, AVERY, Caller, error_of

USER = f"/v1.0/users/{AVERY}"


async def test_admin_when_fault_is_posted_then_in_force_until_deleted(graph: Caller) -> None:
    """Another process puts faults in force and takes them out, without a token."""
    posted = await graph.http.post("/sandbox/faults", json={"path": "users", "status": 503, "times": None})
    hit = await graph.get(USER)
    deleted = await graph.http.delete("/sandbox/faults")
    passed = await graph.get(USER)
    assert (posted.status_code, deleted.status_code) == (204, 204)
    assert error_of(hit) == (503, "ServiceUnavailable")
    assert passed.status_code == 200


async def test_admin_when_a_call_is_held_then_listed_until_released(graph: Caller) -> None:
    """Another process sees that a call is held, and lets it go on."""
    await graph.http.post("/sandbox/faults", json={"changing": True, "hold": "here"})
    assert (await graph.http.get("/sandbox/holds")).json() == {"value": []}
    revoking = asyncio.create_task(graph.post(f"{USER}/revokeSignInSessions"))
    async with asyncio.timeout(30):
        while (await graph.http.get("/sandbox/holds")).json() != {"value": ["here"]}:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    assert (await graph.http.delete("/sandbox/holds/here")).status_code == 204
    assert (await revoking).status_code == 200
    assert (await graph.http.get("/sandbox/holds")).json() == {"value": []}


@pytest.mark.parametrize(
    "content", ['{"colour": "red"}', '{"status": "many"}', '{"path": "("}', "[]", "{", '{"cut": "no"}']
)
async def test_admin_when_fault_is_wrong_then_refused(graph: Caller, content: str) -> None:
    """What cannot be a fault is named, and nothing is in force."""
    answer = await graph.http.post("/sandbox/faults", content=content)
    assert answer.status_code == 400
    assert answer.json()["message"]
    assert (await graph.get(USER)).status_code == 200


async def test_admin_when_calls_are_read_then_those_to_graph_in_order(graph: Caller) -> None:
    """The calls come without those to the sandbox and to the token endpoint."""
    await graph.get(USER, ADVANCED)
    await graph.post(f"{USER}/revokeSignInSessions")
    calls = (await graph.http.get("/sandbox/calls")).json()["value"]
    assert [(call["method"], call["path"], call["status"], call["effect"]) for call in calls] == [
        ("GET", USER, 200, False),
        ("POST", f"{USER}/revokeSignInSessions", 200, True),
    ]
    assert calls[0]["at"] == "2026-11-24T01:02:03.456789+00:00"


async def test_admin_when_user_is_read_then_state_without_password(graph: Caller, tenant: Tenant) -> None:
    """The state has the form of the directory file; that a password was set shows, the password does not."""
    before = (await graph.http.get(f"/sandbox/users/{AVERY}")).json()
    await graph.patch(USER, {"passwordProfile": {"password": "correct horse battery"}})
    after = await graph.http.get("/sandbox/users/avery.quinn@contoso.example")
    assert (before["passwordWasSet"], after.json()["passwordWasSet"]) == (False, True)
    assert "correct horse" not in after.text
    assert before["authentication"]["userPreferredMethodForSecondaryAuthentication"] == "push"
    assert len(before["authentication"]["methods"]) == len(tenant.directory.users[AVERY].methods)
    assert (await graph.http.get("/sandbox/users/nobody")).status_code == 404


async def test_admin_when_state_is_read_back_then_it_is_the_same_user(graph: Caller, tenant: Tenant) -> None:
    """What the address shows can be put in a directory again."""
    shown = (await graph.http.get(f"/sandbox/users/{AVERY}")).json()
    methods = list(tenant.directory.users[AVERY].methods)
    tenant.directory.add_user(shown)
    again = (await graph.http.get(f"/sandbox/users/{AVERY}")).json()
    assert again == shown
    assert [each.properties for each in tenant.directory.users[AVERY].methods] == [each.properties for each in methods]


async def test_admin_when_settings_are_changed_then_they_count(graph: Caller, tenant: Tenant) -> None:
    """Every switch can be read and set by its name."""
    changes = {"page_size": 2, "roles": ["User.Read.All"], "external_delete_form": "ref", "visibility_delay_seconds": 2}
    answer = await graph.http.patch("/sandbox/settings", json=changes)
    assert answer.status_code == 200
    assert answer.json().items() >= changes.items()
    assert (tenant.page_size, tenant.roles, tenant.external_delete_form) == (2, {"User.Read.All"}, "ref")
    assert (await graph.http.get("/sandbox/settings")).json() == answer.json()
    assert len((await graph.get("/v1.0/users")).json()["value"]) == 2


@pytest.mark.parametrize("body", [{"colour": "red"}, {"premium": False, "page_size": "many"}, {"default_text": 3}])
async def test_admin_when_a_setting_is_wrong_then_none_is_changed(
    graph: Caller, tenant: Tenant, body: dict[str, object]
) -> None:
    """All of the changes, or none."""
    before = (await graph.http.get("/sandbox/settings")).json()
    assert (await graph.http.patch("/sandbox/settings", json=body)).status_code == 400
    assert (await graph.http.get("/sandbox/settings")).json() == before
    assert tenant.premium


@pytest.mark.parametrize(
    ("method", "address"), [("GET", "/sandbox/faults"), ("POST", "/sandbox"), ("GET", "/sandbox/x")]
)
async def test_admin_when_address_is_unknown_then_not_taken_for_graphs(
    graph: Caller, tenant: Tenant, method: str, address: str
) -> None:
    """A slip in one of the sandbox's addresses is 404 and no call to Graph."""
    assert (await graph.http.request(method, address)).status_code == 404
    assert tenant.calls == []
