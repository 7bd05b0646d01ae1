"""The user's default method: which method carries it, what it keeps from being deleted, what follows it.

Read from the service's two error texts and from scripts that live with them; what Microsoft does not document is
decided here and said: several methods of one kind share the default's kind, and the first in the list carries it;
Microsoft Authenticator is `push`, never `oath`; when the default goes, the first kind in `SUCCESSION` that the user
still has comes next, and without one the default is `none`.
"""

from collections.abc import Collection

from sandbox.tenant.directory import Method, User
from sandbox.tenant.exchange import GraphError, bad_request

DEFAULT_TEXTS = (
    (
        "The requested authentication method matches the user's current default authentication method, "
        "and cannot be deleted until the default authentication method is changed."
    ),
    "Cannot delete default method with other methods configured. Please change default method before deletion.",
)
SUCCESSION = ("push", "oath", "sms", "voiceAlternateMobile", "voiceOffice")
PREFERENCES = frozenset({"push", "oath", "voiceMobile", "voiceAlternateMobile", "voiceOffice", "sms"})
_PHONE_PREFERENCES = {
    "mobile": frozenset({"sms", "voiceMobile"}),
    "alternateMobile": frozenset({"voiceAlternateMobile"}),
    "office": frozenset({"voiceOffice"}),
}


def preferences_of(method: Method) -> frozenset[str]:
    """Return the values of `userPreferredMethodForSecondaryAuthentication` that a method can carry."""
    match method.type:
        case "microsoftAuthenticator":
            return frozenset({"push"})
        case "softwareOath":
            return frozenset({"oath"})
        case "hardwareOath" if is_activated(method):
            return frozenset({"oath"})
        case "phone":
            return _PHONE_PREFERENCES.get(method.properties.get("phoneType", ""), frozenset())
        case _:
            return frozenset()


def is_activated(method: Method) -> bool:
    """Say whether a hardware token can be signed in with, rather than being assigned only."""
    device = method.properties.get("device") or {}
    return bool(device.get("status") == "activated")


def find_carrier(user: User, preference: str) -> Method | None:
    """Return the first method that can carry a preference, None when the user has none."""
    return next((method for method in user.methods if preference in preferences_of(method)), None)


def check_delete(user: User, method: Method, other_types: Collection[str], text_number: int) -> None:
    """Raise 400 while a rule keeps the method: a mobile phone under an alternate one, a default among others."""
    if method.properties.get("phoneType") == "mobile" and _has_phone(user, "alternateMobile"):
        raise bad_request("The mobile phone cannot be deleted while an alternate mobile phone exists.", "badRequest")
    if is_refused_default(user, method, other_types):
        raise GraphError(400, "badRequest", DEFAULT_TEXTS[text_number - 1])


def is_refused_default(user: User, method: Method, other_types: Collection[str]) -> bool:
    """Say whether a method is the default and others that count remain."""
    if find_carrier(user, user.default_method) is not method:
        return False
    return any(_counts(other, other_types) for other in user.methods if other is not method)


def _counts(method: Method, other_types: Collection[str]) -> bool:
    if method.type == "hardwareOath" and not is_activated(method):
        return False
    return method.type in other_types


def _has_phone(user: User, phone_type: str) -> bool:
    return any(each.type == "phone" and each.properties.get("phoneType") == phone_type for each in user.methods)


def settle_default(user: User) -> None:
    """Choose the next default when nothing carries the present one any more."""
    if find_carrier(user, user.default_method) is None:
        user.default_method = next((each for each in SUCCESSION if find_carrier(user, each)), "none")
