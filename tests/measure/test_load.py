"""Load: which requests are sent, and what their latencies say; over HTTP, from a real server."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import UsageError
from pilotlight.measure import load
from pilotlight.measure.bodies import bodies
from pilotlight.measure.http import Client
from pilotlight.measure.load import Reply, Run, Sample, Summary


def sample(milliseconds: float, error: str = "", **phases: float) -> Sample:
    return Sample(0.0, milliseconds / 1000, error, phases)


def test_latencies_are_ordered_as_numbers() -> None:
    run = Run([sample(9), sample(100), sample(10), sample(8)], 2.0)
    assert load.summary(run) == Summary(4, 2.0, 2.0, {}, 31.75, 9.0, 100.0, 100.0, 100.0, {})


def test_errors_are_counted_and_have_no_latency() -> None:
    run = Run([sample(1), sample(500, "503"), sample(3), sample(600, "503"), sample(7, "Throttled")], 0.5)
    found = load.summary(run)
    assert (found.requests, found.qps, found.errors) == (5, 4.0, {"503": 2, "Throttled": 1})
    assert (found.mean_ms, found.p50_ms, found.max_ms) == (2.0, 1.0, 3.0)


def test_nothing_but_errors() -> None:
    found = load.summary(Run([sample(1, "503")], 1.0))
    assert found == Summary(1, 1.0, 0.0, {"503": 1}, None, None, None, None, None, {})


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
    assert run.samples[-1].late >= 9 * 0.02
    assert run.samples[-1].seconds >= 10 * 0.02
    assert load.summary(run).late_ms >= 9 * 20


def test_times_of_a_rate() -> None:
    assert load.even(4, 1.0) == [0, 0.25, 0.5, 0.75]
    assert load.even(0.5, 3) == [0, 2]
    assert len(load.even(100, 30)) == 3000


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


def ask(url: str, *bodies: bytes, timeout: float = 30) -> list[Reply]:
    async def ask_all() -> list[Reply]:
        client = Client(url, ("x-api-key: sesame",), timeout)
        replies = [await client(body) for body in bodies]
        client.close()
        return replies

    return asyncio.run(ask_all())


def test_a_connection_is_kept(url: str) -> None:
    assert ask(f"{url}/kim?x=1", b"{}", b"[]") == [Reply(b"{}"), Reply(b"[]")]
    host = url.removeprefix("http://")
    assert Handler.asked == [("/kim?x=1", host, "application/json", "sesame", body) for body in (b"{}", b"[]")]
    assert len(Handler.ports) == 1


def test_a_connection_that_the_server_closes_is_opened_anew(url: str) -> None:
    assert ask(f"{url}/last", b"1", b"2") == [Reply(b"1"), Reply(b"2")]
    assert len(Handler.ports) == 2


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
        assert [reply.error for reply in ask(url, b"{}", timeout=0.1)] == ["TimeoutError"]


@pytest.mark.parametrize("url", ["127.0.0.1:8080/x", "ftp://host/x", "http:///x"])
def test_no_url(url: str) -> None:
    with pytest.raises(UsageError, match="is no URL"):
        Client(url)
