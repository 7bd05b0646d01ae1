"""The plan: what goes, what stays, in which order."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue import ALTERNATE_MOBILE, KINDS, MOBILE, OFFICE
from shared.model import Method, MethodLine, PlannedRemoval, Selection
from shared.plan import Scope, default_candidates, judge, line_of, make_plan, make_scope
from shared.policy import Profile
from shared.vocabulary import MethodResult, MethodType, Removal
from tests.builders import NOW, a_line, a_method, a_policy, listings, planned_steps, profiles, selections

REREGISTER_TYPES = {
    MethodType.PHONE,
    MethodType.MICROSOFT_AUTHENTICATOR,
    MethodType.SOFTWARE_OATH,
    MethodType.HARDWARE_OATH,
}
DAY = timedelta(days=1)


def profile_of(methods: object, *steps: str) -> Profile:
    """Build a profile that removes `methods`."""
    return Profile.model_validate({"methods": methods, "steps": list(steps)})


def expected_types(profile: Profile) -> set[MethodType]:
    """Say which types the contract puts into the scope of a profile (product.md 2)."""
    if profile.methods == "reregister":
        return REREGISTER_TYPES
    if profile.methods == "all":
        return set(MethodType)
    return set() if profile.methods == "none" else {MethodType(each) for each in profile.methods}


def expected_to_stay(method: Method, selection: Selection) -> bool:
    """Say whether a selection leaves a method in place (product.md 1)."""
    if method.type in selection.keep or f"id:{method.id}" in selection.keep:
        return True
    if selection.only_registered_after is None:
        return False
    if method.registered_at is None:
        return selection.keep_undated
    return method.registered_at <= selection.only_registered_after


# --- What goes ---------------------------------------------------------------------------------------------------


@given(listings, profiles, selections)
def test_plan_when_made_then_exactly_what_is_in_scope_and_not_left_out_goes(
    methods: tuple[Method, ...], profile: Profile, selection: Selection
) -> None:
    """Nothing out of scope is touched, nothing in scope is forgotten."""
    plan = make_plan(methods, planned_steps(profile), make_scope(profile, selection))
    in_scope = {one for one in methods if one.type in expected_types(profile) and not expected_to_stay(one, selection)}
    off_already = {one.method for one in plan.removals} ^ in_scope
    assert {one.method for one in plan.removals} <= in_scope
    assert all(one.type is MethodType.HARDWARE_OATH and one.active is False for one in off_already)


@given(listings, profiles, selections)
def test_plan_when_made_then_every_method_is_exactly_once_a_removal_or_a_staying_line(
    methods: tuple[Method, ...], profile: Profile, selection: Selection
) -> None:
    """No method is lost between the two, and none is in both."""
    plan = make_plan(methods, planned_steps(profile), make_scope(profile, selection))
    placed = [(line.type, line.id) for line in plan.staying]
    placed += [(line_of(one.method).type, one.method.id) for one in plan.removals]
    assert sorted(placed) == sorted((line_of(one).type, one.id) for one in methods)
    assert all(line.result is not None for line in plan.staying)


@given(listings, profiles, selections)
def test_plan_when_a_type_is_unknown_then_it_is_reported_and_never_removed(
    methods: tuple[Method, ...], profile: Profile, selection: Selection
) -> None:
    """What we do not know how to remove is named by the type that Graph gives, and never counted as done."""
    plan = make_plan(methods, planned_steps(profile), make_scope(profile, selection))
    unknown = {one.id for one in methods if one.type is None}
    lines = {line.id: line for line in plan.staying if line.type == "palmReaderAuthenticationMethod"}
    assert not any(one.method.type is None for one in plan.removals)
    assert lines.keys() == unknown
    for line in lines.values():
        kept = f"id:{line.id}" in selection.keep
        expected = (MethodResult.KEPT, None) if kept else (MethodResult.UNSUPPORTED, "unknownType")
        assert (line.result, line.error) == expected


@pytest.mark.parametrize(
    ("methods", "removal"),
    [("reregister", Removal.DEACTIVATE), ("all", Removal.DELETE), (["hardwareOath"], Removal.DEACTIVATE)],
)
def test_plan_when_hardware_oath_is_in_scope_then_only_all_takes_the_token_away(
    methods: object, removal: Removal
) -> None:
    """The portal's button leaves it assigned."""
    method = a_method(MethodType.HARDWARE_OATH, active=True)
    assert judge(method, make_scope(profile_of(methods), Selection())) == PlannedRemoval(method, removal)


