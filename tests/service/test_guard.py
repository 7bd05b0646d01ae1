"""The guard against the sandbox tenant: who could make themselves an administrator, whom an identifier means.

And that what is done to an administrator instead of a reset is done once.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.tenant import Fault, GroupEligibility, RoleAssignment
from sandbox.tenant import method as a_method
from shared.errors import GraphError, PrivilegeUnknownError, UnavailableError
from shared.model import Coverage, Outcome, ReferenceKind, UserReference
from shared.vocabulary import Status, StepResult, UserId
from tests.service.stage import (
    AVERY,
    CASEY,
    DEVON,
    EMERY_SID,
    FINLEY,
    HOUR,
    START,
    Stage,
    policy_with,
    request_for,
    under,
)
from tests.service.test_reception import Door, open_door
from tests.service.test_service import SESSIONS

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
        ("27", {"eligibleRole", "roleAssignableGroupOwner"}),  # could own such a group, and so add themselves
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
    "place",
    [
        r"roleEligibilityScheduleInstances\?\$expand",
        r"roleEligibilityScheduleInstances\?\$filter",
        "group/eligibilityScheduleInstances.*groupId",
        "group/eligibilityScheduleInstances.*principalId",
        r"roleAssignments\?\$expand",
        r"roleAssignments\?\$filter",
        "isAssignableToRole eq true",
        "/owners",
        "transitiveMembers",
        "checkMemberGroups",
    ],
)
@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_guard_lets_nobody_pass_when_a_fact_cannot_be_read(stage: Stage, place: str, status: int) -> None:
    """An error that is not exactly the licence's says nothing."""
    stage.tenant.add_fault(Fault(path=place, status=status, times=None))
    with pytest.raises((GraphError, PrivilegeUnknownError)):
        await stage.reset(DEVON)
    assert stage.changes() == []


async def test_guard_of_a_group_that_could_be_joined_names_group_and_role(stage: Stage) -> None:
    """Whoever has to take the right away has to know where it comes from."""
    stage.tenant.directory.group_eligibilities.append(GroupEligibility("x", DEVON, ASSIGNABLE))
    texts = [reason.text for reason in (await stage.reset(DEVON)).reasons]
    assert any(text.startswith("The user could activate the directory role") and ASSIGNABLE in text for text in texts)
    assert f"The user could become a member of the role-assignable group {ASSIGNABLE}." in texts


# --- Instead of a reset, and once ---------------------------------------------------------------------------------

GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
REFUSED, AGAIN = ["privilegedRole"], ["privilegedRole", "insteadCovered"]


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a door of its own to each test."""
    async with open_door(tmp_path) as door:
        yield door


def told(door: Door) -> list[tuple[str, list[str]]]:
    """List how requests ended and why, as the topic was told."""
    return [(each["status"], [reason["code"] for reason in each["reasons"]]) for each in door.told()]


def revocations(stage: Stage, user: str = FINLEY) -> int:
    """Count how often the tenant revoked an administrator's sessions."""
    return stage.changes().count(f"POST /v1.0/users/{user}/{SESSIONS}")


async def coverages_of(stage: Stage, user: str) -> tuple[Coverage, ...]:
    """Return what the ledger knows to cover a user."""
    async with stage.ledger.claim(UserId(user)) as claim:
        return await claim.read_coverages()


async def test_burst_of_20_alerts_on_an_administrator_is_one_revocation_and_20_refusals(door: Door) -> None:
    """They come all at once; all but the first name the one by which the sessions were revoked."""
    bodies = [{"requestId": f"INC-{number}", "user": FINLEY} for number in range(20)]
    await asyncio.gather(*(door.receive(body, f"MSG-{body['requestId']}") for body in bodies))
    for _ in range(20):
        for key in {key for key, _ in door.resumes()}:
            await door.go_on(key)
    assert revocations(door.stage) == len(door.stage.changes()) == 1
    assert sorted(told(door)) == [("refused", REFUSED), *[("refused", AGAIN)] * 19]
    (first,) = [each for each in door.told() if each["steps"]]
    (text,) = {each["reasons"][-1]["text"] for each in door.told() if not each["steps"]}
    assert text.startswith(f"The request {first['requestId']} of queue, which ended as refused, took the steps instead")


