"""What the entities of Microsoft Graph say: facts are read strictly, details are shown safely."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue import BY_TYPE, KINDS, PASSWORD_ID, PASSWORD_TYPE
from shared.errors import OperatorError, UnreadableAnswerError
from shared.graph.facts import (
    UNREADABLE_TYPE,
    merge_methods,
    parse_has_certificates,
    parse_is_federated,
    parse_method,
    parse_method_of,
    parse_named_account,
    parse_pass,
    parse_time,
    parse_user,
)
from shared.model import Method
from shared.vocabulary import MethodId, MethodType
from tests.builders import NOW

HARDWARE_OATH = BY_TYPE[MethodType.HARDWARE_OATH]

ID = "c4bedccf-e5ff-4215-a1df-468800618a6c"
USER: dict[str, Any] = {
    "id": ID,
    "userPrincipalName": "avery@contoso.example",
    "userType": None,
    "accountEnabled": None,
    "onPremisesSyncEnabled": None,
    "isManagementRestricted": None,
    "signInSessionsValidFromDateTime": None,
}
NAMED = [kind for kind in KINDS if kind.type in {MethodType.FIDO2, MethodType.MICROSOFT_AUTHENTICATOR}]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    [
        *USER,
        "@odata.type",
        "createdDateTime",
        "creationDateTime",
        "phoneNumber",
        "phoneType",
        "emailAddress",
        "device",
        "displayName",
        "model",
        "isAssignableToRole",
        "principalId",
        "roleDefinitionId",
    ]
)
odata_types = st.sampled_from([kind.odata_type for kind in KINDS])
texts = st.text(max_size=20) | odata_types | st.just(ID) | st.just("2026-01-02T03:04:05Z")
entities = st.dictionaries(names, anything | texts, max_size=12)


def method(type_: MethodType, **properties: Any) -> Method:  # noqa: ANN401 - any JSON
    """Read a method of that type with those properties."""
    odata_type = next(kind.odata_type for kind in KINDS if kind.type is type_)
    found = parse_method({"@odata.type": odata_type, "id": "m"} | properties)
    assert found is not None
    return found


# --- Users, groups, roles ---------------------------------------------------------------------------------------


def test_user_when_all_is_null_then_null_is_not_unknown() -> None:
    """Null is what Graph shows for never synchronised and for no restricted unit."""
    user = parse_user(USER | {"id": ID.upper()})
    assert (user.id, user.user_type, user.account_enabled, user.sessions_valid_from) == (ID, None, None, None)
    assert (user.on_premises_synced, user.management_restricted) == (False, False)


def test_user_when_facts_are_there_then_they_count() -> None:
    """Each property is read into its own field."""
    user = parse_user(
        USER
        | {
            "userType": "Guest",
            "accountEnabled": False,
            "onPremisesSyncEnabled": True,
            "isManagementRestricted": True,
            "signInSessionsValidFromDateTime": "2026-01-02T03:04:05Z",
        }
    )
    assert (user.user_type, user.account_enabled) == ("Guest", False)
    assert (user.on_premises_synced, user.management_restricted) == (True, True)
    assert user.sessions_valid_from == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("name", ["id", "userPrincipalName"])
def test_user_when_id_or_name_is_missing_then_raises(name: str) -> None:
    """Graph never leaves these out."""
    with pytest.raises(UnreadableAnswerError) as caught:
        parse_user({key: value for key, value in USER.items() if key != name})
    assert caught.value.code == f"unreadable.{name}"


@pytest.mark.parametrize("name", sorted(USER.keys() - {"id", "userPrincipalName"}))
def test_user_when_another_property_is_missing_then_it_is_null(name: str) -> None:
    """A property that was selected and is not there is null, as OData has it."""
    assert parse_user({key: value for key, value in USER.items() if key != name}) == parse_user(USER | {name: None})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "not-a-guid"),
        ("id", None),
        ("id", 7),
        ("id", ID + "\n"),
        ("userPrincipalName", None),
        ("userPrincipalName", ""),
        ("userPrincipalName", "a\ud800@x.example"),
        ("userPrincipalName", "a\n@x.example"),
        ("userType", 7),
        ("accountEnabled", "true"),
        ("accountEnabled", 1),
        ("onPremisesSyncEnabled", "false"),
        ("isManagementRestricted", 0),
        ("signInSessionsValidFromDateTime", 0),
        ("signInSessionsValidFromDateTime", "yesterday"),
    ],
)
def test_user_when_a_fact_has_another_type_then_raises(name: str, value: Any) -> None:  # noqa: ANN401 - any JSON
    """A wrong type is never taken for a value that happens to be alike."""
    with pytest.raises(UnreadableAnswerError):
        parse_user(USER | {name: value})


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (None, False),
        ({}, False),
        ({"certificateUserIds": None}, False),
        ({"certificateUserIds": []}, False),
        ({"certificateUserIds": ["X509:<PN>bob@woodgrove"]}, True),
    ],
)
def test_certificates_when_read_then_whether_there_are_any(info: Any, *, expected: bool) -> None:  # noqa: ANN401 - JSON
    """The ids themselves are nobody's business here."""
    assert parse_has_certificates({"authorizationInfo": info}) is expected


