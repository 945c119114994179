"""What gateways have in common: a route's logical id and URL, and who may call a function."""

import hashlib
import re
from collections.abc import Callable

from pilotlight.deploy.cloudformation import Resource, ref, resource, sub
from pilotlight.deploy.unit import Unit, camel
from pilotlight.project import Route

_READABLE = 200  # characters: a logical id has 255 at most


def of_route(prefix: str, route: Route) -> str:
    """A logical id, one for each method and path, whoever answers it; parameters may be renamed."""
    text = f"{route.method.title()} {route.path}"
    shape = re.sub(r"{[^}+]*", "{", text)
    return f"{prefix}{camel(text)[:_READABLE]}{hashlib.sha256(shape.encode()).hexdigest()[:8]}"


def outputs(unit: Unit, url: Callable[[str], str]) -> dict[str, Resource]:
    """The URL of each route, in the order of the settings: QaUrl, QaUrl2; `url` makes text of Fn::Sub of a path."""
    return {
        f"{unit.id}Url{number if number > 1 else ''}": {"Description": str(route), "Value": sub(url(route.path))}
        for number, route in enumerate(unit.function.routes, 1)
    }


def permission(unit: Unit, api: str) -> Resource:
    """That one API calls the function's alias, and nobody else's does."""
    source = f"arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{api}}}/*"
    return resource(
        "Lambda::Permission",
        Action="lambda:InvokeFunction",
        FunctionName=ref(f"{unit.id}Alias"),
        Principal="apigateway.amazonaws.com",
        SourceArn=sub(source),
    )
