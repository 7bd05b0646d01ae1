"""How many readings are put into few calls, each judged, repeated and paged by itself."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import PrivilegeUnknownError, TokenError
from shared.model import Group, Presence
from shared.vocabulary import GroupId, UserId
from tests.service.graph_script import UNPACK, Asked, Credential, Reply, Scene, page, refusal, scene
from tests.service.test_directory_subject import AVERY, group

IDS = tuple(GroupId(f"20000000-0000-4000-8000-{number:012}") for number in range(1, 51))
USERS = tuple(UserId(f"10000000-0000-4000-8000-{number:012}") for number in range(1, 51))


def tenant_of(ids: tuple[GroupId, ...], say: Callable[[Asked], Reply | None]) -> Callable[[Asked], Reply]:
    """Answer as a tenant with these role-assignable groups does, but where `say` says something else."""

    def answer(asked: Asked) -> Reply:
        if (said := say(asked)) is not None:
            return said
        if asked.address.endswith("/$batch"):
            return UNPACK
        return page(*(group(each, assignable=True) for each in ids)) if "/groups?" in asked.address else page()

    return answer


async def read(here: Scene) -> tuple[Group, ...]:
    """Read a user's groups."""
    return (await here.directory.read_subject(AVERY, ())).groups


async def test_batches_when_there_are_many_groups_then_twenty_at_a_time() -> None:
    """50 groups: owners in three batches, eligibilities in one call and three batches, the user's in one."""
    async with scene(tenant_of(IDS, lambda _: None)) as here:
        assert await read(here) == ()
        assert sorted(here.graph.batches) == [3, 9, 10, 20, 20, 20, 20]
        for mark, times in (("/owners", 50), ("groupId", 50), ("check", 3)):
            assert (
                len({asked.address + str(asked.body) for asked in here.graph.asked if mark in asked.address}) == times
            )


async def test_batches_when_parts_are_throttled_then_they_are_asked_again_after_the_longest_wait() -> None:
    """Each has a Retry-After of its own; what was answered is not asked again."""
    times: dict[str, int] = {}

    def say(asked: Asked) -> Reply | None:
        if "/owners" not in asked.address:
            return None
        times[asked.address] = times.get(asked.address, 0) + 1
        wait = {IDS[1]: "3", IDS[2]: "7"}.get(GroupId(asked.address.split("/")[3]))
        return refusal(429, retry_after=wait) if wait and times[asked.address] == 1 else None

    async with scene(tenant_of(IDS[:4], say)) as here:
        await read(here)
        assert here.clock.slept == [7.0]
        assert sorted(times.values()) == [1, 1, 2, 2]
        reported = [(report.status, report.attempt) for report in here.reports if report.operation == "listOwners"]
        assert sorted(reported) == [(200, 1), (200, 1), (200, 2), (200, 2), (429, 1), (429, 1)]


@pytest.mark.parametrize(("status", "cause"), [(429, "TooManyRequests"), (503, "Unavailable"), (403, None)])
async def test_batches_when_a_part_fails_for_good_then_the_whole_is_unknown(status: int, cause: str | None) -> None:
    """The batch itself was answered 200; one part of 50 that cannot be read is a group that nobody knows."""

    def say(asked: Asked) -> Reply | None:
        return refusal(status, str(cause), retry_after="1") if f"{IDS[30]}/owners" in asked.address else None

    async with scene(tenant_of(IDS, say)) as here:
        if cause:
            with pytest.raises(PrivilegeUnknownError) as caught:
                await read(here)
            assert caught.value.cause == cause
        else:
            with pytest.raises(Exception, match="may not"):
                await read(here)


async def test_batches_when_a_wait_is_too_long_then_it_is_not_waited_for() -> None:
    """20 s are what a call of the port may spend."""

    def say(asked: Asked) -> Reply | None:
        return refusal(429, retry_after="21") if f"{IDS[1]}/owners" in asked.address else None

    async with scene(tenant_of(IDS[:2], say)) as here:
        with pytest.raises(PrivilegeUnknownError):
            await read(here)
        assert here.clock.slept == []


async def test_batches_when_the_batch_itself_is_throttled_then_it_is_asked_again() -> None:
    """A POST, but of readings only."""
    refused: list[int] = []

    def say(asked: Asked) -> Reply | None:
        if asked.address.endswith("/$batch") and len(refused) < 2:
            refused.append(1)
            return refusal(429, retry_after="2")
        return None

    async with scene(tenant_of(IDS[:2], say)) as here:
        assert await read(here) == ()
        assert here.clock.slept
        assert set(here.clock.slept) == {2.0}


async def test_batches_when_a_part_has_pages_then_each_is_read_to_its_end() -> None:
    """The second page comes by a call of its own."""

    def say(asked: Asked) -> Reply | None:
        if "skiptoken" in asked.address:
            return page({"id": AVERY.id})
        if f"{IDS[1]}/owners" in asked.address:
            return page({"id": USERS[9]}, link=f"{here.graph.url}/v1.0/groups/{IDS[1]}/owners?$skiptoken=1")
        return None

    async with scene(tenant_of(IDS[:3], say)) as here:
        assert await read(here) == (Group(IDS[1], role_assignable=True, owner=True),)


