"""Load: which requests are sent, and what their latencies say; over HTTP, from a real server."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_servers import Request, answer, serving
from pilotlight.errors import UsageError
from pilotlight.measure import load
from pilotlight.measure.bodies import bodies
from pilotlight.measure.http import Client
from pilotlight.measure.load import Reply, Run, Sample, Summary, Told


def sample(milliseconds: float, error: str = "", **phases: float) -> Sample:
    return Sample(0.0, milliseconds / 1000, error, phases)


def test_latencies_are_ordered_as_numbers() -> None:
    run = Run([sample(9), sample(100), sample(10), sample(8)], 2.0)
    found = load.summary(run)
    assert found == Summary(4, 2.0, 2.0, {}, 31.75, *map(within, (9.0, 100.0, 100.0, 100.0)), 100.0, {})


def within(value: float) -> object:
    """HdrHistogram keeps three digits."""
    return pytest.approx(value, rel=0.001)


def test_errors_are_counted_and_have_no_latency() -> None:
    run = Run([sample(1), sample(500, "503"), sample(3), sample(600, "503"), sample(7, "Throttled")], 0.5)
    found = load.summary(run)
    assert (found.requests, found.qps, found.errors) == (5, 4.0, {"503": 2, "Throttled": 1})
    assert (found.mean_ms, found.p50_ms, found.max_ms) == (2.0, within(1.0), 3.0)


def test_nothing_but_errors() -> None:
    found = load.summary(Run([sample(1, "503")], 1.0))
    assert found == Summary(1, 1.0, 0.0, {"503": 1}, None, None, None, None, None, None, {})


def test_phases_are_means_over_the_answers_that_name_them() -> None:
    run = Run([sample(1, t_a=0.25, t_b=1.0), sample(1, t_a=0.75), sample(1)], 1.0)
    assert load.summary(run).phases == {"t_a": 0.5, "t_b": 1.0}


@pytest.mark.parametrize(
    ("answer", "phases"),
    [
        ({"t_overall": 1, "t_inference": 0.5, "took": 3, "t_text": "1", "t_bool": True, "t_none": None}, [1, 0.5]),
        ([{"t_overall": 1}], []),
        ("t_overall", []),
    ],
)
def test_phases_of_an_answer(answer: object, phases: list[float]) -> None:
    assert list(load.phases(json.dumps(answer).encode()).values()) == phases
    assert load.phases(b"\xff no JSON") == {}


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_value_that_enough_are_not_above(values: list[float], percent: int) -> None:
    ordered = sorted(values)
    found = load.percentile(ordered, percent)
    assert found in ordered
    assert sum(value <= found for value in ordered) * 100 >= percent * len(ordered)
    assert sum(value < found for value in ordered) * 100 < percent * len(ordered)


def test_bodies_are_sent_in_turn_by_several_at_once() -> None:
    sent: list[bytes] = []
    under_way, most = 0, 0

    async def send(body: bytes) -> Reply:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        sent.append(body)
        await asyncio.sleep(0)
        under_way -= 1
        return Reply(b'{"t_x": 2}', "odd" if body == b"c" else "")

    counted: list[Sample] = []
    run = asyncio.run(load.run(send, [b"a", b"b", b"c"], 4, requests=7, answered=counted.append))
    assert (sorted(sent), most) == ([b"a"] * 3 + [b"b"] * 2 + [b"c"] * 2, 4)
    assert counted == run.samples
    assert [each.phases for each in run.samples if not each.error] == [{"t_x": 2.0}] * 5
    assert all(0 <= each.began <= each.began + each.seconds <= run.seconds for each in run.samples)


def test_a_time_is_kept() -> None:
    async def send(body: bytes) -> Reply:
        await asyncio.sleep(0.01)
        return Reply(b"")

    run = asyncio.run(load.run(send, [b"a"], 2, inf, seconds=0.1))
    assert run.seconds >= 0.1
    assert len(run.samples) >= 2


# an open loop


def test_requests_are_sent_at_their_times_whether_others_are_answered_or_not() -> None:
    """The first is answered last, and the others do not wait for it."""
    order: list[bytes] = []
    release = asyncio.Event()

    async def send(body: bytes) -> Reply:
        order.append(body)
        if body == b"slow":
            await release.wait()
        elif len(order) == 4:
            release.set()
        return Reply(b"", "odd" if body == b"c" else "")

    run = asyncio.run(load.run_at(send, [b"slow", b"a", b"b", b"c"], [0, 0.001, 0.002, 0.003]))
    assert order == [b"slow", b"a", b"b", b"c"]
    assert [each.began for each in run.samples] == [0.001, 0.002, 0.003, 0]
    assert [each.error for each in run.samples] == ["", "", "odd", ""]
    assert all(each.seconds >= each.late for each in run.samples)


def test_a_request_that_could_not_be_sent_in_time_has_waited_too() -> None:
    """One at a time, each of 20 ms, and all due at once: the tenth has waited for nine others."""

    async def send(body: bytes) -> Reply:
        await asyncio.sleep(0.02)
        return Reply(b"")

    run = asyncio.run(load.run_at(send, [b""], [0.0] * 10, at_once=1))
    assert [each.began for each in run.samples] == [0.0] * 10
    assert run.samples[-1].held >= 9 * 0.02
    assert run.samples[-1].seconds >= 10 * 0.02
    assert load.summary(run).held_ms >= 9 * 20
    assert all(each.seconds >= each.held + each.late for each in run.samples)


def test_a_client_that_has_no_time_is_late_and_not_held() -> None:
    """What keeps it from sending is its own work, and there is room for all."""

    async def send(body: bytes) -> Reply:
        time.sleep(0.02)
        return Reply(b"")

    run = asyncio.run(load.run_at(send, [b""], [0.0] * 10))
    assert max(each.late for each in run.samples) >= 9 * 0.02
    assert {each.held for each in run.samples} == {0.0}


def test_a_server_that_stalls_once_is_seen_by_an_open_loop_alone() -> None:
    """Coordinated omission: in the stall a closed loop sends one request, which is 1 of 50; an open loop sends all that
    were due, and each has waited for the rest of the stall."""
    gone_on = threading.Event()

    def stalled(request: Request) -> bytes:
        waiting.release()
        assert gone_on.wait(60)
        return answer(200, b"{}")

    async def drive(run: Callable[[load.Send], Awaitable[Run]], port: int) -> Run:
        client = Client(f"http://127.0.0.1:{port}/")
        try:
            return await run(client)
        finally:
            client.close()

    def go_on(after: int) -> None:
        for _ in range(after):
            assert waiting.acquire(timeout=60)
        gone_on.set()

    for after, run in (
        (50, lambda send: load.run_at(send, [b"{}"], [number / 500 for number in range(50)])),
        (1, lambda send: load.run(send, [b"{}"], 1, 50)),
    ):
        waiting, last = threading.Semaphore(0), 49 / 500
        gone_on.clear()
        releasing = threading.Thread(target=go_on, args=(after,))
        releasing.start()
        with serving(stalled) as server:
            measured = asyncio.run(drive(run, server.port))
        releasing.join()
        assert len(measured.samples) == 50
        if after == 50:
            assert all(each.began + each.seconds >= last for each in measured.samples)
            assert (load.summary(measured).p50_ms or 0) >= last / 2 * 1000


@pytest.mark.parametrize(
    ("late_ms", "held_ms", "busy", "seconds", "reason"),
    [
        (2.0, 0.0, 0.5, 30.0, ""),
        (25.4, 0.0, 0.5, 30.0, "1 in 100 requests was sent 25 ms late, or later"),
        (25.4, 5000.0, 0.1, 30.0, ""),
        (25.4, 5000.0, 0.97, 30.0, "it used 97% of a processor, which is all that it can use"),
        (0.0, 0.0, 0.97, 30.0, "it used 97% of a processor, which is all that it can use"),
        (0.0, 0.0, 0.97, 0.2, ""),
    ],
)
def test_whether_the_client_was_the_limit(
    late_ms: float, held_ms: float, busy: float, seconds: float, reason: str
) -> None:
    assert load.client_limit(late_ms, held_ms, busy, seconds) == reason


def test_cold_starts_are_those_that_were_told_of() -> None:
    told = [Told(9.0, 180.0), Told(8.0), Told(12.0, 220.0), None]
    samples = [sample(20)._replace(told=each) for each in told]
    found = load.summary(Run([*samples, sample(5, "ValueError")._replace(told=Told(1.0, 90.0))], 1.0))
    assert (found.requests, found.cold, found.init_ms, found.duration_ms) == (5, 3, 180.0, 9.0)
    assert [each.is_cold for each in samples] == [True, False, True, False]
    untold = load.summary(Run([sample(20)], 1.0))
    assert (untold.cold, untold.init_ms, untold.duration_ms) == (None, None, None)


def test_times_of_a_rate() -> None:
    assert load.even(4, 1.0) == [0, 0.25, 0.5, 0.75]
    assert load.even(0.5, 3) == [0, 2]
    assert len(load.even(100, 30)) == 3000


def test_when_answers_came() -> None:
    samples = [Sample(0.0, 0.1, "", {}), Sample(0.9, 0.1, "", {}), Sample(0.9, 0.05, "", {})]
    assert load.ended(samples, 1.0, 4) == [1, 0, 0, 2]
    assert load.ended([], 1.0, 2) == [0, 0]


# inputs


@pytest.mark.parametrize(
    ("text", "fields", "made"),
    [
        ('a "film"\n\nfünf\r\n', [], [{"input": 'a "film"'}, {"input": "fünf"}]),
        ("a\tb\n", [], [{"input": "a\tb"}]),
        ("a\n", ["text"], [{"text": "a"}]),
        ("a ?\tb .\nc\t", ["sent1", "sent2"], [{"sent1": "a ?", "sent2": "b ."}, {"sent1": "c", "sent2": ""}]),
        ('{"x": 1}\n {"y": []}\n', [], [{"x": 1}, {"y": []}]),
        ('{"x": 1}\n', ["text"], [{"text": '{"x": 1}'}]),
    ],
)
def test_a_request_a_line(text: str, fields: list[str], made: list[object]) -> None:
    found = bodies(text.encode().splitlines(keepends=True), fields, "inputs.txt")
    assert [json.loads(body) for body in found] == made


@pytest.mark.parametrize(
    ("lines", "fields", "message"),
    [
        ([b"a\tb\n", b"a\n"], ["x", "y"], ", line 2: 1 texts for the 2 fields x, y"),
        ([b"{}\n", b"\n", b"text\n"], [], ", line 3: Expecting value: line 1 column 1 (char 0)"),
        ([b"{}\n", b"[]\n"], [], ", line 2: not a JSON object"),
        ([b"f\xfcnf\n"], [], ", line 1: 'utf-8' codec can't decode byte 0xfc in position 1: invalid start byte"),
        ([b"\n"], [], ": it has no lines"),
    ],
)
def test_a_line_that_is_no_request(lines: list[bytes], fields: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        bodies(lines, fields, "inputs.txt")
    assert str(error.value) == f"reading inputs.txt{message}"


# HTTP


class Server(ThreadingHTTPServer):
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    """Answers as the path says; notes requests and connections."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str | bytes, ...]]] = []
    ports: ClassVar[set[int]] = set()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        names = ("host", "content-type", "x-api-key")
        self.asked.append((self.path, *(self.headers[name] or "" for name in names), body))
        self.ports.add(self.client_address[1])
        if self.path == "/cut":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif self.path == "/odd":
            self.wfile.write(b"what?\r\n\r\n")
        elif self.path == "/open":  # as HTTP/1.0 has it: the answer ends with the connection
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + body)
            self.close_connection = True
        elif self.path == "/early":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        else:
            self.send_response({"/busy": 429, "/moved": 301}.get(self.path, 200))
            self.send_header("Content-Length", str(len(body)))
            if self.path == "/last":
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Handler.asked.clear()
    Handler.ports.clear()
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(url: str, *bodies: bytes, timeout: float = 30, headers: tuple[str, ...] = ()) -> list[Reply]:
    async def ask_all() -> list[Reply]:
        client = Client(url, ("x-api-key: sesame", *headers), timeout)
        replies = [await client(body) for body in bodies]
        client.close()
        return replies

    return asyncio.run(ask_all())


