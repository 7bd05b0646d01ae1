"""What the app does, told as it comes: its own log lines as sentences, a line each."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from sandbox.host import HostProcess

LOOK_SECONDS = 0.1
NOBODY = "-"

type Event = dict[str, Any]

LEDGER_OUTAGE = "LedgerUnavailableError"  # as the app logs it
_OUTAGES = {
    LEDGER_OUTAGE: "its ledger cannot be used",
    "BusUnavailableError": "the Service Bus cannot be reached",
}


async def tell_progress(host: HostProcess, say: Callable[[str], None]) -> None:
    """Say a sentence for each thing that the app logs from now on; cancelled at the end."""
    names: dict[str, str] = {}
    position = len(host.output)
    while True:
        for line in host.output[position:]:
            position += 1
            event = read_event(line)
            if event and "requestId" in event:
                names[event["correlationId"]] = event["requestId"]
            if event and (sentence := tell(event)):
                say(f"  {names.get(event['correlationId'], NOBODY):<16}  {sentence}")
        await asyncio.sleep(LOOK_SECONDS)


def read_event(line: str) -> Event | None:
    """Return what the app logged in a line of the host's output; None for any other line."""
    start = line.find('{"event"')
    try:
        event: Event = json.loads(line[start:]) if start >= 0 else {}
    except json.JSONDecodeError:
        return None
    return event if event.get("correlationId") else None


def tell(event: Event) -> str | None:
    """Make a sentence of an event; None for one that a watcher need not know."""
    words = _SENTENCES.get(event["event"])
    if event.get("alert"):
        details = ", ".join(str(event[name]) for name in ("status", "code", "missing", "result") if name in event)
        return f"ALERT {event['event']}" + (f": {details}" if details else "")
    return words(event) if words else None


def _so_far(result: str) -> str:
    """Add that a later read may show what was only accepted."""
    return " so far" if result == "unconfirmed" else ""


def _why(event: Event) -> str:
    return _OUTAGES.get(event["code"], "something went wrong that nobody expected")


_SENTENCES: dict[str, Callable[[Event], str]] = {
    "started": lambda _: "started",
    "removed": lambda event: f"{event['methodType']} {event['methodId'][:8]}… {event['result']}",
    "notRemoved": lambda event: f"{event['methodType']} {event['methodId'][:8]}… not yet: {event['code']}",
    "step": lambda event: f"{event['step']} {event['result']}" + _so_far(event["result"]),
    "looked": lambda event: f"looked again: {event['result']}",
    "postponed": lambda event: f"later: {event['code']}",
    "finished": lambda event: event["status"] + (f" ({event['code']})" if "code" in event else ""),
    "replayed": lambda event: f"{event['status']}, as before: nothing is done again",
    "givenBack": lambda event: f"given back to the queue: {_why(event)}",
    "nothingAccepted": lambda event: f"not accepted: {_why(event)}",
}
