"""The Service Bus trigger against the sandbox's bus."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage

from sandbox.bus import Bus
from tests.sandbox.host.scenes import TAKING, Post, Scene, new_host

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("host-service-bus")]

APP = (
    TAKING
    + """
@app.service_bus_topic_trigger("message", connection="ServiceBusConnection", topic_name="news", subscription_name="all")
def hear(message: func.ServiceBusMessage) -> None:
    logging.warning("heard %s", message.get_body().decode())
"""
)


@pytest.fixture(scope="module")
def bus() -> Iterator[Bus]:
    """Start one bus for the module."""
    with Bus(queues=("q",), topics={"news": ("all",)}, lock_seconds=1, max_delivery_count=3) as bus:
        yield bus


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_scene(bus: Bus, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Start one host for the module."""
    directory = tmp_path_factory.mktemp("app")
    async with Post(bus) as post, new_host(bus, directory, "q", source=APP) as host:
        yield Scene(bus, host, directory / "seen.jsonl", post, "q")


@pytest_asyncio.fixture(loop_scope="module")
async def scene(shared_scene: Scene) -> AsyncIterator[Scene]:
    """Lend the module's scene with an empty queue."""
    await shared_scene.wait_empty()
    yield shared_scene
    await shared_scene.wait_empty()


async def test_message_when_the_function_returns_then_completed_and_all_of_it_seen(scene: Scene) -> None:
    """Metadata come in the forms that Azure sends."""
    message = ServiceBusMessage(
        "all of it",
        message_id="id-1",
        content_type="application/json",
        correlation_id="c",
        subject="s",
        to="t",
        reply_to="r",
        time_to_live=timedelta(hours=1),
        application_properties={"text": "é", "number": 7, "yes": True, "half": 0.5},
    )
    await scene.send(message)
    await scene.wait_until(lambda: bool(scene.deliveries("all of it")))
    await scene.wait_empty()
    (seen,) = scene.deliveries("all of it")
    expected = {
        "message_id": "id-1",
        "content_type": "application/json",
        "correlation_id": "c",
        "subject": "s",
        "label": "s",
        "to": "t",
        "reply_to": "r",
        "delivery_count": 1,
        "application_properties": {"text": "é", "number": 7, "yes": True, "half": 0.5},
        "user_properties": {"text": "é", "number": 7, "yes": True, "half": 0.5},
    }
    assert {name: seen[name] for name in expected} == expected
    absent = {"dead_letter_reason", "locked_until", "time_to_live", "state", "session_id", "partition_key"}
    assert {seen[name] for name in absent} == {None}
    enqueued_at = datetime.fromisoformat(seen["enqueued_time_utc"])
    assert enqueued_at.tzinfo is None
    assert abs(datetime.now(UTC) - enqueued_at.replace(tzinfo=UTC)) < timedelta(seconds=20)
    assert datetime.fromisoformat(seen["expires_at_utc"]) - enqueued_at == timedelta(hours=1)


async def test_metadata_when_listed_then_azures_names_and_the_absent_left_out(scene: Scene) -> None:
    """A function may look at them itself."""
    await scene.send(ServiceBusMessage("names", message_id="id-2"))
    await scene.wait_until(lambda: bool(scene.deliveries("names")))
    metadata = scene.deliveries("names")[0]["metadata"]
    names = {"DeliveryCount", "LockToken", "SequenceNumber", "EnqueuedTimeUtc", "EnqueuedTime", "ExpiresAtUtc"}
    names |= {"ExpiresAt", "ApplicationProperties", "UserProperties", "MessageId"}
    assert set(metadata) == names
    assert metadata["DeliveryCount"] == 1
    assert metadata["UserProperties"] == {}
    assert metadata["ExpiresAtUtc"].startswith("9999-12-31T23:59:59")
    assert metadata["EnqueuedTime"] == metadata["EnqueuedTimeUtc"] + "+00:00"
    assert len(metadata["LockToken"]) == 36


async def test_body_when_not_utf8_then_replacement_characters(scene: Scene) -> None:
    """As .NET decodes it on the way to the worker."""
    await scene.send(ServiceBusMessage(b"a\xffb"))
    await scene.wait_until(lambda: bool(scene.deliveries("a\ufffdb")))


async def test_message_when_the_function_raises_then_redelivered_at_once_and_dead_lettered(scene: Scene) -> None:
    """No delay between the tries, and the count is the function's to see."""
    dead = "q/$DeadLetterQueue"
    before = len(scene.bus.peek(dead))
    await scene.send(ServiceBusMessage("raise"))
    await scene.wait_until(lambda: len(scene.bus.peek(dead)) > before, seconds=1.9)  # less than two locks
    assert [each["delivery_count"] for each in scene.deliveries("raise")] == [1, 2, 3]
    assert "ValueError: said on purpose" in await scene.host.wait_for_output("ERROR Function.take Traceback")


async def test_trace_when_the_sender_gives_one_then_the_invocation_is_a_span_of_it(scene: Scene) -> None:
    """It rides in Diagnostic-Id; without one it is fresh."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await scene.send(ServiceBusMessage("traced", application_properties={"Diagnostic-Id": parent}))
    await scene.send(ServiceBusMessage("untraced"))
    await scene.wait_until(lambda: bool(scene.deliveries("traced") and scene.deliveries("untraced")))
    assert scene.deliveries("traced")[0]["trace"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert not scene.deliveries("untraced")[0]["trace"].startswith("00-0af7651916cd43dd8448eb211c80319c-")


@pytest.mark.parametrize("order", ["wait 1.7", "block 1.7"])
async def test_lock_when_the_function_outlasts_it_then_renewed(scene: Scene, order: str) -> None:
    """The lock lasts 1 s, the function longer; also one that blocks its loop is delivered once."""
    await scene.send(ServiceBusMessage(order))
    await scene.wait_until(lambda: bool(scene.deliveries(order)))
    await scene.wait_empty()
    assert [each["delivery_count"] for each in scene.deliveries(order)] == [1]


async def test_calls_when_more_messages_wait_then_the_limit_holds(scene: Scene) -> None:
    """Three at a time, and no fewer."""
    order = "wait 2.5"
    await scene.send(*[ServiceBusMessage(order) for _ in range(4)])
    await scene.wait_until(lambda: len(scene.deliveries(order)) == 3)
    await asyncio.sleep(0.3)
    assert len(scene.deliveries(order)) == 3
    await scene.wait_until(lambda: len(scene.deliveries(order)) == 4)


async def test_topic_when_it_has_news_then_the_subscription_is_heard(scene: Scene) -> None:
    """Subscriptions are pumped as queues are."""
    async with Post(scene.bus) as post:
        await post.send("news", ServiceBusMessage("great things"))
    assert await scene.host.wait_for_output("heard great things") == "WARNING root heard great things"
