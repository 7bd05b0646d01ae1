"""Whoever the user: nothing in scope remains, nothing out of scope was touched, and the outcome tells the truth.

What must become of a user is worked out here from the contract's words, and compared with what the tenant holds before
and after; nothing of the product judges itself.
"""

import copy
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from sandbox.tenant import Directory, GroupEligibility, RoleAssignment, User
from sandbox.tenant.default_method import PREFERENCES, check_delete, find_carrier
from sandbox.tenant.directory import Json, Method
from sandbox.tenant.exchange import GraphError as TenantRefusal
from sandbox.tenant.switches import OTHER_METHODS
from shared.errors import OperatorError
from shared.model import MethodLine, Outcome
from shared.policy import parse_policy
from shared.reset import SETTLE_SECONDS
from tests.secrecy import find_leaks
from tests.service.generated import (
    ASSIGNABLE,
    BROAD_READ,
    BROAD_WRITE,
    CLOSING,
    CONTAINED,
    ELIGIBLE,
    HELD,
    LEADING,
    NARROW,
    RESTRICTED,
    STEP_ROLES,
    THROUGH_GROUP,
    Case,
    cases,
    short_type,
)
from tests.service.stage import NEVER_RESET, Stage, under

# Each rule is covered by a test of its own; these are about what comes together.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

REREGISTER = {"phone", "microsoftAuthenticator", "softwareOath", "hardwareOath"}
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
KEPT_ELSEWHERE = {"onPremisesPassword", "federatedPassword", "homeTenantPassword"}
OPEN_SKIPS = {*KEPT_ELSEWHERE, "notDisabledByUs", "notVerified", "stepsOpen"}
LONGEST_DELAY_SECONDS = 15.0
SNAPSHOT_SECONDS = 61.0
PRIVILEGES = {"privilegedRole", "eligibleRole", "roleAssignableGroup", "restrictedManagement"}
NEED_ELIGIBILITY = frozenset({"eligibleRole", "eligibleGroup", "eligibleOwner", "leadingMember", "leadingOwner"})
GROUP_OF = {
    "neverGroup": NEVER_RESET,
    "assignableGroup": ASSIGNABLE,
    "owner": ASSIGNABLE,
    "leadingMember": LEADING,
    "leadingOwner": LEADING,
}
OWNERSHIPS = {"roleAssignableGroupOwner", "leadingGroupOwner"}
OF_STEPS = {"notPermitted", "stepFailed", "stepUnconfirmed", "stepSkipped"}
INTRUDERS_TRACES = {"registeredDevices", "inboxRules", "oauthGrants"}


# --- What the tenant holds -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """All that a reset could change of a user."""

    methods: dict[str, Json]
    default: str
    system_preferred: bool
    enabled: bool
    password: Json | None
    contained: bool
    at_risk: bool
    per_user_mfa: str
    sessions_from: str | None
    secrets: frozenset[str]


def look(stage: Stage, user_id: str) -> Held:
    """Copy what the tenant and the vault hold of a user."""
    user = stage.tenant.directory.users[user_id]
    return Held(
        methods={one.id: copy.deepcopy(one.properties) for one in user.registered},
        default=user.default_method,
        system_preferred=user.system_preferred,
        enabled=user.properties["accountEnabled"],
        password=copy.deepcopy(user.password_profile),
        contained=user_id in stage.tenant.directory.groups[CONTAINED].members,
        at_risk=user.confirmed_compromised,
        per_user_mfa=user.per_user_mfa_state,
        sessions_from=user.properties["signInSessionsValidFromDateTime"],
        secrets=frozenset(name for name in stage.vault.secrets if user_id in name),
    )


