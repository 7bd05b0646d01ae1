"""What will be done to one user, in the safe order. Pure: a rule over types, so new methods are judged alike."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from shared.catalogue import (
    ALTERNATE_MOBILE,
    BY_TYPE,
    EVERYTHING,
    KINDS,
    MOBILE,
    PHONE_ORDER,
    REREGISTER,
    preferences_of,
)
from shared.errors import GraphError, RefusedAsDefaultError
from shared.model import Method, MethodLine, Plan, PlannedRemoval, PlannedStep, Selection, SignIn, User
from shared.policy import GUID, Profile
from shared.vocabulary import MethodId, MethodResult, MethodType, Removal, Step, StepName, in_safe_order

UNDATED = "undated"
NOT_ACTIVE = "notActive"  # a hardware token that nobody can sign in with as it is
OUR_PASS = "ourPass"  # noqa: S105 - a code, as those below that hold the word

# Why a step is not taken.
ON_PREMISES_PASSWORD = "onPremisesPassword"  # noqa: S105
FEDERATED_PASSWORD = "federatedPassword"  # noqa: S105
HOME_TENANT_PASSWORD = "homeTenantPassword"  # noqa: S105
NOT_DISABLED = "notDisabled"
NOT_DISABLED_BY_US = "notDisabledByUs"
PASS_MADE_BEFORE = "passMadeBefore"  # noqa: S105
# Why it is not known what became of one.
PASS_UNKNOWN = "passUnknown"  # noqa: S105
PASS_PENDING = "passPending"  # noqa: S105
_TYPE_ORDER: Mapping[MethodType | None, int] = {kind.type: place for place, kind in enumerate(KINDS)}


@dataclass(frozen=True)
class Scope:
    """Which methods go, and how: by type, less what the request keeps."""

    removals: Mapping[MethodType, Removal]
    selection: Selection
    unknown_types: bool = False  # whether a type that we do not know would have to go too
    our_passes: frozenset[MethodId] = frozenset()  # Temporary Access Passes that this very request has made

    def covered(self, types: Iterable[MethodType]) -> tuple[MethodType, ...]:
        """Return those of `types` that are in scope."""
        return tuple(type_ for type_ in types if type_ in self.removals)

    def unknown_left(self, staying: Iterable[MethodLine]) -> bool:
        """Whether a method of a type that we do not know stays although everything had to go."""
        return self.unknown_types and any(line.result is MethodResult.UNSUPPORTED for line in staying)


NOTHING = Scope({}, Selection())


def make_scope(profile: Profile, selection: Selection, our_passes: frozenset[MethodId] = frozenset()) -> Scope:
    """Turn the profile's `methods` and the request's selection into a rule.

    A list deactivates hardware OATH like the portal's button; only `all` takes the token from its user.
    """
    match profile.methods:
        case "reregister":
            return Scope(REREGISTER, selection, our_passes=our_passes)
        case "all":
            return Scope(EVERYTHING, selection, unknown_types=True, our_passes=our_passes)
        case "none":
            return Scope({}, selection, our_passes=our_passes)
        case tuple():
            removals = {type_: _removal_in_a_list(type_) for type_ in profile.methods}
            return Scope(removals, selection, our_passes=our_passes)
        case _:
            assert_never(profile.methods)


def _removal_in_a_list(method_type: MethodType) -> Removal:
    return Removal.DEACTIVATE if BY_TYPE[method_type].deactivatable else Removal.DELETE


@dataclass(frozen=True)
class Standing:
    """What is known of the account besides its methods, as far as steps depend on it.

    `disabled_by_us`: this product disabled it and nobody is known to have enabled it since. `pass_made`: this very
    request has made its Temporary Access Pass already, and the vault has its code; `our_passes` is that one.
    """

    user: User
    sign_in: SignIn
    disabled_by_us: bool = False
    pass_made: bool = False
    our_passes: frozenset[MethodId] = frozenset()


def make_plan(methods: Iterable[Method], steps: tuple[PlannedStep, ...], scope: Scope) -> Plan:
    """Sort the methods into those that go, in order, and those that stay."""
    judged = [judge(method, scope) for method in methods]
    removals = sorted((one for one in judged if isinstance(one, PlannedRemoval)), key=_place)
    staying = tuple(one for one in judged if isinstance(one, MethodLine))
    return Plan(steps, tuple(removals), staying)


def plan_steps(steps: tuple[Step, ...], standing: Standing) -> tuple[PlannedStep, ...]:
    """Put steps in the safe order, each with the reason for which it will not be taken, if there is one."""
    names = {step.name for step in steps}
    return tuple(PlannedStep(step, _why_not(step.name, names, standing)) for step in in_safe_order(steps))


def _why_not(step: StepName, names: set[StepName], standing: Standing) -> str | None:
    match step:
        case StepName.RESET_PASSWORD:
            return _why_no_password(standing)
        case StepName.TEMPORARY_ACCESS_PASS if standing.pass_made:
            return PASS_MADE_BEFORE
        case StepName.ENABLE_ACCOUNT if standing.user.account_enabled:
            return None if StepName.DISABLE_ACCOUNT in names else NOT_DISABLED
        case StepName.ENABLE_ACCOUNT if not standing.disabled_by_us:
            return NOT_DISABLED_BY_US
        case _:
            return None


def _why_no_password(standing: Standing) -> str | None:
    """Say where the password is kept, if not here; a domain that could not be read is left for Graph to refuse."""
    if standing.user.is_external:
        return HOME_TENANT_PASSWORD
    if standing.user.on_premises_synced:
        return ON_PREMISES_PASSWORD
    return FEDERATED_PASSWORD if standing.sign_in.federated else None


def judge(method: Method, scope: Scope) -> PlannedRemoval | MethodLine:
    """Say whether one method goes, or why it stays."""
    if method.type is None:
        named = any(_names(entry, method) for entry in scope.selection.keep)
        return line_of(method, *((MethodResult.KEPT,) if named else (MethodResult.UNSUPPORTED, "unknownType")))
    if method.id in scope.our_passes:
        return line_of(method, MethodResult.KEPT, OUR_PASS)
    removal = scope.removals.get(method.type)
    if removal is None or _is_kept(method, scope.selection) or _is_too_old(method, scope.selection):
        return line_of(method, MethodResult.KEPT)
    if _is_undated_and_kept(method, scope.selection):
        return line_of(method, MethodResult.KEPT, UNDATED)
    if removal is Removal.DEACTIVATE and method.active is False:
        return line_of(method, MethodResult.KEPT, NOT_ACTIVE)
    return PlannedRemoval(method, removal)


def line_of(method: Method, result: MethodResult | None = None, error: str | None = None) -> MethodLine:
    """Make an outcome's line of a method."""
    shown_type = method.type or method.odata_type.removeprefix("#microsoft.graph.")
    return MethodLine(shown_type, method.id, method.detail, method.registered_at, result, error)


