"""Valid values, of which a test says only what it is about."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from shared.catalogue import ALTERNATE_MOBILE, BY_TYPE, MOBILE, OFFICE
from shared.model import (
    AcceptedRequest,
    Evidence,
    Group,
    Method,
    MethodLine,
    Outcome,
    PlannedStep,
    ReferenceKind,
    RequestKey,
    ResetRequest,
    RoleHolding,
    Selection,
    SignIn,
    StepLine,
    Subject,
    Tried,
    User,
    UserReference,
)
from shared.plan import Standing, plan_steps
from shared.policy import Policy, Profile, parse_policy
from shared.vocabulary import (
    QUEUE,
    Caller,
    MethodId,
    MethodResult,
    MethodType,
    ProfileName,
    RequestId,
    Source,
    Status,
    Step,
    StepName,
    StepResult,
    UserId,
)

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ALICE = UserId("c4bedccf-e5ff-4215-a1df-468800618a6c")
APPLICATION = Caller("7d1f2b6a-0c55-4f0e-9d43-2f7f8b7f3b10")
REREGISTER = ProfileName("reregister")
COMPROMISED = ProfileName("compromised")
PHONES = (MOBILE, ALTERNATE_MOBILE, OFFICE)


def a_policy_document(**changes: object) -> dict[str, Any]:
    """Make the contract's default policy (product.md 2), with some of its keys replaced."""
    return {
        "mode": "enforce",
        "defaultProfiles": {"request": "reregister", "alert": "compromised"},
        "profiles": {
            "reregister": {"methods": "reregister", "steps": ["revokeSessions"], "registrationWindow": "accepted"},
            "compromised": {"methods": "all", "steps": ["disableAccount", "revokeSessions"]},
        },
        "callers": {"queue": ["reregister", "compromised"], "functionKey": ["reregister", "compromised"]},
        "never": {"users": [], "groups": []},
        "privileged": {"roles": "any", "groups": "assignable", "instead": ["revokeSessions"]},
        "guests": "allow",
        "intake": {"mappings": [], "defenderRoles": ["compromised"], "domains": {}},
        "limits": {"resetsPerHour": 100, "privilegedPerHour": 10, "usersPerAlert": 20, "cooldownMinutes": 30},
    } | changes


def a_policy(**changes: object) -> Policy:
    """Make the contract's default policy, with some of its keys replaced."""
    return parse_policy(json.dumps(a_policy_document(**changes)))


def a_user(  # noqa: PLR0913 - one a field
    *,
    id_: str = ALICE,
    name: str = "alice@contoso.example",
    user_type: str | None = "Member",
    account_enabled: bool | None = True,
    on_premises_synced: bool = False,
    management_restricted: bool = False,
    sessions_valid_from: datetime | None = NOW,
) -> User:
    """Make an everyday user."""
    kept = (on_premises_synced, management_restricted, sessions_valid_from)
    return User(UserId(id_), name, user_type, account_enabled, *kept)


def a_subject(user: User | None = None, groups: tuple[Group, ...] = (), roles: tuple[RoleHolding, ...] = ()) -> Subject:
    """Make the facts of a user in no group and without a role."""
    return Subject(user or a_user(), groups, roles)


def a_request(
    profile: ProfileName = REREGISTER, selection: Selection | None = None, *, dry_run: bool = False
) -> ResetRequest:
    """Make a request for Alice."""
    return ResetRequest(
        RequestId("INC-3177"),
        UserReference(ReferenceKind.OBJECT_ID, ALICE),
        profile,
        selection=selection or Selection(),
        dry_run=dry_run,
    )


def an_accepted_request(
    request: ResetRequest | None = None,
    caller: Caller = QUEUE,
    **fields: Any,  # noqa: ANN401 - the fields' own types
) -> AcceptedRequest:
    """Make a request that the ledger holds."""
    request = request or a_request()
    key = RequestKey(caller, request.request_id)
    return AcceptedRequest(key, "f" * 64, request, Source.QUEUE, NOW, NOW, NOW, NOW, **fields)


