"""Checkpoints, archives and ONNX files -> model.onnx, held against what transformers answers.

What is marked `system` makes the exporter's environment, a gigabyte, when it is not in the cache.
"""

import http.server
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from told import Told

from pilotlight.errors import ModelError, SourceError
from pilotlight.optimize import environment
from pilotlight.optimize.exporters import Export, export, reference
from pilotlight.optimize.progress import Progress
from pilotlight.optimize.source import Source, resolve
from pilotlight.optimize.tasks import TASKS

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

MAKER = Path(__file__).parent / "make_checkpoint.py"
SHAPES = [(1, 1), (1, 2), (3, 1), (2, 17), (8, 64)]  # texts, tokens
LONG = (1, 512)
Feeds = list[dict[str, Any]]


@pytest.fixture(scope="session")
def python() -> Path:
    return environment.python("torch", Progress())


@pytest.fixture(scope="session")
def checkpoint(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    home = tmp_path_factory.mktemp("checkpoints")

    def make(kind: str) -> Path:
        if not (home / kind).is_dir():
            subprocess.run([python, "-I", MAKER, kind, home / kind], check=True, capture_output=True)
        return home / kind

    return make


def exported(source: Source, task: str, out: Path) -> Export:
    out.mkdir()
    return export(source, TASKS[task], out, Progress())


def feeds_for(session: onnxruntime.InferenceSession, vocabulary: int, shapes: list[tuple[int, int]]) -> Feeds:
    """Padding at the right of the last text, as serving pads."""
    generator = np.random.default_rng(11)
    feeds = []
    for texts, tokens in shapes:
        mask = np.ones((texts, tokens), np.int64)
        if texts > 1:
            mask[-1, (tokens + 1) // 2 :] = 0
        made = {
            "input_ids": generator.integers(3, vocabulary, (texts, tokens)),
            "attention_mask": mask,
            "token_type_ids": generator.integers(0, 2, (texts, tokens)),
            "position_ids": np.maximum(mask.cumsum(-1) - 1, 0),
        }
        names = {each.name: each.shape for each in session.get_inputs()}
        feed: dict[str, Any] = {name: made[name] for name in names if name in made}
        for name, shape in names.items():
            if name.startswith("past_key_values."):
                feed[name] = np.zeros((texts, shape[1], 0, shape[3]), np.float32)
        feeds.append(feed)
    return feeds


def assert_same_as_the_original(source: Source, task: str, out: Path, vocabulary: int, longest: bool) -> None:
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    feeds = feeds_for(session, vocabulary, [*SHAPES, LONG] if longest else SHAPES)
    given = out.parent / "feeds.npz"
    np.savez(given, **{f"{i}.{name}": value for i, feed in enumerate(feeds) for name, value in feed.items()})
    told = Told()
    measured = reference(source, TASKS[task], given, out.parent / "answers.npz", told)
    assert {("answers of the original", 2, len(feeds)), ("the original timed", 20, 20)} < set(told.counts)
    assert measured.cold_ms > 0
    assert measured.warm_ms > 0
    assert measured.disk_bytes > 10_000_000
    with np.load(out.parent / "answers.npz") as original:
        for i, feed in enumerate(feeds):
            for name, value in zip(names, session.run(names, feed), strict=True):
                assert value.shape == original[f"{i}.{name}"].shape
                np.testing.assert_allclose(value, original[f"{i}.{name}"], atol=2e-4, rtol=1e-4)


ENCODERS = [
    ("bert-qa", "question-answering", "bert", 69, {"start_logits", "end_logits"}),
    ("bert", "sentence-embedding", "bert", 69, {"embedding"}),
    ("bert", "feature-extraction", "bert", 69, {"last_hidden_state"}),
    ("distilbert-classes", "text-classification", "distilbert", 69, {"logits"}),
    ("roberta", "question-answering", "roberta", 260, {"start_logits", "end_logits"}),
]


@pytest.mark.parametrize(("kind", "task", "model_type", "vocabulary", "outputs"), ENCODERS)
def test_answers_as_transformers_at_every_shape(
    kind: str,
    task: str,
    model_type: str,
    vocabulary: int,
    outputs: set[str],
    checkpoint: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    source = resolve(str(checkpoint(kind)))
    done = exported(source, task, tmp_path / "out")
    assert (done.model_type, done.hidden_size, done.heads, done.layers) == (model_type, 32, 4, 2)
    assert done.labels == (("sad", "glad", "neither") if task == "text-classification" else ())
    assert done.tokenizer["max_length"] == 512
    assert json.loads((tmp_path / "out/export.json").read_text())["task"] == task
    session = onnxruntime.InferenceSession(tmp_path / "out/model.onnx", providers=["CPUExecutionProvider"])
    assert {each.name for each in session.get_outputs()} == outputs
    assert_same_as_the_original(source, task, tmp_path / "out", vocabulary, longest=True)


FUSE = """
import json, sys
from onnxruntime.transformers import optimizer
fused = optimizer.optimize_model(sys.argv[1], "bert", num_heads=4, hidden_size=32, opt_level=0)
print(json.dumps({name: count for name, count in fused.get_fused_operator_statistics().items() if count}))
"""


def test_the_optimiser_of_onnxruntime_fuses_the_graph(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    exported(resolve(str(checkpoint("bert-qa"))), "question-answering", tmp_path / "out")
    command = [sys.executable, "-c", FUSE, tmp_path / "out/model.onnx"]
    fused = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    assert fused == {"EmbedLayerNormalization": 1, "Attention": 2, "BiasGelu": 2, "SkipLayerNormalization": 4}


def test_templates_are_those_of_the_tokenizer(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    block = exported(resolve(str(checkpoint("roberta"))), "question-answering", tmp_path / "out").tokenizer
    assert block == {
        "type": "tokenizers",
        "file": "tokenizer.json",
        "max_length": 512,
        "single": [[0], [2]],
        "pair": [[0], [2, 2], [2]],
        "pair_types": [0, 0],
        "pad": 1,
    }
    assert (tmp_path / "out/tokenizer.json").is_file()


GENERATE = """
import sys, torch, transformers
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()
ids = torch.tensor([[int(word) for word in sys.argv[2].split()]])
options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "attention_mask": torch.ones_like(ids)}
print(*model.generate(ids, use_cache=sys.argv[3] == "cache", **options)[0].tolist())
"""


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_greedy_decoding_is_that_of_transformers(
    kind: str, python: Path, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = checkpoint(kind)
    done = exported(resolve(str(folder)), "text-generation", tmp_path / "out")
    assert done.generation == {"eos": [0], "bos": 0, "max_positions": 64, "layers": 2}
    session = onnxruntime.InferenceSession(tmp_path / "out/model.onnx", providers=["CPUExecutionProvider"])
    command = [python, "-I", "-c", GENERATE, folder, "40 41 42 99"]
    for cache in ("cache", "none"):
        text = subprocess.run([*command, cache], check=True, capture_output=True, text=True).stdout
        assert greedy(session, [40, 41, 42, 99], 12) == [int(word) for word in text.split()]
    assert_same_as_the_original(resolve(str(folder)), "text-generation", tmp_path / "out", 257, longest=False)


def greedy(session: onnxruntime.InferenceSession, ids: list[int], count: int) -> list[int]:
    """The prompt at once with no past, then token by token with the past that came out."""
    (feed,) = feeds_for(session, 4, [(1, 1)])
    past = {name: value for name, value in feed.items() if name.startswith("past")}
    names = [each.name for each in session.get_outputs()]
    done, fresh = list(ids), list(ids)
    for _ in range(count):
        start = len(done) - len(fresh)
        feed = {
            "input_ids": np.array([fresh]),
            "attention_mask": np.ones((1, len(done)), np.int64),
            "position_ids": np.arange(start, len(done))[None],
            **past,
        }
        logits, *present = session.run(names, feed)
        assert logits.shape == (1, 1, 257)
        past = {name.replace("present", "past_key_values"): v for name, v in zip(names[1:], present, strict=True)}
        fresh = [int(logits[0, -1].argmax())]
        done += fresh
    return done


def refused(source: Source, task: str, out: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        exported(source, task, out)
    assert not (out / "export.json").exists()
    return caught.value


def test_a_checkpoint_without_the_head_of_the_task_is_refused(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = checkpoint("bert")
    error = refused(resolve(str(folder)), "question-answering", tmp_path / "out")
    missing = "the checkpoint has no weights for qa_outputs.bias, qa_outputs.weight"
    assert str(error) == f"loading {folder} for question-answering: {missing}"
    assert error.hint.startswith("the model was not trained for this task")


EVIL = """
import os, sys, torch
class Evil:
    def __reduce__(self):
        return os.mkdir, (sys.argv[2],)
torch.save({"weight": torch.zeros(1), "evil": Evil()}, sys.argv[1])
"""


def test_a_pickle_with_more_than_tensors_is_not_loaded(
    python: Path, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "evil"
    shutil.copytree(checkpoint("bert-qa"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    subprocess.run([python, "-I", "-c", EVIL, folder / "pytorch_model.bin", tmp_path / "ran"], check=True)
    error = refused(resolve(str(folder)), "question-answering", tmp_path / "out")
    assert str(error) == f"loading {folder}: its weights are a pickle that holds more than tensors, and was not loaded"
    assert not (tmp_path / "ran").exists()


def test_code_in_a_checkpoint_is_not_run(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(checkpoint("bert-qa"), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"import os; os.mkdir({str(tmp_path / 'ran')!r})")
    with pytest.raises(SourceError) as caught:
        exported(resolve(str(folder)), "question-answering", tmp_path / "out")
    assert "has no architecture 'own'" in str(caught.value) or "loading the tokenizer" in str(caught.value)
    assert not (tmp_path / "ran").exists()


PROGRAM = """
import os, sys, torch
class Sum(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(50, 8)
        self.head = torch.nn.Linear(8, 2)
    def forward(self, input_ids, attention_mask):
        mask = attention_mask.unsqueeze(-1).float()
        return {"logits": self.head((self.words(input_ids) * mask).sum(1))}
torch.manual_seed(3)
axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
given = (torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.long))
torch.export.save(torch.export.export(Sum().eval(), given, dynamic_shapes=(axes, axes)), sys.argv[1])
"""


@pytest.fixture(scope="session")
def archive(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "sum.pt2"
    subprocess.run([python, "-I", "-c", PROGRAM, path], check=True, capture_output=True)
    return path


def test_an_archive_answers_as_it_did(archive: Path, tmp_path: Path) -> None:
    source = resolve(str(archive))
    done = exported(source, "text-classification", tmp_path / "out")
    assert (done.parameters, done.tokenizer, done.model_type) == (418, {}, "")
    assert_same_as_the_original(source, "text-classification", tmp_path / "out", 50, longest=False)


REFUSED_ARCHIVES = [
    ("data/weights/model_weights_config.json", '"use_pickle": false', '"use_pickle": true', "could hold more than"),
    ("models/model.json", '"torch.ops.aten.sum.dim_IntList"', '"torch.os.system"', "it calls 'torch.os.system'"),
    ("models/model.json", '"expr_str": "', '"expr_str": "exit() + ', "exit() + "),
]


@pytest.mark.parametrize(("member", "old", "new", "reason"), REFUSED_ARCHIVES)
def test_an_archive_that_could_run_code_is_refused(
    archive: Path, tmp_path: Path, member: str, old: str, new: str, reason: str
) -> None:
    path = tmp_path / "forged.pt2"
    rewrite(archive, path, member, old, new)
    error = refused(resolve(str(path)), "text-classification", tmp_path / "out")
    assert "it could run code when loaded, and was not" in str(error)
    assert reason in str(error)


LIBRARY = """
#include <sys/stat.h>
__attribute__((constructor)) static void run(void) { mkdir("RAN", 0700); }
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_compiled_library_in_an_archive_is_not_opened(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "run.c").write_text(LIBRARY.replace("RAN", str(tmp_path / "ran")))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "run.so", tmp_path / "run.c"], check=True)
    path = tmp_path / "sum.pt2"
    shutil.copy(archive, path)
    with zipfile.ZipFile(path, "a") as forged:
        forged.writestr("sum/data/aotinductor/m/x_metadata.json", '{"AOTI_DEVICE_KEY": "cpu"}')
        forged.writestr("sum/data/aotinductor/m/x.wrapper_metadata.json", '{"AOTI_DEVICE_KEY": "cpu"}')
        forged.write(tmp_path / "run.so", "sum/data/aotinductor/m/x.wrapper.so")
    error = refused(resolve(str(path)), "text-classification", tmp_path / "out")
    assert str(error) == (
        f"loading {path}: it could run code when loaded, and was not: "
        "it holds 'data/aotinductor/m/x_metadata.json', which torch.export.save does not write"
    )
    assert not (tmp_path / "ran").exists()


OLD_LAYOUT = """
import json, os, pickle, sys, torch, zipfile
from torch._export.serde.schema import SCHEMA_VERSION
from torch._export.serde.serialize import serialize
class Evil:
    def __reduce__(self):
        return os.mkdir, (sys.argv[3],)
def forge(value):
    if isinstance(value, dict) and "expr_str" in value:
        value["expr_str"] = f"__import__('os').mkdir({sys.argv[3]!r})"
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        forge(inner)
parts = serialize(torch.export.load(sys.argv[1]))
program, weights = json.loads(parts.exported_program), parts.state_dict
if sys.argv[4] == "pickle":
    weights = pickle.dumps(Evil())
else:
    forge(program)
with zipfile.ZipFile(sys.argv[2], "w") as archive:
    archive.writestr("version", ".".join(map(str, SCHEMA_VERSION)))
    archive.writestr("x/models/model.json", "{}")
    archive.writestr("serialized_exported_program.json", json.dumps(program))
    archive.writestr("serialized_state_dict.pt", weights)
    archive.writestr("serialized_constants.pt", parts.constants)
    archive.writestr("serialized_example_inputs.pt", parts.example_inputs)
"""


@pytest.mark.parametrize("kind", ["pickle", "expression"])
def test_an_archive_of_the_older_layout_is_not_loaded(kind: str, python: Path, archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.pt2"
    subprocess.run([python, "-I", "-c", OLD_LAYOUT, archive, path, tmp_path / "ran", kind], check=True)
    error = refused(resolve(str(path)), "text-classification", tmp_path / "out")
    assert str(error).startswith(f"loading {path}: it is no archive of torch.export.save, or damaged (RuntimeError")
    assert "not in a subdirectory: version" in str(error)
    assert not (tmp_path / "ran").exists()


def rewrite(archive: Path, path: Path, member: str, old: str, new: str) -> None:
    with zipfile.ZipFile(archive) as before, zipfile.ZipFile(path, "w") as after:
        for info in before.infolist():
            data = before.read(info)
            if info.filename.endswith(member):
                assert old.encode() in data
                data = data.replace(old.encode(), new.encode())
            after.writestr(info, data)


def test_an_archive_that_is_cut_is_refused(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.pt2"
    path.write_bytes(archive.read_bytes()[:3000])
    error = refused(resolve(str(path)), "text-classification", tmp_path / "out")
    assert str(error).startswith(f"loading {path}: it is no archive of torch.export.save, or damaged")


class Hub(http.server.BaseHTTPRequestHandler):
    """What the hub answers for one model, as far as its library asks."""

    folder: Path
    commit = "0123456789abcdef0123456789abcdef01234567"
    asked: list[str]

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, body: bool) -> None:
        self.asked.append(self.path)
        path, _, _ = self.path.partition("?")
        if path.startswith("/api/models/org/reader"):
            files = [{"rfilename": p.name, "size": p.stat().st_size} for p in sorted(self.folder.iterdir())]
            listed = {"_id": "1", "id": "org/reader", "modelId": "org/reader", "sha": self.commit, "siblings": files}
            self.send(json.dumps(listed).encode(), body, "application/json")
        elif path.startswith("/org/reader/resolve/"):
            self.send((self.folder / path.rpartition("/")[2]).read_bytes(), body, "application/octet-stream")
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def send(self, data: bytes, body: bool, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{self.path.rpartition("/")[2]}-{len(data)}"')
        self.send_header("X-Repo-Commit", self.commit)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    folder = tmp_path / "published"
    shutil.copytree(checkpoint("bert-qa"), folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "modeling_own.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"not needed")
    handler = type("Published", (Hub,), {"folder": folder, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_of_the_hub_without_its_code(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    source = resolve("hf://org/reader", told)
    assert (source.kind, source.name, source.revision, source.license) == (
        "transformers",
        "org/reader",
        Hub.commit,
        "mit",
    )
    names = {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in source.path.iterdir()} == names
    assert not [path for path in hub.asked if "modeling_own" in path or "pytorch_model" in path]
    assert told.lines[0].startswith(f"hf://org/reader at {Hub.commit}: 0.")

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for offline in ("hf://org/reader", f"hf://org/reader@{Hub.commit}"):
        assert resolve(offline) == source


def test_an_unreachable_hub_is_named_with_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    (tmp_path / "hub/models--org--other/snapshots").mkdir(parents=True)
    (tmp_path / "hub/models--org--other/refs").mkdir()
    with pytest.raises(SourceError) as caught:
        resolve("hf://org/reader")
    assert str(caught.value).startswith("hf://org/reader: http://127.0.0.1:9 cannot be reached (")
    end = f"revision 'main' is not whole in the cache {tmp_path}/hub, which holds org/other"
    assert str(caught.value).endswith(end)


def test_a_hub_that_never_answers_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(SourceError) as caught:
            resolve("hf://org/reader")
    assert str(caught.value).startswith(f"hf://org/reader: {address} cannot be reached (")


RESOLVE = "from pilotlight.optimize.source import resolve; resolve('hf://org/reader')"


def test_the_exporter_ends_with_a_parent_that_is_killed(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "300")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with subprocess.Popen([sys.executable, "-c", RESOLVE], stdout=subprocess.DEVNULL) as parent:
            connection, _ = silent.accept()  # by the exporter's process, which waits for an answer from here on
            parent.send_signal(signal.SIGKILL)
        with connection:
            connection.settimeout(60)
            while connection.recv(65536):  # the kernel closes it when the process has ended
                pass


def test_a_name_that_the_hub_does_not_know(hub: type[Hub]) -> None:
    with pytest.raises(SourceError) as caught:
        resolve("hf://org/writer")
    assert str(caught.value) == "hf://org/writer: the hub has no model of that name that you may read"
    assert caught.value.hint == "check the name; a private model needs HF_TOKEN"
