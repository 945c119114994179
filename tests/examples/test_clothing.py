"""The clothing example behind real servers: its shipped models, asked by URL and with a picture, through every door."""

import json
import os
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from conftest import RunningServer
from http_servers import HttpServer, Request, answer

EXAMPLE = Path(__file__).parents[2] / "examples" / "clothing"
PANTS = (EXAMPLE / "events" / "pants.jpg").read_bytes()
KINDS = ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"]
MODELS = ["models/clothing", "models/clothing_tflite"]
FRONTS = {  # what API Gateway or a function URL puts before the function
    "http": "",
    "rest": 'front = "rest"\nbinary_media_types = ["image/*", "multipart/form-data"]\n',
    "url": 'front = "url"\n',
}


def pages(request: Request) -> bytes:
    match request.target:
        case "/pants.jpg":
            return answer(200, PANTS, "content-type: image/jpeg\r\n")
        case "/page":
            return answer(200, b"<html>no picture</html>", "content-type: text/html\r\n")
    return answer(404, b"")


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A server of pictures on this machine, which a function reaches where it is opened by name."""
    server = HttpServer(pages)
    yield f"127.0.0.1:{server.port}"
    server.close()


def changed(folder: Path, host: str, before: str, after: str) -> Path:
    """The example with `before` in its settings replaced, and `host` opened."""
    service = Path(shutil.copytree(EXAMPLE, folder / "clothing", ignore=shutil.ignore_patterns("__pycache__", "run")))
    toml = (service / "pilotlight.toml").read_text(encoding="utf-8")
    assert toml.count(before) == 1
    opened = f'\n[inputs]\nallow_urls = ["{host}"]\n'
    (service / "pilotlight.toml").write_text(toml.replace(before, after) + opened, encoding="utf-8")
    return service


@pytest.fixture(scope="module", params=FRONTS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, host: str) -> Iterator[str]:
    function = "[functions.clothing]\n"
    service = changed(tmp_path_factory.mktemp("front"), host, function, function + FRONTS[request.param])
    server = RunningServer([str(service), "--no-reload"], {})
    yield server.url
    server.stop()


def is_pants(logits: dict[str, float]) -> bool:
    return list(logits) == KINDS and max(logits, key=logits.__getitem__) == "pants"


def test_each_way_to_send_a_picture_gives_the_same_logits(served: str, host: str) -> None:
    url = f"{served}/predict"
    responses = [
        httpx.post(url, json={"url": f"http://{host}/pants.jpg"}, timeout=60),
        httpx.post(url, content=PANTS, headers={"content-type": "image/jpeg"}, timeout=60),
        httpx.post(url, files={"image": ("pants.jpg", PANTS, "image/jpeg")}, timeout=60),
        httpx.post(url, json={"image": b64encode(PANTS).decode()}, timeout=60),
    ]
    assert [response.status_code for response in responses] == [200] * 4, [response.text for response in responses]
    first, *others = [response.json() for response in responses]
    assert is_pants(first)
    assert others == [first] * 3


@pytest.fixture(scope="module", params=MODELS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, host: str) -> Iterator[str]:
    """A server whose setting `model` names the one or the other."""
    folder = changed(tmp_path_factory.mktemp("model"), host, f'"{MODELS[0]}" #', f'"{request.param}" #')
    server = RunningServer([str(folder), "--no-reload"], {})
    yield server.url
    server.stop()


def invoked(url: str, event: object) -> Any:
    client = boto3.client(
        "lambda", endpoint_url=url, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any"
    )
    with client.invoke(FunctionName="clothing", Payload=json.dumps(event).encode())["Payload"] as payload:
        return json.loads(payload.read())


def test_a_bare_event_gets_a_bare_answer(service: str, host: str) -> None:
    logits = invoked(service, {"url": f"http://{host}/pants.jpg"})
    assert is_pants(logits)
    assert all(isinstance(logit, float) for logit in logits.values())
    assert invoked(service, {"image": b64encode(PANTS).decode()}) == logits
    assert httpx.post(f"{service}/predict", json={"url": f"http://{host}/pants.jpg"}, timeout=60).json() == logits


def test_the_saved_event_is_of_pants(service: str) -> None:
    assert is_pants(invoked(service, json.loads((EXAMPLE / "events" / "clothing.json").read_bytes())))


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "url: missing: give a url, or a picture as image"),
        (
            {"url": "http://{host}/pants.jpg", "image": "{image}"},
            400,
            "url: given beside a picture: give one of the two",
        ),
        ({"url": "http://169.254.169.254/latest/meta-data/"}, 400, "url: "),
        ({"url": "http://127.0.0.1/pants.jpg"}, 400, "url: "),
        ({"url": "file:///etc/passwd"}, 400, "url: "),
        ({"url": "http://{host}/nothing"}, 400, "url: "),
        ({"url": "http://{host}/page"}, 400, "url: holds text/html, not image/*"),
        ({"image": "aGVsbG8="}, 415, "image: "),
        ({"image": "no base64!"}, 400, "image: "),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(
    served: str, host: str, body: dict[str, str], status: int, message: str
) -> None:
    filled = {k: v.replace("{host}", host).replace("{image}", b64encode(PANTS).decode()) for k, v in body.items()}
    response = httpx.post(f"{served}/predict", json=filled, timeout=60)
    assert response.status_code == status, response.text
    assert response.json()["message"].startswith(message)


def test_a_damaged_picture_is_a_bad_request(served: str) -> None:
    response = httpx.post(f"{served}/predict", content=PANTS[:2000], headers={"content-type": "image/jpeg"}, timeout=60)
    assert response.status_code == 400
    assert response.json()["message"].startswith("image: a damaged or incomplete JPEG picture")


def test_both_models_say_nearly_the_same(tmp_path: Path, host: str) -> None:
    """int8 is rounded by two tools: the logits of one picture differ by less than a fifth."""
    answers = []
    for name in MODELS:
        server = RunningServer(
            [str(changed(tmp_path / name, host, f'"{MODELS[0]}" #', f'"{name}" #')), "--no-reload"], {}
        )
        answers.append(invoked(server.url, {"image": b64encode(PANTS).decode()}))
        server.stop()
    assert answers[0] == pytest.approx(answers[1], abs=0.2)


COLD = """
import json, sys
from pilotlight.function.runtime import load
handler = load("inference/clothing.handler", ".")
json.dump(handler(json.loads(sys.stdin.read()), None), sys.stdout)
assert not {"numpy", "onnxruntime", "ai_edge_litert", "tensorflow", "torch"} & set(sys.modules), sorted(sys.modules)
"""


@pytest.mark.parametrize("model", MODELS)
def test_serving_imports_neither_numpy_nor_a_framework(model: str) -> None:
    event = (EXAMPLE / "events" / "clothing.json").read_bytes()
    environ = {**os.environ, "PILOTLIGHT_MODEL": model}
    done = subprocess.run([sys.executable, "-c", COLD], cwd=EXAMPLE, input=event, capture_output=True, env=environ)
    assert done.returncode == 0, done.stderr
    assert is_pants(json.loads(done.stdout))


def test_both_models_are_small() -> None:
    files = [EXAMPLE / "models/clothing/model.onnx", EXAMPLE / "models/clothing_tflite/model.tflite"]
    assert sum(file.stat().st_size for file in files) <= 4_000_000
