"""Faults on demand: throttling, failures, delays, holds and cut connections, for the n-th call that matches."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from sandbox.tenant.exchange import Answer

type Sleep = Callable[[float], Awaitable[None]]
type Interfere = Callable[["Fault"], Awaitable[None]]

_DEFAULTS = {
    400: ("BadRequest", "The request is not valid."),
    401: ("InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."),
    403: ("accessDenied", "Request Authorization failed"),
    404: ("resourceNotFound", "Resource not found."),
    409: ("Conflict", "A conflicting object is present."),
    429: ("TooManyRequests", "Too many requests. Try again later."),
    500: ("InternalServerError", "An internal server error occurred."),
    502: ("BadGateway", "The gateway received an invalid answer."),
    503: ("ServiceUnavailable", "The service is unavailable."),
    504: ("GatewayTimeout", "The request timed out."),
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with calls that match; without `status` and `cut` a matching call is only kept waiting.

    `method` and `path` (a regular expression searched in the decoded path with query) say which calls match; with
    `changing`, of those only what may change something: not GET, and no `$batch`. A fault without a path matches calls
    to Graph only; the token endpoint's path is `/msi/token`. The first `skip` matching calls pass, the next `times` are
    hit (None: all). `when` says whether all of the following comes before the effect, which then does not take place if
    there is a `status`, or after it, and after what is answered was read:

    - `hold`: the call waits until that name is released, in `Holds`; then `delay_seconds` pass.
    - `deletes` and `restores`: the object id of a user to whom that happens then, if they are there.
    - `status`: the answer, with Graph's error shape or `body` from 400 on, with `body` or nothing below. `retry_after`
      is sent as `Retry-After`, as it is.

    `cut` closes the connection without an answer, before or after the effect.
    """

    method: str | None = None
    path: str | None = None
    skip: int = 0
    times: int | None = 1
    status: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: int | str | None = None
    delay_seconds: float = 0
    cut: Literal["before", "after"] | None = None
    when: Literal["before", "after"] = "before"
    body: str | None = None
    changing: bool = False
    hold: str | None = None
    deletes: str | None = None
    restores: str | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.path or "")
        except re.PatternError as error:
            raise ValueError(f"The path is no regular expression: {error}") from None

    def matches(self, method: str, path: str) -> bool:
        """Say whether a call is one that this fault is about; the path is decoded and has the query."""
        if self.method is not None and self.method.upper() != method:
            return False
        if self.changing and (method == "GET" or path.endswith("/$batch")):
            return False
        if self.path is None:
            return path.startswith(("/v1.0/", "/beta/"))
        return re.search(self.path, path) is not None

    @property
    def error(self) -> tuple[str, str]:
        """Return code and message, those usual for the status where none are given."""
        code, message = _DEFAULTS.get(self.status or 0, ("UnknownError", "An unknown error occurred."))
        return self.code or code, self.message if self.message is not None else message


@dataclass
class _Armed:
    fault: Fault
    matched: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether it can hit nothing any more."""
        return self.fault.times is not None and self.matched >= self.fault.skip + self.fault.times

    def hits(self) -> bool:
        """Count a matching call; say whether it is one of those to be hit."""
        self.matched += 1
        if self.matched <= self.fault.skip:
            return False
        return self.fault.times is None or self.matched <= self.fault.skip + self.fault.times


@dataclass
class FaultList:
    """The faults in force; of several that would hit a call the first added does, and only that one counts it.

    A fault that has hit its last call is forgotten, so that a soak may order thousands.
    """

    armed: list[_Armed] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Put a fault in force, after those there are."""
        self.armed.append(_Armed(fault))

    def clear(self) -> None:
        """Take every fault out of force."""
        self.armed.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that hits a call, None when it passes."""
        for armed in self.armed:
            if armed.fault.matches(method, path) and armed.hits():
                self.armed = [each for each in self.armed if not each.is_spent]
                return armed.fault
        return None


class Holds:
    """The calls that are held back, by the names that faults give them."""

    def __init__(self) -> None:
        self._released: dict[str, asyncio.Event] = {}
        self._reached: dict[str, asyncio.Event] = {}

    @property
    def names(self) -> list[str]:
        """The names under which a call is held now."""
        return [name for name in self._reached if self._reached[name].is_set()]

    async def reached(self, name: str) -> None:
        """Wait until a call is held under a name."""
        await self._reached.setdefault(name, asyncio.Event()).wait()

    async def wait(self, name: str) -> None:
        """Hold a call until its name is released."""
        self._reached.setdefault(name, asyncio.Event()).set()
        await self._released.setdefault(name, asyncio.Event()).wait()

    def release(self, name: str) -> None:
        """Let the calls go on that are held under a name; a later one is held again."""
        self._reached.pop(name, None)
        if released := self._released.pop(name, None):
            released.set()

    def release_all(self) -> None:
        """Let every call go on."""
        for name in self.names:
            self.release(name)


async def answer_under(
    fault: Fault | None, respond: Callable[[], Awaitable[Answer]], fail: Callable[[Fault], Answer], interfere: Interfere
) -> Answer:
    """Answer a call under a fault: `respond` makes the true answer and effect, `fail` the fault's answer."""
    if fault is None:
        return await respond()
    if fault.when == "before":
        await interfere(fault)
    if fault.cut == "before":
        return Answer(0, cut=True)
    if fault.when == "before" and fault.status is not None and fault.cut is None:
        return fail(fault)
    answer = await respond()
    if fault.when == "after":
        await interfere(fault)
    if fault.cut == "after":
        return Answer(0, effect=answer.effect, cut=True)
    if fault.status is None:
        return answer
    failed = fail(fault)
    return Answer(failed.status, failed.body, failed.headers, effect=answer.effect)
