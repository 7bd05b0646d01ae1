"""Why a call to Table Storage failed, in words that hold no content and no name of a class."""

import re

_SIGN_IN = "an operator needs Azure CLI and `az login`, the app its identity"


def explain(error: Exception) -> str:
    """Say in a clause what went wrong, for a log line and for an operator."""
    status = getattr(error, "status_code", None)
    if status in {401, 403}:
        return f"access was refused (status {status}{_code(error)}; it takes Storage Table Data Contributor)"
    if status is not None:
        return f"it answered with status {status}{_code(error)}"
    return next(words for kind, words in _words() if isinstance(error, kind))


def _words() -> tuple[tuple[type[Exception], str], ...]:
    from azure.core.exceptions import (  # noqa: PLC0415 - 0.2 s that a cold start need not spend
        ClientAuthenticationError,
        ServiceRequestError,
        ServiceResponseError,
    )

    return (
        (TimeoutError, "no answer came in time"),
        (ClientAuthenticationError, f"there was no token for it ({_SIGN_IN})"),
        (ServiceResponseError, "the connection broke before the answer"),
        (ServiceRequestError, "it cannot be reached"),
        (OSError, "it cannot be reached"),
        (Exception, "its answer could not be read"),
    )


def _code(error: Exception) -> str:
    """Return the service's own code for what went wrong, a single word; nothing where it gave none."""
    code = getattr(error, "error_code", None)
    word = str(getattr(code, "value", code))
    return f", {word}" if code and re.fullmatch(r"[A-Za-z]{1,60}", word) else ""
