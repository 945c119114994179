"""Spans of OpenTelemetry, sent as OTLP/HTTP JSON when an answer is out: for functions with a collector's address.

Never fails an invocation: what cannot be sent is said in the log, kept for the next try and dropped beyond some spans.
Variables: opentelemetry.io/docs/specs/otel/protocol/exporter. Protocol: opentelemetry.io/docs/specs/otlp. Names of
attributes: opentelemetry.io/docs/specs/semconv/faas and .../http.
"""

import json
import os
import sys
from collections.abc import Mapping
from time import monotonic, time

from pilotlight.function.http1 import Connection, Endpoint, parse, request
from pilotlight.function.otlp_spans import Sampler, resource, spans
from pilotlight.function.told import Invocation

_TIMEOUT = 1.0  # seconds that sending may take; OpenTelemetry's own 10 would be paid for at each invocation
_MARGIN = 0.1  # seconds of an invocation's time that are left alone
_KEPT = 256  # spans that wait for a collector
_PAUSES = (1.0, 60.0)  # seconds without a try after the first failure, and at most
_AGAIN = (429, 502, 503, 504)  # what may be sent again: opentelemetry.io/docs/specs/otlp/#retryable-response-codes
_LOG = "traces were not sent"


class _Bounded(Connection):
    """A connection whose whole exchange takes `seconds` at most, however slowly bytes come."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        self._end = monotonic() + seconds
        super().__init__(endpoint, "the collector", seconds)

    def _more(self, where: str = "") -> None:
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError("the collector took too long")
        self._socket.settimeout(left)
        super()._more(where)


class Exporter:
    """Sends the spans of invocations to one collector."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float, environ: Mapping[str, str]) -> None:
        self._url, self._headers, self._timeout = url, headers, timeout
        self._resource = resource(environ)
        self._sampler = Sampler.of(environ)
        self._spans: list[dict[str, object]] = []
        self._pause, self._not_before = 0.0, 0.0

    def export(self, invocation: Invocation) -> None:
        """Make the spans of an invocation and send them, with those that wait. Raises nothing."""
        try:
            self._spans = [*self._spans, *spans(invocation, self._sampler)][-_KEPT:]
            left = invocation.event.deadline / 1000 - time() - _MARGIN
            seconds = min(self._timeout, left) if invocation.event.deadline else self._timeout
            if self._spans and seconds > 0 and monotonic() >= self._not_before:
                self._send(seconds)
        except Exception as error:  # a trace is no reason to fail: the answer is out already
            self._wait(0.0, str(error) or type(error).__name__)

    def _send(self, seconds: float) -> None:
        endpoint = parse(self._url)
        connection = _Bounded(endpoint, seconds)
        try:
            answer = connection.exchange(request("POST", endpoint, "", self._headers, self._body()))
        finally:
            connection.close()
        if answer.status in _AGAIN:
            after = answer.headers.get("retry-after", "")
            return self._wait(float(after) if after.isdecimal() else 0.0, f"the collector answered {answer.status}")
        self._spans = []
        self._pause = 0.0
        if answer.status >= 300:
            _say(f"the collector answered {answer.status}")

    def _body(self) -> bytes:
        scope = {"scope": {"name": "pilotlight"}, "spans": self._spans}
        sent = {"resourceSpans": [{"resource": self._resource, "scopeSpans": [scope]}]}
        return json.dumps(sent, separators=(",", ":")).encode()

    def _wait(self, seconds: float, reason: str) -> None:
        first, most = _PAUSES
        self._pause = min(most, self._pause * 2 or first)
        self._not_before = monotonic() + max(self._pause, min(seconds, most))
        _say(reason)


def make() -> Exporter:
    """The exporter that the environment's variables ask for."""
    environ = os.environ
    own = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    url = own or f"{environ.get('OTEL_EXPORTER_OTLP_ENDPOINT', '').rstrip('/')}/v1/traces"
    timeout = _of(environ, "TIMEOUT")
    seconds = int(timeout) / 1000 if timeout.isdecimal() else _TIMEOUT
    return Exporter(url, {**headers(_of(environ, "HEADERS")), "Content-Type": "application/json"}, seconds, environ)


def _of(environ: Mapping[str, str], name: str) -> str:
    return environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")


def headers(text: str) -> dict[str, str]:
    """ "api-key=a%20b,x=1" as headers; what is none is left out."""
    from pilotlight.function.otlp_spans import pairs

    return {name: value for name, value in pairs(text) if value.isprintable() and name.isprintable()}


def _say(reason: str) -> None:
    sys.stderr.write(f"{_LOG}: {reason}\n")
    sys.stderr.flush()
