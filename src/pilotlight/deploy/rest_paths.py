"""Paths of a REST API: a tree of resources, each of which is one segment below another."""

import re
from collections.abc import Iterable
from typing import NoReturn

from pilotlight.deploy import routes
from pilotlight.deploy.cloudformation import Resource, get, ref, resource
from pilotlight.deploy.unit import Unit
from pilotlight.errors import ProjectError
from pilotlight.project import Route
from pilotlight.settings import FILE

_SEGMENT = re.compile(r"[A-Za-z0-9._:-]+|{[A-Za-z0-9_]+\+?}")  # API Gateway's own words in its refusal of others


def resources(units: Iterable[Unit]) -> dict[str, Resource]:
    """A resource for each path and what it is below; the root is the API's own. Raises `ProjectError`."""
    children: dict[str, str] = {}  # of a parent, the parameter
    found: dict[str, Resource] = {}
    for unit, route in [(each, route) for each in units for route in each.function.routes]:
        for path in _prefixes(unit, route):
            _check_sibling(unit, route, path, children)
            found[_id(path)] = _resource(path)
    return found


def ref_of(path: str) -> Resource:
    """The resource of a path."""
    return get("RestApi", "RootResourceId") if path == "/" else ref(_id(path))


def _id(path: str) -> str:
    return routes.logical_id("RestPath", path)


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


def _resource(path: str) -> Resource:
    parent, _, segment = path.rpartition("/")
    return resource("ApiGateway::Resource", RestApiId=ref("RestApi"), ParentId=ref_of(parent or "/"), PathPart=segment)
