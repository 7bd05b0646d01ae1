"""The product against the sandbox's servers in one process, with a clock that waits for nobody."""

import itertools
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
from azure.core.credentials import AccessToken

from sandbox.tenant import Tenant
from sandbox.vault import Vault
from shared.graph import GraphDirectory
from shared.intake import fingerprint
from shared.ledger.sqlite import SqliteLedger
from shared.model import AcceptedRequest, Outcome, ReferenceKind, RequestKey, ResetRequest, Selection, UserReference
from shared.policy import Policy, parse_policy
from shared.service import Service, make_service
from shared.steps import StepTaker
from shared.vault import KeyVault
from shared.vocabulary import QUEUE, Caller, ProfileName, RequestId, Source
from tests.clocks import FakeClock
from tests.secrecy import Ear, listening, texts_of_error, texts_of_ledger, texts_of_outcomes

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

AVERY = "10000000-0000-4000-8000-000000000001"
BLAIR = "10000000-0000-4000-8000-000000000002"
CASEY = "10000000-0000-4000-8000-000000000003"
DEVON = "10000000-0000-4000-8000-000000000004"
FINLEY = "10000000-0000-4000-8000-000000000006"
HARPER = "10000000-0000-4000-8000-000000000008"
BREAK_GLASS = "10000000-0000-4000-8000-000000000012"
MORGAN = "10000000-0000-4000-8000-000000000013"
NOEL = "10000000-0000-4000-8000-000000000014"
OAKLEY = "10000000-0000-4000-8000-000000000015"
PARKER = "10000000-0000-4000-8000-000000000016"
REESE = "10000000-0000-4000-8000-000000000018"
VAL = "10000000-0000-4000-8000-000000000023"
EMERY_SID = "S-1-5-21-1004336348-1177238915-682003330-1105"
NEVER_RESET = "20000000-0000-4000-8000-000000000001"


# Loading the machine's certificates takes longer than ten calls to the tenant, which speaks no TLS.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_GOOD_FOR_SECONDS = 300


