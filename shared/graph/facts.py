"""What the entities of Microsoft Graph say. A fact that cannot be read raises UnreadableAnswerError, never a default.

A property that was selected and is not there is null, as OData has it; ids and names are never null.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from shared.catalogue import BY_ODATA_TYPE, PASSWORD_ID, PASSWORD_TYPE, Detail, MethodKind
from shared.errors import UnreadableAnswerError
from shared.graph.masking import clean_name, mask_email, mask_phone, mask_serial
from shared.graph.wire import Entity, unreadable
from shared.model import Method, User
from shared.ports import TemporaryAccessPass
from shared.strictjson import Json
from shared.vocabulary import MethodId, UserId

USER_PROPERTIES = (
    "id",
    "userPrincipalName",
    "userType",
    "accountEnabled",
    "onPremisesSyncEnabled",
    "isManagementRestricted",
    "signInSessionsValidFromDateTime",
    "onPremisesSecurityIdentifier",
)
ACCOUNT_PROPERTIES = ("onPremisesSamAccountName", "onPremisesDomainName")

_OBJECT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ODATA_TYPE = re.compile(r"#[A-Za-z0-9_.]{1,200}")
_METHOD_ID = re.compile(r"(?!\.{1,2}$)[!-~]{1,1000}")  # a segment that is only dots would climb up the path
UNREADABLE_TYPE = "#unreadable"
PASS_MINUTES = 60  # what we ask for
_NEVER = "0001-01-01"  # .NET's way of saying that there is no date
_NAMING_PROPERTIES = ("displayName", "model", "deviceTag")
_ACTIVE_STATES: dict[Json, bool] = {
    "activated": True,
    "available": False,
    "assigned": False,
    "failedActivation": False,
}


def parse_user(entity: Entity) -> User:
    """Read a user of whom USER_PROPERTIES were selected."""
    return User(
        id=UserId(read_object_id(entity, "id")),
        user_principal_name=_name(entity, "userPrincipalName"),
        user_type=read_optional(entity, "userType", str),
        account_enabled=read_optional(entity, "accountEnabled", bool),
        on_premises_synced=read_optional(entity, "onPremisesSyncEnabled", bool) or False,  # null: never synchronised
        management_restricted=read_optional(entity, "isManagementRestricted", bool) or False,  # null: in no such unit
        sessions_valid_from=parse_time(entity.get("signInSessionsValidFromDateTime")),
    )


def parse_security_identifier(entity: Entity) -> str | None:
    """Read a user's on-premises security identifier."""
    return read_optional(entity, "onPremisesSecurityIdentifier", str)


@dataclass(frozen=True)
class NamedAccount:
    """A user with their account on-premises: `domain` is a DNS name, None where Microsoft Graph shows none."""

    user: User
    name: str
    domain: str | None


def parse_named_account(entity: Entity) -> NamedAccount:
    """Read a user of whom ACCOUNT_PROPERTIES were selected too."""
    name = _name(entity, "onPremisesSamAccountName")
    return NamedAccount(parse_user(entity), name, read_optional(entity, "onPremisesDomainName", str))


def parse_has_certificates(entity: Entity) -> bool:
    """Read whether certificate user ids are set (`authorizationInfo`); null says that there are none."""
    info = entity.get("authorizationInfo")
    ids = info.get("certificateUserIds") if isinstance(info, dict) else info
    if ids is None or isinstance(ids, list):
        return bool(ids)
    raise unreadable("authorizationInfo")


def parse_is_federated(entity: Entity) -> bool:
    """Read a domain's `authenticationType`."""
    return _name(entity, "authenticationType").casefold() == "federated"


def parse_pass(entity: Entity, now: datetime) -> TemporaryAccessPass:
    """Read a pass that was just made: the only answer that shows its code, so nothing else in it is insisted on."""
    code, minutes = entity.get("temporaryAccessPass"), entity.get("lifetimeInMinutes")
    if not isinstance(code, str) or not code:
        raise unreadable("temporaryAccessPass")
    lifetime = timedelta(minutes=minutes if isinstance(minutes, int) else PASS_MINUTES)
    return TemporaryAccessPass(_method_id(entity), code, (_readable_time(entity, "startDateTime") or now) + lifetime)


def parse_per_user_mfa(entity: Entity) -> str:
    """Read the per-user MFA state of a user."""
    return _name(entity, "perUserMfaState")


