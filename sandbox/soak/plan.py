"""How much."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """`seconds` to send in, `drain_seconds` more of trouble at most, `end_seconds` at most for everything to end.

    The trouble goes on until all but `calm_share` of what was open when everything was sent has come to its end, and
    for `least_kills`. A host is killed every `kill_seconds`, and then every `drain_kill_seconds`: a reset takes 12 s,
    and the claim that a killed one leaves a minute, so with too many nothing would come to its end.
    """

    requests: int = 2_000
    users: int = 200
    hosts: int = 3
    seconds: float = 240
    drain_seconds: float = 240
    calm_share: float = 0.2
    # The resume of a request that was tried several times may be 15 minutes away, and one that got lost is found by the
    # timer half an hour later. It is as a rule a few minutes.
    end_seconds: float = 2_400
    kill_seconds: float = 12
    drain_kill_seconds: float = 20
    least_kills: int = 3
    seed: int = 1
    ledger: str | None = None
