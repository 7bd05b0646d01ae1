"""The directory against a whole tenant: every user, method and role of the sandbox."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import pytest

from sandbox.tenant import Fault, Tenant, load_directory
from shared.catalogue import ALTERNATE_MOBILE, KINDS, MOBILE, MethodKind
from shared.errors import BadRequestError, NotFoundError, NotPermittedError, OperatorError, RefusedAsDefaultError
from shared.graph import GraphDirectory
from shared.model import Method, ReferenceKind, RoleHolding, User, UserReference
from shared.ports import Directory
from shared.vocabulary import GroupId, MethodType, Removal, RoleId, UserId
from tests.service.graph_script import RecordingClock, TenantCredential


def user_id(number: int) -> UserId:
    """Return the id of a user of the sandbox's directory."""
    return UserId(f"10000000-0000-4000-8000-0000000000{number:02}")


def group_id(number: int) -> GroupId:
    """Return the id of a group of the sandbox's directory."""
    return GroupId(f"20000000-0000-4000-8000-0000000000{number:02}")


AVERY, BLAIR, CASEY, DEVON, EMERY, FINLEY, GRAY, HARPER = (user_id(number) for number in range(1, 9))
EMERGENCY, NOEL, OAKLEY, PARKER, REESE, UMA, RORY = (user_id(number) for number in (12, 14, 15, 16, 18, 21, 22))


@dataclass(frozen=True)
class Scene:
    """A tenant and a directory on it."""

    tenant: Tenant
    directory: Directory

    async def user(self, reference: UserId) -> User:
        """Read a user who is there."""
        found = await self.directory.find_user(UserReference(ReferenceKind.OBJECT_ID, reference))
        assert found is not None
        return found

    async def methods(self, reference: UserId) -> dict[str, Method]:
        """Read a user's methods, by id."""
        return {method.id: method for method in (await self.directory.list_methods(reference)).methods}


@pytest.fixture
async def here() -> AsyncIterator[Scene]:
    """Open a directory on a tenant, with the same clock that waits for nobody."""
    clock = RecordingClock()
    async with Tenant(now=clock.now, sleep=clock.sleep) as tenant:
        directory = GraphDirectory(tenant.url, None, clock, credential_factory=lambda: TenantCredential(tenant))
        try:
            yield Scene(tenant, directory)
        finally:
            await directory.close()


async def test_find_user_when_in_tenant_then_by_id_and_by_name(here: Scene) -> None:
    """Every user of the tenant is found in both ways, guests and apostrophes included."""
    for expected, account in here.tenant.directory.users.items():
        name = str(account.properties["userPrincipalName"]).lower()
        by_name = await here.directory.find_user(UserReference(ReferenceKind.USER_PRINCIPAL_NAME, name))
        assert by_name == await here.user(UserId(expected))
        assert by_name.id == expected


async def test_find_user_when_read_then_facts(here: Scene) -> None:
    """A guest, a synchronised user and one under restricted management look like it."""
    assert (await here.user(DEVON)).is_guest
    assert (await here.user(EMERY)).on_premises_synced
    assert not (await here.user(AVERY)).on_premises_synced
    restricted = [number for number in range(1, 24) if (await here.user(user_id(number))).management_restricted]
    assert restricted == [10]


async def test_find_user_when_by_sid_then_found(here: Scene) -> None:
    """The on-premises security identifier, in lower case as requests carry it."""
    reference = UserReference(ReferenceKind.SECURITY_IDENTIFIER, "s-1-5-21-1004336348-1177238915-682003330-1105")
    found = await here.directory.find_user(reference)
    assert found is not None
    assert found.id == EMERY


async def test_find_user_when_unknown_then_none(here: Scene) -> None:
    """Nobody is nobody, in each way."""
    for kind, value in (
        (ReferenceKind.OBJECT_ID, "10000000-0000-4000-8000-0000000000ff"),
        (ReferenceKind.USER_PRINCIPAL_NAME, "nobody@contoso.example"),
        (ReferenceKind.SECURITY_IDENTIFIER, "s-1-5-21-1"),
    ):
        assert await here.directory.find_user(UserReference(kind, value)) is None


