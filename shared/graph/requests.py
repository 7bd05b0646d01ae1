"""What we send to Microsoft Graph: the SDK's request builders, and templates of our own for what they cannot say.

Every value goes into an address percent-encoded by the template, into a filter with its quotes doubled. This module
imports the SDK: it is itself imported with the first call only.
"""

import json
from collections.abc import Sequence

from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.method import Method as HttpMethod
from kiota_abstractions.request_information import RequestInformation
from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder
from msgraph.generated.users.users_request_builder import UsersRequestBuilder
from msgraph.graph_service_client import GraphServiceClient

from shared.catalogue import PASS, MethodKind
from shared.graph.facts import ACCOUNT_PROPERTIES, USER_PROPERTIES
from shared.graph.group_facts import GROUP_PROPERTIES
from shared.strictjson import Json, parse_json
from shared.vocabulary import GroupId, MethodId, UserId

_UserQuery = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters
_UsersQuery = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters

_SELECTED_USER = ",".join(USER_PROPERTIES)
_SELECTED_GROUP = ",".join(GROUP_PROPERTIES)
_ASSIGNMENTS = "roleManagement/directory/roleAssignments"
_ROLE_ELIGIBILITIES = "roleManagement/directory/roleEligibilityScheduleInstances"
_GROUP_ELIGIBILITIES = "identityGovernance/privilegedAccess/group/eligibilityScheduleInstances"


