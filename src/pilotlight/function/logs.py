"""`logging` as Lambda's runtime sets it up: to stdout, each line with level, time and request id, or as JSON.

Format, names of the fields and the variables AWS_LAMBDA_LOG_FORMAT and AWS_LAMBDA_LOG_LEVEL: `awslambdaric` 4.2.2 and
docs.aws.amazon.com/lambda/latest/dg/python-logging.html. Imported only where a function imports `logging`.
"""

import json
import os
import sys
import time
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pilotlight.function import runtime

if TYPE_CHECKING:
    from logging import LogRecord

_TEXT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
_OF_EVERY_RECORD = {
    *("args", "aws_request_id", "created", "exc_info", "exc_text", "filename", "funcName", "levelname", "levelno"),
    *("lineno", "module", "msecs", "msg", "name", "pathname", "process", "processName", "relativeCreated"),
    *("stack_info", "taskName", "thread", "threadName"),
}


def spec() -> ModuleSpec | None:
    """Where `logging` is found, and that it is to be configured once it has been loaded."""
    found = PathFinder.find_spec("logging")
    if found is None or found.loader is None:
        return None
    load = found.loader.exec_module

    def load_and_configure(module: ModuleType) -> None:
        load(module)
        configure(module)

    found.loader.exec_module = load_and_configure  # type: ignore[method-assign]
    return found


def configure(logging: Any) -> None:
    """Give the root logger its handler. Its level stays WARNING unless AWS_LAMBDA_LOG_LEVEL says otherwise."""
    logging.Formatter.converter = time.gmtime
    is_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    handler = logging.StreamHandler(_Stdout())
    handler.terminator = ""
    handler.setFormatter(_Json(logging) if is_json else logging.Formatter(_TEXT, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(_name_request)
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG")
    if level in logging.getLevelNamesMapping():
        root.setLevel(level)


class _Stdout:
    """Whatever `sys.stdout` is when something is written: a function may have replaced it."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


def _name_request(record: "LogRecord") -> bool:
    record.aws_request_id = runtime.request_id
    return True


class _Json:
    """A formatter: one JSON object a line. What cannot be encoded is written as its `str`."""

    def __init__(self, logging: Any) -> None:
        self._logging = logging

    def format(self, record: "LogRecord") -> str:
        is_object = isinstance(record.msg, dict) and not record.args
        fields = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": self._logging.getLevelName(min(50, max(0, record.levelno)) // 10 * 10),
            "message": record.msg if is_object else record.getMessage(),
            "logger": record.name,
            **_exception(record),
            "requestId": runtime.request_id,
        }
        extra = {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD | fields.keys()}
        return json.dumps(fields | extra, ensure_ascii=False, default=str) + "\n"


def _exception(record: "LogRecord") -> dict[str, object]:
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    import traceback

    kind, error, trace = record.exc_info
    return {
        "stackTrace": traceback.format_tb(trace),
        "errorType": kind.__name__ if kind else "",
        "errorMessage": str(error),
        "location": f"{record.pathname}:{record.funcName}:{record.lineno}",
    }
