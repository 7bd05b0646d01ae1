"""Holding a claim in a store that fails in ways no real store does on demand."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from shared.errors import ClaimHeldError, ClaimLostError, LedgerUnavailableError
from shared.ledger.holding import HeldClaim
from shared.model import AcceptedRequest, Coverage, Evidence, Outcome
from shared.ports import Claim
from shared.vocabulary import Mark, UserId
from tests.contract.ledger_values import START, accepted, coverage, evidence, outcome

USER_ID = UserId("c4be")


class Store:
    """A `ClaimStore` that does as it is told, and remembers who was asked for what."""

    def __init__(self) -> None:
        self.holder: str | None = None
        self.renewals = 0
        self.renew_fails: Exception | None = None
        self.renewed = asyncio.Event()
        self.held_elsewhere = False
        self.releases = 0
        self.kept: list[Evidence | Outcome | Coverage] = []
        self.ends = asyncio.Event()
        self.ends.set()

    async def acquire(self, _user_id: UserId, holder: str) -> None:
        """Let the holder in."""
        if self.held_elsewhere:
            raise ClaimHeldError(START)
        self.holder = holder

    async def renew(self, _user_id: UserId, holder: str) -> None:
        """Renew or fail, as told."""
        self.renewals += 1
        self.renewed.set()
        if self.renew_fails:
            raise self.renew_fails
        assert holder == self.holder

    async def write_evidence(self, user_id: UserId, holder: str, _request: AcceptedRequest, found: Evidence) -> None:
        """Renew or fail, as told, and keep it."""
        await self.renew(user_id, holder)
        self.kept.append(found)

    async def write_marks(self, user_id: UserId, holder: str, _marks: Mapping[Mark, str | None]) -> None:
        """Renew or fail, as told."""
        await self.renew(user_id, holder)

    async def read_coverages(self, _user_id: UserId) -> tuple[Coverage, ...]:
        """Return what was kept last."""
        return tuple(reversed([each for each in self.kept if isinstance(each, Coverage)]))

    async def end(
        self, user_id: UserId, holder: str, _request: AcceptedRequest, ended: Outcome, covers: Coverage | None
    ) -> None:
        """Wait as told, fail or keep both, and let the holder out."""
        await self.ends.wait()
        await self.renew(user_id, holder)
        self.kept += [ended, covers] if covers else [ended]
        self.holder = None

    async def release(self, _user_id: UserId, holder: str) -> None:
        """Let the holder out."""
        self.releases += 1
        if holder == self.holder:
            self.holder = None


async def wait_for_renewals(store: Store, number: int) -> None:
    """Wait until it was renewed so often more, and the renewing task has seen the answer."""
    for _ in range(number):
        store.renewed.clear()
        await asyncio.wait_for(store.renewed.wait(), 30)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_renewal_that_fails_by_a_bug_is_raised_by_confirm_and_at_the_end() -> None:
    """It is kept until somebody asks, and raised again to whoever did not listen."""
    store = Store()
    bug = ZeroDivisionError("a bug")
    claim = HeldClaim(store, USER_ID, 0.001)
    await claim.__aenter__()
    store.renew_fails = bug
    await wait_for_renewals(store, 1)
    store.renew_fails = None
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="a bug"):
            await claim.confirm()
    with pytest.raises(ZeroDivisionError, match="a bug"):
        await claim.__aexit__(None, None, None)
    assert (store.renewals, store.holder) == (1, None)


async def test_renewal_that_fails_by_a_bug_does_not_hide_what_the_body_raises() -> None:
    """The body's exception goes on, with a note."""
    store = Store()
    store.renew_fails = ZeroDivisionError("a bug")
    boom = ValueError("boom")
    claim = HeldClaim(store, USER_ID, 0.001)
    await claim.__aenter__()
    await wait_for_renewals(store, 1)
    await claim.__aexit__(ValueError, boom, None)
    assert [note for note in boom.__notes__ if "a bug" in note]