@pytest.mark.parametrize(
    ("methods", "active", "goes"),
    [
        ("reregister", False, False),
        ("reregister", True, True),
        ("reregister", None, True),
        ("all", False, True),
    ],
)
def test_plan_when_a_token_is_switched_off_already_then_only_deleting_it_is_left(
    methods: str, *, active: bool | None, goes: bool
) -> None:
    """Where Graph does not say whether it is on, it counts as on."""
    judged = judge(a_method(MethodType.HARDWARE_OATH, active=active), make_scope(profile_of(methods), Selection()))
    assert isinstance(judged, PlannedRemoval) is goes
    assert isinstance(judged, PlannedRemoval) or (judged.result, judged.error) == (MethodResult.KEPT, "notActive")


@given(listings, profiles)
def test_plan_when_every_other_type_is_in_scope_then_it_is_deleted(
    methods: tuple[Method, ...], profile: Profile
) -> None:
    """Deactivation exists for hardware OATH only."""
    plan = make_plan(methods, planned_steps(profile), make_scope(profile, Selection()))
    for one in plan.removals:
        assert one.removal is Removal.DELETE or one.method.type is MethodType.HARDWARE_OATH


# --- What a request leaves out -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "registered_at", "result", "error"),
    [
        (Selection(), None, None, None),
        (Selection(keep=("fido2",)), None, MethodResult.KEPT, None),
        (Selection(keep=("id:m1",)), NOW, MethodResult.KEPT, None),
        (Selection(keep=("id:m2", "phone", "m1")), NOW, None, None),
        (Selection(only_registered_after=NOW), NOW, MethodResult.KEPT, None),
        (Selection(only_registered_after=NOW), NOW - DAY, MethodResult.KEPT, None),
        (Selection(only_registered_after=NOW), NOW + timedelta(microseconds=1), None, None),
        (Selection(only_registered_after=NOW), None, None, None),
        (Selection(only_registered_after=NOW, keep_undated=True), None, MethodResult.KEPT, "undated"),
        (Selection(only_registered_after=NOW, keep_undated=True), NOW + DAY, None, None),
        (Selection(keep=("fido2",), only_registered_after=NOW, keep_undated=True), None, MethodResult.KEPT, None),
        (Selection(keep_undated=True), None, None, None),
    ],
)
def test_plan_when_a_request_selects_then_what_it_leaves_out_stays(
    selection: Selection, registered_at: datetime | None, result: MethodResult | None, error: str | None
) -> None:
    """A method without a date is removed too unless it is to be kept; `keepUndated` alone keeps nothing."""
    method = replace(a_method(), registered_at=registered_at)
    judged = judge(method, make_scope(profile_of("all"), selection))
    if result is None:
        assert judged == PlannedRemoval(method, Removal.DELETE)
    else:
        assert judged == line_of(method, result, error)


@given(listings, profiles, selections)
def test_plan_when_a_selection_is_added_then_no_more_goes_than_without(
    methods: tuple[Method, ...], profile: Profile, selection: Selection
) -> None:
    """A selection only ever leaves something out."""
    everything = make_plan(methods, planned_steps(profile), make_scope(profile, Selection()))
    selected = make_plan(methods, planned_steps(profile), make_scope(profile, selection))
    assert set(selected.removals) <= set(everything.removals)


# --- In which order ----------------------------------------------------------------------------------------------


@given(listings, profiles, st.randoms(use_true_random=False))
def test_plan_when_the_listing_is_shuffled_then_the_types_keep_the_catalogues_order(
    methods: tuple[Method, ...], profile: Profile, random: object
) -> None:
    """What people opt into first, the phones last, alternateMobile before office before mobile."""
    shuffled = list(methods)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis types its random sources as objects
    plan = make_plan(shuffled, planned_steps(profile), make_scope(profile, Selection()))
    order = [kind.type for kind in KINDS]
    places = [order.index(one.method.type) for one in plan.removals if one.method.type]
    phones = [one.method.id for one in plan.removals if one.method.type is MethodType.PHONE]
    assert places == sorted(places)
    assert phones == [each for each in (ALTERNATE_MOBILE, OFFICE, MOBILE) if each in phones]


def test_plan_when_a_phone_has_an_id_of_no_kind_we_know_then_it_goes_before_the_others() -> None:
    """The three ids are fixed today; a fourth would be no reason to stumble."""
    methods = [a_method(MethodType.PHONE, MOBILE), a_method(MethodType.PHONE, "new")]
    plan = make_plan(methods, planned_steps(profile_of("all")), make_scope(profile_of("all"), Selection()))
    assert [one.method.id for one in plan.removals] == ["new", MOBILE]