@pytest.mark.parametrize(("observed", "taken"), [(None, 1), (-60, 1), (60, 2)])
async def test_steps_instead_are_taken_again_only_where_the_compromise_was_seen_since(
    door: Door, observed: int | None, taken: int
) -> None:
    """A late duplicate does not cost an administrator the sessions they have begun since."""
    seen = START - HOUR
    await door.receive({"requestId": "INC-1", "user": FINLEY, "observedAt": seen.isoformat()})
    (coverage,) = await coverages_of(door.stage, FINLEY)
    door.stage.clock.advance(10 * 60)
    body: dict[str, Any] = {"requestId": "INC-2", "user": FINLEY}
    if observed is not None:
        body["observedAt"] = (coverage.until + timedelta(seconds=observed)).isoformat()
    await door.receive(body, "MSG-2")
    assert told(door) == [("refused", REFUSED), ("refused", REFUSED if taken == 2 else AGAIN)]
    assert revocations(door.stage) == taken


async def test_steps_instead_without_a_time_are_covered_until_the_cooldown_is_over(door: Door) -> None:
    """As a reset is: 30 minutes here."""
    await door.receive({"requestId": "INC-1", "user": FINLEY})
    for minutes, taken in ((29, 1), (2, 2)):
        door.stage.clock.advance(minutes * 60)
        await door.receive({"requestId": f"INC-{minutes}", "user": FINLEY}, f"MSG-{minutes}")
        assert revocations(door.stage) == taken
    assert [codes for _, codes in told(door)] == [REFUSED, AGAIN, REFUSED]


async def test_coverage_of_the_steps_instead_is_of_the_moment_before_they_were_taken(stage: Stage) -> None:
    """What is seen while they are being taken is seen too late for them."""
    stage.tenant.add_fault(Fault(method="POST", path=SESSIONS, delay_seconds=3))
    began = stage.clock.now()
    await stage.reset(FINLEY, request_id="INC-1")
    (coverage,) = await coverages_of(stage, FINLEY)
    assert (coverage.status, coverage.steps, coverage.removals) == (Status.REFUSED, ("revokeSessions",), ())
    assert began <= coverage.until <= stage.clock.now() - timedelta(seconds=3)
    await stage.reset(FINLEY, observed_at=coverage.until + timedelta(seconds=1))
    assert revocations(stage) == 2


@pytest.mark.parametrize("observing", [True, False])
async def test_refusal_in_a_dry_run_leaves_no_coverage_and_tells_what_covers_it(
    stage: Stage, *, observing: bool
) -> None:
    """What was only told was not done."""
    dry = under(stage, policy_with(mode="observe")) if observing else stage
    seen = {"observed_at": START - HOUR, "dry_run": not observing}
    first = await dry.reset(FINLEY, **seen)
    assert [reason.code for reason in first.reasons] == ["privilegedRole"]
    assert [(line.step, line.result) for line in first.steps] == [("revokeSessions", StepResult.WOULD_DO)]
    assert await coverages_of(stage, FINLEY) == ()
    await stage.reset(FINLEY)
    second = await dry.reset(FINLEY, **seen)
    assert (second.status, second.dry_run, second.steps) == (Status.REFUSED, True, ())
    assert [reason.code for reason in second.reasons] == AGAIN
    assert (revocations(stage), len(await coverages_of(stage, FINLEY))) == (1, 1)


async def test_refusal_without_a_step_instead_leaves_no_coverage_and_is_not_said_to_be_covered(stage: Stage) -> None:
    """Nothing is done, whatever was done before."""
    nothing = under(stage, policy_with(privileged={"instead": []}))
    for known in (0, 1):
        outcome = await nothing.reset(FINLEY, observed_at=START - HOUR)
        assert [reason.code for reason in outcome.reasons] == REFUSED
        assert len(await coverages_of(stage, FINLEY)) == known
        await stage.reset(FINLEY)


async def test_reset_covers_the_steps_instead_of_one_who_became_an_administrator_since(stage: Stage) -> None:
    """It revoked the sessions later than that was seen."""
    await stage.reset(DEVON, request_id="INC-1")
    changes = stage.changes()
    stage.tenant.directory.role_assignments.append(RoleAssignment("x", DEVON, GLOBAL_ADMINISTRATOR))
    outcome = await stage.reset(DEVON, observed_at=START - HOUR)
    assert (outcome.status, [reason.code for reason in outcome.reasons]) == (Status.REFUSED, AGAIN)
    assert "The request INC-1 of queue, which ended as completed, took the steps" in outcome.reasons[1].text
    assert stage.changes() == changes


