"""What Azure makes of the expressions that a snapshot leaves open, with plausible values for what only it knows.

The expressions of the portal's forms are written in the same way, with functions of their own.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin

CLIENT = "44444444-4444-4444-8444-444444444444"
PRINCIPAL = "55555555-5555-4555-8555-555555555555"
APPLICATION = "66666666-6666-4666-8666-666666666666"
GRAPH = "77777777-7777-4777-8777-777777777777"

# Of a resource by its type or symbol: in the forms in which Azure's own documentation shows them.
KNOWN: dict[str, dict[str, Any]] = {
    "Microsoft.ManagedIdentity/userAssignedIdentities": {"clientId": CLIENT, "principalId": PRINCIPAL},
    "Microsoft.Storage/storageAccounts": {
        "primaryEndpoints": {
            service: f"https://stsome.{service}.core.windows.net/" for service in ("blob", "queue", "table")
        }
    },
    # The port and the slash belong to it.
    "Microsoft.ServiceBus/namespaces": {"serviceBusEndpoint": "https://sb-some.servicebus.windows.net:443/"},
    "Microsoft.Insights/components": {"ConnectionString": "InstrumentationKey=88888888-8888-4888-8888-888888888888"},
    "Microsoft.OperationalInsights/workspaces": {"customerId": "99999999-9999-4999-8999-999999999999"},
    "Microsoft.KeyVault/vaults": {"vaultUri": "https://kv-some.vault.azure.net/"},
    "Microsoft.Web/sites": {"defaultHostName": "func-some.azurewebsites.net"},
    "application": {"appId": APPLICATION},
    "graph": {"id": GRAPH},
}
ENVIRONMENT = {"authentication": {"loginEndpoint": "https://login.microsoftonline.com/"}}

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|(\d+)|([A-Za-z_]\w*)|([()\[\],.]))")
_NAMESPACE_OF_GUID = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")  # what guid() makes its ids in


def resolve(value: object, functions: "Functions | None" = None) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Return a value with every expression worked out, by default as a template's; ValueError names one not understood.

    `functions` are those of another language of expressions.
    """
    match value:
        case dict():
            return {resolve(name, functions): resolve(part, functions) for name, part in value.items()}
        case list():
            return [resolve(part, functions) for part in value]
        case str() if value.startswith("[") and not value.startswith("[[") and value.endswith("]"):
            return _Expression(value[1:-1], _FUNCTIONS if functions is None else functions).resolve()
        case _:
            return value


def functions_of_a_form(basics: dict[str, Any], steps: dict[str, dict[str, Any]], location: str) -> "Functions":
    """Return the functions of a form of the portal in which somebody has given these values.

    https://learn.microsoft.com/azure/azure-resource-manager/managed-applications/create-uidefinition-functions
    """
    return {
        "basics": basics.__getitem__,
        "coalesce": _FUNCTIONS["coalesce"],
        "empty": _FUNCTIONS["empty"],
        "equals": lambda one, other: one == other,
        "if": _FUNCTIONS["if"],
        "int": int,
        "location": lambda: location,
        "parse": json.loads,
        "replace": str.replace,
        "split": str.split,
        "steps": steps.__getitem__,
    }


def make_guid(*parts: str) -> str:
    """Make the id that `guid(…)` makes."""
    return str(uuid.uuid5(_NAMESPACE_OF_GUID, "-".join(parts)))


def _reference(id_: str, *_: object) -> dict[str, Any]:
    if "/providers/" not in id_:
        return KNOWN[id_]
    kind, *rest = id_.rpartition("/providers/")[2].split("/")
    return KNOWN["/".join([kind, *rest[::2]])]


def _extension_resource_id(scope: str, type_: str, name: str) -> str:
    return f"{scope}/providers/{type_}/{name}"


def _format(template: str, *values: object) -> str:
    return re.sub(r"\{(\d+)\}", lambda found: _string(values[int(found[1])]), template)


def _string(value: object) -> str:
    return str(value)  # of a truth value Azure makes True or False, as Python does


type Functions = Mapping[str, Callable[..., Any]]

_FUNCTIONS: Functions = {
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "uri": urljoin,
    "empty": lambda value: not value,
    "environment": lambda: ENVIRONMENT,
    "extensionResourceId": _extension_resource_id,
    "first": lambda several: several[0],
    "format": _format,
    "guid": make_guid,
    "if": lambda condition, then, otherwise: then if condition else otherwise,
    "not": lambda value: not value,
    "null": lambda: None,
    "reference": _reference,
    "replace": lambda text, old, new: text.replace(old, new),
    "split": lambda text, by: re.split("|".join(map(re.escape, [by] if isinstance(by, str) else by)), text),
    "createArray": lambda *values: list(values),
    "createObject": lambda *pairs: dict(zip(pairs[::2], pairs[1::2], strict=True)),
    "string": _string,
    "toLower": str.lower,
    "true": lambda: True,
    "false": lambda: False,
}


class _Expression:
    def __init__(self, text: str, functions: Functions) -> None:
        self.text = text
        self.functions = functions
        self.at = 0

    def resolve(self) -> Any:  # noqa: ANN401 - whatever the expression is
        value = self._value()
        if self.at != len(self.text):
            raise ValueError(f"not understood from {self.text[self.at :]!r} on: {self.text}")
        return value

    def _take(self) -> re.Match[str]:
        found = _TOKEN.match(self.text, self.at)
        if not found:
            raise ValueError(f"not understood from {self.text[self.at :]!r} on: {self.text}")
        self.at = found.end()
        return found

    def _peek(self) -> str:
        found = _TOKEN.match(self.text, self.at)
        return (found[4] or "") if found else ""

    def _value(self) -> Any:  # noqa: ANN401 - as above
        token = self._take()
        value: Any
        if token[1] is not None:
            value = token[1].replace("''", "'")
        elif token[2]:
            value = int(token[2])
        elif token[3] in self.functions:
            value = self.functions[token[3]](*self._arguments())
        else:
            raise ValueError(f"unknown function {token[0]!r}: {self.text}")
        return self._within(value)

    def _arguments(self) -> list[Any]:
        self._take()
        arguments: list[Any] = []
        while self._peek() != ")":  # each turn takes something, or raises at the end of the text
            if self._peek() == ",":
                self._take()
            arguments.append(self._value())
        self._take()
        return arguments

    def _within(self, value: Any) -> Any:  # noqa: ANN401 - as above
        while (opening := self._peek()) in {".", "["}:
            self._take()
            value = value[self._take()[3] if opening == "." else self._value()]
            if opening == "[":
                self._take()
        return value
