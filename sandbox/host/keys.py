"""Access keys, as Azure's host checks them."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, assert_never

from sandbox.host.app_functions import AuthLevel
from sandbox.host.errors import StartError

MASTER = "_master"
DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The master key, the host keys, and the keys of single functions by function and name."""

    master: str
    host: Mapping[str, str]
    functions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, named: Mapping[str, str], *, spare: str) -> Self:
        """Build from `_master`, a host key's NAME, or FUNCTION:NAME; `spare` is the master key where none is named.

        StartError when a key is empty or has no name.
        """
        host: dict[str, str] = {}
        functions: dict[str, dict[str, str]] = {}
        for name, value in named.items():
            function, _, key_name = name.rpartition(":")
            if not value or not key_name:
                raise StartError(f"The key '{name}' has no name or no value")
            (functions.setdefault(function, {}) if function else host)[key_name] = value
        return cls(master=host.pop(MASTER, spare), host=host, functions=functions)

    def allow(self, level: AuthLevel, function: str, key: str | None) -> bool:
        """Whether the key opens a function of that level; the time taken does not depend on the key."""
        match level:
            case AuthLevel.ANONYMOUS:
                return True
            case AuthLevel.FUNCTION:
                accepted = [self.master, *self.host.values(), *self.functions.get(function, {}).values()]
            case AuthLevel.ADMIN:
                accepted = [self.master]
            case _:
                assert_never(level)
        return any([is_same(key, known) for known in accepted])  # noqa: C419 - all are compared, always


def is_same(given: str | None, known: str) -> bool:
    """Compare in constant time; an absent or empty key equals nothing."""
    return bool(given) and hmac.compare_digest((given or "").encode(), known.encode())
