"""What the app and the bus are set to: settings, names, times, runtime."""

import ast
import json
from collections.abc import Iterator, Mapping

import pytest

from shared.errors import SettingsError
from shared.ledger.tables import CONTROL, PREFIX, REQUESTS, USERS
from shared.settings import read_settings
from tests.infra.compiler import INFRA, ROOT, TENANT, Bicep
from tests.infra.expressions import CLIENT
from tests.infra.variants import BREAK_GLASS, GROUP_ID, VARIANTS, Snapshot, Snapshots, policy_in_force

pytestmark = [pytest.mark.xdist_group("bicep"), pytest.mark.long]

QUEUE = "Microsoft.ServiceBus/namespaces/queues"
TOPIC = "Microsoft.ServiceBus/namespaces/topics"
SITE = "Microsoft.Web/sites"
STORAGE = "Microsoft.Storage/storageAccounts"
# What the host reads; no trigger or binding wants storage queues.
HOSTS = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__tableServiceUri",
    "ServiceBusConnection__credential",
}
# The connection string would win over the identity; the other is Azure's own word.
NOT_OURS_TO_SET = {"ServiceBusConnection", "WEBSITE_AUTH_ENABLED"}
# Flex Consumption rejects or ignores them.
FORBIDDEN = (
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_EXTENSION_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_CONTENT",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "linuxFxVersion",
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
)


class Recorder(Mapping[str, str]):
    """An environment without anything, which notes what is asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def settings_that_are_read() -> set[str]:
    """Collect the names that the code asks for, and those that its triggers name in percent signs."""
    recorder = Recorder()
    with pytest.raises(SettingsError):
        read_settings(recorder)
    texts = [
        node.value
        for node in ast.walk(ast.parse((ROOT / "function_app.py").read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return recorder.asked | {text.strip("%") for text in texts if text.startswith("%") and text.endswith("%")}


def names_of(snapshot: Snapshot, type_: str) -> set[str]:
    """Collect the names that the bus knows its queues or topics by."""
    return {one["name"].partition("/")[2] for one in snapshot.of(type_)}


# --- Settings ---------------------------------------------------------------------------------------------------


def test_settings_when_collected_then_they_are_those_of_the_contract() -> None:
    """So the recorder has seen them all."""
    assert {"REQUEST_QUEUE", "LEDGER_URL", "MFA_RESET_POLICY", "GRAPH_URL", "KEY_VAULT_URL"} < settings_that_are_read()


def test_settings_when_deployed_then_all_that_the_code_reads_and_no_others(snapshot: Snapshot) -> None:
    """But for the host's."""
    assert snapshot.settings.keys() == (settings_that_are_read() - NOT_OURS_TO_SET) | HOSTS


def test_settings_when_deployed_then_what_flex_forbids_is_absent(snapshot: Snapshot) -> None:
    """Neither among the settings nor in the configuration of the site, and settings stand in one place only."""
    site = snapshot.one(SITE)["properties"]
    for name in (*snapshot.settings, *site, *site.get("siteConfig", {})):
        assert not name.casefold().startswith(tuple(word.casefold() for word in FORBIDDEN))
    assert "appSettings" not in site.get("siteConfig", {})


def test_settings_when_deployed_then_none_says_that_sign_in_is_on(snapshot: Snapshot) -> None:
    """What is set by hand would win over the platform's own word, by which a key is asked for or not.

    https://github.com/Azure/azure-functions-host/issues/10687
    """
    assert "website_auth_enabled" not in str(snapshot.of(SITE) + snapshot.of(f"{SITE}/config")).casefold()


def test_settings_when_deployed_then_each_is_a_text(snapshot: Snapshot) -> None:
    """The platform takes no others."""
    assert all(isinstance(value, str) for value in snapshot.settings.values())


def test_settings_when_deployed_then_the_app_starts_with_them(snapshot: Snapshot) -> None:
    """With what Azure fills in, in the forms in which it does."""
    settings = read_settings(snapshot.settings)
    assert (settings.client_id, settings.bus.client_id, settings.tenant_id) == (CLIENT, CLIENT, TENANT)
    assert settings.bus.namespace == "sb-some.servicebus.windows.net"
    assert settings.bus.connection is None
    assert settings.ledger.account == "https://stsome.table.core.windows.net"
    assert settings.graph_url in {"https://graph.microsoft.com", "https://graph.microsoft.us"}


