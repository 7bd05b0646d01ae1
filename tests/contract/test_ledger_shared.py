"""Every sentence of `shared.ports.Ledger` that concerns more than one request, or a user, for each store."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.errors import LedgerUnavailableError
from shared.model import Budget, Control
from shared.ports import Ledger
from shared.vocabulary import FUNCTION_KEY, QUEUE, BudgetKind, Mark, RequestId, Status, UserId
from tests.contract.ledger_stores import LedgerStore
from tests.contract.ledger_values import (
    OTHER_USER_ID,
    START,
    USER_ID,
    accepted,
    coverage,
    end,
    evidence,
    key_of,
    outcome,
    read,
    write_evidence,
)

KEY = key_of()
RESETS = Budget(QUEUE, BudgetKind.RESETS)
DISABLED = Mark("disabled")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


# --- children ---------------------------------------------------------------------------------------------------


async def test_children_are_found_by_the_id_of_their_parent(ledger: Ledger) -> None:
    """All 500 of them, in order, with ids as long as they get; no request need be there."""
    children = tuple(RequestId(f"{number:03}{'x' * 114}") for number in range(500))
    await ledger.add_children(KEY, children)
    assert await ledger.find_children(KEY.request_id) == tuple(key_of(child) for child in children)
    assert await ledger.read(KEY) is None
    assert await ledger.unfinished(START + DAY, 100) == ()


async def test_children_added_again_are_kept_once(ledger: Ledger) -> None:
    """What is new goes to the end."""
    await ledger.add_children(KEY, (RequestId("b"), RequestId("a")))
    await ledger.add_children(KEY, (RequestId("b"), RequestId("a")))
    await ledger.add_children(KEY, (RequestId("c"), RequestId("a")))
    assert await ledger.find_children(KEY.request_id) == (key_of("b"), key_of("a"), key_of("c"))


async def test_children_of_parents_of_one_id_are_found_together(ledger: Ledger) -> None:
    """Whoever asked; those of another id are not."""
    await ledger.add_children(KEY, (RequestId("a"),))
    await ledger.add_children(key_of("INC-3177", FUNCTION_KEY), (RequestId("a"), RequestId("b")))
    await ledger.add_children(key_of("INC-31"), (RequestId("z"),))
    found = await ledger.find_children(KEY.request_id)
    assert set(found) == {key_of("a"), key_of("a", FUNCTION_KEY), key_of("b", FUNCTION_KEY)}
    assert len(found) == 3


async def test_children_added_by_many_at_once_are_all_kept(store: LedgerStore, ledger: Ledger) -> None:
    """Nobody's are overwritten."""
    workers = [store.open() for _ in range(3)]
    adding = (workers[number % 3].add_children(KEY, (RequestId(f"c{number}"),)) for number in range(6))
    await asyncio.gather(*adding)
    assert set(await ledger.find_children(KEY.request_id)) == {key_of(f"c{number}") for number in range(6)}


async def test_children_of_an_unknown_parent_are_none(ledger: Ledger) -> None:
    """Ids are compared exactly, and a child is no parent."""
    await ledger.add_children(KEY, (RequestId("a"),))
    assert await ledger.find_children(RequestId("inc-3177")) == ()
    assert await ledger.find_children(RequestId("a")) == ()
    await ledger.add_children(key_of("INC-1"), ())
    assert await ledger.find_children(RequestId("INC-1")) == ()


# --- control ----------------------------------------------------------------------------------------------------


def always(control: Control) -> Callable[[Control], Control]:
    """Replace whatever is kept."""
    return lambda _: control


async def test_control_is_empty_until_it_is_written_and_then_what_was_written_last(
    store: LedgerStore, ledger: Ledger
) -> None:
    """Every worker reads it."""
    assert await ledger.read_control() == Control()
    paused = Control(paused_until=START + HOUR, paused_by="Sam", paused_why="é, 漢, 🔑" * 40)
    raised = Control(resets_per_hour=500, resets_per_hour_until=START + HOUR)
    for control in (paused, paused, raised, Control()):
        assert await ledger.change_control(always(control)) == control
        assert await store.open().read_control() == control


async def test_control_changed_by_many_at_once_keeps_every_change(store: LedgerStore, ledger: Ledger) -> None:
    """Two operators who pause and raise the limit in the same second both get what they asked for."""
    changes: list[Callable[[Control], Control]] = [
        lambda kept: replace(kept, paused_until=START),
        lambda kept: replace(kept, paused_by="Sam"),
        lambda kept: replace(kept, paused_why="drill"),
        lambda kept: replace(kept, resets_per_hour=500),
        lambda kept: replace(kept, resets_per_hour_until=START),
    ]
    kept = await asyncio.gather(*(store.open().change_control(change) for change in changes))
    assert await ledger.read_control() == Control(START, "Sam", "drill", 500, START)
    assert await ledger.read_control() in kept


