"""What stays for people to do: what Microsoft Graph cannot do or what was left open, each with its place or command."""

from collections.abc import Iterable

from shared.model import Evidence, Reason, User
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
UNKNOWN_TYPES = Reason(
    "unknownTypesNotListed",
    "Our identity may list only the types of method that we know, each by its own app role, so one of a new type would "
    "go unseen: look at Entra admin center > Users > the user > Authentication methods, or grant the app role "
    "UserAuthenticationMethod.Read.All.",
)


def name_follow_ups(evidence: Evidence, *, methods_removed: bool, against_an_intruder: bool) -> tuple[Reason, ...]:
    """Name all that apply; app passwords always, for Graph does not even show whether there are any.

    `methods_removed`: whether methods went, or were to go, so that there is something to register again.
    `against_an_intruder`: whether the account was taken over, so that what an intruder leaves behind is to be sought.
    """
    done = _steps_done(evidence)
    user = evidence.user
    disabled = StepName.ENABLE_ACCOUNT not in done and (StepName.DISABLE_ACCOUNT in done or _stays(evidence))
    applying = {
        APP_PASSWORDS: True,
        REGISTRATION_OPEN: (methods_removed or StepName.ENABLE_ACCOUNT in done) and not _closed(done),
        ACCOUNT_DISABLED: disabled,
        _home_tenant(user): user.is_guest,
        UNKNOWN_TYPES: methods_removed and not evidence.every_type_listed,
    }
    always = (follow_up for follow_up, applies in applying.items() if applies)
    return (*always, *_other_sign_in(evidence), *(_left_behind(user) if against_an_intruder else ()))


def name_follow_ups_of_refusal(evidence: Evidence) -> tuple[Reason, ...]:
    """Name what the steps that were done instead of a reset leave to do."""
    return (ACCOUNT_DISABLED,) if StepName.DISABLE_ACCOUNT in _steps_done(evidence) else ()


def _stays(evidence: Evidence) -> bool:
    """Whether the account was disabled before we came, was to be enabled and was not."""
    asked = any(line.step == StepName.ENABLE_ACCOUNT for line in evidence.steps)
    return asked and evidence.user.account_enabled is not True


def _closed(done: set[str]) -> bool:
    """Whether a step keeps others from registering first: a disabled account does, until it is enabled again."""
    undone = {StepName.DISABLE_ACCOUNT} if StepName.ENABLE_ACCOUNT in done else set()
    return bool((done & CLOSES_REGISTRATION_WINDOW) - undone)


def _steps_done(evidence: Evidence) -> set[str]:
    return {line.step.partition(":")[0] for line in evidence.steps if line.result is StepResult.DONE}


# --- Ways to sign in that are no registered methods ---------------------------------------------------------------


def _other_sign_in(evidence: Evidence) -> Iterable[Reason]:
    user, sign_in = evidence.user, evidence.sign_in
    if sign_in and sign_in.certificates is not False:
        yield _certificates(user, known=sign_in.certificates is True)
    if sign_in and sign_in.federated is not False:
        yield _federated(user, known=sign_in.federated is True)
    if user.on_premises_synced:
        yield Reason(
            "onPremisesPassword",
            "The password is kept in Active Directory: reset it there, twice where Kerberos tickets are to end too: "
            "Active Directory Users and Computers > the user > Reset Password, or Set-ADAccountPassword -Reset.",
        )


def _home_tenant(user: User) -> Reason:
    local = user.user_principal_name.partition("#")[0]
    where = f" ({local.rpartition('_')[2]})" if user.is_external else ""
    return Reason(
        "homeTenant",
        f"A guest signs in with their home tenant{where}: its administrators have to reset methods and revoke sessions "
        "there. Which one it is: Entra admin center > Users > the user > Properties > Identities.",
    )


def _certificates(user: User, *, known: bool) -> Reason:
    how = "" if known else "It could not be read whether certificate user ids are set; if they are: "
    return Reason(
        "certificates",
        f"{how}A certificate may sign this user in, and no authentication method shows it: Entra admin center > Users "
        "> the user > Properties > Authorization info > Certificate user IDs, or Update-MgUser -UserId "
        f"{user.id} -AuthorizationInfo @{{certificateUserIds=@()}}; and revoke the certificate where it was issued.",
    )


def _federated(user: User, *, known: bool) -> Reason:
    domain = user.user_principal_name.rpartition("@")[2]
    how = "" if known else "It could not be read whether the domain is federated (app role Domain.Read.All); if it is: "
    return Reason(
        "federatedSignIn",
        f"{how}The identity provider of {domain} signs this user in, maybe with a second factor of its own: reset "
        "password, factors and sessions there. Which one it is: Get-MgDomainFederationConfiguration -DomainId "
        f"{domain}.",
    )


# --- What an intruder leaves behind -------------------------------------------------------------------------------


def _left_behind(user: User) -> Iterable[Reason]:
    yield Reason(
        "registeredDevices",
        "A device that an intruder registered or joined can pass as trusted: Entra admin center > Users > the user > "
        f"Devices, or Get-MgUserRegisteredDevice -UserId {user.id} -All, then Update-MgDevice -DeviceId <id> "
        "-AccountEnabled:$false.",
    )
    yield Reason(
        "inboxRules",
        "Rules and forwarding in the mailbox go on working: Exchange Online PowerShell, Get-InboxRule -Mailbox "
        f"{user.id} -IncludeHidden, then Remove-InboxRule; Get-Mailbox {user.id} | Format-List Forwarding*.",
    )
    yield Reason(
        "oauthGrants",
        "Applications that were consented to keep their access: Entra admin center > Users > the user > Applications, "
        f"or Get-MgUserOauth2PermissionGrant -UserId {user.id} -All, then Remove-MgOauth2PermissionGrant "
        "-OAuth2PermissionGrantId <id>.",
    )
