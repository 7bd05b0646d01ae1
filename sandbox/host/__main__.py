"""`python -m sandbox.host --app DIR`: serve a function app until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.host.errors import StartError
from sandbox.host.running import DRAIN_SECONDS, EXIT_START_FAILED, HostOptions, make_keys, run_host
from sandbox.host.web import ANSWER_SECONDS, EasyAuth


def _parse_key(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _parse(arguments: Sequence[str]) -> HostOptions:
    parser = argparse.ArgumentParser(prog="python -m sandbox.host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="the directory of function_app.py and host.json")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument(
        "--key",
        type=_parse_key,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a host key; _master=VALUE the master key; FUNCTION:NAME=VALUE a key of one function",
    )
    parser.add_argument(
        "--easy-auth",
        nargs="?",
        const="",
        metavar="KEY",
        help="strip X-MS-CLIENT-PRINCIPAL* unless X-Sandbox-Easy-Auth shows KEY",
    )
    parser.add_argument("--drain-seconds", type=float, default=DRAIN_SECONDS, help="for what runs at SIGTERM")
    parser.add_argument("--answer-seconds", type=float, default=ANSWER_SECONDS, help="until a call is answered 504")
    parser.add_argument("--die-with-input", action="store_true", help="end at once when standard input ends")
    parser.add_argument("--show-invocations", action="store_true", help="each line of the app names its invocation")
    given = parser.parse_args(arguments)
    return HostOptions(
        app_directory=given.app.resolve(),
        port=given.port,
        keys=make_keys(dict(given.key)),
        easy_auth=None if given.easy_auth is None else EasyAuth(key=given.easy_auth or None),
        drain_seconds=given.drain_seconds,
        answer_seconds=given.answer_seconds,
        dies_with_input=given.die_with_input,
        shows_invocations=given.show_invocations,
    )


def main(arguments: Sequence[str]) -> int:
    """Run the host; the exit code."""
    try:
        return asyncio.run(run_host(_parse(arguments), os.environ))
    except StartError as error:
        sys.stdout.write("".join(f"ERROR Host.Startup {line}\n" for line in str(error).splitlines()))
        sys.stdout.flush()
        return EXIT_START_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
