"""The guard against the sandbox tenant: who could make themselves an administrator, whom an identifier means."""

from dataclasses import replace

import pytest

from sandbox.tenant import Fault, GroupEligibility
from shared.errors import GraphError
from shared.model import Outcome, ReferenceKind, UserReference
from shared.vocabulary import Status
from tests.service.stage import AVERY, CASEY, DEVON, EMERY_SID, Stage, request_for

PEOPLE = "10000000-0000-4000-8000-0000000000"
ASSIGNABLE = "20000000-0000-4000-8000-000000000005"
EMERY = f"{PEOPLE}05"
ADAIR, ARDEN, BELLAMY, DARCY = f"{PEOPLE}28", f"{PEOPLE}29", f"{PEOPLE}30", f"{PEOPLE}33"
BELLAMY_SID = "S-1-5-21-1004336348-1177238915-682003330-2207"


def codes(outcome: Outcome) -> set[str]:
    """Gather the codes of an outcome's reasons."""
    return {reason.code for reason in outcome.reasons}


# --- Eligibility ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("07", {"eligibleRole"}),  # directly
        ("09", {"eligibleRole", "roleAssignableGroup"}),  # a member, could they activate it, of a group with a role
        ("24", {"eligibleRole"}),
        ("25", {"eligibleRole", "roleAssignableGroup"}),  # in a group whose members could activate a role
        ("26", {"eligibleRole", "roleAssignableGroup"}),  # could join a group that could join a group with a role
        ("27", {"eligibleRole", "roleAssignableGroup"}),  # could own such a group, and so add themselves
        ("34", {"eligibleRole", "roleAssignableGroup"}),  # in a group that could join a group with a role
    ],
)
async def test_guard_refuses_whoever_could_make_themselves_an_administrator(
    stage: Stage, number: str, expected: set[str]
) -> None:
    """However the right is to be activated; sessions are revoked instead, and every method stays."""
    user = f"{PEOPLE}{number}"
    before = stage.types_of(user)
    outcome = await stage.reset(user, profile="compromised")
    assert (outcome.status, codes(outcome)) == (Status.REFUSED, expected)
    assert [line.step for line in outcome.steps] == ["revokeSessions"]
    assert stage.types_of(user) == before


async def test_guard_without_a_licence_knows_that_there_is_no_eligibility(stage: Stage) -> None:
    """What a tenant cannot have, nobody in it has."""
    stage.tenant.premium = False
    assert (await stage.reset(f"{PEOPLE}24")).status is Status.COMPLETED


@pytest.mark.parametrize(
    "place", ["roleEligibilityScheduleInstances", "group/eligibilityScheduleInstances", "roleAssignments", "transitive"]
)
@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_guard_lets_nobody_pass_when_a_fact_cannot_be_read(stage: Stage, place: str, status: int) -> None:
    """An error that is not exactly the licence's says nothing."""
    stage.tenant.add_fault(Fault(method="GET", path=place, status=status, times=None))
    with pytest.raises(GraphError):
        await stage.reset(DEVON)
    assert stage.changes() == []


async def test_guard_of_a_group_that_could_be_joined_names_group_and_role(stage: Stage) -> None:
    """Whoever has to take the right away has to know where it comes from."""
    stage.tenant.directory.group_eligibilities.append(GroupEligibility("x", DEVON, ASSIGNABLE))
    texts = [reason.text for reason in (await stage.reset(DEVON)).reasons]
    assert any(text.startswith("The user could activate the directory role") and ASSIGNABLE in text for text in texts)
    assert f"The user could become a member of the role-assignable group {ASSIGNABLE}." in texts


# --- Whom an identifier means -----------------------------------------------------------------------------------


async def test_user_whose_sid_another_has_too_is_invalid(stage: Stage) -> None:
    """Nothing is guessed."""
    outcome = await stage.reset(BELLAMY_SID)
    assert (outcome.status, codes(outcome)) == (Status.INVALID, {"ambiguousUser"})