@pytest.mark.parametrize("empty_first_page", [False, True])
async def test_read_subject_when_pages_are_small_then_nothing_is_missing(
    here: Scene, *, empty_first_page: bool
) -> None:
    """One item a page, and an empty first page: groups through groups and the roles of a group are all there."""
    here.tenant.page_size = 1
    here.tenant.empty_first_page = empty_first_page
    subject = await here.directory.read_subject(await here.user(HARPER), (group_id(6), group_id(8)))
    assert {(group.id, group.role_assignable) for group in subject.groups} == {
        (group_id(3), True),
        (group_id(6), False),
    }
    assert subject.roles == (RoleHolding(RoleId("729827e3-9c14-49f7-bb1b-9608f156bbb8"), group_id(3)),)


async def test_read_subject_when_role_is_direct_then_it_is_held(here: Scene) -> None:
    """An administrator in no group, and a user with neither."""
    emergency = await here.directory.read_subject(await here.user(EMERGENCY), (group_id(1),))
    assert emergency.roles == (RoleHolding(RoleId("62e90394-69f5-4237-9190-012177145e10")),)
    assert [group.id for group in emergency.groups] == [group_id(1)]
    assert (await here.directory.read_subject(await here.user(CASEY), ())).roles == ()


async def test_read_subject_when_a_group_of_the_users_cannot_be_read_then_it_does_not_matter(here: Scene) -> None:
    """Only a group that leads to privilege, or that the policy names, has to be read."""
    user = await here.user(AVERY)
    here.tenant.directory.groups[group_id(6)].unreadable = True
    assert (await here.directory.read_subject(user, ())).groups == ()
    with pytest.raises(OperatorError):
        await here.directory.read_subject(user, (group_id(6),))


@pytest.mark.parametrize("right", ["GroupMember", "RoleManagement", "PrivilegedEligibilitySchedule"])
async def test_read_subject_when_right_is_missing_then_not_permitted(here: Scene, right: str) -> None:
    """Each fact needs its app role."""
    here.tenant.roles = {role for role in here.tenant.roles if not role.startswith(f"{right}.")}
    with pytest.raises(NotPermittedError):
        await here.directory.read_subject(await here.user(CASEY), ())


async def test_list_methods_when_user_has_every_type_then_all_are_listed(here: Scene) -> None:
    """Everything but the password, hardware OATH once, and nothing personal in the clear."""
    listing = await here.directory.list_methods(BLAIR)
    registered = [
        method for method in here.tenant.directory.users[BLAIR].methods if "password" not in method.odata_type
    ]
    assert sorted(method.id for method in listing.methods) == sorted(method.id for method in registered)
    assert {method.type for method in listing.methods} == set(MethodType)
    shown = " ".join(filter(None, (method.detail for method in listing.methods)))
    assert "555" not in shown
    assert "northwind" not in shown
    assert not listing.not_permitted


async def test_list_methods_when_user_has_only_a_password_then_none(here: Scene) -> None:
    """The password is no method of ours."""
    assert await here.methods(CASEY) == {}


async def test_list_methods_when_type_is_unknown_then_it_is_kept(here: Scene) -> None:
    """What nobody knows yet is listed with the name that Graph gives it."""
    unknown = [method for method in (await here.methods(PARKER)).values() if method.type is None]
    assert [method.odata_type for method in unknown] == ["#microsoft.graph.x509SomethingAuthenticationMethod"]


async def test_list_methods_when_user_has_many_then_all_pages(here: Scene) -> None:
    """Forty-five keys of Windows Hello, two a page."""
    here.tenant.page_size = 2
    assert len(await here.methods(NOEL)) == 46


async def test_list_methods_when_user_is_unknown_then_not_found(here: Scene) -> None:
    """A user who is gone has no list, not an empty one."""
    with pytest.raises(NotFoundError):
        await here.directory.list_methods(UserId("10000000-0000-4000-8000-0000000000ff"))


async def test_remove_method_when_any_type_then_it_is_gone(here: Scene) -> None:
    """Each method of the user who has all of them goes, with what was refused as default tried again at the end."""
    methods = list((await here.methods(BLAIR)).values())
    order = {kind.type: place for place, kind in enumerate(KINDS)}
    methods.sort(key=lambda method: (order[method.type or MethodType.PHONE], method.id != ALTERNATE_MOBILE))
    refused: list[Method] = []
    for method in methods:
        try:
            await here.directory.remove_method(BLAIR, method, Removal.DELETE)
        except RefusedAsDefaultError:
            refused.append(method)
    for method in refused:
        await here.directory.remove_method(BLAIR, method, Removal.DELETE)
    assert len(refused) == 1
    assert await here.methods(BLAIR) == {}


