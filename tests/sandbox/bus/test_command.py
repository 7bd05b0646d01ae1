"""The bus as a command."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from sandbox.bus import Entities

_COMMAND = [sys.executable, "-m", "sandbox.bus"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_when_started_then_serves_until_told_to_stop(number: signal.Signals) -> None:
    """It prints its connection string when ready, serves what it was told to, and stops without a complaint."""
    words = [*_COMMAND, "--queue", "a", "b", "--topic", "t/x,y"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout is not None
            client = ServiceBusClient.from_connection_string(process.stdout.readline().strip())
            with client, client.get_queue_sender("b") as sender:
                sender.send_messages(ServiceBusMessage("x"))
            process.send_signal(number)
            _, errors = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


def test_command_when_a_name_is_missing_then_says_so() -> None:
    """A slip on the command line is told, not served."""
    done = subprocess.run([*_COMMAND, "--topic", "/s"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - our own command
    assert done.returncode == 2
    assert "needs a name" in done.stderr


def test_entities_when_parsed_then_topics_have_their_subscriptions() -> None:
    """A topic may have several subscriptions, or none."""
    entities = Entities.parse(["q"], ["t/a,b", "lonely"])
    assert entities.queues == ("q",)
    assert entities.topics == {"t": ("a", "b"), "lonely": ()}


def test_command_when_its_port_is_in_use_then_says_so_in_a_sentence() -> None:
    """Whoever has another bus up chooses another port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = [*_COMMAND, "--queue", "a", "--port", str(port)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - our own command
    assert done.returncode == 2
    assert done.stderr.endswith(f"python -m sandbox.bus: error: port {port} cannot be used: Address already in use\n")
    assert "Traceback" not in done.stderr
