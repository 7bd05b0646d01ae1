"""The words and values that everything speaks in."""

from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from enum import StrEnum

import pytest
from hypothesis import given

from shared.model import Evidence, MethodLine, ReferenceKind, ResetRequest, Selection, StepLine
from shared.vocabulary import (
    MethodResult,
    MethodType,
    Removal,
    Source,
    Status,
    Step,
    StepName,
    StepResult,
    WaitingFor,
    in_safe_order,
)
from tests.builders import NOW, a_line, a_request, a_step, a_user, an_accepted_request, an_evidence, an_outcome
from tests.strategies import evidences, method_lines, step_lines

FROZEN: dict[type[StrEnum], dict[str, str]] = {
    Source: {"QUEUE": "queue", "HTTP": "http"},
    MethodType: {
        "PHONE": "phone",
        "MICROSOFT_AUTHENTICATOR": "microsoftAuthenticator",
        "SOFTWARE_OATH": "softwareOath",
        "HARDWARE_OATH": "hardwareOath",
        "EMAIL": "email",
        "FIDO2": "fido2",
        "WINDOWS_HELLO": "windowsHelloForBusiness",
        "PLATFORM_CREDENTIAL": "platformCredential",
        "TEMPORARY_ACCESS_PASS": "temporaryAccessPass",
        "EXTERNAL": "external",
        "QR_CODE_PIN": "qrCodePin",
    },
    StepName: {
        "DISABLE_ACCOUNT": "disableAccount",
        "REVOKE_SESSIONS": "revokeSessions",
        "CONFIRM_COMPROMISED": "confirmCompromised",
        "CONTAINMENT_GROUP": "containmentGroup",
        "RESET_PASSWORD": "resetPassword",
        "PER_USER_MFA": "perUserMfa",
        "TEMPORARY_ACCESS_PASS": "temporaryAccessPass",
        "ENABLE_ACCOUNT": "enableAccount",
    },
    Removal: {"DELETE": "delete", "DEACTIVATE": "deactivate"},
    Status: {
        "COMPLETED": "completed",
        "PARTIAL": "partial",
        "COVERED": "covered",
        "PLANNED": "planned",
        "REFUSED": "refused",
        "INVALID": "invalid",
        "FAILED": "failed",
    },
    MethodResult: {
        "DELETED": "deleted",
        "ALREADY_GONE": "alreadyGone",
        "DEACTIVATED": "deactivated",
        "KEPT": "kept",
        "REMAINING": "remaining",
        "UNSUPPORTED": "unsupported",
        "NOT_PERMITTED": "notPermitted",
        "UNCONFIRMED": "unconfirmed",
        "WOULD_DELETE": "wouldDelete",
        "WOULD_DEACTIVATE": "wouldDeactivate",
    },
    StepResult: {
        "DONE": "done",
        "SKIPPED": "skipped",
        "FAILED": "failed",
        "UNCONFIRMED": "unconfirmed",
        "NOT_PERMITTED": "notPermitted",
        "WOULD_DO": "wouldDo",
    },
    WaitingFor: {
        "PAUSED": "paused",
        "HOURLY_LIMIT": "hourlyLimit",
        "THROTTLED": "throttled",
        "OPERATOR_NEEDED": "operatorNeeded",
        "ANOTHER_RESET": "anotherReset",
        "GRAPH_UNAVAILABLE": "graphUnavailable",
        "NEXT_DELIVERY": "nextDelivery",
    },
    ReferenceKind: {
        "OBJECT_ID": "objectId",
        "USER_PRINCIPAL_NAME": "userPrincipalName",
        "SECURITY_IDENTIFIER": "securityIdentifier",
        "ACCOUNT_NAME": "accountName",
    },
}


@pytest.mark.parametrize("words", list(FROZEN), ids=lambda words: words.__name__)
def test_enum_when_read_then_its_values_are_the_contracts_words(words: type[StrEnum]) -> None:
    """They stand on the wire, in ledgers and in policies, so none may ever change."""
    assert {each.name: each.value for each in words} == FROZEN[words]


