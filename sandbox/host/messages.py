"""A received message as Azure's host hands it to the worker.

After ServiceBusTriggerBindingStrategy and MessageToStringConverter of the WebJobs extension, and the host's own way
with binding data: text as `string`, all else as `json`, what is null is left out. Left out here and harmless, as no
Python function can use them: the client objects (`Client`, `MessageReceiver`, `MessageActions` …) and `sys`.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpMessageBodyType

from sandbox.host.errors import HostError
from sandbox.host.protos import TypedData

# DateTimeOffset.MaxValue: what .NET says of a message without a time to live.
NEVER = "9999-12-31T23:59:59.9999999"


def read_body(message: ServiceBusReceivedMessage) -> TypedData:
    """Read the body as text; bytes that are not UTF-8 become U+FFFD, as .NET decodes them."""
    match message.body_type:
        case AmqpMessageBodyType.DATA:
            return TypedData(string=b"".join(message.body).decode("utf-8", "replace"))
        case AmqpMessageBodyType.VALUE if isinstance(message.body, bytes | str):
            return TypedData(string=_read_text(message.body))
        case _:
            raise HostError("A message whose body is a sequence or a value that is no text cannot be bound to a string")


def read_trigger_metadata(message: ServiceBusReceivedMessage) -> Mapping[str, TypedData]:
    """Read what the trigger knows of the message, under Azure's names."""
    enqueued_at = message.enqueued_time_utc or datetime.fromtimestamp(0, UTC)
    expires = _format_time(message.expires_at_utc) if message.expires_at_utc else NEVER
    properties = {_read_text(name): _read_property(value) for name, value in _properties_of(message).items()}
    values: dict[str, object] = {
        # .NET counts the delivery under way, AMQP the failed ones before it.
        "DeliveryCount": (message.delivery_count or 0) + 1,
        "DeadLetterSource": message.dead_letter_source,
        "LockToken": str(message.lock_token),
        # The Utc forms lose their offset on the way through .NET's DateTime; the others keep it.
        "ExpiresAtUtc": _Json(expires),
        "ExpiresAt": _Json(f"{expires}+00:00"),
        "EnqueuedTimeUtc": _Json(_format_time(enqueued_at)),
        "EnqueuedTime": _Json(f"{_format_time(enqueued_at)}+00:00"),
        "MessageId": message.message_id,
        "ContentType": message.content_type,
        "ReplyTo": message.reply_to,
        "SequenceNumber": message.sequence_number,
        "To": message.to,
        "Subject": message.subject,
        "Label": message.subject,
        "CorrelationId": message.correlation_id,
        "ApplicationProperties": properties,
        "UserProperties": properties,
        "SessionId": message.session_id,
        "ReplyToSessionId": message.reply_to_session_id,
        "PartitionKey": message.partition_key,
    }
    return {name: _to_typed_data(value) for name, value in values.items() if value is not None}


def read_trace_parent(message: ServiceBusReceivedMessage) -> str | None:
    """Read the sender's trace parent, which rides in a property."""
    for name, value in _properties_of(message).items():
        if _read_text(name) == "Diagnostic-Id" and isinstance(value, bytes | str):
            return _read_text(value)
    return None


class _Json(str):
    """A text that .NET has as something else than a string, a time."""

    __slots__ = ()


def _to_typed_data(value: object) -> TypedData:
    if isinstance(value, str | bytes) and not isinstance(value, _Json):
        return TypedData(string=_read_text(value))
    return TypedData(json=json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _properties_of(message: ServiceBusReceivedMessage) -> Mapping[str | bytes, Any]:
    return message.application_properties or {}


def _read_property(value: object) -> object:
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return base64.b64encode(value).decode()
        case UUID():
            return str(value)
        case datetime():
            return _format_time(value)
        case _:
            return value


def _read_text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _format_time(moment: datetime) -> str:
    # As Newtonsoft writes a DateTime of unspecified kind: no offset, no trailing zeros.
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".")
