"""A topic: each subscription gets a copy of what is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.bus.queue import Options, Queue

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sandbox.bus.envelope import Envelope


class Topic:
    """A queue that nobody reads: whatever becomes visible in it is copied to the subscriptions, if any, and gone."""

    def __init__(self, path: str, options: Options, subscriptions: Sequence[Queue]) -> None:
        self.path = path
        self.subscriptions = subscriptions
        self._incoming = Queue(path, options)

    def put(self, envelope: Envelope, now: datetime) -> int:
        """Publish now or at the time it is scheduled for; give the topic's sequence number."""
        number = self._incoming.put(envelope, now)
        self.advance(now)
        return number

    def cancel(self, numbers: Collection[int]) -> None:
        """Take scheduled messages back, all or (MessageNotFoundError) none."""
        self._incoming.cancel(numbers)

    def advance(self, now: datetime) -> None:
        """Publish what was scheduled and is due."""
        self._incoming.advance(now)
        while (entry := self._incoming.take(now, locked=False)) is not None:
            for subscription in self.subscriptions:
                subscription.put(entry.envelope, now, enqueued_sequence_number=entry.sequence_number)
