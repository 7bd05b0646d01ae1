"""The policy's values, each sound by itself."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.vocabulary import (
    Caller,
    GroupId,
    MethodType,
    ProfileName,
    RoleId,
    Step,
    StepName,
    UserId,
)

MAX_USERS_PER_BODY = 500

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

CLOSES_REGISTRATION_WINDOW = frozenset({StepName.DISABLE_ACCOUNT, StepName.CONTAINMENT_GROUP, StepName.RESET_PASSWORD})
# Whoever may ask for one of these can let somebody in: never anybody who merely holds a key or may send to a queue.
LETS_SOMEBODY_IN = frozenset({StepName.TEMPORARY_ACCESS_PASS, StepName.ENABLE_ACCOUNT})
PER_USER_MFA_STATES = ("enforced", "enabled")


def _guid(value: object) -> object:
    if not isinstance(value, str) or not GUID.fullmatch(value):
        raise ValueError("must be an object id (8-4-4-4-12 hexadecimal digits)")
    return value.lower()


def parse_step(value: object) -> Step:
    """Read a step as policies write it; raise ValueError, which says what is wrong with it."""
    name, colon, argument = value.partition(":") if isinstance(value, str) else ("", "", "")
    if name not in set(StepName):
        raise ValueError(f"must be one of {', '.join(StepName)}")
    step = StepName(name)
    match step:
        case StepName.CONTAINMENT_GROUP if not GUID.fullmatch(argument):
            raise ValueError("must be containmentGroup:<object id of the group>")
        case StepName.CONTAINMENT_GROUP:
            return Step(step, argument.lower())
        case StepName.PER_USER_MFA if argument not in PER_USER_MFA_STATES:
            raise ValueError(f"must be perUserMfa:{' or perUserMfa:'.join(PER_USER_MFA_STATES)}")
        case StepName.PER_USER_MFA:
            return Step(step, argument)
        case _ if colon:
            raise ValueError(f"{step} takes nothing after a colon")
        case _:
            return Step(step)


def _sequence(value: object) -> object:
    """Let JSON arrays become tuples although nothing else is coerced."""
    return tuple(value) if isinstance(value, list) else value


type _User = Annotated[UserId, BeforeValidator(_guid)]
type _Group = Annotated[GroupId, BeforeValidator(_guid)]
type _Role = Annotated[RoleId, BeforeValidator(_guid)]
type _Step = Annotated[Step, BeforeValidator(parse_step)]
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

    @property
    def takes(self) -> frozenset[StepName]:
        """Which kinds of step it has."""
        return frozenset(step.name for step in self.steps)

    @property
    def closing(self) -> frozenset[StepName]:
        """Which of its steps keep others from registering first: not a disabling that it takes back in the end."""
        undone = {StepName.DISABLE_ACCOUNT} if StepName.ENABLE_ACCOUNT in self.takes else set()
        return (self.takes & CLOSES_REGISTRATION_WINDOW) - undone

    @property
    def against_an_intruder(self) -> bool:
        """Whether it treats the account as taken over, rather than its owner as locked out."""
        return self.methods == "all" or bool(
            self.takes & {StepName.DISABLE_ACCOUNT, StepName.CONFIRM_COMPROMISED, StepName.CONTAINMENT_GROUP}
        )


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
    privileged_per_hour: int = Field(default=10, ge=1, le=100_000)
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

    @property
    def makes_passes(self) -> bool:
        """Whether any profile makes Temporary Access Passes."""
        return any(StepName.TEMPORARY_ACCESS_PASS in profile.takes for profile in self.profiles.values())

    def may_ask_for(self, caller: Caller, profile: ProfileName) -> bool:
        """Whether `caller` is named for `profile`; nobody is by default."""
        return profile in self.callers.get(caller, ())