def parse_method(entity: Entity) -> Method | None:
    """Read an authentication method; None for the password, which is always listed and no way to pass MFA.

    One whose type cannot be read is of a type that we do not know: it is reported, not touched.
    """
    method_id = _method_id(entity)
    odata_type = entity.get("@odata.type")
    if not isinstance(odata_type, str) or not _ODATA_TYPE.fullmatch(odata_type):
        odata_type = PASSWORD_TYPE if method_id == PASSWORD_ID else UNREADABLE_TYPE
    if odata_type.casefold() == PASSWORD_TYPE.casefold():
        return None
    kind = BY_ODATA_TYPE.get(odata_type.casefold())
    method = Method(
        type=kind.type if kind else None,
        odata_type=kind.odata_type if kind else odata_type,
        id=method_id,
        registered_at=_registered_at(entity),
    )
    # Of what we do not know nothing is shown: a property may hold anything.
    return _with_details(method, entity, kind.shows if kind else Detail.NOTHING)


def parse_method_of(entity: Entity, kind: MethodKind) -> Method | None:
    """Read an item of a type's own collection, which need not repeat the type in each item."""
    return parse_method({"@odata.type": kind.odata_type, **entity})


def _method_id(entity: Entity) -> MethodId:
    method_id = entity.get("id")
    if not isinstance(method_id, str) or not _METHOD_ID.fullmatch(method_id):
        raise unreadable("id")
    return MethodId(method_id)


def merge_methods(listed: list[Method | None]) -> tuple[Method, ...]:
    """Leave out what is no method, and put two entries of one type and id together."""
    merged: dict[tuple[str, MethodId], Method] = {}
    for method in filter(None, listed):
        key = (method.odata_type.casefold(), method.id)
        merged[key] = _merge(merged[key], method) if key in merged else method
    return tuple(merged.values())


def parse_time(value: Json) -> datetime | None:
    """Read a time of Graph's, of up to seven digits after the second; None for null and for .NET's year 1."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise unreadable("time")
    if value.startswith(_NEVER):
        return None
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise unreadable("time")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise unreadable("time") from None


def _registered_at(entity: Entity) -> datetime | None:
    # Older documents call it `creationDateTime` on passkeys (graph.md 2). A date that cannot be read is none: whoever
    # asks by date has to say what becomes of methods without one.
    return _readable_time(entity, "createdDateTime") or _readable_time(entity, "creationDateTime")


def _readable_time(entity: Entity, name: str) -> datetime | None:
    try:
        return parse_time(entity.get(name))
    except UnreadableAnswerError:
        return None


def _with_details(method: Method, entity: Entity, shows: Detail) -> Method:
    match shows:
        case Detail.PHONE_NUMBER:
            return replace(method, detail=mask_phone(_text(entity, "phoneNumber")))
        case Detail.EMAIL_ADDRESS:
            address = _text(entity, "emailAddress")
            return replace(method, detail=mask_email(address) if address else None)
        case Detail.SERIAL_NUMBER:
            device = entity.get("device")
            token = device if isinstance(device, dict) else {}
            state = _text(token, "status")
            return replace(method, detail=mask_serial(_text(token, "serialNumber")), active=_ACTIVE_STATES.get(state))
        case Detail.NAME:
            names = (clean_name(_text(entity, name)) for name in _NAMING_PROPERTIES)
            return replace(method, detail=next(filter(None, names), None))
        case Detail.NOTHING:
            return method
        case _:
            assert_never(shows)


def _merge(first: Method, second: Method) -> Method:
    return replace(
        first,
        detail=first.detail or second.detail,
        registered_at=first.registered_at or second.registered_at,
        active=second.active if first.active is None else first.active,
    )


def _text(entity: Entity, name: str) -> str:
    """Return a text that only helps people; empty when there is none."""
    value = entity.get(name)
    return value if isinstance(value, str) else ""


def read_optional[T: (str, bool)](entity: Entity, name: str, kind: type[T]) -> T | None:
    """Read a property that may be null, or not there, which is the same."""
    value = entity.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise unreadable(name)


def _name(entity: Entity, name: str) -> str:
    value = entity.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():  # a lone surrogate is not printable
        raise unreadable(name)
    return value


def read_object_id(entity: Entity, name: str) -> str:
    """Read an object id, in lower case."""
    value = entity.get(name)
    if not isinstance(value, str) or not _OBJECT_ID.fullmatch(value.lower()):
        raise unreadable(name)
    return value.lower()
