"""What a deployment would make, by the compiler's own prediction of each variant (tests/infra/variants.py)."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.permissions import BY_NAME
from shared.readiness import judge_readiness
from shared.settings import read_settings
from tests.infra.compiler import ROOT, BicepError
from tests.infra.expressions import CLIENT, PRINCIPAL, make_guid
from tests.infra.variants import (
    BREAK_GLASS,
    GROUP_ID,
    POLICIES,
    READER,
    VARIANTS,
    Snapshot,
    Snapshots,
    Variant,
    policy_in_force,
    with_profile,
)

pytestmark = pytest.mark.xdist_group("bicep")

ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
GRANT = "Microsoft.Graph/appRoleAssignedTo@v1.0"
BLOB_OWNER, TABLE_CONTRIBUTOR = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
RECEIVER, SENDER = "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0", "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39"
PUBLISHER, SECRETS_USER = "3913510d-42f4-4e42-8a64-420c390055eb", "4633458b-17de-408a-b874-0445c86b69e6"
HOSTS = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__tableServiceUri",
    "ServiceBusConnection__credential",
}
# What no deployment sets: a connection string, and what tells Azure from another machine.
NOT_OURS_TO_SET = {"ServiceBusConnection", "WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME", "CONTAINER_NAME"}
FORBIDDEN_ON_FLEX = re.compile(
    r"FUNCTIONS_WORKER_RUNTIME|FUNCTIONS_EXTENSION_VERSION|WEBSITE_RUN_FROM_PACKAGE|WEBSITE_CONTENT.*|"
    r"SCM_DO_BUILD_DURING_DEPLOYMENT|linuxFxVersion|ENABLE_ORYX_BUILD|FUNCTIONS_WORKER_PROCESS_COUNT"
)
every_variant = pytest.mark.parametrize("name", sorted(VARIANTS))


class Recorder(dict[str, str]):
    """An environment that remembers what was looked for."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as dict's
        """Remember it."""
        self.asked.add(key)
        return super().get(key, default)


def texts(value: object) -> Iterator[str]:
    """Yield every text in a value, names too."""
    match value:
        case dict():
            for name, part in value.items():
                yield str(name)
                yield from texts(part)
        case list():
            for part in value:
                yield from texts(part)
        case str():
            yield value


def granted(snapshot: Snapshot) -> set[str]:
    """Return the ids of the app roles that are granted."""
    return {one["properties"]["appRoleId"] for one in snapshot.of(GRANT)}


def assignments(snapshot: Snapshot) -> set[tuple[str, str, str]]:
    """Return who has which role where: the end of the target's id, the principal, the role."""
    found = set()
    for one in snapshot.of(ASSIGNMENT):
        scope = one["id"].partition(f"/providers/{ASSIGNMENT}/")[0]
        role = one["properties"]["roleDefinitionId"].rpartition("/")[2]
        found.add((scope.rpartition("/")[2], one["properties"]["principalId"], role))
    return found


# --- Who may what -----------------------------------------------------------------------------------------------


