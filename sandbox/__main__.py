"""`python -m sandbox run` does the main job against the sandbox; `serve` leaves it up; `soak` disturbs and kills it."""

import argparse
import asyncio
import signal
import sys
import time

from sandbox import soak
from sandbox.demonstration import show
from sandbox.stage import REQUESTS, Stage, set_up

SERVE_PORT = 7071


def main() -> int:
    """Run the command; the exit code is 0 only when all is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("command", choices=["run", "serve", "soak"])
    parser.add_argument("--port", type=int, default=SERVE_PORT, help="where `serve` answers HTTP (0: a free port)")
    parser.add_argument("--requests", type=int, default=soak.Plan.requests, help="how many `soak` sends")
    parser.add_argument(
        "--seconds", type=float, default=soak.Plan.seconds, help="in how many seconds `soak` sends them"
    )
    parser.add_argument("--end-seconds", type=float, default=soak.Plan.end_seconds, help="how long `soak` waits then")
    parser.add_argument("--hosts", type=int, default=soak.Plan.hosts, help="how many hosts `soak` runs at once")
    parser.add_argument("--seed", type=int, default=soak.Plan.seed, help="what `soak` draws from")
    parser.add_argument("--ledger", help="a LEDGER_URL for `soak`: a storage connection string, say")
    arguments = parser.parse_args()
    if arguments.command == "soak":
        plan = soak.Plan(
            requests=arguments.requests,
            hosts=arguments.hosts,
            seconds=arguments.seconds,
            end_seconds=arguments.end_seconds,
            seed=arguments.seed,
            ledger=arguments.ledger,
        )
        return 0 if asyncio.run(soak.run(plan, _say)) else 1
    if arguments.command == "run":
        return asyncio.run(_run())
    return asyncio.run(_serve(arguments.port))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _run() -> int:
    started = time.monotonic()
    _say("Starting a Microsoft 365 tenant, a Service Bus and the Functions host, all on this machine …")
    async with set_up() as stage:
        _say(f"Up after {time.monotonic() - started:.1f} s.")
        return 0 if await show(stage, _say) else 1


async def _serve(port: int) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with set_up(port) as stage:
        _say(_addresses(stage))
        await stop.wait()
    _say("Stopped.")
    return 0


def _addresses(stage: Stage) -> str:
    url, key, tenant = stage.host.url, stage.host.function_key, stage.tenant.url
    post = f"curl -s {url}/api/resets -H 'x-functions-key: {key}'"
    return f"""\
The sandbox is up, until Ctrl-C.

  function app   {url}/api
  tenant         {tenant}   (Microsoft Graph and the managed identity)
  key vault      {stage.vault.url}
  Service Bus    {stage.bus.connection_string}
                 queue {REQUESTS}

Is it up?
  curl -s {url}/api/health
Which app roles does the policy lack?
  curl -s {url}/api/readiness -H 'x-functions-key: {key}'
Reset a user (about 12 s: a deleted method can stay listed for a while, so it looks again before it says "verified"):
  {post} -d '{{"user": "sage.winter@contoso.example"}}'
What would be done to one with every kind of method:
  {post} -d '{{"user": "blair.everett@contoso.example", "profile": "compromised", "dryRun": true}}'
The break-glass account:
  {post} -d '{{"user": "emergency.access.1@contoso.example"}}'
A request by an id, and the same again (no second reset):
  {post} -d '{{"requestId": "INC-1", "user": "oakley.reed@contoso.example"}}'
  curl -s {url}/api/resets/INC-1 -H 'x-functions-key: {key}'
What the tenant holds of a user:
  curl -s {tenant}/sandbox/users/10000000-0000-4000-8000-000000000001
"""


if __name__ == "__main__":
    sys.exit(main())
