"""The product's vault in a process of its own, whose environment leads to the sandbox: run by `test_vault`.

Prints whether an SDK was imported before the first call.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime

from shared.vault import KeyVault


async def put() -> None:
    """Set one secret with the managed identity of the environment."""
    vault = KeyVault(os.environ["KEY_VAULT_URL"], os.environ.get("AZURE_CLIENT_ID"))
    print("azure" in sys.modules)  # noqa: T201 - the answer to the parent process
    try:
        await vault.put("pass-1", "Secret-Code-7", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), {})
    finally:
        await vault.close()


if __name__ == "__main__":
    asyncio.run(put())