class Requests:
    """Builds one request a call: the SDK adds the token to what it sends, so none is sent twice."""

    def __init__(self, client: GraphServiceClient, graph_url: str) -> None:
        self._client = client
        self._v1 = f"{graph_url}/v1.0"
        self._beta = f"{graph_url}/beta"

    # --- Users, groups and roles --------------------------------------------------------------------------------

    def user(self, name: str) -> RequestInformation:
        """Read a user by object id or user principal name."""
        if name.startswith("$") or name in {".", ".."}:
            # As a path segment a leading `$` is an OData option and dots climb up; Graph documents this form instead.
            template = "{+baseurl}/users('{name}')?$select={+properties}"
            return self._info(HttpMethod.GET, template, name=_quoted(name), properties=_SELECTED_USER)
        query = _UserQuery(select=list(USER_PROPERTIES))
        return self._client.users.by_user_id(name).to_get_request_information(
            RequestConfiguration(query_parameters=query)
        )

    def users_with_security_identifier(self, identifier: str) -> RequestInformation:
        """Read the users who have this on-premises security identifier."""
        query = _UsersQuery(
            select=list(USER_PROPERTIES),
            filter=f"onPremisesSecurityIdentifier eq '{_quoted(identifier)}'",
            count=True,
        )
        info = self._client.users.to_get_request_information(RequestConfiguration(query_parameters=query))
        return _as_advanced_query(info)

    def users_with_account_name(self, name: str) -> RequestInformation:
        """Read the users whose account on-premises has this name, in whatever domain."""
        query = _UsersQuery(
            select=[*USER_PROPERTIES, *ACCOUNT_PROPERTIES],
            filter=f"onPremisesSamAccountName eq '{_quoted(name)}'",
            count=True,
        )
        info = self._client.users.to_get_request_information(RequestConfiguration(query_parameters=query))
        return _as_advanced_query(info)

    def deleted_user(self, user_id: UserId) -> RequestInformation:
        """Read a user that was deleted lately."""
        template = "{+baseurl}/directory/deletedItems/{user_id}/microsoft.graph.user?$select=id"
        return self._info(HttpMethod.GET, template, user_id=user_id)

    def certificates_of(self, user_id: UserId, *, beta: bool) -> RequestInformation:
        """Read the certificate user ids of a user."""
        root = "{+beta}" if beta else "{+baseurl}"
        return self._info(HttpMethod.GET, f"{root}/users/{{user_id}}?$select=authorizationInfo", user_id=user_id)

    def domain(self, name: str) -> RequestInformation:
        """Read a domain of the tenant."""
        return self._info(HttpMethod.GET, "{+baseurl}/domains/{name}", name=name)

    def group(self, group_id: GroupId) -> RequestInformation:
        """Read a group."""
        template = "{+baseurl}/groups/{group_id}?$select={+properties}"
        return self._info(HttpMethod.GET, template, group_id=group_id, properties=_SELECTED_GROUP)

    def user_by_id(self, user_id: UserId) -> RequestInformation:
        """Read of a user only that they are there."""
        return self._info(HttpMethod.GET, "{+baseurl}/users/{user_id}?$select=id", user_id=user_id)

    def role_assignable_groups(self) -> RequestInformation:
        """Read the groups of the tenant that can hold directory roles: `eq` needs no advanced query.

        https://learn.microsoft.com/graph/aad-advanced-queries
        """
        template = "{+baseurl}/groups?$filter={condition}&$select={+properties}"
        condition = "isAssignableToRole eq true"
        return self._info(HttpMethod.GET, template, condition=condition, properties=_SELECTED_GROUP)

    def owners_of(self, group_id: GroupId) -> RequestInformation:
        """Read the owners of a group."""
        return self._info(HttpMethod.GET, "{+baseurl}/groups/{group_id}/owners?$select=id", group_id=group_id)

    def groups_in(self, group_id: GroupId) -> RequestInformation:
        """Read the groups that are in a group, through others too: a cast, so it has to be an advanced query.

        https://learn.microsoft.com/graph/api/group-list-transitivemembers
        """
        template = (
            "{+baseurl}/groups/{group_id}/transitiveMembers/microsoft.graph.group?$select={+properties}&$count=true"
        )
        info = self._info(HttpMethod.GET, template, group_id=group_id, properties=_SELECTED_GROUP)
        return _as_advanced_query(info)

    def check_groups(self, user_id: UserId, group_ids: Sequence[GroupId]) -> RequestInformation:
        """Ask which of at most 20 groups a user is in, through others too: an action, but one that only reads.

        https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups
        """
        info = self._info(HttpMethod.POST, "{+baseurl}/users/{user_id}/checkMemberGroups", user_id=user_id)
        return _with_body(info, {"groupIds": list(group_ids)})

    def role_assignments(self) -> RequestInformation:
        """Read the active assignments of directory roles in the tenant, with who holds them."""
        return self._info(HttpMethod.GET, f"{{+baseurl}}/{_ASSIGNMENTS}?$expand=principal")

    def role_eligibilities(self) -> RequestInformation:
        """Read who in the tenant could activate which directory role."""
        return self._info(HttpMethod.GET, f"{{+baseurl}}/{_ROLE_ELIGIBILITIES}?$expand=principal")

    def role_assignments_of(self, user_id: UserId) -> RequestInformation:
        """Read the active assignments of directory roles to a user."""
        return self._with_filter(_ASSIGNMENTS, f"principalId eq '{_quoted(user_id)}'")

    def role_eligibilities_of(self, user_id: UserId) -> RequestInformation:
        """Read the directory roles that a user could activate."""
        return self._with_filter(_ROLE_ELIGIBILITIES, f"principalId eq '{_quoted(user_id)}'")

    def group_eligibilities_of(self, user_id: UserId) -> RequestInformation:
        """Read the groups that a user could make themselves a member or an owner of."""
        return self._with_filter(_GROUP_ELIGIBILITIES, f"principalId eq '{_quoted(user_id)}'")

    def group_eligibilities_for(self, group_id: GroupId) -> RequestInformation:
        """Read who could make themselves a member or an owner of a group."""
        return self._with_filter(_GROUP_ELIGIBILITIES, f"groupId eq '{_quoted(group_id)}'", "&$expand=principal")

    def _with_filter(self, collection: str, condition: str, more: str = "") -> RequestInformation:
        return self._info(HttpMethod.GET, f"{{+baseurl}}/{collection}?$filter={{condition}}{more}", condition=condition)

    def batch(self, parts: Sequence[RequestInformation]) -> RequestInformation:
        """Put up to 20 calls of v1.0 into one; each is answered under its number, in whatever order.

        https://learn.microsoft.com/graph/json-batching
        """
        info = self._info(HttpMethod.POST, "{+baseurl}/$batch")
        return _with_body(info, {"requests": [self._part(str(number), part) for number, part in enumerate(parts)]})

    def _part(self, number: str, part: RequestInformation) -> dict[str, Json]:
        part.path_parameters["baseurl"] = ""  # the address of a part is relative to the version
        headers: dict[str, Json] = {name: ", ".join(values) for name, values in part.headers.get_all().items()}
        method = part.http_method.value if part.http_method else None
        content: dict[str, Json] = {"id": number, "method": method, "url": part.url, "headers": headers}
        return content | ({"body": parse_json(part.content.decode())} if part.content else {})

    def next_page(self, link: str, *, advanced: bool) -> RequestInformation:
        """Read on where a page's link leads; an advanced query is one on every page."""
        info = RequestInformation(HttpMethod.GET)
        info.url = link
        info.headers.try_add("Accept", "application/json")
        return _as_advanced_query(info) if advanced else info

    # --- Authentication methods ---------------------------------------------------------------------------------

    def methods_of(self, user_id: UserId) -> RequestInformation:
        """Read a user's methods, all types but hardware OATH."""
        return self._client.users.by_user_id(user_id).authentication.methods.to_get_request_information()

    def methods_of_type(self, user_id: UserId, kind: MethodKind) -> RequestInformation:
        """Read a user's methods of one type; of a type that is single, the one there is."""
        root = "{+beta}" if kind.beta else "{+baseurl}"
        return self._info(HttpMethod.GET, f"{root}/users/{{user_id}}/authentication/{kind.segment}", user_id=user_id)

    def delete_method(self, user_id: UserId, kind: MethodKind, method_id: MethodId) -> RequestInformation:
        """Delete one method."""
        return self._method(HttpMethod.DELETE, user_id, kind, method_id)

    def delete_method_by_reference(self, user_id: UserId, kind: MethodKind, method_id: MethodId) -> RequestInformation:
        """Delete one method by the address that Microsoft documents for external ones; the SDK has the other one."""
        return self._method(HttpMethod.DELETE, user_id, kind, method_id, "/$ref")

    def deactivate_method(self, user_id: UserId, kind: MethodKind, method_id: MethodId) -> RequestInformation:
        """Switch a method off, so that it stays assigned."""
        return self._method(HttpMethod.POST, user_id, kind, method_id, "/deactivate")

    def change_default_method(self, user_id: UserId, preference: str) -> RequestInformation:
        """Choose the method that is asked for first."""
        info = self._info(HttpMethod.PATCH, "{+beta}/users/{user_id}/authentication/signInPreferences", user_id=user_id)
        return _with_body(info, {"userPreferredMethodForSecondaryAuthentication": preference})

    # --- The account --------------------------------------------------------------------------------------------

    def revoke_sessions(self, user_id: UserId) -> RequestInformation:
        """Invalidate refresh tokens and session cookies."""
        return self._client.users.by_user_id(user_id).revoke_sign_in_sessions.to_post_request_information()

    def enable_account(self, user_id: UserId, *, enabled: bool) -> RequestInformation:
        """Allow or block sign-in."""
        return self._change_user(user_id, {"accountEnabled": enabled})

    def set_password(self, user_id: UserId, password: str) -> RequestInformation:
        """Set a password that has to be changed at the next sign-in."""
        return self._change_user(
            user_id, {"passwordProfile": {"password": password, "forceChangePasswordNextSignIn": True}}
        )

    def confirm_compromised(self, user_id: UserId) -> RequestInformation:
        """Set a user's risk to high."""
        info = self._info(HttpMethod.POST, "{+baseurl}/identityProtection/riskyUsers/confirmCompromised")
        return _with_body(info, {"userIds": [user_id]})

    def add_to_group(self, user_id: UserId, group_id: GroupId) -> RequestInformation:
        """Make a user a member of a group."""
        info = self._info(HttpMethod.POST, "{+baseurl}/groups/{group_id}/members/$ref", group_id=group_id)
        return _with_body(info, {"@odata.id": f"{self._v1}/directoryObjects/{user_id}"})

    def per_user_mfa(self, user_id: UserId) -> RequestInformation:
        """Read the per-user MFA state."""
        return self._info(HttpMethod.GET, "{+beta}/users/{user_id}/authentication/requirements", user_id=user_id)

    def set_per_user_mfa(self, user_id: UserId, state: str) -> RequestInformation:
        """Set the per-user MFA state."""
        info = self._info(HttpMethod.PATCH, "{+beta}/users/{user_id}/authentication/requirements", user_id=user_id)
        return _with_body(info, {"perUserMfaState": state})

    def create_pass(self, user_id: UserId, minutes: int | None) -> RequestInformation:
        """Make a Temporary Access Pass; None leaves its lifetime to the tenant's policy."""
        template = f"{{+baseurl}}/users/{{user_id}}/authentication/{PASS.segment}"
        info = self._info(HttpMethod.POST, template, user_id=user_id)
        lifetime: dict[str, Json] = {} if minutes is None else {"lifetimeInMinutes": minutes}
        return _with_body(info, {"isUsableOnce": True, **lifetime})

    def _change_user(self, user_id: UserId, content: Json) -> RequestInformation:
        return _with_body(self._info(HttpMethod.PATCH, "{+baseurl}/users/{user_id}", user_id=user_id), content)

    def _method(
        self, verb: HttpMethod, user_id: UserId, kind: MethodKind, method_id: MethodId, action: str = ""
    ) -> RequestInformation:
        root = "{+beta}" if kind.beta else "{+baseurl}"
        place = kind.segment if kind.single else f"{kind.segment}/{{method_id}}"
        template = f"{root}/users/{{user_id}}/authentication/{place}{action}"
        return self._info(verb, template, user_id=user_id, method_id=method_id)

    def _info(self, verb: HttpMethod, template: str, **parameters: str) -> RequestInformation:
        # The adapter fills in `baseurl`, the address of v1.0.
        info = RequestInformation(verb, template, {"beta": self._beta, **parameters})
        info.headers.try_add("Accept", "application/json")
        return info


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _as_advanced_query(info: RequestInformation) -> RequestInformation:
    info.headers.try_add("ConsistencyLevel", "eventual")
    return info


def _with_body(info: RequestInformation, content: Json) -> RequestInformation:
    info.set_stream_content(json.dumps(content).encode(), "application/json")
    return info