def test_settings_when_deployed_then_every_connection_names_the_identity(snapshot: Snapshot) -> None:
    """It is user-assigned, so that the platform would not find it by itself."""
    for connection in ("AzureWebJobsStorage", "ServiceBusConnection"):
        assert snapshot.settings[f"{connection}__credential"] == "managedidentity"
        assert snapshot.settings[f"{connection}__clientId"] == CLIENT
    assert snapshot.settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"] == f"ClientId={CLIENT};Authorization=AAD"


def test_policy_when_deployed_then_it_is_as_written_with_what_the_operator_is_asked(snapshots: Snapshots) -> None:
    """The mode, and who is never touched besides those of the policy."""
    default, observe = (policy_in_force(snapshots.of(name)) for name in ("default", "observe"))
    assert (default.mode, observe.mode) == ("enforce", "observe")
    assert default.never.users == observe.never.users == (BREAK_GLASS,)
    assert (default.never.groups, observe.never.groups) == ((), (GROUP_ID,))
    shipped = json.loads((ROOT / "infra" / "policy.json").read_text())
    in_force = json.loads(snapshots.of("default").settings["MFA_RESET_POLICY"])
    in_force["never"]["users"].remove(BREAK_GLASS)
    assert in_force == shipped


@pytest.mark.parametrize("name", ["narrow-policy", "portal-narrow"])
def test_policy_when_the_narrow_one_is_chosen_then_it_is_the_file(snapshots: Snapshots, name: str) -> None:
    """Of the two that come along; a policy of the operator's own wins over both (below)."""
    shipped = json.loads((INFRA / "policy.narrow.json").read_text())
    in_force = json.loads(snapshots.of(name).settings["MFA_RESET_POLICY"])
    in_force["never"]["users"].remove(BREAK_GLASS)
    assert in_force == shipped


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if variant.policy])
def test_policy_when_it_is_another_then_nothing_of_it_is_lost(snapshots: Snapshots, name: str) -> None:
    """Every profile, step and list arrives as it was written, and whom it protects stays protected."""
    in_force = json.loads(snapshots.of(name).settings["MFA_RESET_POLICY"])
    written = VARIANTS[name].policy
    assert written
    own = {"mode", "never"}
    assert {key: value for key, value in in_force.items() if key not in own} == {
        key: value for key, value in written.items() if key not in own
    }
    never = written.get("never", {})
    assert set(in_force["never"]["users"]) == {*never.get("users", []), BREAK_GLASS}
    assert len(in_force["never"]["users"]) == len(set(in_force["never"]["users"]))
    assert in_force["never"]["groups"] == never.get("groups", [])


# --- Names and times --------------------------------------------------------------------------------------------


def test_names_when_deployed_then_the_bus_and_the_app_and_the_defaults_agree(snapshot: Snapshot) -> None:
    """The defaults, too: then an operator's commands need not name them."""
    bare = {key: value for key, value in snapshot.settings.items() if not key.endswith(("_QUEUE", "_TOPIC"))}
    assert read_settings(bare).bus.request_queue == snapshot.settings["REQUEST_QUEUE"]
    assert read_settings(bare).bus.rejected_queue == snapshot.settings["REJECTED_QUEUE"]
    assert read_settings(bare).bus.outcome_topic == snapshot.settings["OUTCOME_TOPIC"]
    assert names_of(snapshot, QUEUE) == {snapshot.settings["REQUEST_QUEUE"], snapshot.settings["REJECTED_QUEUE"]}
    assert names_of(snapshot, TOPIC) == {snapshot.settings["OUTCOME_TOPIC"]}
    assert names_of(snapshot, f"{TOPIC}/subscriptions") == {f"{snapshot.settings['OUTCOME_TOPIC']}/audit"}


def test_tables_when_deployed_then_they_are_the_ledgers(snapshot: Snapshot) -> None:
    """By the names that the code asks for, or it would make others."""
    made = {
        one["name"].rpartition("/")[2] for one in snapshot.of("Microsoft.Storage/storageAccounts/tableServices/tables")
    }
    assert made == {f"{PREFIX}{name}" for name in (CONTROL, REQUESTS, USERS)}


