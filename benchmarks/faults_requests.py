"""HTTP requests that hypothesis makes, whole and broken, as bytes on a real server's connections."""

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from faults_draw import PIPELINED, SIDE, draw, each, told
from faults_findings import Findings, Size
from faults_server import Server
from faults_wire import Answer, Connection, Malformed, connect
from hypothesis import strategies as st


class Sent(NamedTuple):
    """A request as bytes. `token` comes back in an answer of `mirror`; a broken one ends its connection."""

    data: bytes
    method: str
    token: str
    is_broken: bool
    is_mirrored: bool


_TEXT = st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass"))
_BYTES = st.binary(max_size=30)
_SEGMENT = st.sampled_from([b"a", b"%00", b"%2e%2e", b"..", b"%ff", b"%C3%A9", b"%", b"%zz", b"", b"a;b", b"*", b"{x}"])
_PREFIX = st.sampled_from(
    [b"/mirror/x", b"/mirror/", b"/mirror", b"/rest/x", b"/rest/", b"/url/x", b"/url/",
     b"/typed/", b"/nowhere/", b"/", b"//", b"/openapi.json"]
)  # fmt: skip
_ESCAPED = st.binary(max_size=8).map(lambda raw: b"".join(b"%%%02X" % byte for byte in raw))
_QUERY = st.one_of(
    st.just(b""),
    st.lists(
        st.sampled_from([b"a=1", b"a=", b"a", b"=", b"&", b"a=%ff", b"+", b"a=b=c", b"%", b"name=x"]), max_size=5
    ).map(lambda parts: b"?" + b"&".join(parts)),
    _ESCAPED.map(lambda raw: b"?" + raw),
)
_METHOD = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
_TARGET = st.builds(
    lambda method, prefix, segments, end, query: (method, prefix + b"/".join([*segments, end]) + query),
    _METHOD,
    _PREFIX,
    st.lists(_SEGMENT, max_size=3),
    st.one_of(_ESCAPED, st.integers().map(lambda number: b"%d" % number), st.just(b"")),
    _QUERY,
)
_VALUE = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(str.encode),
    st.binary(max_size=20).map(lambda raw: bytes(byte for byte in raw if byte >= 0x80)),
    st.sampled_from([b"", b"1", b"null", b"a" * 2_000, b"\t", b"a, b;q=0.5", b"=?utf-8?q?=C3=A9?="]),
)
_NAME = st.sampled_from(
    [
        *(b"accept", b"cookie", b"origin", b"x-amzn-trace-id", b"x-forwarded-for", b"user-agent", b"x-a", b"X-A"),
        *(b"authorization", b"accept-encoding", b"if-none-match", b"range", b"referer", b"x-api-key", b"te", b"x_y"),
        *(b"access-control-request-method", b"content-encoding", b"content-language", b"forwarded", b"!#$%&'*+-.^_`|~"),
    ]
)
_TYPE = st.sampled_from(
    [b"application/json", b"text/plain; charset=utf-16", b"application/x-www-form-urlencoded", b"image/png", b"", b"/",
     b"multipart/form-data; boundary=b", b"multipart/form-data", b"application/octet-stream", b"text/\xe9", b"*/*"]
)  # fmt: skip
_HEADERS = st.builds(
    lambda kind, pairs: b"content-type: " + kind + b"\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in pairs),
    _TYPE,
    st.lists(st.tuples(_NAME, _VALUE), max_size=5),
)
_FORM = b'--b\r\ncontent-disposition: form-data; name="name"\r\n\r\nx\r\n--b--\r\n'
_BODY = st.one_of(
    st.just(b""),
    st.binary(max_size=60),
    _TEXT,
    st.sampled_from(
        [b"{}", b"[]", b'{"name": "x"}', b'{"name": 1}', b"null", b'{"a": "\\ud800"}', b"a=1&b=2&name=%ff"]
    ),
    st.sampled_from([b"x" * 9_000, _FORM, b"--b\r\n\r\n", b"[" * 3_000]),
)
_BARE = (b"/mirror/", b"/url/", b"/rest/")  # {rest+} takes at least one character
_FRAMING = st.sampled_from(["length", "chunked", "one chunk"])

