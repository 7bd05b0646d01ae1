"""The app's functions as the host serves them: bindings read, `%Setting%` resolved, connections found."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sandbox.host.errors import StartError
from sandbox.host.host_json import HostJson
from sandbox.host.protos import RpcFunctionMetadata
from sandbox.host.routes import Route
from sandbox.host.schedule import Schedule

_SETTING = re.compile(r"%([^%]+)%")
DEFAULT_CONNECTION = "AzureWebJobsServiceBus"


class AuthLevel(StrEnum):
    """What a caller must show."""

    ANONYMOUS = "anonymous"
    FUNCTION = "function"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class HttpTrigger:
    """An HTTP trigger; no `methods` means all."""

    parameter: str
    route: Route
    methods: frozenset[str]
    auth_level: AuthLevel


@dataclass(frozen=True, kw_only=True)
class ServiceBusTrigger:
    """A Service Bus trigger on a queue or on a topic's subscription."""

    parameter: str
    entity: str
    subscription: str | None
    connection_string: str
    auto_complete_messages: bool


@dataclass(frozen=True, kw_only=True)
class TimerTrigger:
    """A timer trigger; `is_monitored` says whether its function is told of the last run and the next."""

    parameter: str
    schedule: Schedule
    runs_on_startup: bool
    is_monitored: bool


type Trigger = HttpTrigger | ServiceBusTrigger | TimerTrigger


@dataclass(frozen=True, kw_only=True)
class Function:
    """One function of the app; a disabled one heeds no event, and only the master key calls it."""

    name: str
    function_id: str
    trigger: Trigger
    is_disabled: bool = False


def read_functions(
    indexed: Iterable[RpcFunctionMetadata], host_json: HostJson, environment: Mapping[str, str]
) -> Sequence[Function]:
    """Read all functions; StartError that names every function in error, or says that there are none."""
    functions, problems = [], []
    for metadata in indexed:
        try:
            trigger = _read_trigger(metadata, host_json, environment)
        except StartError as error:
            problems.append(f"The '{metadata.name}' function is in error: {error}")
        else:
            functions.append(
                Function(
                    name=metadata.name,
                    function_id=metadata.function_id,
                    trigger=trigger,
                    is_disabled=environment.get(f"AzureWebJobs.{metadata.name}.Disabled", "").lower() in {"true", "1"},
                )
            )
    if problems:
        raise StartError("\n".join(problems))
    if not functions:
        raise StartError("No functions were found: is there a function_app.py with a FunctionApp?")
    return functions


def _read_trigger(metadata: RpcFunctionMetadata, host_json: HostJson, environment: Mapping[str, str]) -> Trigger:
    bindings = [json.loads(text) for text in metadata.raw_bindings]
    for binding in bindings:
        if not binding["type"].endswith("Trigger") and binding["type"] != "http":
            raise StartError(f"The sandbox host does not know the binding type '{binding['type']}'")
    (trigger,) = [binding for binding in bindings if binding["type"].endswith("Trigger")]
    match trigger["type"]:
        case "httpTrigger":
            return _read_http(metadata.name, trigger, host_json)
        case "serviceBusTrigger":
            return _read_service_bus(trigger, host_json, environment)
        case "timerTrigger":
            return _read_timer(trigger, environment)
        case unknown:
            raise StartError(f"The sandbox host does not know the binding type '{unknown}'")


def _read_http(name: str, binding: Mapping[str, Any], host_json: HostJson) -> HttpTrigger:
    template = binding.get("route") or name
    prefix = f"{host_json.route_prefix}/" if host_json.route_prefix else ""
    return HttpTrigger(
        parameter=binding["name"],
        route=Route.parse(prefix + template.lstrip("/")),
        methods=frozenset(method.upper() for method in binding.get("methods") or ()),
        auth_level=AuthLevel(str(binding.get("authLevel") or "function").lower()),
    )


def _read_service_bus(
    binding: Mapping[str, Any], host_json: HostJson, environment: Mapping[str, str]
) -> ServiceBusTrigger:
    if not host_json.has_extension_bundle:
        raise StartError(
            "The binding type(s) 'serviceBusTrigger' are not registered: host.json names no extensionBundle"
        )
    if str(binding.get("cardinality", "one")).lower() != "one" or binding.get("isSessionsEnabled"):
        raise StartError("The sandbox host knows neither batches nor sessions of a Service Bus trigger")
    topic = binding.get("topicName")
    return ServiceBusTrigger(
        parameter=binding["name"],
        entity=resolve(topic or binding["queueName"], environment),
        subscription=resolve(binding["subscriptionName"], environment) if topic else None,
        connection_string=_find_connection(binding.get("connection") or DEFAULT_CONNECTION, environment),
        auto_complete_messages=binding.get("autoCompleteMessages", host_json.service_bus.auto_complete_messages),
    )


def _read_timer(binding: Mapping[str, Any], environment: Mapping[str, str]) -> TimerTrigger:
    for name in ("WEBSITE_TIME_ZONE", "TZ"):
        if environment.get(name, "UTC") != "UTC":
            raise StartError(f"The sandbox host keeps schedules in UTC, and '{name}' says otherwise")
    schedule = Schedule.parse(resolve(binding["schedule"], environment))
    return TimerTrigger(
        parameter=binding["name"],
        schedule=schedule,
        runs_on_startup=bool(binding.get("runOnStartup")),
        is_monitored=binding.get("useMonitor") is not False and not schedule.is_frequent,
    )


def _find_connection(prefix: str, environment: Mapping[str, str]) -> str:
    # The order and the AzureWebJobs form are the WebJobs SDK's; the exact prefix wins over an identity.
    for name in (f"AzureWebJobs{prefix}", prefix):
        if environment.get(name):
            return environment[name]
    if environment.get(f"{prefix}__fullyQualifiedNamespace"):
        raise StartError(
            f"'{prefix}' is an identity-based connection: the sandbox host needs a connection string in '{prefix}'"
        )
    raise StartError(f"Service Bus connection string '{prefix}' is missing or empty")


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """Put settings in place of `%Name%`; StartError that names the ones that are missing."""
    missing = [name for name in _SETTING.findall(text) if name not in environment]
    if missing:
        raise StartError(", ".join(f"'%{name}%'" for name in missing) + " does not resolve to a value")
    return _SETTING.sub(lambda found: environment[found[1]], text)
