"""The message classes that Microsoft's worker library wants, as plain Python.

In Azure these are protobuf classes of the language worker protocol (FunctionRpc.proto); the library only constructs
them, reads their attributes and asks `WhichOneof`. The names and fields are the protocol's; what the library never
touches is left out. This module itself is what is handed to the library as `protos`.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar


class TypedData:
    """One value in one of the protocol's forms, or none at all."""

    FORMS: ClassVar[tuple[str, ...]] = ("string", "json", "bytes", "http", "int", "double")

    def __init__(self, **form: Any) -> None:  # noqa: ANN401 - a oneof: the form says the type
        if len(form) > 1 or not set(form) <= set(self.FORMS):
            raise TypeError(f"TypedData takes one of {', '.join(self.FORMS)}, not {', '.join(form)}")
        self._form = next(iter(form), None)
        self._value = form[self._form] if self._form else None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        if name not in self.FORMS:
            raise AttributeError(name)
        return self._value if name == self._form else None

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        """Name the form that is set."""
        if group != "data":
            raise ValueError(f"TypedData has no oneof {group}")
        return self._form


@dataclass(frozen=True)
class ParameterBinding:
    """A parameter's name and value."""

    name: str
    data: TypedData | None

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        """Name the form that is set: always `data`, as shared memory is not offered."""
        if group != "rpc_data":
            raise ValueError(f"ParameterBinding has no oneof {group}")
        return "data"


CookieSameSite = enum.IntEnum("CookieSameSite", {"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


@dataclass(frozen=True)
class Timestamp:
    """A point in time, in seconds since 1970."""

    seconds: int


@dataclass(frozen=True)
class NullableString:
    """A text that may be absent."""

    value: str


@dataclass(frozen=True)
class NullableBool:
    """A truth value that may be absent."""

    value: bool


@dataclass(frozen=True)
class NullableDouble:
    """A number that may be absent."""

    value: float


@dataclass(frozen=True)
class NullableTimestamp:
    """A time that may be absent."""

    value: Timestamp


@dataclass(frozen=True, kw_only=True)
class RpcHttpCookie:
    """A cookie of an HTTP response."""

    SameSite: ClassVar = CookieSameSite

    name: str
    value: str
    domain: NullableString | None = None
    path: NullableString | None = None
    expires: NullableTimestamp | None = None
    secure: NullableBool | None = None
    http_only: NullableBool | None = None
    same_site: CookieSameSite | None = None
    max_age: NullableDouble | None = None


@dataclass(frozen=True, kw_only=True)
class RpcHttp:
    """An HTTP request on its way in, or a response on its way out."""

    method: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: TypedData = field(default_factory=TypedData)
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    status_code: str = ""
    cookies: Sequence[RpcHttpCookie] | None = None
    enable_content_negotiation: bool = False


@dataclass(frozen=True, kw_only=True)
class RpcException:
    """An exception as text."""

    message: str = ""
    stack_trace: str = ""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class StatusResult:
    """How a request to the worker ended."""

    Failure: ClassVar[int] = 0
    Success: ClassVar[int] = 1

    status: int
    exception: RpcException | None = None


@dataclass(frozen=True, kw_only=True)
class BindingInfo:
    """A binding's type and direction."""

    undefined: ClassVar[int] = 0
    out: ClassVar[int] = 1
    inout: ClassVar[int] = 2

    type: str
    data_type: int | None
    direction: int


@dataclass(frozen=True, kw_only=True)
class RpcRetryOptions:
    """What a `retry` decorator asked for; the host heeds it for no trigger that it serves, as Azure's does not."""

    max_retry_count: int
    retry_strategy: str
    delay_interval: timedelta | None = None
    minimum_interval: timedelta | None = None
    maximum_interval: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class RpcFunctionMetadata:
    """An indexed function; `raw_bindings` holds its bindings as JSON texts."""

    name: str
    function_id: str
    managed_dependency_enabled: bool
    directory: str
    script_file: str
    entry_point: str
    is_proxy: bool
    language: str
    bindings: Mapping[str, BindingInfo]
    raw_bindings: Sequence[str]
    retry_options: RpcRetryOptions | None
    properties: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class WorkerMetadata:
    """What the worker says of itself."""

    runtime_name: str
    runtime_version: str
    worker_version: str
    worker_bitness: str
    custom_properties: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class WorkerInitResponse:
    """The answer to `worker_init_request`."""

    capabilities: Mapping[str, str]
    worker_metadata: WorkerMetadata
    result: StatusResult


@dataclass(frozen=True, kw_only=True)
class FunctionMetadataResponse:
    """The answer to `functions_metadata_request`."""

    use_default_metadata_indexing: bool
    function_metadata_results: Sequence[RpcFunctionMetadata] | None
    result: StatusResult


@dataclass(frozen=True, kw_only=True)
class InvocationResponse:
    """The answer to `invocation_request`."""

    invocation_id: str
    result: StatusResult
    return_value: TypedData | None = None
    output_data: Sequence[ParameterBinding] = ()


@dataclass(frozen=True, kw_only=True)
class RpcTraceContext:
    """W3C trace context of an invocation."""

    trace_parent: str
    trace_state: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RetryContext:
    """Always the first try: the host has no retry policy for the triggers that it serves."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: RpcException | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerInitRequest:
    """What the worker is started with."""

    capabilities: Mapping[str, str]
    function_app_directory: str


@dataclass(frozen=True, kw_only=True)
class InvocationRequest:
    """One call of a function."""

    invocation_id: str
    function_id: str
    input_data: Sequence[ParameterBinding]
    trigger_metadata: Mapping[str, TypedData]
    trace_context: RpcTraceContext
    retry_context: RetryContext = field(default_factory=RetryContext)


@dataclass(frozen=True, kw_only=True)
class StreamingMessage:
    """The envelope: one of the requests."""

    worker_init_request: WorkerInitRequest | None = None
    invocation_request: InvocationRequest | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerRequest:
    """A call of the worker library: its name, the envelope, and what Azure's worker process adds."""

    name: str
    request: StreamingMessage = field(default_factory=StreamingMessage)
    properties: Mapping[str, object] = field(default_factory=dict)
