"""One invocation of an environment: who waits for it, and what they have got so far."""

import asyncio
import binascii
import time
from collections.abc import Mapping

from pilotlight.local import report
from pilotlight.local.runtime_api import Connection
from pilotlight.local.streams import Stream
from pilotlight.values import Call, Result


class Invocation:
    """`answered` says whether the function has answered: for a streamed answer, to its end. `waited` is how long it had
    no environment, in seconds."""

    __slots__ = ("answered", "began", "client", "request_id", "result", "source", "stream", "tail", "timer", "waited")

    client: Connection  # that has the event
    timer: asyncio.TimerHandle  # of its timeout

    def __init__(self, call: Call, result: asyncio.Future[Result], waited: float = 0.0) -> None:
        self.request_id = call.request_id
        self.tail = call.tail
        self.waited = waited
        self.result = result
        self.began = time.perf_counter()
        self.answered = False
        self.stream: Stream | None = None
        self.source: Connection | None = None  # of the stream

    def begin(self, stream: Stream, source: Connection) -> None:
        """The answer begins, and comes as a stream."""
        self.stream, self.source = stream, source
        if self.result.done():
            stream.drop()  # nobody waits for it any more
        else:
            self.result.set_result(Result(b"", request_id=self.request_id, stream=stream))

    def end(self, result: Result) -> None:
        """The whole answer is there, or what was streamed has ended."""
        self.answered = True
        if self.stream is not None:
            self.stream.end(result)
        elif not self.result.done():  # done: nobody waits for it any more
            self.result.set_result(result)


def from_trailers(trailers: Mapping[str, str]) -> Result:
    """How a streamed answer ended, as the runtime says it after the last chunk."""
    kind = trailers.get("lambda-runtime-function-error-type", "")
    if not kind:
        return Result(b"")
    try:
        body = binascii.a2b_base64(trailers["lambda-runtime-function-error-body"], strict_mode=True)
    except (KeyError, ValueError):
        return report.failure(kind, "Error: the answer broke off")
    return Result(body, "Unhandled")
