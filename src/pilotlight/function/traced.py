"""The Runtime API's client of a function whose invocations are traced: it notes when each began and ended.

What becomes of that, spans of OpenTelemetry, is made and sent by `otlp`, which is imported when the first answer is
out: a cold start pays for this module alone.
"""

from collections.abc import Mapping
from time import time_ns
from typing import TYPE_CHECKING, NamedTuple

from pilotlight.function.runtime_client import Event, RuntimeApi

if TYPE_CHECKING:
    from pilotlight.function.otlp import Exporter

_HEAD = 256  # bytes of an answer that are kept: its status comes first


class Invocation(NamedTuple):
    """One that has ended. Times are in nanoseconds since the epoch; `init` is when the process began, 0 unless cold."""

    event: Event
    began: int
    ended: int
    answer: bytes = b""
    error: str = ""
    init: int = 0
    loaded: int = 0


class TracedApi:
    """Does what `api` does, and sends a span when an answer is out, before the next event is asked for."""

    def __init__(self, api: RuntimeApi, init: int = 0, loaded: int = 0) -> None:
        self._api = api
        self._init, self._loaded = init, loaded
        self._event, self._began, self._head = Event("", b""), 0, b""
        self._exporter: Exporter | None = None

    def next(self) -> Event:
        self._event = self._api.next()
        self._began = time_ns()
        return self._event

    def respond(self, request_id: str, payload: bytes) -> None:
        ended = time_ns()
        self._api.respond(request_id, payload)
        self._end(ended, payload[:_HEAD])

    def fail(self, request_id: str, error: Mapping[str, object]) -> None:
        ended = time_ns()
        self._api.fail(request_id, error)
        self._end(ended, error=str(error["errorType"]))

    def begin_stream(self, request_id: str, head: Mapping[str, object]) -> None:
        self._head = b'{"statusCode": %d}' % int(str(head.get("statusCode", 200)))
        self._api.begin_stream(request_id, head)

    def send_chunk(self, chunk: bytes) -> None:
        self._api.send_chunk(chunk)

    def end_stream(self, error: Mapping[str, object] | None = None) -> None:
        self._api.end_stream(error)
        self._end(time_ns(), self._head, str(error["errorType"]) if error else "")

    def flush(self) -> None:
        self._api.flush()

    def _end(self, ended: int, answer: bytes = b"", error: str = "") -> None:
        self._api.flush()  # the answer waits for no collector
        invocation = Invocation(self._event, self._began, ended, answer, error, self._init, self._loaded)
        if self._exporter is None:
            from pilotlight.function.otlp import make

            self._exporter = make()
        self._exporter.export(invocation)
        self._init = self._loaded = 0
