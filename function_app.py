"""The triggers: translate in, call, translate out. No rule lives here; `shared` holds the product."""

from datetime import UTC, datetime
from functools import cache

import azure.functions as func

from shared import bootstrap, web
from shared.logs import correlate
from shared.ports import Delivery
from shared.settings import read_settings

EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]  # the wrong ones are answered 405 by us

settings = read_settings()  # a problem in the settings stops the app here, every one named
# The host asks for a key besides a token wherever the level is FUNCTION (docs/decisions/0024).
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS if settings.tokens_let_in else func.AuthLevel.FUNCTION)


@cache
def house() -> bootstrap.House:
    """Build on first use, on the worker's loop."""
    return bootstrap.build(settings)


@app.service_bus_queue_trigger("message", queue_name="%REQUEST_QUEUE%", connection="ServiceBusConnection")
async def receive_request(message: func.ServiceBusMessage, context: func.Context) -> None:
    """Take one message off the request queue: returning completes it, an exception gives it back."""
    correlate(context.trace_context.trace_parent)
    enqueued_at = message.enqueued_time_utc or datetime.now(UTC)
    await house().reception.receive(
        Delivery(
            body=message.get_body(),
            message_id=message.message_id,
            sequence_number=message.sequence_number or 0,
            enqueued_at=enqueued_at if enqueued_at.tzinfo else enqueued_at.replace(tzinfo=UTC),
        )
    )


@app.timer_trigger("timer", schedule="30 */5 * * * *")
async def resume_lost(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001 - the binding's name
    """Find requests whose resume or report got lost, every five minutes."""
    correlate(context.trace_context.trace_parent)
    await house().sweep.resume_the_lost()


@app.timer_trigger("timer", schedule="15,45 * * * * *")
async def wake_held_back(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001 - as above
    """Let requests go on that a pause or an hourly limit held back, twice a minute."""
    correlate(context.trace_context.trace_parent)
    await house().waker.wake()


@app.timer_trigger("timer", schedule="0 23 3 * * *")
async def purge_ledger(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001 - as above
    """Forget what is older than the ledger keeps, once a day."""
    correlate(context.trace_context.trace_parent)
    await house().sweep.purge()


@app.route("resets", methods=EVERY_METHOD)
async def post_reset(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """`POST /api/resets`: ask for a reset."""
    correlate(context.trace_context.trace_parent)
    return _respond(await house().web.post_reset(_read(req)))


@app.route("resets/{requestId}", methods=EVERY_METHOD)
async def get_reset(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """`GET /api/resets/{requestId}`: look at a reset."""
    correlate(context.trace_context.trace_parent)
    return _respond(await house().web.get_reset(_read(req), req.route_params["requestId"]))


@app.route("readiness", methods=EVERY_METHOD)
async def get_readiness(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """`GET /api/readiness`: what our identity can do of what the policy asks for."""
    correlate(context.trace_context.trace_parent)
    return _respond(await house().web.get_readiness(_read(req)))


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def get_health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding needs its parameter
    """`GET /api/health`: up, and nothing else."""
    return _respond(web.health())


def _read(req: func.HttpRequest) -> web.HttpCall:
    return web.HttpCall(
        req.method.upper(), {name.lower(): value for name, value in req.headers.items()}, req.get_body(), req.url
    )


def _respond(answer: web.HttpAnswer) -> func.HttpResponse:
    return func.HttpResponse(
        answer.body, status_code=answer.status.value, headers=dict(answer.headers), mimetype=answer.content_type
    )
