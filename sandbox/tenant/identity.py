"""The managed identity's token endpoint, as App Service has it (API version 2019-08-01)."""

import hmac
from datetime import timedelta

from sandbox.tenant.exchange import Answer, Question
from sandbox.tenant.tokens import SYSTEM_ASSIGNED_CLIENT_ID, Grant
from sandbox.tenant.world import World

PATH = "/msi/token"
API_VERSION = "2019-08-01"


def answer(world: World, question: Question, secret: str) -> Answer:
    """Return a token for the resource asked for, which holds the roles as they are now."""
    given = question.headers.get("X-IDENTITY-HEADER")
    if given is None:
        return _refuse(400, "The X-IDENTITY-HEADER header is missing.")
    if not hmac.compare_digest(given.encode(errors="replace"), secret.encode()):
        return _refuse(401, "The X-IDENTITY-HEADER header is wrong.")
    if question.method != "GET":
        return _refuse(405, "The token endpoint answers GET.")
    resource = question.query.get("resource")
    if not resource or question.query.get("api-version") != API_VERSION:
        return _refuse(400, f"The request needs a resource and api-version={API_VERSION}.")
    client_id = question.query.get("client_id") or SYSTEM_ASSIGNED_CLIENT_ID
    grant = Grant(world.directory.tenant_id, client_id, resource, frozenset(world.roles))
    token = world.tokens.issue(grant, world.now(), timedelta(seconds=world.token_lifetime_seconds))
    world.issued_secrets.add(token.text)
    return Answer(
        200,
        {
            "access_token": token.text,
            "expires_on": str(int(token.expires_at.timestamp())),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": client_id,
        },
    )


def _refuse(status: int, message: str) -> Answer:
    return Answer(status, {"statusCode": status, "message": message})
