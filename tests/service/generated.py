"""Any user, request, policy and tenant within what Microsoft Graph allows, as plain values."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from sandbox.tenant import APP_ROLES
from sandbox.tenant.directory import Json
from shared.model import Selection
from tests.service.stage import NEVER_RESET

NAMED = "aaaaaaaa-0000-4000-8000-00000000000a"
STRANGER = "bbbbbbbb-0000-4000-8000-00000000000b"
CONTAINED = "20000000-0000-4000-8000-000000000008"
ASSIGNABLE = "20000000-0000-4000-8000-000000000005"
LEADING = "20000000-0000-4000-8000-000000000010"  # could join the one above
RESTRICTED = "30000000-0000-4000-8000-000000000001"
# Template ids: what a generated administrator holds, could activate, and what the role-assignable group holds.
HELD, ELIGIBLE, THROUGH_GROUP = (
    "fe930be7-5e62-47db-91af-98c3a49a38b1",
    "62e90394-69f5-4237-9190-012177145e10",
    "c4e39bd9-1100-46d3-8c65-fb160da0071f",
)
MOBILE, ALTERNATE, OFFICE = (
    "3179e48a-750b-4051-897c-87b9720928f7",
    "b6332ec1-7057-4abe-9331-3d72feddfe41",
    "e37fc753-ff3b-4958-9484-eaa9425c82bc",
)
EMAIL = "3ddfcfc8-9383-446f-83cc-3ab9be4be18f"
BROAD_READ, BROAD_WRITE = "UserAuthenticationMethod.Read.All", "UserAuthenticationMethod.ReadWrite.All"
NARROW = {
    "phone": "UserAuthMethod-Phone.ReadWrite.All",
    "microsoftAuthenticator": "UserAuthMethod-MicrosoftAuthApp.ReadWrite.All",
    "softwareOath": "UserAuthMethod-SoftwareOATH.ReadWrite.All",
    "hardwareOath": "UserAuthMethod-HardwareOATH.ReadWrite.All",
    "email": "UserAuthMethod-Email.ReadWrite.All",
    "fido2": "UserAuthMethod-Passkey.ReadWrite.All",
    "windowsHelloForBusiness": "UserAuthMethod-WindowsHello.ReadWrite.All",
    "platformCredential": "UserAuthMethod-PlatformCred.ReadWrite.All",
    "temporaryAccessPass": "UserAuthMethod-TAP.ReadWrite.All",
    "external": "UserAuthMethod-External.ReadWrite.All",
    "qrCodePin": "UserAuthMethod-QR.ReadWrite.All",
}
STEP_ROLES = {
    "disableAccount": "User.EnableDisableAccount.All",
    "revokeSessions": "User.RevokeSessions.All",
    "confirmCompromised": "IdentityRiskyUser.ReadWrite.All",
    "containmentGroup": "GroupMember.ReadWrite.All",
    "resetPassword": "User-PasswordProfile.ReadWrite.All",
    "perUserMfa": "Policy.ReadWrite.AuthenticationMethod",
    "temporaryAccessPass": NARROW["temporaryAccessPass"],
    "enableAccount": "User.EnableDisableAccount.All",
}
DANGEROUS = {"temporaryAccessPass", "enableAccount"}
CLOSING = {"disableAccount", "containmentGroup", "resetPassword"}
PREFERENCES = {
    "microsoftAuthenticator": ("push",),
    "softwareOath": ("oath",),
    "hardwareOath": ("oath",),
    MOBILE: ("sms", "voiceMobile"),
    ALTERNATE: ("voiceAlternateMobile",),
    OFFICE: ("voiceOffice",),
}

DAYS = tuple(datetime(2026, month, 3, 8, 30, tzinfo=UTC) for month in (3, 6, 9))
_DATES = (
    None,
    "0001-01-01T00:00:00Z",
    *(day.strftime("%Y-%m-%dT%H:%M:%SZ") for day in DAYS),
    "2026-06-03T08:30:00.0000001Z",
    "2026-06-03T08:30:00.5Z",
)


@dataclass(frozen=True)
class Case:
    """One user under one policy in one tenant, and what is asked for. Everything that a failing test has to show."""

    methods: tuple[Json, ...]
    default: str
    system_preferred: bool
    account: Json
    guard: frozenset[str]
    per_user_mfa: str
    profile: Json
    policy: Json
    caller: str
    selection: Selection
    dry_run: bool
    missing_roles: frozenset[str]
    caller_directory_roles: frozenset[str]
    switches: Json
    intruder: Json | None
    intruder_comes: int
    again: bool

    @property
    def roles(self) -> frozenset[str]:
        """The app roles of our identity."""
        return APP_ROLES - self.missing_roles

    def policy_text(self, user_id: str) -> str:
        """Write the policy as JSON; it knows the user's id where it protects them."""
        never = {"users": [user_id] if "never" in self.guard else [], "groups": [NEVER_RESET]}
        callers = {caller: ["p"] for caller in _callers_of(self.profile)}
        limits = {"resetsPerHour": 100_000}  # many cases share one hour
        parts = {"profiles": {"p": self.profile}, "callers": callers, "never": never, "limits": limits}
        return json.dumps(parts | dict(self.policy))