@every_variant
def test_deployment_opens_nothing_by_a_key(snapshots: Snapshots, name: str) -> None:
    """Whoever comes is known to Microsoft Entra ID."""
    snapshot = snapshots.of(name)
    assert snapshot.one("Microsoft.Storage/storageAccounts")["properties"]["allowSharedKeyAccess"] is False
    assert snapshot.one("Microsoft.Storage/storageAccounts")["properties"]["allowBlobPublicAccess"] is False
    assert snapshot.one("Microsoft.ServiceBus/namespaces")["properties"]["disableLocalAuth"] is True
    assert snapshot.one("Microsoft.Insights/components")["properties"]["DisableLocalAuth"] is True
    workspace = snapshot.one("Microsoft.OperationalInsights/workspaces")["properties"]
    assert workspace["features"]["disableLocalAuth"] is True
    publishing = snapshot.of("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert [one["properties"]["allow"] for one in publishing] == [False, False]
    assert {one["name"].rpartition("/")[2] for one in publishing} == {"ftp", "scm"}
    assert not [one for one in snapshot.resources if "authorizationrules" in one["type"].lower()]
    assert not [text for one in snapshot.resources for text in texts(one) if "listkeys" in text.lower()]


@every_variant
def test_role_assignments_are_these_and_no_other(snapshots: Snapshots, name: str) -> None:
    """No owner of a namespace, nobody but our identity and who was named as a reader."""
    snapshot = snapshots.of(name)
    account = snapshot.one("Microsoft.Storage/storageAccounts")["name"]
    component = snapshot.one("Microsoft.Insights/components")["name"]
    expected = {
        (account, PRINCIPAL, BLOB_OWNER),
        (account, PRINCIPAL, TABLE_CONTRIBUTOR),
        (component, PRINCIPAL, PUBLISHER),
        ("mfa-reset-requests", PRINCIPAL, RECEIVER),
        ("mfa-reset-requests", PRINCIPAL, SENDER),
        ("mfa-reset-rejected", PRINCIPAL, SENDER),
        ("mfa-reset-outcomes", PRINCIPAL, SENDER),
    }
    if policy_in_force(snapshot).makes_passes:
        vault = snapshot.one("Microsoft.KeyVault/vaults")["name"]
        expected.add((vault, PRINCIPAL, snapshot.one("Microsoft.Authorization/roleDefinitions")["name"]))
        if "passReaders" in VARIANTS[name].parameters:
            expected.add((vault, READER, SECRETS_USER))
    assert assignments(snapshot) == expected
    assert len(snapshot.of(ASSIGNMENT)) == len(expected)


@every_variant
def test_role_assignment_is_named_by_scope_principal_and_role(snapshots: Snapshots, name: str) -> None:
    """So a second deployment finds it, and another principal gets one of their own."""
    for one in snapshots.of(name).of(ASSIGNMENT):
        scope, _, found = one["id"].partition(f"/providers/{ASSIGNMENT}/")
        given = one["properties"]
        role = given["roleDefinitionId"]
        assert given["principalType"] == ("Group" if given["principalId"] == READER else "ServicePrincipal")
        assert one["name"] == found
        assert found in {make_guid(scope, given["principalId"], part) for part in (role, role.rpartition("/")[2])}


@every_variant
def test_ids_are_unique(snapshots: Snapshots, name: str) -> None:
    """The compiler does not look."""
    ids = [one["id"].lower() for one in snapshots.of(name).resources if "id" in one]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_graph_grants_are_what_the_code_says_that_the_policy_needs(snapshots: Snapshots, name: str) -> None:
    """Narrow: neither more nor less. Broad: nothing missing and nothing unused."""
    narrow, broad = snapshots.of(name), snapshots.of(f"{name}-broad")
    needed = judge_readiness(policy_in_force(narrow), ())
    assert granted(narrow) == {BY_NAME[role].id for role in (*needed.missing, *needed.advised)}
    names = {role.name for role in BY_NAME.values() if role.id in granted(broad)}
    judged = judge_readiness(policy_in_force(broad), names)
    assert (judged.missing, judged.advised, judged.unused) == ((), (), ())
    for snapshot in (narrow, broad):
        told = snapshot.outputs["MFA_RESET_GRAPH_ROLES"]
        assert {one["id"] for one in told} == granted(snapshot)
        assert all(BY_NAME[one["name"]].id == one["id"] for one in told)
        assert len(snapshot.of(GRANT)) == len(told)
        assert {one["properties"]["principalId"] for one in snapshot.of(GRANT)} == {PRINCIPAL}


def test_graph_grants_of_the_shipped_policy_are_computed_as_those_of_any_other(snapshots: Snapshots) -> None:
    """And left out where an operator says so, with the output as the list for who may."""
    needed = judge_readiness(policy_in_force(snapshots.of("default")), ())
    assert granted(snapshots.of("default")) == {BY_NAME[role].id for role in (*needed.missing, *needed.advised)}
    ungranted = snapshots.of("ungranted")
    assert ungranted.of(GRANT) == []
    assert ungranted.outputs["MFA_RESET_GRAPH_ROLES"] == snapshots.of("default").outputs["MFA_RESET_GRAPH_ROLES"]


@pytest.mark.parametrize(
    "policy",
    [with_profile(["fax"]), with_profile("some"), with_profile("none", "sendPigeon")],
    ids=["type", "word", "step"],
)
def test_policy_that_the_catalogue_does_not_know_stops_the_deployment(
    snapshots: Snapshots, policy: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """Rather than grant too little in silence."""
    with pytest.raises(BicepError, match=r"fax|some|sendPigeon"):
        snapshots.make(f"unknown-{request.node.callspec.id}", Variant(policy=policy))


# --- Settings ---------------------------------------------------------------------------------------------------


@every_variant
def test_settings_are_all_that_the_code_reads_and_what_its_host_needs(snapshots: Snapshots, name: str) -> None:
    """And the code starts with them."""
    given = snapshots.of(name).settings
    recorder = Recorder(given)
    settings = read_settings(recorder)
    bound = set(re.findall(r"%(\w+)%", (ROOT / "function_app.py").read_text()))
    assert bound <= given.keys()
    assert given.keys() == (recorder.asked | bound | HOSTS) - NOT_OURS_TO_SET
    assert all(isinstance(value, str) for value in given.values())
    assert not [key for key in given if FORBIDDEN_ON_FLEX.fullmatch(key)]
    assert (settings.client_id, settings.service_bus_client_id) == (CLIENT, CLIENT)
    assert settings.service_bus_namespace == "sb-some.servicebus.windows.net"
    assert settings.ledger_account == "https://stsome.table.core.windows.net"
    has_vault = settings.policy.makes_passes
    assert settings.key_vault_url == ("https://kv-some.vault.azure.net" if has_vault else None)


def test_mode_and_never_are_what_the_operator_says_beside_what_the_policy_says(snapshots: Snapshots) -> None:
    """They are asked of whoever deploys."""
    policy = policy_in_force(snapshots.of("observe"))
    assert (policy.mode, policy.never.users, policy.never.groups) == ("observe", (BREAK_GLASS,), (GROUP_ID,))
    assert policy_in_force(snapshots.of("default")).mode == "enforce"


@every_variant
def test_names_of_queues_and_topic_are_those_of_the_settings(snapshots: Snapshots, name: str) -> None:
    """And the ones that the code takes where it is told none."""
    snapshot = snapshots.of(name)
    given = {key: value for key, value in snapshot.settings.items() if key not in {"REJECTED_QUEUE", "OUTCOME_TOPIC"}}
    told, usual = read_settings(snapshot.settings), read_settings(given | {"REQUEST_QUEUE": ""})
    assert replace(told, policy=usual.policy) == usual
    queues = {one["name"].rpartition("/")[2] for one in snapshot.of("Microsoft.ServiceBus/namespaces/queues")}
    topics = {one["name"].rpartition("/")[2] for one in snapshot.of("Microsoft.ServiceBus/namespaces/topics")}
    assert (queues, topics) == ({told.request_queue, told.rejected_queue}, {told.outcome_topic})


# --- Callers over HTTP ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["default", "portal-application", "applicationless", "portal"])
def test_callers_need_a_token_where_there_is_an_application(snapshots: Snapshots, name: str) -> None:
    """The app is told so in the same breath: without, it would believe nobody, or everybody."""
    snapshot = snapshots.of(name)
    authentication = [one for one in snapshot.of("Microsoft.Web/sites/config") if one["name"].endswith("V2")]
    knows_callers = name in {"default", "portal-application"}
    assert read_settings(snapshot.settings).require_entra_caller is knows_callers
    assert len(authentication) == knows_callers
    for one in authentication:
        given = one["properties"]
        assert given["platform"] == {"enabled": True}
        assert given["globalValidation"]["requireAuthentication"] is True
        assert given["globalValidation"]["unauthenticatedClientAction"] == "Return401"
        entra = given["identityProviders"]["azureActiveDirectory"]
        assert entra["registration"].keys() == {"clientId", "openIdIssuer"}
        assert entra["validation"]["allowedAudiences"] == [entra["registration"]["clientId"]]


def test_application_has_the_roles_that_the_code_knows_and_no_secret(snapshots: Snapshots) -> None:
    """Only who was assigned one gets a token."""
    snapshot = snapshots.of("default")
    (application,) = snapshot.of("Microsoft.Graph/applications@v1.0")
    roles = application["properties"]["appRoles"]
    assert {role["value"] for role in roles} == {"MfaReset.Request", "MfaReset.Read", "MfaReset.Operate"}
    assert all(role["value"] in (ROOT / "shared/web/principals.py").read_text() for role in roles)
    assert len({role["id"] for role in roles}) == len(roles)
    assert not {"passwordCredentials", "keyCredentials"} & application["properties"].keys()
    (principal,) = snapshot.of("Microsoft.Graph/servicePrincipals@v1.0")
    assert principal["properties"]["appRoleAssignmentRequired"] is True
    assert snapshots.of("applicationless").of("Microsoft.Graph/applications@v1.0") == []
    assert not [one for one in snapshots.of("portal").resources if one["type"].startswith("Microsoft.Graph")]


# --- The vault --------------------------------------------------------------------------------------------------


@every_variant
def test_vault_is_there_only_for_passes_and_the_app_may_only_set_secrets(snapshots: Snapshots, name: str) -> None:
    """Not read them."""
    snapshot = snapshots.of(name)
    makes_passes = policy_in_force(snapshot).makes_passes
    assert len(snapshot.of("Microsoft.KeyVault/vaults")) == makes_passes
    for vault in snapshot.of("Microsoft.KeyVault/vaults"):
        assert vault["properties"]["enableRbacAuthorization"] is True
        assert vault["properties"]["enablePurgeProtection"] is True
    for role in snapshot.of("Microsoft.Authorization/roleDefinitions"):
        (permission,) = role["properties"]["permissions"]
        assert permission["dataActions"] == ["Microsoft.KeyVault/vaults/secrets/setSecret/action"]
        assert permission["actions"] == permission["notActions"] == permission["notDataActions"] == []


# --- Times, sizes, tags -----------------------------------------------------------------------------------------


@every_variant
def test_times_are_those_of_the_contract(snapshots: Snapshots, name: str) -> None:
    """Lock 5 minutes, 5 deliveries, 14 days (product.md 7; tests/architecture holds host.json to the same table)."""
    snapshot = snapshots.of(name)
    requests = snapshot.one("Microsoft.ServiceBus/namespaces/queues", "/mfa-reset-requests")["properties"]
    rejected = snapshot.one("Microsoft.ServiceBus/namespaces/queues", "/mfa-reset-rejected")["properties"]
    assert (requests["lockDuration"], requests["maxDeliveryCount"]) == ("PT5M", 5)
    assert "defaultMessageTimeToLive" not in requests
    assert (rejected["defaultMessageTimeToLive"], rejected["maxDeliveryCount"]) == ("P14D", 2000)
    assert requests["requiresDuplicateDetection"] is rejected["requiresDuplicateDetection"] is False
    for type_ in ("topics", "topics/subscriptions"):
        kept = snapshot.one(f"Microsoft.ServiceBus/namespaces/{type_}")["properties"]
        assert kept["defaultMessageTimeToLive"] == "P14D"
    assert snapshot.one("Microsoft.ServiceBus/namespaces/topics/subscriptions")["name"].endswith("/audit")


@every_variant
def test_app_is_what_flex_consumption_takes(snapshots: Snapshots, name: str) -> None:
    """The types let everything through: runtime, memory, versions of TLS."""
    snapshot = snapshots.of(name)
    app = snapshot.one("Microsoft.Web/sites")
    flex = app["properties"]["functionAppConfig"]
    assert flex["runtime"] == {"name": "python", "version": (ROOT / ".python-version").read_text().strip()[:4]}
    assert flex["scaleAndConcurrency"]["instanceMemoryMB"] in {512, 2048, 4096}
    storage = flex["deployment"]["storage"]
    assert storage["authentication"]["type"] == "UserAssignedIdentity"
    assert storage["value"] == "https://stsome.blob.core.windows.net/app-package"
    assert snapshot.one("Microsoft.Storage/storageAccounts/blobServices/containers")["name"].endswith("/app-package")
    assert app["properties"]["httpsOnly"] is True
    assert app["properties"]["siteConfig"]["minTlsVersion"] == "1.2"
    assert snapshot.one("Microsoft.Storage/storageAccounts")["properties"]["minimumTlsVersion"] == "TLS1_2"
    assert snapshot.one("Microsoft.ServiceBus/namespaces")["properties"]["minimumTlsVersion"] == "1.2"
    assert snapshot.one("Microsoft.Web/serverfarms")["sku"] == {"name": "FC1", "tier": "FlexConsumption"}
    assert not {"linuxFxVersion", "appSettings"} & app["properties"]["siteConfig"].keys()


def test_azd_finds_its_group_and_its_service(snapshots: Snapshots) -> None:
    """By tags."""
    snapshot = snapshots.of("default")
    assert snapshot.one("Microsoft.Resources/resourceGroups")["tags"] == {"azd-env-name": "trial"}
    assert snapshot.one("Microsoft.Web/sites")["tags"]["azd-service-name"] == "app"
    assert all("azd-env-name" in one["tags"] for one in snapshot.resources if "tags" in one)


# --- The template for the portal --------------------------------------------------------------------------------


def without_generator(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Drop what says which compiler made a template."""
    if isinstance(value, dict):
        return {name: without_generator(part) for name, part in value.items() if name != "_generator"}
    return [without_generator(part) for part in value] if isinstance(value, list) else value


def test_template_for_the_portal_is_its_source_compiled(snapshots: Snapshots) -> None:
    """`make template` writes it; it knows nothing of Microsoft Graph, and asks for nothing that may be left out."""
    source = ROOT / "infra/azuredeploy.bicep"
    template = json.loads(source.with_suffix(".json").read_text())
    compiled = snapshots.bicep.compile(source).template
    assert without_generator(template) == without_generator(compiled)
    assert "microsoftgraph" not in source.with_suffix(".json").read_text().lower()
    assert not [name for name, given in template["parameters"].items() if given.get("nullable")]
    required = {name for name, given in template["parameters"].items() if "defaultValue" not in given}
    assert required == {"mode", "neverUsers"}
    assert "infra%2Fazuredeploy.json" in Path(ROOT / "README.md").read_text()
