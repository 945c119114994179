"""The body of a request -> what it gives to each parameter.

    JSON (application/json, +json)       an object gives one value a field, anything else goes to the sole parameter
    application/x-www-form-urlencoded    texts by name; a body that begins with { is read as JSON, which no form is and
                                         which `curl -d` sends under this type
    multipart/form-data                  texts and files by name
    text/*                               goes to the sole parameter
    none                                 as JSON when it is JSON, else as text
    anything else                        goes to the one parameter that takes a `File` or an `Image`, or is refused
                                         with 415

A sole parameter that asks for an object takes the whole JSON object, unless the object's one key is the name of the
parameter and holds an object. An empty body is no body.
"""

from __future__ import annotations

from pilotlight.errors import InputError, UnsupportedMediaType
from pilotlight.events import Request, is_utf8
from pilotlight.function import plain_json
from pilotlight.function.decode import kind_of
from pilotlight.function.inputs import File
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
PARTS = 1_000  # of one multipart form; its size is bounded by Lambda's payload

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Given(NamedTuple):
    """What a request gives to one parameter: a JSON value, or the texts that came under its name. `path` begins the
    field of an error: the parameter's name, or "" where the value is the whole body.
    """

    value: Any
    path: str
    texts: bool = False


class Takers(NamedTuple):
    """Who takes what does not come by name, each "" for nobody.

    `sole` is the parameter that is alone with the request, `takes_object` says whether it asks for a JSON object;
    `file` is the one that takes a single `File` or `Image`.
    """

    sole: str = ""
    takes_object: bool = False
    file: str = ""


def given_by_body(request: Request, takers: Takers) -> dict[str, Given]:
    """Raises `InputError` for a damaged body, `UnsupportedMediaType` for one that nobody takes."""
    kind = request.content_type()
    if not request.body:
        return {}
    if kind == "application/json" or kind.endswith("+json"):
        return given_by_json(parsed(request.body), takers)
    if kind == FORM:
        return _given_by_form(request, takers)
    if kind == MULTIPART:
        return given_by_texts(_multipart(request))
    return _given_by_content(request, kind, takers)


def given_by_json(value: object, takers: Takers) -> dict[str, Given]:
    """What a JSON value gives: a body, or a bare event."""
    if not isinstance(value, dict) or (takers.takes_object and not _is_wrapped(value, takers.sole)):
        if not takers.sole:
            raise InputError(("", f"expected an object of fields, got {kind_of(value)}"))
        return {takers.sole: Given(value, "")}
    return {name: Given(field, name) for name, field in value.items()}


def given_by_texts(pairs: Sequence[tuple[str, object]]) -> dict[str, Given]:
    """What a form, a query string or a path gives."""
    texts: dict[str, list[object]] = {}
    for name, text in pairs:
        texts.setdefault(name, []).append(text)
    return {name: Given(values, name, texts=True) for name, values in texts.items()}


def parsed(body: bytes) -> object:
    """A JSON body. Raises `InputError` with the position of what is wrong."""
    text = _text(body)
    try:
        return plain_json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        reason = _damage(error)
    except RecursionError:
        reason = "nested too deeply"
    raise InputError(("body", f"not valid JSON: {reason}"))


def _damage(error: ValueError) -> str:
    from json import JSONDecodeError

    if isinstance(error, JSONDecodeError):
        return f"{error.msg} at line {error.lineno} column {error.colno}"
    # Python's limit on the digits of an int: docs.python.org/3/library/stdtypes.html#int-max-str-digits
    return "a number has too many digits"


def _is_wrapped(value: dict[str, object], name: str) -> bool:
    return len(value) == 1 and isinstance(value.get(name), dict)


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(("body", f"not valid JSON: {name} is no JSON number"))


def _text(body: bytes) -> str:
    try:
        return body.removeprefix(_BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        raise InputError(("body", f"not valid UTF-8 at byte {error.start}")) from None


def _given_by_form(request: Request, takers: Takers) -> dict[str, Given]:
    body = request.body
    if body.lstrip()[:1] == b"{":
        return given_by_json(parsed(body), takers)
    if takers.file and not is_utf8(body):  # no form, but what `curl --data-binary @file` sends
        return {takers.file: Given(File(body), takers.file)}
    from urllib.parse import parse_qsl

    try:
        return given_by_texts(parse_qsl(_text(body), keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        raise InputError(("body", "not valid UTF-8 behind the percent signs")) from None


def _given_by_content(request: Request, kind: str, takers: Takers) -> dict[str, Given]:
    """A body that is neither form nor declared JSON."""
    if not kind:
        try:
            return given_by_json(parsed(request.body), takers)
        except InputError:
            if not (takers.file or takers.sole):
                raise
    if takers.file:
        return {takers.file: Given(File(request.body, "", kind), takers.file)}
    if takers.sole and (not kind or kind.startswith("text/")):
        return {takers.sole: Given([_text(request.body)], "", texts=True)}
    raise UnsupportedMediaType(("content-type", f"{kind} is not supported here"))


def _multipart(request: Request) -> list[tuple[str, object]]:
    """The parts by name: a `File` for one that has a filename, else its text."""
    import multipart  # type: ignore[import-untyped]

    _, options = multipart.parse_options_header(request.header("content-type"))
    pairs: list[tuple[str, object]] = []
    content: list[bytes] = []
    part: Any = None
    try:
        parser = multipart.PushMultipartParser(options.get("boundary", ""), max_segment_count=PARTS)
        with parser:
            for event in parser.parse(request.body):
                if isinstance(event, multipart.MultipartSegment):
                    part, content = event, []
                elif event is not None:
                    content.append(bytes(event))
                else:
                    pairs.append((part.name, _part(part, b"".join(content))))
    except multipart.MultipartError as error:
        raise InputError(("body", f"not a valid multipart form: {error}")) from None
    return pairs


def _part(part: Any, content: bytes) -> object:
    if part.filename is None:
        return _text(content)
    return File(content, part.filename, part.content_type or "")
