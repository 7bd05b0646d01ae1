"""What was read of a user: all of it true, or None where Microsoft Graph said null."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.vocabulary import GroupId, MethodId, MethodType, RoleId, UserId


@dataclass(frozen=True)
class User:
    """What we read of a user. `None` is what Graph answered, never what we could not read."""

    id: UserId
    user_principal_name: str
    user_type: str | None
    account_enabled: bool | None
    on_premises_synced: bool
    management_restricted: bool
    sessions_valid_from: datetime | None

    @property
    def is_guest(self) -> bool:
        """A guest by type, or by the name that Entra gives a user of another tenant."""
        return (self.user_type or "").casefold() == "guest" or self.is_external

    @property
    def is_external(self) -> bool:
        """Whether they sign in with another tenant's account, whose password is not ours."""
        return "#ext#" in self.user_principal_name.casefold()


@dataclass(frozen=True)
class SignIn:
    """Other ways to sign in than with registered methods; None where it could not be read.

    `certificates`: whether certificate user ids are set; `federated`: whether the domain's own identity provider
    authenticates.
    """

    certificates: bool | None = None
    federated: bool | None = None


@dataclass(frozen=True)
class Group:
    """A group that matters to the guard, of which the user is a member, directly or through others.

    `owner`: its owner instead, who can add members. `eligible`: could make themselves one or the other. `leads`: its
    members could get into a group that is privileged.
    """

    id: GroupId
    role_assignable: bool
    eligible: bool = False
    owner: bool = False
    leads: bool = False


@dataclass(frozen=True)
class RoleHolding:
    """A directory role, active or `eligible`, of the user or of a group that they are or could be a member of."""

    role: RoleId
    through: GroupId | None = None
    eligible: bool = False


@dataclass(frozen=True)
class Subject:
    """The facts that the guard judges, all of them read: one that could not be read raises instead.

    Of the groups those alone that lead to privilege or that the policy names.
    """

    user: User
    groups: tuple[Group, ...]
    roles: tuple[RoleHolding, ...]


class Presence(StrEnum):
    """What there is of a user or a group that the policy names. All but the first leave them unprotected, or may."""

    FOUND = "found"
    MISSING = "missing"
    OTHER_KIND = "otherKind"
    HIDDEN = "hidden"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Method:
    """A registered authentication method. `type` is None where its `odata_type` is not in the catalogue.

    `detail` is safe to show: numbers and addresses are masked. `active` is False for a hardware OATH token that is
    assigned but not activated, None where Graph does not say.
    """

    type: MethodType | None
    odata_type: str
    id: MethodId
    detail: str | None = None
    registered_at: datetime | None = None
    active: bool | None = None
