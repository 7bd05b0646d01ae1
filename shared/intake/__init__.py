"""Bytes become requests, or a reason why not. Pure: nothing here waits, reads a clock or remembers.

`reading` is the way of a body: `layers` unwraps it, then the first shape that knows it reads it. `canonical` is our
own shape, strict; a shape of another sender is one more module with one more entry in `reading.SHAPES`. `fields` reads
an object field by field and gathers what is wrong; `identifiers`, `request_ids`, `moments` and `text` parse one value.
"""

from shared.intake.envelope import Envelope, Item
from shared.intake.reading import Resume, parse_resume, read_body
from shared.intake.request_ids import (
    common_parent,
    fingerprint,
    parent_of,
    parse_request_id,
    parse_stored_request_id,
    queue_parent_id,
)

__all__ = [
    "Envelope",
    "Item",
    "Resume",
    "common_parent",
    "fingerprint",
    "parent_of",
    "parse_request_id",
    "parse_resume",
    "parse_stored_request_id",
    "queue_parent_id",
    "read_body",
]
