"""The policy: what each profile does, who may ask for it, whom it never touches (product.md 2).

`parse_policy` reads the JSON text and names every problem at once; a policy with a problem does not start the app.
"""

from pydantic import ValidationError

from shared.errors import SettingsError
from shared.policy.checks import CHECKS
from shared.policy.values import (
    CLOSES_REGISTRATION_WINDOW,
    GUID,
    LETS_SOMEBODY_IN,
    MAX_USERS_PER_BODY,
    PER_USER_MFA_STATES,
    Policy,
    Profile,
    parse_step,
)
from shared.policy.wording import describe
from shared.strictjson import StrictJsonError, parse_json

__all__ = [
    "CLOSES_REGISTRATION_WINDOW",
    "GUID",
    "LETS_SOMEBODY_IN",
    "MAX_USERS_PER_BODY",
    "PER_USER_MFA_STATES",
    "Policy",
    "Profile",
    "parse_policy",
    "parse_step",
]


def parse_policy(text: str) -> Policy:
    """Read a policy; raise SettingsError with every problem, each named by its path, where it is not a sound one."""
    try:
        written = _lower_callers(parse_json(text))
    except StrictJsonError as error:
        raise SettingsError((f"MFA_RESET_POLICY: {error}",)) from None
    try:
        policy = Policy.model_validate(written)
    except ValidationError as error:
        details = error.errors()
        problems = {f"MFA_RESET_POLICY: {problem}" for problem in describe(details)}
        problems |= _problems_of_the_rest(written, [detail["loc"] for detail in details])
        raise SettingsError(tuple(sorted(problems))) from None
    if together := _problems_together(policy):
        raise SettingsError(tuple(together))
    return policy


def _problems_together(policy: Policy) -> list[str]:
    return [f"MFA_RESET_POLICY: {problem}" for check in CHECKS for problem in check(policy)]


def _problems_of_the_rest(written: object, places: list[tuple[int | str, ...]]) -> set[str]:
    """Check together what is sound by itself, so that an operator sees every problem in one go.

    A profile that cannot be read is left out, and with it whatever names it; without profiles or callers there is
    nothing to check together.
    """
    broken = {place[0] for place in places if place and place[0] != "profiles"}
    profiles = {place[1] for place in places if place[:1] == ("profiles",) and len(place) > 1}
    whole = {place[0] for place in places if len(place) == 1}
    if not isinstance(written, dict) or () in places or {"profiles", "callers"} & (broken | whole):
        return set()
    rest = {name: value for name, value in written.items() if name not in broken}
    rest["profiles"] = {name: value for name, value in written["profiles"].items() if name not in profiles}
    rest["callers"] = {
        caller: [name for name in names if name not in profiles] for caller, names in written["callers"].items()
    }
    defaults = rest.get("defaultProfiles", {})
    rest["defaultProfiles"] = {kind: name for kind, name in defaults.items() if name not in profiles}
    try:
        return set(_problems_together(Policy.model_validate(rest)))
    except ValidationError:
        return set()


def _lower_callers(value: object) -> object:
    """Object ids of callers are compared in lower case, as Entra's are read."""
    if isinstance(value, dict) and isinstance(value.get("callers"), dict):
        callers = {key.lower() if GUID.fullmatch(key) else key: names for key, names in value["callers"].items()}
        if len(callers) == len(value["callers"]):  # else one is there twice, and a check says so
            return {**value, "callers": callers}
    return value
