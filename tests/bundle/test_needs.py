"""Which libraries go in, in which form, and why."""

from pathlib import Path

import pytest

from conftest import write
from pilotlight.bundle import imports, needs
from pilotlight.bundle.needs import Need
from pilotlight.bundle.sources import Model
from pilotlight.errors import BuildError

ORT, HANDLER = "<2,>=1.22", "def handler(event, context):\n    return None\n"


def find(root: Path, code: str = HANDLER, **files: str) -> needs.Needs:
    write(root, {"inference/ask.py": code, **{name.replace("__", "/"): text for name, text in files.items()}})
    models = [Model(root / "models", "models")] if (root / "models").exists() else []
    return needs.find(root, imports.trace(root, root / "inference/ask.py"), models)


def test_a_plain_handler_needs_nothing(tmp_path: Path) -> None:
    assert find(tmp_path) == needs.Needs((), ())


def test_a_model_needs_the_c_library_of_its_engine_alone(tmp_path: Path) -> None:
    files = {"models/a/model.onnx": "", "models/b/model.tflite": ""}
    write(tmp_path, files)
    assert find(tmp_path).ours == (
        Need("ai-edge-litert", "<3,>=2.3", "library", "models/b/model.tflite runs in its C library"),
        Need("onnxruntime", ORT, "library", "models/a/model.onnx runs in its C library"),
    )


def test_a_model_that_is_fetched_is_taken_for_onnx(tmp_path: Path) -> None:
    write(tmp_path, {"inference/ask.py": HANDLER, "requirements.txt": "tokenizers\n"})
    found = needs.find(tmp_path, imports.trace(tmp_path, tmp_path / "inference/ask.py"), [], ["hf://org/qa"])
    assert [(need.name, need.form, need.reason) for need in found.ours] == [
        ("onnxruntime", "library", "what hf://org/qa holds runs in its C library"),
        ("tokenizers", "module", "requirements.txt names it"),
    ]


def test_a_function_that_imports_the_module_gets_it_with_what_it_imports(tmp_path: Path) -> None:
    write(tmp_path, {"models/model.onnx": ""})
    assert find(tmp_path, "import onnxruntime\n").ours == (
        Need("numpy", "<3,>=2", "module", "onnxruntime imports it"),
        Need("onnxruntime", ORT, "module", "inference/ask.py, line 1 imports onnxruntime"),
    )


def test_an_endpoint_needs_what_decodes_forms_and_rich_types(tmp_path: Path) -> None:
    found = find(tmp_path, "from pilotlight import Image, endpoint\n")
    assert [(need.name, need.form) for need in found.ours] == [
        ("msgspec", "module"),
        ("multipart", "module"),
        ("pillow", "module"),
    ]
    assert found.ours[2].reason == "inference/ask.py, line 1 takes pictures"


@pytest.mark.parametrize(("kind", "names"), [("wordpiece", []), ("tokenizers", ["tokenizers"])])
def test_the_tokenizer_of_a_model_decides(tmp_path: Path, kind: str, names: list[str]) -> None:
    write(tmp_path, {"models/model.json": f'{{"format": 1, "tokenizer": {{"type": "{kind}"}}}}'})
    assert [need.name for need in find(tmp_path).ours] == names


def test_requirements_keep_their_lines_and_give_versions_to_libraries_of_ours(tmp_path: Path) -> None:
    text = "# what it needs\nrequests[socks] >= 2.31 # for\nOnnxRuntime==1.30.0\n"
    text += "numpy==2.1.0 \\\n    --hash=sha256:ab\n-r more.txt\n"
    write(tmp_path, {"models/model.onnx": "", "requirements.txt": text})
    found = find(tmp_path)
    assert found.lines == ("requests[socks] >= 2.31", "-r more.txt")
    assert found.ours == (
        Need("numpy", "==2.1.0 --hash=sha256:ab", "module", "requirements.txt names it"),
        Need("onnxruntime", "==1.30.0", "library", "models/model.onnx runs in its C library"),
    )


def test_a_model_whose_settings_are_damaged_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"models/model.json": "{"})
    with pytest.raises(BuildError, match=r"reading .*models/model\.json"):
        find(tmp_path)