async def test_user_who_was_deleted_is_invalid_and_said_to_be(stage: Stage) -> None:
    """Nobody has to look for them any more; an id of nobody is another matter."""
    outcome = await stage.reset(DARCY)
    assert (outcome.status, codes(outcome)) == (Status.INVALID, {"deletedUser"})
    stage.tenant.add_fault(Fault(method="GET", path="deletedItems", status=500, times=None))
    assert codes(await stage.reset(DARCY)) == {"unknownUser"}


async def identify(stage: Stage, *references: tuple[ReferenceKind, str]) -> Outcome:
    """Ask for a dry run for a user who is named by several identifiers, strongest first."""
    first, *others = [UserReference(kind, value) for kind, value in references]
    row = request_for(first.value, stage.clock.now(), request_id=f"INC-{next(stage.numbers)}", dry_run=True)
    request = replace(row.request, user=first, also=tuple(others))
    return await stage.handle(await stage.ledger.accept(replace(row, request=request)))


ID, NAME, SID, ACCOUNT = (
    ReferenceKind.OBJECT_ID,
    ReferenceKind.USER_PRINCIPAL_NAME,
    ReferenceKind.SECURITY_IDENTIFIER,
    ReferenceKind.ACCOUNT_NAME,
)
NOBODY = "99999999-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        ([(ACCOUNT, r"corp.contoso.example\afinch")], ADAIR),
        ([(ACCOUNT, r"LAB.contoso.example\AFinch")], ARDEN),
        ([(ACCOUNT, r"else.contoso.example\afinch")], "unknownUser"),
        ([(ACCOUNT, r"corp.contoso.example\bcole")], "ambiguousUser"),
        ([(ACCOUNT, r"corp.contoso.example\nobody")], "unknownUser"),
        ([(SID, EMERY_SID), (NAME, "emery.vance@contoso.example")], EMERY),
        ([(ID, EMERY), (SID, EMERY_SID), (NAME, "emery.vance@contoso.example")], EMERY),
        ([(ID, EMERY), (NAME, "stale.name@contoso.example")], EMERY),
        ([(SID, "S-1-5-21-9-9-9-9"), (NAME, "emery.vance@contoso.example")], EMERY),
        ([(ID, NOBODY), (NAME, "emery.vance@contoso.example")], "unknownUser"),
        ([(ID, DARCY), (NAME, "emery.vance@contoso.example")], "deletedUser"),
        ([(ID, EMERY), (NAME, "casey.romero@contoso.example")], "ambiguousUser"),
        ([(ID, EMERY), (SID, BELLAMY_SID)], "ambiguousUser"),
        ([(SID, BELLAMY_SID), (NAME, "emery.vance@contoso.example")], "ambiguousUser"),
    ],
)
async def test_user_when_named_by_several_identifiers_then_one_or_the_reason(
    stage: Stage, references: list[tuple[ReferenceKind, str]], expected: str
) -> None:
    """The strongest counts, a stale one is none, and two existing users are never taken for one."""
    outcome = await identify(stage, *references)
    if "-" in expected:
        assert (outcome.status, outcome.user_id) == (Status.PLANNED, expected)
    else:
        assert (outcome.status, codes(outcome)) == (Status.INVALID, {expected})


async def test_user_when_two_are_named_then_both_ids_are_told(stage: Stage) -> None:
    """Whoever sent it has to see which two."""
    outcome = await identify(stage, (ID, EMERY), (NAME, "casey.romero@contoso.example"))
    assert EMERY in outcome.reasons[0].text
    assert CASEY in outcome.reasons[0].text


async def test_account_name_when_the_domain_is_not_shown_then_only_a_unique_name_counts(stage: Stage) -> None:
    """A domain that cannot be compared is no match among several."""
    users = stage.tenant.directory.users
    users[ADAIR].properties["onPremisesDomainName"] = None
    assert (await identify(stage, (ACCOUNT, r"corp.contoso.example\afinch"))).status is Status.INVALID
    users[ARDEN].properties["onPremisesSamAccountName"] = "another"
    assert (await identify(stage, (ACCOUNT, r"corp.contoso.example\afinch"))).user_id == ADAIR
    users[AVERY].properties.update({"onPremisesSamAccountName": "afinch", "onPremisesDomainName": None})
    assert codes(await identify(stage, (ACCOUNT, r"corp.contoso.example\afinch"))) == {"ambiguousUser"}
