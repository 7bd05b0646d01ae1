"""What is no request: kept under its id like one, so that it can be looked up, and never carried out. Pure."""

from datetime import datetime

from shared.model import (
    MALFORMED,
    AcceptedRequest,
    InvalidItem,
    Outcome,
    ReferenceKind,
    RequestKey,
    ResetRequest,
    UserReference,
)
from shared.outcomes import reasons_of
from shared.vocabulary import ProfileName, Source, Status

# No policy has a profile without a name, and no user an empty one: whatever took such a row up would end it as invalid.
_NO_PROFILE = ProfileName("")
_NOBODY = UserReference(ReferenceKind.USER_PRINCIPAL_NAME, "")


def malformed_row(
    item: InvalidItem, key: RequestKey, source: Source, now: datetime, due_at: datetime
) -> AcceptedRequest:
    """Make the ledger's row of what cannot be understood: it has ended, with all that is wrong as reasons.

    Its request holds the id and the user as asked for, and nothing else of what was sent.
    """
    outcome = Outcome(
        request_id=key.request_id,
        caller=key.caller,
        status=Status.INVALID,
        source=source,
        accepted_at=now,
        finished_at=now,
        reasons=reasons_of(item.problems),
        asked=item.asked,
    )
    request = ResetRequest(key.request_id, _NOBODY, _NO_PROFILE, asked=item.asked)
    return AcceptedRequest(key, MALFORMED, request, source, now, now, due_at, now, outcome=outcome)