async def test_remove_method_when_gone_already_then_not_found(here: Scene) -> None:
    """A second call says so."""
    email = next(method for method in (await here.methods(AVERY)).values() if method.type is MethodType.EMAIL)
    await here.directory.remove_method(AVERY, email, Removal.DELETE)
    with pytest.raises(NotFoundError):
        await here.directory.remove_method(AVERY, email, Removal.DELETE)


@pytest.mark.parametrize("form", ["plain", "ref"])
async def test_remove_method_when_external_then_either_form_works(here: Scene, form: str) -> None:
    """Whichever form of the address Graph takes, the method goes."""
    here.tenant.external_delete_form = "ref" if form == "ref" else "plain"
    external = next(method for method in (await here.methods(BLAIR)).values() if method.type is MethodType.EXTERNAL)
    await here.directory.remove_method(BLAIR, external, Removal.DELETE)
    assert external.id not in await here.methods(BLAIR)


async def test_remove_method_when_token_is_deactivated_then_it_stays_and_is_inactive(here: Scene) -> None:
    """Deactivated twice is deactivated."""
    token = next(method for method in (await here.methods(REESE)).values() if method.type is MethodType.HARDWARE_OATH)
    assert token.active is True
    for _ in range(2):
        await here.directory.remove_method(REESE, token, Removal.DEACTIVATE)
        assert (await here.methods(REESE))[token.id].active is False


async def test_remove_method_when_qr_code_then_it_goes(here: Scene) -> None:
    """The one method without an id in its address."""
    (code,) = (await here.methods(UMA)).values()
    assert code.type is MethodType.QR_CODE_PIN
    await here.directory.remove_method(UMA, code, Removal.DELETE)
    assert await here.methods(UMA) == {}


@pytest.mark.parametrize("text", [1, 2])
async def test_remove_method_when_default_then_both_texts_are_known(here: Scene, text: int) -> None:
    """Microsoft has two texts for one refusal."""
    here.tenant.default_text = 1 if text == 1 else 2
    app = next(m for m in (await here.methods(AVERY)).values() if m.type is MethodType.MICROSOFT_AUTHENTICATOR)
    with pytest.raises(RefusedAsDefaultError):
        await here.directory.remove_method(AVERY, app, Removal.DELETE)


async def test_change_default_method_when_alternate_is_default_then_way_out(here: Scene) -> None:
    """The phone that blocks the other: change the default, then both go, the alternate one first."""
    methods = await here.methods(OAKLEY)
    for phone, error in ((ALTERNATE_MOBILE, RefusedAsDefaultError), (MOBILE, BadRequestError)):
        with pytest.raises(error):
            await here.directory.remove_method(OAKLEY, methods[phone], Removal.DELETE)
    await here.directory.change_default_method(OAKLEY, "sms")
    await here.directory.remove_method(OAKLEY, methods[ALTERNATE_MOBILE], Removal.DELETE)
    await here.directory.remove_method(OAKLEY, methods[MOBILE], Removal.DELETE)
    assert await here.methods(OAKLEY) == {}


@pytest.mark.parametrize("status", [200, 204])
async def test_revoke_sessions_when_done_then_user_shows_it(here: Scene, status: int) -> None:
    """The time from which sessions are valid moves on."""
    here.tenant.revoke_answers = 200 if status == 200 else 204
    before = (await here.user(AVERY)).sessions_valid_from
    await here.directory.revoke_sessions(AVERY)
    after = (await here.user(AVERY)).sessions_valid_from
    assert isinstance(after, datetime)
    assert before is None or after > before


async def test_disable_account_when_done_then_user_shows_it(here: Scene) -> None:
    """Twice is once."""
    for _ in range(2):
        await here.directory.disable_account(AVERY)
        assert (await here.user(AVERY)).account_enabled is False


async def test_list_methods_when_only_the_narrow_roles_are_there_then_each_type_is_listed_alone(here: Scene) -> None:
    """The same methods as by the common list, but for what nobody knows; and no call that is refused."""
    by_common_list = await here.directory.list_methods(BLAIR)
    narrow = {role for role in here.tenant.roles if not role.startswith("UserAuthenticationMethod.")}
    here.tenant.roles = narrow
    by_type = await here.directory.list_methods(BLAIR)
    key = lambda method: (method.type or "", method.id)  # noqa: E731 - two uses, here
    assert sorted(by_type.methods, key=key) == sorted(by_common_list.methods, key=key)
    assert (by_common_list.every_type, by_type.every_type, by_type.not_permitted) == (True, False, ())
    assert all(call.status == 200 for call in here.tenant.calls)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
