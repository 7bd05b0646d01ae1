"""The operator's page of permissions, written from the tables: `python -m shared.permissions_page <policy file>`."""

import sys
from collections.abc import Iterable
from pathlib import Path

from shared.catalogue import BROAD_READ_ROLE, BROAD_WRITE_ROLE, KINDS
from shared.permissions import (
    APP_ROLES,
    BY_NAME,
    CHANGE_DEFAULT,
    DIRECTORY_ROLE_IDS,
    DIRECTORY_ROLES,
    FACT_NEEDS,
    GRAPH_APP_ID,
    LICENCES,
    LIST_EVERY_TYPE,
    STEP_NEEDS,
    AppRole,
    Fact,
    Need,
    Tier,
    listing_needs,
    removal_needs,
)
from shared.policy import Policy, parse_policy
from shared.readiness import INSTEAD, Readiness, judge_readiness
from shared.vocabulary import MethodType

_ALL_NARROW = "the role of each type, for that type"
_NARROW_ROLES = tuple(kind.narrow_role for kind in KINDS)
_LISTING = tuple(need for kind in KINDS for need in listing_needs(kind.type))
_NEEDS = (
    *LIST_EVERY_TYPE,
    *CHANGE_DEFAULT,
    *(need for kind in KINDS for need in removal_needs(kind.type)),
    *(need for needs in (*FACT_NEEDS.values(), *STEP_NEEDS.values()) for need in needs),
)
_FACTS: dict[Fact, str] = {
    Fact.USER: "read the user",
    Fact.GROUPS: "read which groups lead to privilege, who owns them, and whether the user is in one, for the guard",
    Fact.DIRECTORY_ROLES: "read the directory roles that users and groups hold or could activate, for the guard",
    Fact.ELIGIBLE_MEMBERSHIP: "read who could become a member or an owner of which group, for the guard",
    Fact.FEDERATED_SIGN_IN: "read whether the user's domain is federated",
}

_INTRODUCTION = f"""\
# Permissions

<!-- Written by `make docs` from shared/permissions.py and infra/policy.json: change those. -->

The function app signs in to Microsoft Graph as its managed identity and may do what the identity's **app roles** \
(application permissions of Microsoft Graph, `{GRAPH_APP_ID}`) say, to every user of the tenant. Microsoft Entra ID \
asks for no directory role when authentication methods are removed, not even a Global Administrator's. So whoever can \
act as the identity can do all that its roles allow; what keeps the app from administrators and break-glass accounts \
is its own guard. Grant what the policy needs, and no more.
"""

_TIERS = """\
## Every app role

Ids are the same in every tenant of the global cloud; whether national clouds have the same is not settled. The tier \
says what whoever holds the role could do with it at worst:

- **tier 0** takes over accounts or the tenant. A role that can *register* a method is here: where that method signs \
in, or resets a password, it opens the account.
- **tier 1** changes or locks accounts. A role that only *removes* methods is here: by itself it takes over nothing, \
but whoever knows the password can then register first.
- **tier 2** reads.

An identity that holds one role of tier 0 is tier 0 itself, and so is the app with everybody who can deploy to it.

*Instead* names what meets the same need with more rights than it takes. Those without a row of their own open far \
more than this product ever uses: they count where they are granted already, and are no reason to grant them.
"""

_CHOICE = f"""\
## Narrow or broad

For methods there are two ways; who holds both gains nothing by the narrow one:

- **narrow**: the role of each type that the policy removes, and `{BROAD_READ_ROLE}`. Without this last role \
each type is listed by its own role, so that a method of a type we do not know goes unseen; outcomes then say so \
(`unknownTypesNotListed`).
- **broad**: `{BROAD_WRITE_ROLE}` alone. Whether Microsoft Graph honours every narrow role on every path has \
not been tried on a real tenant: this one is the way out where one is refused. Only it can change a user's default \
method. That is needed where the alternate mobile phone is the default: it cannot be deleted while the mobile phone is \
there, nor the mobile phone before it. Without the role both stay, and the outcome is `partial`.

A profile with `"methods": "all"` removes Temporary Access Passes, and the role for that can make them. A list of \
types that leaves out `{MethodType.TEMPORARY_ACCESS_PASS}` does without it.
"""

_LOOK = f"""\
## What is granted, and from when it counts

```
curl -H "Authorization: Bearer $(az account get-access-token --resource <audience> --query accessToken --output tsv)" \\
  https://<host of the app>/api/readiness
```

The caller needs the app role `MfaReset.Read` or `MfaReset.Operate`; without App Service Authentication a function key \
in `x-functions-key` takes the token's place. The answer is 200 whether the app is ready or not; watch `ready`.

- `missing`: grant these, or take out of the policy what needs them (`methodTypes`, `steps` and `facts` say what does).
- `advised`: without these an outcome leaves a question open.
- `unused`: the policy in force needs none of these; they can be taken away together.
- `never`: ids of the policy's `never` that protect nobody, or may not: missing, of the other kind, hidden from the \
identity, or not to be read just now. The app is not ready while it lists any.
- `alsoNeeds`: a directory role or a licence that no token shows, so it is for you to check.

What is judged of app roles is the token that the app has. **A managed identity's token keeps its app roles for up to \
about a day**: a role that was granted an hour ago can still be `missing`, one that was taken away can still work. \
Meanwhile a request whose user cannot be judged, or of whose methods none in scope can be listed, is tried again for \
up to 24 hours; a missing role for one type or one step makes the outcome `partial`, with `notPermitted` on that \
line.

By hand, a Privileged Role Administrator grants a role like this; `<identity>` is the object id of the managed \
identity's service principal, `<role>` the id of the role in the table below:

```
graph=$(az ad sp show --id {GRAPH_APP_ID} --query id --output tsv)
az rest --method POST --url "https://graph.microsoft.com/v1.0/servicePrincipals/$graph/appRoleAssignedTo" \\
  --body "{{\\"principalId\\": \\"<identity>\\", \\"resourceId\\": \\"$graph\\", \\"appRoleId\\": \\"<role>\\"}}"
```

What has been granted, whatever the token says, is in \
`az rest --url "https://graph.microsoft.com/v1.0/servicePrincipals/<identity>/appRoleAssignments"`; a `DELETE` of \
`…/appRoleAssignments/<id>` takes it back. Taking a role out of a template takes nothing back.
"""


