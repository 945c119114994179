"""Requests as no good client sends them, byte for byte: a sane answer to each, and a server that lives on."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from conftest import RunningServer, write

FILES = {
    "pilotlight.toml": """
        [functions.http]
        route = "ANY /http/{path+}"
        [functions.rest]
        front = "rest"
        route = ["GET /rest/{path+}", "POST /rest/{path+}"]
        [functions.url]
        front = "url"
        route = "ANY /url/{path+}"
        """,
    **{
        f"inference/{name}.py": """
            import json

            def handler(event, context):
                method = event.get("httpMethod") or event["requestContext"]["http"]["method"]
                seen = [method, event.get("rawPath") or event["path"], event.get("pathParameters"), event.get("body")]
                return {"statusCode": 200, "body": json.dumps(seen)}
            """
        for name in ("http", "rest", "url")
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    started = RunningServer([str(write(tmp_path_factory.mktemp("bad") / "service", FILES)), "--no-reload"], {})
    yield started
    assert httpx.get(f"{started.url}/http/alive", timeout=60).status_code == 200
    assert started.stop() == 0
    assert started.process.returncode == 0
    assert "Traceback" not in json.dumps(started.lines)


def exchange(server: RunningServer, sent: bytes) -> tuple[int, bytes]:
    """Status and body of the last answer to those bytes."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def seen(*what: object) -> bytes:
    return json.dumps(what).encode()


HOST = b"Host: localhost\r\n"
END = b"Connection: close\r\n\r\n"
BAD = b'{"message":"Bad Request"}'


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (b"GET /http/a HTTP/1.0\r\n\r\n", 200, seen("GET", "/http/a", {"path": "a"}, None)),
        (b"GET /http/%zz%C3%28 HTTP/1.1\r\n" + HOST + END, 200,
         seen("GET", "/http/%zz\ufffd(", {"path": "%zz\ufffd("}, None)),
        (b"GET /rest/%zz%C3%28 HTTP/1.1\r\n" + HOST + END, 200,
         seen("GET", "/rest/%zz%C3%28", {"path": "%25zz%EF%BF%BD("}, None)),
        (b"GET http://elsewhere.example/http/a?b=c HTTP/1.1\r\n" + HOST + END, 200,
         seen("GET", "/http/a", {"path": "a"}, None)),
        (b"GET /http//a/../b HTTP/1.1\r\n" + HOST + END, 200,
         seen("GET", "/http//a/../b", {"path": "/a/../b"}, None)),
        (b"GET /http/a HTTP/1.1\r\n" + HOST + HOST + END, 200, seen("GET", "/http/a", {"path": "a"}, None)),
        (b"OPTIONS /http/a HTTP/1.1\r\n" + HOST + END, 200, seen("OPTIONS", "/http/a", {"path": "a"}, None)),
        (b"OPTIONS /rest/a HTTP/1.1\r\n" + HOST + END, 403, b'{"message":"Missing Authentication Token"}'),
        (b"HEAD /http/a HTTP/1.1\r\n" + HOST + END, 200, b""),
        (b"HEAD /rest/a HTTP/1.1\r\n" + HOST + END, 403, b""),
        (b"DELETE /rest/a HTTP/1.1\r\n" + HOST + END, 403, b'{"message":"Missing Authentication Token"}'),
        (b"GET /nowhere HTTP/1.1\r\n" + HOST + END, 404, b'{"message":"Not Found"}'),
        (b"POST /http/a HTTP/1.1\r\n" + HOST + b"Content-Type: text/plain\r\nContent-Length: 2\r\n"
         b"Expect: 100-continue\r\n" + END + b"hi", 200, seen("POST", "/http/a", {"path": "a"}, "hi")),
        (b"POST /http/a HTTP/1.1\r\n" + HOST + b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n" + END
         + b"1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n", 200, seen("POST", "/http/a", {"path": "a"}, "hi")),
        (b"NONSENSE\r\n\r\n", 400, BAD),
        (b"GET /http/a b HTTP/1.1\r\n" + HOST + END, 400, BAD),
        (b"GET /http/a HTTP/1.1\r\nbad header: x\r\n" + END, 400, BAD),
        (b"POST /http/a HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n" + END + b"hi", 400,
         BAD),
        (b"POST /http/a HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n" + END
         + b"0\r\n\r\n", 400, BAD),
        (b"POST /http/a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n" + END + b"zz\r\n", 400,
         BAD),
        (b"POST /http/a HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n" + END, 400,
         BAD),
    ],
)  # fmt: skip
def test_a_request(server: RunningServer, sent: bytes, status: int, body: bytes) -> None:
    assert exchange(server, sent) == (status, body)


TOO_LONG = '{"message":"Request Header Fields Too Large"}'


@pytest.mark.parametrize(
    ("path", "header", "status", "message"),
    [
        ("/http/" + "a" * 10_300, "", 431, TOO_LONG),
        ("/http/a", "b" * 10_300, 431, TOO_LONG),
        ("/http/a", "b" * 10_000, 200, ""),
        ("/rest/" + "a" * 10_300, "", 414, '{"message":"Request URI too long"}'),
        ("/rest/a?b=" + "c" * 10_300, "", 414, '{"message":"Request URI too long"}'),
        ("/rest/a", "b" * 10_300, 431, TOO_LONG),
        ("/rest/a?b=" + "c" * 8_000, "d" * 8_000, 200, ""),
        ("/url/" + "a" * 30_000, "b" * 30_000, 200, ""),
    ],
)
def test_long_urls_and_headers(server: RunningServer, path: str, header: str, status: int, message: str) -> None:
    answer = httpx.get(f"{server.url}{path}", headers={"x-long": header} if header else {}, timeout=60)
    assert (answer.status_code, answer.text) == (status, message or answer.text)


@pytest.mark.parametrize(
    ("path", "size", "message"),
    [
        ("/http/a", 10_485_761, {"message": "Request Entity Too Large"}),
        ("/rest/a", 10_485_761, {"message": "HTTP content length exceeded 10485760 bytes."}),
        ("/rest/a", 6_291_556, {"message": "Request Too Long"}),
        ("/url/a", 10_485_761,
         {"message": "Request must be smaller than 6291456 bytes for the InvokeFunction operation"}),
        ("/nowhere", 10_485_761, {"message": "Not Found"}),
    ],
)  # fmt: skip
def test_bodies_that_are_too_large(server: RunningServer, path: str, size: int, message: object) -> None:
    answer = httpx.post(f"{server.url}{path}", content=b"x" * size, headers={"content-type": "text/plain"}, timeout=60)
    assert answer.json() == message
    assert answer.status_code == (404 if path == "/nowhere" else 413)


def test_a_connection_that_ends_in_the_middle_of_a_request(server: RunningServer) -> None:
    parts = urlsplit(server.url)
    for sent in (b"GET /http/a", b"POST /http/a HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nonly this"):
        with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
            connection.sendall(sent)
    assert exchange(server, b"GET /http/a HTTP/1.1\r\n" + HOST + END)[0] == 200
