"""Marian checkpoints -> model folders that say what transformers says.

Makes the exporter's environment, a gigabyte, when it is not in the cache.
"""

import json
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sentencepiece
from told import Told

from pilotlight.errors import FidelityError, SourceError
from pilotlight.function.beamsearch import Rules
from pilotlight.function.seq2seq import Seq2Seq
from pilotlight.function.translate import Translator
from pilotlight.optimize import environment, samples
from pilotlight.optimize.pipeline import Options
from pilotlight.optimize.progress import Progress
from pilotlight.optimize.sequences import pipeline

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

MAKER = Path(__file__).parent / "marian_checkpoint.py"
GENERATION = {"max_length": 30, "num_beams": 4, "forced_eos_token_id": 0}


def run(*arguments: object) -> None:
    python = environment.python("torch", Progress())
    subprocess.run([python, "-I", MAKER, *map(str, arguments)], check=True, capture_output=True)


def checkpoint(folder: Path, **generation: Any) -> tuple[Path, int]:
    """Its folder, and the size of its vocabulary; padding is the last of it."""
    folder.mkdir()
    texts = [sample.texts[0] for sample in samples.read(None, "translation")]
    (folder / "lines.txt").write_text("\n".join(texts * 4), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "lines.txt"),
        model_prefix=str(folder / "source"),
        **{"vocab_size": 420, "hard_vocab_limit": False, "bos_id": -1, "minloglevel": 2},
    )
    (folder / "source.model").rename(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    library = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    known = [library.id_to_piece(number) for number in range(len(library))]
    more = [f"<unused{number}>" for number in range(40)]  # so that embeddings are large enough for int8
    own = [piece for piece in known if piece not in ("</s>", "<unk>")]
    pieces = ["</s>", "<unk>", *own, *more, ">>cmn_Hans<<", "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    asked = {**GENERATION, "bad_words_ids": [[len(pieces) - 1]], **generation}
    run("make", folder, len(pieces), json.dumps(asked))
    return folder, len(pieces)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, Path, dict[str, Any], Told]:
    home, told = tmp_path_factory.mktemp("marian"), Told()
    source, size = checkpoint(home / "source")
    lines = home / "samples.jsonl"
    bundled = samples.read(None, "translation")[::5]
    lines.write_text("\n".join(json.dumps({"text": sample.texts[0]}) for sample in bundled))
    options = Options(str(source), "translation", home / "out", samples=lines, precision="fp32", command="as typed")
    return source, size, home / "out", pipeline.optimize(options, None, told), told  # type: ignore[arg-type]


def test_a_checkpoint_becomes_a_translator(made: tuple[Path, int, Path, dict[str, Any], Told]) -> None:
    _, _, out, report, _ = made
    assert report["fidelity"]["tokens"] == {"equal": {"1": 6, "4": 6}, "of": 6}
    assert report["fidelity"]["fp32"]["relative"] < 1e-4
    assert report["before"]["bytes"] > 10 * report["after"]["bytes"]
    assert sorted(file.name for file in out.iterdir()) == [
        *("README.md", "encoder.onnx", "model.json", "model.onnx", "model.onnx.data", "pieces.bin", "report.json"),
    ]
    said = Translator(out).translate(["The train to the city leaves at seven."])
    assert said[0].score < 0
    card = (out / "README.md").read_text()
    assert "says a text in another language" in card
    assert "6 of 6 with 4 beams" in card


def test_texts_of_a_batch_are_generated_as_transformers_does(
    made: tuple[Path, int, Path, dict[str, Any], Told], tmp_path: Path
) -> None:
    """Beams of 1 to 5, texts of unequal length together, and every rule that ends a search."""
    source, size, out, _, _ = made
    draw = Random(0)
    rules: list[dict[str, Any]] = [
        {},
        {"early_stopping": True},
        {"early_stopping": "never"},
        {"length_penalty": 0.4},
        {"length_penalty": 2.0, "early_stopping": "never"},
        {"length_penalty": -0.5},
        {"max_length": 9},
        {"forced_eos_token_id": None, "max_length": 12},
        {"eos_token_id": [0, 5, 9], "forced_eos_token_id": None},
    ]
    asked = []
    for number in range(45):
        rows = [[draw.randrange(2, size - 2) for _ in range(draw.randint(1, 30))] + [0] for _ in range(4)]
        asked.append([rows, {"num_beams": 1 + number // 9, **rules[number % 9]}])
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    run("answer", source, tmp_path / "asked.json", tmp_path / "answers.json")
    model = Seq2Seq(out, "translation")
    differing = 0
    for (rows, given), right in zip(asked, json.loads((tmp_path / "answers.json").read_text()), strict=True):
        ends = given.get("eos_token_id", [0])
        forced = [] if "forced_eos_token_id" in given else [0]
        model._rules = Rules(
            *(ends, given.get("max_length", 30), given.get("length_penalty", 1.0)),
            *(given.get("early_stopping", False), forced),
        )
        said = [each.tokens for each in model.generate(rows, given["num_beams"])]
        differing += sum(one != unpadded(other, ends) for one, other in zip(said, right, strict=True))
    assert differing == 0


def unpadded(tokens: list[int], ends: list[int]) -> list[int]:
    stop = next((number for number, token in enumerate(tokens) if token in ends), len(tokens) - 1)
    return tokens[: stop + 1]


def test_int8_is_held_to_the_gate(made: tuple[Path, int, Path, dict[str, Any], Told], tmp_path: Path) -> None:
    source = made[0]
    options = Options(str(source), "translation", tmp_path / "out", precision="int8", agreement=0.0)
    report = pipeline.optimize(options, None, Told())  # type: ignore[arg-type]
    assert {part["kind"] for part in report["precision"]["int8"]} == {"embedding", "feed-forward"}
    assert report["fidelity"]["final"]["difference"]["cosine"] > 0.99
    strict = Options(str(source), "translation", tmp_path / "strict", precision="int8", agreement=1.0)
    with pytest.raises(FidelityError, match="quantising to int8: the agreement is"):
        pipeline.optimize(strict, None, Told())  # type: ignore[arg-type]
    assert not (tmp_path / "strict").exists()


def test_a_checkpoint_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/config.json").write_text('{"model_type": "bart"}')
    (tmp_path / "source/model.safetensors").write_bytes(b"")
    with pytest.raises(SourceError, match="source: a model of the kind bart, and translation is for marian"):
        pipeline.optimize(Options(f"{tmp_path}/source", "translation", tmp_path / "out"), None, Told())  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("generation", "reason"),
    [
        ({"no_repeat_ngram_size": 3}, "no_repeat_ngram_size is 3, which is not known here"),
        ({"bad_words_ids": [[4, 5]]}, "bad_words_ids of several tokens are not known here"),
    ],
)
def test_settings_that_are_not_known_are_refused(tmp_path: Path, generation: dict[str, Any], reason: str) -> None:
    source, _ = checkpoint(tmp_path / "source", **generation)
    with pytest.raises(SourceError, match=reason):
        pipeline.optimize(Options(str(source), "translation", tmp_path / "out"), None, Told())  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
