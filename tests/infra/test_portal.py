"""The template that the portal reads."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from tests.infra.compiler import GROUP, INFRA, ROOT, SUBSCRIPTION, Bicep
from tests.infra.variants import ENTRY_OF_PORTAL, VARIANTS, Snapshots

TEMPLATE = INFRA / "azuredeploy.json"
pytestmark = [pytest.mark.xdist_group("bicep"), pytest.mark.long]


def without_generator(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Drop what says which compiler made a template."""
    if isinstance(value, dict):
        return {name: without_generator(part) for name, part in value.items() if name != "_generator"}
    return [without_generator(part) for part in value] if isinstance(value, list) else value


def deployments_in(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Walk over the deployments within a template, however deep."""
    resources = template["resources"]
    for one in resources.values() if isinstance(resources, dict) else resources:
        if one["type"] == "Microsoft.Resources/deployments":
            yield one
            yield from deployments_in(one["properties"]["template"])


def test_template_when_compiled_then_it_is_the_file(bicep: Bicep) -> None:
    """`make template` writes it."""
    compiled = bicep.compile(INFRA / "azuredeploy.bicep").template
    assert without_generator(json.loads(TEMPLATE.read_text())) == without_generator(compiled)


def test_template_when_read_then_it_asks_for_no_more_than_it_must() -> None:
    """The portal shows what may be null as required, and cannot deploy what belongs to Microsoft Graph."""
    template = json.loads(TEMPLATE.read_text())
    assert "microsoftgraph" not in TEMPLATE.read_text().lower()
    assert not [name for name, given in template["parameters"].items() if given.get("nullable")]
    required = {name for name, given in template["parameters"].items() if "defaultValue" not in given}
    assert required == {"mode", "neverUsers"}


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if variant.entry == ENTRY_OF_PORTAL])
def test_group_when_its_owner_deploys_then_nothing_lies_outside_it(snapshots: Snapshots, name: str) -> None:
    """Neither a resource nor where a role can be assigned; what is granted in Microsoft Graph is granted elsewhere."""
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    for one in snapshots.of(name).resources:
        assert one["id"].startswith(f"{group}/providers/"), one["type"]
        assert one.get("properties", {}).get("assignableScopes", [group]) == [group]


def test_group_when_its_owner_deploys_then_each_deployment_within_is_the_groups(bicep: Bicep) -> None:
    """A nested one could go to the subscription, or to another group, where an Owner of this one may do nothing."""
    template = bicep.compile(INFRA / "azuredeploy.bicep").template
    assert template["$schema"].endswith("/2019-04-01/deploymentTemplate.json#")
    nested = list(deployments_in(template))
    assert len(nested) > 5
    for one in nested:
        assert not {"subscriptionId", "resourceGroup", "scope", "location"} & one.keys()
        assert one["properties"]["template"]["$schema"] == template["$schema"]


def test_button_when_pressed_then_it_leads_to_the_template_and_its_form() -> None:
    """By the files' names in this repository; the portal shows the form instead of a bare list of parameters."""
    (link,) = re.findall(r"\(https://portal\.azure\.com/#create/([^)]+)\)", (ROOT / "README.md").read_text())
    kind, *parts = link.split("/")
    assert kind == "Microsoft.Template"
    assert parts[::2] == ["uri", "createUIDefinitionUri"]
    root = "https://raw.githubusercontent.com/<owner>/mfa-reset/main/"
    files = [unquote(part).removeprefix(root) for part in parts[1::2]]
    assert files == ["infra/azuredeploy.json", "infra/createUiDefinition.json"]
    assert all((ROOT / file).is_file() for file in files)