@pytest.mark.parametrize(
    ("profile", "status", "reason"),
    [
        ("revoke", Status.COVERED, ["coveredBy"]),
        ("reregister", Status.COMPLETED, []),
        ("phones", Status.COMPLETED, []),
        ("compromised", Status.COMPLETED, []),
    ],
)
async def test_steps_instead_cover_only_who_asks_for_no_method(
    stage: Stage, profile: str, status: Status, reason: list[str]
) -> None:
    """Whoever was an administrator, and is none any more, has their methods reset."""
    await stage.reset(FINLEY, request_id="INC-1")
    (coverage,) = await coverages_of(stage, FINLEY)
    stage.tenant.directory.role_assignments.clear()
    outcome = await stage.reset(FINLEY, profile=profile, observed_at=START - HOUR)
    assert (outcome.status, [each.code for each in outcome.reasons]) == (status, reason)
    if status is Status.COVERED:
        assert outcome.reasons[0].text == (
            "The request INC-1 of queue covers it: it ended as refused, and took steps instead: revokeSessions. "
            f"It began them at {coverage.until.isoformat(timespec='seconds')}. "
            "What was seen later, as observedAt says, is done again."
        )


async def test_method_of_an_unknown_type_is_not_said_to_be_new_where_the_reset_was_refused(stage: Stage) -> None:
    """Nothing was listed then; it is open all the same, as it would be had the request been carried out."""
    stage.tenant.directory.users[FINLEY].methods.append(a_method("palmReader", "x"))
    await stage.reset(FINLEY)
    stage.tenant.directory.role_assignments.clear()
    covered = await stage.reset(FINLEY, profile="revoke", observed_at=START - HOUR)
    carried_out = await stage.reset(FINLEY, profile="revoke")
    assert (covered.status, carried_out.status) == (Status.PARTIAL, Status.PARTIAL)
    assert covered.methods == tuple(line for line in carried_out.methods if line.result == "unsupported")
    assert covered.reasons[1:] == carried_out.reasons
    assert [reason.code for reason in covered.reasons] == ["coveredBy", "unsupportedMethod"]


async def test_steps_instead_that_have_begun_are_finished_and_cover_from_the_first_try_on(stage: Stage) -> None:
    """They do not cover themselves before their end; and the password is as old as the try that reset it."""
    stage.tenant.caller_directory_roles.add(GLOBAL_ADMINISTRATOR)
    several = under(stage, policy_with(privileged={"instead": ["confirmCompromised", "resetPassword"]}))
    stage.tenant.add_fault(Fault(method="POST", path="confirmCompromised", status=503, times=5))
    row = await stage.ledger.accept(request_for(FINLEY, stage.clock.now(), observed_at=START - HOUR))
    with pytest.raises(UnavailableError):
        await several.handle(row)
    assert await coverages_of(stage, FINLEY) == ()
    password_at = stage.clock.now()
    stage.clock.advance(3_600)
    outcome = await several.handle(row)
    assert [reason.code for reason in outcome.reasons] == REFUSED
    assert {line.result for line in outcome.steps} == {"done"}
    (coverage,) = await coverages_of(stage, FINLEY)
    assert coverage.until <= password_at


async def test_steps_instead_that_have_begun_are_left_to_the_request_that_took_them_since(stage: Stage) -> None:
    """Its own try is told as it ended; nothing is done once more."""
    stage.tenant.add_fault(Fault(method="POST", path=SESSIONS, status=503, times=5))
    row = await stage.ledger.accept(request_for(FINLEY, stage.clock.now(), observed_at=START - HOUR))
    with pytest.raises(UnavailableError):
        await stage.handle(row)
    stage.tenant.clear_faults()
    await stage.reset(FINLEY, request_id="INC-2")
    outcome = await stage.handle(row)
    assert (outcome.status, [reason.code for reason in outcome.reasons]) == (Status.REFUSED, [*AGAIN, "stepFailed"])
    assert outcome.reasons[1].text.startswith("The request INC-2 of queue")
    assert revocations(stage) == 1


async def test_steps_instead_that_could_not_be_done_are_named_by_the_next_of_a_burst(stage: Stage) -> None:
    """A right that is missing is missing at the next of twenty alerts too."""
    both = under(stage, policy_with(privileged={"instead": ["disableAccount", "revokeSessions"]}))
    await both.reset(FINLEY)
    outcome = await both.reset(FINLEY, observed_at=START - HOUR)
    assert "took the steps instead: disableAccount, revokeSessions. But not done: disableAccount." in (
        outcome.reasons[1].text
    )
    assert revocations(stage) == 1


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
