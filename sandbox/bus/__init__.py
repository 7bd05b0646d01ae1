"""A Service Bus namespace on one machine: AMQP 1.0 as the azure-servicebus client speaks it.

Read in this order: ``bus`` (what a test holds), ``queue`` and ``topic`` (what a message goes through), ``broker`` and
``server`` (one thread), ``connection`` (a client), ``inbox``, ``outbox``, ``requests`` and ``management`` (its links).

It does: queues; topics with subscriptions, each with a true filter; dead-letter queues; send, batches, schedule and
cancel, peek, peek-lock with renewal and expiry, receive and delete, complete, abandon, defer, dead-letter, time to
live, duplicate detection, the 256 KB limit; outages, broken connections, ended locks, and faults to order: sends,
schedules and settlements that are refused (throttled, say), lost before or after their effect, answered late or
never.

It is not faithful in this:

- Plain TCP, and any key, token or SASL mechanism is good: rights are never refused, tokens never run out.
- No sessions, transactions, partitions, rules or filters, auto-forwarding, administration over HTTP, quotas on
  the size of an entity or the number of connections.
- One set of options (lock, deliveries, expiry, duplicates) for all entities of a bus; no default time to live.
- A message that has expired is gone within 50 ms; in Azure it may stay visible to peek for a while.
- The ends of locks are told in the machine's time even where ``now`` is another clock, because the client compares
  them with the machine's clock before it settles.
- Of a peek, all that was asked for comes in one answer, however large.
- Messages outlive a stop of the bus, not the process. After a stop all of them are there, with their locks; a real
  failover may lose a lock or show a message again.
- A refused settlement leaves the message locked by the same client. A fault strikes a whole request: of the messages
  in one batch all are taken or none.
- Where an operation is never answered, the link stays as it is and its credit is not given back.
- Nothing is throttled by itself: `server-busy` comes to order only, and for sends, schedules and settlements only.
- Nothing was compared with a live namespace: what it does comes from Microsoft's documentation and client sources.
  Guesses among it: dead-lettering a dead letter, and sending to a subscription, are ``amqp:not-allowed``.
"""

from sandbox.bus.bus import Bus
from sandbox.bus.entities import Entities, UnknownEntityError
from sandbox.bus.faults import SENDING, SETTLING, Operation
from sandbox.bus.message import Message, State
from sandbox.bus.queue import NotAllowedError, Options

__all__ = [
    "SENDING",
    "SETTLING",
    "Bus",
    "Entities",
    "Message",
    "NotAllowedError",
    "Operation",
    "Options",
    "State",
    "UnknownEntityError",
]
