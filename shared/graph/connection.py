"""The SDK, put together: its client, adapter, authentication provider and middleware over one httpx client.

This module imports the SDKs (half a second): `directory` imports it with the first call.
"""

import warnings
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import httpx
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_abstractions.request_option import RequestOption
from kiota_http.middleware.options import (
    HeadersInspectionHandlerOption,
    RedirectHandlerOption,
    ResponseHandlerOption,
    RetryHandlerOption,
    UrlReplaceHandlerOption,
)
from kiota_http.observability_options import ObservabilityOptions
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory  # type: ignore[import-untyped] # it ships no types
from msgraph_core.authentication import AzureIdentityAuthenticationProvider  # type: ignore[import-untyped] # as above

from shared.errors import NoAnswerError, UnauthenticatedError
from shared.graph.requests import Requests
from shared.graph.tokens import CredentialFactory, TokenSource, read_roles
from shared.graph.wire import Answer

# Everything that would hide an answer from us, send a call again, lead it elsewhere or keep its headers is off.
_MIDDLEWARE: tuple[RequestOption, ...] = (
    RetryHandlerOption(max_retries=0, should_retry=False),
    RedirectHandlerOption(should_redirect=False),
    UrlReplaceHandlerOption(enabled=False),
    HeadersInspectionHandlerOption(inspect_request_headers=False, inspect_response_headers=False),
)


class Connection:
    """One client, for one process and event loop."""

    def __init__(self, graph_url: str, credential_factory: CredentialFactory, call_seconds: float) -> None:
        self._tokens = TokenSource(credential_factory)
        # The environment names no proxy for us: a token leaves for the address in the settings only.
        self._transport = httpx.AsyncHTTPTransport(trust_env=False)
        http = GraphClientFactory.create_with_default_middleware(
            client=httpx.AsyncClient(transport=self._transport, timeout=call_seconds, trust_env=False),
            options={option.get_key(): option for option in _MIDDLEWARE},
        )
        self._scope = f"{graph_url}/.default"
        provider = AzureIdentityAuthenticationProvider(
            self._tokens, scopes=[self._scope], allowed_hosts=[urlsplit(graph_url).hostname]
        )
        self._adapter = GraphRequestAdapter(provider, http)
        self._adapter.base_url = f"{graph_url}/v1.0"
        self._adapter.observability_options = ObservabilityOptions(include_euii_attributes=False)
        self._requests = Requests(GraphServiceClient(request_adapter=self._adapter), graph_url)

    async def send(self, build: Callable[[Requests], RequestInformation], client_request_id: str) -> Answer:
        """Send one request once; raise NoAnswerError when no whole answer comes, TokenError when there is no token."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the builders' modules warn of themselves
            info = build(self._requests)
        info.headers.try_add("client-request-id", client_request_id)
        info.add_request_options([ResponseHandlerOption(NativeResponseHandler())])
        try:
            # The native response handler hands httpx's answer through, whatever type the SDK promises.
            response = cast("httpx.Response", await self._adapter.send_primitive_async(info, "bytes", {}))
        except (httpx.HTTPError, httpx.StreamError):
            raise NoAnswerError from None
        except ValueError:  # a challenge in a 401's header that the SDK tries to follow and cannot read
            raise UnauthenticatedError from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, response.content, client_request_id)

    async def prepare(self) -> None:
        """Have a token at hand for the next request; raise TokenError where there is none."""
        await self._tokens.get_token(self._scope)

    async def granted_roles(self) -> frozenset[str]:
        """Return the app roles in our token's `roles` claim; raise TokenError when there is no token to read."""
        return read_roles((await self._tokens.get_token(self._scope)).token)

    def discard_token(self) -> None:
        """Let the next call ask for a new token."""
        self._tokens.discard()

    async def close(self) -> None:
        """Close the connections to Microsoft Graph and to the token endpoint."""
        await self._transport.aclose()  # the SDK's transport around it does not pass its own closing on
        await self._tokens.close()
