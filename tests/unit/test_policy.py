"""Policies: what is sound, and every problem of what is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import SettingsError
from shared.policy import Policy, parse_policy
from shared.vocabulary import FUNCTION_KEY, QUEUE, Caller, MethodType, ProfileName, Step, StepName

ROOT = Path(__file__).parents[2]
NAMED = "aaaaaaaa-0000-4000-8000-00000000000a"
GROUP = "20000000-0000-4000-8000-0000000000cc"
REREGISTER = {"methods": "reregister", "steps": ["revokeSessions"], "registrationWindow": "accepted"}
SOUND: dict[str, Any] = {"profiles": {"reregister": REREGISTER}, "callers": {"queue": ["reregister"]}}


def problems_of(policy: Any) -> str:  # noqa: ANN401 - JSON, sound or not
    """Return every problem of a policy that must not start, a line each."""
    with pytest.raises(SettingsError) as raised:
        parse_policy(policy if isinstance(policy, str) else json.dumps(policy))
    assert str(raised.value).startswith("mfa-reset cannot start:")
    return "\n".join(raised.value.problems)


def profile(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Build a policy whose one profile differs."""
    return SOUND | {"profiles": {"reregister": REREGISTER | changes}}


def test_policy_that_is_deployed_is_sound() -> None:
    """The default policy of the repository starts."""
    policy = parse_policy((ROOT / "infra" / "policy.json").read_text())
    assert policy.may_ask_for(QUEUE, ProfileName("compromised"))
    assert not policy.may_ask_for(Caller(NAMED), ProfileName("compromised"))
    assert policy.profiles[ProfileName("compromised")].steps == (
        Step(StepName.DISABLE_ACCOUNT),
        Step(StepName.REVOKE_SESSIONS),
    )
    assert policy.limits.cooldown.total_seconds() == 1800


def test_policy_with_the_least_takes_the_safe_defaults() -> None:
    """Nobody is left out of the guard because a part was not written."""
    policy = parse_policy(json.dumps(SOUND))
    assert (policy.mode, policy.guests) == ("enforce", "allow")
    assert (policy.privileged.roles, policy.privileged.groups, policy.privileged.instead) == ("any", "assignable", ())
    assert not policy.may_ask_for(FUNCTION_KEY, ProfileName("reregister"))


def test_policy_reads_object_ids_in_lower_case() -> None:
    """Entra's ids are compared in lower case."""
    callers = {NAMED.upper(): ["reregister"]}
    policy = parse_policy(json.dumps(SOUND | {"callers": callers, "never": {"users": [NAMED.upper()]}}))
    assert policy.may_ask_for(Caller(NAMED), ProfileName("reregister"))
    assert policy.never.users == (NAMED,)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("", "not JSON"),
        ("[]", "the policy"),
        ('{"a": 1, "a": 2}', "duplicate key"),
        ({}, "callers: it is missing"),
        (SOUND | {"callers": []}, "callers"),
        (SOUND | {"mood": 1}, "mood: there is no such key"),
        (SOUND | {"mode": "dream"}, "mode"),
        (SOUND | {"never": {"users": ["bob"]}}, "never.users.0: must be an object id"),
        (SOUND | {"never": {"groups": [7]}}, "never.groups.0: must be an object id"),
        (SOUND | {"limits": {"resetsPerHour": 0}}, "limits.resetsPerHour"),
        (SOUND | {"limits": {"cooldownMinutes": "30"}}, "limits.cooldownMinutes"),
        (SOUND | {"defaultProfiles": {"request": "other"}}, "defaultProfiles.request: there is no profile 'other'"),
        (SOUND | {"callers": {"queue": ["other", "reregister"]}}, "callers.queue: there is no profile 'other'"),
        (SOUND | {"callers": {"bob": ["reregister"]}}, "a caller is queue, functionKey or an object id"),
        (SOUND | {"callers": {"queue": []}}, "profiles.reregister: no caller may ask for it"),
        (SOUND | {"profiles": {"a b": REREGISTER}, "callers": {"queue": ["a b"]}}, "a name is 1 to 50 of"),
        (profile(methods="none", steps=[]), "it does nothing"),
        (profile(methods=["phone", "phone"]), "methods: one is named twice"),
        (profile(steps=["revokeSessions", "revokeSessions"]), "steps: one is named twice"),
        (profile(methods=["fax"]), "methods.0"),
        (profile(steps=["dance"]), "steps.0"),
        (profile(registrationWindow=None), "whoever knows the password can register first"),
        (profile(privileged="allow"), "only named Entra applications or principals may ask for it"),
    ],
)
def test_policy_with_a_problem_does_not_start(policy: Any, said: str) -> None:  # noqa: ANN401 - JSON, sound or not
    """Each problem is named by its path."""
    assert said in problems_of(policy)


