"""`python -m shared.operate`: pause resets and lift the pause, raise the hourly limit for a while, see what holds."""

import argparse
import asyncio
import logging
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.bootstrap import SystemClock, open_ledger
from shared.command_line import add_verbs, begin, explain
from shared.errors import LedgerMissingError, LedgerUnavailableError, SettingsError
from shared.logs import quiet_libraries
from shared.model import Control
from shared.ports import Ledger
from shared.settings import read_ledger_settings, read_policy_if_set, read_together

DONE, FAILED, WRONG = 0, 1, 2  # exit statuses
LONGEST = timedelta(days=7)  # what is forgotten ends by itself
MOST_AN_HOUR = 100_000
MAX_WORDS = 300

_ABOUT = "Pause resets and lift the pause, raise the hourly limit for a while, see what holds."
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_EPILOGUE = """\
Needs LEDGER_URL in the environment, as the app has it, and none of its other settings. With MFA_RESET_POLICY there too
it can say what the policy's limit is. Without a connection string in LEDGER_URL you are who `az login` says, in
AZURE_TENANT_ID if that is set, and need Storage Table Data Contributor. What is set here takes effect within seconds:
it is read whenever a reset begins and before each change, in the middle of a reset too. The ledger is the app's: where
there is none, this command makes none.
Exit status: 0 done, 1 the ledger could not be used, 2 called or set up wrongly, or there is no ledger.
"""


@dataclass(frozen=True)
class Order:
    """What the command is asked for: `verb` is show, pause, resume, limit or usual-limit."""

    verb: str
    lasting: timedelta = timedelta()
    by: str | None = None
    why: str | None = None
    number: int | None = None


def read_order(words: Sequence[str]) -> Order:
    """Read the command line; exit with 2 where it makes no sense."""
    parser, words = begin("shared.operate", words, _ABOUT, _EPILOGUE)
    add = add_verbs(parser)
    add("show", "what holds now")
    pause = add("pause", "begin no reset and change nothing; requests wait")
    _add_duration(pause)
    pause.add_argument("--by", type=_words, required=True, metavar="NAME", help="who pauses")
    pause.add_argument("--why", type=_words, required=True, metavar="TEXT", help="what others should know")
    add("resume", "lift the pause")
    limit = add("limit", "another number of resets an hour and caller, for a while")
    limit.add_argument("number", type=_number, metavar="NUMBER", help=f"resets an hour, 1 to {MOST_AN_HOUR}")
    _add_duration(limit)
    add("usual-limit", "the policy's number again")
    return Order(**vars(parser.parse_args(words)))


def _add_duration(parser: argparse.ArgumentParser) -> None:
    about = "30m, 4h, 2d: 7d at most"
    parser.add_argument("--for", dest="lasting", type=_duration, required=True, metavar="DURATION", help=about)


def carry_out(order: Order, control: Control, now: datetime) -> Control:
    """Return what holds once the order is carried out; a second call only moves the end of what ends. Pure."""
    match order.verb:
        case "pause":
            return replace(control, paused_until=now + order.lasting, paused_by=order.by, paused_why=order.why)
        case "resume":
            return replace(control, paused_until=None, paused_by=None, paused_why=None)
        case "limit":
            return replace(control, resets_per_hour=order.number, resets_per_hour_until=now + order.lasting)
        case "usual-limit":
            return replace(control, resets_per_hour=None, resets_per_hour_until=None)
        case _:
            return control


def describe(control: Control, usual: int | None, now: datetime) -> str:
    """Say in words what holds; `usual` is the policy's limit, None where it is not known."""
    lines = ["Not paused: requests are carried out."]
    if control.paused_until and control.is_paused(now):
        lines = [f"Paused until {_time(control.paused_until)} by {control.paused_by}: {control.paused_why}"]
    lines.append(f"Resets an hour and caller: {_describe_limit(control, usual, now)}.")
    return "\n".join(lines)


def _describe_limit(control: Control, usual: int | None, now: datetime) -> str:
    limit = control.limit(usual or 0, now)  # nobody's limit is 0: that is the policy's, not known
    until = f" until {_time(control.resets_per_hour_until)}" if control.resets_per_hour_until and limit != usual else ""
    if usual:
        return f"{limit}{until}; the policy says {usual}"
    return f"{limit}{until}, then as the policy says" if limit else "as the policy says, which is not known here"


async def operate(order: Order, ledger: Ledger, usual: int | None, now: datetime) -> str:
    """Carry the order out and say what holds then. Raises LedgerUnavailableError."""
    if order.verb == "show":
        return describe(await ledger.read_control(), usual, now)
    return describe(await ledger.change_control(lambda kept: carry_out(order, kept, now)), usual, now)


async def run(order: Order) -> int:
    """Carry the order out on the ledger of the settings; return the exit status."""
    try:
        policy, settings = read_together(read_policy_if_set, read_ledger_settings)
    except SettingsError as error:
        sys.stderr.write(f"{explain(error)}\n")
        return WRONG
    quiet_libraries(logging.CRITICAL)  # the command says itself what went wrong
    usual = policy.limits.resets_per_hour if policy else None
    clock = SystemClock()
    ledger = open_ledger(settings, clock, as_operator=True)
    try:
        said = await operate(order, ledger, usual, clock.now())
    except LedgerUnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG if isinstance(error, LedgerMissingError) else FAILED
    finally:
        await ledger.close()
    sys.stdout.write(f"{said}\n")
    return DONE


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    lasting = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else LONGEST * 2
    if lasting > LONGEST:
        raise argparse.ArgumentTypeError("a whole number and m, h or d, 7d at most: 30m, 4h, 2d")
    return lasting


def _words(text: str) -> str:
    words = " ".join(text.split())
    if not words or len(words) > MAX_WORDS or not words.isprintable():
        raise argparse.ArgumentTypeError(f"1 to {MAX_WORDS} printable characters")
    return words


def _number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text) or int(text) > MOST_AN_HOUR:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to {MOST_AN_HOUR}")
    return int(text)


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it: what it changes, it changes in one step
    sys.exit(asyncio.run(run(read_order(sys.argv[1:]))))
