"""CORS of a REST API: preflights that it answers itself, and headers on its own errors.

What functions answer a REST API passes on as it is, so `function/cors.py` gives those the headers.
"""

from collections.abc import Sequence

from pilotlight.deploy.cloudformation import Resource
from pilotlight.errors import ProjectError
from pilotlight.settings import Cors

_JSON = "application/json"  # what API Gateway takes a request or an answer for that does not say what it is


def errors(cors: Cors) -> dict[str, Resource]:
    """They hold nothing but API Gateway's own words, so where several origins may ask, any may read them."""
    origin = cors.origins[0] if len(cors.origins) == 1 else "*"
    headers = {"Access-Control-Allow-Origin": origin} | (_credentials(cors) if origin != "*" else {})
    given = {f"gatewayresponse.header.{name}": _static(value) for name, value in headers.items()}
    return {f"DEFAULT_{kind}": {"responseParameters": given} for kind in ("4XX", "5XX")}


def preflight(cors: Cors) -> Resource:
    """OPTIONS of a path, without a key and without a function: the operation, but for the path's parameters."""
    headers = _headers(cors)
    template = {"responseTemplates": {_JSON: _template(cors.origins)}} if len(cors.origins) > 1 else {}
    given = {f"method.response.header.{name}": _static(value) for name, value in headers.items()}
    declared = {name: {"schema": {"type": "string"}} for name in headers}  # what is not, no integration may give
    return {
        "responses": {"204": {"description": "what the origin may ask", "headers": declared}},
        "x-amazon-apigateway-integration": {
            "type": "mock",
            "contentHandling": "CONVERT_TO_TEXT",  # with the binary media type */* a request is no text otherwise, and
            "requestTemplates": {_JSON: '{"statusCode": 204}'},  # no template is applied to it
            "responses": {"default": {"statusCode": "204", "responseParameters": given, **template}},
        },
    }


def _headers(cors: Cors) -> dict[str, str]:
    """Those for the first origin."""
    origin = "*" if "*" in cors.origins else cors.origins[0]
    given = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": ",".join(cors.methods),
        "Access-Control-Allow-Headers": ",".join(cors.headers),
        "Access-Control-Max-Age": str(cors.max_age or ""),
        "Vary": "" if origin == "*" else "Origin",
    }
    return {name: value for name, value in (given | _credentials(cors)).items() if value}


def _credentials(cors: Cors) -> dict[str, str]:
    return {"Access-Control-Allow-Credentials": "true"} if cors.credentials else {}


def _template(origins: Sequence[str]) -> str:
    """One origin can stand in an answer, so that of the request is written over the first where it is another."""
    if "*" in origins:
        return ""
    test = " || ".join(f'$origin == "{each}"' for each in origins[1:])
    read = '#set($origin = $input.params().header.get("origin"))\n#if(!$origin)\n  '
    read += '#set($origin = $input.params().header.get("Origin"))\n#end\n'
    return f"{read}#if({test})\n  #set($context.responseOverride.header.Access-Control-Allow-Origin = $origin)\n#end\n"


def _static(value: str) -> str:
    """A value that is none of the request's stands in quotes, and cannot hold any."""
    if "'" in value:
        reason = f"cors: a REST API cannot give {value!r} as the value of a header"
        raise ProjectError(reason, "leave the name with the quote out")
    return f"'{value}'"