@pytest.mark.parametrize(
    "step",
    [
        "confirmCompromised",
        f"containmentGroup:{GROUP}",
        "resetPassword",
        "perUserMfa:enforced",
        "perUserMfa:enabled",
    ],
)
def test_policy_with_any_step_of_the_contract_starts(step: str) -> None:
    """Each is read into what it is and what it is about, and written as it was."""
    (read,) = parse_policy(json.dumps(profile(steps=[step]))).profiles[ProfileName("reregister")].steps
    assert str(read) == step


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("containmentGroup", "must be containmentGroup:<object id of the group>"),
        ("containmentGroup:", "must be containmentGroup:<object id of the group>"),
        ("containmentGroup:Contained accounts", "must be containmentGroup:<object id of the group>"),
        ("perUserMfa", "must be perUserMfa:enforced or perUserMfa:enabled"),
        ("perUserMfa:disabled", "must be perUserMfa:enforced or perUserMfa:enabled"),
        ("disableAccount:now", "disableAccount takes nothing after a colon"),
        ("disableAccount:", "disableAccount takes nothing after a colon"),
        ("DisableAccount", "must be one of disableAccount, revokeSessions"),
        ("", "must be one of"),
        (7, "must be one of"),
        (None, "must be one of"),
    ],
)
def test_policy_with_a_step_that_is_none_does_not_start(step: object, said: str) -> None:
    """It says what would be one."""
    assert f"profiles.reregister.steps.0: {said}" in problems_of(profile(steps=[step]))


@pytest.mark.parametrize("step", ["temporaryAccessPass", "enableAccount"])
@pytest.mark.parametrize("caller", ["queue", "functionKey"])
def test_policy_that_lets_an_unnamed_caller_let_somebody_in_does_not_start(caller: str, step: str) -> None:
    """Whoever holds a key or may send to a queue would hold a way into every account."""
    said = problems_of(profile(steps=[step]) | {"callers": {caller: ["reregister"], NAMED: ["reregister"]}})
    assert said.startswith(f"MFA_RESET_POLICY: callers.{caller}: profile 'reregister' has {step}, so only named")
    named = parse_policy(json.dumps(profile(steps=[step]) | {"callers": {NAMED: ["reregister"]}}))
    assert named.may_ask_for(Caller(NAMED), ProfileName("reregister"))


def test_policy_whose_profile_is_dangerous_in_every_way_names_each() -> None:
    """One line a caller and profile."""
    both = profile(steps=["temporaryAccessPass", "enableAccount"], privileged="allow")
    assert "may reset administrators and has temporaryAccessPass and has enableAccount" in problems_of(both)


@pytest.mark.parametrize("step", ["temporaryAccessPass", "enableAccount"])
def test_policy_that_lets_somebody_in_instead_of_a_refused_reset_does_not_start(step: str) -> None:
    """An administrator whom nobody may reset is nobody to make a pass for."""
    said = problems_of(SOUND | {"privileged": {"instead": [step]}})
    assert f"privileged.instead: {step} would let somebody in" in said


@pytest.mark.parametrize(
    "policy",
    [
        profile(steps=[f"containmentGroup:{GROUP.upper()}"]) | {"never": {"groups": [GROUP]}},
        SOUND | {"never": {"groups": [GROUP]}, "privileged": {"instead": [f"containmentGroup:{GROUP}"]}},
    ],
)
def test_policy_that_contains_users_in_a_group_it_never_touches_does_not_start(policy: dict[str, Any]) -> None:
    """Whoever was contained once could never be reset again."""
    assert f"containmentGroup:{GROUP} is one of never.groups" in problems_of(policy)


def test_policy_with_two_states_of_per_user_mfa_does_not_start() -> None:
    """A user has one."""
    said = problems_of(profile(steps=["perUserMfa:enabled", "perUserMfa:enforced"]))
    assert "profiles.reregister.steps: perUserMfa has one state only" in said
    assert "named twice" not in said


@pytest.mark.parametrize("closing", ["disableAccount", "resetPassword", f"containmentGroup:{GROUP}"])
def test_policy_with_a_step_that_closes_the_registration_window_starts(closing: str) -> None:
    """Each of the three will do; but enabling the account again in the end opens what disabling it closed."""
    steps = [closing, "enableAccount"]
    named = {"callers": {NAMED: ["reregister"]}}
    closed = parse_policy(json.dumps(profile(registrationWindow=None, steps=[closing])))
    assert closed.profiles[ProfileName("reregister")].closing
    if closing == "disableAccount":
        assert "register first" in problems_of(profile(registrationWindow=None, steps=steps) | named)
    else:
        both = parse_policy(json.dumps(profile(registrationWindow=None, steps=steps) | named))
        assert both.profiles[ProfileName("reregister")].closing


