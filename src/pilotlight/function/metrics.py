"""Metrics of each invocation: a line in the log, written when the answer is out.

This module is loaded only where a function asks for it. The line is CloudWatch's Embedded Metric Format: CloudWatch
makes metrics of it, with percentiles, without a request of ours. Source: docs.aws.amazon.com/AmazonCloudWatch/latest/
monitoring/CloudWatch_Embedded_Metric_Format_Specification.html. It goes to stderr, in one write, as records do.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from time import perf_counter, time
from typing import Any, NamedTuple

from pilotlight.function import trace
from pilotlight.function.runtime import INITIALIZATION, METRICS, Handler
from pilotlight.function.runtime_client import Stream

NAMESPACE = "Pilotlight"
_LOG = 2  # stderr
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_OF_ALL = ({"Name": "Duration", "Unit": "Milliseconds"}, {"Name": "ColdStart", "Unit": "Count"},
           {"Name": "Errors", "Unit": "Count"})  # fmt: skip
_OF_COLD = (*_OF_ALL, {"Name": "InitDuration", "Unit": "Milliseconds"})


class Seen(NamedTuple):
    """One invocation. `ended` is in seconds since 1970; `error` is a type's name, "" for none; `status` None where the
    answer was none for HTTP. `init_seconds` are of the init phase before it, 0 where it was not the first."""

    request_id: str
    trace_id: str
    ended: float
    seconds: float
    is_cold: bool
    init_seconds: float
    error: str
    status: int | None

    @property
    def failed(self) -> bool:
        return bool(self.error) or (self.status or 0) >= 500


class Meter:
    """Measures invocations by way of `watch`; `tell` writes the line of the last one. `model` is the version of the
    function's model, "" for none.

    The function is the one dimension: each more would be another metric, which CloudWatch bills by the month. Request,
    trace and model are properties, to be found by Logs Insights.
    """

    def __init__(self, function: str, model: str, init_seconds: float = 0.0) -> None:
        self._function = function
        self._model = {"ModelVersion": model} if model else {}
        self._init_seconds = init_seconds
        self._is_cold = True
        self._begin()

    def _begin(self) -> None:
        self._start = self._end = perf_counter()
        self._error = "Runtime.UnmarshalError"  # unless the handler is called
        self._status: int | None = None

    def watch(self, handler: Handler) -> Handler:
        """The handler, of whose time, answer and error note is taken."""

        def watched(event: Any, context: Any) -> object:
            self._begin()
            try:
                answer = handler(event, context)
            except Exception as error:
                self._error = type(error).__name__
                raise
            finally:
                self._end = perf_counter()
            self._error, self._status = "", _status(answer)
            return answer._replace(chunks=self._followed(answer.chunks)) if isinstance(answer, Stream) else answer

        return watched

    def _followed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks of an answer, which is at its end when they are."""
        try:
            yield from chunks
        except Exception as error:
            self._error = type(error).__name__
            raise
        finally:
            self._end = perf_counter()

    def tell(self, request_id: str) -> None:
        """The answer of the invocation that was measured last is out. Nothing of this makes an invocation fail."""
        try:
            os.write(_LOG, self.line(self._seen(request_id)))
        except (OSError, ValueError) as error:
            sys.stderr.write(f"[WARNING] metrics of {request_id}: {error}\n")
        self._begin()

    def _seen(self, request_id: str) -> Seen:
        is_cold, self._is_cold = self._is_cold, False
        trace_id, init = os.environ.get("_X_AMZN_TRACE_ID", ""), self._init_seconds if is_cold else 0.0
        seconds = self._end - self._start
        return Seen(request_id, trace_id, time(), seconds, is_cold, init, self._error, self._status)

    def line(self, seen: Seen) -> bytes:
        metrics = _OF_COLD if seen.init_seconds else _OF_ALL
        directive = {"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": metrics}
        values: dict[str, object] = {
            "_aws": {"Timestamp": int(seen.ended * 1000), "CloudWatchMetrics": [directive]},
            "Function": self._function,
            "Duration": round(seen.seconds * 1000, 3),
            "ColdStart": int(seen.is_cold),
            "Errors": int(seen.failed),
            "RequestId": seen.request_id,
            **self._model,
        }
        if seen.init_seconds:
            values["InitDuration"] = round(seen.init_seconds * 1000, 3)
        if seen.trace_id:
            values["TraceId"] = seen.trace_id
        return _ENCODER.encode(values).encode() + b"\n"


def _status(answer: object) -> int | None:
    head = answer.head if isinstance(answer, Stream) else answer
    status = head.get("statusCode") if isinstance(head, Mapping) else None
    return status if isinstance(status, int) else None


def meter(environ: Mapping[str, str]) -> Meter:
    """What the environment's variables ask for. A snapshot's init phase was another process's, long ago."""
    is_restored = environ.get(INITIALIZATION) == "snap-start"
    began, loaded = (0, 0) if is_restored else trace.init()
    return Meter(environ.get("AWS_LAMBDA_FUNCTION_NAME", ""), environ[METRICS], (loaded - began) / 1e9)
