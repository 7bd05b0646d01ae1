"""Resumes that nobody here sent: dropped before the ledger is asked, so that they hold up nothing."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.bootstrap import connect_tables
from shared.ledger.table import TableLedger
from shared.ports import Delivery
from shared.settings import read_ledger_settings
from tests.azurite import Azurite
from tests.service.stage import DEVON, OAKLEY
from tests.service.test_reception import Door, open_door

NO_KEYS: tuple[Any, ...] = (
    "queue:~children:INC-77",
    "queue:~open",
    "queue:a/b",
    "queue:a\\b",
    "queue:a#b",
    "queue:a?b",
    "queue:\x00",
    "queue:\x7f",
    "queue:.",
    "queue:" + "x" * 1_100,
    f"somebody:{DEVON}",
    f"{DEVON.upper().replace('1', 'A')}:INC-1",
    "queue:",
    ":INC-1",
    "",
    None,
    5,
    False,
    ["queue:INC-1"],
    {"queue": "INC-1"},
)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a door of its own to each test."""
    async with open_door(tmp_path) as door:
        yield door


@asynccontextmanager
async def silent_store() -> AsyncIterator[tuple[TableLedger, list[str]]]:
    """Stand up a Table Storage that takes every call and answers none; give the ledger, and a line for each call."""
    asked: list[str] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode())
        await reader.read()
        writer.close()

    azurite = Azurite()
    server = await asyncio.start_server(take, "127.0.0.1", 0)
    address = azurite.connection_string_by(server.sockets[0].getsockname()[1])
    settings = read_ledger_settings({"LEDGER_URL": address})
    ledger = TableLedger(lambda: connect_tables(settings))
    try:
        yield ledger, asked
    finally:
        await ledger.close()
        server.close()


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, in order."""
    return [json.loads(record.getMessage())["event"] for record in caplog.records if record.name == "mfa_reset"]


async def test_hundred_resumes_of_no_key_when_delivered_then_the_ledger_is_not_asked(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that does not answer holds each of its calls for seconds, and each delivery for half a minute."""
    caplog.set_level(logging.INFO, "mfa_reset")
    async with silent_store() as (ledger, asked):
        reception = replace(door.reception(), ledger=ledger)
        began, at = time.monotonic(), door.stage.clock.now()
        for number in range(100):
            body = json.dumps({"resume": NO_KEYS[number % len(NO_KEYS)]}).encode()
            await reception.receive(Delivery(body, f"M{number}", number, at))
        assert time.monotonic() - began < 1
        assert asked == []
    assert events(caplog) == ["unknownResume"] * 100
    assert door.stage.clock.now() == at
    assert (door.told(), door.rejected(), door.resumes()) == ([], (), [])


@pytest.mark.parametrize("text", ["queue:INC-2", "functionKey:INC-1", f"queue:{'x' * 183}~AAAAAAAAAAAAAAAA"])
async def test_resume_of_a_key_that_the_ledger_does_not_hold_is_dropped(
    door: Door, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """Whoever may write to the queue may name any request, and makes none by it."""
    await door.receive({"requestId": "INC-1", "user": DEVON})
    caplog.clear()
    told = door.told()
    await door.receive({"resume": text})
    assert events(caplog) == ["unknownResume"]
    assert door.told() == told


async def test_resume_of_a_derived_key_goes_on(door: Door) -> None:
    """What one body was split into is resumed like any other."""
    await door.receive({"requestId": "INC-1", "users": [DEVON, OAKLEY]})
    keys = [key for key, _ in door.resumes()]
    assert len(keys) == 2
    for key in keys:
        await door.go_on(key)
    assert [told["status"] for told in door.told()] == ["completed", "completed"]
