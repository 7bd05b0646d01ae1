"""Single values: users, method ids, times, request ids, text."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.intake import fingerprint, parse_request_id, parse_stored_request_id, queue_parent_id
from shared.intake.identifiers import decode_cloud_sid, is_kept, is_method_id, parse_user
from shared.intake.moments import parse_moment
from shared.intake.request_ids import derive_id_of_place, derive_request_id, parent_of, parse_request_key
from shared.intake.text import is_spoilt, quote, remove_control_characters
from shared.model import ReferenceKind, RequestKey, ResetRequest, Selection, UserReference
from shared.vocabulary import FUNCTION_KEY, QUEUE, Caller, MethodType, ProfileName, RequestId
from tests.strategies import callers, request_ids
from tests.unit.intake_bodies import OBJECT_ID

_UPN, _SID, _ID = ReferenceKind.USER_PRINCIPAL_NAME, ReferenceKind.SECURITY_IDENTIFIER, ReferenceKind.OBJECT_ID

DERIVED = "~AAAAAAAAAAAAAAA7"  # what a derived id ends in


# --- Users ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (OBJECT_ID, _ID, OBJECT_ID),
        (f"  {OBJECT_ID.upper()} ", _ID, OBJECT_ID),
        ("S-1-12-1-1943430372-1249052806-2496021943-3034400218", _ID, "73d664e4-0886-4a73-b745-c694da45ddb4"),
        ("s-1-12-1-0-0-0-1", _ID, "00000000-0000-0000-0000-000001000000"),
        ("S-1-12-1-4294967295-0-0-0", _ID, "ffffffff-0000-0000-0000-000000000000"),
        ("s-1-5-21-1-2-3-500", _SID, "S-1-5-21-1-2-3-500"),
        ("S-1-5-21-4294967295-0-0-4294967295", _SID, "S-1-5-21-4294967295-0-0-4294967295"),
        ("JSmith@Contoso.COM", _UPN, "jsmith@contoso.com"),
        (" o'neil+x%&=!{}@contoso.com ", _UPN, "o'neil+x%&=!{}@contoso.com"),
        ("Guest_fabrikam.com#EXT#@contoso.onmicrosoft.com", _UPN, "guest_fabrikam.com#ext#@contoso.onmicrosoft.com"),
        ("JÜRGEN@contoso.com", _UPN, "jÜrgen@contoso.com"),
        ("İ@contoso.com", _UPN, "İ@contoso.com"),
        ("s-1-5-18@contoso.com", _UPN, "s-1-5-18@contoso.com"),
        ("a@" + "b" * 254, _UPN, "a@" + "b" * 254),
    ],
)
def test_parse_user_of_an_identifier_normalises_it(text: str, kind: ReferenceKind, value: str) -> None:
    """Object ids, both kinds of SID and principal names are known, and their spellings fall together."""
    assert parse_user(text) == UserReference(kind, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "-",
        "00000000-0000-0000-0000-000000000000",
        "S-1-12-1-0-0-0-0",
        OBJECT_ID.replace("-", ""),
        f"{{{OBJECT_ID}}}",
        OBJECT_ID[:-1],
        f"{OBJECT_ID}0",
        f"{OBJECT_ID}\n",
        f"\t{OBJECT_ID}",
        OBJECT_ID.replace("c", "g"),
        OBJECT_ID.replace("4", "٤"),
        "S-1-12-1-1-2-3",
        "S-1-12-1-1-2-3-4-5",
        "S-1-12-1-4294967296-0-0-0",
        "S-1-12-1-0-0-0-4294967296",
        "S-1-12-1-01-2-3-4",
        "S-1-12-1-1-2-3--4",
        "S-1-12-1-1-2-3-٤",
        "S-1-5-21-1-2-3",
        "S-1-5-21-1-2-3-4-5",
        "S-1-5-21-1-2-3-4294967296",
        "S-1-5-21-01-2-3-500",
        "S-1-5-18",
        "S-1-5-32-544",
        "jsmith",
        "CONTOSO\\jsmith",
        "@contoso.com",
        "jsmith@",
        "j@smith@contoso.com",
        "jsmith@contoso#ext#.com",
        *(f"j{character}smith@contoso.com" for character in '/\\?*"<>|[],'),
        *(f"j{character}smith@contoso.com" for character in " \t\n\xa0\u2003\u2028"),
        *(f"j{character}smith@contoso.com" for character in "\0\x1b\x7f\x85\u200b\u202e\ufeff\ud800\udfff\ufffd"),
        *(f"jsmith@contoso{character}.com" for character in "/ \0\ufffd"),
        "a@" + "b" * 255,
    ],
)
def test_parse_user_of_anything_else_is_none(text: str) -> None:
    """Nothing is guessed: what has no known form, or names nobody, is no user."""
    assert parse_user(text) is None


@given(st.uuids())
def test_decode_cloud_sid_of_an_encoded_object_id_gives_it_back(object_id: uuid.UUID) -> None:
    """Decoding is the inverse of how Entra makes a SID of an object id."""
    numbers = [int.from_bytes(object_id.bytes_le[start : start + 4], "little") for start in range(0, 16, 4)]
    assert decode_cloud_sid("S-1-12-1-" + "-".join(map(str, numbers))) == str(object_id)


@given(st.text(st.characters()) | st.from_regex(r"\A[sS]-1-(12-1|5-21)(-[0-9]{1,11}){3,5}\Z"))
def test_parse_user_of_its_own_value_is_itself(text: str) -> None:
    """A normalised value is normal already, and no text makes it raise."""
    reference = parse_user(text)
    assert reference is None or parse_user(reference.value) == reference


# --- Methods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method_id",
    [
        "3179e48a-750b-4051-897c-87b9720928f7",
        "-2_GRUg2-HYz6_1YG4YRAQ2",
        "_jpuR-TGZtk6aQCLF3BQjA2",
        "ab+cd==",
        "a.b~c",
        "x" * 256,
    ],
)
def test_is_kept_of_a_method_id_holds(method_id: str) -> None:
    """Every form of id that Graph shows can be kept."""
    assert is_method_id(method_id)
    assert is_kept(f"id:{method_id}")
    assert not is_kept(method_id)


@pytest.mark.parametrize(
    "method_id", ["", "x" * 257, *(f"a{c}b" for c in "/?#%\\ '\"\n\0&:;é\u200b\ud800\ufffd"), "a\n"]
)
def test_is_kept_of_what_no_method_id_holds_is_false(method_id: str) -> None:
    """Characters that would change an address, and those that cannot be seen, are no part of an id."""
    assert not is_method_id(method_id)
    assert not is_kept(f"id:{method_id}")


@pytest.mark.parametrize("method_type", list(MethodType))
def test_is_kept_of_a_method_type_holds_in_its_own_spelling_only(method_type: MethodType) -> None:
    """Types are named as the contract does."""
    assert is_kept(method_type.value)
    assert not is_kept(method_type.value.upper())
    assert not is_kept(f" {method_type.value}")


# --- Times ------------------------------------------------------------------------------------------------------


def _utc(*parts: int) -> datetime:
    year, month, day, hour, minute, second, microsecond = parts
    return datetime(year, month, day, hour, minute, second, microsecond, UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-24T01:02:03Z", _utc(2026, 11, 24, 1, 2, 3, 0)),
        ("2026-11-24t01:02:03z", _utc(2026, 11, 24, 1, 2, 3, 0)),
        ("2026-11-24T01:02:03+02:00", _utc(2026, 11, 23, 23, 2, 3, 0)),
        ("2026-11-24T01:02:03-23:59", _utc(2026, 11, 25, 1, 1, 3, 0)),
        ("2026-11-24T01:02:03-00:00", _utc(2026, 11, 24, 1, 2, 3, 0)),
        ("2026-11-24T01:02:03.5Z", _utc(2026, 11, 24, 1, 2, 3, 500_000)),
        ("2026-11-24T01:02:03.9584103Z", _utc(2026, 11, 24, 1, 2, 3, 958_410)),
        ("2026-11-24T01:02:03." + "9" * 5000 + "Z", _utc(2026, 11, 24, 1, 2, 3, 999_999)),
        ("2016-12-31T23:59:60Z", _utc(2016, 12, 31, 23, 59, 59, 0)),
        ("2017-01-01T05:29:60.25+05:30", _utc(2016, 12, 31, 23, 59, 59, 250_000)),
        ("2024-02-29T00:00:00Z", _utc(2024, 2, 29, 0, 0, 0, 0)),
        ("0001-01-01T00:00:00Z", _utc(1, 1, 1, 0, 0, 0, 0)),
        ("9999-12-31T23:59:59Z", _utc(9999, 12, 31, 23, 59, 59, 0)),
    ],
)
def test_parse_moment_of_rfc_3339_returns_the_moment_in_utc(text: str, at: datetime) -> None:
    """Offsets, fractions of any length, lower case and leap seconds are read."""
    parsed = parse_moment(text)
    assert parsed == at
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-24",
        "2026-11-24T01:02:03",
        "2026-11-24T01:02Z",
        "2026-11-24 01:02:03Z",
        "20261124T010203Z",
        "2026-W48-2T01:02:03Z",
        "2026-11-24T01:02:03.Z",
        "2026-11-24T01:02:03,5Z",
        "2026-11-24T01:02:03+02",
        "2026-11-24T01:02:03+0200",
        "2026-11-24T01:02:03+24:00",
        "2026-11-24T01:02:03+02:60",
        "2026-11-24T24:00:00Z",
        "2026-11-24T01:60:00Z",
        "2026-11-24T23:59:61Z",
        "2026-11-24T12:00:60Z",
        "2026-11-24T23:59:60+01:00",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-00:01",
        " 2026-11-24T01:02:03Z",
        "2026-11-24T01:02:03Z\n",
        "٢٠٢٦-11-24T01:02:03Z",
        "1764000000",
    ],
)
def test_parse_moment_of_anything_else_is_none(text: str) -> None:
    """A date alone, a time without an offset and what is no time are not guessed at."""
    assert parse_moment(text) is None


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)), st.integers(-1439, 1439))  # noqa: DTZ001 - hypothesis wants bounds without a zone
def test_parse_moment_of_a_written_time_gives_it_back(naive: datetime, offset_minutes: int) -> None:
    """Reading is the inverse of writing, for any offset."""
    at = naive.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    assert parse_moment(at.isoformat()) == at


# --- Request ids ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a", "INC-3177-jsmith", "A.z_0:9-", "...", "x" * 100])
def test_parse_request_id_of_the_grammar_returns_it(text: str) -> None:
    """What fits the grammar is an id as it is."""
    assert parse_request_id(text) == text
    assert parse_stored_request_id(text) == text


@pytest.mark.parametrize("text", ["", ".", "..", " a", "a\n", "a b", "a/b", "a%b", "a#b", "é", "٣", "\0", "\ud800"])
def test_parse_request_id_outside_the_grammar_is_none(text: str) -> None:
    """Nothing that would have to be escaped in an address or a log is an id."""
    assert parse_request_id(text) is None
    assert parse_stored_request_id(text) is None


def test_parse_request_id_when_long_keeps_each_limit() -> None:
    """A sender's id has 100 characters at most, a stored one 200."""
    assert parse_request_id("x" * 101) is None
    assert parse_stored_request_id("x" * 101) == "x" * 101
    assert parse_stored_request_id("x" * 200) == "x" * 200
    assert parse_stored_request_id("x" * 201) is None
    assert parse_stored_request_id("x" * 184 + DERIVED) is None


