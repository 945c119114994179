"""URLs of clients: what is fetched, and what is not, by real connections to servers on this machine.

What a public address answers, and a name server that changes its mind, are in test_url_internet.py.
"""

import gzip
import ipaddress
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator

import httpx
import pytest
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st

from http_servers import CERTIFICATE, Cut, HttpServer, Request, answer, has_ipv6, serving
from name_server import ask, naming
from pilotlight import __version__
from pilotlight.errors import FunctionError, InputError, InputTooLarge
from pilotlight.function import url_fetch
from pilotlight.function.download import Deadline, Place
from pilotlight.function.http1 import Endpoint
from pilotlight.function.url_fetch import Refused, fetch, parse, places_of

PUBLIC = "must be a public http or https address"
NONE_THERE = f"{PUBLIC}: its host has none"
PNG = "Content-Type: image/png\r\n"
GENEROUS = 60.0  # seconds

Fetched = tuple[bytes, str]


def get(url: str, *, most: int = 1_000, seconds: float = GENEROUS, **more: object) -> Fetched:
    return fetch(url, most=most, seconds=seconds, **more)  # type: ignore[arg-type]


def refused(url: str, **more: object) -> str:
    with pytest.raises(InputError) as error:
        get(url, **more)
    assert type(error.value) in (InputError, Refused)
    assert "127.0.0.1" not in str(error.value)
    return str(error.value)


Allow = Callable[..., str]


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HttpServer]]:
    """`allow(answers, host="127.0.0.1")` -> a server whose address the settings allow."""
    with pytest.MonkeyPatch.context() as patch:
        servers = []

        def start(answers: Callable[[Request], bytes], host: str = "127.0.0.1", is_secure: bool = False) -> HttpServer:
            manager = serving(answers, is_secure)
            servers.append(manager)
            server = manager.__enter__()
            allowed = [*filter(None, os.environ.get(url_fetch.VARIABLE, "").split(",")), f"{host}:{server.port}"]
            patch.setenv(url_fetch.VARIABLE, ",".join(allowed))
            return server

        yield start
        for manager in servers:
            manager.__exit__(None, None, None)


Start = Callable[..., HttpServer]


def png(_: Request) -> bytes:
    return answer(200, b"a picture", PNG)


# What is read


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://example.com", Endpoint("example.com", 80, "/")),
        ("HTTPS://Example.COM/A%20b?c=/d#e", Endpoint("example.com", 443, "/A%20b?c=/d", True)),
        ("http://example.com?a=b", Endpoint("example.com", 80, "/?a=b")),
        ("http://example.com:80/@a/b:c/(d)*'!", Endpoint("example.com", 80, "/@a/b:c/(d)*'!")),
        ("https://example.com:80/", Endpoint("example.com", 80, "/", True)),
        ('http://a-b_c.example.com/ü/日本/<a>|{b}"^`?ü', None),
        ("http://xn--mnchen-3ya.de/", Endpoint("xn--mnchen-3ya.de", 80, "/")),
        ("http://8.8.8.8/", Endpoint("8.8.8.8", 80, "/")),
        ("http://[2001:4860:4860:0:0:0:0:8888]/", Endpoint("2001:4860:4860::8888", 80, "/")),
        ("http://0x7f.com/", Endpoint("0x7f.com", 80, "/")),
        ("http://example.com/100%", Endpoint("example.com", 80, "/100%")),
        ("http://example.com/\ud800", Endpoint("example.com", 80, "/%3F")),
    ],
)
def test_a_url(url: str, endpoint: Endpoint | None) -> None:
    encoded = "/%C3%BC/%E6%97%A5%E6%9C%AC/%3Ca%3E%7C%7Bb%7D%22%5E%60?%C3%BC"
    assert parse(url) == (endpoint or Endpoint("a-b_c.example.com", 80, encoded))


@given(st.text())
def test_whatever_stands_behind_the_scheme_is_read_or_refused(text: str) -> None:
    try:
        target = parse(f"http://{text}")
    except Refused:
        return
    assert target.host.isascii()
    assert target.path.isascii()
    assert not {*target.path} & {*" \r\n\t\\#"}


