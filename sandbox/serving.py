"""What `make serve` says: who is in the tenant, the addresses, and lines to paste."""

from collections.abc import Iterator

from sandbox.people import list_people
from sandbox.stage import AUDIT, OUTCOMES, REJECTED, REQUESTS, Stage


def describe(stage: Stage) -> Iterator[str]:
    """Say all that whoever sits before the sandbox needs, a paragraph each."""
    yield "Users of the tenant, and what is special about each:"
    yield from (f"  {line}" for line in list_people(stage.tenant.directory))
    yield _addresses(stage)
    yield _calls(stage)
    yield _commands(stage)
    yield "The sandbox is up, until Ctrl-C. What it does appears below.\n"


def _addresses(stage: Stage) -> str:
    return f"""
Addresses:
  function app    {stage.host.url}/api   (key: {stage.host.function_key})
  tenant          {stage.tenant.url}   (Microsoft Graph and the managed identity)
  key vault       {stage.vault.url}
  request queue   {REQUESTS}
  rejected queue  {REJECTED}
  outcome topic   {OUTCOMES}, subscription {AUDIT}
"""


def _calls(stage: Stage) -> str:
    url, key, tenant = stage.host.url, stage.host.function_key, stage.tenant.url
    post = f"curl -s {url}/api/resets -H 'x-functions-key: {key}'"
    return f"""\
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


def _commands(stage: Stage) -> str:
    return f"""\
For the commands of an operator, in another terminal:
  export LEDGER_URL='{stage.environment["LEDGER_URL"]}'
  export ServiceBusConnection='{stage.bus.connection_string}'
  make operate ARGS=show
  make operate ARGS='pause --for 10m --by me --why "to see what waits"'
  make operate ARGS=resume
  make redrive
To put a body on the request queue, and one that is rejected:
  .venv/bin/python -m sandbox send '{{"user": "val.cross@contoso.example"}}'
  .venv/bin/python -m sandbox send 'not JSON'
"""