def _callers_of(profile: Json) -> list[str]:
    dangerous = profile.get("privileged") == "allow" or not DANGEROUS.isdisjoint(profile["steps"])
    return [NAMED] if dangerous else [NAMED, "queue"]


# --- Methods ------------------------------------------------------------------------------------------------------

_dates = st.sampled_from(_DATES)
_guids = st.uuids(version=4).map(str)


def _method(short: str, method_id: str, created: str | None, **more: Any) -> Json:  # noqa: ANN401 - JSON
    return {
        "@odata.type": f"#microsoft.graph.{short}AuthenticationMethod",
        "id": method_id,
        "createdDateTime": created,
        **more,
    }


def _phone(kind: str) -> st.SearchStrategy[Json]:
    method_id = {"mobile": MOBILE, "alternateMobile": ALTERNATE, "office": OFFICE}[kind]
    number = st.integers(1_000_000, 9_999_999).map(lambda digits: f"+1 425{digits}")
    return st.builds(
        lambda created, number: _method("phone", method_id, created, phoneNumber=number, phoneType=kind), _dates, number
    )


def _token(method_id: str, created: str | None, status: str | None) -> Json:
    device = {} if status is None else {"device": {"id": method_id, "serialNumber": "GALT11420104", "status": status}}
    return _method("hardwareOath", method_id, created, **device)


_NAMES = st.sampled_from(["Security key", "Avery's phone", "PC-17", "+1 (425) 555-0155", ""])
_odd_ids = st.text("abcXYZ019-_=+", min_size=8, max_size=24).map(lambda text: f"k{text}")
_several = st.one_of(
    st.builds(lambda i, c, n: _method("microsoftAuthenticator", i, c, displayName=n), _guids, _dates, _NAMES),
    st.builds(lambda i, c: _method("softwareOath", i, c, secretKey=None), _guids, _dates),
    st.builds(_token, _guids, _dates, st.sampled_from(["activated", "activated", "assigned", "available", None])),
    st.builds(lambda i, c, n: _method("fido2", i, c, model=n), _odd_ids, _dates, _NAMES),
    st.builds(lambda i, c: _method("fido2", i, None, creationDateTime=c), _odd_ids, _dates),
    st.builds(lambda i, c, n: _method("windowsHelloForBusiness", i, c, displayName=n), _odd_ids, _dates, _NAMES),
    st.builds(lambda i, c, n: _method("platformCredential", i, c, displayName=n), _guids, _dates, _NAMES),
    st.builds(lambda i, c, n: _method("external", i, c, displayName=n), _guids, _dates, _NAMES),
)
_unknown = st.builds(_method, st.sampled_from(["palmReader", "x509Something"]), _guids, _dates)
_email = st.builds(
    lambda c, n: _method("email", EMAIL, c, emailAddress=f"somebody{n}@northwind.example"), _dates, st.integers(1, 9999)
)
_qr = st.builds(
    lambda i, c: _method("qrCodePin", i, c, standardQRCode={"id": i}, pin={"id": i, "code": None}), _guids, _dates
)
_pass = st.builds(
    lambda i, c: _method(
        "temporaryAccessPass",
        i,
        c,
        temporaryAccessPass=None,
        startDateTime="2026-11-24T08:00:00Z",
        lifetimeInMinutes=60,
        isUsableOnce=False,
    ),
    _guids,
    _dates,
)