def test_a_connection_is_kept(url: str) -> None:
    assert ask(f"{url}/kim?x=1", b"{}", b"[]") == [Reply(b"{}"), Reply(b"[]")]
    host = url.removeprefix("http://")
    assert Handler.asked == [("/kim?x=1", host, "application/json", "sesame", body) for body in (b"{}", b"[]")]
    assert len(Handler.ports) == 1


def test_a_type_of_ones_own(url: str) -> None:
    ask(f"{url}/", b"\x89PNG", headers=("Content-Type: image/png",))
    assert Handler.asked[0][2] == "image/png"


def test_a_connection_that_the_server_closes_is_opened_anew(url: str) -> None:
    assert ask(f"{url}/last", b"1", b"2") == [Reply(b"1"), Reply(b"2")]
    assert len(Handler.ports) == 2


@pytest.mark.parametrize("path", ["open", "early"])
def test_answers_of_other_forms(url: str, path: str) -> None:
    assert ask(f"{url}/{path}", b"1", b"2") == [Reply(b"1"), Reply(b"2")]


def test_a_large_answer(url: str) -> None:
    [reply] = ask(url, b"x" * 3_000_000)
    assert (len(reply.payload), reply.error) == (3_000_000, "")


@pytest.mark.parametrize(
    ("path", "error"),
    [("/busy", "429"), ("/moved", "301"), ("/cut", "ConnectionResetError"), ("/odd", "HttpParserError")],
)
def test_what_went_wrong_has_a_name(url: str, path: str, error: str) -> None:
    replies = ask(url + path, b"{}", b"{}")
    assert [reply.error for reply in replies] == [error, error]


