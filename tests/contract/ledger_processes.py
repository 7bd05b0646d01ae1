"""Other processes on the same store."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.contract.ledger_stores import LedgerStore

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def other_process(store: LedgerStore, *order: str) -> AsyncIterator[Process]:
    """Run `ledger_worker` on the store; it is killed at the end, if it still runs."""
    command = ("-m", "tests.contract.ledger_worker", store.address, *order)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def read_line(process: Process) -> str:
    """Read what the process says next."""
    assert process.stdout
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
