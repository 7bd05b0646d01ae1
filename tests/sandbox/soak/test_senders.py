"""A call is repeated until a host has answered it, and only then is it accepted."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest_asyncio

from sandbox.bus import Bus
from sandbox.host import HostProcess
from sandbox.soak.senders import Body, Books, Sender
from sandbox.stage import REQUESTS
from tests.sandbox.host.apps import write_app

# The body says how it is answered: first, second …
APP = """
@app.route("resets", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
async def post_reset(req: func.HttpRequest) -> func.HttpResponse:
    answers = req.get_body().decode().split()
    with open(os.environ["SEEN"], "a+", encoding="utf-8") as file:
        file.write("x")
        answer = answers[min(file.tell(), len(answers)) - 1]
    if answer == "die":
        os.kill(os.getpid(), 9)
    return func.HttpResponse("", status_code=int(answer))
"""


class Scene:
    """Two hosts, and one sender."""

    def __init__(self, bus: Bus, hosts: Sequence[HostProcess]) -> None:
        self.hosts = hosts
        self.books = Books()
        self._sender = Sender(self.books, bus, hosts, (), random.Random(1), call_pause_seconds=0.01)  # noqa: S311

    async def call(self, answers: str) -> None:
        """Call once, to be answered so."""
        await self._sender._post(Body(answers, "INC-1", is_family=False))


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Give a scene."""
    app = write_app(tmp_path, APP)
    with Bus(queues=(REQUESTS,)) as bus:
        hosts = [HostProcess(app, {"SEEN": str(tmp_path / "seen")}) for _ in range(2)]
        try:
            await asyncio.gather(*(host.start() for host in hosts))
            yield Scene(bus, hosts)
        finally:
            await asyncio.gather(*(host.kill() for host in hosts))


async def test_call_when_its_host_dies_then_the_other_is_called_and_accepts(scene: Scene) -> None:
    """Neither that try nor a failure of the server is an answer."""
    await scene.call("die 503 202")
    assert sum(host.exit_code is None for host in scene.hosts) == 1
    assert {fate: number for fate, number in scene.books.calls.items() if number} == {"answered 202": 1}
    assert scene.books.unanswered_tries == 1
    assert scene.books.accepted == {"functionKey:INC-1"}


async def test_call_when_refused_then_not_accepted_and_not_repeated(scene: Scene) -> None:
    """A refusal is an answer."""
    await scene.call("403 200")
    assert scene.books.calls["answered otherwise"] == 1
    assert scene.books.accepted == set()


async def test_call_when_no_host_is_up_then_no_answer(scene: Scene) -> None:
    """It is given up after some tries."""
    await asyncio.gather(*(host.kill() for host in scene.hosts))
    await scene.call("200")
    assert scene.books.calls["no answer"] == 1
    assert scene.books.unanswered_tries == 10
    assert scene.books.accepted == set()
