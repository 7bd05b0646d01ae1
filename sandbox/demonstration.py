"""The story told: requests go in by both doors, their progress is told, and every outcome is what it should be."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from sandbox.layout import lay_out
from sandbox.scenes import REQUESTS_OF_THE_SHOW, Door, Request
from sandbox.stage import AUDIT, OUTCOMES, REJECTED, REQUESTS, Stage
from sandbox.telling import LEDGER_OUTAGE, read_event, tell_progress

NOTHING = "-"
PATIENCE_SECONDS = 90.0
HTTP_SECONDS = 75.0
DEAD = f"{REQUESTS}/$DeadLetterQueue"

type Outcome = dict[str, Any]


@dataclass
class Story:
    """Requests under way: the outcomes that have come, and for the others what is known of why none came."""

    stage: Stage
    requests: Sequence[Request]
    patience_seconds: float = PATIENCE_SECONDS
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def play(self) -> None:
        """Send each request when its turn has come; wait until all have ended, or as long as patience lasts."""
        async with ServiceBusClient.from_connection_string(self.stage.bus.connection_string) as client:
            sending = [asyncio.create_task(self._send(client, request)) for request in self.requests]
            receiving = asyncio.create_task(self._receive(client))
            try:
                async with asyncio.timeout(self.patience_seconds), self.news:
                    await self.news.wait_for(lambda: not self._open())
            except TimeoutError:
                self.failures |= dict.fromkeys(self._open(), self._why_none_came())
            finally:
                for task in (*sending, receiving):
                    task.cancel()
                await asyncio.gather(*sending, receiving, return_exceptions=True)

    def _open(self) -> list[str]:
        ended = self.outcomes.keys() | self.failures.keys()
        return [one.request_id for one in self.requests if one.request_id not in ended]

    def _why_none_came(self) -> str:
        why = f"no outcome came within {self.patience_seconds:.0f} s"
        events = map(read_event, self.stage.host.output)
        if any(event and event.get("code") == LEDGER_OUTAGE for event in events):
            return f"{why}, and the app says that its ledger cannot be used: is the disk full?"
        return why

    async def _send(self, client: ServiceBusClient, request: Request) -> None:
        async with self.news:
            await self.news.wait_for(lambda: self.outcomes.keys() >= {*request.after})
        if request.door is Door.HTTP:
            return await self._post(request)
        async with client.get_queue_sender(REQUESTS) as sender:
            await sender.send_messages(ServiceBusMessage(request.body, message_id=request.request_id))
        return None

    async def _post(self, request: Request) -> None:
        """Post a request; an answer that is its outcome counts, the outcome of one that takes longer comes later."""
        host = self.stage.host
        try:
            async with httpx.AsyncClient(
                timeout=HTTP_SECONDS, headers={"x-functions-key": host.function_key}
            ) as client:
                answer = await client.post(f"{host.url}/api/resets", content=request.body)
        except httpx.HTTPError:
            return await self._note({request.request_id: "no answer came over HTTP"}, {})
        if answer.status_code == httpx.codes.OK:
            return await self._note({}, {request.request_id: answer.json()})
        if answer.status_code != httpx.codes.ACCEPTED:
            return await self._note({request.request_id: f"the app answered {answer.status_code}"}, {})
        return None

    async def _receive(self, client: ServiceBusClient) -> None:
        """Read outcomes off the topic, and look for what will never have one."""
        async with client.get_subscription_receiver(OUTCOMES, AUDIT) as receiver:
            while True:
                for message in await receiver.receive_messages(max_message_count=10, max_wait_time=2):
                    outcome = json.loads(str(message))
                    await receiver.complete_message(message)
                    await self._note({}, {outcome["requestId"]: outcome})
                dead = {str(each.message_id) for each in self.stage.bus.peek(DEAD)}.intersection(self._open())
                await self._note(
                    dict.fromkeys(dead, "the app gave it back too often: it is in the dead-letter queue"), {}
                )
                if self.stage.host.exit_code is not None:
                    await self._note(dict.fromkeys(self._open(), "the app has ended"), {})

    async def _note(self, failures: dict[str, str], outcomes: dict[str, Outcome]) -> None:
        async with self.news:
            self.failures |= failures
            self.outcomes |= outcomes
            self.news.notify_all()


async def show(stage: Stage, say: Callable[[str], None], patience_seconds: float = PATIENCE_SECONDS) -> bool:
    """Send every request, tell what happens, print a table; return whether every outcome is what it should be."""
    doors = [request.door for request in REQUESTS_OF_THE_SHOW]
    queued, posted = doors.count(Door.QUEUE), doors.count(Door.HTTP)
    say(f"Sending {len(doors)} requests: {queued} to the queue, {posted} over HTTP.\n")
    telling = asyncio.create_task(tell_progress(stage.host, say))
    story = Story(stage, REQUESTS_OF_THE_SHOW, patience_seconds)
    try:
        await story.play()
        await asyncio.sleep(0.3)  # the last lines of the log
    finally:
        telling.cancel()
    say("\n" + "\n".join(_table(story.outcomes)))
    problems = [problem for request in REQUESTS_OF_THE_SHOW for problem in check(request, story.outcomes)]
    problems += [*_sum_up(story.failures), *_check_rejected(stage)]
    say("\n" + ("\n".join(problems) if problems else "Every outcome is what it should be."))
    return not problems


# --- Showing ----------------------------------------------------------------------------------------------------


def _table(outcomes: dict[str, Outcome]) -> list[str]:
    rows = [("request", "user", "outcome", "removed", "still there", "verified", "why")]
    for request in REQUESTS_OF_THE_SHOW:
        outcome = outcomes.get(request.request_id, {})
        rows.append(
            (
                f"{request.request_id} ({request.about})",
                _named(outcome).replace("@", " @").replace("#EXT#", " #EXT#"),
                outcome.get("status", "none"),
                _summed(_types(outcome, gone=True)),
                _summed(_types(outcome, gone=False)),
                "yes" if outcome.get("verified") else NOTHING,
                ", ".join(_codes(outcome)) or NOTHING,
            )
        )
    return lay_out(rows)


def _named(outcome: Outcome) -> str:
    """Return whom the request asked for, as it named them; nothing where its body could not be read."""
    return (outcome.get("user") or {}).get("asked") or NOTHING


def _summed(types: list[str]) -> str:
    counted = [f"{types.count(name)} {name}" if types.count(name) > 1 else name for name in dict.fromkeys(types)]
    return ", ".join(counted) or NOTHING


# --- Checking ---------------------------------------------------------------------------------------------------


def _types(outcome: Outcome, *, gone: bool) -> list[str]:
    results = {"deleted", "deactivated", "alreadyGone"}
    return sorted(line["type"] for line in outcome.get("methods", []) if (line["result"] in results) is gone)


def _codes(outcome: Outcome) -> list[str]:
    return sorted({reason["code"] for reason in outcome.get("reasons", [])})


def _field(outcome: object, path: str) -> object:
    """Return the field of an outcome at a path like `methods.0.result`; None where there is none."""
    found = outcome
    for name in path.split("."):
        match found:
            case dict():
                found = found.get(name)
            case list() if name.isdigit() and int(name) < len(found):
                found = found[int(name)]
            case _:
                return None
    return found


def _sum_up(failures: dict[str, str]) -> list[str]:
    """Say why some have no outcome, a sentence for each reason."""
    return [
        f"{', '.join(one for one, why in failures.items() if why == reason)}: {reason}"
        for reason in dict.fromkeys(failures.values())
    ]


def check(request: Request, outcomes: dict[str, Outcome]) -> list[str]:
    """Say what is not as it should be of an outcome, a sentence each; nothing where there is none."""
    outcome = outcomes.get(request.request_id)
    if outcome is None:
        return []
    expected = request.expected
    pairs: tuple[tuple[str, object, object], ...] = (
        ("status", outcome["status"], expected.status),
        ("removed", _types(outcome, gone=True), sorted(expected.gone)),
        ("still there", _types(outcome, gone=False), sorted(expected.left)),
        ("verified", outcome.get("verified"), expected.status in {"completed", "partial"}),
        ("why", _codes(outcome), sorted(expected.reasons)),
        *((path, _field(outcome, path), wanted) for path, wanted in expected.fields.items()),
    )
    return [
        f"{request.request_id}: {what} should be {wanted}, but is {found}"
        for what, found, wanted in pairs
        if found != wanted
    ]


def _check_rejected(stage: Stage) -> list[str]:
    copies = len(stage.bus.peek(REJECTED))
    wanted = sum(request.expected.status == "invalid" for request in REQUESTS_OF_THE_SHOW)
    return [] if copies == wanted else [f"the rejected queue should hold {wanted} copies, but holds {copies}"]
