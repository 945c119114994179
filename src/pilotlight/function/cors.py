"""Headers of cross-origin resource sharing on an answer: fetch.spec.whatwg.org/#http-cors-protocol.

Gateways set them, but for a REST API on AWS, which passes the answers of functions on as they are. There an `@endpoint`
sets them itself, by the variable PILOTLIGHT_CORS.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pilotlight.events import Headers, Response

VARIABLE = "PILOTLIGHT_CORS"  # what of [cors] is on answers, as JSON


class Allowed(Protocol):
    """What an answer needs of the settings."""

    @property
    def origins(self) -> Sequence[str]: ...
    @property
    def expose(self) -> Sequence[str]: ...
    @property
    def credentials(self) -> bool: ...


class _Allowed(NamedTuple):
    origins: list[str]
    expose: list[str]
    credentials: bool


def of_rest(event: Mapping[str, object], response: Response) -> Response:
    """The answer to an event of a REST API, as the variable says."""
    return apply(_Allowed(**json.loads(os.environ[VARIABLE])), _sent(event), response)


def apply(settings: Allowed, origin: str, response: Response) -> Response:
    """The function's answer with the headers of the settings in place of its own, so that none is there twice."""
    kept = tuple(pair for pair in response.headers if not pair[0].lower().startswith("access-control-"))
    allowed = of_origin(settings, origin)
    if allowed and settings.expose:
        allowed = (*allowed, ("access-control-expose-headers", ",".join(settings.expose)))
    return response._replace(headers=(*kept, *allowed))


def of_origin(settings: Allowed, origin: str) -> Headers:
    """What says that a page of that origin may read; nothing when it may not."""
    if not origin:
        return ()
    if "*" in settings.origins:
        return (("access-control-allow-origin", "*"),)
    if origin.lower() not in settings.origins:
        return ()
    allowed = (("access-control-allow-origin", origin), ("vary", "origin"))
    return (*allowed, ("access-control-allow-credentials", "true")) if settings.credentials else allowed


def _sent(event: Mapping[str, object]) -> str:
    """The origin of the page that asks, "" for none."""
    headers = event.get("headers")
    pairs = headers.items() if isinstance(headers, Mapping) else ()
    return next((str(value) for name, value in pairs if str(name).lower() == "origin"), "")
