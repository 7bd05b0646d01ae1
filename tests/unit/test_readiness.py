"""What a policy needs of our identity, judged by the app roles that its token holds."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue import BROAD_READ_ROLE, BROAD_WRITE_ROLE, BY_TYPE, EVERYTHING, REREGISTER
from shared.permissions import APP_ROLES, BY_NAME, FACT_NEEDS, STEP_NEEDS, Fact, Need
from shared.policy import GUID, Policy
from shared.readiness import INSTEAD, NOTE, judge_readiness, readiness_document
from shared.vocabulary import MethodType, StepName
from tests.builders import APPLICATION, STEPS, a_policy

PHONE_ROLE = "UserAuthMethod-Phone.ReadWrite.All"
EVERY_ROLE = frozenset(BY_NAME)
# Roles that a token may hold: ours, those that would do instead, and some that have nothing to do with us.
BROADER = {role for needs in (*FACT_NEEDS.values(), *STEP_NEEDS.values()) for need in needs for role in need.instead}
TOKENS = sorted(EVERY_ROLE | BROADER | {"Mail.Read", "Sites.Read.All"})
few = st.frozensets(st.sampled_from(TOKENS), max_size=3)
grants = st.frozensets(st.sampled_from(TOKENS)) | few.map(lambda taken: EVERY_ROLE - taken)  # a little, or nearly all


def a_profile(*steps: str, methods: str | list[str] = "none", **more: object) -> dict[str, object]:
    """Write a profile that starts."""
    return {"methods": methods, "steps": list(steps), "registrationWindow": "accepted", **more}


def a_policy_of(instead: Iterable[str] = (), mode: str = "enforce", **profiles: dict[str, object]) -> Policy:
    """Make a policy of these profiles, which a named application may ask for."""
    return a_policy(
        mode=mode,
        profiles=profiles,
        defaultProfiles={"request": next(iter(profiles)), "alert": next(iter(profiles))},
        callers={APPLICATION: list(profiles)},
        privileged={"instead": list(instead)},
    )


safe_steps = [str(step) for step in STEPS if step.name not in {StepName.TEMPORARY_ACCESS_PASS, StepName.ENABLE_ACCOUNT}]
any_profile = st.builds(
    lambda methods, steps, allow: a_profile(*steps, methods=methods, **({"privileged": "allow"} if allow else {})),
    st.sampled_from(["reregister", "all", "none"])
    | st.lists(st.sampled_from([each.value for each in MethodType]), min_size=1, max_size=5, unique=True),
    st.lists(st.sampled_from([str(step) for step in STEPS]), min_size=1, max_size=5, unique=True),
    st.booleans(),
)
policies = st.builds(
    lambda profiles, instead, mode: a_policy_of(instead, mode, **profiles),
    st.dictionaries(st.sampled_from(["one", "two", "three"]), any_profile, min_size=1),
    st.lists(st.sampled_from(safe_steps), max_size=3, unique=True),
    st.sampled_from(["enforce", "observe"]),
)


def document_of(policy: Policy, granted: Iterable[str]) -> Any:  # noqa: ANN401 - JSON
    """Judge, and read the answer as a monitor does."""
    return json.loads(json.dumps(readiness_document(judge_readiness(policy, frozenset(granted)))))


# --- Any policy, any token --------------------------------------------------------------------------------------


@given(policies)
def test_readiness_when_every_role_is_granted_then_every_policy_is_ready(policy: Policy) -> None:
    """The table knows a role for everything that a policy can ask for."""
    found = judge_readiness(policy, EVERY_ROLE)
    assert (found.ready, found.missing, found.advised) == (True, (), ())
    assert all(one.can_list and one.can_remove for one in found.method_types)


@given(policies, grants)
def test_readiness_when_what_is_missing_is_granted_then_it_is_ready(policy: Policy, granted: frozenset[str]) -> None:
    """An operator who does what it says is done, and need not ask twice."""
    before = judge_readiness(policy, granted)
    after = judge_readiness(policy, granted | set(before.missing))
    assert after.ready
    assert judge_readiness(policy, granted | {*before.missing, *before.advised}).advised == ()
    for role in before.missing:  # and each of them is missing, not merely named
        assert role in judge_readiness(policy, granted | (set(before.missing) - {role} - BROADER)).missing


@given(policies, grants, grants)
def test_readiness_when_more_is_granted_then_nothing_is_worse(
    policy: Policy, granted: frozenset[str], more: frozenset[str]
) -> None:
    """Rights add up."""
    less, more_of_it = judge_readiness(policy, granted), judge_readiness(policy, granted | more)
    assert less.ready <= more_of_it.ready
    assert set(more_of_it.missing) <= set(less.missing)
    assert set(more_of_it.advised) <= set(less.advised)
    assert less.lists_every_type <= more_of_it.lists_every_type
    assert less.can_change_default_method <= more_of_it.can_change_default_method
    for one, same in zip(less.method_types, more_of_it.method_types, strict=True):
        assert one.can_list <= same.can_list
        assert one.can_remove <= same.can_remove
        assert set(same.missing) <= set(one.missing)
    for step, later in zip(less.steps, more_of_it.steps, strict=True):
        assert set(later.missing) <= set(step.missing)
    for fact, known in zip(less.facts, more_of_it.facts, strict=True):
        assert set(known.missing) <= set(fact.missing)


@given(policies, grants)
def test_readiness_when_something_is_missing_then_it_is_named_where_it_is_needed(
    policy: Policy, granted: frozenset[str]
) -> None:
    """Every role named is in the table and not granted, and the parts are the whole."""
    found = judge_readiness(policy, granted)
    parts = [one.missing for one in found.method_types] + [one.missing for one in found.steps]
    parts += [one.missing for one in found.facts if one.required]
    assert set(found.missing) == {role for part in parts for role in part}
    assert set(found.missing) | set(found.advised) <= EVERY_ROLE - granted
    assert all(one.missing == () for one in found.method_types if one.can_list and one.can_remove)
    assert all(one.missing for one in found.method_types if not (one.can_list and one.can_remove))


@given(policies, grants)
def test_readiness_when_the_unused_are_taken_away_then_nothing_else_changes(
    policy: Policy, granted: frozenset[str]
) -> None:
    """All of them together; and then there is none left."""
    before = document_of(policy, granted)
    after = document_of(policy, granted - set(before["unused"]))
    if not any(profile.removes_methods for profile in policy.profiles.values()):
        # Nothing is removed, so that these two rights change nothing that the policy does.
        for document in (before, after):
            del document["listsEveryType"], document["canChangeDefaultMethod"]
    assert set(before.pop("unused")) <= granted
    assert after.pop("unused") == []
    assert after == before


@given(policies, grants)
def test_readiness_document_of_any_then_it_has_the_same_fields_and_no_id(
    policy: Policy, granted: frozenset[str]
) -> None:
    """A monitor can rely on them, and the containment group is not named."""
    document = document_of(policy, granted)
    assert list(document) == [
        "ready",
        "mode",
        "missing",
        "advised",
        "methodTypes",
        "steps",
        "facts",
        "listsEveryType",
        "canChangeDefaultMethod",
        "unused",
        "never",
        "note",
    ]
    assert all(list(one) == ["type", "profiles", "canList", "canRemove", "missing"] for one in document["methodTypes"])
    assert all(list(one) == ["step", "profiles", "canTake", "missing", "alsoNeeds"] for one in document["steps"])
    assert all(list(one) == ["fact", "canRead", "required", "missing"] for one in document["facts"])
    assert document["note"] == (None if document["ready"] else NOTE)
    assert not GUID.search(json.dumps(document))


# --- What each part says ----------------------------------------------------------------------------------------


def test_readiness_when_nothing_is_granted_then_the_default_policy_names_the_shortest_list() -> None:
    """Each the narrowest role that will do; the broad ones are never asked for."""
    found = document_of(a_policy(), ())
    assert set(found["missing"]) == {
        *(BY_TYPE[type_].narrow_role for type_ in EVERYTHING),
        "User.Read.All",
        "User.RevokeSessions.All",
        "User.EnableDisableAccount.All",
        "GroupMember.Read.All",
        "RoleManagement.Read.Directory",
        "PrivilegedEligibilitySchedule.Read.AzureADGroup",
    }
    assert found["missing"] == [role.name for role in APP_ROLES if role.name in found["missing"]]
    assert found["advised"] == [BROAD_READ_ROLE, "Domain.Read.All"]
    assert (found["ready"], found["listsEveryType"], found["canChangeDefaultMethod"]) == (False, False, False)


def test_readiness_when_profiles_differ_then_each_type_names_those_that_remove_it() -> None:
    """The button's four types are both profiles'; the rest go with `all` only."""
    types = {one["type"]: one["profiles"] for one in document_of(a_policy(), ())["methodTypes"]}
    assert types == {
        type_.value: ["reregister", "compromised"] if type_ in REREGISTER else ["compromised"] for type_ in MethodType
    }


def test_readiness_when_no_profile_removes_a_type_then_it_is_not_named() -> None:
    """What the policy does not do needs no right."""
    policy = a_policy_of(a=a_profile(methods=["phone", "email"]), b=a_profile("revokeSessions"))
    assert {one["type"]: one["profiles"] for one in document_of(policy, ())["methodTypes"]} == {
        "email": ["a"],
        "phone": ["a"],
    }


@pytest.mark.parametrize(
    ("granted", "can_list", "can_remove", "lists_every_type", "can_change_default"),
    [
        ((), False, False, False, False),
        (("UserAuthMethod-Email.ReadWrite.All",), False, False, False, False),
        ((BROAD_READ_ROLE,), True, False, True, False),
        ((PHONE_ROLE,), True, True, False, False),
        ((BROAD_WRITE_ROLE,), True, True, True, True),
    ],
)
def test_readiness_of_a_type_when_roles_differ_then_it_can_be_listed_or_removed_too(
    granted: tuple[str, ...], can_list: bool, can_remove: bool, lists_every_type: bool, can_change_default: bool
) -> None:
    """The broad role that reads lists every type and removes none; only the one that writes changes the default."""
    found = document_of(a_policy_of(a=a_profile(methods=["phone"])), granted)
    (phone,) = found["methodTypes"]
    missing = [] if can_remove else [PHONE_ROLE]
    assert (phone["canList"], phone["canRemove"], phone["missing"]) == (can_list, can_remove, missing)
    assert (found["listsEveryType"], found["canChangeDefaultMethod"]) == (lists_every_type, can_change_default)


def test_readiness_when_steps_are_taken_instead_then_they_are_named_among_the_profiles() -> None:
    """In the safe order, and with what no token shows."""
    policy = a_policy_of(
        ["revokeSessions", "confirmCompromised"],
        one=a_profile("resetPassword", "revokeSessions"),
        two=a_profile("disableAccount"),
    )
    steps = document_of(policy, ["User.RevokeSessions.All"])["steps"]
    assert [(one["step"], one["profiles"], one["canTake"]) for one in steps] == [
        ("disableAccount", ["two"], False),
        ("revokeSessions", ["one", INSTEAD], True),
        ("confirmCompromised", [INSTEAD], False),
        ("resetPassword", ["one"], False),
    ]
    assert [one["missing"] for one in steps] == [
        ["User.Read.All", "User.EnableDisableAccount.All"],
        [],
        ["IdentityRiskyUser.ReadWrite.All"],
        ["User-PasswordProfile.ReadWrite.All"],
    ]
    administrator = "Privileged Authentication Administrator"
    assert [one["alsoNeeds"] for one in steps] == [
        f"the directory role {administrator}, for an administrator; no token shows it",
        None,
        "the licence Microsoft Entra ID P2; no token shows it",
        f"the directory role User Administrator ({administrator} for an administrator); no token shows it",
    ]


def test_readiness_when_every_profile_may_reset_administrators_then_nothing_is_done_instead() -> None:
    """A step that is never taken needs no right."""
    allowed = a_profile("revokeSessions", privileged="allow")
    assert [one["step"] for one in document_of(a_policy_of(["confirmCompromised"], a=allowed), ())["steps"]] == [
        "revokeSessions"
    ]
    mixed = a_policy_of(["confirmCompromised"], a=allowed, b=a_profile("revokeSessions"))
    assert [one["step"] for one in document_of(mixed, ())["steps"]] == ["revokeSessions", "confirmCompromised"]


@pytest.mark.parametrize(
    ("steps", "instead", "required"),
    [(["revokeSessions"], [], False), (["resetPassword"], [], True), (["revokeSessions"], ["resetPassword"], True)],
)
def test_readiness_when_a_password_is_reset_then_the_domain_has_to_be_read(
    steps: list[str], instead: list[str], required: bool
) -> None:
    """Else it is advised only; the other facts are the guard's, whatever the policy."""
    granted = EVERY_ROLE - {"Domain.Read.All"}
    found = document_of(a_policy_of(instead, a=a_profile(*steps)), granted)
    facts = {one["fact"]: (one["required"], one["canRead"]) for one in found["facts"]}
    assert facts == {fact.value: (True, True) for fact in Fact} | {"federatedSignIn": (required, False)}
    assert found["ready"] is not required
    assert (found["missing"], found["advised"]) == (
        (["Domain.Read.All"], []) if required else ([], ["Domain.Read.All"])
    )


