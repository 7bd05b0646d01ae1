"""`python -m sandbox soak`: many requests, faults on all sides, hosts killed, and what became of each request.

What counts is seen from outside: what the bus took or HTTP answered with 2xx, what the outcome topic and the
dead-letter queue hold, and which host changed which user when, by the tenant's own log (each start of a host has an
identity of its own). The bus is stopped and started, connections are cut before and after the effect, tokens refused.

`senders` send and know what was accepted, `trouble` disturbs and kills, `timers` does what Azure does by the clock,
`tally` counts, `run` puts it together.
"""

from sandbox.soak.run import Plan, run

__all__ = ["Plan", "run"]