@pytest.mark.parametrize("text", ["INC-1" + DERIVED, "x" * 183 + DERIVED, "..." + DERIVED, "a:b" + DERIVED])
def test_parse_stored_request_id_of_a_derived_one_returns_it(text: str) -> None:
    """It stands in the ledger and in addresses; no sender may name it."""
    assert parse_stored_request_id(text) == text
    assert parse_request_id(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "~open",
        "~children:INC-77",
        DERIVED,
        "." + DERIVED,
        ".." + DERIVED,
        "INC-1~",
        "INC-1~AAAAAAAAAAAAAAA",
        "INC-1~AAAAAAAAAAAAAAAAA",
        "INC-1~aaaaaaaaaaaaaaaa",
        "INC-1~AAAAAAAAAAAAAAA1",
        "INC-1" + DERIVED * 2,
        "INC-1" + DERIVED + "\n",
    ],
)
def test_parse_stored_request_id_of_what_no_request_is_called_is_none(text: str) -> None:
    """What begins with `~` in the ledger is an index, and is read as one only."""
    assert parse_stored_request_id(text) is None
    assert parse_request_key(f"queue:{text}") is None


KEY_TEXTS = st.text(st.sampled_from("aA1~.:_-/\\#?%\0\n \x7f\x85é٣\ud800"), max_size=12) | st.text(max_size=40)


