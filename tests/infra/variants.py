"""The ways to deploy that the tests look at, and what the compiler predicts of each."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.policy import Policy, parse_policy
from shared.vocabulary import MethodType, StepName
from tests.builders import APPLICATION, a_policy_document
from tests.infra.compiler import INFRA, LOCATION, Bicep
from tests.infra.expressions import resolve

BREAK_GLASS = "11111111-1111-4111-8111-111111111111"
GROUP_ID = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
READER = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
ENTRY_OF_PORTAL = "azuredeploy"
type Document = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """What an operator chooses: parameters that differ from the example's, and a policy, by default the shipped one."""

    parameters: Mapping[str, object] = field(default_factory=dict)
    policy: Document | None = None
    entry: str = "main"


def with_profile(methods: object = "none", *steps: str, **more: object) -> Document:
    """Make a policy of one profile, which an application may ask for, with nothing done instead of it."""
    window = {} if methods == "none" else {"registrationWindow": "accepted"}
    instead = more.pop("instead", [])
    return a_policy_document(
        defaultProfiles={"request": "only", "alert": "only"},
        profiles={"only": {"methods": methods, "steps": list(steps), **window, **more}},
        callers={APPLICATION: ["only"]},
        privileged={"instead": instead},
    )


def _with_argument(step: StepName) -> str:
    arguments = {StepName.CONTAINMENT_GROUP: f":{GROUP_ID}", StepName.PER_USER_MFA: ":enforced"}
    return f"{step}{arguments.get(step, '')}"


POLICIES: dict[str, Document] = {
    "none": with_profile("none", "revokeSessions"),
    "reregister": with_profile("reregister"),
    "all": with_profile("all"),
    "listed": with_profile(["fido2", "email"], "revokeSessions"),
    "one": with_profile(["phone"]),
    "allows": with_profile("none", "revokeSessions", privileged="allow", instead=["disableAccount"]),
    "instead": with_profile("all", instead=["disableAccount", "confirmCompromised"]),
    "never": with_profile("reregister") | {"never": {"users": [READER, BREAK_GLASS], "groups": [GROUP_ID]}},
    "everything": with_profile("all", *map(_with_argument, StepName)),
    "narrow": json.loads((INFRA / "policy.narrow.json").read_text()),
    "least": {
        "profiles": {"only": {"methods": ["phone"], "registrationWindow": "accepted"}},
        "defaultProfiles": {"request": "only", "alert": "only"},
        "callers": {"queue": ["only"]},
    },
    **{f"type-{type_}": with_profile([type_.value]) for type_ in MethodType},
    **{f"step-{step}": with_profile("none", _with_argument(step)) for step in StepName},
}
TAGS = {"costCentre": "17"}
READERS = [{"id": READER, "type": "Group"}]
VARIANTS: dict[str, Variant] = {
    "default": Variant(),
    "broad": Variant({"graphPermissionSet": "broad"}),
    "ungranted": Variant({"grantGraphPermissions": False}),
    "applicationless": Variant({"createApplication": False}),
    "observe": Variant({"mode": "observe", "neverGroups": [GROUP_ID]}),
    "small": Variant({"instanceMemoryMB": 512, "maximumInstanceCount": 1}),
    "readers": Variant({"passReaders": READERS}, POLICIES["everything"]),
    "named": Variant(
        {"resourceGroupName": "rg-of-security", "tags": {**TAGS, "azd-env-name": "mine"}}, POLICIES["everything"]
    ),
    "narrow-policy": Variant({"policyName": "narrow"}),
    "national": Variant({"graphUrl": "https://graph.microsoft.us", "grantGraphPermissions": False}),
    "portal": Variant(entry=ENTRY_OF_PORTAL),
    "portal-narrow": Variant({"policyName": "narrow"}, entry=ENTRY_OF_PORTAL),
    "portal-tagged": Variant({"tags": TAGS}, POLICIES["everything"], ENTRY_OF_PORTAL),
    "portal-application": Variant(
        {"callerApplicationId": APPLICATION, "passReaders": READERS}, POLICIES["everything"], ENTRY_OF_PORTAL
    ),
    "everything-broad": Variant({"graphPermissionSet": "broad"}, POLICIES["everything"]),
    # A type of method changes nothing but what is granted, which `roles_by_policy` sees.
    **{name: Variant(policy=policy) for name, policy in POLICIES.items() if not name.startswith("type-")},
}


