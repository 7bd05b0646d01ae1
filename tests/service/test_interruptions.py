"""What happens between any two writes of a reset: a kill, a failure, a lost claim. Another worker ends it, once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.tenant import method as a_method
from shared.vocabulary import Status
from tests.service.interruptions import Kind, Run, Site, open_site
from tests.service.stage import policy_with

METHODS = (
    a_method("phone", "3179e48a-750b-4051-897c-87b9720928f7", phoneNumber="+1 2065550100", phoneType="mobile"),
    a_method("softwareOath", "software-1"),
    a_method("fido2", "key-1"),
)
USER = {"authentication": {"methods": [method.properties for method in METHODS]}}
WANTED = {"disable_account", "revoke_sessions", "remove_method", "change_default_method"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Give what runs are played on."""
    async with open_site(tmp_path, policy_with()) as site:
        yield site


@pytest.mark.long
@pytest.mark.parametrize("kind", list(Kind))
async def test_reset_when_interrupted_at_any_write_then_ended_once_by_another(site: Site, kind: Kind) -> None:
    """At each of its writes in turn; told is which one, by its place and name."""
    async with site.run(USER, "compromised") as run:
        await run.play()
        writes = run.first.writes
        assert await complaints(run) == []
    found = {}
    for at, write in enumerate(writes):
        async with site.run(USER, "compromised") as run:
            await run.play(kind, at)
            assert run.first.writes[: at + 1] == writes[: at + 1]
            if wrong := await complaints(run):
                found[f"{at} {write}"] = wrong
    assert found == {}


async def complaints(run: Run) -> list[str]:
    """Say what is not as it must be, however the request came to its end."""
    row = await run.row()
    assert row
    assert row.outcome
    user, outcome, told = run.site.tenant.directory.users[run.user_id], row.outcome, run.told()
    done = {"disableAccount": "done", "revokeSessions": "done"}
    changed = run.changes_of(run.first) + run.changes_of(run.second)
    after_stall = run.changes_of(run.first, run.writes_after_stall) if run.writes_after_stall is not None else []
    holds = {
        "completed and verified": (outcome.status, outcome.verified) == (Status.COMPLETED, True),
        "reported": row.reported,
        "told as one outcome": bool(told) and all(one == told[0] for one in told),
        "told as completed": told[0]["status"] == "completed",
        "nothing rejected": all(copy.correlation_id != run.key.request_id for copy in run.site.bus.peek("rejected")),
        "no method left": not user.registered,
        "account disabled": user.properties["accountEnabled"] is False,
        "every method told as deleted": [line.result for line in outcome.methods] == ["deleted"] * 3,
        "every step told as done": {line.step: line.result for line in outcome.steps} == done,
        "nothing else changed": set(changed) <= WANTED,
        "a stalled worker makes one change at most": len(after_stall) <= 1,
    }
    return [what for what, is_so in holds.items() if not is_so]