@dataclass
class Play:
    """One reset, what was there before and after it, and who registered what meanwhile."""

    case: Case
    user_id: str
    user: User
    before: Held
    after: Held
    outcome: Outcome | None
    appeared: Json | None = None
    disabled_by_us: bool = False
    result_of: dict[str, str] = field(default_factory=dict)
    detail_of: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in self.outcome.steps if self.outcome else ():
            self.result_of[line.step.partition(":")[0]] = line.result.value
            self.detail_of[line.step.partition(":")[0]] = line.detail

    @property
    def methods(self) -> Iterable[Json]:
        """Every method that was there, or came."""
        return (*self.before.methods.values(), *([self.appeared] if self.appeared else []))

    @property
    def carrier(self) -> str | None:
        """The id of the method that was the default."""
        one = find_carrier(self.user, self.before.default)
        return one.id if one else None


# --- Playing -------------------------------------------------------------------------------------------------------


def make_special(directory: Directory, user_id: str, guard: str) -> None:
    """Make a user somebody whom the guard may protect."""
    match guard:
        case "neverGroup" | "assignableGroup" | "leadingMember":
            directory.groups[GROUP_OF[guard]].members.append(user_id)
        case "owner" | "leadingOwner":
            directory.groups[GROUP_OF[guard]].owners.append(user_id)
        case "restricted":
            directory.administrative_units[RESTRICTED].members.append(user_id)
        case "role":
            directory.role_assignments.append(RoleAssignment(f"held-{user_id}", user_id, HELD))
        case "eligibleRole":
            directory.role_eligibilities.append(RoleAssignment(f"could-{user_id}", user_id, ELIGIBLE))
        case "eligibleGroup":
            directory.group_eligibilities.append(GroupEligibility(f"join-{user_id}", user_id, ASSIGNABLE))
        case "eligibleOwner":
            directory.group_eligibilities.append(GroupEligibility(f"own-{user_id}", user_id, ASSIGNABLE, "owner"))


def set_the_scene(stage: Stage, case: Case) -> str:
    """Put the user into the tenant, and the tenant into its state."""
    user_id = f"70000000-0000-4000-8000-{next(stage.numbers):012}"
    authentication = {
        "methods": copy.deepcopy(list(case.methods)),
        "userPreferredMethodForSecondaryAuthentication": case.default,
        "isSystemPreferredAuthenticationMethodEnabled": case.system_preferred,
        "perUserMfaState": case.per_user_mfa,
    }
    directory = stage.tenant.directory
    directory.add_user({"id": user_id, **copy.deepcopy(case.account), "authentication": authentication})
    for guard in case.guard:
        make_special(directory, user_id, guard)
    for name, value in case.switches.items():
        setattr(stage.tenant, name, value)
    stage.tenant.roles = set(case.roles)
    stage.tenant.caller_directory_roles = set(case.caller_directory_roles)
    stage.tenant.calls.clear()
    stage.clock.advance(SNAPSHOT_SECONDS)  # what led to privilege in the case before is forgotten
    return user_id


def leave_the_scene(stage: Stage, user_id: str) -> None:
    """Take the user out again."""
    stage.clock.on_sleep = None
    stage.tenant.directory.delete_user(user_id)
    del stage.tenant.directory.deleted_users[user_id]


async def carry_out(
    stage: Stage, case: Case, user_id: str, intruder: Json | None = None, *, disabled_by_us: bool = False
) -> Play:
    """Reset the user once; an intruder registers something while we settle for the n-th time."""
    user = stage.tenant.directory.users[user_id]
    playing = under(stage, parse_policy(case.policy_text(user_id)))
    appeared: list[Json] = []
    settled = 0

    async def register(seconds: float) -> None:
        nonlocal settled
        settled += seconds == SETTLE_SECONDS
        if intruder and not appeared and seconds == SETTLE_SECONDS and settled == case.intruder_comes:
            appeared.append(intruder)
            user.methods.append(Method(copy.deepcopy(intruder)))

    stage.clock.on_sleep = register
    start, before = copy.deepcopy(user), look(stage, user_id)
    try:
        outcome = await playing.reset(
            user_id, profile="p", caller=case.caller, selection=case.selection, dry_run=case.dry_run
        )
    except OperatorError:
        outcome = None
    come = appeared[0] if appeared else None
    return Play(case, user_id, start, before, look(stage, user_id), outcome, come, disabled_by_us)


