"""JSON that hypothesis makes, and what is nearly JSON, through the Invoke API of a real server."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence

from faults_draw import PIPELINED, SIDE, draw, each, told
from faults_findings import Findings, Size
from faults_server import Server
from faults_wire import Answer, Malformed, connect, invoke
from hypothesis import strategies as st

_SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from([10**40, -(2**63), 2**64, 5e-324, 1e308, -0.0, "\ud800", "\0", "x" * 3_000, "\u2028", "a\r\nb: c"]),
)
_JSON = st.recursive(
    _SCALAR,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=8,
)
_EVENT_DAMAGE = st.one_of(
    st.builds(lambda at: lambda raw: raw[: at % (len(raw) or 1)], st.integers(0, 1_000)),
    st.builds(
        lambda at, more: lambda raw: raw[:at] + more + raw[at:], st.integers(0, 40), st.binary(min_size=1, max_size=6)
    ),
    st.sampled_from(
        [
            b",",
            b"}",
            b"\0",
            b"\xff",
            b"\xef\xbb\xbf",
            b"[" * 5_000,
            b"NaN",
            b"-Infinity",
            b"\xed\xa0\x80",
            b"01",
            b"\x7f",
            b"//",
        ]
    ).map(lambda more: lambda raw: more + raw),
)
_DRAWN_EVENTS = st.tuples(
    st.lists(_JSON, min_size=SIDE, max_size=SIDE),
    st.lists(_EVENT_DAMAGE, min_size=SIDE, max_size=SIDE),
    st.booleans(),
)


def _events(count: int) -> Iterator[bytes]:
    """Single values, pairs of them in a list and in an object; each tenth damaged."""
    made = 0
    for values, damages, is_ascii in draw(_DRAWN_EVENTS, -(-count // (SIDE + 2 * SIDE**2))):
        pairs = list(itertools.product(values, values))
        broken = itertools.cycle(damages)
        for event in [*values, *(list(pair) for pair in pairs), *({"a": a, "b": b} for a, b in pairs)]:
            raw = json.dumps(event, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
            if made < count:
                yield next(broken)(raw) if made % 10 == 9 else raw
            made += 1


async def events(server: Server, size: Size) -> Findings:
    """JSON, and what is nearly JSON, through the Invoke API: the same comes back, or AWS's refusal."""
    findings = Findings("events made by hypothesis")
    made = list(_events(size.events))
    counts: Counter[str] = Counter()
    wrong: list[str] = []

    async def send(some: Sequence[bytes]) -> None:
        connection = await connect(server.host, server.port)
        try:
            connection.send(b"".join(invoke("event", event) for event in some))
            for event in some:
                answer = await connection.read()
                how = _judged(event, answer)
                counts[how] += 1
                if how.startswith("wrong"):
                    wrong.append(f"{how}: {event[:300]!r} got {str(answer)[:300]}")
        except (Malformed, OSError, TimeoutError) as error:
            wrong.append(f"{type(error).__name__} {error}: one of {[event[:60] for event in some]!r}")
        finally:
            connection.close()

    took = await each([made[at : at + PIPELINED] for at in range(0, len(made), PIPELINED)], send)
    findings.show("events", len(made))
    findings.show("events a second", f"{len(made) / took:.0f}")
    findings.show("answers", told(counts))
    findings.promise(len(made) == size.events, "as many as were asked for", len(made))
    findings.promise_none(wrong, "each event comes back as it was, or is refused as AWS refuses it")
    findings.promise(server.is_alive, "the server lives")
    return findings


def _judged(event: bytes, answer: Answer | None) -> str:
    """How an event was answered; "wrong ..." when it should not have been so."""
    if answer is None:
        return "wrong: a close"
    parsed = _parsed(event or b"{}")
    if answer.status == 400 and b"Could not parse request body into json" in answer.body:
        if parsed is _NO_JSON:
            return "400"
        return "400 of half a surrogate pair" if _has_half_pair(parsed) else "wrong: a refusal of JSON"
    if answer.status != 200:
        return f"wrong: {answer.status}"
    if parsed is _NO_JSON:
        return "wrong: no refusal"
    if "x-amz-function-error" in answer.headers:  # half of a surrogate pair is JSON, but cannot be written as UTF-8
        is_half = b"Runtime.MarshalError" in answer.body and _has_half_pair(parsed)
        return "200, Runtime.MarshalError" if is_half else "wrong: a function error"
    return "200" if json.dumps(json.loads(answer.body)) == json.dumps(parsed) else "wrong: another value"


_NO_JSON = object()


def _parsed(raw: bytes) -> object:
    """The value by RFC 8259, which knows UTF-8 alone, no NaN and no byte order mark."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _NO_JSON


def _refuse(name: str) -> object:
    raise ValueError(name)


def _has_half_pair(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
