"""What must never leave, looked for by value in everything that did: logs, the ledger, the bus, outcomes, answers.

The tenant knows what is secret (`Tenant.secret_values`), so that nobody has to guess what a secret looks like. A value
is found as it is written, in JSON's way of writing it, in base64 and percent-encoded.
"""

import base64
import json
import logging
import re
import traceback
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from sandbox.bus import Bus
from shared.model import Outcome

_SHORTEST = 6
_TELLING_DIGITS = 10
_EVERY_RECORD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_LEDGER_FILES = ("", "-wal", "-shm")


@dataclass(frozen=True)
class Leak:
    """A secret that got out: where it was found, and enough around it to find the place; never the value itself."""

    where: str
    around: str


class Ear(logging.Handler):
    """Keeps the text of each record at once: what a record refers to may have changed by the end of a test."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write down what anybody could write of it: the message, what it is made of, extras, the whole exception."""
        extras = [f"{name}={value!r}" for name, value in vars(record).items() if name not in _EVERY_RECORD]
        error = _parts_of(record.exc_info[1]) if record.exc_info and record.exc_info[1] else []
        self.heard.append("\n".join([record.name, record.getMessage(), repr(record.args), *extras, *error]))

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """Return all that was heard, each text once."""
        return (("the log", text) for text in dict.fromkeys(self.heard))


@contextmanager
def listening() -> Iterator[Ear]:
    """Hear every logger at DEBUG, those too that were made quiet or propagate to nobody; their levels come back.

    Whoever listened already hears no more than before.
    """
    ear, root = Ear(), logging.getLogger()
    loggers = [root, *(each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger))]
    levels = [(each, each.level) for each in loggers]
    alone = [each for each in loggers if each is root or not each.propagate]
    others = [(handler, handler.level) for each in alone for handler in each.handlers]
    for handler, level in others:
        handler.setLevel(max(level, root.level))
    for each in loggers:
        each.setLevel(logging.DEBUG)
    for each in alone:
        each.addHandler(ear)
    try:
        yield ear
    finally:
        for each in alone:
            each.removeHandler(ear)
        for logger, level in levels:
            logger.setLevel(level)
        for handler, level in others:
            handler.setLevel(level)


# --- Searching -----------------------------------------------------------------------------------------------------


def find_leaks(values: Collection[str], texts: Iterable[tuple[str, str]]) -> list[Leak]:
    """Look for every value in every text, each of which says where it is from."""
    there = list(texts)
    everything = "\n".join(text for _, text in there)
    forms = {form for value in values for form in _forms_of(value) if len(form) >= _SHORTEST and form in everything}
    patterns = [_pattern_of(form) for form in sorted(forms)]
    return [
        Leak(where, _around(found)) for pattern in patterns for where, text in there if (found := pattern.search(text))
    ]


@cache
def _forms_of(value: str) -> set[str]:
    in_json = json.dumps(value)[1:-1]
    encoded = base64.b64encode(value.encode()).decode().rstrip("=")
    return {value, in_json, json.dumps(in_json)[1:-1], quote(value, safe=""), encoded}


def _pattern_of(form: str) -> re.Pattern[str]:
    """Match a form; digits alone only where they are no part of a longer number, few of them of no GUID or time."""
    if not form.isdigit():
        return re.compile(re.escape(form))
    around = "0-9" if len(form) >= _TELLING_DIGITS else "0-9A-Za-z.-"
    return re.compile(rf"(?<![{around}]){form}(?![{around}])")


def _around(found: re.Match[str]) -> str:
    text = found.string
    before, after = text[max(found.start() - 60, 0) : found.start()], text[found.end() : found.end() + 20]
    return f"{before}<a secret of {len(found[0])} characters>{after}"


# --- Places --------------------------------------------------------------------------------------------------------


def texts_of_ledger(path: Path) -> Iterator[tuple[str, str]]:
    """Read the bytes of a SQLite file and of its journals, deleted pages too."""
    for suffix in _LEDGER_FILES:
        file = path.with_name(path.name + suffix)
        if file.exists():
            yield f"the ledger{suffix}", file.read_bytes().decode(errors="replace")


def texts_of_bus(bus: Bus, *entities: str) -> Iterator[tuple[str, str]]:
    """Read every message in these places, with its properties."""
    for entity in entities:
        for message in bus.peek(entity):
            yield f"the bus, {entity}", message.body.decode(errors="replace")
            yield (
                f"the bus, {entity}, properties",
                str((message.message_id, message.subject, message.application_properties)),
            )


def texts_of_outcomes(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, str]]:
    """Write each outcome out in full."""
    return (("an outcome", repr(outcome)) for outcome in outcomes)


def texts_of_error(error: BaseException) -> Iterator[tuple[str, str]]:
    """Write an exception out with everything that it was raised from."""
    return (("an exception", part) for part in _parts_of(error))


def _parts_of(error: BaseException) -> list[str]:
    """Write out an exception and what led to it, the contexts too that `from None` hides: tools show those."""
    parts, waiting, seen = [], [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        parts += ["".join(traceback.format_exception(one)), repr(one.args), repr(vars(one))]
        waiting += [each for each in (one.__cause__, one.__context__) if each]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
    return parts
