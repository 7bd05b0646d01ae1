"""The compiler finds nothing in infra/, and it would find what is wrong."""

import json
import shutil
from pathlib import Path

import pytest

from tests.infra.compiler import INFRA, ROOT, Bicep

pytestmark = [pytest.mark.xdist_group("bicep"), pytest.mark.long]

FILES = sorted(path for ending in ("bicep", "bicepparam") for path in INFRA.rglob(f"*.{ending}"))
# An unknown name is ignored without a word, so the names stand here once more.
RULES = frozenset(
    [
        "adminusername-should-not-be-literal",
        "artifacts-parameters",
        "decompiler-cleanup",
        "explicit-values-for-loc-params",
        "max-asserts",
        "max-outputs",
        "max-params",
        "max-resources",
        "max-variables",
        "nested-deployment-template-scoping",
        "no-conflicting-metadata",
        "no-conflicting-version-constraints",
        "no-deployments-resources",
        "no-explicit-any",
        "no-hardcoded-env-urls",
        "no-hardcoded-location",
        "no-hardcoded-outputs",
        "no-incompatible-entrypoint-version",
        "no-loc-expr-outside-params",
        "no-module-name",
        "no-unnecessary-dependson",
        "no-unused-existing-resources",
        "no-unused-imports",
        "no-unused-params",
        "no-unused-types",
        "no-unused-vars",
        "outputs-should-not-contain-secrets",
        "prefer-interpolation",
        "prefer-unquoted-property-names",
        "protect-commandtoexecute-secrets",
        "secure-parameter-default",
        "secure-params-in-nested-deploy",
        "secure-params-in-parameters-file",
        "secure-secrets-in-params",
        "simplify-interpolation",
        "simplify-json-null",
        "stacks-extensibility-compat",
        "use-description-outputs",
        "use-description-params",
        "use-description-type-properties",
        "use-description-types",
        "use-description-vars",
        "use-parent-property",
        "use-recent-az-powershell-version",
        "use-recent-module-versions",
        "use-recognized-resource-type",
        "use-resource-symbol-reference",
        "use-safe-access",
        "use-secure-value-for-secure-inputs",
        "use-stable-resource-identifiers",
        "use-stable-vm-image",
        "use-user-defined-types",
    ]
)
RECENT = "use-recent-api-versions"  # depends on today's date
# The second flags every module parameter that reaches a guid() name, the third an id taken from a loop's item.
OFF = frozenset({RECENT, "what-if-short-circuiting", "use-resource-id-functions"})

SOUND = """metadata description = 'A sound file.'

@description('The region.')
param location string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'stsound'
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: { allowSharedKeyAccess: false }
}

@description('Its id.')
output id string = account.id
"""
DESCRIPTION = "@description('The region.')\n"
BAD = {
    "a-misspelt-property": (SOUND.replace("allowSharedKeyAccess", "allowSharedKeyAcces"), "BCP089", "Warning"),
    "a-parameter-without-description": (SOUND.replace(DESCRIPTION, ""), "use-description-params", "Error"),
    "an-output-without-description": (
        SOUND.replace("@description('Its id.')\n", ""),
        "use-description-outputs",
        "Error",
    ),
    "an-unused-parameter": (f"{SOUND}\n@description('Nothing.')\nparam idle string\n", "no-unused-params", "Error"),
}


def read_rules(name: str) -> dict[str, str]:
    """Read the levels that a configuration sets, by rule; it sets nothing else but the extensions."""
    written = json.loads((INFRA / name).read_text())
    assert written.keys() <= {"extensions", "analyzers"}
    assert written["extensions"].keys() == {"microsoftGraphV1"}
    core = written["analyzers"].pop("core")
    assert written["analyzers"] == {}
    assert core["enabled"] is True
    return {rule: values["level"] for rule, values in core["rules"].items()}


