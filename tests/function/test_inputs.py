"""Raw bodies, uploaded files and multipart forms."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binary_events import http
from pilotlight.function.endpoint import endpoint
from pilotlight.function.inputs import Body, File

FORM = 'multipart/form-data; boundary="b 1"'


@endpoint
def raw(body: Body) -> list[object]:
    return [body.content_type, list(body)]


@endpoint
def maybe(body: Body | None = None) -> bool:
    return body is None


@endpoint
def caption(image: File, top: int = 1, note: str = "") -> list[object]:
    return [image.filename, image.content_type, list(image.content), top, note]


@endpoint
def album(images: list[File]) -> list[str]:
    return [image.filename for image in images]


def part(head: str, content: bytes) -> bytes:
    return f"--b 1\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"


IMAGE = part('name="image"; filename="katze.png"\r\nContent-Type: image/png', b"\x89\xff")
END = b"--b 1--\r\n"


@pytest.mark.parametrize(
    ("handler", "event", "answer"),
    [
        (raw, http(b"\x00\xff", "application/x-thing; v=1"), ["application/x-thing; v=1", [0, 255]]),
        (raw, http(b'{"a"', "application/json"), ["application/json", list(b'{"a"')]),
        (maybe, http(b""), True),
        (maybe, http(b"x"), False),
        (caption, http(IMAGE + END, FORM), ["katze.png", "image/png", [137, 255], 1, ""]),
        (
            caption,
            http(IMAGE + part('name="top"', b"3") + part('name="note"', "Köln".encode()) + END, FORM, "top=9"),
            ["katze.png", "image/png", [137, 255], 3, "Köln"],
        ),
        (caption, http(part('name="image"; filename=""', b"") + END, FORM), ["", "", [], 1, ""]),
        (caption, http(b"\x89\xff", "image/png", "top=2"), ["", "image/png", [137, 255], 2, ""]),
        (caption, http(b"\x89\xff"), ["", "", [137, 255], 1, ""]),
        (caption, http(b'{"image": "if8=", "top": 2}', "application/json"), ["", "", [137, 255], 2, ""]),
        (album, http(part('name="images"; filename="a"', b"") + part('name="images"; filename="b"', b"") + END, FORM),
         ["a", "b"]),
    ],
)  # fmt: skip
def test_behind_http(handler: Any, event: dict[str, Any], answer: object) -> None:
    result = handler(event)
    assert (result["statusCode"], json.loads(result["body"])) == (200, answer)


@pytest.mark.parametrize(
    ("handler", "event", "answer"),
    [
        (raw, {"body": "if8="}, ["", [137, 255]]),
        (raw, "if8=", ["", [137, 255]]),
        (caption, {"image": "if8=", "top": 2}, ["", "", [137, 255], 2, ""]),
        (maybe, {}, True),
        (maybe, {"body": None}, True),
    ],
)
def test_bare(handler: Any, event: object, answer: object) -> None:
    assert handler(event) == answer


@pytest.mark.parametrize(
    ("handler", "event", "status", "message"),
    [
        (raw, http(b""), 400, "body: missing"),
        (caption, http(b""), 400, "image: missing"),
        (caption, http(part('name="image"', b"x") + END, FORM), 400, "image: expected file, got str"),
        (caption, http(part('name="note"; filename="n"', b"") + IMAGE + END, FORM), 400, "note: expected text"),
        (caption, http(b'{"image": "?"}', "application/json"), 400, "image: expected a file as base64"),
        (caption, http(b'{"image": 1}', "application/json"), 400, "image: expected a file as base64"),
        (caption, http(IMAGE, FORM), 400, "body: not a valid multipart form: Unexpected end of multipart stream"),
        (caption, http(IMAGE + END, "multipart/form-data"), 400, "body: not a valid multipart form: Empty boundary"),
        (caption, http(part('name="a"', b"x") * 1_001 + END, FORM), 400, "body: not a valid multipart form: Maximum"),
        (caption, http(part('name="note"', b"\xff") + END, FORM), 400, "body: not valid UTF-8 at byte 0"),
        (album, http(b"\x89", "image/png"), 415, "content-type: image/png is not supported here"),
    ],
)  # fmt: skip
def test_refused(handler: Any, event: dict[str, Any], status: int, message: str) -> None:
    result = handler(event)
    assert result["statusCode"] == status
    assert json.loads(result["body"])["message"].startswith(message)


@given(st.lists(st.sampled_from([IMAGE, END, b"--b 1", b"\r\n", b"\n", b'name="image"', b"\xff"])), st.binary())
def test_a_damaged_form_is_refused(pieces: list[bytes], tail: bytes) -> None:
    assert caption(http(b"".join(pieces) + tail, FORM))["statusCode"] in (200, 400)