async def play_out(stage: Stage, case: Case) -> None:
    """Carry a case out, and once more where it says so; check each."""
    known = stage.tenant.secret_values()
    user_id = set_the_scene(stage, case)
    try:
        played = await carry_out(stage, case, user_id, case.intruder)
        check(stage, played)
        if case.again:
            stage.clock.advance(LONGEST_DELAY_SECONDS)
            again = await carry_out(
                stage, case, user_id, disabled_by_us=played.before.enabled and not played.after.enabled
            )
            check(stage, again)
            check_converged(played, again)
        check_secrets(stage, known)
    finally:
        leave_the_scene(stage, user_id)


# --- The contract, in its own words --------------------------------------------------------------------------------


def removal_of(case: Case, method: Json) -> str | None:
    """Say how a method has to go (product.md 1 and 2); None when it stays."""
    short, asked = short_type(method), case.profile["methods"]
    types = (
        {"reregister": REREGISTER, "all": set(NARROW), "none": set()}.get(str(asked))
        if isinstance(asked, str)
        else asked
    )
    if short not in NARROW or short not in (types or ()) or is_left_out(case, method):
        return None
    return "deactivate" if short == "hardwareOath" and asked != "all" else "delete"


def is_left_out(case: Case, method: Json) -> bool:
    """Say whether the request's selection keeps a method."""
    selection = case.selection
    if short_type(method) in selection.keep or is_named(case, method):
        return True
    if selection.only_registered_after is None:
        return False
    at = registered_at(method)
    return selection.keep_undated if at is None else at <= selection.only_registered_after


def is_named(case: Case, method: Json) -> bool:
    """Say whether the request keeps a method by its id; GUIDs are the same in capitals."""
    named = [entry.removeprefix("id:") for entry in case.selection.keep if entry.startswith("id:")]
    return any(one == method["id"] or (GUID.fullmatch(one) and one.lower() == method["id"].lower()) for one in named)


def registered_at(method: Json) -> datetime | None:
    """Read when a method was registered, under either of its names."""
    text = method.get("createdDateTime") or method.get("creationDateTime")
    return None if text is None or text.startswith("0001") else datetime.fromisoformat(text).astimezone(UTC)


def is_active(method: Json) -> bool | None:
    """Say whether a hardware token works; None where it is not shown."""
    status = (method.get("device") or {}).get("status")
    return None if status is None else status == "activated"


def is_listable(case: Case, short: str) -> bool:
    """Say whether our identity may list a type; unknown ones are in the common list only."""
    return not case.roles.isdisjoint({BROAD_READ, BROAD_WRITE, NARROW.get(short, BROAD_READ)})


def is_removable(case: Case, short: str) -> bool:
    """Say whether our identity may change a type, and this user."""
    return not case.roles.isdisjoint({BROAD_WRITE, NARROW[short]}) and "restricted" not in case.guard


def types_in_scope(case: Case) -> set[str]:
    """Name every type of which something could go."""
    asked = case.profile["methods"]
    if isinstance(asked, str):
        return {"reregister": REREGISTER, "all": set(NARROW), "none": set()}[asked]
    return set(asked)


