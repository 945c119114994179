"""`@endpoint`: a typed function becomes a Lambda handler.

    @endpoint
    def handler(question: str, context: str, top: int = 1) -> list[Answer]:
        '''Answer a question from a passage.'''

`handler(event, context)` takes what API Gateway (1.0 and 2.0) and function URLs send and answers with a proxy response;
a bare event, a JSON object of fields, is answered with the bare value. `handler.function(question, passage)` is the
function itself, for unit tests. How parameters are found is told in `binding`, what a body may be in `bodies`, how
values are read in `decode` and written in `encode`.
"""

import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from pilotlight import events
from pilotlight.errors import InputError, ModelNotInstalled
from pilotlight.events import Response
from pilotlight.function.binding import Binding
from pilotlight.function.bodies import UnsupportedMediaType
from pilotlight.function.encode import joined, json_response, to_bare, to_response

if TYPE_CHECKING:
    from asyncio import Runner

_FOLDER = __file__.removesuffix("endpoint.py")
_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")

_runner: "Runner | None" = None


class Endpoint(Generic[_P, _R]):
    """A Lambda handler around `function`. Raises `errors.FunctionError` when the function's parameters cannot be bound.

    Behind HTTP nothing is raised: a request that does not fit is 400 (415 for a content type that nothing takes) with
    `{"message", "errors": [{"field", "reason"}], "requestId"}`; a model that is not installed is 503 with the command
    that installs it; any other exception is logged with its traceback and answered 500. For a bare event
    `errors.InputError` and whatever the function raises go to the runtime, which reports them.
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
            return to_bare(self._result(arguments, keywords))
        version = events.version(event)
        try:
            arguments, keywords = self.binding.of_request(events.from_event(event), context)
            return events.to_result(_checked(to_response(self._result(arguments, keywords))), version)
        except Exception as error:  # the boundary between the user's code and HTTP
            return events.to_result(_failure(error, str(getattr(context, "aws_request_id", ""))), version)

    def _result(self, arguments: list[Any], keywords: dict[str, Any]) -> object:
        result: object = self.function(*arguments, **keywords)
        if isinstance(result, CoroutineType):
            result = _completed(result)
        if isinstance(result, AsyncGeneratorType):
            result = joined(_completed(_all(result)))
        return joined(result) if isinstance(result, GeneratorType) else result


def endpoint(function: Callable[_P, _R]) -> Endpoint[_P, _R]:
    """Make a typed function a Lambda handler. Raises `errors.FunctionError` when its parameters cannot be bound."""
    return Endpoint(function)


def _checked(response: Response) -> Response:
    """A `Response` is the user's: what no gateway takes is found while the traceback still says who wrote it."""
    if type(response.body) is not bytes or type(response.status) is not int or not 200 <= response.status <= 599:
        raise TypeError(f"a Response takes a status from 200 to 599 and a body of bytes, got {response!r:.200}")
    return response


def _failure(error: Exception, request_id: str) -> Response:
    match error:
        case InputError():
            status = 415 if isinstance(error, UnsupportedMediaType) else 400
            problems = [{"field": field, "reason": reason} for field, reason in error.problems]
            body = {"message": str(error), "errors": problems, "requestId": request_id}
            return json_response(status, body, ascii=True)
        case ModelNotInstalled():
            return json_response(503, {"message": str(error), "hint": error.hint, "requestId": request_id})
    _log(error, request_id)
    return json_response(500, {"message": "Internal Server Error", "requestId": request_id})


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


async def _all(chunks: AsyncGenerator[_T, None]) -> list[_T]:
    return [chunk async for chunk in chunks]
