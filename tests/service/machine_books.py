"""What a state machine's example asked for, and what must have become of it, worked out from the contract's words."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.model import RequestKey
from tests.service.stage import BREAK_GLASS

COOLDOWN = timedelta(minutes=30)
LONG_AGO = datetime(2023, 1, 1, tzinfo=UTC)
REREGISTER = {"phone", "microsoftAuthenticator", "softwareOath", "hardwareOath"}
SCOPES = {"reregister": REREGISTER, "compromised": {*REREGISTER, "fido2", "email"}, "phones": {"phone"}}
STEPS = {"reregister": {"revokeSessions"}, "compromised": {"disableAccount", "revokeSessions"}, "phones": set()}
# --- What was asked for and what was there -------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """One message or call that asks for the reset of one user."""

    key: RequestKey
    user_id: str
    profile: str
    dry_run: bool
    seen_at: datetime
    turn: int

    @property
    def may_remove(self) -> set[str]:
        """The types that it may remove."""
        return set() if self.dry_run or self.user_id == BREAK_GLASS else SCOPES[self.profile]


@dataclass
class Registered:
    """A method: when it was there first, which requests were under way then, and when it was found to be gone."""

    user_id: str
    type: str
    id: str
    at: datetime
    turn: int = -1
    under_way: frozenset[RequestKey] = frozenset()
    gone: int | None = None


@dataclass(frozen=True)
class Body:
    """What is sent, or sent again."""

    raw: bytes
    message_id: str
    observed_at: datetime | None


type Told = dict[str, Any]


def when(text: str | None) -> datetime:
    """Read a time of an outcome."""
    return datetime.fromisoformat(text) if text else LONG_AGO


@dataclass
class Books:
    """All that was asked, registered and told in one example, and what must be true of it in the end."""

    offers: list[Offer] = field(default_factory=list)
    methods: list[Registered] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    accepted: set[RequestKey] = field(default_factory=set)
    dead: set[RequestKey] = field(default_factory=set)

    def told_of(self, key: RequestKey) -> list[Told]:
        """Return what was told of a request, but for what was told of another that had taken its id."""
        return [told for told in self.told if (told["caller"], told["requestId"]) == (key.caller, key.request_id)]

    def resets(self, user_id: str) -> Iterator[Told]:
        """Return the verified resets of a user."""
        for told in self.told:
            if told["status"] == "completed" and (told["user"] or {}).get("id") == user_id:
                yield told

    def check(self) -> None:
        """Check everything."""
        for key in self.accepted:
            self._check_ends(key)
        for one in self.methods:
            if one.gone is None:
                self._check_may_stay(one)
            else:
                self._check_may_go(one, one.gone)

    def _check_ends(self, key: RequestKey) -> None:
        """See that it ended, once each time that it was asked for at most."""
        told = {(one["status"], one["finishedAt"]) for one in self.told_of(key)}
        assert told or key in self.dead, f"{key} was accepted and has no end"
        asked = [offer for offer in self.offers if offer.key == key]
        assert len(told) <= len(asked), f"{key} was asked for {len(asked)} times and ended as {sorted(told)}"

    def _check_may_go(self, one: Registered, gone: int) -> None:
        """See that somebody asked for it, of something seen after the last reset before it was registered."""
        licences = [offer for offer in self.offers if self._licenses(offer, one, gone)]
        assert licences, f"nobody may have removed {one}: {self._about(one.user_id)}"
        words = {
            line["result"]
            for told in self.told
            for line in told["methods"]
            if (line["type"], line["id"]) == (one.type, one.id)
        }
        assert "deleted" in words or self.dead, f"{one} is gone and was told as {words}: {self._about(one.user_id)}"

    def _licenses(self, offer: Offer, one: Registered, gone: int) -> bool:
        if offer.user_id != one.user_id or one.type not in offer.may_remove or offer.turn > gone:
            return False
        if offer.turn <= one.turn and offer.key not in one.under_way:
            return False
        return not any(
            offer.seen_at <= when(reset["verifiedAt"]) < one.at
            and SCOPES[offer.profile] <= SCOPES[reset["profile"]]
            and STEPS[offer.profile] <= STEPS[reset["profile"]]
            for reset in self.resets(one.user_id)
        )

    def _check_may_stay(self, one: Registered) -> None:
        """See that no reset that ended well since should have removed it, and that none says that it did."""
        for told in self.told:
            if (told["user"] or {}).get("id") != one.user_id or told["dryRun"]:
                continue
            lines = [line for line in told["methods"] if (line["type"], line["id"]) == (one.type, one.id)]
            assert not any(line["result"] in {"deleted", "alreadyGone"} for line in lines), f"{one} is there: {told}"
        ends = [told for told in self.told if (told["user"] or {}).get("id") == one.user_id]
        if not any(told["status"] in {"partial", "failed"} for told in ends):
            for told in ends:
                quiet = told["status"] == "covered" and one.type in SCOPES[told["profile"]]
                assert not quiet or one.at > when(told["startedAt"]), f"{one} was there: {told}"
        for reset in self.resets(one.user_id):
            late = one.at > when(reset["verifiedAt"])
            assert late or one.type not in SCOPES[reset["profile"]], f"{one} survived {reset}"

    def _about(self, user_id: str) -> str:
        offers = [offer for offer in self.offers if offer.user_id == user_id]
        told = [
            (one["requestId"], one["status"], one["startedAt"], one["verifiedAt"], one["finishedAt"])
            for one in self.told
            if (one["user"] or {}).get("id") == user_id
        ]
        return f"{offers} {told}"
