"""Microsoft's JavaScript client on both brokers: a second reading of the protocol, and of what the product sends."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.bus import MAX_COPY_BYTES, ServiceBus
from shared.documents import outcome_document
from shared.model import RequestKey
from shared.ports import RejectedCopy
from shared.vocabulary import QUEUE, RequestId
from tests.builders import an_outcome
from tests.contract.bus_brokers import (
    AUDIT,
    DELIVERIES,
    NAMES,
    OUTCOMES,
    REJECTED,
    REQUESTS,
    Broker,
    connect,
    open_broker,
)
from tests.other_bus.node import OtherClient

KEY = RequestKey(QUEUE, RequestId("INC-3177"))
LOCK_SECONDS = 2
LIMIT_BYTES = 262_144


@pytest.fixture(params=NAMES)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Start a broker of each make."""
    with open_broker(request.param, LOCK_SECONDS) as running:
        yield running


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[OtherClient]:
    """Start the client on it."""
    async with OtherClient(broker.connection_string) as running:
        yield running


async def take(client: OtherClient, *source: str, dead: bool = False) -> dict[str, Any]:
    """Receive the one message that must come, and complete it."""
    message: dict[str, Any] = await client.ask("receive", **{"from": source, "deadLetters": dead})
    await client.ask("complete", lockToken=message["lockToken"], **{"from": source, "deadLetters": dead})
    return message


async def test_product_when_it_sends_then_another_client_reads_all_of_it(broker: Broker, client: OtherClient) -> None:
    """Body, properties and times are those that were sent, whoever reads them."""
    bus = ServiceBus(lambda: connect(broker), REQUESTS, REJECTED, OUTCOMES)
    at = datetime.now(UTC) + timedelta(seconds=1)
    await asyncio.gather(
        bus.publish(an_outcome()),
        bus.schedule_resume(KEY, at),
        bus.reject(RejectedCopy(b"x" * (MAX_COPY_BYTES + 1), "invalid", "No JSON.", KEY.request_id, QUEUE)),
    )
    await bus.close()
    outcome, resume, copy = [await take(client, *source) for source in ((OUTCOMES, AUDIT), (REQUESTS,), (REJECTED,))]
    assert (outcome["body"], outcome["subject"]) == (outcome_document(an_outcome()), "completed")
    assert (outcome["contentType"], outcome["correlationId"]) == ("application/json", "INC-3177")
    assert (outcome["messageId"][:8], outcome["timeToLive"]) == ("outcome-", timedelta(days=14).total_seconds() * 1000)
    assert (resume["body"], resume["scheduledEnqueueTime"]) == ({"resume": str(KEY)}, int(at.timestamp() * 1000))
    assert len(copy["body"]) == MAX_COPY_BYTES
    assert (copy["applicationProperties"]["cut"], copy["applicationProperties"]["bytes"]) == (True, MAX_COPY_BYTES + 1)


async def test_message_when_settled_in_each_way_then_as_documented(client: OtherClient) -> None:
    """Renewed, abandoned until it is a dead letter, dead-lettered with words of ours, completed."""
    queue = {"from": [REQUESTS]}
    properties = {"yes": True, "number": 5, "text": "é"}
    await client.ask("send", to=REQUESTS, message={"body": "a", "messageId": "M", "applicationProperties": properties})
    for count in range(DELIVERIES):
        message = await client.ask("receive", **queue)
        assert (message["deliveryCount"], message["messageId"]) == (count, "M")
        assert await client.ask("renew", lockToken=message["lockToken"], **queue) >= message["lockedUntil"]
        await client.ask("abandon", lockToken=message["lockToken"], **queue)
    dead = await take(client, REQUESTS, dead=True)
    assert dead["deadLetterReason"] == "MaxDeliveryCountExceeded"
    assert properties.items() <= dead["applicationProperties"].items()
    await client.ask("send", to=REQUESTS, message={"body": "b"})
    message = await client.ask("receive", **queue)
    why = {"deadLetterReason": "why", "deadLetterErrorDescription": "wherefore"}
    await client.ask("deadLetter", lockToken=message["lockToken"], why=why, **queue)
    assert why.items() <= (await take(client, REQUESTS, dead=True)).items()


async def test_message_when_scheduled_then_peeked_cancelled_or_received(client: OtherClient) -> None:
    """A cancelled message never comes; the other comes at its time under a new sequence number."""
    assert await client.ask("peek", **{"from": [REQUESTS]}) == []  # connected, before the time is set
    at = int(time.time() * 1000) + 3000
    cancelled = await client.ask("schedule", to=REQUESTS, at=at, message={"body": "never"})
    number = await client.ask("schedule", to=REQUESTS, at=at, message={"body": "later"})
    assert [each["body"] for each in await client.ask("peek", **{"from": [REQUESTS]})] == ["never", "later"]
    await client.ask("cancel", to=REQUESTS, number=cancelled)
    message = await take(client, REQUESTS)
    assert time.time() * 1000 >= at
    assert (message["body"], message["scheduledEnqueueTime"]) == ("later", at)
    assert message["sequenceNumber"] > number
    assert await client.ask("peek", **{"from": [REQUESTS]}) == []


async def test_message_when_lock_has_ended_then_lost(client: OtherClient) -> None:
    """Settling and renewing too late are told by the same code."""
    await client.ask("send", to=REQUESTS, message={"body": "a"})
    queue = {"from": [REQUESTS]}
    message = await client.ask("receive", **queue)
    await asyncio.sleep(LOCK_SECONDS + 0.5)
    assert await client.fail("complete", lockToken=message["lockToken"], **queue) == "MessageLockLost"
    assert await client.fail("renew", lockToken=message["lockToken"], **queue) == "MessageLockLost"


async def test_message_when_it_cannot_be_taken_then_told_why(client: OtherClient) -> None:
    """An unknown entity and a message over 256 KB have codes of their own."""
    assert await client.fail("send", to="no-such-queue", message={"body": "a"}) == "MessagingEntityNotFound"
    too_large = {"body": "x" * LIMIT_BYTES}
    assert await client.fail("send", to=REQUESTS, message=too_large) == "MessageSizeExceeded"
