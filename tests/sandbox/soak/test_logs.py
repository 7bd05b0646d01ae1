"""What a host writes is read: whose call it was, and what never ended."""

import asyncio
from pathlib import Path

import httpx

from sandbox.host import HostProcess
from sandbox.soak.logs import read_logs
from tests.sandbox.host.apps import write_app

APP = """
@app.route("work/{name}", auth_level=func.AuthLevel.ANONYMOUS)
async def work(req: func.HttpRequest) -> func.HttpResponse:
    name = req.route_params["name"]
    for number in (1, 2):
        line = {"event": "graphCall", "operation": "x", "clientRequestId": f"{name}-{number}", "seconds": 0.1}
        logging.getLogger("mfa_reset").info("%s", json.dumps(line))
        await asyncio.sleep(0.05)
    if name == "endless":
        await asyncio.sleep(60)
    return func.HttpResponse("done")

@app.route("find", auth_level=func.AuthLevel.ANONYMOUS)
async def find(req: func.HttpRequest) -> func.HttpResponse:
    line = {"event": "resumedLost", "correlationId": "x", "requestId": "INC-1", "caller": "queue"}
    logging.getLogger("mfa_reset").warning("%s", json.dumps(line))
    return func.HttpResponse("done")
"""


async def test_calls_when_deliveries_of_one_host_mix_then_each_has_its_own(tmp_path: Path) -> None:
    """Two at once, one of which is under way when the host is killed."""
    host = HostProcess(write_app(tmp_path, APP), {}, shows_invocations=True)
    async with host, httpx.AsyncClient(base_url=host.url, timeout=30) as http:
        endless = asyncio.create_task(http.get("/api/work/endless"))
        await asyncio.gather(http.get("/api/work/one"), http.get("/api/work/two"), http.get("/api/find"))
        await host.wait_for_output("endless-2")
        await host.kill()
        await asyncio.gather(endless, return_exceptions=True)
    told = read_logs({"A": host.output, "B": []})
    calls = [f"{name}-{number}" for name in ("one", "two", "endless") for number in (1, 2)]
    assert told.deliveries.keys() == set(calls)
    firsts, seconds = ([told.deliveries[call] for call in calls[place::2]] for place in (0, 1))
    assert firsts == seconds
    assert len(set(firsts)) == 3
    assert told.unfinished == {"A": {told.deliveries["endless-1"]}, "B": set()}
    assert told.found == {"queue:INC-1"}


def test_calls_when_a_line_was_cut_off_then_the_others_count() -> None:
    """A host is killed in the midst of a line, or its words are no call."""
    whole = 'INFO mfa_reset Id=i-1 {"event": "graphCall", "correlationId": "c", "clientRequestId": "r-1", "seconds": 1}'
    lines = [whole, whole[:80], whole.replace("graphCall", "removed"), "INFO shop Id=i-1 graphCall", ""]
    assert read_logs({"A": lines}).deliveries == {"r-1": "i-1"}
