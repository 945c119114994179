"""What the time of each invocation goes to, where a process is traced: around the Runtime API's client and the handler.

"decode"    from the event to the handler
"handler"   the handler; within it are the spans of models, tokenizers and pictures
"encode"    from the handler's end to the answer as bytes
"respond"   what is done with it before it is sent: its record, metrics

The mark "cpu" is the processor time of all invocations after the first, in nanoseconds.
"""

from __future__ import annotations

from time import monotonic_ns, process_time_ns

from pilotlight.function import trace
from pilotlight.function.runtime_client import Event, RuntimeApi

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pilotlight.function.runtime import Handler
    from pilotlight.function.told import TellingApi


class TracedApi:
    """The Runtime API's client, of which note is taken."""

    def __init__(self, api: RuntimeApi | TellingApi) -> None:
        self._api: Any = api
        self._at = self._cpu = 0

    def next(self) -> Event:
        event: Event = self._api.next()
        self._at = monotonic_ns()
        return event

    def respond(self, request_id: str, payload: bytes) -> None:
        self._note("encode")
        self._api.respond(request_id, payload)
        self._note("respond")
        self._end()

    def end_stream(self, error: Mapping[str, object] | None = None) -> None:
        self._note("handler")  # which has made the answer until now
        self._api.end_stream(error)
        self._note("respond")
        self._end()

    def fail(self, request_id: str, error: Mapping[str, object]) -> None:
        self._api.fail(request_id, error)
        self._end()

    def _end(self) -> None:
        self._cpu = self._cpu or process_time_ns()
        if trace.is_due():
            self._api.flush()
            trace.mark("cpu", process_time_ns() - self._cpu)
            trace.write()

    def watch(self, handler: Handler) -> Handler:
        """The handler, of which note is taken."""

        def watched(event: Any, context: Any) -> object:
            self._note("decode")
            try:
                return handler(event, context)
            finally:
                self._note("handler")

        return watched

    def _note(self, name: str) -> None:
        began, self._at = self._at, monotonic_ns()
        trace.note(name, began, self._at)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)
