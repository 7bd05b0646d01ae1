"""Why a call to the Service Bus failed, in words that hold no content, no address and no name of a class."""

from azure.core.exceptions import ClientAuthenticationError
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusCommunicationError,
    ServiceBusConnectionError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
)

_ACCESS = "access was refused (Azure Service Bus Data Receiver on both queues, and to send Data Sender)"
_REACH = "it cannot be reached"
# The first that fits.
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (ServiceBusAuthenticationError, _ACCESS),
    (ServiceBusAuthorizationError, _ACCESS),
    (ClientAuthenticationError, "there was no token for it (Azure CLI and `az login`)"),
    (MessagingEntityNotFoundError, "there is no such queue (REQUEST_QUEUE, REJECTED_QUEUE)"),
    (MessagingEntityDisabledError, "the queue is disabled"),
    (ServiceBusQuotaExceededError, "the queue is full"),
    (ServiceBusServerBusyError, "it is busy, try again in a minute"),
    (MessageLockLostError, "the lock of a message was lost"),
    (OperationTimeoutError, "no answer came in time"),
    (TimeoutError, "no answer came in time"),
    (ServiceBusConnectionError, _REACH),
    (ServiceBusCommunicationError, _REACH),
    (OSError, _REACH),
    (Exception, "its answer could not be understood"),
)


def explain(error: Exception) -> str:
    """Say in a clause what went wrong, and where an operator can do something about it, what."""
    return next(words for kind, words in _WORDS if isinstance(error, kind))