@given(KEY_TEXTS)
def test_stored_id_of_any_text_is_what_a_table_takes_as_a_key(text: str) -> None:
    """Not one character that Table Storage forbids, no more than 1 KiB, nothing that an index is called."""
    parsed = parse_stored_request_id(text)
    assert parsed in {text, None}
    if parsed:
        assert not set(parsed) & set("/\\#?%")
        assert parsed.isascii()
        assert parsed.isprintable()
        assert 1 <= len(parsed) <= 200
        assert not parsed.startswith("~")
    key = parse_request_key(f"queue:{text}")
    assert key == (RequestKey(QUEUE, parsed) if parsed else None)


@given(callers, request_ids.filter(lambda text: text not in {".", ".."}), st.booleans())
def test_key_of_any_request_when_read_back_then_it_is_the_same(
    caller: Caller, request_id: RequestId, is_derived: bool
) -> None:
    """A request id may hold colons, a caller holds none."""
    key = RequestKey(caller, RequestId(f"{request_id}{DERIVED}") if is_derived else request_id)
    assert parse_request_key(str(key)) == key


@given(st.text() | st.tuples(KEY_TEXTS, KEY_TEXTS).map(":".join))
def test_key_of_any_text_is_none_or_written_so(text: str) -> None:
    """Nothing is repaired, and nothing raises."""
    key = parse_request_key(text)
    assert key is None or str(key) == text


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("queue:INC:1", RequestKey(QUEUE, RequestId("INC:1"))),
        ("functionKey:1", RequestKey(FUNCTION_KEY, RequestId("1"))),
        (f"{OBJECT_ID}:1", RequestKey(Caller(OBJECT_ID), RequestId("1"))),
        (f"{OBJECT_ID.upper()}:1", None),
        ("Queue:1", None),
        (" queue:1", None),
        ("queue\n:1", None),
        ("a::", None),
        ("", None),
        (":", None),
        ("queue", None),
        ("queue:", None),
        ("queue:a/b", None),
        ("queue:\0", None),
        ("queue:" + "x" * 201, None),
        (":INC", None),
    ],
)
def test_key_of_a_text_is_of_a_caller_and_an_id_that_there_can_be(text: str, key: RequestKey | None) -> None:
    """Anything else is nobody's."""
    assert parse_request_key(text) == key


