"""The table of app roles, and the page that is written from it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.catalogue import BY_TYPE, KINDS
from shared.permissions import (
    APP_ROLES,
    BY_NAME,
    CHANGE_DEFAULT,
    DIRECTORY_ROLE_IDS,
    DIRECTORY_ROLES,
    FACT_NEEDS,
    LICENCES,
    LIST_EVERY_TYPE,
    STEP_NEEDS,
    Fact,
    Need,
    Tier,
    listing_needs,
    missing_roles,
    removal_needs,
)
from shared.permissions_page import write_page
from shared.policy import GUID, Policy, parse_policy
from shared.readiness import judge_readiness
from shared.vocabulary import MethodType, StepName
from tests.builders import APPLICATION, a_policy

ROOT = Path(__file__).parents[2]
POLICY_FILE = ROOT / "infra" / "policy.json"
PAGE_FILE = ROOT / "docs" / "permissions.md"


@pytest.fixture
def deployed() -> Policy:
    """Read the policy that is deployed."""
    return parse_policy(POLICY_FILE.read_text())


def every_need() -> list[Need]:
    """Collect what anything of ours needs."""
    by_type = [need for type_ in MethodType for need in (*listing_needs(type_), *removal_needs(type_))]
    by_name = [need for needs in (*FACT_NEEDS.values(), *STEP_NEEDS.values()) for need in needs]
    return [*by_type, *by_name, *LIST_EVERY_TYPE, *CHANGE_DEFAULT]


def rows_of(page: str) -> list[list[str]]:
    """Read every row of every table: the cells."""
    return [line[2:-2].split(" | ") for line in page.splitlines() if line.startswith("| `")]


# --- The table --------------------------------------------------------------------------------------------------


def test_app_roles_when_looked_at_then_each_stands_once_with_an_id_of_its_own() -> None:
    """Names and ids are what an operator grants by."""
    assert len(BY_NAME) == len({role.id for role in APP_ROLES}) == len(APP_ROLES)
    assert all(GUID.fullmatch(role.id) and role.id == role.id.lower() for role in APP_ROLES)
    assert all(role.allows and not role.allows.endswith(".") for role in APP_ROLES)


def test_app_roles_when_compared_with_what_is_needed_then_none_is_missing_and_none_too_many() -> None:
    """Everything has a need, and each need a role that can be granted by its id."""
    assert {need.role for need in every_need()} == BY_NAME.keys()
    assert FACT_NEEDS.keys() == set(Fact)
    assert STEP_NEEDS.keys() == set(StepName)
    assert all(need.role not in need.instead for need in every_need())


def test_tiers_when_a_role_can_only_read_then_it_says_so() -> None:
    """Microsoft names it `.Read.`; whatever writes is of a higher tier."""
    for role in APP_ROLES:
        assert (role.tier is Tier.READ) is bool(re.search(r"\.Read\.", role.name)), role.name


def test_tiers_when_a_role_can_register_a_way_to_sign_in_then_it_is_of_the_highest() -> None:
    """Microsoft documents no call that registers the others; an external one is of the tenant's own provider."""
    lower = {kind.type for kind in KINDS if BY_NAME[kind.narrow_role].tier is not Tier.CONTROL}
    assert lower == {
        MethodType.MICROSOFT_AUTHENTICATOR,
        MethodType.SOFTWARE_OATH,
        MethodType.WINDOWS_HELLO,
        MethodType.PLATFORM_CREDENTIAL,
        MethodType.EXTERNAL,
    }


def test_directory_roles_when_named_then_their_ids_are_known() -> None:
    """What a text names can be assigned."""
    assert all(any(name in text for name in DIRECTORY_ROLE_IDS) for text in DIRECTORY_ROLES.values())
    assert all(GUID.fullmatch(id_) for id_ in DIRECTORY_ROLE_IDS.values())


@pytest.mark.parametrize("type_", list(MethodType))
def test_missing_roles_of_a_type_when_nothing_is_granted_then_its_own_role_is_named(type_: MethodType) -> None:
    """The narrowest that will do, whatever broad one would do too."""
    for needs in (listing_needs(type_), removal_needs(type_)):
        assert missing_roles(needs, ()) == (BY_TYPE[type_].narrow_role,)
        assert missing_roles(needs, {BY_TYPE[type_].narrow_role}) == ()
        assert missing_roles(needs, {"UserAuthenticationMethod.ReadWrite.All"}) == ()
    assert missing_roles(removal_needs(type_), {"UserAuthenticationMethod.Read.All"}) != ()


