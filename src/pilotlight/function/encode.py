"""What a function returned -> an HTTP response, or the JSON value that a bare event is answered with.

Response                        as it stands
str                             text/plain; charset=utf-8
bytes, bytearray, memoryview    application/octet-stream; in a bare answer a base64 string
a generator                     its chunks of str or bytes, joined or one by one; a Response that it yields first gives
                                status and headers
everything else                 application/json: NamedTuples as objects of their fields, numpy arrays and scalars as
                                lists and numbers, Structs, dataclasses, datetimes, ... as msgspec writes them
"""

from __future__ import annotations

import binascii
from itertools import chain

from pilotlight.events import Response, to_result
from pilotlight.function import plain_json

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"
JSON = "application/json"


def to_response(value: object) -> Response:
    """The response behind HTTP. Raises `TypeError` or `ValueError` (NaN, Infinity) for what JSON cannot hold."""
    match value:
        case Response():
            return value
        case str():
            return _response(TEXT, value.encode())
        case bytes() | bytearray() | memoryview():
            return _response(BINARY, bytes(value))
    return json_response(200, plain(value))


def to_bare(value: object) -> object:
    """The answer to a bare event, of types that `json` knows. A `Response` becomes what a proxy integration takes."""
    match value:
        case Response():
            return to_result(value, "2.0")
        case bytes() | bytearray() | memoryview():
            return binascii.b2a_base64(value, newline=False).decode()
    return plain(value)


def json_response(status: int, value: object, *, ascii: bool = False) -> Response:
    """A JSON response; `ascii` where `value` may quote a client's text, which can be no valid Unicode."""
    text = plain_json.dumps(value, ascii=ascii, allow_nan=False, compact=True)
    return _response(JSON, text.encode(), status)


def joined(chunks: Iterable[object]) -> Response | str | bytes:
    """What a generator yielded, as one text, or as bytes when one of the chunks is bytes. Raises `TypeError`."""
    first, *parts = [*chunks] or [""]
    if isinstance(first, Response):
        return first._replace(body=checked(first).body + b"".join(map(_chunk, parts)))
    parts.insert(0, first)
    if all(isinstance(part, str) for part in parts):
        return "".join(map(str, parts))
    return b"".join(map(_chunk, parts))


def opened(chunks: Iterator[object]) -> tuple[Response, Iterator[bytes]]:
    """The head of the response that a generator makes, and the chunks of its body.

    The first chunk is awaited here: what the generator raises before it can still be answered. It gives the content
    type, as a whole result would.
    """
    first = next(chunks, "")
    head = checked(to_response(first if isinstance(first, Response) else _whole(first)))
    return head._replace(body=b""), chain((head.body,), map(_chunk, chunks))


def checked(response: Response) -> Response:
    """A `Response` is the user's: what no gateway takes is found while the traceback still says who wrote it."""
    if type(response.body) is not bytes or type(response.status) is not int or not 200 <= response.status <= 599:
        raise TypeError(f"a Response takes a status from 200 to 599 and a body of bytes, got {response!r:.200}")
    return response


def plain(value: Any) -> Any:
    """The value in dicts, lists and scalars."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(entry) for name, entry in zip(value._fields, value, strict=True)}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return _of_library(value)


def _of_library(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy's arrays and scalars, without importing numpy
        return value.tolist()
    import msgspec

    return msgspec.to_builtins(value, str_keys=True, enc_hook=_of_unknown)


def _of_unknown(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"the function returned {type(value).__name__}, which JSON cannot hold")


def _chunk(part: object) -> bytes:
    whole = _whole(part)
    return whole.encode() if isinstance(whole, str) else whole


def _whole(part: object) -> str | bytes:
    match part:
        case str():
            return part
        case bytes() | bytearray() | memoryview():
            return bytes(part)
    raise TypeError(f"the function yielded {type(part).__name__}: a chunk is str or bytes")


def _response(content_type: str, body: bytes, status: int = 200) -> Response:
    return Response(status, (("content-type", content_type),), body)
