"""Whatever happens in whatever order: what was accepted ends once, is told, and does no more than was asked for.

Hypothesis draws requests, duplicates, registrations, troubles and the passing of time; at the end everything is well
again and works until it is quiet, and then what must have become of it all is compared with what did. What must have
become of it is worked out here from the contract's words; nothing of the product judges itself.

The examples are the same at each run. `MFA_RESET_MACHINE_EXAMPLES=500 pytest -n0 tests/service/test_machine.py` plays
as many others, in longer sequences, drawn anew each time.
"""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.service.machine import open_site
from tests.service.machine_play import DEAF, FAILURES, MISCHIEFS, POLICY, Play, Trouble, sweep

# --- What may happen -----------------------------------------------------------------------------------------------

anybody = st.integers(0, 3)
somebody = st.integers(0, 2)
profiles = st.sampled_from(["reregister", "reregister", "compromised", "phones"])
minutes_ago = st.sampled_from([0, None, 0, 20, 45])
troubles = st.builds(
    Trouble,
    what=st.sampled_from([*FAILURES, *MISCHIEFS, *sorted(DEAF), "kill", "lose_the_lock", "register"]),
    skip=st.integers(0, 20),
    when=st.sampled_from(["before", "after"]),
)


class Machine(Play):
    """What may happen, in any order."""

    @rule(user=anybody, profile=profiles, observed=minutes_ago, dry_run=st.integers(0, 3), deliveries=st.integers(0, 2))
    def enqueue(self, user: int, profile: str, observed: int | None, dry_run: int, deliveries: int) -> None:
        """Somebody sends a request."""
        body = self._body([user], observed, profile=profile, dryRun=dry_run == 3)
        self._act(self._put(body), deliveries)

    @rule(user=somebody, observed=minutes_ago, deliveries=st.integers(1, 3), trouble=troubles)
    def enqueue_a_burst(self, user: int, observed: int | None, deliveries: int, trouble: Trouble) -> None:
        """Several alerts name the same user; both processes take them, and something goes wrong."""
        self._act(self._put_all([self._body([user], observed) for _ in range(3)]), 0)
        self._trouble(trouble)
        self._act(None, deliveries, both=True)

    @rule(
        users=st.lists(anybody, min_size=2, max_size=3, unique=True), observed=minutes_ago, deliveries=st.integers(0, 4)
    )
    def enqueue_for_several(self, users: list[int], observed: int | None, deliveries: int) -> None:
        """Somebody sends one request for several users."""
        self._act(self._put(self._body(users, observed)), deliveries)

    @rule(which=st.integers(0, 30), deliveries=st.integers(0, 2))
    def send_again(self, which: int, deliveries: int) -> None:
        """Somebody sends an earlier message again."""
        if self.sent:
            self._act(self._put(self.sent[-1 - which % len(self.sent)]), deliveries)

    @rule(which=st.integers(0, 30))
    def post_again(self, which: int) -> None:
        """Somebody calls with the body of an earlier message or call."""
        if self.sent:
            self._act(self._calls(self.sent[-1 - which % len(self.sent)], both=False), 0)

    @rule(
        user=anybody,
        profile=profiles,
        observed=minutes_ago,
        both=st.booleans(),
        trouble=troubles,
    )
    def post(self, user: int, profile: str, observed: int | None, both: bool, trouble: Trouble) -> None:
        """Somebody calls, while the other process may be at something else, and something goes wrong."""
        self._trouble(trouble)
        self._act(self._calls(self._body([user], observed, profile=profile), both=both), 1)

    @rule(user=somebody, profile=profiles, trouble=troubles, deliveries=st.integers(1, 3))
    def enqueue_in_trouble(self, user: int, profile: str, trouble: Trouble, deliveries: int) -> None:
        """Somebody sends a request of what was seen just now, and something goes wrong while it is carried out."""
        self._act(self._put(self._body([user], 0, profile=profile)), 0)
        self._trouble(trouble)
        self._act(None, deliveries)

    # --- Registering ---

    @rule(user=somebody, type_=st.sampled_from(["softwareOath", "fido2", "microsoftAuthenticator"]))
    def register(self, user: int, type_: str) -> None:
        """Somebody registers a new method."""
        self._act(self._register(user, type_), 0)

    # --- Working, waiting, trouble ---

    @rule(deliveries=st.integers(1, 3), both=st.booleans(), minutes=st.sampled_from([0, 1, 5, 20, 61, 360, 1500]))
    def let_time_pass(self, deliveries: int, minutes: int, both: bool) -> None:
        """Time passes; what is due is taken."""
        self.site.advance(minutes * 60)
        self._act(None, deliveries, both=both)

    @rule(trouble=troubles, minutes=st.sampled_from([1, 6, 61]))
    def let_time_pass_in_trouble(self, trouble: Trouble, minutes: int) -> None:
        """Time passes; what is due is taken, and something goes wrong."""
        self._trouble(trouble)
        self.site.advance(minutes * 60)
        self._act(None, 2)

    @rule()
    def sweep(self) -> None:
        """Let the timer strike."""
        self._act(self.site.run(0, sweep), 1)

    @rule(seconds=st.sampled_from([20, 100, 900]), bus=st.sampled_from([False, False, True]))
    def suffer_an_outage(self, seconds: int, bus: bool) -> None:
        """Have no ledger or no bus for a while."""
        self._act((self.site.stop_the_bus if bus else self.site.lock_the_ledger)(seconds), 1)
        self.site.advance(5)
        self._act(None, 1)

    @rule(minutes=st.sampled_from([3, 90, None]))
    def pause(self, minutes: int | None) -> None:
        """Pause the program as an operator does, or let it go on."""
        self._act(self._pause(minutes), 1)


# --- The test ------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.usefixtures("untraced")  # the tests of each rule cover it; this one is about the order of things
def test_machine_whatever_happens_ends_as_the_contract_says(tmp_path: Path) -> None:
    """Nothing is lost, told never or removed without a reason, in whatever order things come and go wrong."""
    more = os.environ.get("MFA_RESET_MACHINE_EXAMPLES")
    with asyncio.Runner() as runner:
        opened = open_site(tmp_path, POLICY)
        site = runner.run(opened.__aenter__())
        try:
            run_state_machine_as_test(
                type("Played", (Machine,), {"site": site, "runner": runner}),
                settings=settings(
                    max_examples=int(more or 16),
                    stateful_step_count=40 if more else 20,
                    deadline=None,
                    derandomize=not more,
                    database=None,
                    phases=(Phase.generate, Phase.shrink),
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(opened.__aexit__(None, None, None))
