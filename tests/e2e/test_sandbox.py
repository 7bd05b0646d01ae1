"""The two faces of the sandbox, as a reader meets them."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from sandbox.checking import check, check_all
from sandbox.command import INTERRUPTED, NOT_STARTED, OK
from sandbox.demonstration import Story, show
from sandbox.holding import hold_back
from sandbox.people import list_people
from sandbox.scenes import REQUESTS_OF_THE_SHOW, Door, Expected, Request
from sandbox.stage import REJECTED, ROOT, Stage, StageError, make_ledger, set_up
from sandbox.tenant.directory import load_directory
from tests.secrecy import find_leaks, texts_of_bus, texts_of_ledger

pytestmark = pytest.mark.xdist_group("sandbox")


async def test_run_shows_every_request_and_finds_every_outcome_as_it_should_be() -> None:
    """The main job, end to end: real clients, real worker library, real sockets."""
    said: list[str] = []
    async with set_up() as stage:
        await make_ledger(stage)
        assert await show(stage, said.append), "\n".join(said)
        answers = await ask_for_outcomes(stage)
        left = [*texts_of(stage, answers), ("what was shown", "\n".join(said))]
        assert find_leaks(stage.tenant.secret_values(), left) == []
        # The search reaches every place: what is no secret is found in each.
        places = {leak.where for leak in find_leaks({"HTTP-14-emery", "notJson"}, left)}
        assert {"the host's output", "an answer", "the ledger-wal", "what was shown"} <= places
        assert f"the bus, {REJECTED}, properties" in places
    assert len(answers) == len(REQUESTS_OF_THE_SHOW)
    told = "\n".join(said)
    for request in REQUESTS_OF_THE_SHOW:
        assert request.request_id in told
    assert "Every outcome is what it should be." in told
    assert sample_of_the_page() - {*without_chance(told).splitlines()} == set()


def sample_of_the_page() -> set[str]:
    """Return the lines that the README shows of it, but for the time that it takes to start and what is left out."""
    page = (ROOT / "README.md").read_text()
    found = re.search(r"^```\nStarting .*?$(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found
    lines = without_chance(found[1]).splitlines()
    return {line for line in lines if not line.startswith("Up after ") and line != "  …"}


def without_chance(told: str) -> str:
    """Take out what differs each time: times, the port, and which request of a burst is the reset."""
    told = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)", "TIME", told)
    return re.sub(r"(covered, coveredBy:.*\n.*INC-13-sage-)\d", r"\1N", re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", told))


async def ask_for_outcomes(stage: Stage) -> list[str]:
    """Ask over HTTP for the outcome of every request that has one under its own id."""
    async with httpx.AsyncClient(timeout=10, headers={"x-functions-key": stage.host.function_key}) as client:
        asked = [await client.get(f"{stage.host.url}/api/resets/{one.request_id}") for one in REQUESTS_OF_THE_SHOW]
    return [f"{answer.headers} {answer.text}" for answer in asked]


def texts_of(stage: Stage, answers: list[str]) -> Iterator[tuple[str, str]]:
    """Gather everything that left the function app: output, answers, ledger, rejected copies."""
    yield "the host's output", "\n".join(stage.host.output)
    yield from (("an answer", answer) for answer in answers)
    ledger = list(texts_of_ledger(Path(stage.environment["LEDGER_URL"].removeprefix("sqlite:///"))))
    rejected = list(texts_of_bus(stage.bus, REJECTED))
    assert ledger
    assert rejected
    yield from (*ledger, *rejected)


def test_run_finds_an_outcome_that_is_not_what_it_should_be() -> None:
    """The show can fail: a wrong status, a method that is left, a missing outcome are each told."""
    fields = {"methods.0.result": "deleted", "user.asked": "a", "methods.1.result": None, "status.0": None}
    request = Request("A", "about", "{}", Expected("completed", ("phone",), fields=fields))
    line = {"type": "phone", "result": "remaining"}
    outcome = {"requestId": "A", "status": "partial", "verified": False, "methods": [line], "reasons": []}
    assert check(request, {"A": outcome}) == [
        "A: status should be completed, but is partial",
        "A: removed should be ['phone'], but is []",
        "A: still there should be [], but is ['phone']",
        "A: verified should be True, but is False",
        "A: methods.0.result should be deleted, but is remaining",
        "A: user.asked should be a, but is None",
    ]


def test_run_finds_a_burst_that_is_not_one_reset_and_the_others_covered_by_it() -> None:
    """Whichever of them is the reset; a second one is told, and one that another request covers."""
    burst = [
        Request(name, "about", "{}", Expected("completed", ("phone",)), burst="A") for name in ("A-1", "A-2", "A-3")
    ]
    reset = {
        "status": "completed",
        "verified": True,
        "methods": [{"type": "phone", "result": "deleted"}],
        "reasons": [],
    }
    covered = {
        "status": "covered",
        "verified": False,
        "methods": [],
        "reasons": [{"code": "coveredBy"}],
        "coveredBy": {"requestId": "A-2", "status": "completed"},
    }
    assert check_all(burst, {"A-1": covered, "A-2": reset, "A-3": covered}) == []
    assert check_all(burst, {"A-1": reset, "A-2": covered, "A-3": covered}) == [
        "A-2: coveredBy.requestId should be A-1, but is A-2",
        "A-3: coveredBy.requestId should be A-1, but is A-2",
    ]
    one = ["A: one should be a reset and the others covered by it, but {} are resets"]
    assert check_all(burst, {"A-1": reset, "A-2": reset, "A-3": covered}) == [one[0].format(2)]
    assert check_all(burst, dict.fromkeys(("A-1", "A-2", "A-3"), covered)) == [one[0].format(0)]
    assert check_all(burst, {"A-2": reset}) == []  # that others have no outcome is told by the story


async def test_run_finds_that_a_request_did_not_wait_as_it_should() -> None:
    """One that ends all the same is no 202; one that waits for something else is told."""
    said: list[str] = []
    body = '{"requestId": "%s", "user": "%s", "dryRun": true}'
    ends = Request("A", "", body % ("A", "no user"), Expected("planned"), Door.HTTP_WHILE_PAUSED)
    meanwhile = {"waitingFor": "hourlyLimit"}
    waits = Request("B", "", body % ("B", "val.cross@contoso.example"), Expected("planned", meanwhile=meanwhile))
    async with set_up() as stage:
        await make_ledger(stage)
        ended, waited = await hold_back(stage, ends, said.append), await hold_back(stage, waits, said.append)
    assert ended.failure == "the app answered 400 during a pause"
    assert said.count("Not paused: requests are carried out.") == 2  # whatever happened meanwhile
    assert waited.problems == ("B: while it waited, waitingFor should be hourlyLimit, but was paused",)
    assert waited.failure == ""


async def test_story_when_a_request_comes_after_another_then_it_is_sent_once_that_has_ended() -> None:
    """By either door: the second finds what the first has done."""
    body = '{"requestId": "%s", "user": "val.cross@contoso.example", "dryRun": true}'
    first = Request("A", "", body % "A", Expected("planned"))
    second = Request("B", "", body % "B", Expected("planned"), Door.HTTP, after=("A",))
    async with set_up() as stage:
        story = Story(stage, (second, first))
        await story.play()
    assert list(story.outcomes) == ["A", "B"]
    accepted, finished = (
        datetime.fromisoformat(story.outcomes[key][at]) for key, at in (("B", "acceptedAt"), ("A", "finishedAt"))
    )
    assert accepted >= finished
    assert story.failures == {}


async def test_run_when_the_ledger_cannot_be_used_then_it_says_so_in_a_sentence(tmp_path: Path) -> None:
    """As on a full disk: neither an exception nor a line for each request."""
    (tmp_path / "file").touch()
    said: list[str] = []
    async with set_up(settings={"LEDGER_URL": f"sqlite:///{tmp_path}/file/ledger"}) as stage:
        with pytest.raises(
            StageError, match=r"^The app cannot use its ledger, .*/file/ledger \(is the disk full\?\): TMPDIR"
        ):
            await make_ledger(stage)
        assert not await show(stage, said.append, patience_seconds=3)
        await stage.host.kill()  # what it was given will never end
    assert any(line.endswith("  not accepted: its ledger cannot be used") for line in said)
    problems = said[-1].strip().splitlines()
    assert problems[0].startswith("INC-1-val, INC-2-blair, INC-3-blair, ")
    assert problems[1] == "HTTP-4-devon, HTTP-5-oakley, HTTP-14-emery: the app answered 503"
    assert problems[2].startswith("HTTP-15-rory: shared.operate pause says: There is no ledger at ")
    assert problems[0].endswith(
        ": no outcome came within 3 s, and the app says that its ledger cannot be used: is the disk full?"
    )
    assert problems[3:] == ["the rejected queue should hold 3 copies, but holds 0"]


async def start(*words: str) -> asyncio.subprocess.Process:
    """Start a command of the sandbox, in a group of its own as a terminal does."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", *words),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.parametrize("until", ["Starting", "started"])