def put(directory: Path, text: str) -> Path:
    """Put a file beside a copy of the configuration that ships."""
    shutil.copy(INFRA / "bicepconfig.json", directory)
    file = directory / "tried.bicep"
    file.write_text(text)
    return file


def test_files_when_looked_for_then_there_are_some() -> None:
    """An empty list would pass every test."""
    assert INFRA / "main.bicep" in FILES
    assert any(file.parent.name == "modules" for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_file_when_compiled_then_there_is_no_diagnostic_of_any_level(bicep: Bicep, file: Path) -> None:
    """A warning too may be a misspelt property."""
    assert bicep.diagnose(file) == ()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_file_when_formatted_then_it_stays_as_it_is(bicep: Bicep, file: Path) -> None:
    """`bicep format` would change nothing."""
    assert bicep.format(file) == file.read_text()


def test_gate_when_looked_for_then_nothing_turns_it_off() -> None:
    """Neither another configuration, of which the nearest counts, nor a pragma but those that have their reason.

    Nor is there a file of parameters that azd would take instead of asking.
    """
    assert not [*INFRA.rglob("*.bicepparam")]
    assert [*INFRA.rglob("bicepconfig.json")] == [INFRA / "bicepconfig.json"]
    pragmas = [(file.name, line.strip()) for file in FILES for line in file.read_text().splitlines() if "#dis" in line]
    logged = ("bus", "code", "ledger", "vault")
    assert pragmas == [(f"{name}.bicep", "#disable-next-line use-recent-api-versions") for name in logged]


def test_gate_when_a_file_is_sound_then_nothing_is_found(bicep: Bicep, tmp_path: Path) -> None:
    """So what is found in the bad ones is what was done to them."""
    assert bicep.diagnose(put(tmp_path, SOUND)) == ()


@pytest.mark.parametrize("fault", BAD)
def test_gate_when_a_file_is_bad_then_exactly_that_is_found(bicep: Bicep, tmp_path: Path, fault: str) -> None:
    """With the level that the configuration gives it; a warning of the compiler stays one."""
    text, code, level = BAD[fault]
    assert text != SOUND
    found = bicep.diagnose(put(tmp_path, text))
    assert [(one.code, one.level.capitalize()) for one in found] == [(code, level)]


def test_rules_when_read_then_each_known_one_is_an_error_but_for_the_exceptions() -> None:
    """A typo would turn a rule off."""
    rules = read_rules("bicepconfig.json")
    assert len(RULES) + len(OFF) == 55
    assert {rule for rule, level in rules.items() if level == "error"} == RULES
    assert {rule: level for rule, level in rules.items() if rule not in RULES}.keys() <= OFF
    assert {level for rule, level in rules.items() if rule not in RULES} <= {"off"}


def test_rules_when_api_versions_are_looked_at_then_in_a_configuration_that_is_no_gate() -> None:
    """It has that rule only, and the same extensions."""
    file = "recent-api-versions.json"
    assert read_rules(file).keys() == {RECENT}
    shipped, recent = (json.loads((INFRA / name).read_text()) for name in ("bicepconfig.json", file))
    assert recent["extensions"] == shipped["extensions"]


@pytest.mark.parametrize(("version", "found"), [("2019-06-01", [RECENT]), ("2025-06-01", [])])
def test_rules_when_an_api_version_is_old_then_that_configuration_finds_it(
    bicep: Bicep, tmp_path: Path, version: str, found: list[str]
) -> None:
    """On a day of its own: what is recent today is not for ever."""
    configuration = json.loads((INFRA / "recent-api-versions.json").read_text())
    configuration["analyzers"]["core"]["rules"][RECENT]["test-today"] = "2026-11-24"
    (tmp_path / "bicepconfig.json").write_text(json.dumps(configuration))
    file = tmp_path / "tried.bicep"
    file.write_text(SOUND.replace("2025-06-01", version))
    assert [one.code for one in bicep.diagnose(file)] == found
