"""A directory in a process of its own, whose environment leads to a tenant: prints what it found as JSON.

With `lazy` it says whether importing the package brought the SDKs along; with a client id, that identity is used.
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime

from shared.graph import CallReport, GraphDirectory
from shared.model import ReferenceKind, UserReference
from shared.vocabulary import UserId

SDKS = ("msgraph", "msgraph_core", "kiota_abstractions", "kiota_http", "azure.identity", "azure.core", "httpx")


class SystemClock:
    """The time as it is."""

    def now(self) -> datetime:
        """Tell the time."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait, but not long."""
        await asyncio.sleep(min(seconds, 0.01))


async def find(user_id: str, client_id: str | None) -> dict[str, object]:
    """Find a user as the managed identity."""
    reports: list[CallReport] = []
    directory = GraphDirectory(os.environ["GRAPH_URL"], client_id, SystemClock(), on_call=reports.append)
    try:
        user = await directory.find_user(UserReference(ReferenceKind.OBJECT_ID, UserId(user_id)))
        name = user and user.user_principal_name
        listing = await directory.list_methods(UserId(user_id))
        return {"name": name, "methods": len(listing.methods)}
    except Exception as error:  # noqa: BLE001 - whatever it is, the test wants its name
        return {"error": type(error).__name__, "code": getattr(error, "code", None), "tries": len(reports)}
    finally:
        await directory.close()


if __name__ == "__main__":
    if sys.argv[1] == "lazy":
        print(json.dumps([name for name in SDKS if name in sys.modules]))  # noqa: T201 - the answer to the test
    else:
        print(json.dumps(asyncio.run(find(sys.argv[1], sys.argv[2] if sys.argv[2:] else None))))  # noqa: T201 - as above