# --- what is remembered of a user -------------------------------------------------------------------------------


async def test_mark_is_remembered_until_it_is_forgotten(store: LedgerStore, ledger: Ledger) -> None:
    """The last text counts; forgetting again changes nothing."""
    assert await ledger.recall(USER_ID, DISABLED) is None
    for text in ("one", "", "two 🔑" * 10_000):
        await ledger.remember(USER_ID, DISABLED, text)
        assert await store.open().recall(USER_ID, DISABLED) == text
    for _ in range(2):
        await ledger.forget(USER_ID, DISABLED)
        assert await ledger.recall(USER_ID, DISABLED) is None


async def test_mark_of_another_user_or_another_name_is_another(ledger: Ledger) -> None:
    """Names are compared exactly, whatever characters are in them."""
    marks = [Mark("disabled"), Mark("Disabled"), Mark("pass:a/b?c#d\\e%"), Mark("")]
    for number, mark in enumerate(marks):
        await ledger.remember(USER_ID, mark, str(number))
    assert [await ledger.recall(USER_ID, mark) for mark in marks] == ["0", "1", "2", "3"]
    assert await ledger.recall(OTHER_USER_ID, DISABLED) is None
    await ledger.forget(USER_ID, DISABLED)
    assert [await ledger.recall(USER_ID, mark) for mark in marks] == [None, "1", "2", "3"]


# --- purge ------------------------------------------------------------------------------------------------------


async def accept_and_end(ledger: Ledger, request_id: str, accepted_at: datetime, *, reported: bool = True) -> None:
    """Let a request end under a claim."""
    request = accepted(key_of(request_id), accepted_at=accepted_at)
    await ledger.accept(request)
    await write_evidence(ledger, request, evidence())
    await end(ledger, request, outcome())
    if reported:
        await ledger.mark_reported(request.key, 1)


async def test_purge_forgets_what_ended_and_was_reported_before_that(ledger: Ledger) -> None:
    """What is younger, under way or unreported stays, with all that is kept of it."""
    await accept_and_end(ledger, "old", START - DAY)
    await accept_and_end(ledger, "unreported", START - DAY, reported=False)
    await accept_and_end(ledger, "young", START)
    await ledger.accept(accepted(key_of("under-way"), accepted_at=START - DAY))
    await ledger.accept(accepted(key_of("given-up"), accepted_at=START - DAY))
    await ledger.write_outcome(accepted(key_of("given-up")), outcome(Status.FAILED))
    await ledger.mark_reported(key_of("given-up"), 1)
    assert await ledger.purge(START, 100) == 2
    for gone in ("old", "given-up"):
        assert await ledger.read(key_of(gone)) is None
        assert await ledger.find(RequestId(gone)) is None
    for stays in ("unreported", "young"):
        kept = await read(ledger, key_of(stays))
        assert (kept.evidence, kept.outcome) == (evidence(), outcome())
    assert set(await ledger.unfinished(START + DAY, 100)) == {key_of("unreported"), key_of("under-way")}
    assert await ledger.purge(START, 100) == 0


async def test_purged_request_that_comes_again_is_a_new_one(ledger: Ledger) -> None:
    """Nothing of the old one is found, not even under its user."""
    await accept_and_end(ledger, "old", START - DAY)
    assert await ledger.purge(START, 100) == 1
    again = accepted(key_of("old"), fingerprint="f2", accepted_at=START)
    assert await ledger.accept(again) == again
    await end(ledger, again, outcome(Status.REFUSED))
    kept = await read(ledger, again.key)
    assert (kept.evidence, kept.outcome) == (None, outcome(Status.REFUSED))


async def test_purge_goes_no_further_than_it_is_told(ledger: Ledger) -> None:
    """The rest goes the next time."""
    for number in range(5):
        await accept_and_end(ledger, f"r{number}", START - DAY)
    assert [await ledger.purge(START, 2) for _ in range(4)] == [2, 2, 1, 0]


async def test_purge_forgets_old_marks_and_coverages_and_counts_none(store: LedgerStore, ledger: Ledger) -> None:
    """It goes by when they were written last."""
    await ledger.accept(accepted())
    await ledger.remember(USER_ID, DISABLED, "text")
    await end(ledger, accepted(), outcome(), coverage())
    for before, text, found in ((store.now() - DAY, "text", (coverage(),)), (store.now() + DAY, None, ())):
        assert await ledger.purge(before, 100) == 0
        assert await ledger.recall(USER_ID, DISABLED) == text
        async with ledger.claim(USER_ID) as claim:
            assert await claim.read_coverages() == found
    assert (await read(ledger, KEY)).outcome == outcome()


