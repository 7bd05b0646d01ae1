"""How an example of the state machine is played: what is asked, what goes wrong, and how it is brought to its end."""

import asyncio
import json
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from hypothesis.stateful import RuleBasedStateMachine

from sandbox.bus import Message
from sandbox.tenant import Fault, User
from sandbox.tenant import method as a_method
from sandbox.tenant.directory import read_user
from shared.documents import time_text
from shared.errors import BusUnavailableError, LedgerUnavailableError
from shared.intake import Envelope, queue_parent_id, read_body
from shared.model import Control, RequestKey, ResetRequest
from shared.ports import Call, Finished
from shared.vocabulary import FUNCTION_KEY, QUEUE, Caller, RequestId
from tests.service.machine import DEAD_LETTERS, LOCK, Site
from tests.service.machine_books import COOLDOWN, LONG_AGO, SCOPES, Body, Books, Offer, Registered
from tests.service.machine_process import Process
from tests.service.stage import BREAK_GLASS, policy_with
from tests.service.stage import POLICY as DOCUMENT
from tests.service.test_reception import AUDIT, OUTCOMES, REQUESTS

POLICY = policy_with(
    profiles={name: profile for name, profile in DOCUMENT["profiles"].items() if name in SCOPES},
    callers={"queue": list(SCOPES), "functionKey": list(SCOPES)},
    limits={"resetsPerHour": 6, "cooldownMinutes": COOLDOWN // timedelta(minutes=1)},
)
MOBILE = "3179e48a-750b-4051-897c-87b9720928f7"

FAILURES: dict[str, dict[str, Any]] = {
    "throttled": {"status": 429, "retry_after": 7},
    "throttled for long": {"status": 429, "retry_after": 300},
    "fails": {"status": 500},
    "unavailable": {"status": 503},
    "unavailable all along": {"status": 503, "times": 9},
    "unavailable after the effect": {"status": 503, "when": "after"},
    "times out": {"status": 504, "delay_seconds": 35},
    "conflict": {"status": 409},
    "may not delete": {"status": 403, "method": "DELETE", "times": 3},
    "cut": {"cut": "before"},
    "cut after the effect": {"cut": "after"},
    "cut all along": {"cut": "after", "times": 9},
    "no token": {"status": 503, "path": "/msi/token", "times": 9},
    "token cut": {"cut": "before", "path": "/msi/token", "times": 9},
}
MISCHIEFS = ("kill", "lose_the_lock", "lock_the_ledger", "stop_the_bus", "drop_connections", "pause", "register")
DEAF = {"bus refuses requests", "bus refuses outcomes", "bus loses requests", "bus loses outcomes"}


@dataclass(frozen=True)
class Trouble:
    """What goes wrong, at which call to Microsoft Graph from now, and whether before or after its effect."""

    what: str
    skip: int
    when: Literal["before", "after"]


class Play(RuleBasedStateMachine):
    """One example without its rules; a subclass says where it is played."""

    site: Site
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()
        self.sent: list[Body] = []
        self.turn = 0
        self._run(self.site.begin())
        self.users = [self._settle_in(number) for number in range(3)]
        self.users.append(self.site.tenant.directory.users[BREAK_GLASS])
        self.books.methods += [
            Registered(user.id, one.type, one.id, LONG_AGO) for user in self.users for one in user.registered
        ]

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self.runner.run(work)

    def _settle_in(self, number: int) -> User:
        """Give the tenant a user with three methods."""
        user_id = f"70000000-0000-4000-8000-{next(self.site.numbers):012}"
        user = read_user({"id": user_id, "userPrincipalName": f"{user_id}@contoso.example"})
        user.methods += [
            a_method("phone", MOBILE, phoneNumber="+1 5550001234", phoneType="mobile"),
            a_method("microsoftAuthenticator", f"{user_id}-app", displayName="Phone"),
            a_method("fido2", f"{user_id}-key", displayName="Key"),
        ]
        user.default_method = "push" if number else "none"
        self.site.tenant.directory.users[user_id] = user
        return user

    # --- Asking ---

    def _offers(self, body: Body, caller: Caller) -> list[Offer]:
        """Say what a body asks for that comes now; whose request it is, intake says."""
        now = self.site.clock.now()
        named = RequestId(body.message_id) if caller == FUNCTION_KEY else None
        parent = named or queue_parent_id(body.message_id, 0)
        known = frozenset(POLICY.profiles)
        envelope = Envelope(now, POLICY.default_profiles.request, known, parent, not named, named)
        offers = []
        for asked in read_body(body.raw, envelope):
            assert isinstance(asked, ResetRequest)
            parts = (asked.user.value, str(asked.profile), asked.dry_run, body.observed_at or now - COOLDOWN)
            offers.append(Offer(RequestKey(caller, asked.request_id), *parts, self.turn))
        return offers

    async def _put(self, body: Body) -> None:
        if "bus" not in self.site.outages:
            offers = self._offers(body, QUEUE)
            self.books.offers += offers * await self.site.put(body.raw, body.message_id)
            self.books.accepted |= {offer.key for offer in offers}

    async def _post(self, body: Body, process: Process) -> None:
        """Call; whoever gets 503 or no answer at all may have been heard."""
        offers = self._offers(body, FUNCTION_KEY)
        self.books.offers += offers
        try:
            call = Call(body.raw, FUNCTION_KEY, RequestId(body.message_id))
            replies = (await process.reception.take_call(call)).replies
        except LedgerUnavailableError:
            return
        self.books.accepted |= {offer.key for offer in offers}
        for reply in replies:
            if isinstance(reply, Finished):
                self.site.ended.append((RequestKey(FUNCTION_KEY, reply.outcome.request_id), reply.outcome))

    def _body(self, users: Iterable[int], observed: int | None, **more: Any) -> Body:  # noqa: ANN401 - JSON
        named = [self.users[number].id for number in users]
        observed_at = None if observed is None else self.site.clock.now() - timedelta(minutes=observed)
        asked: dict[str, Any] = {"user": named[0]} if len(named) == 1 else {"users": named}
        asked |= more
        if observed_at:
            asked["observedAt"] = observed_at.isoformat()
        body = Body(json.dumps(asked).encode(), f"MSG-{next(self.site.numbers)}", observed_at)
        self.sent.append(body)
        return body

    async def _put_all(self, bodies: list[Body]) -> None:
        for body in bodies:
            await self._put(body)

    async def _calls(self, body: Body, *, both: bool) -> None:
        others = [self.site.work(1)] if both else []
        await asyncio.gather(self.site.run(1, lambda process: self._post(body, process)), *others)

    async def _register(self, user: int, type_: str) -> None:
        self.site.clock.advance(0.001)  # so that it is later than whatever is under way
        held, now = self.users[user], self.site.clock.now()
        new = a_method(type_, f"new-{next(self.site.numbers)}", displayName="New")
        waiting = {message.message_id for message in self.site.bus.peek(REQUESTS)}
        again = [body for body in self.sent if body.message_id in waiting]
        under_way = {offer.key for body in again for offer in self._offers(body, QUEUE)}
        for key in {offer.key for offer in self.books.offers} - under_way:
            row = await self.site.observer.read(key)
            if row is None or row.outcome is None:
                under_way.add(key)
        held.methods.append(new)
        parts = (held.id, new.type, new.id, now, self.turn, frozenset(under_way))
        self.books.methods.append(Registered(*parts))

    async def _pause(self, minutes: int | None = 3) -> None:
        if "ledger" not in self.site.outages:
            until = None if minutes is None else self.site.clock.now() + timedelta(minutes=minutes)
            await self.site.observer.change_control(lambda _: Control(paused_until=until))

    def _trouble(self, trouble: Trouble) -> None:
        """Let something go wrong at the n-th call to Microsoft Graph from now, or with the next messages."""
        site, what, skip = self.site, trouble.what, trouble.skip
        if what in FAILURES:
            site.tenant.add_fault(Fault(**({"skip": 0 if "token" in what else skip} | FAILURES[what])))
        elif what in DEAF:
            entity = REQUESTS if what.endswith("requests") else OUTCOMES
            (site.bus.lose_answers if "loses" in what else site.bus.refuse_sends)(entity, times=1 + skip % 2)
        elif what == "register":  # after the effect: what a listing shows that is under way was there before
            site.strike_at(skip, "after", lambda: self._register(skip % 3, "softwareOath"))
        else:
            site.strike_at(skip, trouble.when, self._pause if what == "pause" else getattr(site, what))

    def _act(self, work: Coroutine[Any, Any, None] | None, deliveries: int, *, both: bool = False) -> None:
        async def act() -> None:
            if work is not None:
                await work
            await self.site.work(deliveries, both=both)

        self._run(act())
        self._look()

    def _look(self) -> None:
        """Write down what is gone by now."""
        held = {(user.id, one.type, one.id) for user in self.users for one in user.registered}
        for one in self.books.methods:
            if one.gone is None and (one.user_id, one.type, one.id) not in held:
                one.gone = self.turn
        self.turn += 1

    # --- The end ---

    def teardown(self) -> None:
        """Heal everything, work until it is quiet, and check."""
        self._run(self._settle())
        self._look()
        self._read_the_bus()
        self.books.check()
        for user in self.users:
            asked = [offer for offer in self.books.offers if offer.user_id == user.id and not offer.dry_run]
            assert user.properties["accountEnabled"] or any(offer.profile == "compromised" for offer in asked)

    async def _settle(self) -> None:
        """Take what is due, sweep, go to the next time at which something is due; until nothing is."""
        self.site.heal()
        await self._pause(None)
        for _ in range(150):
            for _ in range(50):
                await self.site.work(1)
            waiting, clock = self.site.bus.peek(REQUESTS), self.site.clock
            rows = await self.site.observer.unfinished(clock.now() + timedelta(days=9), 9)
            if not waiting and not rows:
                return
            next_at = min((_due(one) or clock.now() for one in waiting), default=clock.now() + LOCK)
            self.site.advance(max((next_at - clock.now()).total_seconds(), 1))
            await self.site.run(0, sweep)
        raise AssertionError(f"It does not become quiet: {rows}, {[one.body for one in waiting]}")

    def _read_the_bus(self) -> None:
        """See what the topic was told, and what is in the dead-letter queue."""
        self.books.told = [json.loads(message.body) for message in self.site.new(AUDIT)]
        told = {(one["caller"], one["requestId"], one["status"], one["finishedAt"]) for one in self.books.told}
        for key, outcome in self.site.ended:
            end = (key.caller, key.request_id, outcome.status.value, time_text(outcome.finished_at))
            assert end in told, f"{end} was never told"
        for message in self.site.new(DEAD_LETTERS):
            body = Body(bytes(message.body), message.message_id or "", None)
            if b"resume" not in body.raw:
                self.books.dead |= {offer.key for offer in self._offers(body, QUEUE)}


async def sweep(process: Process) -> None:
    """Let the timer strike; it may find no ledger or no bus."""
    try:
        await process.sweep.resume_the_lost()
    except (LedgerUnavailableError, BusUnavailableError):
        return


def _due(message: Message) -> datetime | None:
    """Say when a host can have a message."""
    return message.locked_until or message.scheduled_at
