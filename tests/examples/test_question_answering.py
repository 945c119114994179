"""The question_answering example behind a real server: its two models' functions and its page.

Most tests put models of a few kilobytes with known answers in place of the trained ones.
"""

import json
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import small_models

from conftest import RunningServer

EXAMPLE = Path(__file__).parents[2] / "examples" / "question_answering"
CONTEXT = "Zoë's bakery 🥐 opens at half past seven, and closes at six."
WORDS = [
    "zoe",
    "s",
    "'",
    "bakery",
    "opens",
    "closes",
    "at",
    "half",
    "past",
    "seven",
    "six",
    "and",
    "when",
    ",",
    ".",
    "?",
]
SENTENCE = "I don't know what to do."
ENDLESS = "tick tock tick"


def copy(folder: Path) -> Path:
    """The example as `pilotlight new` would make it, without its models."""
    left_out = shutil.ignore_patterns("__pycache__", ".venv", "models", "data", "run")
    return Path(shutil.copytree(EXAMPLE, folder, ignore=left_out))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = copy(tmp_path_factory.mktemp("example") / "question_answering")
    small_models.reader(service / "models/qa", WORDS, starts=["half"], ends=["seven"])
    small_models.generator(service / "models/textgen", SENTENCE, ENDLESS)
    server = RunningServer([str(service)], {})
    yield server.url
    server.stop()


def ask(url: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/qa", json=body, headers=headers, timeout=60)


def test_an_answer_is_a_part_of_the_context_with_its_place(url: str) -> None:
    response = ask(url, {"question": "When?", "context": CONTEXT})
    answer = response.json()
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert list(answer) == ["answer", "score", "start", "end"]
    assert (answer["answer"], answer["start"], answer["end"]) == ("half past seven", 24, 39)
    assert CONTEXT[24:39] == "half past seven"  # in characters as Python counts them: the croissant is one
    assert 0.9 < answer["score"] <= 1


def test_an_answer_far_behind_is_found(url: str) -> None:
    context = "and six, " * 500 + CONTEXT
    answer = ask(url, {"question": "When?", "context": context}).json()
    assert answer["answer"] == context[answer["start"] : answer["end"]] == "half past seven"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"question": "When?"}, "context: missing"),
        ({"question": "When?", "contxt": "a"}, "context: missing ('contxt' was given: did you mean 'context'?)"),
        ({"question": " ", "context": CONTEXT}, "question: must not be empty"),
        ({"question": "When?", "context": ""}, "context: must not be empty"),
        ({"question": ["When?"], "context": CONTEXT}, "question: expected str, got array"),
        ([], "expected an object of fields, got array"),
    ],
)
def test_a_request_that_does_not_fit_is_told_why(url: str, body: object, message: str) -> None:
    response = ask(url, body)
    assert response.status_code == 400
    assert response.json()["message"] == message


def test_a_body_that_is_no_json_is_told_where(url: str) -> None:
    response = httpx.post(
        f"{url}/qa", content=b'{"question": ', headers={"content-type": "application/json"}, timeout=60
    )
    assert response.status_code == 400
    assert response.json()["message"].startswith("body: not valid JSON: ")


def test_what_is_too_large_is_413(url: str) -> None:
    response = ask(url, {"question": "When?", "context": "six " * 260_000})
    assert response.status_code == 413
    assert response.json()["message"] == "context: 1040000 characters, and 1000000 are allowed"


@pytest.mark.parametrize("path", ["qa", "textgen"])
def test_any_page_may_ask_without_credentials(url: str, path: str) -> None:
    asking = {"origin": "https://example.com", "access-control-request-method": "POST"}
    preflight = httpx.options(f"{url}/{path}", headers=asking | {"access-control-request-headers": "content-type"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == "content-type"
    body = {"question": "When?", "context": CONTEXT, "prompt": "I"}
    for sent in (body, {}):  # what is answered 400 has to be readable too
        response = httpx.post(f"{url}/{path}", json=sent, headers={"origin": "https://example.com"}, timeout=60)
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers


def test_the_page_stands_at_the_path_that_it_asks(url: str) -> None:
    response = httpx.get(f"{url}/qa", timeout=60)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.text == (EXAMPLE / "page.html").read_text("utf-8")
    policy = response.headers["content-security-policy"].split("; ")
    for tag in ("script", "style"):
        text = response.text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        assert f"{tag}-src 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy


def test_the_page_calls_the_generator_where_the_setting_says(
    tmp_path: Path, start_server: Callable[..., RunningServer]
):
    service = copy(tmp_path / "service")
    with (service / "pilotlight.toml").open("a") as settings:
        settings.write('environment = { TEXTGEN_URL = "https://abc.lambda-url.eu-west-1.on.aws/?a=1&b=\\"" }\n')
    response = httpx.get(f"{start_server(service).url}/qa", timeout=60)
    assert 'data-url="https://abc.lambda-url.eu-west-1.on.aws/?a=1&amp;b=&quot;"' in response.text
    assert "connect-src 'self' https://abc.lambda-url.eu-west-1.on.aws;" in response.headers["content-security-policy"]


def test_a_text_is_gone_on_with_to_its_end(url: str) -> None:
    with httpx.stream("POST", f"{url}/textgen", json={"prompt": "I don't"}, timeout=60) as response:
        assert (response.status_code, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        assert "".join(response.iter_text()) == " know what to do."


def test_a_text_arrives_before_it_is_whole(url: str) -> None:
    body = {"prompt": "tick", "max_length": 1_000_000}  # hours of work: what arrives is a part of it
    with httpx.stream("POST", f"{url}/textgen", json=body, timeout=60) as response:
        assert next(response.iter_text()).startswith(" tock")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"max_length": 5}, " know what"),
        ({"max_length": 5, "temperature": 0.5, "top_k": 3, "seed": 1}, " know what"),
        ({"prompt": "I don't know what to do."}, ""),
    ],
)
def test_a_text_is_as_long_as_is_asked_for(url: str, fields: dict[str, object], text: str) -> None:
    response = httpx.post(f"{url}/textgen", json={"prompt": "I don't", **fields}, timeout=60)
    assert (response.status_code, response.text) == (200, text)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "prompt: missing"),
        ({"prompt": "I", "max_length": "many"}, "max_length: expected int, got str"),
        ({"prompt": "I don't", "max_length": 3}, "max_length: must be above the 3 tokens of the prompt, got 3"),
        ({"prompt": "I", "temperature": -1}, "temperature: must be 0 or more, got -1.0"),
    ],
)
def test_a_stream_that_cannot_begin_says_why(url: str, body: object, message: str) -> None:
    response = httpx.post(f"{url}/textgen", json=body, timeout=60)
    assert response.status_code == 400
    assert response.json()["message"] == message


