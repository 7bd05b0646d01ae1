"""What the ledger's contract is tested with."""

from datetime import UTC, datetime, timedelta

from shared.model import (
    AcceptedRequest,
    Coverage,
    Evidence,
    MethodLine,
    Outcome,
    Reason,
    ReferenceKind,
    RequestKey,
    ResetRequest,
    Selection,
    StepLine,
    User,
    UserReference,
)
from shared.ports import Ledger
from shared.vocabulary import (
    QUEUE,
    Caller,
    MethodId,
    MethodResult,
    MethodType,
    ProfileName,
    Removal,
    RequestId,
    Source,
    Status,
    StepResult,
    UserId,
)

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
USER_ID = UserId("c4bedccf-e5ff-4215-a1df-468800618a6c")
OTHER_USER_ID = UserId("0bd2ad0f-6ee3-42cc-a3c4-77a0ba0d21a1")


def key_of(request_id: str = "INC-3177", caller: str = QUEUE) -> RequestKey:
    """Build a key."""
    return RequestKey(Caller(caller), RequestId(request_id))


def accepted(
    key: RequestKey | None = None,
    *,
    fingerprint: str = "f1",
    accepted_at: datetime = START,
    due_at: datetime | None = None,
    reason: str = "Token theft",
) -> AcceptedRequest:
    """Build a request as reception offers it; it is due after 90 s where nothing else is said."""
    key = key or key_of()
    user = UserReference(ReferenceKind.OBJECT_ID, USER_ID)
    return AcceptedRequest(
        key=key,
        fingerprint=fingerprint,
        request=ResetRequest(key.request_id, user, ProfileName("compromised"), reason=reason),
        source=Source.QUEUE,
        accepted_at=accepted_at,
        first_enqueued_at=accepted_at - timedelta(seconds=3),
        due_at=due_at or accepted_at + timedelta(seconds=90),
        patient_since=accepted_at - timedelta(seconds=3),
    )


def evidence(methods: int = 2) -> Evidence:
    """Build evidence of a user with so many methods, each with all that we keep of one."""
    return Evidence(
        user=User(USER_ID, "alice@contoso.example", "Member", True, False, False, START - timedelta(days=9)),  # noqa: FBT003 - facts of the user
        started_at=START,
        methods=tuple(_method(index) for index in range(methods)),
        steps=(StepLine("revokeSessions", StepResult.DONE, START + timedelta(seconds=1), "é, 漢, 🔑"),),
    )


def outcome(status: Status = Status.COMPLETED, methods: int = 2) -> Outcome:
    """Build an outcome of a user with so many methods."""
    return Outcome(
        request_id=RequestId("INC-3177"),
        caller=QUEUE,
        status=status,
        source=Source.QUEUE,
        accepted_at=START,
        finished_at=START + timedelta(seconds=40, microseconds=7),
        user_id=USER_ID,
        methods=tuple(_method(index) for index in range(methods)),
        follow_ups=(Reason("appPasswords", "Delete the app passwords on the per-user MFA page."),),
        verified=True,
    )


def coverage(until: datetime = START, key: RequestKey | None = None) -> Coverage:
    """Build what a reset covers until then."""
    return Coverage(
        key=key or key_of(),
        status=Status.COMPLETED,
        until=until,
        removals=((MethodType.PHONE, Removal.DELETE), (MethodType.HARDWARE_OATH, Removal.DEACTIVATE)),
        unknown_types=False,
        selection=Selection(("fido2",), START, keep_undated=True),
        steps=("revokeSessions",),
        stayed=(("fido2", MethodId("6803c096"), "a key"),),
    )


def _method(index: int) -> MethodLine:
    return MethodLine(
        type="microsoftAuthenticator",
        id=MethodId(f"6803c096-0000-4000-8000-{index:012}"),
        detail="A phone with a rather long display name " * 3,
        registered_at=START - timedelta(days=index, microseconds=index),
        result=MethodResult.DELETED,
        error=None,
    )


async def read(ledger: Ledger, key: RequestKey) -> AcceptedRequest:
    """Read what is there for certain."""
    kept = await ledger.read(key)
    assert kept
    return kept


async def write_evidence(ledger: Ledger, request: AcceptedRequest, found: Evidence) -> None:
    """Claim the user for as long as it takes to keep what was found."""
    async with ledger.claim(USER_ID) as claim:
        await claim.write_evidence(request, found)


async def end(ledger: Ledger, request: AcceptedRequest, ended: Outcome, covers: Coverage | None = None) -> None:
    """Claim the user for as long as it takes to keep how it ended."""
    async with ledger.claim(USER_ID) as claim:
        await claim.end(request, ended, covers)
