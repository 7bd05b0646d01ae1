"""Another process on the same store: `python -m tests.contract.ledger_worker <address> accept|claim …`.

`accept <caller> <n>` accepts n requests under the ids 0 … n-1 and prints the fingerprint kept under each; the one it
offers is its process id. `claim <user id>` prints `held`, and holds the claim until its standard input ends.
"""

import asyncio
import os
import sys

from shared.ports import Ledger
from shared.vocabulary import UserId
from tests.contract.ledger_stores import open_ledger
from tests.contract.ledger_values import accepted, key_of


async def _accept(ledger: Ledger, caller: str, number: int) -> None:
    for index in range(number):
        kept = await ledger.accept(accepted(key_of(str(index), caller), fingerprint=str(os.getpid())))
        sys.stdout.write(f"{kept.fingerprint}\n")


async def _claim(ledger: Ledger, user_id: str) -> None:
    async with ledger.claim(UserId(user_id)):
        sys.stdout.write("held\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


async def _main(address: str, *order: str) -> None:
    ledger = open_ledger(address)
    match order:
        case ("accept", caller, number):
            await _accept(ledger, caller, int(number))
        case ("claim", user_id):
            await _claim(ledger, user_id)
        case _:
            raise SystemExit(__doc__)
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
