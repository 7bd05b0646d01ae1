"""The table of method types."""

import pytest

from shared.catalogue import (
    ALTERNATE_MOBILE,
    BY_ODATA_TYPE,
    BY_TYPE,
    EVERYTHING,
    KINDS,
    MOBILE,
    OFFICE,
    PASSWORD_TYPE,
    PHONE_ORDER,
    REREGISTER,
    MethodKind,
    preferences_of,
)
from shared.vocabulary import MethodId, MethodType, Removal

# graph.md 2: path segment, whether only the beta endpoint has it, whether the segment is one object without an id.
PATHS = {
    MethodType.PHONE: ("phoneMethods", False, False),
    MethodType.MICROSOFT_AUTHENTICATOR: ("microsoftAuthenticatorMethods", False, False),
    MethodType.SOFTWARE_OATH: ("softwareOathMethods", False, False),
    MethodType.EMAIL: ("emailMethods", False, False),
    MethodType.FIDO2: ("fido2Methods", False, False),
    MethodType.WINDOWS_HELLO: ("windowsHelloForBusinessMethods", False, False),
    MethodType.PLATFORM_CREDENTIAL: ("platformCredentialMethods", False, False),
    MethodType.TEMPORARY_ACCESS_PASS: ("temporaryAccessPassMethods", False, False),
    MethodType.EXTERNAL: ("externalAuthenticationMethods", False, False),
    MethodType.HARDWARE_OATH: ("hardwareOathMethods", True, False),
    MethodType.QR_CODE_PIN: ("qrCodePinMethod", True, True),
}

# graph.md 9.
ROLES = {
    MethodType.PHONE: "Phone",
    MethodType.MICROSOFT_AUTHENTICATOR: "MicrosoftAuthApp",
    MethodType.SOFTWARE_OATH: "SoftwareOATH",
    MethodType.HARDWARE_OATH: "HardwareOATH",
    MethodType.EMAIL: "Email",
    MethodType.FIDO2: "Passkey",
    MethodType.WINDOWS_HELLO: "WindowsHello",
    MethodType.PLATFORM_CREDENTIAL: "PlatformCred",
    MethodType.EXTERNAL: "External",
    MethodType.QR_CODE_PIN: "QR",
    MethodType.TEMPORARY_ACCESS_PASS: "TAP",
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_catalogue_when_a_type_is_looked_up_then_path_and_role_are_microsofts(kind: MethodKind) -> None:
    """A row that is wrong deletes nothing, or needs a right that does not exist."""
    assert (kind.segment, kind.beta, kind.single) == PATHS[kind.type]
    assert kind.narrow_role == f"UserAuthMethod-{ROLES[kind.type]}.ReadWrite.All"
    assert kind.odata_type == f"#microsoft.graph.{kind.type}AuthenticationMethod"
    assert kind.deactivatable is (kind.type is MethodType.HARDWARE_OATH)
    assert kind.in_common_list is (kind.type is not MethodType.HARDWARE_OATH)
    assert kind.by_reference is (kind.type is MethodType.EXTERNAL)


@pytest.mark.parametrize(
    ("type_", "method_id", "expected"),
    [
        ("microsoftAuthenticator", "m", ("push", "oath")),
        ("softwareOath", "m", ("oath",)),
        ("hardwareOath", "m", ("oath",)),
        ("phone", MOBILE, ("sms", "voiceMobile")),
        ("phone", ALTERNATE_MOBILE, ("voiceAlternateMobile",)),
        ("phone", OFFICE, ("voiceOffice",)),
        ("phone", "another", ()),
        ("fido2", MOBILE, ()),
        ("palmReader", "m", ()),
    ],
)
def test_catalogue_when_asked_for_preferences_then_by_type_and_among_phones_by_id(
    type_: str, method_id: str, expected: tuple[str, ...]
) -> None:
    """What a user may have as default because of a method (graph.md 3)."""
    assert preferences_of(type_, MethodId(method_id)) == expected


def test_catalogue_when_read_then_every_type_has_exactly_one_row() -> None:
    """By its type and by the type that Graph gives, in any case."""
    assert sorted(kind.type for kind in KINDS) == sorted(MethodType)
    assert set(BY_TYPE) == set(MethodType)
    assert {kind.odata_type.casefold() for kind in KINDS} == set(BY_ODATA_TYPE)
    assert PASSWORD_TYPE.casefold() not in BY_ODATA_TYPE


def test_catalogue_when_types_are_in_order_then_what_people_rely_on_last_goes_last() -> None:
    """Opt-in types, software OATH, Authenticator, phones; alternateMobile cannot exist without mobile (graph.md 3)."""
    assert [kind.type for kind in KINDS][-3:] == [
        MethodType.SOFTWARE_OATH,
        MethodType.MICROSOFT_AUTHENTICATOR,
        MethodType.PHONE,
    ]
    assert PHONE_ORDER == (ALTERNATE_MOBILE, OFFICE, MOBILE)
    assert (ALTERNATE_MOBILE[:8], OFFICE[:8], MOBILE[:8]) == ("b6332ec1", "e37fc753", "3179e48a")


def test_catalogue_when_a_profile_is_meant_then_its_types_go_as_the_contract_says() -> None:
    """The portal button's set, and everything."""
    assert dict(REREGISTER) == {
        MethodType.PHONE: Removal.DELETE,
        MethodType.MICROSOFT_AUTHENTICATOR: Removal.DELETE,
        MethodType.SOFTWARE_OATH: Removal.DELETE,
        MethodType.HARDWARE_OATH: Removal.DEACTIVATE,
    }
    assert dict(EVERYTHING) == dict.fromkeys(MethodType, Removal.DELETE)
