"""The story that `make run` tells, as data: what is asked for, by which door, after what, and what must come of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Door(StrEnum):
    """The way by which a request comes in."""

    QUEUE = "queue"
    HTTP = "http"


@dataclass(frozen=True)
class Expected:
    """What must become of one request: its outcome, and which types of method are gone and which are left.

    `fields` are further fields of the outcome by their path: `{"user.asked": "val.cross@contoso.example"}`,
    `{"methods.0.result": "kept"}`.
    """

    status: str
    gone: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One request of the story: what it is, what is sent, what must come of it.

    It is sent once each request named in `after` has its outcome.
    """

    request_id: str
    about: str
    body: str
    expected: Expected
    door: Door = Door.QUEUE
    after: tuple[str, ...] = ()


def _ask(request_id: str, user: str, **more: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps({"requestId": request_id, "user": user, "requestedBy": "make run", **more})


_ALL_TYPES = (
    "email external fido2 hardwareOath microsoftAuthenticator microsoftAuthenticator phone phone phone "
    "platformCredential qrCodePin softwareOath temporaryAccessPass windowsHelloForBusiness"
)

REQUESTS_OF_THE_SHOW: tuple[Request, ...] = (
    Request(
        "INC-1-val",
        "an everyday user, locked out",
        _ask("INC-1-val", "val.cross@contoso.example"),
        Expected("completed", ("phone",), ("external",)),
    ),
    Request(
        "INC-2-blair",
        "compromised, with a method of every type",
        _ask("INC-2-blair", "10000000-0000-4000-8000-000000000002", profile="compromised"),
        Expected("completed", tuple(_ALL_TYPES.split())),
    ),
    Request(
        "INC-3-devon",
        "a guest, whose name holds #EXT#",
        _ask("INC-3-devon", "devon.laine_northwind.example#EXT#@contoso.example"),
        Expected("completed", ("microsoftAuthenticator", "phone")),
    ),
    Request(
        "INC-4-oakley",
        "whose default method blocks the others",
        _ask("INC-4-oakley", "oakley.reed@contoso.example"),
        Expected("completed", ("phone", "phone")),
    ),
    Request(
        "INC-5-parker",
        "with a method of a type nobody knows yet",
        _ask("INC-5-parker", "parker.shaw@contoso.example"),
        Expected("partial", ("phone",), ("x509SomethingAuthenticationMethod",), ("unsupportedMethod",)),
    ),
    Request(
        "INC-6-breakglass",
        "the break-glass account",
        _ask("INC-6-breakglass", "emergency.access.1@contoso.example"),
        Expected("refused", reasons=("neverUser", "neverGroup", "privilegedRole")),
    ),
    Request(
        "INC-7-finley",
        "an administrator",
        _ask("INC-7-finley", "finley.moss@contoso.example", profile="compromised"),
        Expected("refused", reasons=("privilegedRole",)),
    ),
    Request(
        "INC-8-gray",
        "who could activate an administrator's role",
        _ask("INC-8-gray", "gray.holloway@contoso.example", profile="compromised"),
        Expected("refused", reasons=("eligibleRole",)),
    ),
    Request(
        "INC-9-reese",
        "a dry run",
        _ask("INC-9-reese", "reese.doyle@contoso.example", dryRun=True),
        Expected("planned", left=("hardwareOath", "phone")),
    ),
    Request(
        "INC-10-darcy",
        "who was deleted",
        _ask("INC-10-darcy", "10000000-0000-4000-8000-000000000033"),
        Expected("invalid", reasons=("deletedUser",)),
    ),
    Request("INC-11-broken", "not JSON at all", '{"user": ', Expected("invalid", reasons=("notJson",))),
    Request(
        "HTTP-12-emery",
        "posted over HTTP",
        _ask("HTTP-12-emery", "emery.vance@contoso.example"),
        Expected("completed", ("phone", "softwareOath")),
        door=Door.HTTP,
    ),
)
