"""Which app roles of Microsoft Graph are granted: what the code says that the policy needs."""

import json
from pathlib import Path

import pytest

from shared.permissions import BY_NAME
from shared.policy import parse_policy
from shared.readiness import judge_readiness
from tests.infra.compiler import Bicep, BicepError
from tests.infra.expressions import GRAPH, PRINCIPAL
from tests.infra.variants import (
    POLICIES,
    VARIANTS,
    Document,
    Snapshots,
    Variant,
    policy_in_force,
    roles_by_policy,
    with_profile,
    write_parameters,
)

pytestmark = [pytest.mark.xdist_group("bicep"), pytest.mark.long]

GRANT = "Microsoft.Graph/appRoleAssignedTo@v1.0"
type Computed = dict[tuple[str, str], dict[str, str]]


@pytest.fixture(scope="session")
def computed(bicep: Bicep, tmp_path_factory: pytest.TempPathFactory) -> Computed:
    """Compute the app roles of every policy, narrow and broad."""
    return roles_by_policy(bicep, tmp_path_factory.mktemp("roles"))


@pytest.mark.parametrize("name", POLICIES)
def test_narrow_roles_when_computed_then_they_are_what_readiness_misses(computed: Computed, name: str) -> None:
    """Where nothing is granted yet: what is required and what is advised."""
    judged = judge_readiness(parse_policy(json.dumps(POLICIES[name])), ())
    expected = {role: BY_NAME[role].id for role in (*judged.missing, *judged.advised)}
    assert computed[name, "narrow"] == expected


@pytest.mark.parametrize("name", POLICIES)
def test_broad_roles_when_computed_then_readiness_misses_nothing(computed: Computed, name: str) -> None:
    """And each is granted under its own id."""
    judged = judge_readiness(parse_policy(json.dumps(POLICIES[name])), computed[name, "broad"])
    assert (judged.missing, judged.advised) == ((), ())
    assert all(BY_NAME[role].id == id_ for role, id_ in computed[name, "broad"].items())


@pytest.mark.parametrize("set_", ["narrow", "broad"])
@pytest.mark.parametrize("name", POLICIES)
def test_roles_when_computed_then_none_is_unused(computed: Computed, name: str, set_: str) -> None:
    """None could be taken away."""
    assert judge_readiness(parse_policy(json.dumps(POLICIES[name])), computed[name, set_]).unused == ()


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if variant.entry == "main"])
def test_grants_when_deployed_then_they_are_the_roles_that_the_output_names(snapshots: Snapshots, name: str) -> None:
    """Each once, to the app's identity, by Microsoft Graph; none where the grant is left out, but they are named."""
    snapshot, variant = snapshots.of(name), VARIANTS[name]
    named = {role["name"]: role["id"] for role in snapshot.outputs["MFA_RESET_GRAPH_ROLES"]}
    granted = [one["properties"] for one in snapshot.of(GRANT)]
    wanted = named.values() if variant.parameters.get("grantGraphPermissions", True) else ()
    assert sorted(one["appRoleId"] for one in granted) == sorted(wanted)
    assert {(one["principalId"], one["resourceId"]) for one in granted} <= {(PRINCIPAL, GRAPH)}
    if "graphPermissionSet" not in variant.parameters:
        judged = judge_readiness(policy_in_force(snapshot), ())
        assert named.keys() == {*judged.missing, *judged.advised}


def test_grants_when_the_cloud_is_another_then_none_is_made_by_an_id_that_is_not_its(
    bicep: Bicep, tmp_path: Path
) -> None:
    """Ids differ there; whoever deploys is told what to do instead, and nothing is deployed."""
    variant = Variant({"graphUrl": "https://microsoftgraph.chinacloudapi.cn"})
    with pytest.raises(BicepError, match="grantGraphPermissions=false, and grant them by name"):
        Snapshots(bicep, tmp_path).make("china", variant)


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if variant.entry != "main"])
def test_grants_when_deployed_from_the_portal_then_there_are_none(snapshots: Snapshots, name: str) -> None:
    """That template cannot hold any."""
    assert not [one for one in snapshots.of(name).resources if one["type"].startswith("Microsoft.Graph/")]


@pytest.mark.parametrize(
    ("policy", "word"),
    [
        (with_profile(["phon"]), "phon"),
        (with_profile("some"), "some"),
        (with_profile("none", "disableAcount"), "disableAcount"),
        (with_profile("none", "revokeSessions", instead=["disableAcount"]), "disableAcount"),
    ],
    ids=["type", "word", "step", "instead"],
)
def test_policy_when_it_names_what_is_unknown_then_it_is_not_deployed(
    bicep: Bicep, tmp_path: Path, policy: Document, word: str
) -> None:
    """Else a right would silently be missing."""
    with pytest.raises(BicepError, match=f"'{word}'"):
        Snapshots(bicep, tmp_path).make("unknown", Variant(policy=policy))


@pytest.mark.parametrize("name", ["breakglass@contoso.example", ""])
@pytest.mark.parametrize("parameter", ["neverUsers", "neverGroups"])
def test_never_when_it_holds_no_object_id_then_it_is_not_deployed(
    bicep: Bicep, tmp_path: Path, parameter: str, name: str
) -> None:
    """Else the app would refuse to start, with everything granted."""
    file = tmp_path / "main.bicepparam"
    file.write_text(write_parameters(tmp_path, Variant({parameter: [name]})))
    assert [(one.code, one.level) for one in bicep.diagnose(file)] == [("BCP333", "Error")]