def test_nobody_answers() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert [reply.error for reply in ask(url, b"{}")] == ["ConnectionRefusedError"]
        listener.listen()
        assert ask(url, b"{}", timeout=0.1) == [Reply(b"no answer within 0.1 s", "TimeoutError")]


@pytest.mark.parametrize("url", ["127.0.0.1:8080/x", "ftp://host/x", "http:///x"])
def test_no_url(url: str) -> None:
    with pytest.raises(UsageError, match="is no URL"):
        Client(url)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "1" + "0" * 400, "true", '"1"'])
def test_a_phase_that_is_no_time_is_left_out(value: str) -> None:
    assert load.phases(f'{{"t_model": 0.5, "t_other": {value}}}'.encode()) == {"t_model": 0.5}


@pytest.mark.parametrize("header", ["x-api-key", "x-a: 1\r\nx-b: 2", ""])
def test_what_is_no_header(header: str) -> None:
    with pytest.raises(UsageError, match="is no header"):
        Client("http://localhost/", (header,))


@pytest.mark.parametrize(
    "url",
    [
        *("http://[::1", "http://localhost:99999/", "http://localhost:port/", "http://localhost/a b"),
        f"http://{'a' * 64}.example/",
    ],
)
def test_a_url_with_a_wrong_port_or_address_is_none(url: str) -> None:
    with pytest.raises(UsageError, match="is no URL"):
        Client(url)