def test_step_names_when_listed_then_in_the_safe_order() -> None:
    """Plans and the steps instead of a reset are ordered by it (product.md 2)."""
    assert [str(step) for step in in_safe_order(tuple(map(Step, reversed(StepName))))] == [
        "disableAccount",
        "revokeSessions",
        "confirmCompromised",
        "containmentGroup",
        "resetPassword",
        "perUserMfa",
        "temporaryAccessPass",
        "enableAccount",
    ]


# --- Values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "selection",
    [Selection(keep=("phone",)), Selection(only_registered_after=NOW), Selection(keep_undated=True)],
    ids=str,
)
def test_selection_when_anything_is_left_out_then_it_is_true(selection: Selection) -> None:
    """The guard asks for exactly that."""
    assert selection
    assert not Selection()


@pytest.mark.parametrize(
    ("user_type", "name", "guest"),
    [
        ("Member", "alice@contoso.example", False),
        (None, "alice@contoso.example", False),
        ("", "alice@contoso.example", False),
        ("Guest", "alice@contoso.example", True),
        ("GUEST", "alice@contoso.example", True),
        ("Member", "bob_fabrikam.example#EXT#@contoso.example", True),
        (None, "bob_fabrikam.example#ext#@contoso.example", True),
    ],
)
def test_user_when_of_type_or_name_of_a_guest_then_is_one(user_type: str | None, name: str, *, guest: bool) -> None:
    """Either sign suffices, so that refusing guests misses none."""
    assert a_user(user_type=user_type, name=name).is_guest is guest


def test_values_when_little_is_said_then_the_rest_is_the_careful_default() -> None:
    """Nothing tried, nothing told, nothing proven."""
    accepted, outcome, request = an_accepted_request(), an_outcome(), a_request()
    assert (accepted.attempts, accepted.evidence, accepted.outcome, accepted.reported) == (0, None, None, False)
    assert (outcome.dry_run, outcome.verified, outcome.reasons, outcome.user_id) == (False, False, (), None)
    reference = request.user
    assert ResetRequest(request.request_id, reference, request.profile) == request
    assert (request.dry_run, request.selection.keep_undated) == (False, False)


def test_value_when_changed_then_it_is_refused() -> None:
    """A decision is made of what was read, not of what it became meanwhile."""
    with pytest.raises(FrozenInstanceError):
        a_request().dry_run = True  # type: ignore[misc] # that is the point


@given(evidences, method_lines)
def test_evidence_when_a_method_is_written_then_its_line_is_replaced_in_its_place_or_added(
    evidence: Evidence, line: MethodLine
) -> None:
    """All others are as they were, and a second writing changes nothing."""
    after = evidence.with_method(line)
    before_keys = [(one.type, one.id) for one in evidence.methods]
    key = (line.type, line.id)
    assert [(one.type, one.id) for one in after.methods] == before_keys + [key] * (key not in before_keys)
    assert line in after.methods
    assert set(after.methods) - {line} <= set(evidence.methods)
    assert after.with_method(line) == after


def test_evidence_when_a_known_method_is_written_then_the_order_of_what_was_found_is_kept() -> None:
    """The same id under another type is another method."""
    evidence = an_evidence(a_line(), a_line("email"), a_line(id_="m2"))
    after = evidence.with_method(a_line(result=MethodResult.DELETED))
    assert [(one.type, one.id, one.result) for one in after.methods] == [
        ("fido2", "m1", MethodResult.DELETED),
        ("email", "m1", None),
        ("fido2", "m2", None),
    ]


@given(evidences, step_lines)
def test_evidence_when_a_step_is_written_then_it_has_one_line_and_the_last(evidence: Evidence, line: StepLine) -> None:
    """What a second try of a step answered counts, at the place of the first: lines stand in the order of the steps."""
    after = evidence.with_step(line)
    expected = [line if one.step == line.step else one for one in evidence.steps]
    assert list(after.steps) == (expected if line in expected else [*expected, line])


def test_evidence_when_a_step_is_done_again_later_then_the_earlier_line_is_gone() -> None:
    """Sessions are revoked again after the removals."""
    again = replace(a_step(), at=NOW + timedelta(minutes=1))
    assert an_evidence(steps=(a_step(),)).with_step(again).steps == (again,)
