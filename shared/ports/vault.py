"""What the product asks of a vault."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol


class Vault(Protocol):
    """Where a Temporary Access Pass goes: the one place that shows it."""

    async def put(self, name: str, value: str, expires_at: datetime, tags: Mapping[str, str]) -> None:
        """Set a secret that expires. A second call sets another version of it. Needs the right to set secrets.

        Raises VaultError when the vault did not take it; no exception holds the value.
        """
        ...

    async def close(self) -> None:
        """Close the connection; nothing is called afterwards."""
        ...
