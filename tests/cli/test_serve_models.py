"""`pilotlight serve` with models that URIs name: who fetches them, where they are kept, what a function sees."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from conftest import RunningServer, write
from hub_server import FakeHub, files, open_hub
from pilotlight.optimize import environment
from pilotlight.optimize.progress import Progress
from s3_store import BUCKET, open_store

MAKER = Path(__file__).parents[1] / "optimize" / "make_checkpoint.py"
SHOW = """
    import os
    from pathlib import Path
    from pilotlight import endpoint
    from pilotlight.function.cache import fetch

    SEEN = {name: fetch(value) for name, value in os.environ.items() if name.startswith("PILOTLIGHT_MODEL")}
    HELD = {name: sorted(os.listdir(path)) for name, path in SEEN.items()}

    @endpoint
    def handler() -> dict[str, object]:
        import time
        time.sleep(0.5)  # so that another request needs another environment
        return {"seen": SEEN, "held": HELD, "pid": os.getpid()}
"""
MODEL = {"model.onnx": os.urandom(2_000_000), "model.json": b'{"format": 1}'}
Start = Callable[..., RunningServer]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with open_hub() as opened:
        opened.add("org/name", MODEL)
        yield opened


def service(folder: Path, toml: str, code: str = SHOW) -> Path:
    return write(folder / "service", {"pilotlight.toml": toml, "inference/show.py": code})


def environ(folder: Path, hub: FakeHub) -> dict[str, str]:
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "huggingface"), "HF_HUB_OFFLINE": "0", "HF_TOKEN": ""}
    return {**own, "PILOTLIGHT_CACHE": str(folder / "cache")}


def ask(server: RunningServer, path: str = "show") -> dict[str, Any]:
    request = urllib.request.Request(f"{server.url}/{path}", b"{}", {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=100) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def refused(server: RunningServer, path: str) -> tuple[int, dict[str, Any]]:
    with pytest.raises(urllib.error.HTTPError) as failed:
        ask(server, path)
    with failed.value as answer:
        return answer.code, json.load(answer)


@pytest.mark.parametrize("options", [(), ("--isolation", "landlock"), ("--isolation", "none"), ("--fork-server",)])
def test_environments_that_start_at_once_fetch_once(
    start_server: Start, tmp_path: Path, hub: FakeHub, options: tuple[str, ...]
) -> None:
    folder = service(tmp_path, '[functions.show]\nmodel = "hf://org/name"\nmemory = 128\n')
    server = start_server(folder, "--no-reload", *options, **environ(tmp_path, hub))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(server), range(8)))
    assert len({answer["pid"] for answer in answers}) > 1
    [seen] = {answer["seen"]["PILOTLIGHT_MODEL"] for answer in answers}
    assert seen.startswith(f"{tmp_path}/cache/models/hf--org--name@main-")
    assert files(seen) == MODEL
    assert sorted(hub.downloads) == ["model.json", "model.onnx"]


def test_each_model_has_its_variable(start_server: Start, tmp_path: Path, hub: FakeHub) -> None:
    toml = """
        [functions.show]
        model = "models/own"
        models = { en_zh = "hf://org/name@v1", zh_en = "models/zh-en" }
        optimize = false
    """
    hub.add("org/name", {"model.tflite": b"v1"}, "v1")
    folder = service(tmp_path, toml)
    write(folder, {"models/own/model.onnx": "own", "models/zh-en/model.onnx": "zh"})
    answer = ask(start_server(folder, "--no-reload", **environ(tmp_path, hub)))
    assert answer["held"] == {
        "PILOTLIGHT_MODEL": ["model.onnx"],
        "PILOTLIGHT_MODEL_EN_ZH": ["model.tflite"],
        "PILOTLIGHT_MODEL_ZH_EN": ["model.onnx"],
    }
    assert answer["seen"]["PILOTLIGHT_MODEL_ZH_EN"] == "models/zh-en"


def test_one_that_is_not_installed_is_named(start_server: Start, tmp_path: Path, hub: FakeHub) -> None:
    toml = '[functions.show.models]\nen_zh = "hf://org/name"\nzh_en = "models/zh-en"\n'
    server = start_server(service(tmp_path, toml), "--no-reload", **environ(tmp_path, hub))
    assert server.wait_for("described")["hint"] == "put it at models/zh-en"


def test_models_of_s3(start_server: Start, tmp_path: Path) -> None:
    folder = service(tmp_path, f'[functions.show]\nmodel = "s3://{BUCKET}/models/qa"\n')
    with open_store() as store:
        for name, content in MODEL.items():
            store.put(f"models/qa/{name}", content)
        server = start_server(folder, "--no-reload", **store.owner, PILOTLIGHT_CACHE=str(tmp_path / "cache"))
        answer = ask(server)
    assert answer["held"] == {"PILOTLIGHT_MODEL": ["model.json", "model.onnx"]}
    assert answer["seen"]["PILOTLIGHT_MODEL"].startswith(f"{tmp_path}/cache/models/s3--{BUCKET}--models--qa-")


def test_the_folder_of_the_settings(start_server: Start, tmp_path: Path, hub: FakeHub) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    toml = f'[cache]\nfolder = "{mount}"\nsize = 3\n[functions.show]\nmodel = "hf://org/name"\n'
    answer = ask(start_server(service(tmp_path, toml), "--no-reload", **environ(tmp_path, hub)))
    assert answer["seen"]["PILOTLIGHT_MODEL"].startswith(f"{mount}/models/")


def test_a_model_that_cannot_be_fetched_is_an_init_error_with_its_remedy(
    start_server: Start, tmp_path: Path, hub: FakeHub
) -> None:
    folder = service(tmp_path, '[functions.show]\nmodel = "hf://org/none"\noptimize = false\n')
    server = start_server(folder, "--no-reload", **environ(tmp_path, hub))
    assert refused(server, "show") == (500, {"message": "Internal Server Error"})
    line = "[ERROR] FetchError: fetching hf://org/none: the hub has no model of that name that you may read"
    logged = server.wait_for("log")
    while line not in str(logged["line"]):
        logged = server.wait_for("log")
    assert "if it is private, set HF_TOKEN" in str(logged["line"])


def test_what_cannot_be_optimised_stops_its_own_function_alone(
    start_server: Start, tmp_path: Path, hub: FakeHub
) -> None:
    toml = '[functions.show]\nmodel = "hf://org/name"\n[functions.other]\nmodel = "hf://org/odd"\n'
    folder = write(service(tmp_path, toml), {"inference/other.py": "def handler(event, context):\n    return 1\n"})
    hub.add("org/odd", {"config.json": b"{}", "model.safetensors": b""}, pipeline_tag="text-to-speech")
    server = start_server(folder, "--no-reload", **environ(tmp_path, hub))
    said = server.wait_for("described", function="service--other")
    assert said["error"] == "optimising hf://org/odd@main: what it is for is not known, and the hub says text-to-speech"
    assert "set task to one of question-answering, " in str(said["hint"])
    assert refused(server, "other") == (503, {"message": f"{said['error']}; {said['hint']}"})
    assert ask(server)["held"] == {"PILOTLIGHT_MODEL": ["model.json", "model.onnx"]}


def test_a_model_that_is_set_while_it_serves(start_server: Start, tmp_path: Path, hub: FakeHub) -> None:
    folder = service(tmp_path, "[functions.show]\n")
    server = start_server(folder, **environ(tmp_path, hub))
    assert ask(server)["seen"] == {}
    (folder / "pilotlight.toml").write_text('[functions.show]\nmodel = "hf://org/name"\n')
    server.wait_for("reloaded")
    assert ask(server)["held"] == {"PILOTLIGHT_MODEL": ["model.json", "model.onnx"]}


READER = """
    import os
    from pilotlight import endpoint
    from pilotlight.function.text import Answer, Reader

    reader = Reader(os.environ["PILOTLIGHT_MODEL"])

    @endpoint
    def handler(question: str, context: str) -> dict[str, object]:
        return {"answer": reader.answer(question, context).answer, "path": reader.model.path}
