"""What comes in and goes out: deliveries and calls, replies, the bus."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.model import AcceptedRequest, Outcome, RequestKey
from shared.vocabulary import Caller, RequestId


@dataclass(frozen=True)
class RejectedCopy:
    """A message that ends on the rejected queue: its body as it reached us, why, and how to find it again.

    `correlation_id` is the request's id. `caller` is who asked: what did not come from the queue is never sent to it
    again, because there it would be the queue's request, with the queue's rights.
    """

    body: bytes
    reason: str
    text: str
    correlation_id: str
    caller: Caller


@dataclass(frozen=True)
class Delivery:
    """A message as it reached us from the request queue."""

    body: bytes
    message_id: str | None
    sequence_number: int
    enqueued_at: datetime


@dataclass(frozen=True)
class Call:
    """A request posted over HTTP by a caller whom we know."""

    body: bytes
    caller: Caller
    idempotency_key: RequestId | None = None


@dataclass(frozen=True)
class Finished:
    """The request has ended."""

    outcome: Outcome


@dataclass(frozen=True)
class Pending:
    """The request is accepted and durable, and goes on; `row` is how it stands in the ledger."""

    key: RequestKey
    row: AcceptedRequest | None = field(default=None, compare=False)


type Reply = Finished | Pending


@dataclass(frozen=True)
class Taken:
    """What became of a call: a reply a request, in order; those of several are found together under `parent_id`."""

    parent_id: RequestId
    replies: tuple[Reply, ...]


@dataclass(frozen=True)
class Family:
    """The requests that one body for several users was split into, as they are now.

    `unreadable` are those whose row in the ledger cannot be read: somebody has to look at it.
    """

    parent_id: RequestId
    children: tuple[AcceptedRequest, ...]
    unreadable: tuple[RequestId, ...] = ()


class Front(Protocol):
    """What the HTTP side asks of the reception."""

    async def take_call(self, call: Call) -> Taken:
        """Accept what a call asks for and wait up to 60 s for the end of it; several users are only accepted.

        Raises LedgerUnavailableError when not all was accepted; what was goes on.
        """
        ...

    async def look_up(self, request_id: RequestId, caller: Caller, *, any_caller: bool) -> AcceptedRequest | None:
        """Return the caller's own request of that id, else, with `any_caller`, the one that was accepted last."""
        ...

    async def look_up_family(self, parent_id: RequestId, caller: Caller, *, any_caller: bool) -> Family | None:
        """Return the caller's requests that came in one body under that id; with `any_caller`, everybody's."""
        ...


class Bus(Protocol):
    """Azure Service Bus. Every method raises BusUnavailableError, in time, where no answer says that it was taken."""

    async def schedule_resume(self, key: RequestKey, at: datetime) -> None:
        """Send `{"resume": "<key>"}` to the request queue, visible from `at`. A second call sends it again."""
        ...

    async def schedule_resumes(self, keys: Sequence[RequestKey], at: datetime) -> None:
        """Do so for many, in batches. When it raises, some may have been sent; a second call sends all again."""
        ...

    async def publish(self, outcome: Outcome) -> None:
        """Send the outcome to the outcome topic. The MessageId comes from key and status: a second is recognisable."""
        ...

    async def reject(self, copy: RejectedCopy) -> None:
        """Send a copy, cut at 200 KB with its SHA-256, to the rejected queue. A second call sends another."""
        ...

    async def close(self) -> None:
        """Close the connection; nothing is called afterwards."""
        ...
