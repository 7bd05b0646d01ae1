"""What happens between any two writes of a request: a kill, a failure, a lost claim. Another worker ends it, once.

The reset of a message is interrupted at each of its writes. So are the others from the first change on, in `make test`
at every third write, another third for each kind. `MFA_RESET_EVERY_WRITE=1 pytest tests/service/test_interruptions.py`
plays all of them, in some minutes.
"""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox.tenant import method as a_method
from shared.model import Outcome
from shared.steps import DISABLED_BY_US, ENABLED_BY_US, SWITCHED_WITHOUT_CLAIM
from shared.vocabulary import Caller, MethodId, Status
from tests.service.interruptions import PASS_TYPE, Case, Kind, Run, Site, Write, open_site
from tests.service.stage import POLICY, policy_with

EVERY_WRITE = bool(os.environ.get("MFA_RESET_EVERY_WRITE"))
NAMED = Caller("aaaaaaaa-0000-4000-8000-00000000000a")
METHODS = (
    a_method("phone", "3179e48a-750b-4051-897c-87b9720928f7", phoneNumber="+1 2065550100", phoneType="mobile"),
    a_method("softwareOath", "software-1"),
    a_method("fido2", "key-1"),
)
USER = {"authentication": {"methods": [method.properties for method in METHODS]}}
CLOSING = ("disableAccount", "revokeSessions")
STEPS = {
    "letIn": [*CLOSING, "enableAccount"],
    "pass": [*CLOSING, PASS_TYPE],
    "passAndLetIn": [*CLOSING, PASS_TYPE, "enableAccount"],
}
PROFILES = {name: {"methods": "all", "steps": steps, "registrationWindow": "accepted"} for name, steps in STEPS.items()}
WANTED = {"disable_account", "revoke_sessions", "remove_method", "change_default_method"}


@dataclass(frozen=True)
class Ending:
    """How a request has to end, and what it may change on the way."""

    steps: tuple[str, ...] = CLOSING
    status: Status = Status.COMPLETED
    enabled: bool = False
    passes: int = 0
    kept: int = 0  # methods
    starts: int = 1  # counted against hourly limits
    wanted: set[str] = field(default_factory=lambda: WANTED)


