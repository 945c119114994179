"""Which endpoint a URL means, and what becomes of connections. What is said over them, the tests of their users say."""

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from threading import Thread

import pytest

from http_servers import CERTIFICATE
from pilotlight.function import http1
from pilotlight.function.http1 import Connection, Endpoint, parse, request


@pytest.mark.parametrize(
    ("url", "endpoint", "authority"),
    [
        ("http://127.0.0.1:8000", Endpoint("127.0.0.1", 8000), "127.0.0.1:8000"),
        ("https://dynamodb.eu-west-1.amazonaws.com", Endpoint("dynamodb.eu-west-1.amazonaws.com", 443, "", True), None),
        ("http://store:80/a/b/", Endpoint("store", 80, "/a/b/"), "store"),
        ("https://store:80", Endpoint("store", 80, "", True), "store:80"),
        ("http://[fd00:ec2::23]/v1/credentials", Endpoint("fd00:ec2::23", 80, "/v1/credentials"), "[fd00:ec2::23]"),
        ("http://[::1]:99", Endpoint("::1", 99), "[::1]:99"),
    ],
)
def test_a_url(url: str, endpoint: Endpoint, authority: str | None) -> None:
    assert parse(url) == endpoint
    assert endpoint.authority == (authority or endpoint.host)


NO_URLS = (
    *("", "store", "store:80", "//store", "ftp://store", "http://", "http://:80", "http:///path", "http://[::1"),
    *("http://a:b", "http://a:-1", "http://a:65536", "http://a:99999999", "http://a b", "http://user@store"),
    *("http://store/?a=b", "http://store/#a", "http://store/\r\nHost: other"),
)


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not a URL of the form http\[s\]://host\[:port\]\[/path\]"):
        parse(url)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def open_files() -> list[int]:
    return [number for number in range(1_000) if is_open(number)]


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_a_timeout_holds_for_tls(listener: socket.socket) -> None:
    before = open_files()
    with pytest.raises(TimeoutError):
        Connection(Endpoint("127.0.0.1", listener.getsockname()[1], is_secure=True), "it", 0.2)
    assert open_files() == before


def test_what_is_no_tls_is_closed(listener: socket.socket) -> None:
    def speak() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    speaker = Thread(target=speak)
    speaker.start()
    before = open_files()
    with pytest.raises(ssl.SSLError):
        Connection(Endpoint("127.0.0.1", listener.getsockname()[1], is_secure=True), "it", 30)
    speaker.join()
    assert open_files() == before


def test_certificates_that_cannot_be_read(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere")
    monkeypatch.setattr(http1, "_contexts", [])
    before = open_files()
    with pytest.raises(FileNotFoundError):
        Connection(Endpoint("127.0.0.1", listener.getsockname()[1], is_secure=True), "it", 30)
    assert open_files() == before


SERVE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_is_spoken_and_a_wait_has_its_limit(
    listener: socket.socket, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
    monkeypatch.setattr(http1, "_contexts", [])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)

    def serve() -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(10_000)
            secured.sendall(SERVE)
            secured.recv(10_000)  # until the other side has gone

    server = Thread(target=serve)
    server.start()
    endpoint = Endpoint(host, listener.getsockname()[1], is_secure=True)
    connection = Connection(endpoint, "it", 5)
    assert connection.exchange(request("GET", endpoint, "/", {})).body == b"ok"
    connection._socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        connection.receive()
    connection.close()
    server.join()


def test_a_python_without_the_c_module_of_sockets(listener: socket.socket) -> None:
    code = f"""
import socket, sys
sys.modules["_socket"] = None
from pilotlight.function.http1 import Connection, Endpoint
connection = Connection(Endpoint("127.0.0.1", {listener.getsockname()[1]}), "it", 5)
print(type(connection._socket) is socket.socket)
connection.close()
"""
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.stdout == "True\n", done.stderr
