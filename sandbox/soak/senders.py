"""Those who ask: over the queue and over HTTP, and what they know to be accepted."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from sandbox.bus import Bus
from sandbox.host import HostProcess
from sandbox.stage import REQUESTS

USERS_IN_ONE_BODY = 5
SEND_SECONDS = 5
ANSWER_SECONDS = 100
MOST_TRIES = 300
PAUSE_SECONDS = 0.2
# A call takes longer than a message: a host that is killed meanwhile answers nothing, and the caller calls another.
MOST_CALL_TRIES = 10
CALL_PAUSE_SECONDS = 2.0
FATES = OK, ACCEPTED, OTHERWISE, UNANSWERED = "answered 200", "answered 202", "answered otherwise", "no answer"
FATE_OF: Mapping[int, str] = {HTTPStatus.OK: OK, HTTPStatus.ACCEPTED: ACCEPTED}
PROFILES = ("reregister", "compromised")
# A message, one that was sent before once more, a call, several users in one message, several users in one call.
KINDS, WEIGHTS = ("message", "again", "call", "family", "familyCall"), (68, 12, 10, 5, 5)
# Of the requests, so many are about what is seen just now: no earlier reset covers them.
SEEN_NOW = 0.08


@dataclass(frozen=True)
class Body:
    """A message as it was sent: a duplicate has the same id."""

    text: str
    request_id: str
    is_family: bool


@dataclass
class Books:
    """What was accepted, as the senders know it: the keys of requests, and how many users a body for several names.

    `calls` says how each call ended, `unanswered_tries` how often one was left without an answer, to be repeated.
    """

    accepted: set[str] = field(default_factory=set)
    families: Counter[str] = field(default_factory=Counter)
    sent: list[Body] = field(default_factory=list)
    messages: int = 0
    calls: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(FATES, 0)))
    unanswered_tries: int = 0

    @property
    def requests(self) -> int:
        """How many requests were accepted, each user of several counted."""
        return len(self.accepted) + self.families.total()

    def note(self, caller: str, body: Body) -> None:
        """Note that a body was accepted; a second time changes nothing."""
        key = f"{caller}:{body.request_id}"
        if body.is_family:
            self.families[key] = USERS_IN_ONE_BODY
        else:
            self.accepted.add(key)


class Sender:
    """One who asks, again and again; `hosts` are those that answer now."""

    def __init__(  # noqa: PLR0913 - what it asks, and whom
        self,
        books: Books,
        bus: Bus,
        hosts: Sequence[HostProcess],
        users: Sequence[str],
        chance: random.Random,
        *,
        call_pause_seconds: float = CALL_PAUSE_SECONDS,
    ) -> None:
        self._books = books
        self._bus = bus
        self._hosts = hosts
        self._users = users
        self._chance = chance
        self._call_pause_seconds = call_pause_seconds
        self._client: ServiceBusClient | None = None
        self._link: ServiceBusSender | None = None

    async def send(self, numbers: Sequence[int], pause_seconds: Callable[[], float], calls: asyncio.TaskGroup) -> None:
        """Ask once for each number, with pauses; calls over HTTP, which may take a minute, go on in `calls`."""
        for number in numbers:
            (kind,) = self._chance.choices(KINDS, WEIGHTS)
            body = self._body(kind, number)
            if kind in {"call", "familyCall"}:
                calls.create_task(self._post(body))
            else:
                await self._enqueue(body)
            await asyncio.sleep(pause_seconds())
        await self._disconnect()

    def _body(self, kind: str, number: int) -> Body:
        if kind == "again" and self._books.sent:
            return self._chance.choice(self._books.sent)
        more: dict[str, object] = {"profile": self._chance.choice(PROFILES)}
        if self._chance.random() < SEEN_NOW:
            more["observedAt"] = datetime.now(UTC).isoformat()
        if kind.startswith("family"):
            more["users"] = self._chance.sample(self._users, USERS_IN_ONE_BODY)
        else:
            more["user"] = self._chance.choice(self._users)
        request_id = f"{kind}-{number}"
        return Body(json.dumps({"requestId": request_id, **more}), request_id, is_family="users" in more)

    async def _enqueue(self, body: Body) -> None:
        """Send until the bus has it for sure: a sender repeats what it has no answer to."""
        for _ in range(MOST_TRIES):
            if await self._was_taken(body):
                break
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            raise TimeoutError("the bus took nothing any more")
        self._books.messages += 1
        self._books.sent.append(body)
        self._books.note("queue", body)

    async def _was_taken(self, body: Body) -> bool:
        try:
            if self._link is None:
                connection = self._bus.connection_string
                self._client = ServiceBusClient.from_connection_string(connection, retry_total=0, try_timeout=5)
                self._link = self._client.get_queue_sender(REQUESTS)
            message = ServiceBusMessage(body.text, message_id=body.request_id)
            await asyncio.wait_for(self._link.send_messages(message), SEND_SECONDS)
        except (AzureError, OSError, TimeoutError, ValueError):
            await self._disconnect()
            return False
        return True

    async def _disconnect(self) -> None:
        client, self._client, self._link = self._client, None, None
        with suppress(AzureError, OSError, TimeoutError, ValueError):  # it may be broken already
            if client:
                await asyncio.wait_for(client.close(), SEND_SECONDS)

    async def _post(self, body: Body) -> None:
        """Call until there is an answer that is no failure: what has no 2xx was not accepted, as far as a caller knows.

        The same id each time, so that it is one request however many hosts heard of it.
        """
        fate = UNANSWERED
        for _ in range(MOST_CALL_TRIES):
            status = await self._try_to_post(body)
            if status is None:
                self._books.unanswered_tries += 1
            else:
                fate = FATE_OF.get(status, OTHERWISE)
                if status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    break
            await asyncio.sleep(self._call_pause_seconds)
        self._books.calls[fate] += 1
        if fate in {OK, ACCEPTED}:
            self._books.note("functionKey", body)

    async def _try_to_post(self, body: Body) -> int | None:
        """Post to a host that is up, and return the status; None when there is no answer."""
        living = [host for host in self._hosts if host.exit_code is None]
        if not living:
            return None
        host = self._chance.choice(living)
        headers = {"x-functions-key": host.function_key}
        try:
            async with httpx.AsyncClient(timeout=ANSWER_SECONDS) as http:
                answer = await http.post(f"{host.url}/api/resets", content=body.text, headers=headers)
        except httpx.HTTPError:
            return None
        return answer.status_code
