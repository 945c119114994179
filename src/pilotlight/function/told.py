"""Invocations as they ended, and who is told of them: metrics and traces, where a function asks for them.

Our loop tells when an answer is out, before the next event is asked for, so that no client waits for it; what it takes
is still time of the function, which Lambda bills. Spans are made by `otlp`, which is imported when the first answer is
out: a cold start pays for this module alone.
"""

from __future__ import annotations

import re
from _collections_abc import Mapping
from time import time_ns

from pilotlight.function.runtime_client import Event, RuntimeApi
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotlight.function.otlp import Exporter

    Tell = Callable[["Invocation"], None]
    """Raises nothing: a metric or a trace is no reason to fail, when the answer is out already."""

METRICS = "PILOTLIGHT_METRICS"  # set where metrics are written: the version of the model, or nothing
COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")  # set where invocations are traced
_END = 256  # bytes at each end of an answer that are kept: its status is beside the body
_STATUS = re.compile(rb'(?<!\\)"statusCode":\s*(\d{3})\b')


class Invocation(NamedTuple):
    """One that has ended. Times are in nanoseconds since the epoch. `answer` has the ends of what was answered. `init`
    is when the process began and `loaded` when its handler was there, 0 unless it is the first since then."""

    event: Event
    began: int
    ended: int
    answer: bytes = b""
    error: str = ""
    is_cold: bool = False
    init: int = 0
    loaded: int = 0

    @property
    def status(self) -> int | None:
        """What a front end takes for the status of the answer; None where it says none."""
        found = _STATUS.search(self.answer)
        return int(found[1]) if found else None

    @property
    def failed(self) -> bool:
        return bool(self.error) or (self.status or 0) >= 500


def is_traced(environ: Mapping[str, str]) -> bool:
    """Unless what OpenTelemetry calls so turns it off."""
    is_on = environ.get("OTEL_SDK_DISABLED", "").lower() != "true" and environ.get("OTEL_TRACES_EXPORTER") != "none"
    return is_on and any(environ.get(name) for name in COLLECTORS)


def tells(environ: Mapping[str, str]) -> Sequence[Tell]:
    """Whom the environment's variables name."""
    metrics: list[Tell] = []
    if METRICS in environ:
        from pilotlight.function.metrics import Lines

        metrics.append(Lines(environ.get("AWS_LAMBDA_FUNCTION_NAME", ""), environ[METRICS]))
    return [*metrics, *([_Spans()] if is_traced(environ) else [])]


class _Spans:
    """Sends spans, by a module that is loaded for the first of them."""

    def __init__(self) -> None:
        self._exporter: Exporter | None = None

    def __call__(self, invocation: Invocation) -> None:
        if self._exporter is None:
            from pilotlight.function.otlp import make

            self._exporter = make()
        self._exporter.export(invocation)


def status_of(answer: object) -> bytes:
    """As much of an answer that is not bytes yet as `Invocation` needs."""
    status = answer.get("statusCode") if isinstance(answer, Mapping) else None
    return b'{"statusCode": %d}' % status if isinstance(status, int) else b""


class TellingApi:
    """Does what `api` does, and tells of an invocation when its answer is out, before the next event is asked for."""

    def __init__(self, api: RuntimeApi, told: Sequence[Tell], init: int = 0, loaded: int = 0) -> None:
        self._api = api
        self._told = told
        self._is_cold, self._init, self._loaded = True, init, loaded
        self._event, self._began, self._head = Event("", b""), 0, b""

    def next(self) -> Event:
        self._event = self._api.next()
        self._began = time_ns()
        return self._event

    def respond(self, request_id: str, payload: bytes) -> None:
        ended = time_ns()
        self._api.respond(request_id, payload)
        self._end(ended, payload if len(payload) <= 2 * _END else payload[:_END] + b"\n" + payload[-_END:])

    def fail(self, request_id: str, error: Mapping[str, object]) -> None:
        ended = time_ns()
        self._api.fail(request_id, error)
        self._end(ended, error=str(error["errorType"]))

    def begin_stream(self, request_id: str, head: Mapping[str, object]) -> None:
        self._head = status_of({"statusCode": 200, **head})
        self._api.begin_stream(request_id, head)

    def send_chunk(self, chunk: bytes) -> None:
        self._api.send_chunk(chunk)

    def end_stream(self, error: Mapping[str, object] | None = None) -> None:
        self._api.end_stream(error)
        self._end(time_ns(), self._head, str(error["errorType"]) if error else "")

    def flush(self) -> None:
        self._api.flush()

    def _end(self, ended: int, answer: bytes = b"", error: str = "") -> None:
        self._api.flush()  # the answer waits for nobody who is told
        invocation = Invocation(self._event, self._began, ended, answer, error, self._is_cold, self._init, self._loaded)
        self._is_cold, self._init, self._loaded = False, 0, 0
        for tell in self._told:
            tell(invocation)
