"""Training, export and conversion of the captioning example, end to end on tiny networks: needs the extra `train`."""

import importlib.util
import json
import pickle
import random
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "examples" / "captioning"
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 200)}


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=300, check=False)


def in_service(script: str, *arguments: object) -> Any:
    """What a script prints as JSON, with the service folder as its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve plain pictures, two of them of the val split, with two or three captions each."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    listed = []
    for number in range(12):
        name, colour = list(COLOURS.items())[number % 3]
        shade = tuple(max(0, value - 5 * number) for value in colour)
        Image.new("RGB", (40, 30), shade).save(folder / "images" / f"{number}.png")
        captions = [f"The field is {name} .", f"A {name} field, seen from above ."]
        listed.append({"file": f"{number}.png", "split": "val" if number > 9 else "train", "captions": captions})
    (folder / "captions.json").write_text(json.dumps(listed), encoding="utf-8")
    return folder


def train(data: Path, out: Path, *more: object) -> subprocess.CompletedProcess[str]:
    sizes = ("--channels", 4, "--batch", 4, "--apart", 0.2, "--least", 1, "--threads", 1, "--beam", 2)
    return run("train.train", "--data", data, "--out", out, *sizes, "--word-epochs", 1, "--epochs", 2, *more)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


SAME = """
import json, sys
from pathlib import Path
import torch
from captioner import LIMIT, Captioner as Served
from train import data, export, search
from train.model import Captioner, CaptionerConfig
from train.train import features_of
folder, checkpoint, out = map(Path, sys.argv[1:])
parts = data.read(folder, 0.2)
numbers = data.word_map(parts.training, 1)
network = Captioner(CaptionerConfig(len(numbers), 4)).eval()
network.load_state_dict(torch.load(checkpoint, weights_only=True)["best_weights"])
export.export(network, numbers, out, half=False)
served = Served(str(out))
search.LIMIT = LIMIT
pixels = data.pixels(parts.training + parts.validation)
found = []
for row in pixels:
    view = memoryview(row.tobytes()).cast("B", [1, *row.shape])
    features = features_of(network, torch.from_numpy(row).unsqueeze(0))
    for beam in (1, 3, 5):
        plain = [served.words[number] for number in search.caption(network, features, numbers, beam)]
        found.append([plain, served.of_pixels(view, beam).words])
