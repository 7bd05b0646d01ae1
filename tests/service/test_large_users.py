"""Users with very many methods: within one delivery, or over several, and nothing twice."""

from collections import Counter

from sandbox.tenant import Fault
from shared.errors import Later
from shared.model import AcceptedRequest, Outcome
from shared.vocabulary import MethodResult, Status
from tests.service.stage import NOEL, Stage, request_for

CAMDEN = "10000000-0000-4000-8000-000000000032"
METHODS = 200


async def carry_on(stage: Stage, row: AcceptedRequest, deliveries: int) -> tuple[Outcome, int]:
    """Deliver a request until it ends, as often as `deliveries` at most; return how often it was."""
    for number in range(1, deliveries + 1):
        kept = await stage.ledger.read(row.key)
        assert kept is not None
        try:
            return await stage.handle(kept), number
        except Later as later:
            if later.code != "deadline" or later.counts:
                raise
    raise AssertionError(f"not ended after {deliveries} deliveries")


def deletes(stage: Stage) -> Counter[str]:
    """Count the deletes that took effect, by address."""
    return Counter(call.path for call in stage.tenant.calls if call.method == "DELETE" and call.effect)


async def test_reset_of_200_methods_ends_within_one_delivery(stage: Stage) -> None:
    """At the speed of the sandbox all of them go at once; every one is told, once."""
    outcome = await stage.reset(CAMDEN, profile="compromised")
    assert (outcome.status, outcome.verified) == (Status.COMPLETED, True)
    assert len(outcome.methods) == METHODS
    assert {line.result for line in outcome.methods} == {MethodResult.DELETED}
    assert max(deletes(stage).values()) == 1
    assert stage.types_of(CAMDEN) == []


async def test_reset_of_200_slow_methods_ends_over_several_deliveries(stage: Stage) -> None:
    """The rest goes on in the next delivery: evidence survives, nothing is done twice, no method is forgotten."""
    stage.tenant.add_fault(Fault(method="DELETE", path="authentication/", delay_seconds=6, times=None))
    row = await stage.ledger.accept(request_for(CAMDEN, stage.clock.now(), profile="compromised"))
    outcome, deliveries = await carry_on(stage, row, 40)
    assert deliveries == METHODS * 6 // 240 + 1
    assert outcome.status is Status.COMPLETED
    assert len(outcome.methods) == METHODS
    assert {line.result for line in outcome.methods} == {MethodResult.DELETED}
    assert deletes(stage).total() == len(deletes(stage)) == METHODS
    disabled = [call for call in stage.tenant.calls if call.method == "PATCH" and call.effect and CAMDEN in call.path]
    assert len([call for call in disabled if "signInPreferences" not in call.path]) == 1
    assert outcome.started_at == row.accepted_at


async def test_reset_of_45_windows_hello_keys_over_two_deliveries_tells_all(stage: Stage) -> None:
    """Both halves are in the one outcome."""
    stage.tenant.add_fault(Fault(method="DELETE", path="windowsHello", delay_seconds=9, times=None))
    row = await stage.ledger.accept(request_for(NOEL, stage.clock.now(), profile="compromised"))
    outcome, deliveries = await carry_on(stage, row, 4)
    assert (deliveries, outcome.status) == (2, Status.COMPLETED)
    assert Counter(line.result for line in outcome.methods) == {MethodResult.DELETED: 46}
    kept = await stage.ledger.read(row.key)
    assert kept is not None
    assert kept.evidence is not None
    assert len(kept.evidence.methods) == 46
