"""The server's pages about what happens, over real environments: the live stream, faults, requests, bill, /metrics."""

import asyncio
import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import uvloop

from conftest import MakeService, RunningServer, write
from pilotlight import limits
from pilotlight.events import Request, Response
from pilotlight.local import faults
from pilotlight.local.activity import Activity
from pilotlight.local.gateway import Gateway, Target
from pilotlight.local.live import Live
from pilotlight.local.observer import Dead
from pilotlight.local.pool import Pool
from pilotlight.local.streams import Streamed

FILES = {
    "inference/echo.py": """
        import os
        from pilotlight import endpoint

        print("loading")

        @endpoint
        def handler(text: str) -> str:
            print("got", text)
            if text == "exit":
                os._exit(3)
            if text == "hang":
                open("/dev/stdin").read() or __import__("time").sleep(60)
            return text
    """,
    "pilotlight.toml": "[functions.echo]\ntimeout = 30\nmemory = 128\n",
}
KEY = "service--echo"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = write(tmp_path_factory.mktemp("live") / "service", FILES)
    running = RunningServer([str(folder), "--no-reload"], {})
    yield running
    assert running.stop() == 0


class Watching:
    """A raw client of the stream, that reads events as they come."""

    def __init__(self, server: RunningServer, head: str = "GET /_pilotlight/live HTTP/1.1") -> None:
        self.address = urllib.parse.urlsplit(server.url)
        self._socket = socket.create_connection((self.address.hostname, self.address.port), timeout=60)
        self._socket.sendall(f"{head}\r\nhost: {self.address.netloc}\r\n\r\n".encode())
        self._file = self._socket.makefile("rb")
        self.head = [self._file.readline().decode().rstrip() for _ in range(6)]

    def __enter__(self) -> "Watching":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._socket.close()

    def event(self, name: str, wanted: Callable[[Any], bool] = lambda value: True) -> Any:
        """The next one of that name for which `wanted` holds."""
        for line in self._file:
            if line == f"event: {name}\n".encode():
                value = json.loads(self._file.readline().removeprefix(b"data: "))
                if wanted(value):
                    return value
        raise AssertionError("the stream has ended")

    def rest(self) -> bytes:
        return self._file.read()


