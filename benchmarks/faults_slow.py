"""Clients that are slow, rude or gone: what they hold must be little, and nobody else may notice."""

import asyncio
import contextlib
import json
import resource
import time
from collections.abc import Iterable

from faults_findings import Findings, Size
from faults_kills import beside
from faults_server import Server
from faults_wire import Answer, Connection, Malformed, ask, connect, echo

_HALF = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n" + b"x" * 500
_LARGE = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n"
_STREAM = b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n"
_SHORT_STREAM = b"GET /stream?pieces=100 HTTP/1.1\r\nhost: x\r\n\r\n"


async def slow_clients(server: Server, size: Size) -> Findings:
    findings = Findings("slow and rude clients")
    async with beside(server, findings):
        for scene in (drips, endless_heads, silences, half_bodies, surplus, pipelines, deaf_clients, resets, crowd):
            await scene(server, size, findings)
    left = await _left(server)
    findings.promise(left == 0, "the server closes what its clients have closed", f"{left} connections are open")
    return findings


async def _left(server: Server, seconds: float = 10) -> int:
    """How many connections the server still has when it has had some time."""
    until = time.monotonic() + seconds
    while server.connections() and time.monotonic() < until:
        await asyncio.sleep(0.1)
    return server.connections()


async def _open(server: Server, count: int) -> list[Connection]:
    opened: list[Connection] = []
    while len(opened) < count:
        some = min(100, count - len(opened))
        opened += await asyncio.gather(*(connect(server.host, server.port, 1 << 16) for _ in range(some)))
    return opened


def _close(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.close()


async def _is_served(server: Server, findings: Findings, when: str) -> None:
    answer = await ask(server.host, server.port, echo("mine"))
    findings.promise(answer is not None and answer.status == 200, f"{when} another client is served", answer)


async def drips(server: Server, size: Size, findings: Findings) -> None:
    """Slowloris: a byte of the head now and then, never the end of it."""
    connections = await _open(server, size.slow_clients)
    for byte in (b"P", b"O", b"S", b"T", b" "):
        for connection in connections:
            connection.send(byte)
        await asyncio.sleep(0.2)
    await _is_served(server, findings, f"with {size.slow_clients} heads that come byte by byte")
    finished = connections[0]
    finished.send(echo("late").removeprefix(b"POST "))
    answer = await finished.read()
    findings.promise(answer is not None and answer.status == 200, "a slow head is answered once it is whole", answer)
    _close(connections)


async def endless_heads(server: Server, size: Size, findings: Findings) -> None:
    """A header of 30 MB: API Gateway takes 10 KB of head."""
    memory = server.sample().rss
    connection = await connect(server.host, server.port)
    with contextlib.suppress(ConnectionError):
        connection.send(b"GET /mirror HTTP/1.1\r\nx-endless: ")
        for _ in range(30):
            connection.send(b"y" * 1_000_000)
            await connection.drain()
    await _is_served(server, findings, "beside a head without end")
    grown = server.sample().rss - memory
    findings.show("memory for a head without end", f"{grown:.1f} MB")
    findings.promise(grown < 8, "memory for a head is bounded", f"{grown:.1f} MB")
    connection.close()


async def silences(server: Server, size: Size, findings: Findings) -> None:
    """Half a body, then nothing."""
    connections = await _open(server, size.slow_clients)
    for connection in connections:
        connection.send(_HALF)
    await asyncio.sleep(0.5)
    await _is_served(server, findings, f"with {size.slow_clients} half bodies")
    _close(connections)


async def half_bodies(server: Server, size: Size, findings: Findings) -> None:
    """Half a body, then the end of it: no request, so no answer, and the function is not run."""
    connections = await _open(server, size.slow_clients)
    for connection in connections:
        connection.send(_HALF)
        connection.half_close()
    closed = await asyncio.gather(*(_ends(connection) for connection in connections))
    findings.promise(all(closed), "half a body gets a close or an error", closed.count(False))
    _close(connections)


async def _ends(connection: Connection) -> bool:
    """Whether the connection ends cleanly, after an answer that refuses, if there is one."""
    with contextlib.suppress(ConnectionError):
        answer = await connection.read()
        if answer is not None and answer.status < 400:
            return False
    return await connection.is_closed()


async def surplus(server: Server, size: Size, findings: Findings) -> None:
    """More body than was announced: the rest is read as another request, and is none."""
    connection = await connect(server.host, server.port)
    connection.send(echo("own") + b"\0\1\2 surplus\r\n\r\n")
    first = await connection.read()
    findings.promise(_token(first) == "own", "a request before surplus bytes has its own answer", first)
    findings.promise(await _ends(connection), "surplus bytes are refused or closed upon")
    connection.close()


async def pipelines(server: Server, size: Size, findings: Findings) -> None:
    """Many requests in one write: as many answers, in their order."""
    connection = await connect(server.host, server.port)
    connection.send(b"".join(echo(f"p{number}") for number in range(50)))
    got = [_token(await connection.read()) for _ in range(50)]
    findings.promise(got == [f"p{number}" for number in range(50)], "pipelined requests are answered in order", got)
    connection.close()


def _token(answer: Answer | None) -> str:
    return str(json.loads(answer.body).get("token")) if answer is not None and answer.status == 200 else str(answer)


async def deaf_clients(server: Server, size: Size, findings: Findings) -> None:
    """Ask for a large answer, whole or streamed, and read none of it."""
    scenes = (("an answer of 6 MB", _LARGE, 16, _LARGE), ("a streamed answer", _STREAM, 2, _SHORT_STREAM))
    for name, request, share, again in scenes:
        await _is_served(server, findings, f"before {name} that nobody reads")
        memory = server.sample().rss
        connections = await _open(server, size.readers)
        for connection in connections:
            connection.pause()
            connection.send(request)
        await asyncio.sleep(1.5)
        await _is_served(server, findings, f"with {size.readers} clients that do not read {name}")
        grown = server.sample().rss - memory
        findings.show(f"memory for each client that does not read {name}", f"{grown / size.readers:.1f} MB")
        findings.promise(grown < size.readers * share + 16, f"memory for {name} unread is bounded", f"{grown:.0f} MB")
        _close(connections)
        freed = await _answers(server, again)
        findings.promise(freed, f"{name} can be had again when those clients are gone")


async def _answers(server: Server, request: bytes) -> bool:
    """Whether a client that reads gets the whole answer."""
    connection = await connect(server.host, server.port, 1 << 20)
    connection.send(request)
    try:
        answer = await connection.read("GET", 30)
    except (Malformed, TimeoutError):
        return False
    finally:
        connection.close()
    return answer is not None and answer.status == 200 and len(answer.body) >= 6_000_000


async def resets(server: Server, size: Size, findings: Findings) -> None:
    """RST in the middle of an answer."""
    for request in (_LARGE, _STREAM):
        connections = await _open(server, size.readers)
        for connection in connections:
            connection.send(request)
        await asyncio.gather(*(connection.reader.read(1_000) for connection in connections))
        for connection in connections:
            connection.reset()
        await _is_served(server, findings, f"after {size.readers} resets in the middle of an answer")


async def crowd(server: Server, size: Size, findings: Findings) -> None:
    """Idle connections, as many as the limit of descriptors lets this client have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(size.idle_connections, hard - 500)
    connections = await _open(server, count)
    await _is_served(server, findings, f"with {count} idle connections")
    sample = server.sample()
    findings.show("idle connections, and the server's descriptors with them", f"{count}, {sample.descriptors}")
    last = connections[-1]
    last.send(echo("last"))
    findings.promise(_token(await last.read()) == "last", "the last of them is served")
    _close(connections)
