"""What readiness says of a tenant's grants is what the tenant then allows."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from sandbox.tenant import Fault
from shared.catalogue import BROAD_READ_ROLE, BROAD_WRITE_ROLE, BY_TYPE
from shared.errors import BadRequestError, NotFoundError, NotPermittedError, TokenError
from shared.graph import GraphDirectory
from shared.model import Method, Presence, ReferenceKind, UserReference
from shared.permissions import Fact
from shared.readiness import check_readiness, judge_readiness, readiness_document
from shared.vocabulary import GroupId, MethodId, MethodType, Removal, StepName, UserId
from tests.service.stage import BREAK_GLASS, CASEY, NEVER_RESET, Stage, TenantCredential, policy_with

EVERYTHING = policy_with(
    profiles={
        "everything": {
            "methods": "all",
            "steps": [
                "disableAccount",
                "revokeSessions",
                "confirmCompromised",
                "resetPassword",
                "perUserMfa:enforced",
            ],
        }
    },
    defaultProfiles={"request": "everything", "alert": "everything"},
    callers={"queue": ["everything"]},
    privileged={"instead": ["revokeSessions"]},
)
SHORTEST = judge_readiness(EVERYTHING, ()).missing
USER = UserId(CASEY)
CONTAINED = GroupId("20000000-0000-4000-8000-000000000008")
REFERENCE = UserReference(ReferenceKind.OBJECT_ID, CASEY)


class RememberingCredential(TenantCredential):
    """As the managed identity's: a token is kept, with the roles that it was issued with."""

    token: AccessToken | None = None

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - azure-core's signature
        """Ask once."""
        self.token = self.token or await super().get_token(*scopes, **options)
        return self.token


@pytest.fixture
async def directory(stage: Stage) -> AsyncIterator[GraphDirectory]:
    """Give a directory whose token is that of its first call."""
    directory = GraphDirectory(
        stage.tenant.url, None, stage.clock, credential_factory=lambda: RememberingCredential(stage.tenant)
    )
    yield directory
    await directory.close()


async def is_allowed(work: Awaitable[object]) -> bool:
    """Try something; whoever is told that it is not there, or makes no sense, was allowed to ask."""
    try:
        await work
    except NotPermittedError:
        return False
    except (NotFoundError, BadRequestError):
        return True
    return True


async def are_facts_known(directory: GraphDirectory) -> bool:
    """Try to read all that the guard judges, and whether the user's domain is federated."""
    try:
        user = await directory.find_user(REFERENCE)
        assert user
        await directory.read_subject(user, ())
    except NotPermittedError:
        return False
    return (await directory.read_sign_in(user)).federated is not None


async def allowed_removals(directory: GraphDirectory) -> set[MethodType]:
    """Try to remove a method of each type that is not there."""
    nothing = MethodId("00000000-0000-4000-8000-000000000000")
    return {
        kind.type
        for kind in BY_TYPE.values()
        if await is_allowed(directory.remove_method(USER, Method(kind.type, kind.odata_type, nothing), Removal.DELETE))
    }


async def allowed_steps(directory: GraphDirectory) -> set[StepName]:
    """Try each step of the policy."""
    steps: dict[StepName, Callable[[], Awaitable[None]]] = {
        StepName.REVOKE_SESSIONS: lambda: directory.revoke_sessions(USER),
        StepName.CONFIRM_COMPROMISED: lambda: directory.confirm_compromised(USER),
        StepName.RESET_PASSWORD: lambda: directory.set_password(USER, "Correct-Horse-7-Battery"),
        StepName.PER_USER_MFA: lambda: directory.set_per_user_mfa(USER, "enforced"),
        StepName.DISABLE_ACCOUNT: lambda: directory.disable_account(USER),
    }
    return {step for step, take in steps.items() if await is_allowed(take())}


@pytest.mark.parametrize("taken", [None, *SHORTEST])
async def test_readiness_when_a_role_of_the_shortest_list_is_taken_away_then_the_tenant_refuses_what_it_names(
    stage: Stage, directory: GraphDirectory, taken: str | None
) -> None:
    """With the whole list all is allowed; without one role exactly what is said of it is not."""
    stage.tenant.roles = set(SHORTEST) - {taken}
    found = await check_readiness(EVERYTHING, directory)
    assert found.missing == ((taken,) if taken else ())
    assert await are_facts_known(directory) is not any(one.missing for one in found.facts if one.required)
    assert await allowed_removals(directory) == {one.type for one in found.method_types if one.can_remove}
    assert await allowed_steps(directory) == {one.step for one in found.steps if not one.missing}
    listing = await directory.list_methods(USER)
    assert set(listing.not_permitted) == {one.type for one in found.method_types if not one.can_list}
    assert listing.every_type is found.lists_every_type is False


async def test_readiness_when_a_group_contains_then_adding_to_it_needs_a_role_besides_the_one_that_reads(
    stage: Stage,
) -> None:
    """Microsoft documents of none that it does both: what checks memberships is not said to change them."""
    steps = [f"containmentGroup:{CONTAINED}"]
    profiles = {"contain": {"methods": "none", "steps": steps}}
    default = {"request": "contain", "alert": "contain"}
    policy = policy_with(profiles=profiles, defaultProfiles=default, callers={"queue": ["contain"]}, never={})
    reads, adds = "GroupMember.Read.All", "GroupMember.ReadWrite.All"
    for granted, missing in (({adds}, (reads,)), ({reads}, (adds,)), ({reads, adds}, ())):
        stage.tenant.roles = (set(SHORTEST) - {reads}) | granted
        assert (await check_readiness(policy, stage.directory)).missing == missing
        assert await are_facts_known(stage.directory) is (reads in granted)
        assert await is_allowed(stage.directory.add_to_group(USER, CONTAINED)) is (adds in granted)