def test_requests_when_deployed_then_the_queue_is_the_contracts(snapshot: Snapshot) -> None:
    """No request expires by itself or unseen, goes elsewhere, or is dropped as a duplicate: the ledger knows better."""
    namespace = snapshot.one("Microsoft.ServiceBus/namespaces")
    assert namespace["sku"] == {"name": "Standard", "tier": "Standard"}
    assert namespace["properties"] == {"disableLocalAuth": True, "minimumTlsVersion": "1.2"}
    assert snapshot.one(QUEUE, "/mfa-reset-requests")["properties"] == {
        "deadLetteringOnMessageExpiration": True,
        "lockDuration": "PT5M",
        "maxDeliveryCount": 5,
        "maxSizeInMegabytes": 5120,
        "requiresDuplicateDetection": False,
    }


def test_rejected_copies_and_outcomes_when_deployed_then_they_live_14_days(snapshot: Snapshot) -> None:
    """And looking at rejected copies does not move them to the dead letters."""
    kept = {"defaultMessageTimeToLive": "P14D", "maxSizeInMegabytes": 5120, "requiresDuplicateDetection": False}
    rejected = snapshot.one(QUEUE, "/mfa-reset-rejected")["properties"]
    assert rejected == {**kept, "lockDuration": "PT5M", "maxDeliveryCount": 2000}
    assert snapshot.one(TOPIC)["properties"] == kept
    audit = snapshot.one(f"{TOPIC}/subscriptions", "/audit")["properties"]
    assert audit == {"defaultMessageTimeToLive": "P14D", "lockDuration": "PT5M", "maxDeliveryCount": 10}


def test_host_when_read_then_its_times_are_the_contracts() -> None:
    """A lock is renewed for as long as a delivery may take."""
    host = json.loads((ROOT / "host.json").read_text())
    assert host["functionTimeout"] == "00:10:00"
    assert host["extensions"]["serviceBus"]["maxAutoLockRenewalDuration"] == "00:10:00"


# --- Runtime and transport --------------------------------------------------------------------------------------


def test_app_when_deployed_then_plan_runtime_and_memory_are_flexs(snapshot: Snapshot) -> None:
    """The compiler checks none of these words."""
    plan, site = snapshot.one("Microsoft.Web/serverfarms"), snapshot.one(SITE)
    assert (plan["sku"], plan["properties"]["reserved"]) == ({"name": "FC1", "tier": "FlexConsumption"}, True)
    assert site["kind"] == "functionapp,linux"
    assert site["properties"]["serverFarmId"] == plan["id"]
    configuration = site["properties"]["functionAppConfig"]
    assert configuration["runtime"] == {"name": "python", "version": "3.13"}
    scale = configuration["scaleAndConcurrency"]
    assert scale["instanceMemoryMB"] in {512, 2048, 4096}
    assert 1 <= scale["maximumInstanceCount"] <= 1000


def test_instances_when_described_then_they_are_those_of_a_group_of_functions(bicep: Bicep) -> None:
    """The platform counts on-demand instances for each group by itself, not for the app.

    https://github.com/Azure/azure-rest-api-specs/issues/45083
    """
    for entry in ("main", "azuredeploy"):
        declared = bicep.compile(INFRA / f"{entry}.bicep").template["parameters"]["maximumInstanceCount"]
        assert "on-demand instances each group of functions" in declared["metadata"]["description"]


def test_app_when_memory_and_instances_are_chosen_then_they_arrive(snapshots: Snapshots) -> None:
    """And the defaults are other ones."""
    small, default = (
        snapshots.of(name).one(SITE)["properties"]["functionAppConfig"]["scaleAndConcurrency"]
        for name in ("small", "default")
    )
    calls = {"triggers": {"http": {"perInstanceConcurrency": 16}}}
    assert small == {"instanceMemoryMB": 512, "maximumInstanceCount": 1, **calls}
    assert default == {"instanceMemoryMB": 2048, "maximumInstanceCount": 40, **calls}


