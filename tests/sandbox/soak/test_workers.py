"""Two workers on one user are found, and nothing else is taken for them."""

import pytest

from sandbox.soak.logs import Told
from sandbox.soak.workers import find_works
from tests.sandbox.soak.calls import ANOTHER, USER, Log


def overlaps_in(log: Log, told: Told) -> list[str]:
    """Find them; every change has somebody who made it."""
    works = find_works(log.calls, told)
    assert works.strays == []
    return list(works.overlaps)


@pytest.mark.parametrize("host", ["A", "B"])
def test_overlap_when_a_second_delivery_changes_before_the_last_change_of_the_first_then_found(host: str) -> None:
    """In one host as well as in two."""
    log = Log()
    log.begin("one")
    log.change("one")
    log.begin("two", host)
    log.change("two", host)
    log.change("one")
    assert overlaps_in(log, log.told()) == [f"{USER}: one in A and two in {host}"]


def test_overlap_when_a_second_delivery_has_only_begun_then_found() -> None:
    """It holds the claim, and the first changes the user all the same."""
    log = Log()
    log.begin("one")
    log.begin("two")
    log.change("one")
    assert overlaps_in(log, log.told()) == [f"{USER}: one in A and two in A"]


def test_overlap_when_a_third_is_within_the_first_but_not_the_second_then_both_found() -> None:
    """The one that changes longest is what the others are held against."""
    log = Log()
    log.begin("one")
    for name in ("two", "three"):
        log.begin(name)
        log.change(name)
    log.change("one")
    assert overlaps_in(log, log.told()) == [
        f"{USER}: one in A and two in A",
        f"{USER}: one in A and three in A",
    ]


def test_overlap_when_one_comes_after_the_other_then_none() -> None:
    """Other users are other users, what had no effect is no change, and what is read without the claim no work."""
    log = Log()
    log.begin("one")
    log.begin("other", user=ANOTHER)
    log.change("one")
    log.begin("two")
    log.change("two")
    log.change("one", effect=False)
    log.change("other", user=ANOTHER)
    log.begin("three")
    log.calls.append(log.calls[0].__class__(**{**vars(log.calls[0]), "path": f"/v1.0/users/{USER}?$select=id"}))
    log.calls.append(log.calls[0].__class__(**{**vars(log.calls[0]), "path": "/v1.0/groups/x/members/$ref"}))
    assert overlaps_in(log, log.told()) == []


def test_change_when_a_killed_host_did_not_tell_of_it_then_its_unfinished_deliverys() -> None:
    """The user's latest one: only it can have held the claim. Another host's delivery meanwhile is found."""
    log = Log()
    log.begin("ended")
    log.change("ended")
    log.begin("killed")
    log.change(None)
    assert overlaps_in(log, log.told(A={"killed", "elsewhere"})) == []
    log.begin("next", "B")
    log.change(None)
    log.change("next", "B")
    assert overlaps_in(log, log.told(A={"killed"})) == [f"{USER}: killed in A and next in B"]


@pytest.mark.parametrize("unfinished", [set(), {"two"}], ids=["all ended", "another had not begun yet"])
def test_change_when_no_delivery_can_have_made_it_then_a_stray(unfinished: set[str]) -> None:
    """Where a line is missing the answer is not that all is well."""
    log = Log()
    log.begin("one")
    log.change(None)
    log.begin("two")
    works = find_works(log.calls, log.told(A=unfinished))
    assert works.strays == [f"{USER}: DELETE by A"]
