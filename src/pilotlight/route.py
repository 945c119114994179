"""A route of the settings: "METHOD /path", read and checked. Does not ship to Lambda."""

import re
from typing import NamedTuple, NoReturn

from pilotlight import settings_file
from pilotlight.errors import ProjectError

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY")
_ROUTE_HINT = 'write it as "METHOD /path", such as "POST /answer" or "GET /answers/{id}"'


class Route(NamedTuple):
    """A method, or ANY, and a path whose segments may be `{name}`, the last one also `{name+}` for all that is left."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def shape(self) -> "Route":
        """The route without its parameters' names: two routes of one shape take the same requests."""
        return Route(self.method, re.sub(r"{[^}+]*", "{", self.path))


def parse_route(text: str) -> Route:
    """The route that "METHOD /path" says. Raises `ProjectError` with the text and the reason."""
    method, space, path = text.partition(" ")
    if not space or not path.startswith("/"):
        _refuse(text, 'expected "METHOD /path"', _ROUTE_HINT)
    if method not in _METHODS:
        guess = settings_file.nearest(method, _METHODS)
        reason = f"{method!r} is none of {', '.join(_METHODS)}"
        _refuse(text, reason, f"did you mean {guess!r}?" if guess else _ROUTE_HINT)
    _check_path(text, path)
    return Route(method, path)


def _check_path(text: str, path: str) -> None:
    segments = path.split("/")[1:]
    if "?" in path or "#" in path:
        _refuse(text, "a route has no query and no fragment", "leave it out: every query reaches the function")
    if "" in segments[:-1]:
        _refuse(text, "there is an empty segment", 'write one "/" between segments')
    for position, segment in enumerate(segments, 1):
        _check_segment(text, segment, is_last=position == len(segments))
    names = [segment.strip("{+}") for segment in segments if segment.startswith("{")]
    for name in names:
        if names.count(name) > 1:
            _refuse(text, f"two parameters are named {name!r}", "give each its own name")


def _check_segment(text: str, segment: str, *, is_last: bool) -> None:
    parameter = re.fullmatch(r"{([A-Za-z_][A-Za-z0-9_]*)(\+?)}", segment)
    if parameter and parameter[2] and not is_last:
        _refuse(text, f"{segment} takes all that is left of the path", "put it at the end, or leave the + out")
    if not parameter and ("{" in segment or "}" in segment):
        hint = "a parameter is a whole segment: {name}, or {name+} at the end; its name is a Python name"
        _refuse(text, f"{segment!r} is no parameter", hint)
    if not parameter and not re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=:@%-]*", segment):
        _refuse(text, f"{segment!r} has a character that a URL does not have", "write it percent-encoded, such as %20")


def _refuse(text: str, reason: str, hint: str) -> NoReturn:
    raise ProjectError(f"{text!r}: {reason}", hint)
