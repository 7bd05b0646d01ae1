"""A Microsoft 365 tenant on loopback: Microsoft Graph as far as this product calls it, and a managed identity's tokens.

```python
async with Tenant(directory=load_directory()) as tenant:
    ...  # tenant.environment leads a process to it; tenant.directory is what became of the users
    ...  # tenant.secret_values() is what must not stand in anything that the process wrote
```
Alone: `python -m sandbox.tenant`. From another process: the addresses in `sandbox.tenant.admin`.

Where Microsoft does not document what the service does, the choice is written where it is made: `default_method`,
`switches` and the handlers. It is **not faithful** in this:

- Nothing but what the product calls is there: no `$orderby`, `$search`, no `$expand` but of the principal of a role or
  an eligibility, no `dependsOn` in a `$batch`, no change of a user but accountEnabled and passwordProfile, no audit
  log, no reports, no policies. Filters know `eq` and `and` only. The parts of a batch are carried out one by one.
- Keys of entities are path segments only (`/users/{id}`, not `/users('id')`); addresses are case-sensitive.
- Pages are cut from the collection as it is at each call, not from a snapshot; a link to a page never expires.
- Resource units are not counted: throttling comes from faults, from `methods_calls_per_10_seconds`, and from the one
  call a second of identity protection.
- Only deletes of methods are slow to show; every other change shows at once. Directory roles of the caller count at
  once, whereas app roles wait for the next token, as they do in Azure.
- Tokens are signed with a key of the tenant's own (HS256) and say nothing about continuous access evaluation.
- Phone numbers are shown in full; key material, codes and pins are null, but for a new Temporary Access Pass.
- A directory role has no name; a role given for less than the whole tenant is no membership; a role-assignable group
  or an active role of any scope makes an administrator, whose account and password want a higher role on the caller.
- A write to a member of a restricted management administrative unit is refused, authentication methods included.
- The code of 404 for a method is `resourceNotFound`; deactivating a deactivated token answers 204; the texts of most
  refusals only resemble Microsoft's. What is matched on must be status and code, as with the real service.
- The tenant is one of the global cloud; of a national cloud it has the smaller set of types, by `absent_types`, and
  nothing else. Methods of an absent type that the directory holds are not shown, but may carry the default.
- Only users are among the deleted items, one at a time by id: no listing, no purging, no restoring but by a fault;
  memberships, roles and eligibilities of a deleted user are gone, and do not come back with them. Without the cast,
  too, every property of a user may be selected.
- A group may be in a role-assignable group, which Entra does not allow; rules of dynamic groups are not evaluated.
- Adding a member to a dynamic group is 400 as for a synced one; by Microsoft's support pages it may be 403. An
  `@odata.id` is one of this tenant's v1.0 addresses, by object id; which other forms Graph takes is not documented.
- Only users are owners of groups; changing owners is no call here. A group with hidden membership shows its members,
  and shows in what they are in, to an app with `Member.Read.Hidden`; to others it is empty and in no list, without an
  error. `checkMemberGroups` leaves out an id that is no group's. A cast shows a change at once: its index lags nowhere.
- Eligibilities have no beginning and no end, and are never activated; each is listed under its own principal only.
"""

from sandbox.tenant.directory import (
    AdministrativeUnit,
    Directory,
    Group,
    GroupEligibility,
    Method,
    RoleAssignment,
    User,
    load_directory,
    method,
)
from sandbox.tenant.exchange import Call
from sandbox.tenant.faults import Fault
from sandbox.tenant.server import Tenant
from sandbox.tenant.switches import APP_ROLES, Switches

__all__ = [
    "APP_ROLES",
    "AdministrativeUnit",
    "Call",
    "Directory",
    "Fault",
    "Group",
    "GroupEligibility",
    "Method",
    "RoleAssignment",
    "Switches",
    "Tenant",
    "User",
    "load_directory",
    "method",
]
