"""What the Azure Developer CLI reads: parameters from its environment, and which service is deployed where."""

import json
import re
from typing import Any

import pytest

from tests.infra.compiler import INFRA, ROOT, Bicep
from tests.infra.expressions import PRINCIPAL
from tests.infra.variants import TAGS, Snapshots

pytestmark = [pytest.mark.xdist_group("bicep"), pytest.mark.long]

SUBSTITUTED = re.compile(r"\$\{(\w+)(?:=(.*))?\}")
ASKED = {"mode", "neverUsers"}
AZDS = {"environmentName": "${AZURE_ENV_NAME}", "location": "${AZURE_LOCATION}"}


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """Read what azd is told of each parameter."""
    document = json.loads((INFRA / "main.parameters.json").read_text())
    return {name: given["value"] for name, given in document["parameters"].items()}


def test_parameters_when_read_then_all_are_there_but_those_that_are_asked(
    bicep: Bicep, written: dict[str, Any]
) -> None:
    """Azd looks for a parameter that has a default in this file only; the policy is a file of its own."""
    declared = bicep.compile(INFRA / "main.bicep").template["parameters"]
    assert written.keys() | ASKED | {"policy"} == declared.keys()
    assert {name for name, given in declared.items() if "defaultValue" not in given} == ASKED | {
        "environmentName",
        "location",
    }


def test_parameters_when_nothing_is_set_then_they_are_the_defaults(bicep: Bicep, written: dict[str, Any]) -> None:
    """Each by a variable of its own, which is named like the parameter."""
    declared = bicep.compile(INFRA / "main.bicep").template["parameters"]
    for name, value in written.items():
        if name in AZDS:
            assert value == AZDS[name]
            continue
        default = declared[name]["defaultValue"]
        if isinstance(value, dict):  # a brace would end the expression
            assert value == default
            continue
        found = SUBSTITUTED.fullmatch(value)
        assert found
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
        assert found[1] == f"MFA_RESET_{words}"
        assert (found[2] or "") == (default if isinstance(default, str) else json.dumps(default))


def test_mode_when_azd_or_the_portal_asks_for_it_then_observe_comes_first(bicep: Bicep) -> None:
    """Both begin with the first allowed value, which Enter takes; and it has no default, so both ask."""
    for entry in ("main", "azuredeploy"):
        mode = bicep.compile(INFRA / f"{entry}.bicep").template["parameters"]["mode"]
        assert mode["allowedValues"] == ["observe", "enforce"]
        assert mode["metadata"]["azd"] == {"default": "observe"}
        assert "defaultValue" not in mode


def test_parameters_when_they_have_a_default_then_it_names_no_variable(bicep: Bicep) -> None:
    """A default may name other parameters only, and the compiler itself puts what is loaded into a variable."""
    for entry in ("main", "azuredeploy"):
        declared = bicep.compile(INFRA / f"{entry}.bicep").template["parameters"]
        assert not [name for name, given in declared.items() if "variables(" in str(given.get("defaultValue"))]


TAGGABLE = {
    "Microsoft.Insights/components",
    "Microsoft.KeyVault/vaults",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.OperationalInsights/workspaces",
    "Microsoft.Resources/resourceGroups",
    "Microsoft.ServiceBus/namespaces",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Web/serverfarms",
    "Microsoft.Web/sites",
}


@pytest.mark.parametrize("name", ["named", "portal-tagged"])
def test_tags_when_the_operator_gives_some_then_every_resource_has_them(snapshots: Snapshots, name: str) -> None:
    """Beside those that azd looks for, which they cannot replace."""
    snapshot = snapshots.of(name)
    tagged = [one for one in snapshot.resources if one["type"] in TAGGABLE]
    assert {one["type"] for one in tagged} >= TAGGABLE - {"Microsoft.Resources/resourceGroups"}
    for one in tagged:
        assert TAGS.items() <= one["tags"].items(), one["type"]
        assert one["tags"].get("azd-env-name") != "mine"


def test_group_when_the_operator_names_it_then_all_lies_in_it(snapshots: Snapshots) -> None:
    """Else it is named after the installation."""
    for name, group in (("default", "rg-trial"), ("named", "rg-of-security")):
        snapshot = snapshots.of(name)
        assert snapshot.one("Microsoft.Resources/resourceGroups")["name"] == group
        assert snapshot.outputs["AZURE_RESOURCE_GROUP"] == group
        ids = [one["id"] for one in snapshot.resources if not one["type"].startswith("Microsoft.Graph/")]
        assert all(f"/resourceGroups/{group}" in id_ for id_ in ids)


def test_tags_when_deployed_then_azd_finds_group_and_service(snapshots: Snapshots) -> None:
    """By the names in azure.yaml and of the environment."""
    snapshot = snapshots.of("default")
    assert snapshot.one("Microsoft.Resources/resourceGroups")["tags"]["azd-env-name"] == "trial"
    tagged = [one for one in snapshot.resources if "azd-service-name" in one.get("tags", {})]
    assert [(one["type"], one["tags"]["azd-service-name"]) for one in tagged] == [("Microsoft.Web/sites", "app")]
    assert tagged[0]["tags"]["azd-env-name"] == "trial"
    assert re.findall(r"^  (\w+):", (ROOT / "azure.yaml").read_text(), re.MULTILINE) == ["app"]


def test_outputs_when_deployed_from_the_portal_then_they_are_named_as_azds(snapshots: Snapshots) -> None:
    """So the commands of an operator are the same; and they tell what nobody has granted yet."""
    main, portal = (snapshots.of(name).outputs for name in ("default", "portal"))
    assert main.keys() - portal.keys() == {"AZURE_LOCATION", "AZURE_TENANT_ID"}
    assert portal.keys() <= main.keys()
    assert portal["MFA_RESET_GRAPH_ROLES"] == main["MFA_RESET_GRAPH_ROLES"]


def test_outputs_when_deployed_then_each_is_an_environment_variable(snapshots: Snapshots) -> None:
    """Azd keeps them under their names."""
    snapshot = snapshots.of("default")
    outputs, settings = snapshot.outputs, snapshot.settings
    assert all(re.fullmatch(r"(AZURE|MFA_RESET)(_[A-Z]+)+", name) for name in outputs)
    assert outputs["MFA_RESET_LEDGER"] == settings["LEDGER_URL"]
    assert outputs["MFA_RESET_BUS"] == settings["ServiceBusConnection__fullyQualifiedNamespace"]
    assert outputs["MFA_RESET_VAULT"] == settings["KEY_VAULT_URL"] == ""
    assert outputs["MFA_RESET_IDENTITY"] == PRINCIPAL
    assert outputs["MFA_RESET_APP"] == snapshot.one("Microsoft.Web/sites")["name"]
    assert outputs["MFA_RESET_WORKSPACE"] == snapshot.one("Microsoft.OperationalInsights/workspaces")["id"]
    (application,) = snapshot.of("Microsoft.Graph/applications@v1.0")
    assert [outputs["MFA_RESET_AUDIENCE"]] == application["properties"]["identifierUris"]
