"""Which messages may be sent again, under which MessageId, and what is shown of them."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.servicebus import exceptions as bus
from hypothesis import given
from hypothesis import strategies as st

from shared.documents import request_document
from shared.intake import Envelope, queue_parent_id, read_body
from shared.model import ReferenceKind, ResetRequest, UserReference
from shared.redrive.__main__ import Order, connect, read_order
from shared.redrive.failures import explain
from shared.redrive.judgement import (
    EXPLANATIONS,
    OTHER_REASON,
    Fate,
    Judgement,
    Place,
    Rules,
    Waiting,
    choose,
    judge,
)
from shared.redrive.table import HEADS, write_table
from shared.settings import read_bus_settings
from shared.vocabulary import RequestId
from tests.builders import ALICE, APPLICATION, COMPROMISED, NOW, a_policy

RULES = Rules(a_policy(), NOW)
BOB = "bob@contoso.example"
SECRET = "the-word-nobody-may-see"


def a_copy(
    body: bytes | str | list[Any] | dict[str, Any],
    request_id: str | None = "INC-1",
    **changes: object,
) -> Waiting:
    """Make what lies on the rejected queue after `ServiceBus.reject`; a change of None takes a property away."""
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    properties: dict[str, object] = {
        "reason": "patienceAtItsEnd",
        "reasonText": SECRET,
        "caller": "queue",
        "sha256": hashlib.sha256(raw).hexdigest(),
        "bytes": len(raw),
        "cut": False,
    } | changes
    kept = {name: value for name, value in properties.items() if value is not None}
    return Waiting(7, NOW, None, request_id, 0, raw, kept)


def a_dead_letter(
    body: bytes | None = b'{"user": "bob@contoso.example"}',
    message_id: str | None = "MSG-1",
    properties: Mapping[str, object] | None = None,
) -> Waiting:
    """Make a message that was delivered too often."""
    return Waiting(7, NOW, message_id, None, 5, body, properties or {"DeadLetterReason": "MaxDeliveryCountExceeded"})


def judge_copy(message: Waiting, *reasons: str) -> Judgement:
    """Judge what lies on the rejected queue."""
    return judge(message, Place.REJECTED, replace(RULES, reasons=frozenset(reasons)))


def ids_of(body: object, message_id: str) -> list[str | None]:
    """Return the ids of the requests that the reception reads from a message."""
    envelope = Envelope(
        now=NOW,
        default_profile=RULES.policy.default_profiles.request,
        profiles=frozenset(RULES.policy.profiles),
        parent_id=queue_parent_id(message_id, 1),
        derive=True,
    )
    return [item.request_id for item in read_body(json.dumps(body).encode(), envelope)]


# --- Rejected copies ---------------------------------------------------------------------------------------------


def test_copy_when_it_is_whole_and_came_from_the_queue_then_it_can_be_sent_again() -> None:
    """With what its line shows."""
    message = a_copy({"requestId": "INC-1", "user": BOB})
    assert judge_copy(message) == Judgement(
        7, NOW, "patienceAtItsEnd", "INC-1", len(message.body or b""), 0, Fate.AGAIN, "INC-1"
    )
    assert judge(message, Place.REJECTED_DEAD_LETTER, RULES) == judge_copy(message)


GOOD = {"requestId": "INC-1", "user": BOB}


@pytest.mark.parametrize(
    ("message", "fate"),
    [
        (replace(a_copy(GOOD), body=None), Fate.NOT_BYTES),
        (a_copy(GOOD, reason=None), Fate.NOT_OURS),
        (a_copy(GOOD, sha256=None), Fate.NOT_OURS),
        (a_copy(GOOD, cut=None), Fate.NOT_OURS),
        (a_copy(GOOD, cut=True, bytes=300_000), Fate.CUT),
        (a_copy(GOOD, cut="false"), Fate.CUT),
        (a_copy(GOOD, sha256="0" * 64), Fate.ALTERED),
        (a_copy(GOOD, caller="functionKey"), Fate.OTHER_CALLER),
        (a_copy(GOOD, caller=APPLICATION), Fate.OTHER_CALLER),
        (a_copy(GOOD, caller=None), Fate.OTHER_CALLER),
        (a_copy(GOOD, request_id=None), Fate.ID_UNKNOWN),
        (a_copy(GOOD, request_id="another"), Fate.ID_UNKNOWN),
        (a_copy(GOOD | {"password": "x"}, reason="unknownField"), Fate.STILL_INVALID),
        (a_copy(GOOD | {"profile": "gone"}), Fate.STILL_INVALID),
        (a_copy("{not json", reason="notJson"), Fate.STILL_INVALID),
        (a_copy(GOOD, reason="requestIdReused"), Fate.STILL_INVALID),
    ],
)
def test_copy_when_something_speaks_against_it_then_it_is_not_sent_again(message: Waiting, fate: Fate) -> None:
    """Each with its own word, and its own explanation."""
    assert judge_copy(message).fate is fate
    assert EXPLANATIONS[fate]
    assert choose([judge_copy(message)], None) == {}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (a_copy(GOOD, reason="requestIdReused"), "requestIdReused"),
        (a_copy(GOOD | {"password": "x"}, reason="unknownField"), "unknownField"),
    ],
)
def test_copy_when_it_is_invalid_and_its_reason_is_named_then_it_can_be_sent_again(
    message: Waiting, reason: str
) -> None:
    """The operator may know better: their policy, or what the ledger holds, may have changed."""
    assert judge_copy(message, reason).fate is Fate.AGAIN
    assert judge_copy(message, "another").fate is Fate.STILL_INVALID


def test_copy_when_its_reason_is_named_then_what_else_speaks_against_it_still_does() -> None:
    """No filter lifts the rights of a caller."""
    assert judge_copy(a_copy(GOOD, caller="functionKey"), "patienceAtItsEnd").fate is Fate.OTHER_CALLER


def test_copy_when_what_made_it_invalid_has_passed_then_it_can_be_sent_again() -> None:
    """A time that lay ahead, a profile that the policy has meanwhile."""
    ahead = {**GOOD, "observedAt": "2026-11-24T08:59:00Z", "profile": COMPROMISED}
    assert judge_copy(a_copy(ahead, reason="inTheFuture")).fate is Fate.AGAIN


# --- Under which MessageId -----------------------------------------------------------------------------------------

ONE = {"user": BOB}
TWO = {"users": [BOB, ALICE]}
NAMED_AND_NOT = [GOOD, ONE]


@pytest.mark.parametrize("message_id", ["MSG-1", "with space", "x" * 128, "q-7", "MSG.ABCDEFGHIJKLMNOP", "MSG.1"])
@pytest.mark.parametrize("body", [ONE, TWO, [ONE, {"user": ALICE}], [ONE, {"user": "x"}], NAMED_AND_NOT, GOOD, "x", []])
def test_copy_of_any_of_a_bodys_requests_when_sent_again_then_every_id_is_what_it_was(
    body: object, message_id: str
) -> None:
    """Else what was done already would be done a second time; where that cannot be had it is not sent at all."""
    ids = ids_of(body, message_id)
    for request_id in ids:
        copy = a_copy(json.dumps(body), request_id, reason="unknownUser")
        judged = judge_copy(copy, "unknownUser")
        if body is NAMED_AND_NOT and request_id == "INC-1":
            assert judged.fate is Fate.ID_UNKNOWN
        else:
            assert judged.fate is Fate.AGAIN
            assert ids_of(body, judged.message_id) == ids


@given(st.from_regex(r"[A-Za-z0-9_:-]{1,100}", fullmatch=True))
def test_copy_of_a_resumed_request_when_sent_again_then_it_is_the_same_request(parent: str) -> None:
    """Its body is what we wrote, without the id that nobody may name."""
    (request_id,) = ids_of(ONE, parent)
    user = UserReference(ReferenceKind.USER_PRINCIPAL_NAME, BOB)
    request = ResetRequest(RequestId(request_id or ""), user, COMPROMISED)
    copy = a_copy(dict(request_document(request)), request_id)
    judged = judge_copy(copy)
    assert judged.fate is Fate.AGAIN
    assert ids_of(request_document(request), judged.message_id) == [request_id]


# --- Dead letters -------------------------------------------------------------------------------------------------


def test_dead_letter_when_judged_then_it_is_sent_again_under_its_own_message_id() -> None:
    """The same MessageId makes the same request."""
    judged = judge(a_dead_letter(), Place.DEAD_LETTER, RULES)
    assert (judged.fate, judged.message_id, judged.request) == (Fate.AGAIN, "MSG-1", "MSG-1")
    assert (judged.reason, judged.delivery_count) == ("MaxDeliveryCountExceeded", 5)


def test_dead_letter_without_a_message_id_when_judged_then_its_sequence_number_is_its_name() -> None:
    """As the reception calls it."""
    assert judge(a_dead_letter(message_id=None), Place.DEAD_LETTER, RULES).message_id == "q-7"


def test_dead_letter_whose_message_id_is_no_id_when_judged_then_it_is_kept_but_not_shown() -> None:
    """It is hashed to the same parent again; the terminal sees the hash."""
    judged = judge(a_dead_letter(message_id="a\x1b[2Jb"), Place.DEAD_LETTER, RULES)
    assert judged.message_id == "a\x1b[2Jb"
    assert judged.request == queue_parent_id("a\x1b[2Jb", 7)


@pytest.mark.parametrize(
    ("body", "request_shown", "fate"),
    [
        (b'{"resume": "functionKey:INC-1"}', "resume of functionKey:INC-1", Fate.AGAIN),
        (b'{"resume": "queue:INC-1~AAAAAAAAAAAAAAAA"}', "resume of queue:INC-1~AAAAAAAAAAAAAAAA", Fate.AGAIN),
        (b'{"resume": "no key at all"}', "resume of -", Fate.AGAIN),
        (b'{"resume": "queue:~open"}', "resume of -", Fate.AGAIN),
        (b'{"resume": 5}', "resume of -", Fate.AGAIN),
        (b"", "MSG-1", Fate.AGAIN),
        (None, "MSG-1", Fate.NOT_BYTES),
    ],
)
def test_dead_letter_when_judged_then_its_line_says_what_it_is(
    body: bytes | None, request_shown: str, fate: Fate
) -> None:
    """A resume holds a key only: the rights of whoever asked are in the ledger."""
    judged = judge(a_dead_letter(body), Place.DEAD_LETTER, RULES)
    assert (judged.request, judged.fate) == (request_shown, fate)


# --- Choosing, and what is shown ------------------------------------------------------------------------------------


def test_choice_when_limited_then_it_is_the_first_that_can_be_sent() -> None:
    """What cannot be sent takes nobody's place."""
    good, bad = judge_copy(a_copy(GOOD)), judge_copy(a_copy(GOOD, cut=True))
    numbered = [replace(one, sequence_number=number) for number, one in enumerate((bad, good, good, good))]
    assert choose(numbered, 2) == {1: "INC-1", 2: "INC-1"}
    assert choose(numbered, None).keys() == {1, 2, 3}