def _sometimes(one: st.SearchStrategy[Json]) -> st.SearchStrategy[list[Json]]:
    return st.one_of(st.just([]), one.map(lambda method: [method]))


@st.composite
def method_lists(draw: st.DrawFn, most: int = 6) -> tuple[Json, ...]:
    """Draw what a user may have registered, in any order."""
    found = draw(_sometimes(_phone("mobile")))
    if found:
        found = found + draw(_sometimes(_phone("alternateMobile")))
    for one in (_phone("office"), _email, _qr, _pass):
        found = found + draw(_sometimes(one))
    others = draw(st.lists(st.one_of(_several, _several, _several, _unknown), max_size=most))
    unique = {method["id"]: method for method in found + others}
    return tuple(draw(st.permutations(list(unique.values()))))


def _preferences(methods: tuple[Json, ...]) -> list[str]:
    carried = {"none"}
    for method in methods:
        short = short_type(method)
        if short == "hardwareOath" and (method.get("device") or {}).get("status") != "activated":
            continue
        carried |= set(PREFERENCES.get(method["id"] if short == "phone" else short, ()))
    return sorted(carried)


def short_type(method: Json) -> str:
    """Name a type as policies do: `phone`."""
    return str(method["@odata.type"]).removeprefix("#microsoft.graph.").removesuffix("AuthenticationMethod")


# --- Requests and policies ----------------------------------------------------------------------------------------

_types = st.sampled_from(sorted(NARROW))
_STEPS = (
    "disableAccount",
    "revokeSessions",
    "confirmCompromised",
    f"containmentGroup:{CONTAINED}",
    "resetPassword",
    "temporaryAccessPass",
    "enableAccount",
)


def _selections(methods: tuple[Json, ...]) -> st.SearchStrategy[Selection]:
    ids = [method["id"] for method in methods] or [MOBILE]
    some_id = st.sampled_from(ids)
    entry = st.one_of(
        _types,
        some_id.map("id:{}".format),
        st.just(f"id:{ALTERNATE}"),
        some_id.map(lambda method_id: f"id:{method_id.upper()}"),
        st.just("id:12345678-0000-4000-8000-00000000abcd"),
    )
    return st.builds(
        Selection,
        st.lists(entry, max_size=4, unique=True).map(tuple),
        st.sampled_from([None, *DAYS]),
        st.booleans(),
    )


@st.composite
def _profiles(draw: st.DrawFn, most_steps: int) -> Json:
    methods = draw(
        st.one_of(
            st.sampled_from(["reregister", "all", "all", "none"]),
            st.lists(_types, min_size=1, max_size=8, unique=True),
        )
    )
    steps = draw(st.lists(st.sampled_from(_STEPS), max_size=most_steps, unique=True))
    if most_steps > 1:
        steps += draw(st.sampled_from([[], [], ["perUserMfa:enforced"], ["perUserMfa:enabled"]]))
    if methods == "none" and not steps:
        steps = ["revokeSessions"]
    profile: Json = {"methods": methods, "steps": steps, "selective": draw(st.sampled_from([True, True, True, False]))}
    names = {step.partition(":")[0] for step in steps}
    closes = names & CLOSING - ({"disableAccount"} if "enableAccount" in names else set())
    if (methods != "none" and not closes) or draw(st.booleans()):
        profile["registrationWindow"] = "accepted"
    if draw(st.sampled_from([True, False, False])):
        profile["privileged"] = "allow"
    return profile


@st.composite
def _policies(draw: st.DrawFn) -> Json:
    instead = st.lists(
        st.sampled_from([step for step in _STEPS if step not in DANGEROUS] + ["perUserMfa:enforced"]),
        max_size=3,
        unique=True,
    )
    return {
        "mode": draw(st.sampled_from(["enforce"] * 5 + ["observe"])),
        "guests": draw(st.sampled_from(["allow", "allow", "refuse"])),
        "privileged": {
            "roles": draw(st.sampled_from(["any", "any", [HELD], []])),
            "groups": draw(st.sampled_from(["assignable", "assignable", "none"])),
            "instead": draw(instead),
        },
    }


