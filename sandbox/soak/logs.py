"""What the hosts' logs tell: which delivery made which call to Microsoft Graph, and which never came to its end.

A delivery is an invocation of a function by one host; the product's own lines name the call that they are about by the
`client-request-id` that Microsoft Graph was sent, and the host says in which invocation a line was written.
"""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

_CALL = re.compile(r'^\w+ mfa_reset Id=(\S+) .*"event": "graphCall".*"clientRequestId": "([^"]+)"')
_FOUND = re.compile(r'"event": "resumedLost".*"requestId": "([^"]+)", "caller": "([^"]+)"')
_BEGUN = re.compile(r" Executing 'Functions\.\w+' \(.*Id=([^)]+)\)")
_ENDED = re.compile(r" Executed 'Functions\.\w+' \(\w+, Id=([^,]+),")


@dataclass(frozen=True)
class Told:
    """`deliveries`: by the id of each call told of; `unfinished`: by host; `found`: the requests that the timer found.

    Of what a killed host had under way no line tells how it ended.
    """

    deliveries: Mapping[str, str]
    unfinished: Mapping[str, AbstractSet[str]]
    found: AbstractSet[str] = frozenset()


def read_logs(outputs: Mapping[str, Sequence[str]]) -> Told:
    """Read the lines of all hosts there were, by the client id that each goes by."""
    deliveries: dict[str, str] = {}
    found: set[str] = set()
    for lines in outputs.values():
        deliveries |= {call: delivery for line in lines for delivery, call in _CALL.findall(line)}
        found |= {f"{caller}:{request}" for line in lines for request, caller in _FOUND.findall(line)}
    return Told(deliveries, {host: _find_unfinished(lines) for host, lines in outputs.items()}, found)


def _find_unfinished(lines: Sequence[str]) -> frozenset[str]:
    begun = {delivery for line in lines for delivery in _BEGUN.findall(line)}
    return frozenset(begun - {delivery for line in lines for delivery in _ENDED.findall(line)})