TEXTS = st.lists(
    st.sampled_from(["8.8.8.8", "example.com", "127.0.0.1", "[2606:4700::1]", "a_b.net", "xn--p1ai.net", "0x7f", "1"])
    | st.sampled_from(
        [*".:@/?#\\%&;,|^[]{}<>'\"`$*+~-_ \t\r\n\0", "//", "://", ":80", "%40", "%2f", "\u3002", "\uff0f", "ü"]
    ),
    max_size=7,
).map("".join)


@given(TEXTS)
@example("8.8.8.8#@127.0.0.1")
def test_a_host_that_is_read_is_the_one_that_others_read(text: str) -> None:
    """urllib, urllib3 (so requests and botocore) and httpx: then a check by one of these holds for the connection."""
    url = f"http://{text}"
    try:
        target = parse(url)
    except Refused:
        return
    others = {urllib.parse.urlsplit(url).hostname, urllib3.util.parse_url(url).host, httpx.URL(url).raw_host.decode()}
    assert {str(host).strip("[]").lower() for host in others} == {target.host}
    ports = {urllib.parse.urlsplit(url).port, urllib3.util.parse_url(url).port, httpx.URL(url).port}
    assert {port or 80 for port in ports} == {target.port}


PARTS = st.integers(0, 2**33).flatmap(
    lambda number: st.sampled_from([f"{number}", f"{number:#x}", f"{number:#X}", f"0{number:o}", f"00{number}", ""])
)
SMALL = st.integers(0, 260).flatmap(
    lambda number: st.sampled_from([f"{number}", f"{number:#x}", f"0{number:o}", f"0x0{number:x}", "0x", "0x7G"])
)
FIRST = st.sampled_from(["127", "10", "169", "192", "0x7f", "0177", "0xA9", "0", ""])
NUMBERS = st.lists(SMALL | PARTS, max_size=4).flatmap(
    lambda rest: st.tuples(FIRST | PARTS, st.sampled_from(["", "."])).map(
        lambda ends: ".".join([ends[0], *rest]) + ends[1]
    )
)
ADDRESSES = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
MAPPED = st.tuples(
    st.sampled_from(["::ffff:", "::", "64:ff9b::", "::ffff:0:", "64:ff9b:1::"]), st.ip_addresses(v=4)
).map(lambda both: f"[{both[0]}{both[1]}]")


