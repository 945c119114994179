"""Metrics of an invocation: a line in the log, in CloudWatch's Embedded Metric Format.

CloudWatch makes metrics of such lines, with percentiles, without a request of ours. Source: docs.aws.amazon.com/
AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html. They go to stderr, each in one
write, as records do.
"""

from __future__ import annotations

import os

from pilotlight.function import plain_json
from pilotlight.function.told import Invocation

NAMESPACE = "Pilotlight"
_LOG = 2  # stderr
_OF_ALL = ({"Name": "Duration", "Unit": "Milliseconds"}, {"Name": "ColdStart", "Unit": "Count"},
           {"Name": "Errors", "Unit": "Count"})  # fmt: skip
_OF_COLD = (*_OF_ALL, {"Name": "InitDuration", "Unit": "Milliseconds"})


class Lines:
    """Writes a line for each invocation. `model` is the version of the function's model, "" for none.

    The function is the one dimension: each more would be another metric, which CloudWatch bills by the month. Request,
    trace and model are properties, to be found by Logs Insights.
    """

    def __init__(self, function: str, model: str) -> None:
        self._function = function
        self._model = {"ModelVersion": model} if model else {}

    def __call__(self, invocation: Invocation) -> None:
        try:  # noqa: SIM105 (contextlib is not loaded yet)
            os.write(_LOG, self.line(invocation))
        except OSError:  # nobody reads the log
            pass

    def line(self, invocation: Invocation) -> bytes:
        metrics = _OF_COLD if invocation.init else _OF_ALL
        directive = {"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": metrics}
        values: dict[str, object] = {
            "_aws": {"Timestamp": invocation.ended // 1_000_000, "CloudWatchMetrics": [directive]},
            "Function": self._function,
            "Duration": _milliseconds(invocation.began, invocation.ended),
            "ColdStart": int(invocation.is_cold),
            "Errors": int(invocation.failed),
            "RequestId": invocation.event.request_id,
            **self._model,
        }
        if invocation.init:
            values["InitDuration"] = _milliseconds(invocation.init, invocation.loaded)
        if invocation.event.trace_id:
            values["TraceId"] = invocation.event.trace_id
        return plain_json.dumps(values, compact=True).encode() + b"\n"


def _milliseconds(began: int, ended: int) -> float:
    return round((ended - began) / 1e6, 3)
