"""What may be named as the source of a model, and what is said of what may not."""

import ast
from pathlib import Path

import pytest

from pilotlight.errors import SourceError, UsageError
from pilotlight.optimize import fidelity, samples, tasks
from pilotlight.optimize.source import Source, resolve


def folder_with(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"{}")
    return folder


def refused(source: str) -> tuple[str, str]:
    with pytest.raises(SourceError) as caught:
        resolve(source)
    return str(caught.value), caught.value.hint


SCRIPTS = Path(tasks.__file__).parent / "exporters" / "scripts"
FORMS = "a source is a folder, hf://org/name, hf://org/name@revision, a .pt2 or an .onnx file"


@pytest.mark.parametrize(
    "weights",
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"],
)
def test_a_folder_with_a_config_and_weights_is_a_model(tmp_path: Path, weights: str) -> None:
    folder = folder_with(tmp_path / "reader", "config.json", weights)
    assert resolve(str(folder)) == Source("transformers", folder, "reader", "", "")


@pytest.mark.parametrize(("file", "kind"), [("reader.onnx", "onnx"), ("reader.pt2", "pt2"), ("READER.ONNX", "onnx")])
def test_a_file_is_what_its_name_says(tmp_path: Path, file: str, kind: str) -> None:
    path = folder_with(tmp_path, file) / file
    assert resolve(str(path)) == Source(kind, path, path.stem, "", "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("card", "license"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Reader\n", "apache-2.0"),
        ("---\nlicense:\n- mit\n---\n", "mit"),
        ('---\nlicense: "cc-by-4.0"\n---\n', "cc-by-4.0"),
        ("# Reader\n\nlicense: mit, says the text\n", ""),
        ("---\nlanguage: en\n---\nlicense: mit\n", ""),
    ],
)
def test_the_licence_is_what_the_front_matter_says(tmp_path: Path, card: str, license: str) -> None:
    folder = folder_with(tmp_path, "config.json", "model.safetensors")
    (folder / "README.md").write_text(card)
    assert resolve(str(folder)).license == license


def test_a_folder_that_is_no_model_is_told_what_it_lacks(tmp_path: Path) -> None:
    assert refused(str(folder_with(tmp_path / "a"))) == (
        f"{tmp_path}/a is not a model: it has no config.json and no weights (model.safetensors or pytorch_model.bin)",
        FORMS,
    )
    assert refused(str(folder_with(tmp_path / "b", "config.json"))) == (
        f"{tmp_path}/b is not a model: it has no weights (model.safetensors or pytorch_model.bin)",
        FORMS,
    )
    assert refused(str(folder_with(tmp_path / "c", "model.safetensors"))) == (
        f"{tmp_path}/c is not a model: it has no config.json",
        FORMS,
    )
    assert refused(str(folder_with(tmp_path / "d", "model.onnx"))) == (
        f"{tmp_path}/d is not a model: it has no config.json and no weights (model.safetensors or pytorch_model.bin)",
        f"give the file itself: {tmp_path}/d/model.onnx",
    )


def test_what_is_not_there_may_be_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused("org/reader") == ("org/reader: there is no such file or folder", "on the hub: hf://org/reader")
    assert refused("reader") == ("reader: there is no such file or folder", FORMS)


def test_other_sources_are_refused(tmp_path: Path) -> None:
    assert refused("https://example.org/model") == ("https://example.org/model: not a source that can be read", FORMS)
    pickle = folder_with(tmp_path, "model.pth") / "model.pth"
    assert refused(str(pickle)) == (f"{pickle}: neither a .pt2 nor an .onnx file", FORMS)


@pytest.mark.parametrize("name", ["", "a/b/c", "a/../b", "org/na me", "org/name@", "org/name@-$", "org/name@a..b"])
def test_names_that_the_hub_does_not_have_are_refused(name: str) -> None:
    message, hint = refused(f"hf://{name}")
    assert message == f"hf://{name}: not a name on the hub"
    assert hint == "as in hf://org/name or hf://org/name@revision"


def test_tasks_are_found_by_name() -> None:
    assert tasks.find("question-answering").outputs == {"start_logits": 2, "end_logits": 2}
    assert [task.name for task in tasks.TASKS.values()] == [
        "question-answering",
        "text-classification",
        "sentence-embedding",
        "feature-extraction",
        "text-generation",
    ]


def keys(script: str, name: str) -> set[str]:
    """The keys of a table in a script, whose imports are those of the exporter's own environment."""
    tree = ast.parse((SCRIPTS / script).read_text(encoding="utf-8"))
    assigned = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    [table] = [node.value for node in assigned if ast.unparse(node).startswith((f"{name}:", f"{name} ="))]
    assert isinstance(table, ast.Dict)
    return {ast.literal_eval(key) for key in table.keys if key}


def test_every_table_has_every_task() -> None:
    every, sequences = set(tasks.TASKS), set(tasks.SEQUENCES)
    assert keys("wrappers.py", "WRAPPERS") == every
    assert keys("checkpoints.py", "HEADS") == set(samples.FIELDS) == every | sequences
    assert set(fidelity.AGREEMENT) == every | sequences | set(tasks.PICTURES)
    assert {*fidelity.ANSWERING, *fidelity.VECTORS} == every


def test_a_misspelt_task_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        tasks.find("question_answering")
    assert str(caught.value) == "unknown task 'question_answering'"
    assert caught.value.hint.startswith("did you mean 'question-answering'? the tasks are question-answering, text-cl")
