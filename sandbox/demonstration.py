"""The main job, shown: requests go in by both doors, their progress is told, and every outcome is what it should be."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from sandbox.stage import AUDIT, OUTCOMES, REJECTED, REQUESTS, Stage

NOTHING = "-"
MAX_COLUMN = 28
PATIENCE_SECONDS = 90.0
HTTP_SECONDS = 75.0


@dataclass(frozen=True)
class Expected:
    """What must become of one request: its outcome, and which types of method are gone and which are left."""

    status: str
    gone: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """One request of the show: what it is, what is sent, what must come of it. `door` is `queue` or `http`."""

    request_id: str
    about: str
    body: str
    expected: Expected
    door: str = "queue"


def _ask(request_id: str, user: str, **more: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps({"requestId": request_id, "user": user, "requestedBy": "make run", **more})


_ALL_TYPES = (
    "email external fido2 hardwareOath microsoftAuthenticator microsoftAuthenticator phone phone phone "
    "platformCredential qrCodePin softwareOath temporaryAccessPass windowsHelloForBusiness"
)

REQUESTS_OF_THE_SHOW: tuple[Request, ...] = (
    Request(
        "INC-1-val",
        "an everyday user, locked out",
        _ask("INC-1-val", "val.cross@contoso.example"),
        Expected("completed", ("phone",), ("external",)),
    ),
    Request(
        "INC-2-blair",
        "compromised, with a method of every type",
        _ask("INC-2-blair", "10000000-0000-4000-8000-000000000002", profile="compromised"),
        Expected("completed", tuple(_ALL_TYPES.split())),
    ),
    Request(
        "INC-3-devon",
        "a guest, whose name holds #EXT#",
        _ask("INC-3-devon", "devon.laine_northwind.example#EXT#@contoso.example"),
        Expected("completed", ("microsoftAuthenticator", "phone")),
    ),
    Request(
        "INC-4-oakley",
        "whose default method blocks the others",
        _ask("INC-4-oakley", "oakley.reed@contoso.example"),
        Expected("completed", ("phone", "phone")),
    ),
    Request(
        "INC-5-parker",
        "with a method of a type nobody knows yet",
        _ask("INC-5-parker", "parker.shaw@contoso.example"),
        Expected("partial", ("phone",), ("x509SomethingAuthenticationMethod",), ("unsupportedMethod",)),
    ),
    Request(
        "INC-6-breakglass",
        "the break-glass account",
        _ask("INC-6-breakglass", "emergency.access.1@contoso.example"),
        Expected("refused", reasons=("neverUser", "neverGroup", "privilegedRole")),
    ),
    Request(
        "INC-7-finley",
        "an administrator",
        _ask("INC-7-finley", "finley.moss@contoso.example", profile="compromised"),
        Expected("refused", reasons=("privilegedRole",)),
    ),
    Request(
        "INC-8-gray",
        "who could activate an administrator's role",
        _ask("INC-8-gray", "gray.holloway@contoso.example", profile="compromised"),
        Expected("refused", reasons=("eligibleRole",)),
    ),
    Request(
        "INC-9-reese",
        "a dry run",
        _ask("INC-9-reese", "reese.doyle@contoso.example", dryRun=True),
        Expected("planned", left=("hardwareOath", "phone"), reasons=("wouldDo",)),
    ),
    Request(
        "INC-10-darcy",
        "who was deleted",
        _ask("INC-10-darcy", "10000000-0000-4000-8000-000000000033"),
        Expected("invalid", reasons=("deletedUser",)),
    ),
    Request("INC-11-broken", "not JSON at all", '{"user": ', Expected("invalid", reasons=("notJson",))),
    Request(
        "HTTP-12-emery",
        "posted over HTTP",
        _ask("HTTP-12-emery", "emery.vance@contoso.example"),
        Expected("completed", ("phone", "softwareOath")),
        door="http",
    ),
)

type Outcome = dict[str, Any]


async def show(stage: Stage, say: Callable[[str], None]) -> bool:
    """Send every request, tell what happens, print a table; return whether every outcome is what it should be."""
    say(f"Sending {len(REQUESTS_OF_THE_SHOW)} requests: {_count('queue')} to the queue, {_count('http')} over HTTP.\n")
    telling = asyncio.create_task(_tell_progress(stage, say))
    try:
        async with ServiceBusClient.from_connection_string(stage.bus.connection_string) as client:
            await _send(client)
            posting = asyncio.create_task(_post(stage))
            outcomes = {outcome["requestId"]: outcome async for outcome in _receive(client)}
            outcomes.update(await posting)
        await asyncio.sleep(0.3)  # the last lines of the log
    finally:
        telling.cancel()
    say("\n" + "\n".join(_table(outcomes)))
    problems = [problem for request in REQUESTS_OF_THE_SHOW for problem in _check(request, outcomes)]
    problems += _check_rejected(stage)
    say("\n" + ("\n".join(problems) if problems else "Every outcome is what it should be."))
    return not problems


def _count(door: str) -> int:
    return sum(request.door == door for request in REQUESTS_OF_THE_SHOW)


async def _send(client: ServiceBusClient) -> None:
    async with client.get_queue_sender(REQUESTS) as sender:
        for request in REQUESTS_OF_THE_SHOW:
            if request.door == "queue":
                await sender.send_messages(ServiceBusMessage(request.body, message_id=request.request_id))


async def _post(stage: Stage) -> dict[str, Outcome]:
    answered = {}
    async with httpx.AsyncClient(timeout=HTTP_SECONDS, headers={"x-functions-key": stage.host.function_key}) as client:
        for request in REQUESTS_OF_THE_SHOW:
            if request.door == "http":
                answer = await client.post(f"{stage.host.url}/api/resets", content=request.body)
                answered[request.request_id] = answer.json()
    return answered


async def _receive(client: ServiceBusClient) -> AsyncIterator[Outcome]:
    """Read outcomes off the topic until each request has one; give up after 90 s."""
    expected = {request.request_id for request in REQUESTS_OF_THE_SHOW}
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_SECONDS
    async with client.get_subscription_receiver(OUTCOMES, AUDIT) as receiver:
        while expected and loop.time() < until:
            for message in await receiver.receive_messages(max_message_count=10, max_wait_time=2):
                outcome = json.loads(str(message))
                await receiver.complete_message(message)
                expected.discard(outcome["requestId"])
                yield outcome


# --- Telling ----------------------------------------------------------------------------------------------------


async def _tell_progress(stage: Stage, say: Callable[[str], None]) -> None:
    """Turn the app's own log lines into sentences, as they come."""
    names: dict[str, str] = {}
    position = len(stage.host.output)
    while True:
        for line in stage.host.output[position:]:
            position += 1
            event = _read_event(line)
            if event and "requestId" in event:
                names[event["correlationId"]] = event["requestId"]
            sentence = _sentence(event) if event else None
            if event and sentence:
                say(f"  {names.get(event['correlationId'], '?'):<18}{sentence}")
        await asyncio.sleep(0.1)


