"""The story told: requests go in by both doors, their progress is told, and every outcome is what it should be."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from sandbox.checking import check_all, codes_of, group_bursts, types_gone, types_left
from sandbox.holding import Held, hold_back
from sandbox.layout import lay_out
from sandbox.scenes import REQUESTS_OF_THE_SHOW, Door, Request
from sandbox.stage import AUDIT, OUTCOMES, REJECTED, REQUESTS, Stage
from sandbox.telling import LEDGER_OUTAGE, read_event, tell_progress

NOTHING = "-"
_LAST_PART_OF_GUID = re.compile(r"((?:[0-9a-f]+-){4})([0-9a-f]{12})")
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
        """Send each request when its turn has come; wait until all have ended, or as long as patience lasts.

        One that a pause holds back has been sent before.
        """
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
        if request.door is Door.HTTP_WHILE_PAUSED:
            return None
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
    telling = asyncio.create_task(tell_progress(stage.host, say))
    try:
        held = [
            await hold_back(stage, request, say)
            for request in REQUESTS_OF_THE_SHOW
            if request.door is Door.HTTP_WHILE_PAUSED
        ]
        say(f"\nSending {queued + posted} more: {queued} to the queue, {posted} over HTTP.\n")
        lost = {one.request_id: one.failure for one in held if one.failure}
        story = Story(stage, REQUESTS_OF_THE_SHOW, patience_seconds, failures=lost)
        await story.play()
        await asyncio.sleep(0.3)  # the last lines of the log
    finally:
        telling.cancel()
    say("\n" + "\n".join(_table(story.outcomes, held)))
    problems = [problem for one in held for problem in one.problems] + check_all(REQUESTS_OF_THE_SHOW, story.outcomes)
    problems += [*_sum_up(story.failures), *_check_rejected(stage)]
    say("\n" + ("\n".join(problems) if problems else "Every outcome is what it should be."))
    return not problems


# --- Showing ----------------------------------------------------------------------------------------------------


def _table(outcomes: dict[str, Outcome], held: Sequence[Held]) -> list[str]:
    rows = [("request", "user", "outcome", "removed", "still there", "verified", "notes")]
    waited = {one.request_id: f"waited: {one.waiting.get('waitingFor')}" for one in held if one.waiting}
    for group in group_bursts(REQUESTS_OF_THE_SHOW):
        ended = [outcomes[request.request_id] for request in group if request.request_id in outcomes]
        # Of a burst, the reset stands for all: how many it covers is among its notes.
        outcome = next((one for one in ended if one["status"] != "covered"), ended[0] if ended else {})
        codes = [] if outcome.get("coveredBy") else codes_of(outcome)
        notes = [waited.get(group[0].request_id, ""), *codes, *_planned_steps(outcome), *_covered(ended)]
        rows.append(
            (
                f"{group[0].burst or group[0].request_id} ({group[0].about})",
                _named(outcome),
                outcome.get("status", "none"),
                _would_go(outcome) or _summed(types_gone(outcome)),
                _kept(outcome) or _summed(types_left(outcome)),
                "yes" if outcome.get("verified") else NOTHING,
                ", ".join(filter(None, notes)) or NOTHING,
            )
        )
    return lay_out(rows)


def _named(outcome: Outcome) -> str:
    """Return whom the request asked for, as it named them, to be broken where it is long; nothing if unreadable."""
    asked = (outcome.get("user") or {}).get("asked") or NOTHING
    return _LAST_PART_OF_GUID.sub(r"\1 \2", asked).replace("@", " @").replace("#EXT#", " #EXT#")


def _would_go(outcome: Outcome) -> str:
    return "; ".join(_planned_methods(outcome, "wouldDelete", "wouldDeactivate"))


def _kept(outcome: Outcome) -> str:
    return "; ".join(_planned_methods(outcome, "kept")) if outcome.get("status") == "planned" else ""


def _planned_methods(outcome: Outcome, *results: str) -> list[str]:
    """Say for each result which types a dry run gives it to."""
    found = {
        result: sorted(line["type"] for line in outcome.get("methods", []) if line["result"] == result)
        for result in results
    }
    return [f"{result}: {_summed(types)}" for result, types in found.items() if types]


def _planned_steps(outcome: Outcome) -> list[str]:
    return [f"{line['result']}: {line['step']}" for line in outcome.get("steps", []) if line["result"] == "wouldDo"]


def _covered(ended: Sequence[Outcome]) -> list[str]:
    """Say how many are covered by which request."""
    names = [one["coveredBy"]["requestId"] for one in ended if one.get("coveredBy")]
    return [f"{names.count(name)} covered, coveredBy: {name}" for name in dict.fromkeys(names)]


def _summed(types: Sequence[str]) -> str:
    return (
        ", ".join(_counted([name.replace("AuthenticationMethod", " AuthenticationMethod") for name in types]))
        or NOTHING
    )


def _counted(names: Sequence[str]) -> list[str]:
    return [f"{names.count(name)} {name}" if names.count(name) > 1 else name for name in dict.fromkeys(sorted(names))]


def _sum_up(failures: dict[str, str]) -> list[str]:
    """Say why some have no outcome, a sentence for each reason, in the story's order."""
    order = [request.request_id for request in REQUESTS_OF_THE_SHOW]
    failures = dict(sorted(failures.items(), key=lambda item: order.index(item[0])))
    return [
        f"{', '.join(one for one, why in failures.items() if why == reason)}: {reason}"
        for reason in dict.fromkeys(failures.values())
    ]


def _check_rejected(stage: Stage) -> list[str]:
    copies = len(stage.bus.peek(REJECTED))
    wanted = sum(request.expected.status == "invalid" for request in REQUESTS_OF_THE_SHOW)
    return [] if copies == wanted else [f"the rejected queue should hold {wanted} copies, but holds {copies}"]
