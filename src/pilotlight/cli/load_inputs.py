"""What `bench load` sends: lines of a file, saved events, or what events of API Gateway had for a body."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pilotlight.cli.invoke import read_event
from pilotlight.errors import UsageError
from pilotlight.local import saved_events
from pilotlight.measure.bodies import bodies
from pilotlight.project import Function
from pilotlight.settings_file import nearest


class Inputs(NamedTuple):
    """The options: `lines` of a file, of which `fields` are the values; names or files of `events`, or `all` of a
    function's."""

    lines: BinaryIO | None
    fields: tuple[str, ...]
    events: tuple[str, ...]
    all: bool

    def for_function(self, function: Function) -> Sequence[bytes]:
        """What it is invoked with. Raises `UsageError`."""
        if self.lines:
            return bodies(self.lines, self.fields, self.lines.name)
        names = saved_events.names(function) if self.all else self.events
        if self.all and not names:
            hint = "`pilotlight serve` saves what its page has sent; or give --inputs"
            raise UsageError(f"{function.name} has no saved events in {function.event_file.parent}", hint)
        return [read_event(function, str(_file(function, name)), None) for name in names] or [
            read_event(function, None, None)
        ]

    def for_url(self) -> Sequence[bytes]:
        """What is posted. Raises `UsageError`."""
        if self.all:
            raise UsageError("--events are a function's, and --url names none", "name their files, each by --event")
        if self.lines:
            return bodies(self.lines, self.fields, self.lines.name)
        if not self.events:
            raise UsageError(
                "--url needs --inputs or --event", "write a file with a JSON object, or a sentence, a line"
            )
        return [_posted(_read(name), name) for name in self.events]


def _file(function: Function, name: str) -> Path:
    """Of a saved event's name, or as it was given."""
    names = saved_events.names(function)
    if name in names:
        return saved_events.file(function, name)
    if not Path(name).is_file():
        guess = nearest(name, names)
        hint = f"did you mean {guess!r}? " if guess else ""
        known = f"it has {', '.join(names)}" if names else f"it has none in {function.event_file.parent}"
        raise UsageError(f"there is no event {name!r} of {function.name}, and no such file", f"{hint}{known}")
    return Path(name)


def _read(name: str) -> Any:
    try:
        return json.loads(Path(name).read_bytes())
    except OSError as error:
        raise UsageError(f"reading the event from {name}: {error.strerror}", "name a file with JSON") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"reading the event from {name}: it is not JSON: {error}", "name a file with JSON") from None


def _posted(event: Any, name: str) -> bytes:
    """The body of an event of API Gateway, in either of its formats; what is none is the body itself."""
    match event:
        case {"httpMethod": str(method)} | {"requestContext": {"http": {"method": str(method)}}}:
            if method != "POST":
                raise UsageError(f"the event in {name} is a {method} request", "--url sends POST requests alone")
            body = event.get("body") or ""
            return base64.b64decode(body) if event.get("isBase64Encoded") else str(body).encode()
        case _:
            return json.dumps(event).encode()
