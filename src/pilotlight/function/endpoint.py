"""`@endpoint`: a typed function becomes a Lambda handler.

    @endpoint
    def handler(question: str, context: str, top: int = 1) -> list[Answer]:
        '''Answer a question from a passage.'''

`handler(event, context)` takes what API Gateway (1.0 and 2.0) and function URLs send and answers with a proxy response;
a bare event, a JSON object of fields, is answered with the bare value. `handler.function(question, passage)` is the
function itself, for unit tests. How parameters are found is told in `binding`, what a body may be in `bodies`, how
values are read in `decode` and written in `encode`.
"""

from __future__ import annotations

import os
import sys
from types import AsyncGeneratorType, CoroutineType, GeneratorType

from pilotlight import events
from pilotlight.errors import InputError, InputTooLarge, ModelNotInstalled, UnsupportedMediaType
from pilotlight.events import Response
from pilotlight.function.binding import Binding
from pilotlight.function.encode import checked, joined, json_response, opened, to_bare, to_response

TYPE_CHECKING = False

if TYPE_CHECKING:
    from asyncio import Runner
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Mapping
    from typing import Any, Generic, ParamSpec, TypeVar

    from pilotlight.function.runtime_client import Stream

    _P = ParamSpec("_P")
    _R = TypeVar("_R")
    _T = TypeVar("_T")
else:
    _P = _R = None

    class Generic:
        def __class_getitem__(cls, _):
            return cls


_FOLDER = __file__.removesuffix("endpoint.py")
_CORS = "PILOTLIGHT_CORS"  # cors.VARIABLE, whose module is loaded where it is set
_runner: Runner | None = None


class Endpoint(Generic[_P, _R]):
    """A Lambda handler around `function`. Raises `errors.FunctionError` when the function's parameters cannot be bound.

    Behind HTTP nothing is raised: a request that does not fit is 400 (415 for what nothing here reads, 413 for
    `errors.InputTooLarge`) with `{"message", "errors": [{"field", "reason"}], "requestId"}`; a model that is not
    installed is 503 with the command that installs it; any other exception is logged with its traceback and answered
    500. For a bare event `errors.InputError` and whatever the function raises go to the runtime, which reports them.

    What a generator yields is joined, except behind a function URL that streams, which `context.can_stream` says: there
    the answer is a `runtime_client.Stream`. A `Response` yielded first gives status and headers.
    """

    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[_P, _R]) -> None:
        self.function = function
        self.binding = Binding(function)
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(self, name, getattr(function, name))

    def __call__(self, event: Any, context: Any = None) -> Any:
        if not events.is_http(event):
            arguments, keywords = self.binding.of_event(event, context)
            return to_bare(_whole(self._result(arguments, keywords)))
        streams = getattr(context, "can_stream", False)
        answer = _Answer(event, streams)
        try:
            arguments, keywords = self.binding.of_request(events.from_event(event), context)
            result = self._result(arguments, keywords)
            if streams and isinstance(result, GeneratorType):
                return answer.stream(*opened(result))
            return answer.whole(checked(to_response(_whole(result))))
        except Exception as error:  # the boundary between the user's code and HTTP
            if records := sys.modules.get("pilotlight.function.records"):
                records.note(error)
            return answer.whole(_failure(error, str(getattr(context, "aws_request_id", ""))))

    def _result(self, arguments: list[Any], keywords: dict[str, Any]) -> object:
        result: object = self.function(*arguments, **keywords)
        if isinstance(result, CoroutineType):
            result = _completed(result)
        return _steps(result) if isinstance(result, AsyncGeneratorType) else result


def endpoint(function: Callable[_P, _R]) -> Endpoint[_P, _R]:
    """Make a typed function a Lambda handler. Raises `errors.FunctionError` when its parameters cannot be bound."""
    return Endpoint(function)


def _whole(result: object) -> object:
    return joined(result) if isinstance(result, GeneratorType) else result


class _Answer:
    """How an event is answered. Behind a REST API on AWS the answer has the headers of CORS, see `cors`."""

    def __init__(self, event: Mapping[str, object], streams: bool) -> None:
        self._event = event
        self._version = events.version(event)
        self._streams = streams

    def whole(self, response: Response) -> object:
        """Where the function's URL streams, every answer does: AWS reads status and headers of no other (belief)."""
        if self._streams:
            return self.stream(response, iter((response.body,)))
        return events.to_result(self._shared(response), self._version)

    def stream(self, head: Response, chunks: Iterator[bytes]) -> Stream:
        from pilotlight.function.runtime_client import Stream

        return Stream(events.to_head(self._shared(head)), filter(None, chunks))

    def _shared(self, response: Response) -> Response:
        if self._version != "1.0" or _CORS not in os.environ:
            return response
        from pilotlight.function.cors import of_rest

        return of_rest(self._event, response)


def _failure(error: Exception, request_id: str) -> Response:
    match error:
        case InputError():
            problems = [{"field": field, "reason": reason} for field, reason in error.problems]
            body = {"message": str(error), "errors": problems, "requestId": request_id}
            return json_response(_status(error), body, ascii=True)
        case ModelNotInstalled():
            return json_response(503, {"message": str(error), "hint": error.hint, "requestId": request_id})
    _log(error, request_id)
    return json_response(500, {"message": "Internal Server Error", "requestId": request_id})


def _status(error: InputError) -> int:
    match error:
        case UnsupportedMediaType():
            return 415
        case InputTooLarge():
            return 413
    return 400


def _log(error: Exception, request_id: str) -> None:
    import traceback

    frames = error.__traceback__
    while frames and frames.tb_next and frames.tb_frame.f_code.co_filename.startswith(_FOLDER):
        frames = frames.tb_next  # the user's own come after ours
    lines = traceback.format_exception(type(error), error, frames)
    sys.stderr.write(f"{request_id}: answering the request failed\n{''.join(lines)}")
    sys.stderr.flush()


def _completed(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Runs to the end, on the one event loop of this environment: clients that the function keeps stay bound to it."""
    global _runner
    if _runner is None:
        from asyncio import Runner

        _runner = Runner()
    return _runner.run(coroutine)


def _steps(chunks: AsyncGenerator[_T, None]) -> Generator[_T, None, None]:
    """The chunks of an async generator, which runs on while each of them is waited for."""
    end = object()
    while (chunk := _completed(_next(chunks, end))) is not end:
        yield chunk  # type: ignore[misc]  # mypy cannot see that it is not `end`


async def _next(chunks: AsyncGenerator[object, None], end: object) -> object:
    return await anext(chunks, end)