@pytest.mark.parametrize("info", [{"certificateUserIds": "x"}, "x", 7])
def test_certificates_when_of_another_form_then_raises(info: Any) -> None:  # noqa: ANN401 - JSON
    """What cannot be read is not `none`."""
    with pytest.raises(UnreadableAnswerError):
        parse_has_certificates({"authorizationInfo": info})


@pytest.mark.parametrize(("kind", "federated"), [("Federated", True), ("federated", True), ("Managed", False)])
def test_domain_when_read_then_whether_it_is_federated(kind: str, *, federated: bool) -> None:
    """By its authentication type."""
    assert parse_is_federated({"authenticationType": kind}) is federated


PASS: dict[str, Any] = {"id": "p", "temporaryAccessPass": "code", "lifetimeInMinutes": 60, "startDateTime": None}


def test_pass_when_made_then_its_end_is_known_and_its_code_not_shown() -> None:
    """The start is now where Graph does not say."""
    later = parse_pass(PASS | {"startDateTime": "2026-11-24T10:00:00Z"}, NOW)
    assert (parse_pass(PASS, NOW).expires_at - NOW).total_seconds() == 3_600
    assert (later.expires_at - NOW).total_seconds() == 7_200
    assert (later.code, "code" in repr(later)) == ("code", False)


@pytest.mark.parametrize("broken", [{"temporaryAccessPass": None}, {"temporaryAccessPass": ""}, {"id": ""}])
def test_pass_when_code_or_id_is_missing_then_raises(broken: dict[str, Any]) -> None:
    """A pass without its code is one that nobody knows."""
    with pytest.raises(UnreadableAnswerError):
        parse_pass(PASS | broken, NOW)


@pytest.mark.parametrize("odd", [{"lifetimeInMinutes": None}, {"lifetimeInMinutes": "60"}, {"startDateTime": "now"}])
def test_pass_when_anything_else_is_odd_then_its_code_is_not_lost(odd: dict[str, Any]) -> None:
    """It ends an hour from now, as it was asked for."""
    assert (parse_pass(PASS | odd, NOW).expires_at - NOW).total_seconds() == 3_600


@given(entities)
def test_entities_when_anything_then_value_or_typed_error(entity: dict[str, Any]) -> None:
    """Reading is total: a value or one of two errors, for each kind of entity."""
    for parse in (
        parse_user,
        parse_method,
        lambda each: parse_method_of(each, HARDWARE_OATH),
        parse_has_certificates,
        parse_is_federated,
        parse_named_account,
        lambda each: parse_pass(each, NOW),
    ):
        try:
            parse(entity)
        except (UnreadableAnswerError, OperatorError):
            continue


# --- Methods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_method_when_type_is_known_then_letter_case_does_not_matter(kind: Any) -> None:  # noqa: ANN401 - a row
    """Each row of the catalogue is recognised, and written as the catalogue does."""
    found = parse_method({"@odata.type": kind.odata_type.upper(), "id": "m"})
    assert found == Method(kind.type, kind.odata_type, MethodId("m"))


