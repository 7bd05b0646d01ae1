"""What the sandbox's commands have in common: exit statuses, ports, usage as it was typed, an end in one sentence."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence

from sandbox.host import HostStartError
from sandbox.stage import StageError

OK, DIFFERS, NOT_STARTED, INTERRUPTED = 0, 1, 2, 130  # exit statuses
HIGHEST_PORT = 65_535
_TYPED = "--typed"  # what a recipe of the Makefile passes first: `--typed make`


class Parser(argparse.ArgumentParser):
    """Shows `make serve ARGS='…'` as the usage where make has begun the command."""

    def format_usage(self) -> str:
        """Return the usage as it is typed."""
        return self._as_typed(super().format_usage())

    def format_help(self) -> str:
        """Return the help, its usage as it is typed."""
        return self._as_typed(super().format_help())

    def _as_typed(self, text: str) -> str:
        if not self.prog.startswith("make "):
            return text
        usage, blank, rest = text.partition("\n\n")
        words = usage.removeprefix(f"usage: {self.prog} ").rstrip("\n")
        return f"usage: {self.prog} ARGS='{words}'\n" + (f"\n{rest}" if blank else "")


def begin(words: Sequence[str], about: str | None) -> tuple[Parser, Sequence[str]]:
    """Make the parser of the sandbox's command; return it with the words that it has to parse."""
    is_make = words[:2] == [_TYPED, "make"]
    parser = Parser("make" if is_make else "python -m sandbox", description=about)
    return parser, words[2:] if is_make else words


def port(text: str) -> int:
    """Read a port."""
    if not (text.isascii() and text.isdigit() and int(text) <= HIGHEST_PORT):
        raise argparse.ArgumentTypeError(f"a port is a whole number from 0 (a free one) to {HIGHEST_PORT}")
    return int(text)


def whole(text: str) -> int:
    """Read a whole number."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("a whole number")
    return int(text)


def seconds(text: str) -> float:
    """Read a number of seconds."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a number of seconds") from None


def say(text: str) -> None:
    """Write to stdout at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def carry_out(work: Callable[[], Coroutine[None, None, int]]) -> int:
    """Do the work and return its exit status; what keeps it from its end is one sentence on stderr."""
    try:
        return asyncio.run(work())
    except KeyboardInterrupt:
        return _complain("Interrupted.", INTERRUPTED)
    except (StageError, HostStartError) as error:
        return _complain(str(error), NOT_STARTED)


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"{text}\n")
    return status