@pytest.mark.parametrize(
    "change",
    [
        {"guests": "refuse"},
        {"never": {"users": [APPLICATION], "groups": []}},
        {"privileged": {"roles": [], "groups": "none"}},
        {"mode": "observe"},
    ],
)
def test_readiness_when_the_policy_looks_at_less_then_the_same_facts_are_read(change: dict[str, object]) -> None:
    """The guard reads all of them always; and observing prepares for enforcing."""
    usual = document_of(a_policy(privileged={"instead": []}), ())
    other = document_of(a_policy(**({"privileged": {"instead": []}} | change)), ())
    assert other["facts"] == usual["facts"]
    assert other["missing"] == usual["missing"]


def test_readiness_when_more_is_granted_than_needed_then_it_is_unused_wherever_it_comes_from() -> None:
    """Roles of no table too: what nobody needed to grant is the most worth seeing."""
    granted = EVERY_ROLE | {"Directory.Read.All", "Mail.ReadWrite"}
    policy = a_policy_of(a=a_profile("revokeSessions", methods=["phone"]))
    unused = document_of(policy, granted)["unused"]
    assert unused == sorted(unused)
    assert granted - set(unused) == {
        PHONE_ROLE,
        BROAD_READ_ROLE,
        BROAD_WRITE_ROLE,
        "User.Read.All",
        "User.RevokeSessions.All",
        "GroupMember.Read.All",
        "RoleManagement.Read.Directory",
        "PrivilegedEligibilitySchedule.Read.AzureADGroup",
        "Domain.Read.All",
    }


def test_readiness_when_no_method_is_removed_then_the_broad_roles_are_unused() -> None:
    """Neither every type need be listed nor the default changed."""
    unused = document_of(a_policy_of(a=a_profile("revokeSessions")), EVERY_ROLE)["unused"]
    assert {BROAD_READ_ROLE, BROAD_WRITE_ROLE} <= set(unused)
    found = document_of(a_policy_of(a=a_profile("revokeSessions")), ())
    assert BROAD_READ_ROLE not in found["missing"] + found["advised"]


def test_need_when_a_broader_role_is_granted_too_then_the_narrowest_meets_it() -> None:
    """It is the one to keep."""
    need = Need("Narrow", ("Broad", "Broader"))
    assert need.met_by({"Broader", "Broad", "Narrow"}) == "Narrow"
    assert need.met_by(["Broader", "Broad"]) == "Broad"
    assert need.met_by(()) is None
    assert [need.is_met(granted) for granted in ({"Broader"}, set(), {"narrow"})] == [True, False, False]
