"""The translation example behind real servers, by every door, with translators of a few kilobytes that speak no
language: what they say is asked of them beforehand.
"""

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import httpx
import pytest

import small_translation
from conftest import RunningServer
from pilotlight.function.translate import Translator

sys.path.append(str(Path(__file__).parents[1] / "function"))
model_folders = importlib.import_module("model_folders")

EXAMPLE = Path(__file__).parents[2] / "examples" / "translation"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "en-zh", "zh-en", "data", "run", "node_modules")
FRONTS = {"http": "", "rest": 'front = "rest"\n', "url": 'front = "url"\n'}  # what stands before the function
CHINESE = "我没有钱去上海看经济学家，3个。"  # at difficulty 0 two words are hard
HARD = ["上海", "经济学家"]
PIECES = [("我", ""), ("没", ""), ("有", ""), ("钱", ""), ("去", ""), (" ", None), ("上海", "hard"), (" ", None),
          ("看", ""), (" ", None), ("经济学家", "hard"), ("，3", ""), ("个", ""), ("。", "")]  # fmt: skip


class Served(NamedTuple):
    """A server, and the folder of the example that it serves."""

    url: str
    folder: Path


def made(folder: Path, settings: str = "") -> Path:
    """The example with small translators, and with more settings of `translate`."""
    service = Path(shutil.copytree(EXAMPLE, folder / "translation", ignore=LEFT_OUT))
    small_translation.write(service / "models" / "en-zh", seed=1)
    small_translation.write(service / "models" / "zh-en", seed=2)
    toml = (service / "pilotlight.toml").read_text(encoding="utf-8")
    head = "[functions.translate]\n"
    assert toml.count(head) == 1
    (service / "pilotlight.toml").write_text(toml.replace(head, head + settings), encoding="utf-8")
    return service


@pytest.fixture(scope="module", params=FRONTS)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = made(tmp_path_factory.mktemp("front"), FRONTS[request.param])
    server = RunningServer([str(folder), "--no-reload"], {})
    yield Served(server.url, folder)
    server.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = made(tmp_path_factory.mktemp("served"))
    server = RunningServer([str(folder), "--no-reload"], {})
    yield Served(server.url, folder)
    server.stop()


def said(folder: Path, model: str, *texts: str) -> list[str]:
    """What a translator of the service makes of texts."""
    return [each.text for each in Translator(folder / "models" / model).translate(texts, beam=4)]


def meanings(folder: Path) -> list[str]:
    return [text[:1].lower() + text[1:].rstrip(".!?").strip() for text in said(folder, "zh-en", *HARD)]


def spliced(folder: Path) -> str:
    """`CHINESE` at difficulty 0."""
    first, second = meanings(folder)
    return f"我没有钱去 {first} 看 {second}，3个。"


def test_every_way_in_gives_the_same_text(front: Served) -> None:
    url, fields = f"{front.url}/translate", {"text": CHINESE, "difficulty": 0}
    form = {name: str(value) for name, value in fields.items()}
    responses = [
        httpx.post(url, json=fields, timeout=60),
        httpx.post(url, data=form, timeout=60),
        httpx.post(url, files={name: (None, value) for name, value in form.items()}, timeout=60),
        httpx.post(url, json={"text": CHINESE}, params={"difficulty": 0}, timeout=60),
        httpx.get(url, params=form, timeout=60),
        *(
            httpx.post(url, params=form, headers={"content-type": kind}, timeout=60)  # an empty body is no body
            for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
        ),
    ]
    assert {(response.status_code, response.text) for response in responses} == {(200, spliced(front.folder))}
    assert {response.headers["content-type"] for response in responses} == {"text/plain; charset=utf-8"}


def invoked(url: str, function: str, event: object) -> Any:
    client = boto3.client(
        "lambda", endpoint_url=url, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any"
    )
    answer = client.invoke(FunctionName=function, Payload=json.dumps(event).encode())
    with answer["Payload"] as payload:
        return json.loads(payload.read())


def test_a_bare_event_gets_the_bare_text(front: Served) -> None:
    event = {"text": CHINESE, "difficulty": 0}
    assert invoked(front.url, "translate", event) == spliced(front.folder)
    assert invoked(front.url, "translate", {**event, "parts": True})["text"] == spliced(front.folder)


