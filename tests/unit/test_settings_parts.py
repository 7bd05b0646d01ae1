"""Settings by part: who needs only one is asked for no other, and what is wrong is told together."""

import json
from collections.abc import Callable

import pytest

from shared.errors import SettingsError
from shared.policy import Policy
from shared.settings import (
    BusSettings,
    Secret,
    read_bus_settings,
    read_ledger_settings,
    read_policy,
    read_policy_if_set,
    read_settings,
    read_together,
)
from tests.builders import APPLICATION, a_policy, a_policy_document

CLIENT, BUS_CLIENT = "aaaaaaaa-0000-4000-8000-00000000000a", "cccccccc-0000-4000-8000-00000000000c"
TENANT = "bbbbbbbb-0000-4000-8000-00000000000b"
CONNECTION = "Endpoint=sb://bus.example/;SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0LWtleQ"
NAMES = ("mfa-reset-requests", "mfa-reset-rejected", "mfa-reset-outcomes")
NAMESPACE = "bus.servicebus.windows.net"


def problems_of(read: Callable[[], object]) -> list[str]:
    """Return the setting that each problem is about, in the order told."""
    with pytest.raises(SettingsError) as raised:
        read()
    assert "c2VjcmV0" not in str(raised.value)
    return [problem.split(" ")[0].rstrip(":") for problem in raised.value.problems]


# --- The bus ------------------------------------------------------------------------------------------------------


def test_bus_when_a_connection_string_is_set_then_it_is_enough_and_stays_secret() -> None:
    """Neither a ledger nor a policy is asked for."""
    bus = read_bus_settings({"ServiceBusConnection": CONNECTION})
    assert bus == BusSettings(*NAMES, None, Secret(CONNECTION), None, None)
    assert "c2VjcmV0" not in repr(bus)


@pytest.mark.parametrize(
    ("ids", "client"),
    [
        ({}, None),
        ({"AZURE_CLIENT_ID": CLIENT}, CLIENT),
        ({"ServiceBusConnection__clientId": BUS_CLIENT.upper()}, BUS_CLIENT),
        ({"ServiceBusConnection__clientId": BUS_CLIENT, "AZURE_CLIENT_ID": CLIENT}, BUS_CLIENT),
    ],
)
def test_bus_when_a_namespace_is_set_then_its_own_identity_goes_before_the_apps(
    ids: dict[str, str], client: str | None
) -> None:
    """As the triggers of the host have it."""
    settings = {
        "ServiceBusConnection__fullyQualifiedNamespace": NAMESPACE,
        "REQUEST_QUEUE": "in",
        "REJECTED_QUEUE": "no",
        "OUTCOME_TOPIC": "out",
        "AZURE_TENANT_ID": TENANT,
    }
    assert read_bus_settings(settings | ids) == BusSettings("in", "no", "out", NAMESPACE, None, client, TENANT)


def test_bus_with_many_problems_names_them_all() -> None:
    """And none of another part."""
    wrong = {
        "REQUEST_QUEUE": "?",
        "REJECTED_QUEUE": "?",
        "OUTCOME_TOPIC": "?",
        "ServiceBusConnection__fullyQualifiedNamespace": "?",
        "ServiceBusConnection": "SharedAccessKey=c2VjcmV0LWtleQ",
        "ServiceBusConnection__clientId": "?",
        "AZURE_CLIENT_ID": "?",
        "AZURE_TENANT_ID": "?",
    }
    others = {"LEDGER_URL": "?", "MFA_RESET_POLICY": "?", "GRAPH_URL": "?", "REQUIRE_ENTRA_CALLER": "?"}
    assert problems_of(lambda: read_bus_settings(wrong | others)) == list(wrong)
    assert problems_of(lambda: read_bus_settings({})) == ["ServiceBusConnection"]


# --- The policy ---------------------------------------------------------------------------------------------------


