"""Which messages may be sent to the request queue again, under which MessageId, and why the others may not. Pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.intake import Envelope, parent_of, parse_resume, parse_stored_request_id, queue_parent_id, read_body
from shared.model import InvalidItem
from shared.policy import Policy
from shared.vocabulary import QUEUE, RequestId

OTHER_REASON = "other"  # shown for a reason that is no plain word: whoever may write to a queue may write anything
ALWAYS_AGAIN_INVALID = frozenset({"requestIdReused"})  # the ledger knows it, not the body

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_NOBODYS_ID = RequestId("redrive:nobody")


class Place(StrEnum):
    """Where messages lie that nobody works on any more."""

    REJECTED = "rejected"
    DEAD_LETTER = "dead-letter"
    REJECTED_DEAD_LETTER = "rejected-dead-letter"


@dataclass(frozen=True)
class Waiting:
    """A message in one of these places. `body` is None where it is something else than bytes."""

    sequence_number: int
    enqueued_at: datetime | None
    message_id: str | None
    correlation_id: str | None
    delivery_count: int
    body: bytes | None
    properties: Mapping[str, object]


class Fate(StrEnum):
    """Whether a message can be sent again, or why not."""

    AGAIN = "yes"
    NOT_BYTES = "notBytes"
    NOT_OURS = "notOurs"
    CUT = "cut"
    ALTERED = "altered"
    OTHER_CALLER = "otherCaller"
    ID_UNKNOWN = "idUnknown"
    STILL_INVALID = "stillInvalid"


EXPLANATIONS = {
    Fate.NOT_BYTES: "its body is no plain bytes; nothing of ours is sent so",
    Fate.NOT_OURS: "it is no copy that this product made",
    Fate.CUT: "the copy holds only the first 200 KB; whoever sent it has the rest",
    Fate.ALTERED: "its body is not the one whose hash it carries",
    Fate.OTHER_CALLER: "it did not come from the queue; sent from here it would have the queue's rights, "
    "so its caller has to ask again",
    Fate.ID_UNKNOWN: "its requests would get other ids, and run a second time; send it by hand with ids of its own",
    Fate.STILL_INVALID: "it would be rejected again; name its reason with --reason to send it all the same",
}


@dataclass(frozen=True)
class Rules:
    """By what messages are judged: the policy in force, the time, the reasons asked for (none: every reason)."""

    policy: Policy
    now: datetime
    reasons: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Judgement:
    """What is shown of a message, and its fate: nothing here quotes its body. `message_id` is to send it under."""

    sequence_number: int
    enqueued_at: datetime | None
    reason: str
    request: str
    size: int
    delivery_count: int
    fate: Fate
    message_id: str


def judge(message: Waiting, place: Place, rules: Rules) -> Judgement:
    """Judge one message."""
    if place is Place.DEAD_LETTER:
        return _judge_dead_letter(message)
    return _judge_copy(message, rules)


def choose(judgements: Iterable[Judgement], limit: int | None) -> dict[int, str]:
    """Return the MessageId of each that will be sent, by sequence number: the first `limit` that can be."""
    again = [one for one in judgements if one.fate is Fate.AGAIN]
    return {one.sequence_number: one.message_id for one in again[:limit]}


# --- Dead letters: the message itself ---------------------------------------------------------------------------


def _judge_dead_letter(message: Waiting) -> Judgement:
    """Judge a message that was delivered too often. It is sent under its own MessageId, so it is the same request.

    Without one its sequence number named its requests; the broker keeps that in the dead-letter queue.
    """
    body = message.body
    resumed = parse_resume(body) if body is not None else None
    parent_id = queue_parent_id(message.message_id, message.sequence_number)
    return Judgement(
        sequence_number=message.sequence_number,
        enqueued_at=message.enqueued_at,
        reason=_code_of(message.properties.get("DeadLetterReason")),
        request=parent_id if resumed is None else f"resume of {resumed.key or '-'}",
        size=len(body or b""),
        delivery_count=message.delivery_count,
        fate=Fate.NOT_BYTES if body is None else Fate.AGAIN,
        message_id=message.message_id or parent_id,
    )


# --- Rejected copies --------------------------------------------------------------------------------------------


def _judge_copy(message: Waiting, rules: Rules) -> Judgement:
    reason = _code_of(message.properties.get("reason"))
    fate, message_id = _damage_of(message), None
    if fate is None:
        message_id = _message_id_of(message, rules)
        fate = _fate_of_sound_copy(message, reason, message_id, rules)
    size = message.properties.get("bytes")
    return Judgement(
        sequence_number=message.sequence_number,
        enqueued_at=message.enqueued_at,
        reason=reason,
        request=_shown(message.correlation_id or ""),
        size=size if isinstance(size, int) else len(message.body or b""),
        delivery_count=message.delivery_count,
        fate=fate,
        message_id=message_id or "",
    )


def _damage_of(message: Waiting) -> Fate | None:
    """Say why the copy does not hold what was sent; None where it does."""
    if message.body is None:
        return Fate.NOT_BYTES
    if not {"reason", "sha256", "cut"} <= message.properties.keys():
        return Fate.NOT_OURS
    if message.properties["cut"] is not False:
        return Fate.CUT
    whole = message.properties["sha256"] == hashlib.sha256(message.body).hexdigest()
    return None if whole else Fate.ALTERED


def _fate_of_sound_copy(message: Waiting, reason: str, message_id: str | None, rules: Rules) -> Fate:
    if message.properties.get("caller") != QUEUE:  # also where nobody wrote it down: unknown is not the queue
        return Fate.OTHER_CALLER
    if message_id is None:
        return Fate.ID_UNKNOWN
    if reason not in rules.reasons and _is_still_invalid(message.body or b"", reason, message_id, rules):
        return Fate.STILL_INVALID
    return Fate.AGAIN


def _is_still_invalid(body: bytes, reason: str, message_id: str, rules: Rules) -> bool:
    items = read_body(body, _envelope(queue_parent_id(message_id, 0), rules))
    return reason in ALWAYS_AGAIN_INVALID or any(isinstance(item, InvalidItem) for item in items)


def _message_id_of(message: Waiting, rules: Rules) -> str | None:
    """Find the MessageId under which the body yields the request that the copy is about, and no other than then.

    The copy knows that request's id only. An id that the body names comes out under any MessageId; one derived from
    the MessageId only under that. None where no MessageId does it, or where the body holds further requests whose ids
    hang on a MessageId that the id does not tell.
    """
    request_id, body = message.correlation_id or "", message.body or b""
    without = _ids_under(_NOBODYS_ID, body, rules)
    for candidate in _parents_of(request_id):
        ids = _ids_under(queue_parent_id(candidate, 0), body, rules)
        if request_id in ids:
            return candidate if request_id not in without or ids == without else None
    return None


def _parents_of(request_id: str) -> list[str]:
    """Return what may have been the MessageId: the id itself, or what it was derived from."""
    parent = parent_of(RequestId(request_id))
    return [request_id] if parent is None else [request_id, parent]


def _ids_under(parent_id: RequestId, body: bytes, rules: Rules) -> set[str | None]:
    return {item.request_id for item in read_body(body, _envelope(parent_id, rules))}


def _envelope(parent_id: RequestId, rules: Rules) -> Envelope:
    """Surround a body with what the reception surrounds a message's with."""
    return Envelope(
        now=rules.now,
        default_profile=rules.policy.default_profiles.request,
        profiles=frozenset(rules.policy.profiles),
        parent_id=parent_id,
        derive=True,
    )


# --- What may be shown ------------------------------------------------------------------------------------------


def _code_of(value: object) -> str:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else OTHER_REASON


def _shown(request_id: str) -> str:
    """Return an id as it is; a dash for anything else: nobody's free text reaches the terminal."""
    return parse_stored_request_id(request_id) or "-"
