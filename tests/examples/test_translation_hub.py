"""The translation example with models of the hub, as its README names them, one setting away: tiny ones."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from conftest import RunningServer
from hub_server import FakeHub, files, open_hub
from pilotlight.optimize import environment
from pilotlight.optimize.progress import Progress

sys.path.append(str(Path(__file__).parent))
made = importlib.import_module("test_translation_service").made

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

MAKER = Path(__file__).parents[1] / "optimize" / "make_checkpoint.py"
ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
CLASSIFIER = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
ARTICLE = "The tower stands in Paris. Where is it? The tower is in Paris. It stands."
STEPS = [  # as sentence-transformers writes modules.json
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
POOLING = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    """With a checkpoint of each kind."""
    with open_hub() as opened:
        python = environment.python("torch", Progress())
        for kind in ("bert", "distilbert-classes"):
            subprocess.run([python, "-I", MAKER, kind, tmp_path / kind], check=True, capture_output=True)
        encoder = {
            **files(tmp_path / "bert"),
            "modules.json": json.dumps(STEPS).encode(),
            "1_Pooling/config.json": json.dumps(POOLING).encode(),
            "sentence_bert_config.json": b'{"max_seq_length": 256, "do_lower_case": false}',
        }
        opened.add(ENCODER, encoder, pipeline_tag="sentence-similarity")
        opened.add(CLASSIFIER, files(tmp_path / "distilbert-classes"), pipeline_tag="text-classification")
        yield opened


def test_an_encoder_and_a_classifier_of_the_hub(
    start_server: Callable[..., RunningServer], tmp_path: Path, hub: FakeHub
) -> None:
    service = made(tmp_path)
    toml = (service / "pilotlight.toml").read_text(encoding="utf-8")
    for model, uri in (("models/en-zh", ENCODER), ("models/sentiment", CLASSIFIER)):
        assert toml.count(f'\nmodel = "{model}"') == 1
        toml = toml.replace(f'\nmodel = "{model}"', f'\nmodel = "hf://{uri}"')
    mount = tmp_path / "mount"  # so that the exporter's environment is the machine's
    mount.mkdir()
    (service / "pilotlight.toml").write_text(f'{toml}\n[cache]\nfolder = "{mount}"\n', encoding="utf-8")
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "huggingface"), "HF_HUB_OFFLINE": "0", "HF_TOKEN": ""}
    server = start_server(service, "--no-reload", **own)
    found = httpx.post(f"{server.url}/summarize", json={"article": ARTICLE, "sentences": 2}, timeout=100).json()
    assert len(found["sentences"]) == 2
    assert all(ARTICLE[each["start"] : each["end"]] == each["text"] for each in found["sentences"])
    assert httpx.post(f"{server.url}/sentiment", json={"text": "It is."}, timeout=100).json()["label"] in (
        "sad",
        "glad",
        "neither",
    )
    tasks = {json.loads(path.read_text())["task"] for path in mount.glob("models/*/entry.json")}
    assert tasks == {"sentence-embedding", "text-classification"}
