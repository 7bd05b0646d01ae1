"""What an HTTP function sees, and what its caller gets."""

from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
import pytest_asyncio

from sandbox.host import HostProcess
from tests.sandbox.host.apps import write_app

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("host-http")]

APP = """
def see(req):
    return {
        "method": req.method, "url": req.url, "headers": dict(req.headers), "params": dict(req.params),
        "route": dict(req.route_params), "body": req.get_body().decode("latin-1"),
    }

@app.route("echo/{name}/{id:guid?}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    trace = context.trace_context
    logging.info("quiet echo")
    seen = see(req) | {"trace": trace.trace_parent, "state": trace.trace_state, "function": context.function_name}
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")

@app.route("echo/{name}", methods=["DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
def remove(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(status_code=204)

@app.route("files/{*path}", auth_level=func.AuthLevel.ANONYMOUS)
def files(req: func.HttpRequest) -> str:
    return req.route_params.get("path", "(none)")

@app.route("cookies", auth_level=func.AuthLevel.ANONYMOUS)
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse(b"\\x00\\xff", status_code=418, mimetype="application/octet-stream")
    response.headers["X-Kind"] = "teapot"
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly; SameSite=Lax; Max-Age=60")
    response.headers.add("Set-Cookie", "b=2; Secure; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
    return response

@app.route("fail", auth_level=func.AuthLevel.ANONYMOUS)
async def fail(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("said on purpose")

@app.route("nothing", auth_level=func.AuthLevel.ANONYMOUS)
async def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return None

@app.route("log/{word}", auth_level=func.AuthLevel.ANONYMOUS)
def log(req: func.HttpRequest) -> str:
    word = req.route_params["word"]
    logging.getLogger("shop").warning("%s %s", json.dumps({"word": word}), "two\\nlines", extra={"lost": "lost-word"})
    logging.getLogger("shop").info("quiet %s", word)
    print("printed", word)
    return "x"

@app.route("slow/{name}", auth_level=func.AuthLevel.ANONYMOUS)
async def slow(req: func.HttpRequest) -> str:
    await asyncio.sleep(0.8)
    logging.warning("%s has ended", req.route_params["name"])
    return "x"

@app.route("environment", auth_level=func.AuthLevel.ANONYMOUS)
def environment(req: func.HttpRequest) -> str:
    return json.dumps({"cwd": os.getcwd(), "names": sorted(os.environ), "shop": os.environ["SHOP"]})
"""
HOST_JSON = {
    "logging": {"logLevel": {"default": "Information", "Function.log.User": "Warning", "Function.echo.User": "Warning"}}
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HostProcess]:
    """One host for the module."""
    app = write_app(tmp_path_factory.mktemp("app"), APP, HOST_JSON)
    async with HostProcess(app, {"SHOP": "open"}, answer_seconds=0.4) as host:
        yield host


