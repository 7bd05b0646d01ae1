"""A local Azure Functions host around Microsoft's own worker library, azure-functions-runtime.

Reading order: running (the whole), worker and protos (the library), host_json and app_functions (what is served),
routes, keys and web (HTTP), messages and pump (Service Bus), schedule and timers, invocations (one call), process (the
host in a test).

    async with HostProcess(app_directory, environment={...}) as host:
        ...  # host.url, host.function_key, host.output, await host.run_timer("nightly")
        await host.kill()  # or freeze() and thaw()
        await host.start()  # again, on the same port

What was taken from Microsoft's sources: which bytes of a request reach the worker, the order and 404 of the router,
the names and forms of a message's trigger metadata, complete and abandon, the moment of lock renewal, the keys, the
grammar of schedules, what a timer is told and when it fires again, `POST /admin/functions/NAME` with the master key.

Where it is **not faithful**:
- One process is host and worker, the worker on a thread of its own. What ends Azure's worker, an invocation over
  `functionTimeout` or `sys.exit()`, ends the host; in Azure the host stays and starts another worker. On a time-out
  every running invocation fails first (500, abandon) as in Azure. A SIGKILL takes both.
- Triggers: HTTP, Service Bus (single messages, no sessions), and timers. Output bindings besides the HTTP response,
  HTTP streaming, blob and other triggers, proxies and CORS are not there: a function that has them does not load. Of
  the admin API only the run of a timer by hand is; other functions are 404 there.
- Each host keeps every schedule: with two hosts a timer **fires on both**, where Azure has one instance hold a lease on
  a blob. Nothing of a schedule outlives the process: after a start the last run is unknown, no missed occurrence is
  made up for, and `IsPastDue` is never true. Schedules are in UTC, and fewer are known than to Azure (`schedule`).
- `AzureWebJobs.NAME.Disabled` (true or 1) switches a function off, read at the start.
- A function in error stops the start, where Azure serves the others. host.json is plain JSON without comments, and no
  setting overrides it; only what `host_json` names is heeded (`clientRetryOptions`, `transportType` and the like are
  accepted and have no effect). No extension bundle is downloaded: naming one is enough.
- Service Bus connections are connection strings; an identity-based one is refused. AMQP timestamps in application
  properties arrive as milliseconds, where .NET has a date: the Python client cannot tell them from numbers.
- No cold start, no scaling; a second instance is a second host, and nothing joins the two. `WEBSITE_*` and other
  settings that Azure adds are absent, but for `WEBSITE_AUTH_ENABLED`.
- After 230 s the front end's answer is a 504 without a body. TLS ends nowhere: URLs are http.
- Easy Auth signs nobody in: it strips or passes the principal's headers, and never answers 401 itself.
- Log lines have the worker's shape, not Application Insights'; the categories are Azure's where `log_output` says so.
"""

from sandbox.host.errors import HostError, HostStartError
from sandbox.host.process import HostProcess

__all__ = ["HostError", "HostProcess", "HostStartError"]