def test_the_parts_say_what_was_hard_and_what_stood_there(served: Served) -> None:
    fields = {"text": CHINESE, "difficulty": 0}
    by_header = httpx.post(f"{served.url}/translate", json=fields, headers={"accept": "application/json"}, timeout=60)
    by_field = httpx.get(f"{served.url}/translate", params={**fields, "parts": "true"}, timeout=60)
    meaning = dict(zip(HARD, meanings(served.folder), strict=True))
    expected = {
        "text": spliced(served.folder),
        "chinese": CHINESE,
        "parts": [
            {"text": meaning.get(text, text), "hard": kind == "hard", "chinese": "" if kind is None else text}
            for text, kind in PIECES
        ],
    }
    assert by_header.json() == by_field.json() == expected
    assert by_header.headers["content-type"] == "application/json"


@pytest.mark.parametrize("accept", ["text/plain", "*/*", "text/html,application/json;q=0.9"])
def test_only_who_prefers_json_gets_it(served: Served, accept: str) -> None:
    response = httpx.get(f"{served.url}/translate", params={"text": CHINESE}, headers={"accept": accept}, timeout=60)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_english_is_translated_in_place_and_what_is_none_stays(served: Served) -> None:
    text = "The cat is good. 😀\n\n 你好！ 3 + 4 = 7\nДя, 北京! she was in"
    [cat, she] = said(served.folder, "en-zh", "The cat is good.", "she was in")
    body = {"text": text, "parts": True}
    answer = httpx.post(f"{served.url}/translate", json=body, timeout=60).json()
    assert answer["chinese"] == f"{cat} 😀\n\n 你好！ 3 + 4 = 7\nДя, 北京! {she}"
    assert "".join(part["chinese"] for part in answer["parts"]) == answer["chinese"]
    assert "".join(part["text"] for part in answer["parts"]) == answer["text"]


def test_a_higher_difficulty_leaves_more_chinese(served: Served) -> None:
    hard = []
    for difficulty in range(6):
        body = {"text": "他的经济问题影响旅游，并且威胁和平，十分尴尬。", "difficulty": difficulty, "parts": True}
        parts = httpx.post(f"{served.url}/translate", json=body, timeout=60).json()["parts"]
        hard.append([part["chinese"] for part in parts if part["hard"]])
    assert hard == [
        ["经济", "问题", "影响", "旅游", "并且", "威胁", "和平", "十分", "尴尬"],
        ["经济", "影响", "并且", "威胁", "和平", "十分", "尴尬"],
        ["经济", "并且", "威胁", "和平", "十分", "尴尬"],
        ["威胁", "和平", "尴尬"],
        ["尴尬"],
        [],
    ]


def test_without_a_difficulty_all_of_the_levels_are_known(served: Served) -> None:
    body = {"text": "这些经济问题影响旅游，并且威胁和平。"}
    assert httpx.post(f"{served.url}/translate", json=body, timeout=60).text == body["text"]


@pytest.mark.parametrize("text", ["👍", "123 + 4", "…", "\u200d", "\x00", "مرحبا", "𠮷"])
def test_what_holds_no_english_comes_back(served: Served, text: str) -> None:
    response = httpx.post(f"{served.url}/translate", json={"text": text, "difficulty": 5}, timeout=60)
    assert response.status_code == 200
    if text != "𠮷":  # a Chinese word on no list
        assert response.text == text


