"""What may be shown of numbers, addresses and names."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.graph.masking import clean_name, mask_email, mask_phone, mask_serial

anything = st.text(max_size=80)
numbers = st.text("0123456789+ -().x/\u0663", max_size=60)
pieces = st.sampled_from(["@", " ", "\n", "-", "_", ") ", "425", "5", "\u0663", "a", "key of ", "\U0001f511"])
built_names = st.tuples(st.text("ab1 @", max_size=70), st.lists(pieces, max_size=40).map("".join)).map("".join)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+1 5555550155", "+X XXXXXXXX55"),
        ("+44 20 7946 0123", "+XX XX XXXX XX23"),
        ("+1 (425) 555-0155x77", "+X (XXX) XXX-XXXXx77"),
        ("12345", "XXX45"),
        ("1234", "XXXX"),
        ("call me 4255550155", "XXXXXXXX55"),
        ("", None),
        ("nothing", None),
    ],
)
def test_phone_when_masked_then_last_two_digits_stay(number: str, shown: str | None) -> None:
    """The shape stays, the number does not."""
    assert mask_phone(number) == shown


@given(numbers | anything)
def test_phone_when_masked_then_never_more_than_two_digits(number: str) -> None:
    """Whatever is given, two digits at most are left, and nothing but digits' places and punctuation."""
    shown = mask_phone(number) or ""
    assert sum(character.isdecimal() for character in shown) <= 2
    assert all(character in "X+ -().x" or character.isdecimal() for character in shown)
    assert len(shown) <= 40


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("avery@mail.contoso.example", "a***@***.example"),
        ("a@localhost", "a***@***"),
        ("@contoso.example", "***@***.example"),
        ("no address", "***@***"),
        ("+1@x.123", "***@***"),
        ('"a@b"@x.example', "***@***.example"),
    ],
)
def test_email_when_masked_then_first_character_and_ending(address: str, shown: str) -> None:
    """Enough to recognise one's own address."""
    assert mask_email(address) == shown


@given(anything)
def test_email_when_masked_then_short(address: str) -> None:
    """One character of the local part and a top-level domain at most."""
    first, _, rest = mask_email(address).partition("***@***")
    assert len(first) <= 1
    assert rest == "" or (rest[0] == "." and rest[1:].isascii() and rest[1:].isalpha())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Avery's phone", "Avery's phone"),
        ("  a\n\tb\x00c  ", "a b c"),
        ("iPhone 15", "iPhone 15"),
        ("key 1234567", "key XXXXXXX"),
        ("key 123456", "key 123456"),
        ("(425) 555-0155", "(XXXXXXXXXXXXX"),
        ("425/555/0155", "XXXXXXXXXXXX"),
        ("425_555_0155", "XXXXXXXXXXXX"),
        ("425\u2013555\u20130155", "XXXXXXXXXXXX"),
        ("425 / 555 / 0155", "XXXXXXXXXXXXXXXX"),
        ("+1\u00b7425\u00b7555\u00b70155", "+XXXXXXXXXXXXXX"),
        ("key of blair.private@gmail.example, spare", "key of *** spare"),
        ("@", "***"),
        ("a" * 100, "a" * 64),
        ("\ud800", None),
        ("", None),
    ],
)
def test_name_when_cleaned_then_fit_to_show(name: str, shown: str | None) -> None:
    """Names are people's own words: printable, short, without long numbers."""
    assert clean_name(name) == shown


@given(anything)
def test_name_when_cleaned_then_printable_and_short(name: str) -> None:
    """Whatever is given."""
    shown = clean_name(name) or ""
    assert shown.isprintable()
    assert len(shown) <= 64
    shown.encode()


def shown_in_full(name: str) -> str | None:
    """Mask the whole name before anything is cut, by the rules as they read."""
    printable = "".join(character if character.isprintable() else " " for character in name)
    without_addresses = re.sub(r"\S*@\S*", "***", " ".join(printable.split()))
    masked = re.sub(r"\d(?:[\W_]{0,3}\d){6,}", lambda found: "X" * len(found[0]), without_addresses)
    return masked[:64] or None


@given(built_names)
@example("a" * 60 + " 425-555-0155")
@example("a" * 62 + " 4 - 2 - 5 - 5 - 5 - 0 - 1")
@example("a" * 63 + "@contoso.example")
@example("a" * 500 + "@contoso.example 425 555 0155")
@example("a@b " * 15 + "425   555   0155")
def test_name_when_cut_then_what_is_shown_is_masked_as_in_the_whole(name: str) -> None:
    """No address and no number comes to light because its rest was cut off."""
    assert clean_name(name) == shown_in_full(name)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("AB-1234", "serial number ending in 34"),
        ("12345", "serial number ending in 45"),
        ("1234", None),
        ("", None),
    ],
)
def test_serial_when_masked_then_last_two_characters(number: str, shown: str | None) -> None:
    """A token's serial number names it in the inventory."""
    assert mask_serial(number) == shown
