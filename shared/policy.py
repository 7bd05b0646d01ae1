"""The policy: what each profile does, who may ask for it, whom it never touches (product.md 2).

`parse_policy` reads the JSON text and names every problem at once; a policy with a problem does not start the app.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.errors import SettingsError
from shared.strictjson import StrictJsonError, parse_json
from shared.vocabulary import FUNCTION_KEY, QUEUE, Caller, GroupId, MethodType, ProfileName, RoleId, StepName, UserId

MAX_USERS_PER_BODY = 500

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# What pydantic puts into a path for the branch of a union that it tried, as in `literal['any']`.
_PYDANTICS_OWN = re.compile(r"(literal|tuple|function-[a-z]+)\[.*\]", re.DOTALL)
_PROFILE_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")

# Steps of the contract that this version does not carry out: a policy that names one does not start.
_STEPS_TO_COME = re.compile(
    r"confirmCompromised|containmentGroup:.+|resetPassword|perUserMfa:(enforced|enabled)|temporaryAccessPass|enableAccount"
)
CLOSES_REGISTRATION_WINDOW = frozenset({StepName.DISABLE_ACCOUNT})


def _guid(value: object) -> object:
    if not isinstance(value, str) or not GUID.fullmatch(value):
        raise ValueError("must be an object id (8-4-4-4-12 hexadecimal digits)")
    return value.lower()


def _step(value: object) -> object:
    if isinstance(value, str) and _STEPS_TO_COME.fullmatch(value):
        raise ValueError(f"{value[:60]!a} is a step that this version cannot carry out yet")
    return value


def _sequence(value: object) -> object:
    """Let JSON arrays become tuples although nothing else is coerced."""
    return tuple(value) if isinstance(value, list) else value


type _User = Annotated[UserId, BeforeValidator(_guid)]
type _Group = Annotated[GroupId, BeforeValidator(_guid)]
type _Role = Annotated[RoleId, BeforeValidator(_guid)]
type _Step = Annotated[Annotated[StepName, Field(strict=False)], BeforeValidator(_step)]
type _Type = Annotated[MethodType, Field(strict=False)]
type _Several[T] = Annotated[tuple[T, ...], BeforeValidator(_sequence)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        serialize_by_alias=True,
        use_enum_values=False,
    )


class Profile(_Part):
    """What one kind of reset does."""

    methods: Literal["reregister", "all", "none"] | _Several[_Type]
    steps: _Several[_Step] = ()
    registration_window: Literal["accepted"] | None = None
    selective: bool = False
    privileged: Literal["allow"] | None = None

    @property
    def removes_methods(self) -> bool:
        """Whether any type of method is in its scope."""
        return self.methods not in {"none", ()}


class DefaultProfiles(_Part):
    """Which profile is meant when a body names none."""

    request: ProfileName = ProfileName("reregister")
    alert: ProfileName = ProfileName("compromised")


class Never(_Part):
    """Who is never touched: the break-glass accounts."""

    users: _Several[_User] = ()
    groups: _Several[_Group] = ()


class Privileged(_Part):
    """Who counts as an administrator, and what is done to one instead of a reset."""

    roles: Literal["any"] | _Several[_Role] = "any"
    groups: Literal["assignable", "none"] = "assignable"
    instead: _Several[_Step] = ()


class Intake(_Part):
    """How bodies of other senders are read."""

    mappings: _Several[Mapping[str, object]] = ()
    defender_roles: Literal["any"] | _Several[str] = ("compromised",)
    domains: Mapping[str, str] = Field(default_factory=dict)


class Limits(_Part):
    """How much at once."""

    resets_per_hour: int = Field(default=100, ge=1, le=100_000)
    users_per_alert: int = Field(default=20, ge=1, le=MAX_USERS_PER_BODY)
    cooldown_minutes: int = Field(default=30, ge=0, le=24 * 60)

    @property
    def cooldown(self) -> timedelta:
        """How far before its enqueuing a request without a time may have been meant."""
        return timedelta(minutes=self.cooldown_minutes)


class Policy(_Part):
    """The whole policy, valid."""

    mode: Literal["enforce", "observe"] = "enforce"
    default_profiles: DefaultProfiles = DefaultProfiles()
    profiles: Mapping[ProfileName, Profile] = Field(min_length=1)
    callers: Mapping[Caller, _Several[ProfileName]]
    never: Never = Never()
    privileged: Privileged = Privileged()
    guests: Literal["allow", "refuse"] = "allow"
    intake: Intake = Field(default_factory=Intake)
    limits: Limits = Limits()

    def may_ask_for(self, caller: Caller, profile: ProfileName) -> bool:
        """Whether `caller` is named for `profile`; nobody is by default."""
        return profile in self.callers.get(caller, ())


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
    problems = tuple(f"MFA_RESET_POLICY: {problem}" for check in _CHECKS for problem in check(policy))
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


# --- What each part may be, but not together --------------------------------------------------------------------


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
        for what, several in (("methods", profile.methods), ("steps", profile.steps)):
            if _repeats(several):
                yield f"profiles.{name[:50]}.{what}: one is named twice"
        closed = CLOSES_REGISTRATION_WINDOW & set(profile.steps)
        if profile.removes_methods and not closed and profile.registration_window is None:
            yield (
                f"profiles.{name[:50]}: whoever knows the password can register first once the methods are gone: add a "
                'step that prevents it (disableAccount), or say "registrationWindow": "accepted"'
            )


def _check_privileged(policy: Policy) -> Iterable[str]:
    if _repeats(policy.privileged.instead):
        yield "privileged.instead: one is named twice"


def _repeats(several: str | tuple[str, ...]) -> bool:
    return isinstance(several, tuple) and len(set(several)) < len(several)


def _check_dangerous(policy: Policy) -> Iterable[str]:
    for caller, names in policy.callers.items():
        for name in names:
            profile = policy.profiles.get(name)
            if caller in {QUEUE, FUNCTION_KEY} and profile and profile.privileged == "allow":
                yield (
                    f"callers.{caller}: profile {name[:50]!a} may reset administrators, so only named Entra "
                    "applications or principals may ask for it"
                )


_CHECKS: tuple[Callable[[Policy], Iterable[str]], ...] = (
    _check_names,
    _check_reachable,
    _check_profiles,
    _check_privileged,
    _check_dangerous,
)
