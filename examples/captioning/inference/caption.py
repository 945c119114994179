"""Say in a sentence what a picture shows, and where the network looked for each word."""

from os import environ
from typing import Any, NamedTuple, ParamSpec, TypeVar

import maps as drawing
from captioner import Captioner, Spoken

from pilotlight import Image, InputError, Request, Response, events
from pilotlight.function.endpoint import Endpoint

P = ParamSpec("P")
R = TypeVar("R")
MOST_BEAMS = 10
PING = 2  # bytes: less than any picture has


class Caption(NamedTuple):
    """`message` is the caption."""

    message: str


class Explained(NamedTuple):
    """`maps` has for each of the `words` the weights of the picture's cells, in rows from the top; they sum to 1."""

    message: str
    words: list[str]
    maps: list[list[list[float]]]


class Pinged(Endpoint[P, R]):
    """An endpoint to which a body of two bytes is a ping, that starts an environment before anybody needs it: 204."""

    def __call__(self, event: Any, context: Any = None) -> Any:
        if events.is_http(event) and _is_ping(event):
            return events.to_result(Response(204), events.version(event))
        return super().__call__(event, context)


def _is_ping(event: Any) -> bool:
    try:
        return len(events.from_event(event).body) == PING
    except InputError:  # of a damaged event the endpoint says what is wrong
        return False


captioner = Captioner(environ.get("PILOTLIGHT_MODEL", "models/captioning"))


@Pinged
def handler(
    request: Request, image: Image, beam: int = 3, maps: bool = False, draw: bool = False
) -> Caption | Explained | Response:
    """Caption a picture.

    `beam` is how many captions are tried at once, 1 to 10. With `maps` the answer tells where the network looked for
    each word; with `draw`, or `Accept: image/png`, it is a PNG that shows it.
    """
    if not 1 <= beam <= MOST_BEAMS:
        raise InputError(("beam", f"expected 1 to {MOST_BEAMS}, got {beam}"))
    said = captioner.caption(image, beam)
    if draw or request.header("accept").startswith("image/png"):
        png = drawing.draw(image.open(), said.words, said.looks, captioner.grid)
        return Response(200, (("content-type", "image/png"),), png)
    message = " ".join(said.words)
    return Explained(message, said.words, _grids(said)) if maps else Caption(message)


def _grids(said: Spoken) -> list[list[list[float]]]:
    rows, columns = captioner.grid
    flat = [[round(weight, 4) for weight in look] for look in said.looks]
    return [[look[row * columns : (row + 1) * columns] for row in range(rows)] for look in flat]
