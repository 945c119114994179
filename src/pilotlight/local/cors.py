"""Cross-origin resource sharing as API Gateway does it, from the settings of a service.

The gateway's headers replace those of the function, so none is there twice. Sources: fetch.spec.whatwg.org/
#http-cors-protocol, docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html.
"""

from collections.abc import Sequence

from pilotlight.events import Headers, Request, Response
from pilotlight.settings import Cors


def is_preflight(request: Request) -> bool:
    """Whether a browser asks before it sends the actual request."""
    return bool(request.header("origin") and request.header("access-control-request-method"))


def preflight(settings: Cors, request: Request) -> Response:
    """The answer to a preflight: 204, with what is allowed when the origin is."""
    origin = _origin(settings, request.header("origin"))
    if not origin:
        return Response(204)
    allowed: list[tuple[str, str]] = [
        ("access-control-allow-methods", _list(settings.methods)),
        ("access-control-allow-headers", _list(settings.headers)),
    ]
    if settings.max_age:
        allowed.append(("access-control-max-age", str(settings.max_age)))
    return Response(204, (*origin, *(pair for pair in allowed if pair[1])))


def apply(settings: Cors, origin: str, response: Response) -> Response:
    """The function's answer with the headers of the settings in place of its own."""
    kept = tuple(pair for pair in response.headers if not pair[0].lower().startswith("access-control-"))
    allowed = _origin(settings, origin)
    if allowed and settings.expose:
        allowed = (*allowed, ("access-control-expose-headers", _list(settings.expose)))
    return response._replace(headers=(*kept, *allowed))


def _origin(settings: Cors, origin: str) -> Headers:
    if not origin:
        return ()
    if "*" in settings.origins:
        return (("access-control-allow-origin", "*"),)
    if origin.lower() not in settings.origins:
        return ()
    allowed = (("access-control-allow-origin", origin), ("vary", "origin"))
    return (*allowed, ("access-control-allow-credentials", "true")) if settings.credentials else allowed


def _list(values: Sequence[str]) -> str:
    return ",".join(values)
