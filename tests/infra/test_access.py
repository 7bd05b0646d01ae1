"""Who may do what in what is deployed: no keys, no roles but those listed here, a vault only where it is needed."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from shared.policy import GUID
from tests.infra.compiler import SUBSCRIPTION, TENANT
from tests.infra.expressions import APPLICATION as MADE_APPLICATION
from tests.infra.expressions import PRINCIPAL, make_guid
from tests.infra.variants import READER, VARIANTS, Snapshot, Snapshots, policy_in_force

pytestmark = [pytest.mark.xdist_group("bicep"), pytest.mark.long]

ROLE = "Microsoft.Authorization/roleAssignments"
VAULT = "Microsoft.KeyVault/vaults"
CUSTOM_ROLE = "Microsoft.Authorization/roleDefinitions"
CONFIG = "Microsoft.Web/sites/config"

BLOB_DATA_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
TABLE_DATA_CONTRIBUTOR = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
BUS_RECEIVER = "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0"
BUS_SENDER = "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39"
BUS_OWNER = "090c5cfd-751d-490a-894a-3ce6f1109419"
METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

# What the app's identity holds, whatever the policy, by where it holds it.
APPS = {
    "Microsoft.Storage/storageAccounts/stmfacode": {BLOB_DATA_OWNER, TABLE_DATA_CONTRIBUTOR},
    "Microsoft.Storage/storageAccounts/stmfaledger": {TABLE_DATA_CONTRIBUTOR},
    "Microsoft.ServiceBus/namespaces/queues/mfa-reset-requests": {BUS_RECEIVER, BUS_SENDER},
    "Microsoft.ServiceBus/namespaces/queues/mfa-reset-rejected": {BUS_SENDER},
    "Microsoft.ServiceBus/namespaces/topics/mfa-reset-outcomes": {BUS_SENDER},
    "Microsoft.Insights/components": {METRICS_PUBLISHER},
}
# What turns keys and passwords off, by the type that has it, and the value that does.
KEYLESS: dict[str, tuple[tuple[str, ...], bool]] = {
    "Microsoft.Storage/storageAccounts": (("allowSharedKeyAccess",), False),
    "Microsoft.ServiceBus/namespaces": (("disableLocalAuth",), True),
    "Microsoft.Insights/components": (("DisableLocalAuth",), True),
    "Microsoft.OperationalInsights/workspaces": (("features", "disableLocalAuth"), True),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": (("allow",), False),
}
# Types without keys of their own. A new type has to be put here or above.
NO_KEYS = {
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Authorization/roleDefinitions",
    "Microsoft.Graph/appRoleAssignedTo@v1.0",
    "Microsoft.Graph/applications@v1.0",
    "Microsoft.Graph/servicePrincipals@v1.0",
    "Microsoft.Insights/diagnosticSettings",
    "Microsoft.KeyVault/vaults",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Resources/resourceGroups",
    "Microsoft.ServiceBus/namespaces/queues",
    "Microsoft.ServiceBus/namespaces/topics",
    "Microsoft.ServiceBus/namespaces/topics/subscriptions",
    "Microsoft.Storage/storageAccounts/blobServices",
    "Microsoft.Storage/storageAccounts/blobServices/containers",
    "Microsoft.Storage/storageAccounts/tableServices",
    "Microsoft.Storage/storageAccounts/tableServices/tables",
    "Microsoft.Web/serverfarms",
    "Microsoft.Web/sites",
    "Microsoft.Web/sites/config",
}
STORAGE = "Microsoft.Storage/storageAccounts"
UNIQUE = 13  # the length of what uniqueString makes, in which the names of accounts end
KEY_NAMES = re.compile(r"password|secret|accountkey|sharedaccess|keycredential", re.IGNORECASE)
PASSING = sorted(
    {
        "everything",
        "everything-broad",
        "named",
        "portal-application",
        "portal-tagged",
        "readers",
        "step-temporaryAccessPass",
    }
)


def split_id(resource: dict[str, Any]) -> tuple[str, str, str]:
    """Take a role assignment's id apart: the id of what it is on, that thing's type and which of several, its name."""
    scope, _, name = resource["id"].partition(f"/providers/{ROLE}/")
    kind, *rest = scope.rpartition("/providers/")[2].split("/")
    types, names = rest[::2], rest[1::2]
    type_ = "/".join([kind, *types])
    which = [names[0][:-UNIQUE]] if type_ == STORAGE else names[1:]
    return scope, "/".join([type_, *which]), name


def roles_of(snapshot: Snapshot, principal: str) -> dict[str, set[str]]:
    """Collect which roles somebody is assigned, by where."""
    held: dict[str, set[str]] = {}
    for one in snapshot.of(ROLE):
        if one["properties"]["principalId"] == principal:
            role = one["properties"]["roleDefinitionId"].rpartition("/")[2]
            held.setdefault(split_id(one)[1], set()).add(role)
    return held


def names_in(value: object) -> Iterator[str]:
    """Walk over every name of every object."""
    match value:
        case dict():
            for name, part in value.items():
                yield name
                yield from names_in(part)
        case list():
            for part in value:
                yield from names_in(part)


# --- No keys ----------------------------------------------------------------------------------------------------


def test_resources_when_deployed_then_each_has_its_keys_off(snapshot: Snapshot) -> None:
    """And none is of a type that nobody has thought about."""
    for one in snapshot.resources:
        if one["type"] not in KEYLESS:
            assert one["type"] in NO_KEYS
            continue
        path, off = KEYLESS[one["type"]]
        value = one["properties"]
        for step in path:
            value = value[step]
        assert value is off, one["name"]


def test_resources_when_deployed_then_publishing_with_a_password_is_off_both_ways(snapshot: Snapshot) -> None:
    """What is not deployed stays on."""
    policies = snapshot.of("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert sorted(one["name"].rpartition("/")[2] for one in policies) == ["ftp", "scm"]


def test_resources_when_deployed_then_none_is_an_authorization_rule_or_names_a_secret(snapshot: Snapshot) -> None:
    """Neither a rule of the bus nor a credential of the application."""
    for one in snapshot.resources:
        assert "authorizationrules" not in one["type"].casefold()
        assert not [name for name in names_in(one) if KEY_NAMES.search(name)], one["type"]


def test_ids_when_deployed_then_each_is_there_once(snapshot: Snapshot) -> None:
    """Two of one id would be refused, or one would win."""
    ids = [one["id"].casefold() for one in snapshot.resources if not one["type"].startswith("Microsoft.Graph/")]
    assert len(set(ids)) == len(ids)


# --- Roles in Azure ---------------------------------------------------------------------------------------------


def test_role_assignments_when_deployed_then_named_by_scope_principal_and_role(snapshot: Snapshot) -> None:
    """So a second deployment finds them, and another identity gets its own; and each says what the principal is."""
    assert snapshot.of(ROLE)
    for one in snapshot.of(ROLE):
        scope, _, name = split_id(one)
        values = one["properties"]
        role = values["roleDefinitionId"]
        assert name == one["name"]
        assert name in {make_guid(scope, values["principalId"], part) for part in (role, role.rpartition("/")[2])}
        assert values["principalType"] == ("Group" if values["principalId"] == READER else "ServicePrincipal")
        assert values["principalId"] in {PRINCIPAL, READER}


def test_role_assignments_when_deployed_then_the_app_holds_what_is_listed_and_no_more(snapshot: Snapshot) -> None:
    """Besides its own role on the vault, where there is one."""
    custom = {one["name"] for one in snapshot.of(CUSTOM_ROLE)}
    expected = {**APPS, **({VAULT: custom} if custom else {})}
    assert roles_of(snapshot, PRINCIPAL) == expected


def test_identity_when_deployed_then_there_is_one_and_all_is_granted_to_it(snapshot: Snapshot) -> None:
    """A snapshot cannot tell two apart."""
    assert len(snapshot.of("Microsoft.ManagedIdentity/userAssignedIdentities")) == 1


def test_role_assignments_when_deployed_then_nobody_owns_data_of_the_bus(snapshot: Snapshot) -> None:
    """Neither of the namespace nor of a queue: the app could make and delete queues."""
    assert BUS_OWNER not in str(snapshot.of(ROLE))


# --- What is logged ---------------------------------------------------------------------------------------------


def test_writes_when_deployed_then_the_workspace_hears_of_each(snapshot: Snapshot) -> None:
    """Of the code, of the ledger's rows, of the namespace, and, where there is a vault, of who reads a pass."""
    workspace = snapshot.one("Microsoft.OperationalInsights/workspaces")["id"]
    heard: dict[str, set[str]] = {}
    for one in snapshot.of("Microsoft.Insights/diagnosticSettings"):
        scope = one["id"].partition("/providers/Microsoft.Insights/")[0]
        assert one["properties"]["workspaceId"] == workspace
        heard[scope] = {
            log.get("category") or log["categoryGroup"] for log in one["properties"]["logs"] if log["enabled"]
        }
    of_storage = {"StorageWrite", "StorageDelete"}
    expected = {
        snapshot.one(f"{STORAGE}/blobServices")["id"]: of_storage,
        snapshot.one(f"{STORAGE}/tableServices")["id"]: of_storage,
        snapshot.one("Microsoft.ServiceBus/namespaces")["id"]: {"OperationalLogs"},
        **{vault["id"]: {"audit"} for vault in snapshot.of(VAULT)},
    }
    assert heard == expected


