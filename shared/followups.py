"""What stays for people to do: what Microsoft Graph cannot do or what was left open, each with its place."""

from shared.model import Evidence, Reason
from shared.policy import CLOSES_REGISTRATION_WINDOW
from shared.vocabulary import StepName, StepResult

APP_PASSWORDS = Reason(
    "appPasswords",
    "No Graph call deletes app passwords, and they survive a password reset: Entra admin center > Users > Per-user MFA "
    "> the user > User MFA settings > Delete all existing app passwords (a Global Administrator).",
)
REGISTRATION_OPEN = Reason(
    "registrationOpen",
    "Until the user registers again, whoever knows the password can register first: Entra admin center > Users > the "
    "user > Reset password, or Authentication methods > Add > Temporary Access Pass.",
)
ACCOUNT_DISABLED = Reason(
    "accountDisabled",
    "The account stays disabled until somebody enables it: Entra admin center > Users > the user > Edit > Settings > "
    "Account enabled.",
)
HOME_TENANT = Reason(
    "homeTenant",
    "A guest signs in with their home tenant: its administrators have to reset methods and revoke sessions there.",
)


def name_follow_ups(evidence: Evidence, *, methods_removed: bool) -> tuple[Reason, ...]:
    """Name all that apply; app passwords always, for Graph does not even show whether there are any.

    `methods_removed`: whether methods went, or were to go, so that there is something to register again.
    """
    done = _steps_done(evidence)
    applying = {
        APP_PASSWORDS: True,
        REGISTRATION_OPEN: methods_removed and not done & CLOSES_REGISTRATION_WINDOW,
        ACCOUNT_DISABLED: StepName.DISABLE_ACCOUNT in done,
        HOME_TENANT: evidence.user.is_guest,
    }
    return tuple(follow_up for follow_up, applies in applying.items() if applies)


def name_follow_ups_of_refusal(evidence: Evidence) -> tuple[Reason, ...]:
    """Name what the steps that were done instead of a reset leave to do."""
    return (ACCOUNT_DISABLED,) if StepName.DISABLE_ACCOUNT in _steps_done(evidence) else ()


def _steps_done(evidence: Evidence) -> set[str]:
    return {line.step for line in evidence.steps if line.result is StepResult.DONE}
