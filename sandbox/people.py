"""Who is in the tenant, and what is special about each: for whoever tries the app by hand."""

from collections.abc import Iterator

from sandbox.stage import BREAK_GLASS_USER, NEVER_RESET_GROUP
from sandbox.tenant.directory import Directory, User
from sandbox.tenant.method_types import METHOD_TYPES

_REMOVABLE = frozenset(kind.name for kind in METHOD_TYPES if kind.deletable)


def list_people(directory: Directory) -> Iterator[str]:
    """Say of each user the object id, the name and what is special, a line each; the deleted ones last."""
    for user in directory.users.values():
        yield _line(user, "; ".join(filter(None, [_summed(user), *_specials(directory, user)])))
    for user in directory.deleted_users.values():
        yield _line(user, "deleted")


def _line(user: User, words: str) -> str:
    return f"{user.id}  {user.user_principal_name:<34}  {words}"


def _summed(user: User) -> str:
    types = [method.type for method in user.registered]
    if set(types) >= _REMOVABLE:
        return f"{len(types)} methods, of every type"
    return ", ".join(f"{types.count(name)} {name}" if types.count(name) > 1 else name for name in dict.fromkeys(types))


def _specials(directory: Directory, user: User) -> Iterator[str]:
    if user.id == BREAK_GLASS_USER:
        yield "the break-glass account"
    yield from _of_properties(directory, user)
    yield from _of_groups(directory, user)
    groups = _groups_of(directory, user.id)
    for assignments, words in (
        (directory.role_assignments, "holds an administrator's role"),
        (directory.role_eligibilities, "could activate an administrator's role"),
    ):
        holders = {assignment.principal_id for assignment in assignments}
        if user.id in holders:
            yield words
        elif groups & holders:
            yield f"{words}, through a group"


def _of_properties(directory: Directory, user: User) -> Iterator[str]:
    domain = user.user_principal_name.rpartition("@")[2]
    federated = {each["id"] for each in directory.domains if each["authenticationType"] == "Federated"}
    for holds, words in (
        (user.properties.get("userType") == "Guest", "a guest"),
        (user.properties.get("accountEnabled") is False, "the account is disabled"),
        (user.properties.get("onPremisesSyncEnabled"), "synchronised from on premises"),
        (domain in federated, "signs in through a federated domain"),
        (user.properties["authorizationInfo"]["certificateUserIds"], "has a certificate"),
        (any(method.type not in _REMOVABLE for method in user.registered), "has a method of an unknown type"),
        (not user.registered, "no method is registered"),
    ):
        if holds:
            yield words


def _of_groups(directory: Directory, user: User) -> Iterator[str]:
    groups = _groups_of(directory, user.id)
    if NEVER_RESET_GROUP in groups:
        yield "in a group that is never reset"
    if any(directory.groups[group].assignable for group in groups):
        yield "in a role-assignable group"
    for eligibility in directory.group_eligibilities:
        if eligibility.principal_id in groups | {user.id}:
            yield f"could become {eligibility.access_id} of {directory.groups[eligibility.group_id].display_name!r}"
    if any(unit.restricted and user.id in unit.members for unit in directory.administrative_units.values()):
        yield "in a restricted administrative unit"


def _groups_of(directory: Directory, member_id: str) -> frozenset[str]:
    """Return the ids of the groups that somebody is in, however nested."""
    found: set[str] = set()
    waiting = [member_id]
    while waiting:
        inner = waiting.pop()
        outer = {group.id for group in directory.groups.values() if inner in group.members} - found
        found |= outer
        waiting += outer
    return frozenset(found)
