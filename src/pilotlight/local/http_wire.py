"""HTTP/1.1 as bytes: where a request goes, and the head of an answer."""

import time
from email.utils import formatdate
from http import HTTPStatus

import httptools

from pilotlight.events import Request, Response

BODILESS = (204, 304)
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


def of_origin(url: bytes) -> bytes:
    """Path and query of a URL in absolute form, or `*`. Raises HttpParserError for what has no path, as of CONNECT."""
    parsed = httptools.parse_url(url)
    if not parsed.path:
        raise httptools.HttpParserInvalidURLError(f"no path: {url!r}")
    return parsed.path + (b"?" + parsed.query if parsed.query else b"")


def is_bodiless(request: Request, response: Response) -> bool:
    return request.method == "HEAD" or response.status in BODILESS


def head(response: Response, more: str = "", *, closes: bool = False) -> bytes:
    """Status line and headers; `more` are whole lines. Raises ValueError for a header that would end its line."""
    lines = [f"{name}: {value}" for name, value in response.headers]
    text = "\r\n".join([_STATUS_LINES.get(response.status) or f"HTTP/1.1 {response.status} ", _date(), *lines])
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError("a header of the answer has more than one line")
    end = "connection: close\r\n\r\n" if closes else "\r\n"
    return f"{text}\r\n{more}{end}".encode("latin-1", "replace")


_dated = (0, "")


def _date() -> str:
    global _dated
    second = int(time.time())
    if second != _dated[0]:
        _dated = second, f"date: {formatdate(second, usegmt=True)}"
    return _dated[1]
