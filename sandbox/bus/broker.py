"""What all connections share. Only the broker's own thread touches it while the bus runs."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from sandbox.bus.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.bus.entities import Namespace


class Outlet(Protocol):
    """A receiver's link: where the messages of one queue go."""

    def can_take(self) -> bool:
        """Say whether the receiver has credit left."""

    def take(self, now: datetime) -> bool:
        """Pass the queue's first visible message on; False when there is none."""

    def end_round(self) -> None:
        """Answer a receiver that asked to drain its credit."""


class Peer(Protocol):
    """A connection."""

    def flush(self) -> None:
        """Write what waits to be written."""

    def drop(self) -> None:
        """Break the connection without a word."""


class Broker:
    """The namespace, the faults, the connections and the time."""

    def __init__(self, namespace: Namespace, now: Callable[[], datetime]) -> None:
        self.namespace = namespace
        self.faults = Faults()
        self.now = now
        self.peers: set[Peer] = set()
        self._outlets: deque[Outlet] = deque()

    def attach(self, outlet: Outlet) -> None:
        """Let a receiver take part."""
        self._outlets.append(outlet)

    def detach(self, outlet: Outlet) -> None:
        """Leave a receiver out from now on; what it has locked stays locked until the locks end."""
        self._outlets.remove(outlet)

    def turn(self) -> None:
        """Do what is due, hand out what is visible, write to everybody. Called after everything that happens."""
        now = self.now()
        self.namespace.advance(now)
        self._hand_out(now)
        for peer in list(self.peers):
            peer.flush()

    def drop_connections(self) -> None:
        """Break every connection without a word."""
        for peer in list(self.peers):
            peer.drop()

    def on_wall_clock(self, at: datetime) -> datetime:
        """Give the machine's time for a time of the injected clock.

        The client itself compares the end of a lock with the machine's clock before it settles.
        """
        return datetime.now(UTC) + (at - self.now())

    def _hand_out(self, now: datetime) -> None:
        # One message each and round again: receivers on one queue share its messages.
        idle = 0
        while idle < len(self._outlets):
            outlet = self._outlets[0]
            self._outlets.rotate(-1)
            idle = 0 if outlet.can_take() and outlet.take(now) else idle + 1
        for outlet in self._outlets:
            outlet.end_round()
