"""Log records to standard output: one line each, `LEVEL logger message`.

The category a record is filtered by (host.json `logging.logLevel`, longest prefix wins) is Azure's: `Function.<name>`
for the host's words on an invocation, `Function.<name>.User` for what the app logs within one, `Worker` for what it
logs outside, the logger's own name for the host. As in Azure, `extra=` is lost and DEBUG needs
`PYTHON_ENABLE_DEBUG_LOGGING`. Application Insights knows of each record in which invocation it was written; a line
says so on demand, `LEVEL logger Id=… message`, as the host's own words on an invocation do.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping

from sandbox.host.worker import current_invocation_id

# The host speaks to Service Bus through the same library as the app may: what the library logs on the host's thread
# has no like in Azure. The host reports itself what it makes of it.
HOST_LIBRARIES = ("azure.", "aiohttp.")


class LineHandler(logging.Handler):
    """Writes records as lines; never raises into the code that logs."""

    def __init__(
        self, levels: Mapping[str, int], function_of: Callable[[str], str | None], *, shows_invocations: bool = False
    ) -> None:
        super().__init__()
        self._levels = levels
        self._function_of = function_of
        self._shows_invocations = shows_invocations

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless its category is set to a higher level."""
        category = self._find_category(record)
        if category is None or record.levelno < self._find_level(category):
            return
        try:
            text = self.format(record).replace("\r", "").replace("\n", "\\n")
            sys.stdout.write(f"{record.levelname} {record.name} {self._tell_invocation()}{text}\n")
            sys.stdout.flush()
        except Exception:  # noqa: BLE001 - logging's own fate for a record that cannot be written
            self.handleError(record)

    def _find_category(self, record: logging.LogRecord) -> str | None:
        if threading.current_thread() is threading.main_thread():
            return None if record.name.startswith(HOST_LIBRARIES) else record.name
        function = self._function_of(current_invocation_id() or "")
        return f"Function.{function}.User" if function else "Worker"

    def _tell_invocation(self) -> str:
        if not self._shows_invocations or threading.current_thread() is threading.main_thread():
            return ""
        invocation_id = current_invocation_id()
        return f"Id={invocation_id} " if invocation_id else ""

    def _find_level(self, category: str) -> int:
        prefixes = [name for name in self._levels if f"{category}.".startswith(f"{name}.")]
        return self._levels[max(prefixes, key=len)] if prefixes else self._levels.get("default", logging.INFO)


def set_up_logging(handler: LineHandler, *, debug: bool) -> None:
    """Make the handler the only one of the root logger."""
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
