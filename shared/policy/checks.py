"""What each part of a policy may be, but not together with the others."""

import re
from collections.abc import Callable, Iterable, Sequence

from shared.policy.values import GUID, LETS_SOMEBODY_IN, Policy, Profile
from shared.vocabulary import FUNCTION_KEY, QUEUE, Step, StepName

_PROFILE_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")


def _check_names(policy: Policy) -> Iterable[str]:
    for name in policy.profiles:
        if not _PROFILE_NAME.fullmatch(name):
            yield f"profiles.{name[:50]!a}: a name is 1 to 50 of A-Z a-z 0-9 _ -"
    for kind in sorted(policy.default_profiles.model_fields_set):
        name = getattr(policy.default_profiles, kind)
        if name not in policy.profiles:
            yield f"defaultProfiles.{kind}: there is no profile {name[:50]!a}"
    for caller, names in policy.callers.items():
        if caller not in {QUEUE, FUNCTION_KEY} and not GUID.fullmatch(caller):
            yield f"callers.{caller[:50]!a}: a caller is queue, functionKey or an object id"
        elif GUID.fullmatch(caller) and caller != caller.lower():
            yield f"callers.{caller}: the same caller is named twice, in capital and in small letters"
        for name in names:
            if name not in policy.profiles:
                yield f"callers.{caller[:50]}: there is no profile {name[:50]!a}"


def _check_reachable(policy: Policy) -> Iterable[str]:
    reachable = {name for names in policy.callers.values() for name in names}
    for name in policy.profiles:
        if name not in reachable:
            yield f"profiles.{name[:50]}: no caller may ask for it"


def _check_profiles(policy: Policy) -> Iterable[str]:
    for name, profile in policy.profiles.items():
        if not profile.removes_methods and not profile.steps:
            yield f"profiles.{name[:50]}: it does nothing"
        if _repeats(profile.methods):
            yield f"profiles.{name[:50]}.methods: one is named twice"
        yield from _check_steps(f"profiles.{name[:50]}.steps", profile.steps)
        if profile.removes_methods and not profile.closing and profile.registration_window is None:
            yield (
                f"profiles.{name[:50]}: whoever knows the password can register first once the methods are gone: add a "
                "step that prevents it (disableAccount without enableAccount, resetPassword, containmentGroup), or say "
                '"registrationWindow": "accepted"'
            )


def _check_steps(place: str, steps: tuple[Step, ...]) -> Iterable[str]:
    if _repeats(steps):
        yield f"{place}: one is named twice"
    if _repeats([step.name for step in dict.fromkeys(steps) if step.name is StepName.PER_USER_MFA]):
        yield f"{place}: perUserMfa has one state only"


def _check_privileged(policy: Policy) -> Iterable[str]:
    yield from _check_steps("privileged.instead", policy.privileged.instead)
    for step in policy.privileged.instead:
        if step.name in LETS_SOMEBODY_IN:
            yield f"privileged.instead: {step} would let somebody in as an administrator whose reset was refused"


def _check_containment(policy: Policy) -> Iterable[str]:
    named = [
        (f"profiles.{name[:50]}.steps", step) for name, profile in policy.profiles.items() for step in profile.steps
    ]
    for place, step in [*named, *(("privileged.instead", step) for step in policy.privileged.instead)]:
        if step.name is StepName.CONTAINMENT_GROUP and step.argument in policy.never.groups:
            yield f"{place}: {step} is one of never.groups, so whoever is contained could never be reset again"


def _repeats(several: str | Sequence[object]) -> bool:
    return not isinstance(several, str) and len(set(several)) < len(several)


def _check_dangerous(policy: Policy) -> Iterable[str]:
    for caller, names in policy.callers.items():
        for name in names:
            profile = policy.profiles.get(name)
            if caller in {QUEUE, FUNCTION_KEY} and profile and (dangers := _dangers(profile)):
                yield (
                    f"callers.{caller}: profile {name[:50]!a} {' and '.join(dangers)}, so only named Entra "
                    "applications or principals may ask for it"
                )


def _dangers(profile: Profile) -> list[str]:
    allows = ["may reset administrators"] if profile.privileged == "allow" else []
    return allows + [f"has {step.name}" for step in profile.steps if step.name in LETS_SOMEBODY_IN]


CHECKS: tuple[Callable[[Policy], Iterable[str]], ...] = (
    _check_names,
    _check_reachable,
    _check_profiles,
    _check_privileged,
    _check_containment,
    _check_dangerous,
)