def test_without_its_models_the_service_says_how_to_install_them(
    tmp_path: Path, start_server: Callable[..., RunningServer]
) -> None:
    server = start_server(copy(tmp_path / "service"))
    for path, hub, task in (
        ("qa", "distilbert/distilbert-base-cased-distilled-squad", "question-answering"),
        ("textgen", "openai-community/gpt2", "text-generation"),
    ):
        response = httpx.post(f"{server.url}/{path}", json={}, timeout=60)
        command = f"pilotlight optimize hf://{hub} --task {task} --out models/{path}"
        assert response.status_code == 503
        assert response.json()["message"] == f"the model of {path} is not installed; install it with: {command}"
    assert httpx.get(f"{server.url}/qa", timeout=60).status_code == 200


def test_a_damaged_model_is_a_500_that_tells_nothing(
    tmp_path: Path, start_server: Callable[..., RunningServer]
) -> None:
    service = copy(tmp_path / "service")
    small_models.reader(service / "models/qa", WORDS, starts=["half"], ends=["seven"])
    (service / "models/qa/model.onnx").write_bytes(b"\x08\x08cut off")
    response = ask(start_server(service).url, {"question": "When?", "context": CONTEXT})
    assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})


def test_the_saved_events_are_answered(tmp_path: Path) -> None:
    service = copy(tmp_path / "service")
    small_models.reader(service / "models/qa", ["is", "62", "metres", "long"], starts=["62"], ends=["metres"])
    command = [sys.executable, "-m", "pilotlight", "invoke", "qa", "--event", "events/qa.json"]
    done = subprocess.run(command, cwd=service, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"] == "62 metres"


INSTALL = ["sh", str(EXAMPLE / "train" / "install.sh")]


def test_the_install_script_asks_for_what_it_needs(tmp_path: Path) -> None:
    told = subprocess.run(INSTALL, capture_output=True, text=True, timeout=60, check=False)
    assert (told.returncode, told.stderr) == (2, "usage: sh train/install.sh qa | textgen\n")
    bare = {"PATH": "/usr/bin:/bin", "PYTHON": "/bin/false"}
    told = subprocess.run([*INSTALL, "qa"], capture_output=True, text=True, timeout=60, check=False, env=bare)
    assert told.returncode == 1
    assert told.stderr.startswith("/bin/false has no torch or no transformers: ")


def test_missing_questions_are_named_with_where_they_are(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "train.evaluate", "--data", str(tmp_path)]
    told = subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True, timeout=60, check=False)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        f"{tmp_path}/squad-v1.1-dev.json: there is no such file: `sh train/install.sh qa` fetches it, "
        "or take https://rajpurkar.github.io/SQuAD-explorer/dataset/dev-v1.1.json\n"
    )


PERPLEXITY = """
import sys
from pathlib import Path
from train.perplexity import perplexity
print(perplexity(Path(sys.argv[1]), sys.argv[2:]))
"""


def test_perplexity_is_measured_on_the_files_that_are_served(tmp_path: Path) -> None:
    small_models.generator(tmp_path / "model", SENTENCE, ENDLESS)

    def measured(*sentences: str) -> float:
        command = [sys.executable, "-c", PERPLEXITY, str(tmp_path / "model"), *sentences]
        return float(subprocess.run(command, cwd=EXAMPLE, capture_output=True, timeout=60, check=True).stdout)

    assert measured(SENTENCE, SENTENCE) == pytest.approx(1, abs=1e-5)  # every token is foreseen
    assert measured("what do") > 100  # none is