def _read_event(line: str) -> dict[str, Any] | None:
    start = line.find('{"event"')
    try:
        event: dict[str, Any] = json.loads(line[start:]) if start >= 0 else {}
    except json.JSONDecodeError:
        return None
    return event if event.get("correlationId") else None


def _sentence(event: dict[str, Any]) -> str | None:
    tell = _SENTENCES.get(event["event"])
    return tell(event) if tell else None


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "started": lambda _: "started",
    "removed": lambda event: f"{event['methodType']} {event['methodId'][:8]}… {event['result']}",
    "notRemoved": lambda event: f"{event['methodType']} {event['methodId'][:8]}… not yet: {event['code']}",
    "step": lambda event: f"{event['step']} {event['result']}",
    "looked": lambda event: f"looked again: {event['result']}",
    "postponed": lambda event: f"later: {event['code']}",
    "finished": lambda event: event["status"] + (f" ({event['code']})" if "code" in event else ""),
}


def _table(outcomes: dict[str, Outcome]) -> list[str]:
    rows = [("request", "user", "outcome", "removed", "still there", "verified", "why")]
    for request in REQUESTS_OF_THE_SHOW:
        outcome = outcomes.get(request.request_id, {})
        rows.append(
            (
                f"{request.request_id} ({request.about})",
                (outcome.get("user") or {})
                .get("userPrincipalName", NOTHING)
                .replace("@", " @")
                .replace("#EXT#", " #EXT#"),
                outcome.get("status", "none"),
                _summed(_types(outcome, gone=True)),
                _summed(_types(outcome, gone=False)),
                "yes" if outcome.get("verified") else NOTHING,
                ", ".join(sorted({reason["code"] for reason in _reasons(outcome)})) or NOTHING,
            )
        )
    widths = [_width([row[column] for row in rows]) for column in range(len(rows[0]))]
    return [line for row in rows for line in _wrap(row, widths)]


