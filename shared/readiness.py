"""Whether our identity's token holds the app roles that the policy in force asks for, and whom `never` names is there.

Judged is what a policy would do when it enforces, in mode `observe` too: that is what those weeks prepare for.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from shared.catalogue import KINDS
from shared.model import Presence, Selection
from shared.permissions import (
    APP_ROLES,
    CHANGE_DEFAULT,
    DIRECTORY_ROLES,
    FACT_NEEDS,
    LICENCES,
    LIST_EVERY_TYPE,
    STEP_NEEDS,
    Fact,
    Need,
    listing_needs,
    missing_roles,
    removal_needs,
)
from shared.plan import make_scope
from shared.policy import Policy
from shared.ports import Directory
from shared.strictjson import Json
from shared.vocabulary import MethodType, StepName

INSTEAD = "privileged.instead"  # stands among the profiles; no profile can have that name
NOTE = (
    "A managed identity's token keeps the app roles that it was issued with for up to about a day, so a role that was "
    "granted since is still named as missing."
)

_PRESENCE = {
    Presence.FOUND: "It is there.",
    Presence.MISSING: "Nobody has this id, and no group: it protects nobody.",
    Presence.OTHER_KIND: "It is of the other kind: users belong in never.users, groups in never.groups.",
    Presence.HIDDEN: "Its members do not show to us, so nobody can be judged: grant Member.Read.Hidden.",
    Presence.UNKNOWN: "It could not be read; ask again.",
}


@dataclass(frozen=True)
class TypeReadiness:
    """A type of method that these profiles remove, and the app roles that listing and removing it lack."""

    type: MethodType
    profiles: tuple[str, ...]
    can_list: bool
    can_remove: bool
    missing: tuple[str, ...]


@dataclass(frozen=True)
class StepReadiness:
    """A step that these profiles take, the app roles that it lacks, and what it needs that no token shows."""

    step: StepName
    profiles: tuple[str, ...]
    missing: tuple[str, ...]
    also_needs: str | None


@dataclass(frozen=True)
class FactReadiness:
    """A fact that is read of every user, the app roles that this lacks, and whether the policy can do without it."""

    fact: Fact
    missing: tuple[str, ...]
    required: bool


@dataclass(frozen=True)
class NeverReadiness:
    """An id of the policy's `never` that protects nobody, or may: by its path, and what is the matter with it."""

    path: str
    id: str
    presence: Presence


