"""W3C trace context: each invocation is a span of its caller's trace, or of a fresh one."""

import re
import secrets

from sandbox.host.protos import RpcTraceContext

_TRACE_PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def start_span(parent: str | None, state: str | None = None) -> RpcTraceContext:
    """Begin a span: the caller's trace id and flags with a span id of its own, as the host's Activity does.

    A parent that is none by W3C's grammar is no parent.
    """
    found = _TRACE_PARENT.fullmatch(parent or "")
    trace_id, flags = found.groups() if found else (secrets.token_hex(16), "00")
    return RpcTraceContext(
        trace_parent=f"00-{trace_id}-{secrets.token_hex(8)}-{flags}", trace_state=(state or "") if found else ""
    )
