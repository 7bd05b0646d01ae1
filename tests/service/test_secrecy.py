"""The search for secrets finds each kind of them by each way out, and nothing where there is none."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from azure.servicebus import ServiceBusMessage

from sandbox.bus import Bus
from shared.logs import LOGGER_NAME, log
from shared.vocabulary import Mark, UserId
from tests.secrecy import Leak, find_leaks, listening, texts_of_bus, texts_of_error, texts_of_ledger
from tests.service.stage import BLAIR, CASEY, Stage, set_up, under
from tests.service.test_reception import connect
from tests.service.test_steps import NAMED, policy_of

TOKEN = "eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJodHRwIn0.c2lnbmF0dXJl"
# One of each kind that must not leave, as `Tenant.secret_values` has them.
SECRETS = {
    "password": 'aB3"#$%&*+-=?@_xyzXYZ0123456789ab',
    "pass code": "k3J_x-9QpL0a",
    "token": TOKEN,
    "identity header": "9f86d081884c7d659a2feaa0c55ad015",
    "phone number": "+1 4255550102",
    "phone number's digits": "14255550102",
    "mail address": "blair@northwind.example",
}


@pytest.fixture(params=list(SECRETS.values()), ids=list(SECRETS))
def secret(request: pytest.FixtureRequest) -> str:
    """Give one secret of each kind."""
    return str(request.param)


def where(leaks: list[Leak]) -> set[str]:
    """Name the places of leaks; none of them shows the secret itself."""
    return {leak.where for leak in leaks}


# --- The log -----------------------------------------------------------------------------------------------------


class _Speaks:
    """Says what it holds only when somebody writes it down."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return f"<{self._text}>"


def _hide(text: str) -> None:
    error = RuntimeError()
    error.__context__, error.__suppress_context__ = ValueError(text), True
    logging.getLogger("a.library").error("failed", exc_info=error)


WAYS: dict[str, Callable[[str], None]] = {
    "message": lambda text: logging.getLogger("a.library").debug(f"sent {text}"),  # noqa: G004 - as a library may
    "arguments": lambda text: logging.getLogger("a.library").info("sent %s", {"body": text}),
    "an argument not shown": lambda text: logging.getLogger("a.library").info("%.3s", _Speaks(text)),
    "extra": lambda text: logging.getLogger("a.library").warning("sent", extra={"body": text}),
    "a quiet logger": lambda text: logging.getLogger("azure.core.pipeline").debug("Authorization: %s", text),
    "our own logger": lambda text: log("step", userId=text),
    "an exception": lambda text: logging.getLogger("a.library").error("failed", exc_info=ValueError(text)),
    "an exception's cause, hidden": _hide,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_secret_in_a_log_record_is_found(way: Callable[[str], None], secret: str) -> None:
    """In whatever part of a record, at whatever level, of whatever logger."""
    with listening() as ear:
        way(secret)
    assert where(find_leaks({secret}, ear.texts)) == {"the log"}


def test_logger_that_propagates_to_nobody_is_heard_and_its_level_comes_back() -> None:
    """A library may keep its records to itself."""
    logger = logging.getLogger("keeps.to.itself")
    logger.propagate, level = False, logging.getLogger(LOGGER_NAME).level
    try:
        with listening() as ear:
            logger.debug("sent %s", TOKEN)
    finally:
        logger.propagate = True
    assert where(find_leaks({TOKEN}, ear.texts)) == {"the log"}
    assert (logger.level, logging.getLogger(LOGGER_NAME).level) == (logging.NOTSET, level)


# --- The other ways out ------------------------------------------------------------------------------------------


async def test_secret_in_the_ledger_is_found_even_when_it_is_forgotten_again(tmp_path: Path, secret: str) -> None:
    """The bytes count, not the rows: journals and freed pages too."""
    async with set_up(tmp_path) as stage:
        await stage.ledger.remember(UserId(BLAIR), Mark("leak"), secret)
        assert find_leaks({secret}, texts_of_ledger(stage.ledger_path))
        await stage.ledger.forget(UserId(BLAIR), Mark("leak"))
        assert find_leaks({secret}, texts_of_ledger(stage.ledger_path))


async def test_secret_in_an_outcome_is_found(tmp_path: Path, secret: str) -> None:
    """In any field, however deep."""
    async with set_up(tmp_path) as stage:
        outcome = await stage.reset(BLAIR)
        assert find_leaks({secret}, stage.texts()) == []
        (first, *others) = outcome.methods
        stage.ends.append(replace(outcome, methods=(replace(first, detail=f"last used with {secret}"), *others)))
        assert where(find_leaks({secret}, stage.texts())) == {"an outcome"}


def test_secret_in_an_exception_is_found(secret: str) -> None:
    """Its text, its notes, what it holds, and what it was raised from."""
    noted, holding, caused = ValueError("x"), ValueError("x"), ValueError("x")
    noted.add_note(secret)
    holding.answer = secret  # type: ignore[attr-defined] # as an SDK's exception holds its answer
    caused.__cause__ = KeyError(secret)
    for error in (ValueError(secret), noted, holding, caused):
        assert find_leaks({secret}, texts_of_error(error))


async def test_secret_on_the_bus_is_found_in_body_and_properties(secret: str) -> None:
    """On the outcome topic and on the rejected queue."""
    with Bus(queues=("rejected",), topics={"outcomes": ("audit",)}) as bus:
        async with connect(bus) as client:
            async with client.get_topic_sender("outcomes") as sender:
                await sender.send_messages(ServiceBusMessage(json.dumps({"detail": secret})))
            async with client.get_queue_sender("rejected") as sender:
                await sender.send_messages(ServiceBusMessage("{}", application_properties={"reason": secret}))
        found = where(find_leaks({secret}, texts_of_bus(bus, "rejected", "outcomes/Subscriptions/audit")))
    assert found == {"the bus, outcomes/Subscriptions/audit", "the bus, rejected, properties"}


# --- What is looked for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        str,
        json.dumps,
        lambda text: json.dumps(json.dumps(text)),
        lambda text: quote(text, safe=""),
        lambda text: base64.b64encode(text.encode()).decode(),
        repr,
    ],
)
def test_secret_is_found_however_it_is_written(write: Callable[[str], str], secret: str) -> None:
    """Plain, in JSON, in JSON in JSON, in an address, in base64."""
    assert find_leaks({secret}, [("a place", f"before {write(secret)} after")])


