"""The table of authentication method types: the only place that knows one (graph.md 2 and 9).

Rows stand in the order in which methods are removed: what people opt into first, then software OATH, Microsoft
Authenticator and last the phones, among which `PHONE_ORDER` decides.
"""

from dataclasses import dataclass
from enum import Enum, auto

from shared.vocabulary import MethodId, MethodType, Removal

PASSWORD_TYPE = "#microsoft.graph.passwordAuthenticationMethod"  # noqa: S105 - a type's name; always listed, never a way to pass MFA
PASSWORD_ID = "28c10230-6103-485e-b985-444c60001490"  # noqa: S105 - the id that every password has
BROAD_READ_ROLE = "UserAuthenticationMethod.Read.All"
BROAD_WRITE_ROLE = "UserAuthenticationMethod.ReadWrite.All"


class Detail(Enum):
    """What of a method is shown, masked, so that its owner recognises it."""

    NOTHING = auto()
    NAME = auto()
    PHONE_NUMBER = auto()
    EMAIL_ADDRESS = auto()
    SERIAL_NUMBER = auto()


@dataclass(frozen=True)
class MethodKind:
    """One type: where it lives below `/users/{id}/authentication/`, how it goes, which app role that needs.

    `beta`: the type exists in Graph's beta endpoint only. `in_common_list`: v1.0's list of all methods shows it.
    `single`: the segment names one object without an id. `deactivatable`: it can be switched off and stay assigned.
    `by_reference`: sources differ on whether its address ends in `/$ref`. `preferences`: what a user may have as
    default method (`userPreferredMethodForSecondaryAuthentication`) because of it.
    """

    type: MethodType
    odata_type: str
    segment: str
    narrow_role: str
    shows: Detail = Detail.NAME
    preferences: tuple[str, ...] = ()
    beta: bool = False
    in_common_list: bool = True
    single: bool = False
    deactivatable: bool = False
    by_reference: bool = False


KINDS: tuple[MethodKind, ...] = (
    MethodKind(
        MethodType.TEMPORARY_ACCESS_PASS,
        "#microsoft.graph.temporaryAccessPassAuthenticationMethod",
        "temporaryAccessPassMethods",
        "UserAuthMethod-TAP.ReadWrite.All",
        shows=Detail.NOTHING,
    ),
    MethodKind(
        MethodType.EXTERNAL,
        "#microsoft.graph.externalAuthenticationMethod",
        "externalAuthenticationMethods",
        "UserAuthMethod-External.ReadWrite.All",
        by_reference=True,
    ),
    MethodKind(
        MethodType.QR_CODE_PIN,
        "#microsoft.graph.qrCodePinAuthenticationMethod",
        "qrCodePinMethod",
        "UserAuthMethod-QR.ReadWrite.All",
        beta=True,
        single=True,
        shows=Detail.NOTHING,
    ),
    MethodKind(
        MethodType.FIDO2,
        "#microsoft.graph.fido2AuthenticationMethod",
        "fido2Methods",
        "UserAuthMethod-Passkey.ReadWrite.All",
    ),
    MethodKind(
        MethodType.WINDOWS_HELLO,
        "#microsoft.graph.windowsHelloForBusinessAuthenticationMethod",
        "windowsHelloForBusinessMethods",
        "UserAuthMethod-WindowsHello.ReadWrite.All",
    ),
    MethodKind(
        MethodType.PLATFORM_CREDENTIAL,
        "#microsoft.graph.platformCredentialAuthenticationMethod",
        "platformCredentialMethods",
        "UserAuthMethod-PlatformCred.ReadWrite.All",
    ),
    MethodKind(
        MethodType.EMAIL,
        "#microsoft.graph.emailAuthenticationMethod",
        "emailMethods",
        "UserAuthMethod-Email.ReadWrite.All",
        shows=Detail.EMAIL_ADDRESS,
    ),
    MethodKind(
        MethodType.HARDWARE_OATH,
        "#microsoft.graph.hardwareOathAuthenticationMethod",
        "hardwareOathMethods",
        "UserAuthMethod-HardwareOATH.ReadWrite.All",
        beta=True,
        deactivatable=True,
        shows=Detail.SERIAL_NUMBER,
        preferences=("oath",),
        in_common_list=False,
    ),
    MethodKind(
        MethodType.SOFTWARE_OATH,
        "#microsoft.graph.softwareOathAuthenticationMethod",
        "softwareOathMethods",
        "UserAuthMethod-SoftwareOATH.ReadWrite.All",
        shows=Detail.NOTHING,
        preferences=("oath",),
    ),
    MethodKind(
        MethodType.MICROSOFT_AUTHENTICATOR,
        "#microsoft.graph.microsoftAuthenticatorAuthenticationMethod",
        "microsoftAuthenticatorMethods",
        "UserAuthMethod-MicrosoftAuthApp.ReadWrite.All",
        preferences=("push", "oath"),
    ),
    MethodKind(
        MethodType.PHONE,
        "#microsoft.graph.phoneAuthenticationMethod",
        "phoneMethods",
        "UserAuthMethod-Phone.ReadWrite.All",
        shows=Detail.PHONE_NUMBER,
    ),
)

BY_TYPE: dict[MethodType, MethodKind] = {kind.type: kind for kind in KINDS}
BY_ODATA_TYPE: dict[str, MethodKind] = {kind.odata_type.casefold(): kind for kind in KINDS}

MOBILE = MethodId("3179e48a-750b-4051-897c-87b9720928f7")
ALTERNATE_MOBILE = MethodId("b6332ec1-7057-4abe-9331-3d72feddfe41")
OFFICE = MethodId("e37fc753-ff3b-4958-9484-eaa9425c82bc")
PHONE_PREFERENCES: dict[MethodId, tuple[str, ...]] = {
    MOBILE: ("sms", "voiceMobile"),
    ALTERNATE_MOBILE: ("voiceAlternateMobile",),
    OFFICE: ("voiceOffice",),
}
PHONE_ORDER: tuple[MethodId, ...] = (ALTERNATE_MOBILE, OFFICE, MOBILE)  # alternateMobile cannot exist without mobile
PASS = BY_TYPE[MethodType.TEMPORARY_ACCESS_PASS]

# What the portal's "Require re-register multifactor authentication" does (graph.md 1).
REREGISTER: dict[MethodType, Removal] = {
    MethodType.HARDWARE_OATH: Removal.DEACTIVATE,
    MethodType.SOFTWARE_OATH: Removal.DELETE,
    MethodType.MICROSOFT_AUTHENTICATOR: Removal.DELETE,
    MethodType.PHONE: Removal.DELETE,
}
EVERYTHING: dict[MethodType, Removal] = dict.fromkeys(BY_TYPE, Removal.DELETE)


def preferences_of(type_: str, method_id: MethodId) -> tuple[str, ...]:
    """Return what a user may have as default method because of a registered one; nothing for a type not in the table.

    Among phones it is the id that decides.
    """
    if type_ == MethodType.PHONE:
        return PHONE_PREFERENCES.get(method_id, ())
    return BY_TYPE[MethodType(type_)].preferences if type_ in set(MethodType) else ()
