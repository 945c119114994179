"""The last requests, one by one: the report of each, its log, what its time went to."""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from pilotlight.local.observer import Ended
from pilotlight.local.report import Init, Report

KEPT = 1_000  # requests
LOGS = 16 * 2**20  # characters of their logs; those of one are bounded by `log_pipe.Lines`


Kept = tuple[str, Ended, float]  # the function, what was told, and when it ended, in seconds since 1970


class Log(NamedTuple):
    request_id: str
    lines: Sequence[str]
    size: int  # characters


class Requests:
    """See the module. The oldest goes first; a log goes before its request. Keeping one is a matter of moments, finding
    one looks through all."""

    def __init__(self, kept: int = KEPT, logs: int = LOGS) -> None:
        self._kept: deque[Kept] = deque(maxlen=kept)
        self._names: deque[tuple[str, str]] = deque(maxlen=kept)
        self._logs: deque[Log] = deque()
        self._logs_limit = logs
        self._size = 0  # of the logs

    def keep(self, function: str, ended: Ended, at: float) -> None:
        if ended.log:
            self._keep_log(Log(ended.report.request_id, ended.log, sum(map(len, ended.log))))
            ended = ended._replace(log=())
        self._kept.append((function, ended, at))

    def _keep_log(self, log: Log) -> None:
        self._logs.append(log)
        self._size += log.size
        while self._size > self._logs_limit or len(self._logs) > KEPT:
            self._size -= self._logs.popleft().size

    def keep_failed(self, function: str, request_id: str, error: str, at: float) -> None:
        """One that no environment could be started for."""
        report = Report(request_id, 0.0, Init(), 0, 0, error)
        self.keep(function, Ended(report, "", 0.0, error, 0, (), False), at)

    def name(self, name: str, request_id: str) -> None:
        """What a front end calls it, in the header apigw-requestid."""
        self._names.append((name, request_id))

    def find(self, request_id: str) -> dict[str, Any] | None:
        """What the page shows of a request, by either of its ids; None for one that is not known, or has not ended. Of
        several of one id, as a caller may choose it, the last."""
        request_id = next((own for name, own in self._names if name == request_id), request_id)
        kept = next((each for each in reversed(self._kept) if each[1].report.request_id == request_id), None)
        return None if kept is None else _shown(kept, self._log(request_id))

    def _log(self, request_id: str) -> Sequence[str]:
        return next((each.lines for each in reversed(self._logs) if each.request_id == request_id), ())


def _shown(kept: Kept, log: Sequence[str]) -> dict[str, Any]:
    function, ended, at = kept
    report = ended.report
    init = report.init
    wait = max(0.0, ended.waited - (init.restore or init.seconds))  # its environment may have begun before it came
    started = bool(ended.environment)
    return {
        "request_id": report.request_id,
        "function": function,
        "environment": ended.environment,
        "began": round((at - report.seconds - ended.waited) * 1000),
        "cold": report.is_cold,
        "init_ms": _ms(0.0 if init.restore else init.seconds),
        "restore_ms": _ms(init.restore),
        "wait_ms": _ms(wait),
        "duration_ms": _ms(report.seconds),
        "billed_ms": report.billed,
        "memory_mb": report.memory,
        "max_memory_mb": report.peak,
        "error": ended.error,
        "report": report.line() if started else "",
        "log": list(log),
        "log_shared": ended.is_shared,
        "phases": _phases(wait, init, report.seconds),
    }


def _phases(wait: float, init: Init, run: float) -> list[dict[str, object]]:
    phases = {"wait": wait, "init": 0.0 if init.restore else init.seconds, "restore": init.restore, "run": run}
    return [{"name": name, "ms": _ms(seconds)} for name, seconds in phases.items() if seconds]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
