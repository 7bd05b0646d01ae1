"""Azure on this machine: `run` tells a story in it, `serve` leaves it up, `send` fills its queue, `soak` kills hosts.

Exit status: 0 all is as it should be, 1 an outcome is another, 2 called wrongly or not started, 130 interrupted.
"""

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from sandbox import soak
from sandbox.command import DIFFERS, OK, begin, carry_out, port, say, seconds, whole
from sandbox.demonstration import show
from sandbox.serving import describe
from sandbox.stage import REQUESTS, Ports, StageError, make_ledger, set_up
from sandbox.telling import tell_progress

SERVE_PORT = 7071
STARTING = "Starting a Microsoft 365 tenant, a Service Bus and the Functions host, all on this machine …"
CONNECTION = "ServiceBusConnection"

type Work = Callable[[], Coroutine[None, None, int]]


def read_work(words: Sequence[str]) -> Work:
    """Read the command line and return what it asks for; exit with 2 where it makes no sense."""
    parser, words = begin(words, __doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("run", help="do the main job and show what became of each request")
    serve = commands.add_parser("serve", help="leave it up until Ctrl-C")
    serve.add_argument(
        "--port", type=port, default=SERVE_PORT, help=f"of the function app: {SERVE_PORT}; 0: a free one"
    )
    for name, what in (("bus", "Service Bus"), ("graph", "Microsoft Graph"), ("vault", "Key Vault")):
        serve.add_argument(f"--{name}-port", type=port, default=0, metavar="PORT", help=f"of the {what}: a free one")
    send = commands.add_parser("send", help=f"put a body on the request queue of {CONNECTION}")
    send.add_argument("body", metavar="BODY")
    _add_soak(commands.add_parser("soak", help="send many requests with faults and killed hosts"))
    asked = vars(parser.parse_args(words))
    match asked.pop("command"):
        case "run":
            return _run
        case "serve":
            ports = Ports(asked["port"], asked["bus_port"], asked["graph_port"], asked["vault_port"])
            return partial(_serve, ports)
        case "send":
            return partial(_send, asked["body"])
        case _:
            return partial(_soak, soak.Plan(**asked))


def _add_soak(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=whole, default=soak.Plan.requests, help="how many are sent")
    parser.add_argument("--seconds", type=seconds, default=soak.Plan.seconds, help="in how many seconds")
    parser.add_argument("--end-seconds", type=seconds, default=soak.Plan.end_seconds, help="how long it waits then")
    parser.add_argument("--hosts", type=whole, default=soak.Plan.hosts, help="how many run at once")
    parser.add_argument("--seed", type=whole, default=soak.Plan.seed, help="what chance is drawn from")
    parser.add_argument("--ledger", help="a LEDGER_URL: a storage connection string, say")


async def _run() -> int:
    started = time.monotonic()
    say(STARTING)
    async with set_up() as stage:
        await make_ledger(stage)
        say(f"Up after {time.monotonic() - started:.1f} s.")
        return OK if await show(stage, say) else DIFFERS


async def _serve(ports: Ports) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    say(STARTING)
    async with set_up(ports) as stage:
        await make_ledger(stage)
        for paragraph in describe(stage):
            say(paragraph)
        telling = asyncio.create_task(tell_progress(stage.host, say))
        await stop.wait()
        telling.cancel()
    say("Stopped.")
    return OK


async def _send(body: str) -> int:
    connection = os.environ.get(CONNECTION)
    if not connection:
        raise StageError(f"{CONNECTION} is not set: `make serve` prints the line that sets it.")
    try:
        async with (
            ServiceBusClient.from_connection_string(connection, retry_total=0) as client,
            client.get_queue_sender(REQUESTS) as sender,
        ):
            await sender.send_messages(ServiceBusMessage(body))
    except (ServiceBusError, ValueError):
        raise StageError(f"No Service Bus takes it: is `make serve` up, and its {CONNECTION} set here?") from None
    say(f"It is on {REQUESTS}.")
    return OK


async def _soak(plan: soak.Plan) -> int:
    return OK if await soak.run(plan, say) else DIFFERS


def main(words: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    work = read_work(words)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return carry_out(work)
