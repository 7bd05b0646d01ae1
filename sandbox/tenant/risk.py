"""Identity protection: confirm that users are compromised."""

from sandbox.tenant.exchange import Answer, GraphError, Request, bad_request, not_found, too_many_requests
from sandbox.tenant.permissions import Permission, Service
from sandbox.tenant.routing import Route
from sandbox.tenant.world import World


def confirm_compromised(world: World, request: Request) -> Answer:
    """`POST /identityProtection/riskyUsers/confirmCompromised`: one call a second for the whole tenant."""
    if not world.premium:
        raise GraphError(403, "Forbidden", "Your tenant is not licensed for this feature.")
    _throttle(world)
    ids = request.body.get("userIds")
    if not isinstance(ids, list) or not ids:
        raise bad_request("The userIds parameter is missing.", "BadRequest")
    if missing := [str(user_id) for user_id in ids if user_id not in world.directory.users]:
        raise not_found(missing[0])
    for user_id in ids:
        world.directory.users[user_id].confirmed_compromised = True
    return Answer(204, effect=True)


def _throttle(world: World) -> None:
    now = world.now()
    if world.risk_call_at is not None and (now - world.risk_call_at).total_seconds() < 1:
        raise too_many_requests(None)
    world.risk_call_at = now


ROUTES = (
    Route(
        "POST",
        "identityProtection/riskyUsers/confirmCompromised",
        Permission(Service.IDENTITY_PROTECTION, frozenset({"IdentityRiskyUser.ReadWrite.All"})),
        confirm_compromised,
    ),
)
