"""The template that the portal reads."""

import json
from typing import Any

import pytest

from tests.infra.compiler import INFRA, ROOT, Bicep

TEMPLATE = INFRA / "azuredeploy.json"
pytestmark = [pytest.mark.xdist_group("bicep"), pytest.mark.long]


def without_generator(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Drop what says which compiler made a template."""
    if isinstance(value, dict):
        return {name: without_generator(part) for name, part in value.items() if name != "_generator"}
    return [without_generator(part) for part in value] if isinstance(value, list) else value


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


def test_button_when_pressed_then_it_leads_to_the_template() -> None:
    """By the file's name in this repository."""
    assert "infra%2Fazuredeploy.json" in (ROOT / "README.md").read_text()
