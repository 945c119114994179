"""The logs of deployed functions, from CloudWatch Logs, in the order in which they were written."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pilotlight.deploy import log_lines
from pilotlight.deploy.log_lines import Line
from pilotlight.deploy.session import Session, asking
from pilotlight.errors import DeployError

LATE = 30_000
"""Milliseconds by which an event may come after others that are newer: what `follow` asks for again."""

_AROUND = 15 * 60_000 + 60_000  # of an invocation: the longest that there is, and its init phase
_SEEN = 10_000
_PATTERNS = '{["?-%'  # what begins a pattern of CloudWatch's own


class Group(NamedTuple):
    """The log of one function: `name` is the function's, as people call it."""

    name: str
    group: str


class Event(NamedTuple):
    function: str
    line: Line


def group_of(deployed: str) -> str:
    """The log group of a function, by its name on Lambda."""
    return f"/aws/lambda/{deployed}"


def pattern(text: str) -> str:
    """CloudWatch's filter pattern for a text: itself where it is a pattern already, else the text as it is written.

    docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    if not text or text[0] in _PATTERNS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read(session: Session, groups: Sequence[Group], since: int, wanted: str = "") -> Iterator[Event]:
    """What the functions wrote since then, milliseconds since 1970. Raises `DeployError`."""
    each = [_events(session, group, since, pattern(wanted)) for group in groups]
    return heapq.merge(*each, key=lambda event: event.line.time)


def follow(
    session: Session, groups: Sequence[Group], since: int, wanted: str, pause: Callable[[], None]
) -> Iterator[Event]:
    """What they wrote since then, and go on with what comes; `pause` is called between two looks, and may raise.

    Events come late, and not in their order, across environments; each is given once.
    """
    seen: deque[str] = deque(maxlen=_SEEN)
    known: set[str] = set()
    newest = since
    while True:
        for event in read(session, groups, max(since, newest - LATE), wanted):
            if event.line.id not in known:
                newest = max(newest, event.line.time)
                _remember(event.line.id, seen, known)
                yield event
        pause()


def _remember(id: str, seen: deque[str], known: set[str]) -> None:
    if len(seen) == _SEEN:
        known.discard(seen[0])
    seen.append(id)
    known.add(id)


def request(session: Session, groups: Sequence[Group], request_id: str, since: int) -> list[Event]:
    """All that was written while that request was answered, the lines included that do not name it.

    Raises `DeployError` when no function has written of it since then.
    """
    for group in groups:
        named = [event.line for event in _events(session, group, since, f'"{request_id}"')]
        for stream in dict.fromkeys(line.stream for line in named):
            times = [line.time for line in named if line.stream == stream]
            lines = _stream(session, group, stream, min(times) - _AROUND, max(times) + _AROUND)
            if found := log_lines.invocation(lines, request_id):
                return [Event(group.name, line) for line in found]
    names = ", ".join(group.name for group in groups)
    hint = "a log is there some seconds after the answer; look further back: --since 1d"
    raise DeployError(f"no log of {names} has the request {request_id}", hint)


def _events(session: Session, group: Group, since: int, wanted: str) -> Iterator[Event]:
    given = {"logGroupName": group.group, "startTime": max(0, since)}
    pages = session.client("logs").get_paginator("filter_log_events")
    with asking(f"reading the log of {group.name}", _known(group)):
        for page in pages.paginate(**given, **({"filterPattern": wanted} if wanted else {})):
            for each in sorted(page["events"], key=lambda event: event["timestamp"]):
                yield Event(group.name, _line(each, each["logStreamName"]))


def _stream(session: Session, group: Group, stream: str, begin: int, end: int) -> Iterator[Line]:
    """One environment's log. The end is where a page gives the token that it was asked with:
    docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html."""
    given: dict[str, Any] = {
        "logGroupName": group.group,
        "logStreamName": stream,
        "startTime": max(0, begin),
        "endTime": end,
        "startFromHead": True,
    }
    token = None
    with asking(f"reading the log of {group.name}", _known(group)):
        while True:
            page = session.client("logs").get_log_events(**given, **({"nextToken": token} if token else {}))
            yield from (_line(each, stream) for each in page["events"])
            if page["nextForwardToken"] == token:
                return
            token = page["nextForwardToken"]


def _line(event: Any, stream: str) -> Line:
    return Line(event["timestamp"], stream, event["message"].rstrip("\n"), event.get("eventId", ""))


def _known(group: Group) -> dict[str, DeployError]:
    hint = "`pilotlight deploy` makes it; --stage and --region say where else to look"
    missing = DeployError(f"there is no log of {group.name}: {group.group} is not there", hint)
    return {"ResourceNotFoundException": missing}