LIMIT = "text: 100000 characters, and 5000 are allowed"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "text: missing"),
        ({"txt": "a"}, 400, "text: missing ('txt' was given: did you mean 'text'?)"),
        ({"text": ""}, 400, "text: must not be empty"),
        ({"text": " \n\t"}, 400, "text: must not be empty"),
        ({"text": ["a"]}, 400, "text: expected str, got array"),
        ({"text": "a", "difficulty": 6}, 400, "difficulty: expected 0 | 1 | 2 | 3 | 4 | 5, got 6"),
        ({"text": "a", "difficulty": -1}, 400, "difficulty: expected 0 | 1 | 2 | 3 | 4 | 5, got -1"),
        ({"text": "a", "difficulty": 2.5}, 400, "difficulty: expected 0 | 1 | 2 | 3 | 4 | 5, got 2.5"),
        ({"text": "a", "difficulty": "hard"}, 400, "difficulty: expected 0 | 1 | 2 | 3 | 4 | 5, got 'hard'"),
        ({"text": "word " * 20_000}, 413, LIMIT),
        ({"text": "汉" * 100_000}, 413, LIMIT),
        ([], 400, "expected an object of fields, got array"),
    ],
)
def test_what_cannot_be_translated_is_told_why(served: Served, body: object, status: int, message: str) -> None:
    response = httpx.post(f"{served.url}/translate", json=body, timeout=60)
    assert (response.status_code, response.json()["message"]) == (status, message)


def test_half_a_character_is_a_bad_request(served: Served) -> None:
    response = httpx.post(
        f"{served.url}/translate",
        content=b'{"text": "a \\ud83d"}',
        headers={"content-type": "application/json"},
        timeout=60,
    )
    assert response.status_code == 400
    assert response.json()["message"] == "text: not valid Unicode"


@pytest.mark.parametrize("query", ["text=a&difficulty=6", "text=a&difficulty=", "difficulty=1"])
def test_a_wrong_query_names_its_field(served: Served, query: str) -> None:
    response = httpx.get(f"{served.url}/translate?{query}", timeout=60)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == ("text" if query == "difficulty=1" else "difficulty")


def test_an_extension_may_ask(served: Served) -> None:
    origin = {"origin": "chrome-extension://abcdefghijklmnopabcdefghijklmnop"}
    asking = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    preflight = httpx.options(f"{served.url}/translate", headers=origin | asking, timeout=60)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert {"GET", "POST"} <= set(preflight.headers["access-control-allow-methods"].replace(" ", "").split(","))
    for body in ({"text": CHINESE}, {}):  # what is answered 400 has to be readable too
        response = httpx.post(f"{served.url}/translate", json=body, headers=origin, timeout=60)
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers


CLEAR = {
    "A warm, funny and wonderfully acted film that is a joy from start to finish.": "positive",
    "A dull, lifeless mess without a single laugh.": "negative",
    "It wasn't good.": "negative",
}


def test_clear_texts_get_their_label(served: Served) -> None:
    for text, label in CLEAR.items():
        posted = httpx.post(f"{served.url}/sentiment", json={"text": text}, timeout=60).json()
        assert list(posted) == ["label", "score"]
        assert posted["label"] == label
        assert 0.5 < posted["score"] < 1
        assert httpx.get(f"{served.url}/sentiment", params={"text": text}, timeout=60).json() == posted
        assert invoked(served.url, "sentiment", {"text": text}) == posted


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_a_text_without_a_word_has_no_label(served: Served, text: str) -> None:
    response = httpx.post(f"{served.url}/sentiment", json={"text": text}, timeout=60)
    assert (response.status_code, response.json()["message"]) == (400, "text: must not be empty")


ARTICLE = "The cat is good. The dog is good. He was in the house! They said it: a cat, a dog and a house."


def test_a_summary_is_sentences_of_the_article_in_their_order(served: Served) -> None:
    answer = httpx.post(f"{served.url}/summarize", json={"article": ARTICLE, "sentences": 2}, timeout=60).json()
    assert list(answer) == ["summary", "sentences"]
    assert len(answer["sentences"]) == 2
    assert answer["summary"] == " ".join(sentence["text"] for sentence in answer["sentences"])
    for sentence in answer["sentences"]:
        assert list(sentence) == ["text", "start", "end", "score"]
        assert ARTICLE[sentence["start"] : sentence["end"]] == sentence["text"]
        assert 0 < sentence["score"] < 1
    assert answer["sentences"][0]["start"] < answer["sentences"][1]["start"]
    assert invoked(served.url, "summarize", {"article": ARTICLE, "sentences": 2}) == answer