ENDINGS = {
    "message": (Case("compromised", USER), Ending()),
    "call": (Case("compromised", USER, NAMED), Ending()),
    "instead": (
        Case("compromised", USER, NAMED, administrator=True),
        Ending(status=Status.REFUSED, kept=3, starts=2, wanted={"disable_account", "revoke_sessions"}),
    ),
    "letIn": (
        Case("letIn", USER, NAMED),
        Ending((*CLOSING, "enableAccount"), enabled=True, wanted=WANTED | {"enable_account"}),
    ),
    "pass": (
        Case("pass", USER, NAMED),
        Ending((*CLOSING, PASS_TYPE), passes=1, wanted=WANTED | {"create_pass"}),
    ),
    "passAndLetIn": (
        Case("passAndLetIn", USER, NAMED),
        Ending(
            (*CLOSING, PASS_TYPE, "enableAccount"),
            enabled=True,
            passes=1,
            wanted=WANTED | {"create_pass", "enable_account"},
        ),
    ),
}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Give what runs are played on."""
    policy = policy_with(
        profiles=POLICY["profiles"] | PROFILES,
        callers=POLICY["callers"] | {NAMED: ["compromised", *PROFILES]},
        privileged={"instead": list(CLOSING)},
        limits={"resetsPerHour": 9999, "privilegedPerHour": 9999},
    )
    async with open_site(tmp_path, policy) as site:
        yield site


@pytest.mark.long
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("name", list(ENDINGS))
async def test_request_when_interrupted_at_a_write_then_ended_once_by_another(
    site: Site, name: str, kind: Kind
) -> None:
    """At one of its writes after the other; told is which one, by its place and name."""
    case, ending = ENDINGS[name]
    async with site.run(case) as run:
        await run.play()
        writes = run.first.writes
        assert await complaints(run, ending) == []
    found = {}
    for at in places(writes, kind) if name != "message" else range(len(writes)):
        if writes[at].area == "vault" and kind in {Kind.FAIL_BEFORE, Kind.FAIL_AFTER}:
            continue  # then the pass is deleted again, and the step has failed
        async with site.run(case) as run:
            await run.play(kind, at)
            assert run.first.writes[: at + 1] == writes[: at + 1]
            if wrong := await complaints(run, ending):
                found[f"{at} {writes[at]}"] = wrong
    assert found == {}


def places(writes: list[Write], kind: Kind) -> list[int]:
    """Return which writes are interrupted: every one, or a third of those from the last before the first change on."""
    if EVERY_WRITE:  # but for the first: what is accepted again after a refusal is another run
        return list(range(1, len(writes)))
    changed = next(at for at, write in enumerate(writes) if write.area == "directory")
    return list(range(changed - 1 + list(Kind).index(kind) % 3, len(writes), 3))


async def complaints(run: Run, ending: Ending) -> list[str]:
    """Say what is not as it must be, however the request came to its end."""
    row = await run.row()
    assert row
    assert row.outcome
    user, outcome, told = run.site.tenant.directory.users[run.user_id], row.outcome, run.told()
    changed = run.changes_of(run.first) + run.changes_of(run.second)
    after_stall = run.changes_of(run.first, run.writes_after_stall) if run.writes_after_stall is not None else []
    marks = [await run.ledgers[1].recall(run.user_id, mark) for mark in (DISABLED_BY_US, ENABLED_BY_US)]
    noted = await run.ledgers[1].recall(run.user_id, SWITCHED_WITHOUT_CLAIM)
    gone = [line.result for line in outcome.methods if line.type != PASS_TYPE]
    reset = ending.status is Status.COMPLETED
    # A pass that was made late took the place of the one that was told: it is deleted, with an alert.
    late = run.writes_after_stall is not None and "create_pass" in after_stall
    passes = ([True] * ending.passes, []) if late else ([True] * ending.passes,)
    holds = {
        "ended as it must": (outcome.status, outcome.verified) == (ending.status, reset),
        "reported": row.reported,
        "no row left open": await run.open_rows() == (),
        "told as one outcome": bool(told) and all(one == told[0] for one in told if reset),
        "told as it ended": told[0]["status"] == ending.status,
        "nothing rejected": all(copy.correlation_id != run.key.request_id for copy in run.site.bus.peek("rejected")),
        "methods": len([one for one in user.registered if one.type != PASS_TYPE]) == ending.kept,
        "every method told as deleted": gone == ["deleted"] * (3 - ending.kept),
        "account": user.properties.get("accountEnabled", True) is ending.enabled,
        "the ledger knows who disabled it": [mark is not None for mark in marks]
        == [not ending.enabled, ending.enabled],
        "nothing left to set right": noted is None,
        "every step told": sorted(line.step for line in outcome.steps) == sorted(ending.steps),
        "every step told as done": all(is_done(line.result, line.detail) for line in outcome.steps),
        "nothing else changed": set(changed) <= ending.wanted,
        "counted": ending.starts <= run.counted <= 2 * ending.starts,
        "one pass, with its code in the vault": passes_of(run, outcome) in passes,
        "a stalled worker makes one change at most": len(after_stall) <= 1,
    }
    return [what for what, is_so in holds.items() if not is_so] + sorted(run.wrong)


def is_done(result: str, detail: str | None) -> bool:
    """Whether a step is told as done, be it by an earlier try."""
    return result == "done" or (detail or "").startswith("passMadeBefore: Key Vault secret ")


def passes_of(run: Run, outcome: Outcome) -> list[bool]:
    """Tell of each pass that the user has whether the secret that the outcome names holds its code."""
    told = [(line.detail or "").rpartition(" ")[2] for line in outcome.steps if line.step == PASS_TYPE]
    codes = [run.site.vault.secrets[name][-1].value for name in told if name in run.site.vault.secrets]
    passes = [one for one in run.site.tenant.directory.users[run.user_id].registered if one.type == PASS_TYPE]
    return [codes == [run.codes.get(MethodId(one.id))] for one in passes]
