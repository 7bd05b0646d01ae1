"""The form that the portal shows for the template: what it asks for, and what it hands on."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.compiler import INFRA, LOCATION, Bicep, BicepError
from tests.infra.expressions import functions_of_a_form, resolve
from tests.infra.variants import BREAK_GLASS, ENTRY_OF_PORTAL, GROUP_ID, POLICIES, Snapshot, Snapshots, Variant

pytestmark = [pytest.mark.xdist_group("bicep"), pytest.mark.long]

type Element = dict[str, Any]
OTHER = "ABCDEF01-2345-4678-9ABC-DEF012345678"
# https://learn.microsoft.com/azure/azure-resource-manager/managed-applications/create-uidefinition-elements
CHOICES = {"Microsoft.Common.DropDown", "Microsoft.Common.OptionsGroup"}
KNOWN = CHOICES | {"Microsoft.Common.FileUpload", "Microsoft.Common.TextBlock", "Microsoft.Common.TextBox"}
# Which element gives a parameter its value, by step; what is chosen from is compared with what the template allows.
ELEMENTS = {
    "mode": ("basics", "mode"),
    "graphUrl": ("callers", "graph"),
    "instanceMemoryMB": ("size", "memory"),
    "maximumInstanceCount": ("size", "instances"),
    "storageRedundancy": ("size", "redundancy"),
    "retentionInDays": ("size", "retention"),
}
ACCEPTED = [
    BREAK_GLASS,
    OTHER,
    f"{BREAK_GLASS},{OTHER}",
    f" {BREAK_GLASS} ,  {OTHER},{GROUP_ID} ",
]
REFUSED = [
    "breakglass@contoso.example",
    "Break Glass 1",
    BREAK_GLASS[:-1],
    f"{BREAK_GLASS}1",
    f"{BREAK_GLASS};{OTHER}",
    f"{BREAK_GLASS} {OTHER}",
    f"{BREAK_GLASS},",
    f",{BREAK_GLASS}",
    f"{BREAK_GLASS},,{OTHER}",
    f"{BREAK_GLASS},\n{OTHER}",
    f'["{BREAK_GLASS}"]',
    f"{{{BREAK_GLASS}}}",
    BREAK_GLASS.replace("-", ""),
    BREAK_GLASS.replace("1", "g"),
    " ",
]


@pytest.fixture(scope="module")
def form() -> dict[str, Any]:
    """Read the form."""
    written: dict[str, Any] = json.loads((INFRA / "createUiDefinition.json").read_text())
    return written


@pytest.fixture(scope="module")
def declared() -> dict[str, Any]:
    """Read the parameters of the template that the form is for, with what their types allow."""
    template = json.loads((INFRA / "azuredeploy.json").read_text())
    return {
        name: {**template["definitions"].get(given.get("$ref", "").rpartition("/")[2], {}), **given}
        for name, given in template["parameters"].items()
    }


def elements_of(form: dict[str, Any]) -> Iterator[tuple[str, Element]]:
    """Walk over the elements, each with the name of its step."""
    for one in form["parameters"]["basics"]:
        yield "basics", one
    for step in form["parameters"]["steps"]:
        for one in step["elements"]:
            yield step["name"], one


def element(form: dict[str, Any], step: str, name: str) -> Element:
    """Find an element; ValueError where it is not one."""
    (found,) = [one for of, one in elements_of(form) if (of, one["name"]) == (step, name)]
    return found


def first_value(one: Element) -> str | None:
    """Tell what an element gives that nobody touches."""
    if one["type"] in CHOICES:
        (found,) = [
            each["value"] for each in one["constraints"]["allowedValues"] if each["label"] == one["defaultValue"]
        ]
        value: str = found
        return value
    given: str | None = one.get("defaultValue")
    return given


def fill_in(form: dict[str, Any], **given: object) -> dict[str, Any]:
    """Fill the form in, with values by `step_element`, and return what it hands on to the template."""
    values: dict[str, dict[str, Any]] = {"basics": {}}
    for step, one in elements_of(form):
        values.setdefault(step, {})[one["name"]] = given.pop(f"{step}_{one['name']}", first_value(one))
    assert not given
    functions = functions_of_a_form(values["basics"], values, LOCATION)
    handed_on: dict[str, Any] = resolve(form["parameters"]["outputs"], functions)
    return handed_on


def deploy(bicep: Bicep, directory: Path, parameters: dict[str, Any]) -> Snapshot:
    """Predict what the template deploys with them."""
    return Snapshots(bicep, directory).make("form", Variant(parameters, None, ENTRY_OF_PORTAL))


def is_accepted(one: Element, text: str) -> bool:
    """Whether each regular expression of an element takes a text; they mean the same to Python as to a browser."""
    return all(re.fullmatch(each["regex"], text) for each in one["constraints"]["validations"])


# --- The form and the template ----------------------------------------------------------------------------------


def test_form_when_read_then_it_is_of_the_schema_that_it_names(form: dict[str, Any]) -> None:
    """In the one version that there is, with documented elements, of different names."""
    assert (
        form["$schema"] == "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json#"
    )
    assert (form["handler"], form["version"]) == ("Microsoft.Azure.CreateUIDef", "0.1.2-preview")
    assert form["parameters"].keys() == {"config", "basics", "steps", "outputs"}
    names = [(step, one["name"]) for step, one in elements_of(form)]
    assert len(set(names)) == len(names)
    assert {one["type"] for _, one in elements_of(form)} == KNOWN


def test_outputs_when_compared_then_each_is_a_parameter_and_no_required_one_is_missing(
    form: dict[str, Any], declared: dict[str, Any]
) -> None:
    """What the form leaves out has a default in the template."""
    handed_on = form["parameters"]["outputs"].keys()
    assert handed_on <= declared.keys()
    assert {name for name, given in declared.items() if "defaultValue" not in given} <= handed_on
    assert declared.keys() - handed_on == {"passReaders", "tags"}


def test_outputs_when_filled_in_then_each_is_of_its_parameters_type(
    form: dict[str, Any], declared: dict[str, Any]
) -> None:
    """Text, a number, or a list of texts."""
    types = {"string": str, "int": int, "array": list}
    for name, value in fill_in(form, guard_users=BREAK_GLASS).items():
        assert type(value) is types[declared[name]["type"]], name


def test_defaults_when_compared_then_they_are_the_templates(form: dict[str, Any], declared: dict[str, Any]) -> None:
    """A form that nobody touches, but for what has to be given, deploys what the template does by itself."""
    handed_on = fill_in(form, guard_users=BREAK_GLASS)
    for name, value in handed_on.items():
        if name not in {"location", "mode", "neverUsers"}:
            assert value == declared[name]["defaultValue"], name
    assert handed_on["mode"] == declared["mode"]["metadata"]["azd"]["default"] == "observe"


@pytest.mark.parametrize("name", ["mode", "instanceMemoryMB", "storageRedundancy"])
def test_choices_when_compared_then_they_are_what_the_template_allows(
    form: dict[str, Any], declared: dict[str, Any], name: str
) -> None:
    """All of it, and nothing else."""
    chosen = element(form, *ELEMENTS[name])["constraints"]["allowedValues"]
    assert {one["value"] for one in chosen} == {str(value) for value in declared[name]["allowedValues"]}
    assert len({one["label"] for one in chosen}) == len(chosen)


@pytest.mark.parametrize("name", ["maximumInstanceCount", "retentionInDays"])
def test_numbers_when_typed_then_the_form_takes_what_the_template_takes(
    form: dict[str, Any], declared: dict[str, Any], name: str
) -> None:
    """From the least to the most, and nothing that is no number."""
    one, allowed = element(form, *ELEMENTS[name]), declared[name]
    taken = [number for number in range(-1, 2000) if is_accepted(one, str(number))]
    assert taken == list(range(allowed["minValue"], allowed["maxValue"] + 1))
    assert not [text for text in ("", " 40", "040", "4e1", "40.0", "forty") if is_accepted(one, text)]


# --- Whom it never touches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ACCEPTED)
def test_break_glass_accounts_when_they_are_object_ids_then_they_reach_the_policy(
    bicep: Bicep, tmp_path: Path, form: dict[str, Any], text: str
) -> None:
    """Each of them, without the spaces around."""
    assert is_accepted(element(form, "guard", "users"), text)
    parameters = fill_in(form, guard_users=text)
    assert parameters["neverUsers"] == re.findall(r"[0-9A-Fa-f-]{36}", text)
    in_force = json.loads(deploy(bicep, tmp_path, parameters).settings["MFA_RESET_POLICY"])
    assert in_force["never"] == {"users": parameters["neverUsers"], "groups": []}
    assert in_force["mode"] == "observe"


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.parametrize("name", ["users", "groups"])
def test_break_glass_accounts_when_they_are_no_object_ids_then_the_form_says_so(
    form: dict[str, Any], name: str, text: str
) -> None:
    """A name that is taken for an id would protect nobody; spaces alone are no group either."""
    assert not is_accepted(element(form, "guard", name), text)


def test_break_glass_accounts_when_there_are_none_then_the_form_is_not_complete(form: dict[str, Any]) -> None:
    """Nothing is deployed that would touch everybody."""
    one = element(form, "guard", "users")
    assert one["constraints"]["required"] is True
    assert not is_accepted(one, "")


@pytest.mark.parametrize(("text", "groups"), [("", []), (f"{GROUP_ID} , {OTHER}", [GROUP_ID, OTHER])])
def test_groups_when_given_or_not_then_they_are_a_list(form: dict[str, Any], text: str, groups: list[str]) -> None:
    """An empty one where there are none: not one with an empty text."""
    one = element(form, "guard", "groups")
    assert is_accepted(one, text)
    assert fill_in(form, guard_users=BREAK_GLASS, guard_groups=text)["neverGroups"] == groups


# --- The policy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("choice", "file"), [("standard", "policy.json"), ("narrow", "policy.narrow.json")])
def test_policy_when_one_is_chosen_then_it_is_that_file(
    bicep: Bicep, tmp_path: Path, form: dict[str, Any], choice: str, file: str
) -> None:
    """A file that was uploaded before the other choice was made changes nothing."""
    own = json.dumps(POLICIES["everything"])
    parameters = fill_in(form, guard_users=BREAK_GLASS, policy_choice=choice, policy_file=own)
    in_force = json.loads(deploy(bicep, tmp_path, parameters).settings["MFA_RESET_POLICY"])
    assert in_force["profiles"] == json.loads((INFRA / file).read_text())["profiles"]


def test_policy_when_it_is_a_file_then_that_is_deployed(bicep: Bicep, tmp_path: Path, form: dict[str, Any]) -> None:
    """Only then is the element for it shown."""
    visible = element(form, "policy", "file")["visible"]
    for choice in ("standard", "narrow", "own"):
        functions = functions_of_a_form({}, {"policy": {"choice": choice}}, LOCATION)
        assert resolve(visible, functions) is (choice == "own")
    own = json.dumps(POLICIES["one"])
    parameters = fill_in(form, guard_users=BREAK_GLASS, policy_choice="own", policy_file=own)
    in_force = json.loads(deploy(bicep, tmp_path, parameters).settings["MFA_RESET_POLICY"])
    assert in_force["profiles"] == POLICIES["one"]["profiles"]


@pytest.mark.parametrize("content", [None, ""])
def test_policy_when_the_file_is_empty_then_nothing_is_deployed(
    bicep: Bicep, tmp_path: Path, form: dict[str, Any], content: str | None
) -> None:
    """Least of all the standard policy, which is not the one that was chosen."""
    assert element(form, "policy", "file")["constraints"]["required"] is True
    parameters = fill_in(form, guard_users=BREAK_GLASS, policy_choice="own", policy_file=content)
    with pytest.raises(BicepError, match="profiles"):
        deploy(bicep, tmp_path, parameters)


# --- Callers and cloud ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "expected"), [("", True), (OTHER, True), ("mfa-reset", False), (f" {OTHER}", False)])
def test_application_when_given_then_it_is_a_client_id(form: dict[str, Any], text: str, expected: bool) -> None:
    """Or nothing."""
    assert is_accepted(element(form, "callers", "application"), text) is expected
    assert fill_in(form, guard_users=BREAK_GLASS, callers_application=text)["callerApplicationId"] == text