async def test_readiness_when_only_the_broad_roles_are_granted_then_they_list_and_remove_every_type(
    stage: Stage,
) -> None:
    """The one that reads removes nothing."""
    for role, removes in ((BROAD_READ_ROLE, False), (BROAD_WRITE_ROLE, True)):
        stage.tenant.roles = {role}
        found = await check_readiness(EVERYTHING, stage.directory)
        assert all((one.can_list, one.can_remove) == (True, removes) for one in found.method_types)
        assert (await stage.directory.list_methods(USER)).every_type is found.lists_every_type is True
        assert await allowed_removals(stage.directory) == (set(MethodType) if removes else set())
        changed = await is_allowed(stage.directory.change_default_method(USER, "push"))
        assert changed is found.can_change_default_method is removes


async def test_readiness_when_the_domain_may_not_be_read_then_the_answer_stays_open(stage: Stage) -> None:
    """It is required where a password is reset, and advised elsewhere."""
    stage.tenant.roles -= {"Domain.Read.All"}
    required = await check_readiness(EVERYTHING, stage.directory)
    advised = await check_readiness(stage.policy, stage.directory)
    assert (required.missing, required.advised) == (("Domain.Read.All",), ())
    assert (advised.missing, advised.advised) == ((), ("Domain.Read.All",))
    assert [one.fact for one in advised.facts if one.missing] == [Fact.FEDERATED_SIGN_IN]
    user = await stage.directory.find_user(REFERENCE)
    assert user
    assert (await stage.directory.read_sign_in(user)).federated is None


async def test_readiness_when_there_is_no_token_then_token_error(stage: Stage) -> None:
    """Nothing is said of rights that nobody knows."""
    stage.tenant.add_fault(Fault(path="/msi/token", times=None, status=500))
    with pytest.raises(TokenError):
        await check_readiness(stage.policy, stage.directory)


# --- Whom the policy never touches --------------------------------------------------------------------------------

NOBODY = "10000000-0000-4000-8000-0000000000ff"


async def test_readiness_when_everybody_on_the_never_list_is_there_then_ready_in_few_calls(stage: Stage) -> None:
    """A monitor may ask as often as it likes: twenty ids a call."""
    users = [BREAK_GLASS, *(f"10000000-0000-4000-8000-0000000000{number:02}" for number in range(1, 12))]
    groups = [f"20000000-0000-4000-8000-0000000000{number:02}" for number in range(1, 13) if number != 7]
    found = await check_readiness(policy_with(never={"users": users, "groups": groups}), stage.directory)
    assert (found.ready, found.never) == (True, ())
    assert [call.path for call in stage.tenant.calls if not call.in_batch] == ["/v1.0/$batch"] * 2


async def test_readiness_when_an_id_on_the_never_list_protects_nobody_then_it_is_named(stage: Stage) -> None:
    """By its path, with the id and what is wrong: missing, of the other kind, hidden from us."""
    stage.tenant.directory.groups[CONTAINED].hidden = True
    never = {"users": [BREAK_GLASS, NOBODY, NEVER_RESET], "groups": [CONTAINED, BREAK_GLASS, NOBODY, NEVER_RESET]}
    document = readiness_document(await check_readiness(policy_with(never=never), stage.directory))
    named: Any = document["never"]
    assert [(one["path"], one["id"], one["problem"]) for one in named] == [
        ("never.users[1]", NOBODY, "missing"),
        ("never.users[2]", NEVER_RESET, "otherKind"),
        ("never.groups[0]", CONTAINED, "hidden"),
        ("never.groups[1]", BREAK_GLASS, "otherKind"),
        ("never.groups[2]", NOBODY, "missing"),
    ]
    assert all(one["text"].endswith(".") for one in named)
    assert (document["ready"], document["missing"], document["note"]) == (False, [], None)
    stage.tenant.roles.add("Member.Read.Hidden")
    readable = await check_readiness(policy_with(never={"users": [], "groups": [CONTAINED]}), stage.directory)
    assert readable.ready


@pytest.mark.parametrize("path", [r"\$batch", "/users/", r"/groups/.*\?\$select"])
@pytest.mark.parametrize("status", [400, 403, 429, 500])
async def test_readiness_when_the_never_list_cannot_be_looked_up_then_unknown_and_not_ready(
    stage: Stage, path: str, status: int
) -> None:
    """A call that fails says nothing good."""
    stage.tenant.add_fault(Fault(path=path, status=status, times=None))
    found = await check_readiness(stage.policy, stage.directory)
    assert not found.ready
    assert {one.presence for one in found.never} == {Presence.UNKNOWN}


async def test_readiness_when_the_never_list_is_empty_then_microsoft_graph_is_not_asked(stage: Stage) -> None:
    """The token says it all."""
    assert (await check_readiness(policy_with(never={}), stage.directory)).ready
    assert stage.tenant.calls == []
