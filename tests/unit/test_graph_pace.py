"""One call a second, for a service that does not say how long to wait."""

import pytest

from shared.graph.pace import Pace
from tests.builders import NOW
from tests.clocks import FakeClock


def test_pace_when_many_come_at_once_then_each_waits_a_second_more_up_to_twenty() -> None:
    """The turn of whoever would have to wait longer is not taken."""
    clock = FakeClock(NOW)
    pace = Pace(clock)
    assert [pace.reserve() for _ in range(19)] == [*(pytest.approx(1.2 * turn) for turn in range(17)), None, None]
    clock.advance(1.2)
    assert [pace.reserve(), pace.reserve()] == [pytest.approx(19.2), None]


def test_pace_when_time_has_passed_then_nobody_waits() -> None:
    """A turn that nobody took is gone."""
    clock = FakeClock(NOW)
    pace = Pace(clock)
    pace.reserve()
    clock.advance(60)
    assert [pace.reserve(), pace.reserve()] == [0.0, 1.2]
