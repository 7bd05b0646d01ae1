"""Any valid value of `shared.model`, for properties."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from shared.model import (
    AcceptedRequest,
    CoveredBy,
    Evidence,
    Incident,
    MethodLine,
    Outcome,
    Reason,
    ReferenceKind,
    RequestKey,
    ResetRequest,
    Selection,
    SignIn,
    StepLine,
    Tried,
    User,
    UserReference,
    Waiting,
)
from shared.vocabulary import (
    FUNCTION_KEY,
    QUEUE,
    Caller,
    MethodId,
    MethodResult,
    MethodType,
    ProfileName,
    Removal,
    RemovalAnswer,
    RequestId,
    Source,
    Status,
    StepName,
    StepResult,
    UserId,
    WaitingFor,
)

offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC) | offsets)  # noqa: DTZ001 - hypothesis wants naive bounds
texts = st.text(st.characters(codec="utf-8"), max_size=60)  # all that UTF-8 can say: no lone surrogates
names = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=40)
object_ids = st.uuids().map(str)
user_ids = object_ids.map(UserId)
callers = st.sampled_from([QUEUE, FUNCTION_KEY]) | object_ids.map(Caller)
request_ids = st.from_regex(r"[A-Za-z0-9._:-]{1,100}", fullmatch=True).map(RequestId)
profiles = names.map(ProfileName)
sources = st.sampled_from(Source)

security_identifiers = st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=5).map(
    lambda parts: "s-1-5-21-" + "-".join(map(str, parts))
)
user_principal_names = st.from_regex(r"[a-z0-9._-]{1,30}(#ext#)?@[a-z0-9-]{1,20}\.example", fullmatch=True)
user_references = (
    st.builds(UserReference, kind=st.just(ReferenceKind.OBJECT_ID), value=object_ids)
    | st.builds(UserReference, kind=st.just(ReferenceKind.USER_PRINCIPAL_NAME), value=user_principal_names)
    | st.builds(UserReference, kind=st.just(ReferenceKind.SECURITY_IDENTIFIER), value=security_identifiers)
)
incidents = st.builds(
    Incident,
    id=st.none() | names,
    url=st.none() | names.map(lambda name: f"https://portal.example/{name}"),
    title=st.none() | texts,
)
selections = st.builds(
    Selection,
    keep=st.lists(st.sampled_from([each.value for each in MethodType]) | names.map("id:{}".format), max_size=5).map(
        tuple
    ),
    only_registered_after=st.none() | times,
    keep_undated=st.booleans(),
)
reset_requests = st.builds(
    ResetRequest,
    request_id=request_ids,
    user=user_references,
    profile=profiles,
    reason=st.none() | texts,
    requested_by=st.none() | texts,
    observed_at=st.none() | times,
    selection=selections,
    incident=st.none() | incidents,
    dry_run=st.booleans(),
    also=st.lists(user_references, max_size=3).map(tuple),
    asked=st.none() | texts,
)

users = st.builds(
    User,
    id=user_ids,
    user_principal_name=user_principal_names,
    user_type=st.sampled_from([None, "Member", "Guest"]),
    account_enabled=st.none() | st.booleans(),
    on_premises_synced=st.booleans(),
    management_restricted=st.booleans(),
    sessions_valid_from=st.none() | times,
)
method_lines = st.builds(
    MethodLine,
    type=st.sampled_from([each.value for each in MethodType]) | names,
    id=names.map(MethodId),
    detail=st.none() | texts,
    registered_at=st.none() | times,
    result=st.none() | st.sampled_from(MethodResult),
    error=st.none() | names,
    tried=st.none() | st.builds(Tried, st.sampled_from(Removal), st.sampled_from(RemovalAnswer)),
)
step_lines = st.builds(
    StepLine,
    step=st.sampled_from([each.value for each in StepName]) | names,
    result=st.sampled_from(StepResult),
    at=times,
    detail=st.none() | texts,
)
method_line_tuples = st.lists(method_lines, max_size=6, unique_by=lambda line: (line.type, line.id)).map(tuple)
step_line_tuples = st.lists(step_lines, max_size=4, unique_by=lambda line: line.step).map(tuple)
evidences = st.builds(
    Evidence,
    user=users,
    started_at=times,
    methods=method_line_tuples,
    steps=step_line_tuples,
    sign_in=st.none() | st.builds(SignIn, st.none() | st.booleans(), st.none() | st.booleans()),
    every_type_listed=st.booleans(),
)

reason_tuples = st.lists(
    st.builds(Reason, code=names, text=texts, method=st.none() | names.map(MethodId), step=st.none() | names),
    max_size=4,
).map(tuple)
outcomes = st.builds(
    Outcome,
    request_id=request_ids,
    caller=callers,
    status=st.sampled_from(Status),
    source=sources,
    accepted_at=times,
    finished_at=times,
    dry_run=st.booleans(),
    user_id=st.none() | user_ids,
    user_principal_name=st.none() | user_principal_names,
    profile=st.none() | profiles,
    reasons=reason_tuples,
    methods=method_line_tuples,
    steps=step_line_tuples,
    verified=st.booleans(),
    verified_at=st.none() | times,
    follow_ups=reason_tuples,
    requested_by=st.none() | texts,
    incident=st.none() | incidents,
    started_at=st.none() | times,
    asked=st.none() | texts,
    covered_by=st.none()
    | st.builds(CoveredBy, request_ids, callers, st.sampled_from(Status), verified_at=st.none() | times),
    replayed=st.booleans(),
)

keys = st.builds(RequestKey, caller=callers, request_id=request_ids)
accepted_requests = st.builds(
    AcceptedRequest,
    key=keys,
    fingerprint=st.binary(min_size=32, max_size=32).map(bytes.hex),
    request=reset_requests,
    source=sources,
    accepted_at=times,
    first_enqueued_at=times,
    due_at=times,
    patient_since=times,
    run=st.integers(1, 1_000),
    attempts=st.integers(0, 10_000),
    evidence=st.none() | evidences,
    outcome=st.none() | outcomes,
    reported=st.booleans(),
    user_id=st.none() | user_ids,
    waiting=st.none() | st.builds(Waiting, why=st.sampled_from(WaitingFor), since=times),
)