def refusals(case: Case) -> set[str]:
    """Name all that the policy has against it (product.md 2)."""
    privileged, premium = case.policy["privileged"], case.switches["premium"]
    guard = case.guard if premium else case.guard - NEED_ELIGIBILITY
    listed = privileged.get("roles", "any")

    def counts(role: str) -> bool:
        return listed == "any" or role in listed

    into = guard & {"eligibleGroup", "owner", "eligibleOwner", "leadingMember", "leadingOwner"}
    found = {
        "callerMayNotAsk": "stranger" in case.guard,
        "notSelective": bool(case.selection) and not case.profile["selective"],
        "neverUser": "never" in case.guard,
        "neverGroup": "neverGroup" in case.guard,
        "guest": case.policy.get("guests") == "refuse" and is_guest(case),
    }
    if case.profile.get("privileged") != "allow":
        assignable = privileged.get("groups", "assignable") == "assignable"
        in_group = not guard.isdisjoint({"assignableGroup", "eligibleGroup"})
        owns = not guard.isdisjoint({"owner", "eligibleOwner"})
        further = not guard.isdisjoint({"leadingMember", "leadingOwner"}) and not owns
        found |= {
            "privilegedRole": ("role" in guard and counts(HELD))
            or ("assignableGroup" in guard and counts(THROUGH_GROUP)),
            "eligibleRole": ("eligibleRole" in guard and counts(ELIGIBLE))
            or (bool(into) and "assignableGroup" not in guard and counts(THROUGH_GROUP)),
            "roleAssignableGroup": assignable and (in_group or further),
            "roleAssignableGroupOwner": assignable and owns,
            "leadingGroupOwner": assignable and "leadingOwner" in guard,
            "restrictedManagement": "restricted" in case.guard,
        }
    codes = {code for code, holds in found.items() if holds}
    # Who may not ask learns nothing else: the directory is not even asked.
    return codes & {"callerMayNotAsk", "notSelective"} or codes


def is_guest(case: Case) -> bool:
    """Say whether the account is a guest, by type or by name."""
    return case.account["userType"] == "Guest" or is_external(case)


def is_external(case: Case) -> bool:
    """Say whether the account is another tenant's."""
    return "#EXT#" in case.account["userPrincipalName"]


def is_federated(case: Case) -> bool:
    """Say whether the account's domain signs in elsewhere."""
    return str(case.account["userPrincipalName"]).endswith("@fabrikam.example")


def expected_step(played: Play, name: str, steps: set[str], *, verified: bool) -> tuple[str, str | None]:
    """Say what has to become of a step, and why it is skipped (product.md 2 and 3; graph.md 5)."""
    case = played.case
    granted = STEP_ROLES[name] in case.roles
    permitted = granted and "restricted" not in case.guard
    over = len(case.caller_directory_roles) > 1 or not case.guard & {"role", "assignableGroup"}
    match name:
        case "confirmCompromised" | "containmentGroup":
            licensed = case.switches["premium"] or name == "containmentGroup"
            return ("failed" if granted and not licensed else done_if(granted)), None
        case "disableAccount":
            return done_if(permitted and over), None
        case "resetPassword":
            return expected_password(case, permitted=permitted and over and bool(case.caller_directory_roles))
        case "temporaryAccessPass":
            return expected_pass(case, verified=verified)
        case "enableAccount":
            return expected_enabling(played, steps, verified=verified)
        case _:
            return done_if(permitted), None


def done_if(permitted: bool) -> str:
    """Say what becomes of a step that nothing but a right can prevent."""
    return "done" if permitted else "notPermitted"


def expected_pass(case: Case, *, verified: bool) -> tuple[str, str | None]:
    """Say what becomes of the pass: nobody is let in while a way in may be open."""
    if not verified:
        return "skipped", "notVerified"
    if "temporaryAccessPass" in case.switches["absent_types"]:
        return "failed", None
    return done_if(is_removable(case, "temporaryAccessPass")), None


def expected_password(case: Case, *, permitted: bool) -> tuple[str, str | None]:
    """Say what becomes of the password: where it is kept elsewhere, that is said."""
    if is_external(case):
        return "skipped", "homeTenantPassword"
    if case.account["onPremisesSyncEnabled"]:
        return "skipped", "onPremisesPassword"
    if is_federated(case) and "Domain.Read.All" in case.roles:
        return "skipped", "federatedPassword"
    if not permitted:
        return "notPermitted", None
    return ("failed" if is_federated(case) else "done"), None


def expected_enabling(played: Play, steps: set[str], *, verified: bool) -> tuple[str, str | None]:
    """Only what this product has disabled is enabled again, and only when all else is done."""
    if played.before.enabled and "disableAccount" not in steps:
        return "skipped", "notDisabled"
    if not played.before.enabled and not played.disabled_by_us:
        return "skipped", "notDisabledByUs"
    if not verified:
        return "skipped", "notVerified"
    others = steps - {"enableAccount"}
    if any(expected_step(played, other, steps, verified=verified)[0] != "done" for other in others):
        return "skipped", "stepsOpen"
    return "done", None


