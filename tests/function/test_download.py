"""Answers of servers that mean no good, over real connections: what is read of them, and for how long."""

import contextlib
import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pilotlight.errors import InputTooLarge
from pilotlight.function.download import Deadline, Download, NotHttp, Place
from pilotlight.function.http1 import Endpoint

GENEROUS = 60.0  # seconds
SHORT = 0.3
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

Serve = Callable[[socket.socket], object]


@contextlib.contextmanager
def serving(serve: Serve, asked: list[bytes] | None = None, after: bytes = b"\r\n\r\n") -> Iterator[int]:
    """The port of a server that gives each connection to `serve` once it has sent `after`, then closes it.

    `asked` takes what was sent.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError), connection:
                    received = b""
                    while after not in received and (data := connection.recv(65_536)):
                        received += data
                    if asked is not None:
                        asked.append(received)
                    serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def sending(answer: bytes) -> Serve:
    return lambda connection: connection.sendall(answer)


def then_waiting(answer: bytes) -> Serve:
    """Send `answer`, and keep the connection open until the other side has closed it."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.recv(1)

    return serve


def again_and_again(first: bytes, then: bytes) -> Serve:
    """Send `then` for ever, as fast as it is taken."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(then)

    return serve


def drop_by_drop(first: bytes, then: bytes) -> Serve:
    """Send one byte of `then` at a time: a wait for each alone would never end."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(first)
        pause = threading.Event()
        while not pause.wait(0.02):
            connection.sendall(then)

    return serve


def get(port: int, most: int = 100, seconds: float = GENEROUS) -> tuple[int, dict[str, str], bytes]:
    place = Place(socket.AF_INET, ("127.0.0.1", port))
    with Download(Endpoint("127.0.0.1", port, "/a.png"), [place], {}, Deadline(seconds), None) as download:
        return download.status, download.headers, download.read(most)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabc", b"abc"),
        (OK + b"content-length:\t3 \r\n\r\nabcdef", b"abc"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (OK + b"\r\nuntil the end", b"until the end"),
        (CHUNKED + b"3\r\nabc\r\n0A;a=b\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
        (OK + b"transfer-encoding: Chunked\r\n\r\n3 \r\nabc\r\n0\r\nTrailer: a\r\n\r\n", b"abc"),
        (b"HTTP/1.0 200\r\n\r\nold", b"old"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK + b"Content-Length: 1\r\n\r\na", b"a"),
    ],
)
def test_a_body(answer: bytes, body: bytes) -> None:
    with serving(sending(answer)) as port:
        assert get(port) == (200, *get(port)[1:2], body)


def test_headers() -> None:
    with (
        serving(sending(OK + b"Set-Cookie: a=b\r\nX-A:  1 \r\nx-a: 2\r\nX-\xc3: 1\r\n\r\n")) as port,
        pytest.raises(NotHttp),
    ):
        get(port)
    with serving(sending(OK + b"X-A:  1 \r\nx-a: 2\r\nX-B: \xc3\xa9:\r\nX-C:\r\n\r\n")) as port:
        assert get(port)[:2] == (200, {"x-a": "1, 2", "x-b": "Ã©:", "x-c": ""})


def test_the_request() -> None:
    asked: list[bytes] = []
    with serving(sending(OK + b"\r\n"), asked) as port:
        place = Place(socket.AF_INET, ("127.0.0.1", port))
        with Download(Endpoint("pictures.lan", 80, "/a.png?b"), [place], {"A": "b"}, Deadline(GENEROUS), None):
            pass
    assert asked == [
        b"GET /a.png?b HTTP/1.1\r\nHost: pictures.lan\r\nUser-Agent: pilotlight\r\nA: b\r\nConnection: close\r\n\r\n"
    ]


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 101\r\n\r\n",  # and nothing more comes: it is not waited for
        OK + b"Content-Length: 99999999999999\r\n\r\nabc",
        CHUNKED + b"65\r\n",
        CHUNKED + b"fffffffffffffff\r\n",
        CHUNKED + b"14\r\n01234567890123456789\r\n" * 6,
        OK + b"\r\n" + b"x" * 101,
    ],
)
def test_a_body_that_is_too_large(answer: bytes) -> None:
    with serving(then_waiting(answer)) as port, pytest.raises(InputTooLarge, match=r"^holds more than 100 bytes$"):
        get(port)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (OK + b"\r\n", b"x" * 65_536),
        (CHUNKED, b"1\r\nx\r\n" * 10_000),
        (OK + b"Content-Length: 1000000000000\r\n\r\n", b"x" * 65_536),
    ],
)
def test_a_body_without_an_end(first: bytes, then: bytes) -> None:
    with serving(again_and_again(first, then)) as port, pytest.raises(InputTooLarge):
        get(port, most=100_000)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b"x"),
        (b"HTTP/1.1 200 OK", b" and more" * 1_000),
        (OK, b"X-A: b\r\n" * 1_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
        (CHUNKED + b"1;", b"a" * 1_000),
    ],
)
def test_a_head_without_an_end(first: bytes, then: bytes) -> None:
    with serving(again_and_again(first, then)) as port, pytest.raises(NotHttp):
        get(port)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"HTTP/1.1 200 OK", b"x"),
        (OK, b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"Content-Length: 100000\r\n\r\n", b"x"),
        (OK + b"\r\n", b"x"),
        (CHUNKED, b"1\r\nx\r\n"),
        (CHUNKED + b"1", b" "),
    ],
)
def test_a_server_that_takes_its_time(first: bytes, then: bytes) -> None:
    with serving(drop_by_drop(first, then)) as port, pytest.raises(TimeoutError):
        get(port, most=1_000_000, seconds=SHORT)


