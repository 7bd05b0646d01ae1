"""Microsoft Graph's app roles: what each thing that we do needs (graph.md 5 and 9). Ids are literal: names can change.

What a type of method needs stands in the catalogue; this module knows the roles themselves, the steps and the facts.
`permissions_page` writes docs/permissions.md from here.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from shared.catalogue import BROAD_READ_ROLE, BROAD_WRITE_ROLE, BY_TYPE, PASS
from shared.vocabulary import MethodType, StepName

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"


class Tier(StrEnum):
    """What whoever holds an app role could do with it at worst.

    A role that registers methods is tier 0: where such a method signs in, or resets a password, it takes over. One that
    only removes them is tier 1: it takes over nothing by itself, but lets whoever knows the password register first.
    """

    CONTROL = "0: takes over accounts or the tenant"
    CHANGE = "1: changes or locks accounts"
    READ = "2: reads"


@dataclass(frozen=True)
class AppRole:
    """One app role of Microsoft Graph."""

    name: str
    id: str
    tier: Tier
    allows: str


APP_ROLES: tuple[AppRole, ...] = (
    AppRole(
        BROAD_READ_ROLE,
        "38d9df27-64da-44fd-b7c5-a6fbac20248f",
        Tier.READ,
        "list everybody's methods, with phone numbers and mail addresses",
    ),
    AppRole(
        BROAD_WRITE_ROLE,
        "50483e42-d915-4231-9639-7fdb7fd190e5",
        Tier.CONTROL,
        "remove, register and list all methods, also Temporary Access Passes: sign in as anybody, administrators too",
    ),
    AppRole(
        "UserAuthMethod-Phone.ReadWrite.All",
        "6e85d483-7092-4375-babe-0a94a8213a58",
        Tier.CONTROL,
        "remove and register phones, to which codes are sent that sign in or reset a password",
    ),
    AppRole(
        "UserAuthMethod-MicrosoftAuthApp.ReadWrite.All",
        "c833c349-a1ab-4b6d-94a2-fa9a8674420c",
        Tier.CHANGE,
        "remove Microsoft Authenticator",
    ),
    AppRole(
        "UserAuthMethod-SoftwareOATH.ReadWrite.All",
        "787442d4-3c6e-4e99-aa95-8ccca20a48ff",
        Tier.CHANGE,
        "remove software OATH tokens",
    ),
    AppRole(
        "UserAuthMethod-HardwareOATH.ReadWrite.All",
        "7e9ebcc1-90aa-4471-8051-e68d6b4e9c89",
        Tier.CONTROL,
        "unassign and deactivate hardware OATH tokens, assign and activate others",
    ),
    AppRole(
        "UserAuthMethod-Email.ReadWrite.All",
        "e8ecb853-1435-4a49-95ba-ec5b31b11672",
        Tier.CONTROL,
        "remove and register mail addresses, to which codes are sent that reset a password",
    ),
    AppRole(
        "UserAuthMethod-Passkey.ReadWrite.All",
        "0400e371-7db1-4338-a269-96069eb65227",
        Tier.CONTROL,
        "remove and register passkeys: sign in as anybody who may use them",
    ),
    AppRole(
        "UserAuthMethod-WindowsHello.ReadWrite.All",
        "f14eee8a-713e-45aa-8223-2ab74632db1a",
        Tier.CHANGE,
        "remove Windows Hello for Business",
    ),
    AppRole(
        "UserAuthMethod-PlatformCred.ReadWrite.All",
        "1a87acf4-a9ca-4576-a974-452ea265d5f6",
        Tier.CHANGE,
        "remove platform credentials",
    ),
    AppRole(
        "UserAuthMethod-External.ReadWrite.All",
        "c7a22c2e-5b01-4129-8159-6c8be2c78f16",
        Tier.CHANGE,
        "remove external methods, and register those of a provider that the tenant has set up",
    ),
    AppRole(
        "UserAuthMethod-QR.ReadWrite.All",
        "4869299f-18c3-40c8-98f2-222657e67db1",
        Tier.CONTROL,
        "remove and create QR codes and their PINs: sign in as anybody who may use them",
    ),
    AppRole(
        "UserAuthMethod-TAP.ReadWrite.All",
        "627169a8-8c15-451c-861a-5b80e383de5c",
        Tier.CONTROL,
        "remove and make Temporary Access Passes: sign in as anybody who may use them",
    ),
    AppRole("User.Read.All", "df021288-bdef-4463-88db-98f22de89214", Tier.READ, "read every user's whole profile"),
    AppRole(
        "User.RevokeSessions.All", "77f3a031-c388-4f99-b373-dc68676a979e", Tier.CHANGE, "sign everybody out everywhere"
    ),
    AppRole(
        "User.EnableDisableAccount.All",
        "3011c876-62b7-4ada-afa2-506cbbecc68c",
        Tier.CHANGE,
        "disable and enable accounts; with a directory role also administrators'",
    ),
    AppRole(
        "User-PasswordProfile.ReadWrite.All",
        "cc117bb9-00cf-4eb8-b580-ea2a878fe8f7",
        Tier.CONTROL,
        "set passwords, but only with a directory role: one for ordinary users, a higher one for administrators",
    ),
    AppRole("GroupMember.Read.All", "98830695-27a2-44f7-8c18-0c3ebc9698f6", Tier.READ, "read who is in which group"),
    AppRole(
        "GroupMember.ReadWrite.All",
        "dbaae8cf-10b5-4b86-a4a1-f871c94c6695",
        Tier.CONTROL,
        "change the members of any group that is not role-assignable, also of one that opens resources",
    ),
    AppRole(
        "RoleManagement.Read.Directory",
        "483bed4a-2ad3-4361-a73b-c83ccdbdc53c",
        Tier.READ,
        "read who holds or could activate which directory role",
    ),
    AppRole(
        "PrivilegedEligibilitySchedule.Read.AzureADGroup",
        "edb419d6-7edc-42a3-9345-509bfdf5d87c",
        Tier.READ,
        "read who could activate membership of which group",
    ),
    AppRole(
        "IdentityRiskyUser.ReadWrite.All",
        "656f6061-f9fe-4807-9708-6a2e0934df76",
        Tier.CHANGE,
        "read, confirm and dismiss users' risk",
    ),
    AppRole(
        "Policy.ReadWrite.AuthenticationMethod",
        "29c18626-4985-4dcd-85c0-193eef327366",
        Tier.CONTROL,
        "change which methods the tenant allows, also Temporary Access Passes, and who has per-user MFA",
    ),
    AppRole(
        "Domain.Read.All",
        "dbb9058a-0e50-45d7-ae91-66909b5d4664",
        Tier.READ,
        "read the tenant's domains and whether they are federated",
    ),
)
BY_NAME: dict[str, AppRole] = {role.name: role for role in APP_ROLES}


class Fact(StrEnum):
    """What is read of a user: all but the last, the guard cannot do without."""

    USER = "user"
    GROUPS = "groups"
    DIRECTORY_ROLES = "directoryRoles"
    ELIGIBLE_MEMBERSHIP = "eligibleMembership"
    FEDERATED_SIGN_IN = "federatedSignIn"


@dataclass(frozen=True)
class Need:
    """An app role, and the broader ones with which it is not needed."""

    role: str
    instead: tuple[str, ...] = ()

    def is_met(self, granted: Collection[str]) -> bool:
        """Whether one of them is granted."""
        return self.met_by(granted) is not None

    def met_by(self, granted: Collection[str]) -> str | None:
        """Name the narrowest of them that is granted."""
        return next((role for role in (self.role, *self.instead) if role in granted), None)


_USER_READ = Need("User.Read.All", ("User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"))

FACT_NEEDS: dict[Fact, tuple[Need, ...]] = {
    Fact.USER: (_USER_READ,),
    Fact.GROUPS: (
        # What will do for each: to list groups, owners and nested groups, and to check memberships.
        # https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups
        Need("GroupMember.Read.All", ("Group.Read.All", "Directory.Read.All")),
    ),
    Fact.DIRECTORY_ROLES: (Need("RoleManagement.Read.Directory", ("RoleManagement.ReadWrite.Directory",)),),
    Fact.ELIGIBLE_MEMBERSHIP: (
        Need(
            "PrivilegedEligibilitySchedule.Read.AzureADGroup", ("PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup",)
        ),
    ),
    Fact.FEDERATED_SIGN_IN: (Need("Domain.Read.All", ("Domain.ReadWrite.All", "Directory.Read.All")),),
}

STEP_NEEDS: dict[StepName, tuple[Need, ...]] = {
    StepName.DISABLE_ACCOUNT: (Need("User.EnableDisableAccount.All"), _USER_READ),
    StepName.REVOKE_SESSIONS: (Need("User.RevokeSessions.All"),),
    StepName.CONFIRM_COMPROMISED: (Need("IdentityRiskyUser.ReadWrite.All"),),
    StepName.CONTAINMENT_GROUP: (Need("GroupMember.ReadWrite.All", ("Group.ReadWrite.All",)),),
    StepName.RESET_PASSWORD: (Need("User-PasswordProfile.ReadWrite.All"),),
    StepName.PER_USER_MFA: (Need("Policy.ReadWrite.AuthenticationMethod"),),
    StepName.TEMPORARY_ACCESS_PASS: (Need(PASS.narrow_role, (BROAD_WRITE_ROLE,)),),
    StepName.ENABLE_ACCOUNT: (Need("User.EnableDisableAccount.All"), _USER_READ),
}

# Besides its app role, Microsoft Entra ID wants one of these directory roles of whoever does the step (graph.md 5).
DIRECTORY_ROLES: dict[StepName, str] = {
    StepName.DISABLE_ACCOUNT: "Privileged Authentication Administrator, for an administrator",
    StepName.RESET_PASSWORD: "User Administrator (Privileged Authentication Administrator for an administrator)",
    StepName.ENABLE_ACCOUNT: "Privileged Authentication Administrator, for an administrator",
}
DIRECTORY_ROLE_IDS: dict[str, str] = {  # template ids (graph.md 9)
    "User Administrator": "fe930be7-5e62-47db-91af-98c3a49a38b1",
    "Privileged Authentication Administrator": "7be44c8a-adaf-4e2a-84d6-ab2649e08a13",
}
# Without this licence Microsoft Graph refuses the step (graph.md 5).
LICENCES: dict[StepName, str] = {StepName.CONFIRM_COMPROMISED: "Microsoft Entra ID P2"}

LIST_EVERY_TYPE: tuple[Need, ...] = (Need(BROAD_READ_ROLE, (BROAD_WRITE_ROLE,)),)
CHANGE_DEFAULT: tuple[Need, ...] = (Need(BROAD_WRITE_ROLE),)


def listing_needs(type_: MethodType) -> tuple[Need, ...]:
    """Tell what listing the methods of one type needs."""
    return (Need(BY_TYPE[type_].narrow_role, (BROAD_READ_ROLE, BROAD_WRITE_ROLE)),)


def removal_needs(type_: MethodType) -> tuple[Need, ...]:
    """Tell what removing a method of one type needs."""
    return (Need(BY_TYPE[type_].narrow_role, (BROAD_WRITE_ROLE,)),)


def missing_roles(needs: Iterable[Need], granted: Collection[str]) -> tuple[str, ...]:
    """Name the app roles to grant so that `needs` are met, each the narrowest that does."""
    return tuple(need.role for need in needs if not need.is_met(granted))