def test_method_when_password_then_none() -> None:
    """The password is no way to pass MFA."""
    assert parse_method({"@odata.type": PASSWORD_TYPE, "id": "m", "createdDateTime": None}) is None


def test_method_when_type_is_unknown_then_says_nothing_but_its_type() -> None:
    """Of what we do not know nothing is shown: a property may hold anything."""
    found = parse_method({"@odata.type": "#microsoft.graph.novel", "id": "m", "displayName": "x", "phoneNumber": "1"})
    assert found == Method(None, "#microsoft.graph.novel", MethodId("m"))


@pytest.mark.parametrize("odata_type", [None, 7, "", "microsoft.graph.x", "#a b", "#" + "a" * 201, "#a\n"])
def test_method_when_type_cannot_be_read_then_it_is_of_a_type_that_we_do_not_know(odata_type: Any) -> None:  # noqa: ANN401 - any JSON
    """It is reported and not touched; only the password is known by its id."""
    assert parse_method({"@odata.type": odata_type, "id": "m"}) == Method(None, UNREADABLE_TYPE, MethodId("m"))
    assert parse_method({"@odata.type": odata_type, "id": PASSWORD_ID}) is None


def test_method_when_its_date_cannot_be_read_then_it_has_none() -> None:
    """A strange date keeps no method from being removed."""
    found = parse_method({"@odata.type": KINDS[0].odata_type, "id": "m", "createdDateTime": ""})
    assert found == Method(KINDS[0].type, KINDS[0].odata_type, MethodId("m"))


@pytest.mark.parametrize("method_id", [None, 7, "", ".", "..", "a b", "a\n", "\u00e4", "a" * 1_001])
def test_method_when_id_cannot_be_addressed_then_raises(method_id: Any) -> None:  # noqa: ANN401 - any JSON
    """An id that is no segment of a path cannot be deleted by."""
    with pytest.raises(UnreadableAnswerError):
        parse_method({"@odata.type": KINDS[0].odata_type, "id": method_id})


@pytest.mark.parametrize("method_id", ["...", "a/b", "..a", "_-x'$"])
def test_method_when_id_is_odd_then_it_is_kept(method_id: str) -> None:
    """Whatever can be encoded is an id."""
    found = parse_method({"@odata.type": KINDS[0].odata_type, "id": method_id})
    assert found is not None
    assert found.id == method_id


def test_hardware_oath_when_type_is_missing_then_its_collection_tells() -> None:
    """In a collection of one type an item need not name it; one that does is taken at its word."""
    assert parse_method_of({"id": "m"}, HARDWARE_OATH) == method(MethodType.HARDWARE_OATH)
    assert parse_method_of({"id": "m", "@odata.type": PASSWORD_TYPE}, HARDWARE_OATH) is None


@pytest.mark.parametrize(
    ("device", "active"),
    [
        ({"status": "activated"}, True),
        ({"status": "available"}, False),
        ({"status": "assigned"}, False),
        ({"status": "failedActivation"}, False),
        ({"status": "unknownFutureValue"}, None),
        ({"status": 7}, None),
        ({}, None),
        (None, None),
        ("text", None),
    ],
)
def test_hardware_oath_when_state_is_told_then_active(device: Any, active: bool | None) -> None:  # noqa: ANN401 - a table
    """Only what Graph says plainly is known."""
    assert method(MethodType.HARDWARE_OATH, device=device).active is active


