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
    HTTP_WHILE_PAUSED = "httpWhilePaused"  # an operator's pause holds it back, and is lifted then


@dataclass(frozen=True)
class Expected:
    """What must become of one request: its outcome, and which types of method are gone and which are left.

    `fields` are further fields of the outcome by their path: `{"user.asked": "val.cross@contoso.example"}`,
    `{"methods.0.result": "kept"}`. `meanwhile` are fields of what a look at the request shows while it waits.
    """

    status: str
    gone: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)
    meanwhile: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One request of the story: what it is, what is sent, what must come of it.

    It is sent once each request named in `after` has its outcome. Of those with the same `burst`, one must end as it is
    expected, whichever that is, and the others as covered by it.
    """

    request_id: str
    about: str
    body: str
    expected: Expected
    door: Door = Door.QUEUE
    after: tuple[str, ...] = ()
    burst: str = ""


def _ask(request_id: str, user: str, **more: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps({"requestId": request_id, "user": user, "requestedBy": "make run", **more})


_ALL_TYPES = (
    "email external fido2 hardwareOath microsoftAuthenticator microsoftAuthenticator phone phone phone "
    "platformCredential qrCodePin softwareOath temporaryAccessPass windowsHelloForBusiness"
)
# Of a dry run: each method in the order in which it would be done, then those that would stay.
_PLAN = (
    "wouldDeactivate wouldDelete wouldDelete wouldDelete wouldDelete wouldDelete wouldDelete "
    "kept kept kept kept kept kept kept"
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
        "a dry run",
        _ask("INC-2-blair", "blair.everett@contoso.example", dryRun=True),
        Expected(
            "planned",
            left=tuple(_ALL_TYPES.split()),
            fields={
                "dryRun": True,
                "steps.0.step": "revokeSessions",
                "steps.0.result": "wouldDo",
                **{f"methods.{number}.result": result for number, result in enumerate(_PLAN.split())},
            },
        ),
    ),
    Request(
        "INC-3-blair",
        "then compromised, with a method of every type",
        _ask("INC-3-blair", "10000000-0000-4000-8000-000000000002", profile="compromised"),
        Expected("completed", tuple(_ALL_TYPES.split())),
        after=("INC-2-blair",),
    ),
    Request(
        "HTTP-4-devon",
        "a guest, whose name holds #EXT#",
        _ask("HTTP-4-devon", "devon.laine_northwind.example#EXT#@contoso.example"),
        Expected("completed", ("microsoftAuthenticator", "phone")),
        door=Door.HTTP,
    ),
    Request(
        "HTTP-5-oakley",
        "whose default method blocks the others",
        _ask("HTTP-5-oakley", "oakley.reed@contoso.example"),
        Expected("completed", ("phone", "phone")),
        door=Door.HTTP,
    ),
    Request(
        "INC-6-parker",
        "with a method of a type nobody knows yet",
        _ask("INC-6-parker", "parker.shaw@contoso.example"),
        Expected("partial", ("phone",), ("x509SomethingAuthenticationMethod",), ("unsupportedMethod",)),
    ),
    Request(
        "INC-7-breakglass",
        "the break-glass account",
        _ask("INC-7-breakglass", "emergency.access.1@contoso.example"),
        Expected("refused", reasons=("neverUser", "neverGroup", "privilegedRole")),
    ),
    Request(
        "INC-8-finley",
        "an administrator",
        _ask("INC-8-finley", "finley.moss@contoso.example", profile="compromised"),
        Expected("refused", reasons=("privilegedRole",)),
    ),
    Request(
        "INC-9-gray",
        "who could activate an administrator's role",
        _ask("INC-9-gray", "gray.holloway@contoso.example", profile="compromised"),
        Expected("refused", reasons=("eligibleRole",)),
    ),
    Request(
        "INC-10-darcy",
        "who was deleted",
        _ask("INC-10-darcy", "10000000-0000-4000-8000-000000000033"),
        Expected("invalid", reasons=("deletedUser",)),
    ),
    Request(
        "INC-11-typo",
        "not the name of any user",
        _ask("INC-11-typo", "emery.vance at contoso.example"),
        Expected("invalid", reasons=("badFormat",), fields={"user.asked": "emery.vance at contoso.example"}),
    ),
    Request("INC-12-broken", "not JSON at all", '{"user": ', Expected("invalid", reasons=("notJson",))),
    *(
        Request(
            f"INC-13-sage-{number}",
            "five alerts at once",
            _ask(f"INC-13-sage-{number}", "sage.winter@contoso.example"),
            Expected("completed", ("phone", "softwareOath")),
            after=("INC-2-blair",),  # else those that wait to be covered take the places in which INC-3-blair runs
            burst="INC-13-sage",
        )
        for number in range(1, 6)
    ),
    Request(
        "HTTP-14-emery",
        "posted over HTTP",
        _ask("HTTP-14-emery", "emery.vance@contoso.example"),
        Expected("completed", ("phone", "softwareOath")),
        door=Door.HTTP,
    ),
    Request(
        "HTTP-15-rory",
        "posted over HTTP during a pause",
        _ask("HTTP-15-rory", "rory.o'brien@contoso.example"),
        Expected(
            "completed",
            ("microsoftAuthenticator", "phone"),
            meanwhile={"status": "accepted", "waitingFor": "paused", "user.asked": "rory.o'brien@contoso.example"},
        ),
        door=Door.HTTP_WHILE_PAUSED,
    ),
)
