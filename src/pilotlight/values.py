"""What the engines exchange. Frozen values and one protocol; no engine imports another, they meet here.

Ships to Lambda: imports `typing` alone.
"""

from typing import NamedTuple, Protocol


class Result(NamedTuple):
    """What an invocation gave.

    `payload` is the function's answer, or the error object `{"errorType", "errorMessage", ...}` when `error` is set.
    `error` is the value of Lambda's `X-Amz-Function-Error` header ("" for none). `log` is what the function wrote
    during the invocation, its last 4 KB at most, when the call asked for it.
    """

    payload: bytes
    error: str = ""
    request_id: str = ""
    log: bytes = b""


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

    async def __call__(self, call: Call, /) -> Result: ...