@pytest.mark.parametrize("steps", [("revokeSessions", "disableAccount"), ("disableAccount", "revokeSessions")])
def test_plan_when_steps_are_written_in_any_order_then_they_are_done_in_the_safe_one(steps: tuple[str, ...]) -> None:
    """Disable before revoke: a session revoked first could be renewed."""
    plan = make_plan([], planned_steps(profile_of("none", *steps)), Scope({}, Selection()))
    assert [str(one.step) for one in plan.steps] == ["disableAccount", "revokeSessions"]


def test_plan_of_the_default_policy_when_made_then_reregister_does_what_the_portals_button_does() -> None:
    """The button's set, and nothing of what it leaves (graph.md 1)."""
    profile = a_policy().profiles["reregister"]  # type: ignore[index] # a plain string names a profile
    methods = [a_method(each, f"m-{each}") for each in MethodType]
    plan = make_plan(methods, planned_steps(profile), make_scope(profile, Selection()))
    assert [str(one.step) for one in plan.steps] == ["revokeSessions"]
    assert [one.method.type for one in plan.removals] == [
        MethodType.HARDWARE_OATH,
        MethodType.SOFTWARE_OATH,
        MethodType.MICROSOFT_AUTHENTICATOR,
        MethodType.PHONE,
    ]
    assert {line.type for line in plan.staying} == set(MethodType) - REREGISTER_TYPES


# --- The scope as a rule -----------------------------------------------------------------------------------------


def test_scope_when_asked_for_types_then_those_it_removes_are_given() -> None:
    """Types that could not be listed matter only where they are in scope."""
    scope = make_scope(profile_of("reregister"), Selection())
    assert scope.covered([MethodType.FIDO2, MethodType.PHONE]) == (MethodType.PHONE,)
    assert make_scope(profile_of("none"), Selection()).covered(MethodType) == ()


@pytest.mark.parametrize(("methods", "left"), [("all", True), ("reregister", False), (["fido2"], False)])
def test_scope_when_an_unknown_type_stays_then_it_is_left_only_where_everything_had_to_go(
    methods: object, *, left: bool
) -> None:
    """`all` promises more than the types that we know."""
    scope = make_scope(profile_of(methods), Selection())
    unknown = line_of(a_method(None), MethodResult.UNSUPPORTED, "unknownType")
    assert scope.unknown_left([a_line(result=MethodResult.KEPT), unknown]) is left
    assert not scope.unknown_left([a_line(result=MethodResult.KEPT)])


# --- The default method ------------------------------------------------------------------------------------------


def refused(*ids: str) -> list[PlannedRemoval]:
    """Build the phones whose removal was refused."""
    return [PlannedRemoval(a_method(MethodType.PHONE, each), Removal.DELETE) for each in ids]


@pytest.mark.parametrize(
    ("staying", "refused_ids", "expected"),
    [
        ([], [MOBILE], ()),
        ([], [MOBILE, ALTERNATE_MOBILE], ("sms", "voiceMobile")),
        ([a_line("softwareOath", result=MethodResult.KEPT)], [MOBILE], ("oath",)),
        (
            [
                a_line("microsoftAuthenticator", result=MethodResult.KEPT),
                a_line("hardwareOath", result=MethodResult.KEPT),
            ],
            [MOBILE, ALTERNATE_MOBILE],
            ("push", "oath", "sms", "voiceMobile"),
        ),
        ([a_line("phone", OFFICE, MethodResult.KEPT)], [MOBILE], ("voiceOffice",)),
        ([a_line("phone", ALTERNATE_MOBILE, MethodResult.KEPT)], [OFFICE], ("voiceAlternateMobile",)),
        ([a_line("phone", "new", MethodResult.KEPT)], [MOBILE], ()),
        ([a_line("fido2", MOBILE, MethodResult.KEPT)], [MOBILE], ()),
        ([a_line("hardwareOath", result=MethodResult.DEACTIVATED)], [MOBILE], ()),
        ([a_line("palmReader", result=MethodResult.UNSUPPORTED)], [MOBILE], ()),
    ],
)
def test_default_candidates_when_removals_were_refused_then_what_stays_or_mobile_could_be_the_default(
    staying: list[MethodLine], refused_ids: list[str], expected: tuple[str, ...]
) -> None:
    """Only what is kept, and mobile in the catch-22 of the two mobiles (graph.md 3); each once."""
    assert default_candidates(staying, refused(*refused_ids)) == expected