def ask(server: RunningServer, path: str, body: object = None) -> tuple[int, Any, dict[str, str]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, _decoded(answer.read()), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _decoded(error.read()), dict(error.headers)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def echo(server: RunningServer, text: str) -> tuple[int, Any]:
    return ask(server, "/echo", {"text": text})[:2]


def fault(server: RunningServer, number: str, name: str) -> int:
    return ask(server, f"/_pilotlight/environments/{number}/{name}", {})[0]


def living(state: Any) -> list[Any]:
    return [each for each in state["environments"] if each["state"] != "dead"]


def in_state(name: str) -> Callable[[Any], bool]:
    return lambda state: [each["state"] for each in living(state)] == [name]


def test_a_killed_environment_is_seen_dead_and_replaced(server: RunningServer) -> None:
    with Watching(server) as live:
        assert live.head[0] == "HTTP/1.1 200 OK"
        assert "content-type: text/event-stream" in live.head
        assert "cache-control: no-store" in live.head
        before = live.event("state")["functions"][0]
        assert echo(server, "a") == (200, "a")
        (own,) = living(live.event("state", in_state("idle")))
        assert own["function"] == KEY
        assert own["rss_mb"] > 5
        assert own["reason"] == ""
        os.kill(own["pid"], 0)  # it is a process of this machine
        assert fault(server, own["id"], "kill") == 204
        state = live.event("state", lambda state: not living(state))
        (dead,) = [each for each in state["environments"] if each["id"] == own["id"]]
        assert (dead["state"], dead["reason"], dead["pid"]) == ("dead", "killed by you", own["pid"])
        assert fault(server, own["id"], "kill") == 404
        assert echo(server, "b") == (200, "b")
        state = live.event("state", in_state("idle"))
        (other,) = living(state)
        assert int(other["id"]) > int(own["id"])
        after = state["functions"][0]
        assert after["key"] == KEY
        assert after["invocations"] - before["invocations"] == 2
        assert after["p50_ms"] > 0
    server.wait_for("log", line=f"[INFO] Environment {own['id']} (pid {own['pid']}) was killed by you")
    server.wait_for("request", path="/_pilotlight/live", status=200)  # it has ended with its client


def test_how_an_environment_has_ended_is_told(server: RunningServer) -> None:
    with Watching(server) as live:
        assert echo(server, "exit")[0] == 500
        state = live.event("state", lambda state: not living(state))
        assert state["environments"][-1]["reason"] == "exit status 3"
        assert state["functions"][0]["errors"] >= 1


def test_a_frozen_environment_stands_still_until_it_is_thawed(server: RunningServer) -> None:
    assert echo(server, "a") == (200, "a")
    with Watching(server) as live:
        (own,) = living(live.event("state", in_state("idle")))
        assert fault(server, own["id"], "thaw") == 409
        assert fault(server, own["id"], "freeze") == 204
        assert fault(server, own["id"], "freeze") == 409
        live.event("state", in_state("frozen"))
        assert state_of(own["pid"]) == "T"
        with socket.create_connection((live.address.hostname, live.address.port), timeout=60) as client:
            body = b'{"text": "held"}'
            client.sendall(
                b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
            )
            live.event("state", lambda state: state["functions"][0]["running"] == 1)
            assert state_of(own["pid"]) == "T"  # though it has an invocation
            assert fault(server, own["id"], "thaw") == 204
            with client.makefile("rb") as answer:
                assert answer.read().endswith(b"\r\n\r\nheld")
        live.event("state", in_state("idle"))


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_throttled_requests_are_refused_as_lambda_refuses_them(server: RunningServer) -> None:
    assert ask(server, f"/_pilotlight/functions/{KEY}/faults", {"throttle": True})[0] == 204
    with Watching(server) as live:
        assert live.event("state")["functions"][0]["faults"] == {"throttle": True, "slow_init_ms": 0}
        assert echo(server, "a") == (503, {"message": "Service Unavailable"})  # what an HTTP API makes of it
        status, answer, _ = ask(server, f"/2015-03-31/functions/{KEY}/invocations", {"text": "a"})
        assert (status, answer["Reason"]) == (429, "ReservedFunctionConcurrentInvocationLimitExceeded")
        assert live.event("state", lambda state: state["functions"][0]["throttles"] >= 2)
        assert ask(server, f"/_pilotlight/functions/{KEY}/faults", {"throttle": False})[0] == 204
        assert echo(server, "a") == (200, "a")


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        ("nothing", {"throttle": True}, 404),
        (KEY, {"throttle": "yes"}, 400),
        (KEY, {"trottle": True}, 400),
        (KEY, {"slow_init_ms": -1}, 400),
        (KEY, [], 400),
    ],
)
def test_wrong_faults_are_refused(server: RunningServer, key: str, body: object, status: int) -> None:
    found, answer, _ = ask(server, f"/_pilotlight/functions/{key}/faults", body)
    assert (found, list(answer)) == (status, ["message"])


def test_an_init_phase_is_made_longer_and_a_request_says_so(server: RunningServer) -> None:
    kill_all(server)
    assert ask(server, f"/_pilotlight/functions/{KEY}/faults", {"slow_init_ms": 700})[0] == 204
    status, _, headers = ask(server, "/echo", {"text": "slow"})
    assert ask(server, f"/_pilotlight/functions/{KEY}/faults", {"slow_init_ms": 0})[0] == 204
    assert status == 200
    _, detail, _ = ask(server, f"/_pilotlight/requests/{urllib.parse.quote(headers['apigw-requestid'])}")
    assert detail["cold"] is True
    assert detail["init_ms"] >= 700
    assert [each["name"] for each in detail["phases"]] == ["wait", "init", "run"]
    assert detail["log"] == ["loading", "got slow"]
    assert detail["log_shared"] is False
    assert f"Init Duration: {detail['init_ms']:.2f} ms" in detail["report"]
    _, again, _ = ask(server, f"/_pilotlight/requests/{detail['request_id']}")
    assert again == detail


def kill_all(server: RunningServer) -> None:
    with Watching(server) as live:
        for each in living(live.event("state")):
            fault(server, each["id"], "kill")
        live.event("state", lambda state: not living(state))


def test_an_unknown_request(server: RunningServer) -> None:
    status, answer, _ = ask(server, "/_pilotlight/requests/nothing")
    assert (status, list(answer)) == (404, ["message"])


def test_the_bill(server: RunningServer) -> None:
    assert echo(server, "a")[0] == 200
    _, bill, _ = ask(server, "/_pilotlight/bill")
    items = {item["what"]: item for item in bill["items"]}
    assert {"Requests", "Duration (x86_64)", "HTTP API requests", "CloudWatch log ingestion"} == set(items)
    assert items["Requests"]["function"] == KEY
    assert bill["total"] == pytest.approx(sum(item["amount"] for item in bill["items"]))
    assert bill["per_million"][0]["amount"] > 1.20  # of requests and the HTTP API alone
    assert bill["since"] <= time.time() * 1000


