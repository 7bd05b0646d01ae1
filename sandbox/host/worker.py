"""Microsoft's worker library on a thread and event loop of its own.

In Azure the worker is a process beside the host. The thread keeps the part of that separation which can be seen: a
function that blocks its event loop stops the other functions, but neither lock renewal nor the function timeout.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sandbox.host import protos
from sandbox.host.errors import StartError

# What Azure's host offers and the library looks at; its own capabilities (bytes as HTTP body) are the host's to heed.
CAPABILITIES = {"FunctionDataCache": "false"}
EXIT_WORKER_DIED = 4
JOIN_SECONDS = 0.5


class Worker:
    """The worker library, once a process: its state lives in its modules."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="worker", daemon=True)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            if not self._stopping:
                # sys.exit() in a function ends the worker; in Azure the host starts another, here the host ends too.
                sys.stdout.flush()
                os._exit(EXIT_WORKER_DIED)

    async def _call[Answer](self, call: Coroutine[Any, Any, Answer]) -> Answer:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self._loop))

    async def start(self, app_directory: Path) -> Sequence[protos.RpcFunctionMetadata]:
        """Load `function_app.py` and return its functions; StartError with the worker's message when it refuses."""
        self._thread.start()
        sys.path.insert(0, str(app_directory))
        os.chdir(app_directory)
        return await self._call(_index(app_directory))

    async def invoke(self, request: protos.InvocationRequest) -> protos.InvocationResponse:
        """Call a function; a function that raises is a result with status Failure, never an exception here."""
        return await self._call(_invoke(request))

    def stop(self) -> bool:
        """Stop the loop; False when it did not stop in time, because a function blocks it."""
        self._stopping = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(JOIN_SECONDS)
        return not self._thread.is_alive()


def _library() -> ModuleType:
    # Imported late: its modules keep the state of one app, and import azure.functions as the app has it.
    import azure_functions_runtime  # noqa: PLC0415 - see above

    return azure_functions_runtime  # type: ignore[no-any-return]


async def _index(app_directory: Path) -> Sequence[protos.RpcFunctionMetadata]:
    library = _library()
    library.start_threadpool_executor()
    start = protos.WorkerInitRequest(capabilities=CAPABILITIES, function_app_directory=str(app_directory))
    answer = await library.worker_init_request(
        protos.WorkerRequest(
            name="worker_init_request",
            request=protos.StreamingMessage(worker_init_request=start),
            properties={"protos": protos, "host": "127.0.0.1"},
        )
    )
    if answer.result.status != protos.StatusResult.Success:
        raise StartError(f"{answer.result.exception.message}\n{answer.result.exception.stack_trace}")
    indexed = await library.functions_metadata_request(protos.WorkerRequest(name="functions_metadata_request"))
    return indexed.function_metadata_results or ()


async def _invoke(request: protos.InvocationRequest) -> protos.InvocationResponse:
    library = _library()
    # The library sets it for sync functions only; the log output needs it for both.
    library.invocation_id_cv.set(request.invocation_id)
    envelope = protos.StreamingMessage(invocation_request=request)
    answer: protos.InvocationResponse = await library.invocation_request(
        protos.WorkerRequest(name="invocation_request", request=envelope)
    )
    return answer


def current_invocation_id() -> str | None:
    """Tell in which invocation the calling code runs, if in any."""
    invocation_id: str | None = _library().invocation_id_cv.get()
    return invocation_id
