"""What a test or an operator may change about a tenant while it runs."""

from dataclasses import dataclass, field
from typing import Literal

APP_ROLES = frozenset(
    {
        "UserAuthenticationMethod.Read.All",
        "UserAuthenticationMethod.ReadWrite.All",
        "UserAuthMethod-Phone.ReadWrite.All",
        "UserAuthMethod-MicrosoftAuthApp.ReadWrite.All",
        "UserAuthMethod-SoftwareOATH.ReadWrite.All",
        "UserAuthMethod-HardwareOATH.ReadWrite.All",
        "UserAuthMethod-Email.ReadWrite.All",
        "UserAuthMethod-Passkey.ReadWrite.All",
        "UserAuthMethod-WindowsHello.ReadWrite.All",
        "UserAuthMethod-PlatformCred.ReadWrite.All",
        "UserAuthMethod-External.ReadWrite.All",
        "UserAuthMethod-QR.ReadWrite.All",
        "UserAuthMethod-TAP.ReadWrite.All",
        "User.Read.All",
        "User.RevokeSessions.All",
        "User.EnableDisableAccount.All",
        "User-PasswordProfile.ReadWrite.All",
        "GroupMember.Read.All",
        "GroupMember.ReadWrite.All",
        "RoleManagement.Read.Directory",
        "PrivilegedEligibilitySchedule.Read.AzureADGroup",
        "IdentityRiskyUser.ReadWrite.All",
        "Policy.Read.All",
        "Policy.ReadWrite.AuthenticationMethod",
        "AuditLog.Read.All",
        "Domain.Read.All",
    }
)
"""The app roles that the product may be granted; a new tenant's tokens hold them all."""

USER_ADMINISTRATOR = "fe930be7-5e62-47db-91af-98c3a49a38b1"
PRIVILEGED_AUTHENTICATION_ADMINISTRATOR = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13"
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"

OTHER_METHODS = frozenset({"phone", "microsoftAuthenticator", "softwareOath", "hardwareOath"})
"""The types that keep a default method from being deleted.

Microsoft does not document which types count. These are those that can be a default themselves: did a passkey or
Windows Hello count too, the portal's button could not do its work on whoever has one. Add types to try the stricter
reading.
"""


@dataclass(kw_only=True, eq=False)
class Switches:
    """The tenant's behaviour where it may be chosen; each may be changed at any time and counts from the next call."""

    roles: set[str] = field(default_factory=lambda: set(APP_ROLES))
    """App roles in the `roles` claim of the **next** token; a token keeps those it was issued with."""
    caller_directory_roles: set[str] = field(default_factory=lambda: {USER_ADMINISTRATOR})
    """Template ids of the directory roles that the calling identity holds; they count at once."""
    token_lifetime_seconds: int = 86_400
    """How long a token is good for, by the tenant's clock."""
    visibility_delay_seconds: float = 0
    """How long a deleted method stays listed, by the tenant's clock."""
    page_size: int = 100
    """The most items in one page."""
    empty_first_page: bool = False
    """Whether the first page of every collection is empty and has a link to the items."""
    premium: bool = True
    """Whether the tenant has a Microsoft Entra ID P2 licence."""
    default_text: Literal[1, 2, "alternating"] = 1
    """Which of the two texts refuses the delete of a default method; alternating starts with the first."""
    other_methods: set[str] = field(default_factory=lambda: set(OTHER_METHODS))
    """Short type names that keep a default method from being deleted."""
    external_delete_form: Literal["plain", "ref"] = "plain"
    """The form of address that deletes an external method; the other one is answered 400."""
    revoke_answers: Literal[200, 204] = 200
    """The status of a successful revokeSignInSessions."""
    advanced_casts: bool = True
    """Whether the cast to groups wants `ConsistencyLevel: eventual` and `$count=true` on every page."""
    temporary_access_pass_minutes: tuple[int, int] = (60, 480)
    """The shortest and the longest lifetime that the tenant's policy allows."""
    temporary_access_passes_allowed: bool = True
    """Whether the tenant's policy lets anybody have a Temporary Access Pass."""
    authorization_info_in: Literal["v1.0", "beta"] = "v1.0"
    """The oldest version whose users have `authorizationInfo`; Microsoft's documentation is not clear on it."""
    absent_types: set[str] = field(default_factory=set)
    """Short type names that the tenant's cloud does not have: no address of theirs exists, no list shows them."""
    typed_collections_name_the_type: bool = True
    """Whether what a type's own address shows has `@odata.type`; OData lets a service leave it out there."""
    methods_calls_per_10_seconds: int | None = None
    """The most calls to authentication methods in 10 s before they are throttled; None: any number."""