print(json.dumps(found))
"""


def test_training_says_how_good_it_is_and_what_is_served_says_what_was_trained(data: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    done = train(data, tmp_path / "model", "--checkpoint", checkpoint)
    assert done.returncode == 0, done.stderr
    assert "8 pictures, 2 kept apart, 14 words" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[:4] == ["2 pictures", "", "| beam | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 |", "|---|---|---|---|---|"]
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| 1", "| 3", "| 5"]
    found = in_service(SAME, data, checkpoint, tmp_path / "exact")
    assert len(found) == 30
    assert [served for _, served in found] == [plain for plain, _ in found]


def test_a_run_that_was_broken_off_ends_as_one_that_was_not(data: Path, tmp_path: Path) -> None:
    whole = train(data, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    checkpoint = ("--checkpoint", tmp_path / "run.pt")
    broken = train(data, tmp_path / "parts", *checkpoint, "--patience", 1)
    assert broken.returncode == 0, broken.stderr
    again = train(data, tmp_path / "parts", *checkpoint)
    assert again.returncode == 0, again.stderr
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_a_checkpoint_of_another_run_is_refused(data: Path, tmp_path: Path) -> None:
    checkpoint = ("--checkpoint", tmp_path / "run.pt")
    assert train(data, tmp_path / "one", *checkpoint).returncode == 0
    other = train(data, tmp_path / "two", *checkpoint, "--seed", 2)
    assert other.returncode == 1
    assert "give another --checkpoint" in other.stderr
    assert not (tmp_path / "two").exists()


READ = """
import json, sys
from pathlib import Path
from train import data
folder = Path(sys.argv[1])
parts = data.read(folder, 0.5)
print(json.dumps({
    "parts": [[[str(picture.path.relative_to(folder)), picture.captions] for picture in part] for part in parts],
    "numbers": data.word_map(parts.validation, 2),
    "encoded": data.encode(("a", "tiny", "dog"), data.word_map(parts.validation, 2)),
}))
"""


def test_splits_as_they_are_published_are_read(tmp_path: Path) -> None:
    listed = [
        {"filename": "1.jpg", "filepath": "val2014", "split": "restval", "sentences": [{"raw": "Don't stop."}]},
        {"filename": "2.jpg", "split": "train", "sentences": [{"raw": "A  Cat!"}, {"raw": "Cats"}]},
        {"filename": "3.jpg", "split": "val", "sentences": [{"raw": "a dog"}, {"raw": "A dog and a cat"}]},
        {"filename": "4.jpg", "split": "test", "sentences": [{"raw": "unseen"}]},
    ]
    (tmp_path / "captions.json").write_text(json.dumps({"images": listed}), encoding="utf-8")
    found = in_service(READ, tmp_path)
    training, apart, validation = found["parts"]
    assert sorted(training + apart) == [
        ["images/2.jpg", [["a", "cat"], ["cats"]]],
        ["images/val2014/1.jpg", [["don't", "stop"]]],
    ]
    assert validation == [["images/3.jpg", [["a", "dog"], ["a", "dog", "and", "a", "cat"]]]]
    assert found["numbers"] == {"<pad>": 0, "a": 1, "dog": 2, "<unk>": 3, "<start>": 4, "<end>": 5}
    assert found["encoded"] == [4, 1, 3, 2, 5]


def _tutorial() -> ModuleType:
    spec = importlib.util.spec_from_file_location("captioning_torch", ROOT / "benchmarks" / "captioning_torch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    noise = random.Random(5)
    for number in range(3):
        Image.frombytes("RGB", (9, 7), noise.randbytes(9 * 7 * 3)).resize((90, 70)).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


SERVED = """
import json, sys
from captioner import Captioner
from pilotlight import Image
captioner = Captioner(sys.argv[1])
said = [captioner.caption(Image(open(path, "rb").read()), beam) for path in sys.argv[2:] for beam in (1, 3, 5)]
print(json.dumps([each.words for each in said]))
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_tutorials_checkpoint_says_the_same_converted(pictures: list[Path], tmp_path: Path, seed: int) -> None:
    tutorial = _tutorial()
    sizes = tutorial.Sizes((1, 2, 1, 1), width=4, embedding=12, attention=10, hidden=16, words=30)
    network = tutorial.made(sizes, seed, sharpness=6.0)
    tutorial.save(network, tmp_path / "weights.pt", tmp_path / "words.json")
    done = run("train.convert", tmp_path / "weights.pt", tmp_path / "words.json", "--out", tmp_path / "model")
    assert done.returncode == 0, done.stderr
    names = list(json.loads((tmp_path / "words.json").read_text(encoding="utf-8")))
    wanted = [
        [names[word] for word in tutorial.caption(network, tutorial.seen(path), 28, 29, beam, 50)[0]]
        for path in pictures
        for beam in (1, 3, 5)
    ]
    assert in_service(SERVED, tmp_path / "model", *pictures) == wanted
    assert len({tuple(words) for words in wanted}) > 1


INT8 = """
import json, sys
from captioner import Captioner
from pilotlight import Image
captioners = [Captioner(path) for path in sys.argv[1:3]]
image = Image(open(sys.argv[3], "rb").read())
print(json.dumps([captioner.caption(image, 3).words for captioner in captioners]))
"""