def numeric(host: str, port: int, _: float) -> list[Place]:
    """What the system makes of a host, without asking a name server: as inet_aton reads numbers."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []
    return [Place(family, address) for family, _, _, _, address in found]


@given(NUMBERS | ADDRESSES | MAPPED)
def test_no_host_that_the_system_reads_as_an_address_inside_is_connected_to(host: str) -> None:
    try:
        places = places_of(parse(f"http://{host}/"), Deadline(GENEROUS), numeric)
    except Refused:
        return
    assert places
    bare = host.strip("[]")
    assert [place.address[0] for place in places] == [str(ipaddress.ip_address(bare))]
    assert ipaddress.ip_address(bare).is_global


@given(st.ip_addresses(v=4), st.integers(1, 3))
def test_short_and_octal_forms_are_refused_whatever_they_mean(address: ipaddress.IPv4Address, rest: int) -> None:
    octets = [*address.packed]
    head, tail = octets[: 4 - rest], int.from_bytes(address.packed[4 - rest :], "big")
    for form in (".".join(map(str, [*head, tail])), ".".join(f"0{octet:o}" for octet in octets), f"{int(address):#x}"):
        if form != str(address):
            with pytest.raises(Refused):
                parse(f"http://{form}/")


# Hosts that the settings allow


def test_a_host_that_is_allowed(allow: Start) -> None:
    server = allow(png)
    url = f"http://127.0.0.1:{server.port}/a/b.png?c=d"
    assert get(url) == (b"a picture", "image/png")
    headers = {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": f"pilotlight/{__version__}",
        "accept": "image/*",
        "accept-encoding": "identity",
        "connection": "close",
    }
    assert server.requests == [Request("GET", "/a/b.png?c=d", headers, b"", 1)]


def test_it_is_allowed_by_that_name_and_on_that_port_alone(allow: Start) -> None:
    server, other = allow(png, "localhost"), HttpServer(png)
    assert get(f"http://LOCALHOST:{server.port}/")[0] == b"a picture"
    for host in (
        "127.0.0.1",
        "localhost.",
        "127.1",
        "0x7f000001",
        "[::ffff:127.0.0.1]",
        "a.localhost",
        "user@localhost",
    ):
        assert refused(f"http://{host}:{server.port}/") == PUBLIC
    assert refused(f"http://localhost:{other.port}/") == PUBLIC
    assert refused("http://localhost/") == PUBLIC
    other.close()
    assert (len(server.requests), other.requests) == (1, [])


def test_addresses_of_version_6(monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_ipv6():
        monkeypatch.setenv(url_fetch.VARIABLE, "[::1]:9")
        assert refused("http://[::1]:9/") == "cannot be fetched: the connection failed"
        return
    with serving(png, host="::1") as server:
        monkeypatch.setenv(url_fetch.VARIABLE, f"[0:0::1]:{server.port}")
        assert get(f"http://[::1]:{server.port}/")[0] == b"a picture"
        assert refused(f"http://[::ffff:7f00:1]:{server.port}/") == PUBLIC
    assert [request.headers["host"] for request in server.requests] == [f"[::1]:{server.port}"]


@pytest.mark.parametrize(
    "written", ["localhost", "localhost:", "127.1:80", "http://a:80", "a:80/", "*:80", "a:080", "[::g]:80", "a:65536"]
)
def test_a_variable_that_is_not_what_the_settings_write(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv(url_fetch.VARIABLE, f"images.lan:80, {written}")
    with pytest.raises(FunctionError, match=r"^PILOTLIGHT_ALLOW_URLS: .* is not HOST:PORT$"):
        get("http://images.lan/")


def test_https(allow: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setattr(url_fetch, "_contexts", [])
    for host in ("localhost", "127.0.0.1"):
        server = allow(png, host, is_secure=True)
        assert get(f"https://{host}:{server.port}/") == (b"a picture", "image/png")


def test_a_certificate_of_another_name_or_authority(allow: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = allow(png, "localhost", is_secure=True)
    monkeypatch.setattr(url_fetch, "_contexts", [])
    assert refused(f"https://localhost:{server.port}/") == "cannot be fetched: its certificate is not valid"
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setenv(url_fetch.VARIABLE, f"images.lan:{server.port}")
    monkeypatch.setattr(url_fetch, "_contexts", [])
    said = refused(f"https://images.lan:{server.port}/", resolve=always("127.0.0.1"))
    assert said == "cannot be fetched: its certificate is not valid"
    assert server.requests == []


def test_tls_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer_in_plain_text() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(65_536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setenv(url_fetch.VARIABLE, f"127.0.0.1:{port}")
        thread = threading.Thread(target=answer_in_plain_text)
        thread.start()
        assert refused(f"https://127.0.0.1:{port}/") == "cannot be fetched: the connection failed"
        thread.join()


def test_proxies_of_the_environment_are_not_asked(allow: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = allow(png)
    with serving(png) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert get(f"http://127.0.0.1:{server.port}/a.png")[0] == b"a picture"
        assert proxy.requests == []
    assert server.requests[0].target == "/a.png"


# Names


def always(*addresses: str) -> url_fetch.Resolve:
    return lambda _host, port, _seconds: [Place(socket.AF_INET, (address, port)) for address in addresses]


def asking(name_server: int) -> url_fetch.Resolve:
    return lambda host, port, _: [Place(socket.AF_INET, (address, port)) for address in ask(name_server, host)]


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["8.8.8.8", "10.0.0.1"],  # one of them is enough
        ["10.0.0.1", "8.8.8.8"],
        ["8.8.8.8", "8.8.4.4", "0.0.0.0"],
    ],
)
def test_every_address_of_a_name_has_to_be_public(addresses: list[str]) -> None:
    with naming({"pictures.net": [addresses]}) as names:
        assert refused("http://pictures.net/a.png", resolve=asking(names.port)) == NONE_THERE
        assert names.asked == {"pictures.net": 1}


@pytest.mark.parametrize("place", ["::1", "::ffff:127.0.0.1", "fd00:ec2::254", "fe80::1%lo", "64:ff9b::7f00:1"])
def test_nor_may_one_of_version_6_be_inside(place: str) -> None:
    def resolve(_: str, port: int, __: float) -> list[Place]:
        return [Place(socket.AF_INET6, (place, port, 0, 1)), Place(socket.AF_INET, ("8.8.8.8", port))]

    assert refused("http://pictures.net/a.png", resolve=resolve) == NONE_THERE


def test_a_name_that_there_is_not_is_answered_as_one_inside() -> None:
    with naming({"inside.net": [["10.0.0.1"]]}) as names:
        said = {refused(f"http://{name}/", resolve=asking(names.port)) for name in ("inside.net", "nothing.net")}
    assert said == {NONE_THERE}


def test_a_name_is_resolved_once_and_that_address_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server says 127.0.0.1 first, then 127.0.0.2, where another server listens on the same port."""
    with serving(png) as server, socket.create_server(("127.0.0.2", server.port)) as other:
        monkeypatch.setenv(url_fetch.VARIABLE, f"images.lan:{server.port}")
        with naming({"images.lan": [["127.0.0.1"], ["127.0.0.2"]]}) as names:
            url = f"http://images.lan:{server.port}/"
            assert get(url, resolve=asking(names.port)) == (b"a picture", "image/png")
            assert names.asked == {"images.lan": 1}
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.accept()
    assert server.requests[0].headers["host"] == f"images.lan:{server.port}"


