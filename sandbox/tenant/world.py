"""What every handler may read and change: the directory, the switches, the clock, and the tenant's short memory."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sandbox.tenant.directory import Directory
from sandbox.tenant.switches import Switches
from sandbox.tenant.tokens import TokenAuthority

type Now = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the real time."""
    return datetime.now(UTC)


@dataclass(kw_only=True, eq=False, repr=False)
class World(Switches):
    """A tenant without its sockets; nothing but `now` reads the time."""

    directory: Directory
    now: Now = utc_now
    url: str = ""
    tokens: TokenAuthority = field(default_factory=TokenAuthority)
    default_refusals: int = 0
    risk_call_at: datetime | None = None
    methods_calls_at: deque[datetime] = field(default_factory=deque)
    issued_secrets: set[str] = field(default_factory=set)
    """What must not leave the tenant and the directory does not hold (any more): tokens, codes, passwords, numbers."""


def graph_time(at: datetime) -> str:
    """Return a time the way Graph writes it, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
