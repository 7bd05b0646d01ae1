"""What the product asks of the outside world. Each docstring is a contract that every implementation keeps."""

from shared.ports.directory import Directory, Listing, NamedPresence, TemporaryAccessPass
from shared.ports.ledger import Claim, Ledger
from shared.ports.messages import Bus, Call, Delivery, Family, Finished, Front, Pending, RejectedCopy, Reply, Taken
from shared.ports.time import Clock
from shared.ports.vault import Vault

__all__ = [
    "Bus",
    "Call",
    "Claim",
    "Clock",
    "Delivery",
    "Directory",
    "Family",
    "Finished",
    "Front",
    "Ledger",
    "Listing",
    "NamedPresence",
    "Pending",
    "RejectedCopy",
    "Reply",
    "Taken",
    "TemporaryAccessPass",
    "Vault",
]
