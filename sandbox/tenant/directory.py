"""The tenant's state: users with their methods, groups, administrative units and roles; no rule lives here."""

import json
import struct
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

type Json = dict[str, Any]

DEFAULT_FILE = Path(__file__).parent.parent / "directory.json"
PASSWORD_METHOD_ID = "28c10230-6103-485e-b985-444c60001490"  # noqa: S105 - the fixed id that Graph gives every password
_TYPE_PREFIX, _TYPE_SUFFIX = "#microsoft.graph.", "AuthenticationMethod"


@dataclass(eq=False)
class Method:
    """One authentication method, by Graph's property names; `@odata.type` and `id` are among them."""

    properties: Json

    @property
    def id(self) -> str:
        """The id Graph knows it by."""
        return str(self.properties["id"])

    @property
    def odata_type(self) -> str:
        """The full type, `#microsoft.graph.phoneAuthenticationMethod`."""
        return str(self.properties["@odata.type"])

    @property
    def type(self) -> str:
        """The short type, `phone`."""
        return self.odata_type.removeprefix(_TYPE_PREFIX).removesuffix(_TYPE_SUFFIX)


def method(short_type: str, method_id: str, **properties: Any) -> Method:  # noqa: ANN401 - Graph's properties are JSON
    """Build a method of a short type (`phone`) with Graph's property names."""
    odata_type = f"{_TYPE_PREFIX}{short_type}{_TYPE_SUFFIX}"
    return Method({"@odata.type": odata_type, "id": method_id, "createdDateTime": None, **properties})


@dataclass(frozen=True)
class Departing:
    """A deleted method that is still listed until a time."""

    method: Method
    listed_until: datetime


@dataclass(eq=False)
class User:
    """One user: Graph's properties by name, and what Graph keeps beside them."""

    properties: Json
    methods: list[Method]
    default_method: str = "none"
    system_preferred: bool = False
    per_user_mfa_state: str = "disabled"
    password_profile: Json | None = None
    confirmed_compromised: bool = False
    departing: list[Departing] = field(default_factory=list)
    deleted_at: datetime | None = None

    @property
    def id(self) -> str:
        """The object id."""
        return str(self.properties["id"])

    @property
    def user_principal_name(self) -> str:
        """The name the user signs in with."""
        return str(self.properties["userPrincipalName"])

    @property
    def registered(self) -> list[Method]:
        """The methods but for the password, which is always there."""
        return [each for each in self.methods if each.type != "password"]

    def find_method(self, method_id: str) -> Method | None:
        """Return the method with an id, None when there is none (any more)."""
        return next((each for each in self.methods if each.id == method_id), None)


@dataclass(eq=False)
class Group:
    """A group; `assignable` is None for an ordinary one, as Graph shows it.

    A rule fills a `dynamic` group and Active Directory a `synced` one: to neither are members added here. Who is in a
    `hidden` one (`visibility` is `HiddenMembership`) shows only to an app that holds `Member.Read.Hidden`.
    """

    id: str
    display_name: str
    security_enabled: bool = True
    assignable: bool | None = None
    members: list[str] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    hidden: bool = False
    unreadable: bool = False
    dynamic: bool = False
    membership_rule: str | None = None
    synced: bool = False


@dataclass(eq=False)
class AdministrativeUnit:
    """An administrative unit; a restricted one shields its direct members from tenant-wide administrators."""

    id: str
    display_name: str
    restricted: bool = False
    members: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RoleAssignment:
    """A directory role given, or open to activation, by template id; the scope `/` is the whole tenant."""

    id: str
    principal_id: str
    role_definition_id: str
    directory_scope_id: str = "/"


@dataclass(frozen=True)
class GroupEligibility:
    """A membership (`member`) or ownership (`owner`) of a group that may be activated."""

    id: str
    principal_id: str
    group_id: str
    access_id: str = "member"


@dataclass(eq=False)
class Directory:
    """Everything in the tenant; objects are found by their id. Change it as you like between calls."""

    tenant_id: str
    users: dict[str, User] = field(default_factory=dict)
    deleted_users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    administrative_units: dict[str, AdministrativeUnit] = field(default_factory=dict)
    role_assignments: list[RoleAssignment] = field(default_factory=list)
    role_eligibilities: list[RoleAssignment] = field(default_factory=list)
    group_eligibilities: list[GroupEligibility] = field(default_factory=list)
    domains: list[Json] = field(default_factory=list)

    def find_user(self, id_or_name: str) -> User | None:
        """Return the user with an object id or a user principal name, either in any case."""
        wanted = id_or_name.casefold()
        for user in self.users.values():
            if wanted in (user.id.casefold(), user.user_principal_name.casefold()):
                return user
        return None

    def add_user(self, entry: Json) -> User:
        """Add a user written as in the directory file; one with the same id is replaced."""
        user = read_user(entry)
        self.users[user.id] = user
        return user

    def delete_user(self, user_id: str, at: datetime | None = None) -> User:
        """Move a user to the deleted ones; without a time, the tenant dates it when first asked for it.

        The object id comes before the name, as in Entra, so that the name is free again. Memberships, roles and
        eligibilities end for good. A second call raises KeyError, as for any unknown id.
        """
        user = self.users.pop(user_id)
        user.deleted_at = at
        user.properties["userPrincipalName"] = user.id.replace("-", "") + user.user_principal_name
        containers: list[Group | AdministrativeUnit] = [*self.groups.values(), *self.administrative_units.values()]
        for container in containers:
            container.members = [member_id for member_id in container.members if member_id != user_id]
        for group in self.groups.values():
            group.owners = [owner_id for owner_id in group.owners if owner_id != user_id]
        self.role_assignments = [each for each in self.role_assignments if each.principal_id != user_id]
        self.role_eligibilities = [each for each in self.role_eligibilities if each.principal_id != user_id]
        self.group_eligibilities = [each for each in self.group_eligibilities if each.principal_id != user_id]
        self.deleted_users[user_id] = user
        return user

    def restore_user(self, user_id: str) -> User:
        """Bring a deleted user back, with name, methods and account as they were; raise KeyError for an unknown id."""
        user = self.deleted_users.pop(user_id)
        user.deleted_at = None
        user.properties["userPrincipalName"] = user.user_principal_name.removeprefix(user.id.replace("-", ""))
        self.users[user_id] = user
        return user


