"""What Lambda's platform writes into a function's log: START, END, REPORT and what came before. Pure.

The lines are those of docs.aws.amazon.com/lambda/latest/dg/python-logging.html and, for SnapStart and for init phases
that failed, .../dg/snapstart-monitoring.html and .../dg/lambda-runtime-environment.html.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)")
_PLATFORM = re.compile(r"(START|END|REPORT|INIT_START|INIT_REPORT|RESTORE_START|RESTORE_REPORT|XRAY)\b")
_FIELDS = {
    "Duration": "duration_ms",
    "Billed Duration": "billed_ms",
    "Memory Size": "memory_mb",
    "Max Memory Used": "peak_mb",
    "Init Duration": "init_ms",
    "Restore Duration": "restore_ms",
    "Billed Restore Duration": "billed_restore_ms",
}


class Report(NamedTuple):
    """A REPORT line: times in milliseconds, memory in MB. `status` is "", "timeout" or "error"."""

    request_id: str
    duration_ms: float = 0.0
    billed_ms: float = 0.0
    memory_mb: float = 0.0
    peak_mb: float = 0.0
    init_ms: float = 0.0
    restore_ms: float = 0.0
    billed_restore_ms: float = 0.0
    status: str = ""
    error: str = ""


class Line(NamedTuple):
    """One event of CloudWatch Logs. `time` is in milliseconds since 1970; `text` without the line break at its end."""

    time: int
    stream: str
    text: str
    id: str = ""

    @property
    def platform(self) -> str:
        """ "START", "REPORT" and so on; "" for what the function wrote."""
        match = _PLATFORM.match(self.text)
        return match[1] if match else ""

    @property
    def report(self) -> Report | None:
        return report(self.text)


def report(text: str) -> Report | None:
    """What a REPORT line says; None for others, and for one without the form that it should have."""
    match = re.match(r"REPORT RequestId: (\S+)", text)
    if match is None:
        return None
    said = dict(_pairs(text[match.end() :]))
    numbers = {name: _number(said.get(field, "")) for field, name in _FIELDS.items()}
    return Report(match[1], **numbers, status=said.get("Status", ""), error=said.get("Error Type", ""))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split("\t"):
        name, separator, value = part.partition(":")
        if separator:
            yield name.strip(), value.strip()


def _number(text: str) -> float:
    match = _NUMBER.match(text)
    return float(match[1]) if match else 0.0


def invocation(lines: Iterable[Line], request_id: str) -> list[Line]:
    """Of the log of one environment, in its order, what belongs to one request, with the init phase right before it.

    An environment takes one request at a time, so what is between START and REPORT is that request's.
    """
    found: list[Line] = []
    before: list[Line] = []
    inside = False
    for line in lines:
        begins, is_its = line.platform == "START", request_id in line.text.split()[:3]
        if begins:
            inside = is_its
            found += before if is_its else []
        if inside or (is_its and line.platform):
            found.append(line)
        before = [] if line.platform in ("REPORT", "START") else [*before, line]
        inside = inside and line.platform != "REPORT"
    return found