def test_a_checkpoint_is_converted_to_int8_by_pictures(pictures: list[Path], tmp_path: Path) -> None:
    tutorial = _tutorial()
    sizes = tutorial.Sizes((1, 2, 1, 1), width=16, embedding=128, attention=128, hidden=128, words=200)
    tutorial.save(tutorial.made(sizes, 1, sharpness=6.0), tmp_path / "weights.pt", tmp_path / "words.json")
    convert = ("train.convert", tmp_path / "weights.pt", tmp_path / "words.json", "--out")
    plain = run(*convert, tmp_path / "float32")
    small = run(*convert, tmp_path / "int8", "--pictures", pictures[0].parent)
    assert (plain.returncode, small.returncode) == (0, 0), plain.stderr + small.stderr
    assert plain.stdout == ""
    assert re.fullmatch(
        r"int8: the same captions for [0-3] of 3 pictures \(beam 3\), features' cosine at least (0\.99\d\d|1\.0000)\n",
        small.stdout,
    )
    sizes_of = [sum(map(len, files(tmp_path / name).values())) for name in ("float32", "int8")]
    assert sizes_of[1] < sizes_of[0] / 2
    before, after = in_service(INT8, tmp_path / "float32", tmp_path / "int8", pictures[0])
    assert before[0] == after[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["float32", "int8", "weights.pt", "words.json"]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    tutorial = _tutorial()
    network = tutorial.made(tutorial.Sizes((1, 1, 1, 1), 4, 12, 10, 16, 30))
    tutorial.save(network, tmp_path / "weights.pt", tmp_path / "words.json")
    (tmp_path / "empty").mkdir()
    convert = ("train.convert", tmp_path / "weights.pt", tmp_path / "words.json", "--out", tmp_path / "model")
    done = run(*convert, "--pictures", tmp_path / "empty")
    assert done.returncode == 1
    assert done.stderr.startswith(f"reading the samples in {tmp_path / 'empty'}: no pictures")
    assert not (tmp_path / "model").exists()


class Evil:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.path, "run")


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    import torch

    tutorial = _tutorial()
    network = tutorial.made(tutorial.Sizes((1, 1, 1, 1), 4, 12, 10, 16, 30))
    tutorial.save(network, tmp_path / "weights.pt", tmp_path / "words.json")
    torch.save({"encoder": network.encoder, "decoder": network.decoder}, tmp_path / "modules.pt")
    torch.save({"encoder": Evil(tmp_path / "evil"), "decoder": {}}, tmp_path / "evil.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil(tmp_path / "evil")))
    for name in ("modules", "evil", "plain"):
        done = run("train.convert", tmp_path / f"{name}.pt", tmp_path / "words.json", "--out", tmp_path / "model")
        assert done.returncode == 1
        assert "it holds more than weights" in done.stderr
        assert "python -m train.convert --help" in done.stderr
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "model").exists()


def test_what_is_no_such_checkpoint_is_refused(tmp_path: Path) -> None:
    import torch

    tutorial = _tutorial()
    network = tutorial.made(tutorial.Sizes((1, 1, 1, 1), 4, 12, 10, 16, 30))
    tutorial.save(network, tmp_path / "weights.pt", tmp_path / "words.json")
    saved = torch.load(tmp_path / "weights.pt", weights_only=True)
    del saved["decoder"]["f_beta.weight"]
    torch.save(saved, tmp_path / "less.pt")
    torch.save({"weights": {}}, tmp_path / "other.pt")
    (tmp_path / "few.json").write_text('{"<start>": 0, "<end>": 1, "<unk>": 2}', encoding="utf-8")
    (tmp_path / "no.json").write_text("<start>", encoding="utf-8")
    for checkpoint, words, reason in (
        ("less.pt", "words.json", "it has no weights 'f_beta.weight'"),
        ("other.pt", "words.json", "there is no dictionary of weights 'encoder' in it"),
        ("weights.pt", "few.json", "it does not number the decoder's 30 words from 0"),
        ("weights.pt", "no.json", "it does not number the decoder's 30 words from 0"),
    ):
        done = run("train.convert", tmp_path / checkpoint, tmp_path / words, "--out", tmp_path / "model")
        assert (done.returncode, reason in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "model").exists()
