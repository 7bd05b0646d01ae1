"""A request that waits: an operator pauses, it is posted, a look says what it waits for, the pause is lifted."""

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from sandbox.checking import field_of
from sandbox.host import HostError
from sandbox.scenes import Request
from sandbox.stage import ROOT, Stage

PAUSE = ("pause", "--for", "10m", "--by", "make run", "--why", "to see what waits")
RESUME = ("resume",)
WAKER = "wake_held_back"
OPERATOR_SECONDS = 30.0
HTTP_SECONDS = 75.0
LOOK_SECONDS = 0.2
LOOKS = 50


@dataclass(frozen=True)
class Held:
    """What became of a request up to the end of the pause: what a look showed, or why it will have no outcome."""

    request_id: str
    waiting: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    failure: str = ""


class _FailedError(Exception):
    """The request cannot go on; the text says why."""


async def hold_back(stage: Stage, request: Request, say: Callable[[str], None]) -> Held:
    """Pause, post a request, look at it, lift the pause; its outcome comes later."""
    try:
        await _operate(stage, PAUSE, say)
        try:
            address, waiting = await _post_and_look(stage, request, say)
            await asyncio.sleep(LOOK_SECONDS)  # what the app logs of it is told first
        finally:
            await _operate(stage, RESUME, say)
        say("A timer lets what waits go on, twice a minute. Here it is run by hand.")
        await stage.host.run_timer(WAKER)
    except (_FailedError, HostError, httpx.HTTPError, TimeoutError, ValueError) as error:
        return Held(request.request_id, failure=str(error) or f"a {type(error).__name__} came in its way")
    wanted_address = f"{stage.host.url}/api/resets/{request.request_id}"
    return Held(request.request_id, waiting, tuple(_check(request, waiting, address, wanted_address)))


async def _operate(stage: Stage, words: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Run an operator's command as a process of its own, as an operator does."""
    say(f"$ python -m shared.operate {shlex.join(words)}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.operate", *words),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LEDGER_URL": stage.environment["LEDGER_URL"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(OPERATOR_SECONDS):
        said, _ = await process.communicate()
    answer = said.decode().partition("\n")[0]
    if process.returncode:
        raise _FailedError(f"shared.operate {words[0]} says: {answer}")
    say(answer)


async def _post_and_look(stage: Stage, request: Request, say: Callable[[str], None]) -> tuple[str, Mapping[str, Any]]:
    """Post the request and look at the address that the answer gives, until that shows what it waits for."""
    headers = {"x-functions-key": stage.host.function_key}
    async with httpx.AsyncClient(timeout=HTTP_SECONDS, headers=headers) as client:
        posted = await client.post(f"{stage.host.url}/api/resets", content=request.body)
        address = posted.headers.get("Location", "")
        say(f"POST {posted.request.url}\n  {posted.status_code} Location: {address}")
        if posted.status_code != httpx.codes.ACCEPTED:
            raise _FailedError(f"the app answered {posted.status_code} during a pause")
        for _ in range(LOOKS):
            look = await client.get(address)
            if look.status_code != httpx.codes.ACCEPTED or look.json().get("waitingFor"):
                break
            await asyncio.sleep(LOOK_SECONDS)
    waiting: Mapping[str, Any] = look.json()
    shown = ", ".join(f"{name}: {waiting.get(name)}" for name in ("waitingFor", "since", "nextTryAt"))
    say(f"GET {address}\n  {look.status_code} {shown}")
    return address, waiting


def _check(request: Request, waiting: Mapping[str, Any], address: str, wanted_address: str) -> Iterator[str]:
    """Say what is not as it should be of what the look showed."""
    pairs = [(path, field_of(waiting, path), wanted) for path, wanted in request.expected.meanwhile.items()]
    for what, found, wanted in (("Location", address, wanted_address), *pairs):
        if found != wanted:
            yield f"{request.request_id}: while it waited, {what} should be {wanted}, but was {found}"
    since, next_try_at = (_time(waiting.get(name)) for name in ("since", "nextTryAt"))
    if not (since and next_try_at and since < next_try_at):
        yield f"{request.request_id}: while it waited, nextTryAt should be a time later than since"


def _time(text: object) -> datetime | None:
    with suppress(ValueError):
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    return None
