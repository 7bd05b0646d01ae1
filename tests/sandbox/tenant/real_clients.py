"""Microsoft's own clients against a tenant: run in a process of its own, whose environment leads to it.

Prints one JSON object: what the token holds, what typed reads show, and how an error looks to the SDK.
"""

import asyncio
import json
import os
import sys

from azure.identity.aio import ManagedIdentityCredential
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph.generated.groups.item.transitive_member_of.graph_group.graph_group_request_builder import (
    GraphGroupRequestBuilder,
)
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.phone_authentication_method import PhoneAuthenticationMethod
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient


async def read(user_id: str, group_id: str, deleted_id: str) -> dict[str, object]:
    """Read a user, the user's methods, a group's groups and a deleted user through the SDK's models."""
    url = os.environ["GRAPH_URL"]
    scope = f"{url}/.default"
    async with ManagedIdentityCredential() as credential:
        token = await credential.get_token(scope)
        provider = AzureIdentityAuthenticationProvider(credential, scopes=[scope], allowed_hosts=["127.0.0.1"])
        adapter = GraphRequestAdapter(provider)
        adapter.base_url = f"{url}/v1.0"
        user = GraphServiceClient(request_adapter=adapter).users.by_user_id(user_id)
        found = await user.get()
        methods = await user.authentication.methods.get()
        phones = [each for each in (methods and methods.value) or [] if isinstance(each, PhoneAuthenticationMethod)]
        return {
            "expiresOn": token.expires_on,
            "displayName": found and found.display_name,
            "types": [each.odata_type for each in (methods and methods.value) or []],
            "phoneTypes": [each.phone_type.value for each in phones if each.phone_type],
            "error": await read_error(user_id, adapter),
            "groups": await read_groups(group_id, adapter),
            "deleted": await read_deleted(deleted_id, adapter),
        }


async def read_groups(group_id: str, adapter: GraphRequestAdapter) -> list[object]:
    """Read what a group is in, with the SDK's own address of the cast."""
    query = GraphGroupRequestBuilder.GraphGroupRequestBuilderGetQueryParameters(
        select=["id", "isAssignableToRole"], count=True
    )
    configuration = RequestConfiguration(query_parameters=query)
    configuration.headers.add("ConsistencyLevel", "eventual")
    memberships = GraphServiceClient(request_adapter=adapter).groups.by_group_id(group_id).transitive_member_of
    found = await memberships.graph_group.get(request_configuration=configuration)
    return [[each.id, each.is_assignable_to_role] for each in (found and found.value) or []]


async def read_deleted(user_id: str, adapter: GraphRequestAdapter) -> list[object]:
    """Read a deleted user by either of the SDK's addresses."""
    item = GraphServiceClient(request_adapter=adapter).directory.deleted_items.by_directory_object_id(user_id)
    plain, user = await item.get(), await item.graph_user.get()
    return [type(plain).__name__, user and user.display_name]


async def read_error(user_id: str, adapter: GraphRequestAdapter) -> dict[str, object]:
    """Provoke the refusal of a default method and return what the SDK makes of it."""
    authentication = GraphServiceClient(request_adapter=adapter).users.by_user_id(user_id).authentication
    methods = await authentication.microsoft_authenticator_methods.get()
    (app,) = (methods and methods.value) or []
    try:
        await authentication.microsoft_authenticator_methods.by_microsoft_authenticator_authentication_method_id(
            str(app.id)
        ).delete()
    except ODataError as error:
        inner = error.error and error.error.inner_error
        return {
            "status": error.response_status_code,
            "code": error.error and error.error.code,
            "requestId": inner and inner.request_id,
        }
    return {}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(read(*sys.argv[1:]))))  # noqa: T201 - the answer to the parent process
