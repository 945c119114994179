"""What of a request and an answer a record keeps: texts, without what was named to be redacted, cut to a size.

Input and output are texts as they were sent, mostly JSON. Where there is something to redact, JSON and forms are taken
apart: the values of the named fields, at any depth and in whatever case the name is written, become "[redacted]". What
cannot be taken apart and seems to hold such a field is described in place of being kept, as bytes that are no text are.
"""

from __future__ import annotations

import binascii
from _collections_abc import Mapping

from pilotlight.events import media_type, reads_as_text
from pilotlight.function import plain_json

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


REDACTED = "[redacted]"
_MULTIPART = "multipart/form-data"
_CUT = "… [cut: {} bytes]"
_FORM = "application/x-www-form-urlencoded"
_QUOTED = 40  # characters that an error message may quote of a text: `decode`
_LEAST = 6  # characters of a text that is taken out of messages too: a shorter one is a word of any sentence


class Redactor:
    """Redacts the fields of `names`. `seen` are texts that were redacted since it was emptied."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(map(str.casefold, names))
        self.seen: set[str] = set()

    def text(self, text: str, kind: str = "") -> str:
        """`text` without the values of the named fields; `kind` is its media type, "" for unknown."""
        if not self.names:
            return text
        try:
            value = plain_json.loads(text)
        except (ValueError, RecursionError):
            return self._form(text) if kind == _FORM and "{" not in text else self._unparsed(text, kind)
        return plain_json.dumps(self.value(value), ascii=False) if isinstance(value, dict | list) else text

    def value(self, value: Any) -> Any:
        """A JSON value without the values of the named fields; texts within it may be JSON themselves."""
        match value:
            case dict():
                return {name: self._field(name, each) for name, each in value.items()}
            case list():
                return [self.value(each) for each in value]
            case str() if value.lstrip()[:1] in ("{", "["):
                return self.text(value)
        return value

    def _field(self, name: str, value: Any) -> Any:
        if name.casefold() not in self.names:
            return self.value(value)
        self._note(value)
        return REDACTED

    def _note(self, value: Any) -> None:
        match value:
            case str() if len(value) >= _LEAST:
                self.seen.add(value)
            case dict() | list():
                for each in value.values() if isinstance(value, dict) else value:
                    self._note(each)

    def _form(self, text: str) -> str:
        from urllib.parse import parse_qsl, urlencode

        pairs = parse_qsl(text, keep_blank_values=True, errors="replace")
        return urlencode([(name, self._field(name, value)) for name, value in pairs], safe="[]")

    def _unparsed(self, text: str, kind: str) -> str:
        """A text that is no JSON, or is cut off: JSON in lines, XML, a multipart form, a sentence."""
        import re

        names = "|".join(map(re.escape, self.names))
        if re.search(rf"(?:{names})[\\\"'\]\s]*[:=>]|\\u", text.casefold()):
            return f"[{len(text.encode('utf-8', 'replace'))} bytes of {kind or 'text'} that cannot be redacted]"
        return text

    def message(self, text: str) -> str:
        """What a function said, without the texts that were redacted from what it was asked, or their beginnings."""
        for value in sorted(self.seen, key=len, reverse=True):
            for form in (value, value[:_QUOTED], repr(value)[1:-1], repr(value[:_QUOTED])[1:-1], _escaped(value)):
                text = text.replace(form, REDACTED)
        return text


def _escaped(value: str) -> str:
    return plain_json.dumps(value, ascii=False)[1:-1]


def _shown(body: object) -> str:
    import json

    return json.dumps(body, default=str, ensure_ascii=False)


def of_body(body: object, encoded: object, headers: object, redactor: Redactor) -> str:
    """The body of an HTTP event or answer as a text: what it says, or what it is where it is no text."""
    if not isinstance(body, str):
        return "" if body is None else redactor.text(_shown(body))
    if encoded is True:
        try:
            return _of_bytes(binascii.a2b_base64(body, strict_mode=True), _kind(headers), redactor)
        except ValueError:
            return f"[{len(body)} characters of damaged base64]"
    if body.startswith("--") and _kind(headers) == _MULTIPART:
        return _described(len(body.encode("utf-8", "replace")), _MULTIPART)
    return redactor.text(body, _kind(headers)) if redactor.names else body


def of_stream(sent: bytes, size: int, headers: object, redactor: Redactor) -> str:
    """What was streamed, of which `sent` is the beginning of `size` bytes."""
    if len(sent) == size:
        return _of_bytes(sent, _kind(headers), redactor)
    kind = _kind(headers)
    text = sent.decode(errors="ignore")
    is_kept = reads_as_text(kind) and redactor.text(text, kind) == text
    return text + _CUT.format(size) if is_kept else _described(size, kind)


def _of_bytes(data: bytes, kind: str, redactor: Redactor) -> str:
    try:
        return redactor.text(data.decode(), kind) if reads_as_text(kind) else _described(len(data), kind)
    except UnicodeDecodeError:
        return _described(len(data), kind)


def _described(size: int, kind: str) -> str:
    return f"[{size} bytes of {kind or 'no type'}]"


def _kind(headers: object) -> str:
    """The media type that an event's or an answer's headers name."""
    if isinstance(headers, Mapping):
        for name, value in headers.items():
            if isinstance(name, str) and len(name) == 12 and name.lower() == "content-type" and isinstance(value, str):
                return media_type(value)
    return ""


def joined(body: str, parameters: Mapping[str, object], redactor: Redactor) -> str:
    """A body together with the parameters of query and path: fields of one object."""
    try:
        value = plain_json.loads(body) if body else {}
    except (ValueError, RecursionError):
        value = body
    fields = value if isinstance(value, dict) else {"body": value}
    return plain_json.dumps({**redactor.value({**parameters}), **fields}, ascii=False)


def fitted(first: str, second: str, room: int) -> tuple[str, str]:
    """Two texts cut so that they have `room` bytes together: a short one is left whole, where that can be."""
    first, second = valid(first), valid(second)
    if 4 * (len(first) + len(second)) <= room:  # a character has 4 bytes at most
        return first, second
    second = cut(second, max(room // 2, room - len(first.encode())))
    return cut(first, room - len(second.encode())), second


def valid(text: str) -> str:
    """As UTF-8 can hold it: JSON may have half of a surrogate pair."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def cut(text: str, size: int) -> str:
    """At most `size` bytes of it, with a mark at the end that says how many there were."""
    data = text.encode()
    if len(data) <= size:
        return text
    mark = _CUT.format(len(data))
    return data[: max(0, size - len(mark.encode()))].decode(errors="ignore") + mark