def test_a_short_article_is_its_own_summary(served: Served) -> None:
    for article in ("The cat.", "The cat. A dog. He is."):
        answer = httpx.post(f"{served.url}/summarize", json={"article": article}, timeout=60).json()
        assert answer["summary"] == article
        assert sum(sentence["score"] for sentence in answer["sentences"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "article: missing"),
        ({"article": " "}, 400, "article: must not be empty"),
        ({"article": "It is.", "sentences": 0}, 400, "sentences: expected 1 or more, got 0"),
        ({"article": "It is. " * 1_000}, 413, "article: 1000 sentences, and 400 are allowed"),
        ({"article": "It is. " * 20_000}, 413, "article: 140000 characters, and 100000 are allowed"),
    ],
)
def test_what_cannot_be_summarized_is_told_why(served: Served, body: object, status: int, message: str) -> None:
    response = httpx.post(f"{served.url}/summarize", json=body, timeout=60)
    assert (response.status_code, response.json()["message"]) == (status, message)


def test_other_models_are_one_setting_away(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    service = made(tmp_path)
    words = {"good": (-8.0, 8.0), "bad": (8.0, -8.0), "cat": (1.0, 0.0), "dog": (0.0, 1.0)}
    labels = ["NEGATIVE", "POSITIVE"]
    model_folders.means(service / "models/mood", "text-classification", "logits", words, labels=labels)
    model_folders.means(service / "models/vectors", "sentence-embedding", "embedding", words)
    toml = (service / "pilotlight.toml").read_text(encoding="utf-8")
    for model, other in (("models/sentiment", "models/mood"), ("models/en-zh", "models/vectors")):
        assert toml.count(f'\nmodel = "{model}"') == 1
        toml = toml.replace(f'\nmodel = "{model}"', f'\nmodel = "{other}"')
    (service / "pilotlight.toml").write_text(toml, encoding="utf-8")
    url = start_server(service, "--no-reload").url
    label = httpx.post(f"{url}/sentiment", json={"text": "Good cat!"}, timeout=60).json()
    assert (label["label"], label["score"] > 0.9) == ("POSITIVE", True)
    body = {"article": "Good cat. Good dog. Good good cat dog. Bad.", "sentences": 2}
    assert httpx.post(f"{url}/summarize", json=body, timeout=60).json()["summary"] == "Good good cat dog. Bad."


def test_the_saved_events_are_answered(tmp_path: Path) -> None:
    service = made(tmp_path)
    for function, begins in (("translate", '"'), ("sentiment", '{"label": "positive"')):
        command = [sys.executable, "-m", "pilotlight", "invoke", function, "--event", f"events/{function}.json"]
        done = subprocess.run(command, cwd=service, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(begins)


EN_ZH = ("Helsinki-NLP/opus-mt-en-zh", "translation", "models/en-zh")
ZH_EN = ("Helsinki-NLP/opus-mt-zh-en", "translation", "models/zh-en")
SST_2 = ("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "text-classification", "models/sentiment")
FROM_THE_HUB = {"translate": [EN_ZH, ZH_EN], "summarize": [EN_ZH], "sentiment": [SST_2]}


def test_without_its_translators_the_service_says_how_to_install_them(
    tmp_path: Path, start_server: Callable[..., RunningServer]
) -> None:
    service = shutil.copytree(EXAMPLE, tmp_path / "translation", ignore=shutil.ignore_patterns("__pycache__", "models"))
    server = start_server(service)
    for function, models in FROM_THE_HUB.items():
        command = " && ".join(f"pilotlight optimize hf://{hub} --task {task} --out {out}" for hub, task, out in models)
        response = httpx.post(f"{server.url}/{function}", json={"text": "a", "article": "a"}, timeout=60)
        assert response.status_code == 503
        assert response.json()["message"] == f"the model of {function} is not installed; install it with: {command}"


COLD = """
import json, sys
from pilotlight.function.runtime import load
handler = load("inference/translate.handler", ".")
json.dump(handler(json.loads(sys.stdin.read()), None), sys.stdout)
assert not {"numpy", "onnxruntime", "torch", "tokenizers", "sentencepiece", "jieba"} & set(sys.modules)
"""


def test_serving_imports_neither_numpy_nor_a_framework(served: Served) -> None:
    event = (EXAMPLE / "events" / "translate.json").read_bytes()
    done = subprocess.run([sys.executable, "-c", COLD], cwd=served.folder, input=event, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
