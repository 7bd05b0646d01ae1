"""What the product asks of Microsoft Entra ID."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.model import Method, Presence, SignIn, Subject, User, UserReference
from shared.ports.ledger import Claim
from shared.vocabulary import GroupId, MethodId, MethodType, Removal, UserId


@dataclass(frozen=True)
class Listing:
    """All registered methods but the password, and the types of which it shows none for another reason.

    `not_permitted`: our identity may not list them. `absent`: Microsoft Graph says that this cloud has no such type.
    `unclear`: the answer was a refusal that is documented nowhere, so whether there is one is not known. `every_type`
    is False where the types had to be listed one by one, so that one we do not know would go unseen.
    """

    methods: tuple[Method, ...]
    not_permitted: tuple[MethodType, ...] = ()
    absent: tuple[MethodType, ...] = ()
    unclear: tuple[MethodType, ...] = ()
    every_type: bool = True


@dataclass(frozen=True)
class TemporaryAccessPass:
    """A pass that was made; its code is shown nowhere but in the vault, and not in the repr."""

    method_id: MethodId
    code: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class NamedPresence:
    """What there is of the users and groups that the policy names, in their order."""

    users: tuple[Presence, ...]
    groups: tuple[Presence, ...]


class Directory(Protocol):
    """Users and their authentication methods in Microsoft Entra ID.

    Every method may raise ThrottledError, UnavailableError, NoAnswerError, UnauthenticatedError, TokenError,
    UnreadableAnswerError, BadRequestError or ConflictError when waiting inside the call did not help, and
    NotPermittedError when our identity lacks the app role named in its docstring. Only the first page, or a default
    for what could not be read, is never returned.
    """

    def under(self, claim: Claim) -> "Directory":
        """Return the same directory, which sees before each exchange that changes something that `claim` is held.

        A repeat within one call is such an exchange too. Its methods raise what `Claim.still_held` raises as well.
        """
        ...

    async def find_user(self, reference: UserReference) -> User | None:
        """Read the one user that is meant; None when nobody is. Needs User.Read.All.

        Raises AmbiguousUserError when more than one user has that security identifier or account name.
        """
        ...

    async def was_deleted(self, user_id: UserId) -> bool:
        """Whether there was such a user, deleted so lately that they could be restored. Needs User.Read.All."""
        ...

    async def read_subject(self, user: User, named: Collection[GroupId]) -> Subject:
        """Read all that the guard judges: the user's roles, and the groups that lead to one or that are `named`.

        Of a group it matters whether the user is in it (through others too), owns it, or could make themselves either;
        roles count when active and when eligible. The user is read afresh; what leads to privilege in the tenant may be
        up to 60 s old. However many groups the user is in, the calls are as many.

        Needs User.Read.All, GroupMember.Read.All, RoleManagement.Read.Directory and
        PrivilegedEligibilitySchedule.Read.AzureADGroup. A tenant without the licence for eligibility has none. Raises
        OperatorError where what leads to privilege cannot be read whole, or a group of these is hidden from us.
        """
        ...

    async def look_up_named(self, users: Sequence[UserId], groups: Sequence[GroupId]) -> NamedPresence:
        """Say of each id whether there is a user or a group with it; needs User.Read.All and GroupMember.Read.All.

        What cannot be read is unknown; nothing but TokenError is raised.
        """
        ...

    async def read_sign_in(self, user: User) -> SignIn:
        """Read how else the user may sign in; what our identity may not read is None, never an exception.

        Needs User.Read.All; Domain.Read.All for federated domains.
        """
        ...

    async def list_methods(self, user_id: UserId) -> Listing:
        """List all registered methods, of Graph's v1.0 and of the types that only beta shows.

        Needs UserAuthenticationMethod.Read.All; without it each type is listed alone, by its own app role. Raises
        NotFoundError when the user is gone. A type that is absent or unclear is said to be, never taken for none.
        """
        ...

    async def remove_method(self, user_id: UserId, method: Method, removal: Removal) -> None:
        """Delete or deactivate one method. Needs its app role in the catalogue.

        Raises NotFoundError when it is gone already (a second call does that), RefusedAsDefaultError when it is the
        default method and others remain, NoAnswerError when the effect is unknown until the next listing. Whatever is
        raised is `after_uncertain` where an earlier try within this call may have removed it.
        """
        ...

    async def change_default_method(self, user_id: UserId, preference: str) -> None:
        """Make another registered method the default one (beta `signInPreferences`); a second call changes nothing."""
        ...

    async def revoke_sessions(self, user_id: UserId) -> None:
        """Invalidate refresh tokens and session cookies. Needs User.RevokeSessions.All. A second call does it again."""
        ...

    async def disable_account(self, user_id: UserId) -> None:
        """Block sign-in. Needs User.EnableDisableAccount.All. A second call changes nothing."""
        ...

    async def enable_account(self, user_id: UserId) -> None:
        """Allow sign-in. Needs User.EnableDisableAccount.All. A second call changes nothing."""
        ...

    async def confirm_compromised(self, user_id: UserId) -> None:
        """Set the user's risk to high. Needs IdentityRiskyUser.ReadWrite.All and a licence, else UnlicensedError.

        One call a second for the whole tenant: calls of this process wait for each other, up to 20 s. A second call
        changes nothing.
        """
        ...

    async def add_to_group(self, user_id: UserId, group_id: GroupId) -> None:
        """Make the user a member. Needs GroupMember.ReadWrite.All. A second call finds it done."""
        ...

    async def set_password(self, user_id: UserId, password: str) -> None:
        """Set a password that has to be changed at the next sign-in. A second call sets another one.

        Needs User-PasswordProfile.ReadWrite.All and the directory role User Administrator.
        """
        ...

    async def set_per_user_mfa(self, user_id: UserId, state: str) -> None:
        """Set the per-user MFA state (beta). Needs Policy.ReadWrite.AuthenticationMethod. Converges."""
        ...

    async def read_per_user_mfa(self, user_id: UserId) -> str:
        """Read the per-user MFA state (beta). Needs Policy.ReadWrite.AuthenticationMethod."""
        ...

    async def create_pass(self, user_id: UserId) -> TemporaryAccessPass:
        """Make a Temporary Access Pass, usable once and for an hour. Needs UserAuthMethod-TAP.ReadWrite.All.

        **A second call replaces the first pass**, so nothing is repeated that may have been carried out: NoAnswerError
        and UnavailableError say that there may be one whose code nobody knows.
        """
        ...

    async def granted_roles(self) -> frozenset[str]:
        """Return the app roles that our identity's token for Microsoft Graph holds; raise TokenError without one."""
        ...
