"""Spans of invocations: what a real collector's socket receives from a real runtime loop, and how it bears trouble."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import write
from pilotlight.function.otlp import headers
from pilotlight.function.otlp_spans import Parent, Sampler, pairs, parent
from pilotlight.function.runtime_client import Event
from pilotlight.function.told import Invocation

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
EVENT = {
    "version": "2.0",
    "routeKey": "POST /qa/{id}",
    "rawPath": "/qa/7",
    "headers": {"traceparent": f"00-{TRACE}-{SPAN}-01"},
    "requestContext": {"http": {"method": "POST", "path": "/qa/7"}},
    "body": "secret",
}
SOURCE = """
import sys
def handler(event, context):
    print(sorted(name for name in sys.modules if name.startswith(("pilotlight.function.otlp", "ssl"))), flush=True)
    if event.get("fail"):
        raise KeyError("secret")
    return {"statusCode": event.get("status", 200), "body": ""}
"""


def read_request(reader: BinaryIO) -> tuple[str, bytes]:
    head = b"".join(iter(reader.readline, b"\r\n")).decode("latin-1")
    sizes = [int(line.partition(":")[2]) for line in head.splitlines() if line.lower().startswith("content-length")]
    return head, reader.read(sum(sizes))


class Collector:
    """Answers each connection with the next of `answers`: bytes, or None to keep silent until the other side leaves."""

    def __init__(self, answers: Sequence[bytes | None]) -> None:
        self.received: list[tuple[str, Any]] = []
        self._answers = answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:{1}".format(*self.listener.getsockname())
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for answer in self._answers:
            connection, _ = self.listener.accept()
            with connection, connection.makefile("rb") as reader:
                head, body = read_request(reader)
                self.received.append((head, json.loads(body)))
                if answer is None:
                    connection.recv(1)
                else:
                    connection.sendall(answer)

    def close(self) -> None:
        self._thread.join(60)
        self.listener.close()
        assert not self._thread.is_alive()


@contextlib.contextmanager
def collecting(*answers: bytes | None) -> Iterator[Collector]:
    collector = Collector(answers)
    try:
        yield collector
    finally:
        collector.close()


def invoke(folder: Path, events: Sequence[object], **environ: str) -> tuple[list[bytes], str]:
    """Serve events one after the other; the bodies that the runtime posted, and its log."""
    write(folder, {"inference/one.py": SOURCE})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        address = "127.0.0.1:{1}".format(*listener.getsockname())
        own = {
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": "one",
            "_HANDLER": "inference/one.handler",
        }
        command = [sys.executable, "-c", "from pilotlight.function.runtime import main; main()"]
        process = subprocess.Popen(
            command, cwd=folder, env={**kept, **own, **environ}, stdout=-1, stderr=subprocess.STDOUT, text=True
        )
        connection, _ = listener.accept()
        connection.settimeout(60)
        with connection, connection.makefile("rb") as reader:
            posted = [_serve(connection, reader, number, event) for number, event in enumerate(events)]
            read_request(reader)  # asks for the next: all that comes after an answer is done
        log, _ = process.communicate(timeout=60)
    return posted, log


def _serve(connection: socket.socket, reader: BinaryIO, number: int, event: object) -> bytes:
    assert read_request(reader)[0].startswith("GET /2018-06-01/runtime/invocation/next")
    payload = json.dumps(event).encode()
    about = f"Lambda-Runtime-Aws-Request-Id: r-{number}\r\nLambda-Runtime-Invoked-Function-Arn: arn:one\r\n"
    head = f"HTTP/1.1 200 OK\r\n{about}Content-Length: {len(payload)}\r\n\r\n"
    connection.sendall(head.encode() + payload)
    body = read_request(reader)[1]
    connection.sendall(ACCEPTED)
    return body


def spans(sent: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sent["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return found


def values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}


def test_an_invocation_is_a_span_and_its_init_a_child(tmp_path: Path) -> None:
    with collecting(OK, OK) as collector:
        more = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b", "OTEL_SERVICE_NAME": "qa"}
        _, log = invoke(tmp_path, [EVENT, {"fail": 1}], OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **more)
    (head, first), (_, second) = collector.received
    assert head.startswith("POST /v1/traces HTTP/1.1\r\n")
    assert "api-key: a b\r\n" in head
    assert log.startswith("[]\n")  # nothing of it is imported before the first answer
    assert "secret" not in json.dumps([first, second])
    server, init = spans(first)
    assert {**server, "spanId": "", "startTimeUnixNano": "", "endTimeUnixNano": ""} == {
        "traceId": TRACE,
        "spanId": "",
        "parentSpanId": SPAN,
        "name": "POST /qa/{id}",
        "kind": 2,
        "startTimeUnixNano": "",
        "endTimeUnixNano": "",
        "attributes": [
            {"key": "faas.invocation_id", "value": {"stringValue": "r-0"}},
            {"key": "faas.coldstart", "value": {"boolValue": True}},
            {"key": "faas.trigger", "value": {"stringValue": "http"}},
            {"key": "cloud.resource_id", "value": {"stringValue": "arn:one"}},
            {"key": "http.request.method", "value": {"stringValue": "POST"}},
            {"key": "url.path", "value": {"stringValue": "/qa/7"}},
            {"key": "http.route", "value": {"stringValue": "/qa/{id}"}},
            {"key": "http.response.status_code", "value": {"intValue": "200"}},
        ],
    }
    assert (init["name"], init["kind"], init["traceId"], init["parentSpanId"]) == ("init", 1, TRACE, server["spanId"])
    moments = [*(int(init[f"{each}TimeUnixNano"]) for each in ("start", "end")), int(server["startTimeUnixNano"])]
    assert moments == sorted(moments)
    (failed,) = spans(second)
    assert (failed["name"], failed["status"]) == ("one", {"code": 2})
    assert values(failed["attributes"])["error.type"] == "KeyError"
    about = values(first["resourceSpans"][0]["resource"]["attributes"])
    assert (about["service.name"], about["faas.name"], about["cloud.platform"]) == ("qa", "one", "aws_lambda")


def test_of_500_the_span_says_error(tmp_path: Path) -> None:
    with collecting(OK) as collector:
        invoke(tmp_path, [{**EVENT, "status": 503}], OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/own")
    ((head, sent),) = collector.received
    assert head.startswith("POST /own HTTP/1.1\r\n")
    assert spans(sent)[0]["status"] == {"code": 2}


BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1000\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (BUSY, "the collector answered 503"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "the collector answered 401"),
        (b"", "the collector closed the connection"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
            "the collector closed the connection in the middle of an answer",
        ),
        (b"220 mail\r\n\r\n", "the collector answered what is not HTTP/1.1"),
        (None, "timed out"),
    ],
)
def test_no_collector_fails_an_invocation(answer: bytes | None, reason: str, tmp_path: Path) -> None:
    with collecting(answer) as collector:
        more = {"OTEL_EXPORTER_OTLP_TIMEOUT": "300" if answer is None else "60000"}
        posted, log = invoke(tmp_path, [EVENT], OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **more)
    assert posted == [b'{"statusCode": 200, "body": ""}']
    assert f"traces were not sent: {reason}\n" in log


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://x", "localhost:4318"])
def test_nor_does_an_address_where_none_is(url: str, tmp_path: Path) -> None:
    posted, log = invoke(tmp_path, [EVENT, EVENT], OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert posted == [b'{"statusCode": 200, "body": ""}'] * 2
    assert log.count("traces were not sent: ") == 1  # then it pauses


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_it_can_be_turned_off(off: dict[str, str], tmp_path: Path) -> None:
    assert invoke(tmp_path, [EVENT], OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", **off)[1] == "[]\n"


X = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled="


@pytest.mark.parametrize(
    ("given", "xray", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-00", "", Parent(TRACE, SPAN, False)),
        (f"cc-{TRACE}-{SPAN}-01-more", "", Parent(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-01-more", f"{X}1", Parent(TRACE, SPAN, True)),
        (f"ff-{TRACE}-{SPAN}-01", f"{X}0", Parent(TRACE)),
        (f"00-{'0' * 32}-{SPAN}-01", f"{X}0", Parent(TRACE)),
    ],
)
def test_whose_trace_goes_on(given: str, xray: str, expected: Parent) -> None:
    assert parent({"Traceparent": given}, xray) == expected


def test_samplers() -> None:
    of = {name: Sampler.of({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "0.5"}) for name in SAMPLERS}
    low, high = Parent("0" * 16 + "7" + "f" * 15), Parent("0" * 16 + "8" + "0" * 15)
    unsampled = Parent(low.trace_id, SPAN, False)
    assert {name: [each.keeps(one) for one in (low, high, unsampled)] for name, each in of.items()} == SAMPLERS


SAMPLERS = {
    "": [True, True, False],
    "always_on": [True, True, True],
    "always_off": [False, False, False],
    "traceidratio": [True, False, True],
    "parentbased_always_on": [True, True, False],
    "parentbased_always_off": [False, False, False],
    "parentbased_traceidratio": [True, False, False],
    "unknown": [True, True, False],
}


@given(st.text(), st.text())
def test_any_header_makes_a_valid_trace(given: str, xray: str) -> None:
    found = parent({"traceparent": given}, xray)
    assert len(bytes.fromhex(found.trace_id)) == 16


@given(st.text())
def test_any_text_of_headers_is_read_and_none_breaks_the_request(text: str) -> None:
    list(pairs(text))
    assert not any(set("\r\n\0") & set(name + value) for name, value in headers(text).items())


@given(st.binary())
def test_any_payload_makes_a_span(payload: bytes) -> None:
    from pilotlight.function.otlp_spans import spans as made

    assert len(made(Invocation(Event("r", payload), 1, 2), Sampler(asks_parent=False))) == 1