@dataclass(frozen=True)
class Readiness:
    """What our identity can do of what the policy asks for.

    `missing` are the app roles without which something ends as `notPermitted` or nothing is decided at all, `advised`
    those without which an outcome has to leave a question open; both name the narrowest that will do. `unused` may all
    be taken away together and change none of the rest: every role that the token holds is judged, not only those of
    our table, for what nobody needed to grant is the most worth seeing.
    """

    mode: Literal["enforce", "observe"]
    method_types: tuple[TypeReadiness, ...]
    steps: tuple[StepReadiness, ...]
    facts: tuple[FactReadiness, ...]
    lists_every_type: bool
    can_change_default_method: bool
    missing: tuple[str, ...]
    advised: tuple[str, ...]
    unused: tuple[str, ...]
    never: tuple[NeverReadiness, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether nothing required is missing, and everybody on the `never` list is known to be there."""
        return not self.missing and not self.never


async def check_readiness(policy: Policy, directory: Directory) -> Readiness:
    """Judge the policy by the token that our identity has now, and look up whom it never touches; raise TokenError.

    The token may be up to about a day old, and so may what this says of roles that were granted or taken away since.
    """
    readiness = judge_readiness(policy, await directory.granted_roles())
    return replace(readiness, never=await _check_never(policy, directory))


async def _check_never(policy: Policy, directory: Directory) -> tuple[NeverReadiness, ...]:
    """Name every id of whom it is not known that it is there, of the right kind and not hidden from us."""
    never = policy.never
    found = await directory.look_up_named(never.users, never.groups)
    users = zip(never.users, found.users, strict=True)
    groups = zip(never.groups, found.groups, strict=True)
    looked_up = (
        *(NeverReadiness(f"never.users[{n}]", id_, presence) for n, (id_, presence) in enumerate(users)),
        *(NeverReadiness(f"never.groups[{n}]", id_, presence) for n, (id_, presence) in enumerate(groups)),
    )
    return tuple(one for one in looked_up if one.presence is not Presence.FOUND)


def judge_readiness(policy: Policy, granted: Collection[str]) -> Readiness:
    """Judge a policy by the app roles that are granted; more of them never make anything worse."""
    removing, taking = _removals_of(policy), _steps_of(policy)
    facts = tuple(_judge_fact(fact, granted, required=_is_required(fact, taking)) for fact in Fact)
    required = _required_needs(removing, taking, facts)
    advised = _advised_needs(removing, facts)
    optional = CHANGE_DEFAULT if removing else ()  # never advised: it wants the broadest role of all
    return Readiness(
        policy.mode,
        tuple(_judge_type(type_, profiles, granted) for type_, profiles in removing.items()),
        tuple(_judge_step(step, profiles, granted) for step, profiles in taking.items()),
        facts,
        lists_every_type=not missing_roles(LIST_EVERY_TYPE, granted),
        can_change_default_method=not missing_roles(CHANGE_DEFAULT, granted),
        missing=_in_order(missing_roles(required, granted)),
        advised=_in_order(missing_roles(advised, granted)),
        unused=_unused((*required, *advised, *optional), granted),
    )


# --- What a policy does -----------------------------------------------------------------------------------------


def _removals_of(policy: Policy) -> dict[MethodType, tuple[str, ...]]:
    """Tell which profiles remove which types, in the order in which types go."""
    scopes = {name: make_scope(profile, Selection()).removals for name, profile in policy.profiles.items()}
    removing = {kind.type: tuple(name for name, types in scopes.items() if kind.type in types) for kind in KINDS}
    return {type_: profiles for type_, profiles in removing.items() if profiles}


def _steps_of(policy: Policy) -> dict[StepName, tuple[str, ...]]:
    """Tell which profiles take which steps, in the safe order; `instead` counts where a profile refuses anybody."""
    takes: dict[str, Collection[StepName]] = {name: profile.takes for name, profile in policy.profiles.items()}
    if any(profile.privileged != "allow" for profile in policy.profiles.values()):
        takes[INSTEAD] = {step.name for step in policy.privileged.instead}
    taking = {step: tuple(name for name, steps in takes.items() if step in steps) for step in StepName}
    return {step: profiles for step, profiles in taking.items() if profiles}


def _is_required(fact: Fact, taking: Collection[StepName]) -> bool:
    """Tell whether the policy cannot do without a fact: a federated user's password is not ours to set."""
    return fact is not Fact.FEDERATED_SIGN_IN or StepName.RESET_PASSWORD in taking


# --- What that needs --------------------------------------------------------------------------------------------


def _required_needs(
    removing: Iterable[MethodType], taking: Iterable[StepName], facts: Iterable[FactReadiness]
) -> tuple[Need, ...]:
    return (
        *(need for one in facts if one.required for need in FACT_NEEDS[one.fact]),
        *(need for type_ in removing for need in (*listing_needs(type_), *removal_needs(type_))),
        *(need for step in taking for need in STEP_NEEDS[step]),
    )


def _advised_needs(removing: Collection[MethodType], facts: Iterable[FactReadiness]) -> tuple[Need, ...]:
    return (
        *(LIST_EVERY_TYPE if removing else ()),
        *(need for one in facts if not one.required for need in FACT_NEEDS[one.fact]),
    )


def _judge_type(type_: MethodType, profiles: tuple[str, ...], granted: Collection[str]) -> TypeReadiness:
    listing = missing_roles(listing_needs(type_), granted)
    removal = missing_roles(removal_needs(type_), granted)
    return TypeReadiness(type_, profiles, not listing, not removal, _in_order((*listing, *removal)))


def _judge_step(step: StepName, profiles: tuple[str, ...], granted: Collection[str]) -> StepReadiness:
    return StepReadiness(step, profiles, _in_order(missing_roles(STEP_NEEDS[step], granted)), _besides(step))


def _besides(step: StepName) -> str | None:
    if step in DIRECTORY_ROLES:
        return f"the directory role {DIRECTORY_ROLES[step]}; no token shows it"
    return f"the licence {LICENCES[step]}; no token shows it" if step in LICENCES else None


def _judge_fact(fact: Fact, granted: Collection[str], *, required: bool) -> FactReadiness:
    return FactReadiness(fact, _in_order(missing_roles(FACT_NEEDS[fact], granted)), required)


def _in_order(roles: Collection[str]) -> tuple[str, ...]:
    """Name each role once, in the order of the table."""
    return tuple(role.name for role in APP_ROLES if role.name in roles)


def _unused(needs: Iterable[Need], granted: Collection[str]) -> tuple[str, ...]:
    """Name what remains when each need keeps the narrowest of the roles that meet it."""
    kept = {need.met_by(granted) for need in needs}
    return tuple(sorted(set(granted) - kept))


# --- As JSON ----------------------------------------------------------------------------------------------------


def readiness_document(readiness: Readiness) -> dict[str, Json]:
    """Write it field by field: names of roles, profiles and steps, and no id of the identity or of its tenant."""
    return {
        "ready": readiness.ready,
        "mode": readiness.mode,
        "missing": list(readiness.missing),
        "advised": list(readiness.advised),
        "methodTypes": [_type_document(one) for one in readiness.method_types],
        "steps": [_step_document(one) for one in readiness.steps],
        "facts": [_fact_document(one) for one in readiness.facts],
        "listsEveryType": readiness.lists_every_type,
        "canChangeDefaultMethod": readiness.can_change_default_method,
        "unused": list(readiness.unused),
        "never": [_never_document(one) for one in readiness.never],
        "note": NOTE if readiness.missing else None,
    }


def _never_document(one: NeverReadiness) -> Json:
    return {"path": one.path, "id": one.id, "problem": one.presence.value, "text": _PRESENCE[one.presence]}


def _type_document(one: TypeReadiness) -> Json:
    return {
        "type": one.type.value,
        "profiles": list(one.profiles),
        "canList": one.can_list,
        "canRemove": one.can_remove,
        "missing": list(one.missing),
    }


def _step_document(one: StepReadiness) -> Json:
    return {
        "step": one.step.value,
        "profiles": list(one.profiles),
        "canTake": not one.missing,
        "missing": list(one.missing),
        "alsoNeeds": one.also_needs,
    }


def _fact_document(one: FactReadiness) -> Json:
    return {
        "fact": one.fact.value,
        "canRead": not one.missing,
        "required": one.required,
        "missing": list(one.missing),
    }