# What breaks a request: a function of its head's lines and its body. Where the two disagree the rest is read as another
# request, or waited for.
_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda raw: raw[: max(1, len(raw) * 2 // 3)],
    "cut off in the head": lambda raw: raw[: raw.find(b"\r\n") + 5],
    "a space in the target": lambda raw: raw.replace(b" /", b" / /", 1),
    "no version": lambda raw: raw.replace(b" HTTP/1.1", b"", 1),
    "a version that is none": lambda raw: raw.replace(b"HTTP/1.1", b"HTTP/9.7", 1),
    "two lengths": lambda raw: raw.replace(b"\r\n", b"\r\ncontent-length: 5\r\ncontent-length: 7\r\n", 1),
    "a length that is none": lambda raw: raw.replace(b"\r\n", b"\r\ncontent-length: -1\r\n", 1),
    "length and chunks": lambda raw: raw.replace(
        b"\r\n", b"\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n", 1
    ),
    "an encoding that is none": lambda raw: raw.replace(b"\r\n", b"\r\ntransfer-encoding: rot13\r\n", 1),
    "a header without a colon": lambda raw: raw.replace(b"\r\n", b"\r\nno colon here\r\n", 1),
    "a header with a space": lambda raw: raw.replace(b"\r\n", b"\r\nx y : z\r\n", 1),
    "NUL in a header": lambda raw: raw.replace(b"\r\n", b"\r\nx-nul: a\0b\r\n", 1),
    "a folded header": lambda raw: raw.replace(b"\r\n", b"\r\nx-fold: a\r\n  b\r\n", 1),
    "bare line feeds": lambda raw: raw.replace(b"\r\n", b"\n"),
    "a head of 200 KB": lambda raw: raw.replace(b"\r\n", b"\r\nx-long: " + b"y" * 200_000 + b"\r\n", 1),
    "a target of 100 KB": lambda raw: raw.replace(b" /", b" /" + b"z" * 100_000, 1),
    "an upgrade": lambda raw: raw.replace(b"\r\n", b"\r\nconnection: upgrade\r\nupgrade: websocket\r\n", 1),
    "an unknown method": lambda raw: b"BREW" + raw[raw.find(b" ") :],
    "TLS": lambda raw: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + raw,
    "CONNECT": lambda raw: b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    "an absolute target": lambda raw: raw.replace(b" /", b" http://x/", 1),
    "an asterisk": lambda raw: b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
    "HTTP/1.0": lambda raw: raw.replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "no host": lambda raw: raw.replace(b"host: x\r\n", b"", 1),
    "a chunk size that is none": lambda raw: raw.replace(b"\r\n", b"\r\ntransfer-encoding: chunked\r\n", 1) + b"zz\r\n",
    "a body beyond the limit": lambda raw: raw.replace(b"\r\n", b"\r\ncontent-length: 99999999999\r\n", 1),
}
_BROKEN = st.one_of(
    st.sampled_from(list(_DAMAGE.values())),
    st.builds(
        lambda at, raw: lambda whole: whole[:at] + raw + whole[at:],
        st.integers(0, 300),
        st.binary(min_size=1, max_size=8),
    ),
    st.builds(lambda raw: lambda whole: raw, st.binary(min_size=1, max_size=60)),
)

_DRAWN = st.tuples(
    st.lists(_TARGET, min_size=SIDE, max_size=SIDE),
    st.lists(_HEADERS, min_size=SIDE, max_size=SIDE),
    st.lists(st.tuples(_BODY, _FRAMING), min_size=SIDE, max_size=SIDE),
    st.lists(_BROKEN, min_size=SIDE * 4, max_size=SIDE * 4),
)


def _framed(body: bytes, framing: str) -> tuple[bytes, bytes]:
    """The header that announces a body, and its bytes on the wire."""
    if framing == "length":
        return b"content-length: %d\r\n" % len(body), body
    middle = len(body) // 2 if framing == "chunked" else 0
    parts = [part for part in (body[:middle], body[middle:]) if part]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"transfer-encoding: chunked\r\n", chunks + b"0\r\n\r\n"


def _batches(count: int) -> Iterator[list[Sent]]:
    """What goes over one connection each: some whole requests, and in every second a broken one at the end."""
    numbers = itertools.count()
    draws = -(-count * 10 // 9 // SIDE**3)
    left = count
    for targets, heads, bodies, damages in draw(_DRAWN, draws):
        broken = itertools.cycle(damages)
        combined = [_whole(next(numbers), *parts) for parts in itertools.product(targets, heads, bodies)]
        for at in range(0, len(combined), PIPELINED):
            batch = combined[at : at + PIPELINED][:left]
            if at // PIPELINED % 2 == 0 and batch:
                batch[-1] = _broken(batch[-1], next(broken))
            left -= len(batch)
            if batch:
                yield batch


def _whole(number: int, target: tuple[str, bytes], headers: bytes, body: tuple[bytes, str]) -> Sent:
    method, path = target
    length, data = _framed(*body)
    token = f"t{number}"
    head = b"%b %b HTTP/1.1\r\nhost: x\r\nx-token: %b\r\n" % (method.encode(), path, token.encode())
    place = path.partition(b"?")[0]
    mirrored = place.startswith(_BARE) and place not in _BARE and method != "HEAD"
    return Sent(head + headers + length + b"\r\n" + data, method, token, False, mirrored)


def _broken(sent: Sent, damage: Callable[[bytes], bytes]) -> Sent:
    """Not of HEAD: of what comes back nobody could say whether it has a body."""
    data = b"GET" + sent.data[4:] if sent.method == "HEAD" else sent.data
    return Sent(damage(data), "GET", sent.token, True, False)


async def requests(server: Server, size: Size) -> Findings:
    """Whole and broken requests: each gets one well-formed answer, or its connection a clean close."""
    findings = Findings("HTTP requests made by hypothesis")
    batches = list(_batches(size.requests))
    judge = _Judge()
    took = await each(batches, lambda batch: _send(server, batch, judge))
    total, broken = sum(map(len, batches)), sum(batch[-1].is_broken for batch in batches)
    findings.show("requests, of them broken", f"{total}, {broken}")
    findings.show("requests a second", f"{total / took:.0f}")
    findings.show("answers to whole ones", told(judge.whole))
    findings.show("answers to broken ones", told(judge.broken))
    findings.promise(total == size.requests, "as many as were asked for", total)
    findings.promise(sum(judge.whole.values()) == total - broken, "every whole request is answered", told(judge.whole))
    findings.promise_none(judge.wrong, "one well-formed answer each, its own, never a 5xx")
    findings.promise(server.is_alive, "the server lives")
    return findings


class _Judge:
    """Counts the answers, and keeps what was wrong with them, with the request."""

    def __init__(self) -> None:
        self.whole: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.wrong: list[str] = []

    def blame(self, sent: Sent, what: object) -> None:
        self.wrong.append(f"{what} to {sent.data[:300]!r}")

    def check(self, sent: Sent, answer: Answer) -> None:
        if answer.status >= 500 or b"Traceback" in answer.body:
            self.blame(sent, f"{answer.status} {answer.body[:200]!r}")
        elif sent.is_mirrored and not _is_own(sent, answer):
            self.blame(sent, f"somebody else's or no answer of the function: {answer}"[:400])


def _is_own(sent: Sent, answer: Answer) -> bool:
    if answer.status != 200:
        return False
    told = json.loads(answer.body)
    return bool(told["token"] == sent.token and told["method"] == sent.method)


async def _send(server: Server, batch: Sequence[Sent], judge: _Judge) -> None:
    connection = await connect(server.host, server.port)
    try:
        connection.send(b"".join(sent.data for sent in batch))
        if batch[-1].is_broken:
            connection.half_close()  # what is cut off would be waited for
        for sent in batch:
            await (_take_remains if sent.is_broken else _take_one)(connection, sent, judge)
    except (Malformed, OSError, TimeoutError) as error:
        judge.blame(batch[-1], f"{type(error).__name__}: {error}")
    finally:
        connection.close()


async def _take_one(connection: Connection, sent: Sent, judge: _Judge) -> None:
    answer = await connection.read(sent.method)
    if answer is None:
        judge.blame(sent, "a close")
    else:
        judge.whole[str(answer.status)] += 1
        judge.check(sent, answer)


async def _take_remains(connection: Connection, sent: Sent, judge: _Judge) -> None:
    """What comes of a broken request, whose bytes may be read as several: answers, then the end."""
    statuses: list[str] = []
    with contextlib.suppress(ConnectionError):  # it was closed while there was more to read of the request
        while len(statuses) < 20 and (answer := await connection.read(sent.method)) is not None:
            statuses.append(str(answer.status))
            judge.check(sent, answer)
    if len(statuses) == 20:
        judge.blame(sent, "more answers than it could have asked for")
    judge.broken[" and ".join(statuses) or "a close"] += 1