@st.composite
def _accounts(draw: st.DrawFn) -> Json:
    domain = draw(st.sampled_from(["contoso.example", "contoso.example", "fabrikam.example"]))
    external = draw(st.sampled_from([True, False, False, False]))
    return {
        "userPrincipalName": "user_northwind.example#EXT#@contoso.example" if external else f"user@{domain}",
        "userType": draw(st.sampled_from(["Member", "Guest", None])) if external else "Member",
        "accountEnabled": draw(st.sampled_from([True, True, False])),
        "onPremisesSyncEnabled": draw(st.sampled_from([None, None, True])),
        "authorizationInfo": {"certificateUserIds": draw(st.sampled_from([[], [], ["X509:<PN>user@contoso.example"]]))},
        "signInSessionsValidFromDateTime": draw(st.sampled_from([None, "2024-01-02T03:04:05Z"])),
    }


# --- Tenants --------------------------------------------------------------------------------------------------------

_switches = st.fixed_dictionaries(
    {
        "visibility_delay_seconds": st.sampled_from([0, 0, 3, 9.5, 10, 12, 15]),
        "page_size": st.sampled_from([1, 2, 100]),
        "empty_first_page": st.booleans(),
        "default_text": st.sampled_from([1, 2, "alternating"]),
        "external_delete_form": st.sampled_from(["plain", "ref"]),
        "typed_collections_name_the_type": st.booleans(),
        "authorization_info_in": st.sampled_from(["v1.0", "beta"]),
        "revoke_answers": st.sampled_from([200, 204]),
        "absent_types": st.just(set()),
        "premium": st.sampled_from([True, True, False]),
    }
)
_GUARDS = (
    *("never", "neverGroup", "role", "eligibleRole", "assignableGroup", "eligibleGroup", "restricted", "stranger"),
    *("owner", "eligibleOwner", "leadingMember", "leadingOwner"),
)
_missing_narrow = st.sets(_types.map(lambda type_: NARROW[type_]), max_size=4)


@st.composite
def _missing(draw: st.DrawFn) -> frozenset[str]:
    """Draw app roles that we lack: never one without which nothing can be judged."""
    broad = draw(st.sampled_from([{BROAD_WRITE}, {BROAD_READ, BROAD_WRITE}, {BROAD_READ, BROAD_WRITE}, set()]))
    steps = draw(st.sets(st.sampled_from(sorted({*STEP_ROLES.values(), "Domain.Read.All"})), max_size=2))
    return frozenset(broad | draw(_missing_narrow) | steps)


_intruders = st.one_of(
    _several,
    _unknown,
    _several.map(lambda method: method | {"createdDateTime": "2026-11-24T09:00:00Z"}),
)
_over_administrators = frozenset({HELD, "7be44c8a-adaf-4e2a-84d6-ab2649e08a13"})


@st.composite
def cases(
    draw: st.DrawFn, *, most_methods: int = 6, most_steps: int = 1, guarded: bool = False, rights: bool = False
) -> Case:
    """Draw a case; what is not asked for is left as it is every day, so that every family gets to its point."""
    methods = draw(method_lists(most_methods))
    profile = draw(_profiles(most_steps))
    guard = frozenset(draw(st.lists(st.sampled_from(_GUARDS), max_size=2)) if guarded else ())
    switches = draw(_switches)
    if rights:
        switches["absent_types"] = draw(st.sets(_types, max_size=2))
    selective = profile["selective"] or guarded
    selection = draw(st.one_of(st.just(Selection()), _selections(methods))) if selective else Selection()
    return Case(
        methods=methods,
        default=draw(st.sampled_from(_preferences(methods))),
        system_preferred=draw(st.booleans()),
        account=draw(_accounts()),
        guard=guard,
        per_user_mfa=draw(st.sampled_from(["disabled", "enabled", "enforced"])),
        profile=profile,
        policy=draw(_policies()) if guarded else {"privileged": {"instead": []}},
        caller=STRANGER if "stranger" in guard else draw(st.sampled_from(_callers_of(profile))),
        selection=selection,
        dry_run=draw(st.sampled_from([False] * 7 + [True])),
        missing_roles=draw(_missing()) if rights else frozenset(),
        caller_directory_roles=draw(st.sampled_from([frozenset({HELD}), _over_administrators, frozenset()])),
        switches=switches,
        intruder=draw(
            st.none() | st.none() | _intruders.filter(lambda one: one["id"] not in {m["id"] for m in methods})
        ),
        intruder_comes=draw(st.integers(1, 3)),
        again=draw(st.sampled_from([False, False, True])),
    )