@given(st.text(), st.text(), st.binary(max_size=40))
def test_table_of_anything_when_written_then_only_plain_words_reach_the_terminal(
    reason: str, request_id: str, body: bytes
) -> None:
    """Whoever may write to a queue may write anything into it."""
    messages = (a_copy(body, request_id, reason=reason, bytes="many"), a_dead_letter(body, request_id))
    lines = [judge(one, place, RULES) for one, place in zip(messages, (Place.REJECTED, Place.DEAD_LETTER), strict=True)]
    for one in lines:
        assert one.reason.isalnum()
        assert all(each.isalnum() or each in "._:~ -" for each in one.request)
    table = write_table(lines)
    assert table.isascii()
    assert table.replace("\n", "").isprintable()
    assert SECRET not in table


def test_table_when_written_then_each_message_has_a_line_and_each_refusal_a_reason() -> None:
    """Aligned, in UTC."""
    lines = [
        judge_copy(a_copy(GOOD)),
        judge_copy(a_copy(GOOD, cut=True, bytes=300_000)),
        replace(judge_copy(a_copy(GOOD, reason="no word")), enqueued_at=None),
    ]
    heads, first, second, third, *explained = write_table(lines).splitlines()
    assert heads.split("  ")[0] == HEADS[0]
    assert first.split() == [
        *("2026-11-24T09:00:00Z", "patienceAtItsEnd", "7", "INC-1"),
        *(str(len(json.dumps(GOOD))), "0", "yes"),
    ]
    assert (second.split()[4], second.endswith("no: cut")) == ("300000", True)
    assert third.split()[:2] == ["-", OTHER_REASON]
    assert [line.split(":")[0].strip() for line in explained] == ["cut"]
    assert write_table([]) == ""