def test_digits_are_not_found_by_chance() -> None:
    """A short number within an id or a time is no leak; the same number by itself is."""
    ids = "c4bedccf-e5ff-4215-a1df-468800618a6c 2026-11-24T01:02:03.4688006 4688006ab"
    assert find_leaks({"4688006"}, [("a place", ids)]) == []
    assert find_leaks({"4688006"}, [("a place", "call 4688006")])


def test_leak_does_not_show_the_secret(secret: str) -> None:
    """A failing test says where, not what."""
    (leak, *_) = find_leaks({secret}, [("a place", f"the value is {secret}!")])
    assert secret not in leak.around
    assert "the value is" in leak.around


async def test_tenant_names_every_kind_of_secret_that_a_reset_meets(tmp_path: Path) -> None:
    """What is looked for is what there is: password, code, token, header, number and address."""
    async with set_up(tmp_path) as stage:
        playing = under(stage, policy_of("resetPassword", "temporaryAccessPass"))
        await playing.reset(BLAIR, profile="p", caller=NAMED)
        values = stage.tenant.secret_values()
        ((secret,),) = stage.vault.secrets.values()
        password = (stage.tenant.directory.users[BLAIR].password_profile or {})["password"]
        assert {secret.value, password, stage.tenant.identity_header} <= values
        assert {"+1 4255550102", "14255550102", "4255550102", "blair@northwind.example"} <= values
        assert any(value.count(".") == 2 and value.startswith("ey") for value in values)
        assert find_leaks(values, stage.texts()) == []
        assert len(stage.ear.heard) > 100


def _places(stage: Stage) -> Iterator[str]:
    return (place for place, _ in stage.texts())


async def test_stage_gives_everything_that_left(tmp_path: Path) -> None:
    """Logs, ledger, outcomes and exceptions: none is forgotten."""
    async with set_up(tmp_path) as stage:
        await stage.reset(CASEY)
        stage.tenant.roles.clear()
        with pytest.raises(Exception, match="may not"):
            await stage.reset(CASEY)
        await asyncio.sleep(0)
        assert {"the log", "the ledger", "the ledger-wal", "an outcome", "an exception"} <= set(_places(stage))
    with closing((tmp_path / "ledger.sqlite").open("rb")) as file:
        assert file.read(6) == b"SQLite"
