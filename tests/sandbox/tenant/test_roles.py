import json

import pytest

from sandbox.tenant import Tenant
from tests.sandbox.tenant.conftest import (
    FINLEY,
    GRAY,
    IDENTITY_OPERATIONS,
    INDIGO,
    PLATFORM,
    TIER_0,
    WREN,
    XAN,
    YAEL,
    ZION,
    Caller,
    error_of,
)

ACTIVE = "/v1.0/roleManagement/directory/roleAssignments"
ELIGIBLE = "/v1.0/roleManagement/directory/roleEligibilityScheduleInstances"
GROUP_ELIGIBLE = "/v1.0/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances"


async def test_active_roles_when_filtered_by_principal_then_those_of_the_principal(graph: Caller) -> None:
    """An assignment names role, principal and scope."""
    found = (await graph.get(ACTIVE, filter=f"principalId eq '{FINLEY}'")).json()["value"]
    assert found == [
        {
            "id": "40000000-0000-4000-8000-000000000001",
            "principalId": FINLEY,
            "roleDefinitionId": "62e90394-69f5-4237-9190-012177145e10",
            "directoryScopeId": "/",
        }
    ]


async def test_eligible_roles_when_filtered_by_principal_then_those_of_the_principal(graph: Caller) -> None:
    """An eligible role is not among the active ones."""
    expression = f"principalId eq '{GRAY}'"
    eligible = (await graph.get(ELIGIBLE, filter=expression, select="roleDefinitionId")).json()["value"]
    active = (await graph.get(ACTIVE, filter=expression)).json()["value"]
    assert eligible == [{"roleDefinitionId": "fe930be7-5e62-47db-91af-98c3a49a38b1"}]
    assert active == []


async def test_eligible_groups_when_filtered_by_principal_then_group_and_access(graph: Caller) -> None:
    """Eligible membership of a group names the group and the kind of access."""
    (found,) = (await graph.get(GROUP_ELIGIBLE, filter=f"principalId eq '{INDIGO}'")).json()["value"]
    assert (found["groupId"], found["accessId"], found["principalId"]) == (TIER_0, "member", INDIGO)
    assert error_of(await graph.get(GROUP_ELIGIBLE)) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("principal_id", "roles"),
    [
        (WREN, ["62e90394-69f5-4237-9190-012177145e10"]),
        (IDENTITY_OPERATIONS, ["7be44c8a-adaf-4e2a-84d6-ab2649e08a13"]),
        (XAN, []),
    ],
)
async def test_eligible_roles_when_a_groups_then_listed_under_the_group_only(
    graph: Caller, tenant: Tenant, principal_id: str, roles: list[str]
) -> None:
    """A group may be eligible for a role; its members are asked for through the group."""
    found = (await graph.get(ELIGIBLE, filter=f"principalId eq '{principal_id}'")).json()["value"]
    assert [each["roleDefinitionId"] for each in found] == roles
    assert XAN in tenant.directory.groups[IDENTITY_OPERATIONS].members


@pytest.mark.parametrize(
    ("principal_id", "group_id", "access"),
    [(YAEL, PLATFORM, "member"), (PLATFORM, TIER_0, "member"), (ZION, TIER_0, "owner")],
)
async def test_eligible_groups_when_principal_is_a_user_or_a_group_then_each_step_is_listed(
    graph: Caller, principal_id: str, group_id: str, access: str
) -> None:
    """An eligible member of a group that is itself eligible for another is found in two steps."""
    (found,) = (await graph.get(GROUP_ELIGIBLE, filter=f"principalId eq '{principal_id}'")).json()["value"]
    assert (found["groupId"], found["accessId"]) == (group_id, access)


@pytest.mark.parametrize("address", [ELIGIBLE, GROUP_ELIGIBLE])
async def test_eligibility_when_tenant_has_no_licence_then_says_exactly_that(
    graph: Caller, tenant: Tenant, address: str
) -> None:
    """Without a P2 licence there is no eligibility to read; active roles are still there."""
    tenant.premium = False
    answer = await graph.get(address, filter=f"principalId eq '{GRAY}'")
    assert error_of(answer) == (400, "AadPremiumLicenseRequired")
    assert (await graph.get(ACTIVE)).status_code == 200


@pytest.mark.parametrize(
    ("address", "role"),
    [
        (ELIGIBLE, "RoleManagement.Read.Directory"),
        (GROUP_ELIGIBLE, "PrivilegedEligibilitySchedule.Read.AzureADGroup"),
    ],
)
async def test_eligibility_when_role_is_missing_then_the_reason_is_json_in_the_message(
    graph: Caller, tenant: Tenant, address: str, role: str
) -> None:
    """Privileged identity management wraps its own error."""
    tenant.roles.discard(role)
    answer = await graph.get(address, filter="principalId eq 'x'")
    assert error_of(answer) == (403, "UnknownError")
    reason = json.loads(answer.json()["error"]["message"])
    assert reason["errorCode"] == "PermissionScopeNotGranted"
    assert role in reason["message"]


async def test_active_roles_when_filter_names_unknown_property_then_bad_request(graph: Caller) -> None:
    """A filter by something else is not passed over."""
    assert error_of(await graph.get(ACTIVE, filter="colour eq 'red'")) == (400, "Request_UnsupportedQuery")
