"""The queues, topics and subscriptions of a namespace, and how clients address them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote, urlsplit

from sandbox.bus.queue import NotAllowedError, Options, Queue
from sandbox.bus.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

type Entity = Queue | Topic

DEAD_LETTER_QUEUE: Final = "$DeadLetterQueue"
MANAGEMENT: Final = "$management"


class UnknownEntityError(LookupError):
    """The namespace has no entity of this name."""


@dataclass(frozen=True, slots=True)
class Entities:
    """What a namespace holds: queues by name, topics by name with the names of their subscriptions."""

    queues: tuple[str, ...] = ()
    topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: Options = field(default_factory=Options)

    @classmethod
    def parse(cls, queues: Iterable[str], topics: Iterable[str]) -> Self:
        """Read the words of a command line, a topic being ``NAME/SUB[,SUB…]``; ValueError when a name is missing."""
        named = {
            name: tuple(filter(None, subs.split(","))) for name, _, subs in (word.partition("/") for word in topics)
        }
        if not all([*queues, *named]):
            raise ValueError("a queue or topic needs a name")
        return cls(tuple(queues), named)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a link leads: an entity's path, or that entity's management node."""

    path: str
    to_management: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a link address, a full URI (``amqps://host:port/queue/$management``) or a path."""
        path = unquote(urlsplit(text).path if "://" in text else text).strip("/")
        head, _, tail = path.rpartition("/")
        if tail.casefold() == MANAGEMENT:
            return cls(head, to_management=True)
        return cls(path, to_management=False)


class Namespace:
    """The live entities, found by path whatever the case."""

    def __init__(self, entities: Entities) -> None:
        self._entities: dict[str, Entity] = {}
        self._targets: set[Entity] = set()
        for name in entities.queues:
            self._targets.add(self._add_queue(name, entities.options))
        for name, subscriptions in entities.topics.items():
            self._add_topic(name, subscriptions, entities.options)

    def __iter__(self) -> Iterator[Entity]:
        return iter(self._entities.values())

    def find(self, path: str) -> Entity:
        """Give the entity at a path; UnknownEntityError where there is none."""
        try:
            return self._entities[path.casefold()]
        except KeyError:
            raise UnknownEntityError(path) from None

    def find_target(self, path: str) -> Entity:
        """Give the entity to send to: a queue or topic. NotAllowedError: subscriptions and dead letters take none."""
        entity = self.find(path)
        if entity not in self._targets:
            raise NotAllowedError(f"{entity.path} takes no messages from senders")
        return entity

    def find_source(self, path: str) -> Queue:
        """Give the queue, subscription or dead-letter queue to receive from; NotAllowedError for a topic."""
        entity = self.find(path)
        if isinstance(entity, Topic):
            raise NotAllowedError(f"{entity.path} is a topic: receive from its subscriptions")
        return entity

    def advance(self, now: datetime) -> None:
        """Do what is due in every entity."""
        for entity in self._entities.values():
            entity.advance(now)

    def _add_queue(self, path: str, options: Options) -> Queue:
        dead_letters = Queue(f"{path}/{DEAD_LETTER_QUEUE}", replace(options, duplicate_window_seconds=0))
        queue = Queue(path, options, dead_letters)
        self._entities |= {one.path.casefold(): one for one in (queue, dead_letters)}
        return queue

    def _add_topic(self, name: str, subscriptions: Iterable[str], options: Options) -> None:
        # What the topic let through once, a subscription need not examine again.
        inner = replace(options, duplicate_window_seconds=0)
        queues = [self._add_queue(f"{name}/Subscriptions/{one}", inner) for one in subscriptions]
        topic = Topic(name, options, queues)
        self._entities[name.casefold()] = topic
        self._targets.add(topic)
