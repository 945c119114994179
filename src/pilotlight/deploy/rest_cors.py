"""CORS of a REST API: preflights that it answers itself, and headers on its own errors.

What functions answer a REST API passes on as it is, so `function/cors.py` gives those the headers.
"""

from collections.abc import Sequence

from pilotlight.deploy import rest_paths
from pilotlight.deploy.cloudformation import Resource, ref, resource
from pilotlight.errors import ProjectError
from pilotlight.settings import Cors

_JSON = "application/json"  # what API Gateway takes a request or an answer for that does not say what it is


def errors(cors: Cors) -> dict[str, Resource]:
    """They hold nothing but API Gateway's own words, so where several origins may ask, any may read them."""
    origin = cors.origins[0] if len(cors.origins) == 1 else "*"
    headers = {"Access-Control-Allow-Origin": origin} | (_credentials(cors) if origin != "*" else {})
    given = {f"gatewayresponse.header.{name}": _static(value) for name, value in headers.items()}
    return {
        f"RestErrors{kind}": resource(
            "ApiGateway::GatewayResponse",
            RestApiId=ref("RestApi"),
            ResponseType=f"DEFAULT_{kind}",
            ResponseParameters=given,
        )
        for kind in ("4XX", "5XX")
    }


def preflight(cors: Cors, path: str) -> Resource:
    """OPTIONS of a path, without a key and without a function."""
    headers = _headers(cors)
    template = {"ResponseTemplates": {_JSON: _template(cors.origins)}} if len(cors.origins) > 1 else {}
    given = {f"method.response.header.{name}": _static(value) for name, value in headers.items()}
    return resource(
        "ApiGateway::Method",
        RestApiId=ref("RestApi"),
        ResourceId=rest_paths.ref_of(path),
        HttpMethod="OPTIONS",
        AuthorizationType="NONE",
        Integration={
            "Type": "MOCK",
            "ContentHandling": "CONVERT_TO_TEXT",  # with the binary media type */* a request is no text otherwise, and
            "RequestTemplates": {_JSON: '{"statusCode": 204}'},  # no template is applied to it
            "IntegrationResponses": [{"StatusCode": "204", "ResponseParameters": given, **template}],
        },
        MethodResponses=[{"StatusCode": "204", "ResponseParameters": dict.fromkeys(given, False)}],
    )


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
