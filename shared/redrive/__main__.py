"""`python -m shared.redrive`: see what was rejected or dead-lettered; with `--send`, send it again."""

import argparse
import asyncio
import logging
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from azure.servicebus.aio import ServiceBusClient

from shared.bootstrap import connect_bus
from shared.command_line import begin, explain
from shared.errors import BusUnavailableError, SettingsError
from shared.identity import CLI_SECONDS, azure_cli
from shared.logs import quiet_libraries
from shared.policy import Policy
from shared.redrive.judgement import OTHER_REASON, Fate, Judgement, Place, Rules, choose, judge
from shared.redrive.queues import Queues, Tally
from shared.redrive.table import write_table
from shared.settings import BusSettings, read_bus_settings, read_policy, read_together

DONE, NOT_ALL, WRONG = 0, 1, 2  # exit statuses

_ABOUT = "See what was rejected or dead-lettered; with --send, send it again."
_EPILOGUE = f"""\
Needs MFA_RESET_POLICY and the bus in the environment, as the app has them: ServiceBusConnection or
ServiceBusConnection__fullyQualifiedNamespace; REQUEST_QUEUE and REJECTED_QUEUE where they are not the default; and none
of its other settings. Without a connection string you are who `az login` says, in AZURE_TENANT_ID if that is set.
A reason that is no plain word is shown, and chosen, as "{OTHER_REASON}".
Exit status: 0 all done, 1 not all done (the rest is where it was), 2 called or set up wrongly. docs/messages.md
"""


@dataclass(frozen=True)
class Order:
    """What the command is asked for."""

    places: tuple[Place, ...]
    reasons: frozenset[str]
    limit: int | None
    send: bool


def read_order(words: Sequence[str]) -> Order:
    """Read the command line; exit with 2 where it makes no sense."""
    parser, words = begin("shared.redrive", words, _ABOUT, _EPILOGUE)
    places = [str(place) for place in Place]
    parser.add_argument("--from", dest="place", choices=places, help="default: look at all")
    parser.add_argument("--reason", nargs="+", action="extend", default=[], metavar="CODE", help="these reasons only")
    parser.add_argument("--limit", type=_count, metavar="N", help="send at most the first N of those that can be")
    parser.add_argument("--send", action="store_true", help="send; without it nothing is changed")
    asked = parser.parse_args(words)
    if asked.send and asked.place is None:
        parser.error("--send needs --from")
    chosen = tuple(Place) if asked.place is None else (Place(asked.place),)
    return Order(chosen, frozenset(asked.reason), asked.limit, asked.send)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError("a whole number, at least 1")
    return int(text)


def connect(settings: BusSettings, stack: AsyncExitStack) -> ServiceBusClient:
    """Make the client: of a connection string where there is one, else for whom `az login` has logged in.

    Never the app's own identity, whatever AZURE_CLIENT_ID says: who sends again should be seen to be the operator, and
    `az login --identity` is there for a machine that does it.
    """
    if settings.connection:
        return connect_bus(settings)
    credential = azure_cli(settings.tenant_id)
    stack.push_async_exit(credential)
    return ServiceBusClient(str(settings.namespace), credential, retry_total=1, try_timeout=CLI_SECONDS)


async def redrive(order: Order, policy: Policy, queues: Queues) -> int:
    """Show each place that is asked for and, if that is asked for too, send again; return the exit status."""
    rules = Rules(policy, datetime.now(UTC), order.reasons)
    status = DONE
    for place in order.places:
        found = await queues.look(place, partial(judge, place=place, rules=rules))
        wanted = [one for one in found if not order.reasons or one.reason in order.reasons]
        chosen = choose(wanted, order.limit)
        _show(place, found, wanted, len(chosen), queues.most)
        if order.send and chosen:
            tally = await queues.send_again(place, chosen)
            _say(_sum_of(place, tally))
            status = status if tally.is_complete else NOT_ALL
    return NOT_ALL if queues.stop.is_set() else status


def _show(place: Place, found: list[Judgement], wanted: list[Judgement], chosen: int, most: int) -> None:
    sys.stdout.write(write_table(wanted))
    can = sum(one.fate is Fate.AGAIN for one in wanted)
    more = f" There may be more: only the first {most} were looked at." if len(found) >= most else ""
    sys.stdout.write(f"{place}: {len(found)} found, {len(wanted)} shown, {can} can be sent, {chosen} chosen.{more}\n\n")
    sys.stdout.flush()


def _sum_of(place: Place, tally: Tally) -> str:
    lines = [f"{place}: {tally.sent} of {tally.chosen} sent again."]
    if tally.doubled:
        lines.append(f"{tally.doubled} of them could not be removed: sent once more they are the same requests.")
    if tally.failure:
        lines.append(tally.failure)
    elif tally.sent < tally.chosen:
        lines.append("The others are where they were, if nobody else has taken, locked or deferred them.")
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def run(order: Order, policy: Policy, settings: BusSettings) -> int:
    """Carry the order out; Ctrl-C ends it after the message in hand, with nothing left locked."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    async with AsyncExitStack() as stack:
        client = connect(settings, stack)
        await stack.enter_async_context(client)
        try:
            return await redrive(order, policy, Queues(client, settings, _say, stop))
        except BusUnavailableError as error:
            _say(str(error))
            return NOT_ALL


def main(words: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    order = read_order(words)
    try:
        policy, settings = read_together(read_policy, read_bus_settings)
    except SettingsError as error:
        _say(explain(error))
        return WRONG
    quiet_libraries(logging.CRITICAL)  # the command says itself what went wrong
    return asyncio.run(run(order, policy, settings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