async def test_renewal_that_finds_it_lost_is_the_last_one() -> None:
    """`confirm` says so without asking again; leaving without asking is no error, as nothing was changed since."""
    store = Store()
    store.renew_fails = ClaimLostError()
    async with HeldClaim(store, USER_ID, 0.001) as claim:
        await wait_for_renewals(store, 1)
        store.renew_fails = None
        with pytest.raises(ClaimLostError):
            await claim.confirm()
        await asyncio.sleep(0.01)
    assert store.renewals == 1


async def test_renewal_that_finds_the_ledger_unavailable_goes_on() -> None:
    """It does not matter once the ledger is back."""
    store = Store()
    store.renew_fails = LedgerUnavailableError()
    async with HeldClaim(store, USER_ID, 0.001) as claim:
        await wait_for_renewals(store, 2)
        store.renew_fails = None
        await wait_for_renewals(store, 1)
        await claim.confirm()
    assert store.holder is None


async def test_claim_that_is_held_elsewhere_leaves_nothing_behind() -> None:
    """There is nothing to renew and nothing to give back."""
    store = Store()
    store.held_elsewhere = True
    before = asyncio.all_tasks()
    with pytest.raises(ClaimHeldError):
        await HeldClaim(store, USER_ID, 0.001).__aenter__()
    assert asyncio.all_tasks() == before
    assert store.releases == 0


CHANGES: dict[str, Callable[[Claim], Awaitable[object]]] = {
    "confirm": lambda claim: claim.confirm(),
    "write_evidence": lambda claim: claim.write_evidence(accepted(), evidence()),
    "read_coverages": lambda claim: claim.read_coverages(),
    "end": lambda claim: claim.end(accepted(), outcome(), coverage()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_renewal_that_finds_it_lost_is_known_to_every_change(
    change: Callable[[Claim], Awaitable[object]],
) -> None:
    """The store is not asked again, and nothing is kept."""
    store = Store()
    store.renew_fails = ClaimLostError()
    async with HeldClaim(store, USER_ID, 0.001) as claim:
        await wait_for_renewals(store, 1)
        store.renew_fails = None
        with pytest.raises(ClaimLostError):
            await change(claim)
    assert (store.renewals, store.kept) == (1, [])


async def test_changes_while_held_are_kept_in_order() -> None:
    """Each goes to the store once."""
    store = Store()
    async with HeldClaim(store, USER_ID, 60) as claim:
        await claim.write_evidence(accepted(), evidence())
        await claim.end(accepted(), outcome(), coverage())
        assert store.holder is None
    assert store.kept == [evidence(), outcome(), coverage()]


async def test_coverages_are_read_under_the_claim() -> None:
    """What was read is only worth something to whoever holds the claim."""
    store = Store()
    store.kept.append(coverage())
    async with HeldClaim(store, USER_ID, 60) as claim:
        assert await claim.read_coverages() == (coverage(),)
        store.renew_fails = ClaimLostError()
        with pytest.raises(ClaimLostError):
            await claim.read_coverages()


async def test_claim_that_has_ended_is_renewed_no_more() -> None:
    """A renewal would find it gone, and that is as it should be; confirming asks the store, which knows."""
    store = Store()
    async with HeldClaim(store, USER_ID, 0.001) as claim:
        await wait_for_renewals(store, 1)
        await claim.end(accepted(), outcome(), None)
        renewals = store.renewals
        await asyncio.sleep(0.02)
        assert store.renewals == renewals
        store.renew_fails = ClaimLostError()
        with pytest.raises(ClaimLostError):
            await claim.confirm()


async def test_what_one_holder_asks_for_is_asked_one_after_the_other() -> None:
    """The store never sees two calls of one holder at once."""
    store = Store()
    store.ends.clear()
    async with HeldClaim(store, USER_ID, 60) as claim:
        ending = asyncio.create_task(claim.end(accepted(), outcome(), None))
        await asyncio.sleep(0)
        confirming = asyncio.create_task(claim.confirm())
        await asyncio.sleep(0.01)
        assert store.renewals == 0
        store.ends.set()
        await ending
        with pytest.raises(AssertionError):  # this store knows the holder no more
            await confirming