def write_page(policy: Policy) -> str:
    """Write the page; `policy` is the one that is deployed unless the operator changes it."""
    nothing = judge_readiness(policy, ())
    parts = (_INTRODUCTION, _shortest_list(policy, nothing), _CHOICE, _LOOK, _TIERS, _every_role(), _directory_roles())
    return "\n".join(parts)


# --- What the policy needs --------------------------------------------------------------------------------------


def _shortest_list(policy: Policy, nothing: Readiness) -> str:
    """Write which roles each profile needs, and why no fewer will do."""
    used = {role: _profiles_that_need(role, policy, nothing) for role in nothing.missing}
    rows = [
        (_code(role), _number(BY_NAME[role]), *("yes" if profile in names else "" for profile in policy.profiles))
        for role, names in used.items()
    ]
    table = _table(("app role", "tier", *map(_code, policy.profiles)), rows)
    advised = "\n".join(f"- `{role}`: {'; '.join(_uses(role))}" for role in nothing.advised)
    return f"""\
## What the policy in infra/policy.json needs

The shortest list, by profile:

{table}
Advised besides; these only read:

{advised}
"""


def _profiles_that_need(role: str, policy: Policy, nothing: Readiness) -> set[str]:
    if any(role in fact.missing for fact in nothing.facts):
        return set(policy.profiles)
    types = [one.profiles for one in nothing.method_types if role in one.missing]
    steps = [one.profiles for one in nothing.steps if role in one.missing]
    named = {name for names in (*types, *steps) for name in names}
    refusing = {name for name, profile in policy.profiles.items() if profile.privileged != "allow"}
    return (named - {INSTEAD}) | (refusing if INSTEAD in named else set())


# --- Every role -------------------------------------------------------------------------------------------------


def _every_role() -> str:
    rows = [
        (
            f"{_code(role.name)}<br>{role.id}",
            _number(role),
            role.allows,
            "<br>".join(_uses(role.name)),
            _instead(role.name),
        )
        for role in APP_ROLES
    ]
    return _table(("app role, id", "tier", "allows to", "we need it to", "instead"), rows)


def _uses(role: str) -> list[str]:
    """Tell what of ours asks for a role."""
    types = [f"list and remove `{kind.type}`" for kind in KINDS if kind.narrow_role == role]
    listing = ["list every type, also those that we do not know"] if _asks(LIST_EVERY_TYPE, role) else []
    default = ["change the default method where it blocks others"] if _asks(CHANGE_DEFAULT, role) else []
    facts = [_FACTS[fact] for fact, needs in FACT_NEEDS.items() if _asks(needs, role)]
    steps = [f"take the step `{step}`" for step, needs in STEP_NEEDS.items() if _asks(needs, role)]
    return [*facts, *listing, *types, *default, *steps]


def _asks(needs: Iterable[Need], role: str) -> bool:
    return any(need.role == role for need in needs)


def _instead(role: str) -> str:
    """Name what is broader than a role for the same, what only lists, and what is narrower and does a part."""
    broader = _broader(role, _NEEDS)
    only_listing = [one for one in _broader(role, _LISTING) if one not in broader]
    narrower = list(dict.fromkeys(need.role for need in (*_NEEDS, *_LISTING) if role in need.instead))
    if set(_NARROW_ROLES) <= set(narrower):
        narrower = [_ALL_NARROW, *(one for one in narrower if one not in _NARROW_ROLES)]
    named = (("broader", broader), ("only to list", only_listing), ("narrower", narrower))
    return "<br>".join(f"{kind}: {', '.join(map(_code, names))}" for kind, names in named if names)


def _broader(role: str, needs: Iterable[Need]) -> list[str]:
    return list(dict.fromkeys(one for need in needs if need.role == role for one in need.instead))


# --- What no app role gives -------------------------------------------------------------------------------------


def _directory_roles() -> str:
    steps = _table(("step", "directory role"), [(f"`{step}`", role) for step, role in DIRECTORY_ROLES.items()])
    ids = _table(("directory role", "template id"), DIRECTORY_ROLE_IDS.items())
    licences = "\n".join(f"- `{step}`: {licence}" for step, licence in LICENCES.items())
    return f"""\
## Besides app roles

For these steps Microsoft Entra ID wants a **directory role** of the identity as well. Assign the least that the \
policy needs: the one for administrators only where a profile says `"privileged": "allow"`, or where \
`privileged.instead` holds such a step.

{steps}
{ids}
This needs a licence in the tenant:

{licences}
"""


def _number(role: AppRole) -> str:
    return {Tier.CONTROL: "0", Tier.CHANGE: "1", Tier.READ: "2"}[role.tier]


def _code(text: str) -> str:
    return text if text == _ALL_NARROW else f"`{text}`"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main(arguments: list[str]) -> None:
    """Write the page of the policy in the file that is named first."""
    sys.stdout.write(write_page(parse_policy(Path(arguments[0]).read_text())))


if __name__ == "__main__":
    main(sys.argv[1:])
