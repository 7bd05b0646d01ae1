"""What a body comes in, and what becomes of it: the words that the shapes share."""

from dataclasses import dataclass
from datetime import datetime

from shared.model import InvalidItem, ResetRequest
from shared.vocabulary import ProfileName, RequestId

MAX_REQUESTS = 500  # that one body may yield

type Item = ResetRequest | InvalidItem


@dataclass(frozen=True)
class Envelope:
    """What surrounds a body.

    `default_profile` is for requests that name none; `profiles` are those of the policy. `parent_id` is the request id
    to use when the body names none, `derive` whether the user is then added to it (always so for items of an array and
    of `users`). `idempotency_key`: over HTTP, the header, which a `requestId` must not contradict.
    """

    now: datetime
    default_profile: ProfileName
    profiles: frozenset[ProfileName]
    parent_id: RequestId | None
    derive: bool
    idempotency_key: RequestId | None = None