# --- The vault --------------------------------------------------------------------------------------------------


def test_vault_when_no_profile_makes_passes_then_there_is_none(snapshot: Snapshot) -> None:
    """And where one does, there is one, with its role."""
    wanted = int(policy_in_force(snapshot).makes_passes)
    assert len(snapshot.of(VAULT)) == wanted
    assert len(snapshot.of(CUSTOM_ROLE)) == wanted
    assert bool(snapshot.settings["KEY_VAULT_URL"]) == bool(wanted)


def test_vault_when_variants_are_looked_at_then_some_make_passes(snapshots: Snapshots) -> None:
    """Else the tests below would look at nothing."""
    assert [name for name in sorted(VARIANTS) if snapshots.of(name).of(VAULT)] == PASSING


@pytest.mark.parametrize("name", PASSING)
def test_vault_when_there_is_one_then_the_app_sets_secrets_and_nothing_else(snapshots: Snapshots, name: str) -> None:
    """Not even in the management plane, and the role is to be assigned in the resource group only."""
    snapshot = snapshots.of(name)
    role, vault = snapshot.one(CUSTOM_ROLE), snapshot.one(VAULT)
    (permissions,) = role["properties"]["permissions"]
    assert permissions["dataActions"] == ["Microsoft.KeyVault/vaults/secrets/setSecret/action"]
    assert not any(value for name, value in permissions.items() if name != "dataActions")
    assert role["properties"]["type"] == "CustomRole"
    (scope,) = role["properties"]["assignableScopes"]
    assert re.fullmatch(rf"/subscriptions/{SUBSCRIPTION}/resourceGroups/[^/]+", scope)
    assert vault["properties"] == {
        "enablePurgeProtection": True,
        "enableRbacAuthorization": True,
        "enableSoftDelete": True,
        "sku": {"family": "A", "name": "standard"},
        "softDeleteRetentionInDays": 7,
        "tenantId": TENANT,
    }


