"""Lines of the tenant's log, as a soak leaves them."""

from datetime import UTC, datetime

from sandbox.soak.logs import Told
from sandbox.tenant import Call

USER, ANOTHER = "60000000-0000-4000-8000-000000000001", "60000000-0000-4000-8000-000000000002"
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class Log:
    """The tenant's log and the hosts' word on it, written call by call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._deliveries: dict[str, str] = {}

    def begin(self, delivery: str, host: str = "A", user: str = USER) -> None:
        """Read what is read under the claim only."""
        self._note(delivery, host, "POST", f"/v1.0/users/{user}/checkMemberGroups", effect=False)

    def change(self, delivery: str | None, host: str = "A", user: str = USER, *, effect: bool = True) -> None:
        """Delete a method; None: the host was killed before it could tell whose call this was."""
        self._note(delivery, host, "DELETE", f"/v1.0/users/{user}/authentication/phoneMethods/x", effect=effect)

    def told(self, **unfinished: set[str]) -> Told:
        """Give what the hosts' logs tell, with the deliveries of each that never ended."""
        return Told(self._deliveries, unfinished)

    def _note(self, delivery: str | None, host: str, method: str, path: str, *, effect: bool) -> None:
        call_id = f"call-{len(self.calls)}"
        if delivery:
            self._deliveries[call_id] = delivery
        self.calls.append(Call(START, method, path, 204 if effect else 200, call_id, effect, host))
