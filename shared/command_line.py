"""The command line of an operator's command, which shows itself as it was typed."""

import argparse
from collections.abc import Callable, Sequence

from shared.errors import SettingsError

_TYPED = "--typed"  # what a recipe of the Makefile passes first: `--typed 'make TARGET VARIABLE'`


class CommandParser(argparse.ArgumentParser):
    """Reads the words of a command; `typed` is `make TARGET VARIABLE` where that began it, else empty."""

    typed = ""

    def format_usage(self) -> str:
        """Return the usage as it is typed."""
        return self._as_typed(super().format_usage())

    def format_help(self) -> str:
        """Return the help, its usage as it is typed."""
        return self._as_typed(super().format_help())

    def _as_typed(self, text: str) -> str:
        if not self.typed:
            return text
        command, _, variable = self.typed.rpartition(" ")
        usage, blank, rest = text.partition("\n\n")
        words = usage.removeprefix(f"usage: {command} ").rstrip("\n")
        return f"usage: {command} {variable}='{words}'\n" + (f"\n{rest}" if blank else "")


def begin(module: str, words: Sequence[str], about: str | None, epilog: str) -> tuple[CommandParser, Sequence[str]]:
    """Make the parser of `python -m module`; return it with the words that it has to parse."""
    typed, words = (words[1], words[2:]) if words[:1] == [_TYPED] else ("", words)
    parser = CommandParser(
        typed.rpartition(" ")[0] or f"python -m {module}",
        description=about,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.typed = typed
    return parser, words


def add_verbs(parser: CommandParser) -> Callable[[str, str], CommandParser]:
    """Return what adds a verb and its help to a parser; one of them has to be typed."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(verb: str, about: str) -> CommandParser:
        added = verbs.add_parser(verb, help=about)
        added.typed = parser.typed
        return added

    return add


def explain(error: SettingsError) -> str:
    """Say which settings of the environment keep a command from its work, a line each."""
    head = "Nothing was done: the command's settings are not as they should be (--help says which it needs)."
    return "\n".join([head, *(f"- {problem}" for problem in error.problems)])
