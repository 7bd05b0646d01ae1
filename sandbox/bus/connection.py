"""One client's connection: bytes by asyncio, AMQP by proton's engine, each link's part by its address."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from proton import Collector, Connection, Event, Link, Terminus, Transport, symbol, ulong

from sandbox.bus.condition import build_condition
from sandbox.bus.entities import Address, UnknownEntityError
from sandbox.bus.frames import DeliveryFormats
from sandbox.bus.inbox import MAX_MESSAGE_SIZE, EntityInbox
from sandbox.bus.outbox import EntityOutbox
from sandbox.bus.queue import NotAllowedError
from sandbox.bus.requests import ManagementInbox, TokenInbox
from sandbox.bus.sasl import SaslLayer

if TYPE_CHECKING:
    from collections.abc import Callable

    from proton import Delivery

    from sandbox.bus.broker import Broker

_CBS: Final = "$cbs"
_CREDIT: Final = 1000
_MAX_FRAME_SIZE: Final = 65536
_SESSION_FILTER: Final = symbol("com.microsoft:session-filter")


class Inbox(Protocol):
    """What takes in the messages of a link."""

    def receive(self, delivery: Delivery, payload: bytes, message_format: int) -> None:
        """Act on one transfer and settle it."""


class ClientConnection(asyncio.Protocol):
    """Serves one client until either side ends it. A quiet client is never dropped."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sasl = SaslLayer()
        self._formats = DeliveryFormats()
        self._collector = Collector()
        self._connection = Connection()
        self._connection.container = "sandbox"
        self._connection.collect(self._collector)
        self._transport = Transport(Transport.SERVER)
        self._transport.max_frame_size = _MAX_FRAME_SIZE
        self._transport.bind(self._connection)
        self._inboxes: dict[Link, Inbox] = {}
        self._outboxes: dict[Link, EntityOutbox] = {}
        self._replies: dict[Link, str] = {}
        self._socket: asyncio.Transport | None = None

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take part in the broker's turns."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what asyncio gives for a TCP stream
        self._socket = transport
        self._broker.peers.add(self)

    def data_received(self, data: bytes) -> None:
        """Let proton read; act on what happened."""
        answer, amqp = self._sasl.feed(data)
        if self._socket is not None and answer:
            self._socket.write(answer)
        self._formats.feed(amqp)
        self._push(amqp)
        self._broker.turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave; what was locked stays locked until its time, as in Azure."""
        del exc
        self._socket = None
        self._broker.peers.discard(self)
        self._leave()
        self._connection.free()

    # -- the broker's side

    def flush(self) -> None:
        """Write what proton has to say, heartbeats included."""
        self._transport.tick(time.monotonic())
        while self._socket is not None and (pending := self._transport.pending()) > 0:
            self._socket.write(self._transport.peek(pending) or b"")
            self._transport.pop(pending)
        if self._socket is not None and self._transport.closed:
            self._socket.close()

    def drop(self) -> None:
        """Break the connection without a word."""
        if self._socket is not None:
            # A reset, not an end of stream: the client's own socket then closes too, which the client would forget.
            raw: socket.socket = self._socket.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.abort()
            self._socket = None
            # At once, not when asyncio tells: nothing more is handed to this client or taken from it.
            self._leave()

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after a while, should the connection still be there."""
        asyncio.get_running_loop().call_later(seconds, self._do_if_connected, action)

    def _do_if_connected(self, action: Callable[[], None]) -> None:
        if self._socket is not None:
            action()
            self._broker.turn()

    # -- proton's side

    def _push(self, received: bytes) -> None:
        while received and (room := self._transport.capacity()) > 0:
            self._transport.push(received[:room])
            received = received[room:]
            self._dispatch()

    def _dispatch(self) -> None:
        while (event := self._collector.peek()) is not None:
            self._act_on(event)
            self._collector.pop()

    def _act_on(self, event: Any) -> None:  # noqa: ANN401 - proton types each part of an event as perhaps absent
        match event.type:
            case Event.CONNECTION_REMOTE_OPEN:
                self._connection.open()
            case Event.SESSION_REMOTE_OPEN:
                event.session.open()
            case Event.LINK_REMOTE_OPEN:
                self._open(event.link)
            case Event.DELIVERY:
                self._act_on_delivery(event.link, event.delivery)
            case Event.LINK_REMOTE_CLOSE | Event.LINK_REMOTE_DETACH:
                self._close(event.link)
            case Event.SESSION_REMOTE_CLOSE:
                event.session.close()
            case Event.CONNECTION_REMOTE_CLOSE:
                self._connection.close()
            case _:
                pass  # proton tells of its own doings too; nothing of ours follows from them

    def _act_on_delivery(self, link: Link, delivery: Delivery) -> None:
        if link.is_sender:
            self._settle_outgoing(link, delivery)
        elif delivery.aborted:
            self._formats.pop(link.name)
            delivery.settle()
        elif delivery.readable and not delivery.partial:
            payload = link.recv(delivery.pending) or b""
            link.advance()
            if link.credit < _CREDIT // 2:
                link.flow(_CREDIT - link.credit)
            if link in self._inboxes:
                self._inboxes[link].receive(delivery, bytes(payload), self._formats.pop(link.name))

    def _settle_outgoing(self, link: Link, delivery: Delivery) -> None:
        if not delivery.updated:
            return
        if link in self._outboxes:
            self._outboxes[link].settle(delivery)
        elif delivery.settled:
            delivery.settle()

    # -- links

    def _open(self, link: Link) -> None:
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.snd_settle_mode, link.rcv_settle_mode = link.remote_snd_settle_mode, link.remote_rcv_settle_mode
        try:
            if link.is_sender:
                self._open_outgoing(link)
            else:
                self._open_incoming(link)
        except UnknownEntityError as problem:
            _refuse(link, "amqp:not-found", f"The messaging entity '{problem}' could not be found.")
        except NotAllowedError as problem:
            _refuse(link, "amqp:not-allowed", str(problem))

    def _open_incoming(self, link: Link) -> None:
        if link.remote_target.type != Terminus.TARGET:
            raise NotAllowedError("the sandbox has no transactions")
        node = link.remote_target.address or ""
        self._inboxes[link] = self._build_inbox(link, node)
        link.max_message_size = MAX_MESSAGE_SIZE
        link.properties = {symbol("com.microsoft:max-message-batch-size"): ulong(MAX_MESSAGE_SIZE)}
        link.open()
        link.flow(_CREDIT)

    def _build_inbox(self, link: Link, node: str) -> Inbox:
        if node == _CBS:
            return TokenInbox(lambda payload: self._reply(link, node, payload))
        address = Address.parse(node)
        if address.to_management:
            path = self._broker.namespace.find(address.path).path
            return ManagementInbox(path, self._broker, self, lambda payload: self._reply(link, node, payload))
        return EntityInbox(self._broker.namespace.find_target(address.path), self._broker, self)

    def _open_outgoing(self, link: Link) -> None:
        node = link.remote_source.address or ""
        address = Address.parse(node)
        if node == _CBS or address.to_management:
            self._replies[link] = node
        else:
            self._open_outbox(link, address)
        link.open()

    def _open_outbox(self, link: Link, address: Address) -> None:
        if _SESSION_FILTER in (_read_filter(link) or {}):
            raise NotAllowedError("the entity does not require sessions")
        queue = self._broker.namespace.find_source(address.path)
        self._outboxes[link] = EntityOutbox(queue, self._broker, self, link)
        self._broker.attach(self._outboxes[link])

    def _reply(self, request_link: Link, node: str, payload: bytes) -> None:
        """Answer over the link that the client opened from the same node in the same session."""
        for link, from_node in self._replies.items():
            if from_node == node and link.session == request_link.session:
                delivery = link.delivery(link.delivery_tag())
                link.stream(payload)
                link.advance()
                delivery.settle()
                return

    def _leave(self) -> None:
        for link in list(self._outboxes):
            self._forget(link)
        self._inboxes.clear()

    def _close(self, link: Link) -> None:
        self._forget(link)
        link.close()
        link.free()

    def _forget(self, link: Link) -> None:
        self._inboxes.pop(link, None)
        self._replies.pop(link, None)
        outbox = self._outboxes.pop(link, None)
        if outbox is not None:
            self._broker.detach(outbox)


def _read_filter(link: Link) -> dict[object, object] | None:
    data = link.remote_source.filter
    data.rewind()
    return data.get_dict() if data.next() else None


def _refuse(link: Link, condition: str, description: str) -> None:
    # AMQP 1.0, part 2.6.3: no terminus of ours in the attach says that a detach with the reason follows.
    (link.source if link.is_sender else link.target).type = Terminus.UNSPECIFIED
    link.condition = build_condition(condition, description)
    link.open()
    link.close()