# --- Checking ------------------------------------------------------------------------------------------------------


def check(stage: Stage, played: Play) -> None:
    """Hold one reset to the contract."""
    check_nobody_else_was_touched(stage, played)
    case, outcome = played.case, played.outcome
    expected = refusals(case)
    if outcome is not None and (expected or outcome.status == "refused"):
        check_refused(played, outcome, expected)
        return
    unlisted = {short for short in types_in_scope(case) if not is_listable(case, short)}
    if outcome is None:
        assert unlisted == types_in_scope(case) != set()
        assert played.after == played.before
    elif case.dry_run or case.policy.get("mode") == "observe":
        check_planned(played, outcome)
    else:
        check_methods(played, outcome)
        check_default(played)
        verified = check_verified(played, outcome)
        check_steps(played, {step.partition(":")[0] for step in case.profile["steps"]}, verified=verified)
        check_status(played, outcome)
        check_follow_ups(played, outcome)


def check_nobody_else_was_touched(stage: Stage, played: Play) -> None:
    """Every effect was on this user."""
    allowed = (played.user_id, f"/groups/{CONTAINED}/members/", "riskyUsers/confirmCompromised")
    changes = [f"{call.method} {call.path}" for call in stage.tenant.calls if call.effect]
    assert [change for change in changes if not any(part in change for part in allowed)] == []
    stage.tenant.calls.clear()


def check_secrets(stage: Stage, known: set[str]) -> None:
    """Look for what this user brought, what was made for them, and tokens; then forget all that, to stay fast."""
    tokens = {value for value in known if value.count(".") == 2 and value.startswith("ey")}
    new = (stage.tenant.secret_values() - known) | tokens | {stage.tenant.identity_header}
    assert find_leaks(new, stage.texts()) == []
    stage.tenant.issued_secrets -= new - tokens - {stage.tenant.identity_header}
    stage.ear.heard.clear()
    stage.ends.clear()


def check_refused(played: Play, outcome: Outcome, expected: set[str]) -> None:
    """Every reason is told, and nothing changed but by the steps instead."""
    case = played.case
    dry_run = case.dry_run or case.policy.get("mode") == "observe"
    assert outcome.status == "refused"
    assert {reason.code for reason in outcome.reasons} - OF_STEPS == expected
    assert (outcome.methods, outcome.verified, outcome.dry_run) == ((), False, dry_run)
    came = {} if played.appeared is None else {played.appeared["id"]: played.appeared}  # while a step was looked for
    assert played.after.methods == played.before.methods | came
    others = expected - PRIVILEGES - OWNERSHIPS
    instead = set() if others else {step.partition(":")[0] for step in case.policy["privileged"]["instead"]}
    assert set(played.result_of) == instead
    if dry_run or not instead:
        assert played.after == played.before
        assert set(played.result_of.values()) <= {"wouldDo", "skipped"}
        return
    check_steps(played, instead, verified=False)
    assert bool(OF_STEPS & {reason.code for reason in outcome.reasons}) is bool(open_steps(played))
    disabled = played.result_of.get("disableAccount") == "done"
    assert {each.code for each in outcome.follow_ups} == ({"accountDisabled"} if disabled else set())


def check_planned(played: Play, outcome: Outcome) -> None:
    """Nothing has changed, and the plan names exactly what would go."""
    assert played.after == played.before
    assert (outcome.status, outcome.dry_run, outcome.verified) == ("planned", True, False)
    planned = {
        (f"would{removal.title()}", short_type(method), method["id"])
        for method in shown(played)
        if (removal := removal_of(played.case, method)) and not (removal == "deactivate" and is_active(method) is False)
    }
    assert {line for line in told_lines(outcome) if line[0].startswith("would")} == planned
    assert outcome.reasons == ()
    assert set(played.result_of.values()) <= {"wouldDo", "skipped"}


