"""Functions that take the URL of a picture or an object of S3, served: what the settings open, and what they do not."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from conftest import RunningServer, png, write
from http_servers import HttpServer, Request, answer, serving
from s3_store import open_store

SIZE = """
    from pilotlight import ImageUrl, endpoint


    @endpoint
    def handler(url: ImageUrl) -> dict[str, int]:
        return {"width": url.width, "height": url.height}
    """
LOOK = """
    from pilotlight import Image, endpoint


    @endpoint
    def handler(image: Image) -> dict[str, int]:
        return {"width": image.width, "height": image.height}
    """
ROUTES = '[functions.size]\nroute = ["POST /size", "GET /size"]\n'

Start = Callable[..., RunningServer]


PICTURE = png(3, 2)
PAGES = {
    "/a.png": answer(200, PICTURE, "Content-Type: image/png\r\n"),
    "/moved": answer(302, b"", "Location: /a.png\r\n"),
    "/inside": answer(302, b"", "Location: http://169.254.169.254/latest/meta-data/\r\n"),
    "/page": answer(200, b"<html>", "Content-Type: text/html\r\n"),
    "/broken.png": answer(200, PICTURE[:20], "Content-Type: image/png\r\n"),
    "/large.png": b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 10000001\r\n\r\n",
}


def pages(request: Request) -> bytes:
    return PAGES.get(request.target, answer(404, b""))


@pytest.fixture
def pictures() -> Iterator[HttpServer]:
    with serving(pages) as server:
        yield server


def ask(url: str, fields: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    data = None if fields is None else json.dumps(fields).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"} if data else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def invoke(server: RunningServer, function: str, event: object) -> dict[str, Any]:
    client = boto3.client(
        "lambda", "us-east-1", endpoint_url=server.url, aws_access_key_id="any", aws_secret_access_key="any"
    )
    payload = client.invoke(FunctionName=function, Payload=json.dumps(event).encode())["Payload"]
    result: dict[str, Any] = json.loads(payload.read())
    return result


def problem(field: str, reason: str) -> dict[str, Any]:
    return {"message": f"{field}: {reason}", "errors": [{"field": field, "reason": reason}]}


def said(answered: tuple[int, dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    """Without the id of the request."""
    status, body = answered
    return status, {name: value for name, value in body.items() if name != "requestId"}


def test_a_server_on_this_machine_is_not_fetched_from(
    tmp_path: Path, start_server: Start, pictures: HttpServer
) -> None:
    server = start_server(write(tmp_path, {"inference/size.py": SIZE, "pilotlight.toml": ROUTES}))
    url = f"http://127.0.0.1:{pictures.port}/a.png"
    refused = (400, problem("url", "must be a public http or https address"))
    assert said(ask(f"{server.url}/size", {"url": url})) == refused
    assert said(ask(f"{server.url}/size?url={urllib.parse.quote(url)}")) == refused
    failed = invoke(server, "size", {"url": url})
    assert (failed["errorType"], failed["errorMessage"]) == ("Refused", refused[1]["message"])
    assert pictures.requests == []


def test_a_host_that_the_settings_open(tmp_path: Path, start_server: Start, pictures: HttpServer) -> None:
    settings = f'[inputs]\nallow_urls = ["127.0.0.1:{pictures.port}"]\n{ROUTES}'
    server = start_server(write(tmp_path, {"inference/size.py": SIZE, "pilotlight.toml": settings}))
    base, size = f"http://127.0.0.1:{pictures.port}", {"width": 3, "height": 2}
    assert ask(f"{server.url}/size", {"url": f"{base}/a.png"}) == (200, size)
    assert ask(f"{server.url}/size?url={urllib.parse.quote(f'{base}/a.png')}") == (200, size)
    assert invoke(server, "size", {"url": f"{base}/a.png"}) == size
    assert ask(f"{server.url}/size", {"url": f"{base}/moved"}) == (200, size)
    for place, status, reason in (
        ("/inside", 400, "must be a public http or https address"),
        ("/nothing", 400, "cannot be fetched: its server answered 404"),
        ("/page", 400, "holds text/html, not image/*"),
        ("/large.png", 413, "holds more than 10,000,000 bytes"),
    ):
        assert said(ask(f"{server.url}/size", {"url": base + place})) == (status, problem("url", reason))
    status, body = ask(f"{server.url}/size", {"url": f"{base}/broken.png"})
    assert (400 <= status < 500, body["errors"][0]["field"]) == (True, "url")


def test_an_object_of_s3(tmp_path: Path, start_server: Start) -> None:
    settings = '[inputs]\nbuckets = ["pictures"]\n'
    with open_store() as store:
        store.put("a b.png", PICTURE)
        folder = write(tmp_path, {"inference/look.py": LOOK, "pilotlight.toml": settings})
        server = start_server(folder, **store.owner)
        assert ask(f"{server.url}/look", {"image": "s3://pictures/a b.png"}) == (200, {"width": 3, "height": 2})
        assert invoke(server, "look", {"image": "s3://pictures/a b.png"}) == {"width": 3, "height": 2}
        for uri, reason in (
            ("s3://pictures/nothing.png", "names an object that does not exist"),
            ("s3://secrets/a.png", "names a bucket that is not open to requests"),
            ("s3://pictures", "must be of the form s3://bucket/key"),
        ):
            assert said(ask(f"{server.url}/look", {"image": uri})) == (400, problem("image", reason))