METRIC = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(
    rf'({METRIC})(?:\{{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\n"])*",?)*)\}})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|\+Inf|NaN)'
)


def test_metrics_have_the_form_that_prometheus_reads(server: RunningServer) -> None:
    assert echo(server, "a")[0] == 200
    _, text, headers = ask(server, "/metrics")
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    kinds: dict[str, str] = {}
    values: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            found = SAMPLE.fullmatch(line)
            assert found, line
            name, labels, value = found[1], found[2] or "", float(found[3])
            family = name if name in kinds else re.sub("_(bucket|sum|count)$", "", name)
            assert family == list(kinds)[-1], line  # all lines of one together
            assert (kinds[family] == "histogram") == (family != name)
            assert (name, labels) not in values
            values[name, labels] = value
    own = f'function="{KEY}"'
    assert kinds["pilotlight_invocations_total"] == "counter"
    assert values["pilotlight_invocations_total", own] >= 1
    assert values["pilotlight_environments", f'{own},state="idle"'] == 1
    buckets = [value for (name, _), value in values.items() if name == "pilotlight_duration_seconds_bucket"]
    assert buckets == sorted(buckets)
    assert buckets[-1] == values["pilotlight_duration_seconds_count", own]
    assert [value > 1e6 for (name, _), value in values.items() if name == "pilotlight_environment_memory_bytes"] == [
        True
    ]


def test_a_client_of_http_1_0_gets_what_there_is_and_the_end(server: RunningServer) -> None:
    with Watching(server, "GET /_pilotlight/live HTTP/1.0") as live:
        assert re.search(rb"event: state\ndata: {.*}\n\nevent: series\ndata: {.*}\n\n$", live.rest(), re.S)


def test_head_has_no_body(server: RunningServer) -> None:
    with Watching(server, "HEAD /_pilotlight/live HTTP/1.1\r\nconnection: close") as live:
        assert live.head[0] == "HTTP/1.1 200 OK"
        assert b"event" not in live.rest()


def test_a_server_stops_at_once_though_somebody_looks(
    tmp_path: Path, start_server: Callable[..., RunningServer]
) -> None:
    server = start_server(write(tmp_path / "service", FILES), "--no-reload")
    with Watching(server) as live:
        live.event("state")
        server.process.send_signal(signal.SIGTERM)
        assert live.rest().endswith(b"0\r\n\r\n")  # the stream's own end: it was not cut after the time for requests
        assert server.end()[0] == 0


# over a pool


def with_live(
    make_service: MakeService, toml: str, body: Callable[[Pool, Activity, Live], Any], code: str = ""
) -> None:
    async def main() -> None:
        activity = Activity()
        pool = Pool(lambda key, line: None, 100_000, observer=activity)
        source = code or "import time\ndef handler(event, context):\n    time.sleep(0.2)\n    return {}"
        pool.deploy(make_service({"inference/echo.py": source}, toml).functions)
        try:
            await body(pool, activity, Live(pool, activity))
        finally:
            await pool.close()

    uvloop.run(asyncio.wait_for(main(), 120))


def opened(live: Live) -> Streamed:
    answer = live.page(Request("GET", "/_pilotlight/live"), {})
    assert isinstance(answer, Streamed)
    return answer


ECHO = Target(KEY, "POST /echo")
POST = Request("POST", "/echo", body=b"{}")


def test_nothing_is_worked_out_when_nobody_looks(make_service: MakeService) -> None:
    async def body(pool: Pool, activity: Activity, live: Live) -> None:
        gateway = Gateway(pool, [("POST", "/echo", ECHO)], observer=activity)
        await asyncio.gather(*(gateway(POST) for _ in range(4)))
        assert live.looks == 0
        answer = opened(live)
        assert live.looks == 0
        first = await anext(answer.chunks)
        assert b'"invocations":4,' in first
        answer.close()
        assert [chunk async for chunk in answer.chunks] in ([], [b""])
        looked = live.looks
        tasks = [task for task in asyncio.all_tasks() if "Live._run" in str(task) and not task.cancelling()]
        assert tasks == []
        await gateway(POST)
        assert live.looks == looked

    with_live(make_service, "", body)


