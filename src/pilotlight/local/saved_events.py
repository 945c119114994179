"""Test events of the functions, kept in the service's folder `events/` and asked for by the page.

    events/NAME.json          the function's own: what `pilotlight invoke` sends. It is called as the function is
    events/NAME/OTHER.json    further ones, which `pilotlight build` tries as well

Names come from clients: they are single names that begin and end with a letter, a digit or _, so none leads elsewhere.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from pilotlight import limits
from pilotlight.events import Request, Response
from pilotlight.local import pages
from pilotlight.local.pages import PREFIX, Page
from pilotlight.project import Function

_NAME = re.compile(r"\w(?:[\w .-]*\w)?")
_LONGEST = 200  # bytes of a name: with .json, and as a file that is being written, file systems take 255
_PATH = f"{PREFIX}functions/{{key}}/events/{{name}}"


class Refused(Exception):
    """What is answered instead: a status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class SavedEvents:
    """The pages that read, write and remove them, for the functions that `show` was last told of."""

    def __init__(self) -> None:
        self._functions: Mapping[str, Function] = {}

    def show(self, functions: Sequence[Function]) -> None:
        self._functions = {function.key: function for function in functions}

    def pages(self) -> Iterator[Page]:
        yield "GET", _PATH, self._read
        yield "PUT", _PATH, self._write
        yield "DELETE", _PATH, self._remove

    def _read(self, request: Request, parameters: Mapping[str, str]) -> Response:
        return self._answered(parameters, _content)

    def _write(self, request: Request, parameters: Mapping[str, str]) -> Response:
        return self._answered(parameters, lambda path: _save(path, request.body))

    def _remove(self, request: Request, parameters: Mapping[str, str]) -> Response:
        return self._answered(parameters, _delete)

    def _answered(self, parameters: Mapping[str, str], act: Callable[[Path], Response]) -> Response:
        try:
            return act(self._file(parameters["key"], parameters["name"]))
        except Refused as refused:
            return pages.fail(refused.status, str(refused))
        except FileNotFoundError:
            return pages.fail(404, f"there is no event {parameters['name']!r}")
        except OSError as error:
            return pages.fail(500, f"the event {parameters['name']!r}: {error.strerror}")

    def _file(self, key: str, name: str) -> Path:
        function = self._functions.get(key)
        if function is None:
            raise Refused(404, f"there is no function {key!r}")
        if not _is_name(name):
            raise Refused(400, "the name of an event is letters, digits, blanks and any of . _ - between them")
        path = file(function, name)
        if not path.parent.resolve().is_relative_to(function.root.resolve()):
            raise Refused(400, "the folder of the events leads out of the service's")
        return path


def names(function: Function) -> list[str]:
    """Of the events that are saved for a function, its own first."""
    own = [function.name] if function.event_file.is_file() else []
    return own + sorted(path.stem for path in _beside(function).glob("*.json") if _is_name(path.stem))


def file(function: Function, name: str) -> Path:
    """Where the function's event of that name is, or would be."""
    return function.event_file if name == function.name else _beside(function) / f"{name}.json"


def _beside(function: Function) -> Path:
    return function.event_file.with_suffix("")


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and len(os.fsencode(name)) <= _LONGEST


def _content(path: Path) -> Response:
    if path.stat().st_size > limits.REQUEST_PAYLOAD:
        raise Refused(413, f"the event is larger than the {limits.REQUEST_PAYLOAD:,} bytes that Lambda takes")
    headers = (("content-type", "application/json"), ("cache-control", "no-store"))
    return Response(200, headers, path.read_bytes())


def _save(path: Path, content: bytes) -> Response:
    """Whole or not at all, and only what Lambda takes: JSON of a bounded size."""
    if len(content) > limits.REQUEST_PAYLOAD:
        raise Refused(413, f"an event has at most the {limits.REQUEST_PAYLOAD:,} bytes that Lambda takes")
    try:
        msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"the event is not JSON: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(suffix=".partial", prefix=".", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content.rstrip() + b"\n")
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    return Response(204)


def _delete(path: Path) -> Response:
    path.unlink()
    with contextlib.suppress(OSError):  # others are in it
        path.parent.rmdir()
    return Response(204)