def a_method(
    type_: MethodType | None = MethodType.FIDO2,
    id_: str = "m1",
    registered_at: datetime | None = None,
    *,
    active: bool | None = None,
) -> Method:
    """Make a registered method; `type_` None makes one of a type that we do not know."""
    odata_type = BY_TYPE[type_].odata_type if type_ else "#microsoft.graph.palmReaderAuthenticationMethod"
    return Method(type_, odata_type, MethodId(id_), "safe to show", registered_at, active)


def a_line(
    type_: str = MethodType.FIDO2,
    id_: str = "m1",
    result: MethodResult | None = None,
    error: str | None = None,
    tried: Tried | None = None,
) -> MethodLine:
    """Make an outcome's line of a method."""
    return MethodLine(type_, MethodId(id_), "safe to show", None, result, error, tried)


def a_step(
    step: StepName | str = StepName.REVOKE_SESSIONS, result: StepResult = StepResult.DONE, detail: str | None = None
) -> StepLine:
    """Make an outcome's line of a step."""
    return StepLine(str(step), result, NOW, detail)


def planned_steps(profile: Profile) -> tuple[PlannedStep, ...]:
    """Plan a profile's steps for Alice, of whom nothing stands in the way."""
    return plan_steps(profile.steps, Standing(a_user(), SignIn(certificates=False, federated=False)))


def an_evidence(
    *methods: MethodLine,
    steps: tuple[StepLine, ...] = (),
    user: User | None = None,
    sign_in: SignIn | None = None,
    every_type_listed: bool = True,
) -> Evidence:
    """Make what was found of Alice."""
    return Evidence(user or a_user(), NOW, methods, steps, sign_in, every_type_listed)


def an_outcome(status: Status = Status.COMPLETED, **fields: Any) -> Outcome:  # noqa: ANN401 - the fields' own types
    """Make how Alice's request ended."""
    known: dict[str, Any] = {"request_id": RequestId("INC-3177"), "caller": QUEUE, "source": Source.QUEUE}
    return Outcome(status=status, accepted_at=NOW, finished_at=NOW, **{**known, **fields})


# --- Any methods, any scope, for properties ----------------------------------------------------------------------

moments = st.datetimes(NOW.replace(month=1, tzinfo=None), NOW.replace(month=12, tzinfo=None), timezones=st.just(UTC))
method_types = st.sampled_from(MethodType)
STEPS = (
    Step(StepName.DISABLE_ACCOUNT),
    Step(StepName.REVOKE_SESSIONS),
    Step(StepName.CONFIRM_COMPROMISED),
    Step(StepName.CONTAINMENT_GROUP, "20000000-0000-4000-8000-00000000c0de"),
    Step(StepName.RESET_PASSWORD),
    Step(StepName.PER_USER_MFA, "enforced"),
    Step(StepName.TEMPORARY_ACCESS_PASS),
    Step(StepName.ENABLE_ACCOUNT),
)
phones = st.builds(a_method, st.just(MethodType.PHONE), st.sampled_from(PHONES), st.none() | moments)
other_methods = st.builds(
    a_method,
    st.none() | st.sampled_from([each for each in MethodType if each is not MethodType.PHONE]),
    st.sampled_from(["m1", "m2", "m3", "m4"]),
    st.none() | moments,
    active=st.sampled_from([None, True, False]),
)
listings = st.lists(phones | other_methods, max_size=12, unique_by=lambda one: (one.odata_type, one.id)).map(tuple)
kept = st.sampled_from([each.value for each in MethodType]) | st.sampled_from(["m1", "m2", MOBILE]).map("id:{}".format)
selections = st.builds(
    Selection, st.lists(kept, max_size=4, unique=True).map(tuple), st.none() | moments, st.booleans()
) | st.just(Selection())
profiles = st.builds(
    Profile,
    methods=st.sampled_from(["reregister", "all", "none"]) | st.lists(method_types, max_size=5, unique=True).map(tuple),
    steps=st.lists(st.sampled_from(STEPS).map(str), max_size=4, unique=True).map(tuple),
    registrationWindow=st.just("accepted"),
)
