"""One call to Microsoft Graph: sent, judged, reported, tried again where that is safe."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from shared.errors import (
    UNCERTAIN,
    GraphAnswer,
    GraphError,
    NoAnswerError,
    NotPermittedError,
    TokenError,
    UnauthenticatedError,
    UnreadableAnswerError,
)
from shared.graph.repeats import Patience, wait_before_repeat
from shared.graph.wire import Answer, Entity, Page, describe, failure_of, read_page, unreadable
from shared.permissions import Need, missing_roles
from shared.ports import Claim, Clock

if TYPE_CHECKING:
    from kiota_abstractions.request_information import RequestInformation

    from shared.graph.connection import Connection
    from shared.graph.requests import Requests

type Build = Callable[["Requests"], "RequestInformation"]
type Connect = Callable[[], "Connection"]

MOST_PAGES = 1_000


@dataclass(frozen=True)
class CallReport:
    """One try of one call, for the log. `status` and `request_id` are None when no answer came."""

    operation: str
    status: int | None
    code: str | None
    request_id: str | None
    client_request_id: str
    seconds: float
    attempt: int


@dataclass(frozen=True)
class Call[T]:
    """What is asked (`build` makes the request, once for each try), and how its answer is read.

    `needs` are the app roles for it; `changes` and `once` say how it may be repeated (`repeats.wait_before_repeat`).
    """

    operation: str
    build: Build
    parse: Callable[[Answer], T]
    needs: tuple[Need, ...] = ()
    changes: bool = False
    once: bool = False


@dataclass(frozen=True)
class Reading[T]:
    """A collection that is read to its end, every item of it by `parse`; `advanced`: as an advanced query."""

    operation: str
    build: Build
    parse: Callable[[Entity], T]
    needs: tuple[Need, ...] = ()
    advanced: bool = False


class GraphClient:
    """Calls Microsoft Graph as the managed identity. Everything is connected with the first call."""

    def __init__(
        self,
        graph_url: str,
        clock: Clock,
        connect: Connect,
        on_call: Callable[[CallReport], None],
        call_seconds: float,
    ) -> None:
        self._graph_url = graph_url
        self._clock = clock
        self._connect = connect
        self._on_call = on_call
        self._call_seconds = call_seconds
        self.jitter = random.SystemRandom().random
        self._connection: Connection | None = None
        self._claim: Claim | None = None

    def under(self, claim: Claim) -> "GraphClient":
        """Return a client on the same connection that confirms `claim` before each exchange that changes something."""
        self._connected()
        client = copy(self)
        client._claim = claim  # noqa: SLF001 - a copy of this very class
        return client

    async def ask[T](self, call: Call[T], patience: Patience) -> T:
        """Return what the answer says; raise GraphError when it says no, and trying again is unsafe or did not help.

        The error's `after_uncertain` tells whether a try before the last one may have taken effect.
        """
        failures: list[GraphError] = []
        while True:
            try:
                return await self._try(call, len(failures) + 1)
            except GraphError as error:
                error.after_uncertain = any(isinstance(failure, UNCERTAIN) for failure in failures)
                failures.append(error)
                wait = wait_before_repeat(failures, changes=call.changes, once=call.once, jitter=self.jitter())
                if wait is None or not patience.allows(wait):
                    raise
            await self._clock.sleep(wait)

    async def read_all[T](self, reading: Reading[T], patience: Patience, first: Page[T] | None = None) -> list[T]:
        """Return every item of a collection, from its `first` page on; raise UnreadableAnswerError where it has no end.

        A first page that is not handed in is read.
        """
        call = self.first_page_of(reading)
        page: Page[T] = await self.ask(call, patience) if first is None else first
        items: list[T] = list(page.items)
        followed: set[str] = set()
        while page.next_link is not None:
            if page.next_link in followed:
                raise unreadable("repeatedLink")
            followed.add(page.next_link)
            if len(followed) >= MOST_PAGES:
                raise unreadable("tooManyPages")
            page = await self.ask(replace(call, build=_next_page(page.next_link, advanced=reading.advanced)), patience)
            items += page.items
        return items

    def first_page_of[T](self, reading: Reading[T]) -> Call[Page[T]]:
        """Return the call that reads the first page of a collection."""
        parse: Callable[[Answer], Page[T]] = partial(read_page, graph_url=self._graph_url, parse=reading.parse)
        return Call(reading.operation, reading.build, parse, reading.needs)

    async def granted_roles(self) -> frozenset[str]:
        """Return the app roles in our token's `roles` claim; raise TokenError when there is no token to read."""
        return await self._connected().granted_roles()

    async def _name_missing(self, needs: tuple[Need, ...]) -> str | None:
        """Say which app roles our token lacks; of a token that cannot be read, which it would have to hold."""
        try:
            granted = await self.granted_roles()
        except TokenError:
            granted = frozenset()
        return ", ".join(missing_roles(needs, granted)) or None

    async def close(self) -> None:
        """Close what is open; nothing is called afterwards."""
        if self._connection is not None:
            await self._connection.close()

    async def judge_part[T](self, call: Call[T], answer: Answer, attempt: int) -> T:
        """Return what one part of a batch says, as `ask` does of the answer to one try; the part is reported too."""

        async def come() -> Answer:
            return answer

        return await self._judged(call, attempt, str(answer.client_request_id), come)

    async def _try[T](self, call: Call[T], attempt: int) -> T:
        client_request_id = str(uuid.uuid4())

        async def come() -> Answer:
            if call.changes:
                await self._see_that_it_is_ours()
            return await self._exchange(call.build, client_request_id)

        return await self._judged(call, attempt, client_request_id, come)

    async def _judged[T](
        self, call: Call[T], attempt: int, client_request_id: str, come: Callable[[], Awaitable[Answer]]
    ) -> T:
        started_at = self._clock.now()
        said = GraphAnswer(code="cancelled", client_request_id=client_request_id)
        try:
            answer = await come()
            said = describe(answer)
            return self._judge(call, answer)
        except NotPermittedError as error:
            said = replace(error.answer, code=error.code, client_request_id=said.client_request_id)
            raise NotPermittedError(error.answer, await self._name_missing(call.needs)) from None
        except GraphError as error:
            said = replace(error.answer, code=error.code, client_request_id=said.client_request_id)
            raise
        finally:
            self._report(call.operation, said, started_at, attempt)

    async def _see_that_it_is_ours(self) -> None:
        """Confirm the claim as the last thing before an exchange: the token, which may take its time, is there then."""
        if self._claim is not None:
            async with asyncio.timeout(self._call_seconds):
                await self._connected().prepare()
            await self._claim.still_held()

    def _report(self, operation: str, said: GraphAnswer, started_at: datetime, attempt: int) -> None:
        seconds = (self._clock.now() - started_at).total_seconds()
        ids = (said.request_id, str(said.client_request_id))
        self._on_call(CallReport(operation, said.status, said.code, *ids, seconds, attempt))

    def _judge[T](self, call: Call[T], answer: Answer) -> T:
        failure = failure_of(answer, self._clock.now())
        if failure is not None:
            raise failure
        try:
            return call.parse(answer)
        except UnreadableAnswerError as error:
            raise UnreadableAnswerError(replace(describe(answer), code=error.answer.code)) from None

    async def _exchange(self, build: Build, client_request_id: str) -> Answer:
        connection = self._connected()
        about = GraphAnswer(client_request_id=client_request_id)
        try:
            async with asyncio.timeout(self._call_seconds):
                answer = await connection.send(build, client_request_id)
        except (TimeoutError, NoAnswerError):
            raise NoAnswerError(about) from None
        except UnauthenticatedError:
            connection.discard_token()
            raise UnauthenticatedError(about) from None
        if answer.status == 401:  # noqa: PLR2004 - HTTP's own number
            connection.discard_token()
        return answer

    def _connected(self) -> "Connection":
        if self._connection is None:
            self._connection = self._connect()
        return self._connection


def _next_page(link: str, *, advanced: bool) -> Build:
    return lambda requests: requests.next_page(link, advanced=advanced)