@pytest.mark.parametrize(
    ("methods", "steps", "expected"),
    [
        ("all", [], True),
        ("reregister", ["revokeSessions"], False),
        ("reregister", ["resetPassword"], False),
        (["phone"], ["disableAccount"], True),
        ("none", ["confirmCompromised"], True),
        ("none", [f"containmentGroup:{GROUP}"], True),
    ],
)
def test_profile_when_it_acts_against_an_intruder_then_it_says_so(
    methods: object, steps: list[str], *, expected: bool
) -> None:
    """What an intruder leaves behind is named for these only."""
    policy = parse_policy(json.dumps(profile(methods=methods, steps=steps)))
    assert policy.profiles[ProfileName("reregister")].against_an_intruder is expected


def test_policy_when_a_profile_makes_passes_then_it_says_so() -> None:
    """The vault has to be there."""
    makes = profile(steps=["temporaryAccessPass"]) | {"callers": {NAMED: ["reregister"]}}
    assert parse_policy(json.dumps(makes)).makes_passes
    assert not parse_policy(json.dumps(SOUND)).makes_passes


def test_policy_with_broken_parts_names_what_is_wrong_with_the_others_together() -> None:
    """A profile that cannot be read hides no problem of another, and nothing is said of what names it."""
    written = SOUND | {
        "mood": 1,
        "defaultProfiles": {"request": "broken", "alert": "nowhere"},
        "profiles": {
            "reregister": REREGISTER | {"registrationWindow": None},
            "broken": {"methods": "x"},
            "admin": REREGISTER | {"privileged": "allow"},
        },
        "callers": {"queue": ["reregister", "broken", "admin", "nobody"]},
    }
    said = {line.partition(": ")[2] for line in problems_of(written).splitlines()}
    starts: tuple[str, ...] = (
        "mood",
        "profiles.broken.methods",
        "profiles.reregister: whoever",
        "callers.queue: there is no profile 'no",
    )
    starts += ("callers.queue: profile 'admin' may reset", "defaultProfiles.alert: there is no profile 'nowhere'")
    for start in starts:
        assert any(line.startswith(start) for line in said), start
    assert len(said) >= len(starts)


@pytest.mark.parametrize(
    "broken", [{"profiles": []}, {"callers": 7}, {"profiles": {"p": 1}}, {"callers": {"queue": 1}}]
)
def test_policy_without_readable_profiles_or_callers_names_these(broken: dict[str, Any]) -> None:
    """There is nothing to check together then."""
    assert problems_of(SOUND | broken)


def test_policy_with_two_states_of_per_user_mfa_instead_does_not_start() -> None:
    """There as well."""
    both = {"instead": ["perUserMfa:enabled", "perUserMfa:enforced"]}
    assert "privileged.instead: perUserMfa has one state only" in problems_of(SOUND | {"privileged": both})


def test_policy_with_many_problems_names_them_all() -> None:
    """An operator mends a policy in one go."""
    said = problems_of(SOUND | {"mood": 1, "never": {"users": ["x"]}, "limits": {"usersPerAlert": 501}})
    assert {line.split(": ")[1] for line in said.splitlines()} == {"mood", "never.users.0", "limits.usersPerAlert"}
    said = problems_of(profile(registrationWindow=None) | {"callers": {"bob": ["x"]}})
    assert len(said.splitlines()) == 4


@pytest.mark.parametrize("more", [{"steps": ["disableAccount"]}, {"methods": []}, {"methods": "none"}])
def test_policy_whose_window_is_closed_or_not_opened_starts(more: dict[str, Any]) -> None:
    """Disabling the account closes the window; a profile that removes nothing opens none."""
    policy = parse_policy(json.dumps(profile(registrationWindow=None, **more)))
    assert isinstance(policy, Policy)


def test_policy_lets_a_named_caller_reset_administrators() -> None:
    """What a queue may not have, an Entra application may."""
    policy = parse_policy(json.dumps(profile(privileged="allow") | {"callers": {NAMED: ["reregister"]}}))
    assert policy.profiles[ProfileName("reregister")].privileged == "allow"