def test_a_server_that_says_nothing() -> None:
    with serving(then_waiting(b"")) as port, pytest.raises(TimeoutError):
        get(port, seconds=SHORT)


def test_a_server_that_takes_its_time_with_tls() -> None:
    record = b"\x16\x03\x03\x40\x00"  # the head of one with 16,384 bytes of a handshake
    tls = ssl.create_default_context()
    with serving(drop_by_drop(record, b"\x02"), after=b"") as port:
        place = Place(socket.AF_INET, ("127.0.0.1", port))
        with pytest.raises(TimeoutError):
            Download(Endpoint("localhost", port, "/", True), [place], {}, Deadline(SHORT), tls)


def test_when_the_time_is_over_nothing_is_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(TimeoutError):
            get(listener.getsockname()[1], seconds=0)
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    "answer",
    [
        *(b"<html>\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 20\r\n\r\n", b"ICY 200 OK\r\n\r\n"),
        b"HTTP/1.1 2000 OK\r\n\r\n",
        *(b"HTTP/1.1 000 OK\r\n\r\n", b"HTTP/1.1  200 OK\r\n\r\n", b"HTTP/1.1 -200\r\n\r\n", b"220 ftp ready\r\n\r\n"),
        *(OK + b"no colon\r\n\r\n", OK + b" folded: a\r\n\r\n", OK + b"a b: c\r\n\r\n", OK + b": c\r\n\r\n"),
        *(OK + b"a: b\nc: d\r\n\r\n", OK + b"a: b\0\r\n\r\n", OK + b"Content-Length : 3\r\n\r\nabc"),
        b"\r\n" + OK + b"\r\n",
        *(OK + b"Content-Length: " + length + b"\r\n\r\nabc" for length in (b"-1", b"+3", b"3, 3", b"", b"3_0")),
        *(OK + b"Content-Length: " + length + b"\r\n\r\nabc" for length in (b"\xb2", b"0x3", b"3 3", b"9" * 5_000)),
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        *(OK + b"Transfer-Encoding: " + coding + b"\r\n\r\n" for coding in (b"gzip, chunked", b"x", b"")),
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        *(CHUNKED + size + b"\r\nabc\r\n0\r\n\r\n" for size in (b"", b"x", b"-3", b"+3", b"0x3", b"3_0", b"f" * 20)),
        CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_not_http(answer: bytes) -> None:
    with serving(sending(answer)) as port, pytest.raises(NotHttp):
        get(port)


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"HTTP", OK, OK + b"Content-Length: 3\r\n", OK + b"Content-Length: 30\r\n\r\nabc"),
        CHUNKED,
        CHUNKED + b"3\r\nab",
        CHUNKED + b"3\r\nabc\r\n",
    ],
)
def test_an_answer_that_breaks_off(answer: bytes) -> None:
    with serving(sending(answer)) as port, pytest.raises(ConnectionError, match="closed in the middle of an answer"):
        get(port)


def test_what_is_compressed_stays_so() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    with serving(sending(OK + b"Content-Encoding: gzip\r\n\r\n" + bomb)) as port:
        assert get(port, most=len(bomb))[2] == bomb


def test_the_next_address_when_one_takes_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    with serving(sending(OK + b"\r\nabc")) as port:
        places = [Place(socket.AF_INET, ("127.0.0.1", each)) for each in (free, port)]
        with Download(Endpoint("a", 80, "/"), places, {}, Deadline(GENEROUS), None) as download:
            assert download.read(3) == b"abc"
        with pytest.raises(ConnectionRefusedError):
            Download(Endpoint("a", 80, "/"), places[:1], {}, Deadline(GENEROUS), None)


HEADS = st.sampled_from([b"", OK, OK + b"Content-Length: 9\r\n\r\n", CHUNKED, OK + b"\r\n"])
PIECES = st.sampled_from(
    [b"\r\n", b"\r\n\r\n", b"3\r\nabc", b"0", b"HTTP/1.1 100 A\r\n\r\n", b"A: b", b"\n", b" ", b"ff"]
)


@given(HEADS, st.lists(PIECES | st.binary(max_size=40), max_size=8))
@example(OK, [b"A:" + b" " * 60_000 + b"b\r\n\r\n"])
def test_whatever_comes_is_an_answer_or_an_error(head: bytes, pieces: list[bytes]) -> None:
    with serving(sending(head + b"".join(pieces))) as port:
        try:
            status, _, body = get(port, most=50)
        except (ConnectionError, InputTooLarge):
            return
    assert 200 <= status < 1_000
    assert len(body) <= 50
