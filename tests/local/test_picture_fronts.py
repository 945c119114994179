"""One picture, one answer: through a REST API, an HTTP API, a function URL and the Invoke API."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from conftest import RunningServer, write
from pilotlight.function.inputs import Image
from small_pictures import BOMBS, CLEAR, fields, turned, written

LOOKS = """
    from hashlib import sha256

    from pilotlight import Image, ImageUrl, endpoint

    @endpoint
    def handler(image: Image | None = None, url: ImageUrl | None = None) -> list[object]:
        picture = image or url
        pixels = picture.pixels(64, 64, "bicubic")
        return [picture.format, picture.width, picture.height, sha256(pixels).hexdigest()]
    """
FRONTS = """
    [functions.rest]
    front = "rest"
    binary_media_types = ["image/*", "multipart/form-data"]
    [functions.text]
    front = "rest"
    [functions.url]
    front = "url"
    """
NAMES = ("http", "rest", "text", "url")
PICTURES = {
    "jpeg": (written(fields(), "JPEG", quality=95), "image/jpeg"),
    "turned": (turned(6), "image/jpeg"),
    "png": (written(fields(), "PNG"), "image/png"),
    "clear": (written(CLEAR, "PNG"), "image/png"),
    "gif": (written(fields(), "GIF"), "image/gif"),
    "bmp": (written(fields(), "BMP"), "image/bmp"),
    "tiff": (written(fields(), "TIFF"), "image/tiff"),
    "webp": (written(fields(), "WEBP"), "image/webp"),
    "avif": (written(fields(), "AVIF"), "image/avif"),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    files = {f"inference/{name}.py": LOOKS for name in NAMES}
    folder = write(tmp_path_factory.mktemp("pictures") / "service", {**files, "pilotlight.toml": FRONTS})
    server = RunningServer([str(folder), "--no-reload"], {})
    with httpx.Client(base_url=server.url, timeout=60) as made:
        yield made
    assert server.stop() == 0


def invoke(client: httpx.Client, content: bytes) -> httpx.Response:
    event = {"image": base64.b64encode(content).decode()}
    return client.post("/2015-03-31/functions/http/invocations", json=event)


def ways(client: httpx.Client, content: bytes, kind: str) -> dict[str, Callable[[], httpx.Response]]:
    raw, form = {"content": content, "headers": {"content-type": kind}}, {"files": {"image": ("a", content, kind)}}
    text = {"json": {"image": f"data:{kind};base64,{base64.b64encode(content).decode()}"}}
    return {
        **{f"raw, {name}": lambda name=name: client.post(f"/{name}", **raw) for name in ("rest", "http", "url")},
        **{f"form, {name}": lambda name=name: client.post(f"/{name}", **form) for name in ("rest", "http", "url")},
        **{f"json, {name}": lambda name=name: client.post(f"/{name}", **text) for name in NAMES},
        "invoke": lambda: invoke(client, content),
    }


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_bytes_give_the_same_answer(client: httpx.Client, name: str) -> None:
    content, kind = PICTURES[name]
    image = Image(content)
    expected = [image.format, image.width, image.height, hashlib.sha256(image.pixels(64, 64, "bicubic")).hexdigest()]
    answers = {way: ask().json() for way, ask in ways(client, content, kind).items()}
    assert answers == dict.fromkeys(answers, expected)
    assert len(answers) == 11


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (PICTURES["png"][0][:60], 400, "a damaged or incomplete PNG picture"),
        (BOMBS["png"], 413, "60000 x 60000 pixels, and a picture may have"),
        (b"hello, no picture", 415, "no picture of a format that is read here"),
    ],
)
def test_the_same_bytes_are_refused_alike(client: httpx.Client, content: bytes, status: int, reason: str) -> None:
    answers = {way: ask() for way, ask in ways(client, content, "image/png").items()}
    told = answers.pop("invoke").json()
    assert told["errorMessage"].startswith(f"image: {reason}")
    for way, answer in answers.items():
        assert answer.status_code == status, way
        assert answer.json()["errors"][0]["field"] == "image"
        assert answer.json()["message"].startswith(f"image: {reason}"), way


def test_a_rest_api_without_binary_types_says_what_is_missing(client: httpx.Client) -> None:
    content, kind = PICTURES["jpeg"]
    answer = client.post("/text", content=content, headers={"content-type": kind})
    assert answer.status_code == 415
    assert "binary_media_types" in answer.json()["message"]


def test_a_picture_on_this_machine_is_not_fetched(client: httpx.Client) -> None:
    answer = client.post("/http", json={"url": str(client.base_url)})
    assert answer.status_code == 400
    assert json.loads(answer.text)["errors"][0]["field"] == "url"