def test_app_when_deployed_then_its_package_lies_where_its_identity_may_read_it(snapshot: Snapshot) -> None:
    """In a container that is deployed too."""
    site = snapshot.one(SITE)
    storage = site["properties"]["functionAppConfig"]["deployment"]["storage"]
    container = snapshot.one("Microsoft.Storage/storageAccounts/blobServices/containers")["name"].rpartition("/")[2]
    identity = snapshot.of("Microsoft.ManagedIdentity/userAssignedIdentities")[0]["id"]
    assert storage["type"] == "blobContainer"
    assert storage["value"] == f"https://stsome.blob.core.windows.net/{container}"
    assert storage["authentication"] == {"type": "UserAssignedIdentity", "userAssignedIdentityResourceId": identity}
    assert site["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}


def test_site_when_deployed_then_it_is_set_up_so_and_not_otherwise(snapshot: Snapshot) -> None:
    """The compiler takes any word and any setting in silence; identity, plan and package have tests of their own."""
    site = snapshot.one(SITE)["properties"]
    assert site.keys() == {"clientCertEnabled", "functionAppConfig", "httpsOnly", "serverFarmId", "siteConfig"}
    assert site["functionAppConfig"].keys() == {"deployment", "runtime", "scaleAndConcurrency"}
    assert site["httpsOnly"] is True
    assert site["siteConfig"] == {
        "ftpsState": "Disabled",
        "http20Enabled": True,
        "minTlsVersion": "1.2",
        "scmMinTlsVersion": "1.2",
    }


def test_site_when_deployed_then_its_settings_come_before_sign_in(bicep: Bicep) -> None:
    """Else a token would let in for a moment with nobody looking at it; a snapshot does not show the order."""
    template = bicep.compile(INFRA / "modules" / "app.bicep").template["resources"]
    chain = ["settings", "ftp", "scm", "authentication"]
    assert [template[f"app::{name}"]["dependsOn"] for name in chain[1:]] == [
        ["app", f"app::{before}"] for before in chain[:-1]
    ]


def test_storage_when_deployed_then_there_are_no_keys_no_users_and_nothing_is_public(snapshot: Snapshot) -> None:
    """Nor is it reached from another tenant, or without TLS 1.2."""
    for account in snapshot.of(STORAGE):
        assert (account["kind"], account["sku"]) == ("StorageV2", {"name": "Standard_ZRS"})
        assert account["properties"] == {
            "accessTier": "Hot",
            "allowBlobPublicAccess": False,
            "allowCrossTenantReplication": False,
            "allowSharedKeyAccess": False,
            "defaultToOAuthAuthentication": True,
            "minimumTlsVersion": "TLS1_2",
            "supportsHttpsTrafficOnly": True,
        }
    assert "properties" not in snapshot.one(f"{STORAGE}/blobServices/containers")


def test_storage_when_deployed_then_code_and_ledger_lie_apart(snapshot: Snapshot) -> None:
    """Whoever may bring the code is thereby not let at the ledger: each account has one service, and one content."""
    accounts = sorted(one["name"] for one in snapshot.of(STORAGE))
    assert [name[:-13] for name in accounts] == ["stmfacode", "stmfaledger"]
    code, ledger = accounts
    parts = [one for one in snapshot.resources if one["type"].startswith(f"{STORAGE}/")]
    assert {one["name"].partition("/")[0] for one in parts if "/blobServices" in one["type"]} == {code}
    assert {one["name"].partition("/")[0] for one in parts if "/tableServices" in one["type"]} == {ledger}


def test_storage_when_deployed_then_host_and_package_are_in_the_one_and_the_ledger_in_the_other(bicep: Bicep) -> None:
    """A snapshot does not tell whose address a setting is; the template does."""
    app = bicep.compile(INFRA / "system.bicep").template["resources"]["app"]
    given = {name: str(value["value"]) for name, value in app["properties"]["parameters"].items() if "value" in value}
    assert "reference('ledger')" in given["ledgerUrl"]
    assert "reference('code')" in given["packagesUrl"]
    assert "reference('code')" in given["hostUrls"]


def test_storage_when_something_is_deleted_then_it_can_be_brought_back_for_14_days(snapshot: Snapshot) -> None:
    """A blob that is overwritten too, and a container; nobody ends that sooner."""
    assert snapshot.one(f"{STORAGE}/blobServices")["properties"] == {
        "containerDeleteRetentionPolicy": {"days": 14, "enabled": True},
        "deleteRetentionPolicy": {"allowPermanentDelete": False, "days": 14, "enabled": True},
    }
