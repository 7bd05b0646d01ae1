"""Whom a request means: exactly one existing user, or why not."""

from shared.errors import AmbiguousUserError
from shared.model import Problem, ReferenceKind, ResetRequest, User, UserReference
from shared.ports import Directory
from shared.vocabulary import UserId


async def find_user(directory: Directory, request: ResetRequest) -> User | Problem:
    """Find the one user by the strongest identifier, and see that no weaker one belongs to somebody else.

    An object id that finds nobody ends the search: the name beside it may be another person's by now. A security
    identifier or a name that finds nobody leaves it to the next. A weaker one that finds nobody is only stale.
    """
    references = [request.user, *request.also]
    found: User | None = None
    while references and found is None:
        reference = references.pop(0)
        looked_up = await _look_up(directory, reference)
        if isinstance(looked_up, Problem):
            return looked_up
        found = looked_up
        if found is None and reference.kind is ReferenceKind.OBJECT_ID:
            return await _nobody(directory, reference)
    if found is None:
        return Problem("user", "unknownUser", "Nobody in the directory has this identifier.")
    for reference in references:
        other = None if reference.value == found.user_principal_name.lower() else await _look_up(directory, reference)
        if isinstance(other, Problem):
            return other
        if other and other.id != found.id:
            text = f"Its identifiers belong to two users, {found.id} and {other.id}."
            return Problem("user", "ambiguousUser", text)
    return found


async def _look_up(directory: Directory, reference: UserReference) -> User | Problem | None:
    try:
        return await directory.find_user(reference)
    except AmbiguousUserError as error:
        return Problem("user", "ambiguousUser", str(error))


async def _nobody(directory: Directory, reference: UserReference) -> Problem:
    if await directory.was_deleted(UserId(reference.value)):
        return Problem("user", "deletedUser", "This user was deleted; a deleted user cannot sign in.")
    return Problem("user", "unknownUser", "Nobody in the directory has this identifier.")
