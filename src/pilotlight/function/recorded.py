"""The handler that `awslambdaric` is given where invocations are recorded or measured: the user's, and what it tells.

PILOTLIGHT_HANDLER names the user's handler. This module offers its name, and what `awslambdaric` says of a module that
cannot be imported or of a name that is missing stays true.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import import_module
from time import time_ns
from typing import Any

from pilotlight.function import records
from pilotlight.function.metrics import Lines
from pilotlight.function.runtime import HANDLER, RECORDS
from pilotlight.function.runtime_client import Event
from pilotlight.function.told import METRICS, Invocation, status_of

_module = import_module(os.environ[HANDLER].rpartition(".")[0].replace("/", "."))


def __getattr__(name: str) -> object:
    handler = getattr(_module, name)
    if not callable(handler):
        return handler
    told = _Recorded(handler) if RECORDS in os.environ else handler
    return _Measured(told) if METRICS in os.environ else told


class _Measured:
    """Here it is told before the answer is out: `awslambdaric` posts that itself."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._write = Lines(os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""), os.environ[METRICS])
        self._is_cold = True

    def __call__(self, event: Any, context: Any) -> object:
        began, answer, raised = time_ns(), None, ""
        try:
            answer = self._handler(event, context)
            return answer
        except Exception as error:
            raised = type(error).__name__
            raise
        finally:
            told = Event(context.aws_request_id, b"", trace_id=os.environ.get("_X_AMZN_TRACE_ID", ""))
            self._write(Invocation(told, began, time_ns(), status_of(answer), raised, self._is_cold))
            self._is_cold = False


class _Recorded:
    def __init__(self, handler: Any) -> None:
        self._recorder, self._store = records.make(os.environ)
        self._handler = self._recorder.watch(handler)

    def __call__(self, event: Any, context: Any) -> object:
        self._recorder.begin(_json(event))
        try:
            answer = self._handler(event, context)
        except Exception as error:
            told = {"errorType": type(error).__name__, "errorMessage": str(error)}
            self._keep(context, lambda: self._recorder.failed(context.aws_request_id, told))
            raise
        self._keep(context, lambda: self._recorder.answered(context.aws_request_id, _json(answer)))
        return answer

    def _keep(self, context: Any, make: Callable[[], str]) -> None:
        seconds, request_id = context.get_remaining_time_in_millis() / 1000, context.aws_request_id
        records.guarded(request_id, lambda: records.keep(self._store, request_id, make(), seconds))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace")
