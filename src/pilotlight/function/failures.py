"""What Lambda and the log are told of a function that failed. Imported when one has.

Names of the fields, error types and exit statuses are those of `awslambdaric` 4.2.2.
"""

import contextlib
import errno
import json
import os
import sys
import time
import traceback
from typing import NoReturn

from pilotlight.errors import InputError, PilotlightError
from pilotlight.function import runtime
from pilotlight.function.runtime_client import RuntimeApi
from pilotlight.function.snapstart import HookError

_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


def describe(error: BaseException) -> dict[str, object]:
    """The error object that Lambda passes to the caller: `errorType`, `errorMessage`, `requestId`, `stackTrace`."""
    kind, message, stack = type(error).__name__, str(error), _stack(error)
    match error:
        case runtime.Fault():
            kind, stack = error.kind, list(error.trace)
        case InputError():
            stack = []  # for the caller to mend: where in the function it was noticed is of no use to anyone
        case PilotlightError(hint=hint) if hint:
            message = f"{error} ({hint})"
    return {"errorMessage": message, "errorType": kind, "requestId": runtime.request_id, "stackTrace": stack}


def _stack(error: BaseException) -> list[str]:
    """The frames of the user's code and its libraries, as `traceback` prints them; Pilotlight's own say nothing."""
    frames = traceback.extract_tb(error.__traceback__)
    return traceback.format_list([frame for frame in frames if not frame.filename.startswith(_PACKAGE)])


def write(error: BaseException) -> None:
    """Write an error to the log, as text or as AWS_LAMBDA_LOG_FORMAT asks."""
    described = describe(error)
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = json.dumps({"timestamp": stamp, "level": "ERROR", **described})
    else:
        stack = "" if isinstance(error, InputError) else "".join(_stack(error.__cause__ or error))
        heading = "\nTraceback (most recent call last):\n" if stack else ""
        text = f"[ERROR] {described['errorType']}: {described['errorMessage']}{heading}{stack.removesuffix(chr(10))}"
        if isinstance(error, OSError) and error.errno == errno.EROFS:
            text += "\nhint: only /tmp can be written"
    sys.stderr.write(text + "\n")
    sys.stdout.flush()
    sys.stderr.flush()


def fail_init(error: Exception) -> NoReturn:
    """Report what `runtime.initialise` raised to the Runtime API, and end the process."""
    kind, status = "", 1
    cause: BaseException = error
    if isinstance(error, HookError):
        cause, kind, status = error.__cause__ or error, "Runtime.BeforeSnapshotError", 64
    write(cause)
    with contextlib.suppress(ConnectionError):  # Lambda is gone, or has been told by another worker
        RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"]).fail_init(describe(cause), kind)
    sys.exit(status)


def fail_restore(api: RuntimeApi, error: BaseException) -> NoReturn:
    """Report a hook that failed after a restore, and end the process."""
    write(error)
    api.fail_restore(describe(error))
    sys.exit(65)
