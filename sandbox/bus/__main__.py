"""Serve a namespace until Ctrl-C or SIGTERM: ``python -m sandbox.bus --queue NAME --topic NAME/SUB,SUB``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from threading import Event

from sandbox.bus.bus import Bus
from sandbox.bus.entities import Entities
from sandbox.bus.queue import Options


def main(words: list[str]) -> None:
    """Print the connection string when ready, then serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.bus", description="A Service Bus namespace on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--queue", nargs="+", action="extend", default=[], metavar="NAME")
    parser.add_argument("--topic", nargs="+", action="extend", default=[], metavar="NAME/SUB[,SUB…]")
    parser.add_argument("--lock-seconds", type=float, default=Options().lock_seconds)
    parser.add_argument("--max-delivery-count", type=int, default=Options().max_delivery_count)
    asked = parser.parse_args(words)
    try:
        entities = Entities.parse(asked.queue, asked.topic)
    except ValueError as problem:
        parser.error(str(problem))
    bus = Bus(
        entities.queues,
        entities.topics,
        port=asked.port,
        lock_seconds=asked.lock_seconds,
        max_delivery_count=asked.max_delivery_count,
    )
    try:
        _serve(bus)
    except OSError as problem:
        parser.error(f"port {asked.port} cannot be used: {os.strerror(problem.errno or 0)}")


def _serve(bus: Bus) -> None:
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with bus:
        print(bus.connection_string, flush=True)  # noqa: T201 - what a command has to say
        stopped.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
