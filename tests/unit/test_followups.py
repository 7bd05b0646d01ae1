"""What stays for people to do."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.followups import (
    ACCOUNT_DISABLED,
    APP_PASSWORDS,
    REGISTRATION_OPEN,
    UNKNOWN_TYPES,
    name_follow_ups,
    name_follow_ups_of_refusal,
)
from shared.model import Evidence, Reason, SignIn, StepLine, User
from shared.vocabulary import StepName, StepResult
from tests.builders import ALICE, NOW, a_step, a_user, an_evidence
from tests.strategies import evidences

MEMBERS = [a_user(), a_user(user_type=None)]
GUESTS = [a_user(user_type="guest"), a_user(name="bob_fabrikam.example#EXT#@contoso.example")]
LEFT_BEHIND = ["registeredDevices", "inboxRules", "oauthGrants"]
GROUP = "20000000-0000-4000-8000-0000000000cc"


def codes(evidence: Evidence, *, methods_removed: bool = True, against_an_intruder: bool = False) -> list[str]:
    """Name the follow-ups by their codes."""
    named = name_follow_ups(evidence, methods_removed=methods_removed, against_an_intruder=against_an_intruder)
    return [one.code for one in named]


@pytest.mark.parametrize(
    ("methods_removed", "disabled"), [*itertools.product([True, False], [None, *StepResult])], ids=str
)
def test_follow_ups_when_named_then_the_window_is_open_unless_the_account_was_disabled(
    *, methods_removed: bool, disabled: StepResult | None
) -> None:
    """A step that closes the window and failed leaves it open; app passwords are always named."""
    steps = (a_step(StepName.DISABLE_ACCOUNT, disabled),) if disabled else ()
    named = name_follow_ups(
        an_evidence(steps=(a_step(), *steps)), methods_removed=methods_removed, against_an_intruder=False
    )
    expected = {APP_PASSWORDS}
    if disabled is StepResult.DONE:
        expected |= {ACCOUNT_DISABLED}
    elif methods_removed:
        expected |= {REGISTRATION_OPEN}
    assert set(named) == expected
    assert len(named) == len(expected)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["resetPassword"], []),
        ([f"containmentGroup:{GROUP}"], []),
        (["disableAccount", "enableAccount"], ["registrationOpen"]),
        (["enableAccount"], ["registrationOpen"]),
        (["disableAccount", "resetPassword", "enableAccount"], []),
        (["revokeSessions", "confirmCompromised", "perUserMfa:enforced", "temporaryAccessPass"], ["registrationOpen"]),
    ],
)
def test_follow_ups_when_steps_are_done_then_the_window_is_closed_by_three_of_them(
    steps: list[str], expected: list[str]
) -> None:
    """An account that is enabled again is as open as it was, and not disabled any more."""
    assert codes(an_evidence(steps=tuple(a_step(each) for each in steps))) == ["appPasswords", *expected]


@pytest.mark.parametrize("enabled", [True, False, None])
@pytest.mark.parametrize("result", list(StepResult))
def test_follow_ups_when_the_account_was_to_be_enabled_and_was_not_then_the_place_is_named(
    result: StepResult, *, enabled: bool | None
) -> None:
    """Whoever disabled it: it is disabled still. One that was enabled all along is not."""
    evidence = an_evidence(steps=(StepLine("enableAccount", result, NOW),), user=a_user(account_enabled=enabled))
    expected = result is not StepResult.DONE and enabled is not True
    assert ("accountDisabled" in codes(evidence, methods_removed=False)) is expected


@pytest.mark.parametrize("user", [*MEMBERS, *GUESTS], ids=lambda user: f"{user.user_type} {user.user_principal_name}")
def test_follow_ups_when_the_user_is_a_guest_then_the_home_tenant_is_named(user: User) -> None:
    """Nothing here reaches the tenant where a guest signs in."""
    named = name_follow_ups(an_evidence(user=user), methods_removed=True, against_an_intruder=False)
    (told,) = [one.text for one in named if one.code == "homeTenant"] or [""]
    assert bool(told) is (user in GUESTS)
    assert ("(fabrikam.example)" in told) is user.is_external


@pytest.mark.parametrize("certificates", [True, False, None])
@pytest.mark.parametrize("federated", [True, False, None])
def test_follow_ups_when_there_are_other_ways_to_sign_in_then_each_is_named(
    certificates: bool | None, federated: bool | None
) -> None:
    """What could not be read is named as well, and said to be that."""
    evidence = an_evidence(sign_in=SignIn(certificates, federated))
    named = {one.code: one.text for one in name_follow_ups(evidence, methods_removed=False, against_an_intruder=False)}
    for code, fact in (("certificates", certificates), ("federatedSignIn", federated)):
        assert (code in named) is (fact is not False)
        assert named.get(code, "").startswith("It could not be read") is (fact is None)


def test_follow_ups_when_nothing_was_read_of_other_ways_then_none_is_made_up() -> None:
    """A request that failed before it came so far."""
    assert codes(an_evidence(sign_in=None), methods_removed=False) == ["appPasswords"]


def test_follow_ups_when_the_user_is_synchronised_then_the_password_on_premises_is_named() -> None:
    """It is kept there, whatever was done here."""
    synced = an_evidence(user=a_user(on_premises_synced=True), sign_in=SignIn(certificates=False, federated=False))
    assert codes(synced, methods_removed=False) == ["appPasswords", "onPremisesPassword"]


@pytest.mark.parametrize(("methods_removed", "listed"), list(itertools.product([True, False], [True, False])))
def test_follow_ups_when_only_known_types_could_be_listed_then_that_is_said(
    *, methods_removed: bool, listed: bool
) -> None:
    """A type that we do not know may be there; where nothing was to go it does not matter."""
    evidence = an_evidence(every_type_listed=listed)
    named = name_follow_ups(evidence, methods_removed=methods_removed, against_an_intruder=False)
    assert (UNKNOWN_TYPES in named) is (methods_removed and not listed)


def test_follow_ups_when_against_an_intruder_then_what_they_leave_behind_is_named_with_the_users_id() -> None:
    """Each with a command that can be pasted."""
    named = name_follow_ups(an_evidence(), methods_removed=False, against_an_intruder=True)
    assert [one.code for one in named] == ["appPasswords", *LEFT_BEHIND]
    assert all(ALICE in one.text for one in named[1:])


@given(evidences, st.booleans(), st.booleans())
def test_follow_ups_when_any_then_each_once_and_with_a_place_or_a_command(
    evidence: Evidence, methods_removed: bool, against_an_intruder: bool
) -> None:
    """App passwords are among them always."""
    named = name_follow_ups(evidence, methods_removed=methods_removed, against_an_intruder=against_an_intruder)
    assert APP_PASSWORDS in named
    assert len({one.code for one in named}) == len(named)
    places = ("Entra admin center > ", "Get-", "Active Directory", "home tenant", "identity provider")
    assert all(any(place in one.text for place in places) for one in named)


@pytest.mark.parametrize("result", list(StepResult))
def test_follow_ups_of_a_refusal_when_the_account_was_disabled_instead_then_it_is_named(result: StepResult) -> None:
    """Somebody has to enable it again."""
    evidence = an_evidence(steps=(a_step(), a_step(StepName.DISABLE_ACCOUNT, result)))
    assert name_follow_ups_of_refusal(evidence) == ((ACCOUNT_DISABLED,) if result is StepResult.DONE else ())


@pytest.mark.parametrize("follow_up", [APP_PASSWORDS, REGISTRATION_OPEN, ACCOUNT_DISABLED, UNKNOWN_TYPES])
def test_follow_up_when_shown_then_it_names_the_exact_place(follow_up: Reason) -> None:
    """`Where > under what > which`."""
    assert "Entra admin center > " in follow_up.text


def test_follow_ups_when_steps_were_not_done_then_they_do_not_count() -> None:
    """Whatever is not done closes nothing."""
    line = StepLine("resetPassword", StepResult.SKIPPED, NOW, "onPremisesPassword")
    assert "registrationOpen" in codes(an_evidence(steps=(line,)))
    assert "registrationOpen" not in codes(an_evidence(steps=(replace(line, result=StepResult.DONE),)))
