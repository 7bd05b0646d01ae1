"""Our own shape, version 1 (product.md 1): strict, because a misread request resets somebody else or too little."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from shared.intake.envelope import MAX_REQUESTS, Envelope, Item
from shared.intake.fields import Fields
from shared.intake.identifiers import (
    MAX_METHOD_ID_LENGTH,
    MAX_USER_LENGTH,
    METHOD_ID_PREFIX,
    is_kept,
    parse_user,
    shorten_user,
)
from shared.intake.request_ids import MAX_LENGTH, derive_request_id, parse_request_id
from shared.intake.text import quote
from shared.model import Incident, InvalidItem, ResetRequest, Selection, UserReference
from shared.strictjson import Json
from shared.vocabulary import ProfileName, RequestId

VERSION = 1
MAX_REASON = 1000
MAX_REQUESTED_BY = 200
MAX_TITLE = 300
MAX_LINK = 2048  # an incident's url, and its id, which in Azure is an address too
MAX_KEEP = 100
MAX_AHEAD = timedelta(minutes=5)  # a sender's clock may be fast

_MARKS = frozenset({"version", "user", "users"})
_NOT_IN_A_LINK = frozenset(' "<>\\`')


@dataclass(frozen=True)
class _Users:
    """Whom an object names, each as it wrote them; `several` when it says `users`, even of one.

    `asked` is the one text that it names a user with, understood or not; None where there are several, or none.
    """

    references: dict[UserReference, str]
    several: bool
    asked: str | None


@dataclass(frozen=True)
class _Ids:
    """What the ids come from: the object's own (`named`) or the envelope's; None when there is neither."""

    parent: RequestId | None
    named: bool
    derive: bool


def read_canonical(body: dict[str, Json], envelope: Envelope, path: str) -> tuple[Item, ...] | None:
    """Read an object that has `version`, `user` or `users`; None for any other.

    One request for each user, or one InvalidItem with all that is wrong, under the id that the request would have
    had. A user who stands in `users` twice, in whatever spelling, is one request: both would have the same id and ask
    for the same.
    """
    if body.keys().isdisjoint(_MARKS):
        return None
    fields = Fields(body, path)
    _check_version(fields)
    ids = _read_ids(fields, envelope)
    users = _read_users(fields)
    build = _read_request(fields, envelope)
    fields.refuse_others()
    if fields.problems or ids.parent is None:
        return (InvalidItem(_id_of_invalid(ids, users), tuple(fields.problems), users.asked),)
    return tuple(
        build(request_id=_id_for(ids.parent, ids, users, user), user=user, asked=shorten_user(asked))
        for user, asked in users.references.items()
    )


def _check_version(fields: Fields) -> None:
    match fields.take("version"):
        case bool() | float() | str() | list() | dict():
            fields.refuse("version", "wrongType", f"It must be the whole number {VERSION}.")
        case int() as version if version != VERSION:
            fields.refuse("version", "unsupportedVersion", f"Only version {VERSION} is known.")


def _read_ids(fields: Fields, envelope: Envelope) -> _Ids:
    absent = not fields.has("requestId")
    text = fields.take_string("requestId")
    named = None if text is None else parse_request_id(text)
    if text is not None and named is None:
        _refuse_request_id(fields, text)
    if named and envelope.idempotency_key and named != envelope.idempotency_key:
        fields.refuse("requestId", "idempotencyKeyDiffers", "It differs from the header Idempotency-Key.")
    parent = named or envelope.parent_id
    if absent and parent is None:
        fields.refuse("requestId", "required", "Nothing else names this request.")
    return _Ids(parent, named is not None, envelope.derive)


def _refuse_request_id(fields: Fields, text: str) -> None:
    if len(text) > MAX_LENGTH:
        fields.refuse("requestId", "tooLong", f"It has {len(text)} characters, at most {MAX_LENGTH} are allowed.")
    else:
        fields.refuse("requestId", "badFormat", f"It may hold A-Z a-z 0-9 . _ : - only, not {quote(text)}.")


def _id_for(parent: RequestId, ids: _Ids, users: _Users, user: UserReference) -> RequestId:
    return derive_request_id(parent, user) if users.several or (ids.derive and not ids.named) else parent


def _id_of_invalid(ids: _Ids, users: _Users) -> RequestId | None:
    """Return the id that the request would have had; None where that is not clear."""
    if ids.named:
        return ids.parent
    if ids.parent is None or users.several or not users.references:
        return None
    return _id_for(ids.parent, ids, users, *users.references)


def _read_users(fields: Fields) -> _Users:
    one, several = fields.has("user"), fields.has("users")
    is_empty, text = fields.is_empty_array("users"), fields.take_string("user")
    listed = fields.take_strings("users", MAX_REQUESTS)
    references: dict[UserReference, str] = {}
    for place, named in [*([] if text is None else [(None, text)]), *listed.items()]:
        reference = parse_user(named)
        if reference:
            references.setdefault(reference, named)
        elif place is None:
            fields.refuse("user", *_user_problem(named))
        else:
            fields.refuse_entry("users", place, *_user_problem(named))
    if is_empty:
        fields.refuse("users", "empty", "It names nobody.")
    if one and several:
        fields.refuse("users", "conflict", "An object names `user` or `users`, not both.")
    if not (one or several):
        fields.refuse("user", "required", 'An object names whom to reset: {"user": "..."}.')
    texts = [*([] if text is None else [text]), *listed.values()]
    return _Users(references, several, shorten_user(texts[0]) if len(texts) == 1 else None)


def _user_problem(text: str) -> tuple[str, str]:
    length = len(text.strip(" "))
    if length > MAX_USER_LENGTH:
        return "tooLong", f"It has {length} characters, at most {MAX_USER_LENGTH} are allowed."
    return "badFormat", f"It is no object id, user principal name or SID of a user: {quote(text)}."


def _read_request(fields: Fields, envelope: Envelope) -> partial[ResetRequest]:
    """Read all but who and under which id."""
    return partial(
        ResetRequest,
        profile=_read_profile(fields, envelope),
        reason=fields.take_text("reason", MAX_REASON),
        requested_by=fields.take_text("requestedBy", MAX_REQUESTED_BY),
        observed_at=_read_observed_at(fields, envelope.now),
        selection=Selection(
            keep=_read_keep(fields),
            only_registered_after=fields.take_moment("onlyRegisteredAfter"),
            keep_undated=fields.take_flag("keepUndated", nullable=True),
        ),
        incident=_read_incident(fields),
        dry_run=fields.take_flag("dryRun", nullable=False),
    )


def _read_profile(fields: Fields, envelope: Envelope) -> ProfileName:
    text = fields.take_string("profile")
    if text is None:
        if envelope.default_profile not in envelope.profiles:
            fields.refuse("profile", "profileRequired", "The policy has no profile for requests that name none.")
        return envelope.default_profile
    if text not in envelope.profiles:
        fields.refuse("profile", "unknownProfile", f"The policy has no profile {quote(text)}.")
    return ProfileName(text)


def _read_observed_at(fields: Fields, now: datetime) -> datetime | None:
    at = fields.take_moment("observedAt")
    if at is not None and at - now > MAX_AHEAD:
        fields.refuse("observedAt", "inTheFuture", "It is more than 5 minutes ahead.")
    return at


def _read_keep(fields: Fields) -> tuple[str, ...]:
    entries = fields.take_strings("keep", MAX_KEEP)
    for place, entry in entries.items():
        if not is_kept(entry):
            fields.refuse_entry("keep", place, *_keep_problem(entry))
    return tuple(dict.fromkeys(entries.values()))


def _keep_problem(entry: str) -> tuple[str, str]:
    if not entry.startswith(METHOD_ID_PREFIX):
        return "unknownMethodType", f"It is no method type and no `{METHOD_ID_PREFIX}<method id>`: {quote(entry)}."
    if len(entry) > len(METHOD_ID_PREFIX) + MAX_METHOD_ID_LENGTH:
        return "tooLong", f"A method id has at most {MAX_METHOD_ID_LENGTH} characters."
    return "badFormat", f"It is no method id: {quote(entry)}."


def _read_incident(fields: Fields) -> Incident | None:
    inner = fields.take_object("incident")
    if inner is None:
        return None
    incident = Incident(inner.take_identifier("id", MAX_LINK), _read_url(inner), inner.take_text("title", MAX_TITLE))
    inner.refuse_others()
    return None if incident == Incident() else incident


def _read_url(fields: Fields) -> str | None:
    text = fields.take_string("url")
    if text is None:
        return None
    if len(text) > MAX_LINK:
        fields.refuse("url", "tooLong", f"It has {len(text)} characters, at most {MAX_LINK} are allowed.")
    elif not _is_https(text):
        fields.refuse("url", "badFormat", f"It is no https address: {quote(text)}.")
    return text


def _is_https(text: str) -> bool:
    """Whether it is an absolute https address in ASCII; one with a user name would hide where it leads."""
    if not (text.isascii() and text.isprintable()) or not _NOT_IN_A_LINK.isdisjoint(text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False
