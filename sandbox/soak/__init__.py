"""`python -m sandbox soak`: many requests, faults on all sides, hosts killed, and what became of each request.

What counts is seen from outside: what the bus took or HTTP answered with 2xx, what the outcome topic and the
dead-letter queue hold, and which delivery changed which user when. That is by the tenant's own log; the hosts' logs
say which of their invocations a call belongs to. The bus is stopped and started, connections are cut before and after
the effect, tokens refused, hosts killed, until most of what was asked has ended; then all is left in peace to end.

`plan` says how much, `scene` what is up, `senders` send and know what was accepted, `trouble` disturbs and kills,
`timers` does what Azure does by the clock, `logs` and `workers` find who worked on whom, `tally` counts, `run` puts it
together.
"""

from sandbox.soak.plan import Plan
from sandbox.soak.run import run

__all__ = ["Plan", "run"]
