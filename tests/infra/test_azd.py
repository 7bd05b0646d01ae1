"""What the Azure Developer CLI reads: parameters from its environment, and which service is deployed where."""

import json
import re
from typing import Any

import pytest

from tests.infra.compiler import INFRA, ROOT, Bicep
from tests.infra.expressions import PRINCIPAL
from tests.infra.variants import Snapshots

pytestmark = [pytest.mark.xdist_group("bicep"), pytest.mark.long]

SUBSTITUTED = re.compile(r"\$\{(\w+)(?:=(.*))?\}")
ASKED = {"mode", "neverUsers"}


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
        if isinstance(value, list):
            assert value == declared[name]["defaultValue"]
            continue
        found = SUBSTITUTED.fullmatch(value)
        assert found
        if name in {"environmentName", "location"}:
            assert found[0] in {"${AZURE_ENV_NAME}", "${AZURE_LOCATION}"}
            continue
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
        assert found[1] == f"MFA_RESET_{words}"
        default = declared[name]["defaultValue"]
        assert found[2] == (default if isinstance(default, str) else json.dumps(default))


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