@pytest.mark.parametrize(
    "responses",
    [
        None,
        {},
        [],
        [None],
        [{"id": "0", "status": 200, "body": {"value": []}}],
        [{"id": "0", "status": 200, "body": {"value": []}}] * 2,
        [{"id": str(number), "status": 200, "body": {"value": []}} for number in (0, 1, 2)],
        [{"id": str(number), "status": 200, "body": {"value": []}} for number in (0, 2)],
        [{"id": number, "status": 200, "body": {"value": []}} for number in (0, 1)],
        [{"id": str(number), "status": "200", "body": {"value": []}} for number in (0, 1)],
        [{"id": "0", "status": 200, "body": {"value": []}}, {"id": "1", "status": 200}],
    ],
)
async def test_batches_when_a_part_has_no_answer_then_the_whole_is_unknown(responses: Any) -> None:  # noqa: ANN401 - JSON
    """Exactly one for each; a part without a body is no empty list."""

    def say(asked: Asked) -> Reply | None:
        return Reply(body={"responses": responses}) if asked.address.endswith("/$batch") else None

    async with scene(tenant_of(IDS[:2], say)) as here:
        with pytest.raises(PrivilegeUnknownError):
            await read(here)


async def test_batches_when_a_part_has_headers_of_any_shape_then_they_are_none() -> None:
    """What is no header is left out."""
    body: dict[str, Any] = {"value": []}
    parts = [
        {"id": "1", "status": 200, "headers": None, "body": body},
        {"id": "0", "status": 200, "headers": {"A": 1}, "body": body},
    ]

    def say(asked: Asked) -> Reply | None:
        return Reply(body={"responses": parts}) if asked.address.endswith("/$batch") else None

    async with scene(tenant_of(IDS[:2], say)) as here:
        assert await read(here) == ()


# --- Whom the policy names ------------------------------------------------------------------------------------------


def named_tenant(asked: Asked) -> Reply | None:
    """Answer for two users, a group, one with hidden members, one that may not be read, and one that fails."""
    if asked.address.endswith("/$batch"):
        return UNPACK
    there: dict[str, dict[str, Any]] = {
        f"/v1.0/users/{USERS[0]}?": {"id": USERS[0]},
        f"/v1.0/users/{USERS[1]}?": {"id": USERS[2]},
        f"/v1.0/groups/{IDS[0]}?": group(IDS[0]),
        f"/v1.0/groups/{IDS[1]}?": group(IDS[1], visibility="HiddenMembership"),
        f"/v1.0/groups/{IDS[2]}?": {"id": IDS[2], "displayName": None},
    }
    for start, entity in there.items():
        if asked.address.startswith(start):
            return Reply(body=entity)
    return refusal(500) if IDS[3] in asked.address else refusal(404)


async def test_named_when_looked_up_then_each_is_told_in_its_place() -> None:
    """What is no user may be a group, and the other way round; what fails is unknown."""
    users = (USERS[0], USERS[1], USERS[5], UserId(IDS[0]), UserId(IDS[3]))
    groups = (IDS[0], IDS[1], IDS[2], IDS[3], IDS[6], GroupId(USERS[0]))
    async with scene(tenant_of((), named_tenant), NoRoles()) as here:
        found = await here.directory.look_up_named(users, groups)
        assert found.users == (
            Presence.FOUND,
            Presence.UNKNOWN,
            Presence.MISSING,
            Presence.OTHER_KIND,
            Presence.UNKNOWN,
        )
        assert found.groups == (
            Presence.FOUND,
            Presence.HIDDEN,
            Presence.HIDDEN,
            Presence.UNKNOWN,
            Presence.MISSING,
            Presence.OTHER_KIND,
        )


async def test_named_when_the_batch_fails_then_all_are_unknown() -> None:
    """Nothing is fine that was not read."""
    async with scene(lambda _: refusal(403), NoRoles()) as here:
        found = await here.directory.look_up_named(USERS[:2], IDS[:1])
        assert {*found.users, *found.groups} == {Presence.UNKNOWN}
        assert await here.directory.look_up_named((), ()) == type(found)((), ())


async def test_named_when_there_is_no_token_then_token_error() -> None:
    """Nothing can be said then."""
    async with scene(lambda _: page(), Credential()) as here:
        with pytest.raises(TokenError):
            await here.directory.look_up_named(USERS[:1], ())


class NoRoles(Credential):
    """Gives out a token that grants nothing."""

    async def get_token(self, *scopes: str, claims: str | None = None, **_: object) -> Any:  # noqa: ANN401 - azure-core's
        """Return a token that can be read."""
        token = await super().get_token(*scopes, claims=claims)
        return token._replace(token="e30.eyJyb2xlcyI6W119.x")
