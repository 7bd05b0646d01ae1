"""Several readings at once: the first error of one is the error of all."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_error() -> Iterator[None]:
    """Raise the first error of several readings itself: callers decide by its type."""
    try:
        yield
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
