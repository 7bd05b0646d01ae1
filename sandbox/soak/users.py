"""The users whom a soak resets: many of the same kind."""

from sandbox.tenant import Tenant

MOBILE = "3179e48a-750b-4051-897c-87b9720928f7"  # the ids that Graph gives every mobile and every office phone
OFFICE = "e37fc753-ff3b-4958-9484-eaa9425c82bc"


def add_users(tenant: Tenant, number: int) -> list[str]:
    """Add users with two phones and a software token each; return their object ids."""
    return [_add_user(tenant, place) for place in range(number)]


def _add_user(tenant: Tenant, place: int) -> str:
    user_id = f"60000000-0000-4000-8000-{place:012}"
    methods = [
        _method("phone", MOBILE, phoneType="mobile", phoneNumber=f"+1 425555{place:04}"),
        _method("phone", OFFICE, phoneType="office", phoneNumber=f"+1 425556{place:04}"),
        _method("softwareOath", f"61000000-0000-4000-8000-{place:012}"),
    ]
    names = {"displayName": f"User {place}", "userPrincipalName": f"user.{place}@contoso.example"}
    more = {"accountEnabled": True, "userType": "Member", "authentication": {"methods": methods}}
    return tenant.directory.add_user({"id": user_id} | names | more).id


def _method(short_type: str, method_id: str, **properties: str) -> dict[str, str | None]:
    odata_type = f"#microsoft.graph.{short_type}AuthenticationMethod"
    return {"@odata.type": odata_type, "id": method_id, "createdDateTime": None, **properties}
