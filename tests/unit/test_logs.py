"""One JSON object a line, with fields from a list."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.logs import (
    FIELDS,
    LOGGER_NAME,
    NOISY,
    alert,
    correlate,
    correlation_id,
    log,
    next_trace_parent,
    quiet_libraries,
)

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TELLING = {"userprincipalname", "displayname", "reason", "text", "detail", "phone", "body", "token", "url", "message"}


class Lines(logging.Handler):
    """Keeps what is logged, as the host would see it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.records.append(record)

    def last(self) -> dict[str, Any]:
        """Read the last line."""
        document: dict[str, Any] = json.loads(self.records[-1].getMessage())
        return document


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Listen to the product's logger."""
    logger, handler = logging.getLogger(LOGGER_NAME), Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    correlation_id.set("")
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_log_when_a_line_is_written_then_it_is_one_json_object_with_what_was_given(lines: Lines) -> None:
    """A correlation id only where there is one; what is None is left out."""
    log("looked", round=2, userId="u", code=None, verified=False, seconds=0.5)
    assert lines.last() == {"event": "looked", "round": 2, "userId": "u", "verified": False, "seconds": 0.5}
    assert lines.records[-1].levelno == logging.INFO
    correlate(f"00-{TRACE_ID}-b7ad6b7169203331-01")
    log("looked", logging.WARNING)
    assert lines.last() == {"event": "looked", "correlationId": TRACE_ID}
    assert lines.records[-1].levelno == logging.WARNING


def test_alert_when_written_then_a_rule_finds_it(lines: Lines) -> None:
    """By a field, not by words."""
    alert("bug", code="ValueError")
    assert lines.last() == {"event": "bug", "code": "ValueError", "alert": True}
    assert lines.records[-1].levelno == logging.ERROR


@pytest.mark.parametrize("field", ["userPrincipalName", "body", "Code", "reason"])
def test_log_when_a_field_is_not_on_the_list_then_nothing_is_written(lines: Lines, field: str) -> None:
    """A test finds it, before a name stands in a log."""
    with pytest.raises(KeyError, match=field):
        log("x", logging.INFO, **{field: "a@b.example"})
    assert lines.records == []


def test_fields_when_listed_then_none_is_for_names_or_free_text() -> None:
    """Object ids and codes only."""
    assert not {field.lower() for field in FIELDS} & TELLING


@given(st.text(), st.text())
def test_log_of_any_text_when_written_then_it_is_one_line(event: str, code: str) -> None:
    """Whoever reads the log cannot be shown a line that we did not write."""
    handler, logger = Lines(), logging.getLogger(LOGGER_NAME)
    logger.addHandler(handler)
    try:
        log(event, logging.CRITICAL, code=code)
    finally:
        logger.removeHandler(handler)
    message = handler.records[0].getMessage()
    assert len(message.splitlines()) == 1
    assert json.loads(message)["code"] == code


@pytest.mark.parametrize(
    "trace_parent",
    [None, "", "x", "a-b-c", f"00-{TRACE_ID}-b7ad6b7169203331-01-extra", "00--b7ad6b7169203331-01", "00-a b-c-01"],
)
def test_correlation_when_there_is_no_trace_then_it_is_an_id_of_our_own(trace_parent: str | None) -> None:
    """There is always one to look for, and each invocation has another."""
    correlate(trace_parent)
    first = correlation_id.get()
    correlate(trace_parent)
    assert (len(first), first.isalnum()) == (32, True)
    assert correlation_id.get() != first


def test_trace_parent_of_what_is_sent_then_whoever_receives_it_has_the_same_correlation() -> None:
    """A resume's lines are found by the id of the request's; every message is a span of its own."""
    correlate(f"00-{TRACE_ID}-b7ad6b7169203331-01")
    sent = [next_trace_parent(), next_trace_parent()]
    assert sent[0] != sent[1]
    correlate(None)
    correlate(sent[0])
    assert correlation_id.get() == TRACE_ID


def test_trace_parent_outside_an_invocation_then_it_is_one_all_the_same() -> None:
    """A command has none."""
    correlation_id.set("")
    correlate(sent := next_trace_parent())
    assert sent.split("-")[1] == correlation_id.get()


async def test_correlation_when_invocations_run_at_once_then_each_keeps_its_own() -> None:
    """One worker carries out several."""

    async def invoke(trace_id: str) -> str:
        correlate(f"00-{trace_id}-b7ad6b7169203331-01")
        await asyncio.sleep(0)
        return correlation_id.get()

    trace_ids = [f"{number:032x}" for number in range(1, 6)]
    assert await asyncio.gather(*(invoke(each) for each in trace_ids)) == trace_ids


def test_libraries_when_quieted_twice_then_they_speak_from_warning_on() -> None:
    """And ours still speaks."""
    quiet_libraries()
    quiet_libraries()
    assert {logging.getLogger(name).level for name in NOISY} == {logging.WARNING}
    assert LOGGER_NAME not in NOISY