def test_policy_when_it_is_set_then_it_is_read_and_no_vault_asked_for() -> None:
    """Who makes no pass needs no place for one."""
    passes = {"p": {"methods": "none", "steps": ["temporaryAccessPass"]}}
    defaults = {"request": "p", "alert": "p"}
    text = json.dumps(a_policy_document(profiles=passes, callers={APPLICATION: ["p"]}, defaultProfiles=defaults))
    for read in (read_policy, read_policy_if_set):
        policy = read({"MFA_RESET_POLICY": text})
        assert policy
        assert policy.makes_passes


def test_policy_when_it_is_not_set_then_only_who_needs_it_is_told() -> None:
    """Spaces count as not set."""
    assert read_policy_if_set({}) is read_policy_if_set({"MFA_RESET_POLICY": " "}) is None
    assert problems_of(lambda: read_policy({})) == ["MFA_RESET_POLICY"]


@pytest.mark.parametrize("read", [read_policy, read_policy_if_set])
def test_policy_when_it_is_bad_then_it_is_refused(read: Callable[[dict[str, str]], Policy | None]) -> None:
    """By whoever could have done without one, too: it is not what was meant."""
    assert problems_of(lambda: read({"MFA_RESET_POLICY": '{"mode": "dream"}'})) == ["MFA_RESET_POLICY"] * 3


# --- Together -----------------------------------------------------------------------------------------------------


def test_parts_when_both_are_sound_then_both_are_returned() -> None:
    """In the order asked for."""
    settings = {"ServiceBusConnection": CONNECTION, "MFA_RESET_POLICY": json.dumps(a_policy_document())}
    policy, bus = read_together(lambda: read_policy(settings), lambda: read_bus_settings(settings))
    assert (policy, bus) == (a_policy(), read_bus_settings(settings))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ["MFA_RESET_POLICY", "ServiceBusConnection"]),
        ({"ServiceBusConnection": CONNECTION}, ["MFA_RESET_POLICY"]),
        ({"MFA_RESET_POLICY": json.dumps(a_policy_document())}, ["ServiceBusConnection"]),
    ],
)
def test_parts_when_one_or_both_have_problems_then_all_are_told(settings: dict[str, str], said: list[str]) -> None:
    """An operator mends them in one go."""
    both = (lambda: read_policy(settings)), (lambda: read_bus_settings(settings))
    assert problems_of(lambda: read_together(*both)) == said


def test_settings_when_a_problem_belongs_to_two_parts_then_it_is_told_once_and_in_its_place() -> None:
    """The identity opens the ledger and the bus."""
    wrong = {
        "MFA_RESET_POLICY": "{",
        "GRAPH_URL": "?",
        "LEDGER_URL": "?",
        "REQUEST_QUEUE": "?",
        "REJECTED_QUEUE": "?",
        "OUTCOME_TOPIC": "?",
        "ServiceBusConnection__fullyQualifiedNamespace": "?",
        "ServiceBusConnection": "?",
        "ServiceBusConnection__clientId": "?",
        "AZURE_CLIENT_ID": "?",
        "AZURE_TENANT_ID": "?",
        "REQUIRE_ENTRA_CALLER": "?",
        "KEY_VAULT_URL": "?",
    }
    assert problems_of(lambda: read_settings(wrong)) == list(wrong)


def test_settings_when_all_are_sound_then_their_parts_are_those_that_are_read_alone() -> None:
    """The app and the commands mean the same."""
    settings = {
        "MFA_RESET_POLICY": json.dumps(a_policy_document()),
        "LEDGER_URL": "https://account.table.core.windows.net",
        "ServiceBusConnection__fullyQualifiedNamespace": NAMESPACE,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_TENANT_ID": TENANT,
    }
    whole = read_settings(settings)
    assert (whole.policy, whole.ledger) == (read_policy(settings), read_ledger_settings(settings))
    assert whole.bus == read_bus_settings(settings)
    assert (whole.client_id, whole.tenant_id) == (CLIENT, TENANT)
