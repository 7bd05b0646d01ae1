"""The second policy that comes along: what it removes, and that its app roles take over nothing."""

import json

from shared.catalogue import BY_TYPE
from shared.model import Selection
from shared.permissions import BY_NAME, Tier
from shared.plan import make_scope
from shared.policy import Policy, parse_policy
from shared.readiness import judge_readiness
from tests.infra.compiler import INFRA


def read(name: str) -> Policy:
    """Read a policy as the app does."""
    return parse_policy((INFRA / name).read_text())


def tiers_of(policy: Policy) -> set[Tier]:
    """Collect the tiers of all that a policy asks for where nothing is granted yet, advice included."""
    judged = judge_readiness(policy, ())
    return {BY_NAME[role].tier for role in (*judged.missing, *judged.advised)}


def test_narrow_policy_when_judged_then_no_role_takes_over_accounts() -> None:
    """For neither of its profiles; the standard policy is another matter."""
    assert tiers_of(read("policy.narrow.json")) == {Tier.CHANGE, Tier.READ}
    assert Tier.CONTROL in tiers_of(read("policy.json"))


def test_narrow_policy_when_compromised_then_every_type_goes_that_such_roles_remove() -> None:
    """So that it leaves no more behind than it must."""
    policy = read("policy.narrow.json")
    removed = make_scope(policy.profiles[policy.default_profiles.alert], Selection()).removals
    assert set(removed) == {kind for kind, known in BY_TYPE.items() if BY_NAME[known.narrow_role].tier != Tier.CONTROL}


def test_narrow_policy_when_compared_then_only_its_methods_differ() -> None:
    """Names, steps, callers and guard are those of the standard policy: callers need not know which is in force."""
    standard, narrow = (json.loads((INFRA / name).read_text()) for name in ("policy.json", "policy.narrow.json"))
    assert narrow["profiles"].keys() == standard["profiles"].keys()
    for name, profile in standard["profiles"].items():
        assert {**narrow["profiles"][name], "methods": None} == {**profile, "methods": None}
    others = standard.keys() - {"profiles"}
    assert {key: narrow[key] for key in others} == {key: standard[key] for key in others}