class TenantCredential:
    """A token from the tenant's own endpoint, for tests in one process: the environment is nobody's to change.

    A token is kept while it is good and grants what the tenant grants: a test that changes app roles need not wait.
    """

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._kept: dict[tuple[str, frozenset[str]], AccessToken] = {}

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:  # noqa: ANN401 - azure-core's signature
        """Ask as the managed identity's client does."""
        key = (scopes[0].removesuffix("/.default"), frozenset(self._tenant.roles))
        kept = self._kept.get(key)
        if kept is None or kept.expires_on < self._tenant.now().timestamp() + _GOOD_FOR_SECONDS:
            kept = self._kept[key] = await self._ask(key[0])
        return kept

    async def _ask(self, resource: str) -> AccessToken:
        parameters = {"resource": resource, "api-version": "2019-08-01"}
        headers = {"X-IDENTITY-HEADER": self._tenant.environment["IDENTITY_HEADER"]}
        async with httpx.AsyncClient(timeout=5, trust_env=False, verify=_NO_TLS) as client:
            answer = await client.get(self._tenant.environment["IDENTITY_ENDPOINT"], params=parameters, headers=headers)
        answer.raise_for_status()
        token = answer.json()
        return AccessToken(token["access_token"], int(token["expires_on"]))

    async def close(self) -> None:
        """Have nothing to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


@dataclass
class Stage:
    """What a test plays with."""

    tenant: Tenant
    clock: FakeClock
    ledger: SqliteLedger
    directory: GraphDirectory
    policy: Policy
    vault: Vault
    key_vault: KeyVault | None
    numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)
    ear: Ear = field(default_factory=Ear, repr=False)
    ledger_path: Path = field(default_factory=Path)
    ends: list[Outcome | BaseException] = field(default_factory=list, repr=False)

    @property
    def service(self) -> Service:
        """The service under the policy as it is now."""
        steps = StepTaker(self.directory, self.ledger, self.clock, self.key_vault)
        return make_service(self.policy, self.directory, self.ledger, self.clock, steps)

    async def reset(self, user: str, **more: Any) -> Outcome:  # noqa: ANN401 - fields of a request
        """Accept a request for a user and carry it out within 4 minutes."""
        request_id = more.pop("request_id", None) or f"INC-{next(self.numbers)}"
        row = await self.ledger.accept(request_for(user, self.clock.now(), request_id=request_id, **more))
        return await self.handle(row)

    async def handle(self, row: AcceptedRequest) -> Outcome:
        """Carry out a row within 4 minutes."""
        try:
            outcome = await self.service.handle(row, self.clock.now() + timedelta(seconds=240))
        except BaseException as error:
            self.ends.append(error)
            raise
        self.ends.append(outcome)
        return outcome

    def texts(self) -> Iterator[tuple[str, str]]:
        """Return everything that left so far, but for the vault, where a pass belongs."""
        outcomes = [end for end in self.ends if isinstance(end, Outcome)]
        errors = [end for end in self.ends if isinstance(end, BaseException)]
        yield from self.ear.texts
        yield from texts_of_ledger(self.ledger_path)
        yield from texts_of_outcomes(outcomes)
        for error in errors:
            yield from texts_of_error(error)

    def types_of(self, user_id: str) -> list[str]:
        """Tell which types of method the tenant still holds of a user."""
        return sorted(method.type for method in self.tenant.directory.users[user_id].registered)

    def changes(self) -> list[str]:
        """Tell what the tenant has changed, in order."""
        return [f"{call.method} {call.path}" for call in self.tenant.calls if call.effect]


def request_for(  # noqa: PLR0913 - a request's fields
    user: str,
    now: datetime,
    *,
    request_id: str = "INC-1",
    profile: str = "reregister",
    caller: str = QUEUE,
    dry_run: bool = False,
    selection: Selection | None = None,
    observed_at: datetime | None = None,
) -> AcceptedRequest:
    """Build a request as reception offers it; what it is about was seen just now, so no earlier reset covers it."""
    kind = ReferenceKind.USER_PRINCIPAL_NAME if "@" in user else ReferenceKind.OBJECT_ID
    if user.upper().startswith("S-1-5-"):
        kind = ReferenceKind.SECURITY_IDENTIFIER
    request = ResetRequest(
        RequestId(request_id),
        UserReference(kind, user),
        ProfileName(profile),
        requested_by="a test",
        observed_at=observed_at or now + timedelta(microseconds=1),
        selection=selection or Selection(),
        dry_run=dry_run,
    )
    key = RequestKey(Caller(caller), request.request_id)
    return AcceptedRequest(key, fingerprint(request), request, Source.QUEUE, now, request.observed_at or now, now, now)


def asked_again(row: AcceptedRequest, now: datetime) -> AcceptedRequest:
    """Build the same request as it is asked for once more, of something that was seen just now."""
    seen_at = now + timedelta(microseconds=1)
    return replace(row, request=replace(row.request, observed_at=seen_at), first_enqueued_at=seen_at)


POLICY: dict[str, Any] = {
    "profiles": {
        "reregister": {"methods": "reregister", "steps": ["revokeSessions"], "registrationWindow": "accepted"},
        "compromised": {"methods": "all", "steps": ["disableAccount", "revokeSessions"]},
        "phones": {"methods": ["phone"], "registrationWindow": "accepted"},
        "revoke": {"methods": "none", "steps": ["revokeSessions"]},
        "some": {"methods": "all", "steps": ["revokeSessions"], "selective": True, "registrationWindow": "accepted"},
    },
    "callers": {"queue": ["reregister", "compromised", "phones", "revoke", "some"], "functionKey": ["reregister"]},
    "never": {"users": [BREAK_GLASS], "groups": [NEVER_RESET]},
    "privileged": {"instead": ["revokeSessions"]},
}


def policy_with(**changes: Any) -> Policy:  # noqa: ANN401 - JSON
    """Build the tests' policy with some of its top level replaced."""
    return parse_policy(json.dumps(POLICY | changes))


@asynccontextmanager
async def set_up(tmp_path: Path) -> AsyncIterator[Stage]:
    """Start a tenant, and the product's own objects against it."""
    clock = FakeClock(START)
    async with AsyncExitStack() as stack:
        ear = stack.enter_context(listening())
        tenant = await stack.enter_async_context(Tenant(now=clock.now, sleep=clock.sleep))
        directory = GraphDirectory(tenant.url, None, clock, credential_factory=lambda: TenantCredential(tenant))
        stack.push_async_callback(directory.close)
        path = tmp_path / "ledger.sqlite"
        ledger = SqliteLedger(path, clock)
        stack.push_async_callback(ledger.close)
        vault = await stack.enter_async_context(Vault(tenant.tokens, now=clock.now))
        key_vault = KeyVault(
            vault.url, None, credential_factory=lambda: TenantCredential(tenant), ca_file=vault.ca_file
        )
        stack.push_async_callback(key_vault.close)
        parts = (tenant, clock, ledger, directory, policy_with(), vault, key_vault)
        yield Stage(*parts, ear=ear, ledger_path=path)


def under(stage: Stage, policy: Policy, *, no_vault: bool = False) -> Stage:
    """Play the same under another policy, or without a vault."""
    return replace(stage, policy=policy, key_vault=None if no_vault else stage.key_vault)