@dataclass(frozen=True)
class Snapshot:
    """What would be deployed, with expressions worked out and without what a condition leaves out."""

    resources: tuple[dict[str, Any], ...]
    outputs: dict[str, Any]

    def of(self, type_: str) -> list[dict[str, Any]]:
        """Return every resource of a type."""
        return [one for one in self.resources if one["type"].casefold() == type_.casefold()]

    def one(self, type_: str, ending: str = "") -> dict[str, Any]:
        """Return the one resource of a type whose name ends so; ValueError where it is not one."""
        (found,) = [one for one in self.of(type_) if one["name"].endswith(ending)]
        return found

    @property
    def settings(self) -> dict[str, str]:
        """What the app finds in its environment."""
        settings: dict[str, str] = self.one("Microsoft.Web/sites/config", "/appsettings")["properties"]
        return settings


class Snapshots:
    """Snapshots of variants, each made once; a variant that does not compile raises BicepError."""

    def __init__(self, bicep: Bicep, directory: Path) -> None:
        self.bicep = bicep
        self.directory = directory
        self.made: dict[str, Snapshot] = {}

    def of(self, name: str) -> Snapshot:
        """Return the snapshot of one of VARIANTS."""
        if name not in self.made:
            self.made[name] = self.make(name, VARIANTS[name])
        return self.made[name]

    def make(self, name: str, variant: Variant) -> Snapshot:
        """Make a snapshot, in a directory that is named so and must not be there yet."""
        # What is loaded from a file stays in the compiler's memory by its path.
        directory = self.directory / name
        directory.mkdir()
        file = directory / "main.bicepparam"
        file.write_text(write_parameters(directory, variant))
        made = self.bicep.snapshot(file, into_group=variant.entry == ENTRY_OF_PORTAL)
        assert made["diagnostics"] == []
        resources = [resolve(one) for one in made["predictedResources"]]
        return Snapshot(tuple(one for one in resources if one.get("condition", True)), resolve(made["outputs"]))


def roles_by_policy(bicep: Bicep, directory: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Compute, all at once, the ids of app roles by name for each of POLICIES, narrow and broad."""
    policies = os.path.relpath(INFRA / "policy.bicep", directory)
    lines = [f"import {{ rolesFor }} from '{policies}'"]
    for index, policy in enumerate(POLICIES.values()):
        (directory / f"{index}.json").write_text(json.dumps(policy))
        text = f"loadTextContent('{index}.json')"
        lines += [f"output {set_}{index} array = rolesFor({text}, '{set_}')" for set_ in ("narrow", "broad")]
    (directory / "roles.bicep").write_text("\n".join([*lines, ""]))
    (directory / "roles.bicepparam").write_text("using 'roles.bicep'\n")
    outputs = bicep.snapshot(directory / "roles.bicepparam", into_group=True)["outputs"]
    return {
        (name, set_): {role["name"]: role["id"] for role in outputs[f"{set_}{index}"]}
        for index, name in enumerate(POLICIES)
        for set_ in ("narrow", "broad")
    }


def policy_in_force(snapshot: Snapshot) -> Policy:
    """Read the policy that the app would read."""
    return parse_policy(snapshot.settings["MFA_RESET_POLICY"])


def write_parameters(directory: Path, variant: Variant) -> str:
    """Write a `.bicepparam` file, for this directory, which is given the policy too."""
    required: dict[str, object] = {"location": LOCATION, "mode": "enforce", "neverUsers": [BREAK_GLASS]}
    if variant.entry != ENTRY_OF_PORTAL:
        required["environmentName"] = "trial"
    using = os.path.relpath(INFRA / f"{variant.entry}.bicep", directory)
    lines = [f"using {_write(using)}"]
    lines += [f"param {name} = {_write(value)}" for name, value in {**required, **variant.parameters}.items()]
    if variant.policy is not None:
        (directory / "policy.json").write_text(json.dumps(variant.policy))
        lines.append("param policy = loadTextContent('policy.json')")
    return "\n".join([*lines, ""])


def _write(value: object) -> str:
    """Write a value as Bicep does; the texts here need nothing escaped."""
    match value:
        case str():
            return f"'{value}'"
        case list():
            return f"[{', '.join(map(_write, value))}]"
        case dict():
            return f"{{ {', '.join(f'{_write(name)}: {_write(part)}' for name, part in value.items())} }}"
        case _:
            return json.dumps(value)