def told_lines(outcome: Outcome) -> set[tuple[str, str, str]]:
    """Return result, type and id of each method of an outcome."""
    return {(str(line.result), line.type, line.id) for line in outcome.methods}


def shown(played: Play) -> list[Json]:
    """Return the methods that a listing can show to our identity."""
    absent = played.case.switches["absent_types"]
    return [
        method
        for method in played.methods
        if short_type(method) not in absent and is_listable(played.case, short_type(method))
    ]


def check_methods(played: Play, outcome: Outcome) -> None:
    """One line for each method, and each line true; what no line is about has not changed."""
    case, after = played.case, played.after.methods
    lines = {(line.type, str(line.id)): line for line in outcome.methods}
    assert len(lines) == len(outcome.methods)
    listed = {(type_of(method), method["id"]): method for method in shown(played)}
    stars = {(short, "*") for short in types_in_scope(case) if not is_listable(case, short)}
    assert lines.keys() == listed.keys() | stars
    assert {lines[star].result for star in stars} <= {"notPermitted"}
    for key, method in listed.items():
        check_line(played, method, lines[key])
    unseen = [method for method in played.methods if (type_of(method), method["id"]) not in listed]
    assert [method for method in unseen if after.get(method["id"]) != method] == []
    made = after.keys() - {method["id"] for method in played.methods}
    assert [short_type(after[one]) for one in made] == (
        ["temporaryAccessPass"] if played.result_of.get("temporaryAccessPass") == "done" else []
    )


def type_of(method: Json) -> str:
    """Name a type as outcomes do: in full where it is unknown."""
    short = short_type(method)
    return short if short in NARROW else str(method["@odata.type"]).removeprefix("#microsoft.graph.")


def check_line(played: Play, method: Json, line: MethodLine) -> None:
    """Compare one line with what has become of its method."""
    case, now = played.case, played.after.methods.get(method["id"])
    short, removal = short_type(method), removal_of(case, method)
    if short not in NARROW:
        assert (line.result, now) == ("kept" if is_named(case, method) else "unsupported", method)
    elif removal is None:
        replaced = is_replaced(played, method)
        assert (line.result, now) == (("deleted", None) if replaced else ("kept", method))
        assert (line.error == "replaced") is replaced
    elif removal == "deactivate" and is_active(method) is False:
        assert (line.result, line.error, now) == ("kept", "notActive", method)
    elif not is_removable(case, short) and not is_late(played, method):
        assert (line.result, now) == ("notPermitted", method)
    elif line.result == "notPermitted":  # the default method, which our identity may not change, holds it
        assert line.error == f"missing app role {BROAD_WRITE}"
        assert BROAD_WRITE not in case.roles
        assert may_remain(played, method, now)
    elif line.result == "remaining":
        assert may_remain(played, method, now)
    elif removal == "deactivate":
        assert (line.result, is_active(now or {})) == ("deactivated", False)
    else:
        assert now is None
        assert line.result == "deleted"


def is_replaced(played: Play, method: Json) -> bool:
    """Say whether a pass made way for the one that we made: Microsoft Graph lets a user have one only (graph.md 5)."""
    made = played.result_of.get("temporaryAccessPass") == "done"
    return made and short_type(method) == "temporaryAccessPass" and method["id"] not in played.after.methods


def may_remain(played: Play, method: Json, now: Json | None) -> bool:
    """Say whether nothing could have been done about a method that is told to remain.

    It came with the last look; or it went in the last round, and the tenant still shows it; or the tenant would refuse
    its removal whatever default method we may choose (graph.md 3).
    """
    case = played.case
    if is_late(played, method):
        return now == method
    listed_again = case.switches["visibility_delay_seconds"] > SETTLE_SECONDS
    if method == played.appeared and case.intruder_comes == 2 and listed_again:
        return now is None
    return now == method and is_stuck(played, method["id"])


def is_late(played: Play, method: Json) -> bool:
    """Say whether a method came with the last look, so that nobody has tried to remove it."""
    return method == played.appeared and played.case.intruder_comes == 3


