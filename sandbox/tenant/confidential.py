"""Values that must never leave the directory: what a test looks for in everything that a process writes."""

import re
from collections.abc import Iterable

from sandbox.tenant.directory import Directory, Method, User

_SECRET_PROPERTIES = frozenset(
    {"emailAddress", "temporaryAccessPass", "secretKey", "code", "password", "binaryValue", "rawContent"}
)
_FEWEST_DIGITS = 7


def secrets_of_directory(directory: Directory) -> set[str]:
    """Return what a directory holds of numbers, addresses, passwords, pins, codes and keys, deleted users' too."""
    users = (*directory.users.values(), *directory.deleted_users.values())
    return {value for user in users for value in _secrets_of_user(user)}


def _secrets_of_user(user: User) -> set[str]:
    found = secrets_of_profile(user.password_profile)
    for number in (user.properties.get("mobilePhone"), *(user.properties.get("businessPhones") or [])):
        found |= _forms_of_number(number)
    for method in (*user.methods, *(each.method for each in user.departing)):
        found |= secrets_of_method(method)
    return found


def secrets_of_method(method: Method) -> set[str]:
    """Return the secret values of a method, however deep in its properties."""
    return set(_find_secrets(method.properties))


def secrets_of_profile(profile: object) -> set[str]:
    """Return the password in a passwordProfile, whatever JSON that is."""
    return set(_find_secrets(profile))


def _find_secrets(content: object) -> Iterable[str]:
    if isinstance(content, list):
        for item in content:
            yield from _find_secrets(item)
    if not isinstance(content, dict):
        return
    for name, value in content.items():
        if name == "phoneNumber":
            yield from _forms_of_number(value)
        elif name in _SECRET_PROPERTIES and isinstance(value, str) and value:
            yield value
        else:
            yield from _find_secrets(value)


def _forms_of_number(number: object) -> set[str]:
    """Return a number as it is, as digits alone, and the long runs of digits in it, such as one without its country."""
    if not isinstance(number, str) or not number:
        return set()
    digits = re.sub(r"\D", "", number)
    runs = [digits, *re.findall(r"\d+", number)]
    return {number} | {run for run in runs if len(run) >= _FEWEST_DIGITS}


def without_names(values: set[str], directory: Directory) -> set[str]:
    """Return the values but for those that are a user principal name, in any case."""
    users = (*directory.users.values(), *directory.deleted_users.values())
    names = {user.user_principal_name.removeprefix(user.id.replace("-", "")).casefold() for user in users}
    return {value for value in values if value.casefold() not in names}