@pytest.mark.parametrize(
    ("properties", "at"),
    [
        ({"createdDateTime": "2026-01-02T03:04:05Z"}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ({"creationDateTime": "2026-01-02T03:04:05Z"}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (
            {"createdDateTime": None, "creationDateTime": "2026-01-02T03:04:05Z"},
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        ),
        ({"createdDateTime": "0001-01-01T00:00:00Z"}, None),
        ({}, None),
    ],
)
def test_method_when_dated_then_registered_at(properties: dict[str, Any], at: datetime | None) -> None:
    """Both names that Graph has used, null, and .NET's year 1."""
    assert method(MethodType.FIDO2, **properties).registered_at == at


@pytest.mark.parametrize(
    ("type_", "properties", "detail"),
    [
        (MethodType.PHONE, {"phoneNumber": "+1 4255550155"}, "+X XXXXXXXX55"),
        (MethodType.PHONE, {"phoneNumber": None}, None),
        (MethodType.EMAIL, {"emailAddress": "avery@mail.contoso.example"}, "a***@***.example"),
        (MethodType.EMAIL, {"emailAddress": None}, None),
        (MethodType.HARDWARE_OATH, {"device": {"serialNumber": "AB-1234"}}, "serial number ending in 34"),
        (MethodType.MICROSOFT_AUTHENTICATOR, {"displayName": "My phone", "deviceTag": "x"}, "My phone"),
        (MethodType.FIDO2, {"displayName": "", "model": "Key 5"}, "Key 5"),
        (MethodType.WINDOWS_HELLO, {"displayName": "LAPTOP"}, "LAPTOP"),
        (MethodType.PLATFORM_CREDENTIAL, {"displayName": "Mac"}, "Mac"),
        (MethodType.EXTERNAL, {"displayName": "Other MFA"}, "Other MFA"),
        (MethodType.SOFTWARE_OATH, {"secretKey": "JBSWY3DP", "displayName": "x"}, None),
        (MethodType.TEMPORARY_ACCESS_PASS, {"temporaryAccessPass": "TAPRocks!", "displayName": "x"}, None),
        (MethodType.QR_CODE_PIN, {"pin": {"code": "1234"}, "displayName": "x"}, None),
    ],
)
def test_method_when_detailed_then_only_what_may_be_shown(
    type_: MethodType, properties: dict[str, Any], detail: str | None
) -> None:
    """Each type has its own rule, and key material has none."""
    assert method(type_, **properties).detail == detail


@given(odata_types, st.text("0123456789", min_size=12, max_size=12))
def test_method_when_numbers_are_anywhere_then_never_in_the_clear(odata_type: str, secret: str) -> None:
    """Whichever property a number stands in, the detail does not show it."""
    properties = [
        "phoneNumber",
        "emailAddress",
        "displayName",
        "model",
        "deviceTag",
        "secretKey",
        "temporaryAccessPass",
    ]
    entity: dict[str, Any] = dict.fromkeys(properties, secret)
    found = parse_method(entity | {"@odata.type": odata_type, "id": "m", "device": dict.fromkeys(properties, secret)})
    assert secret[2:-2] not in str(found)


def test_methods_when_listed_twice_then_merged() -> None:
    """v1.0 and beta may both show one: what one of them does not say the other does."""
    early = datetime(2026, 1, 2, tzinfo=UTC)
    first = Method(MethodType.HARDWARE_OATH, "#t", MethodId("m"), registered_at=early)
    second = Method(MethodType.HARDWARE_OATH, "#T", MethodId("m"), "detail", None, active=False)
    other = Method(MethodType.FIDO2, "#f", MethodId("m"), "x")
    assert merge_methods([first, None, second, other]) == (
        Method(MethodType.HARDWARE_OATH, "#t", MethodId("m"), "detail", early, active=False),
        other,
    )
    active = Method(MethodType.HARDWARE_OATH, "#t", MethodId("m"), active=True)
    assert merge_methods([active, second])[0].active is True
    silent = Method(MethodType.HARDWARE_OATH, "#t", MethodId("m"))
    assert merge_methods([second, silent])[0].active is False


# --- Times ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.1234567Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        (None, None),
    ],
)
def test_time_when_graphs_form_then_aware(text: str | None, at: datetime | None) -> None:
    """Up to seven digits after the second, in UTC."""
    assert parse_time(text) == at


@pytest.mark.parametrize("value", ["", "2026-01-02", "2026-01-02T03:04:05", "9999-12-31T23:59:59-01:00", "x", 7, True])
def test_time_when_another_form_then_raises(value: Any) -> None:  # noqa: ANN401 - any JSON
    """A time without its offset is no time."""
    with pytest.raises(UnreadableAnswerError):
        parse_time(value)
