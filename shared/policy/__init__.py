"""The policy: what each profile does, who may ask for it, whom it never touches (product.md 2).

`parse_policy` reads the JSON text and names every problem at once; a policy with a problem does not start the app.
"""

import re

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

# What pydantic puts into a path for the branch of a union that it tried, as in `literal['any']`.
_PYDANTICS_OWN = re.compile(r"(literal|tuple|function-[a-z]+)\[.*\]", re.DOTALL)


def parse_policy(text: str) -> Policy:
    """Read a policy; raise SettingsError with every problem, each named by its path, where it is not a sound one."""
    try:
        policy = Policy.model_validate(_lower_callers(parse_json(text)))
    except StrictJsonError as error:
        raise SettingsError((f"MFA_RESET_POLICY: {error}",)) from None
    except ValidationError as error:
        raise SettingsError(
            tuple(sorted({_sentence(detail["loc"], detail["msg"]) for detail in error.errors()}))
        ) from None
    problems = tuple(f"MFA_RESET_POLICY: {problem}" for check in CHECKS for problem in check(policy))
    if problems:
        raise SettingsError(problems)
    return policy


def _lower_callers(value: object) -> object:
    """Object ids of callers are compared in lower case, as Entra's are read."""
    if isinstance(value, dict) and isinstance(value.get("callers"), dict):
        callers = {key.lower() if GUID.fullmatch(key) else key: names for key, names in value["callers"].items()}
        if len(callers) == len(value["callers"]):  # else one is there twice, and a check says so
            return {**value, "callers": callers}
    return value


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    shown = [str(part) for part in location if not _PYDANTICS_OWN.fullmatch(str(part))]
    return f"MFA_RESET_POLICY: {'.'.join(shown) or 'the policy'}: {message.removeprefix('Value error, ')}"
