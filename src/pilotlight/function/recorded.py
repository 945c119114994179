"""The handler that `awslambdaric` is given where invocations are recorded or measured: the user's, and what it tells.

PILOTLIGHT_HANDLER names the user's handler. This module offers its name, and what `awslambdaric` says of a module that
cannot be imported or of a name that is missing stays true.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pilotlight.function import records
from pilotlight.function.runtime import HANDLER, RECORDS, meter_of

_module = import_module(os.environ[HANDLER].rpartition(".")[0].replace("/", "."))


def __getattr__(name: str) -> object:
    handler = getattr(_module, name)
    if not callable(handler):
        return handler
    return _measured(_Recorded(handler) if RECORDS in os.environ else handler)


def _measured(handler: Any) -> Any:
    """Here it is told before the answer is out: `awslambdaric` posts that itself."""
    meter = meter_of(os.environ)
    if meter is None:
        return handler
    watched = meter.watch(handler)

    def called(event: Any, context: Any) -> object:
        try:
            return watched(event, context)
        finally:
            meter.tell(context.aws_request_id)

    return called


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