@pytest.mark.parametrize("name", PASSING)
def test_vault_when_there_is_one_then_only_the_named_readers_read(snapshots: Snapshots, name: str) -> None:
    """Nobody by default."""
    named = "passReaders" in VARIANTS[name].parameters
    assert roles_of(snapshots.of(name), READER) == ({VAULT: {SECRETS_USER}} if named else {})


# --- Callers over HTTP ------------------------------------------------------------------------------------------


def test_sign_in_when_there_is_an_application_then_and_only_then_is_it_required(snapshot: Snapshot) -> None:
    """Without one the platform would have nothing to check a token for; what a deployment leaves out would stay."""
    required = snapshot.settings["REQUIRE_ENTRA_CALLER"].lower() == "true"
    values = snapshot.one(CONFIG, "/authsettingsV2")["properties"]
    assert values["platform"] == {"enabled": required}
    assert values["globalValidation"] == {
        "excludedPaths": ["/api/health"],
        "requireAuthentication": required,
        "unauthenticatedClientAction": "Return401" if required else "AllowAnonymous",
    }
    assert values["httpSettings"] == {"requireHttps": True}
    assert values["identityProviders"].keys() == {"azureActiveDirectory"}
    entra = values["identityProviders"]["azureActiveDirectory"]
    assert entra["enabled"] is required
    assert ("registration" in entra) is required
    if required:
        assert entra["registration"].keys() == {"clientId", "openIdIssuer"}
        assert entra["registration"]["openIdIssuer"] == f"https://login.microsoftonline.com/{TENANT}/v2.0"
        assert GUID.fullmatch(entra["registration"]["clientId"])
        assert entra["validation"]["allowedAudiences"] == [entra["registration"]["clientId"]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("default", True), ("applicationless", False), ("portal", False), ("portal-application", True)],
)
def test_sign_in_when_an_application_is_wanted_or_not_then_so_it_is(
    snapshots: Snapshots, name: str, expected: bool
) -> None:
    """The one that is made here, or one that was made by hand."""
    snapshot = snapshots.of(name)
    assert (snapshot.settings["REQUIRE_ENTRA_CALLER"].lower() == "true") is expected
    made = name == "default"
    assert len(snapshot.of("Microsoft.Graph/applications@v1.0")) == int(made)
    if made:
        one = snapshot.one(CONFIG, "/authsettingsV2")["properties"]["identityProviders"]["azureActiveDirectory"]
        assert one["registration"]["clientId"] == MADE_APPLICATION


