"""Cross-origin resource sharing as API Gateway does it, from the settings of a service.

The gateway's headers replace those of the function, so none is there twice. Sources: fetch.spec.whatwg.org/
#http-cors-protocol, docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html.
"""

from pilotlight.events import Request, Response
from pilotlight.function.cors import apply as apply
from pilotlight.function.cors import of_origin
from pilotlight.settings import Cors


def is_preflight(request: Request) -> bool:
    """Whether a browser asks before it sends the actual request."""
    return bool(request.header("origin") and request.header("access-control-request-method"))


def preflight(settings: Cors, request: Request) -> Response:
    """The answer to a preflight: 204, with what is allowed when the origin is."""
    origin = of_origin(settings, request.header("origin"))
    if not origin:
        return Response(204)
    allowed: list[tuple[str, str]] = [
        ("access-control-allow-methods", ",".join(settings.methods)),
        ("access-control-allow-headers", ",".join(settings.headers)),
    ]
    if settings.max_age:
        allowed.append(("access-control-max-age", str(settings.max_age)))
    return Response(204, (*origin, *(pair for pair in allowed if pair[1])))