def _width(cells: list[str]) -> int:
    """Make a column no wider than it should be, but as wide as its longest word."""
    longest_word = max(len(word) for cell in cells for word in cell.split(" "))
    return max(min(max(len(cell) for cell in cells), MAX_COLUMN), longest_word)


def _wrap(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """Lay one row out in as many lines as its longest cell needs, broken at spaces."""
    cells = [_broken(cell, width) for cell, width in zip(row, widths, strict=True)]
    height = max(len(cell) for cell in cells)
    padded = [[*cell, *[""] * (height - len(cell))] for cell in cells]
    lines = (
        "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True))
        for parts in zip(*padded, strict=True)
    )
    return [line.rstrip() for line in lines]


def _broken(cell: str, width: int) -> list[str]:
    lines = [""]
    for word in cell.split(" "):
        joined = f"{lines[-1]} {word}".strip()
        if len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _summed(types: list[str]) -> str:
    counted = [f"{types.count(name)} {name}" if types.count(name) > 1 else name for name in dict.fromkeys(types)]
    return ", ".join(counted) or NOTHING


# --- Checking ---------------------------------------------------------------------------------------------------


def _types(outcome: Outcome, *, gone: bool) -> list[str]:
    results = {"deleted", "deactivated", "alreadyGone"}
    return sorted(line["type"] for line in outcome.get("methods", []) if (line["result"] in results) is gone)


def _reasons(outcome: Outcome) -> list[dict[str, str]]:
    reasons: list[dict[str, str]] = outcome.get("reasons", [])
    return reasons


def _check(request: Request, outcomes: dict[str, Outcome]) -> list[str]:
    outcome = outcomes.get(request.request_id)
    if outcome is None:
        return [f"{request.request_id}: no outcome came within {PATIENCE_SECONDS:.0f} s"]
    expected = request.expected
    pairs: tuple[tuple[str, object, object], ...] = (
        ("status", outcome["status"], expected.status),
        ("removed", _types(outcome, gone=True), sorted(expected.gone)),
        ("still there", _types(outcome, gone=False), sorted(expected.left)),
        ("verified", outcome.get("verified"), expected.status in {"completed", "partial"}),
        ("why", sorted({reason["code"] for reason in _reasons(outcome)}), sorted(expected.reasons)),
    )
    return [
        f"{request.request_id}: {what} should be {wanted}, but is {found}"
        for what, found, wanted in pairs
        if found != wanted
    ]


def _check_rejected(stage: Stage) -> list[str]:
    copies = len(stage.bus.peek(REJECTED))
    wanted = sum(request.expected.status == "invalid" for request in REQUESTS_OF_THE_SHOW)
    return [] if copies == wanted else [f"the rejected queue should hold {wanted} copy, but holds {copies}"]
