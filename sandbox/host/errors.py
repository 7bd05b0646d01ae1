"""What can go wrong in the host."""


class HostError(Exception):
    """The sandbox host failed."""


class StartError(HostError):
    """The host or the function app cannot start; the text says why, one reason a line."""


class HostStartError(HostError):
    """The host's process did not become ready; the text holds what it logged."""


class FunctionFailedError(HostError):
    """The function raised; the text is the worker's."""


class FunctionTimeoutError(HostError):
    """An invocation went over `functionTimeout`."""


class WorkerRestartError(HostError):
    """The worker ended under the invocation because another one went over `functionTimeout`."""