def test_a_redirect_to_a_name_that_now_is_inside(allow: Start) -> None:
    """Public when the first server was asked, inside when its answer has come: rebinding between the two."""
    server = allow(lambda _: answer(302, b"", "Location: http://rebinding.net/secret\r\n"), "images.lan")
    with naming({"images.lan": [["127.0.0.1"]], "rebinding.net": [["8.8.8.8"], ["127.0.0.1"]]}) as names:
        assert ask(names.port, "rebinding.net") == ["8.8.8.8"]  # as whoever checks before it fetches would
        url = f"http://images.lan:{server.port}/"
        assert refused(url, resolve=asking(names.port)) == NONE_THERE


def test_a_name_server_that_takes_its_time() -> None:
    def resolve(host: str, port: int, seconds: float) -> list[Place]:
        assert 0 < seconds <= 0.2
        raise TimeoutError

    assert (
        refused("http://pictures.net/", seconds=0.2, resolve=resolve) == "cannot be fetched: it took longer than 0.2 s"
    )


# Redirects


def redirecting(*locations: str, status: int = 302) -> Callable[[Request], bytes]:
    """Answers request n with the n-th location, and with a picture when there is none left."""
    left = iter(locations)

    def answers(_: Request) -> bytes:
        location = next(left, None)
        headers = f"Location: {location}\r\nSet-Cookie: a=b\r\n{PNG}"
        return png(_) if location is None else answer(status, b"moved", headers)

    return answers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect(allow: Start, status: int) -> None:
    locations = ("/b?c=d#e", "c/d.png", "?e", "//127.0.0.1:{port}/f", "http://127.0.0.1:{port}/ü/..%2f")
    server = allow(lambda request: answers(request))
    answers = redirecting(*(location.replace("{port}", str(server.port)) for location in locations), status=status)
    assert get(f"http://127.0.0.1:{server.port}/a") == (b"a picture", "image/png")
    targets = ["/a", "/b?c=d", "/c/d.png", "/c/d.png?e", "/f", "/%C3%BC/..%2f"]
    assert [request.target for request in server.requests] == targets
    assert all("cookie" not in request.headers and "referer" not in request.headers for request in server.requests)


