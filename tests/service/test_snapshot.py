"""The snapshot of what leads to privilege: one reading for everybody, fresh, and whole or none."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sandbox.tenant import Fault, Group, GroupEligibility, Tenant
from shared.errors import OperatorError, PrivilegeUnknownError, TokenError
from shared.graph import GraphDirectory
from shared.model import ReferenceKind, Subject, User, UserReference
from shared.vocabulary import GroupId
from tests.clocks import FakeClock
from tests.service.graph_script import Asked, Credential, Reply, page, scene
from tests.service.stage import CASEY, DEVON, START, TenantCredential
from tests.service.test_directory_subject import AVERY

PLATFORM = "20000000-0000-4000-8000-000000000010"
TIER_0 = "20000000-0000-4000-8000-000000000005"
LIST = "isAssignableToRole eq true"


class Here:
    """A tenant, a directory on it, and two ordinary users."""

    def __init__(self, tenant: Tenant, clock: FakeClock, directory: GraphDirectory) -> None:
        self.tenant = tenant
        self.clock = clock
        self.directory = directory

    async def user(self, user_id: str = CASEY) -> User:
        """Read a user."""
        found = await self.directory.find_user(UserReference(ReferenceKind.OBJECT_ID, user_id))
        assert found
        return found

    async def subject(self, user_id: str = CASEY, *named: str) -> Subject:
        """Read what the guard judges."""
        return await self.directory.read_subject(await self.user(user_id), tuple(map(GroupId, named)))

    def readings(self) -> int:
        """Count how often the tenant was read."""
        return sum(LIST in call.path for call in self.tenant.calls)


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    """Open a directory on a tenant."""
    clock = FakeClock(START)
    async with Tenant(now=clock.now, sleep=clock.sleep) as tenant:
        directory = GraphDirectory(tenant.url, None, clock, credential_factory=lambda: TenantCredential(tenant))
        yield Here(tenant, clock, directory)
        await directory.close()


async def test_snapshot_when_two_requests_need_it_at_once_then_it_is_read_once(here: Here) -> None:
    """Twenty at once too."""
    users = [await here.user(each) for each in (CASEY, DEVON)] * 10
    await asyncio.gather(*(here.directory.read_subject(user, ()) for user in users))
    assert here.readings() == 1


@pytest.mark.parametrize(("seconds", "readings"), [(60, 1), (61, 2)])
async def test_snapshot_when_it_is_older_than_60_seconds_then_it_is_read_again(
    here: Here, seconds: float, readings: int
) -> None:
    """What has led to privilege since counts then."""
    assert (await here.subject(DEVON)).groups == ()
    here.tenant.directory.groups[PLATFORM].owners.append(DEVON)
    here.clock.advance(seconds)
    assert bool((await here.subject(DEVON)).groups) is (readings == 2)
    assert here.readings() == readings


async def test_snapshot_when_the_reading_lasts_then_its_age_counts_from_its_beginning(here: Here) -> None:
    """What changed while it was read may not be in it."""
    here.tenant.add_fault(Fault(path="/owners", delay_seconds=40))
    await here.subject()
    here.clock.advance(15)
    await here.subject()
    assert here.readings() == 1
    here.clock.advance(6)
    await here.subject()
    assert here.readings() == 2


async def test_snapshot_when_the_policy_names_other_groups_then_it_is_read_for_them(here: Here) -> None:
    """Whether they are there is a part of it."""
    for named in ((), (PLATFORM,), (PLATFORM,)):
        await here.subject(CASEY, *named)
    assert here.readings() == 2


@pytest.mark.parametrize("path", [LIST, "/owners", "groupId eq", "transitiveMembers", r"roleAssignments\?\$expand"])
async def test_snapshot_when_it_cannot_be_read_whole_then_nobody_is_judged_and_the_next_one_tries_again(
    here: Here, path: str
) -> None:
    """A failure is nobody's but those who waited for it."""
    here.tenant.add_fault(Fault(path=path, status=500, times=None))
    user = await here.user()
    found = await asyncio.gather(*(here.directory.read_subject(user, ()) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in found] == [PrivilegeUnknownError] * 3
    assert [each.cause for each in found if isinstance(each, PrivilegeUnknownError)] == ["InternalServerError"] * 3
    here.tenant.clear_faults()
    assert (await here.subject()).groups == ()
    assert here.readings() == 2 + 4 * (path == LIST)


async def test_snapshot_when_one_who_waits_is_cancelled_then_the_others_get_it() -> None:
    """So does the next one, when all are."""
    came, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Credential):
        async def get_token(self, *scopes: str, claims: str | None = None, **_: object):  # type: ignore[no-untyped-def] # noqa: ANN202 - as the base
            came.set()
            await go_on.wait()
            return await super().get_token(*scopes, claims=claims)

    async with scene(lambda _: page(), Slow()) as here:
        first, second = (asyncio.create_task(here.directory.read_subject(AVERY, ())) for _ in range(2))
        await came.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go_on.set()
        assert (await second).groups == ()
        assert sum("/groups?" in address for address in here.addresses) == 1


async def test_snapshot_when_it_takes_too_long_then_it_is_unknown() -> None:
    """One that took longer than it is good for would be too old."""

    def answer(asked: Asked) -> Reply:
        return Reply(hang=True) if "/groups?" in asked.address else page()

    async with scene(answer) as here:
        directory = GraphDirectory(
            here.graph.url, None, here.clock, credential_factory=Credential().make, snapshot_seconds=0.05
        )
        with pytest.raises(PrivilegeUnknownError) as caught:
            await directory.read_subject(AVERY, ())
        assert caught.value.cause == "tooSlow"
        await directory.close()


async def test_snapshot_when_the_directory_is_closed_then_a_reading_under_way_ends() -> None:
    """And one that failed is not complained of."""
    asked = asyncio.Event()

    def answer(_: Asked) -> Reply:
        asked.set()
        return Reply(hang=True)

    async with scene(answer) as here:
        waiting = asyncio.create_task(here.directory.read_subject(AVERY, ()))
        await asked.wait()
        await here.directory.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_snapshot_when_there_is_no_token_then_its_own_error() -> None:
    """That concerns every call."""
    async with scene(lambda _: page(), Credential(RuntimeError())) as here:
        with pytest.raises(TokenError):
            await here.directory.read_subject(AVERY, ())


async def test_snapshot_when_more_groups_lead_to_privilege_than_are_followed_then_an_operator_has_to_act(
    here: Here,
) -> None:
    """Rather nobody is reset than somebody of whom nothing is known."""
    directory = here.tenant.directory
    directory.group_eligibilities.append(GroupEligibility("x", PLATFORM, TIER_0))
    for number in range(1_000):
        group_id = f"21000000-0000-4000-8000-{number:012}"
        directory.groups[group_id] = Group(group_id, "Nested")
        directory.groups[PLATFORM].members.append(group_id)
    with pytest.raises(OperatorError) as caught:
        await here.subject()
    assert caught.value.code == "tooManyPrivilegedGroups"
