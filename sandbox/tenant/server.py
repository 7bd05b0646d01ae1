"""The tenant on a socket: Graph, the managed identity's token endpoint, and the sandbox's own addresses."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import unquote, unquote_plus, urlsplit

from aiohttp import web

from sandbox.tenant import admin, graph, identity
from sandbox.tenant.batch import Part, answer_batch, is_batch, refuse_nested
from sandbox.tenant.confidential import secrets_of_directory, without_names
from sandbox.tenant.directory import Directory, load_directory
from sandbox.tenant.exchange import Answer, Call, GraphError, Question
from sandbox.tenant.faults import Fault, FaultList, Holds, Sleep, answer_under
from sandbox.tenant.tokens import read_client_id
from sandbox.tenant.world import Now, World, utc_now

LOOPBACK = "127.0.0.1"
_JSON = "application/json; charset=utf-8"
_SHUTDOWN_SECONDS = 0.2


class Tenant(World):
    """A tenant that answers on loopback while its context is open; every switch and the directory may change then.

    `now` is the only clock and `sleep` the only wait, so that a test may run years in milliseconds. A port of 0 takes
    a free one.
    """

    def __init__(
        self, directory: Directory | None = None, now: Now = utc_now, sleep: Sleep = asyncio.sleep, port: int = 0
    ) -> None:
        super().__init__(directory=directory or load_directory(), now=now)
        self.calls: list[Call] = []
        self.token_calls: list[Call] = []
        self.identity_header = secrets.token_hex(16)
        self.issued_secrets |= {self.identity_header} | secrets_of_directory(self.directory)
        self.faults = FaultList()
        self.holds = Holds()
        self._sleep = sleep
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead a process to this tenant."""
        return {
            "GRAPH_URL": self.url,
            "IDENTITY_ENDPOINT": f"{self.url}{identity.PATH}",
            "IDENTITY_HEADER": self.identity_header,
        }

    def secret_values(self) -> set[str]:
        """Return every value that nobody but the tenant and who asked it may ever show, of the past ones too.

        Phone numbers (also as digits alone, from 7 of them) and e-mail addresses of methods, codes of Temporary Access
        Passes, passwords that were sent, access tokens, the identity header, and pins, codes and keys that the
        directory holds. An address that is somebody's user principal name is none: that is no secret.
        """
        return without_names(self.issued_secrets | secrets_of_directory(self.directory), self.directory)

    def add_fault(self, fault: Fault) -> None:
        """Put a fault in force; of several that match a call, the first added hits it."""
        self.faults.add(fault)

    def clear_faults(self) -> None:
        """Take every fault out of force, and let go on what is held."""
        self.faults.clear()
        self.holds.release_all()

    async def __aenter__(self) -> Self:
        application = web.Application()
        admin.add_routes(application, self)
        application.router.add_route("*", "/{address:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, self._port)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        calls = self.token_calls if request.path == identity.PATH else self.calls
        call = Call(
            at=self.now(),
            method=request.method,
            path=_decode(request.raw_path),
            status=0,
            client_request_id=request.headers.get("client-request-id"),
            effect=False,
            client_id=read_client_id(request.headers.get("Authorization", "")),
        )
        place = len(calls)
        calls.append(call)
        # Before anything is awaited: the record, and the fault that is counted, are in the order of arrival.
        fault = self.faults.take(call.method, call.path)
        question = _read_question(request, await request.read())
        answer = await self._answer_recorded(calls, place, fault, question)
        return self._send(request, answer, call.client_request_id)

    async def _answer_recorded(self, calls: list[Call], place: int, fault: Fault | None, question: Question) -> Answer:
        call = calls[place]
        answer = await answer_under(
            fault,
            respond=lambda: self._respond(question, call),
            fail=lambda fault: self._fail(fault, call.client_request_id),
            interfere=self._interfere,
        )
        # A test may have emptied the list while the call was under way.
        if place < len(calls) and calls[place] is call:
            calls[place] = replace(call, status=answer.status, effect=answer.effect and not is_batch(question))
        return answer

    async def _interfere(self, fault: Fault) -> None:
        if fault.hold is not None:
            await self.holds.wait(fault.hold)
        if fault.delay_seconds:
            await self._sleep(fault.delay_seconds)
        if fault.deletes in self.directory.users:
            self.directory.delete_user(fault.deletes, self.now())
        if fault.restores in self.directory.deleted_users:
            self.directory.restore_user(fault.restores)

    async def _respond(self, question: Question, call: Call) -> Answer:
        if question.path == identity.PATH:
            return identity.answer(self, question, self.identity_header)
        if not is_batch(question):
            return graph.answer(self, question)
        try:
            if call.in_batch:
                raise refuse_nested()
            return await answer_batch(self, question, lambda part: self._carry_out(part, call))
        except GraphError as error:
            return graph.render_error(self, error, call.client_request_id)

    async def _carry_out(self, part: Part, batch: Call) -> Answer:
        """Answer one part of a batch as a call of its own, with a record and faults of its own."""
        given = part.question.headers.get("client-request-id")
        call = replace(
            batch, at=self.now(), method=part.question.method, path=part.address, client_request_id=given, in_batch=True
        )
        self.calls.append(call)
        fault = self.faults.take(call.method, call.path)
        answer = await self._answer_recorded(self.calls, len(self.calls) - 1, fault, part.question)
        return replace(answer, headers={**answer.headers, **graph.identify(self, answer, given)})

    def _fail(self, fault: Fault, client_request_id: str | None) -> Answer:
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        if fault.status is not None and fault.status < HTTPStatus.BAD_REQUEST:
            return Answer(fault.status, fault.body, headers)
        body = graph.error_body(self, *fault.error, client_request_id) if fault.body is None else fault.body
        return Answer(fault.status or 0, body, headers)

    def _send(self, request: web.Request, answer: Answer, client_request_id: str | None) -> web.Response:
        if answer.cut and request.transport is not None:
            request.transport.abort()
        headers = {**answer.headers, **graph.identify(self, answer, client_request_id)}
        return _build_response(answer, headers)


def _decode(raw_path: str) -> str:
    path, mark, query = raw_path.partition("?")
    return f"{unquote(path)}{mark}{unquote_plus(query)}"


def _read_question(request: web.Request, body: bytes) -> Question:
    path = urlsplit(request.raw_path).path
    segments = tuple(unquote(segment) for segment in path.strip("/").split("/") if segment)
    headers: Mapping[str, str] = request.headers
    return Question(request.method, path, segments, dict(request.query), headers, body)


def _build_response(answer: Answer, headers: Mapping[str, str]) -> web.Response:
    match answer.body:
        case None:
            return web.Response(status=answer.status or 500, headers=headers)
        case str() as text:
            return web.Response(status=answer.status, text=text, content_type="text/html", headers=headers)
        case content:
            return web.Response(
                status=answer.status, body=json.dumps(content).encode(), headers={**headers, "Content-Type": _JSON}
            )
