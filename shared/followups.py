"""What stays for people to do: what Microsoft Graph cannot do or what was left open, each with its place."""

from shared.model import Evidence, Reason, StepName, StepResult
from shared.policy import CLOSES_REGISTRATION_WINDOW, Profile

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


def name_follow_ups(evidence: Evidence, profile: Profile) -> tuple[Reason, ...]:
    """Name all that apply; app passwords always, for Graph does not even show whether there are any."""
    closed = {line.step for line in evidence.steps if line.result is StepResult.DONE} & CLOSES_REGISTRATION_WINDOW
    applying = {
        APP_PASSWORDS: True,
        REGISTRATION_OPEN: profile.removes_methods and not closed,
        ACCOUNT_DISABLED: StepName.DISABLE_ACCOUNT in closed,
        HOME_TENANT: evidence.user.is_guest,
    }
    return tuple(follow_up for follow_up, applies in applying.items() if applies)
