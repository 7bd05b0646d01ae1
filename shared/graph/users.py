"""Who is meant, whether they were deleted, and how else they may sign in."""

import asyncio
from functools import partial

from shared.errors import AmbiguousUserError, BadRequestError, GraphError, NotFoundError
from shared.graph.client import Call, GraphClient, Reading
from shared.graph.concurrency import first_error
from shared.graph.facts import (
    NamedAccount,
    parse_has_certificates,
    parse_is_federated,
    parse_named_account,
    parse_security_identifier,
    parse_user,
)
from shared.graph.repeats import Patience
from shared.graph.wire import Answer, Entity, read_entity, unreadable
from shared.model import ReferenceKind, SignIn, User, UserReference
from shared.permissions import FACT_NEEDS, Fact
from shared.ports import Clock
from shared.vocabulary import UserId

_LITTLE_SECONDS = 2.0  # of waiting, for what only helps people to read the outcome


class UserReader:
    """Reads users; see `shared.ports.Directory` for each method's promise."""

    def __init__(self, graph: GraphClient, clock: Clock) -> None:
        self._graph = graph
        self._clock = clock

    async def find(self, reference: UserReference) -> User | None:
        """Keep the port's promise; what is found has to be who was asked for, else UnreadableAnswerError."""
        if reference.kind is ReferenceKind.SECURITY_IDENTIFIER:
            return await self._find_by_security_identifier(reference.value)
        if reference.kind is ReferenceKind.ACCOUNT_NAME:
            return await self._find_by_account_name(reference.value)
        call = Call(
            "readUser",
            lambda requests: requests.user(reference.value),
            partial(_parse_named, reference),
            FACT_NEEDS[Fact.USER],
        )
        try:
            return await self._graph.ask(call, Patience(self._clock))
        except NotFoundError:
            return None

    async def _find_by_security_identifier(self, identifier: str) -> User | None:
        def parse(entity: Entity) -> User:
            if not _same(parse_security_identifier(entity) or "", identifier):
                raise unreadable("onPremisesSecurityIdentifier")
            return parse_user(entity)

        reading = Reading(
            "findUsers",
            lambda requests: requests.users_with_security_identifier(identifier),
            parse,
            FACT_NEEDS[Fact.USER],
            advanced=True,
        )
        return _the_only(await self._graph.read_all(reading, Patience(self._clock)))

    async def _find_by_account_name(self, qualified: str) -> User | None:
        r"""Find by `<DNS name>\<account name>`: Graph can filter by the name only, the domain is for us to compare.

        An account whose domain Graph does not show counts only where no other account in the tenant has the name.
        """
        domain, _, name = qualified.rpartition("\\")

        def parse(entity: Entity) -> NamedAccount:
            account = parse_named_account(entity)
            if not _same(account.name, name):
                raise unreadable("onPremisesSamAccountName")
            return account

        reading = Reading(
            "findUsers",
            lambda requests: requests.users_with_account_name(name),
            parse,
            FACT_NEEDS[Fact.USER],
            advanced=True,
        )
        accounts = await self._graph.read_all(reading, Patience(self._clock))
        in_domain = [account.user for account in accounts if account.domain and _same(account.domain, domain)]
        unclear = [account.user for account in accounts if account.domain is None]
        return _the_only(in_domain or (unclear if len(unclear) == len(accounts) else []))

    async def was_deleted(self, user_id: UserId) -> bool:
        """Keep the port's promise; where that cannot be told, it was not."""
        call = Call("readDeletedUser", lambda requests: requests.deleted_user(user_id), read_entity)
        try:
            await self._graph.ask(call, Patience(self._clock, _LITTLE_SECONDS))
        except GraphError:  # only the wording of the answer depends on it
            return False
        return True

    async def read_sign_in(self, user: User) -> SignIn:
        """Keep the port's promise; little time is spent on it, for no reset waits for what is told beside it."""
        with first_error():
            async with asyncio.TaskGroup() as tasks:
                certificates = tasks.create_task(self._read_certificates(user.id))
                federated = tasks.create_task(self._read_federated(user))
        return SignIn(certificates.result(), federated.result())

    async def _read_certificates(self, user_id: UserId) -> bool | None:
        """Ask v1.0, then beta: sources differ on where the property is (graph.md 5)."""
        for beta in (False, True):
            call = Call(
                "readCertificates",
                lambda requests, beta=beta: requests.certificates_of(user_id, beta=beta),  # type: ignore[misc]
                lambda answer: parse_has_certificates(read_entity(answer)),
                FACT_NEEDS[Fact.USER],
            )
            try:
                return await self._graph.ask(call, Patience(self._clock, _LITTLE_SECONDS))
            except BadRequestError:
                continue
            except GraphError:
                return None
        return None

    async def _read_federated(self, user: User) -> bool | None:
        if user.is_external:
            return False
        domain = user.user_principal_name.rpartition("@")[2]
        call = Call(
            "readDomain",
            lambda requests: requests.domain(domain),
            lambda answer: parse_is_federated(read_entity(answer)),
            FACT_NEEDS[Fact.FEDERATED_SIGN_IN],
        )
        try:
            return await self._graph.ask(call, Patience(self._clock, _LITTLE_SECONDS))
        except GraphError:
            return None


def _the_only(users: list[User]) -> User | None:
    """Return the one user; raise AmbiguousUserError for several, None for nobody."""
    found = {user.id: user for user in users}
    if len(found) > 1:
        raise AmbiguousUserError
    return next(iter(found.values()), None)


def _parse_named(reference: UserReference, answer: Answer) -> User:
    user = parse_user(read_entity(answer))
    if _same(user.id, reference.value):
        return user
    if reference.kind is ReferenceKind.USER_PRINCIPAL_NAME and _same(user.user_principal_name, reference.value):
        return user
    raise unreadable("anotherUser")


def _same(one: str, other: str) -> bool:
    # bytes.lower() knows ASCII only: letters that merely look alike when folded are two names.
    return one.encode().lower() == other.encode().lower()