def test_redirects_without_an_end(allow: Start) -> None:
    count = itertools.count()
    server = allow(lambda _: answer(302, b"", f"Location: /{next(count)}\r\n"))
    assert refused(f"http://127.0.0.1:{server.port}/") == "redirects more than 5 times"
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/", "//localhost/", "//127.1/"),
        *("http://2130706433/", "http://8.8.8.8:22/", "http://user@8.8.8.8/", "file:///etc/passwd", "ftp://8.8.8.8/a"),
        *("http://metadata.google.internal/", "//[fd00:ec2::254]/", "http://8.8.8.8\\@127.0.0.1/", "\\\\127.0.0.1"),
        *("http://8.8.8.8 @127.0.0.1/", "ht\ttp://127.0.0.1/", "//127.0.0.1\t/", "data:image/png,a", "gopher://127.0.0.1/"),
        *("http://\uff11\uff12\uff17.0.0.1/", "http://127.0.0.1@8.8.8.8/", "http:///127.0.0.1/"),
        *("http://", "http://[", "http:/127.0.0.1/", "http:127.0.0.1", "///127.0.0.1/", "//", "https:", "http:a"),
    ],
)  # fmt: skip
def test_a_redirect_to_where_no_url_may_lead(allow: Start, location: str) -> None:
    server = allow(redirecting(location))
    assert refused(f"http://127.0.0.1:{server.port}/") == PUBLIC
    assert len(server.requests) == 1


def test_a_redirect_to_another_server_of_this_machine(allow: Start) -> None:
    with serving(png) as other:
        server = allow(redirecting(f"http://127.0.0.1:{other.port}/"))
        assert refused(f"http://127.0.0.1:{server.port}/") == PUBLIC
        assert other.requests == []


def test_from_https_to_http_and_the_other_way(allow: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setattr(url_fetch, "_contexts", [])
    plain = allow(png)
    secure = allow(redirecting(f"http://127.0.0.1:{plain.port}/"), is_secure=True)
    assert refused(f"https://127.0.0.1:{secure.port}/") == "redirects from https to http"
    assert plain.requests == []
    secure = allow(png, is_secure=True)
    plain = allow(redirecting(f"https://127.0.0.1:{secure.port}/"))
    assert get(f"http://127.0.0.1:{plain.port}/") == (b"a picture", "image/png")


# Answers


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 400, 401, 403, 404, 410, 500, 503])
def test_another_status(allow: Start, status: int) -> None:
    server = allow(lambda _: answer(status, b"", PNG))
    assert refused(f"http://127.0.0.1:{server.port}/") == f"cannot be fetched: its server answered {status}"