def is_stuck(played: Play, method_id: str) -> bool:
    """Ask the tenant's own rule, under every default method that our identity may choose."""
    user = copy.deepcopy(played.user)
    user.methods = [Method(each) for each in played.after.methods.values()]
    defaults = {played.after.default}
    if BROAD_WRITE in played.case.roles:
        defaults |= {preference for preference in PREFERENCES if find_carrier(user, preference)}
    for default in defaults:
        user.default_method = default
        method = user.find_method(method_id)
        assert method
        try:
            check_delete(user, method, OTHER_METHODS - played.case.switches["absent_types"], 1)
        except TenantRefusal:
            continue
        return False
    return True


def check_default(played: Play) -> None:
    """See that the default method stays what it is while the method that carries it stays."""
    assert played.after.system_preferred == played.before.system_preferred
    carrier = played.carrier and played.before.methods[played.carrier]
    if carrier and removal_of(played.case, carrier) is None:
        assert played.after.default == played.before.default


def check_verified(played: Play, outcome: Outcome) -> bool:
    """See that `verified` is true exactly when nothing in scope is left and sessions are shown to be revoked."""
    case, after = played.case, played.after
    left = [
        method
        for method in played.methods
        if short_type(method) not in case.switches["absent_types"]
        and removal_of(case, method)
        and method["id"] in after.methods
        and not (removal_of(case, method) == "deactivate" and is_active(after.methods[method["id"]]) is False)
    ]
    unseen = [short for short in types_in_scope(case) if not is_listable(case, short)]
    unknown = [one for one in outcome.methods if one.result == "unsupported" and case.profile["methods"] == "all"]
    still_listed = [one for one in outcome.methods if one.result == "remaining"]
    revoked = "revokeSessions" not in case.profile["steps"] or (
        played.result_of["revokeSessions"] == "done" and after.sessions_from != played.before.sessions_from
    )
    assert outcome.verified == (revoked and not (left or unseen or unknown or still_listed))
    assert (outcome.verified_at is not None) == outcome.verified
    return outcome.verified


def check_steps(played: Play, steps: set[str], *, verified: bool) -> None:
    """Every step has one line, which says what must have become of it and what has."""
    assert played.result_of.keys() == steps
    for name in steps:
        expected, why = expected_step(played, name, steps, verified=verified)
        assert (name, played.result_of[name]) == (name, expected)
        if why:
            assert (name, played.detail_of[name]) == (name, why)
    before, after = played.before, played.after
    done = {name for name, result in played.result_of.items() if result == "done"}
    enabled = before.enabled if "disableAccount" not in done else "enableAccount" in done
    assert after.enabled is enabled
    assert (after.password != before.password) is ("resetPassword" in done)
    assert after.contained is (before.contained or "containmentGroup" in done)
    assert after.at_risk is (before.at_risk or "confirmCompromised" in done)
    assert (after.sessions_from != before.sessions_from) is ("revokeSessions" in done)
    states = [step.partition(":")[2] for step in steps_written(played) if step.startswith("perUserMfa")]
    assert after.per_user_mfa == (states[0] if "perUserMfa" in done else before.per_user_mfa)
    made = after.secrets - before.secrets
    assert len(made) == ("temporaryAccessPass" in done)
    assert all(name in (played.detail_of["temporaryAccessPass"] or "") for name in made)


def steps_written(played: Play) -> list[str]:
    """Return the steps that were taken, as the policy writes them."""
    refused = played.outcome is not None and played.outcome.status == "refused"
    return list(played.case.policy["privileged"]["instead"] if refused else played.case.profile["steps"])


def check_status(played: Play, outcome: Outcome) -> None:
    """`completed` means that nothing is open; `partial` that something is, which is said."""
    open_lines = [one for one in outcome.methods if one.result in {"remaining", "unsupported", "notPermitted"}]
    undated = [one for one in outcome.methods if one.error == "undated"]
    is_open = bool(open_lines or undated or open_steps(played) or not outcome.verified)
    assert outcome.status == ("partial" if is_open else "completed")
    assert bool(outcome.reasons) is is_open