async def call(
    host: HostProcess, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> httpx.Response:
    """Call once."""
    async with httpx.AsyncClient(base_url=host.url, timeout=10) as client:
        return await client.request(method, path, headers=headers, content=body)


async def test_request_when_posted_then_function_sees_all_of_it(host: HostProcess) -> None:
    """Method, address, headers in lower case, query, route and body reach the function."""
    path = "/api/echo/J%C3%BCrgen%2FX/c4bedccf-e5ff-4215-a1df-468800618a6c?a=1&a=2&b=&c=%26"
    answer = await call(host, path, "POST", {"X-Mixed": "Case", "Content-Type": "application/json"}, b'{"k":"\xff"}')
    seen = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert seen["method"] == "POST"
    assert seen["url"].startswith(f"{host.url}/api/echo/J%C3%BCrgen%2FX/")
    assert seen["headers"]["x-mixed"] == "Case"
    assert all(name == name.lower() for name in seen["headers"])
    assert seen["params"] == {"a": "1,2", "c": "&"}
    assert seen["route"] == {"name": "Jürgen/X", "id": "c4bedccf-e5ff-4215-a1df-468800618a6c"}
    assert seen["body"] == '{"k":"ÿ"}'
    assert seen["function"] == "echo"


async def test_request_when_body_is_chunked_then_it_is_dropped_with_a_warning(host: HostProcess) -> None:
    """Azure's host goes by Content-Length."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"lost"

    async with httpx.AsyncClient(base_url=host.url, timeout=10) as client:
        answer = await client.post("/api/echo/x", content=chunks())
    assert answer.json()["body"] == ""
    assert await host.wait_for_output("without Content-Length")


@pytest.mark.parametrize("path", ["/api/echo/x/no-guid", "/api/echo", "/echo/x", "/", "/api/echo/x/a/b"])
async def test_route_when_path_does_not_match_then_404(host: HostProcess, path: str) -> None:
    """Constraints, prefix and number of segments count."""
    answer = await call(host, path)
    assert (answer.status_code, answer.content) == (404, b"")


async def test_route_when_case_differs_or_a_slash_trails_then_it_matches(host: HostProcess) -> None:
    """Literals are matched without regard to case."""
    assert (await call(host, "/API/Echo/x/")).json()["route"] == {"name": "x"}


async def test_route_when_method_is_wrong_then_404(host: HostProcess) -> None:
    """Azure answers 404, not 405, and a second function may serve the other method."""
    assert (await call(host, "/api/echo/x", "PUT")).status_code == 404
    assert (await call(host, "/api/echo/x", "DELETE")).status_code == 204


async def test_route_when_catch_all_then_it_takes_the_rest(host: HostProcess) -> None:
    """Also nothing at all."""
    assert (await call(host, "/api/files/a/b.txt")).text == "a/b.txt"
    assert (await call(host, "/api/files")).text == "(none)"


async def test_response_when_it_has_status_headers_cookies_and_bytes_then_all_arrive(host: HostProcess) -> None:
    """The response is the function's."""
    answer = await call(host, "/api/cookies")
    assert (answer.status_code, answer.content, answer.headers["x-kind"]) == (418, b"\x00\xff", "teapot")
    assert answer.headers["content-type"] == "application/octet-stream"
    cookies = [{part.strip().lower() for part in text.split(";")} for text in answer.headers.get_list("set-cookie")]
    assert cookies == [
        {"a=1", "path=/", "httponly", "samesite=lax", "max-age=60"},
        {"b=2", "secure", "expires=wed, 21 oct 2026 07:28:00 gmt"},
    ]


@pytest.mark.parametrize("path", ["/api/fail", "/api/nothing"])
async def test_function_when_it_raises_or_returns_nothing_then_500_without_body(host: HostProcess, path: str) -> None:
    """The caller learns nothing of the error."""
    answer = await call(host, path)
    assert (answer.status_code, answer.content) == (500, b"")


async def test_function_when_it_raises_then_the_log_says_why(host: HostProcess) -> None:
    """The trace back is one line of the log."""
    await call(host, "/api/fail")
    line = await host.wait_for_output("ValueError: said on purpose")
    assert line.startswith("ERROR Function.fail Traceback")
    assert (await host.wait_for_output("Executed 'Functions.fail' (Failed")).startswith("ERROR Function.fail ")


async def test_logs_when_a_function_logs_then_one_line_with_level_logger_and_message(host: HostProcess) -> None:
    """What `extra` holds is lost, what the level forbids is not shown, in sync and async functions alike."""
    await call(host, "/api/log/apple")
    await call(host, "/api/log/pear")
    await call(host, "/api/echo/x")
    assert await host.wait_for_output("printed pear")
    assert 'WARNING shop {"word": "apple"} two\\nlines' in host.output
    assert not [line for line in host.output if "lost-word" in line or "quiet" in line]


async def test_function_when_it_takes_too_long_then_504_and_it_goes_on(host: HostProcess) -> None:
    """The front end gives up; the function does not learn of it."""
    assert (await call(host, "/api/slow/first")).status_code == 504
    assert await host.wait_for_output("first has ended")


async def test_function_when_the_caller_leaves_then_it_goes_on(host: HostProcess) -> None:
    """A disconnect cancels nothing."""
    with pytest.raises(httpx.ReadTimeout):
        async with httpx.AsyncClient(base_url=host.url, timeout=httpx.Timeout(10, read=0.1)) as client:
            await client.get("/api/slow/second")
    assert await host.wait_for_output("second has ended")


async def test_trace_when_the_caller_sends_one_then_the_invocation_is_a_span_of_it(host: HostProcess) -> None:
    """The trace id is the caller's, the span id is not."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    seen = (await call(host, "/api/echo/x", headers={"traceparent": parent, "tracestate": "v=1"})).json()
    assert seen["trace"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert seen["trace"].endswith("-01")
    assert "b7ad6b7169203331" not in seen["trace"]
    assert seen["state"] == "v=1"


async def test_environment_when_given_then_it_is_the_whole_of_it(host: HostProcess) -> None:
    """Nothing of the test's own environment leaks but what a process needs."""
    seen = (await call(host, "/api/environment")).json()
    assert seen["shop"] == "open"
    assert not [name for name in seen["names"] if name.startswith("PYTEST")]
