"""The captioning example with the shipped model, as API Gateway calls it."""

import json
import os
import random
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from conftest import RunningServer

SERVICE = Path(__file__).parents[2] / "examples" / "captioning"
EXAMPLE = SERVICE / "events" / "tennis.jpg"
ANSWERS = """
import json, sys
from pilotlight.function.runtime import load
handler = load("inference/caption.handler", ".")
print(json.dumps([handler(event, None) for event in json.load(sys.stdin)]))
"""
FIELDS = ["message", "words", "maps"]


def asked(*events: dict[str, Any], **variables: str) -> list[dict[str, Any]]:
    """What the handler answers, in a process that has the service folder as Lambda has its task root."""
    done = subprocess.run(
        [sys.executable, "-c", ANSWERS], input=json.dumps(events), cwd=SERVICE, env={**os.environ, **variables},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def posted(body: bytes, content_type: str = "image/jpeg", accept: str = "*/*", **query: str) -> dict[str, Any]:
    """The event of a REST API to which everything is binary."""
    return {
        "resource": "/caption", "path": "/caption", "httpMethod": "POST", "queryStringParameters": query or None,
        "headers": {"Content-Type": content_type, "Accept": accept}, "requestContext": {"stage": "prod"},
        "body": b64encode(body).decode(), "isBase64Encoded": True,
    }  # fmt: skip


def picture(size: tuple[int, int] = (64, 48), mode: str = "RGB", kind: str = "PNG", seed: int = 7) -> bytes:
    noise = random.Random(seed).randbytes(6 * 5 * 3)
    stored = BytesIO()
    Image.frombytes("RGB", (6, 5), noise).resize(size).convert(mode).save(stored, kind)
    return stored.getvalue()


def body(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])


def test_the_example_picture_gets_its_caption() -> None:
    [answer] = asked(posted(EXAMPLE.read_bytes()))
    assert answer["statusCode"] == 200
    assert list(body(answer)) == ["message"]
    assert "tennis court" in body(answer)["message"]


def test_every_way_in_gives_the_same_caption() -> None:
    content = EXAMPLE.read_bytes()
    text = b64encode(content).decode()
    form = b'--b\r\ncontent-disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n' + content + b"\r\n--b--\r\n"
    answers = asked(
        posted(content),
        posted(content, "application/octet-stream"),
        posted(form, "multipart/form-data; boundary=b"),
        posted(json.dumps({"image": text}).encode(), "application/json"),
        posted(json.dumps({"image": f"data:image/jpeg;base64,{text}"}).encode(), "application/json"),
    )
    messages = [body(answer)["message"] for answer in answers]
    assert messages == [messages[0]] * 5
    assert asked({"image": text}) == [{"message": messages[0]}]


def test_pictures_of_any_mode_and_kind_get_a_caption() -> None:
    modes = [("L", "PNG"), ("P", "GIF"), ("RGBA", "PNG"), ("CMYK", "JPEG"), ("1", "PNG"), ("RGB", "WEBP")]
    answers = asked(*(posted(picture((70, 40), mode, kind)) for mode, kind in modes), posted(picture((1, 1))))
    assert [answer["statusCode"] for answer in answers] == [200] * 7
    assert all(body(answer)["message"] for answer in answers)


def test_two_bytes_are_a_ping() -> None:
    pings = asked(posted(b"{}"), posted(b"hi", "application/json"), posted(b"\xff\xd8"))
    for ping in pings:
        assert (ping["statusCode"], ping["body"]) == (204, "")


def test_maps_tell_where_each_word_looked() -> None:
    plain, told = asked(posted(EXAMPLE.read_bytes()), posted(EXAMPLE.read_bytes(), maps="true"))
    answer = body(told)
    assert list(answer) == FIELDS
    assert answer["message"] == body(plain)["message"] == " ".join(answer["words"])
    assert len(answer["maps"]) == len(answer["words"])
    for grid in answer["maps"]:
        assert [len(row) for row in grid] == [8] * 8
        assert sum(map(sum, grid)) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (900, 20)])
def test_maps_are_drawn_word_by_word(size: tuple[int, int]) -> None:
    content = picture(size)
    told, drawn, accepted = asked(
        posted(content, maps="true"), posted(content, draw="true"), posted(content, accept="image/png")
    )
    assert drawn == accepted
    assert drawn["headers"]["content-type"] == "image/png"
    with Image.open(BytesIO(b64decode(drawn["body"]))) as image:
        image.load()
        assert image.format == "PNG"
        tiles, scale = len(body(told)["words"]) + 1, 192 / max(size)
        wide, high = (max(1, round(side * scale)) for side in size)
        columns = min(5, tiles)
        assert image.size == (columns * (wide + 6) + 6, -(-tiles // columns) * (high + 26) + 6)


def test_beams_are_one_to_ten() -> None:
    content = EXAMPLE.read_bytes()
    answers = asked(*(posted(content, beam=str(beam)) for beam in (1, 5, 10, 0, 11, "x", "2.5")))
    assert [answer["statusCode"] for answer in answers] == [200, 200, 200, 400, 400, 400, 400]
    assert body(answers[3])["errors"] == [{"field": "beam", "reason": "expected 1 to 10, got 0"}]


def test_what_is_no_picture_is_refused() -> None:
    whole = picture((300, 300), kind="JPEG")
    text, cut, empty, form = asked(
        posted(b"no picture at all"), posted(whole[: len(whole) // 2]), posted(b""), posted(b"{}...", "text/csv")
    )
    assert (text["statusCode"], form["statusCode"]) == (415, 415)
    assert (cut["statusCode"], empty["statusCode"]) == (400, 400)
    assert body(empty)["errors"] == [{"field": "image", "reason": "missing"}]


def test_the_same_picture_gets_the_same_answer_each_time() -> None:
    once, again = asked(*[posted(EXAMPLE.read_bytes(), maps="true", beam="5")] * 2)
    assert once == again


def test_an_answer_needs_neither_numpy_nor_torch() -> None:
    script = """
import json, sys
from pilotlight.function.runtime import load
handler = load("inference/caption.handler", ".")
handler({"image": sys.stdin.read()}, None)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    command = [sys.executable, "-c", script]
    text = b64encode(EXAMPLE.read_bytes()).decode()
    done = subprocess.run(command, input=text, cwd=SERVICE, capture_output=True, text=True, timeout=100, check=True)
    loaded = set(json.loads(done.stdout))
    assert "PIL" in loaded
    assert not loaded & {"numpy", "torch", "onnxruntime", "msgspec", "urllib", "asyncio", "dataclasses"}


def test_served_it_answers_a_browser(start_server: Callable[..., RunningServer]) -> None:
    url = f"{start_server(SERVICE, '--no-reload').url}/caption"
    content, kind = EXAMPLE.read_bytes(), {"content-type": "image/jpeg"}
    said = httpx.post(url, content=content, headers={**kind, "origin": "https://example.com"}, timeout=60)
    assert said.status_code == 200
    assert "tennis" in said.json()["message"]
    assert said.headers["access-control-allow-origin"] == "*"
    drawn = httpx.post(url, params={"draw": "true"}, content=content, headers=kind, timeout=60)
    assert drawn.headers["content-type"] == "image/png"
    assert drawn.content.startswith(b"\x89PNG")
    ping = httpx.post(url, content=b"{}", timeout=60)
    assert (ping.status_code, ping.content) == (204, b"")