@given(st.from_regex(r"[A-Za-z0-9_.:-]{1,100}", fullmatch=True), st.sampled_from(["jsmith@contoso.com", "a@b.example"]))
def test_derived_id_when_somebody_tries_to_name_it_then_nobody_can(parent: str, user: str) -> None:
    """Whoever could take it first would shut a user out of resets; what looks like the old form is an ordinary id."""
    derived = derive_request_id(RequestId(parent), UserReference(_UPN, user))
    assert parse_request_id(derived) is None
    assert parent_of(derived) == parent
    assert parent_of(derive_id_of_place(RequestId(parent), 3)) == parent
    assert parent_of(RequestId(derived.replace("~", "."))) is None


@pytest.mark.parametrize(
    ("message_id", "parent"),
    [
        ("INC-3177", "INC-3177"),
        ("x" * 100, "x" * 100),
        (None, "q-7"),
        ("", "q-7"),
        ("a b", "m-c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65"),
    ],
)
def test_queue_parent_id_of_a_message_names_it(message_id: str | None, parent: str) -> None:
    """The MessageId where it can be one, else its SHA-256; the sequence number where there is none."""
    assert queue_parent_id(message_id, 7) == parent


@given(st.text(st.characters(), min_size=1), st.integers(0))
def test_queue_parent_id_of_any_message_id_is_an_id_and_always_the_same(message_id: str, sequence_number: int) -> None:
    """Every message has an id in the grammar, and a redelivered one has the same."""
    parent = queue_parent_id(message_id, sequence_number)
    assert parse_request_id(parent) == parent
    assert queue_parent_id(message_id, sequence_number + 1) == parent


@pytest.mark.parametrize("message_id", ["x" * 101, "a/b", ".", "..", "\ud800", "a\n"])
def test_queue_parent_id_outside_the_grammar_is_a_hash_of_it(message_id: str) -> None:
    """Different MessageIds stay different."""
    parent = queue_parent_id(message_id, 7)
    assert len(parent) == len("m-") + 64
    assert parent != queue_parent_id(f"{message_id}x", 7)


