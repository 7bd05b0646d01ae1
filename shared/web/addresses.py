"""Where an accepted request can be looked at: an absolute address, as clients of long-running calls want it."""

import re
from urllib.parse import quote, urlsplit

# A host and maybe a port; no user name, which would hide where an address leads.
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def origin_of(url: str, public_url: str | None) -> str:
    """Return scheme and host of our addresses: `public_url`, else those of the call's own `url`; empty without either.

    Nothing else of the url is taken: its query may hold a function key.
    """
    if public_url:
        return public_url
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    sound = parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.netloc)
    return f"{parts.scheme}://{parts.netloc}" if sound else ""


def address_of(origin: str, request_id: str) -> str:
    """Return the address of one request, or of the parent of several."""
    return f"{origin}/api/resets/{quote(request_id, safe=':')}"