async def test_purge_of_old_marks_is_not_held_up_by_what_stays(store: LedgerStore, ledger: Ledger) -> None:
    """However many requests of the user have not been reported yet."""
    for number in range(4):
        await accept_and_end(ledger, f"r{number}", START, reported=False)
    other = UserId("ffd2ad0f-6ee3-42cc-a3c4-77a0ba0d21a1")
    await ledger.remember(other, DISABLED, "text")
    for _ in range(2):
        await ledger.purge(store.now() + DAY, 2)
    assert await ledger.recall(other, DISABLED) is None


async def test_purge_leaves_the_control_and_a_claim_that_is_held(store: LedgerStore, ledger: Ledger) -> None:
    """They are no history."""
    control = Control(resets_per_hour=500, resets_per_hour_until=START + HOUR)
    await ledger.change_control(lambda _: control)
    async with ledger.claim(USER_ID) as claim:
        await ledger.purge(store.now() - DAY, 100)
        await claim.confirm()
    assert await ledger.read_control() == control


async def test_purge_leaves_children_whose_requests_are_just_being_accepted(store: LedgerStore, ledger: Ledger) -> None:
    """They are remembered before their requests are there."""
    await ledger.add_children(KEY, (RequestId("a"), RequestId("b")))
    await ledger.purge(store.now() - DAY, 100)
    assert await ledger.find_children(KEY.request_id) == (key_of("a"), key_of("b"))


async def test_purge_forgets_the_children_of_what_it_forgets(store: LedgerStore, ledger: Ledger) -> None:
    """The family goes with the last of its children."""
    await ledger.add_children(KEY, (RequestId("a"), RequestId("b")))
    for child in ("a", "b"):
        await accept_and_end(ledger, child, START - DAY)
    await ledger.purge(store.now() + DAY, 100)
    assert await ledger.find_children(KEY.request_id) == ()


# --- a store that cannot be reached -----------------------------------------------------------------------------


CALLS: dict[str, Callable[[Ledger], Awaitable[object]]] = {
    "accept": lambda ledger: ledger.accept(accepted()),
    "read": lambda ledger: ledger.read(KEY),
    "find": lambda ledger: ledger.find(KEY.request_id),
    "restart": lambda ledger: ledger.restart(accepted(), accepted()),
    "count_attempt": lambda ledger: ledger.count_attempt(KEY),
    "expect": lambda ledger: ledger.expect(KEY, START),
    "resolve": lambda ledger: ledger.resolve(accepted(), USER_ID),
    "held_back": lambda ledger: ledger.held_back(100),
    "let_go": lambda ledger: ledger.let_go(KEY, START),
    "count_started": lambda ledger: ledger.count_started(RESETS, START),
    "write_outcome": lambda ledger: ledger.write_outcome(accepted(), outcome()),
    "mark_reported": lambda ledger: ledger.mark_reported(KEY, 1),
    "unfinished": lambda ledger: ledger.unfinished(START, 100),
    "add_children": lambda ledger: ledger.add_children(KEY, (RequestId("a"),)),
    "find_children": lambda ledger: ledger.find_children(KEY.request_id),
    "count_start": lambda ledger: ledger.count_start(RESETS, accepted(), 1, START),
    "read_control": lambda ledger: ledger.read_control(),
    "change_control": lambda ledger: ledger.change_control(lambda _: Control()),
    "purge": lambda ledger: ledger.purge(START, 100),
    "remember": lambda ledger: ledger.remember(USER_ID, DISABLED, "text"),
    "recall": lambda ledger: ledger.recall(USER_ID, DISABLED),
    "forget": lambda ledger: ledger.forget(USER_ID, DISABLED),
    "claim": lambda ledger: ledger.claim(USER_ID).__aenter__(),
}


async def test_every_method_raises_when_the_store_is_not_there(store: LedgerStore) -> None:
    """Nothing is said to be kept, and nothing is said to be absent."""
    unreachable = store.open_unreachable()
    said = await asyncio.gather(*(call(unreachable) for call in CALLS.values()), return_exceptions=True)
    assert {
        name for name, what in zip(CALLS, said, strict=True) if not isinstance(what, LedgerUnavailableError)
    } == set()


# --- close ------------------------------------------------------------------------------------------------------


async def test_close_again_changes_nothing(ledger: Ledger) -> None:
    """Whoever closes once more need not know."""
    await ledger.read(KEY)
    await ledger.close()
    await ledger.close()


async def test_close_before_the_first_use_opens_nothing(store: LedgerStore) -> None:
    """Whoever builds it need not use it."""
    await store.open_unreachable().close()