def test_application_when_made_then_it_has_the_roles_that_the_app_knows_and_wants_one(snapshots: Snapshots) -> None:
    """Without the last, anybody in the tenant would get a token, if one without roles."""
    snapshot = snapshots.of("default")
    application = snapshot.of("Microsoft.Graph/applications@v1.0")[0]["properties"]
    values = [role["value"] for role in application["appRoles"]]
    assert sorted(values) == ["MfaReset.Operate", "MfaReset.Read", "MfaReset.Request"]
    assert len({role["id"] for role in application["appRoles"]}) == len(values)
    for role in application["appRoles"]:
        assert role["id"] == make_guid(application["uniqueName"], role["value"])
        assert role["isEnabled"] is True
        assert set(role["allowedMemberTypes"]) == {"Application", "User"}
    assert not {"isFallbackPublicClient", "publicClient", "spa", "web"} & application.keys()
    assert application["signInAudience"] == "AzureADMyOrg"
    assert application["api"]["requestedAccessTokenVersion"] == 2
    (principal,) = snapshot.of("Microsoft.Graph/servicePrincipals@v1.0")
    assert principal["properties"]["appRoleAssignmentRequired"] is True


def test_application_when_a_person_calls_then_only_azure_cli_may_ask_in_their_name(snapshots: Snapshots) -> None:
    """Another application needs an administrator's consent, and a person a role."""
    api = snapshots.of("default").of("Microsoft.Graph/applications@v1.0")[0]["properties"]["api"]
    (scope,) = api["oauth2PermissionScopes"]
    assert (scope["type"], scope["isEnabled"]) == ("Admin", True)
    assert api["preAuthorizedApplications"] == [{"appId": AZURE_CLI, "delegatedPermissionIds": [scope["id"]]}]
