"""Every known way past such a guard, tried on a function that `pilotlight serve` serves: no connection may come."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import RunningServer, write
from http_servers import has_ipv6
from url_bypasses import BYPASSES, Bypass

FUNCTION = """
    from os import environ

    from pilotlight import endpoint
    from pilotlight.function import url_fetch

    # The server that must not be reached is on a port of an ordinary user: only its address may keep it from that.
    url_fetch.PORTS = (*url_fetch.PORTS, int(environ["CANARY"]))


    @endpoint
    def handler(url: str) -> str:
        return url_fetch.fetch(url, most=1_000, seconds=20)[0].decode()
    """
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 6\r\n\r\nsecret"


class Canary:
    """A server on one port of 127.0.0.1 and, where there is one, of ::1 that counts its connections."""

    def __init__(self) -> None:
        self.connections = 0
        self._listeners = _listeners()
        self.port: int = self._listeners[0].getsockname()[1]
        self._threads = [threading.Thread(target=self._serve, args=(each,)) for each in self._listeners]
        for thread in self._threads:
            thread.start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                self.connections += 1
                connection.recv(65_536)
                connection.sendall(ANSWER)

    def close(self) -> None:
        for listener, thread in zip(self._listeners, self._threads, strict=True):
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()


def _listeners() -> list[socket.socket]:
    while True:
        first = socket.create_server(("127.0.0.1", 0))
        if not has_ipv6():
            return [first]
        try:
            return [first, socket.create_server(("::1", first.getsockname()[1]), family=socket.AF_INET6)]
        except OSError:  # that port is taken there
            first.close()


class Guarded(NamedTuple):
    url: str
    canary: Canary


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


def serve(folder: Path, canary: Canary, inputs: str = "") -> RunningServer:
    settings = f'{inputs}\n[defaults]\nenvironment = {{ CANARY = "{canary.port}" }}\n'
    return RunningServer(
        [str(write(folder, {"inference/look.py": FUNCTION, "pilotlight.toml": settings})), "--no-reload"], {}
    )


@pytest.fixture(scope="module")
def guarded(canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    server = serve(tmp_path_factory.mktemp("guarded"), canary)
    yield Guarded(f"{server.url}/look", canary)
    server.stop()


def ask(function: str, url: str) -> tuple[int, str]:
    """Status, and text or message."""
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(function, json.dumps({"url": url}).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["message"]


@pytest.mark.parametrize("bypass", BYPASSES, ids=[f"{n}-{bypass.reaches}" for n, bypass in enumerate(BYPASSES)])
def test_a_bypass(guarded: Guarded, bypass: Bypass) -> None:
    asked = ask(guarded.url, bypass.at(guarded.canary.port))
    assert asked == (400, "must be a public http or https address")
    assert guarded.canary.connections == 0


def test_there_are_enough_of_them() -> None:
    assert len({bypass.url for bypass in BYPASSES}) >= 300


def test_the_server_can_be_reached_where_the_settings_say_so(
    tmp_path: Path, start_server: Callable[..., RunningServer]
) -> None:
    """So that it counts, and what keeps it from being reached is the guard alone."""
    canary = Canary()
    hosts = ("127.0.0.1", "localhost", *(["[::1]"] if has_ipv6() else []))
    allowed = ", ".join(f'"{host}:{canary.port}"' for host in hosts)
    server = serve(tmp_path / "open", canary, f"[inputs]\nallow_urls = [{allowed}]")
    try:
        for host in hosts:
            assert ask(f"{server.url}/look", f"http://{host}:{canary.port}/") == (200, "secret")
        assert canary.connections == len(hosts)
        assert ask(f"{server.url}/look", f"http://127.1:{canary.port}/")[0] == 400
        assert canary.connections == len(hosts)
    finally:
        server.stop()
        canary.close()