# --- The page ---------------------------------------------------------------------------------------------------


def test_page_when_written_then_it_is_the_file(deployed: Policy) -> None:
    """Else `make docs` has to be run."""
    assert PAGE_FILE.read_text() == write_page(deployed)


def test_page_when_written_by_the_command_then_it_is_the_same(deployed: Policy) -> None:
    """As `make docs` does it."""
    command = [sys.executable, "-W", "error", "-m", "shared.permissions_page", str(POLICY_FILE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own interpreter and code
    assert done.stdout == write_page(deployed)
    makefile = (ROOT / "Makefile").read_text()
    assert "-m shared.permissions_page infra/policy.json >docs/.new" in makefile


def test_page_when_read_then_every_role_has_its_row_with_id_and_tier(deployed: Policy) -> None:
    """And every type, step and fact stands where its role does."""
    rows = {cells[0]: cells[1:] for cells in rows_of(write_page(deployed)) if "<br>" in cells[0]}
    assert rows.keys() == {f"`{role.name}`<br>{role.id}" for role in APP_ROLES}
    for role in APP_ROLES:
        tier, allows, uses, _ = rows[f"`{role.name}`<br>{role.id}"]
        assert (tier, allows) == (role.tier[0], role.allows)
        assert uses
        for kind in KINDS:
            assert (f"`{kind.type}`" in uses.replace("step `", "")) is (kind.narrow_role == role.name), (
                f"{role.name} {kind.type}"
            )
        for step, needs in STEP_NEEDS.items():
            assert (f"step `{step}`" in uses) is any(need.role == role.name for need in needs)


def test_page_when_read_then_a_role_names_what_is_broader_and_what_is_narrower(deployed: Policy) -> None:
    """What only lists is not said to remove."""
    instead = {cells[0].split("`")[1]: cells[4] for cells in rows_of(write_page(deployed)) if "<br>" in cells[0]}
    assert instead["UserAuthMethod-Phone.ReadWrite.All"] == (
        "broader: `UserAuthenticationMethod.ReadWrite.All`<br>only to list: `UserAuthenticationMethod.Read.All`"
    )
    assert instead["UserAuthenticationMethod.ReadWrite.All"] == (
        "narrower: the role of each type, for that type, `UserAuthenticationMethod.Read.All`"
    )
    assert instead["GroupMember.ReadWrite.All"] == "broader: `Group.ReadWrite.All`"


def test_page_when_read_then_the_shortest_list_is_what_readiness_misses_without_any_grant(deployed: Policy) -> None:
    """With a column for each profile that needs it."""
    page = write_page(deployed)
    assert "| app role | tier | `reregister` | `compromised` |" in page
    head, _, rest = page.partition("## Narrow or broad")
    listed = {cells[0].strip("`"): cells for cells in rows_of(head)}
    assert tuple(listed) == judge_readiness(deployed, ()).missing
    assert listed["UserAuthMethod-Passkey.ReadWrite.All"][2:] == ["", "yes"]
    assert listed["User.RevokeSessions.All"][2:] == ["yes", "yes"]
    assert listed["User.Read.All"][2:] == ["yes", "yes"]
    for name in judge_readiness(deployed, ()).advised:
        assert f"- `{name}`: " in head
    for text in (*DIRECTORY_ROLES.values(), *DIRECTORY_ROLE_IDS.values(), *LICENCES.values()):
        assert text in rest


def test_page_when_a_step_is_taken_instead_then_every_profile_that_refuses_somebody_needs_its_role() -> None:
    """One that may reset administrators refuses none of them."""
    policy = a_policy(
        profiles={
            "usual": {"methods": "none", "steps": ["revokeSessions"]},
            "admins": {"methods": "none", "steps": ["revokeSessions"], "privileged": "allow"},
        },
        defaultProfiles={"request": "usual", "alert": "usual"},
        callers={APPLICATION: ["usual", "admins"]},
        privileged={"instead": ["confirmCompromised"]},
    )
    listed = {cells[0].strip("`"): cells[2:] for cells in rows_of(write_page(policy).partition("## Narrow")[0])}
    assert listed["IdentityRiskyUser.ReadWrite.All"] == ["yes", ""]
    assert listed["User.RevokeSessions.All"] == ["yes", "yes"]
