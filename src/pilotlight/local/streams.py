"""Answers on their way: from the connection of a runtime to the caller, chunk by chunk.

Sources: docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html, docs.aws.amazon.com/apigateway/
latest/developerguide/response-transfer-mode.html.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from pilotlight import fronts, limits
from pilotlight.events import Response
from pilotlight.fronts import MalformedResult
from pilotlight.local.report import failure
from pilotlight.values import Result
from pilotlight.values import Stream as AnyStream

_HIGH, _LOW = 65_536, 16_384  # bytes that wait when reading stops, and when it goes on
_PRELUDE = "application/vnd.awslambda.http-integration-response"
_PRELUDE_END = bytes(8)
_PRELUDE_SIZES = {"url": 65_536, "rest": limits.STREAM_PRELUDE_REST}  # of a URL: more than headers have (belief)


class Stream:
    """The body of a streamed answer: `values.Stream`. One side writes and ends it, the other reads.

    While more waits than a little, the connection of the writer is not read: a function is as fast as its client. What
    nobody reads any more is dropped, and the function runs on, as on Lambda.
    """

    def __init__(self, content_type: str, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self.content_type = content_type
        self.ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._pause = pause
        self._resume = resume
        self._chunks: deque[bytes] = deque()
        self.size = 0  # bytes that were written
        self._waiting = 0  # bytes
        self._changed = asyncio.Event()
        self._is_dropped = False

    @property
    def is_too_large(self) -> bool:
        return self.size > limits.STREAMED_PAYLOAD

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.is_too_large:
            self.end(too_large(limits.STREAMED_PAYLOAD))
        if self._is_dropped or self.ended.done():
            return
        self._chunks.append(chunk)
        self._waiting += len(chunk)
        self._changed.set()
        if self._waiting > _HIGH:
            self._pause()

    def end(self, result: Result) -> None:
        """Nothing more comes; only the first end counts. With an error the answer is not whole."""
        if not self.ended.done():
            self.ended.set_result(result)
            self._changed.set()
            self._resume()

    def drop(self) -> None:
        """Nobody reads it any more."""
        self._is_dropped = True
        self._chunks.clear()
        self._resume()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while self._chunks or not self.ended.done():
                if not self._chunks:
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                chunk = self._chunks.popleft()
                self._waiting -= len(chunk)
                if self._waiting < _LOW:
                    self._resume()
                yield chunk
        finally:
            self.drop()


def nothing() -> None: ...


class Streamed(NamedTuple):
    """A response whose body is still being made; that of `head` is empty. `chunks` raises `Cut` when it breaks off.

    One that ends when its reader does has `close`, which is called when the reader is gone or the server stops: then
    `chunks` end. Without it they are read to their end, whether somebody takes them or not."""

    head: Response
    chunks: AsyncIterator[bytes]
    close: Callable[[], None] = nothing


class Cut(Exception):
    """The function failed in the middle of its answer."""


def too_large(limit: int) -> Result:
    text = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
    return failure("Function.ResponseSizeTooLarge", text)


async def collected(result: Result) -> Result:
    """The whole answer, for callers that do not stream."""
    if result.stream is None:
        return result
    chunks, size = [], 0
    async for chunk in result.stream:
        size += len(chunk)
        if size <= limits.PAYLOAD:
            chunks.append(chunk)
    end = result.stream.ended.result()
    if end.error:
        return end
    if size > limits.PAYLOAD:
        return too_large(limits.PAYLOAD)._replace(request_id=end.request_id, log=end.log)
    return end._replace(payload=b"".join(chunks))


async def opened(stream: AnyStream, front: str = "url") -> Streamed:
    """What a function URL or a REST API makes of a streamed answer: a prelude gives status and headers.

    Without one a function URL takes all for the body, and a REST API refuses it. Raises `MalformedResult` then, and for
    a prelude that is not whole.
    """
    chunks = aiter(stream)
    if stream.content_type != _PRELUDE:
        if front == "rest":
            raise MalformedResult("a REST API needs the prelude of a streamed answer")
        kind = stream.content_type or "application/octet-stream"
        return Streamed(Response(200, (("content-type", kind),)), _body(b"", chunks, stream))
    read = b""
    async for chunk in chunks:
        head, end, rest = (read + chunk).partition(_PRELUDE_END)
        if end:
            return Streamed(fronts.from_head(head, front), _body(rest, chunks, stream))
        read = head
        if len(read) > _PRELUDE_SIZES[front]:
            break
    raise MalformedResult("the answer has no whole prelude")


async def _body(first: bytes, chunks: AsyncIterator[bytes], stream: AnyStream) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in chunks:
        yield chunk
    if stream.ended.result().error:
        raise Cut


async def paced(
    chunks: AsyncIterator[bytes],
    free: int,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[bytes]:
    """The chunks with AWS's bandwidth: the first `free` bytes as they come, then so many a second."""
    ready = 0.0
    async for chunk in chunks:
        free -= len(chunk)
        if free < 0:
            wait = ready - now()
            if wait > 0:
                await sleep(wait)
            ready = now() + min(len(chunk), -free) / limits.STREAM_RATE
        yield chunk


async def timed(
    chunks: AsyncIterator[bytes], idle: float, end: float, now: Callable[[], float] = time.monotonic
) -> AsyncIterator[bytes]:
    """The chunks as long as one comes within `idle` seconds, and before the time `end`; then `Cut`."""
    while True:
        try:
            async with asyncio.timeout(max(0.0, min(idle, end - now()))):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Cut from None
        yield chunk


_reading: set[asyncio.Task[None]] = set()  # the event loop itself holds tasks weakly


def read_out(streamed: Streamed) -> None:
    """Read a body that nobody gets to its end, beside whatever comes next."""

    async def read() -> None:
        with contextlib.suppress(Cut):
            async for _ in streamed.chunks:
                pass

    task = asyncio.get_running_loop().create_task(read())
    _reading.add(task)
    task.add_done_callback(_reading.discard)