def test_a_slow_reader_loses_states_and_keeps_no_memory(make_service: MakeService) -> None:
    async def body(pool: Pool, activity: Activity, live: Live) -> None:
        fast, slow = opened(live), opened(live)
        await anext(fast.chunks)
        await anext(slow.chunks)
        seen = 0
        while seen < 5:
            activity.of(KEY).throttled()
            seen += 1 if await anext(fast.chunks) else 0
        (event,) = re.findall(rb"event: state\ndata: (.*)\n", await anext(slow.chunks))
        assert json.loads(event)["functions"][0]["throttles"] == 5
        for each in (fast, slow):
            each.close()
            assert not b"".join([chunk async for chunk in each.chunks])

    with_live(make_service, "", body)


def test_many_environments_at_once(make_service: MakeService) -> None:
    async def body(pool: Pool, activity: Activity, live: Live) -> None:
        gateway = Gateway(pool, [("POST", "/echo", ECHO)], observer=activity)
        await asyncio.gather(*(gateway(POST) for _ in range(12)))
        for number in range(300):
            activity.of(KEY).died(Dead(str(10_000 + number), "idle", number, 1, time.time()))
        (event,) = re.findall(rb"event: state\ndata: (.*)\n", await anext(opened(live).chunks))
        state = json.loads(event)
        count = len(living(state))
        assert 1 < count <= 12
        assert len(state["environments"]) == count + 256  # of those that are gone
        assert state["memory"]["used_mb"] == 128 * count

    with_live(make_service, "[functions.echo]\nmemory = 128", body)


def test_the_gateways_time_runs_out_when_the_function_is_frozen(make_service: MakeService) -> None:
    async def body(pool: Pool, activity: Activity, live: Live) -> None:
        gateway = Gateway(pool, [("POST", "/echo", ECHO)], {"http": 0.5}, observer=activity)
        patient = Gateway(pool, [("POST", "/echo", ECHO)], observer=activity)
        assert await status(patient) == 200
        (environment,) = pool.fleets()[0].environments
        environment.freeze()
        assert await status(gateway) == 503
        environment.thaw()
        while environment.state != "idle":
            await asyncio.sleep(0.01)
        assert await status(patient) == 200
        assert (activity.of(KEY).invocations, activity.of(KEY).cold_starts) == (3, 1)  # the second has ended too

    with_live(make_service, "[functions.echo]\ntimeout = 60", body)


def test_the_timeout_kills_a_frozen_environment(make_service: MakeService) -> None:
    async def body(pool: Pool, activity: Activity, live: Live) -> None:
        gateway = Gateway(pool, [("POST", "/echo", ECHO)], observer=activity)
        assert await status(gateway) == 200
        (environment,) = pool.fleets()[0].environments
        environment.freeze()
        assert await status(gateway) == 500
        while not activity.dead:
            await asyncio.sleep(0.01)
        assert activity.dead[0][1].reason == "timed out"
        assert await status(gateway) == 200

    with_live(make_service, "[functions.echo]\ntimeout = 1", body)


def test_a_frozen_environment_is_not_stopped_for_being_idle(make_service: MakeService) -> None:
    async def body(pool: Pool, activity: Activity, live: Live) -> None:
        gateway = Gateway(pool, [("POST", "/echo", ECHO)], observer=activity)
        assert await status(gateway) == 200
        (environment,) = pool.fleets()[0].environments
        while environment.state != "idle":
            await asyncio.sleep(0.01)
        environment.freeze()
        pool.reap()
        assert environment.state == "frozen"
        environment.thaw()
        pool.reap()
        while not activity.dead:
            await asyncio.sleep(0.01)
        assert activity.dead[0][1].reason == "idle"

    with_live(make_service, "[functions.echo]\nidle = 0", body)


def test_a_slow_init_phase_meets_lambdas_limit_and_is_done_again(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(pool: Pool, activity: Activity, live: Live) -> None:
        faults.change(pool, KEY, None, 900)
        gateway = Gateway(pool, [("POST", "/echo", ECHO)], observer=activity)
        assert await status(gateway) == 200
        assert [dead.reason for _, dead in activity.dead] == ["init timed out"]
        assert activity.of(KEY).billed_ms >= 900 + 200  # the second init is billed

    monkeypatch.setattr(limits, "INIT_TIMEOUT", 0.5)  # not 10 seconds
    with_live(make_service, "[functions.echo]\ntimeout = 60", body)


async def status(gateway: Gateway) -> int:
    answer = await gateway(POST)
    assert isinstance(answer, Response)
    return answer.status
