"""What the engines exchange. Frozen values and one protocol; no engine imports another, they meet here.

Ships to Lambda: imports next to nothing.
"""

from __future__ import annotations

from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import AsyncIterator, Awaitable
    from typing import Protocol
else:
    Protocol = object

# The table of records: what functions and settings call it, its key, and the time after which a record is gone.
RECORDS, RECORD_KEY, RECORD_EXPIRES = "records", "primary_key", "expires"


class Stream(Protocol):
    """An answer that is still being made: its chunks, to be read once.

    `content_type` is what the runtime has sent it as. `ended` is done when nothing more is made: a `Result` without
    `payload`, or with the error that cut the answer short.
    """

    content_type: str
    ended: Future[Result]

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Result(NamedTuple):
    """What an invocation gave.

    `payload` is the function's answer, or the error object `{"errorType", "errorMessage", ...}` when `error` is set.
    `error` is the value of Lambda's `X-Amz-Function-Error` header ("" for none). `log` is what the function wrote
    during the invocation, its last 4 KB at most, when the call asked for it. An answer that is streamed is in `stream`,
    which must be read to the end or be closed; what the other fields say is known at its end only.
    """

    payload: bytes
    error: str = ""
    request_id: str = ""
    log: bytes = b""
    stream: Stream | None = None


class Call(NamedTuple):
    """One invocation to make. `function` is a key as the Invoke API takes it: `name` or `service--name`.

    `tail` asks for the log in the result, which costs a little.
    """

    function: str
    payload: bytes
    request_id: str = ""
    trace_id: str = ""
    client_context: str = ""
    tail: bool = False


class Invoke(Protocol):
    """The seam between everything that calls functions and everything that runs them.

    Raises `errors.NotFound`, `errors.Throttled` or `errors.PayloadTooLarge` when the call never reached the function;
    whatever went wrong inside the function is in the result.
    """

    def __call__(self, call: Call, /) -> Awaitable[Result]: ...