def test_policy_of_two_profiles_with_problems_names_each_by_its_path() -> None:
    """Also where a profile is called like something of the library that reads the policy."""
    profiles = {"literal": {"methods": "x"}, "tuple1": {"methods": ["fax"]}, "function-x": {"steps": ["dance"]}}
    said = problems_of({"profiles": profiles, "callers": {}}).splitlines()
    assert {line.split(": ")[1] for line in said} == {
        "profiles.literal.methods",
        "profiles.tuple1.methods.0",
        "profiles.function-x.methods",
        "profiles.function-x.steps.0",
    }


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (
            SOUND | {"callers": {NAMED: ["reregister"], NAMED.upper(): []}},
            f"callers.{NAMED.upper()}: the same caller is named twice",
        ),
        (
            SOUND | {"privileged": {"instead": ["revokeSessions", "revokeSessions"]}},
            "privileged.instead: one is named twice",
        ),
        (SOUND | {"privileged": {"instead": ["dance"]}}, "privileged.instead.0: must be one of"),
        (SOUND | {"privileged": {"roles": ["Global Administrator"]}}, "privileged.roles.0: must be an object id"),
        (SOUND | {"privileged": {"groups": "all"}}, "privileged.groups"),
        (SOUND | {"guests": "ask"}, "guests"),
        (SOUND | {"profiles": {}}, "profiles"),
        (SOUND | {"defaultProfiles": {"alert": 1}}, "defaultProfiles.alert"),
        (SOUND | {"intake": {"domains": {"CONTOSO": 1}}}, "intake.domains.CONTOSO"),
        (profile(selective="yes"), "profiles.reregister.selective"),
        (profile(privileged="deny"), "profiles.reregister.privileged"),
        (profile(colour="red"), "profiles.reregister.colour: there is no such key"),
    ],
)
def test_policy_with_a_rarer_problem_does_not_start(policy: Any, said: str) -> None:  # noqa: ANN401 - JSON, sound or not
    """Each is named by its path."""
    assert said in problems_of(policy)


@pytest.mark.parametrize("callers", [{"queue": ["reregister"]}, {"functionKey": ["reregister"]}])
def test_policy_that_lets_an_unnamed_caller_reset_administrators_does_not_start(callers: dict[str, Any]) -> None:
    """A queue and a key are shared, so neither says who asks."""
    (caller,) = callers
    assert f"callers.{caller}: profile 'reregister' may reset administrators" in problems_of(
        profile(privileged="allow") | {"callers": callers}
    )


@pytest.mark.parametrize("methods", ["reregister", "all", ["phone"], ["fido2", "external"]])
def test_policy_when_a_profile_removes_methods_then_the_registration_window_must_be_closed_or_accepted(
    methods: Any,  # noqa: ANN401 - JSON
) -> None:
    """Revoking sessions closes it for nobody who knows the password."""
    said = problems_of(profile(methods=methods, registrationWindow=None))
    assert said.startswith("MFA_RESET_POLICY: profiles.reregister: whoever knows the password")


def test_policy_with_the_least_has_the_limits_of_the_contract_and_no_selective_profile() -> None:
    """What nobody wrote is what product.md 2 says."""
    policy = parse_policy(json.dumps(SOUND))
    limits = policy.limits
    assert (limits.resets_per_hour, limits.privileged_per_hour) == (100, 10)
    assert (limits.users_per_alert, limits.cooldown_minutes) == (20, 30)
    assert (policy.default_profiles.request, policy.default_profiles.alert) == ("reregister", "compromised")
    assert (policy.intake.defender_roles, policy.intake.mappings, policy.intake.domains) == (("compromised",), (), {})
    only = policy.profiles[ProfileName("reregister")]
    assert (only.selective, only.privileged) == (False, None)
    assert parse_policy(json.dumps(profile(selective=True))).profiles[ProfileName("reregister")].selective


@pytest.mark.parametrize(
    ("limit", "least", "most"),
    [
        ("resetsPerHour", 1, 100_000),
        ("privilegedPerHour", 1, 100_000),
        ("usersPerAlert", 1, 500),
        ("cooldownMinutes", 0, 24 * 60),
    ],
)
def test_policy_when_a_limit_is_at_its_edge_then_it_is_taken_and_beyond_it_refused(
    limit: str, least: int, most: int
) -> None:
    """Both edges count."""
    for edge in (least, most):
        assert parse_policy(json.dumps(SOUND | {"limits": {limit: edge}})).limits.model_dump()[limit] == edge
    for beyond in (least - 1, most + 1):
        assert f"limits.{limit}" in problems_of(SOUND | {"limits": {limit: beyond}})


def test_policy_when_read_then_its_words_are_enums_and_it_cannot_be_changed() -> None:
    """Whoever matches on them finds what the type says."""
    policy = parse_policy(json.dumps(profile(methods=["phone"])))
    only = policy.profiles[ProfileName("reregister")]
    assert isinstance(only.methods[0], MethodType)
    assert isinstance(only.steps[0].name, StepName)
    with pytest.raises(ValidationError, match="frozen"):
        policy.mode = "observe"  # type: ignore[misc] # that is the point


def test_policy_when_a_name_is_endless_then_what_is_said_of_it_is_short() -> None:
    """A log line stays one that can be read."""
    endless = "x" * 10_000
    said = problems_of(
        SOUND | {"profiles": {endless: {"methods": "all"}}, "callers": {endless: [endless, "y" * 9_999]}}
    )
    assert max(len(line) for line in said.splitlines()) < 300