async def test_list_methods_when_one_narrow_role_is_missing_then_that_type_only_is_not_permitted(
    here: Scene, kind: MethodKind
) -> None:
    """The others are listed."""
    roles = {role for role in here.tenant.roles if not role.startswith("UserAuthenticationMethod.")}
    here.tenant.roles = roles - {kind.narrow_role}
    listing = await here.directory.list_methods(BLAIR)
    assert listing.not_permitted == (kind.type,)
    assert {method.type for method in listing.methods} == set(MethodType) - {kind.type}


async def test_list_methods_when_the_service_does_not_honour_the_broad_role_then_each_type_is_listed(
    here: Scene,
) -> None:
    """What a token says and what a service does may differ (graph.md 9)."""
    here.tenant.add_fault(Fault(method="GET", path="authentication/methods", status=403, times=None))
    listing = await here.directory.list_methods(BLAIR)
    assert ({method.type for method in listing.methods}, listing.every_type) == (set(MethodType), False)


@pytest.mark.parametrize("narrow", [True, False])
async def test_list_methods_when_the_cloud_lacks_types_then_there_are_none_of_them(
    here: Scene, *, narrow: bool
) -> None:
    """China knows three types (graph.md 8): the others are no error, and no method either."""
    here.tenant.absent_types = {kind.type.value for kind in KINDS} - {
        "phone",
        "microsoftAuthenticator",
        "platformCredential",
    }
    if narrow:
        here.tenant.roles = {role for role in here.tenant.roles if not role.startswith("UserAuthenticationMethod.")}
    listing = await here.directory.list_methods(BLAIR)
    assert (listing.not_permitted, listing.every_type) == ((), not narrow)
    assert {method.type for method in listing.methods} == {
        MethodType.PHONE,
        MethodType.MICROSOFT_AUTHENTICATOR,
        MethodType.PLATFORM_CREDENTIAL,
    }


async def test_list_methods_when_items_do_not_name_their_type_then_the_collection_does(here: Scene) -> None:
    """A collection of one type need not repeat it."""
    here.tenant.roles = {role for role in here.tenant.roles if not role.startswith("UserAuthenticationMethod.")}
    here.tenant.typed_collections_name_the_type = False
    assert {method.type for method in (await here.directory.list_methods(BLAIR)).methods} == set(MethodType)


async def test_list_methods_when_the_user_is_gone_then_not_found_by_type_too(here: Scene) -> None:
    """Nobody's methods are not an empty list of methods."""
    here.tenant.roles = {role for role in here.tenant.roles if not role.startswith("UserAuthenticationMethod.")}
    here.tenant.directory.delete_user(BLAIR)
    with pytest.raises(NotFoundError):
        await here.directory.list_methods(BLAIR)


async def test_list_methods_when_no_role_is_there_then_no_type_is_permitted(here: Scene) -> None:
    """Whether that matters is for the profile to say."""
    here.tenant.roles = {role for role in here.tenant.roles if not role.startswith("UserAuth")}
    listing = await here.directory.list_methods(BLAIR)
    assert (listing.methods, set(listing.not_permitted)) == ((), set(MethodType))


async def test_remove_method_when_cut_after_the_effect_then_listing_tells(here: Scene) -> None:
    """A retryable failure after the effect ends in 'gone already': the second try finds nothing."""
    email = next(method for method in (await here.methods(AVERY)).values() if method.type is MethodType.EMAIL)
    here.tenant.add_fault(Fault(method="DELETE", status=503, when="after"))
    with pytest.raises(NotFoundError):
        await here.directory.remove_method(AVERY, email, Removal.DELETE)
    assert email.id not in await here.methods(AVERY)


async def test_directory_when_sandbox_has_every_kind_then_the_catalogue_is_covered() -> None:
    """The users above are those that the directory file has: each type of the catalogue is somebody's."""
    users = load_directory().users.values()
    assert {kind.odata_type for kind in KINDS} <= {method.odata_type for user in users for method in user.methods}
