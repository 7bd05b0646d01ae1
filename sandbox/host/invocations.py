"""Running functions: one invocation each, watched by `functionTimeout`, counted for the drain."""

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

from sandbox.host.app_functions import Function
from sandbox.host.errors import FunctionFailedError, FunctionTimeoutError, WorkerRestartError
from sandbox.host.host_json import format_duration
from sandbox.host.protos import (
    InvocationRequest,
    InvocationResponse,
    ParameterBinding,
    RpcTraceContext,
    StatusResult,
    TypedData,
)
from sandbox.host.worker import Worker


class Invocations:
    """Runs invocations on the worker.

    When one goes over the timeout, `timed_out` is set and **all** invocations end with an error, as Azure restarts
    the worker with everything in it; who waits for `timed_out` ends the process.
    """

    def __init__(self, worker: Worker, timeout: timedelta | None) -> None:
        self._worker = worker
        self._timeout = timeout
        self._functions: dict[str, str] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.timed_out = asyncio.Event()

    def function_of(self, invocation_id: str) -> str | None:
        """Name the function of a running invocation."""
        return self._functions.get(invocation_id)

    async def wait_idle(self) -> None:
        """Wait until nothing runs."""
        await self._idle.wait()

    async def run(
        self,
        function: Function,
        value: TypedData,
        *,
        reason: str,
        trace: RpcTraceContext,
        metadata: Mapping[str, TypedData] | None = None,
    ) -> TypedData | None:
        """Run the function with its trigger's value and return what it returned.

        FunctionFailedError when it raises, FunctionTimeoutError, WorkerRestartError when another one timed out.
        """
        request = InvocationRequest(
            invocation_id=str(uuid.uuid4()),
            function_id=function.function_id,
            input_data=[ParameterBinding(function.trigger.parameter, value)],
            trigger_metadata=metadata or {},
            trace_context=trace,
        )
        log = logging.getLogger(f"Function.{function.name}")
        log.info("Executing 'Functions.%s' (Reason='%s', Id=%s)", function.name, reason, request.invocation_id)
        started = time.monotonic()
        outcome: Literal["Succeeded", "Failed"] = "Failed"
        self._enter(request, function)
        try:
            answer = await self._watch(request, function, log)
            outcome = "Succeeded"
            return answer
        finally:
            self._leave(request)
            milliseconds = round(1000 * (time.monotonic() - started))
            level = logging.INFO if outcome == "Succeeded" else logging.ERROR
            words = "Executed 'Functions.%s' (%s, Id=%s, Duration=%dms)"
            log.log(level, words, function.name, outcome, request.invocation_id, milliseconds)

    def _enter(self, request: InvocationRequest, function: Function) -> None:
        self._functions[request.invocation_id] = function.name
        self._idle.clear()

    def _leave(self, request: InvocationRequest) -> None:
        del self._functions[request.invocation_id]
        if not self._functions:
            self._idle.set()

    async def _watch(self, request: InvocationRequest, function: Function, log: logging.Logger) -> TypedData | None:
        answer = asyncio.create_task(self._worker.invoke(request))
        restart = asyncio.create_task(self.timed_out.wait())
        waited: Sequence[asyncio.Task[object]] = [answer, restart]
        seconds = self._timeout.total_seconds() if self._timeout else None
        try:
            await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return _read_answer(answer.result(), log)
            if restart.done():
                raise WorkerRestartError("The worker ended: another invocation went over functionTimeout")
            span = format_duration(self._timeout or timedelta())
            words = f"Timeout value of {span} exceeded by function 'Functions.{function.name}'"
            log.error("%s (Id: '%s'). Initiating cancellation.", words, request.invocation_id)
            self.timed_out.set()
            raise FunctionTimeoutError(words)
        finally:
            answer.cancel()
            restart.cancel()


def _read_answer(answer: InvocationResponse, log: logging.Logger) -> TypedData | None:
    if answer.result.status == StatusResult.Success:
        return answer.return_value
    exception = answer.result.exception
    log.error("%s", exception.stack_trace or exception.message if exception else "no exception was given")
    raise FunctionFailedError(exception.message if exception else "")