def test_a_redirect_without_a_place(allow: Start) -> None:
    server = allow(lambda _: answer(302, b"", PNG))
    assert refused(f"http://127.0.0.1:{server.port}/") == "cannot be fetched: its server answered 302"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("image/jpeg", "image/jpeg"),
        ("IMAGE/PNG ; charset=binary", "image/png"),
        ("image/svg+xml", "image/svg+xml"),
    ],
)
def test_a_type(allow: Start, kind: str, said: str) -> None:
    server = allow(lambda _: answer(200, b"a", f"Content-Type: {kind}\r\n"))
    assert get(f"http://127.0.0.1:{server.port}/") == (b"a", said)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Content-Type: text/html; charset=utf-8\r\n", "holds text/html, not image/*"),
        ("Content-Type: application/json\r\n", "holds application/json, not image/*"),
        ("Content-Type: not-image/png\r\n", "holds not-image/png, not image/*"),
        ("Content-Type: text/html\r\nContent-Type: image/png\r\n", "holds text/html,?image/png, not image/*"),
        ('Content-Type: <b>"é\r\n', "holds ?b????, not image/*"),
        ("Content-Type:\r\n", "holds something without a type, not image/*"),
        ("", "holds something without a type, not image/*"),
    ],
)
def test_another_type(allow: Start, header: str, said: str) -> None:
    server = allow(lambda _: answer(200, b"a", header))
    assert refused(f"http://127.0.0.1:{server.port}/") == said


def test_types_that_a_caller_wants(allow: Start) -> None:
    server = allow(lambda _: answer(200, b"a", "Content-Type: text/plain\r\n"))
    url = f"http://127.0.0.1:{server.port}/"
    assert get(url, types=("image/", "text/plain")) == (b"a", "text/plain")
    assert server.requests[0].headers["accept"] == "image/*, text/plain"
    assert refused(url, types=("image/", "audio/wav")) == "holds text/plain, not image/* or audio/wav"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip", "gzip, identity", "x"])
def test_what_is_compressed_is_not_unpacked(allow: Start, coding: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    server = allow(lambda _: answer(200, bomb, f"{PNG}Content-Encoding: {coding}\r\n"))
    said = refused(f"http://127.0.0.1:{server.port}/", most=100_000)
    assert said == "cannot be fetched: its server sends it compressed"


def test_identity_is_no_compression(allow: Start) -> None:
    server = allow(lambda _: answer(200, b"a", f"{PNG}Content-Encoding: Identity\r\n"))
    assert get(f"http://127.0.0.1:{server.port}/")[0] == b"a"


def test_what_is_too_large(allow: Start) -> None:
    sizes = iter((1_000, 1_001))
    server = allow(lambda _: answer(200, bytes(next(sizes)), PNG))
    url = f"http://127.0.0.1:{server.port}/"
    assert len(get(url)[0]) == 1_000
    with pytest.raises(InputTooLarge) as error:
        get(url)
    assert error.value.problems == (("", "holds more than 1,000 bytes"),)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "the connection failed"),
        (b"HTTP/1.1 200 OK\r\n", "the connection failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 10\r\n\r\nabc", "the connection failed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "its server does not speak HTTP/1.1"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1, 2\r\n\r\nabc",
            "its server does not speak HTTP/1.1",
        ),
    ],
)
def test_what_goes_wrong_on_the_way(allow: Start, sent: bytes, said: str) -> None:
    server = allow(lambda _: Cut(sent))
    assert refused(f"http://127.0.0.1:{server.port}/") == f"cannot be fetched: {said}"


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv(url_fetch.VARIABLE, f"127.0.0.1:{port}")
    assert refused(f"http://127.0.0.1:{port}/") == "cannot be fetched: the connection failed"


def test_the_time_is_for_all_redirects_together(allow: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        port = silent.getsockname()[1]
        server = allow(redirecting(f"http://127.0.0.1:{port}/"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(url_fetch.VARIABLE, f"127.0.0.1:{server.port},127.0.0.1:{port}")
            url = f"http://127.0.0.1:{server.port}/"
            assert refused(url, seconds=0.5) == "cannot be fetched: it took longer than 0.5 s"


def test_a_server_that_says_nothing_where_tls_should_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv(url_fetch.VARIABLE, f"127.0.0.1:{port}")
        url = f"https://127.0.0.1:{port}/"
        assert refused(url, seconds=0.5) == "cannot be fetched: it took longer than 0.5 s"


# What it costs

CODE = """
import contextlib, json, re, socket, sys, typing
from pilotlight.function import runtime, endpoint
before = set(sys.modules)
from pilotlight.function.url_fetch import fetch
at_import = set(sys.modules) - before
assert fetch(sys.argv[1], most=100, seconds=60) == (b"a picture", "image/png")
print(json.dumps([sorted(at_import), sorted(set(sys.modules) - before - at_import)]))
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_is_imported(allow: Start, host: str) -> None:
    server = allow(png, host)
    command = [sys.executable, "-c", CODE, f"http://{host}:{server.port}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    at_import, later = ({name for name in names if name[0] != "_"} for names in json.loads(done.stdout))
    assert at_import == {f"pilotlight.function.{name}" for name in ("addresses", "download", "url_fetch")}
    assert later <= ({"threading"} if host == "localhost" else set())