def test_explanations_when_read_then_every_refusal_has_one() -> None:
    """A word alone helps nobody."""
    assert EXPLANATIONS.keys() == set(Fate) - {Fate.AGAIN}


def test_words_of_the_command_when_read_then_they_are_what_the_documentation_says() -> None:
    """Operators keep them in their notes."""
    assert [place.value for place in Place] == ["rejected", "dead-letter", "rejected-dead-letter"]
    assert {fate.value for fate in Fate} == {
        *("yes", "notBytes", "notOurs", "cut", "altered", "otherCaller", "idUnknown", "stillInvalid"),
    }


# --- The command ----------------------------------------------------------------------------------------------------


def test_order_when_nothing_is_said_then_everything_is_looked_at_and_nothing_sent() -> None:
    """A dry run by default."""
    assert read_order([]) == Order(tuple(Place), frozenset(), None, send=False)


def test_order_when_all_is_said_then_it_is_read() -> None:
    """Reasons may be named together or one by one."""
    words = ["--from", "rejected", "--reason", "a", "b", "--reason", "c", "--limit", "3", "--send"]
    assert read_order(words) == Order((Place.REJECTED,), frozenset("abc"), 3, send=True)


@pytest.mark.parametrize(
    "words", ["--send", "--from elsewhere", "--from rejected --limit 0", "--from rejected --limit x", "--reason", "x"]
)
def test_order_when_it_makes_no_sense_then_the_status_is_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Sending always names the place."""
    with pytest.raises(SystemExit) as raised:
        read_order(words.split())
    assert raised.value.code == 2
    assert "usage: python -m shared.redrive" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({"ServiceBusConnection": "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=a;SharedAccessKey=b"}, "127.0.0.1"),
        ({"ServiceBusConnection__fullyQualifiedNamespace": "bus.servicebus.windows.net", "AZURE_CLIENT_ID": ALICE}, ""),
        ({"ServiceBusConnection__fullyQualifiedNamespace": "bus.servicebus.windows.net", "AZURE_TENANT_ID": ALICE}, ""),
    ],
)
async def test_client_when_made_then_it_is_of_the_string_or_of_whom_az_knows(
    settings: dict[str, str], host: str
) -> None:
    """Nothing is opened, and `az` not asked, before the first call."""
    async with AsyncExitStack() as stack:
        client = connect(read_bus_settings(settings), stack)
        assert client.fully_qualified_namespace == (host or "bus.servicebus.windows.net")
        assert (type(client._credential).__name__ == "AzureCliCredential") is (not host)
        await client.close()


@pytest.mark.parametrize("words", [["--from", "elsewhere"], ["--from", "rejected", "--limit", "1.5"]])
def test_order_when_a_word_is_wrong_then_the_complaint_names_no_class(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither "Place" nor "int" is a word of an operator's; the usage is what was typed."""
    with pytest.raises(SystemExit):
        read_order(["--typed", "make redrive ARGS", *words])
    usage, _, complaint = capsys.readouterr().err.rpartition("make redrive: error: ")
    assert usage.startswith("usage: make redrive ARGS='[-h]")
    assert usage.endswith("[--send]'\n")
    places = ", ".join(f"'{place}'" for place in Place)
    assert complaint in {
        f"argument --from: invalid choice: 'elsewhere' (choose from {places})\n",
        "argument --limit: a whole number, at least 1\n",
    }


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (bus.ServiceBusAuthenticationError(message=SECRET), "access was refused"),
        (bus.ServiceBusAuthorizationError(message=SECRET), "access was refused"),
        (ClientAuthenticationError(SECRET), "there was no token for it"),
        (bus.MessagingEntityNotFoundError(message=SECRET), "there is no such queue"),
        (bus.MessagingEntityDisabledError(message=SECRET), "the queue is disabled"),
        (bus.ServiceBusQuotaExceededError(message=SECRET), "the queue is full"),
        (bus.ServiceBusServerBusyError(message=SECRET), "it is busy"),
        (bus.MessageLockLostError(message=SECRET), "the lock of a message was lost"),
        (bus.OperationTimeoutError(message=SECRET), "no answer came in time"),
        (TimeoutError(), "no answer came in time"),
        (bus.ServiceBusConnectionError(message=SECRET), "it cannot be reached"),
        (bus.ServiceBusCommunicationError(message=SECRET), "it cannot be reached"),
        (OSError(SECRET), "it cannot be reached"),
        (ValueError(SECRET), "its answer could not be understood"),
    ],
)
def test_failure_of_the_bus_when_explained_then_it_is_words(error: Exception, said: str) -> None:
    """An operator reads them; nothing of what the SDK says is in them."""
    assert explain(error).startswith(said)
    assert SECRET not in explain(error)
