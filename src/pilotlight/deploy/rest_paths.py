"""Paths of a REST API, and the parameters in them: API Gateway makes a tree of them, one segment below another."""

import re
from collections.abc import Iterable
from typing import NoReturn

from pilotlight.deploy.unit import Unit
from pilotlight.errors import ProjectError
from pilotlight.project import Route
from pilotlight.settings import FILE

_SEGMENT = re.compile(r"[A-Za-z0-9._:-]+|{[A-Za-z0-9_]+\+?}")  # API Gateway's own words in its refusal of others


def check(units: Iterable[Unit]) -> None:
    """Raises `ProjectError` for a path that a REST API cannot have, alone or beside the others."""
    children: dict[str, str] = {}  # of a parent, the parameter
    for unit, route in [(each, route) for each in units for route in each.function.routes]:
        for path in _prefixes(unit, route):
            _check_sibling(unit, route, path, children)


def parameters(path: str) -> list[str]:
    """Names: of /a/{b}/{c+} they are b and c."""
    return re.findall(r"{([A-Za-z0-9_]+)\+?}", path)


def _prefixes(unit: Unit, route: Route) -> list[str]:
    """Of /a/{b}: /a and /a/{b}."""
    if route.path == "/":
        return []
    segments = route.path[1:].split("/")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            reason = (
                f"{segment!r} is no segment of a REST API's path"
                if segment
                else "a REST API has no path with a / at its end"
            )
            _refuse(
                unit, route, reason, 'write segments of letters, digits, ".", "_", ":" and "-", or set front = "http"'
            )
    return ["/" + "/".join(segments[:number]) for number in range(1, len(segments) + 1)]


def _check_sibling(unit: Unit, route: Route, path: str, children: dict[str, str]) -> None:
    """docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html: one parameter at a place."""
    parent, _, segment = path.rpartition("/")
    if segment.startswith("{") and children.setdefault(parent, segment) != segment:
        reason = f"another route has {children[parent]} in the place of {segment}, and a REST API has one name for both"
        _refuse(unit, route, reason, "give the parameter one name in both routes")


def _refuse(unit: Unit, route: Route, reason: str, hint: str) -> NoReturn:
    file = unit.function.root / FILE
    raise ProjectError(f"{file}: functions.{unit.function.name}.route: {str(route)!r}: {reason}", hint)
