"""Who is in what: direct and transitive containers of a principal, and who counts as an administrator."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.tenant.directory import AdministrativeUnit, Directory, Group, User


@dataclass(frozen=True)
class Role:
    """A directory role that somebody holds for the whole tenant."""

    template_id: str

    @property
    def id(self) -> str:
        """The role's own object id, which is not its template's."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, self.template_id))


type Container = Group | AdministrativeUnit | Role


def groups_of(directory: Directory, principal_id: str, *, transitive: bool = True) -> list[Group]:
    """Return the groups a principal is in, through nested groups too; a circle of groups ends."""
    found: dict[str, Group] = {}
    waiting = [principal_id]
    while waiting:
        member_id = waiting.pop(0)
        direct = [group for group in directory.groups.values() if member_id in group.members and group.id not in found]
        found.update((group.id, group) for group in direct)
        waiting += [group.id for group in direct] if transitive else []
    return list(found.values())


def containers_of(directory: Directory, principal_id: str, *, transitive: bool = True) -> list[Container]:
    """Return groups, administrative units (direct members only) and tenant-wide active roles of a principal."""
    groups = groups_of(directory, principal_id, transitive=transitive)
    units = [unit for unit in directory.administrative_units.values() if principal_id in unit.members]
    principals = {principal_id} | ({group.id for group in groups} if transitive else set())
    templates = {
        assignment.role_definition_id: None
        for assignment in directory.role_assignments
        if assignment.principal_id in principals and assignment.directory_scope_id == "/"
    }
    return [*groups, *units, *map(Role, templates)]


def members_of(directory: Directory, group: Group) -> Iterator[User | Group]:
    """Yield the users and groups in a group, through nested groups too, each once."""
    seen: set[str] = set()
    waiting = list(group.members)
    while waiting:
        member_id = waiting.pop(0)
        if member_id in seen:
            continue
        seen.add(member_id)
        if nested := directory.groups.get(member_id):
            waiting += nested.members
        yield nested or directory.users[member_id]


def is_restricted(directory: Directory, user: User) -> bool:
    """Say whether a user is a direct member of a restricted management administrative unit."""
    if user.properties.get("isManagementRestricted"):
        return True
    return any(unit.restricted and user.id in unit.members for unit in directory.administrative_units.values())


def is_administrator(directory: Directory, user: User) -> bool:
    """Say whether a user holds an active role of any scope, also through groups, or is in a role-assignable group."""
    groups = groups_of(directory, user.id)
    principals = {user.id} | {group.id for group in groups}
    holds_role = any(assignment.principal_id in principals for assignment in directory.role_assignments)
    return holds_role or any(group.assignable for group in groups)