"""


@pytest.mark.system
@pytest.mark.timeout(900)
def test_a_checkpoint_is_optimised_once_before_the_function_sees_it(
    start_server: Start, tmp_path: Path, hub: FakeHub
) -> None:
    python = environment.python("torch", Progress())
    subprocess.run([python, "-I", MAKER, "bert-qa", tmp_path / "made"], check=True, capture_output=True)
    commit = hub.add("org/reader", files(tmp_path / "made"), pipeline_tag="question-answering")
    mount = tmp_path / "mount"  # so that the exporter's environment is the machine's
    mount.mkdir()
    toml = f'[cache]\nfolder = "{mount}"\n[functions.show]\nmodel = "hf://org/reader"\n'
    folder = service(tmp_path, toml, READER)
    own = {name: value for name, value in environ(tmp_path, hub).items() if name != "PILOTLIGHT_CACHE"}
    event = json.dumps({"question": "where is it ?", "context": "the tower stands in paris."}).encode()

    def answer() -> tuple[dict[str, str], str]:
        server = start_server(folder, "--no-reload", **own)
        headers = {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{server.url}/show", event, headers), timeout=100) as found:
            said = json.load(found)
        server.stop()
        return said, server.end()[1]

    first, told = answer()
    assert "optimising hf://org/reader@main for question-answering, once" in told
    assert first["path"].startswith(f"{mount}/models/hf--org--reader@main_question-answering-")
    entry = Path(first["path"]).parents[1]
    manifest = json.loads((entry / "entry.json").read_text())
    assert (manifest["uri"], manifest["revision"], manifest["task"]) == (
        "hf://org/reader@main",
        commit,
        "question-answering",
    )
    asked = len(hub.hub.requests)
    second, told = answer()
    assert (second, told) == (first, "")
    assert len(hub.hub.requests) == asked
