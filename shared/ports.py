"""What the product asks of the outside world. Each docstring is a contract that every implementation keeps."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.model import AcceptedRequest, Evidence, Method, Outcome, RequestKey, Subject, User, UserReference
from shared.vocabulary import Caller, MethodType, Removal, RequestId, UserId


class Clock(Protocol):
    """Time, handed in so that tests need not wait."""

    def now(self) -> datetime:
        """Tell the time, aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True)
class Listing:
    """All registered methods but the password, and the types that our identity may not list."""

    methods: tuple[Method, ...]
    not_permitted: tuple[MethodType, ...] = ()


class Directory(Protocol):
    """Users and their authentication methods in Microsoft Entra ID.

    Every method may raise ThrottledError, UnavailableError, NoAnswerError, UnauthenticatedError, TokenError,
    UnreadableAnswerError, BadRequestError or ConflictError when waiting inside the call did not help, and
    NotPermittedError when our identity lacks the app role named in its docstring. Only the first page, or a default
    for what could not be read, is never returned.
    """

    async def find_user(self, reference: UserReference) -> User | None:
        """Read the one user that is meant; None when nobody is. Needs User.Read.All.

        Raises AmbiguousUserError when more than one user has that security identifier.
        """
        ...

    async def read_subject(self, user: User) -> Subject:
        """Read all that the guard judges: groups (transitive) and active directory roles (direct, through groups).

        Needs GroupMember.Read.All and RoleManagement.Read.Directory.
        """
        ...

    async def list_methods(self, user_id: UserId) -> Listing:
        """List all registered methods, of Graph's v1.0 and of the types that only beta shows.

        Needs UserAuthenticationMethod.Read.All. Raises NotFoundError when the user is gone.
        """
        ...

    async def remove_method(self, user_id: UserId, method: Method, removal: Removal) -> None:
        """Delete or deactivate one method. Needs its app role in the catalogue.

        Raises NotFoundError when it is gone already (a second call does that), RefusedAsDefaultError when it is the
        default method and others remain, NoAnswerError when the effect is unknown until the next listing.
        """
        ...

    async def change_default_method(self, user_id: UserId, preference: str) -> None:
        """Make another registered method the default one (beta `signInPreferences`); a second call changes nothing."""
        ...

    async def revoke_sessions(self, user_id: UserId) -> None:
        """Invalidate refresh tokens and session cookies. Needs User.RevokeSessions.All. A second call does it again."""
        ...

    async def disable_account(self, user_id: UserId) -> None:
        """Block sign-in. Needs User.EnableDisableAccount.All. A second call changes nothing."""
        ...


class Claim(Protocol):
    """The right of one worker to change one user, for 60 s from each confirmation by the ledger's own clock."""

    async def confirm(self) -> None:
        """Renew it; raise ClaimLostError when another worker has it now. Called before each change."""
        ...


class Ledger(Protocol):
    """What must outlive this process. Every method raises LedgerUnavailableError when it cannot keep its promise."""

    async def accept(self, offered: AcceptedRequest) -> AcceptedRequest:
        """Keep `offered`, or return what is kept already under its key (a second call does that), in one step."""
        ...

    async def read(self, key: RequestKey) -> AcceptedRequest | None:
        """Return what is kept under `key`, with evidence and outcome; None when there is nothing."""
        ...

    async def find(self, request_id: RequestId) -> AcceptedRequest | None:
        """Return the request of that id that was accepted last, whoever asked for it; None when there is none."""
        ...

    async def restart(self, offered: AcceptedRequest) -> AcceptedRequest:
        """Replace what is kept under the key by `offered`: no evidence, no outcome, no attempts. Return it."""
        ...

    async def count_attempt(self, key: RequestKey) -> int:
        """Add one to the attempts and return their number. A second call counts again."""
        ...

    async def write_evidence(self, key: RequestKey, evidence: Evidence) -> None:
        """Keep what was found and done so far; a second call replaces it."""
        ...

    async def write_outcome(self, key: RequestKey, outcome: Outcome) -> None:
        """Keep how it ended, not reported yet; a second call replaces it."""
        ...

    async def mark_reported(self, key: RequestKey) -> None:
        """Remember that everybody who is told has been told how it ended; a second call changes nothing."""
        ...

    def claim(self, user_id: UserId) -> AbstractAsyncContextManager[Claim]:
        """Hold the claim on a user, renewed every 20 s while held and given back at the end, also on an exception.

        Entering raises ClaimHeldError, with the time when it expires, while another worker holds it.
        """
        ...

    async def close(self) -> None:
        """Release what is open; nothing is called afterwards."""
        ...


@dataclass(frozen=True)
class RejectedCopy:
    """A message that ends on the rejected queue: its body as it reached us, why, and how to find it again."""

    body: bytes
    reason: str
    text: str
    correlation_id: str


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
    """The request is accepted and durable, and goes on."""

    key: RequestKey


type Reply = Finished | Pending


class Front(Protocol):
    """What the HTTP side asks of the reception."""

    async def take_call(self, call: Call) -> tuple[Reply, ...]:
        """Accept what a call asks for and wait up to 60 s for the end of it; several users are only accepted.

        One reply a request, in order. Raises LedgerUnavailableError or BusUnavailableError when nothing was accepted.
        """
        ...

    async def look_up(self, request_id: RequestId, caller: Caller, *, any_caller: bool) -> AcceptedRequest | None:
        """Return the caller's own request of that id, else, with `any_caller`, the one that was accepted last."""
        ...


class Bus(Protocol):
    """Azure Service Bus. Every method raises BusUnavailableError when the message was not taken."""

    async def schedule_resume(self, key: RequestKey, at: datetime) -> None:
        """Send `{"resume": "<key>"}` to the request queue, visible from `at`. A second call sends it again."""
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