async def test_run_when_interrupted_then_one_word_says_so_and_the_status_is_130(until: str) -> None:
    """Ctrl-C reaches every process of the terminal, while it starts and in the middle of its work."""
    process = await start("run")
    assert process.stdout
    async with asyncio.timeout(60):
        while until not in (await process.stdout.readline()).decode():
            pass
        os.killpg(process.pid, signal.SIGINT)
        _, complaint = await process.communicate()
    assert (process.returncode, complaint.decode()) == (INTERRUPTED, "Interrupted.\n")


@pytest.mark.parametrize("option", ["--port", "--bus-port", "--graph-port", "--vault-port"])
async def test_serve_when_a_port_is_in_use_then_one_sentence_names_the_option_and_the_status_is_2(option: str) -> None:
    """Whoever has another sandbox up reads how to start this one."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        process = await start("serve", *(() if option == "--port" else ("--port", "0")), option, port)
        async with asyncio.timeout(60):
            _, complaint = await process.communicate()
    assert process.returncode == NOT_STARTED
    assert complaint.decode() == (
        f"The sandbox cannot start: port {port} cannot be used: {option} names another, or 0 for a free one "
        "(Address already in use).\n"
    )


@dataclass(frozen=True)
class Served:
    """A sandbox that `serve` has up, and what it said until it was ready."""

    process: asyncio.subprocess.Process
    said: str

    def find(self, pattern: str) -> str:
        """Return what a pattern finds in that."""
        found = re.search(pattern, self.said)
        assert found, pattern
        return found[1]

    async def read_until(self, text: str) -> str:
        """Return the lines up to the next that holds the text."""
        assert self.process.stdout
        lines = ""
        while text not in lines:
            lines += (await self.process.stdout.readline()).decode()
        return lines

    async def operate(self, module: str, *words: str) -> str:
        """Run an operator's command as `serve` says: with the lines that it prints, and nothing else."""
        exported = dict(re.findall(r"^  export (\w+)='(.*)'$", self.said, re.MULTILINE))
        policy = (ROOT / "infra" / "policy.json").read_text()  # as `make redrive` has it where none is exported
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *words),
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "MFA_RESET_POLICY": policy, **exported},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == OK, said.decode()
        return said.decode()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Serve a sandbox on a free port."""
    process = await start("serve", "--port", "0")
    try:
        async with asyncio.timeout(60):
            said = await Served(process, "").read_until("What it does appears below.")
        yield Served(process, said)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_serve_when_it_is_up_then_the_addresses_answer_until_it_is_interrupted(served: Served) -> None:
    """What it prints can be pasted; Ctrl-C is how it is meant to end."""
    async with httpx.AsyncClient(timeout=10) as client:
        health = await client.get(served.find(r"curl -s (\S+/api/health)"))
        assert health.json() == {"status": "up"}
        assert served.find(
            r"  \S{36}  (parker.shaw@contoso.example) +phone, x509Something; has a method of an unknown type"
        )
        assert (await client.get(served.find(r"curl -s (\S+/sandbox/users/\S+)"))).status_code == 200
    os.killpg(served.process.pid, signal.SIGINT)
    async with asyncio.timeout(60):
        said, complaint = await served.process.communicate()
    assert (served.process.returncode, complaint) == (OK, b"")
    assert said.decode().endswith("Stopped.\n")


def test_people_when_listed_then_each_has_a_line_with_what_is_special() -> None:
    """Id, name, methods, and why a reset of it is of interest."""
    directory = load_directory()
    lines = {line.split()[1]: line for line in list_people(directory)}
    assert lines.keys() == {
        user.user_principal_name for user in (*directory.users.values(), *directory.deleted_users.values())
    }
    assert lines["val.cross@contoso.example"] == (
        "10000000-0000-4000-8000-000000000023  val.cross@contoso.example           external, phone; has a certificate"
    )
    for name, words in (
        ("emergency.access.1@contoso.example", "fido2; the break-glass account; in a group that is never reset; "),
        ("blair.everett@contoso.example", "14 methods, of every type"),
        ("casey.romero@contoso.example", "  no method is registered"),
        ("finley.moss@contoso.example", "; holds an administrator's role"),
        ("harper.lind@contoso.example", "; in a role-assignable group; holds an administrator's role, through a group"),
        ("gray.holloway@contoso.example", "; could activate an administrator's role"),
        ("indigo.park@contoso.example", "; could become member of 'Tier 0 on call'"),
        ("jules.marlow@contoso.example", "; in a restricted administrative unit"),
        ("kai.sorensen@contoso.example", "; the account is disabled"),
        ("emery.vance@contoso.example", "; synchronised from on premises"),
        ("quinn.abbott@fabrikam.example", "; signs in through a federated domain"),
        ("parker.shaw@contoso.example", "; has a method of an unknown type"),
        ("devon.laine_northwind.example#EXT#@contoso.example", "; a guest"),
    ):
        assert words in lines[name]
    assert any(line.endswith("  deleted") for line in lines.values())


async def test_serve_when_its_lines_are_pasted_then_the_commands_of_an_operator_work_and_progress_is_told(
    served: Served,
) -> None:
    """Every command of the README, before the first request already."""
    pause = ("pause", "--for", "2h", "--by", "Kim, on call", "--why", "the tenant is being migrated")
    async with asyncio.timeout(120):
        assert "Not paused" in await served.operate("shared.operate", "show")
        assert "Paused until" in await served.operate("shared.operate", *pause)
        body = '{"requestId": "INC-1", "user": "casey.romero@contoso.example"}'
        assert await served.operate("sandbox", "send", body) == "It is on mfa-reset-requests.\n"
        assert "  INC-1             later: paused\n" in await served.read_until("later: paused")
        assert "Not paused" in await served.operate("shared.operate", "resume")
        assert "500 until" in await served.operate("shared.operate", "limit", "500", "--for", "4h")
        assert "as the policy says" not in await served.operate("shared.operate", "usual-limit")
        await served.operate("sandbox", "send", "not JSON")
        assert "  ALERT needsAttention: invalid\n" in await served.read_until("ALERT")
        assert "rejected: 1 found, 1 shown, 0 can be sent" in await served.operate("shared.redrive")
        again = ("--from", "rejected", "--reason", "notJson", "--send")
        assert "rejected: 1 of 1 sent again." in await served.operate("shared.redrive", *again)
        await served.read_until("ALERT")
