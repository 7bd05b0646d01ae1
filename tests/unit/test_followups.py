"""What stays for people to do."""

import itertools

import pytest

from shared.followups import (
    ACCOUNT_DISABLED,
    APP_PASSWORDS,
    HOME_TENANT,
    REGISTRATION_OPEN,
    name_follow_ups,
    name_follow_ups_of_refusal,
)
from shared.model import Reason, User
from shared.vocabulary import StepName, StepResult
from tests.builders import a_step, a_user, an_evidence

MEMBERS = [a_user(), a_user(user_type=None)]
GUESTS = [a_user(user_type="guest"), a_user(name="bob_fabrikam.example#EXT#@contoso.example")]


@pytest.mark.parametrize(
    ("methods_removed", "disabled"), [*itertools.product([True, False], [None, *StepResult])], ids=str
)
def test_follow_ups_when_named_then_the_window_is_open_unless_the_account_was_disabled(
    *, methods_removed: bool, disabled: StepResult | None
) -> None:
    """A step that closes the window and failed leaves it open; app passwords are always named."""
    steps = (a_step(StepName.DISABLE_ACCOUNT, disabled),) if disabled else ()
    named = name_follow_ups(an_evidence(steps=(a_step(), *steps)), methods_removed=methods_removed)
    expected = {APP_PASSWORDS}
    if disabled is StepResult.DONE:
        expected |= {ACCOUNT_DISABLED}
    elif methods_removed:
        expected |= {REGISTRATION_OPEN}
    assert set(named) == expected
    assert len(named) == len(expected)


@pytest.mark.parametrize("user", [*MEMBERS, *GUESTS], ids=lambda user: f"{user.user_type} {user.user_principal_name}")
def test_follow_ups_when_the_user_is_a_guest_then_the_home_tenant_is_named(user: User) -> None:
    """Nothing here reaches the tenant where a guest signs in."""
    named = name_follow_ups(an_evidence(user=user), methods_removed=True)
    assert (HOME_TENANT in named) is (user in GUESTS)


@pytest.mark.parametrize("result", list(StepResult))
def test_follow_ups_of_a_refusal_when_the_account_was_disabled_instead_then_it_is_named(result: StepResult) -> None:
    """Somebody has to enable it again."""
    evidence = an_evidence(steps=(a_step(), a_step(StepName.DISABLE_ACCOUNT, result)))
    assert name_follow_ups_of_refusal(evidence) == ((ACCOUNT_DISABLED,) if result is StepResult.DONE else ())


@pytest.mark.parametrize("follow_up", [APP_PASSWORDS, REGISTRATION_OPEN, ACCOUNT_DISABLED])
def test_follow_up_when_shown_then_it_names_the_exact_place(follow_up: Reason) -> None:
    """`Where > under what > which`."""
    assert "Entra admin center > " in follow_up.text
