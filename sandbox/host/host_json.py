"""host.json of the app: what the host heeds of it, with Azure's defaults.

Unknown keys under `extensions.serviceBus` become warnings: Azure ignores them silently, and a misspelt limit is then
a default. Not read: settings that override host.json (`AzureFunctionsJobHost__…`), comments in the JSON.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sandbox.host.errors import StartError

# Microsoft's documentation of host.json for Service Bus, extension 5.x.
SERVICE_BUS_KEYS = frozenset({
    "clientRetryOptions",
    "prefetchCount",
    "transportType",
    "webProxy",
    "autoCompleteMessages",
    "maxAutoLockRenewalDuration",
    "maxConcurrentCalls",
    "maxConcurrentSessions",
    "maxConcurrentCallsPerSession",
    "maxMessageBatchSize",
    "minMessageBatchSize",
    "maxBatchWaitTime",
    "sessionIdleTimeout",
    "enableCrossEntityTransactions",
})  # fmt: skip
# Azure's default on the Flex Consumption plan.
DEFAULT_FUNCTION_TIMEOUT = timedelta(minutes=30)
LEVELS = {"trace": 0, "debug": 10, "information": 20, "warning": 30, "error": 40, "critical": 50, "none": 100}
_DURATION = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d{1,7})?)")


@dataclass(frozen=True, kw_only=True)
class ServiceBusOptions:
    """`extensions.serviceBus`."""

    prefetch_count: int = 0
    auto_complete_messages: bool = True
    max_auto_lock_renewal: timedelta = timedelta(minutes=5)
    max_concurrent_calls: int = field(default_factory=lambda: 16 * (os.cpu_count() or 1))


@dataclass(frozen=True, kw_only=True)
class HostJson:
    """host.json; `function_timeout` None means without limit, `log_levels` are Python's numbers by category."""

    route_prefix: str = "api"
    service_bus: ServiceBusOptions = field(default_factory=ServiceBusOptions)
    function_timeout: timedelta | None = DEFAULT_FUNCTION_TIMEOUT
    log_levels: Mapping[str, int] = field(default_factory=dict)
    has_extension_bundle: bool = False
    warnings: tuple[str, ...] = ()


def read_host_json(app_directory: Path) -> HostJson:
    """Read DIR/host.json; StartError when it is missing, no JSON, of another version, or holds an impossible value."""
    try:
        document = json.loads((app_directory / "host.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StartError(f"There is no host.json in {app_directory}") from None
    except ValueError as error:
        raise StartError(f"host.json is not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("version") != "2.0":
        raise StartError('host.json needs "version": "2.0"')
    return _parse(document)


def _parse(document: Mapping[str, Any]) -> HostJson:
    service_bus = _section(document, "extensions", "serviceBus")
    unknown = sorted(set(service_bus) - SERVICE_BUS_KEYS)
    return HostJson(
        route_prefix=str(_section(document, "extensions", "http").get("routePrefix", "api")).strip("/"),
        service_bus=_parse_service_bus(service_bus),
        function_timeout=_parse_function_timeout(document.get("functionTimeout")),
        log_levels=_parse_log_levels(_section(document, "logging", "logLevel")),
        has_extension_bundle="id" in _section(document, "extensionBundle"),
        warnings=tuple(f"host.json: extensions.serviceBus.{key} is not known and has no effect" for key in unknown),
    )


def _section(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    section: Any = document
    for depth, name in enumerate(path, 1):
        section = section.get(name, {})
        if not isinstance(section, dict):
            raise StartError(f"host.json: {'.'.join(path[:depth])} is not an object")
    return section  # type: ignore[no-any-return]


def _parse_service_bus(section: Mapping[str, Any]) -> ServiceBusOptions:
    defaults = ServiceBusOptions()
    auto_complete = section.get("autoCompleteMessages", True)
    if not isinstance(auto_complete, bool):
        raise StartError("host.json: extensions.serviceBus.autoCompleteMessages is not true or false")
    renewal = section.get("maxAutoLockRenewalDuration")
    return ServiceBusOptions(
        prefetch_count=_parse_count(section, "prefetchCount", least=0, default=defaults.prefetch_count),
        auto_complete_messages=auto_complete,
        max_auto_lock_renewal=defaults.max_auto_lock_renewal if renewal is None else parse_duration(renewal),
        max_concurrent_calls=_parse_count(
            section, "maxConcurrentCalls", least=1, default=defaults.max_concurrent_calls
        ),
    )


def _parse_count(section: Mapping[str, Any], key: str, *, least: int, default: int) -> int:
    value = section.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise StartError(f"host.json: extensions.serviceBus.{key} is not a number from {least} up")
    return value


def _parse_function_timeout(value: object) -> timedelta | None:
    match value:
        case None:
            return DEFAULT_FUNCTION_TIMEOUT
        case "-1":
            return None
        case _:
            return parse_duration(value)


def _parse_log_levels(section: Mapping[str, Any]) -> dict[str, int]:
    unknown = [f"{category}: {level}" for category, level in section.items() if str(level).lower() not in LEVELS]
    if unknown:
        raise StartError(f"host.json: logging.logLevel has unknown levels: {', '.join(unknown)}")
    return {category: LEVELS[level.lower()] for category, level in section.items()}


def parse_duration(text: object) -> timedelta:
    """Parse .NET's TimeSpan text, `[d.]hh:mm:ss[.fffffff]`; StartError when it is none."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise StartError(f"host.json: {text!r} is not a time span of the form hh:mm:ss")
    days, hours, minutes, seconds = found.groups()
    return timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def format_duration(duration: timedelta) -> str:
    """Write a duration as .NET does."""
    seconds = int(duration.total_seconds())
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
