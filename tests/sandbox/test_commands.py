"""The sandbox's own command line, and how it tells what the app does."""

import json

import pytest

from sandbox.main import main, read_work
from sandbox.telling import read_event, tell


@pytest.mark.parametrize(
    ("words", "usage", "complaint"),
    [
        (["dance"], "[-h] COMMAND ...", "argument COMMAND: invalid choice: 'dance'"),
        ([], "[-h] COMMAND ...", "the following arguments are required: COMMAND"),
        (["serve", "--port", "http"], "[-h] [--port PORT]", "--port: a port is a whole number from 0 (a free one) to"),
        (["serve", "--port", "65536"], "[-h] [--port PORT]", "--port: a port is a whole number"),
        (["serve", "--bus-port", "-1"], "[-h] [--port PORT]", "--bus-port: a port is a whole number"),
        (["soak", "--hosts", "x"], "[-h] [--requests", "argument --hosts: a whole number"),
        (["soak", "--seconds", "x"], "[-h] [--requests", "argument --seconds: a number of seconds"),
        (["run", "--port", "1"], "[-h] COMMAND ...", "unrecognized arguments: --port 1"),
    ],
)
def test_command_when_it_makes_no_sense_then_the_usage_is_as_it_was_typed(
    words: list[str], usage: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By Python, and by make."""
    verb = f" {words[0]}" if usage != "[-h] COMMAND ..." else ""
    for typed, command in (([], f"python -m sandbox{verb}"), (["--typed", "make"], f"make{verb}")):
        with pytest.raises(SystemExit) as ended:
            read_work([*typed, *words])
        said = capsys.readouterr().err
        assert ended.value.code == 2
        begins = f"usage: {command} ARGS='{usage}" if typed and verb else f"usage: {command} {usage}"
        assert said.startswith(begins)
        assert complaint in said


def test_help_when_make_asks_for_it_then_the_usage_is_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """And the ports are explained."""
    with pytest.raises(SystemExit):
        read_work(["--typed", "make", "serve", "--help"])
    usage, _, rest = capsys.readouterr().out.partition("'\n\n")
    assert usage.startswith("usage: make serve ARGS='[-h] [--port PORT] [--bus-port PORT]")
    assert "--vault-port PORT" in rest


def test_send_when_no_bus_takes_it_then_one_sentence_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """With or without a connection string of nobody's, the status is 2."""
    assert main(["send", "x"]) == 2
    assert capsys.readouterr().err == "ServiceBusConnection is not set: `make serve` prints the line that sets it.\n"


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event": "started"}, "started"),
        ({"event": "postponed", "code": "paused"}, "later: paused"),
        ({"event": "step", "step": "revokeSessions", "result": "unconfirmed"}, "revokeSessions unconfirmed so far"),
        ({"event": "step", "step": "resetPassword", "result": "done"}, "resetPassword done"),
        ({"event": "finished", "status": "completed"}, "completed"),
        ({"event": "finished", "status": "partial", "code": "stepOpen"}, "partial (stepOpen)"),
        ({"event": "replayed", "status": "completed"}, "completed, as before: nothing is done again"),
        (
            {"event": "givenBack", "code": "LedgerUnavailableError"},
            "given back to the queue: its ledger cannot be used",
        ),
        (
            {"event": "nothingAccepted", "code": "BusUnavailableError"},
            "not accepted: the Service Bus cannot be reached",
        ),
        (
            {"event": "givenBack", "code": "KeyError"},
            "given back to the queue: something went wrong that nobody expected",
        ),
        ({"event": "needsAttention", "alert": True, "status": "partial"}, "ALERT needsAttention: partial"),
        (
            {"event": "operatorNeeded", "alert": True, "code": "noRole", "missing": "User.Read.All"},
            "ALERT operatorNeeded: noRole, User.Read.All",
        ),
        ({"event": "resumedLost", "alert": True, "result": "3 requests"}, "ALERT resumedLost: 3 requests"),
        ({"event": "unheardOf", "alert": True}, "ALERT unheardOf"),
        ({"event": "graphCall", "httpStatus": 200}, None),
    ],
)
def test_event_when_told_then_it_is_a_sentence(event: dict[str, object], said: str | None) -> None:
    """Whatever is an alert is told; what a watcher need not know is not."""
    read = read_event(f"INFO Function.receive {json.dumps(event | {'correlationId': 'c'})}")
    assert read is not None
    assert tell(read) == said


@pytest.mark.parametrize("line", ["", "INFO started", '{"event": "started"}', '{"event": '])
def test_line_when_it_is_no_event_of_a_request_then_nothing_is_told(line: str) -> None:
    """The host says much besides."""
    assert read_event(line) is None