def open_steps(played: Play) -> list[str]:
    """Name the steps that leave open what they are for."""
    return [
        name
        for name, result in played.result_of.items()
        if result not in {"done", "skipped"} or (result == "skipped" and played.detail_of[name] in OPEN_SKIPS)
    ]


def check_follow_ups(played: Play, outcome: Outcome) -> None:
    """See that what is left for people is named where it applies, and nowhere else (product.md 3)."""
    case, done = played.case, {name for name, result in played.result_of.items() if result == "done"}
    closing = done & CLOSING - ({"disableAccount"} if "enableAccount" in done else set())
    removes = case.profile["methods"] != "none"
    intruder = case.profile["methods"] == "all" or bool(
        {step.partition(":")[0] for step in case.profile["steps"]}
        & {"disableAccount", "confirmCompromised", "containmentGroup"}
    )
    unreadable = "Domain.Read.All" not in case.roles and not is_external(case)
    expected = {
        "appPasswords": True,
        "registrationOpen": (removes or "enableAccount" in done) and not closing,
        "accountDisabled": not played.after.enabled
        and ("disableAccount" in done or "enableAccount" in played.result_of),
        "homeTenant": is_guest(case),
        "unknownTypesNotListed": removes and case.roles.isdisjoint({BROAD_READ, BROAD_WRITE}),
        "certificates": bool(case.account["authorizationInfo"]["certificateUserIds"]),
        "federatedSignIn": is_federated(case) or unreadable,
        "onPremisesPassword": bool(case.account["onPremisesSyncEnabled"]),
        **dict.fromkeys(INTRUDERS_TRACES, intruder),
    }
    assert {each.code for each in outcome.follow_ups} == {code for code, applies in expected.items() if applies}


def check_converged(first: Play, second: Play) -> None:
    """See that a second reset finds nothing more to do, but for what came too late for the first."""
    if second.outcome is None or second.outcome.status not in {"completed", "partial"}:
        assert second.after.methods == second.before.methods
        return
    late = [first.appeared["id"]] if first.appeared else []
    passes = [one for one, each in second.before.methods.items() if short_type(each) == "temporaryAccessPass"]
    new = second.after.methods.keys() - second.before.methods.keys()
    before = {one: each for one, each in second.before.methods.items() if one not in {*late, *passes}}
    after = {one: each for one, each in second.after.methods.items() if one not in {*late, *passes, *new}}
    assert after == before


# --- The properties ------------------------------------------------------------------------------------------------

# One tenant serves all examples of a test: starting its servers takes longer than a reset.
any_case = settings(
    max_examples=130,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

type Playing = Callable[[Case], Awaitable[None]]


@pytest.fixture
def play(stage: Stage) -> Playing:
    """Play cases on one stage; a test that took the stage itself would show all of it beside a failing example."""

    async def play_one(case: Case) -> None:
        await play_out(stage, case)

    return play_one


@any_case
@given(case=cases(most_methods=8))
async def test_methods_of_any_user_go_or_stay_as_the_contract_says(play: Playing, case: Case) -> None:
    """Any methods, any selection, any profile."""
    await play(case)


@any_case
@given(case=cases(most_methods=3, most_steps=6))
async def test_steps_of_any_profile_do_what_their_lines_say(play: Playing, case: Case) -> None:
    """Any steps, in any order, on any kind of account."""
    await play(case)


@any_case
@given(case=cases(most_methods=3, most_steps=3, guarded=True))
async def test_guarded_users_are_refused_or_reset_as_the_policy_says(play: Playing, case: Case) -> None:
    """Any protection, any caller, any policy; dry runs and observation change nothing."""
    await play(case)


@any_case
@given(case=cases(most_methods=6, most_steps=3, rights=True))
async def test_missing_rights_are_told_and_the_rest_is_done(play: Playing, case: Case) -> None:
    """Any app roles, any set of types that the cloud has."""
    await play(case)