def default_candidates(staying: Iterable[MethodLine], refused: Iterable[PlannedRemoval]) -> tuple[str, ...]:
    """Which default methods could free what was refused for being, or for standing beside, the default (graph.md 3).

    First the methods that stay anyway; then the way out of the catch-22 in which alternateMobile is the default, so
    cannot go while mobile exists, and mobile cannot go while alternateMobile exists: make mobile the default.
    """
    refused_ids = {planned.method.id for planned in refused}
    kept = [line for line in staying if line.result is MethodResult.KEPT]
    candidates = [preference for line in kept for preference in preferences_of(line.type, line.id)]
    if {MOBILE, ALTERNATE_MOBILE} <= refused_ids:
        candidates += preferences_of(MethodType.PHONE, MOBILE)
    return tuple(dict.fromkeys(candidates))


def held_by_default(refused: Mapping[PlannedRemoval, GraphError]) -> tuple[PlannedRemoval, ...]:
    """Return what was refused for being the default method, or for standing beside one: see `default_candidates`."""
    ids = {planned.method.id for planned in refused}
    pair = {MOBILE, ALTERNATE_MOBILE} if {MOBILE, ALTERNATE_MOBILE} <= ids else set()
    return tuple(
        planned
        for planned, error in refused.items()
        if isinstance(error, RefusedAsDefaultError) or planned.method.id in pair
    )


def _is_kept(method: Method, selection: Selection) -> bool:
    return method.type in selection.keep or any(_names(entry, method) for entry in selection.keep)


def _names(entry: str, method: Method) -> bool:
    """Whether `id:<method id>` means this method: ids that are GUIDs in any case, others (base64) to the letter."""
    method_id = entry.removeprefix("id:")
    same = method_id == method.id or (method_id.lower() == method.id.lower() and GUID.fullmatch(method_id) is not None)
    return same and entry.startswith("id:")


def _is_too_old(method: Method, selection: Selection) -> bool:
    after = selection.only_registered_after
    return after is not None and method.registered_at is not None and method.registered_at <= after


def _is_undated_and_kept(method: Method, selection: Selection) -> bool:
    after = selection.only_registered_after
    return after is not None and method.registered_at is None and selection.keep_undated


def _place(planned: PlannedRemoval) -> tuple[int, int]:
    method = planned.method  # of a type in the catalogue: judge plans no other
    phone = PHONE_ORDER.index(method.id) if method.id in PHONE_ORDER else -1
    return _TYPE_ORDER[method.type], phone
