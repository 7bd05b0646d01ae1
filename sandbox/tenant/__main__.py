"""`python -m sandbox.tenant`: a tenant on loopback until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from sandbox.tenant.directory import DEFAULT_FILE, load_directory
from sandbox.tenant.server import Tenant


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.tenant", description="A Microsoft 365 tenant on loopback.")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on; 0, the default, takes a free one")
    parser.add_argument("--directory", type=Path, default=DEFAULT_FILE, help="the directory file to start from")
    return parser.parse_args()


async def serve(port: int, directory: Path) -> None:
    """Serve a tenant until the process is asked to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with Tenant(directory=load_directory(directory), port=port) as tenant:
        lines = [f"{name}={value}" for name, value in tenant.environment.items()]
        print(*lines, f"sandbox: {tenant.url}/sandbox/", sep="\n", flush=True)  # noqa: T201 - what the command is for
        await ended.wait()


def main() -> int:
    """Run the command; return its exit status."""
    arguments = read_arguments()
    try:
        asyncio.run(serve(arguments.port, arguments.directory))
    except (OSError, ValueError, KeyError) as error:
        print(f"The tenant could not start: {error}", file=sys.stderr)  # noqa: T201 - what the command is for
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