def security_identifier(object_id: str) -> str:
    """Return the cloud SID of an object id: the id's four little-endian 32-bit words behind S-1-12-1."""
    words = struct.unpack("<4I", uuid.UUID(object_id).bytes_le)
    return "S-1-12-1-" + "-".join(str(word) for word in words)


def read_user(entry: Json) -> User:
    """Build a user from an entry of the directory file: Graph's properties, and `authentication` for the rest."""
    properties = {key: value for key, value in entry.items() if key not in ("authentication", "deletedDateTime")}
    authentication = entry.get("authentication", {})
    methods = [read for item in authentication.get("methods", []) for read in _read_methods(item)]
    if not any(each.type == "password" for each in methods):
        methods.insert(0, method("password", PASSWORD_METHOD_ID, password=None))
    return User(
        properties=_with_defaults(properties),
        methods=methods,
        default_method=authentication.get("userPreferredMethodForSecondaryAuthentication", "none"),
        system_preferred=authentication.get("isSystemPreferredAuthenticationMethodEnabled", False),
        per_user_mfa_state=authentication.get("perUserMfaState", "disabled"),
    )


def _with_defaults(properties: Json) -> Json:
    created = properties.get("createdDateTime", "2023-03-01T08:00:00Z")
    defaults = {
        "mail": properties["userPrincipalName"],
        "userType": "Member",
        "accountEnabled": True,
        "authorizationInfo": {"certificateUserIds": []},
        "createdDateTime": created,
        "signInSessionsValidFromDateTime": created,
        "securityIdentifier": security_identifier(properties["id"]),
    }
    return defaults | properties


def _read_methods(item: Json) -> list[Method]:
    # "copies": 45 stands for 45 methods alike but for their ids, which end in -01 to -45.
    properties = {"createdDateTime": None} | {key: value for key, value in item.items() if key != "copies"}
    if "copies" not in item:
        return [Method(properties)]
    return [Method(properties | {"id": f"{item['id']}-{number:02}"}) for number in range(1, item["copies"] + 1)]


def load_directory(path: Path | str | None = None) -> Directory:
    """Read a directory file, the sandbox's own by default; raise ValueError when it names objects it does not hold."""
    content: Json = json.loads(Path(path or DEFAULT_FILE).read_text(encoding="utf-8"))
    directory = Directory(
        tenant_id=content["tenantId"],
        groups={entry["id"]: _read_group(entry) for entry in content.get("groups", [])},
        administrative_units={entry["id"]: _read_unit(entry) for entry in content.get("administrativeUnits", [])},
        role_assignments=[_read_assignment(entry) for entry in content.get("roleAssignments", [])],
        role_eligibilities=[_read_assignment(entry) for entry in content.get("roleEligibilities", [])],
        group_eligibilities=[_read_eligibility(entry) for entry in content.get("groupEligibilities", [])],
        domains=content.get("domains", []),
    )
    deleted: list[Json] = content.get("deletedUsers", [])
    for entry in content["users"] + deleted:
        directory.add_user(entry)
    _check_references(directory)
    for entry in deleted:
        deleted_at = entry.get("deletedDateTime")
        directory.delete_user(entry["id"], deleted_at and datetime.fromisoformat(deleted_at))
    return directory


def _read_group(entry: Json) -> Group:
    return Group(
        id=entry["id"],
        display_name=entry["displayName"],
        security_enabled=entry.get("securityEnabled", True),
        assignable=entry.get("isAssignableToRole"),
        members=list(entry.get("members", [])),
        owners=list(entry.get("owners", [])),
        hidden=entry.get("visibility") == "HiddenMembership",
        unreadable=entry.get("unreadable", False),
        dynamic=entry.get("dynamic", False),
        membership_rule=entry.get("membershipRule"),
        synced=entry.get("onPremisesSyncEnabled", False),
    )


def _read_unit(entry: Json) -> AdministrativeUnit:
    restricted = entry.get("isMemberManagementRestricted", False)
    return AdministrativeUnit(entry["id"], entry["displayName"], restricted, list(entry.get("members", [])))


def _read_assignment(entry: Json) -> RoleAssignment:
    scope = entry.get("directoryScopeId", "/")
    return RoleAssignment(entry["id"], entry["principalId"], entry["roleDefinitionId"], scope)


def _read_eligibility(entry: Json) -> GroupEligibility:
    return GroupEligibility(entry["id"], entry["principalId"], entry["groupId"], entry.get("accessId", "member"))


def _check_references(directory: Directory) -> None:
    known = directory.users.keys() | directory.groups.keys()
    named = {each.principal_id for each in directory.role_assignments + directory.role_eligibilities}
    named |= {each.principal_id for each in directory.group_eligibilities}
    named |= {each.group_id for each in directory.group_eligibilities}
    for group in directory.groups.values():
        named.update(group.members, group.owners)
    for unit in directory.administrative_units.values():
        named.update(unit.members)
    if missing := named - known:
        raise ValueError(f"The directory file names objects it does not hold: {', '.join(sorted(missing))}")