def test_derive_request_id_of_a_user_is_the_parent_a_tilde_and_sixteen_base32_characters() -> None:
    """The derived id is a contract: the same user under the same parent has it forever."""
    user = UserReference(_UPN, "jsmith@contoso.com")
    assert derive_request_id(RequestId("INC-1"), user) == "INC-1~CLH3CAKTS4KVFPK4"
    assert parse_stored_request_id(derive_request_id(RequestId("x" * 100), user)) is not None


_REQUEST = ResetRequest(RequestId("a"), UserReference(_ID, OBJECT_ID), ProfileName("compromised"))
_AFTER = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "other",
    [
        replace(_REQUEST, request_id=RequestId("b")),
        replace(_REQUEST, reason="why", requested_by="who", observed_at=_AFTER),
        replace(_REQUEST, selection=Selection()),
    ],
)
def test_fingerprint_of_the_same_wish_is_the_same(other: ResetRequest) -> None:
    """Id, reason, sender and time do not change what is asked for."""
    assert fingerprint(other) == fingerprint(_REQUEST)


def test_fingerprint_does_not_depend_on_order_or_offset() -> None:
    """The kept methods are a set, and a moment has many spellings."""
    one = Selection(("phone", "email", "phone"), _AFTER)
    other = Selection(("email", "phone"), _AFTER.astimezone(timezone(timedelta(hours=2))))
    assert fingerprint(replace(_REQUEST, selection=one)) == fingerprint(replace(_REQUEST, selection=other))


def test_fingerprint_of_different_wishes_differs() -> None:
    """User, profile, each part of the selection and dryRun count."""
    requests = [
        _REQUEST,
        replace(_REQUEST, user=UserReference(_UPN, "a@b.c")),
        replace(_REQUEST, profile=ProfileName("reregister")),
        replace(_REQUEST, dry_run=True),
        replace(_REQUEST, selection=Selection(("phone",))),
        replace(_REQUEST, selection=Selection(only_registered_after=_AFTER)),
        replace(_REQUEST, selection=Selection(only_registered_after=_AFTER + timedelta(microseconds=1))),
        replace(_REQUEST, selection=Selection(keep_undated=True)),
    ]
    assert len({fingerprint(request) for request in requests}) == len(requests)


def test_fingerprint_of_a_request_is_the_one_that_ledgers_hold() -> None:
    """A stored fingerprint must be met again by a later version of the program."""
    selection = Selection(("phone", "email"), _AFTER, keep_undated=True)
    assert (
        fingerprint(replace(_REQUEST, selection=selection, dry_run=True))
        == "1184fda0a0374f8dc5c9347ca4730f0a00e77230493194901d387c890c8dabce"
    )


# --- Text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("", ""),
        ("plain é 漢 😀 \ufffd", "plain é 漢 😀 \ufffd"),
        ("\0a\tb\r\nc\x7f\x85d", "abcd"),
        ("a\u200b\u202eb\ufeff\xadc\U000e0001", "abc"),
        ("\ud83d\0\ude00\udfff", ""),
        ("\xa0\u2028", "\xa0\u2028"),
    ],
)
def test_remove_control_characters_leaves_what_can_be_seen(text: str, clean: str) -> None:
    """Categories Cc, Cf and Cs go, all else stays."""
    assert remove_control_characters(text) == clean


@pytest.mark.parametrize(
    ("text", "spoilt"), [("a", False), ("a\xa0b", False), ("a\ufffd", True), ("a\0", True), ("\ud800", True)]
)
def test_is_spoilt_of_what_cannot_be_an_identifier_holds(text: str, *, spoilt: bool) -> None:
    """Control characters and the sign of a failed decoding spoil an identifier."""
    assert is_spoilt(text) is spoilt


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("it", "'it'"),
        ("\ud800\n", "'\\ud800\\n'"),
        ("x" * 50, f"'{'x' * 50}'"),
        ("x" * 51, f"'{'x' * 50}'..."),
        ("\n" * 8 + "x" * 42, f"'{'\\n' * 8}{'x' * 42}'"),
        ("\n" * 9 + "x" * 41, f"'{'\\n' * 9}{'x' * 41}..."),
        ("é" * 50, "'" + ("\\xe9" * 50)[:59] + "..."),
    ],
)
def test_quote_of_text_is_short_ascii(text: str, quoted: str) -> None:
    """At most 50 characters are shown, and no escapes swell them."""
    assert quote(text) == quoted
